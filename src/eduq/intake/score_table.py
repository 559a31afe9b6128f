"""The ScoreTable: what intake gives and every later stage takes."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from eduq.intake.exam_file import ExamFile, PaperFacts

__all__ = ["ScoreTable"]


@dataclass(frozen=True)
class ScoreTable:
    """Scores of one exam, one row per candidate, one pair of columns per paper.

    Attributes
    ----------
    frame
        Columns of `eduq.tables.SCORE_COLUMNS`, then per paper ``<code>`` (Int32 hundredths) and ``<code>_status``.
    exam
        exam.toml completed with what the files say; ``exam.papers`` has one entry per paper column, in column order.
    schools
        school_id, name, township, cluster, area_type as far as the files say (null otherwise), one row per school.
    rejected
        `eduq.tables.REJECTED`: every row of the files that was not used.
    checks
        `eduq.tables.CHECKS`.
    inputs
        `eduq.tables.INPUTS`: one line per file; rows = used + rejected.
    """

    frame: pl.DataFrame
    exam: ExamFile
    schools: pl.DataFrame
    rejected: pl.DataFrame
    checks: pl.DataFrame
    inputs: pl.DataFrame

    @property
    def papers(self) -> tuple[PaperFacts, ...]:
        """The papers of the exam in column order."""
        return self.exam.papers
