"""Real files as people have them: each gives right numbers, or one error that says what to add and then right numbers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.unit.intake.tables import exam_file, found

from eduq.errors import DataFileError
from eduq.intake import ScoreTable, read_scores

SHARED = Path(os.environ.get("EDUQ_SHARED", Path(__file__).parents[4] / "shared"))
MESSY = SHARED / "data" / "messy_cn"
pytestmark = pytest.mark.skipif(not MESSY.is_dir(), reason="the folder of shared data is not on this machine")
SCHOOL = {"exam": {"scope": "school"}}
SIX = ("chinese", "math", "english", "physics", "chemistry", "biology")


def cells(name: str, sheet: str | int = 0) -> list[list[Any]]:
    """What stands in a workbook, read by another library than the intake uses for bodies."""
    import python_calamine

    book = python_calamine.CalamineWorkbook.from_path(str(MESSY / name))
    one = book.get_sheet_by_index(sheet) if isinstance(sheet, int) else book.get_sheet_by_name(sheet)
    return one.to_python(skip_empty_area=False)


def column(rows: Sequence[Sequence[Any]], place: int) -> list[int | None]:
    return [round(row[place] * 100) if isinstance(row[place], float) else None for row in rows]


def recognised(table: ScoreTable) -> list[tuple[str | None, str]]:
    return [(line["sheet"], line["found"]) for line in found(table, "layout_recognised")]


@pytest.mark.parametrize("name", sorted(path.name for path in MESSY.iterdir()) if MESSY.is_dir() else [])
def test_every_file_first_asks_for_the_school_and_says_what_to_add(name: str) -> None:
    with pytest.raises(DataFileError) as caught:
        read_scores(MESSY / name)
    assert caught.value.code == "no_school_column"
    assert 'scope = "school"' in caught.value.advice("zh")
    assert caught.value.place.file == name


def test_month_exam() -> None:
    name = "03高一上_十二月月考.csv"
    with pytest.raises(DataFileError) as caught:
        read_scores(MESSY / name, exam_file(**SCHOOL))
    assert caught.value.code == "unknown_symbols"
    assert caught.value.params["toml"].splitlines()[1].startswith('"/" = "?"')
    table = read_scores(MESSY / name, exam_file(**SCHOOL, symbols={"/": "not_chosen"}))
    lines = [line.split(",") for line in (MESSY / name).read_text(encoding="utf-8-sig").splitlines()[1:]]
    assert table.inputs.select("rows", "used", "rejected").rows() == [(800, 800, 0)]
    papers = ("chinese", "math", "english", "physics", "chemistry", "biology", "politics", "history", "geography")
    for place, paper in enumerate(papers, 3):
        wanted = [None if line[place] == "/" else round(float(line[place]) * 100) for line in lines]
        assert table.frame.get_column(paper).to_list() == wanted
        assert table.frame.filter(pl.col(f"{paper}_status") == "not_chosen").height == wanted.count(None)
    assert sum(table.frame.get_column(f"{paper}_status").eq("not_chosen").sum() for paper in papers) == 2473
    assert table.frame.get_column("class_id").null_count() == sum(line[1] == "" for line in lines) > 0


@pytest.mark.parametrize(
    ("name", "n", "rank"),
    [
        ("demo_考试4.xlsx", 59, "级名"),
        ("demo_考试4_中途缺考.xlsx", 58, "级名"),
        ("demo_考试5_新同学.xlsx", 60, "级名"),
        ("demo_考试5_缺列.xlsx", 59, "！级名"),
    ],
)
def test_class_workbooks(name: str, n: int, rank: str) -> None:
    table = read_scores(MESSY / name, exam_file(**SCHOOL))
    rows = cells(name)[1:]
    assert table.inputs.select("rows", "used", "rejected").rows() == [(n, n, 0)]
    for place, paper in enumerate(SIX, 2):
        assert table.frame.get_column(paper).to_list() == column(rows, place)
    assert [line["column"] for line in found(table, "dropped_rank")] == [rank]
    assert recognised(table) == []


def test_two_tables_side_by_side() -> None:
    table = read_scores(MESSY / "demo_并排两表.xlsx", exam_file(**SCHOOL))
    assert table.frame.select("candidate_id", "sex", "chinese", "row_no").rows() == [
        ("school:101", "female", 6900, 3),
        ("school:102", "male", 8500, 4),
    ]
    assert recognised(table) == [("0", "side-by-side")]
    assert [line["found"] for line in found(table, "side_table_skipped")] == ["分数, 等级"]
    assert table.inputs.select("rows", "used", "rejected").rows() == [(2, 2, 0)]
    assert table.exam.exam.name == "demo_并排两表"


def test_one_paper_in_three_arrangements() -> None:
    name = "demo_英语成绩_三种排法.xls"
    table = read_scores(MESSY / name, exam_file(**SCHOOL))
    rows = cells(name, "英语")[1:]
    assert table.frame.get_column("english").to_list() == column(rows, 3)
    assert table.frame.get_column("class_id").to_list() == [row[1] for row in rows]
    assert table.frame.get_column("row_no").to_list() == list(range(2, 17))
    assert ("英语2", "attributes") in recognised(table)
    assert table.rejected.get_column("code").unique().to_list() == ["duplicate_identical"]
    assert table.rejected.filter(sheet="英语2").get_column("row").to_list() == list(range(2, 20))
    assert table.rejected.filter(sheet="英语3").get_column("row").to_list() == list(range(2, 17))
    assert table.inputs.select("rows", "used", "rejected").rows() == [(48, 15, 33)]


def test_pupils_as_columns() -> None:
    name = "demo_转置成绩表.xlsx"
    table = read_scores(MESSY / name, exam_file(**SCHOOL))
    rows = cells(name)
    assert recognised(table) == [("Sheet1", "transposed")]
    for place, paper in enumerate(("chinese", "math", "english"), 1):
        assert table.frame.get_column(paper).to_list() == [round(value * 100) for value in rows[place][1:]]
    assert table.frame.get_column("row_no").to_list() == list(range(2, 11))


def test_import_template_says_itself_what_its_letters_mean() -> None:
    name = "导入模板_说明行.xlsx"
    table = read_scores(MESSY / name, exam_file(**SCHOOL))
    rows = cells(name)[2:]
    assert recognised(table) == [("各科成绩表", "import-template")]
    for place, paper in enumerate(SIX, 4):
        assert table.frame.get_column(paper).to_list() == column(rows, place)
        wanted = [{"Q": "absent", "N": "not_chosen"}.get(row[place], "present") for row in rows]
        assert table.frame.get_column(f"{paper}_status").to_list() == wanted
    stated = read_scores(MESSY / name, exam_file(**SCHOOL, symbols={"Q": "exempt"}))
    assert stated.frame.filter(pl.col("chinese_status") == "exempt").height == sum(row[4] == "Q" for row in rows) == 2
