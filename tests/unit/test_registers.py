"""Registers: what they may say, and how schools of the files find their entry."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.builders import build_scores

from eduq.errors import DataFileError, SettingsError
from eduq.registers import apply_registers, read_registers

SCHOOLS = "school_id,name,aliases,township,area_type\nS1,城关第一中学,城关一中;一中,城关街道,城区\nS2,清河镇中学,,清河镇,rural\n"


def write(folder: Path, schools: str = SCHOOLS, teachers: str | None = None) -> Path:
    (folder / "schools.csv").write_text(schools, encoding="utf-8")
    if teachers is not None:
        (folder / "teachers.csv").write_text(teachers, encoding="utf-8")
    return folder


def test_reads_chinese_headers_and_values(tmp_path: Path) -> None:
    found = read_registers(write(tmp_path, "﻿学校代码,学校名称,别名,乡镇,城乡类型\nS1,甲校,,东镇,镇区\n")).schools
    assert found.select("school_id", "name", "aliases", "township", "area_type").row(0) == ("S1", "甲校", None, "东镇", "town")


@pytest.mark.parametrize(
    ("schools", "code", "row"),
    [
        ("school_id,name,aliasses\nS1,甲,x\n", "register_column_unknown", None),
        ("school_id\nS1\n", "register_column_missing", None),
        ("school_id,学校代码,name\nS1,S1,甲\n", "register_column_twice", None),
        ("school_id,name\nS1,甲\nS2,\n", "register_blank", 3),
        ("school_id,name\nS1,甲\nS2,乙\nS2,丙\n", "register_duplicate", 3),
        ("school_id,name,area_type\nS1,甲,郊区\n", "register_value", 2),
        ('school_id,name\nS1,"甲\n', "register_unreadable", None),
    ],
)
def test_what_is_not_understood_stops_with_its_place(tmp_path: Path, schools: str, code: str, row: int | None) -> None:
    with pytest.raises(SettingsError) as stop:
        read_registers(write(tmp_path, schools))
    assert stop.value.code == code
    assert stop.value.place.file == "schools.csv"
    assert stop.value.place.row == row
    assert stop.value.hint


def test_schools_are_found_by_id_name_or_alias_and_never_by_likeness(tmp_path: Path) -> None:
    registers = read_registers(write(tmp_path))
    rows = [{"school_id": school, "math": 50 + i} for i, school in enumerate(("S1", "城关一中", "清河镇中学"))]
    found = apply_registers(build_scores(rows), registers)
    assert found.frame["school_id"].to_list() == ["S1", "S1", "S2"]
    assert found.schools.rows() == [
        ("S1", "城关第一中学", "城关街道", None, "urban"),
        ("S2", "清河镇中学", "清河镇", None, "rural"),
    ]
    with pytest.raises(DataFileError) as stop:
        apply_registers(build_scores([{"school_id": "清河中学", "math": 50}]), registers)
    assert stop.value.code == "school_not_in_register"
    assert "清河中学 → 清河镇中学?" in stop.value.message("zh")


def test_a_name_that_means_two_schools_stops(tmp_path: Path) -> None:
    registers = read_registers(write(tmp_path, SCHOOLS + "S3,城关一中,,,\n"))
    with pytest.raises(SettingsError) as stop:
        apply_registers(build_scores([{"school_id": "S1", "math": 50}]), registers)
    assert stop.value.code == "register_ambiguous"


def test_registered_schools_without_a_row_are_reported(tmp_path: Path) -> None:
    found = apply_registers(build_scores([{"school_id": "S1", "math": 50}]), read_registers(write(tmp_path)))
    assert found.checks.filter(code="schools_without_rows")["n"].to_list() == [1]


def test_teachers_hold_for_their_year_and_term(tmp_path: Path) -> None:
    header = "teacher_id,school_id,class_id,subject,school_year,term\n"
    teachers = header + "T1,S1,1班,数学,2025-2026,1\nT2,S1,1班,math,2024-2025,1\nT3,S2,1班,math,,\n"
    registers = read_registers(write(tmp_path, teachers=teachers))
    found = registers.teachers_of("2025-2026", 1)
    assert found is not None
    assert found["teacher_id"].to_list() == ["T1", "T3"]
    assert found["subject"].to_list() == ["math", "math"]
