"""The cohort shock: its variance by REML, its serial correlation, and the Q-profile interval.

Two forms of one likelihood. The exact one refits every unit's line at each ω² (independent shocks). The projected one works
on the T − 2 contrasts that a line leaves: with the unit's mean sampling variance they are independent, and the REML score is
a sum of scalars; it serves correlated shocks and gives the exact one its start. Both take an axis of worlds in front.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eduq.estimates.declines.panels import Panel, contrasts, correlation_matrix

__all__ = [
    "Lines",
    "Projection",
    "exact_lines",
    "exact_shock",
    "profile_interval",
    "project",
    "projected_shock",
    "shared_variance",
]

Floats = NDArray[np.float64]
Evaluation = tuple[Floats, Floats, Floats, Floats]
"""Per world: objective (−2 log restricted likelihood), its derivative, a first guess of the second, the quadratic form."""
LONGEST_PRODUCT = 20
"""Variances lie above 1e-12 (`SMALLEST`): the product of so many is still a number."""
STEPS, RELATIVE, ABSOLUTE = 60, 1e-6, 1e-11
"""Of the search for ω²: most steps, and the size of the last one; the secant's error is far below its last step."""


@dataclass(frozen=True)
class Projection:
    """Contrasts of the units that share a pattern of periods: values (W, S_p, K) with variances κ·v̄ + λ·ω²."""

    values: Floats
    variances: Floats
    kappa: Floats
    lam: Floats
    years: Floats


@dataclass(frozen=True)
class Lines:
    """Lines of the units at a given shock variance, per world.

    Attributes
    ----------
    slope, precision
        (W, S): slope and the inverse of its variance, nan for units outside the fit.
    effects
        (W, T): period effects (the first and the last are 0).
    shared
        (W, S): variance that estimating the period effects adds to the slope against the mean slope; next to nothing unless
        periods are missing.
    """

    slope: Floats
    precision: Floats
    effects: Floats
    shared: Floats


def project(panel: Panel, rho: float, overlap: int) -> list[Projection]:
    """Return the residual contrasts of a panel for one shock correlation, pattern by pattern of missing periods."""
    found = []
    mean_variances = panel.mean_variances
    for cells, units in panel.patterns:
        times = panel.times[cells]
        basis = contrasts(times)
        lam, turn = np.linalg.eigh(basis.T @ correlation_matrix(times, rho, overlap) @ basis)
        axes = basis @ turn
        kappa = lam if overlap > 1 else np.ones_like(lam)
        every = len(units) == panel.means.shape[1]
        values = (panel.means if every else panel.means[:, units])[:, :, cells] @ axes
        found.append(
            Projection(values, mean_variances if every else mean_variances[:, units], kappa, lam, axes.T @ panel.years[cells])
        )
    return found


def _solve(matrix: Floats, right: Floats) -> Floats:
    """Solve stacked systems; a system without unknowns has an empty solution."""
    return np.asarray(np.linalg.solve(matrix, right[..., None])[..., 0]) if matrix.shape[-1] else right


def _log_det(matrix: Floats) -> Floats:
    return np.asarray(np.linalg.slogdet(matrix)[1]) if matrix.shape[-1] else np.zeros(matrix.shape[0])


def _sum_of_logs(values: Floats) -> Floats:
    """Return Σ log over units and the last axis: one logarithm per unit, of a product of a few variances or weights."""
    if values.shape[2] > LONGEST_PRODUCT:
        return np.asarray(np.log(values).sum(axis=(1, 2)))
    return np.asarray(np.log(np.multiply.reduce(values, axis=2)).sum(axis=1))


