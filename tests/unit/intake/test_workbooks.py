from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import xlsxwriter
from tests.fuzzing import faults, outcome
from tests.unit.intake.tables import HEADER, PUPILS, codes, exam_file, found, write_xlsx

from eduq.errors import EduqError
from eduq.intake import read_scores, workbook_parts, workbooks
from eduq.intake.ids import DAMAGED

ROWS = (HEADER, *PUPILS)


def refused(path: Path) -> EduqError:
    with pytest.raises(EduqError) as caught:
        read_scores(path, exam_file())
    for lang in ("zh", "en"):
        assert caught.value.message(lang)
        assert caught.value.advice(lang)
    return caught.value


def build(path: Path, fill: Callable[[Any, Any], None]) -> Path:
    """Write the usual rows and let `fill` add to them."""
    book = xlsxwriter.Workbook(str(path))
    sheet = book.add_worksheet("成绩")
    for place, row in enumerate(ROWS):
        sheet.write_row(place, 0, row)
    fill(book, sheet)
    book.close()
    return path


def edited(path: Path, part: str, change: Callable[[bytes], bytes]) -> Path:
    """Change one part of a workbook."""
    written = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as copy:
        for info in archive.infolist():
            content = archive.read(info)
            copy.writestr(info.filename, change(content) if info.filename == part else content)
    path.write_bytes(written.getvalue())
    return path


SHEET = "xl/worksheets/sheet1.xml"


def test_formulas_give_their_stored_results_and_are_counted(tmp_path: Path) -> None:
    path = build(tmp_path / "x.xlsx", lambda book, sheet: sheet.write_formula("F2", "=40+50.5", None, 90.5))
    table = read_scores(path)
    assert table.frame.item(0, "math") == 9050
    assert [(line["sheet"], line["n"]) for line in found(table, "formulas_used")] == [("成绩", 1)]


@pytest.mark.parametrize("shift", [0, 2])
def test_a_formula_without_a_stored_result_is_no_blank(tmp_path: Path, shift: int) -> None:
    """Blank means absent here, so that a result taken for a blank would make a wrong status."""
    book = xlsxwriter.Workbook(str(tmp_path / "x.xlsx"))
    sheet = book.add_worksheet("成绩")
    for place, row in enumerate(ROWS):
        sheet.write_row(place + 1, shift, row)
    sheet.write_formula(2, shift + 5, "=B1+1", None, "")
    book.close()
    table = read_scores(tmp_path / "x.xlsx", exam_file(symbols={"": "absent"}))
    assert codes(table) == [(3, "formula_without_value")]
    assert table.rejected.item(0, "column") == "数学"
    assert table.frame.height == 2


def test_failed_formulas_are_rejected_in_scores_ids_and_schools(tmp_path: Path) -> None:
    def fill(_: Any, sheet: Any) -> None:
        sheet.write_formula("F2", "=1/0", None, "#DIV/0!")
        sheet.write_formula("A3", "=NA()", None, "#N/A")
        sheet.write_row("A5", ("0005", "戊", None, "1班", "50", "60"))
        sheet.write_formula("C5", "=A1", None, "#REF!")
        sheet.write_row("A6", ("0006", "己", "二中", None, "50", "60"))
        sheet.write_formula("D6", "=A1", None, "#N/A")

    table = read_scores(build(tmp_path / "x.xlsx", fill))
    assert codes(table) == [(2, "cell_error"), (3, "cell_error"), (5, "cell_error")]
    assert table.frame.filter(pl.col("row_no") == 6).item(0, "class_id") is None
    assert found(table, "class_is_error")[0]["n"] == 1
    assert table.schools.get_column("name").to_list() == ["二中"]


def test_an_error_can_be_given_a_meaning(tmp_path: Path) -> None:
    path = build(tmp_path / "x.xlsx", lambda book, sheet: sheet.write_formula("F2", "=NA()", None, "#N/A"))
    table = read_scores(path, exam_file(symbols={"#N/A": "absent"}))
    assert table.frame.get_column("math_status").to_list() == ["absent", "absent", "present"]


