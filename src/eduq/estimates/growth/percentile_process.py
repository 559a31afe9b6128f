"""Linear quantile regression at many quantiles on weighted cells: an exact simplex walk from each quantile to the next.

At quantile τ, minimise Σ w_i ρ_τ(y_i − x_i'β). An optimum interpolates as many cells as there are columns (the basis h). With
B = X_h⁻¹ and g = Σ w(τ − 1[r < 0])x over the other cells, u = g'B; h is optimal when −w_h τ ≤ u ≤ w_h(1 − τ). Otherwise the cell
with the largest violation per length of its column of B leaves, and an exact line search along that column finds the cell
that enters. The optimum of one quantile starts the next, a few exchanges away.

References
----------
Barrodale, I. & Roberts, F. D. K. (1974). Solution of an overdetermined system of equations in the l1 norm. CACM 17, 319-320.
Koenker, R. & d'Orey, V. (1987). Computing regression quantiles. Applied Statistics 36, 383-393.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eduq.errors import NotAssessableError

__all__ = ["QUANTILES", "QuantileProcess", "fit_process", "pinball", "solve_linear_program"]

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

QUANTILES = (np.arange(1, 101) - 0.5) / 100
NEAR_SHARE = 0.06
"""Cells nearest to the neighbouring fit that take part one by one; the others count through their sum."""
NEAR_LEAST = 64
WIDER = 2.5
"""By how much the share grows when a far cell changed its side."""
TIE_BREAK = 1e-7
"""Outcomes are moved by up to this share of their spread while searching, so that no two cells tie."""
SEED = 20_241
TOLERANCE = 1e-9
SMALLEST_OBJECTIVE = 1e-6
"""Gaps are relative to the objective, or to this share of the outcome's spread where that is more."""
SMALLEST_MOVE = 1e-11
"""A cell that moves less than this share of the one that moves most cannot enter."""
REFRESH = 40
"""The inverse of the basis is computed afresh after so many exchanges."""
EXCHANGES = 60
"""Exchanges allowed for each column at one quantile before the linear program takes over (the first quantile may use more)."""


@dataclass(frozen=True)
class QuantileProcess:
    """Coefficients of all quantiles.

    Attributes
    ----------
    coefficients
        Shape (quantiles, columns).
    objectives
        Shape (quantiles,): Σ w ρ_τ(r) at the optimum.
    gaps
        Shape (quantiles,): objective less the bound of the dual problem, relative to the objective; 0 is proof of the
        optimum, and the breaking of ties leaves up to about 1e-7 where few cells carry the objective.
    n_exchanges
        Simplex steps in all.
    n_by_program
        Quantiles that the linear program solved because the walk did not end.
    """

    coefficients: Floats
    objectives: Floats
    gaps: Floats
    n_exchanges: int
    n_by_program: int


class _WalkNotEndedError(Exception):
    """The walk passed its bound of exchanges or its basis became singular."""


class _TooFewNearError(Exception):
    """A step would pass all near cells: more of them are needed. Holds the basis so far."""

    def __init__(self, basis: Places) -> None:
        super().__init__()
        self.basis = basis


def pinball(residuals: Floats, weights: Floats, quantile: float) -> float:
    """Return Σ w ρ_τ(r)."""
    return float(weights @ (residuals * (quantile - (residuals < 0))))


def fit_process(design: Floats, outcome: Floats, weights: Floats, quantiles: Floats = QUANTILES) -> QuantileProcess:
    """Fit linear quantile regressions of weighted cells at each quantile.

    Parameters
    ----------
    design
        Shape (cells, columns), of full column rank; the first column is 1.
    outcome, weights
        Shape (cells,); weights are counts of pupils.
    quantiles
        Increasing, inside (0, 1).
    """
    walk = _Walk(design, outcome, weights)
    middle = int(np.argmin(np.abs(quantiles - 0.5)))
    coefficients = np.empty((len(quantiles), design.shape[1]))
    duals = np.empty(len(quantiles))
    by_program = 0
    start = None
    for places in (range(middle, -1, -1), range(middle + 1, len(quantiles))):
        basis = walk.first_basis() if start is None else start
        for place in places:
            tau = float(quantiles[place])
            try:
                basis, duals[place] = walk.solve(basis, tau)
                coefficients[place] = np.linalg.solve(design[basis], outcome[basis])
            except (_WalkNotEndedError, np.linalg.LinAlgError):
                by_program += 1
                coefficients[place], duals[place] = solve_linear_program(design, outcome, weights, tau)
                basis = walk.first_basis(coefficients[place])
            if place == middle:
                start = basis
    objectives = _objectives(design, outcome, weights, quantiles, coefficients)
    # a perfect fit has no objective to be relative to
    scale = np.maximum(objectives, SMALLEST_OBJECTIVE * walk.spread * weights.sum())
    return QuantileProcess(coefficients, objectives, (objectives - duals) / scale, walk.n_exchanges, by_program)


