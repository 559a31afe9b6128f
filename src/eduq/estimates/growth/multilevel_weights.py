"""Co-teaching: pupils who belong to several units by shares (multiple membership), fitted exactly.

A pupil's effect of units is Σ share·u over the units that teach him, so the shares stand in Z where whole units have ones, Z'Z is
no longer the number of pupils, and a pupil of two units couples them. Units joined through pupils make one block; with the
eigenvalues of Z'Z in each block every quantity is a sum of scalars, whatever the ratio of variances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.errors import DataFileError, NotAssessableError, UsageError
from eduq.estimates.frames import FrameLike, as_frame
from eduq.estimates.growth.inputs import GrowthRows, number_labels, read_rows
from eduq.estimates.growth.multilevel_fits import Fit, _profile
from eduq.estimates.growth.multilevel_products import INTERCEPT, Products, _predictors, collect_products
from eduq.estimates.growth.multilevel_search import find_fit, upper_limit
from eduq.estimates.growth.results import GrowthModel, GrowthResult

__all__ = ["SharedUnits", "fit_weighted"]

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

FEWEST_UNITS = 5
LARGEST_BLOCK = 2_000
"""So many units joined by pupils can be taken apart in memory and time."""
WHOLE = 1e-6
"""Shares of a pupil sum to 1 up to this."""


@dataclass(frozen=True)
class _Shares:
    """Who is taught by whom: places of pupils and units and the share of each pair, sorted; labels of the units."""

    pupil: Places
    unit: Places
    share: Floats
    units: pl.Series


class SharedUnits:
    """Likelihood of pupils in units by shares; θ is the SD of units over the residual SD."""

    def __init__(self, products: Products, table: Floats, shares: _Shares, reml: bool) -> None:
        self.products, self.reml, self.n_theta, self.bounded = products, reml, 1, np.array([True])
        self.whole = table.T @ table
        units = len(shares.units)
        self.sums = np.column_stack(
            [np.bincount(shares.unit, shares.share * table[shares.pupil, k], minlength=units) for k in range(table.shape[1])]
        )
        self.blocks = _blocks(shares, len(table))
        self.values = np.concatenate([values for _, values, _ in self.blocks])
        self.turned = np.concatenate([vectors.T @ self.sums[at] for at, _, vectors in self.blocks])

    def upright(self, theta: Floats) -> Floats:
        """Return the θ of the same variance that is not negative."""
        return np.abs(theta)

    def at(self, theta: Floats, beta: Floats | None = None) -> Fit:
        """Return the model at θ; at given fixed effects where they are handed in."""
        ratio, p, n = float(theta[0]) ** 2, self.products.p, self.products.n
        shrink = 1 / (1 + ratio * self.values)
        inside = self.turned * shrink[:, None]
        table = self.whole - ratio * (self.turned.T @ inside)
        table = (table + table.T) / 2
        log_det = -float(np.log(shrink).sum())
        beta, rss, deviance = _profile(self.products, self.reml, table, log_det, beta)
        free = n - p if self.reml else n
        left = inside @ np.append(-beta, 1.0)
        slope = float((self.values * shrink).sum()) - free / rss * float(left @ left)
        if self.reml:
            slope -= float(np.trace(np.linalg.solve(table[:p, :p], inside[:, :p].T @ inside[:, :p])))
        return Fit(theta, deviance, np.array([2 * float(theta[0]) * slope]), beta, table[:p, :p], rss / free, log_det)

    def weighted(self, theta: Floats) -> Floats:
        """Not for shared pupils: units are not independent of each other."""
        raise NotImplementedError

    def own_of_units(self) -> Floats:
        """Not for shared pupils, likewise."""
        raise NotImplementedError

    def trace_inverse(self, theta: Floats) -> Floats:
        """Not for shared pupils, likewise."""
        raise NotImplementedError

    def effects(self, fit: Fit) -> tuple[Floats, Floats, Floats]:
        """Return u of each unit, its conditional variance and K = λ(I + λZ'Z)⁻¹Z'X, in scaled columns."""
        ratio, p = float(fit.theta[0]) ** 2, self.products.p
        found, spread = np.empty(len(self.sums)), np.empty(len(self.sums))
        reach = np.empty((len(self.sums), p))
        contrast = np.append(-fit.beta, 1.0)
        for at, values, vectors in self.blocks:
            shrink = ratio / (1 + ratio * values)
            inside = vectors @ (shrink[:, None] * (vectors.T @ self.sums[at]))
            found[at], reach[at] = inside @ contrast, inside[:, :p]
            spread[at] = fit.sigma2 * (vectors**2 @ shrink)
        return found, spread, reach


def _blocks(shares: _Shares, pupils: int) -> list[tuple[Places, Floats, Floats]]:
    """Return, per block of units joined through pupils, its units and the eigenvalues and eigenvectors of Z'Z."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    units = len(shares.units)
    z = csr_matrix((shares.share, (shares.pupil, shares.unit)), shape=(pupils, units))
    cross = (z.T @ z).tocsr()
    number, label = connected_components(cross, directed=False)
    order = np.argsort(label, kind="stable")
    ends = np.searchsorted(label[order], np.arange(number + 1))
    blocks = []
    for place in range(number):
        at = order[ends[place] : ends[place + 1]].astype(np.int64)
        if len(at) > LARGEST_BLOCK:
            raise NotAssessableError("growth_weights_units", n=len(at), most=LARGEST_BLOCK)
        if len(at) == 1:
            blocks.append((at, cross[at[0], [at[0]]].toarray().ravel().astype(np.float64), np.ones((1, 1))))
            continue
        values, vectors = np.linalg.eigh(cross[at][:, at].toarray())
        blocks.append((at, np.maximum(values, 0.0), vectors))
    return blocks


def fit_weighted(
    frame: FrameLike,
    *,
    outcome: str,
    prior: Sequence[str],
    unit: str,
    weights: str,
    pupil: str,
    level: float,
    reml: bool,
    covariates: Sequence[str],
) -> GrowthResult:
    """Return the multilevel model of pupils who belong to several units by shares.

    Parameters
    ----------
    frame
        One row per pupil and unit.
    outcome, prior, unit, covariates, level, reml
        As in `eduq.estimates.growth.estimate_growth`; a pupil's outcome, priors and covariates are the same in each of his rows.
    weights
        Column of shares: above 0, of each pupil 1 in all.
    pupil
        Column that says which rows are one pupil's.

    Returns
    -------
    GrowthResult
        ``frame`` as of ``multilevel`` without ``raw`` (a co-taught pupil's residual is not of one unit alone), with ``n``
        pupils who belong to the unit at all and ``n_shares`` the sum of their shares.

    References
    ----------
    Browne, W. J., Goldstein, H. and Rasbash, J. (2001). Multiple membership multiple classification (MMMC) models. Statistical
    Modelling 1, 103-124.
    """
    data = as_frame(frame, error="growth_source")
    for name in (weights, pupil):
        if name not in data.columns:
            raise UsageError("growth_column_missing", column=name, known=", ".join(data.columns))
    every = read_rows(data, unit=unit, outcome=outcome, prior=prior, covariates=covariates)
    if unit in {"n", "n_shares", "method", "conf_level", "reason", "estimate", "std_error", "reliability", "centred"}:
        raise UsageError("growth_name_taken", column=unit)
    rows, shares = _share(every, weights, pupil, covariates)
    products = collect_products(rows, covariates=covariates, random_slopes=(), class_unit=None, own=False)
    model = SharedUnits(products, _table(rows, products, covariates), shares, reml)
    reason = "too_few_units" if len(shares.units) < FEWEST_UNITS else None
    if reason is None and len(rows.at) <= len(shares.units):
        reason = "one_pupil_each"
    fit = model.at(np.zeros(1)) if reason else find_fit(model)
    found = _model(model, fit, len(shares.units), reason)
    settings: dict[str, Any] = {"method": "multilevel", "outcome": outcome, "prior": list(prior), "unit": unit, "level": level}
    settings |= {"reml": reml, "covariates": list(covariates), "weights": weights, "pupil": pupil}
    return GrowthResult(_lay_out(model, fit, shares, unit, level, reason), settings, unit, every.left_out, model=found)


def _share(every: GrowthRows, weights: str, pupil: str, covariates: Sequence[str]) -> tuple[GrowthRows, _Shares]:
    """Return one row per pupil, sorted, and the shares; rows of one pupil and unit are added up."""
    used = every.frame[every.at.tolist()]
    given = used[weights]
    share = given.cast(pl.Float64, strict=False) if given.dtype.is_numeric() else None
    if share is None or share.null_count() or not share.is_finite().all() or (share <= 0).any():
        raise DataFileError("growth_weights_value", column=weights)
    if used[pupil].null_count():
        raise DataFileError("growth_weights_value", column=pupil)
    same = [every.outcome, *every.prior, *covariates]
    distinct = used.group_by(pupil).agg(pl.col(name).n_unique().alias(name) for name in same)
    for name in same:
        if unequal := int((distinct[name] > 1).sum()):
            raise DataFileError("growth_weights_differ", column=name, n=unequal)
    sums = used.select(pupil, share.alias("_share")).group_by(pupil).agg(pl.col("_share").sum())["_share"]
    if wrong := int(((sums - 1).abs() > WHOLE).sum()):
        raise DataFileError("growth_weights_sum", column=weights, n=wrong)
    labels, place = number_labels(used[pupil])
    pairs = pl.DataFrame({"pupil": place, "unit": every.unit_of, "share": share, "at": np.arange(len(place))})
    first = pairs.group_by("pupil").agg(pl.col("at").min()).sort("pupil")["at"].to_numpy()
    added = pairs.group_by("pupil", "unit").agg(pl.col("share").sort().sum()).sort("pupil", "unit")
    rows = GrowthRows(
        every.frame,
        every.at[first],
        every.unit,
        every.outcome,
        every.prior,
        pl.Series(labels.name, ["all"]),
        np.zeros(len(first), dtype=np.int64),
        every.y[first],
        every.x[first],
        every.left_out,
    )
    return rows, _Shares(added["pupil"].to_numpy(), added["unit"].to_numpy(), added["share"].to_numpy(), every.units)


def _table(rows: GrowthRows, products: Products, covariates: Sequence[str]) -> Floats:
    """Return [X y] of the pupils, centred and scaled as the products are."""
    named = {INTERCEPT: np.ones(rows.n), **_predictors(rows, covariates)}
    columns = np.column_stack([*(named[name] for name in products.names), rows.y])
    return np.asarray((columns - products.centres) / products.scales)


def _model(model: SharedUnits, fit: Fit, units: int, reason: str | None) -> GrowthModel:
    """Return the model in the caller's units."""
    from eduq.estimates.growth.multilevel import back_transform

    products = model.products
    turn = back_transform(products, range(products.p))
    values = turn @ fit.beta
    values[0] += products.centres[-1]
    errors = np.sqrt(np.diag(turn @ (fit.sigma2 * np.linalg.inv(fit.information)) @ turn.T))
    scale = float(products.scales[-1]) ** 2 * fit.sigma2
    variance = None if reason else scale * float(fit.theta[0]) ** 2
    return GrowthModel(
        fixed=dict(zip(products.names, values.tolist(), strict=True)),
        fixed_se=dict(zip(products.names, errors.tolist(), strict=True)),
        var_unit=variance,
        var_residual=scale,
        deviance=fit.deviance,
        method="REML" if model.reml else "ML",
        n=products.n,
        n_units=units,
        singular=variance == 0,
        sd_unit_upper=upper_limit(model, fit, 0) * float(np.sqrt(scale)) if variance == 0 else None,
        dropped=products.dropped,
    )


def _lay_out(model: SharedUnits, fit: Fit, shares: _Shares, unit: str, level: float, reason: str | None) -> pl.DataFrame:
    """Return one row per unit."""
    from scipy.special import ndtri

    units, scale = len(shares.units), float(model.products.scales[-1])
    effect, spread, reach = model.effects(fit)
    covariance = fit.sigma2 * np.linalg.inv(fit.information)
    estimate, error = scale * effect, scale * np.sqrt(spread)
    predicted = scale * np.sqrt(spread + np.einsum("gp,pk,gk->g", reach, covariance, reach))
    nothing = float(fit.theta[0]) == 0
    half = float(ndtri((1 + level) / 2)) * error
    centred = estimate - estimate.mean()
    variance = scale**2 * fit.sigma2 * float(fit.theta[0]) ** 2
    numbers = {
        "estimate": estimate,
        "std_error": error,
        "ci_lower": estimate - half,
        "ci_upper": estimate + half,
        "reliability": np.zeros(units) if nothing else 1 - error**2 / variance,
        "prediction_se": predicted,
        "centred": centred,
        "centred_lower": centred - half,
        "centred_upper": centred + half,
    }
    kept = () if reason else (("estimate", "reliability", "centred") if nothing else tuple(numbers))
    empty = np.full(units, np.nan)
    n = np.bincount(shares.unit, minlength=units).astype(np.int64)
    columns: dict[str, Any] = {unit: shares.units, "n": n, "n_shares": np.bincount(shares.unit, shares.share, minlength=units)}
    for name, values in numbers.items():
        columns[name] = pl.Series(values if name in kept else empty, dtype=pl.Float64).fill_nan(None)
    return pl.DataFrame(columns).with_columns(
        pl.lit("multilevel_reml" if model.reml else "multilevel_ml").alias("method"),
        pl.lit(level).alias("conf_level"),
        pl.lit(reason or ("no_difference" if nothing else None), dtype=pl.String).alias("reason"),
    )
