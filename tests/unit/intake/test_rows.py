from __future__ import annotations

import csv
from pathlib import Path

import pytest
from tests.unit.intake.tables import codes, exam_file, found, read_rows, write_csv, write_xlsx

from eduq.errors import DataFileError
from eduq.intake import read_scores, write_rejects

HEAD = ("考号", "姓名", "学校", "班级", "语文", "数学")
PAPERS = [{"code": "chinese", "max_score": 120, "score_step": 0.5}, {"code": "math", "max_score": 120}]


def pupil(
    number: object, chinese: object = 80, math: object = 70, *, name: str = "甲", school: str = "一中"
) -> tuple[object, ...]:
    return (number, name, school, "1班", chinese, math)


def test_every_kind_of_row_ends_in_its_bin(tmp_path: Path) -> None:
    rows = [
        ("期末成绩", "", "", "", "", ""),
        HEAD,
        pupil("01"),
        ("", "", "", "", "", ""),
        HEAD,
        pupil("02", 120.5),
        pupil("03", 80, -3),
        pupil("04", 80.25),
        pupil("05", 80, "8o"),
        pupil("06", "转学", ""),
        pupil("", 80, 70),
        pupil("07", school=""),
        pupil("1.2E+11"),
        pupil("08"),
        pupil("08"),
        pupil("09", 80),
        pupil("09", 81),
        ("平均分", "", "", "", 80.1, 70.2),
        ("", "合计", "", "", 800, 700),
        ("制表人：某某　审核：某某", "", "", "", "", ""),
        pupil("10", name="全县明"),
    ]
    table = read_rows(tmp_path, rows, papers=PAPERS)
    assert table.frame.get_column("candidate_id").to_list() == ["01", "08", "10"]
    assert table.frame.get_column("row_no").to_list() == [3, 14, 21]
    assert codes(table) == [
        (4, "blank_row"),
        (5, "repeated_header"),
        (6, "score_above_max"),
        (7, "score_negative"),
        (8, "score_off_step"),
        (9, "score_not_a_number"),
        (10, "left_school"),
        (11, "missing_id"),
        (12, "missing_school"),
        (13, "id_damaged"),
        (15, "duplicate_identical"),
        (16, "duplicate_conflict"),
        (17, "duplicate_conflict"),
        (18, "summary_row"),
        (19, "summary_row"),
        (20, "note_row"),
    ]
    columns = dict(table.rejected.select("row", "column").iter_rows())
    assert (columns[6], columns[7], columns[12]) == ("语文", "数学", "学校")
    assert table.inputs.select("rows", "used", "rejected").row(0) == (19, 3, 16)


def test_the_first_bad_column_gives_the_code_and_each_row_has_one(tmp_path: Path) -> None:
    table = read_rows(tmp_path, [HEAD, pupil("01", 130, -5), pupil("02")], papers=PAPERS)
    assert table.rejected.select("row", "column", "code").rows() == [(2, "语文", "score_above_max")]


def test_a_valid_row_beside_a_spoilt_one_of_the_same_candidate_is_not_used(tmp_path: Path) -> None:
    table = read_rows(tmp_path, [HEAD, pupil("01", 85), pupil("01", 850), pupil("02")], papers=PAPERS)
    assert codes(table) == [(2, "duplicate_conflict"), (3, "score_above_max")]


def test_a_pupil_who_left_one_school_counts_in_the_other(tmp_path: Path) -> None:
    table = read_rows(tmp_path, [HEAD, pupil("01", "转学", "转学"), pupil("01", school="二中"), pupil("02")], papers=PAPERS)
    assert codes(table) == [(2, "left_school")]
    assert table.frame.get_column("school_id").to_list() == ["二中", "一中"]


def test_duplicates_are_found_across_files(tmp_path: Path) -> None:
    one = write_csv(tmp_path / "a.csv", [HEAD, pupil("01"), pupil("02", 60)])
    other = write_csv(tmp_path / "b.csv", [HEAD, pupil("01"), pupil("02", 61), pupil("03")])
    table = read_scores([other, one], exam_file())
    assert table.frame.select("candidate_id", "source_file").rows() == [("01", "a.csv"), ("03", "b.csv")]
    assert table.rejected.select("file", "row", "code").rows() == [
        ("a.csv", 3, "duplicate_conflict"),
        ("b.csv", 2, "duplicate_identical"),
        ("b.csv", 3, "duplicate_conflict"),
    ]


def test_rows_that_are_not_counted(tmp_path: Path) -> None:
    rows = [(*HEAD, "参与统计"), (*pupil("01"), "是"), (*pupil("02"), "否"), (*pupil("03"), "")]
    table = read_rows(tmp_path, rows)
    assert codes(table) == [(3, "not_counted")]
    assert found(table, "counted_blank")[0]["n"] == 1


def test_total_is_compared_with_its_parts_and_dropped(tmp_path: Path) -> None:
    rows = [
        (*HEAD, "总分"),
        (*pupil("01"), 150),
        (*pupil("02"), 151),
        (*pupil("03", "缺考"), 70),
        (*pupil("04", "缺考", "缺考"), ""),
    ]
    table = read_rows(tmp_path, rows)
    line = found(table, "total_mismatch")[0]
    assert (line["n"], line["row"]) == (1, 3)
    assert "total" not in table.frame.columns
    assert table.frame.height == 4


