"""The result of the growth estimators: units, candidates, the fitted model, who is missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.errors import UsageError
from eduq.estimates.results import EstimateResult

__all__ = ["GrowthModel", "GrowthResult"]

DRAWN = 200
"""More units than this cannot be read in one picture."""


@dataclass(frozen=True)
class GrowthModel:
    """What a multilevel model estimated.

    Attributes
    ----------
    fixed, fixed_se
        Fixed effects and their standard errors by name, ``(Intercept)`` first; in the units of the outcome. With the
        correction for measurement error the standard errors come from a bootstrap over units.
    fixed_uncorrected
        The fixed effects without the correction for measurement error; None when none was asked for.
    var_unit
        Variance of the units' intercepts; with random slopes the covariance matrix in the order of ``random``. None with fewer
        than five units: fixed effects only.
    var_class
        Variance of classes within units; None without classes.
    var_residual
        Variance of pupils within units (and classes).
    deviance
        −2 log-likelihood, or the REML criterion; None where the correction for measurement error leaves none.
    method
        ``REML`` or ``ML``.
    n, n_units
        Pupils and units used.
    n_classes
        Classes used; None without classes.
    random
        Names of the random effects, ``(Intercept)`` first.
    singular
        A variance is 0 (or random effects are wholly correlated): a boundary, not a failure.
    sd_unit_upper
        Upper limit of the units' SD where it was estimated as 0: where the profile deviance has risen by 2.71. Else None.
    dropped
        Predictors left out because they follow from the others, in the caller's order.
    reliability
        Reliability of the priors that was corrected for, by name.
    """

    fixed: dict[str, float]
    fixed_se: dict[str, float]
    var_unit: float | NDArray[np.float64] | None
    var_residual: float
    deviance: float | None
    method: str
    n: int
    n_units: int
    random: tuple[str, ...] = ("(Intercept)",)
    var_class: float | None = None
    n_classes: int | None = None
    singular: bool = False
    sd_unit_upper: float | None = None
    dropped: tuple[str, ...] = ()
    reliability: dict[str, float] = field(default_factory=dict)
    fixed_uncorrected: dict[str, float] | None = None


@dataclass(frozen=True, repr=False)
class GrowthResult(EstimateResult):
    """Growth of units, with its uncertainty.

    Attributes
    ----------
    frame
        One row per unit, sorted by unit: the unit column, n, estimate, std_error, ci_lower, ci_upper, reliability, then what the
        method adds; method, conf_level and reason (why there is no number) last.
    settings
        What it depends on.
    unit
        The caller's column of units.
    left_out
        Rows that do not count: reason, n (no_unit, no_outcome, no_prior, no_covariate, no_class).
    model
        What the multilevel model estimated; None for other methods.
    candidates
        One row per row of the caller's frame, in its order (percentile, bands, gains); None where there is nothing per pupil.
    tables
        What else the method gives, by name.
    """

    unit: str
    left_out: pl.DataFrame
    model: GrowthModel | None = None
    candidates: pl.DataFrame | None = None
    tables: dict[str, pl.DataFrame] = field(default_factory=dict)

    def summary(self) -> str:
        """Return one line: method, units, pupils, how many are left out and how many units have no number."""
        missing = self.frame["estimate"].null_count()
        left = self.left_out["n"].sum()
        pupils = self.frame["n"].sum() if self.model is None else self.model.n  # taught by two units: in two lines, one pupil
        said = (
            f"growth ({self.settings['method']}): {self.frame.height} units, {pupils} pupils, "
            f"{left} rows left out, {missing} units without a number"
        )
        if self.model is not None and self.model.sd_unit_upper is not None:
            said += f"; no difference between units detected (their SD is at most {self.model.sd_unit_upper:.3g})"
        return said

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>{self.frame._repr_html_()}"

    def plot(self, units: list[Any] | None = None) -> Any:
        """Return the units with their intervals, sorted by estimate (lets-plot).

        Parameters
        ----------
        units
            Units to draw; all of them by default.

        Raises
        ------
        UsageError
            ``growth_too_many_units``: more than 200 units.
        """
        import lets_plot as lp

        drawn = self.frame.filter(pl.col("estimate").is_not_null())
        if units is not None:
            drawn = drawn.filter(pl.col(self.unit).is_in(units))
        if drawn.height > DRAWN:
            raise UsageError("growth_too_many_units", n=drawn.height, most=DRAWN)
        drawn = drawn.sort("estimate", self.unit).select(
            pl.col(self.unit).cast(pl.String).alias("unit"), "estimate", "ci_lower", "ci_upper"
        )
        return (
            lp.ggplot(drawn.to_dict(as_series=False), lp.aes("estimate", "unit"))
            + lp.geom_errorbar(lp.aes(xmin="ci_lower", xmax="ci_upper"), color="#8a94a0", size=0.6, width=0)
            + lp.geom_point(color="#1f4e79", size=2.2)
            + lp.scale_y_discrete(limits=drawn["unit"].to_list())
            + lp.labs(x="", y="")
            + lp.ggsize(800, 80 + 14 * drawn.height)
        )
