"""Item tables, specifications, full marks and school summaries."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from tests.unit.intake.tables import Rows, codes, exam_file, found, write_csv, write_xlsx

from eduq.errors import DataFileError, NotAssessableError
from eduq.intake import ScoreTable, read_scores
from eduq.intake.item_headers import item_full_mark, item_number, subtotals
from eduq.pipeline import analyze

HEAD = ("姓名", "考号", "学校", "班级")
MATH = {"papers": [{"code": "math"}]}


def pupil(number: str) -> tuple[str, ...]:
    return (f"生{number}", number, "一中", "1班")


def of_item(table: ScoreTable, item: str) -> list[tuple[str, int | None, str | None]]:
    return table.items.filter(item=item).select("candidate_id", "score", "answer").rows()


@pytest.mark.parametrize(
    ("header", "item"),
    [
        ("1", "1"),
        ("第3题", "3"),
        ("T5", "5"),
        ("１７（１）（２）", "17(1)(2)"),
        ("26-1", "26-1"),
        ("23作文", "23作文"),
        ("12.0", "12"),
        ("36.1", "36.1"),
        ("第1题(3分)", "1"),
        ("①", None),
        ("1班", None),
        ("2023届", None),
        ("语文", None),
        ("满分", None),
        ("", None),
    ],
)
def test_item_numbers(header: str, item: str | None) -> None:
    assert item_number(header) == item
    assert item_full_mark(header) == (3.0 if header == "第1题(3分)" else None)


def test_subtotals_have_their_parts_beside_them() -> None:
    assert subtotals(["1", "26", "26(1)", "26(2)", "30-31", "56", "57", "56-57", "26-1"]) == {
        "26": ["26(1)", "26(2)", "26-1"],
        "56-57": ["56", "57"],
    }


def test_raw_joint_exam_sums_scores_and_keeps_answers(tmp_path: Path) -> None:
    rows = [
        (*HEAD, "1", "2", "3", "1", "2", "3", "17(1)(2)", "26-1", "23作文"),
        (*pupil("01"), "A", "C", "BD", 5, 5, 4, 10, 3.5, 40),
        (*pupil("02"), "B", "#", "", 0, 0, 0, 7, 0, 0),
        (*pupil("03"), "", "", "", "缺考", "缺考", "缺考", "缺考", "缺考", "缺考"),
        (*pupil("04"), "A", "C", "B", 5, "", 2, 9, 2, 30),
        (*pupil("05"), "A", "C", "B", 5, 5, 2, "8o", 2, 30),
        ("平均分", "", "", "", "", "", "", 3.3, 3.3, 2.1, 8, 2, 30),
    ]
    table = read_scores(write_xlsx(tmp_path / "高三数学.xlsx", {"Sheet1": rows}))
    assert table.frame.select("candidate_id", "math", "math_status").rows() == [
        ("01", 6750, "present"),
        ("02", 700, "present"),
        ("03", None, "absent"),
    ]
    assert table.rejected.select("row", "column", "code").rows() == [
        (5, "2", "item_missing"),
        (6, "17(1)(2)", "item_missing"),
        (7, None, "summary_row"),
    ]
    assert of_item(table, "3") == [("01", 400, "BD"), ("02", 0, None), ("03", None, None)]
    assert of_item(table, "26-1") == [("01", 350, None), ("02", 0, None), ("03", None, None)]
    assert found(table, "assumed_paper")[0]["found"] == "math"
    assert found(table, "score_from_items")[0]["n"] == 6


def test_the_paper_is_asked_for_and_then_taken_from_exam_toml(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "联考.csv", [(*HEAD, "1", "2", "3"), (*pupil("01"), "5", "4", "3")])
    with pytest.raises(DataFileError) as caught:
        read_scores(path)
    assert caught.value.code == "paper_unclear"
    assert "[[papers]]" in caught.value.hint
    assert read_scores(path, exam_file(**MATH)).frame.get_column("math").to_list() == [1200]


def test_optional_items_count_zero_only_when_a_layout_says_so(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "数学.csv", [(*HEAD, "1", "22", "23"), (*pupil("01"), "5", "10", ""), (*pupil("02"), "5", "", "8")]
    )
    assert codes(read_scores(write_csv(path, path_rows(path)))) == [(2, "item_missing"), (3, "item_missing")]
    own = tmp_path / "own.toml"
    own.write_text(
        'schema = 1\nid = "optional"\nname = { zh = "选做", en = "optional" }\nsource = "-"\n'
        'shape = "items"\n[items]\nblank = "zero"\n',
        encoding="utf-8",
    )
    assert read_scores(path, layout=own).frame.get_column("math").to_list() == [1500, 1300]


def path_rows(path: Path) -> Rows:
    return [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]


def test_subtotals_are_not_counted_twice_and_an_unclear_one_is_asked_about(tmp_path: Path) -> None:
    rows = [(*HEAD, "1", "51", "51(1)", "51(2)"), (*pupil("01"), 5, 8, 5, 3), (*pupil("02"), 4, 6.5, 4, 2.5)]
    table = read_scores(write_xlsx(tmp_path / "数学.xlsx", {"s": rows}))
    assert table.frame.get_column("math").to_list() == [1300, 1050]
    assert [line["column"] for line in found(table, "dropped_part")] == ["51"]
    assert set(table.items.get_column("item")) == {"1", "51(1)", "51(2)"}
    rows[2] = (*pupil("02"), 4, 7, 4, 2.5)
    with pytest.raises(DataFileError) as caught:
        read_scores(write_xlsx(tmp_path / "数学.xlsx", {"s": rows}))
    assert (caught.value.code, caught.value.place.row) == ("subtotal_unclear", 3)
    table = read_scores(tmp_path / "数学.xlsx", exam_file(columns={"51": "ignore"}))
    assert table.frame.get_column("math").to_list() == [1300, 1050]


def test_a_total_that_is_not_the_sum_of_its_items_is_listed_and_used(tmp_path: Path) -> None:
    rows = [(*HEAD, "全卷", "1", "2", "3"), (*pupil("01"), 12, 5, 4, 3), (*pupil("02"), 12, 5, 4, 2)]
    table = read_scores(write_xlsx(tmp_path / "小题分(语文).xlsx", {"s": rows}))
    assert table.frame.get_column("chinese").to_list() == [1200, 1200]
    assert (found(table, "item_sum_mismatch")[0]["n"], found(table, "item_sum_mismatch")[0]["row"]) == (1, 3)


def test_item_csv_with_knowledge_points_and_full_marks(tmp_path: Path) -> None:
    rows = [(*HEAD, "1", "2", "3"), ("", "", "", "", "集合", "函数", "函数"), (*pupil("01"), "5/5", "10/12", "1.5/8")]
    rows += [(*pupil("02"), "0/5", "12/12", "8/8"), (*pupil("03"), "-/-", "-/-", "-/-")]
    table = read_scores(write_csv(tmp_path / "数学.csv", rows))
    assert table.frame.select("math", "math_status", "row_no").rows() == [
        (1650, "present", 3),
        (2000, "present", 4),
        (None, "absent", 5),
    ]
    assert table.item_spec.select("paper", "item", "max_score", "knowledge_point").rows() == [
        ("math", "1", 5.0, "集合"),
        ("math", "2", 12.0, "函数"),
        ("math", "3", 8.0, "函数"),
    ]
    assert table.papers[0].max_score == 25
    assert codes(table) == [(2, "second_header")]
    rows[3] = (*pupil("02"), "0/5", "12/13", "8/8")
    with pytest.raises(DataFileError) as caught:
        read_scores(write_csv(tmp_path / "数学.csv", rows))
    assert caught.value.code == "item_full_mark_varies"


def district(folder: Path, *, second: float = 95.5) -> Path:
    head = ["学号", "考号", "姓名", "班级", "学校"]
    who = [["0101", "401", "甲", "1班", "一中"], ["0102", "402", "乙", "1班", "一中"]]
    total = [[*head, "语文", "分数", "数学", "分数"], [*who[0], "", 101, "", 95.5], [*who[1], "", 88, "", "缺考"]]
    write_xlsx(folder / "总表.xlsx", {"总表": total})
    chinese = [[*head, "全卷", "1", "2", "23作文"], [*who[0], 101, 3, 48, 50], [*who[1], 88, 0, 43, 45]]
    write_xlsx(folder / "小题分(语文).xlsx", {"小题分": chinese})
    maths = [[*head, "全卷", "1", "2", "3"], [*who[0], second, 5, 40, 50.5]]
    write_xlsx(folder / "小题分(数学).xlsx", {"小题分": maths})
    marks = {
        "语文": [["题号", "1", "2", "23作文"], ["满分", 3, 87, 60]],
        "数学": [["题号", "满分"], ["1", 5], ["2", 45], ["3", 70]],
    }
    write_xlsx(folder / "小题满分.xlsx", marks)
    return folder


def test_district_set_is_one_table(tmp_path: Path) -> None:
    table = read_scores(district(tmp_path))
    assert table.frame.select("candidate_id", "chinese", "math", "math_status", "source_file").rows() == [
        ("401", 10100, 9550, "present", "小题分(数学).xlsx"),
        ("402", 8800, None, "absent", "小题分(语文).xlsx"),
    ]
    assert {paper.code: paper.max_score for paper in table.papers} == {"chinese": 150, "math": 120}
    assert table.items.filter(paper="chinese", item="23作文").get_column("score").to_list() == [5000, 4500]
    assert table.items.height == 9
    assert table.rejected.select("file", "row", "code").rows() == [("总表.xlsx", 2, "duplicate_identical")]
    used = {file: (rows, n) for file, rows, n in table.inputs.select("file", "rows", "used").iter_rows()}
    assert used == {"小题分(数学).xlsx": (1, 1), "小题分(语文).xlsx": (2, 2), "小题满分.xlsx": (4, 4), "总表.xlsx": (2, 1)}


def test_district_set_that_contradicts_itself(tmp_path: Path) -> None:
    table = read_scores(district(tmp_path, second=96))
    assert table.frame.get_column("candidate_id").to_list() == ["402"]
    assert table.rejected.get_column("code").unique().to_list() == ["duplicate_conflict"]
    assert table.items.get_column("candidate_id").unique().to_list() == ["402"]


def test_specification_and_full_marks_must_agree(tmp_path: Path) -> None:
    scores = [("考号", "学校", "数学(100分)"), ("01", "一中", "50")]
    write_csv(tmp_path / "成绩.csv", scores)
    spec = [["题号", "题型", "分值", "知识点", "能力层次", "预估难度"], ["1", "选择", 40, "集合", "了解", 0.9]]
    spec += [["2", "解答", "60分", "函数", "掌握", 0.6], ["合计", "", 100, "", "", ""]]
    write_xlsx(tmp_path / "细目表.xlsx", {"数学": spec})
    table = read_scores(tmp_path)
    assert table.item_spec.select("item", "max_score", "knowledge_point", "ability", "expected_difficulty").rows() == [
        ("1", 40.0, "集合", "了解", 0.9),
        ("2", 60.0, "函数", "掌握", 0.6),
    ]
    assert table.frame.height == 1
    write_csv(tmp_path / "成绩.csv", [("考号", "学校", "数学(120分)"), scores[1]])
    with pytest.raises(DataFileError) as caught:
        read_scores(tmp_path)
    assert caught.value.code == "max_score_contradiction"
    assert caught.value.place.file == "细目表.xlsx"


@pytest.mark.parametrize(
    "rows", [[["科目", "满分"], ["语文", 120], ["数学", 150]], [["", "语文", "数学"], ["满分", 120, 150]]], ids=["down", "across"]
)
def test_full_marks_sheets(tmp_path: Path, rows: Rows) -> None:
    scores = [["考号", "学校", "语文", "数学"], ["01", "一中", 121, 90], ["02", "一中", 100, 130]]
    path = write_xlsx(tmp_path / "s.xlsx", {"成绩": scores, "满分": rows})
    table = read_scores(path)
    assert {paper.code: paper.max_score for paper in table.papers} == {"chinese": 120, "math": 150}
    assert codes(table) == [(2, "score_above_max")]
    with pytest.raises(DataFileError) as caught:
        read_scores(path, exam_file(papers=[{"code": "math", "max_score": 120}]))
    assert (caught.value.code, caught.value.place.sheet) == ("max_score_contradiction", "满分")


def test_school_summaries_are_aggregates_and_never_pupils(tmp_path: Path) -> None:
    rows = [
        ["学校代码", "学校名称", "参考人数", "数学平均分", "数学及格率", "综合得分", "排名", "备注"],
        ["001", "一中", 120, 78.5, "82.5%", 91.2, 1, "王主任填报"],
        ["002", "二中", 96, 70.1, "-", 80.0, 2, ""],
        ["合计", "", 216, 74.8, "", "", "", ""],
    ]
    path = write_xlsx(tmp_path / "上报.xlsx", {"汇总": rows})
    table = read_scores(path)
    assert table.frame.height == 0
    assert table.papers == ()
    figures = table.aggregates.filter(pl.col("school_id") == "001").select("paper", "measure", "n_present", "value").rows()
    assert figures == [
        ("math", "mean", 120, 78.5),
        ("math", "pass_rate", 120, 0.825),
        (None, "composite", 120, 91.2),
        (None, "rank", 120, 1.0),
    ]
    assert table.aggregates.filter(school_id="002", measure="pass_rate").height == 0
    assert codes(table) == [(4, "summary_row")]
    assert table.inputs.select("rows", "used", "rejected").rows() == [(3, 2, 1)]
    with pytest.raises(NotAssessableError) as caught:
        analyze(path)
    assert (caught.value.code, caught.value.exit_status) == ("only_aggregates", 12)
    write_csv(tmp_path / "成绩.csv", [("考号", "学校", "数学"), ("01", "一中", "50")])
    both = read_scores(tmp_path)
    assert (both.frame.height, both.aggregates.height) == (1, table.aggregates.height)
