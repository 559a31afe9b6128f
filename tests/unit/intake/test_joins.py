"""Candidates who stand in several sheets or files of one exam."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.intake.tables import codes, exam_file, found, write_csv, write_xlsx

from eduq.errors import DataFileError
from eduq.intake import read_scores


def one_paper(folder: Path, name: str, paper: str, scores: dict[str, object], **more: str) -> Path:
    rows = [("考号", "学校", *more, paper), *((number, "一中", *more.values(), score) for number, score in scores.items())]
    return write_csv(folder / name, rows)


def test_a_file_per_subject_is_joined_by_candidate(tmp_path: Path) -> None:
    one_paper(tmp_path, "a.csv", "语文", {"01": 90, "02": 80})
    one_paper(tmp_path, "b.csv", "数学", {"02": 70, "03": 60})
    table = read_scores(tmp_path)
    assert table.frame.select("candidate_id", "chinese", "math", "math_status", "source_file").rows() == [
        ("01", 9000, None, None, "a.csv"),
        ("02", 8000, 7000, "present", "a.csv"),
        ("03", None, 6000, "present", "b.csv"),
    ]
    assert table.inputs.select("file", "rows", "used", "rejected").rows() == [("a.csv", 2, 2, 0), ("b.csv", 2, 2, 0)]
    assert found(table, "rows_joined")[0]["n"] == 1


def test_total_file_beside_subject_files_is_compared_and_dropped(tmp_path: Path) -> None:
    one_paper(tmp_path, "总分.csv", "总分", {"01": 160, "02": 141})
    one_paper(tmp_path, "语文.csv", "语文", {"01": 90, "02": 80})
    one_paper(tmp_path, "数学.csv", "数学", {"01": 70, "02": 60})
    table = read_scores(tmp_path)
    assert [paper.code for paper in table.papers] == ["chinese", "math"]
    assert found(table, "total_differs")[0]["n"] == 1
    one_paper(tmp_path, "总分.csv", "总分", {"01": 160, "02": 140, "03": 1})
    with pytest.raises(DataFileError) as caught:
        read_scores(tmp_path)
    assert (caught.value.code, caught.value.place.file) == ("total_only_file", "总分.csv")


def test_the_same_paper_from_two_files_must_agree(tmp_path: Path) -> None:
    one_paper(tmp_path, "a.csv", "语文", {"01": 90, "02": 80, "03": "缺考"})
    one_paper(tmp_path, "b.csv", "语文", {"01": 90, "02": 81, "03": 0})
    table = read_scores(tmp_path)
    assert table.frame.select("candidate_id", "chinese").rows() == [("01", 9000)]
    assert sorted(table.rejected.select("file", "row", "code").rows()) == [
        ("a.csv", 3, "duplicate_conflict"),
        ("a.csv", 4, "duplicate_conflict"),
        ("b.csv", 2, "duplicate_identical"),
        ("b.csv", 3, "duplicate_conflict"),
        ("b.csv", 4, "duplicate_conflict"),
    ]


def test_two_versions_of_a_file_stop_the_run_and_say_what_differs(tmp_path: Path) -> None:
    one_paper(tmp_path, "a.csv", "语文", {f"{n:02d}": 50 + n for n in range(20)})
    one_paper(tmp_path, "b.csv", "语文", {f"{n:02d}": 51 + n for n in range(20)})
    with pytest.raises(DataFileError) as caught:
        read_scores(tmp_path)
    assert caught.value.code == "files_overlap"
    assert (caught.value.place.file, caught.value.params["other"]) == ("a.csv", "b.csv")
    assert (caught.value.params["n"], caught.value.params["columns"]) == (20, "chinese")


def test_what_a_file_does_not_speak_of_contradicts_nothing_but_a_blank_does(tmp_path: Path) -> None:
    one_paper(tmp_path, "a.csv", "语文", {"01": 90}, 班级="1班")
    one_paper(tmp_path, "b.csv", "数学", {"01": 70})
    assert read_scores(tmp_path).frame.select("class_id", "chinese", "math").rows() == [("1班", 9000, 7000)]
    write_csv(tmp_path / "b.csv", [("考号", "学校", "班级", "数学"), ("01", "一中", "2班", 70)])
    assert codes(read_scores(tmp_path)) == [(2, "duplicate_conflict"), (2, "duplicate_conflict")]


def test_subject_files_may_leave_out_the_school_when_another_file_has_it(tmp_path: Path) -> None:
    one_paper(tmp_path, "a.csv", "语文", {"01": 90, "02": 80})
    write_csv(tmp_path / "b.csv", [("考号", "数学"), ("01", 70), ("02", 60)])
    table = read_scores(tmp_path)
    assert table.frame.select("candidate_id", "school_id", "math").rows() == [("01", "一中", 7000), ("02", "一中", 6000)]
    assert table.schools.get_column("school_id").to_list() == ["一中"]
    write_csv(tmp_path / "b.csv", [("考号", "数学"), ("01", 70), ("09", 60)])
    with pytest.raises(DataFileError) as caught:
        read_scores(tmp_path)
    assert (caught.value.code, caught.value.place.file) == ("no_school_column", "b.csv")


def test_files_of_different_papers_without_a_common_id_are_refused(tmp_path: Path) -> None:
    one_paper(tmp_path, "a.csv", "语文", {"01": 90})
    write_csv(tmp_path / "b.csv", [("姓名", "学校", "数学"), ("甲", "一中", 70)])
    with pytest.raises(DataFileError) as caught:
        read_scores(tmp_path)
    assert caught.value.code == "no_common_id"


def test_numbers_that_every_school_counts_from_one_are_still_told_apart(tmp_path: Path) -> None:
    for school in ("一中", "二中"):
        rows = [("考号", "学校", "语文", "数学"), *((f"{n:03d}", school, 60 + n, 70) for n in range(5))]
        write_csv(tmp_path / f"{school}.csv", rows)
    table = read_scores(tmp_path)
    assert table.frame.height == 10
    assert found(table, "exam_no_by_school")[0]["n"] == 5


def test_two_sheets_of_a_workbook_are_joined_like_files(tmp_path: Path) -> None:
    sheets = {
        "语文": [["考号", "学校", "得分"], ["01", "一中", 90]],
        "数学": [["考号", "学校", "得分", "缺考"], ["01", "一中", 70, ""]],
    }
    table = read_scores(write_xlsx(tmp_path / "s.xlsx", sheets), exam_file())
    assert table.frame.select("chinese", "math").rows() == [(9000, 7000)]
