from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from tests.unit.intake.tables import codes, exam_file, read_rows, write_csv

from eduq.errors import DataFileError
from eduq.intake import read_scores
from eduq.intake.cells import (
    ABOVE_MAX,
    BLANK,
    CELL_ERROR,
    DATE,
    FINE,
    FRACTION,
    LEFT,
    NEGATIVE,
    NO_VALUE,
    NOT_NUMBER,
    OFF_HUNDREDTH,
    REMARK,
    SYMBOL,
    SymbolReader,
    read_cells,
)
from eduq.locale import Lang
from eduq.tables import STATUSES


@pytest.mark.parametrize(
    ("text", "hundredths"),
    [
        ("0", 0),
        ("85", 8500),
        ("85.5", 8550),
        ("85.55", 8555),
        ("85.50000", 8550),
        (" 85 ", 8500),
        ("　８５．５", 8550),
        (".5", 50),
        ("+7", 700),
        ("007", 700),
        ("0.07", 7),
        ("0.29", 29),
        ("85.10000000000001", 8510),
        ("84.99999999999999", 8500),
        ("'85", 8500),
    ],
)
def test_numbers_become_exact_hundredths(text: str, hundredths: int) -> None:
    cell = SymbolReader({}).read(text)
    assert (cell.value, cell.problem) == (hundredths, FINE)


def test_every_hundredth_is_exact() -> None:
    reader = SymbolReader({})
    assert [reader.read(f"{n // 100}.{n % 100:02d}").value for n in range(20_000)] == list(range(20_000))


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("缺考", "absent"),
        ("缺", "absent"),
        ("-/-", "absent"),
        ("缺考，不计排名", "absent"),
        ("缺考（病假）", "absent"),
        ("缺考 补考", "absent"),
        ("缓考", "deferred"),
        ("免考", "exempt"),
        ("未选", "not_chosen"),
        ("作弊；取消成绩", "voided"),
        ("未扫描", "not_scanned"),
        ("未扫，不计排名", "not_scanned"),
    ],
)
def test_known_words_are_statuses(text: str, status: str) -> None:
    cell = SymbolReader({}).read(text)
    assert (STATUSES[cell.status], cell.value, cell.problem) == (status, None, FINE)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", BLANK),
        (" 　", BLANK),
        ("-", SYMBOL),
        ("/", SYMBOL),
        ("×", SYMBOL),
        ("-1", SYMBOL),
        ("nan", SYMBOL),
        ("inf", SYMBOL),
        ("#N/A", CELL_ERROR),
        ("#ref!", CELL_ERROR),
        ("#FORMULA?", NO_VALUE),
        ("TRUE", SYMBOL),
        ("缺勤", SYMBOL),
        ("不缺考", SYMBOL),
        ("转学", LEFT),
        ("1e3", NOT_NUMBER),
        ("85.", NOT_NUMBER),
        ("10/12", FRACTION),
        ("36，剔除", REMARK),
        ("36（剔除）", REMARK),
        ("85分", NOT_NUMBER),
        ("1,000", NOT_NUMBER),
        ("2026-08-10 00:00:00", DATE),
        ("2026/8/10", DATE),
        ("8月10日", DATE),
        ("10-Aug", DATE),
        ("8:10", DATE),
        ("1234567", NOT_NUMBER),
        ("-2", NEGATIVE),
        ("-0.5", NEGATIVE),
        ("85.123", OFF_HUNDREDTH),
    ],
)
def test_what_is_no_score_is_never_guessed(text: str, problem: int) -> None:
    cell = SymbolReader({}).read(text)
    assert (cell.value, cell.problem) == (None, problem)


def test_symbols_of_exam_toml_win() -> None:
    reader = SymbolReader({"": "absent", "-": "not_chosen", "-1": "voided", "0": "absent", "缺考": "exempt", "Q": "absent"})
    read = {
        text: STATUSES[reader.read(text).status] for text in ("", "－", "-1", "-1.0", "0", "0.0", "０", "缺考", "q", "Q 病假")
    }
    assert read == {
        **dict.fromkeys(("", "0", "0.0", "０", "q", "Q 病假"), "absent"),
        "－": "not_chosen",
        "-1": "voided",
        "-1.0": "voided",
        "缺考": "exempt",
    }
    assert reader.read("10").value == 1000


