"""The ScoreTable: what intake gives and every later stage takes."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from eduq.intake.exam_file import ExamFile, PaperFacts
from eduq.tables import AGGREGATES, ITEM_SPEC, ITEMS

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
    items
        `eduq.tables.ITEMS`: what candidates got in single items, where files say so.
    item_spec
        `eduq.tables.ITEM_SPEC`: what is known of the items.
    aggregates
        `eduq.tables.AGGREGATES`: figures of schools from school summaries; never mixed with candidates.
    """

    frame: pl.DataFrame
    exam: ExamFile
    schools: pl.DataFrame
    rejected: pl.DataFrame
    checks: pl.DataFrame
    inputs: pl.DataFrame
    items: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=ITEMS))
    item_spec: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=ITEM_SPEC))
    aggregates: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=AGGREGATES))

    @property
    def papers(self) -> tuple[PaperFacts, ...]:
        """The papers of the exam in column order."""
        return self.exam.papers
