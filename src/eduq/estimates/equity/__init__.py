"""How equal the units of an area are: shares of variance, variation of means, gaps, each with its interval."""

from __future__ import annotations

from eduq.estimates.equity.index_values import IndexValue
from eduq.estimates.equity.limits import EquityLimit
from eduq.estimates.equity.measurement import INDICES, measure_equity
from eduq.estimates.equity.results import EquityResult
from eduq.estimates.equity.variation import BOOTSTRAP_DRAWS, BOOTSTRAP_SEED, CorrectedCV, corrected_cv, weighted_cv

__all__ = [
    "BOOTSTRAP_DRAWS",
    "BOOTSTRAP_SEED",
    "INDICES",
    "CorrectedCV",
    "EquityLimit",
    "EquityResult",
    "IndexValue",
    "corrected_cv",
    "measure_equity",
    "weighted_cv",
]
