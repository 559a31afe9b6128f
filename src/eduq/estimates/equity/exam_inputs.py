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
from eduq.groups import COMPOSITE, EVERY_PAPER
from eduq.intake.score_table import ScoreTable
from eduq.settings import RunSettings
from eduq.summaries import COMPOSITE_SCALE, Summary, UnitSummary, gather_cells, summarise

__all__ = ["EXAM_FAMILY", "read_exam"]

Floats = NDArray[np.float64]
EXAM_FAMILY = ("paper", "comparison_group")
_HUNDRED = 100.0
_BETWEEN = "\x1f"


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
    by = {"school": ["school_id"]} | {f"school_{name}": ["school_id", name] for name in pupil_attributes}
    summary = summarise(scores, by=by, settings=settings)
    schools = _school_cells(summary, summary.by["school"], pl.col("school_id"), share)
    pupils = {
        name: _school_cells(summary, summary.by[f"school_{name}"], pl.concat_str(["school_id", name], separator=_BETWEEN), None)
        for name in pupil_attributes
    }
    kinds = scores.schools.select("school_id", *unit_attributes).unique("school_id", keep="first")
    found = []
    for group in summary.comparability.frame.iter_rows(named=True):
        paper = group["paper"]
        if paper == EVERY_PAPER or (papers is not None and paper not in papers):
            continue
        for kind in schools:
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
    place = {unit: number for number, unit in enumerate(units)}
    sides: dict[str, PupilCells] = {}
    for name, kinds_of_cells in pupils.items():
        for side in kinds_of_cells:
            rows = _rows_of(side, str(group["paper"]), str(group["comparison_group"]))
            if len(rows):
                parts = [label.split(_BETWEEN) for label in side.rows["unit"].gather(rows)]
                where = np.array([place[school] for school, _ in parts], dtype=np.int64)
                sides[name] = PupilCells(where, [level for _, level in parts], side.take(rows))
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


def _school_cells(summary: Summary, source: UnitSummary, unit: pl.Expr, share: float | None) -> list[_Cells]:
    """Return the cells of papers and totals, and those of the composite where there is one."""
    members = source.units.select("unit_index", "stratum", unit.alias("unit")).drop_nulls("unit")
    mapping = summary.mapping(members)
    table = gather_cells(source.counts, mapping, policy=summary.policy)
    within = base = threshold = None
    if share is not None:
        area = summary.area
        rank = np.maximum(np.ceil(np.round(area.n * share, 9)), 1).astype(np.int64)
        limits = area.rows.select("comparison_group").with_columns(
            pl.Series("threshold", np.nan_to_num(area.value_at_rank(rank)).astype(np.int64))
        )
        joined = table.rows.join(limits, on="comparison_group", how="left", maintain_order="left")
        cut = joined["threshold"].fill_null(0).to_numpy()
        threshold = cut / _HUNDRED
        within = table.count_between(np.full(table.size, -1), cut + 1).astype(np.float64)
        base = (table.n + table.n_zeroed if summary.policy == "rate-only" else table.n).astype(np.float64)
    marks = table.score / _HUNDRED
    logs = table.add_up_float(table.count * marks * np.log(np.where(marks > 0, marks, 1.0)))
    sums = UnitSums(table.n.astype(np.float64), table.mean / _HUNDRED, table.squares / _HUNDRED**2)
    found = [_Cells(table.rows, sums, logs, within, base, threshold)]
    if source.composite.height:
        found.append(_composite_cells(source, mapping))
    return found


def _composite_cells(source: UnitSummary, mapping: pl.DataFrame) -> _Cells:
    here = mapping.filter(pl.col("paper") == COMPOSITE)
    keys = ["unit", "comparison_group"]
    rows = source.composite.join(here, on="unit_index").group_by(keys).agg(pl.col("n", "total", "squares").sum()).sort(keys)
    exact = list(zip(rows["n"], rows["total"], rows["squares"], strict=True))
    squares = np.array([(n * q - t * t) / n if n else 0.0 for n, t, q in exact], dtype=np.float64) / COMPOSITE_SCALE**2
    mean = np.array([t / n if n else np.nan for n, t, _ in exact], dtype=np.float64) / COMPOSITE_SCALE
    labels = rows.select("unit", "comparison_group", pl.lit(COMPOSITE).alias("paper"))
    return _Cells(labels, UnitSums(rows["n"].to_numpy().astype(np.float64), mean, squares))
