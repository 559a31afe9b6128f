"""Likelihoods of multilevel models from cross-products: units with random effects, and classes within units.

θ are the entries of Λ, D = σ²ΛΛ' the covariance of a unit's random effects. Every quantity is an exact function of the
cross-products (Bates, Mächler, Bolker and Walker 2015, section 3, profiled as there; Woodbury's identity by unit).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from eduq.estimates.growth.multilevel_products import Products

__all__ = ["Fit", "Likelihood", "ThreeLevels", "TwoLevels", "choose_likelihood"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """The model at one θ, in the scaled columns of the products.

    Attributes
    ----------
    deviance, gradient
        Criterion and its derivatives in θ.
    beta
        (p,) fixed effects.
    information
        (p, p) X'V⁻¹X, V in units of σ².
    sigma2
        Residual variance.
    log_det
        log|V|.
    """

    theta: Floats
    deviance: float
    gradient: Floats
    beta: Floats
    information: Floats
    sigma2: float
    log_det: float


class Likelihood(Protocol):
    """What the search, the correction and the table of units need of a model."""

    products: Products
    reml: bool
    n_theta: int
    bounded: NDArray[np.bool_]

    def at(self, theta: Floats, beta: Floats | None = None) -> Fit: ...
    def upright(self, theta: Floats) -> Floats: ...
    def weighted(self, theta: Floats) -> Floats: ...
    def own_of_units(self) -> Floats: ...
    def trace_inverse(self, theta: Floats) -> Floats: ...


def choose_likelihood(products: Products, *, reml: bool) -> TwoLevels | ThreeLevels:
    """Return the likelihood of classes within units where there are classes, else of units."""
    return TwoLevels(products, reml) if products.classes is None else ThreeLevels(products, reml)


def _profile(products: Products, reml: bool, table: Floats, log_det: float, beta: Floats | None) -> tuple[Floats, float, float]:
    """Return β, rss and the criterion from [X y]'V⁻¹[X y]; the criterion in the units of the outcome, as lme4 prints it."""
    p, n = products.p, products.n
    information = table[:p, :p]
    half = np.linalg.cholesky(information)
    if beta is None:
        beta = np.linalg.solve(half.T, np.linalg.solve(half, table[:p, p]))
    contrast = np.append(-beta, 1.0)
    rss = float(contrast @ table @ contrast)
    free = n - p if reml else n
    if not rss > 0:
        return beta, rss, np.inf
    deviance = log_det + free * (1 + np.log(2 * np.pi * rss / free) + 2 * np.log(products.scales[-1]))
    if reml:
        deviance += 2 * float(np.log(np.diag(half)).sum() + np.log(products.scales[1:-1]).sum())
    return beta, rss, float(deviance)


