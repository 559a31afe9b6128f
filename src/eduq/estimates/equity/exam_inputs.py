"""From the scores of an exam to the sums every index is computed from: one table per paper and comparison group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.estimates.equity.gaps import PupilCells
from eduq.estimates.equity.inputs import Bottom, EquityData
from eduq.estimates.equity.shares import UnitSums
from eduq.groups import COMPOSITE, DERIVED, EVERY_PAPER
from eduq.intake.score_table import ScoreTable
from eduq.settings import RunSettings
from eduq.summaries import COMPOSITE_SCALE, ZEROED, CellTable, Summary, UnitSummary, summarise
from eduq.summaries.counts import SCORE_BITS, ScoreCounts

__all__ = ["EXAM_FAMILY", "read_exam", "read_summary"]

Floats = NDArray[np.float64]
EXAM_FAMILY = ("paper", "comparison_group")
_HUNDRED = 100.0
_BETWEEN = "\x1f"
_KEYS = ["unit", "comparison_group", "paper"]


@dataclass(frozen=True)
class _Cells:
    """Rows (paper, comparison_group, unit as written in the mapping) and their sums, marks or SDs."""

    rows: pl.DataFrame
    sums: UnitSums
    logs: Floats | None = None
    within: Floats | None = None
    base: Floats | None = None
    threshold: Floats | None = None

    def take(self, chosen: NDArray[np.intp]) -> UnitSums:
        """Return the sums of some rows."""
        return UnitSums(self.sums.n[chosen], self.sums.mean[chosen], self.sums.squares[chosen])


def read_exam(
    scores: ScoreTable,
    *,
    papers: Sequence[str] | None,
    unit_attributes: Sequence[str],
    pupil_attributes: Sequence[str],
    share: float,
    settings: RunSettings,
) -> list[EquityData]:
    """Return one table per paper and comparison group of an exam; groups that may not be compared carry the reason."""
    by = {"school": ["school_id"]} | {name: ["school_id", name] for name in pupil_attributes}
    summary = summarise(scores, by=by, settings=settings)
    return read_summary(
        summary,
        scores.schools,
        papers=papers,
        unit_attributes=unit_attributes,
        pupil_attributes=pupil_attributes,
        share=share,
    )


def read_summary(
    summary: Summary,
    schools: pl.DataFrame,
    *,
    papers: Sequence[str] | None = None,
    unit_attributes: Sequence[str] = (),
    pupil_attributes: Sequence[str] = (),
    share: float = 0.30,
) -> list[EquityData]:
    """Return one table per paper and comparison group of an exam that has been counted; no row is read.

    Parameters
    ----------
    summary
        Counted by ``school`` (school_id) and, for each pupil attribute, under its name by school_id and the attribute.
    schools
        school_id and the unit attributes.
    papers
        Which papers; all of them by default.
    unit_attributes, pupil_attributes
        What schools and pupils are divided by.
    share
        The lowest part.
    """
    cells = _school_cells(summary, summary.by["school"], summary.schools, share)
    pupils = {name: _pupil_cells(summary, summary.by[name], name) for name in pupil_attributes}
    kinds = schools.select("school_id", *unit_attributes).unique("school_id", keep="first")
    found = []
    for group in summary.comparability.frame.iter_rows(named=True):
        paper = group["paper"]
        if paper == EVERY_PAPER or (papers is not None and paper not in papers):
            continue
        for kind in cells:
            chosen = _rows_of(kind, paper, group["comparison_group"])
            if not len(chosen):
                continue
            found.append(_one(group, kind, chosen, kinds, pupils))
    return found


def _rows_of(cells: _Cells, paper: str, group: str) -> NDArray[np.intp]:
    wanted = (cells.rows["paper"] == paper) & (cells.rows["comparison_group"] == group)
    return np.flatnonzero(wanted.to_numpy() & (cells.sums.n > 0))


def _one(
    group: dict[str, object], cells: _Cells, chosen: NDArray[np.intp], kinds: pl.DataFrame, pupils: dict[str, list[_Cells]]
) -> EquityData:
    units = cells.rows["unit"].gather(chosen)
    attributes = kinds.join(units.to_frame("school_id"), on="school_id", how="right", maintain_order="right")
    bottom = None
    if cells.within is not None and cells.base is not None and cells.threshold is not None:
        bottom = Bottom(float(cells.threshold[chosen][0]), cells.within[chosen], cells.base[chosen])
    place = pl.int_range(len(units), eager=True)
    sides: dict[str, PupilCells] = {}
    for name, kinds_of_cells in pupils.items():
        for side in kinds_of_cells:
            rows = _rows_of(side, str(group["paper"]), str(group["comparison_group"]))
            if len(rows):
                parts = side.rows["unit"].gather(rows).str.split_exact(_BETWEEN, 1).struct.unnest()
                where = parts["field_0"].replace_strict(units, place, return_dtype=pl.Int64).to_numpy()
                sides[name] = PupilCells(where, parts["field_1"].to_list(), side.take(rows))
    return EquityData(
        key=(group["paper"], group["comparison_group"]),
        units=units.to_list(),
        sums=cells.take(chosen),
        attributes={name: attributes[name].to_list() for name in kinds.columns if name != "school_id"},
        cells=sides,
        logs=None if cells.logs is None else cells.logs[chosen],
        bottom=bottom,
        reason=None if group["comparable"] else str(group["reason"]),
    )


def _school_cells(summary: Summary, source: UnitSummary, table: CellTable, share: float) -> list[_Cells]:
    """Return the cells of papers and totals of schools, and those of the composite where there is one."""
    area = summary.area
    rank = np.maximum(np.ceil(np.round(area.n * share, 9)), 1).astype(np.int64)
    limits = area.rows.select("comparison_group").with_columns(
        pl.Series("threshold", np.nan_to_num(area.value_at_rank(rank)).astype(np.int64))
    )
    joined = table.rows.join(limits, on="comparison_group", how="left", maintain_order="left")
    cut = joined["threshold"].fill_null(0).to_numpy()
    within = table.count_between(np.full(table.size, -1), cut + 1).astype(np.float64)
    base = (table.n + table.n_zeroed if summary.policy == "rate-only" else table.n).astype(np.float64)
    marks = np.arange(int(table.score.max(initial=0)) + 1) / _HUNDRED
    logs = table.add_up_float(table.count * (marks * np.log(np.where(marks > 0, marks, 1.0)))[table.score])
    found = [_Cells(table.rows, _sums(table), logs, within, base, cut / _HUNDRED)]
    if source.composite.height:
        members = source.units.select("unit_index", "stratum", pl.col("school_id").alias("unit"))
        found.append(_composite_cells(source, summary.mapping(members)))
    return found


def _pupil_cells(summary: Summary, source: UnitSummary, name: str) -> list[_Cells]:
    """Return the cells of one kind of pupils in each school, the unit being both names."""
    unit = pl.concat_str(["school_id", name], separator=_BETWEEN).alias("unit")
    mapping = summary.mapping(source.units.select("unit_index", "stratum", unit).drop_nulls("unit"))
    rows = (
        _add_up(source.counts, summary.policy)
        .join(mapping, on=["unit_index", "paper"])
        .group_by(_KEYS)
        .agg(pl.col("n", "total", "squares").sum())
        .sort(_KEYS)
    )
    n, total, squares = (rows[column].to_numpy().astype(np.float64) for column in ("n", "total", "squares"))
    mean = np.divide(total, n, out=np.full_like(n, np.nan), where=n > 0)
    around = np.maximum(squares - np.where(n > 0, total * mean, 0.0), 0.0)
    found = [_Cells(rows.select(_KEYS), UnitSums(n, mean / _HUNDRED, around / _HUNDRED**2))]
    if source.composite.height:
        found.append(_composite_cells(source, mapping))
    return found


def _add_up(counts: ScoreCounts, policy: str) -> pl.DataFrame:
    """Return unit_index, paper, n, total and squares of the scores in hundredths, exact integers, without sorting any cell."""
    parts = []
    for paper, cells in counts.scores.items():
        unit, score = np.divmod(cells["packed"].to_numpy(), 1 << SCORE_BITS)
        sums = [np.bincount(unit, weights=part) for part in (cells["count"], cells["count"] * score, cells["count"] * score**2)]
        n, total, squares = (part.astype(np.int64) for part in sums)
        parts.append(
            pl.DataFrame({"unit_index": np.arange(len(n)), "n": n, "total": total, "squares": squares}).with_columns(
                paper=pl.lit(paper)
            )
        )
    if policy == "zero":
        absent = pl.col("status").is_in(ZEROED) & ~pl.col("paper").is_in(DERIVED)
        zeroed = counts.statuses.filter(absent).select("unit_index", pl.col("count").alias("n"), "paper")
        parts.append(zeroed.with_columns(total=pl.lit(0, dtype=pl.Int64), squares=pl.lit(0, dtype=pl.Int64)))
    return pl.concat(parts, how="diagonal")


def _sums(table: CellTable) -> UnitSums:
    return UnitSums(table.n.astype(np.float64), table.mean / _HUNDRED, table.squares / _HUNDRED**2)


def _composite_cells(source: UnitSummary, mapping: pl.DataFrame) -> _Cells:
    here = mapping.filter(pl.col("paper") == COMPOSITE)
    keys = ["unit", "comparison_group"]
    rows = source.composite.join(here, on="unit_index").group_by(keys).agg(pl.col("n", "total", "squares").sum()).sort(keys)
    exact = list(zip(rows["n"], rows["total"], rows["squares"], strict=True))
    squares = np.array([(n * q - t * t) / n if n else 0.0 for n, t, q in exact], dtype=np.float64) / COMPOSITE_SCALE**2
    mean = np.array([t / n if n else np.nan for n, t, _ in exact], dtype=np.float64) / COMPOSITE_SCALE
    labels = rows.select("unit", "comparison_group", pl.lit(COMPOSITE).alias("paper"))
    return _Cells(labels, UnitSums(rows["n"].to_numpy().astype(np.float64), mean, squares))
