"""The two sweeps over the rows: counts of every paper, then of what is derived per candidate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from eduq.groups import COMPOSITE, EVERY_PAPER, TOTAL, Comparability, add_strata, check_comparability, derived_papers
from eduq.intake.score_table import ScoreTable
from eduq.settings import AbsencePolicy, RunSettings
from eduq.summaries.cells import CellTable, gather_cells
from eduq.summaries.counts import ScoreCounts, count_scores, count_statuses, sum_scores
from eduq.summaries.derived import DERIVED_STATUSES, Scale, add_every_paper, add_raw_composite, add_total, standardise_composite
from eduq.tables import NOT_EXPECTED, status_column

__all__ = ["AREA_UNIT", "Standing", "Summary", "UnitSummary", "place_candidates", "summarise"]

AREA_UNIT = "all"
"""Id of the one unit of the unit type ``area``."""
_RAW = "__raw_composite"
_PLACES_PER_ROW, _PLACES_ALWAYS = 8, 1_000_000
"""Units are looked up in an array with a place for every combination of their columns while it has at most so many places."""
_PIECE = 2_000_000
"""Rows of which what is derived per candidate is worked out at a time: what is needed on the way is large."""


@dataclass(frozen=True)
class UnitSummary:
    """Sufficient statistics of one kind of unit.

    Attributes
    ----------
    units
        unit_index, stratum and the columns the unit is made of.
    counts
        Counts of every paper, the total and all_subjects.
    composite
        unit_index, n_expected, n_present, n, total, squares of the composite (1/10,000 SD).
    """

    units: pl.DataFrame
    counts: ScoreCounts
    composite: pl.DataFrame


@dataclass(frozen=True)
class Summary:
    """All of stage 3.

    Attributes
    ----------
    comparability
        Groups and reasons.
    policy
        Absence policy the counts are read under.
    by
        Sufficient statistics per kind of unit.
    """

    comparability: Comparability
    policy: AbsencePolicy
    by: dict[str, UnitSummary]

    def mapping(self, members: pl.DataFrame) -> pl.DataFrame:
        """Return unit_index, paper, unit, comparison_group for a table of unit_index, stratum, unit."""
        return members.join(self.comparability.links, on="stratum", maintain_order="left").select(
            "unit_index", "paper", "unit", "comparison_group"
        )

    @cached_property
    def area(self) -> CellTable:
        """Every comparison group as one unit, `AREA_UNIT`."""
        schools = self.by["school"]
        members = schools.units.select("unit_index", "stratum", pl.lit(AREA_UNIT).alias("unit"))
        return gather_cells(schools.counts, self.mapping(members), policy=self.policy)

    @cached_property
    def schools(self) -> CellTable:
        """Every school in every comparison group, the unit being its id."""
        counted = self.by["school"]
        members = counted.units.select("unit_index", "stratum", pl.col("school_id").alias("unit"))
        return gather_cells(counted.counts, self.mapping(members), policy=self.policy)


def _index_units(frame: pl.DataFrame, name: str, columns: Sequence[str]) -> tuple[pl.Series, pl.DataFrame]:
    """Return the unit index of every row (null where a column is null) and the table of units."""
    keys = ["stratum", *columns]
    levels = [frame[column].drop_nulls().unique().sort() for column in columns]
    strata = int(frame["stratum"].max() or 0) + 1  # type: ignore[arg-type]
    if strata * math.prod(len(values) for values in levels) > max(_PLACES_PER_ROW * frame.height, _PLACES_ALWAYS):
        units = frame.select(keys).unique().drop_nulls().sort(keys).with_row_index("unit_index")
        units = units.with_columns(pl.col("unit_index").cast(pl.Int64))
        return frame.select(keys).join(units, on=keys, how="left", maintain_order="left")["unit_index"].alias(name), units
    place = frame["stratum"].cast(pl.Int64)
    for column, values in zip(columns, levels, strict=True):
        place = place * max(len(values), 1) + frame[column].cast(pl.Enum(values.to_list())).to_physical().cast(pl.Int64)
    taken = np.flatnonzero(np.bincount(place.drop_nulls().to_numpy(), minlength=1))
    index_of = np.zeros(int(taken[-1]) + 1 if len(taken) else 1, dtype=np.int64)
    index_of[taken] = np.arange(len(taken))
    parts, rest = {}, taken
    for column, values in zip(reversed(columns), reversed(levels), strict=True):
        rest, code = np.divmod(rest, max(len(values), 1))
        parts[column] = values.gather(code)
    of_unit = {column: parts[column] for column in columns}
    units = pl.DataFrame({"unit_index": np.arange(len(taken)), "stratum": rest, **of_unit})
    return pl.Series(index_of).gather(place).alias(name), units


def _scales(
    counts: ScoreCounts, units: pl.DataFrame, comparability: Comparability, policy: AbsencePolicy
) -> dict[tuple[int, str], Scale]:
    """Mean and SD of every comparison group, from exact integer sums."""
    links = comparability.links.filter(pl.col("paper").is_in(list(counts.scores)))
    mapping = (
        units.select("unit_index", "stratum")
        .join(links, on="stratum", maintain_order="left")
        .with_columns(pl.lit(AREA_UNIT).alias("unit"))
    )
    area = gather_cells(counts, mapping, policy=policy)
    squares = area.add_up(area.count * area.score * area.score)
    groups = area.rows["comparison_group"]
    by_group = {
        group: _scale(int(n), int(total), int(square))
        for group, n, total, square in zip(groups, area.n, area.total, squares, strict=True)
        if n > 0
    }
    return {
        (row["stratum"], row["paper"]): by_group[row["comparison_group"]]
        for row in links.iter_rows(named=True)
        if row["comparison_group"] in by_group
    }


def _scale(n: int, total: int, squares: int) -> Scale:
    """Mean and population SD from Python integers, so that nothing overflows or cancels."""
    return Scale(mean=total / n, sd=(max(n * squares - total * total, 0) / (n * n)) ** 0.5)


def _derive(
    frame: pl.DataFrame,
    scores: ScoreTable,
    comparability: Comparability,
    scales: Mapping[tuple[int, str], Scale],
    settings: RunSettings,
    pass_cuts: Mapping[str, int] | None,
) -> pl.DataFrame:
    """Return the rows with total, all_subjects and raw composite in place of their papers, worked out a piece at a time."""
    policy, strata = scores.exam.absence.policy, comparability.strata["stratum"].to_list()
    papers = [name for paper in scores.papers for name in (paper.code, status_column(paper.code))]
    pieces: list[pl.DataFrame] = []
    for start in range(0, max(frame.height, 1), _PIECE):
        piece = add_total(frame.slice(start, _PIECE), scores.papers, policy, TOTAL)
        if pass_cuts is not None:
            piece = add_every_paper(piece, scores.papers, pass_cuts, policy, EVERY_PAPER)
        piece = _add_raw(piece, scores, strata, scales, settings)
        pieces.append(piece.drop(papers))
    return pl.concat(pieces)


def _add_raw(
    piece: pl.DataFrame, scores: ScoreTable, strata: list[int], scales: Mapping[tuple[int, str], Scale], settings: RunSettings
) -> Any:
    return add_raw_composite(
        piece,
        scores.papers,
        scales,
        strata=strata,
        policy=scores.exam.absence.policy,
        min_weight=settings.composite_min_weight,
        core=settings.core_papers,
        name=_RAW,
    )


def _add_composite(frame: pl.DataFrame, comparability: Comparability) -> pl.DataFrame:
    """Add the composite: the raw one standardised within its comparison group."""
    raw = frame.rename({status_column(_RAW): status_column(COMPOSITE)})
    sums = sum_scores(raw, unit="stratum", value=_RAW).rename({"unit_index": "stratum"})
    groups = comparability.links.filter(pl.col("paper") == COMPOSITE)
    by_group = sums.join(groups, on="stratum").group_by("comparison_group").agg(pl.col("n", "total", "squares").sum())
    group_scale = {
        row["comparison_group"]: _scale(row["n"], row["total"], row["squares"]) for row in by_group.iter_rows(named=True)
    }
    by_stratum = {
        row["stratum"]: group_scale[row["comparison_group"]]
        for row in groups.iter_rows(named=True)
        if row["comparison_group"] in group_scale
    }
    return standardise_composite(raw, by_stratum, raw=_RAW, name=COMPOSITE).drop(_RAW)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Standing:
    """Standardised scores of candidates.

    Attributes
    ----------
    frame
        One row per candidate in the order of the scores: stratum, and the composite (1/10,000 SD; null without one; no column
        where the exam has a single paper).
    comparability
        Groups and reasons.
    scales
        (stratum, paper) to mean and SD (hundredths) of its comparison group.
    """

    frame: pl.DataFrame
    comparability: Comparability
    scales: dict[tuple[int, str], Scale]


def place_candidates(scores: ScoreTable, *, settings: RunSettings) -> Standing:
    """Return the composite of every candidate, as `summarise` sums it up, and the scales of all papers.

    Parameters
    ----------
    scores
        The score table.
    settings
        Of the run.
    """
    policy = scores.exam.absence.policy
    frame, strata = add_strata(scores)
    comparability = check_comparability(scores, frame=frame, strata=strata)
    codes = [paper.code for paper in scores.papers]
    columns = [name for code in codes for name in (code, status_column(code))]
    frame = frame.select("stratum", *columns)
    counts = count_scores(frame, unit="stratum", papers=codes)
    units = strata.select(pl.col("stratum").alias("unit_index"), "stratum")
    scales = _scales(counts, units, comparability, policy)
    placed = frame.select("stratum")
    if COMPOSITE in derived_papers(scores.papers):
        pieces = [
            _add_raw(frame.slice(start, _PIECE), scores, strata["stratum"].to_list(), scales, settings).drop(columns)
            for start in range(0, max(frame.height, 1), _PIECE)
        ]
        placed = _add_composite(pl.concat(pieces), comparability).select("stratum", COMPOSITE)
    return Standing(placed, comparability, scales)


def _composite_sums(frame: pl.DataFrame, unit: str) -> pl.DataFrame:
    status = pl.col("status").cast(pl.String)
    counts = (
        count_statuses(frame, unit=unit, paper=COMPOSITE, meaning=DERIVED_STATUSES)
        .group_by("unit_index")
        .agg(
            pl.col("count").filter(~status.is_in(NOT_EXPECTED)).sum().alias("n_expected"),
            pl.col("count").filter(status == "present").sum().alias("n_present"),
        )
    )
    return (
        counts.join(sum_scores(frame, unit=unit, value=COMPOSITE), on="unit_index", how="left")
        .with_columns(pl.col("n", "total", "squares").fill_null(0))
        .sort("unit_index")
    )


def summarise(
    scores: ScoreTable, *, by: Mapping[str, Sequence[str]], settings: RunSettings, pass_cuts: Mapping[str, int] | None = None
) -> Summary:
    """Reduce a score table to counts and sums.

    Parameters
    ----------
    scores
        The score table.
    by
        Kind of unit to the columns it is made of, such as ``{"school": ["school_id"]}``; must hold ``school``.
    settings
        Of the run.
    pass_cuts
        Pass mark of every paper in hundredths; without it all_subjects is not derived.

    Returns
    -------
    Summary
    """
    policy = scores.exam.absence.policy
    frame, strata = add_strata(scores)
    comparability = check_comparability(scores, frame=frame, strata=strata)
    codes = [paper.code for paper in scores.papers]
    keep = [
        "stratum",
        *dict.fromkeys(column for columns in by.values() for column in columns),
        *codes,
        *(status_column(code) for code in codes),
    ]
    frame = frame.select(keep).rechunk()
    tables = {}
    for name, columns in by.items():
        index, tables[name] = _index_units(frame, f"__{name}", columns)
        frame = frame.with_columns(index)
    frame = frame.drop(*(column for columns in by.values() for column in columns), strict=False)
    counted = {name: count_scores(frame, unit=f"__{name}", papers=codes) for name in tables}
    derived = [name for name in derived_papers(scores.papers) if name != EVERY_PAPER or pass_cuts is not None]
    if derived:
        scales = _scales(counted["school"], tables["school"], comparability, policy)
        frame = _derive(frame, scores, comparability, scales, settings, pass_cuts)
        frame = _add_composite(frame, comparability)
    summable = [name for name in derived if name != COMPOSITE]
    meanings = dict.fromkeys(summable, DERIVED_STATUSES)
    summaries = {}
    for name, units in tables.items():
        counts = counted[name]
        if summable:
            more = count_scores(frame, unit=f"__{name}", papers=summable, statuses=meanings)
            counts = ScoreCounts(scores=counts.scores | more.scores, statuses=pl.concat([counts.statuses, more.statuses]))
        composite = _composite_sums(frame, f"__{name}") if COMPOSITE in derived else pl.DataFrame()
        summaries[name] = UnitSummary(units=units, counts=counts, composite=composite)
    return Summary(comparability=comparability, policy=policy, by=summaries)
