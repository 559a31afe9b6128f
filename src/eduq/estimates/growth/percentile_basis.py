"""The design of growth percentiles: an intercept and cubic B-splines of each prior score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["PriorBasis", "choose_basis", "design_columns", "independent_columns"]

Floats = NDArray[np.float64]

DEGREE = 3
KNOT_QUANTILES = (0.2, 0.4, 0.6, 0.8)
BEYOND = 0.1
"""How far the boundaries lie outside the range of the prior, as a share of that range."""
DEPENDENT = 1e-9
"""A column of which less than this share of its length is its own is left out."""


@dataclass(frozen=True)
class PriorBasis:
    """Knots and boundaries of one prior score."""

    name: str
    knots: tuple[float, ...]
    boundaries: tuple[float, float]


def choose_basis(
    name: str,
    values: Floats,
    *,
    knots: tuple[float, ...] | None = None,
    boundaries: tuple[float, float] | None = None,
) -> PriorBasis:
    """Return the basis of a prior: knots at its 20, 40, 60 and 80 % quantiles, boundaries 10 % beyond its range.

    Quantiles are those of R's default (type 7) over pupils. Knots that coincide count once: a prior with many equal scores
    has fewer of them.

    Parameters
    ----------
    name
        The prior's column.
    values
        Its scores, one per pupil.
    knots, boundaries
        As declared; the defaults where None.
    """
    low, high = float(values.min()), float(values.max())
    margin = BEYOND * (high - low) or 1.0
    ends = (low - margin, high + margin) if boundaries is None else boundaries
    inner = tuple(float(at) for at in np.quantile(values, KNOT_QUANTILES)) if knots is None else knots
    kept = sorted({at for at in inner if ends[0] < at < ends[1]})
    return PriorBasis(name, tuple(kept), (float(ends[0]), float(ends[1])))


def design_columns(priors: Floats, bases: tuple[PriorBasis, ...]) -> Floats:
    """Return the design: intercept, then per prior the cubic B-splines but the first (the splines of one prior sum to 1).

    Parameters
    ----------
    priors
        Shape (rows, priors).
    bases
        One per prior.

    Returns
    -------
    ndarray
        Shape (rows, 1 + Σ (3 + knots)): the space of R's ``y ~ bs(x1, ...) + bs(x2, ...)``.
    """
    from scipy.interpolate import BSpline

    parts = [np.ones((len(priors), 1))]
    for place, basis in enumerate(bases):
        # a score outside the boundaries is taken at the boundary: polynomials run away there
        inside = np.clip(priors[:, place], *basis.boundaries)
        every = np.array([basis.boundaries[0]] * (DEGREE + 1) + list(basis.knots) + [basis.boundaries[1]] * (DEGREE + 1))
        parts.append(BSpline.design_matrix(inside, every, DEGREE).toarray()[:, 1:])
    return np.ascontiguousarray(np.hstack(parts))


def independent_columns(design: Floats, weights: Floats) -> NDArray[np.int64]:
    """Return the columns, from left to right, that are not combinations of those before them (priors with few values)."""
    gram = design.T @ (design * weights[:, None])
    scale = np.sqrt(np.where(np.diag(gram) > 0, np.diag(gram), 1.0))
    gram = gram / scale / scale[:, None]
    kept: list[int] = []
    for place in range(design.shape[1]):
        own = gram[place, place]
        if kept:
            among = gram[np.ix_(kept, kept)]
            own -= gram[place, kept] @ np.linalg.solve(among, gram[kept, place])
        if own > DEPENDENT:
            kept.append(place)
    return np.array(kept, dtype=np.int64)