def test_total_of_scaled_scores_also_fits(tmp_path: Path) -> None:
    rows = [("考号", "学校", "语文", "化学", "化学赋分", "总分"), ("1", "一中", 100, 60, 75, 175), ("2", "一中", 90, 50, 70, 140)]
    table = read_rows(tmp_path, rows)
    assert found(table, "total_checked")[0]["n"] == 2


def test_total_alone_is_a_paper_but_not_beside_files_with_papers(tmp_path: Path) -> None:
    only = write_csv(tmp_path / "a.csv", [("考号", "学校", "总分"), ("1", "一中", 500)])
    table = read_scores(only, exam_file())
    assert [paper.code for paper in table.papers] == ["total"]
    assert table.frame.item(0, "total") == 50000
    other = write_csv(tmp_path / "b.csv", [HEAD, pupil("02")])
    with pytest.raises(DataFileError) as caught:
        read_scores([only, other], exam_file())
    assert caught.value.code == "total_only_file"


def test_heaps_of_zeros_are_reported_with_the_line_to_add(tmp_path: Path) -> None:
    rows = [HEAD, *(pupil(f"a{n}", 0 if n < 3 else 60, 0 if n < 2 else 50) for n in range(20))]
    rows += [pupil(f"b{n}", 0 if n < 2 else 60, school="二中") for n in range(20)]
    table = read_rows(tmp_path, rows)
    heaps = [(line["found"], line["column"], line["n"]) for line in found(table, "zero_heap")]
    assert heaps == [("一中", "语文", 3)]
    assert found(table, "zero_rows")[0]["n"] == 2
    stated = read_rows(tmp_path, rows, symbols={"0": "absent"})
    assert found(stated, "zero_heap") == []
    assert stated.frame.filter(chinese_status="absent").height == 5


def test_blank_rows_below_the_table_are_not_rows(tmp_path: Path) -> None:
    table = read_rows(tmp_path, [HEAD, pupil("01"), ("",) * 6, ("",) * 6])
    assert table.inputs.item(0, "rows") == 1


def test_nothing_used_gives_an_empty_table_that_reconciles(tmp_path: Path) -> None:
    table = read_rows(tmp_path, [HEAD, pupil("01", 500)], papers=PAPERS)
    assert table.frame.height == 0
    assert table.inputs.select("rows", "used", "rejected").row(0) == (1, 0, 1)


def test_rejects_are_written_whole_without_values_unless_asked(tmp_path: Path) -> None:
    head = ("考号", "学校", "数学", "=语文")
    table = read_rows(
        tmp_path,
        [head, ("1", "一中", "5o", "1"), ("2", "一中", "50", "9x9"), ("3", "一中", "50", "1")],
        columns={"=语文": "chinese"},
    )
    path = write_rejects(table, tmp_path / "out.csv")
    content = path.read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")
    assert b"5o" not in content
    assert b"9x9" not in content
    lines = list(csv.reader(content.decode("utf-8-sig").splitlines()))
    assert lines[0] == ["file", "sheet", "row", "column", "code", "reason"]
    assert lines[1][:5] == ["scores.csv", "", "2", "数学", "score_not_a_number"]
    assert lines[2][3] == "'=语文"
    valued = write_rejects(table, path, with_values=True, lang="en").read_text(encoding="utf-8-sig")
    assert "5o" in valued
    assert "no usable number" in valued
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []


def test_a_value_that_a_spreadsheet_would_run_is_neutralised(tmp_path: Path) -> None:
    table = read_rows(tmp_path, [("考号", "学校", "数学"), ("1", "一中", "=1+1"), ("2", "一中", "3")])
    content = write_rejects(table, tmp_path / "out.csv", with_values=True).read_text(encoding="utf-8-sig")
    assert ",'=1+1," in content


def test_a_repeated_header_with_line_ends_and_the_second_row_of_one_are_known(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    head = '"准考\n证号",学校,语文,数学,\n,,得分,得分,\n'
    path.write_text(head + "1,一中,80,70,\n" + head + "2,一中,81,71,\n", encoding="utf-8")
    table = read_scores(path)
    assert table.frame.get_column("candidate_id").to_list() == ["1", "2"]
    assert codes(table) == [(4, "repeated_header"), (5, "repeated_header")]


def test_papers_a_track_does_not_sit_may_be_blank_with_their_scaled_scores(tmp_path: Path) -> None:
    rows = [("考号", "学校", "语文", "历史", "历史赋分"), ("1", "一中", 80, "", ""), ("2", "一中", 81, "", "")]
    table = read_rows(tmp_path, rows)
    assert [paper.code for paper in table.papers] == ["chinese"]


def test_content_far_below_blank_rows_is_not_passed_over(tmp_path: Path) -> None:
    path = write_xlsx(tmp_path / "s.xlsx", {"成绩": [*[()] * 40, HEAD, pupil("01")], "其他": [HEAD, pupil("02")]})
    table = read_scores(path)
    assert [line["sheet"] for line in found(table, "sheet_not_read")] == ["成绩"]


def test_a_header_that_comes_again_in_another_order_stops_the_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a file too large to be searched for further tables, the rows below it would be read under the wrong papers."""
    monkeypatch.setattr("eduq.intake.readers.SMALL_TEXT", 0)
    head, other = ("考号", "学校", "语文", "数学"), ("考号", "学校", "数学", "语文")
    path = write_csv(tmp_path / "x.csv", [head, ("1", "一中", "50", "60"), other, ("2", "一中", "61", "51")])
    with pytest.raises(DataFileError) as caught:
        read_scores(path, exam_file())
    assert (caught.value.code, caught.value.place.row, caught.value.place.column) == ("header_changes", 3, "语文")