def solve_linear_program(design: Floats, outcome: Floats, weights: Floats, quantile: float) -> tuple[Floats, float]:
    """Return β and the optimal objective from the dual linear program: max y'a with X'a = 0, w(τ − 1) ≤ a ≤ wτ (HiGHS).

    The first column of the design is 1.

    Raises
    ------
    NotAssessableError
        ``growth_quantile_unsolved``.
    """
    from scipy.optimize import linprog

    bounds: Any = np.column_stack([weights * (quantile - 1), weights * quantile])
    # the solver's tolerances are absolute; Σa = 0 by the intercept, so the centre drops out of the objective
    centre, spread = _centre_and_spread(outcome)
    found = linprog(-(outcome - centre) / spread, A_eq=design.T, b_eq=np.zeros(design.shape[1]), bounds=bounds, method="highs")
    if found.status != 0 or found.fun is None:
        raise NotAssessableError("growth_quantile_unsolved", quantile=f"{quantile:g}")
    beta = -spread * np.asarray(found.eqlin.marginals, dtype=np.float64)
    beta[0] += centre
    return beta, -spread * float(found.fun)


def _objectives(design: Floats, outcome: Floats, weights: Floats, quantiles: Floats, coefficients: Floats) -> Floats:
    total = np.zeros(len(quantiles))
    for at in range(0, len(design), 20_000):
        part = slice(at, at + 20_000)
        residuals = outcome[part, None] - design[part] @ coefficients.T
        total += weights[part] @ (residuals * (quantiles - (residuals < 0)))
    return total


def _times(matrix: Floats, vector: NDArray[np.floating[Any]]) -> Floats:
    """Return matrix·vector in one thread: thousands of short products, for which threads that wait for each other cost most."""
    return np.asarray(np.einsum("ij,j->i", matrix, vector), dtype=np.float64)


def _centre_and_spread(outcome: Floats) -> tuple[float, float]:
    """Return a middle and a scale that far-out scores do not move: median and median distance (mean distance where that is 0)."""
    centre = float(np.median(outcome))
    distance = np.abs(outcome - centre)
    return centre, float(np.median(distance)) or float(distance.mean()) or 1.0


