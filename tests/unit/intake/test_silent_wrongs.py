"""Files that would give a wrong number without a word: each is read right, rejected by row or stops with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from eduq.errors import DataFileError
from eduq.intake import read_scores

HEAD = "考号,姓名,学校,语文(120分)\n"
PUPILS = "".join(f"2401{n:04d},丑测{n},一中,{70 + n}\n" for n in range(8))


def write(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "row", ["一中平均,,一中,73.5", "及格率%,,一中,87.5", ",本班平均分：,一中,73.5", "最高,,一中,77", "0.25,优秀率,一中,12.5"]
)
def test_a_row_of_figures_is_no_pupil_whatever_it_calls_itself(tmp_path: Path, row: str) -> None:
    table = read_scores(write(tmp_path, "g9-a.csv", HEAD + PUPILS + row + "\n"))
    assert table.frame.height == 8
    assert table.rejected["code"].to_list() == ["summary_row"]


def test_a_pupil_with_a_word_of_figures_in_the_name_is_kept(tmp_path: Path) -> None:
    table = read_scores(write(tmp_path, "g9-a.csv", HEAD + PUPILS + "24019999,全县明,一中,80\n24019998,平均之,一中,81\n"))
    assert table.frame.height == 10


@pytest.mark.parametrize("cell", ["9²", "①②", "⑧5"])
def test_marks_that_only_look_like_digits_are_no_score(tmp_path: Path, cell: str) -> None:
    table = read_scores(write(tmp_path, "g9-a.csv", HEAD + PUPILS + f"24019999,丑测,一中,{cell}\n"))
    assert table.frame.height == 8
    assert table.rejected["code"].to_list() == ["score_not_a_number"]


def test_a_mark_nobody_explained_is_asked_about(tmp_path: Path) -> None:
    with pytest.raises(DataFileError) as stop:
        read_scores(write(tmp_path, "g9-a.csv", HEAD + PUPILS + "24019999,丑测,一中,½\n"))
    assert stop.value.code == "unknown_symbols"


def test_full_width_digits_are_digits(tmp_path: Path) -> None:
    table = read_scores(write(tmp_path, "g9-a.csv", HEAD + PUPILS + "24019999,丑测,一中,８５.５\n"))
    assert table.frame["chinese"].to_list()[-1] == 8550


def test_a_name_in_a_score_column_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(DataFileError) as stop:
        read_scores(write(tmp_path, "g9-a.csv", HEAD + PUPILS + "24019999,一中,男,欧阳小明\n"))
    for said in (stop.value.message("zh"), stop.value.message("en"), stop.value.advice("zh"), stop.value.advice("en")):
        assert "欧阳小明" not in said
    assert "10" in stop.value.message("en")


def test_two_files_whose_ids_differ_by_leading_zeros_stop(tmp_path: Path) -> None:
    write(tmp_path, "语文.csv", HEAD + PUPILS)
    write(tmp_path, "数学.csv", ("考号,姓名,学校,数学(120分)\n" + PUPILS).replace("\n2401", "\n02401"))
    with pytest.raises(DataFileError) as stop:
        read_scores(tmp_path)
    assert stop.value.code == "ids_lost_zeros"


def test_ids_wrapped_as_formulas_are_the_ids(tmp_path: Path) -> None:
    write(tmp_path, "语文.csv", HEAD + PUPILS)
    wrapped = "".join(f'"=""2401{n:04d}""",丑测{n},一中,{60 + n}\n' for n in range(8))
    write(tmp_path, "数学.csv", "考号,姓名,学校,数学(120分)\n" + wrapped)
    table = read_scores(tmp_path)
    assert table.frame.height == 8
    assert table.frame["math"].null_count() == table.frame["chinese"].null_count() == 0


def test_a_school_that_only_stands_in_the_first_of_merged_rows_stops(tmp_path: Path) -> None:
    rows = "".join(f"2401{n:04d},丑测{n},{'一中' if n % 10 == 0 else ''},{70 + n}\n" for n in range(20))
    with pytest.raises(DataFileError) as stop:
        read_scores(write(tmp_path, "g9-a.csv", HEAD + rows))
    assert (stop.value.code, stop.value.place.column) == ("school_mostly_blank", "学校")


def test_the_written_part_of_english_is_not_taken_for_english(tmp_path: Path) -> None:
    content = "考号,姓名,学校,英语笔试(120分),英语听力(30分)\n" + "".join(
        f"2401{n:04d},丑测,一中,{80 + n},2{n}\n" for n in range(8)
    )
    with pytest.raises(DataFileError) as stop:
        read_scores(write(tmp_path, "g9-a.csv", content))
    assert stop.value.code == "unknown_column"


def test_an_item_scored_above_its_full_mark_stops(tmp_path: Path) -> None:
    rows = "".join(f"2401{n:04d},丑测,一中,1班,{n}/12,{n}/12,{n % 5}/5\n" for n in range(8))
    content = "考号,姓名,学校,班级,第1题,第2题,第3题\n,,,,集合,函数,数列\n" + rows + "24019999,丑测,一中,1班,13/12,5/12,3/5\n"
    with pytest.raises(DataFileError) as stop:
        read_scores(write(tmp_path, "数学.csv", content))
    assert (stop.value.code, stop.value.place.row, stop.value.place.column) == ("item_above_full", 11, "第1题")


def test_remarks_that_speak_of_absence_are_pointed_out(tmp_path: Path) -> None:
    rows = PUPILS.replace("\n", ",\n") + "24019999,丑测,一中,0,缺考\n24019998,丑测,一中,66,已转出\n"
    table = read_scores(write(tmp_path, "g9-a.csv", HEAD.replace("\n", ",备注\n") + rows))
    assert table.checks.filter(code="note_says_status").select("level", "n").rows() == [("warning", 2)]