def test_full_mark_and_step_are_those_of_the_paper() -> None:
    grid = read_cells(pl.DataFrame({"c0": ["120", "120.5", "60.25", "0"]}), ["c0"], SymbolReader({}))
    place = grid.codes["c0"]
    assert grid.table.problems_under(12000, 50)[place].tolist() == [FINE, ABOVE_MAX, OFF_HUNDREDTH, FINE]
    assert grid.table.problems_under(None, None)[place].tolist() == [FINE] * 4


def test_999_is_asked_about_unless_the_full_mark_reaches_it() -> None:
    grid = read_cells(pl.DataFrame({"c0": ["999"]}), ["c0"], SymbolReader({}))
    place = grid.codes["c0"]
    assert grid.table.problems_under(None, None)[place].tolist() == [SYMBOL]
    assert grid.table.problems_under(12000, None)[place].tolist() == [SYMBOL]
    assert grid.table.problems_under(100_000, None)[place].tolist() == [FINE]
    assert STATUSES[SymbolReader({"999": "absent"}).read("999").status] == "absent"


HEAD = ("考号", "学校", "语文", "数学")


def test_all_unexplained_symbols_of_all_files_come_in_one_error(tmp_path: Path) -> None:
    one = write_csv(tmp_path / "a.csv", [HEAD, ("1", "一中", "-", "50"), ("2", "一中", "-", "/"), ("3", "一中", "60", "")])
    other = write_csv(tmp_path / "b.csv", [HEAD, ("4", "二中", "70", "-"), ("5", "二中", "71", "72")])
    with pytest.raises(DataFileError) as caught:
        read_scores([one, other], exam_file())
    error = caught.value
    assert (error.code, error.exit_status) == ("unknown_symbols", 11)
    lines = error.message("zh").splitlines()
    assert lines[1].strip().startswith('"-"　3 次，语文，数学')
    assert "第 2 行" in lines[1]
    assert "a.csv" in lines[1]
    toml = error.advice("en").split("[symbols]\n")[1]
    assert [line.split(" = ")[0] for line in toml.splitlines()] == ['"-"', '""', '"/"']
    stated = {"-": "not_chosen", "": "absent", "/": "exempt"}
    table = read_scores([one, other], exam_file(symbols=stated))
    assert table.frame.get_column("math_status").to_list() == ["present", "exempt", "absent", "not_chosen", "present"]


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_score_in_words_is_described_never_shown(tmp_path: Path, lang: Lang) -> None:
    with pytest.raises(DataFileError) as caught:
        read_rows(tmp_path, [HEAD, ("1", "一中", "八十七点五", "72"), ("2", "一中", "71", "不详")])
    said = caught.value.message(lang) + caught.value.advice(lang)
    assert "八十七" not in said
    assert "不详" in said


def test_numbers_are_described_never_shown(tmp_path: Path) -> None:
    rows = [HEAD, ("1", "一中", "143.7x", "72"), ("2", "一中", "71", "不详")]
    with pytest.raises(DataFileError) as caught:
        read_rows(tmp_path, rows)
    assert "143.7" not in str(caught.value)
    assert "不详" in str(caught.value)
    table = read_rows(tmp_path, rows, symbols={"不详": "voided"})
    assert codes(table) == [(2, "score_not_a_number")]
    assert "143.7" not in str(table.checks.rows())


def test_symbols_of_rows_that_are_not_used_are_not_asked_for(tmp_path: Path) -> None:
    table = read_rows(tmp_path, [HEAD, ("1", "一中", "转学", "-"), ("2", "一中", "71", "72"), ("", "合计", "-", "-")])
    assert codes(table) == [(2, "left_school"), (4, "summary_row")]


