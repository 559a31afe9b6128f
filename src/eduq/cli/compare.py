"""``eduq compare``: units of one exam of an archive, or of any table of aggregates, compared with their group and each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from eduq.cli.aggregates import TableFormat, choose_form, refuse_options
from eduq.cli.options import ArchiveOption, ArchiveVersionOption, AsOfOption, LangOption, OutputLang, as_date, named_archive
from eduq.errors import UsageError
from eduq.locale import text

__all__ = ["compare_command"]

_OF_FILE = ("--unit", "--estimate", "--std-error", "--sd", "--n", "--family", "--period", "--strong")
_OF_ARCHIVE = ("--measure", "--exam", "--subject", "--year-group", "--term", "--by", "--as-of", "--archive-version")


def _column(name: str, key: str) -> Any:
    return typer.Option(f"--{name}", help=text(f"cli.help.compare_{key}"), show_default=False)


def compare_command(
    file: Annotated[Path | None, typer.Argument(help=text("cli.help.compare_file"), show_default=False)] = None,
    archive: ArchiveOption = None,
    measure: Annotated[str | None, _column("measure", "measure")] = None,
    exam: Annotated[str | None, _column("exam", "exam")] = None,
    subject: Annotated[str | None, _column("subject", "subject")] = None,
    year_group: Annotated[str | None, _column("year-group", "year_group")] = None,
    term: Annotated[int | None, typer.Option("--term", min=1, max=2, help=text("cli.help.compare_term"))] = None,
    by: Annotated[str | None, _column("by", "by")] = None,
    as_of: AsOfOption = None,
    archive_version: ArchiveVersionOption = None,
    unit: Annotated[str | None, _column("unit", "unit")] = None,
    estimate: Annotated[str | None, _column("estimate", "estimate")] = None,
    std_error: Annotated[str | None, _column("std-error", "std_error")] = None,
    sd: Annotated[str | None, _column("sd", "sd")] = None,
    n: Annotated[str | None, _column("n", "n")] = None,
    family: Annotated[str | None, _column("family", "family")] = None,
    period: Annotated[str | None, _column("period", "period")] = None,
    strong: Annotated[str | None, _column("strong", "strong")] = None,
    rate: Annotated[bool, typer.Option("--rate", help=text("cli.help.compare_rate"))] = False,
    low_is_first: Annotated[bool, typer.Option("--low-is-first", help=text("cli.help.compare_low_is_first"))] = False,
    peers: Annotated[str | None, _column("peers", "peers")] = None,
    neighbours: Annotated[int | None, _column("neighbours", "neighbours")] = None,
    covariates: Annotated[str | None, _column("covariates", "covariates")] = None,
    pool_years: Annotated[int | None, _column("pool-years", "pool_years")] = None,
    pairs: Annotated[bool, typer.Option("--pairs", help=text("cli.help.compare_pairs"))] = False,
    clusters: Annotated[bool, typer.Option("--clusters", help=text("cli.help.compare_clusters"))] = False,
    reference: Annotated[float | None, _column("reference", "reference")] = None,
    reference_source: Annotated[str | None, _column("reference-source", "reference_source")] = None,
    references: Annotated[Path | None, _column("references", "references")] = None,
    form: Annotated[TableFormat | None, _column("format", "format")] = None,
    out: Annotated[Path | None, _column("out", "out")] = None,
    lang: LangOption = OutputLang.zh,
) -> None:
    """Compare units."""
    chosen = choose_form(form, out)
    of_file: dict[str, Any] = dict(zip(_OF_FILE, (unit, estimate, std_error, sd, n, family, period, strong), strict=True))
    of_file |= {"--rate": rate or None}
    of_archive = dict(zip(_OF_ARCHIVE, (measure, exam, subject, year_group, term, by, as_of, archive_version), strict=True))
    standards = {
        "--low-is-first": low_is_first or None, "--peers": peers, "--neighbours": neighbours, "--covariates": covariates,
        "--pool-years": pool_years, "--reference": reference, "--reference-source": reference_source, "--references": references,
    }  # fmt: skip
    _refuse_beside(of_file, standards, pairs=pairs, clusters=clusters)
    if file is not None:  # an archive named by EDUQ_ARCHIVE does not stand in the way of a file
        refuse_options(of_archive, "file")
    elif archive is not None:
        refuse_options(of_file, "archive")
    else:
        raise UsageError("compare_nothing_given")
    dated = of_archive | {"--as-of": as_date(as_of)}
    if pairs or clusters:
        _run_pairs(file, archive, of_file, dated, "pair" if pairs else "cluster", chosen, out, lang)
    else:
        _run(file, archive, of_file, dated, standards, chosen, out, lang)


def _refuse_beside(of_file: dict[str, Any], standards: dict[str, Any], *, pairs: bool, clusters: bool) -> None:
    """Stop at options that mean nothing together."""
    given = {name for name, value in standards.items() if value is not None}
    mode = "--pairs" if pairs else "--clusters" if clusters else None
    other = next(iter(sorted(given | ({"--clusters"} if pairs and clusters else set()))), None)
    if mode is not None and other is not None:
        raise UsageError("compare_option_beside", option=mode, other=other)
    if "--references" in given and given & {"--reference", "--reference-source"}:
        raise UsageError("compare_option_beside", option="--references", other="--reference")
    if of_file["--strong"] is not None and not pairs:
        raise UsageError("compare_option_needs", option="--strong", other="--pairs")
    if of_file["--period"] is not None and mode is None and "--pool-years" not in given:
        raise UsageError("compare_option_needs", option="--period", other="--pool-years")


def _run(
    file: Path | None,
    archive: Path | None,
    of_file: dict[str, Any],
    of_archive: dict[str, Any],
    standards: dict[str, Any],
    form: TableFormat,
    out: Path | None,
    lang: OutputLang,
) -> None:
    from eduq.cli.compare_output import give_compared
    from eduq.cli.compare_sources import compare_archive, compare_file

    if file is not None:
        found = compare_file(file, of_file, standards)
    else:
        found = compare_archive(named_archive(archive), of_archive, standards, lang)
    written = give_compared(found, form.value, out, lang.value)
    if written is not None:
        print(written)


def _run_pairs(
    file: Path | None,
    archive: Path | None,
    of_file: dict[str, Any],
    of_archive: dict[str, Any],
    column: str,
    form: TableFormat,
    out: Path | None,
    lang: OutputLang,
) -> None:
    from eduq.cli.compare_sources import pairs_of_archive, pairs_of_file
    from eduq.cli.pairs_output import give_paired

    if file is not None:
        found = pairs_of_file(file, of_file, column)
    else:
        found = pairs_of_archive(named_archive(archive), of_archive, column, lang)
    written = give_paired(found, form.value, out, lang.value)
    if written is not None:
        print(written)
