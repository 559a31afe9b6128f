"""Layouts that show items: what marking systems hand out per paper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import polars as pl

from eduq.intake.synonyms import vocabulary
from eduq.synthetic.sheets import (
    Cell,
    Grid,
    Made,
    Row,
    as_score,
    columns_to_rows,
    rank_cells,
    score_cells,
    stated_facts,
    subjects_of,
    text_columns,
)

if TYPE_CHECKING:
    from eduq.synthetic.samples import SampleExam

__all__ = ["ITEM_LAYOUTS", "item_full_marks", "papers_of", "split_score"]

_CHOICE, _CHOICES, _OPEN = 5, 5, 4
_LETTERS = "ABCD"


def item_full_marks(max_score: float) -> list[float]:
    """Return the full marks of a paper's items: five choice items of 5, and four open ones that make up the rest."""
    rest = max_score - _CHOICE * _CHOICES
    each = rest // _OPEN
    return [*[float(_CHOICE)] * _CHOICES, *[float(each)] * (_OPEN - 1), rest - each * (_OPEN - 1)]


def split_score(score: float, full_marks: Sequence[float]) -> list[float]:
    """Split a score into item scores that add up to it: items are filled one after the other."""
    parts = []
    for full in full_marks:
        parts.append(min(full, score))
        score -= parts[-1]
    return parts


def papers_of(exam: SampleExam) -> list[tuple[str, list[float]]]:
    """Return the subjects with the full marks of their items."""
    marks = {paper.code: paper.max_score or 100.0 for paper in exam.facts.papers}
    return [(subject, item_full_marks(marks[str(vocabulary().subject(subject))])) for subject in subjects_of(exam)]


def _items(frame: pl.DataFrame, subject: str, full: Sequence[float], none: Cell = "") -> list[Row]:
    """Return one row of item scores per candidate; without a score every item is ``none``."""
    rows: list[Row] = []
    for text in frame[subject]:
        score = as_score(text)
        rows.append([none] * len(full) if score is None else list(split_score(score, full)))
    return rows


def _zhixue_single(exam: SampleExam) -> Made:
    """智学网 得分明细: a file per subject, the subject's total and its parts before the items, ``-`` for none."""
    grids = []
    subjects = subjects_of(exam)
    frame = exam.frame.with_columns(pl.col(subjects).replace("缺考", "-"))
    fields = ("准考证号", "自定义考号", "学校", "班级", "姓名")
    head: Row = [*fields, "总分", "等级", "校次", "班次", "客观分", "主观分", "单选题"]
    head += [*map(str, range(1, 6)), "解答题", "6(1)", "6(2)", "7", "8"]
    own = [f"{place:06d}" for place in range(1, frame.height + 1)]
    for subject, full in papers_of(exam):
        rows = []
        ranks = [rank_cells(frame, subject, over) for over in (("学校",), ("学校", "班级"))]
        people = columns_to_rows(frame["准考证号"].to_list(), own, *text_columns(frame, "学校", "班级", "姓名"))
        for person, total, school, room, items in zip(
            people, score_cells(frame, subject), *ranks, _items(frame, subject, full, "-"), strict=True
        ):
            numbers = [one for one in items if not isinstance(one, str)]
            closed: Cell = sum(numbers[:_CHOICES]) if numbers else "-"
            opened: Cell = sum(numbers[_CHOICES:]) if numbers else "-"
            level: Cell = "-" if not numbers else "A" if sum(numbers) >= 0.85 * sum(full) else "B"
            places: Row = [one if one != "" else "-" for one in (school, room)]
            rows.append([*person, total, level, *places, closed, opened, closed, *items[:_CHOICES], opened, *items[_CHOICES:]])
        title: Row = [f"得分明细-{subject}-{exam.facts.exam.name}", *[""] * (len(head) - 1)]
        grids.append(Grid(f"{subject}-得分明细", "得分明细", [title, list(head), *rows], ((0, 0, 0, len(head) - 1),)))
    return stated_facts(exam, symbols={"-": "absent"}), grids


def _joint_raw(exam: SampleExam) -> Made:
    """The raw joint exam: a sheet per subject, answers 1 to N, then marks under the same numbers; no total, no absentees."""
    grids = []
    numbers = [str(number) for number in range(1, _CHOICES + 1)]
    head: Row = ["姓名", "考号", "学校", "班级", *numbers, *numbers, "6-1", "6-2", "7(1)(2)", "8作文"]
    for subject, full in papers_of(exam):
        rows = []
        for row, items in zip(exam.frame.iter_rows(named=True), _items(exam.frame, subject, full), strict=True):
            if items[0] != "":
                answers = [_LETTERS[place % 4] if items[place] else _LETTERS[(place + 1) % 4] for place in range(_CHOICES)]
                rows.append([row["姓名"], row["准考证号"], row["学校"], row["班级"], *answers, *items])
        grids.append(Grid(f"{subject}原始数据", subject, [list(head), *rows], says_something=True))
    return stated_facts(exam), grids


def _item_points(exam: SampleExam) -> Made:
    """A table per subject: item numbers, below them the knowledge points, cells such as 10/12, ``-/-`` for an absence."""
    grids = []
    fields = ("考号", "姓名", "学校", "班级")
    for subject, full in papers_of(exam):
        points = [f"{subject}知识点{number}" for number in range(1, len(full) + 1)]
        rows: list[Row] = [[*fields, *map(str, range(1, len(full) + 1))], ["", "", "", "", *points]]
        people = columns_to_rows(*text_columns(exam.frame, "准考证号", "姓名", "学校", "班级"))
        for person, items in zip(people, _items(exam.frame, subject, full), strict=True):
            cells: Row = ["-/-" if one == "" else f"{one:g}/{most:g}" for one, most in zip(items, full, strict=True)]
            rows.append([*person, *cells])
        grids.append(Grid(f"{subject}小题分", subject, rows, says_something=True))
    return stated_facts(exam), grids


def _district_items(exam: SampleExam) -> Made:
    """A district's item files: 小题分(科目), one per subject, and 小题满分 with a sheet per subject."""
    grids = []
    fields = ("学号", "考号", "姓名", "班级", "学校")
    own = exam.frame["准考证号"].str.slice(-5).to_list()
    people = columns_to_rows(own, *text_columns(exam.frame, "准考证号", "姓名", "班级", "学校"))
    for subject, full in papers_of(exam):
        numbers = [str(number) for number in range(1, len(full) + 1)]
        rows: list[Row] = [[*fields, "全卷", *numbers]]
        for person, total, items in zip(
            people, score_cells(exam.frame, subject), _items(exam.frame, subject, full, ""), strict=True
        ):
            rows.append([*person, total, *items])
        grids.append(Grid(f"小题分({subject})", subject, rows))
        marks: list[list[Cell]] = [list(numbers), list(full)]
        grids.append(Grid("小题满分", subject, [["题号", "满分"], *columns_to_rows(*marks)], says_something=True))
    return stated_facts(exam), grids


ITEM_LAYOUTS: dict[str, Callable[[SampleExam], Made]] = {
    "zhixue-paper": _zhixue_single,
    "joint-raw": _joint_raw,
    "item-csv": _item_points,
    "district-items": _district_items,
}
"""Each gives what exam.toml states and the sheets."""
