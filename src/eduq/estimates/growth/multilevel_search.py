"""The search for the variances: two starts, a polish to the last digits, boundaries, and never a silent failure."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from eduq.errors import NotAssessableError
from eduq.estimates.growth.multilevel_fits import Fit, Likelihood, TwoLevels

__all__ = ["find_fit", "upper_limit"]

Floats = NDArray[np.float64]

STARTS = (0.4, 1.5)
GRID = np.exp(np.linspace(-9.0, 4.0, 27))
"""Ratios of the units' SD to the residual SD at which one random effect is looked at first."""
STEP = 1e-5
ENOUGH = 1e-9
"""The deviance is at its lowest when a further step would win less than this."""
SAME = 1e-6
NEAR_ZERO = 0.02
LEAVINGS = 5
PROFILE = 2.71
"""Rise of the deviance at the one-sided 95 % limit."""


def find_fit(model: Likelihood, beta: Floats | None = None) -> Fit:
    """Return the model where its criterion is lowest.

    Raises
    ------
    NotAssessableError
        ``growth_not_converged``, ``growth_no_spread``.
    """
    start = model.at(np.zeros(model.n_theta), beta)
    if not math.isfinite(start.deviance) or start.sigma2 < 1e-14:
        raise NotAssessableError("growth_no_spread")
    try:
        return _lowest(model, beta)
    except np.linalg.LinAlgError as lost:
        shown = f"{start.deviance:.6f}"
        raise NotAssessableError("growth_not_converged", first=shown, second="–") from lost


def _lowest(model: Likelihood, beta: Floats | None) -> Fit:
    found = [_descend(model, theta, beta) for theta in _starts(model, beta)]
    best = min(found, key=lambda fit: fit.deviance)
    if abs(found[0].deviance - found[-1].deviance) > SAME:
        found.append(_descend(model, best.theta * 1.3 + 0.05 * model.bounded, beta))
        best = min(found, key=lambda fit: fit.deviance)
    if not _is_lowest(model, best, beta):
        raise NotAssessableError("growth_not_converged", first=f"{found[0].deviance:.6f}", second=f"{found[-1].deviance:.6f}")
    return best


def upper_limit(model: Likelihood, fit: Fit, place: int) -> float:
    """Return the ratio of SDs at which the profile criterion of a variance estimated as 0 has risen by 2.71."""
    from scipy.optimize import brentq, minimize_scalar

    def rise(value: float) -> float:
        def lowest(other: float) -> float:
            theta = fit.theta.copy()
            theta[place] = value
            if model.n_theta == 2:
                theta[1 - place] = other
            return model.at(theta).deviance

        if model.n_theta == 1:
            return lowest(0.0) - fit.deviance - PROFILE
        most = 2 * float(fit.theta[1 - place]) + 0.5
        found = min(float(minimize_scalar(lowest, bounds=(0, most), method="bounded").fun), lowest(0.0))
        return found - fit.deviance - PROFILE

    high = 0.05
    while rise(high) < 0:
        high *= 2
        if high > 1e4:
            return math.nan
    return float(brentq(rise, 0.0, high, xtol=1e-10))


def _starts(model: Likelihood, beta: Floats | None) -> list[Floats]:
    if model.n_theta == 1:
        lowest = min(GRID, key=lambda value: model.at(np.array([value]), beta).deviance)
        return [np.array([lowest])]
    return [np.where(model.bounded, value, 0.0) for value in STARTS]


def _descend(model: Likelihood, theta: Floats, beta: Floats | None) -> Fit:
    from scipy.optimize import minimize

    def criterion(values: Floats) -> tuple[float, Floats]:
        fit = model.at(values, beta)
        return fit.deviance, fit.gradient

    fit = model.at(theta, beta)
    for _ in range(LEAVINGS):
        if model.n_theta > 1:
            # the sign of a column of Λ changes nothing: no bounds here, on which the search would stick
            found = minimize(
                criterion, fit.theta, jac=True, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-7, "maxiter": 500}
            )
            fit = model.at(model.upright(found.x), beta)
        fit = _polish(model, fit, beta)
        better = _off_boundary(model, fit, beta)
        if better is None:
            break
        fit = better
    return fit


