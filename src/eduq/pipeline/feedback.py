"""Feedback sheets of all addressees of an exam: one file each, for nobody else's eyes, and a list for the office."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from eduq.bulletins.ordering import natural_key
from eduq.disclosure.feedback import protect_feedback
from eduq.estimates.exam_growth import ExamGrowth, measure_exam_growth
from eduq.estimates.teaching import TeachingTable
from eduq.groups import COMPOSITE
from eduq.locale import Lang
from eduq.pipeline.clock import Progress
from eduq.pipeline.folders import INDEX, choose_name, replace_sheets, write_index, write_private
from eduq.pipeline.outgoing import check_page
from eduq.settings import RunSettings

if TYPE_CHECKING:
    from eduq.bulletins.template_folder import TemplateFolder

__all__ = ["INDEX", "growth_of_classes", "write_feedback"]

_COLUMNS = ("kind", "id", "html", "markdown")
_EVERY = 25
_FORMATS = {"html": "html", "markdown": "md"}


def growth_of_classes(growth: ExamGrowth | None, settings: RunSettings) -> pl.DataFrame | None:
    """Return the multilevel growth of classes from the candidates that are linked already; None where none are."""
    if growth is None or growth.unit_type == "class":
        return None if growth is None else growth.frame
    linked = growth.linked
    if linked is None or "class_id" not in linked.frame.columns or linked.frame["class_id"].null_count() == linked.frame.height:
        return None
    papers = [paper for paper in linked.papers if paper != COMPOSITE]
    exam_id = str(growth.settings["exam_id"])
    return measure_exam_growth(linked, exam_id=exam_id, by="class", ways=("multilevel",), papers=papers, settings=settings).frame


def write_feedback(
    teaching: TeachingTable,
    folder: str | os.PathLike[str],
    *,
    lang: Lang = "zh",
    templates: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write a sheet per teacher and per administrative class, whole or not at all.

    Parameters
    ----------
    teaching
        From `eduq.estimates.teaching.measure_teaching`.
    folder
        Replaced when an earlier run wrote it; refused when it holds anything else. Folder and files can be read by their
        owner alone: who hands them on opens them.
    lang
        Language of the sheets.
    templates
        Folder of local templates, or None for the shipped ones.
    progress
        Called with stage ``sheets``, done, total.

    Returns
    -------
    Path
        ``index.csv``: kind (teacher, class), id, html, markdown (paths below the folder). The sheets are
        ``teachers/<teacher_id>`` and ``classes/<school_id>-<class_id>``, as .html and .md.

    Raises
    ------
    UsageError
        ``output_not_ours``: the folder holds files of others. ``output_unwritable``: it cannot be made.
    SettingsError
        ``template_…``: a local template, with file, line and what is missing.
    DisclosureError
        ``outward_word``: a sheet, or a local template, says what may not leave.
    """
    from eduq.bulletins.template_folder import open_templates

    opened = None if templates is None else open_templates(templates)
    with replace_sheets(folder, columns=_COLUMNS) as part:
        _write_sheets(teaching, part, lang, opened, progress)
    return Path(folder) / INDEX


def _write_sheets(
    teaching: TeachingTable, folder: Path, lang: Lang, templates: TemplateFolder | None, progress: Progress | None
) -> None:
    from eduq.bulletins.feedback import render_feedback

    teachers, classes = sorted(teaching.of_teacher), sorted(teaching.of_class, key=natural_key)
    total = len(teachers) + len(classes)
    schools = [str(name) for name in teaching.school_names.values()]
    lines: list[tuple[str, ...]] = []
    taken: dict[str, set[str]] = {"teachers": set(), "classes": set()}
    for kind in taken:
        (folder / kind).mkdir(mode=0o700)
    addressees = [("teacher", "teachers", name) for name in teachers] + [("class", "classes", name) for name in classes]
    for done, (kind, place, name) in enumerate(addressees):
        if progress is not None and done % _EVERY == 0:
            progress("sheets", done, total)
        found = protect_feedback(teaching, **{f"{kind}_id": name})
        stem = choose_name(name.replace("/", "-"), taken[place])
        paths = {form: f"{place}/{stem}.{end}" for form, end in _FORMATS.items()}
        for form, path in paths.items():
            page = render_feedback(found, format=form, lang=lang, templates=templates)
            if form == "markdown" or templates is not None:  # the shipped pages say the same in both forms
                check_page(page, edition="teacher", name=path, names=schools, templates=templates)
            write_private(folder / path, page)
        lines.append((kind, name, paths["html"], paths["markdown"]))
    write_index(folder, _COLUMNS, lines)
    if progress is not None:
        progress("sheets", total, total)
