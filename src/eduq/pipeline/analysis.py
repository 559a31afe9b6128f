"""What the main job gives: all results of one exam, and the folder they are written to."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from eduq.archive import Archive
from eduq.disclosure import ExamResults, Publishable
from eduq.disclosure.editions import check_edition
from eduq.errors import NotAssessableError, UsageError
from eduq.estimates.exam_comparisons import ExamComparisons
from eduq.estimates.exam_equity import ExamEquity
from eduq.estimates.exam_growth import ExamGrowth
from eduq.estimates.level_results import LevelResult
from eduq.estimates.teaching import TeachingTable
from eduq.groups import Comparability
from eduq.intake import ScoreTable
from eduq.locale import Lang
from eduq.pipeline.clock import Clock, Progress
from eduq.pipeline.documents import RUN_RECORD, write_documents
from eduq.pipeline.feedback import write_feedback
from eduq.pipeline.folders import replace_whole
from eduq.pipeline.papers import USUAL_FORMATS, check_formats
from eduq.pipeline.reviews import write_review

if TYPE_CHECKING:
    from eduq.bulletins.template_folder import TemplateFolder

__all__ = ["Analysis"]

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Analysis:
    """All results of one exam.

    Attributes
    ----------
    scores
        What intake read, with rejected rows and checks.
    comparability
        Comparison groups and reasons.
    estimates
        Level measures of every unit (`eduq.tables.EstimateTable`).
    publishable
        What the edition may show.
    timings
        Seconds by stage.
    comparisons
        Units beside their group and each other; None where no two can be compared.
    equity
        How equal the schools are; None where there is one only.
    growth
        Growth of schools (classes in a school's own exam) since earlier exams, with the linked rows of candidates; None without a
        prior exam and without an archive.
    teaching
        Teachers, classes and subjects; None unless feedback was asked for.
    results
        Everything the edition was made from; not to be shown as it is.
    archive
        The archive it was analysed with; None without one.
    """

    scores: ScoreTable
    comparability: Comparability
    estimates: LevelResult
    publishable: Publishable
    timings: dict[str, float]
    comparisons: ExamComparisons | None = None
    equity: ExamEquity | None = None
    growth: ExamGrowth | None = None
    teaching: TeachingTable | None = None
    results: ExamResults | None = None
    archive: Archive | None = None

    def summary(self) -> str:
        """Return one line: rows used, rows not used, estimates."""
        used, rejected = self.scores.frame.height, self.scores.rejected.height
        return f"{self.publishable.exam.exam.id}: {used} rows used, {rejected} not used; {self.estimates.summary()}"

    def _repr_html_(self) -> str:
        compared = "" if self.comparisons is None else self.comparisons._repr_html_()
        return f"<p>{escape(self.summary())}</p>{compared}{self.estimates._repr_html_()}"

    def plot(self, kind: Literal["caterpillar", "funnel"] = "caterpillar") -> Any:
        """Return a picture (lets-plot) of the units in the primary comparison, the largest comparison group of it.

        Units below ``min_n_reporting`` are not in it.

        Raises
        ------
        NotAssessableError
            ``compare_nothing_comparable``: no two units can be compared.
        UsageError
            ``compare_option``: another kind.
        """
        if self.comparisons is None:
            raise NotAssessableError("compare_nothing_comparable")
        names = self.publishable.units.filter(unit_type=self.comparisons.unit_type)
        return self.comparisons.plot(kind, names=dict(names.select("unit", "name").iter_rows()))

    def write(
        self,
        folder: PathLike,
        *,
        lang: Lang = "zh",
        now: dt.datetime | None = None,
        formats: Sequence[str] = USUAL_FORMATS,
        templates: PathLike | None = None,
        progress: Progress | None = None,
    ) -> list[Path]:
        """Write the run's folder, whole or not at all.

        Parameters
        ----------
        folder
            Replaced when an earlier run wrote it; refused when it holds anything else.
        lang
            Language of the bulletin and workbook.
        now
            Time to put into run.json; left out when None.
        formats
            Which documents: any of md, html, xlsx, docx, pdf, review. results/ and run.json are always written. ``review`` is the
            page to explore (bureau edition only), review.html, and where the exam is one of the archive a page of reasons,
            why/*.html, for each proposal of the rule packs in force on its day (some seconds each).
        templates
            Folder of local templates (`eduq.bulletins.template_folder.open_templates`), or None for the shipped ones.
        progress
            Called with stage, done, total.

        Returns
        -------
        list of Path
            What was written: bulletin.md, bulletin.html, tables.xlsx (bulletin.docx, bulletin.pdf), results/*.parquet (declines
            and series with an archive; of an edition other than the bureau's what it shows and no more), run.json, which lists
            them.

        Raises
        ------
        DisclosureError
            ``edition_not_available``: ``review`` of an edition other than the bureau's.
        UsageError
            ``output_not_ours``: the folder holds files of others. ``output_unwritable``: it cannot be made. ``format_unknown``.
            ``paper_library_missing``: pdf without its extra.
        """
        from eduq.bulletins.template_folder import open_templates

        opened = None if templates is None else open_templates(templates)
        formats = check_formats(formats)
        if "review" in formats:
            check_edition(self.publishable.edition)
        with replace_whole(folder, is_ours=lambda found: (found / RUN_RECORD).is_file()) as part:
            review = partial(self._write_review, lang=lang, templates=opened, progress=progress) if "review" in formats else None
            written = write_documents(self, part, lang, now, progress, opened, formats=formats, extra=review)
            names = [path.relative_to(part) for path in written]
        return [Path(folder) / name for name in names]

    def _write_review(
        self, folder: Path, *, lang: Lang, templates: TemplateFolder | None, progress: Progress | None
    ) -> list[Path]:
        history = self.publishable.history
        stored = history is not None and history.origin == "archived"
        clock = Clock()
        with clock.stage("review", progress):
            return write_review(
                [self.publishable],
                folder,
                lang=lang,
                archive=self.archive if stored else None,
                as_of=self.publishable.exam.exam.date,
                templates=templates,
                progress=progress,
            )

    def feedback(
        self, folder: PathLike, *, lang: Lang = "zh", templates: PathLike | None = None, progress: Progress | None = None
    ) -> Path:
        """Write a feedback sheet per teacher and class, for their own eyes alone, and return the list of files for the office.

        Raises
        ------
        UsageError
            ``feedback_not_made``: analysed without ``feedback=True``; see also `eduq.pipeline.feedback.write_feedback`.
        """
        if self.teaching is None:
            raise UsageError("feedback_not_made")
        return write_feedback(self.teaching, folder, lang=lang, templates=templates, progress=progress)