class TwoLevels:
    """Pupils in units; q random effects with a free covariance matrix."""

    def __init__(self, products: Products, reml: bool) -> None:
        self.products, self.reml = products, reml
        self.q = len(products.z_at)
        self.lower = np.tril_indices(self.q)
        self.n_theta = len(self.lower[0])
        self.bounded = self.lower[0] == self.lower[1]
        self.ztz = np.ascontiguousarray(products.groups[:, :, list(products.z_at)])
        if self.q == 2:
            # |Z'Z| and adj(Z'Z) Z'[X y]: with them two random effects need no inverse at any θ
            a, b, d = self.ztz[:, 0, 0], self.ztz[:, 0, 1], self.ztz[:, 1, 1]
            self.minor = np.maximum(a * d - b * b, 0.0)
            first, second = products.groups[:, 0, :], products.groups[:, 1, :]
            self.sides = np.stack([first, second])
            self.crossed = np.stack([d[:, None] * first - b[:, None] * second, a[:, None] * second - b[:, None] * first])
        sums = products.groups[:, 0, :]
        self.within = products.all - sums.T @ (sums / products.sizes[:, None])

    def factor(self, theta: Floats) -> Floats:
        """Return Λ."""
        found = np.zeros((self.q, self.q))
        found[self.lower] = theta
        return found

    def upright(self, theta: Floats) -> Floats:
        """Return the θ of the same covariance whose diagonal is not negative."""
        found = self.factor(theta)
        return np.asarray((found * np.where(np.diag(found) < 0, -1.0, 1.0))[self.lower])

    def inside(self, theta: Floats) -> tuple[Floats, Floats]:
        """Return Z'V⁻¹Z and Z'V⁻¹[X y] of each unit.

        Of two effects by |I + AC| = 1 + tr AC + |A||C| and its adjugate I + adj(C) adj(A), A = Z'Z, C = ΛΛ': sums of what
        is not negative, so nothing cancels.
        """
        factor = self.factor(theta)
        cov = factor @ factor.T
        groups = self.products.groups
        if self.q == 2:
            other = np.array([[cov[1, 1], -cov[0, 1]], [-cov[0, 1], cov[0, 0]]])
            shrink = 1 / self.determinants(factor)
            zvz = (self.ztz + self.minor[:, None, None] * other) * shrink[:, None, None]
            zvt = (self.sides + np.tensordot(other, self.crossed, 1)) * shrink[:, None]
            return zvz, zvt.transpose(1, 0, 2)
        if self.q == 1:
            shrink = 1 / (1 + self.ztz * cov)
            return self.ztz * shrink, groups * shrink
        right = np.concatenate([self.ztz, groups], axis=2)
        found = np.linalg.solve(np.eye(self.q) + self.ztz @ cov, right)
        return found[:, :, : self.q], found[:, :, self.q :]

    def determinants(self, factor: Floats) -> Floats:
        """Return |I + Z'ZΛΛ'| of each unit with two random effects."""
        cov = factor @ factor.T
        trace = self.ztz[:, 0, 0] * cov[0, 0] + 2 * self.ztz[:, 0, 1] * cov[0, 1] + self.ztz[:, 1, 1] * cov[1, 1]
        return np.asarray(1 + np.maximum(trace, 0.0) + self.minor * (factor[0, 0] * factor[1, 1]) ** 2)

    def at(self, theta: Floats, beta: Floats | None = None) -> Fit:
        """Return the model at θ; at given fixed effects where they are handed in."""
        factor = self.factor(theta)
        cov = factor @ factor.T
        zvz, zvt = self.inside(theta)
        groups, p = self.products.groups, self.products.p
        width = p + 1
        if self.q == 1:
            # within units, and between them what the ratio leaves: nothing cancels, however large it is
            table = self.within + groups[:, 0, :].T @ (zvt[:, 0, :] / self.products.sizes[:, None])
        elif self.q == 2:
            pulled = np.tensordot(cov, zvt.transpose(1, 0, 2), 1)
            table = self.products.all - self.sides.reshape(-1, width).T @ pulled.reshape(-1, width)
        else:
            table = self.products.all - groups.reshape(-1, width).T @ (cov @ zvt).reshape(-1, width)
        table = (table + table.T) / 2
        if self.q == 1:
            log_det = float(np.log1p(self.ztz[:, 0, 0] * cov[0, 0]).sum())
        elif self.q == 2:
            log_det = float(np.log(self.determinants(factor)).sum())
        else:
            log_det = float(np.linalg.slogdet(np.eye(self.q) + self.ztz @ cov)[1].sum())
        beta, rss, deviance = _profile(self.products, self.reml, table, log_det, beta)
        free = self.products.n - p if self.reml else self.products.n
        left = zvt @ np.append(-beta, 1.0)
        slope = zvz.sum(axis=0) - free / rss * (left.T @ left)
        if self.reml:
            fixed = zvt[:, :, :p].transpose(1, 0, 2).reshape(self.q, -1)
            other = (zvt[:, :, :p].transpose(1, 0, 2) @ np.linalg.inv(table[:p, :p])).reshape(self.q, -1)
            slope = slope - fixed @ other.T
        gradient = (2 * slope @ factor)[self.lower]
        return Fit(theta, deviance, gradient, beta, table[:p, :p], rss / free, log_det)

    def weighted(self, theta: Floats) -> Floats:
        """Return [X y]'V⁻¹[X y] of each unit (G, p + 1, p + 1)."""
        factor = self.factor(theta)
        _, zvt = self.inside(theta)
        assert self.products.own is not None
        return np.asarray(self.products.own - self.products.groups.transpose(0, 2, 1) @ (factor @ factor.T @ zvt))

    def own_of_units(self) -> Floats:
        """Return [X y]'[X y] of each unit."""
        assert self.products.own is not None
        return self.products.own

    def trace_inverse(self, theta: Floats) -> Floats:
        """Return tr V⁻¹ of each unit (one random effect)."""
        n, ratio = self.products.sizes, float(theta[0]) ** 2
        return n - n * ratio / (1 + n * ratio)


