"""A panel: estimates and their variances by unit and period, with an axis of worlds in front, ready for the array fits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["SMALLEST", "Panel", "build_panel", "correlation_matrix"]

Floats = NDArray[np.float64]
SMALLEST = 1e-12
"""Sampling variances below this are taken as this: nothing is known exactly."""


@dataclass(frozen=True)
class Panel:
    """Arrays of one family of series; a world is one drawn county, and data are one world.

    Attributes
    ----------
    means
        (W, S, T): estimates less their mean, 0 where missing.
    variances
        (W or 1, S, T): sampling variances, 1 where missing.
    present
        (S, T): whether the cell counts in the fit.
    times
        (T,): periods as numbers, centred.
    years
        (T, R): basis of the period effects that lines of the units leave free.
    n_periods
        (S,): periods present.
    patterns
        Units that share the periods present, at least three: which periods (T,), which units.
    """

    means: Floats
    variances: Floats
    present: NDArray[np.bool_]
    times: Floats
    years: Floats
    n_periods: NDArray[np.int64]
    patterns: tuple[tuple[NDArray[np.bool_], NDArray[np.intp]], ...]

    @property
    def df(self) -> int:
        """Degrees of freedom that lines and period effects leave: Σ(T_s − 2) − rank of the period effects."""
        free = int(np.maximum(self.n_periods - 2, 0).sum())
        return free - int(self.years.shape[1])

    @property
    def mean_variances(self) -> Floats:
        """(W or 1, S): mean sampling variance over the periods present."""
        counted = np.maximum(self.n_periods, 1)
        return np.asarray(np.where(self.present, self.variances, 0.0).sum(axis=-1) / counted)

    def take(self, worlds: slice | NDArray[np.intp]) -> Panel:
        """Return the panel of some worlds."""
        variances = self.variances if self.variances.shape[0] == 1 else self.variances[worlds]
        return Panel(self.means[worlds], variances, self.present, self.times, self.years, self.n_periods, self.patterns)


def correlation_matrix(times: Floats, rho: float, overlap: int) -> Floats:
    """Return ρ^|k−l|, or with overlapping cohorts max(0, 1 − |k−l|/G), for periods at given times."""
    apart = np.abs(times[:, None] - times[None, :])
    if overlap > 1:
        return np.asarray(np.maximum(0.0, 1.0 - apart / overlap))
    if rho == 0.0:
        return np.eye(len(times))
    return np.asarray(rho**apart)


def contrasts(times: Floats) -> Floats:
    """Return an orthonormal basis (T, T−2) of what a line through the times leaves."""
    design = np.column_stack([np.ones_like(times), times])
    basis, _ = np.linalg.qr(design, mode="complete")
    return np.asarray(basis[:, 2:])


def build_panel(means: Floats, variances: Floats, times: Floats, *, least: int) -> Panel:
    """Return the panel of estimates (W, S, T; nan = missing, in the same cells of every world) and their variances.

    Units with fewer than ``least`` periods do not enter the fit.
    """
    means = np.asarray(means, dtype=np.float64)
    variances = np.asarray(variances, dtype=np.float64)
    variances = np.broadcast_to(variances, (1, *means.shape[1:])) if variances.ndim == 2 else variances
    seen = ~np.isnan(means[0]) & ~np.isnan(variances[0])
    n_periods = seen.sum(axis=1)
    present = seen & (n_periods >= least)[:, None]
    n_periods = np.where(n_periods >= least, n_periods, 0).astype(np.int64)
    centre = np.nanmean(np.where(present, means[0], np.nan)) if present.any() else 0.0
    centred = times - times.mean()
    clean = np.where(present, means - centre, 0.0)
    positive = np.where(present, np.maximum(variances, SMALLEST), 1.0)
    years = np.eye(len(times))[:, 1:-1] if least > 2 else np.zeros((len(times), 0))
    patterns = _patterns(present)
    return Panel(clean, positive, present, centred, _free_years(years, patterns, centred), n_periods, patterns)


def _patterns(present: NDArray[np.bool_]) -> tuple[tuple[NDArray[np.bool_], NDArray[np.intp]], ...]:
    """Return the patterns of at least three periods with their units."""
    codes = [bits.tobytes() for bits in np.packbits(present, axis=1)]
    of_code: dict[bytes, list[int]] = {}
    for unit, code in enumerate(codes):
        of_code.setdefault(code, []).append(unit)
    units = [np.array(of_code[code], dtype=np.intp) for code in sorted(of_code)]
    return tuple((present[group[0]], group) for group in units if present[group[0]].sum() > 2)


def _free_years(years: Floats, patterns: tuple[tuple[NDArray[np.bool_], NDArray[np.intp]], ...], times: Floats) -> Floats:
    """Return the part of the period effects that the units' lines leave free; all of them unless cells are missing."""
    if years.shape[1] == 0:
        return years
    left = [contrasts(times[cells]).T @ years[cells] for cells, _ in patterns]
    if not left:
        return years[:, :0]
    _, sizes, directions = np.linalg.svd(np.vstack(left))
    rank = int((sizes > 1e-9 * max(sizes[0], 1e-300)).sum())
    return years if rank == years.shape[1] else np.asarray(years @ directions[:rank].T)
