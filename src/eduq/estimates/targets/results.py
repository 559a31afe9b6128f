"""The frozen results of the review of targets and of proposed ones."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from html import escape
from typing import Any

import polars as pl

from eduq.estimates.results import EstimateResult

__all__ = ["STATES", "ProposalModel", "TargetProposals", "TargetReview"]

STATES = ("reached", "not_reached", "undecided", "not_assessable", "refused")


@dataclass(frozen=True, repr=False)
class TargetReview(EstimateResult):
    """What became of the targets of a register.

    Attributes
    ----------
    frame
        `eduq.tables.TARGET_REVIEWS`, sorted by target, year group and comparison group.
    settings
        What it depends on.
    """

    def summary(self) -> str:
        """Return one line: targets, and lines by state."""
        counts = Counter(self.frame["state"])
        said = ", ".join(f"{state} {counts[state]}" for state in STATES if counts[state])
        return f"{self.frame['target_id'].n_unique()} targets, {self.frame.height} lines: {said}"

    def plot(self) -> Any:
        """Return value less target with its interval, by target and year group (lets-plot): right is above the target.

        Shape and colour tell the state; targets of different measures share the axis only for a look.
        """
        import lets_plot as lp

        label = pl.concat_str("target_id", pl.col("year_group").fill_null(""), separator=" ").alias("label")
        drawn = self.frame.filter(pl.col("estimate").is_not_null()).with_columns(label).sort("label", descending=True)
        data = drawn.select(
            "label", "state", *((pl.col(name) - pl.col("target")).alias(name) for name in ("estimate", "ci_lower", "ci_upper"))
        )
        return (
            lp.ggplot(data.to_dict(as_series=False), lp.aes("estimate", "label"))
            + lp.geom_vline(xintercept=0, color="#5b6470", size=0.6)
            + lp.geom_errorbar(lp.aes(xmin="ci_lower", xmax="ci_upper"), color="#8a94a0", size=0.6, width=0)
            + lp.geom_point(lp.aes(color="state", shape="state"), size=3)
            + lp.scale_color_manual({"reached": "#0f766e", "not_reached": "#b45309", "undecided": "#8a94a0"})
            + lp.scale_y_discrete(limits=data["label"].unique(maintain_order=True).to_list())
            + lp.labs(x="", y="")
            + lp.ggsize(800, 80 + 16 * data.height)
        )


@dataclass(frozen=True)
class ProposalModel:
    """What was estimated for all units together.

    Attributes
    ----------
    n_units, n_periods, n_values
        Units, school years and values the fit rests on.
    var_level, var_shock
        Variance of the units' lasting levels, and of what one year adds to them (τ² and ω², by REML; of rates in logits).
    var_period
        Variance of the county's own value from year to year beyond sampling; 0 for measures that are standardised every year.
    intake, intake_se
        Coefficient of the same cohort's mean a year earlier; None where intake is not used.
    backtest_n, backtest_within
        Values of the last ``horizon`` years that were forecast from the years before, and the share of them inside the interval.
    """

    n_units: int
    n_periods: int
    n_values: int
    var_level: float
    var_shock: float
    var_period: float
    intake: float | None
    intake_se: float | None
    backtest_n: int
    backtest_within: float | None


@dataclass(frozen=True, repr=False)
class TargetProposals(EstimateResult):
    """What each unit can be expected to reach, and what it would reach by chance.

    Attributes
    ----------
    frame
        One line per unit, by its code: unit, n_periods, n (newest), newest (its newest value), level (shrunken; of rates in
        logits), intake (of the
        next cohort, null without one), expected, std_error, ci_lower, ci_upper (prediction interval of one coming value),
        proposed, target (of the register), target_chance, target_seldom, reason.
    settings
        What it depends on.
    model
        `ProposalModel`.
    """

    model: ProposalModel

    def summary(self) -> str:
        """Return one line: units, how the interval fared on the newest year."""
        without = self.frame["proposed"].null_count()
        said = f"targets of {self.settings['measure']} for {self.frame.height} units, {without} without a proposal"
        if self.model.backtest_within is not None:
            said += f"; {100 * self.model.backtest_within:.0f} % of {self.model.backtest_n} known values were inside the interval"
        return said

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>{self.frame._repr_html_()}"

    def plot(self, units: list[Any] | None = None) -> Any:
        """Return expected values with their prediction intervals by unit code (lets-plot); the mark is the proposed target."""
        import lets_plot as lp

        drawn = self.frame.filter(pl.col("expected").is_not_null())
        if units is not None:
            drawn = drawn.filter(pl.col("unit").is_in(units))
        data = drawn.select("unit", "expected", "ci_lower", "ci_upper", "proposed").sort("unit", descending=True)
        return (
            lp.ggplot(data.to_dict(as_series=False), lp.aes("expected", "unit"))
            + lp.geom_errorbar(lp.aes(xmin="ci_lower", xmax="ci_upper"), color="#8a94a0", size=0.6, width=0)
            + lp.geom_point(color="#1f4e79", size=2.2)
            + lp.geom_point(lp.aes(x="proposed"), color="#0f766e", shape=124, size=4)
            + lp.scale_y_discrete(limits=data["unit"].to_list())
            + lp.labs(x="", y="")
            + lp.ggsize(800, 80 + 14 * data.height)
        )
