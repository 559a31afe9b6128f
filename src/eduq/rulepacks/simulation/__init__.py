"""Stress: what a rule pack would do in a county in which nothing changed, and what it would find where something did."""

from eduq.rulepacks.simulation.results import StressResult
from eduq.rulepacks.simulation.stressing import stress

__all__ = ["StressResult", "stress"]
