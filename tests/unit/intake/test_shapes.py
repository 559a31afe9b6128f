"""Geometry of sheets and long tables: the same scores, and the true place of every row."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.intake.tables import codes, exam_file, found, write_csv, write_xlsx

from eduq.errors import DataFileError
from eduq.intake import read_scores

SCHOOL = {"exam": {"scope": "school"}}
LONG = ("考号", "姓名", "学校", "科目", "原始分", "缺考", "作弊")


def test_side_by_side_tables_of_pupils_keep_their_rows(tmp_path: Path) -> None:
    head = ["考号", "姓名", "学校", "语文"]
    rows = [
        ["一中", "", "", "", "", "二中", "", "", ""],
        [*head, "", *head],
        ["01", "甲", "一中", 90, "", "11", "己", "二中", 70],
        ["02", "乙", "一中", 80, "", "", "", "", ""],
        ["03", "丙", "一中", 151, "", "13", "辛", "二中", "缺考"],
    ]
    table = read_scores(write_xlsx(tmp_path / "s.xlsx", {"s": rows}), exam_file(papers=[{"code": "chinese", "max_score": 150}]))
    assert table.frame.select("candidate_id", "chinese", "row_no").rows() == [
        ("01", 9000, 3),
        ("02", 8000, 4),
        ("11", 7000, 3),
        ("13", None, 5),
    ]
    assert table.rejected.select("row", "column", "code").rows() == [(4, None, "blank_row"), (5, "语文", "score_above_max")]
    assert table.inputs.select("rows", "used", "rejected").rows() == [(6, 4, 2)]


def test_a_blank_column_inside_one_table_makes_no_second_table(tmp_path: Path) -> None:
    rows = [["考号", "学校", "", "语文", "等级"], ["01", "一中", "", 90, "A"], ["02", "一中", "", 80, "B"]]
    table = read_scores(write_xlsx(tmp_path / "s.xlsx", {"s": rows}))
    assert table.frame.get_column("chinese").to_list() == [9000, 8000]
    assert not found(table, "layout_recognised")


def test_tables_under_one_another_with_other_columns(tmp_path: Path) -> None:
    rows = [
        ["九年级成绩"],
        ["考号", "姓名", "学校", "语文", "数学"],
        ["01", "甲", "一中", 90, 80],
        ["二中"],
        ["考号", "姓名", "数学", "语文", "学校"],
        ["11", "己", 70, 60, "二中"],
        ["考号", "姓名", "数学", "语文", "学校"],
        ["12", "庚", 71, 61, "二中"],
    ]
    table = read_scores(write_xlsx(tmp_path / "s.xlsx", {"s": rows}))
    assert table.frame.select("candidate_id", "chinese", "math", "school_id", "row_no").rows() == [
        ("01", 9000, 8000, "一中", 3),
        ("11", 6000, 7000, "二中", 6),
        ("12", 6100, 7100, "二中", 8),
    ]
    assert codes(table) == [(7, "repeated_header")]
    assert found(table, "layout_recognised")[0]["found"] == "stacked"


@pytest.mark.parametrize("suffix", ["xlsx", "csv"])
def test_pupils_as_columns_with_ids_and_classes(tmp_path: Path, suffix: str) -> None:
    rows = [
        ["考号", "01", "02", "03", "04"],
        ["姓名", "甲", "乙", "丙", "丁"],
        ["学校", "一中", "一中", "二中", "二中"],
        ["语文", 90, 151, "缺考", "-"],
        ["数学", 80, 70, 60, 50],
    ]
    path = tmp_path / f"s.{suffix}"
    write_csv(path, rows) if suffix == "csv" else write_xlsx(path, {"s": rows})
    keys = {"papers": [{"code": "chinese", "max_score": 150}, {"code": "math"}]}
    with pytest.raises(DataFileError) as caught:
        read_scores(path, exam_file(**keys))
    assert caught.value.code == "unknown_symbols"
    assert "E / 语文" in caught.value.message("zh")
    table = read_scores(path, exam_file(**keys, symbols={"-": "exempt"}))
    assert table.frame.select("candidate_id", "school_id", "chinese", "chinese_status", "math").rows() == [
        ("01", "一中", 9000, "present", 8000),
        ("03", "二中", None, "absent", 6000),
        ("04", "二中", None, "exempt", 5000),
    ]
    assert table.rejected.select("row", "column", "code").rows() == [(None, "C", "score_above_max")]
    assert table.inputs.select("rows", "used", "rejected").rows() == [(4, 3, 1)]


def test_rows_of_a_pupil_told_line_by_line_are_all_accounted_for(tmp_path: Path) -> None:
    lines = [["班级", "序号", "", ""]]
    for number, (name, score) in enumerate([("甲", 90), ("乙", "缺考"), ("丙", 200)], 1):
        lines += [["1班", number, "姓名", name], ["1班", number, "语文", score], ["1班", number, "排名", number]]
    path = write_xlsx(tmp_path / "s.xlsx", {"s": lines})
    table = read_scores(path, exam_file(**SCHOOL, papers=[{"code": "chinese", "max_score": 150}]))
    assert table.frame.select("chinese", "chinese_status", "row_no").rows() == [(9000, "present", 2), (None, "absent", 5)]
    assert codes(table) == [(8, "score_above_max"), (9, "score_above_max"), (10, "score_above_max")]
    assert table.inputs.select("rows", "used", "rejected").rows() == [(9, 6, 3)]


def test_long_table_with_flags(tmp_path: Path) -> None:
    rows = [
        LONG,
        ("01", "甲", "一中", "语文", "90", "否", "N"),
        ("02", "乙", "一中", "语文", "0", "是", "0"),
        ("01", "甲", "一中", "数学", "80.5", "0", ""),
        ("02", "乙", "一中", "数学", "70", "", "Y"),
        ("03", "丙", "二中", "数学", "60", "n", "n"),
        ("03", "丙", "二中", "数学", "60", "n", "n"),
        ("04", "丁", "二中", "数学", "50", "n", "n"),
        ("04", "丁", "二中", "数学", "51", "n", "n"),
        ("04", "丁", "二中", "语文", "40", "n", "n"),
        ("", "", "", "", "", "", ""),
        LONG,
        ("", "", "二中", "语文", "33", "", ""),
        ("05", "戊", "二中", "", "33", "", ""),
        ("06", "己", "二中", "语文", "33", "是", ""),
        ("06", "己", "二中", "数学", "44", "", ""),
        ("平均分", "", "", "", "66", "", ""),
        ("注：王老师制表", "", "", "", "", "", ""),
    ]
    table = read_scores(write_csv(tmp_path / "s.csv", rows))
    assert table.frame.select("candidate_id", "chinese", "chinese_status", "math", "math_status", "row_no").rows() == [
        ("01", 9000, "present", 8050, "present", 2),
        ("02", None, "absent", None, "voided", 3),
        ("03", None, None, 6000, "present", 6),
        ("06", None, None, 4400, "present", 16),
    ]
    assert codes(table) == [
        (7, "duplicate_identical"),
        (8, "duplicate_conflict"),
        (9, "duplicate_conflict"),
        (10, "duplicate_conflict"),
        (11, "blank_row"),
        (12, "repeated_header"),
        (13, "missing_id"),
        (14, "missing_subject"),
        (15, "flag_contradicts"),
        (17, "summary_row"),
        (18, "note_row"),
    ]
    assert table.inputs.select("rows", "used", "rejected").rows() == [(17, 6, 11)]


def test_questions_about_a_long_table_name_the_row_of_the_file(tmp_path: Path) -> None:
    head = ("考号", "学校", "科目", "成绩")
    rows = [
        head,
        ("01", "一中", "语文", "90"),
        ("02", "一中", "语文", "80"),
        ("01", "一中", "数学", "70"),
        ("02", "一中", "数学", "-"),
    ]
    with pytest.raises(DataFileError) as caught:
        read_scores(write_csv(tmp_path / "s.csv", rows))
    assert caught.value.code == "unknown_symbols"
    assert caught.value.params["asked"][0].place.row == 5
    rows = [head, ("01", "一中", "语文", "90"), ("01", "一中", "书法", "70")]
    with pytest.raises(DataFileError) as caught:
        read_scores(write_csv(tmp_path / "s.csv", rows))
    assert caught.value.code == "unknown_column"
    table = read_scores(tmp_path / "s.csv", exam_file(columns={"书法": "ignore"}))
    assert table.frame.get_column("chinese").to_list() == [9000]
    assert table.inputs.select("rows", "used").rows() == [(2, 2)]


def test_present_flags_are_read_the_other_way_round(tmp_path: Path) -> None:
    rows = [("考号", "学校", "科目", "成绩", "实考标志"), ("01", "一中", "语文", "90", "1"), ("02", "一中", "语文", "0", "0")]
    table = read_scores(write_csv(tmp_path / "s.csv", rows))
    assert table.frame.get_column("chinese_status").to_list() == ["present", "absent"]


def test_long_table_with_scaled_scores_and_teaching_classes(tmp_path: Path) -> None:
    rows = [
        ("考号", "学校", "科目", "原始分", "赋分", "教学班"),
        ("01", "一中", "化学", "70", "85", "化1"),
        ("01", "一中", "生物", "60", "75", "生2"),
        ("02", "一中", "生物", "61", "76", "生1"),
    ]
    table = read_scores(write_csv(tmp_path / "s.csv", rows))
    assert table.frame.select("chemistry", "chemistry_scaled", "biology_scaled", "biology_class").rows() == [
        (7000, 8500, 7500, "生2"),
        (None, None, 7600, "生1"),
    ]


def test_lines_that_could_be_of_two_pupils_are_rejected(tmp_path: Path) -> None:
    lines = [["班级", "序号", "", ""], ["1班", 1, "姓名", "甲"], ["1班", 1, "语文", 90]]
    lines += [["1班", 2, "姓名", "乙"], ["1班", 2, "语文", 80], ["1班", 3, "语文", 70]]
    lines += [["1班", 4, "姓名", "丁"], ["1班", 4, "语文", 60], ["", "", "", ""], ["注：略", "", "", ""]]
    table = read_scores(write_xlsx(tmp_path / "s.xlsx", {"s": lines}), exam_file(**SCHOOL))
    assert table.frame.select("chinese", "row_no").rows() == [(9000, 2), (6000, 7)]
    assert codes(table) == [(4, "lines_mixed"), (5, "lines_mixed"), (6, "lines_mixed"), (9, "blank_row"), (10, "note_row")]


def test_flags_of_a_sheet_of_one_paper_speak_of_that_paper(tmp_path: Path) -> None:
    head = ("考号", "学校", "原始分", "缺考", "作弊")
    rows = [head, ("01", "一中", "90", "否", "否"), ("02", "一中", "0", "是", "否"), ("03", "一中", "50", "否", "是"), head]
    table = read_scores(write_csv(tmp_path / "数学.csv", [*rows, ("04", "一中", "50", "是", "否")]))
    assert table.frame.select("candidate_id", "math", "math_status", "row_no").rows() == [
        ("01", 9000, "present", 2),
        ("02", None, "absent", 3),
        ("03", None, "voided", 4),
    ]
    assert codes(table) == [(5, "repeated_header"), (6, "flag_contradicts")]
