"""Declines over years: the fit, evidence grades, stagnation and severe drops."""

from __future__ import annotations

from eduq.estimates.declines.bounds import DeclineBounds
from eduq.estimates.declines.detection import detect_declines
from eduq.estimates.declines.results import DeclineResult
from eduq.estimates.declines.stratum_fits import DeclineModel
from eduq.estimates.declines.worlds import WorldFits, fit_worlds

__all__ = ["DeclineBounds", "DeclineModel", "DeclineResult", "WorldFits", "detect_declines", "fit_worlds"]
