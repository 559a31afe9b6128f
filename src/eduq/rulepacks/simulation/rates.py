"""Worlds of a rate: each school's own scores are shifted as a whole, and its pupils drawn from what then passes the cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from eduq.estimates.exam_source import ExamSource
from eduq.estimates.measures import Measure
from eduq.intake.score_table import ScoreTable
from eduq.rulepacks.simulation.families import Family
from eduq.tables import status_column

__all__ = ["RateTable", "tabulate_rates"]

Floats = npt.NDArray[np.float64]
_REACH = 4.0
_STEP = 0.01


@dataclass(frozen=True)
class RateTable:
    """What a rate becomes when a series' own scores are shifted.

    Attributes
    ----------
    share
        float64 (S, points): the rate after a shift of −4, −3.99 … 4 pupil SDs.
    n
        int64 (S, T): candidates.
    """

    share: Floats
    n: npt.NDArray[np.int64]

    def extend(self, years: int) -> RateTable:
        """Return the table with as many more years, each as the newest one."""
        return replace(self, n=np.concatenate([self.n, np.repeat(self.n[:, -1:], years, axis=1)], axis=1))

    def observe(self, shifts: Floats, rng: np.random.Generator) -> Floats:
        """Draw rates (W, S, T) at given shifts: k of n candidates, binomial; nan in the holes."""
        holes = ~np.isfinite(shifts)
        place = (np.clip(np.where(holes, 0.0, shifts), -_REACH, _REACH) + _REACH) / _STEP
        below = np.minimum(place.astype(np.intp), self.share.shape[1] - 2)
        rows = np.arange(len(self.share))[None, :, None]
        part = place - below
        p = (1 - part) * self.share[rows, below] + part * self.share[rows, below + 1]
        n = np.maximum(self.n[:, : shifts.shape[2]], 1)
        return np.where(holes, np.nan, rng.binomial(np.broadcast_to(n, p.shape), np.clip(p, 0.0, 1.0)) / n)


def tabulate_rates(family: Family, archive: ExamSource, measure: Measure) -> RateTable:
    """Tabulate the rate of every series over shifts of its own scores in its newest exam.

    A series whose scores cannot be found there under its id (a school renamed since) takes the scores of all schools in that
    exam, moved so that the rate without shift is its own.

    Parameters
    ----------
    family
        Peer groups of schools, one subject each.
    archive
        Where the exams are.
    measure
        A rate with a cut.
    """
    shifts = np.linspace(-_REACH, _REACH, round(2 * _REACH / _STEP) + 1)
    share = np.zeros((len(family.means), shifts.size))
    tables: dict[str, ScoreTable] = {}
    for cell, rows in zip(family.cells, family.blocks, strict=True):
        newest = (
            cell.lines.filter(pl.col("measure") == family.measure).drop_nulls("estimate").sort("period").group_by("unit").last()
        )
        exam_of = dict(newest.select("unit", "exam_id").iter_rows())
        rate_of = dict(newest.select("unit", "estimate").iter_rows())
        for row, unit in enumerate(cell.units):
            exam_id = exam_of.get(unit)
            if exam_id is None:
                continue
            scores = tables.setdefault(exam_id, archive.scores(exam_id))
            share[rows.start + row] = _shares(scores, measure, cell.year_group, cell.subject, unit, rate_of, shifts)
    return RateTable(share, np.concatenate([peer.n for peer in family.peers]))


def _shares(
    scores: ScoreTable, measure: Measure, year_group: str, subject: str, unit: str, rate_of: Mapping[str, float], shifts: Floats
) -> Floats:
    """Return the rate of one school in one subject after each shift; versions of a paper count together by candidates."""
    total, candidates, everybody = np.zeros(shifts.size), 0, []
    for paper in scores.papers:
        full = paper.max_hundredths or 0
        bounds = measure.score_range(full) if full else None
        if paper.subject_code != subject or bounds is None:
            continue
        sat = scores.frame.filter((pl.col(status_column(paper.code)) == "present") & (pl.col("year_group") == year_group))
        all_of = np.sort(sat[paper.code].to_numpy().astype(np.float64))
        own = np.sort(sat.filter(pl.col("school_id") == unit)[paper.code].to_numpy().astype(np.float64))
        if all_of.size < 2 or all_of.std() == 0:
            continue
        everybody.append(_inside(all_of, bounds, shifts * all_of.std(), full))
        if own.size:
            total += own.size * _inside(own, bounds, shifts * all_of.std(), full)
            candidates += own.size
    if candidates:
        return total / candidates
    if not everybody:
        return np.full(shifts.size, rate_of[unit])
    curve = np.mean(everybody, axis=0)
    nearest = shifts[int(np.argmin(np.abs(curve - rate_of[unit])))]
    return np.asarray(np.interp(shifts + nearest, shifts, curve), dtype=np.float64)


def _inside(ordered: Floats, bounds: tuple[int, int], moves: Floats, full: int) -> Floats:
    """Return the share of scores in [lo, hi) after each move (hundredths); a bound at an end of the scale is open."""
    low, high = bounds
    under = np.searchsorted(ordered, low - moves, side="left") if low > 0 else np.zeros(moves.size, dtype=np.intp)
    over = np.searchsorted(ordered, high - moves, side="left") if high <= full else np.full(moves.size, ordered.size)
    return np.asarray((over - under) / ordered.size, dtype=np.float64)
