"""What ``eduq compare`` takes from an archive: the series of its units, what the register says of them, what is not shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from eduq.cli.aggregates import split_names
from eduq.cli.options import OutputLang
from eduq.errors import UsageError
from eduq.locale import text

if TYPE_CHECKING:
    from eduq.archive import Archive
    from eduq.registers import Registers

__all__ = ["ArchivedUnits", "collect_units"]

_LABELS = ("unit", "year_group", "subject", "comparison_group")
_FAMILY = ("year_group", "subject", "comparison_group")


@dataclass(frozen=True)
class ArchivedUnits:
    """Units of the exams asked for, with their earlier years.

    Attributes
    ----------
    years
        unit, year_group, subject, comparison_group (that of the newest exam, earlier exams of the same group bear its name),
        period, n, sd, estimate, all of the same segment as the newest, and the register's columns of schools.
    measure, rate
        The measure, and whether it is a rate.
    least
        Fewer candidates are not shown.
    registers
        Of the archive.
    unit_type
        What a unit is.
    what
        Where it comes from, in words.
    """

    years: pl.DataFrame
    measure: str
    rate: bool
    least: int
    registers: Registers | None
    unit_type: str
    what: str

    @property
    def newest(self) -> pl.DataFrame:
        """The rows of each family's newest period."""
        return self.years.filter(pl.col("period") == pl.col("period").max().over(_FAMILY))

    def hidden(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with no estimate where there are too few candidates."""
        return frame.with_columns(pl.when(pl.col("n") >= self.least).then(pl.col("estimate")).alias("estimate"))


def collect_units(store: Archive, asked: dict[str, Any], lang: OutputLang) -> ArchivedUnits:
    """Return the units of the newest exam of each year group, or of the exam named."""
    from eduq.estimates.measures import load_measures
    from eduq.estimates.series import collect_series
    from eduq.settings import RunSettings

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
    rows = table.frame.filter(pl.col("comparison_group").is_not_null()).with_columns(pl.col("year_group").fill_null("–"))
    newest = pl.col("date") == pl.col("date").max().over("year_group")
    wanted = rows.filter(newest if asked["--exam"] is None else pl.col("exam_id") == asked["--exam"])
    if wanted.is_empty():
        raise UsageError("compare_exam_not_used", exam=asked["--exam"] or "–")
    registers = store.registers()
    exams = text("bulletin.list_joiner", lang.value).join(wanted.sort("date")["exam_id"].unique(maintain_order=True).to_list())
    return ArchivedUnits(
        years=_describe(_follow(rows, wanted), registers, unit_type),
        measure=measure,
        rate=measure in load_measures() and load_measures()[measure].kind == "proportion",
        least=RunSettings().min_n_reporting,
        registers=registers,
        unit_type=unit_type,
        what=text("cli.compare.of_archive", lang.value, version=store.version, measure=measure, exams=exams),
    )


def _follow(rows: pl.DataFrame, newest: pl.DataFrame) -> pl.DataFrame:
    """Return the newest rows with the earlier ones of the same unit, group and segment, named by the newest group."""
    group = pl.col("comparison_group").str.slice(pl.col("exam_id").str.len_chars()).alias("_group")
    keys = ["unit", "year_group", "subject", "_group", "segment"]
    known = newest.with_columns(group).select(*keys, "comparison_group", pl.col("period").alias("_newest"))
    followed = rows.with_columns(group).drop("comparison_group").join(known, on=keys, how="inner", nulls_equal=True)
    columns = [*_LABELS, "period", "n", "sd", "estimate"]
    return followed.filter(pl.col("period") <= pl.col("_newest")).select(columns).sort(*_LABELS, "period")


def _describe(frame: pl.DataFrame, registers: Registers | None, unit_type: str) -> pl.DataFrame:
    """Add what the register says of the school of each unit; of several entries the newest."""
    if registers is None or unit_type not in ("school", "class"):
        return frame
    schools = registers.schools.sort("valid_from", nulls_last=False, maintain_order=True)
    schools = schools.unique("school_id", keep="last", maintain_order=True).drop("name", "aliases", "valid_from", "valid_to")
    school = pl.col("unit").str.split("/").list.first().alias("school_id")
    return frame.with_columns(school).join(schools, on="school_id", how="left", maintain_order="left").drop("school_id")


def _place_exam(store: Archive, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the options with the term, year group and day of the exam named, if one is."""
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
