"""Feedback sheets of all addressees of an exam: one file each, for nobody else's eyes, and a list for the office."""

from __future__ import annotations

import csv
import io
import os
import re
import tempfile
from pathlib import Path

import polars as pl

from eduq.bulletins.ordering import natural_key
from eduq.disclosure.feedback import protect_feedback
from eduq.errors import UsageError
from eduq.estimates.exam_growth import ExamGrowth, measure_exam_growth
from eduq.estimates.teaching import TeachingTable
from eduq.groups import COMPOSITE
from eduq.locale import Lang
from eduq.pipeline.clock import Progress
from eduq.settings import RunSettings

__all__ = ["INDEX", "growth_of_classes", "write_feedback"]

INDEX = "index.csv"
_COLUMNS = ("kind", "id", "html", "markdown")
_UNFIT = re.compile(r"[^\w（）()-]+")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_LONGEST, _EVERY = 80, 25
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


def _is_ours(folder: Path) -> bool:
    """Whether a folder is new, empty, or holds what an earlier run wrote."""
    if not folder.exists():
        return True
    if not folder.is_dir():
        return False
    index = folder / INDEX
    if not any(folder.iterdir()):
        return True
    return index.is_file() and index.read_text(encoding="utf-8-sig", errors="replace").splitlines()[:1] == [",".join(_COLUMNS)]


def _file_name(shown: str, taken: set[str]) -> str:
    """Return a name that every file system takes and that no other addressee has."""
    plain = _UNFIT.sub("_", shown).strip("_")[:_LONGEST] or "_"
    name, number = plain, 1
    while name.casefold() in taken:
        number += 1
        name = f"{plain}-{number}"
    taken.add(name.casefold())
    return name


def _write_private(path: Path, content: str) -> None:
    """Write a file that its owner alone may read."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
        file.write(content)


def _index(lines: list[tuple[str, ...]]) -> str:
    content = io.StringIO(newline="")
    writer = csv.writer(content, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    writer.writerows([f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell for cell in line] for line in lines)
    return "\ufeff" + content.getvalue()


def write_feedback(
    teaching: TeachingTable, folder: str | os.PathLike[str], *, lang: Lang = "zh", progress: Progress | None = None
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
    """
    target = Path(folder)
    if not _is_ours(target):
        raise UsageError("output_not_ours", folder=str(target))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
            part = Path(scratch) / "new"
            part.mkdir(mode=0o700)
            _write_sheets(teaching, part, lang, progress)
            if target.exists():
                target.replace(Path(scratch) / "old")
            part.replace(target)
    except OSError as error:
        raise UsageError("output_unwritable", folder=str(target), said=error.strerror or "") from None
    return target / INDEX


def _write_sheets(teaching: TeachingTable, folder: Path, lang: Lang, progress: Progress | None) -> None:
    from eduq.bulletins.feedback import render_feedback

    teachers, classes = sorted(teaching.of_teacher), sorted(teaching.of_class, key=natural_key)
    total = len(teachers) + len(classes)
    lines: list[tuple[str, ...]] = []
    taken: dict[str, set[str]] = {"teachers": set(), "classes": set()}
    for kind in taken:
        (folder / kind).mkdir(mode=0o700)
    addressees = [("teacher", "teachers", name) for name in teachers] + [("class", "classes", name) for name in classes]
    for done, (kind, place, name) in enumerate(addressees):
        if progress is not None and done % _EVERY == 0:
            progress("sheets", done, total)
        found = protect_feedback(teaching, **{f"{kind}_id": name})
        stem = _file_name(name.replace("/", "-"), taken[place])
        paths = {form: f"{place}/{stem}.{end}" for form, end in _FORMATS.items()}
        for form, path in paths.items():
            _write_private(folder / path, render_feedback(found, format=form, lang=lang))
        lines.append((kind, name, paths["html"], paths["markdown"]))
    _write_private(folder / INDEX, _index(lines))
    if progress is not None:
        progress("sheets", total, total)
