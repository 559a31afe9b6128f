"""Comparison of units: contrasts, shrinkage, simultaneous rank sets, who could be last, funnel limits, pairs and clusters."""

from __future__ import annotations

from eduq.estimates.comparison.fits import ComparisonModel
from eduq.estimates.comparison.pair_results import PairsResult
from eduq.estimates.comparison.pairs import compare_pairs
from eduq.estimates.comparison.pooling import PooledPeriods, pool_periods
from eduq.estimates.comparison.references import Reference, References, read_references
from eduq.estimates.comparison.results import ComparisonResult
from eduq.estimates.comparison.units import compare_units

__all__ = ["ComparisonModel", "ComparisonResult", "PairsResult", "PooledPeriods", "Reference", "References"]
__all__ += ["compare_pairs", "compare_units", "pool_periods", "read_references"]
