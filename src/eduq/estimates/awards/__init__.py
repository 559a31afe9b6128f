"""Award candidates: level and progress side by side, how sure a place is, and schemes compared by simulation."""

from __future__ import annotations

from eduq.estimates.awards.candidates import AwardCandidates, find_candidates
from eduq.estimates.awards.schemes import AwardScheme, read_scheme
from eduq.estimates.awards.simulation import SchemeComparison, simulate_schemes

__all__ = ["AwardCandidates", "AwardScheme", "SchemeComparison", "find_candidates", "read_scheme", "simulate_schemes"]
