from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from tests.unit.intake.tables import HEADER, PUPILS, exam_file, found, write_csv, write_xlsx

from eduq.errors import DataFileError, SettingsError, UsageError
from eduq.intake import read_scores

ROWS = (HEADER, *PUPILS)


def refused(path: Path, **keys: object) -> DataFileError:
    with pytest.raises(DataFileError) as caught:
        read_scores(path, exam_file(**keys))
    return caught.value


@pytest.mark.parametrize(
    ("encoding", "recorded"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("gb18030", "gb18030"), ("utf-16", "utf-16")],
)
@pytest.mark.parametrize(("delimiter", "suffix"), [(",", "csv"), ("\t", "tsv"), (";", "txt"), ("|", "txt"), ("，", "txt")])
def test_text_files_read_alike_in_any_encoding_and_delimiter(
    tmp_path: Path, encoding: str, recorded: str, delimiter: str, suffix: str
) -> None:
    path = write_csv(tmp_path / f"scores.{suffix}", ROWS, encoding=encoding, delimiter=delimiter)
    table = read_scores(path)
    assert table.frame.get_column("math").to_list() == [9050, None, 6100]
    assert table.frame.get_column("school_id").to_list() == ["一中", "一中", "二中"]
    assert table.frame.get_column("candidate_id").to_list() == ["0001", "0002", "0003"]
    assert table.inputs.row(0, named=True)["encoding"] == recorded


def test_gb18030_is_decided_on_the_whole_file_though_the_start_is_ascii(tmp_path: Path) -> None:
    rows = [("exam_no", "school", "math"), *((f"{n:06d}", "A", "50") for n in range(40_000)), ("999999", "二中", "60")]
    table = read_scores(write_csv(tmp_path / "late.csv", rows, encoding="gb18030"))
    assert table.frame.get_column("school_id").to_list()[-1] == "二中"
    assert table.inputs.item(0, "encoding") == "gb18030"


def test_kind_is_told_by_the_first_bytes_not_the_suffix(tmp_path: Path) -> None:
    write_xlsx(tmp_path / "x.xlsx", {"成绩": ROWS})
    renamed = (tmp_path / "x.xlsx").rename(tmp_path / "scores.csv")
    assert read_scores(renamed).frame.height == 3


def test_parquet_reads_like_the_same_csv(tmp_path: Path) -> None:
    frame = pl.DataFrame([list(row) for row in PUPILS], schema=list(HEADER), orient="row")
    frame.write_parquet(tmp_path / "scores.parquet")
    other = read_scores(write_csv(tmp_path / "scores.csv", ROWS))
    table = read_scores(tmp_path / "scores.parquet")
    assert table.frame.select("candidate_id", "math", "math_status").equals(
        other.frame.select("candidate_id", "math", "math_status")
    )


