"""Growth of units: multilevel models, growth percentiles, gains, prior-score bands."""

from __future__ import annotations

from eduq.estimates.growth.agreement import GrowthAgreement, compare_growth
from eduq.estimates.growth.cohorts import CohortResult, RetentionResult, measure_retention, trace_cohort
from eduq.estimates.growth.estimation import estimate_growth
from eduq.estimates.growth.flows import FlowResult, measure_flows, measure_low_groups
from eduq.estimates.growth.results import GrowthModel, GrowthResult

__all__ = [
    "CohortResult",
    "FlowResult",
    "GrowthAgreement",
    "GrowthModel",
    "GrowthResult",
    "RetentionResult",
    "compare_growth",
    "estimate_growth",
    "measure_flows",
    "measure_low_groups",
    "measure_retention",
    "trace_cohort",
]
