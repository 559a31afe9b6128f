"""Exams of an archive as the main job reads them: which one is meant, and only the columns that are needed."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from eduq.archive import Archive, open_archive
from eduq.errors import ArchiveError, UsageError
from eduq.intake import ScoreTable
from eduq.settings import RunSettings, default_units
from eduq.tables import status_column

__all__ = ["ExamId", "archived_exam_id", "open_named", "read_archived", "without_register_checks"]

PathLike = str | os.PathLike[str]
_EXAM_ID = re.compile(r"[a-z0-9][a-z0-9-]{2,40}")
_ALWAYS = ("school_id", "year_group", "track")
_OF_REGISTERS = "schools_without_rows"


def open_named(archive: PathLike | Archive, version: int | None) -> Archive:
    """Return an archive given as a folder or opened already.

    Raises
    ------
    UsageError
        ``archive_version_twice``: an opened archive has its version.
    """
    if not isinstance(archive, Archive):
        return open_archive(archive, version=version)
    if version not in (None, archive.version):
        raise UsageError("archive_version_twice", opened=archive.version, asked=version)
    return archive


class ExamId(str):
    """Id of an exam that is in the archive, whatever a folder beside the run is called."""

    __slots__ = ()


def archived_exam_id(paths: PathLike | Iterable[PathLike], archive: Archive) -> str | None:
    """Return the id of the archived exam that is meant, None where files are.

    Raises
    ------
    UsageError
        ``exam_or_folder``: there is an exam of that id in the archive and a folder of that name here.
    ArchiveError
        ``archive_exam_unknown``: neither.
    """
    if isinstance(paths, ExamId):
        return str(paths)
    given = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    name = os.fspath(given[0]) if len(given) == 1 else ""
    if not _EXAM_ID.fullmatch(name):
        return None
    known = archive.exams()["exam_id"].to_list()
    if Path(name).exists():
        if name in known:
            raise UsageError("exam_or_folder", exam=name, folder=str(Path(name).resolve()))
        return None
    if name not in known:
        raise ArchiveError("archive_exam_unknown", exam=name, version=archive.version, known=", ".join(sorted(known)) or "-")
    return name


def read_archived(archive: Archive, exam_id: str, settings: RunSettings, *, classes: bool = False) -> ScoreTable:
    """Return an archived exam with no more columns than its groups, units, papers and, if asked, classes need.

    The notice about schools without rows was made when it was added; it stays unless registers are applied anew.
    """
    (facts,) = archive.exams().filter(pl.col("exam_id") == exam_id).iter_rows(named=True)
    units = settings.by or default_units(facts["scope"])
    stored = archive.scan(exam_id).collect_schema().names()
    needed = {*_ALWAYS, *(name for name in units if name == "sex"), *(name for name in stored if name.startswith("sub_"))}
    if classes or {"class", "teacher"} & set(units):
        needed.add("class_id")
    papers = [name for name in stored if status_column(name) in stored]
    if classes:
        needed |= {f"{paper}_class" for paper in papers}
    needed |= {*papers, *(status_column(paper) for paper in papers)}
    return archive.scores(exam_id, columns=[name for name in stored if name in needed], items=False)


def without_register_checks(scores: ScoreTable) -> ScoreTable:
    """Return an exam without what was noticed when its registers were applied, before others are."""
    return dataclasses.replace(scores, checks=scores.checks.filter(pl.col("code") != _OF_REGISTERS))