def test_a_column_blank_throughout_is_no_such_paper(tmp_path: Path) -> None:
    one = write_csv(tmp_path / "a.csv", [HEAD, ("1", "一中", "50", ""), ("2", "一中", "缺考", "")])
    other = write_csv(tmp_path / "b.csv", [HEAD, ("4", "二中", "70", "80")])
    table = read_scores([one, other], exam_file())
    assert table.frame.select("math", "math_status").rows() == [(None, None), (None, None), (8000, "present")]
    assert table.checks.filter(code="no_such_paper").row(0, named=True)["column"] == "数学"


def test_scaled_scores_stand_beside_the_score(tmp_path: Path) -> None:
    rows = [
        ("考号", "学校", "物理", "物理赋分"),
        ("1", "一中", "50", "71"),
        ("2", "一中", "缺考", "缺考"),
        ("3", "一中", "40", "?"),
    ]
    table = read_rows(tmp_path, rows)
    assert table.frame.get_column("physics_scaled").to_list() == [7100, None, None]
    assert table.checks.filter(code="scaled_unread").item(0, "n") == 1


def test_a_status_goes_with_no_score_and_a_score_with_present(tmp_path: Path) -> None:
    rows = [
        HEAD,
        *((str(n), "一中", text, "1") for n, text in enumerate(("0", "12.5", "缺考", "免考", "作弊", "未扫描", "未选", "缓考"))),
    ]
    frame = read_rows(tmp_path, rows).frame
    assert (frame.get_column("chinese").is_not_null() == (frame.get_column("chinese_status") == "present")).all()
    assert frame.get_column("chinese").to_list()[:2] == [0, 1250]


def test_each_kind_of_spoilt_score_is_rejected_with_its_own_code(tmp_path: Path) -> None:
    cells = ("36，剔除", "8月10日", "10/12", "#REF!", "50", "50", "60", "61")
    rows = [("考号", "学校", "数学"), *((str(place), "一中", cell) for place, cell in enumerate(cells))]
    table = read_rows(tmp_path, rows)
    assert codes(table) == [(2, "score_with_remark"), (3, "score_is_a_date"), (4, "score_is_a_fraction"), (5, "cell_error")]
    assert table.frame.get_column("math").to_list() == [5000, 5000, 6000, 6100]


def test_a_column_of_fractions_is_asked_about_and_shows_no_score(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "x.csv", [("考号", "学校", "数学"), ("1", "一中", "11/12"), ("2", "一中", "10/12"), ("3", "一中", "7")]
    )
    with pytest.raises(DataFileError) as caught:
        read_scores(path, exam_file())
    assert (caught.value.code, caught.value.place.column, caught.value.params["n"]) == ("fraction_column", "数学", 2)
    assert "11" not in str(caught.value)


def test_fractions_are_scores_where_a_layout_says_so_and_the_full_mark_is_the_papers() -> None:
    body = pl.DataFrame({"a": ["10/12", "7.5/12", "10/11", "13/12", "3"]})
    grid = read_cells(body, ["a"], SymbolReader({}, fractions=True))
    cells = grid.codes["a"]
    assert grid.table.values[cells].tolist() == [1000, 750, 1000, -1, 300]
    assert grid.table.problems_under(1200, None)[cells].tolist() == [FINE, FINE, FRACTION, ABOVE_MAX, FINE]
    assert grid.table.problems_under(None, None)[cells].tolist() == [FINE, FINE, FINE, ABOVE_MAX, FINE]


def test_ranks_such_as_1_of_29_in_a_column_of_ranks_are_ignored(tmp_path: Path) -> None:
    rows = [("考号", "学校", "数学", "校次"), ("1", "一中", "50", "1/29"), ("2", "一中", "51", "2/29")]
    assert read_rows(tmp_path, rows).frame.get_column("math").to_list() == [5000, 5100]


@pytest.mark.parametrize("blank", ["", " ", "\u3000", "\xa0", "\u200b", "\u3000\xa0 "])
def test_every_kind_of_blank_is_blank(tmp_path: Path, blank: str) -> None:
    rows = [("考号", "学校", "数学"), ("1", "一中", blank), ("2", "一中", "51")]
    table = read_rows(tmp_path, rows, symbols={"": "absent"})
    assert table.frame.get_column("math_status").to_list() == ["absent", "present"]
