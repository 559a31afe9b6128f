"""Score counts of many units as arrays: what every level measure is computed from.

One row = one unit in one comparison group (so of one paper). Its cells are kept sorted by score; sums are integers, and
floating-point sums run in the order of the sorted cells, so every figure is the same from run to run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.groups import DERIVED
from eduq.settings import AbsencePolicy
from eduq.summaries.counts import SCORE_BITS, ScoreCounts
from eduq.summaries.derived import ZEROED
from eduq.tables import NOT_EXPECTED

__all__ = ["CellTable", "gather_cells"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_KEYS = ["unit", "comparison_group", "paper"]
_NOWHERE = -(1 << 40)
_DENSE_CELLS = 4_000_000
"""Up to this many cells are added up in one array with a place for every score."""


@dataclass(frozen=True)
class CellTable:
    """Cells of R rows.

    Attributes
    ----------
    rows
        unit, comparison_group, paper: one line per row.
    key
        row · 2²¹ + score in hundredths of each cell, strictly rising.
    count
        Candidates of each cell.
    n_expected, n_present, n_zeroed
        Per row: expected, present, absent or voided.
    """

    rows: pl.DataFrame
    key: Ints
    count: Ints
    n_expected: Ints
    n_present: Ints
    n_zeroed: Ints

    @property
    def size(self) -> int:
        """Number of rows."""
        return self.rows.height

    @cached_property
    def score(self) -> Ints:
        """Score of each cell, hundredths."""
        return self.key & ((1 << SCORE_BITS) - 1)

    @cached_property
    def row(self) -> Ints:
        """Row of each cell, rising."""
        return self.key >> SCORE_BITS

    @cached_property
    def _bounds(self) -> Ints:
        return self._first_at(np.arange(self.size + 1), np.zeros(self.size + 1, dtype=np.int64))

    @cached_property
    def _running(self) -> Ints:
        """Candidates before each cell, and all of them at the end."""
        return np.concatenate([[0], np.cumsum(self.count)])

    @cached_property
    def _running_total(self) -> Ints:
        return np.concatenate([[0], np.cumsum(self.count * self.score)])

    def _first_at(self, row: Ints, score: Ints) -> Ints:
        """Index of the first cell of a row at or above a score."""
        return np.searchsorted(self.key, (row << SCORE_BITS) + score)

    def _between(self, running: Ints, low: Ints, high: Ints) -> Ints:
        rows = np.arange(self.size)
        between: Ints = running[self._first_at(rows, high)] - running[self._first_at(rows, low)]
        return between

    def add_up(self, per_cell: Ints) -> Ints:
        """Return exact integer sums per row of a value per cell."""
        running = np.concatenate([[0], np.cumsum(per_cell)])
        sums: Ints = running[self._bounds[1:]] - running[self._bounds[:-1]]
        return sums

    def add_up_float(self, per_cell: Floats) -> Floats:
        """Return sums per row of a float per cell, in the order of the cells."""
        return np.bincount(self.row, weights=per_cell, minlength=self.size).astype(np.float64)

    @cached_property
    def n(self) -> Ints:
        """Candidates with a score that counts."""
        return self._running[self._bounds[1:]] - self._running[self._bounds[:-1]]

    @cached_property
    def total(self) -> Ints:
        """Σ of scores, hundredths."""
        return self._running_total[self._bounds[1:]] - self._running_total[self._bounds[:-1]]

    @cached_property
    def mean(self) -> Floats:
        """Mean, hundredths; nan where n = 0."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.n > 0, self.total / self.n, np.nan)

    @cached_property
    def squares(self) -> Floats:
        """Σ(x − mean)², from integers: the sum around a whole number near the mean, less the small rest."""
        base = np.where(self.n > 0, self.total // np.maximum(self.n, 1), 0)
        distance = self.score - base[self.row]
        around = self.add_up(self.count * distance * distance)
        rest = self.total - self.n * base
        return around - rest * (rest / np.maximum(self.n, 1))

    @cached_property
    def variance(self) -> Floats:
        """s² with divisor n − 1; nan where n < 2."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.n > 1, self.squares / (self.n - 1), np.nan)

    @cached_property
    def higher_moments(self) -> tuple[Floats, Floats]:
        """Third and fourth central moment, Σ(x − mean)³/n and Σ(x − mean)⁴/n."""
        distance = self.score - self.mean[self.row]
        cubed = self.count * distance * distance * distance
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.add_up_float(cubed) / self.n, self.add_up_float(cubed * distance) / self.n

    def count_between(self, low: Ints, high: Ints) -> Ints:
        """Return candidates with low ≤ score < high, bounds per row in hundredths."""
        return self._between(self._running, low, high)

    def total_between(self, low: Ints, high: Ints) -> Ints:
        """Return Σ of the scores with low ≤ score < high, hundredths."""
        return self._between(self._running_total, low, high)

    def value_at_rank(self, rank: Ints) -> Floats:
        """Return the order statistic of a rank (from 1) per row; nan where n = 0."""
        if not len(self.key):
            return np.full(self.size, np.nan)
        wanted = self._running[self._bounds[:-1]] + np.clip(rank, 1, np.maximum(self.n, 1))
        cell = np.minimum(np.searchsorted(self._running, wanted) - 1, len(self.key) - 1)
        return np.where(self.n > 0, self.score[cell], np.nan).astype(np.float64)

    def quantile(self, probability: float) -> Floats:
        """Return the type-7 quantile (linear interpolation of order statistics)."""
        position = (np.maximum(self.n, 1) - 1) * probability
        lower = np.floor(position).astype(np.int64)
        low, high = self.value_at_rank(lower + 1), self.value_at_rank(lower + 2)
        return low + (position - lower) * (high - low)

    def to_frame(self) -> pl.DataFrame:
        """Return the columns of `rows`, score (Int32 hundredths) and count, one line per cell."""
        return self.rows[self.row].with_columns(pl.Series("score", self.score.astype(np.int32)), pl.Series("count", self.count))


def _place_rows(mapping: pl.DataFrame, papers: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows (in the order of papers, groups, units) and the mapping with the row of each of its lines."""
    order = pl.col("paper").cast(pl.Enum(papers)).to_physical().alias("__paper")
    rows = mapping.select(_KEYS).unique().with_columns(order).sort("__paper", "comparison_group", "unit").drop("__paper")
    placed = mapping.join(
        rows.with_row_index("row").with_columns(pl.col("row").cast(pl.Int64)), on=_KEYS, how="left", maintain_order="left"
    )
    return rows, placed


def gather_cells(counts: ScoreCounts, mapping: pl.DataFrame, *, policy: AbsencePolicy) -> CellTable:
    """Add up the cells of counted units into the units of a mapping.

    Parameters
    ----------
    counts
        From `eduq.summaries.counts.count_scores`.
    mapping
        unit_index (Int64), paper, unit, comparison_group: one line per counted unit, paper and unit it belongs to; a
        counted unit may belong to several or to none.
    policy
        Under ``zero`` absent and voided candidates count with a score of 0 (in derived papers they already do).
    """
    mapping = mapping.filter(pl.col("paper").is_in(list(counts.scores)))
    rows, placed = _place_rows(mapping, list(counts.scores))
    tallied = counts.statuses.join(placed, on=["unit_index", "paper"])
    keys, numbers = [], []
    for (paper,), members in placed.group_by(["paper"], maintain_order=True):
        cells = counts.scores[str(paper)]
        packed, count = cells["packed"].to_numpy(), cells["count"].to_numpy()
        layers = members.with_columns(pl.int_range(pl.len()).over("unit_index").alias("layer"))
        for (_,), part in layers.group_by(["layer"], maintain_order=True):
            key, number = _combine(*_move(packed, count, part["unit_index"].to_numpy(), part["row"].to_numpy()))
            keys.append(key)
            numbers.append(number)
    if policy == "zero":
        zeroed = tallied.filter(pl.col("status").is_in(ZEROED) & ~pl.col("paper").is_in(DERIVED))
        keys.append(zeroed["row"].to_numpy() << SCORE_BITS)
        numbers.append(zeroed["count"].to_numpy())
    key, count = _combine(np.concatenate(keys or [np.empty(0, np.int64)]), np.concatenate(numbers or [np.empty(0, np.int64)]))
    size = rows.height

    def tally(condition: pl.Expr) -> Ints:
        chosen = tallied.filter(condition)
        return np.bincount(chosen["row"].to_numpy(), weights=chosen["count"].to_numpy(), minlength=size).astype(np.int64)

    return CellTable(
        rows=rows,
        key=key,
        count=count,
        n_expected=tally(~pl.col("status").is_in(NOT_EXPECTED)),
        n_present=tally(pl.col("status") == "present"),
        n_zeroed=tally(pl.col("status").is_in(ZEROED)),
    )


def _move(packed: Ints, count: Ints, unit_index: Ints, row: Ints) -> tuple[Ints, Ints]:
    """Return the cells of the units named, with the unit in their key replaced by its row."""
    units = int(packed[-1] >> SCORE_BITS) + 1 if len(packed) else 0
    shift = row - unit_index
    if units and np.array_equal(unit_index, np.arange(units)) and bool(np.all(shift == shift[0])):
        return packed + (shift[0] << SCORE_BITS), count
    shifts = np.full(max(units, int(unit_index.max(initial=-1)) + 1), _NOWHERE, dtype=np.int64)
    shifts[unit_index] = shift
    by_cell = shifts[packed >> SCORE_BITS]
    moved = packed + (by_cell << SCORE_BITS)
    inside = by_cell != _NOWHERE
    return (moved, count) if inside.all() else (moved[inside], count[inside])


def _combine(key: Ints, count: Ints) -> tuple[Ints, Ints]:
    """Return keys strictly rising, with the counts of equal keys added up."""
    if len(key) == 0 or bool(np.all(key[1:] > key[:-1])):
        return key.astype(np.int64), count.astype(np.int64)
    row, score = key >> SCORE_BITS, key & ((1 << SCORE_BITS) - 1)
    width = int(score.max()) + 1
    if (int(row.max()) + 1) * width <= _DENSE_CELLS:
        dense = np.bincount(row * width + score, weights=count).astype(np.int64)
        filled = np.flatnonzero(dense)
        return (filled // width << SCORE_BITS) + filled % width, dense[filled]
    merged = pl.LazyFrame({"key": key, "count": count}).group_by("key").agg(pl.col("count").sum()).collect().sort("key")
    return merged["key"].to_numpy(), merged["count"].to_numpy()
