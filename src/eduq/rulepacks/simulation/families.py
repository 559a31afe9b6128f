"""Families: the peer groups of a rule that share one fit of the evidence, and their worlds as arrays that conditions read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from eduq.rulepacks.conditions import PeerSeries, reason_code
from eduq.rulepacks.peers import PeerCell

__all__ = ["Family", "form_family", "pool_within", "year_groups_pooled"]

Floats = npt.NDArray[np.float64]
Scalar = TypeVar("Scalar", bound=np.generic)

MIN_DF_OWN = 60
"""Degrees of freedom from which a unit's own within variance is used, else that of the peer group."""


@dataclass(frozen=True)
class Family:
    """Peer groups of one family, stacked: rows are series (a unit in a year group and subject), columns school years.

    Attributes
    ----------
    cells
        The peer groups, in order.
    measure
        Of their levels.
    peers
        Per peer group its arrays, all with the same columns (years before a group's first are ``missing_year``).
    periods
        The columns.
    means, variances
        float64 (S, T): the county's own levels and their sampling variances; nan where there is none.
    overlap
        Year groups pooled in a value (teachers'): that many adjacent years share pupils.
    """

    cells: tuple[PeerCell, ...]
    measure: str
    peers: tuple[PeerSeries, ...]
    periods: tuple[str, ...]
    means: Floats
    variances: Floats
    overlap: int = 1

    @cached_property
    def units(self) -> tuple[str, ...]:
        """Every unit once, sorted; one unit may have several series."""
        return tuple(sorted({unit for cell in self.cells for unit in cell.units}))

    @cached_property
    def unit_of(self) -> npt.NDArray[np.intp]:
        """intp (S,): the unit of each row, as a place in `units`."""
        place = {unit: number for number, unit in enumerate(self.units)}
        return np.array([place[unit] for cell in self.cells for unit in cell.units], dtype=np.intp)

    def any_series(self, found: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Return where any series of a unit is marked: bool (..., S) to bool (..., units)."""
        marked = np.zeros((*found.shape[:-1], len(self.units)), dtype=bool)
        for rows in self.blocks:
            marked[..., self.unit_of[rows]] |= found[..., rows]
        return marked

    @property
    def blocks(self) -> list[slice]:
        """Rows of each peer group."""
        ends = np.cumsum([len(cell.units) for cell in self.cells]).tolist()
        return [slice(end - len(cell.units), end) for end, cell in zip(ends, self.cells, strict=True)]

    @property
    def group(self) -> npt.NDArray[np.intp]:
        """intp (S,): the peer group of each row."""
        return np.repeat(np.arange(len(self.cells)), [len(cell.units) for cell in self.cells])

    @property
    def strata(self) -> list[list[int]]:
        """Peer groups of one year group and subject: they share year effects and the shock in the evidence."""
        found: dict[tuple[str, str], list[int]] = {}
        for place, cell in enumerate(self.cells):
            found.setdefault((cell.year_group, cell.subject), []).append(place)
        return [found[key] for key in sorted(found)]

    def world_peers(self, levels: Floats, block: int, *, ahead: int) -> PeerSeries:
        """Return one peer group as drawn, as it stands some years after the newest; those years are as the newest was.

        Parameters
        ----------
        levels
            float64 (W, S, at least T + ahead).
        block
            The peer group.
        ahead
            Years after the newest of the archive.
        """
        peer, rows = self.peers[block], self.blocks[block]

        def more(array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
            return np.concatenate([array, np.repeat(array[:, -1:], ahead, axis=1)], axis=1)

        n_years = len(self.periods) + ahead
        return replace(peer, level=levels[:, rows, :n_years], n=more(peer.n), reason=more(peer.reason), held=more(peer.held))


def form_family(cells: Sequence[PeerCell], measure: str) -> Family:
    """Stack the peer groups of one family.

    Parameters
    ----------
    cells
        Peer groups that end in the same school year and have the measure; their lines have n and sd.
    measure
        A measure in pupil SDs.
    """
    longest = max((cell.periods for cell in cells), key=len)
    peers, means, variances = [], [], []
    for cell in cells:
        peer = _widen(cell.peers[measure], len(longest))
        peers.append(peer)
        means.append(peer.level)
        variances.append(pool_within(peer.level, peer.n, _within(cell, measure, longest)))
    return Family(
        tuple(cells),
        measure,
        tuple(peers),
        longest,
        np.concatenate(means),
        np.concatenate(variances),
        year_groups_pooled(cells, measure),
    )


def year_groups_pooled(cells: Sequence[PeerCell], measure: str) -> int:
    """Return over how many year groups a value is pooled at most: the ids of their exams are joined by ``+``."""
    lines = [cell.lines.filter(pl.col("measure") == measure) for cell in cells if "exam_id" in cell.lines.columns]
    names = [name for part in lines for name in part["exam_id"].drop_nulls()]
    return max((name.count("+") + 1 for name in names), default=1)


def _widen(peer: PeerSeries, n_years: int) -> PeerSeries:
    """Put missing years before the first column."""
    lead = n_years - peer.n.shape[1]
    if lead == 0:
        return peer

    def before(array: npt.NDArray[Scalar], value: float) -> npt.NDArray[Scalar]:
        return np.concatenate([np.full((array.shape[0], lead), value, dtype=array.dtype), array], axis=1)

    return replace(
        peer,
        level=before(peer.level, np.nan),
        n=before(peer.n, 0),
        reason=before(peer.reason, reason_code("missing_year")),
        held=before(peer.held, False),
    )


def _within(cell: PeerCell, measure: str, periods: Sequence[str]) -> Floats:
    """Return the within SDs of a peer group as (units, years), nan where the series has none."""
    row = {unit: place for place, unit in enumerate(cell.units)}
    column = {period: place for place, period in enumerate(periods)}
    found = np.full((len(row), len(column)), np.nan)
    lines = cell.lines.filter((pl.col("measure") == measure) & pl.col("sd").is_not_null() & pl.col("period").is_in(list(periods)))
    for unit, period, sd in lines.select("unit", "period", "sd").iter_rows():
        found[row[unit], column[period]] = sd
    return found


def pool_within(level: Floats, n: npt.NDArray[np.int64], sd: Floats) -> Floats:
    """Return the sampling variances of means: each unit's within variance pooled over its years, over its candidates.

    A unit with fewer than 60 degrees of freedom, or with no spread at all, takes the within variance of the peer group.

    Parameters
    ----------
    level, sd
        float64 (S, T): means and within SDs (divisor n − 1); nan where there is none.
    n
        int64 (S, T).

    Returns
    -------
    float64 (S, T); nan where there is no mean.

    Examples
    --------
    >>> pool_within(np.zeros((1, 2)), np.array([[101, 101]]), np.array([[0.9, 1.1]])).round(4).tolist()
    [[0.01, 0.01]]
    """
    there = np.isfinite(level) & np.isfinite(sd) & (n > 1)
    df = np.where(there, n - 1, 0).astype(np.float64)
    squares = np.where(there, df * np.where(there, sd, 0.0) ** 2, 0.0)
    total = df.sum()
    shared = squares.sum() / total if total else 1.0
    own = df.sum(axis=1)
    trusted = (own >= MIN_DF_OWN) & (squares.sum(axis=1) > 0)
    within = np.where(trusted, squares.sum(axis=1) / np.where(own > 0, own, 1.0), shared)
    return np.where(np.isfinite(level), within[:, None] / np.maximum(n, 1), np.nan)
