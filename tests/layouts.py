"""What an exam of the sample must be after it was written in a layout and read back."""

from __future__ import annotations

from typing import Any

import polars as pl

from eduq.intake import ScoreTable
from eduq.synthetic import SampleExam, make_sample
from eduq.synthetic.layout_tables import LAYOUTS
from eduq.synthetic.tracks import choose_tracks
from eduq.tables import status_column

SCORES_ONLY = ("joint-raw", "item-csv")
"""Layouts that have no word for why a score is missing."""
SCALED = ("joint-3-1-2", "raw-and-scaled")
NAMES = tuple(LAYOUTS)
Rows = list[tuple[Any, ...]]


def small_exam(layout: str, *, schools: int = 3, candidates: int = 36, seed: int = 20260115) -> SampleExam:
    """A ninth-year exam of an invented county; with tracks and scaled scores where the layout shows them."""
    exam = make_sample(schools=schools, candidates=candidates, years=1, seed=seed).exams[2]
    return choose_tracks(exam) if layout in SCALED else exam


SHEET_CLASSES = ("sheet-per-class",)
"""Layouts whose sheets are named 901班 where the class is 901."""


def _rows(frame: pl.DataFrame, layout: str, papers: list[str]) -> Rows:
    scaled = [name for name in ("chemistry_scaled", "politics_scaled") if layout in SCALED]
    statuses = [] if layout in SCORES_ONLY else [pl.col(status_column(code)).cast(pl.String) for code in papers]
    if layout in SHEET_CLASSES:
        frame = frame.with_columns(pl.col("class_id").str.strip_suffix("班") + "班")
    groups = ["track"] if layout in SCALED else []
    kept = frame.filter(pl.any_horizontal(pl.col(papers).is_not_null())) if layout in SCORES_ONLY else frame
    return sorted(kept.select("candidate_id", "school_id", "class_id", *groups, *papers, *scaled, *statuses).rows(), key=str)


def expected(exam: SampleExam, layout: str) -> Rows:
    """Candidates, schools, classes, scores and statuses as they were put into the files."""
    return _rows(exam.scores, layout, [paper.code for paper in exam.facts.papers])


def differences(table: ScoreTable, exam: SampleExam, layout: str) -> Rows:
    """The first rows that were read otherwise than written."""
    read, put = read_back(table, exam, layout), expected(exam, layout)
    if len(read) != len(put):
        return [(len(read), len(put))]
    return [pair for pair in zip(read, put, strict=True) if pair[0] != pair[1]][:3]


def read_back(table: ScoreTable, exam: SampleExam, layout: str) -> Rows:
    """The same of a table, candidates by 学籍号 and schools by code, whatever the layout names them by."""
    frame = exam.frame
    persons = dict(zip(frame["准考证号"], frame["学籍号"], strict=True))
    numbers = zip(frame["学校代码"], frame["准考证号"], frame["学籍号"], strict=True)
    persons |= {f"{school}:{number}": person for school, number, person in numbers}
    schools = dict(zip(frame["学校"], frame["学校代码"], strict=True))
    renamed = table.frame.with_columns(pl.col("candidate_id").replace(persons), pl.col("school_id").replace(schools))
    return _rows(renamed, layout, [paper.code for paper in exam.facts.papers])
