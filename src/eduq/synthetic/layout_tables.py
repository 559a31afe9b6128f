"""The tables of an invented exam in each layout: cells as a person sees them, and where they are merged."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import polars as pl

from eduq.synthetic.item_layouts import ITEM_LAYOUTS, papers_of
from eduq.synthetic.sheets import (
    IDENTITY,
    Cell,
    Grid,
    Made,
    Row,
    as_cell,
    columns_to_rows,
    rank_cells,
    score_cells,
    stated_facts,
    subjects_of,
    text_columns,
    total_cells,
    two_row_header,
    wide_rows,
)
from eduq.synthetic.tracks import choose_tracks

if TYPE_CHECKING:
    from eduq.synthetic.samples import SampleExam

__all__ = ["LAYOUTS"]


def _wide(exam: SampleExam) -> Made:
    """One row per candidate, one column per subject."""
    return stated_facts(exam, coded=True), [
        Grid("全县成绩", "成绩", wide_rows(exam.frame, IDENTITY, subjects_of(exam)), plain=True)
    ]


def _by_school(exam: SampleExam) -> Made:
    """A sheet per school; the column of schools is there too."""
    grids = []
    for (name,), frame in exam.frame.group_by(["学校"], maintain_order=True):
        grids.append(Grid("各校成绩", str(name), wide_rows(frame, IDENTITY, subjects_of(exam)), says_something=True))
    return stated_facts(exam, coded=True), grids


def _by_subject(exam: SampleExam) -> Made:
    """A sheet per subject, which its name alone tells: 得分 in each."""
    fields = ("准考证号", "学籍号", "姓名", "学校代码", "学校", "班级")
    grids = []
    for subject in subjects_of(exam):
        header, *rows = wide_rows(exam.frame, fields, [subject])
        grids.append(Grid("各科成绩", subject, [[*header[:-1], "得分"], *rows], says_something=True))
    return stated_facts(exam, coded=True), grids


def _by_class(exam: SampleExam) -> Made:
    """A workbook per school, a sheet per class, which its name alone tells."""
    fields = ("准考证号", "学籍号", "姓名", "学校代码", "学校", "性别")
    grids = []
    for (school, name), frame in exam.frame.group_by(["学校", "班级"], maintain_order=True):
        rows = wide_rows(frame, fields, subjects_of(exam))
        grids.append(Grid(str(school), f"{str(name).removesuffix('班')}班", rows, says_something=True))
    return stated_facts(exam, coded=True), grids


def _by_file(exam: SampleExam) -> Made:
    """A file of totals and one file per subject, as a marking system hands them out."""
    fields = ("准考证号", "学籍号", "姓名", "学校代码", "学校", "班级")
    subjects = subjects_of(exam)
    sums: list[Cell] = [cell if cell != "" else "缺考" for cell in total_cells(exam.frame, subjects)]
    totals = columns_to_rows(*text_columns(exam.frame, *fields), sums)
    grids = [Grid("总分", "总分", [[*fields, "总分"], *totals], plain=True)]
    grids += [Grid(subject, subject, wide_rows(exam.frame, fields, [subject]), plain=True) for subject in subjects]
    return stated_facts(exam, coded=True), grids


def _zhixue_summary(exam: SampleExam) -> Made:
    """智学网全学科成绩汇总: a title, two merged header rows, ``-`` for none, a row of totals at the end."""
    fields = ("准考证号", "自定义考号", "学校", "班级", "姓名", "学生属性")
    own = ("得分", "联考排名", "校次", "校次进退步", "班次", "班次进退步")
    subjects = subjects_of(exam)
    frame = exam.frame.with_columns(pl.col(subjects).replace("缺考", "-"))
    head, merged = two_row_header(fields, [("总分", own), *((subject, own) for subject in subjects)], 1)
    totals = [cell if cell != "" else "-" for cell in total_cells(frame, subjects)]
    ranked = frame.with_columns(pl.Series("总分", [str(cell) for cell in totals]))
    blank: list[Cell] = [""] * frame.height
    none: list[Cell] = ["-"] * frame.height
    columns = text_columns(frame, "准考证号")
    columns += [[f"{place:06d}" for place in range(1, frame.height + 1)], *text_columns(frame, "学校", "班级", "姓名"), blank]
    for subject in ("总分", *subjects):
        cells = totals if subject == "总分" else score_cells(frame, subject)
        ranks = [rank_cells(ranked, subject, over) for over in ((), ("学校",), ("学校", "班级"))]
        ranks = [[one if one != "" else "-" for one in column] for column in ranks]
        columns += [cells, ranks[0], ranks[1], none, ranks[2], none]
    width = len(head[0])
    title = f"年级全学科成绩汇总-{exam.facts.exam.name}"
    rows: list[Row] = [[title, *[""] * (width - 1)], *head, *columns_to_rows(*columns), ["总计", *[""] * (width - 1)]]
    grid = Grid(f"全学科成绩汇总-{exam.exam_id}", "年级全学科成绩汇总", rows, ((0, 0, 0, width - 1), *merged))
    return stated_facts(exam, symbols={"-": "absent"}), [grid]


def _flat(exam: SampleExam) -> Made:
    """语文成绩, 语文班次, 语文校次 beside each other in one header row, totals first."""
    fields = ("准考证号", "学籍号", "姓名", "学校", "班级")
    subjects = subjects_of(exam)
    totals = total_cells(exam.frame, subjects)
    ranked = exam.frame.with_columns(pl.Series("总分", [str(cell) for cell in totals]))
    header: Row = [*fields, "总分", "总分_班次", "总分_校次"]
    columns = [
        *text_columns(exam.frame, *fields),
        totals,
        rank_cells(ranked, "总分", ("学校", "班级")),
        rank_cells(ranked, "总分", ("学校",)),
    ]
    for subject in subjects:
        header += [f"{subject}成绩", f"{subject}班次", f"{subject}校次"]
        columns += [score_cells(exam.frame, subject), rank_cells(exam.frame, subject, ("学校", "班级"))]
        columns += [rank_cells(exam.frame, subject, ("学校",))]
    return stated_facts(exam), [Grid("成绩", "成绩", [header, *columns_to_rows(*columns)], plain=True)]


def _long(exam: SampleExam) -> Made:
    """One row per candidate and subject, absence and cheating as flags; other words stand in the score column."""
    header: Row = ["考号", "学籍号", "姓名", "学校", "班级", "科目", "原始分", "缺考", "作弊"]
    rows: list[Row] = []
    for row in exam.frame.iter_rows(named=True):
        for subject in subjects_of(exam):
            said = as_cell(row[subject])
            absent, cheated = said == "缺考", said == "违纪"
            flags: Row = ["是" if absent else "否", "是" if cheated else "否"]
            shown: Cell = "" if absent or cheated else said
            rows.append([*(row[name] for name in ("准考证号", "学籍号", "姓名", "学校", "班级")), subject, shown, *flags])
    return stated_facts(exam), [Grid("成绩明细", "成绩明细", [header, *rows], plain=True)]


def _side_by_side(exam: SampleExam) -> Made:
    """Two tables beside each other with a blank column between them: the second half of the candidates on the right."""
    fields = ("准考证号", "姓名", "学校", "班级")
    header, *rows = wide_rows(exam.frame, fields, subjects_of(exam))
    half = (len(rows) + 1) // 2
    blank: Row = [""] * len(header)
    right = [*rows[half:], *[blank] * (2 * half - len(rows))]
    both = [[*left, "", *other] for left, other in zip(rows[:half], right, strict=True)]
    return stated_facts(exam), [Grid("并排成绩表", "成绩", [[*header, "", *header], *both])]


def _transposed(exam: SampleExam) -> Made:
    """Candidates as columns: one row per field and subject."""
    rows = wide_rows(exam.frame, ("准考证号", "姓名", "学校", "班级"), subjects_of(exam))
    return stated_facts(exam), [Grid("转置成绩表", "成绩", [list(row) for row in zip(*rows, strict=True)])]


def _city_joint(exam: SampleExam) -> Made:
    """3+1+2: sheets 物理类, 历史类 and 总表 that overlap; a subject with scaled scores has a second group of columns."""
    exam = exam if "选考科目" in exam.frame.columns else choose_tracks(exam)
    fields = ("学校", "学号", "考号", "座位号", "学籍号", "班级", "姓名", "选考科目", "外语类型")
    own = ("分数", "方向全体名次", "方向校名次", "方向班名次")
    subjects = subjects_of(exam)
    groups: list[tuple[str, tuple[str, ...]]] = []
    for subject in subjects:
        groups.append((subject, own))
        groups += [(f"{subject}(赋分)", ("分数",))] if f"{subject}赋分" in exam.frame.columns else []
    grids = []
    for sheet, letter, total in (
        ("物理类", "物", "总分(物理)(赋分)"),
        ("历史类", "史", "总分(历史)(赋分)"),
        ("总表", "", "总分(赋分)"),
    ):
        frame = exam.frame.filter(pl.col("选考科目").str.starts_with(letter))
        head, merged = two_row_header(fields, [(total, ("分数", "方向全体名次")), *groups], 0)
        totals = total_cells(frame, [_counted(frame, subject) for subject in subjects])
        ranked = frame.with_columns(pl.Series("总分", [str(cell) for cell in totals], dtype=pl.String))
        columns = [*text_columns(frame, "学校"), frame["准考证号"].str.slice(-5).to_list(), *text_columns(frame, "准考证号")]
        columns += [[f"{place:03d}" for place in range(1, frame.height + 1)]]
        columns += [*text_columns(frame, "学籍号", "班级", "姓名", "选考科目"), ["英语"] * frame.height]
        columns += [totals, rank_cells(ranked, "总分", ["选考科目"])]
        for subject in subjects:
            columns.append(score_cells(frame, subject))
            for over in (["选考科目"], ["选考科目", "学校"], ["选考科目", "学校", "班级"]):
                columns.append(rank_cells(frame, subject, over))
            if f"{subject}赋分" in frame.columns:
                columns.append(score_cells(frame, f"{subject}赋分"))
        grids.append(Grid("联考成绩", sheet, [*head, *columns_to_rows(*columns)], tuple(merged), says_something=True))
    return stated_facts(exam), grids


def _counted(frame: pl.DataFrame, subject: str) -> str:
    """Return the column that counts in the total: the scaled score where there is one."""
    return f"{subject}赋分" if f"{subject}赋分" in frame.columns else subject


def _raw_and_scaled(exam: SampleExam) -> Made:
    """化学原始分 beside 化学赋分 in one header row."""
    exam = exam if "选考科目" in exam.frame.columns else choose_tracks(exam)
    fields = ("准考证号", "学籍号", "姓名", "学校", "班级", "选考科目")
    header: Row = [*fields, "科类"]
    track = exam.frame["选考科目"].str.slice(0, 1).replace({"物": "物理类", "史": "历史类"}).to_list()
    columns: list[list[Cell]] = [*text_columns(exam.frame, *fields), track]
    for subject in subjects_of(exam):
        scaled = f"{subject}赋分" in exam.frame.columns
        header += [f"{subject}原始分", f"{subject}赋分"] if scaled else [subject]
        columns += [score_cells(exam.frame, one) for one in ([subject, f"{subject}赋分"] if scaled else [subject])]
    return stated_facts(exam), [Grid("成绩", "成绩", [header, *columns_to_rows(*columns)], plain=True)]


def _template(exam: SampleExam) -> Made:
    """An import template: its rules in the first row, Q for an absence."""
    fields = ("学校名称", "学校代码", "学号", "姓名")
    subjects = subjects_of(exam)
    frame = exam.frame.with_columns(pl.col(subjects).replace({"缺考": "Q", "未选": "N"}))
    columns = text_columns(frame, "学校", "学校代码", "准考证号", "姓名", "班级")
    rows = columns_to_rows(*columns, *(score_cells(frame, subject) for subject in subjects))
    width = len(fields) + 1 + len(subjects)
    title: Row = ["导入规则说明：成绩只能为阿拉伯数字，缺考填Q，正常不参考填N", *[""] * (width - 1)]
    grid = Grid("各科成绩", "各科成绩表", [title, [*fields, "班级", *subjects], *rows], ((0, 0, 0, width - 1),))
    return stated_facts(exam, coded=True), [grid]


def _stacked(exam: SampleExam) -> Made:
    """A table per school under one another, each under a title and with the subjects in an order of its own."""
    rows: list[Row] = []
    subjects = subjects_of(exam)
    for number, ((school,), frame) in enumerate(exam.frame.group_by(["学校"], maintain_order=True)):
        order = subjects if number % 2 == 0 else subjects[::-1]
        table = wide_rows(frame, ("准考证号", "姓名", "学校", "班级"), order)
        blank: Row = [""] * len(table[0])
        rows += [*([blank, [f"{school}成绩", *blank[1:]]] if number else []), *table]
    return stated_facts(exam), [Grid("各校成绩", "成绩", rows)]


def _sheet_schools(exam: SampleExam) -> Made:
    """A sheet per school, which its name alone tells: read only when the layout is named."""
    grids = []
    for (name,), frame in exam.frame.group_by(["学校"], maintain_order=True):
        rows = wide_rows(frame, ("准考证号", "学籍号", "姓名", "班级"), subjects_of(exam))
        grids.append(Grid(str(name), str(name), rows, says_something=True))
    return stated_facts(exam), grids


def _specification(exam: SampleExam) -> Made:
    """A plain table, the full marks in a sheet of their own, and the 细目表 of every paper."""
    facts, grids = _wide(exam)
    unmarked = tuple(paper.model_copy(update={"max_score": None}) for paper in facts.papers)
    marks: list[Row] = [["科目", "满分"]]
    for subject, full in papers_of(exam):
        marks.append([subject, sum(full)])
        rows: list[Row] = [["题号", "题型", "分值", "知识模块", "知识点", "能力层次", "预估难度"]]
        for number, mark in enumerate(full, 1):
            rows.append(
                [str(number), "选择题" if number <= 5 else "解答题", mark, f"模块{number % 3}", f"{subject}{number}", "理解", 0.7]
            )
        grids.append(
            Grid("双向细目表", f"{subject}细目表", [*rows, ["合计", "", sum(full), "", "", "", ""]], says_something=True)
        )
    grids.append(Grid("满分", "满分", marks))
    return facts.model_copy(update={"papers": unmarked}), grids


def _district(exam: SampleExam) -> Made:
    """A district's 总表: 分数 under each subject, ranks beside it."""
    fields = ("学号", "考号", "姓名", "班级", "学校")
    subjects = subjects_of(exam)
    own = ("分数", "区名次", "校名次", "班名次")
    head, merged = two_row_header(fields, [("总分", own), *((subject, own) for subject in subjects)], 0)
    totals = total_cells(exam.frame, subjects)
    ranked = exam.frame.with_columns(pl.Series("总分", [str(cell) for cell in totals]))
    columns = [exam.frame["准考证号"].str.slice(-5).to_list(), *text_columns(exam.frame, "准考证号", "姓名", "班级", "学校")]
    for subject in ("总分", *subjects):
        columns.append(totals if subject == "总分" else score_cells(exam.frame, subject))
        columns += [rank_cells(ranked, subject, over) for over in ((), ("学校",), ("学校", "班级"))]
    return stated_facts(exam), [Grid("总表", "总表", [*head, *columns_to_rows(*columns)], tuple(merged))]


LAYOUTS: dict[str, Callable[[SampleExam], Made]] = {
    "wide": _wide,
    "by-school": _by_school,
    "by-file": _by_file,
    "sheet-per-school": _sheet_schools,
    "sheet-per-subject": _by_subject,
    "sheet-per-class": _by_class,
    "zhixue-summary": _zhixue_summary,
    "joint-3-1-2": _city_joint,
    "raw-and-scaled": _raw_and_scaled,
    "district-total": _district,
    "flat": _flat,
    "long-flags": _long,
    "import-template": _template,
    "side-by-side": _side_by_side,
    "stacked": _stacked,
    "transposed": _transposed,
    "specification": _specification,
    **ITEM_LAYOUTS,
}
"""What gives exam.toml and the sheets of a layout; the keys are the ids of `eduq.intake.layouts`, but for plain tables."""
