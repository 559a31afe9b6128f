"""Targets of the register: what became of them, and what a school can be expected to reach."""

from __future__ import annotations

from eduq.estimates.targets.proposals import forecast_targets
from eduq.estimates.targets.results import TargetProposals, TargetReview

__all__ = ["TargetProposals", "TargetReview", "forecast_targets"]
