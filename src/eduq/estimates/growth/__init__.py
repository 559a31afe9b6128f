"""Growth of units: multilevel models, growth percentiles, gains, prior-score bands."""

from __future__ import annotations

from eduq.estimates.growth.agreement import GrowthAgreement, compare_growth
from eduq.estimates.growth.estimation import estimate_growth
from eduq.estimates.growth.results import GrowthModel, GrowthResult

__all__ = ["GrowthAgreement", "GrowthModel", "GrowthResult", "compare_growth", "estimate_growth"]
