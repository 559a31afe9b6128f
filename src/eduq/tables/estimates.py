"""Columns of the estimates of one exam.

Each schema is a dataframely class: ``Schema.validate(frame)`` raises when a stage hands on something else.
"""

from __future__ import annotations

import dataframely as dy
import polars as pl

__all__ = [
    "COMPARISONS",
    "EQUITY",
    "EQUITY_COURSE",
    "ESTIMATE_COLUMNS",
    "FLOWS",
    "GROWTH",
    "TARGET_REVIEWS",
    "TEACHING",
    "EstimateTable",
]


class EstimateTable(dy.Schema):
    """One number with its uncertainty per unit, paper and measure. Rates are 0-1; a null estimate has a ``reason``."""

    unit_type = dy.String(nullable=False)
    unit = dy.String(nullable=False)
    exam_id = dy.String(nullable=False)
    comparison_group = dy.String(nullable=False)
    subject = dy.String(nullable=False)
    paper = dy.String(nullable=False)
    measure = dy.String(nullable=False)
    n_expected = dy.Int64(nullable=False)
    n_present = dy.Int64(nullable=False)
    n = dy.Int64(nullable=False)
    estimate = dy.Float64(nullable=True)
    std_error = dy.Float64(nullable=True)
    ci_lower = dy.Float64(nullable=True)
    ci_upper = dy.Float64(nullable=True)
    conf_level = dy.Float64(nullable=True)
    method = dy.String(nullable=True)
    reason = dy.String(nullable=True)

    @dy.rule()
    def number_or_reason(cls) -> pl.Expr:
        """A number, or the reason why there is none; never both, never neither."""
        return pl.col("estimate").is_null() ^ pl.col("reason").is_null()

    @dy.rule()
    def bounds_in_order(cls) -> pl.Expr:
        """An interval has its bounds in order."""
        return pl.col("ci_lower").is_null() | (pl.col("ci_lower") <= pl.col("ci_upper"))

    @dy.rule()
    def n_not_above_expected(cls) -> pl.Expr:
        """The denominator is never larger than the number expected."""
        return pl.col("n") <= pl.col("n_expected")


ESTIMATE_COLUMNS: dict[str, pl.DataType] = dict(EstimateTable.create_empty().schema)

_NUMBER: dict[str, pl.DataType] = {
    "n": pl.Int64(),
    "estimate": pl.Float64(),
    "std_error": pl.Float64(),
    "ci_lower": pl.Float64(),
    "ci_upper": pl.Float64(),
    "conf_level": pl.Float64(),
    "method": pl.String(),
}
_OF_EXAM: dict[str, pl.DataType] = {
    "unit_type": pl.String(),
    "unit": pl.String(),
    "exam_id": pl.String(),
    "comparison_group": pl.String(),
    "subject": pl.String(),
    "paper": pl.String(),
    "measure": pl.String(),
}

COMPARISONS: dict[str, pl.DataType] = {
    **_OF_EXAM,
    "peer_group": pl.String(),
    **_NUMBER,
    **dict.fromkeys(("contrast", "contrast_se", "contrast_lower", "contrast_upper", "p_value", "q_value"), pl.Float64()),
    "family_size": pl.Int64(),
    **dict.fromkeys(("shrunken", "shrunken_se", "reliability"), pl.Float64()),
    **dict.fromkeys(("rank", "rank_lower", "rank_upper", "n_units"), pl.Int64()),
    **dict.fromkeys(("could_be_last", "could_be_first"), pl.Boolean()),
    "p_last": pl.Float64(),
    **dict.fromkeys(("funnel", "funnel_998"), pl.String()),
    "periods": pl.Int64(),
    "reference": pl.Float64(),
    "reference_source": pl.String(),
    "reason": pl.String(),
}
"""One line per unit, paper and measure within a peer group: a unit set beside its group and the others (columns as in
`eduq.estimates.comparison`). ``peer_group`` is ``all`` (the comparison group), ``COLUMN=VALUE;...`` (similar schools by the
register), ``nearest``, or ``reference``: the contrast is with ``reference``, a declared value from outside; ``periods`` how many
school years the estimate is pooled over (1: this exam alone)."""

GROWTH: dict[str, pl.DataType] = {
    **{name: kind for name, kind in _OF_EXAM.items() if name != "measure"},
    "prior_exams": pl.String(),
    "growth": pl.String(),
    **dict.fromkeys(("n_expected", "n_listed"), pl.Int64()),
    "match_rate": pl.Float64(),
    **_NUMBER,
    **dict.fromkeys(("reliability", "prior_mean", "unmatched_prior_z"), pl.Float64()),
    "agreement": pl.String(),
    "reason": pl.String(),
}
"""One line per unit, paper and way of measuring growth (``growth``: multilevel, percentile, gain, bands ...). ``prior_exams``
are joined by ``;``. ``n_listed`` candidates of the unit with a score in this exam, ``n`` those of them linked to every prior;
``estimate`` in SDs of this exam's comparison group (multilevel: unit effect less the mean of all units; percentile: median
growth percentile, 1-99); ``agreement`` letter of all ways together (wording ``growth.agreement.<letter>``)."""

