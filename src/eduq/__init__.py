"""eduq: fair teaching-quality bulletins of a county, from score exports to documents.

The names below load when they are first used; ``import eduq`` itself loads nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eduq.archive import open_archive
    from eduq.bulletins.dossier import render_dossier
    from eduq.bulletins.feedback import render_feedback
    from eduq.disclosure import protect, protect_dossier, protect_feedback
    from eduq.dry_run import check_files
    from eduq.errors import EduqError
    from eduq.estimates.comparison import compare_pairs, compare_units
    from eduq.estimates.declines import detect_declines
    from eduq.estimates.equity import measure_equity
    from eduq.estimates.growth import (
        compare_growth,
        estimate_growth,
        measure_flows,
        measure_low_groups,
        measure_retention,
        trace_cohort,
    )
    from eduq.estimates.levels import describe
    from eduq.estimates.teaching import measure_teaching
    from eduq.groups import check_comparability
    from eduq.intake import ScoreTable, read_scores
    from eduq.pipeline import analyze, render_bulletin
    from eduq.pipeline.equities import national_limits
    from eduq.pipeline.products import make_bulletin
    from eduq.rulepacks.award_proposals import compare_award_schemes, propose_awards
    from eduq.rulepacks.judging import judge
    from eduq.rulepacks.reading import load_rulepack
    from eduq.rulepacks.simulation import stress
    from eduq.rulepacks.target_reviews import propose_targets, review_targets
    from eduq.rulepacks.trace import explain
    from eduq.synthetic import make_sample

__version__ = "0.1.0"

_HOMES = {
    "EduqError": "eduq.errors",
    "ScoreTable": "eduq.intake",
    "analyze": "eduq.pipeline",
    "check_comparability": "eduq.groups",
    "check_files": "eduq.dry_run",
    "compare_award_schemes": "eduq.rulepacks.award_proposals",
    "compare_growth": "eduq.estimates.growth",
    "compare_pairs": "eduq.estimates.comparison",
    "compare_units": "eduq.estimates.comparison",
    "describe": "eduq.estimates.levels",
    "detect_declines": "eduq.estimates.declines",
    "estimate_growth": "eduq.estimates.growth",
    "explain": "eduq.rulepacks.trace",
    "judge": "eduq.rulepacks.judging",
    "load_rulepack": "eduq.rulepacks.reading",
    "make_bulletin": "eduq.pipeline.products",
    "make_sample": "eduq.synthetic",
    "measure_equity": "eduq.estimates.equity",
    "measure_flows": "eduq.estimates.growth",
    "measure_low_groups": "eduq.estimates.growth",
    "measure_retention": "eduq.estimates.growth",
    "measure_teaching": "eduq.estimates.teaching",
    "national_limits": "eduq.pipeline.equities",
    "open_archive": "eduq.archive",
    "propose_awards": "eduq.rulepacks.award_proposals",
    "propose_targets": "eduq.rulepacks.target_reviews",
    "protect": "eduq.disclosure",
    "protect_dossier": "eduq.disclosure",
    "protect_feedback": "eduq.disclosure",
    "read_scores": "eduq.intake",
    "render_bulletin": "eduq.pipeline",
    "render_dossier": "eduq.bulletins.dossier",
    "review_targets": "eduq.rulepacks.target_reviews",
    "render_feedback": "eduq.bulletins.feedback",
    "stress": "eduq.rulepacks.simulation",
    "trace_cohort": "eduq.estimates.growth",
}

__all__ = [
    "EduqError",
    "ScoreTable",
    "__version__",
    "analyze",
    "check_comparability",
    "check_files",
    "compare_award_schemes",
    "compare_growth",
    "compare_pairs",
    "compare_units",
    "describe",
    "detect_declines",
    "estimate_growth",
    "explain",
    "judge",
    "load_rulepack",
    "make_bulletin",
    "make_sample",
    "measure_equity",
    "measure_flows",
    "measure_low_groups",
    "measure_retention",
    "measure_teaching",
    "national_limits",
    "open_archive",
    "propose_awards",
    "propose_targets",
    "protect",
    "protect_dossier",
    "protect_feedback",
    "read_scores",
    "render_bulletin",
    "render_dossier",
    "render_feedback",
    "review_targets",
    "stress",
    "trace_cohort",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(home), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