def test_parquet_with_numbers(tmp_path: Path) -> None:
    pl.DataFrame({"考号": [101, 102], "学校": ["一中", "一中"], "数学": [61.5, None]}).write_parquet(tmp_path / "n.parquet")
    table = read_scores(tmp_path / "n.parquet", exam_file(symbols={"": "absent"}))
    assert table.frame.select("candidate_id", "math", "math_status").rows() == [("101", 6150, "present"), ("102", None, "absent")]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "file_empty"),
        (b"\xef\xbb\xbf \r\n", "file_empty"),
        (b"<html><table></table></html>", "html_as_table"),
        (b"PK\x03\x04 cut off", "workbook_unreadable"),
        (b"\xd0\xcf\x11\xe0 cut off", "workbook_unreadable"),
        (b"PAR1 cut off", "parquet_unreadable"),
        (b"\x89PNG\r\n\x00\x00", "not_a_table"),
        (b"\xff\xfe\x00", "encoding_unknown"),
        (b"\x81\x20\xff\xff,\x80", "encoding_unknown"),
        (b"a,b,c\n1,2,3\n", "no_header"),
        ("考号,学校\n1,一中\n".encode(), "no_paper"),
        ("学校,班级,数学\n一中,1班,50\n".encode(), "no_id_column"),
        ("考号,数学\n1,50\n".encode(), "no_school_column"),
        ("考号,学校,数学\n1,,50\n".encode(), "no_school_column"),
        ("考号,学校,数学\n1,一中,50,7\n".encode(), "row_too_long"),
        ('考号,学校,数学\n1,一中,"50\n2,一中,60\n'.encode(), "quotes_unbalanced"),
        ("班级,应考人数,实考人数,平均分,及格率\n1班,50,49,77.1,0.8\n".encode(), "group_table"),
        ("考号,学校,科目,成绩,缺考\n1,一中,数学,50,也许\n".encode(), "flag_unknown"),
        ("考号,学校,数学,物理赋分\n1,一中,50,70\n".encode(), "scaled_without_score"),
        ("考号,学校,数学,数学成绩\n1,一中,50,51\n".encode(), "column_twice"),
        ("考号,学校,数学,语文,缺考\n1,一中,0,0,是\n".encode(), "flag_column"),
        ("考号,学校,数学,参与统计\n1,一中,0,看情况\n".encode(), "flag_unknown"),
        ("考号,学校,数学,\n1,一中,50,7\n".encode(), "unnamed_column"),
    ],
)
def test_each_unreadable_file_has_one_code_place_and_hint(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    error = refused(path)
    assert error.code == code
    assert error.exit_status == 11
    assert error.place.file == "bad.csv"
    assert str(tmp_path) not in str(error)
    for lang in ("zh", "en"):
        assert error.message(lang)
        assert error.advice(lang)


def test_a_row_that_is_too_long_is_named_as_a_spreadsheet_numbers_it(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes("期中成绩\n考号,学校,数学\n1,一中,50\n\n2,一中,60,7\n".encode())
    assert refused(path).place.row == 5


def test_blank_cells_beyond_the_header_and_short_rows_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    rows = [",".join(("考号", "学校", "数学")), *(f"{n},一中,50" for n in range(40)), "98,一中", "99,一中,60,,"]
    path.write_text("\n".join(rows), encoding="utf-8")
    table = read_scores(path, exam_file(symbols={"": "absent"}))
    assert table.frame.height == 42
    assert table.frame.filter(pl.col("candidate_id") == "98").item(0, "math_status") == "absent"
    assert table.frame.filter(pl.col("candidate_id") == "99").item(0, "math") == 6000


def test_folder_takes_its_data_files_and_exam_toml_and_lists_the_rest(tmp_path: Path) -> None:
    folder = tmp_path / "2025-1-g9-final"
    folder.mkdir()
    write_csv(folder / "b.csv", (HEADER, PUPILS[2]))
    write_csv(folder / "a.csv", (HEADER, *PUPILS[:2]))
    for name in ("~$a.xlsx", ".hidden.csv"):
        (folder / name).write_bytes(b"x")
    (folder / "readme.docx").write_bytes(b"x")
    (folder / "exam.toml").write_text('[exam]\nname = "期末"\n[[papers]]\ncode = "math"\nmax_score = 100\n', encoding="utf-8")
    table = read_scores(folder)
    assert table.frame.select("source_file", "row_no").rows() == [("a.csv", 2), ("a.csv", 3), ("b.csv", 2)]
    assert table.exam.exam.name == "期末"
    assert table.exam.exam.id == "2025-1-g9-final"
    assert [paper.code for paper in table.papers] == ["chinese", "math"]
    assert [line["found"] for line in found(table, "file_ignored")] == ["readme.docx"]


def test_exam_toml_beside_a_file_is_used(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "scores.csv", ROWS)
    (tmp_path / "exam.toml").write_text('[exam]\nid = "stated-id"\n', encoding="utf-8")
    assert read_scores(path).exam.exam.id == "stated-id"


def test_an_exam_toml_that_is_not_understood_stops(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "scores.csv", ROWS)
    (tmp_path / "exam.toml").write_text('[exam]\nnmae = "期末"\n[symbols]\n"-" = "gone"\n', encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        read_scores(path)
    assert caught.value.exit_status == 10
    assert "exam.nmae" in str(caught.value)
    assert "symbols.-" in str(caught.value)


def test_calls_that_name_nothing_usable(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_scores([])
    assert caught.value.code == "no_paths"
    with pytest.raises(DataFileError) as missing:
        read_scores(tmp_path / "none.csv")
    assert missing.value.code == "file_missing"
    with pytest.raises(DataFileError) as empty:
        read_scores(tmp_path)
    assert empty.value.code == "no_data_files"


def test_files_of_one_name_from_two_folders_are_refused(tmp_path: Path) -> None:
    paths = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        paths.append(write_csv(tmp_path / name / "scores.csv", ROWS))
    with pytest.raises(UsageError) as caught:
        read_scores(paths)
    assert caught.value.code == "same_file_name"


def test_hidden_blank_and_explaining_sheets_are_listed_and_not_read(tmp_path: Path) -> None:
    other = (HEADER, ("0009", "丁", "三中", "1班", "1", "2"))
    path = write_xlsx(
        tmp_path / "scores.xlsx",
        {"成绩": ROWS, "旧": other, "说明": (("请看",),), "空": (), "统计": (("各校", "人数"), ("一中", 2))},
        hidden=["旧"],
    )
    table = read_scores(path)
    assert table.frame.get_column("source_sheet").unique().to_list() == ["成绩"]
    said = {code: found(table, code)[0]["sheet"] for code in ("sheet_hidden", "sheet_skipped", "sheet_blank", "sheet_not_read")}
    assert said == {"sheet_hidden": "旧", "sheet_skipped": "说明", "sheet_blank": "空", "sheet_not_read": "统计"}


def test_inputs_record_the_bytes_read(tmp_path: Path) -> None:
    import hashlib

    path = write_csv(tmp_path / "scores.csv", ROWS)
    line = read_scores(path).inputs.row(0, named=True)
    assert line["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (line["file"], line["bytes"], line["rows"], line["used"], line["rejected"]) == (
        "scores.csv",
        path.stat().st_size,
        3,
        3,
        0,
    )


def test_progress_counts_files(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    read_scores(write_csv(tmp_path / "scores.csv", ROWS), progress=lambda *step: told.append(step))
    assert told == [("open", 0, 1), ("read", 0, 1), ("join", 0, 1)]
