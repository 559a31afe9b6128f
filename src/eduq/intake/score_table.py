"""The ScoreTable: what intake gives and every later stage takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

import polars as pl

from eduq.intake.exam_file import ExamFile, PaperFacts
from eduq.tables import AGGREGATES, ITEM_SPEC, ITEMS, STATUSES, status_column

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

    def __repr__(self) -> str:
        """Say what there is without a row of it: a notebook keeps what it shows."""
        return f"ScoreTable({self.summary()})"

    def summary(self) -> str:
        """Return one line of counts: files, rows, candidates, schools and papers."""
        rows, used, rejected = (int(self.inputs[name].sum()) for name in ("rows", "used", "rejected"))
        return (
            f"{self.inputs.height} files, {rows} rows = {used} used + {rejected} rejected; {self.frame.height} candidates, "
            f"{self.schools.height} schools, papers {', '.join(paper.code for paper in self.papers)}"
        )

    def _repr_html_(self) -> str:
        counts = pl.DataFrame(
            [{"paper": paper.code, "max_score": paper.max_score, **self._count(paper.code)} for paper in self.papers],
            schema={"paper": pl.String, "max_score": pl.Float64, **dict.fromkeys(STATUSES, pl.Int64)},
        )
        return f"<p>{escape(self.summary())}</p>{counts._repr_html_()}"

    def _count(self, paper: str) -> dict[str, int]:
        status = self.frame[status_column(paper)].cast(pl.String)
        return {name: int((status == name).sum()) for name in STATUSES}

    @property
    def papers(self) -> tuple[PaperFacts, ...]:
        """The papers of the exam in column order."""
        return self.exam.papers