@pytest.mark.parametrize("shift", [0, 1])
def test_numbers_a_spreadsheet_has_cut_are_no_ids_but_texts_of_digits_are(tmp_path: Path, shift: int) -> None:
    book = xlsxwriter.Workbook(str(tmp_path / "x.xlsx"))
    sheet = book.add_worksheet("成绩")
    plain = book.add_format({"num_format": "0"})
    sheet.write_row(0, shift, ("学籍号", "学校", "数学"))
    for row, value in enumerate((110101200001010000, 123456789012345, 110101200001011234), 1):
        sheet.write_number(row, shift, value, plain)
        sheet.write_row(row, shift + 1, ("一中", 50 + row))
    sheet.write_row(4, shift, ("110101200001010000", "一中", 54))
    sheet.write_row(5, shift, ("110101200001011239", "一中", 55))
    sheet.write_row(6, shift, ("101.0", "一中", 56))
    book.close()
    table = read_scores(tmp_path / "x.xlsx")
    assert codes(table) == [(2, "id_damaged"), (4, "id_damaged")]
    assert table.frame.get_column("candidate_id").to_list() == [
        "123456789012345",
        "110101200001010000",
        "110101200001011239",
        "101",
    ]


def test_scores_that_became_dates(tmp_path: Path) -> None:
    import datetime

    def fill(book: Any, sheet: Any) -> None:
        sheet.write_datetime("F2", datetime.datetime(2026, 8, 10), book.add_format({"num_format": "m/d"}))
        sheet.write_datetime("F4", datetime.time(8, 10), book.add_format({"num_format": "h:mm"}))

    table = read_scores(build(tmp_path / "x.xlsx", fill))
    assert codes(table) == [(2, "score_is_a_date"), (4, "score_is_a_date")]


def test_a_true_in_a_score_cell_is_asked_about(tmp_path: Path) -> None:
    error = refused(build(tmp_path / "x.xlsx", lambda book, sheet: sheet.write_boolean("F2", True)))
    assert error.code == "unknown_symbols"
    assert "true" in error.message("en").lower()


def test_blank_formatted_cells_far_away_cost_nothing(tmp_path: Path) -> None:
    """100,000 rows with a format and nothing in them, and one such cell in the last column."""
    rows = b"".join(b'<row r="%d" s="1"><c r="D%d" s="1"/><c r="E%d" s="1"></c></row>' % (n, n, n) for n in range(10, 100_000))
    path = build(tmp_path / "x.xlsx", lambda book, sheet: None)
    edited(
        path,
        SHEET,
        lambda content: content.replace(b"</sheetData>", rows + b'<row r="100000"><c r="XFD100000" s="1"/></row></sheetData>'),
    )
    table = read_scores(path)
    assert table.frame.height == 3
    assert table.inputs.item(0, "rows") == 3


def test_a_used_cell_far_away_would_fill_the_memory_and_is_refused_by_name(tmp_path: Path) -> None:
    error = refused(build(tmp_path / "x.xlsx", lambda book, sheet: sheet.write("AZ1048576", "x")))
    assert (error.code, error.place.sheet) == ("file_too_large", "成绩")
    assert "40,000,000" in error.message("en")


@pytest.mark.parametrize(
    "row",
    [
        b"<row r='1048576'><c r='XFD1048576' t='n'><v>1</v></c></row>",
        b'<row r="1048576"><c t="n" r="XFD1048576"><v>1</v></c></row>',
        b'<x:row xmlns:x="u"><x:c r="xfd1048576"><x:v>1</x:v></x:c></x:row>',
        b'<row r="1"><c r="A99999999999999999999"><v>1</v></c></row>',
        b'<row r="9"><c r="A9"r="XFD9"><v>1</v></c></row>',
        b'<row r="9"><c r = "XFD9"><v>1</v></c></row>',
        b'<row r="1">' + b"<c><v>1</v></c>" * 16000 + b"</row>" + b'<row r="900000"><c r="A900000"><v>1</v></c></row>',
        b'<row r="1"><c r="AAAAAAAAAAAAAAAA1"><v>1</v></c></row>',
    ],
)
def test_the_area_is_found_however_the_cell_is_written(tmp_path: Path, row: bytes) -> None:
    path = build(tmp_path / "x.xlsx", lambda book, sheet: None)
    edited(path, SHEET, lambda content: content.replace(b"</sheetData>", row + b"</sheetData>"))
    assert refused(path).code == "file_too_large"


def test_one_text_repeated_until_the_memory_is_full_is_refused(tmp_path: Path) -> None:
    path = build(tmp_path / "x.xlsx", lambda book, sheet: None)
    edited(
        path,
        "xl/sharedStrings.xml",
        lambda content: re.sub(rb"<si>", b"<si><t>" + b"x" * 3_000_000 + b"</t></si><si>", content, count=1),
    )
    rows = b"".join(b'<row r="%d"><c r="A%d" t="s"><v>0</v></c></row>' % (n, n) for n in range(10, 1000))
    edited(path, SHEET, lambda content: content.replace(b"</sheetData>", rows + b"</sheetData>"))
    error = refused(path)
    assert error.code == "file_too_large"
    assert "texts" in error.message("en")


