"""What each unit differs by from what it is set beside: its group, its peer group, its neighbours, an outside value."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eduq.estimates.comparison.inputs import Cell
from eduq.estimates.comparison.peers import ALL, NEAREST, SMALLEST_PEERS, find_neighbours
from eduq.estimates.intervals import normal_quantile

__all__ = ["contrast_units", "contrast_with_group", "contrast_with_others", "part_groups"]

Floats = NDArray[np.float64]
Places = NDArray[np.intp]


def contrast_with_group(x: Floats, std_error: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Return x_j − Σw_k x_k and its standard error, the unit being part of the group.

    Var = (1 − w_j)² s_j² + Σ_{k≠j} w_k² s_k²; with s² = σ²/n and w = n/N that is σ²/n·(1 − n/N).

    Parameters
    ----------
    x, std_error, weight
        Float arrays (units,); the weights need not sum to 1.

    Examples
    --------
    >>> n = np.array([300.0, 700.0])
    >>> found = contrast_with_group(np.array([0.7, -0.3]), 1 / np.sqrt(n), n)
    >>> (found[1] * np.sqrt(n)).round(3).tolist()
    [0.837, 0.548]
    """
    share = weight / weight.sum()
    spread = (share**2 * std_error**2).sum() + (1 - 2 * share) * std_error**2
    return x - share @ x, np.sqrt(np.maximum(spread, 0.0))


def contrast_with_others(x: Floats, std_error: Floats, weight: Floats, others: Places) -> tuple[Floats, Floats, Floats]:
    """Return x_j − Σw_k x_k over the units beside each, its standard error, and how many they are.

    Var = s_j² + Σw_k² s_k², the unit not being among them.

    Parameters
    ----------
    x, std_error, weight
        Float arrays (units,).
    others
        Places (units, k) as `find_neighbours` gives them; −1 stands for none.

    Examples
    --------
    >>> x, s = np.array([1.0, 0.0, 0.5]), np.array([0.3, 0.4, 0.0])
    >>> contrast, error, count = contrast_with_others(x, s, np.ones(3), np.array([[1, 2], [0, 2], [-1, 1]]))
    >>> contrast.round(2).tolist(), error.round(4).tolist(), count.tolist()
    ([0.75, -0.75, 0.5], [0.3606, 0.4272, 0.4], [2.0, 2.0, 1.0])
    """
    there = others >= 0
    own = np.where(there, weight[others], 0.0)
    total = own.sum(axis=1, keepdims=True)
    share = np.divide(own, total, out=np.zeros_like(own), where=total > 0)
    error = np.sqrt(std_error**2 + (share**2 * std_error[others] ** 2).sum(axis=1))
    return x - (share * x[others]).sum(axis=1), error, there.sum(axis=1).astype(np.float64)


def part_groups(cell: Cell, used: Places) -> dict[str, Places]:
    """Return the used units of each peer group, in the order of the labels; neighbours do not part a comparison."""
    labels = np.array([ALL if cell.peer[unit] == NEAREST else cell.peer[unit] for unit in used], dtype=object)
    if cell.covariates.shape[1]:
        return {ALL: used}
    known = sorted({label for label in labels if label is not None})
    return {label: used[labels == label] for label in known}


def contrast_units(
    cell: Cell, used: Places, groups: dict[str, Places], *, neighbours: int | None, min_n: int, level: float
) -> tuple[dict[str, Floats], list[str | None]]:
    """Return the columns of the contrast laid out over all units, and why a unit has none."""
    from scipy.special import ndtr

    size = len(cell.estimate)
    contrast, error, count = (np.full(size, np.nan) for _ in range(3))
    reason: list[str | None] = [None] * size
    if cell.reference is not None:
        contrast[used] = cell.estimate[used] - cell.reference
        error[used] = np.hypot(cell.std_error[used], cell.reference_se)
        count[used] = len(used) - 1
    elif neighbours is not None:
        blank: NDArray[np.bool_] = np.asarray(np.isnan(cell.covariates).any(axis=1))
        known = used[~blank[used]]
        allowed = ~(cell.n[known] < min_n)
        beside = find_neighbours(cell.covariates[known], allowed, neighbours)
        own = contrast_with_others(cell.estimate[known], cell.std_error[known], cell.weight[known], beside)
        enough = own[2] >= SMALLEST_PEERS
        contrast[known], error[known], count[known] = np.where(enough, own[0], np.nan), np.where(enough, own[1], np.nan), own[2]
        for unit in used[blank[used]]:
            reason[unit] = "no_covariates"
        for unit in known[~enough]:
            reason[unit] = "peer_group_too_small"
    else:
        for unit in used:
            reason[unit] = "no_peer_group" if cell.peer[unit] is None else None
        for label, group in groups.items():
            count[group] = len(group) - 1
            if label != ALL and len(group) - 1 < SMALLEST_PEERS:
                for unit in group:
                    reason[unit] = "peer_group_too_small"
            elif len(group) > 1:
                contrast[group], error[group] = contrast_with_group(
                    cell.estimate[group], cell.std_error[group], cell.weight[group]
                )
            else:
                reason[group[0]] = "one_unit"
    half = normal_quantile(level) * error
    found: dict[str, Any] = {"contrast": contrast, "contrast_se": error, "n_peers": count}
    found |= {"contrast_lower": contrast - half, "contrast_upper": contrast + half}
    found["p_value"] = 2 * ndtr(-np.abs(contrast) / error)
    return found, reason
