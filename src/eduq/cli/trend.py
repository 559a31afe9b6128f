"""``eduq trend``: declines over the years, from an archive or from any table of aggregates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eduq.cli.aggregates import TableFormat, choose_form, read_aggregates, refuse_options, split_names
from eduq.cli.options import ArchiveOption, ArchiveVersionOption, AsOfOption, LangOption, OutputLang, as_date
from eduq.errors import UsageError
from eduq.locale import text

if TYPE_CHECKING:
    import polars as pl

    from eduq.cli.trend_output import Trend

__all__ = ["trend_command"]

_OF_FILE = ("--unit", "--period", "--estimate", "--std-error", "--sd", "--n", "--scale", "--family")
_OF_ARCHIVE = ("--measure", "--subject", "--year-group", "--term", "--by", "--as-of", "--archive-version")


def _column(name: str, key: str) -> Any:
    return typer.Option(f"--{name}", help=text(f"cli.help.trend_{key}"), show_default=False)


def trend_command(
    file: Annotated[Path | None, typer.Argument(help=text("cli.help.trend_file"), show_default=False)] = None,
    archive: ArchiveOption = None,
    measure: Annotated[str | None, _column("measure", "measure")] = None,
    subject: Annotated[str | None, _column("subject", "subject")] = None,
    year_group: Annotated[str | None, _column("year-group", "year_group")] = None,
    term: Annotated[int | None, typer.Option("--term", min=1, max=2, help=text("cli.help.trend_term"))] = None,
    by: Annotated[str | None, _column("by", "by")] = None,
    as_of: AsOfOption = None,
    archive_version: ArchiveVersionOption = None,
    unit: Annotated[str | None, _column("unit", "unit")] = None,
    period: Annotated[str | None, _column("period", "period")] = None,
    estimate: Annotated[str | None, _column("estimate", "estimate")] = None,
    std_error: Annotated[str | None, _column("std-error", "std_error")] = None,
    sd: Annotated[str | None, _column("sd", "sd")] = None,
    n: Annotated[str | None, _column("n", "n")] = None,
    scale: Annotated[str | None, _column("scale", "scale")] = None,
    family: Annotated[str | None, _column("family", "family")] = None,
    last_place: Annotated[bool, typer.Option("--last-place", help=text("cli.help.trend_last_place"))] = False,
    form: Annotated[TableFormat | None, _column("format", "format")] = None,
    out: Annotated[Path | None, _column("out", "out")] = None,
    lang: LangOption = OutputLang.zh,
) -> None:
    """Look for declines."""
    from eduq.cli.trend_output import give_trend

    chosen = choose_form(form, out)
    of_file = dict(zip(_OF_FILE, (unit, period, estimate, std_error, sd, n, scale, family), strict=True))
    of_archive = dict(zip(_OF_ARCHIVE, (measure, subject, year_group, term, by, as_of, archive_version), strict=True))
    if file is not None:  # an archive named by EDUQ_ARCHIVE does not stand in the way of a file
        refuse_options(of_archive, "file")
        found = _from_file(file, of_file, last_place=last_place)
    elif archive is not None:
        refuse_options(of_file, "archive")
        asked = of_archive | {"--as-of": as_date(as_of)}
        found = _from_archive(archive, asked, last_place=last_place, lang=lang)
    else:
        raise UsageError("trend_source")
    written = give_trend(found, chosen.value, out, lang.value)
    if written is not None:
        print(written)


def _from_archive(archive: Path, asked: dict[str, Any], *, last_place: bool, lang: OutputLang) -> Trend:
    from eduq.archive import open_archive
    from eduq.cli.trend_output import Trend, named_units
    from eduq.disclosure import withhold_small_series
    from eduq.estimates.declines import detect_declines
    from eduq.settings import RunSettings

    store = open_archive(archive, version=asked["--archive-version"])
    subject = asked["--subject"]
    measure = asked["--measure"] or ("composite_z" if subject is None else "z_mean")
    unit_type: Any = asked["--by"] or "school"
    result = detect_declines(
        store,
        measure=measure,
        unit_type=unit_type,
        subjects=None if subject in (None, "all") else split_names(subject),
        year_groups=split_names(asked["--year-group"]),
        term=asked["--term"],
        as_of=asked["--as-of"],
        last_place=last_place,
    )
    least = RunSettings().min_n_reporting
    frame, series, _ = withhold_small_series(result, least)
    title = text("cli.trend.of_archive", lang.value, version=store.version, measure=measure)
    names = named_units(store.registers(), unit_type)
    return Trend(result=result, frame=frame, series=series, what=title, names=names, withheld_below=least)


def _from_file(path: Path, asked: dict[str, Any], *, last_place: bool) -> Trend:
    from eduq.cli.trend_output import Trend
    from eduq.estimates.declines import detect_declines

    scale = asked["--scale"]
    table = read_aggregates(path)
    if scale is None:
        _refuse_other_units(table, asked["--estimate"] or "estimate", asked["--sd"])
    result = detect_declines(
        table,
        unit=asked["--unit"] or "unit",
        period=asked["--period"] or "period",
        estimate=asked["--estimate"] or "estimate",
        std_error=asked["--std-error"],
        sd=asked["--sd"],
        n=asked["--n"],
        scale=_number_or_name(scale),
        family=split_names(asked["--family"]) or (),
        last_place=last_place,
    )
    what = text("cli.trend.of_file", None, file=path.name, estimate=asked["--estimate"] or "estimate")
    return Trend(result=result, frame=result.frame, series=result.series, what=what, names={}, withheld_below=None)


_MOST_SD = 3.0
"""An SD of pupils above this is not in SDs of pupils."""
_MOST_SPREAD = 8.0
"""Units further apart than this are not in SDs of pupils."""


def _refuse_other_units(table: pl.DataFrame, estimate: str, sd: str | None) -> None:
    """Stop where values cannot be in pupil SDs and nobody says what the SD is: every sentence and bound is in SDs."""
    wanted = sd or estimate
    values = table[wanted].drop_nulls() if wanted in table.columns else None
    if values is None or values.is_empty() or not values.dtype.is_numeric():
        return
    found = float(values.median() if sd else values.max() - values.min())  # type: ignore[arg-type, operator]
    if found > (_MOST_SD if sd else _MOST_SPREAD):
        raise UsageError("trend_scale_missing", column=wanted, value=f"{found:.4g}")


def _number_or_name(scale: str | None) -> float | str | None:
    try:
        return None if scale is None else float(scale)
    except ValueError:
        return scale