class ThreeLevels:
    """Pupils in classes in units; θ are the SDs of classes and units over the residual SD."""

    def __init__(self, products: Products, reml: bool) -> None:
        self.products, self.reml = products, reml
        self.n_theta = 2
        self.bounded = np.array([True, True])
        self.n_units = len(products.units)
        # groups are sorted by unit
        self.first = np.searchsorted(products.unit_of, np.arange(self.n_units))

    def upright(self, theta: Floats) -> Floats:
        """Return the θ of the same variances that is not negative."""
        return np.abs(theta)

    def by_unit(self, values: Floats) -> Floats:
        """Return the sums over the classes of each unit."""
        return np.asarray(np.add.reduceat(values, self.first, axis=0))

    def inside(self, theta: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """Return, within classes, n/(1 + nλ) and the shrunken sums of [X y]; their sums by unit; 1/(1 + λQ) of each unit."""
        ratio_class, ratio_unit = theta**2
        sums = self.products.groups[:, 0, :]
        shrink = 1 / (1 + self.products.sizes * ratio_class)
        weight, shrunken = self.products.sizes * shrink, sums * shrink[:, None]
        weight_unit, total = self.by_unit(weight), self.by_unit(shrunken)
        return weight, shrunken, weight_unit, total, 1 / (1 + ratio_unit * weight_unit)

    def at(self, theta: Floats, beta: Floats | None = None) -> Fit:
        """Return the model at θ; at given fixed effects where they are handed in."""
        ratio_class, ratio_unit = theta**2
        products, p = self.products, self.products.p
        sums, unit_of = products.groups[:, 0, :], products.unit_of
        weight, shrunken, weight_unit, total, shrink = self.inside(theta)
        table = products.all - ratio_class * (sums.T @ shrunken) - ratio_unit * (total.T @ (total * shrink[:, None]))
        table = (table + table.T) / 2
        log_det = float(np.log1p(products.sizes * ratio_class).sum() - np.log(shrink).sum())
        beta, rss, deviance = _profile(products, self.reml, table, log_det, beta)
        free = products.n - p if self.reml else products.n
        contrast = np.append(-beta, 1.0)
        pull = ratio_unit * shrink
        of_class = shrunken - (weight * pull[unit_of])[:, None] * total[unit_of]
        of_unit = total * shrink[:, None]
        slopes = []
        for inside, vector in (
            ((weight - pull[unit_of] * weight**2).sum(), of_class),
            ((weight_unit * shrink).sum(), of_unit),
        ):
            slope = inside - free / rss * ((vector @ contrast) ** 2).sum()
            if self.reml:
                slope -= float(np.trace(np.linalg.solve(table[:p, :p], vector[:, :p].T @ vector[:, :p])))
            slopes.append(float(slope))
        return Fit(theta, deviance, 2 * theta * np.array(slopes), beta, table[:p, :p], rss / free, log_det)

    def weighted(self, theta: Floats) -> Floats:
        """Return [X y]'V⁻¹[X y] of each unit (G, p + 1, p + 1)."""
        ratio_class, ratio_unit = theta**2
        _, shrunken, _, total, shrink = self.inside(theta)
        sums = self.products.groups[:, 0, :]
        assert self.products.own is not None
        within = self.by_unit(self.products.own - ratio_class * sums[:, :, None] * shrunken[:, None, :])
        return np.asarray(within - (ratio_unit * shrink)[:, None, None] * total[:, :, None] * total[:, None, :])

    def own_of_units(self) -> Floats:
        """Return [X y]'[X y] of each unit."""
        assert self.products.own is not None
        return self.by_unit(self.products.own)

    def trace_inverse(self, theta: Floats) -> Floats:
        """Return tr V⁻¹ of each unit."""
        ratio_class, ratio_unit = theta**2
        weight, _, _, _, shrink = self.inside(theta)
        sizes = self.products.sizes
        within = self.by_unit(sizes - ratio_class * sizes * weight)
        return np.asarray(within - ratio_unit * shrink * self.by_unit(weight**2 / sizes))