def evaluate_projected(projections: list[Projection], shock: Floats) -> Evaluation:
    """Return the projected restricted likelihood and its derivatives at ω² (W,)."""
    n_years = projections[0].years.shape[1]
    information = np.zeros((len(shock), n_years, n_years))
    right = np.zeros((len(shock), n_years))
    objective = np.zeros_like(shock)
    weights = []
    for part in projections:
        variance = part.variances[:, :, None] * part.kappa + shock[:, None, None] * part.lam
        weight = 1.0 / variance
        weights.append(weight)
        objective += _sum_of_logs(variance)
        information += np.einsum("wk,ky,kx->wyx", weight.sum(axis=1), part.years, part.years)
        right += np.einsum("wsk,wsk->wk", weight, part.values) @ part.years
    effects = _solve(information, right)
    score, curve, quadratic = np.zeros_like(shock), np.zeros_like(shock), np.zeros_like(shock)
    change = np.zeros_like(information)
    for part, weight in zip(projections, weights, strict=True):
        residual = part.values - (effects @ part.years.T)[:, None, :]
        leaned = weight * residual
        quadratic += np.einsum("wsk,wsk->w", leaned, residual)
        score += weight.sum(axis=1) @ part.lam - np.einsum("wsk,wsk->wk", leaned, leaned) @ part.lam
        squares = np.einsum("wsk,wsk->wk", weight, weight)
        curve += squares @ part.lam**2
        change += np.einsum("wk,ky,kx->wyx", squares * part.lam, part.years, part.years)
    if n_years:
        score -= np.trace(np.linalg.solve(information, change), axis1=1, axis2=2)
    return objective + _log_det(information) + quadratic, score, curve, quadratic


def _exact_parts(panel: Panel, shock: Floats) -> tuple[Floats, ...]:
    """Return weights, their sums, centred times, their sums of squares, and unit lines of y and of the period columns."""
    weight = panel.present / (panel.variances + shock[:, None, None])
    total = weight.sum(axis=2)
    safe = np.where(total > 0, total, 1.0)
    centre = weight @ panel.times / safe
    apart = panel.times - centre[:, :, None]
    leaned = weight * apart
    spread = np.einsum("wst,wst->ws", leaned, apart)
    safe_spread = np.where(spread > 0, spread, 1.0)
    y_mean = np.einsum("wst,wst->ws", weight, panel.means) / safe
    y_slope = np.einsum("wst,wst->ws", leaned, panel.means) / safe_spread
    z_mean = weight @ panel.years / safe[:, :, None]
    z_slope = leaned @ panel.years / safe_spread[:, :, None]
    return weight, total, apart, spread, y_mean, y_slope, z_mean, z_slope


def _year_system(panel: Panel, parts: tuple[Floats, ...]) -> tuple[Floats, Floats]:
    """Return the information on the period effects after the units' lines, and the right-hand side."""
    weight, total, _, spread, y_mean, y_slope, z_mean, z_slope = parts
    years = panel.years
    across = weight.sum(axis=1)
    information = np.einsum("wt,ty,tx->wyx", across, years, years)
    information -= np.swapaxes(z_mean * total[:, :, None], 1, 2) @ z_mean
    information -= np.swapaxes(z_slope * spread[:, :, None], 1, 2) @ z_slope
    right = np.einsum("wst,wst->wt", weight, panel.means) @ years
    right -= np.einsum("wsy,ws->wy", z_mean, total * y_mean) + np.einsum("wsy,ws->wy", z_slope, spread * y_slope)
    return information, right


def exact_lines(panel: Panel, shock: Floats) -> Lines:
    """Return the weighted least squares lines with period effects, for independent shocks of variance ω² (W,)."""
    parts = _exact_parts(panel, shock)
    information, right = _year_system(panel, parts)
    effects = _solve(information, right)
    spread, y_slope, z_slope = parts[3], parts[5], parts[7]
    fitted = panel.n_periods > 1
    slope = y_slope - np.einsum("wsy,wy->ws", z_slope, effects)
    shared = shared_variance(information, z_slope, np.where(fitted, spread, 0.0))
    return Lines(np.where(fitted, slope, np.nan), np.where(fitted, spread, np.nan), effects @ panel.years.T, shared)


def shared_variance(information: Floats, z_slope: Floats, precision: Floats) -> Floats:
    """Return (z_s − z̄)'C⁻¹(z_s − z̄), z_s the slopes of the period columns and z̄ their precision-weighted mean."""
    if z_slope.shape[2] == 0:
        return np.zeros(z_slope.shape[:2])
    total = np.maximum(precision.sum(axis=1), 1e-300)
    mean = np.einsum("ws,wsy->wy", precision, z_slope) / total[:, None]
    apart = z_slope - mean[:, None, :]
    return np.asarray(np.einsum("wsy,wsy->ws", apart, np.swapaxes(np.linalg.solve(information, np.swapaxes(apart, 1, 2)), 1, 2)))


