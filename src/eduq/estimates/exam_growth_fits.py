"""One paper of an exam: growth by each way, the model, how growth goes with intake, how far the ways agree."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import polars as pl

from eduq.errors import NotAssessableError
from eduq.estimates.growth import GrowthResult, compare_growth, estimate_growth
from eduq.estimates.growth.coverage import correlation
from eduq.estimates.growth.gains import percentile_ranks
from eduq.groups import COMPOSITE
from eduq.settings import RunSettings
from eduq.summaries.links import LinkedTable, prior_column
from eduq.tables import GROWTH

__all__ = [
    "AGREEMENT",
    "CHECKS_OF_GROWTH",
    "COEFFICIENTS",
    "MODELS",
    "UNCORRECTED",
    "WAYS",
    "GrowthJob",
    "GrowthLines",
    "Way",
    "fit_paper",
    "on_mean_of_units",
]

Way = Literal["multilevel", "percentile", "z_gain", "bands"]
WAYS: tuple[Way, ...] = ("multilevel", "percentile", "z_gain", "bands")
UNCORRECTED = "multilevel_uncorrected"
_STEP = 0.02
"""Composites are rounded to this many SDs for growth percentiles: equal scores make the fit exact and fast."""
_CENTRED = ("estimate", "ci_lower", "ci_upper")
_OF_PAPER = {"comparison_group": pl.String(), "subject": pl.String(), "paper": pl.String()}
MODELS: dict[str, pl.DataType] = {
    **_OF_PAPER,
    **dict.fromkeys(("n", "n_units", "n_listed"), pl.Int64()),
    **dict.fromkeys(("match_rate", "var_unit", "var_residual", "unit_share", "sd_unit_upper"), pl.Float64()),
    "corrected": pl.Boolean(),
    "reason": pl.String(),
}
COEFFICIENTS: dict[str, pl.DataType] = {
    **_OF_PAPER,
    **dict.fromkeys(("prior_exam", "prior", "covariate"), pl.String()),
    **dict.fromkeys(("coefficient", "std_error", "reliability", "coefficient_uncorrected"), pl.Float64()),
}
CHECKS_OF_GROWTH: dict[str, pl.DataType] = {
    **_OF_PAPER,
    "growth": pl.String(),
    "n_units": pl.Int64(),
    **dict.fromkeys(("corr_intake", "spearman_intake"), pl.Float64()),
}
AGREEMENT: dict[str, pl.DataType] = {
    **_OF_PAPER,
    **dict.fromkeys(("growth", "other"), pl.String()),
    "n_units": pl.Int64(),
    "spearman": pl.Float64(),
}


@dataclass(frozen=True)
class GrowthJob:
    """One paper of one comparison group.

    Attributes
    ----------
    paper, group
        The paper, and the line of `eduq.tables.COMPARABILITY`.
    units
        unit, n_expected, n_listed (with a score), sorted.
    rows
        Candidates with a score: unit, y (SDs), priors, covariates.
    first
        The prior of the ways that take one.
    every
        The priors of the multilevel model.
    """

    paper: str
    group: Mapping[str, Any]
    units: pl.DataFrame
    rows: pl.DataFrame
    first: str
    every: tuple[str, ...]


@dataclass(frozen=True)
class GrowthLines:
    """What came of a job: lines of the tables of `ExamGrowth`."""

    lines: pl.DataFrame
    model: dict[str, Any]
    coefficients: list[dict[str, Any]]
    checks: list[dict[str, Any]]
    agreement: list[dict[str, Any]]


def fit_paper(
    job: GrowthJob, linked: LinkedTable, *, exam_id: str, by: str, ways: Sequence[Way], settings: RunSettings
) -> GrowthLines:
    """Return the growth of all units in one paper of one comparison group."""
    why = None if job.group["comparable"] else str(job.group["reason"])
    results: dict[str, GrowthResult] = {}
    reasons: dict[str, str] = {}
    for name, fit in _fits(job, ways, settings).items():
        if why is not None:
            reasons[name] = why
            continue
        try:
            results[name] = fit()
        except NotAssessableError as error:
            reasons[name] = error.code
    letters = pl.DataFrame(schema={"unit": pl.String(), "agreement": pl.String()})
    agreement: list[dict[str, Any]] = []
    of_paper = {name: job.group[name] for name in ("comparison_group", "subject", "paper")}
    if len(sided := {name: result for name, result in results.items() if name != UNCORRECTED}) > 1:
        found = compare_growth({name: on_mean_of_units(result) for name, result in sided.items()})
        letters = found.frame.select("unit", "agreement")
        for line in found.spearman.iter_rows(named=True):
            others = {name: value for name, value in line.items() if name != "method"}
            agreement += [
                {**of_paper, "growth": line["method"], "other": name, "n_units": found.n_units, "spearman": value}
                for name, value in others.items()
            ]
    intake = _intake(job)
    lines, checks = [], []
    for name in (*results, *reasons):
        part = _lay_out(job, name, results.get(name), reasons.get(name)).join(intake[set_of(name)], on="unit", how="left")
        part = (
            part.join(letters, on="unit", how="left")
            if name != UNCORRECTED
            else part.with_columns(pl.lit(None, dtype=pl.String).alias("agreement"))
        )
        lines.append(part.with_columns(pl.lit(name).alias("growth")))
        if name in results:
            checks.append({**of_paper, "growth": name, **_check_intake(part)})
    table = pl.concat(lines).join(_lost(linked, by), on="unit", how="left")
    prior_exams = ";".join(str(prior.exam.id) for prior in linked.priors)
    table = table.with_columns(
        pl.lit(by).alias("unit_type"),
        pl.lit(exam_id).alias("exam_id"),
        pl.lit(prior_exams).alias("prior_exams"),
        *(pl.lit(value).alias(name) for name, value in of_paper.items()),
        (pl.col("n") / pl.col("n_listed")).fill_nan(None).alias("match_rate"),
    )
    model = results.get("multilevel")
    return GrowthLines(
        lines=table.select(GROWTH.keys()).cast(GROWTH).sort("growth", "unit"),  # type: ignore[arg-type]
        model=of_paper | _describe_model(job, model, reasons.get("multilevel")),
        coefficients=[] if model is None else [of_paper | line for line in _coefficients(model, linked)],
        checks=checks,
        agreement=agreement,
    )


def on_mean_of_units(result: GrowthResult) -> GrowthResult:
    """Return a result whose sides are judged from the mean over its units.

    The multilevel model is centred there; the other ways would be judged from the mean over pupils, on which large units weigh
    more, and a letter would mix two references.
    """
    mean = result.frame.sort(result.unit)["estimate"].mean()
    if not isinstance(mean, float):
        return result
    return dataclasses.replace(result, settings={**result.settings, "neutral": mean})


def _fits(job: GrowthJob, ways: Sequence[Way], settings: RunSettings) -> dict[str, Callable[[], GrowthResult]]:
    """Return how each way is fitted, by its name in the table."""
    level, names = settings.conf_level, job.rows["unit"].unique().sort()
    numbered = pl.col("unit").cast(pl.Enum(names)).to_physical()  # numbers are told apart faster than names
    rows = job.rows.with_columns(numbered)

    def named(result: GrowthResult, *told: pl.Expr) -> GrowthResult:
        frame = result.frame.with_columns(names.gather(result.frame["unit"]).alias("unit"), *told)
        return dataclasses.replace(result, frame=frame)

    trusted = {
        name: value
        for name in job.every
        if (value := settings.prior_reliability.get(name.partition("_")[2])) is not None and value < 1
    }

    def multilevel(reliability: dict[str, float] | None) -> GrowthResult:
        found = estimate_growth(
            rows,
            outcome="y",
            prior=job.every,
            unit="unit",
            level=level,
            covariates=settings.growth_covariates,
            reliability=reliability,
        )
        told = (pl.col(f"centred{side}").alias(name) for side, name in zip(("", "_lower", "_upper"), _CENTRED, strict=True))
        return named(found, *told)

    def one_prior(way: Way) -> GrowthResult:
        if way != "percentile":
            return named(estimate_growth(rows, outcome="y", prior=job.first, unit="unit", method=way, level=level))
        grid = [("y", job.paper == COMPOSITE), (job.first, job.first.endswith(f"_{COMPOSITE}"))]
        stepped = rows.with_columns(((pl.col(name) / _STEP).round() * _STEP).alias(name) for name, wide in grid if wide)
        found = estimate_growth(
            stepped, outcome="y", prior=job.first, unit="unit", method=way, level=level, min_n=settings.min_n_reporting
        )
        return named(found)

    found: dict[str, Callable[[], GrowthResult]] = {}
    for way in ways:
        if way == "multilevel":
            found[way] = lambda: multilevel(trusted or None)
            if trusted:
                found[UNCORRECTED] = lambda: multilevel(None)
        else:
            found[way] = partial(one_prior, way)
    return found


def set_of(way: str) -> str:
    """Return which set of priors a way takes."""
    return "every" if way.startswith("multilevel") else "first"


def _intake(job: GrowthJob) -> dict[str, pl.DataFrame]:
    """Return per set of priors: unit, n (candidates with all of them) and prior_mean, of the first prior composite."""
    composite = prior_column(1, COMPOSITE)
    found = {}
    for name, columns in (("every", job.every), ("first", (job.first,))):
        used = job.rows.drop_nulls(list(columns))
        found[name] = used.group_by("unit").agg(
            pl.len().cast(pl.Int64).alias("n"), pl.col(composite).sort().mean().alias("prior_mean")
        )
    return found


def _lay_out(job: GrowthJob, way: str, result: GrowthResult | None, reason: str | None) -> pl.DataFrame:
    """Return a line per unit of the group: a number, or the reason why there is none."""
    columns = ["estimate", "std_error", "ci_lower", "ci_upper", "conf_level", "method", "reliability", "reason"]
    if result is None:
        empty = {name: GROWTH[name] for name in columns}
        if not job.group["comparable"]:  # scores are not standardised there, so who has one is not counted
            empty["n_listed"] = GROWTH["n_listed"]
        nothing = (pl.lit(None, dtype=kind).alias(name) for name, kind in empty.items() if name != "reason")
        return job.units.with_columns(*nothing, pl.lit(reason).alias("reason"))
    table = job.units.join(result.frame.select("unit", *columns), on="unit", how="left", maintain_order="left")
    none = pl.col("estimate").is_null()
    return table.with_columns(
        pl.when(none & pl.col("reason").is_null()).then(pl.lit("nobody_linked")).otherwise(pl.col("reason")).alias("reason")
    )


def _check_intake(part: pl.DataFrame) -> dict[str, Any]:
    known = part.drop_nulls(["estimate", "prior_mean"]).sort("unit")
    estimate, intake = known["estimate"].to_numpy(), known["prior_mean"].to_numpy()
    ranked = known.height >= 3
    return {
        "n_units": known.height,
        "corr_intake": correlation(estimate, intake),
        "spearman_intake": correlation(percentile_ranks(estimate), percentile_ranks(intake)) if ranked else None,
    }


def _lost(linked: LinkedTable, by: str) -> pl.DataFrame:
    """Return unit, unmatched_prior_z: the mean first prior composite of those of a school who are not in the exam."""
    if by != "school" or not linked.priors:
        return pl.DataFrame(schema={"unit": pl.String(), "unmatched_prior_z": pl.Float64()})
    first = pl.col("prior_exam") == str(linked.priors[0].exam.id)
    return linked.missing.filter(first & (pl.col("prior_band") == "all") & (pl.col("school_id") != "all")).select(
        pl.col("school_id").alias("unit"), pl.col("prior_z_missing").alias("unmatched_prior_z")
    )


def _describe_model(job: GrowthJob, result: GrowthResult | None, reason: str | None) -> dict[str, Any]:
    listed = int(job.units["n_listed"].sum()) if job.group["comparable"] else None
    line: dict[str, Any] = {"n_listed": listed, "corrected": False, "reason": reason}
    if result is None or result.model is None:
        return line
    model = result.model
    unit = model.var_unit if isinstance(model.var_unit, float) else None
    return line | {
        "n": model.n,
        "n_units": model.n_units,
        "match_rate": model.n / listed if listed else None,
        "var_unit": unit,
        "var_residual": model.var_residual,
        "unit_share": None if unit is None else unit / (unit + model.var_residual),
        "sd_unit_upper": model.sd_unit_upper,
        "corrected": bool(model.reliability),
        "reason": result.frame["reason"].drop_nulls().first() if unit is None else None,
    }


def _coefficients(result: GrowthResult, linked: LinkedTable) -> list[dict[str, Any]]:
    model = result.model
    if model is None:
        return []
    lines = []
    for name, value in model.fixed.items():
        number, _, prior = name.partition("_")
        is_prior = name in result.settings["prior"]
        lines.append(
            {
                "prior_exam": linked.priors[int(number[1:]) - 1].exam.id if is_prior else None,
                "prior": prior if is_prior else None,
                "covariate": None if is_prior or name == "(Intercept)" else name,
                "coefficient": value,
                "std_error": model.fixed_se[name],
                "reliability": model.reliability.get(name),
                "coefficient_uncorrected": None if model.fixed_uncorrected is None else model.fixed_uncorrected.get(name),
            }
        )
    return lines
