from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.unit.intake.tables import exam_file, found

from eduq.errors import DataFileError
from eduq.intake import read_scores

SHARED = Path(os.environ.get("EDUQ_SHARED", Path(__file__).parents[4] / "shared"))
MESSY = SHARED / "data" / "messy_cn"
pytestmark = pytest.mark.skipif(not MESSY.is_dir(), reason="the folder of shared data is not on this machine")
ONE_SCHOOL = {"exam": {"scope": "school"}}


@pytest.mark.parametrize(
    ("name", "code", "keys", "used"),
    [
        ("03高一上_十二月月考.csv", "no_school_column", {**ONE_SCHOOL, "symbols": {"/": "not_chosen"}}, 800),
        ("demo_考试4.xlsx", "no_school_column", ONE_SCHOOL, 59),
        ("demo_考试4_中途缺考.xlsx", "no_school_column", ONE_SCHOOL, 58),
        ("demo_考试5_新同学.xlsx", "no_school_column", ONE_SCHOOL, 60),
        ("demo_考试5_缺列.xlsx", "no_school_column", ONE_SCHOOL, 59),
        ("导入模板_说明行.xlsx", "no_school_column", {**ONE_SCHOOL, "symbols": {"Q": "absent", "N": "not_chosen"}}, 17),
        ("demo_英语成绩_三种排法.xls", "unknown_column", {**ONE_SCHOOL, "columns": {"得分": "english"}}, 15),
        ("demo_并排两表.xlsx", "unknown_column", {**ONE_SCHOOL, "columns": {"分数": "ignore"}}, 2),
    ],
)
def test_each_plain_file_asks_once_and_then_gives_right_numbers(name: str, code: str, keys: dict[str, Any], used: int) -> None:
    with pytest.raises(DataFileError) as caught:
        read_scores(MESSY / name)
    assert caught.value.code == code
    table = read_scores(MESSY / name, exam_file(**keys))
    assert table.frame.height == used


def test_pupils_as_columns_are_refused() -> None:
    with pytest.raises(DataFileError) as caught:
        read_scores(MESSY / "demo_转置成绩表.xlsx")
    assert caught.value.code == "no_header"


def test_real_class_workbook_has_the_scores_of_its_cells() -> None:
    import python_calamine

    path = MESSY / "demo_考试4.xlsx"
    table = read_scores(path, exam_file(**ONE_SCHOOL))
    rows = python_calamine.CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).to_python()
    for place, paper in ((2, "chinese"), (3, "math"), (7, "biology")):
        assert table.frame.get_column(paper).to_list() == [round(row[place] * 100) for row in rows[1:]]
    assert [line["column"] for line in found(table, "dropped_rank")] == ["级名"]


def test_tables_side_by_side_and_one_in_three_layouts_give_the_scores_of_their_cells() -> None:
    side = read_scores(MESSY / "demo_并排两表.xlsx", exam_file(**ONE_SCHOOL, columns={"分数": "ignore"}))
    assert side.frame.select("chinese", "row_no").rows() == [(6900, 3), (8500, 4)]
    path = MESSY / "demo_英语成绩_三种排法.xls"
    table = read_scores(path, exam_file(**ONE_SCHOOL, columns={"得分": "english"}))
    import python_calamine

    rows = python_calamine.CalamineWorkbook.from_path(str(path)).get_sheet_by_name("英语").to_python()
    assert table.frame.get_column("english").to_list() == [round(row[3] * 100) for row in rows[1:]]
    assert table.rejected.get_column("code").unique().to_list() == ["duplicate_identical"]
    assert [line["sheet"] for line in found(table, "sheet_not_read")] == ["英语2"]


def test_real_month_exam_counts_those_who_did_not_choose() -> None:
    path = MESSY / "03高一上_十二月月考.csv"
    table = read_scores(path, exam_file(**ONE_SCHOOL, symbols={"/": "not_chosen"}))
    lines = path.read_text(encoding="utf-8-sig").splitlines()[1:]
    not_chosen = sum(line.split(",")[6] == "/" for line in lines)
    assert table.frame.filter(physics_status="not_chosen").height == not_chosen > 0
    assert table.frame.get_column("class_id").null_count() == sum(line.split(",")[1] == "" for line in lines) > 0