def test_a_document_type_is_refused_and_nothing_is_expanded(tmp_path: Path) -> None:
    laughs = b"".join(b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 10))
    kind = b'<!DOCTYPE x [<!ENTITY l0 "ha">' + laughs + b"]>"
    for part in (SHEET, "xl/sharedStrings.xml", "xl/workbook.xml"):
        path = build(tmp_path / "x.xlsx", lambda book, sheet: None)
        edited(path, part, lambda content: content.replace(b"?>", b"?>" + kind, 1))
        assert refused(path).code == "workbook_unreadable"


def test_a_bomb_inside_a_workbook_is_refused(tmp_path: Path) -> None:
    path = build(tmp_path / "x.xlsx", lambda book, sheet: None)
    edited(path, SHEET, lambda content: content + b" " * 80_000_000)
    assert refused(path).code == "file_too_large"


def test_more_sheets_than_can_be_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook_parts, "MAX_SHEETS", 2)
    path = write_xlsx(tmp_path / "x.xlsx", {"一": ROWS, "二": (), "三": ()})
    assert refused(path).code == "file_too_large"


def test_only_explanations_or_hidden_sheets(tmp_path: Path) -> None:
    path = write_xlsx(tmp_path / "x.xlsx", {"说明": ROWS, "旧": ROWS}, hidden=["旧"])
    error = refused(path)
    assert error.code == "no_score_sheet"
    assert "说明" in error.message("zh")


def test_cut_off_workbooks(tmp_path: Path) -> None:
    data = build(tmp_path / "x.xlsx", lambda book, sheet: None).read_bytes()
    for part in (0.1, 0.5, 0.9, 0.99):
        (tmp_path / "cut.xlsx").write_bytes(data[: int(len(data) * part)])
        assert refused(tmp_path / "cut.xlsx").code == "workbook_unreadable"


class PanicException(BaseException):
    """Stands for the panic of a native reader."""


def test_a_panic_of_the_reader_is_our_error_and_its_words_stay_unheard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import fastexcel

    def panic(_: bytes) -> None:
        os.write(2, b"thread panicked at somewhere\n")
        raise PanicException

    path = build(tmp_path / "x.xlsx", lambda book, sheet: None)
    monkeypatch.setattr(fastexcel, "read_excel", panic)
    assert refused(path).code == "workbook_unreadable"
    assert capfd.readouterr().err == ""


def test_other_words_on_stderr_are_not_lost(capfd: pytest.CaptureFixture[str]) -> None:
    with workbooks._held_back(lambda: False):
        os.write(2, b"a warning\n")
    assert capfd.readouterr().err == "a warning\n"


def test_parquet_beyond_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.parquet"
    pl.DataFrame({"考号": ["1", "2"], "学校": ["一中", "一中"], "数学": [1, 2]}).write_parquet(path)
    monkeypatch.setattr(workbooks, "MAX_TABLE_CELLS", 5)
    assert refused(path).code == "file_too_large"


def test_the_mark_of_damaged_ids_is_what_a_spreadsheet_shows() -> None:
    marks = pl.Series(["1.2E+11", "1.10101E+17", "1E+17", "一中:1.2e+11", "123", "1E17", "G1.2E+11"])
    assert marks.str.contains(DAMAGED).to_list() == [True, True, True, True, False, False, False]


def test_reading_never_raises_what_is_not_ours(tmp_path: Path) -> None:
    """A page of links that points nowhere, a sheet that is no XML."""
    for part, change in (
        ("xl/_rels/workbook.xml.rels", lambda content: content.replace(b"sheet1.xml", b"nowhere.xml")),
        ("xl/workbook.xml", lambda content: content[: len(content) // 2]),
        (SHEET, lambda content: content[: len(content) // 2]),
        (SHEET, lambda content: content.replace(b"<v>0</v>", b"<v>99999</v>")),
        ("xl/sharedStrings.xml", lambda content: b""),
    ):
        path = edited(build(tmp_path / "x.xlsx", lambda book, sheet: None), part, change)
        assert faults(outcome(path)) == []


def test_hidden_columns_are_not_read_and_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "g9-hidden.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        rows = [["考号", "姓名", "学校", "旧语文", "语文"], *([f"24{n:04d}", "丑测", "一中", 50 + n, 70 + n] for n in range(6))]
        for number, row in enumerate(rows):
            sheet.write_row(number, 1, row)
        sheet.set_column(4, 4, None, None, {"hidden": True})
    table = read_scores(path)
    assert table.frame["chinese"].to_list() == [100 * (70 + n) for n in range(6)]
    assert table.checks.filter(code="column_hidden").select("column", "level").rows() == [("E", "warning")]
