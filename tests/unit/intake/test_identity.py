from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.intake.tables import codes, exam_file, found, read_rows, write_csv

from eduq.errors import DataFileError
from eduq.intake import read_scores


def test_the_best_id_that_is_filled_names_the_candidate(tmp_path: Path) -> None:
    head = ("学籍号", "考号", "学号", "学校", "数学")
    full = read_rows(tmp_path, [head, ("G1", "11", "1", "一中", "50"), ("G2", "12", "2", "一中", "60")])
    assert full.frame.select("candidate_id", "person_id").rows() == [("G1", "G1"), ("G2", "G2")]
    partial = read_rows(tmp_path, [head, ("G1", "11", "1", "一中", "50"), ("", "12", "2", "一中", "60")])
    assert partial.frame.select("candidate_id", "person_id").rows() == [("11", "G1"), ("12", None)]
    assert found(partial, "person_id_missing")[0]["n"] == 1


def test_roll_numbers_are_joined_with_the_school(tmp_path: Path) -> None:
    table = read_rows(tmp_path, [("学号", "学校", "数学"), ("1", "一中", "50"), ("1", "二中", "60")])
    assert table.frame.get_column("candidate_id").to_list() == ["一中:1", "二中:1"]
    assert table.frame.get_column("person_id").to_list() == [None, None]
    stated = read_rows(tmp_path, [("学号", "学校", "数学"), ("1", "一中", "50")], exam={"stable_id": "student_no"})
    assert stated.frame.item(0, "person_id") == "一中:1"


def test_exam_numbers_counted_by_each_school_are_joined_with_it_and_listed(tmp_path: Path) -> None:
    rows = [("考号", "学校", "数学"), *((str(n), school, "50") for school in ("一中", "二中") for n in range(5))]
    table = read_rows(tmp_path, rows)
    assert table.frame.height == 10
    assert found(table, "exam_no_by_school")[0]["n"] == 5


def test_names_serve_as_id_hashed_and_with_a_warning(tmp_path: Path) -> None:
    rows = [
        ("姓名", "学校", "班级", "数学"),
        ("李某", "一中", "1", "50"),
        ("李某", "一中", "2", "60"),
        ("王某", "一中", "1", "70"),
    ]
    rows += [("王某", "一中", "1", "71")]
    table = read_rows(tmp_path, rows)
    assert table.frame.height == 2
    assert codes(table) == [(4, "twins_by_name"), (5, "twins_by_name")]
    assert all("某" not in value for value in table.frame.get_column("candidate_id"))
    assert found(table, "identity_by_name")[0]["level"] == "warning"


def test_an_id_column_that_is_blank_throughout_is_passed_over(tmp_path: Path) -> None:
    table = read_rows(tmp_path, [("考号", "姓名", "学校", "数学"), ("", "甲", "一中", "50"), ("", "乙", "一中", "51")])
    assert table.frame.height == 2
    assert found(table, "id_column_blank")[0]["column"] == "考号"


def test_ids_stay_text(tmp_path: Path) -> None:
    rows = [
        ("考号", "学校代码", "学校", "班级", "数学"),
        ("000123", "007", "一中", "01", "50"),
        ("G1101-X", "007", "一中", "1.0", "51"),
    ]
    frame = read_rows(tmp_path, rows).frame
    assert frame.select("candidate_id", "school_id", "class_id").rows() == [("000123", "007", "01"), ("G1101-X", "007", "1.0")]


def test_files_with_no_id_in_common_are_read_with_a_warning(tmp_path: Path) -> None:
    one = write_csv(tmp_path / "a.csv", [("考号", "学校", "数学"), ("1", "一中", "50")])
    other = write_csv(tmp_path / "b.csv", [("学号", "学校", "数学"), ("1", "二中", "50")])
    table = read_scores([one, other], exam_file())
    assert table.frame.get_column("candidate_id").to_list() == ["1", "二中:1"]
    assert found(table, "mixed_id_kinds")


def test_school_code_is_the_id_and_fills_in_by_name(tmp_path: Path) -> None:
    one = write_csv(tmp_path / "a.csv", [("考号", "学校代码", "学校", "乡镇", "数学"), ("1", "S1", "一中", "河东镇", "50")])
    other = write_csv(tmp_path / "b.csv", [("考号", "学校", "数学"), ("2", "一中", "50"), ("3", "二中", "60")])
    table = read_scores([one, other], exam_file())
    assert table.frame.get_column("school_id").to_list() == ["S1", "S1", "二中"]
    assert table.schools.select("school_id", "name", "township").rows() == [("S1", "一中", "河东镇"), ("二中", "二中", None)]
    assert found(table, "school_code_by_name")[0]["n"] == 1


def test_contradictory_facts_of_a_school_are_listed_and_not_used(tmp_path: Path) -> None:
    rows = [("考号", "学校代码", "学校", "乡镇", "片区", "城乡类型", "数学")]
    rows += [("1", "S1", "一中", "东镇", "东片", "镇区", "50"), ("2", "S1", "第一中学", "西镇", "东片", "", "50")]
    rows += [("3", "S2", "二中", "西镇", "", "开发区", "50")]
    table = read_rows(tmp_path, rows)
    assert table.schools.rows() == [("S1", "一中", None, "东片", "town"), ("S2", "二中", "西镇", None, None)]
    assert {line["code"] for line in table.checks.iter_rows(named=True)} >= {
        "school_township_differs",
        "school_name_differs",
        "area_type_unknown",
    }


def test_a_table_of_one_school_needs_that_said(tmp_path: Path) -> None:
    rows = [("姓名", "班级", "数学"), ("甲", "1", "50")]
    with pytest.raises(DataFileError) as caught:
        read_rows(tmp_path, rows)
    assert caught.value.code == "no_school_column"
    assert 'scope = "school"' in caught.value.hint
    table = read_rows(tmp_path, rows, exam={"scope": "school"})
    assert table.frame.get_column("school_id").to_list() == ["school"]


def test_groups_are_put_into_our_words(tmp_path: Path) -> None:
    rows = [("考号", "学校", "性别", "年级", "科类", "选考科目", "语文")]
    rows += [
        ("1", "一中", "男", "高三", "物理类", "物化生", "1"),
        ("2", "一中", "女", "2023届", "历史", "", "2"),
        ("3", "一中", "？", "", "艺", "", "3"),
    ]
    table = read_rows(tmp_path, rows)
    assert table.frame.select("sex", "year_group", "track", "combination").rows() == [
        ("male", "S3", "physics", "物化生"),
        ("female", None, "history", None),
        (None, None, None, None),
    ]
    assert {line["code"]: line["n"] for line in table.checks.iter_rows(named=True) if line["code"].endswith("unknown")} == {
        "sex_unknown": 1,
        "year_group_unknown": 1,
        "track_unknown": 1,
        "max_score_unknown": 1,
    }
    stated = read_rows(tmp_path, rows, exam={"year_group": "S2"})
    assert stated.frame.get_column("year_group").to_list() == ["S3", "S2", "S2"]
    assert found(stated, "year_group_differs")[0]["n"] == 1


def test_teaching_classes_and_subgroups_stand_beside_the_paper(tmp_path: Path) -> None:
    rows = [("考号", "学校", "物理", "物理教学班", "民族类别"), ("1", "一中", "50", "物1", "少"), ("2", "一中", "51", "", "")]
    frame = read_rows(tmp_path, rows, columns={"民族类别": "sub_minority"}).frame
    assert frame.select("physics_class", "sub_minority").rows() == [("物1", "少"), (None, None)]
    assert frame.columns[12:] == ["sub_minority", "physics", "physics_status", "physics_class"]
