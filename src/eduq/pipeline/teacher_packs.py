"""The sheets of all teachers over the exams of a period: a folder for each, for nobody else's eyes, and a list for the office."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eduq.disclosure.feedback import PublishableFeedback, protect_feedback
from eduq.errors import UsageError
from eduq.estimates.teaching import TeachingTable
from eduq.locale import Lang
from eduq.pipeline.clock import Progress
from eduq.pipeline.folders import choose_name, replace_sheets, write_index

if TYPE_CHECKING:
    from eduq.bulletins.template_folder import TemplateFolder

__all__ = ["protect_teacher", "write_teacher_packs"]

COLUMNS = ("teacher_id", "folder", "files")
_EVERY = 25
_STEM = "feedback"


def protect_teacher(teaching: Sequence[TeachingTable], teacher_id: str) -> tuple[PublishableFeedback, ...]:
    """Return what one teacher may see of each exam in which the teacher taught.

    Raises
    ------
    UsageError
        ``teacher_unknown``: none of the exams has a class of that teacher.
    """
    found = tuple(protect_feedback(one, teacher_id=teacher_id) for one in teaching if teacher_id in one.of_teacher)
    if not found:
        raise UsageError("teacher_unknown", asked=teacher_id)
    return found


def write_teacher_packs(
    teaching: Sequence[TeachingTable],
    folder: Path,
    *,
    lang: Lang,
    formats: Sequence[str],
    templates: TemplateFolder | None = None,
    marks: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> None:
    """Write a folder for every teacher with a class in one of the exams, whole or not at all.

    Parameters
    ----------
    teaching
        From `eduq.estimates.teaching.measure_teaching`, one per exam, oldest first.
    folder
        Replaced when an earlier run wrote it or when it is empty. Folders and files can be read by their owner alone.
    lang, formats, templates
        Of the sheets; formats of `eduq.pipeline.school_packs.PACK_FORMATS`.
    marks
        See `eduq.bulletins.products.teacher.build_teacher_context`.
    progress
        Called with stage ``sheets``, done, total.
    """
    from eduq.bulletins.products.teacher import build_teacher_context
    from eduq.pipeline.school_packs import write_sheet

    taken: set[str] = set()
    names = sorted({name for one in teaching for name in one.of_teacher})
    lines = []
    with replace_sheets(folder, columns=COLUMNS) as part:
        for done, name in enumerate(names):
            if progress is not None and done % _EVERY == 0:
                progress("sheets", done, len(names))
            place = choose_name(name, taken)
            context = build_teacher_context(protect_teacher(teaching, name), lang, marks=marks)
            schools = sorted({str(name) for one in teaching for name in one.school_names.values()})
            files = write_sheet(context, part / place, formats=formats, templates=templates, names=schools)
            lines.append((name, place, ";".join(path.name for path in files)))
        write_index(part, COLUMNS, lines)
    if progress is not None:
        progress("sheets", len(names), len(names))
