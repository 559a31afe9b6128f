"""Evidence grades of many worlds at once for a family of several strata, put together from the parts of the decline fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from eduq.estimates.declines.bounds import DeclineBounds
from eduq.estimates.declines.letters import A, B, C, adjust_family, assign_letters, lower_by_last_place, lowest_third
from eduq.estimates.declines.panels import Panel, build_panel
from eduq.estimates.declines.worlds import PanelFit, fit_panel, look_at_last_place, mean_levels, second_p

__all__ = ["Stratum", "grade_strata"]

Floats = npt.NDArray[np.float64]
Letters = npt.NDArray[np.int8]
Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True)
class Stratum:
    """Series that share year effects and a shock variance: one year group and subject of a family.

    Attributes
    ----------
    means
        float64 (W, S, T), nan in the same cells of every world.
    variances
        float64 (S, T).
    times
        float64 (T,).
    n_min
        int64 (S,): fewest candidates of a series in a period; below the bound it is graded C at most.
    """

    means: Floats
    variances: Floats
    times: Floats
    n_min: npt.NDArray[np.int64]


def grade_strata(
    strata: Sequence[Stratum],
    wanted: npt.NDArray[np.bool_],
    *,
    bounds: DeclineBounds,
    last_place: Sequence[bool] = (False,),
    last_k: int = 1,
    last_periods: int = 1,
    overlap: int = 1,
) -> dict[bool, Letters]:
    """Grade the series of several strata as one family, as `detect_declines` does, without and with a look at the place.

    Parameters
    ----------
    strata
        With the same worlds.
    wanted
        bool (W, all series in order): whose grade is asked for; the others take part in the fit and the family alone.
    bounds
        Bounds of the grades.
    last_place
        Which gradings are wanted; the fit is one.
    last_k, last_periods, overlap
        As of `eduq.estimates.declines.worlds.fit_worlds`.

    Returns
    -------
    dict
        Per wanted grading int8 (W, all series in order): 1 A, 2 B, 3 C, 4 D, 0 none or not asked for.
    """
    panels = [build_panel(one.means, one.variances, one.times, least=min(3, one.times.size)) for one in strata]
    fits = [fit_panel(panel, bounds=bounds, overlap=overlap) for panel in panels]
    enough = [(panel.n_periods > 0).sum() >= bounds.min_units for panel in panels]
    p = _join([fit.slopes.p if graded else np.full_like(fit.slopes.p, np.nan) for fit, graded in zip(fits, enough, strict=True)])
    slope = _join([fit.slopes.slope for fit in fits])
    n_periods = np.concatenate([panel.n_periods for panel in panels])
    n_min = np.concatenate([one.n_min for one in strata])
    found: dict[bool, Letters] = {}
    for place in sorted(set(last_place)):
        third = _join([lowest_third(mean_levels(*pair)) for pair in zip(panels, fits, strict=True)]) if place else None
        holm, q, _ = adjust_family(p, third)
        with np.errstate(invalid="ignore"):
            near_a = (holm <= bounds.alpha_holm) & (slope <= -bounds.materiality) & (n_periods >= bounds.min_periods_confirmed)
        q_second = q.copy()
        asked = np.flatnonzero((near_a & wanted).any(axis=1))
        if asked.size:
            again = _join([_again(*one, asked, bounds, overlap) for one in zip(panels, fits, enough, strict=True)])
            q_second[asked] = adjust_family(again, None if third is None else third[asked])[1]
        letters = np.where(wanted, assign_letters(slope, p, holm, q, q_second, n_periods, bounds), 0).astype(np.int8)
        if place:
            letters = _lower(strata, fits, letters, bounds, (last_k, last_periods))
        small = ((letters == A) | (letters == B)) & (n_min < bounds.min_n)
        found[place] = np.where(small, C, letters).astype(np.int8)
    return found


def _join(parts: Sequence[npt.NDArray[Scalar]]) -> npt.NDArray[Scalar]:
    return np.concatenate(parts, axis=1)


def _again(
    panel: Panel, fit: PanelFit, graded: bool, worlds: npt.NDArray[np.intp], bounds: DeclineBounds, overlap: int
) -> Floats:
    """Return p at the second shock correlation; a stratum of too few units has none."""
    if not graded:
        return np.full((worlds.size, panel.means.shape[1]), np.nan)
    return second_p(panel, fit, worlds, bounds, overlap)


def _lower(
    strata: Sequence[Stratum], fits: Sequence[PanelFit], letters: Letters, bounds: DeclineBounds, place: tuple[int, int]
) -> Letters:
    """Look at the place of units graded A or B in the last periods of their own stratum."""
    lowered, first = [], 0
    for one, fit in zip(strata, fits, strict=True):
        own = letters[:, first : first + one.means.shape[1]]
        first += one.means.shape[1]
        chance, member = np.full(own.shape, np.nan), np.zeros(own.shape, dtype=np.bool_)
        variances = np.broadcast_to(one.variances, one.means.shape)
        look_at_last_place(one.means, variances, fit, own, place, bounds, chance, member)
        lowered.append(lower_by_last_place(own, chance, member, bounds))
    return np.concatenate(lowered, axis=1)
