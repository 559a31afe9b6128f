"""What an edition may show of the growth of schools or classes since earlier exams."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from eduq.disclosure.flows import withhold_small_flows
from eduq.estimates.exam_growth import ExamGrowth
from eduq.tables import FLOWS, GROWTH

__all__ = ["PublishableGrowth", "protect_growth"]

_NUMBERS = (
    *("estimate", "std_error", "ci_lower", "ci_upper", "conf_level", "method", "reliability"),
    *("prior_mean", "unmatched_prior_z", "agreement"),
)


def _no_flows() -> pl.DataFrame:
    return pl.DataFrame(schema=FLOWS)


@dataclass(frozen=True)
class PublishableGrowth:
    """What an edition may show of an exam's growth: tables of units, numbers of small units withheld, no rows of pupils.

    Attributes
    ----------
    frame
        `eduq.tables.GROWTH`: one line per unit, paper (``composite`` and every subject's) and way of measuring (``growth``:
        multilevel, percentile, z_gain, bands; with declared reliabilities also multilevel_uncorrected, which does not count for
        the letter). ``estimate`` in SDs of this exam, for percentile a median growth percentile (neutral value 50). A small
        unit has no numbers and the reason ``below_min_n``. Empty where there is no growth.
    flows, low_groups
        `eduq.tables.FLOWS`: moves between bands; of the low group per subject entering, staying, leaving.
    missing
        Who of a prior exam is in this one: prior_exam, school_id (of the prior exam; ``all`` for the whole area), prior_band
        (upper, middle, lower of the area's prior composite with shares 30-40-30 %, ``none`` without a composite, ``all``),
        n_listed (in the prior exam), n_linked (those of them with a score in this one), prior_z_missing (mean prior composite of
        the others, SDs); null where withheld.
    priors
        One line per prior exam: exam_id, name, date, school_year, term, year_group, chosen (``given`` or ``automatic``), why
        (code of the reason of an automatic choice, wording ``growth.why.<why>``), link (``person_id``), n_listed (candidates of
        this exam), n_linked (those found in that prior exam), match_rate, n_without_id, n_duplicates (ids that stand twice in one
        of the two exams: nobody is linked by them).
    models
        One line per comparison group and paper, of the multilevel way: comparison_group, subject, paper, n, n_units, n_listed,
        match_rate, var_unit, var_residual, unit_share (of the variance left by the priors, 0-1), sd_unit_upper, corrected
        (whether measurement error was taken out), reason (why there is no model).
    coefficients
        comparison_group, subject, paper, prior_exam, prior (``composite`` or a paper of that exam; both null for the intercept),
        covariate (name of a
        covariate, else null), coefficient, std_error, reliability, coefficient_uncorrected.
    checks
        How growth goes with intake, over units: comparison_group, subject, paper, growth, n_units, corr_intake, spearman_intake
        (correlations of the estimates with the mean prior of the unit; null with fewer than three units).
    agreement
        Rank correlations of the ways with each other: comparison_group, subject, paper, growth, other, n_units, spearman.
    unit_type
        ``school`` or ``class``.
    reason
        Why there is no growth (wording ``growth.reasons.<reason>``), None where there is.
    notes
        What a reader must know beside: code (wording ``growth.notes.<code>``), found, n.
    """

    frame: pl.DataFrame
    missing: pl.DataFrame
    priors: pl.DataFrame
    models: pl.DataFrame
    coefficients: pl.DataFrame
    checks: pl.DataFrame
    agreement: pl.DataFrame
    notes: pl.DataFrame
    flows: pl.DataFrame = field(default_factory=_no_flows)
    low_groups: pl.DataFrame = field(default_factory=_no_flows)
    unit_type: str = "school"
    reason: str | None = None


def protect_growth(growth: ExamGrowth, min_n: int) -> PublishableGrowth:
    """Return what the bureau edition may show of growth.

    Of a unit with fewer than `min_n` linked candidates no number is shown, its letter and its mean prior neither; how many sat
    and how many are linked stays. ``unmatched_prior_z`` is shown where at least `min_n` are missing. Counts of who is missing are
    shown by band where every band of the school that has anybody has at least `min_n`, else for all bands together only.

    Parameters
    ----------
    growth
        What was measured.
    min_n
        Smallest unit shown.
    """
    small = (pl.col("n").fill_null(0) < min_n) & pl.col("estimate").is_not_null()
    thin = pl.col("n").fill_null(0) < min_n
    few = (growth.missing["n_listed"] - growth.missing["n_linked"]) < min_n
    kept = growth.missing.with_columns(pl.when(few).then(None).otherwise(pl.col("prior_z_missing")).alias("prior_z_missing"))
    shown = kept.filter(pl.col("prior_band") == "all", pl.col("prior_z_missing").is_not_null())
    shown = shown.select(pl.col("school_id").alias("unit")).unique()
    lost = pl.col("unit").is_in(shown["unit"].implode())
    frame = growth.frame.with_columns(
        *(pl.when(~thin).then(pl.col(name)).alias(name) for name in _NUMBERS),
        pl.when(small).then(pl.lit("below_min_n")).otherwise(pl.col("reason")).alias("reason"),
    ).with_columns(pl.when(lost).then(pl.col("unmatched_prior_z")).alias("unmatched_prior_z"))
    return PublishableGrowth(
        frame=frame.select(GROWTH.keys()),
        missing=_withhold_bands(kept, min_n),
        priors=growth.priors,
        models=growth.models,
        coefficients=growth.coefficients,
        checks=growth.checks,
        agreement=growth.agreement,
        notes=growth.notes,
        flows=withhold_small_flows(growth.flows, min_n),
        low_groups=withhold_small_flows(growth.low_groups, min_n),
        unit_type=growth.unit_type,
        reason=growth.reason,
    )


def _withhold_bands(missing: pl.DataFrame, min_n: int) -> pl.DataFrame:
    """Return the counts without the bands of a school where one of them is small: the rest would tell it."""
    band = pl.col("prior_band") != "all"
    small = (band & (pl.col("n_listed") < min_n)).any().over("prior_exam", "school_id") & band
    return missing.with_columns(
        pl.when(~small).then(pl.col(name)).alias(name) for name in ("n_listed", "n_linked", "prior_z_missing")
    )
