"""Do the growth methods agree? Units whose interval lies on one side by several methods, and rank correlations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import polars as pl

from eduq.errors import UsageError
from eduq.estimates.growth.coverage import RESULT_COLUMNS, correlation
from eduq.estimates.growth.gains import percentile_ranks
from eduq.estimates.growth.results import DRAWN, GrowthResult
from eduq.estimates.pictures import PALE
from eduq.estimates.results import EstimateResult

__all__ = ["GrowthAgreement", "compare_growth"]

ABOVE, BELOW = "#0f766e", "#b45309"
FIRST, SECOND = 4, 3
"""Methods that must place a unit on one side for A and for B."""


@dataclass(frozen=True, repr=False)
class GrowthAgreement(EstimateResult):
    """Growth of units by several methods side by side.

    Attributes
    ----------
    frame
        One row per unit of any method, sorted: the unit column, n (smallest over the methods), n_methods (with a number),
        n_above, n_below (interval wholly on that side of the neutral value), side (above, below, none, opposed), agreement (A:
        one side in four methods or more, B: in three, null otherwise, also where two methods oppose each other), then per
        method <method>_estimate and <method>_side.
    settings
        Methods, levels and the neutral value of each (0; 50 for percentiles; the mean gain of all pupils for gains).
    spearman
        Rank correlations of the estimates: method, then a column per method; over units with numbers in both.
    n_units, n_agreeing
        Units with a number in every method, and those of them that every method places on the same side or on none.
    """

    spearman: pl.DataFrame
    n_units: int
    n_agreeing: int

    def summary(self) -> str:
        """Return one line: methods, units, how many have the same side in all methods, how many A and B."""
        counts = dict(self.frame.group_by("agreement").len().iter_rows())
        return (
            f"{len(self.settings['methods'])} growth methods, {self.n_units} units with all of them, "
            f"{self.n_agreeing} on the same side in all; agreement A {counts.get('A', 0)}, B {counts.get('B', 0)}"
        )

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>{self.frame._repr_html_()}{self.spearman._repr_html_()}"

    def plot(self, units: list[Any] | None = None) -> Any:
        """Return which side of the neutral value each method puts each unit on, most often above on top (lets-plot).

        Triangles up and down are intervals wholly above and below, a ring is an interval that holds the neutral value; no sign
        where the method has no number.

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

        unit = self.frame.columns[0]
        chosen = self.frame if units is None else self.frame.filter(pl.col(unit).is_in(units))
        if chosen.height > DRAWN:
            raise UsageError("growth_too_many_units", n=chosen.height, most=DRAWN)
        methods = list(self.settings["methods"])
        estimates = [f"{name}_estimate" for name in methods]
        ranks = pl.mean_horizontal(pl.col(name).rank() for name in estimates)
        ordered = chosen.sort(pl.col("n_above") - pl.col("n_below"), ranks, pl.col(unit), nulls_last=True)
        labels = ordered[unit].cast(pl.String)
        signs = pl.concat(
            ordered.select(labels.alias("unit"), pl.lit(name).alias("method"), pl.col(f"{name}_side").alias("side"))
            for name in methods
        ).drop_nulls("side")
        sides, said = ["above", "none", "below"], ["above", "not distinguishable", "below"]
        return (
            lp.ggplot(signs.to_dict(as_series=False), lp.aes("method", "unit"))
            + lp.geom_point(lp.aes(shape="side", color="side"), size=3)
            + lp.scale_shape_manual(values=[24, 21, 25], breaks=sides, labels=said, name="")
            + lp.scale_color_manual(values=[ABOVE, PALE, BELOW], breaks=sides, labels=said, name="")
            + lp.scale_x_discrete(limits=methods, position="top")
            + lp.scale_y_discrete(limits=labels.to_list(), expand=[0, 0.8])
            + lp.labs(x="", y="")
            + lp.ggsize(200 + 120 * len(methods), 80 + 16 * ordered.height)
        )


