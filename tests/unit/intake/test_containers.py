from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
from tests.unit.intake.tables import HEADER, PUPILS, exam_file, found, write_csv, write_xlsx

from eduq.errors import DataFileError, EduqError, Place, UsageError
from eduq.intake import containers, files, read_scores

ROWS = (HEADER, *PUPILS)
TEXT = "".join(",".join(row) + "\n" for row in ROWS).encode()
MORE = "".join(",".join(row) + "\n" for row in (HEADER, ("0009", "丁", "三中", "1班", "70", "80"))).encode()


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def refused(path: Path | list[Path]) -> EduqError:
    with pytest.raises(EduqError) as caught:
        read_scores(path, exam_file())
    for lang in ("zh", "en"):
        assert caught.value.message(lang)
        assert caught.value.advice(lang)
    return caught.value


def test_a_zip_is_read_like_the_folder_it_was_made_of(tmp_path: Path) -> None:
    exam = '[exam]\nname = "期末"\n'.encode()
    folder = tmp_path / "2025-1-g9-final"
    folder.mkdir()
    for name, content in {"a.csv": TEXT, "b.csv": MORE, "exam.toml": exam}.items():
        (folder / name).write_bytes(content)
    members = {f"成绩/{name}": (folder / name).read_bytes() for name in ("a.csv", "b.csv", "exam.toml")}
    junk = {"__MACOSX/成绩/._a.csv": b"x", "成绩/.DS_Store": b"x", "成绩/~$a.xlsx": b"x"}
    packed = make_zip(
        tmp_path / "2025-1-g9-final.zip", {**members, **junk, "成绩/请看.docx": b"x", "成绩/registers/schools.csv": b"x"}
    )
    one, other = read_scores(folder), read_scores(packed)
    assert one.frame.drop("source_file").equals(other.frame.drop("source_file"))
    assert one.exam == other.exam
    assert one.exam.exam.name == "期末"
    assert other.frame.get_column("source_file").unique().sort().to_list() == [
        f"{packed.name}/{name}" for name in ("a.csv", "b.csv")
    ]
    assert other.inputs.get_column("sha256").to_list() == one.inputs.get_column("sha256").to_list()
    said = [line["found"] for line in found(other, "file_ignored")]
    assert said == [f"{packed.name}/registers/schools.csv", f"{packed.name}/请看.docx"]


def test_files_of_one_name_in_several_folders_of_a_zip_stay_apart(tmp_path: Path) -> None:
    table = read_scores(make_zip(tmp_path / "x.zip", {"一中/成绩.csv": TEXT, "二中/成绩.csv": MORE}))
    assert table.frame.height == 4
    assert set(table.frame.get_column("source_file")) == {"x.zip/一中/成绩.csv", "x.zip/二中/成绩.csv"}


