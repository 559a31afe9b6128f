"""Comparison of units: contrasts, shrinkage, simultaneous rank sets, who could be last, funnel limits."""

from __future__ import annotations

from eduq.estimates.comparison.fits import ComparisonModel
from eduq.estimates.comparison.results import ComparisonResult
from eduq.estimates.comparison.units import compare_units

__all__ = ["ComparisonModel", "ComparisonResult", "compare_units"]
