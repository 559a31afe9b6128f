"""eduq: fair teaching-quality bulletins of a county, from score exports to documents.

The names below load when they are first used; ``import eduq`` itself loads nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eduq.archive import open_archive
    from eduq.bulletins.dossier import render_dossier
    from eduq.disclosure import protect, protect_dossier
    from eduq.dry_run import check_files
    from eduq.errors import EduqError
    from eduq.estimates.comparison import compare_units
    from eduq.estimates.declines import detect_declines
    from eduq.estimates.equity import measure_equity
    from eduq.estimates.growth import compare_growth, estimate_growth
    from eduq.estimates.levels import describe
    from eduq.groups import check_comparability
    from eduq.intake import ScoreTable, read_scores
    from eduq.pipeline import analyze, render_bulletin
    from eduq.rulepacks.judging import judge
    from eduq.rulepacks.reading import load_rulepack
    from eduq.rulepacks.simulation import stress
    from eduq.rulepacks.trace import explain
    from eduq.synthetic import make_sample

__version__ = "0.1.0"

_HOMES = {
    "EduqError": "eduq.errors",
    "ScoreTable": "eduq.intake",
    "analyze": "eduq.pipeline",
    "check_comparability": "eduq.groups",
    "check_files": "eduq.dry_run",
    "compare_growth": "eduq.estimates.growth",
    "compare_units": "eduq.estimates.comparison",
    "describe": "eduq.estimates.levels",
    "detect_declines": "eduq.estimates.declines",
    "estimate_growth": "eduq.estimates.growth",
    "explain": "eduq.rulepacks.trace",
    "judge": "eduq.rulepacks.judging",
    "load_rulepack": "eduq.rulepacks.reading",
    "make_sample": "eduq.synthetic",
    "measure_equity": "eduq.estimates.equity",
    "open_archive": "eduq.archive",
    "protect": "eduq.disclosure",
    "protect_dossier": "eduq.disclosure",
    "read_scores": "eduq.intake",
    "render_bulletin": "eduq.pipeline",
    "render_dossier": "eduq.bulletins.dossier",
    "stress": "eduq.rulepacks.simulation",
}

__all__ = [
    "EduqError",
    "ScoreTable",
    "__version__",
    "analyze",
    "check_comparability",
    "check_files",
    "compare_growth",
    "compare_units",
    "describe",
    "detect_declines",
    "estimate_growth",
    "explain",
    "judge",
    "load_rulepack",
    "make_sample",
    "measure_equity",
    "open_archive",
    "protect",
    "protect_dossier",
    "read_scores",
    "render_bulletin",
    "render_dossier",
    "stress",
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
