"""Peer groups: from the lines of yearly series to the arrays that conditions read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from eduq.errors import DataFileError, UsageError
from eduq.registers import Registers
from eduq.rulepacks.conditions import REASONS, PeerSeries, reason_code
from eduq.rulepacks.model import Rule

__all__ = [
    "PeerCell",
    "attributes_of_schools",
    "build_peer_series",
    "form_peer_cells",
    "list_school_years",
    "next_school_year",
    "year_group_order",
]

_KNOWN = {"new": "missing_year", "no_values": "missing_year", "closed": "merged", "split": "merged", "school_ended": "merged"}
"""Reasons of series that verdicts call by another name; what is neither here nor in `REASONS` counts as not comparable."""


def next_school_year(period: str, *, step: int = 1) -> str:
    """Return the school year some years after another.

    Examples
    --------
    >>> next_school_year("2024-2025"), next_school_year("2024-2025", step=-2)
    ('2025-2026', '2022-2023')
    """
    first, dash, last = period.partition("-")
    if not dash:
        return str(int(period) + step)
    return f"{int(first) + step}-{int(last) + step}"


def list_school_years(first: str, last: str) -> tuple[str, ...]:
    """Return all school years from one to another.

    Examples
    --------
    >>> list_school_years("2023-2024", "2025-2026")
    ('2023-2024', '2024-2025', '2025-2026')
    """
    found = [first]
    while found[-1] < last:
        found.append(next_school_year(found[-1]))
    return tuple(found)


def _reason_of(line: dict[str, object]) -> int:
    said = line.get("reason")
    if said is None:
        return 0 if line["estimate"] is not None else reason_code("not_comparable")
    name = _KNOWN.get(str(said), str(said))
    return reason_code(name if name in REASONS else "not_comparable")


def build_peer_series(
    table: pl.DataFrame,
    *,
    units: Sequence[str] | None = None,
    periods: Sequence[str] | None = None,
    exempt: Mapping[str, str] | None = None,
    held: Callable[[str, str], bool] | None = None,
) -> PeerSeries:
    """Arrange the lines of one measure in one peer group as arrays.

    Parameters
    ----------
    table
        unit, period (school year), estimate, n; where they exist reason, segment (years of an earlier segment than the unit's
        last do not count: ``merged``), tenure (bool: the post was held in that year).
    units
        Rows, in this order; default all of the table, sorted. A unit without a line has ``missing_year`` throughout.
    periods
        Columns, consecutive school years; default from the first to the last of the table.
    exempt
        Unit to the reason why it stays outside the peer group.
    held
        Unit and period to whether the post was held; default the table's tenure, else always.

    Raises
    ------
    DataFileError
        ``series_duplicate``: two lines of one unit and period.
    UsageError
        ``series_empty``: no line and no units or periods given.
    """
    names = tuple(units) if units is not None else tuple(table["unit"].unique().sort())
    if periods is None:
        if table.height == 0:
            raise UsageError("series_empty")
        periods = list_school_years(str(table["period"].min()), str(table["period"].max()))
    row = {name: place for place, name in enumerate(names)}
    column = {period: place for place, period in enumerate(periods)}
    shape = (len(names), len(periods))
    level, n = np.full(shape, np.nan), np.zeros(shape, dtype=np.int64)
    reason, in_post = np.full(shape, reason_code("missing_year"), dtype=np.int8), np.ones(shape, dtype=bool)
    segment, seen = np.full(shape, -1, dtype=np.int64), np.zeros(shape, dtype=bool)
    for line in table.iter_rows(named=True):
        place = (row.get(line["unit"], -1), column.get(line["period"], -1))
        if min(place) < 0:
            continue
        if seen[place]:
            raise DataFileError("series_duplicate", period=line["period"])
        seen[place] = True
        reason[place] = _reason_of(line)
        n[place] = line["n"] or 0
        segment[place] = line.get("segment") or 0
        in_post[place] = line.get("tenure") is not False
        if reason[place] == 0:
            level[place] = line["estimate"]
    newest = segment.max(axis=1, keepdims=True)
    reason[(segment >= 0) & (segment < newest)] = reason_code("merged")
    level[reason != 0] = np.nan
    if held is not None:
        in_post = np.array([[held(name, period) for period in periods] for name in names], dtype=bool).reshape(shape)
    outside = np.array([reason_code((exempt or {}).get(name, "")) for name in names], dtype=np.int8)
    return PeerSeries(level=level, n=n, reason=reason, exempt=outside, held=in_post)


@dataclass(frozen=True)
class PeerCell:
    """One peer group of a rule: units of one subject and year group that are compared with each other.

    Attributes
    ----------
    family
        What the units share (stage, kind …) as ``key=value`` joined by ``,``: the family of the evidence, over year groups.
    year_group, subject
        Of the series.
    units, periods
        Rows and columns of the arrays.
    peers
        Arrays by measure.
    lines
        The lines of the series behind them, with the columns of SERIES.
    """

    family: str
    year_group: str
    subject: str
    units: tuple[str, ...]
    periods: tuple[str, ...]
    peers: Mapping[str | None, PeerSeries]
    lines: pl.DataFrame


_OVER_SUBJECTS = ("composite", "all_subjects", "total")
_TRACK_NAMES = ["physics", "history", "arts", "science"]
_ATTRIBUTES = {"region": "cluster", "stage": "stage", "kind": "kind", "area_type": "area_type"}


def attributes_of_schools(registers: Registers | None) -> dict[str, dict[str, str | None]]:
    """Return per school what peer groups are formed by: region (the register's cluster, 片区), stage, kind, area_type."""
    if registers is None:
        return {}
    return {
        row["school_id"]: {key: row[column] for key, column in _ATTRIBUTES.items()}
        for row in registers.schools.iter_rows(named=True)
    }


def _wanted(series: pl.DataFrame, rule: Rule, measures: Sequence[str]) -> pl.DataFrame:
    """Keep the lines of a rule's measures, subjects and year groups; what spans the subjects is one subject, composite."""
    kept = series.filter(pl.col("measure").is_in(measures))
    over = pl.col("subject").is_null() | pl.col("subject").is_in(_OVER_SUBJECTS)
    if rule.subjects == "composite":
        kept = kept.filter(over).with_columns(pl.lit("composite").alias("subject"))
    elif rule.subjects == "each":
        kept = kept.filter(~over)
    else:
        kept = kept.filter(pl.col("subject").is_in(list(rule.subjects)))
    if rule.year_groups == "highest":
        order = {name: year_group_order(name) for name in kept["year_group"].drop_nulls().unique()}
        place = pl.col("year_group").replace_strict(order, default=0, return_dtype=pl.Int64)
        return kept.filter(place == place.max().over("unit"))
    if rule.year_groups == "each":
        return kept
    return kept.filter(pl.col("year_group").is_in(list(rule.year_groups)))


def year_group_order(year_group: str) -> int:
    """Order G1-G9 before S1-S3."""
    digits = "".join(letter for letter in year_group if letter.isdigit())
    return int(digits or 0) + 100 * year_group.startswith("S")


def _tracks(table: pl.DataFrame) -> list[str | None]:
    """Return the track in the comparison group of each line (after the exam and the paper)."""
    if "comparison_group" not in table.columns:
        return [None] * table.height
    known = pl.col("comparison_group").str.split(".").list.slice(2).list.set_intersection(pl.lit(_TRACK_NAMES)).list.first()
    return table.select(known)["comparison_group"].to_list()


def _one_group_a_year(table: pl.DataFrame) -> pl.DataFrame:
    """Keep numbers of one comparison group in each peer group and year, the one most units have; others are not comparable."""
    if "comparison_group" not in table.columns or table.is_empty():
        return table
    among = ["family", "year_group", "subject", "measure", "period"]
    sizes = (
        table.filter(pl.col("estimate").is_not_null() & pl.col("comparison_group").is_not_null())
        .group_by(*among, "comparison_group")
        .len()
        .sort(*among, "len", "comparison_group", descending=[False] * len(among) + [True, False])
        .unique(among, keep="first", maintain_order=True)
        .select(*among, pl.col("comparison_group").alias("main"))
    )
    apart = pl.col("estimate").is_not_null() & (pl.col("comparison_group") != pl.col("main")).fill_null(False)
    return (
        table.join(sizes, on=among, how="left", maintain_order="left")
        .with_columns(
            pl.when(apart).then(pl.lit("not_comparable")).otherwise("reason").alias("reason"),
            pl.when(~apart).then("estimate").alias("estimate"),
        )
        .drop("main")
    )


def _family(attributes: Mapping[str, str | None], stage: str | None, keys: Sequence[str]) -> str:
    """Name what a unit shares with its peers; the stage of its series comes before that of its school."""
    own = {**attributes, "stage": stage or attributes.get("stage")}
    named = [*keys, "stage"] if stage is not None and "stage" not in keys else keys
    return ",".join(f"{key}={own.get(key) or ''}" for key in named)


def form_peer_cells(
    series: pl.DataFrame,
    rule: Rule,
    *,
    last_period: str,
    attributes: Mapping[str, Mapping[str, str | None]],
    exempt: Mapping[str, str],
    held: Callable[[str, str, str], bool] | None = None,
) -> list[PeerCell]:
    """Form the peer groups of a rule.

    Parameters
    ----------
    series
        Columns of SERIES, one unit type; for teachers a column ``stage`` too, which keeps their series of two stages apart.
    rule
        Says which measures, subjects, year groups and peers.
    last_period
        The judged school year, the last column of every group.
    attributes
        Unit → region, stage, kind, area_type.
    exempt
        Unit → reason why it stays outside every peer group.
    held
        Unit, year group and period → whether the post was held.

    Returns
    -------
    list of PeerCell
        Sorted by family, year group and subject; empty when no line has one of the rule's measures.
    """
    measures = rule.measures()
    table = _wanted(series, rule, measures).filter(pl.col("period") <= last_period)
    within = rule.peer_group.within if rule.peer_group else ()
    keys = [key for key in within if key in (*_ATTRIBUTES, "track")]
    stages = table["stage"] if "stage" in table.columns else [None] * table.height
    tracks = _tracks(table) if "track" in keys else [None] * table.height
    families = [
        _family({**attributes.get(unit, {}), "track": track}, stage, keys)
        for unit, stage, track in zip(table["unit"], stages, tracks, strict=True)
    ]
    table = table.with_columns(
        pl.Series("family", families, dtype=pl.String), pl.col("year_group").fill_null(""), pl.col("subject").fill_null("")
    )
    table = _one_group_a_year(table)
    cells = []
    for key, lines in sorted(table.group_by(["family", "year_group", "subject"]), key=lambda item: item[0]):
        name, year_group, subject = (str(part) for part in key)
        units = tuple(lines["unit"].unique().sort())
        periods = list_school_years(str(lines["period"].min()), last_period)
        in_post = None if held is None else (lambda unit, period, of=year_group: held(unit, of, period))
        peers: dict[str | None, PeerSeries] = {
            measure: build_peer_series(
                lines.filter(pl.col("measure") == measure), units=units, periods=periods, exempt=exempt, held=in_post
            )
            for measure in measures
            if (lines["measure"] == measure).any()
        }
        ordered = lines.sort("measure", "unit", "period")
        cells.append(PeerCell(name, year_group, subject, units, periods, peers, ordered))
    return cells
