"""Stage 3: rows of candidates to counts and sums. Nothing after this stage touches rows."""

from __future__ import annotations

from eduq.summaries.cells import CellTable, gather_cells
from eduq.summaries.counts import COMPOSITE_SCALE, ScoreCounts, count_scores, sum_scores
from eduq.summaries.derived import ZEROED
from eduq.summaries.sweeps import AREA_UNIT, Summary, UnitSummary, summarise

__all__ = [
    "AREA_UNIT",
    "COMPOSITE_SCALE",
    "ZEROED",
    "CellTable",
    "ScoreCounts",
    "Summary",
    "UnitSummary",
    "count_scores",
    "gather_cells",
    "sum_scores",
    "summarise",
]
