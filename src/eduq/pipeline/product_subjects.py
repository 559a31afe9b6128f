"""Which subject a product is for: a code or a name that the archive or this package knows."""

from __future__ import annotations

import datetime as dt

import polars as pl

from eduq.archive import Archive
from eduq.errors import UsageError
from eduq.groups import DERIVED
from eduq.locale import LANGUAGES, has_text, text
from eduq.pipeline.periods import Period

__all__ = ["name_subject"]


def _subjects(archive: Archive, ids: list[str]) -> list[str]:
    """Return the subjects of exams, in the order of their papers."""
    exams = [archive.scores(exam_id, columns=["candidate_id"]).exam for exam_id in ids]
    return list(dict.fromkeys(paper.subject_code for exam in exams for paper in exam.papers))


def _names(code: str) -> set[str]:
    key = f"bulletin.subject.{code}"
    return {code} | ({text(key, lang).casefold() for lang in LANGUAGES} if has_text(key) else set())


def name_subject(archive: Archive, asked: str, period: Period, day: dt.date) -> str:
    """Return the code of a subject that was asked for by its code or name.

    Parameters
    ----------
    archive
        Its exams say which subjects there are.
    asked
        Code or name.
    period, day
        Of the product: exams after the day are not known.

    Returns
    -------
    str
        A subject of the period, of any earlier exam, or one this package has a name for: of a subject that was not sat in the
        period there is a document that says so.

    Raises
    ------
    UsageError
        ``subject_unknown``, with the subjects of the period.
    """
    wanted = asked.strip().casefold()
    exams = archive.exams().filter(pl.col("date") <= day)
    here = _subjects(archive, exams.filter(pl.col("date") >= period.first)["exam_id"].to_list())
    for code in here:
        if wanted in _names(code):
            return code
    if wanted not in DERIVED and has_text(f"bulletin.subject.{wanted}"):
        return wanted
    before = _subjects(archive, exams.filter(pl.col("date") < period.first)["exam_id"].to_list())
    for code in before:
        if wanted in _names(code):
            return code
    known = here or before
    raise UsageError("subject_unknown", subject=asked, period=period.text, known=", ".join(known) or "-")
