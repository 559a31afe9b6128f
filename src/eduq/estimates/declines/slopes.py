"""Slopes of the units, relative to their family: generalised least squares, standard errors, degrees of freedom, p-values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eduq.estimates.declines.panels import Panel, correlation_matrix
from eduq.estimates.declines.shocks import Lines, exact_lines, shared_variance

__all__ = ["Slopes", "correlated_lines", "estimate_slopes", "unit_covariance"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Slopes:
    """Slopes b_s − b̄ per world and unit (W, S); nan for units outside the fit.

    Attributes
    ----------
    slope, std_error, df, p
        Slope in SDs a period, its standard error, Satterthwaite degrees of freedom, one-sided p of "no fall".
    mean_slope
        (W,): the precision-weighted mean that was taken out.
    effects
        (W, T): period effects.
    """

    slope: Floats
    std_error: Floats
    df: Floats
    p: Floats
    mean_slope: Floats
    effects: Floats


def unit_covariance(panel: Panel, shock: Floats, rho: float, overlap: int) -> Floats:
    """Return Var(u + e) of every unit, (W, S, T, T): diag(v) + ω²ρ^|k−l|, with overlap (ω² + v)·C."""
    correlation = correlation_matrix(panel.times, rho, overlap)
    if overlap > 1:
        root = np.sqrt(panel.variances + shock[:, None, None])
        return np.asarray(root[..., :, None] * correlation * root[..., None, :])
    sampling = panel.variances[..., :, None] * np.eye(len(panel.times))
    return np.asarray(sampling + shock[:, None, None, None] * correlation)


def correlated_lines(panel: Panel, shock: Floats, rho: float, overlap: int) -> Lines:
    """Return the generalised least squares lines with period effects, each unit with its own covariance."""
    both = panel.present[:, :, None] & panel.present[:, None, :]
    covariance = np.where(both, unit_covariance(panel, shock, rho, overlap), np.eye(len(panel.times)))
    inverse = np.where(both, np.linalg.inv(covariance), 0.0)
    design = np.column_stack([np.ones_like(panel.times), panel.times])
    weighted = inverse @ design
    information = np.swapaxes(weighted, -1, -2) @ design
    fitted = panel.n_periods > 1
    information = np.where(fitted[:, None, None], information, np.eye(2))
    a, b, d = information[..., 0, 0], information[..., 0, 1], information[..., 1, 1]
    determinant = a * d - b * b
    toward_y = np.einsum("wstk,wst->wsk", weighted, panel.means)
    toward_z = np.swapaxes(weighted, -1, -2) @ panel.years
    inverse_information = (
        np.stack([np.stack([d, -b], axis=-1), np.stack([-b, a], axis=-1)], axis=-2) / determinant[..., None, None]
    )
    line_y = np.einsum("wsij,wsj->wsi", inverse_information, toward_y)
    line_z = inverse_information @ toward_z
    effects = np.zeros((len(shock), panel.years.shape[1]))
    shared = np.zeros(panel.means.shape[:2])
    precision = np.where(fitted, determinant / a, 0.0)
    if panel.years.shape[1]:
        z_weighted = inverse @ panel.years
        system = np.einsum("wsty,tx->wyx", z_weighted, panel.years) - np.einsum("wsky,wskx->wyx", toward_z, line_z)
        right = np.einsum("wsty,wst->wy", z_weighted, panel.means) - np.einsum("wsky,wsk->wy", toward_z, line_y)
        effects = np.linalg.solve(system, right[..., None])[..., 0]
        shared = shared_variance(system, line_z[..., 1, :], precision)
    slope = line_y[..., 1] - np.einsum("wsy,wy->ws", line_z[..., 1, :], effects)
    return Lines(np.where(fitted, slope, np.nan), np.where(fitted, precision, np.nan), effects @ panel.years.T, shared)


def estimate_slopes(panel: Panel, shock: Floats, *, rho: float, overlap: int) -> Slopes:
    """Return the slopes at a given shock variance (W,) and correlation.

    b_s is the weighted line of y − γ̂, taken relative to the precision-weighted mean b̄: V_s = 1/Sxx_s − 1/ΣSxx, and what
    estimating γ adds to it, which is nothing to speak of unless periods are missing (`Lines.shared`). The p-value is
    one-sided from t with df_s = [df / Σ(T_j − 2)]·Σ_j (T_j − 2)·((v̄_s + ω²)/(v̄_j + ω²))², Satterthwaite's degrees of freedom
    of the pooled variance as seen by unit s; with all periods present that is (T−2)(1−1/S)·Σ_j(…)².
    Two periods leave no degrees of freedom: the declared shock is taken as known and the reference is normal.

    References
    ----------
    Satterthwaite, F. E. (1946). An approximate distribution of estimates of variance components. Biometrics Bulletin 2, 110-114.
    """
    from scipy.special import ndtr, stdtr

    independent = rho == 0.0 and overlap == 1
    lines = exact_lines(panel, shock) if independent else correlated_lines(panel, shock, rho, overlap)
    fitted = panel.n_periods > 1
    precision = np.where(fitted, lines.precision, 0.0)
    total = precision.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_slope = (precision * np.where(fitted, lines.slope, 0.0)).sum(axis=1, keepdims=True) / total
        slope = lines.slope - mean_slope
        left = panel.df
        variance = 1.0 / lines.precision - (1.0 / total if left > 0 else 0.0) + lines.shared
        std_error = np.sqrt(np.maximum(variance, 0.0))
        if left > 0:
            free = np.maximum(panel.n_periods - 2, 0).astype(np.float64)
            # a unit outside the fit has no variance of its own: with no shock either it would make every sum 0/0
            spread = np.where(free > 0, panel.mean_variances + shock[:, None], 1.0)
            df = left / free.sum() * spread**2 * (free / spread**2).sum(axis=1, keepdims=True)
            p = stdtr(df, slope / std_error)
        else:
            df = np.full_like(slope, np.inf)
            p = ndtr(slope / std_error)
    df = np.where(fitted, np.broadcast_to(df, slope.shape), np.nan)
    p = np.where(fitted & (fitted.sum() > 1), p, np.nan)
    return Slopes(slope, np.where(fitted, std_error, np.nan), df, p, mean_slope[:, 0], lines.effects)
