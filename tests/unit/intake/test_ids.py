from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.intake.tables import codes, found, read_rows, write_csv

from eduq.intake import read_scores
from eduq.intake.school_names import find_variants

HEAD = ("考号", "学校", "数学")


def rows(*ids: str) -> list[tuple[str, str, str]]:
    return [(one, "一中", str(50 + place)) for place, one in enumerate(ids)]


def test_what_does_not_belong_to_an_id_is_taken_off_and_counted(tmp_path: Path) -> None:
    table = read_rows(tmp_path, [HEAD, *rows("'0123", "０124", "125.0", " 0 126", "\u200b0127", "0128", "A-1_b", "甲1")])
    assert table.frame.get_column("candidate_id").to_list() == ["0123", "0124", "125", "0126", "0127", "0128", "A-1_b", "甲1"]
    assert [(line["n"], line["column"]) for line in found(table, "ids_tidied")] == [(5, "exam_no")]


def test_the_same_candidate_under_two_writings_of_an_id_is_one(tmp_path: Path) -> None:
    table = read_rows(
        tmp_path, [HEAD, ("101", "一中", "50"), ("101.0", "一中", "51"), ("102", "一中", "52"), ("'102", "一中", "52")]
    )
    assert codes(table) == [(2, "duplicate_conflict"), (3, "duplicate_conflict"), (5, "duplicate_identical")]


def test_ids_of_a_text_file_that_a_spreadsheet_has_cut_are_rejected(tmp_path: Path) -> None:
    cut = [f"1101012000{n:05d}000" for n in range(4)]
    table = read_rows(tmp_path, [HEAD, *rows(*cut, "12345")])
    assert codes(table) == [(row, "id_damaged") for row in range(2, 6)]
    assert table.frame.get_column("candidate_id").to_list() == ["12345"]


@pytest.mark.parametrize(
    "ids",
    [
        ("110101200001010000", "110101200001011234", "110101200001011235", "110101200001011236"),
        ("1234567890123450", "1234567890123460", "1234567890123470"),
        ("110101200001010000", "110101200001020000"),
    ],
)
def test_whole_ids_that_happen_to_end_in_zeros_are_kept(tmp_path: Path, ids: tuple[str, ...]) -> None:
    assert read_rows(tmp_path, [HEAD, *rows(*ids)]).frame.get_column("candidate_id").to_list() == list(ids)


def test_ids_in_scientific_notation_are_rejected_also_behind_a_school(tmp_path: Path) -> None:
    table = read_rows(tmp_path, [("学号", "学校", "数学"), *rows("1.2E+11", "1.20e+11", "1E5", "7")])
    assert codes(table) == [(2, "id_damaged"), (3, "id_damaged")]


def test_lost_zeros_are_listed_and_nothing_is_changed(tmp_path: Path) -> None:
    table = read_rows(tmp_path, [HEAD, *rows("0001", "0002", "0003", "17")])
    assert table.frame.get_column("candidate_id").to_list() == ["0001", "0002", "0003", "17"]
    assert [(line["n"], line["level"]) for line in found(table, "ids_lost_zeros")] == [(1, "warning")]
    for ids in (("1001", "1002", "1003", "17"), ("0001", "0002", "0003", "017"), ("0001", "0002", "0003")):
        assert not found(read_rows(tmp_path, [HEAD, *rows(*ids)]), "ids_lost_zeros")


def test_failed_formulas_in_a_text_file(tmp_path: Path) -> None:
    table = read_rows(
        tmp_path, [HEAD, ("#N/A", "一中", "50"), ("2", "#REF!", "51"), ("3", "一中", "#VALUE!"), ("4", "一中", "53")]
    )
    assert codes(table) == [(2, "cell_error"), (3, "cell_error"), (4, "cell_error")]
    assert table.schools.get_column("name").to_list() == ["一中"]


def test_namesakes_without_ids_are_both_rejected_with_their_own_code(tmp_path: Path) -> None:
    names = [
        ("姓名", "学校", "班级", "数学"),
        ("李某", "一中", "1", "50"),
        ("李某", "一中", "1", "60"),
        ("李某", "一中", "2", "60"),
    ]
    table = read_rows(tmp_path, names)
    assert codes(table) == [(2, "twins_by_name"), (3, "twins_by_name")]


def test_names_of_schools_that_look_like_one_are_listed_and_kept_apart(tmp_path: Path) -> None:
    table = read_rows(
        tmp_path,
        [
            HEAD,
            ("1", "城关一中", "50"),
            ("2", "城关一中", "51"),
            ("3", "城关第一中学", "52"),
            ("4", "县城关一中", "53"),
            ("5", "二中", "5"),
        ],
    )
    assert table.schools.height == 4
    lines = found(table, "school_variants")
    assert [(line["found"], line["n"], line["level"]) for line in lines] == [
        ("城关一中 = 县城关一中 = 城关第一中学", 2, "warning")
    ]


def test_schools_told_apart_by_codes_are_no_variants(tmp_path: Path) -> None:
    head = ("考号", "学校代码", "学校", "数学")
    one = write_csv(tmp_path / "a.csv", [head, ("1", "S1", "城关一中", "50"), ("2", "S2", "城关第一中学", "51")])
    assert not found(read_scores(one), "school_variants")


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("城关一中", "城关第一中学", True),
        ("第12中学", "第十二中学", True),
        ("大理一中", "大理市第一中学", True),
        ("某县实验小学", "实验小学", True),
        ("城关镇中心小学", "城关中心校", True),
        ("城关初级中学", "城关初中", True),
        ("一中（东校区）", "一中", True),
        ("一中", "二中", False),
        ("十一中", "一中", False),
        ("第十中学", "第一中学", False),
        ("实验一中", "一中", False),
        ("实验小学", "实验中学", False),
        ("甲县一中", "乙县一中", False),
        ("红旗小学", "红旗中学", False),
    ],
)
def test_which_names_look_alike(one: str, other: str, alike: bool) -> None:
    assert find_variants([one, other]) == ([(one, other)] if alike else [])