def test_a_zip_in_a_folder_and_several_paths(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    make_zip(tmp_path / "one" / "x.zip", {"a.csv": TEXT})
    other = write_csv(tmp_path / "b.csv", (HEADER, ("0009", "丁", "三中", "1班", "70", "80")))
    assert read_scores([tmp_path / "one", other]).frame.height == 4


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8"])
def test_names_without_the_utf8_flag_are_what_the_sender_wrote(tmp_path: Path, encoding: str) -> None:
    path = make_zip(tmp_path / "x.zip", {"NAME.csv": TEXT})
    raw = "一中成绩".encode(encoding)
    path.write_bytes(resized_name(path.read_bytes(), b"NAME.csv", raw + b".csv"))
    table = read_scores(path)
    assert set(table.frame.get_column("source_file")) == {"x.zip/一中成绩.csv"}


def resized_name(data: bytes, old: bytes, new: bytes) -> bytes:
    """Write another name into both headers of a zip of one member."""
    local, central = data.index(b"PK\x03\x04"), data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    more = len(new) - len(old)
    first = data[local:central].replace(old, new, 1)
    second = data[central:end].replace(old, new, 1)
    first = first[:26] + struct.pack("<H", len(new)) + first[28:]
    second = second[:28] + struct.pack("<H", len(new)) + second[30:]
    tail = data[end:]
    return first + second + tail[:12] + struct.pack("<II", len(second), central + more) + tail[20:]


@pytest.mark.parametrize("name", ["../a.csv", "x/../../a.csv", "/etc/a.csv", "C:\\a.csv", "..\\a.csv", "\\\\server\\a.csv"])
def test_a_path_that_points_out_of_the_zip_is_refused(tmp_path: Path, name: str) -> None:
    path = make_zip(tmp_path / "x.zip", {"b.csv": TEXT, "NAME.csv": TEXT})
    data = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(data, "w") as written:
        for info in archive.infolist():
            inner = zipfile.ZipInfo("x")
            inner.filename = name if info.filename == "NAME.csv" else info.filename
            written.writestr(inner, archive.read(info))
    path.write_bytes(data.getvalue())
    assert refused(path).code == "zip_path_escapes"


def test_links_encrypted_members_inner_zips_and_twins_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("a.csv")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert refused(tmp_path / "link.zip").code == "zip_link"
    locked = make_zip(tmp_path / "locked.zip", {"a.csv": TEXT})
    data = bytearray(locked.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    locked.write_bytes(data)
    assert refused(locked).code == "zip_encrypted"
    assert refused(make_zip(tmp_path / "outer.zip", {"inner.zip": TEXT})).code == "zip_nested"
    assert refused(make_zip(tmp_path / "twins.zip", {"A.csv": TEXT, "a.CSV": MORE})).code == "zip_same_name"


def test_a_damaged_zip_is_an_error_of_ours(tmp_path: Path) -> None:
    data = make_zip(tmp_path / "x.zip", {"a.csv": TEXT * 50}).read_bytes()
    for cut in (4, 40, len(data) // 2, len(data) - 5):
        path = tmp_path / "cut.zip"
        path.write_bytes(data[:cut])
        assert refused(path).code == "zip_unreadable"
    changed = bytearray(data)
    changed[60] ^= 0xFF
    (tmp_path / "changed.zip").write_bytes(changed)
    assert refused(tmp_path / "changed.zip").code == "zip_unreadable"
    empty = make_zip(tmp_path / "empty.zip", {})
    assert refused(empty).code == "no_data_files"


def test_a_zip_that_unpacks_to_more_than_it_says_is_stopped(tmp_path: Path) -> None:
    """The list of contents says 10 bytes with the right sum of them; the packed data hold 50 MB."""
    bomb = b"0" * 50_000_000
    path = make_zip(tmp_path / "x.zip", {"a.csv": bomb})
    data = bytearray(path.read_bytes())
    central = data.index(b"PK\x01\x02")
    for place in (14, central + 16):
        data[place : place + 4] = struct.pack("<I", zlib.crc32(bomb[:10]))
    for place in (22, central + 24):
        data[place : place + 4] = struct.pack("<I", 10)
    path.write_bytes(data)
    info = containers.list_members(path)[0].info
    with path.open("rb") as file, pytest.raises(DataFileError) as caught:
        next(containers.unpack(file, info, Place()))
    assert caught.value.code == "zip_unreadable"
    assert refused(path).code == "zip_unreadable"


def test_bombs_are_refused_by_what_they_say_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_zip(tmp_path / "x.zip", {"a.csv": b"0" * 80_000_000})
    error = refused(path)
    assert error.code == "file_too_large"
    assert "200" in error.message("en")
    monkeypatch.setattr(containers, "MAX_UNPACKED_BYTES", 1000)
    assert refused(make_zip(tmp_path / "y.zip", {"a.csv": TEXT * 50})).code == "file_too_large"
    monkeypatch.setattr(containers, "MAX_MEMBERS", 1)
    assert refused(make_zip(tmp_path / "z.zip", {"a.csv": TEXT, "b.csv": TEXT})).code == "file_too_large"
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 10)
    assert refused(write_csv(tmp_path / "b.csv", ROWS)).code == "file_too_large"


def test_links_in_a_folder_are_not_followed_but_a_link_given_by_name_is(tmp_path: Path) -> None:
    folder = tmp_path / "exam"
    folder.mkdir()
    (tmp_path / "elsewhere").mkdir()
    real = write_csv(tmp_path / "elsewhere" / "real.csv", ROWS)
    (folder / "a.csv").symlink_to(real)
    assert refused(folder).code == "link_in_folder"
    assert read_scores(folder / "a.csv").frame.height == 3
    (folder / "a.csv").unlink()
    write_csv(folder / "b.csv", ROWS)
    (folder / "exam.toml").symlink_to(real)
    assert refused(folder).place.file == "exam.toml"
    (folder / "exam.toml").unlink()
    (folder / "sub").symlink_to(real.parent)
    (folder / "registers").mkdir()
    table = read_scores(folder)
    assert [(line["found"], line["level"]) for line in found(table, "folder_ignored")] == [
        ("registers", "info"),
        ("sub", "notice"),
    ]


def test_a_workbook_named_zip_is_a_workbook(tmp_path: Path) -> None:
    path = write_xlsx(tmp_path / "x.xlsx", {"成绩": ROWS}).rename(tmp_path / "x.zip")
    assert read_scores(path).frame.get_column("source_file").unique().to_list() == ["x.zip"]


def test_exam_toml_in_the_zip_and_beside_it_are_two(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "x.zip", {"a.csv": TEXT, "exam.toml": b"schema = 1\n"})
    (tmp_path / "exam.toml").write_text("schema = 1\n", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        read_scores(path)
    assert caught.value.code == "several_exam_files"


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.pdf", b"%PDF-1.7", "not_a_table"),
        ("a.jpg", b"\xff\xd8\xff\xe0", "not_a_table"),
        ("a.rar", b"Rar!\x1a\x07", "not_a_table"),
        ("a.xls", b"<?xml version='1.0'?><Workbook/>", "xml_as_table"),
        ("a.xls", b"\r\n <table>", "html_as_table"),
        ("a.xls", b"MIME-Version: 1.0\r\n", "html_as_table"),
        ("a.xls", b"\xd0\xcf\x11\xe0" + "EncryptedPackage".encode("utf-16-le"), "workbook_encrypted"),
        ("a.xls", b"\xd0\xcf\x11\xe0" + "WordDocument".encode("utf-16-le"), "not_a_table"),
        ("a.et", b"\xd0\xcf\x11\xe0" + "Workbook".encode("utf-16-le"), "workbook_unreadable"),
    ],
)
def test_other_files_are_told_by_their_first_bytes(tmp_path: Path, name: str, content: bytes, code: str) -> None:
    (tmp_path / name).write_bytes(content)
    error = refused(tmp_path / name)
    assert (error.code, error.place.file) == (code, name)


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"word/document.xml": b""}, "not_a_table"),
        ({"ppt/presentation.xml": b""}, "not_a_table"),
        ({"xl/workbook.bin": b""}, "workbook_kind"),
        ({"mimetype": b"", "content.xml": b""}, "workbook_kind"),
        ({"xl/workbook.xml": b"<workbook/>"}, "workbook_unreadable"),
    ],
)
def test_documents_and_other_workbooks_are_told_by_their_parts(tmp_path: Path, members: dict[str, bytes], code: str) -> None:
    assert refused(make_zip(tmp_path / "a.xlsx", members)).code == code


def test_tab_text_named_xls_is_read(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "成绩.xls", ROWS, encoding="gb18030", delimiter="\t")
    assert read_scores(path).frame.height == 3


def test_a_file_or_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_csv(tmp_path / "scores.csv", ROWS)

    def denied(*_: object) -> bytes:
        raise PermissionError(13, "denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", denied)
    error = refused(path)
    assert error.code == "file_unreadable"
    assert str(tmp_path) not in str(error)
    monkeypatch.setattr(Path, "iterdir", denied)
    assert refused(tmp_path).code == "file_unreadable"
