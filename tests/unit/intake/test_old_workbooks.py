from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.unit.intake.tables import HEADER, PUPILS, codes, exam_file

from eduq.errors import DataFileError
from eduq.intake import read_scores

ROWS: Sequence[Sequence[object]] = (HEADER, *PUPILS)
SECTOR = 512
END, FREE, TABLE = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD


def record(kind: int, content: bytes) -> bytes:
    return struct.pack("<HH", kind, len(content)) + content


def text(value: str) -> bytes:
    return struct.pack("<HB", len(value), 1) + value.encode("utf-16-le")


def book(rows: Sequence[Sequence[object]], more: bytes = b"") -> bytes:
    """Return the stream of a workbook of one sheet (BIFF8): texts as labels, numbers as numbers; `more` are further records."""
    begin = struct.pack("<HHHHII", 0x0600, 0x0010, 0, 0x07CC, 0, 6)
    sheet = record(0x0809, begin)
    for place, row in enumerate(rows):
        for column, value in enumerate(row):
            if isinstance(value, (int, float)):
                sheet += record(0x0203, struct.pack("<HHHd", place, column, 0, value))
            else:
                sheet += record(0x0204, struct.pack("<HHH", place, column, 0) + text(str(value)))
    sheet += more + record(0x000A, b"")
    name = "成绩".encode("utf-16-le")
    head = record(0x0809, begin[:2] + b"\x05\x00" + begin[4:]) + record(0x0042, struct.pack("<H", 1200))
    length = len(head) + 4 + 8 + len(name) + 4
    named = record(0x0085, struct.pack("<IBBBB", length, 0, 0, 2, 1) + name)
    return head + named + record(0x000A, b"") + sheet


def compound(stream: bytes) -> bytearray:
    """Return a compound file of one stream named Workbook: header, sector table, directory, the stream."""
    stream = stream.ljust(max(4096, -(-len(stream) // SECTOR) * SECTOR), b"\0")
    count = len(stream) // SECTOR
    numbers = [TABLE, END, *range(3, count + 2), END]
    table = struct.pack("<128I", *numbers, *[FREE] * (128 - len(numbers)))
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    head += struct.pack("<IIIIIIIIII", 0, 1, 1, 0, 4096, END, 0, END, 0, 0) + struct.pack("<108I", *[FREE] * 108)
    directory = b"".join(
        name.encode("utf-16-le").ljust(64, b"\0")
        + struct.pack("<HBBIII", 2 * len(name) + 2, kind, 1, FREE, FREE, child)
        + bytes(36)
        + struct.pack("<III", first, size, 0)
        for name, kind, child, first, size in (("Root Entry", 5, 1, END, 0), ("Workbook", 2, FREE, 2, len(stream)))
    )
    return bytearray(head + table + directory.ljust(SECTOR, b"\0") + stream)


def refused(path: Path) -> str:
    with pytest.raises(DataFileError) as caught:
        read_scores(path, exam_file())
    return caught.value.code


def test_an_old_workbook_is_read_under_any_suffix(tmp_path: Path) -> None:
    for name in ("x.xls", "x.et", "x.xlsx"):
        (tmp_path / name).write_bytes(compound(book(ROWS)))
        table = read_scores(tmp_path / name)
        assert table.frame.get_column("math").to_list() == [9050, None, 6100]


def test_numbers_it_has_cut_are_no_ids_but_texts_of_digits_are(tmp_path: Path) -> None:
    rows = [
        ("学籍号", "学校", "数学"),
        (110101200001010000.0, "一中", 50.0),
        ("110101200001010000", "一中", 51.0),
        (12.0, "一中", 52.0),
    ]
    (tmp_path / "x.xls").write_bytes(compound(book(rows)))
    table = read_scores(tmp_path / "x.xls")
    assert codes(table) == [(2, "id_damaged")]
    assert table.frame.get_column("candidate_id").to_list() == ["110101200001010000", "12"]


def test_failed_formulas_are_told(tmp_path: Path) -> None:
    failed = record(0x0205, struct.pack("<HHHBB", 1, 5, 0, 0x2A, 1))
    (tmp_path / "x.xls").write_bytes(compound(book([HEADER, PUPILS[0][:5], *PUPILS[1:]], failed)))
    assert codes(read_scores(tmp_path / "x.xls")) == [(2, "cell_error")]


def test_a_chain_of_sectors_that_leads_back_into_itself_ends_in_an_error(tmp_path: Path) -> None:
    data = compound(book(ROWS))
    for sector, target in ((4, 2), (4, 4), (1, 1), (3, 99_999)):
        changed = bytearray(data)
        struct.pack_into("<I", changed, SECTOR + 4 * sector, target)
        (tmp_path / "x.xls").write_bytes(changed)
        assert refused(tmp_path / "x.xls") == "workbook_unreadable"


@pytest.mark.parametrize(("row", "column"), [(3, 60_000), (65_535, 1_000)])
def test_a_cell_far_away_would_fill_the_memory(tmp_path: Path, row: int, column: int) -> None:
    last = record(0x0203, struct.pack("<HHHd", row, column, 0, 1.0))
    (tmp_path / "x.xls").write_bytes(compound(book(ROWS, last)))
    assert refused(tmp_path / "x.xls") == "file_too_large"


def test_a_password_is_named(tmp_path: Path) -> None:
    stream = book(ROWS)
    end = 4 + 16
    locked = stream[:end] + record(0x002F, struct.pack("<HHH", 1, 1, 1) + bytes(48)) + stream[end:]
    (tmp_path / "x.xls").write_bytes(compound(locked))
    assert refused(tmp_path / "x.xls") == "workbook_encrypted"


def test_cut_off_old_workbooks(tmp_path: Path) -> None:
    data = compound(book(ROWS))
    for length in (8, 100, 512, 700, 1024, 1600):
        (tmp_path / "x.xls").write_bytes(data[:length])
        assert refused(tmp_path / "x.xls") == "workbook_unreadable"