def compare_growth(results: Mapping[str, GrowthResult]) -> GrowthAgreement:
    """Put growth by several methods side by side, with how far they agree.

    Parameters
    ----------
    results
        At least two results of `eduq.estimate_growth` on the same units, by the name they shall bear.

    Returns
    -------
    GrowthAgreement
        ``frame`` per unit, ``spearman``.

    Raises
    ------
    UsageError
        ``growth_methods_kind``: no mapping from names to results. ``growth_methods_differ``: fewer than two results, other unit
        columns (by name, or numbers in one and text in another), or other levels.

    Examples
    --------
    >>> import polars as pl
    >>> import eduq as eq
    >>> pupils = pl.DataFrame({"school": ["A", "A", "A", "B", "B", "B"], "before": [50, 60, 71, 50, 61, 70]})
    >>> pupils = pupils.with_columns(after=pl.Series([70, 80, 90, 50, 60, 71]))
    >>> ways = {
    ...     name: eq.estimate_growth(pupils, outcome="after", prior="before", unit="school", method=name)
    ...     for name in ("gain", "z_gain")
    ... }
    >>> eq.compare_growth(ways).frame.select("school", "side", "n_above", "agreement").row(0)
    ('A', 'above', 2, None)
    """
    if not isinstance(results, Mapping) or not all(isinstance(result, GrowthResult) for result in results.values()):
        raise UsageError("growth_methods_kind")
    units = {result.unit for result in results.values()}
    levels = {result.settings["level"] for result in results.values()}
    if len(results) < 2 or len(units) != 1 or len(levels) != 1 or not _same_kind(results):
        raise UsageError("growth_methods_differ", n=len(results))
    unit = units.pop()
    taken = {f"{name}_{part}" for name in results for part in ("estimate", "side")}
    if unit in {*RESULT_COLUMNS, *taken, "n_methods", "n_above", "n_below", "side", "agreement"}:
        raise UsageError("growth_name_taken", column=unit)
    neutral = {name: float(result.settings.get("neutral", 0.0)) for name, result in results.items()}
    joined = _join(results, unit, neutral)
    names = list(results)
    estimates = np.column_stack([joined[f"{name}_estimate"].cast(pl.Float64).to_numpy() for name in names])
    every = np.isfinite(estimates).all(axis=1)
    sides = joined.select(f"{name}_side" for name in names)
    agreeing = sides.select(pl.concat_list(pl.all()).list.n_unique() == 1).to_series().to_numpy()
    settings: dict[str, Any] = {
        "methods": {name: result.settings["method"] for name, result in results.items()},
        "level": levels.pop(),
        "neutral": neutral,
    }
    return GrowthAgreement(
        frame=joined,
        settings=settings,
        spearman=_spearman(names, estimates),
        n_units=int(every.sum()),
        n_agreeing=int((every & agreeing).sum()),
    )


def _same_kind(results: Mapping[str, GrowthResult]) -> bool:
    """Return whether the units are of one kind: all numbers, or all text (2 is not "2")."""
    return len({result.frame.schema[result.unit].is_numeric() for result in results.values()}) == 1


def _join(results: Mapping[str, GrowthResult], unit: str, neutral: Mapping[str, float]) -> pl.DataFrame:
    every = pl.concat([result.frame.select(unit) for result in results.values()], how="vertical_relaxed").unique().sort(unit)
    for name, result in results.items():
        known = pl.col("estimate").is_not_null() & pl.col("ci_lower").is_not_null()
        side: Any = pl.when(pl.col("ci_lower") > neutral[name]).then(pl.lit("above"))
        side = side.when(pl.col("ci_upper") < neutral[name]).then(pl.lit("below")).when(known).then(pl.lit("none"))
        part = result.frame.select(
            unit, pl.col("estimate").alias(f"{name}_estimate"), side.alias(f"{name}_side"), pl.col("n").alias(f"_n_{name}")
        )
        every = every.join(part, on=unit, how="left", maintain_order="left")
    sides = [pl.col(f"{name}_side") for name in results]
    counts = {
        "n_methods": pl.sum_horizontal(side.is_not_null() for side in sides),
        "n_above": pl.sum_horizontal((side == "above").fill_null(False) for side in sides),
        "n_below": pl.sum_horizontal((side == "below").fill_null(False) for side in sides),
    }
    most, least = pl.max_horizontal("n_above", "n_below"), pl.min_horizontal("n_above", "n_below")
    return (
        every.with_columns(
            pl.min_horizontal(f"_n_{name}" for name in results).alias("n"),
            *(count.cast(pl.Int64).alias(name) for name, count in counts.items()),
        )
        .with_columns(
            pl.when(least > 0)
            .then(pl.lit("opposed"))
            .when(pl.col("n_above") > 0)
            .then(pl.lit("above"))
            .when(pl.col("n_below") > 0)
            .then(pl.lit("below"))
            .when(pl.col("n_methods") > 0)
            .then(pl.lit("none"))
            .alias("side"),
            pl.when(least > 0)
            .then(None)
            .when(most >= FIRST)
            .then(pl.lit("A"))
            .when(most >= SECOND)
            .then(pl.lit("B"))
            .alias("agreement"),
        )
        .select(
            unit,
            *("n", *counts, "side", "agreement"),
            *(f"{name}_{part}" for name in results for part in ("estimate", "side")),
        )
    )


def _spearman(names: list[str], estimates: np.ndarray[Any, np.dtype[np.float64]]) -> pl.DataFrame:
    """Return Spearman's rank correlations, pair by pair; null where fewer than three units or no spread."""
    columns: dict[str, list[float | None]] = {}
    for place, name in enumerate(names):
        found: list[float | None] = []
        for other in range(len(names)):
            both = np.isfinite(estimates[:, [place, other]]).all(axis=1)
            pair = estimates[both]
            known = len(pair) >= 3
            found.append(correlation(percentile_ranks(pair[:, place]), percentile_ranks(pair[:, other])) if known else None)
        columns[name] = found
    return pl.DataFrame({"method": names, **columns}, schema_overrides=dict.fromkeys(names, pl.Float64))
