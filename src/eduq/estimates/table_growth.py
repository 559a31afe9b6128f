"""Growth of the units of any table of pupils, by several methods, side by side with their agreement and who is missing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from eduq.estimates.exam_growth_fits import on_mean_of_units
from eduq.estimates.growth import GrowthResult, compare_growth, estimate_growth
from eduq.estimates.growth.coverage import correlation
from eduq.estimates.growth.gains import percentile_ranks
from eduq.summaries.links import MISSING, cut_prior_bands

__all__ = ["TableGrowth", "measure_table_growth"]

_SEVERAL = ("multilevel", "percentile")
"""Methods that take several priors; the others take the first."""
_COLUMNS = ("n", "estimate", "std_error", "ci_lower", "ci_upper", "conf_level", "reliability", "method", "reason")


@dataclass(frozen=True)
class TableGrowth:
    """Growth of the units of one table.

    Attributes
    ----------
    frame
        A line per unit and method; numbers of units below the smallest shown are null, with the reason ``below_min_n``.
    settings
        What each method depends on.
    missing, models, checks
        As in `eduq.estimates.exam_growth.ExamGrowth`.
    """

    frame: pl.DataFrame
    settings: Mapping[str, Any]
    missing: pl.DataFrame
    models: pl.DataFrame
    checks: pl.DataFrame


def measure_table_growth(
    frame: pl.DataFrame,
    *,
    outcome: str,
    priors: Sequence[str],
    unit: str,
    ways: Sequence[str],
    covariates: Sequence[str],
    reliability: float | None,
    min_n: int,
) -> TableGrowth:
    """Estimate growth by every method asked for and put the units side by side.

    Parameters
    ----------
    frame
        One row per pupil.
    outcome, priors, unit, covariates
        Columns.
    ways
        Methods of `eduq.estimate_growth`.
    reliability
        Of the priors; None: no correction.
    min_n
        Numbers of units with fewer pupils are withheld.
    """

    def fit(way: str, trusted: float | None) -> GrowthResult:
        options: dict[str, Any] = {"covariates": covariates, "reliability": trusted} if way == "multilevel" else {}
        found = estimate_growth(
            frame,
            outcome=outcome,
            prior=priors if way in _SEVERAL else priors[0],
            unit=unit,
            method=way,  # type: ignore[arg-type]
            **options,
        )
        if way != "multilevel":
            return found
        sides = {"estimate": "centred", "ci_lower": "centred_lower", "ci_upper": "centred_upper"}
        return dataclasses.replace(found, frame=found.frame.with_columns(pl.col(old).alias(new) for new, old in sides.items()))

    results = {way: fit(way, reliability) for way in dict.fromkeys(ways)}
    letters = pl.DataFrame(schema={unit: frame.schema[unit], "agreement": pl.String()})
    if len(results) > 1:
        letters = compare_growth({way: on_mean_of_units(result) for way, result in results.items()}).frame.select(
            unit, "agreement"
        )
    if reliability is not None and "multilevel" in results:
        results["multilevel_uncorrected"] = fit("multilevel", None)
    listed = _listed(frame, outcome, priors, unit)
    parts, checks = [], []
    for way, result in results.items():
        part = listed.join(result.frame.select(unit, *_COLUMNS), on=unit, how="left", maintain_order="left")
        checks.append({"paper": outcome, "growth": way, **_with_intake(part)})
        joined = part.join(letters, on=unit, how="left", maintain_order="left")
        parts.append(joined.with_columns(pl.lit(way).alias("growth"), pl.lit(outcome).alias("paper")))
    table = pl.concat(parts, how="vertical_relaxed").with_columns(
        pl.col(unit).cast(pl.String).alias("unit"),
        (pl.col("n") / pl.col("n_listed")).alias("match_rate"),
        pl.when(pl.col("n").is_null()).then(pl.lit("growth_no_rows")).otherwise(pl.col("reason")).alias("reason"),
    )
    order = ["unit", "paper", "growth", "n_listed", "match_rate", *_COLUMNS, "prior_mean", "agreement"]
    uses_model = results.get("multilevel")
    models = [] if uses_model is None else [_describe(uses_model, outcome)]
    small = pl.col("n") < min_n
    withheld = [name for name in (*_COLUMNS, "prior_mean", "agreement") if name not in ("n", "reason")]
    table = table.with_columns(
        *(pl.when(~small.fill_null(False)).then(pl.col(name)).alias(name) for name in withheld),
        pl.when(small).then(pl.lit("below_min_n")).otherwise("reason").alias("reason"),
    )
    return TableGrowth(
        frame=table.select(order).sort("growth", "unit"),
        settings={way: result.settings for way, result in results.items()},
        missing=_missing(frame, outcome, priors[0], unit),
        models=pl.DataFrame(models, schema_overrides={"unit_share": pl.Float64, "sd_unit_upper": pl.Float64}),
        checks=pl.DataFrame(checks, schema_overrides={"corr_intake": pl.Float64, "spearman_intake": pl.Float64}),
    )


def _numbers(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False).fill_nan(None)


def _listed(frame: pl.DataFrame, outcome: str, priors: Sequence[str], unit: str) -> pl.DataFrame:
    """Return the units, how many of their pupils have an outcome, and the mean first prior of those who have everything."""
    chosen = frame.select(
        unit, _numbers(outcome).alias("_y"), *(_numbers(name).alias(f"_x{at}") for at, name in enumerate(priors))
    )
    every = pl.all_horizontal(pl.col("_y").is_not_null(), *(pl.col(f"_x{at}").is_not_null() for at in range(len(priors))))
    return (
        chosen.drop_nulls(unit)
        .group_by(unit)
        .agg(
            pl.col("_y").is_not_null().sum().cast(pl.Int64).alias("n_listed"),
            pl.col("_x0").filter(every).sort().mean().alias("prior_mean"),
        )
        .sort(unit)
    )


def _missing(frame: pl.DataFrame, outcome: str, prior: str, unit: str) -> pl.DataFrame:
    """Return who of those with a prior has no outcome, by band of the prior, over all units and per unit."""
    rows = frame.select(pl.col(unit).cast(pl.String).alias("school_id"), _numbers(prior).alias("z"), _numbers(outcome).alias("y"))
    rows = rows.filter(pl.col("z").is_not_null())
    rows = rows.with_columns(cut_prior_bands(rows["z"]).alias("prior_band"))
    parts = []
    for keys in (["school_id", "prior_band"], ["school_id"], ["prior_band"], []):
        spread = [pl.lit("all").alias(name) for name in ("school_id", "prior_band") if name not in keys]
        counted = (
            rows.with_columns(*spread)
            .group_by("school_id", "prior_band")
            .agg(
                pl.len().cast(pl.Int64).alias("n_listed"),
                pl.col("y").is_not_null().sum().cast(pl.Int64).alias("n_linked"),
                pl.col("z").filter(pl.col("y").is_null()).sort().mean().alias("prior_z_missing"),
            )
        )
        parts.append(counted.with_columns(pl.lit(prior).alias("prior_exam")).select(MISSING.keys()))
    return pl.concat(parts).unique().sort("school_id", "prior_band")


def _with_intake(part: pl.DataFrame) -> dict[str, Any]:
    known = part.drop_nulls(["estimate", "prior_mean"])
    estimate, intake = known["estimate"].to_numpy(), known["prior_mean"].to_numpy()
    ranked = correlation(percentile_ranks(estimate), percentile_ranks(intake)) if known.height >= 3 else None
    return {"n_units": known.height, "corr_intake": correlation(estimate, intake), "spearman_intake": ranked}


def _describe(result: GrowthResult, outcome: str) -> dict[str, Any]:
    model = result.model
    unit = None if model is None or not isinstance(model.var_unit, float) else model.var_unit
    if model is None:
        return {"paper": outcome}
    return {
        "paper": outcome,
        "n": model.n,
        "n_units": model.n_units,
        "unit_share": None if unit is None else unit / (unit + model.var_residual),
        "sd_unit_upper": model.sd_unit_upper,
        "corrected": bool(model.reliability),
        **{f"fixed_{name}": value for name, value in model.fixed.items()},
    }