def evaluate_exact(panel: Panel, shock: Floats) -> Evaluation:
    """Return the exact restricted likelihood and its derivatives at ω² (W,), independent shocks."""
    parts = _exact_parts(panel, shock)
    weight, total, apart, spread, y_mean, y_slope, z_mean, z_slope = parts
    information, right = _year_system(panel, parts)
    effects = _solve(information, right)
    squares = weight * weight
    leaned = squares * apart
    sums = squares.sum(axis=2), leaned.sum(axis=2), np.einsum("wst,wst->ws", leaned, apart)
    used = total > 0
    safe, safe_spread = np.where(used, total, 1.0), np.where(used, spread, 1.0)
    trace = weight.sum(axis=(1, 2)) - (sums[0] / safe + sums[2] / safe_spread).sum(axis=1)
    if panel.years.shape[1]:
        inner = _squared_years(panel, squares, leaned, sums, z_mean, z_slope)
        trace = trace - np.trace(np.linalg.solve(information, inner), axis1=1, axis2=2)
    level = y_mean - np.einsum("wsy,wy->ws", z_mean, effects)
    slope = y_slope - np.einsum("wsy,wy->ws", z_slope, effects)
    residual = panel.means - (effects @ panel.years.T)[:, None, :] - level[:, :, None] - apart * slope[:, :, None]
    residual *= weight
    quadratic = np.einsum("wst,wst->w", residual, panel.means)
    logs = -_sum_of_logs(np.where(panel.present, weight, 1.0))
    logs += np.where(used, np.log(safe) + np.log(safe_spread), 0.0).sum(axis=1)
    score = trace - np.einsum("wst,wst->w", residual, residual)
    return logs + _log_det(information) + quadratic, score, sums[0].sum(axis=1), quadratic


def _squared_years(
    panel: Panel, squares: Floats, leaned: Floats, sums: tuple[Floats, ...], z_mean: Floats, z_slope: Floats
) -> Floats:
    """Return Σ w² z̃z̃', z̃ the period columns less the units' lines, from sums per unit."""
    years = panel.years
    inner = np.einsum("wt,ty,tx->wyx", squares.sum(axis=1), years, years)
    half = z_mean * (sums[0][:, :, None] / 2) - squares @ years
    cross = np.swapaxes(half, 1, 2) @ z_mean
    half = z_slope * (sums[2][:, :, None] / 2) - leaned @ years + z_mean * sums[1][:, :, None]
    cross += np.swapaxes(half, 1, 2) @ z_slope
    return np.asarray(inner + cross + np.swapaxes(cross, 1, 2))


def _minimise(evaluate: Callable[[Floats], Evaluation], start: Floats) -> tuple[Floats, Floats]:
    """Return per world the ω² ≥ 0 of least objective and that objective.

    Steps on the derivative, first by the information, then by the secant, inside a bracket; compared with ω² = 0.
    """
    at_zero, score_zero, _, _ = evaluate(np.zeros_like(start))
    now, before, score_before = start, np.full_like(start, np.nan), np.full_like(start, np.nan)
    low, high = np.zeros_like(start), np.full_like(start, np.inf)
    closed, settled = np.zeros(start.shape, dtype=np.bool_), np.zeros(start.shape, dtype=np.bool_)
    for _ in range(STEPS):
        objective, score, curve, _ = evaluate(now)
        # a likelihood that falls from zero on, and is lower at the start, too, has its maximum at zero
        closed |= (score_zero >= 0) & (score >= 0) & (at_zero <= objective)
        low = np.where(score < 0, now, low)
        high = np.where(score >= 0, now, high)
        with np.errstate(divide="ignore", invalid="ignore"):
            secant = (score - score_before) / (now - before)
            step = score / np.where(np.isfinite(secant) & (secant > 0), secant, curve)
        step = np.where(np.isfinite(step) & ~settled, step, 0.0)
        settled |= closed | (np.abs(step) <= RELATIVE * now + ABSOLUTE)
        after = now - step
        halved = np.where(np.isfinite(high), (low + high) / 2, 4 * now)
        after = np.where(settled | (after > low) & (after < high), after, halved)
        before, score_before, now = now, score, np.maximum(after, 0.0)
        if bool(settled.all()):
            break
    zero_wins = closed | (at_zero <= objective)
    return np.where(zero_wins, 0.0, now), np.where(zero_wins, at_zero, objective)