class _Walk:
    """The cells and the simplex steps; a basis is an array of as many cells as there are columns."""

    def __init__(self, design: Floats, outcome: Floats, weights: Floats) -> None:
        self.design, self.weights, self.outcome = design, weights, outcome
        self.n_columns = design.shape[1]
        self.spread = _centre_and_spread(outcome)[1]
        shift = np.random.default_rng(SEED).uniform(-1, 1, len(outcome))
        self.moved = outcome + TIE_BREAK * self.spread * shift
        self.weighted = design * weights[:, None]
        self.all_sums = self.weighted.sum(axis=0)
        self.n_exchanges = 0

    def first_basis(self, near: Floats | None = None) -> Places:
        """Return independent cells near a fit (least squares by default)."""
        from scipy.linalg import qr

        root = np.sqrt(self.weights)
        beta = np.linalg.lstsq(self.design * root[:, None], self.moved * root, rcond=None)[0] if near is None else near
        order = np.argsort(np.abs(self.moved - _times(self.design, beta)), kind="stable")
        size = min(len(order), 50 * self.n_columns)
        while True:
            chosen = order[:size]
            _, upper, pivots = qr(self.design[chosen].T, mode="economic", pivoting=True)
            if abs(upper[self.n_columns - 1, self.n_columns - 1]) > TOLERANCE * abs(upper[0, 0]) or size == len(order):
                return np.asarray(chosen[pivots[: self.n_columns]], dtype=np.int64)
            size = min(4 * size, len(order))

    def solve(self, basis: Places, tau: float) -> tuple[Places, float]:
        """Return the optimal basis at a quantile, from that of a neighbour, and y'a of its dual, below which no fit goes."""
        share = NEAR_SHARE
        beta = np.linalg.solve(self.design[basis], self.moved[basis])
        residuals = self.moved - _times(self.design, beta)
        while True:
            n_near = min(len(residuals), max(int(share * len(residuals)), NEAR_LEAST * self.n_columns))
            near = self._nearest(residuals, n_near, basis)
            below = residuals < 0
            far_below = below.copy()
            far_below[near] = False
            far_sums = tau * (self.all_sums - self.weighted[near].sum(axis=0)) - self.weighted[far_below].sum(axis=0)
            try:
                found, within = self._descend(near, np.searchsorted(near, basis), tau, far_sums)
            except _TooFewNearError as error:
                if len(near) == len(residuals):
                    raise _WalkNotEndedError from None
                basis, share = near[error.basis], WIDER * share
                residuals = self.moved - _times(self.design, np.linalg.solve(self.design[basis], self.moved[basis]))
                continue
            basis = near[found]
            beta = np.linalg.solve(self.design[basis], self.moved[basis])
            residuals = self.moved - _times(self.design, beta)
            flipped = (residuals < 0) != below
            flipped[near] = False
            if not flipped.any():
                dual = self.weights * (tau - (residuals < 0))
                dual[basis] = within
                return basis, float(dual @ self.outcome)
            share *= WIDER

    def _nearest(self, residuals: Floats, n_near: int, basis: Places) -> Places:
        """Return the cells nearest to the fit, with the basis, sorted."""
        if n_near >= len(residuals):
            return np.arange(len(residuals))
        chosen = np.zeros(len(residuals), dtype=np.bool_)
        chosen[np.argpartition(np.abs(residuals), n_near)[:n_near]] = True
        chosen[basis] = True
        return np.flatnonzero(chosen)

    def _descend(self, near: Places, basis: Places, tau: float, far_sums: Floats) -> tuple[Places, Floats]:
        """Return the optimal basis (places within `near`) when far cells keep their side, and the dual values of its cells."""
        x, y, w = self.design[near], self.moved[near], self.weights[near]
        weighted = self.weighted[near]
        basis = basis.copy()
        allowed = EXCHANGES * self.n_columns + len(near)
        inverse = np.linalg.inv(x[basis])
        for step in range(allowed):
            if step % REFRESH == REFRESH - 1:
                inverse = np.linalg.inv(x[basis])
            r = y - _times(x, inverse @ y[basis])
            r[basis] = 0.0
            side = tau - (r < 0)
            side[basis] = 0.0
            u = (far_sums + _times(weighted.T, side)) @ inverse
            own = w[basis]
            excess = np.maximum(u - own * (1 - tau), -u - own * tau)
            if (excess <= TOLERANCE * (1 + own)).all():
                return basis, -u
            leaving = int(np.argmax(excess / np.sqrt((inverse**2).sum(axis=0))))
            direction = inverse[:, leaving] * (1.0 if u[leaving] > 0 else -1.0)
            entering = self._line_search(r, _times(x, direction), w, basis, float(excess[leaving]))
            if entering is None:
                raise _TooFewNearError(basis)
            row = x[entering] @ inverse
            column = inverse[:, leaving] / row[leaving]
            inverse = inverse - np.outer(column, row)
            inverse[:, leaving] = column
            basis[leaving] = entering
            self.n_exchanges += 1
        raise _WalkNotEndedError

    @staticmethod
    def _line_search(r: Floats, moves: Floats, w: Floats, basis: Places, descent: float) -> int | None:
        """Return the cell at which the objective stops falling, None when it falls past all of them."""
        ahead = (r * moves > 0) & (np.abs(moves) > SMALLEST_MOVE * np.abs(moves).max())
        ahead[basis] = False
        cells = np.flatnonzero(ahead)
        if not len(cells):
            return None
        slope = np.abs(moves[cells])
        times = np.abs(r[cells]) / slope
        gained = w[cells] * slope
        # most searches end among the first few break points
        size = min(len(cells), 256)
        while True:
            first = np.argpartition(times, size - 1)[:size] if size < len(cells) else np.arange(len(cells))
            order = first[np.argsort(times[first], kind="stable")]
            passed = np.flatnonzero(np.cumsum(gained[order]) > descent)
            if len(passed):
                return int(cells[order[passed[0]]])
            if size == len(cells):
                return None
            size = min(8 * size, len(cells))