def _off_boundary(model: Likelihood, fit: Fit, beta: Floats | None) -> Fit | None:
    """Return a lower fit with a diagonal entry moved off 0, where the gradient says nothing; None where there is none."""
    noise = ENOUGH + 1e-12 * abs(fit.deviance)
    for k in np.flatnonzero(model.bounded & (fit.theta <= 0)):
        for value in (NEAR_ZERO / 2, NEAR_ZERO * 5):
            theta = fit.theta.copy()
            theta[k] = value
            trial = model.at(theta, beta)
            if trial.deviance < fit.deviance - noise:
                return trial
    return None


def _polish(model: Likelihood, fit: Fit, beta: Floats | None) -> Fit:
    """Return the fit after Newton steps on the exact gradient; entries that belong on their boundary are set to 0."""
    for _ in range(60):
        fit = _snap(model, fit, beta)
        free = ~(model.bounded & (fit.theta <= 0))
        if not free.any():
            break
        step = _newton(model, fit, free, beta)
        gain = -float(step @ fit.gradient)
        moved = None
        for shorter in range(30):
            theta = fit.theta + step / 2**shorter
            theta = np.where(model.bounded, np.maximum(theta, fit.theta / 10), theta)
            trial = model.at(theta, beta)
            if trial.deviance <= fit.deviance + 1e-13 * abs(fit.deviance):
                moved = trial
                break
        if moved is None:
            break
        fit = moved
        if gain < ENOUGH * 1e-4:
            break
    return _snap(model, fit, beta)


def _snap(model: Likelihood, fit: Fit, beta: Floats | None) -> Fit:
    """Set small diagonal entries to 0 where that is no worse."""
    for k in np.flatnonzero(model.bounded & (fit.theta > 0) & (fit.theta < NEAR_ZERO)):
        theta = fit.theta.copy()
        theta[k] = 0.0
        trial = model.at(theta, beta)
        if trial.deviance <= fit.deviance:
            fit = trial
    return fit


def _newton(model: Likelihood, fit: Fit, free: NDArray[np.bool_], beta: Floats | None) -> Floats:
    """Return the Newton step in the free entries; curvature from differences of the gradient, made positive."""
    at = np.flatnonzero(free)
    curve = np.empty((len(at), len(at)))
    for column, k in enumerate(at):
        apart = STEP * max(1.0, abs(float(fit.theta[k])))
        if model.bounded[k]:
            apart = min(apart, float(fit.theta[k]) / 2)
        ahead, behind = fit.theta.copy(), fit.theta.copy()
        ahead[k] += apart
        behind[k] -= apart
        curve[:, column] = (model.at(ahead, beta).gradient[at] - model.at(behind, beta).gradient[at]) / (2 * apart)
    values, vectors = np.linalg.eigh((curve + curve.T) / 2)
    most = max(float(np.abs(values).max()), 1e-300)
    safe = np.maximum(np.abs(values), 1e-9 * most)
    step = np.zeros(model.n_theta)
    step[at] = -vectors @ ((vectors.T @ fit.gradient[at]) / safe)
    return step


def _is_lowest(model: Likelihood, fit: Fit, beta: Floats | None) -> bool:
    """Return whether no step in the free entries, and none off a boundary, wins anything."""
    free = ~(model.bounded & (fit.theta <= 0))
    noise = ENOUGH + 1e-12 * abs(fit.deviance)
    if free.any() and -float(_newton(model, fit, free, beta) @ fit.gradient) / 2 > noise:
        return False
    return _off_boundary(model, fit, beta) is None


def is_singular(model: Likelihood, fit: Fit) -> bool:
    """Return whether a variance is 0 or the random effects are wholly correlated."""
    if isinstance(model, TwoLevels):
        return bool((np.diag(model.factor(fit.theta)) < 1e-4).any())
    return bool((fit.theta < 1e-4).any())