def _moment_start(projections: list[Projection]) -> Floats:
    """Return a rough ω²: mean square of the contrasts less the sampling part."""
    squares = sum(np.einsum("wsk,wsk->w", part.values, part.values) for part in projections)
    sampling = sum((part.variances.sum(axis=1)[:, None] * part.kappa).sum(axis=1) for part in projections)
    shares = sum(part.values.shape[1] * part.lam.sum() for part in projections)
    return np.asarray(np.maximum((squares - sampling) / shares, 1e-6))


def projected_shock(panel: Panel, rho: float, overlap: int) -> tuple[Floats, Floats]:
    """Return ω² (W,) by REML on the contrasts at one shock correlation, and the −2 log restricted likelihood.

    Objectives of different correlations can be compared: the contrasts span the same space.
    """
    projections = project(panel, rho, overlap)
    return _minimise(lambda shock: evaluate_projected(projections, shock), _moment_start(projections))


def exact_shock(panel: Panel, start: Floats) -> Floats:
    """Return ω² (W,) by exact REML with independent shocks, from a start such as the projected ω²."""
    return _minimise(lambda shock: evaluate_exact(panel, shock), np.maximum(start, 1e-6))[0]


def profile_interval(panel: Panel, *, rho: float, overlap: int, level: float) -> tuple[float, float]:
    """Return the Q-profile interval of ω² of the first world.

    The bounds are where the weighted residual sum of squares equals the χ² quantiles with `Panel.df` degrees of freedom;
    a bound that is not reached is 0.

    References
    ----------
    Viechtbauer, W. (2007). Confidence intervals for the amount of heterogeneity in meta-analysis. Statistics in Medicine 26,
    37-52.
    """
    from scipy.special import chdtri

    one = panel.take(slice(0, 1))
    projections = project(one, rho, overlap)

    def projected(shock: float) -> float:
        return float(evaluate_projected(projections, np.array([shock]))[3][0])

    def exact(shock: float) -> float:
        return _exact_quadratic(one, np.array([shock]))

    independent = rho == 0.0 and overlap == 1
    found = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        wanted = float(chdtri(panel.df, tail))
        rough = _cross(projected, wanted, 0.01)
        found.append(_cross(exact, wanted, rough or 0.01) if independent else rough)
    return found[0], found[1]


def _exact_quadratic(panel: Panel, shock: Floats) -> float:
    """Return the weighted residual sum of squares of the first world: y'Wy less what lines and period effects explain."""
    parts = _exact_parts(panel, shock)
    weight, total, _, spread, y_mean, y_slope, _, _ = parts
    information, right = _year_system(panel, parts)
    lines = np.einsum("ws,ws->w", total * y_mean, y_mean) + np.einsum("ws,ws->w", spread * y_slope, y_slope)
    squares = np.einsum("wst,wst->w", weight * panel.means, panel.means)
    return float((squares - lines - np.einsum("wy,wy->w", right, _solve(information, right)))[0])


def _cross(falling: Callable[[float], float], wanted: float, guess: float) -> float:
    """Return where a falling function of ω² ≥ 0 meets a value (regula falsi on its inverse), 0 when it starts below."""
    at_low, low = falling(0.0), 0.0
    if at_low <= wanted:
        return 0.0
    high = guess * 1.02
    while (at_high := falling(high)) > wanted:
        low, at_low, high = high, at_high, high * 2
    side = 0
    pull_low = pull_high = 1.0
    for _ in range(80):
        # 1/Q is close to a straight line in ω²
        left, right = pull_low * (1 / at_low - 1 / wanted), pull_high * (1 / at_high - 1 / wanted)
        middle = (low * right - high * left) / (right - left)
        at_middle = falling(middle)
        if at_middle > wanted:
            pull_high = pull_high / 2 if side == 1 else 1.0
            low, at_low, pull_low, side = middle, at_middle, 1.0, 1
        else:
            pull_low = pull_low / 2 if side == -1 else 1.0
            high, at_high, pull_high, side = middle, at_middle, 1.0, -1
        if high - low <= 1e-10 * high or abs(at_middle / wanted - 1) < 1e-10:
            return middle
    return (low + high) / 2
