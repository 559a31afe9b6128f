"""``eduq compare``: units of one exam of an archive, or of any table of aggregates, compared with their group and each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eduq.cli.aggregates import TableFormat, choose_form, read_aggregates, refuse_options, split_names
from eduq.cli.options import ArchiveOption, ArchiveVersionOption, AsOfOption, LangOption, OutputLang, as_date
from eduq.errors import UsageError
from eduq.locale import text

if TYPE_CHECKING:
    from eduq.archive import Archive
    from eduq.cli.compare_output import Compared

__all__ = ["compare_command"]

_OF_FILE = ("--unit", "--estimate", "--std-error", "--sd", "--n", "--family")
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
    rate: Annotated[bool, typer.Option("--rate", help=text("cli.help.compare_rate"))] = False,
    low_is_first: Annotated[bool, typer.Option("--low-is-first", help=text("cli.help.compare_low_is_first"))] = False,
    reference: Annotated[float | None, _column("reference", "reference")] = None,
    reference_source: Annotated[str | None, _column("reference-source", "reference_source")] = None,
    form: Annotated[TableFormat | None, _column("format", "format")] = None,
    out: Annotated[Path | None, _column("out", "out")] = None,
    lang: LangOption = OutputLang.zh,
) -> None:
    """Compare units."""
    from eduq.cli.compare_output import show_compared, write_compared

    chosen = choose_form(form, out)
    of_file = dict(zip(_OF_FILE, (unit, estimate, std_error, sd, n, family), strict=True)) | {"--rate": rate or None}
    of_archive = dict(zip(_OF_ARCHIVE, (measure, exam, subject, year_group, term, by, as_of, archive_version), strict=True))
    common = {"reference": reference, "reference_source": reference_source, "high_is_first": not low_is_first}
    if file is not None:  # an archive named by EDUQ_ARCHIVE does not stand in the way of a file
        refuse_options(of_archive, "file")
        found = _from_file(file, of_file, common)
    elif archive is not None:
        refuse_options(of_file, "archive")
        found = _from_archive(archive, of_archive | {"--as-of": as_date(as_of)}, common, lang)
    else:
        raise UsageError("compare_nothing_given")
    if out is not None:
        print(write_compared(found, out, chosen.value, lang.value))
    else:
        show_compared(found, chosen.value, lang.value)


def _from_file(path: Path, asked: dict[str, Any], common: dict[str, Any]) -> Compared:
    from eduq.cli.compare_output import Compared
    from eduq.estimates.comparison import compare_units

    result = compare_units(
        read_aggregates(path),
        unit=asked["--unit"] or "school_id",
        estimate=asked["--estimate"] or "estimate",
        std_error=asked["--std-error"],
        sd=asked["--sd"],
        n=asked["--n"],
        family=split_names(asked["--family"]) or (),
        rate=bool(asked["--rate"]),
        **common,
    )
    what = text("cli.compare.of_file", None, file=path.name, estimate=result.settings["estimate"])
    return Compared(result=result, frame=result.frame, what=what, names={})


def _from_archive(folder: Path, asked: dict[str, Any], common: dict[str, Any], lang: OutputLang) -> Compared:
    import polars as pl

    from eduq.archive import open_archive
    from eduq.cli.compare_output import Compared
    from eduq.cli.trend_output import named_units
    from eduq.estimates.comparison import compare_units
    from eduq.estimates.measures import load_measures
    from eduq.estimates.series import collect_series
    from eduq.settings import RunSettings

    store = open_archive(folder, version=asked["--archive-version"])
    asked = _place_exam(store, asked)
    subject = asked["--subject"]
    measure = asked["--measure"] or ("composite_z" if subject is None else "z_mean")
    unit_type: Any = asked["--by"] or "school"
    table = collect_series(
        store,
        unit_type=unit_type,
        measures=[measure],
        subjects=None if subject in (None, "all") else split_names(subject),
        year_groups=split_names(asked["--year-group"]),
        term=asked["--term"],
        as_of=asked["--as-of"],
    )
    newest = pl.col("date") == pl.col("date").max().over("year_group")
    wanted = newest if asked["--exam"] is None else pl.col("exam_id") == asked["--exam"]
    rows = table.frame.filter(wanted, pl.col("comparison_group").is_not_null()).with_columns(pl.col("year_group").fill_null("–"))
    if rows.is_empty():
        raise UsageError("compare_exam_not_used", exam=asked["--exam"] or "–")
    least = RunSettings().min_n_reporting
    few = pl.col("n") < least
    thin = rows.filter(few).select("unit", "year_group", "subject", "comparison_group")
    family = ["year_group", "subject", "comparison_group"]
    kind = load_measures()[measure].kind if measure in load_measures() else "standardised"
    given = rows.select("unit", *family, "n", "sd", pl.when(~few).then(pl.col("estimate")).alias("estimate"))
    result = compare_units(
        given.drop("sd") if kind == "proportion" else given, unit="unit", family=family, rate=kind == "proportion", **common
    )
    marked = result.frame.join(
        thin.with_columns(pl.lit("withheld").alias("_why")), on=thin.columns, how="left", maintain_order="left"
    )
    frame = marked.with_columns(pl.coalesce("_why", "reason").alias("reason")).drop("_why")
    exams = text("bulletin.list_joiner", lang.value).join(rows.sort("date")["exam_id"].unique(maintain_order=True).to_list())
    what = text("cli.compare.of_archive", lang.value, version=store.version, measure=measure, exams=exams)
    return Compared(result=result, frame=frame, what=what, names=named_units(store.registers(), unit_type))


def _place_exam(store: Archive, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the options with the term, year group and day of the exam named, if one is."""
    import polars as pl

    if asked["--exam"] is None:
        return asked
    for name in ("--year-group", "--term", "--as-of"):
        if asked[name] is not None:
            raise UsageError("compare_exam_alone", option=name)
    exams = store.exams()
    found = exams.filter(pl.col("exam_id") == asked["--exam"])
    if found.is_empty():
        known = ", ".join(exams["exam_id"].to_list())
        raise UsageError("compare_exam_unknown", exam=asked["--exam"], known=known)
    line = found.row(0, named=True)
    return asked | {"--term": line["term"], "--as-of": line["date"], "--year-group": line["year_group"]}
