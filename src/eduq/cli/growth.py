"""``eduq growth``: growth of units since earlier results, of an exam or of any table of pupils."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eduq.cli.aggregates import TableFormat, choose_form, read_aggregates, refuse_options, split_names
from eduq.cli.options import ArchiveOption, ArchiveVersionOption, LangOption, OutputLang
from eduq.errors import NotAssessableError, UsageError
from eduq.locale import text

if TYPE_CHECKING:
    from eduq.cli.growth_output import Grown

__all__ = ["growth_command"]

_WAYS = ("multilevel", "percentile", "z_gain", "bands")
_OF_EXAM = ("--archive-version", "--subject", "--by")
_OF_TABLE = ("--unit", "--covariate", "--reliability")


def _option(name: str, key: str) -> Any:
    return typer.Option(f"--{name}", help=text(f"cli.help.growth_{key}"), show_default=False)


def growth_command(
    source: Annotated[str | None, typer.Argument(help=text("cli.help.growth_source"), show_default=False)] = None,
    outcome: Annotated[str | None, _option("outcome", "outcome")] = None,
    prior: Annotated[list[str] | None, _option("prior", "prior")] = None,
    unit: Annotated[str | None, _option("unit", "unit")] = None,
    method: Annotated[str | None, _option("method", "method")] = None,
    covariate: Annotated[str | None, _option("covariate", "covariate")] = None,
    reliability: Annotated[float | None, _option("reliability", "reliability")] = None,
    archive: ArchiveOption = None,
    archive_version: ArchiveVersionOption = None,
    subject: Annotated[str | None, _option("subject", "subject")] = None,
    by: Annotated[str | None, _option("by", "by")] = None,
    settings: Annotated[Path | None, typer.Option("--settings", help=text("cli.help.settings"))] = None,
    form: Annotated[
        TableFormat | None, typer.Option("--format", help=text("cli.help.compare_format"), show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help=text("cli.help.compare_out"), show_default=False)] = None,
    lang: LangOption = OutputLang.zh,
) -> None:
    """Measure growth."""
    from eduq.cli.growth_output import give_grown

    chosen = choose_form(form, out)
    priors = [name for given in prior or () for name in split_names(given) or ()]
    ways = split_names(method) or list(_WAYS)
    of_exam = dict(zip(_OF_EXAM, (archive_version, subject, by), strict=True))
    of_table = dict(zip(_OF_TABLE, (unit, covariate, reliability), strict=True))
    if source is None:
        raise UsageError("growth_nothing_given")
    if outcome is not None:  # an archive named by EDUQ_ARCHIVE does not stand in the way of a table
        refuse_options(of_exam, "file")
        found = _from_table(Path(source), outcome, priors, ways, of_table, lang)
    else:
        if any(value is not None for value in of_table.values()) or (archive is None and not priors):
            raise UsageError("growth_outcome_missing", option="--outcome")
        found = _from_exam(source, archive, priors, ways, of_exam | {"settings": settings}, lang)
    written = give_grown(found, chosen.value, out, lang.value)
    if written is not None:
        print(written)


def _from_table(path: Path, outcome: str, priors: list[str], ways: list[str], asked: dict[str, Any], lang: OutputLang) -> Grown:
    from eduq.cli.growth_output import Grown
    from eduq.estimates.table_growth import measure_table_growth
    from eduq.settings import RunSettings

    if not priors:
        raise UsageError("growth_outcome_missing", option="--prior")
    joined = text("bulletin.list_joiner", lang.value).join(priors)
    found = measure_table_growth(
        read_aggregates(path),
        outcome=outcome,
        priors=priors,
        unit=asked["--unit"] or "school_id",
        ways=ways,
        covariates=split_names(asked["--covariate"]) or [],
        reliability=asked["--reliability"],
        min_n=RunSettings().min_n_reporting,
    )
    return Grown(
        frame=found.frame,
        what=text("cli.growth.of_file", lang.value, file=path.name, outcome=outcome, prior=joined),
        settings=found.settings,
        missing=found.missing,
        models=found.models,
        checks=found.checks,
    )


def _from_exam(
    source: str, folder: Path | None, priors: list[str], ways: list[str], asked: dict[str, Any], lang: OutputLang
) -> Grown:
    from eduq.cli.growth_output import Grown
    from eduq.disclosure.growths import protect_growth
    from eduq.intake import read_scores
    from eduq.pipeline.growths import collect_growth
    from eduq.pipeline.stored_exams import archived_exam_id, open_named, read_archived
    from eduq.registers import apply_registers
    from eduq.settings import read_settings

    run = read_settings(asked["settings"])
    store = None if folder is None else open_named(folder, asked["--archive-version"])
    exam_id = None if store is None else archived_exam_id(source, store)
    known = None if store is None else store.registers()
    if store is not None and exam_id is not None:
        scores = read_archived(store, exam_id, run)
    else:
        scores = read_scores(source)
        scores = scores if known is None else apply_registers(scores, known)
    by = asked["--by"]
    if by not in (None, "school", "class"):
        raise UsageError("growth_option", option="--by")
    subject = asked["--subject"]
    several = len(scores.papers) > 1
    papers = None if subject == "all" or (subject is None and not several) else split_names(subject or "composite")
    growth = collect_growth(
        priors or None,
        store,
        scores,
        archived=exam_id is not None,
        registers=known,
        settings=run,
        by=by,
        ways=ways,  # type: ignore[arg-type]
        papers=papers,
    )
    if growth is None or growth.reason is not None:
        reason = "no_prior_exam" if growth is None or growth.reason is None else growth.reason
        raise NotAssessableError("growth_none", reason=text(f"growth.reasons.{reason}", lang.value))
    shown = protect_growth(growth, run.min_n_reporting)
    joined = text("bulletin.list_joiner", lang.value).join(shown.priors["exam_id"].fill_null("–").to_list())
    return Grown(
        frame=shown.frame,
        what=text("cli.growth.of_exam", lang.value, exam=str(scores.exam.exam.id), priors=joined),
        settings=growth.settings,
        priors=shown.priors,
        missing=shown.missing.filter(school_id="all") if shown.unit_type == "class" else shown.missing,
        models=shown.models,
        coefficients=shown.coefficients,
        checks=shown.checks,
        notes=shown.notes,
        names={} if known is None else dict(known.schools.select("school_id", "name").drop_nulls().iter_rows()),
    )
