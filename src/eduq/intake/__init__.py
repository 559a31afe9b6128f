"""Stage 1: files and exam.toml to a ScoreTable, rejected rows and checks."""

from __future__ import annotations

from eduq.intake.rejects import write_rejects
from eduq.intake.score_table import ScoreTable
from eduq.intake.scores import read_scores

__all__ = ["ScoreTable", "read_scores", "write_rejects"]