FLOWS: dict[str, pl.DataType] = {
    **{name: kind for name, kind in _OF_EXAM.items() if name != "measure"},
    "prior_exam": pl.String(),
    "flow": pl.String(),
    "band_from": pl.String(),
    "band_to": pl.String(),
    "count": pl.Int64(),
    **_NUMBER,
    **dict.fromkeys(("expected", "difference", "difference_lower", "difference_upper"), pl.Float64()),
    "side": pl.String(),
    "reason": pl.String(),
}
"""Counts of pupils that moved between bands from a prior exam to this one, and rates of them: ``flow`` is cell (band_from →
band_to of upper, middle, lower), band_retention (巩固率 of the upper band), conversion (转化率), or of the low group entering,
staying, leaving; ``count`` of ``n``. ``expected`` is the rate which the unit's pupils would show at the rates of all pupils who
started alike (strata of the prior score within the band; regression to the mean included), ``difference`` = estimate − expected,
``side`` (above, below, same) where its interval lies. Of the area also prior_band and outcome_band: how many a band holds of
all."""

EQUITY: dict[str, pl.DataType] = {
    "exam_id": pl.String(),
    "school_year": pl.String(),
    "comparison_group": pl.String(),
    "subject": pl.String(),
    "paper": pl.String(),
    "index": pl.String(),
    "attribute": pl.String(),
    "level": pl.String(),
    "reference": pl.String(),
    "n_units": pl.Int64(),
    "n": pl.Int64(),
    **dict.fromkeys(("value", "std_error", "ci_lower", "ci_upper", "conf_level"), pl.Float64()),
    "method": pl.String(),
    "limit": pl.Float64(),
    "limit_state": pl.String(),
    "limit_source": pl.String(),
    "reason": pl.String(),
}
"""One line per index of equity, paper and school year (columns as in `eduq.estimates.equity`; ``level`` and ``reference`` are the
two sides of a gap); ``limit_state`` below, above, undecided or not_assessable against a dated limit, null where there is none."""

EQUITY_COURSE: dict[str, pl.DataType] = {
    "subject": pl.String(),
    "index": pl.String(),
    "attribute": pl.String(),
    "level": pl.String(),
    "reference": pl.String(),
    "n_periods": pl.Int64(),
    "first": pl.String(),
    "last": pl.String(),
    "slope": pl.Float64(),
    "std_error": pl.Float64(),
    "df": pl.Int64(),
    **dict.fromkeys(("ci_lower", "ci_upper", "p_value"), pl.Float64()),
    "reason": pl.String(),
}
"""One line per index of equity and subject: its change a year over the school years of an archive; no slope from fewer than four
years (``too_few_periods``)."""

TARGET_REVIEWS: dict[str, pl.DataType] = {
    "target_id": pl.String(),
    "unit_type": pl.String(),
    "unit": pl.String(),
    "measure": pl.String(),
    "subject": pl.String(),
    "year_group": pl.String(),
    "comparison_group": pl.String(),
    "exam_id": pl.String(),
    "date": pl.Date(),
    "baseline": pl.Float64(),
    "target": pl.Float64(),
    "direction": pl.String(),
    "due": pl.Date(),
    "signer": pl.String(),
    **_NUMBER,
    "completion": pl.Float64(),
    "state": pl.String(),
    "overdue": pl.Boolean(),
    "reason": pl.String(),
}
"""One line per target of the register, year group and comparison group: the newest value by its due date with its interval,
``completion`` = (value - baseline) / (target - baseline), ``state`` reached, not_reached, undecided (the interval holds the
target), not_assessable or refused; ``reason`` why there is no number (wording ``targets.reason.<reason>`` or
``reasons.<reason>``), for a refused target the rule that bars it, for an assessed one why there is no completion
(``no_baseline``; ``target_near_baseline``: nearer than half the width of the value's interval). ``overdue``: the due day has
passed."""

TEACHING: dict[str, pl.DataType] = {
    "teacher_id": pl.String(),
    "school_id": pl.String(),
    "class_id": pl.String(),
    "class_kind": pl.String(),
    "subject": pl.String(),
    "paper": pl.String(),
    "exam_id": pl.String(),
    "school_year": pl.String(),
    "term": pl.Int64(),
    "comparison_group": pl.String(),
    "combination": pl.String(),
    "share": pl.Float64(),
    "measure": pl.String(),
    "n_expected": pl.Int64(),
    "n_present": pl.Int64(),
    **_NUMBER,
    "n_like": pl.Int64(),
    **dict.fromkeys(("reference", "reference_q1", "reference_q3"), pl.Float64()),
    "reason": pl.String(),
}
"""The teacher-class-subject-term table: one line per teacher (null: nobody is registered), class, paper and measure.
``class_kind`` is administrative (行政班) or teaching (教学班); a line with class_id null pools all classes of a teacher, weighted
by ``share``. ``measure`` is mean_score (marks), like_gap (the mean less that of the ``n_like`` like classes of other teachers, in
SDs of the comparison group) or a rate (0-1); ``reference`` and its quartiles (marks) are those classes' candidates and means."""
