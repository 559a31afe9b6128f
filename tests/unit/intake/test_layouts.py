"""Layouts: the form of their files, recognition by signature, and what each shipped one gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.intake.tables import Rows, exam_file, found, write_csv, write_xlsx

from eduq.errors import DataFileError, EduqError, SettingsError
from eduq.intake import ScoreTable, read_scores
from eduq.intake.layouts import Example, Layout, choose_layout, shipped_layouts
from eduq.intake.layouts.patterns import HeaderPattern

IDS = {
    *("attributes", "district-items", "district-total", "flat", "import-template", "item-csv", "item-full-marks", "joint-3-1-2"),
    *("joint-raw", "long-flags", "paper-full-marks", "raw-and-scaled", "school-summary", "sheet-per-class", "sheet-per-school"),
    *("sheet-per-subject", "side-by-side", "specification", "stacked", "transposed", "zhixue-paper", "zhixue-summary"),
}
BY_ID = {layout.id: layout for layout in shipped_layouts()}
NO_SCHOOL = ("attributes", "transposed", "zhixue-paper", "zhixue-summary")
PAPERS = {"joint-raw": "math"}


def write_example(folder: Path, example: Example, name: str = "数据.xlsx") -> Path:
    path = folder / (example.file or name)
    rows: Rows = [[None if cell == "" else cell for cell in row] for row in example.rows]
    if path.suffix == ".csv":
        return write_csv(path, example.rows)
    return write_xlsx(path, {example.sheet: rows}, merged=example.merged)


def read_example(folder: Path, layout: Layout, place: int = 0) -> ScoreTable:
    keys: dict[str, Any] = {"exam": {"scope": "school"}} if layout.id in NO_SCHOOL else {}
    path = write_example(folder, layout.examples[place])
    return read_scores(path, exam_file(**keys), layout=layout.id if layout.named_only else None)


def scores(table: ScoreTable, *papers: str) -> list[tuple[Any, ...]]:
    return table.frame.select("candidate_id", *papers).rows()


def test_every_layout_is_shipped_and_has_an_example() -> None:
    assert set(BY_ID) == IDS
    assert [layout.id for layout in shipped_layouts() if not layout.examples] == []


@pytest.mark.parametrize(("name", "place"), [(one.id, place) for one in shipped_layouts() for place in range(len(one.examples))])
def test_each_example_is_recognised_as_its_layout_and_every_row_accounted_for(tmp_path: Path, name: str, place: int) -> None:
    table = read_example(tmp_path, BY_ID[name], place)
    assert name in [line["found"] for line in found(table, "layout_recognised")]
    line = table.inputs.row(0, named=True)
    assert line["rows"] == line["used"] + line["rejected"] > 0
    assert set(table.rejected.get_column("code")) <= {"summary_row", "second_header", "blank_row"}


def test_layouts_of_wide_tables_give_the_numbers_of_their_cells(tmp_path: Path) -> None:
    table = read_example(tmp_path, BY_ID["zhixue-summary"])
    assert scores(table, "chinese", "math") == [("10230001", 10150, 9700), ("10230002", 9200, 8400), ("10230003", 10500, None)]
    assert table.frame.get_column("math_status").to_list() == ["present", "present", "absent"]
    assert found(table, "total_checked")[0]["n"] == 3
    table = read_example(tmp_path, BY_ID["raw-and-scaled"])
    assert scores(table, "physics", "physics_scaled", "chemistry_scaled") == [
        ("30001", 8500, 9200, 8500),
        ("30002", 7000, 8100, 7500),
    ]
    table = read_example(tmp_path, BY_ID["flat"])
    assert scores(table, "chinese", "math") == [("50001", 10100, 9550), ("50002", 8800, 9700)]


def test_scores_repeated_after_blank_subject_columns(tmp_path: Path) -> None:
    for place, rows in ((0, [2, 3, 4]), (1, [3, 4, 5])):
        table = read_example(tmp_path, BY_ID["district-total"], place)
        assert scores(table, "chinese", "math") == [("40001", 10100, 9550), ("40002", 8800, 9700), ("40003", 9200, None)]
        assert table.frame.get_column("row_no").to_list() == rows
    assert found(read_example(tmp_path, BY_ID["district-total"]), "max_score_unknown")[0]["found"] == "语文/分数, 数学/分数"


def test_scores_after_a_subject_column_that_holds_numbers_are_asked_about(tmp_path: Path) -> None:
    rows = [["考号", "姓名", "学校", "语文", "分数", "数学", "分数"], ["1", "甲", "一中", 90, 91, 80, 81]]
    with pytest.raises(DataFileError) as caught:
        read_scores(write_xlsx(tmp_path / "s.xlsx", {"总表": rows}))
    assert caught.value.code == "unknown_column"


def test_three_sheets_of_a_3_1_2_exam_overlap(tmp_path: Path) -> None:
    physics, history = BY_ID["joint-3-1-2"].examples
    head = ["学校", "学号", "考号", "学籍号", "班级", "姓名", "选考科目", "总分(赋分)", "", "语文", ""]
    below = ["", "", "", "", "", "", "", "分数", "全体名次", "分数", "校名次"]
    pupils = [[*row[:7], row[7], 1, row[9], 1] for row in (*physics.rows[2:], *history.rows[2:])]
    sheets: dict[str, Rows] = {"物理类": physics.rows, "历史类": history.rows, "总表": [head, below, *pupils]}
    path = write_xlsx(
        tmp_path / "3+1+2.xlsx", {name: [[c if c != "" else None for c in row] for row in rows] for name, rows in sheets.items()}
    )
    table = read_scores(path)
    assert scores(table, "track", "chinese", "physics", "history", "chemistry", "chemistry_scaled") == [
        ("L001", "physics", 11000, 8500, None, 7000, 8500),
        ("L002", "physics", 10000, 7000, None, 6100, 7500),
        ("L003", "history", 10800, None, 7900, 6600, 8000),
    ]
    assert table.rejected.select("sheet", "row", "code").rows() == [("总表", row, "duplicate_identical") for row in (3, 4, 5)]
    assert table.frame.get_column("history_status").to_list() == [None, None, "present"]


def test_track_comes_from_the_combination_where_no_sheet_says_it(tmp_path: Path) -> None:
    rows = [
        ("考号", "学校", "选考科目", "语文"),
        *((str(n), "一中", text, 90) for n, text in enumerate(["物化生", "史化政", "政史生物", "化生"])),
    ]
    table = read_scores(write_csv(tmp_path / "s.csv", rows))
    assert table.frame.get_column("track").to_list() == ["physics", "history", "history", None]
    assert found(table, "track_from_combination")[0]["n"] == 3


def test_sheet_per_school_only_when_it_is_said(tmp_path: Path) -> None:
    rows = {example.sheet: example.rows for example in BY_ID["sheet-per-school"].examples}
    path = write_xlsx(tmp_path / "各校.xlsx", rows)
    with pytest.raises(DataFileError) as caught:
        read_scores(path)
    assert caught.value.code == "school_from_sheet"
    assert "--layout sheet-per-school" in caught.value.hint
    table = read_scores(path, layout="sheet-per-school")
    assert scores(table, "school_id") == [("90001", "一中"), ("90002", "一中"), ("90003", "二中")]
    assert [line["found"] for line in found(table, "assumed_school")] == ["一中", "二中"]


def test_sheets_per_subject_are_joined_and_sheets_per_class_give_the_class(tmp_path: Path) -> None:
    rows = {example.sheet: example.rows for example in BY_ID["sheet-per-subject"].examples}
    table = read_scores(write_xlsx(tmp_path / "各科.xlsx", rows))
    assert scores(table, "chinese", "math") == [("90001", 10100, 9550), ("90002", 8800, None)]
    rows = {example.sheet: example.rows for example in BY_ID["sheet-per-class"].examples}
    table = read_scores(write_xlsx(tmp_path / "各班.xlsx", rows))
    assert scores(table, "class_id") == [("90001", "九（1）班"), ("90002", "九（2）班")]


OWN = """
schema = 1
id = "own-export"
name = { zh = "本县导出", en = "our export" }
source = "本县阅卷系统"
[signature]
must = ["kh", "甲卷", "乙卷"]
[columns]
"甲卷" = "chinese"
"乙卷" = "math"
[symbols]
"-" = "not_chosen"
"""


def test_own_layout_says_what_headers_and_symbols_mean_and_exam_toml_comes_first(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(OWN, encoding="utf-8")
    path = write_csv(tmp_path / "s.csv", [("kh", "学校", "甲卷", "乙卷"), ("01", "一中", "90", "-"), ("02", "一中", "80", "70")])
    with pytest.raises(DataFileError) as caught:
        read_scores(path)
    assert caught.value.code == "unknown_column"
    table = read_scores(path, layout=own)
    assert scores(table, "chinese", "math", "math_status") == [("01", 9000, None, "not_chosen"), ("02", 8000, 7000, "present")]
    assert [line["found"] for line in found(table, "layout_recognised")] == ["own-export"]
    table = read_scores(path, exam_file(symbols={"-": "absent"}, columns={"甲卷": "english"}), layout=own)
    assert scores(table, "english", "math_status") == [("01", 9000, "absent"), ("02", 8000, "present")]


def test_a_named_layout_that_fits_no_sheet_stops(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "s.csv", [("考号", "学校", "语文"), ("01", "一中", "90")])
    with pytest.raises(DataFileError) as caught:
        read_scores(path, layout="zhixue-summary")
    assert caught.value.code == "layout_does_not_fit"


def test_two_layouts_that_fit_equally_and_differ_are_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(name: str, paper: str) -> Layout:
        signature = {"must": ["考号", "甲卷"]}
        words = {"zh": name, "en": name}
        return Layout.model_validate(
            {"schema": 1, "id": name, "name": words, "source": "-", "signature": signature, "columns": {"甲卷": paper}}
        )

    path = write_csv(tmp_path / "s.csv", [("考号", "学校", "甲卷"), ("01", "一中", "90")])
    for layouts, code in (
        ((("one-a", "math"), ("one-b", "chinese")), "layout_ambiguous"),
        ((("one-a", "math"), ("one-b", "math")), None),
    ):
        monkeypatch.setattr("eduq.intake.recognition.shipped_layouts", lambda made_=layouts: tuple(made(*one) for one in made_))
        if code is None:
            assert found(read_scores(path), "layout_recognised")[0]["found"] == "one-a"
            continue
        with pytest.raises(DataFileError) as caught:
            read_scores(path)
        assert caught.value.code == code
        assert all(f"--layout {name}" in caught.value.hint for name in ("one-a", "one-b"))


@pytest.mark.parametrize(
    "change",
    [
        ('must = ["kh", "甲卷", "乙卷"]', ""),
        ('"甲卷" = "chinese"', '"甲卷" = "chinesse"'),
        ('"甲卷" = "chinese"', '"甲卷" = "{subject}"'),
        ('id = "own-export"', 'id = "本县"'),
        ("[signature]", '[signature]\nsheet = "("'),
        ('"-" = "not_chosen"', '"-" = "missing"'),
        ("schema = 1", "schema = 2"),
        ("[columns]", "[colums]"),
    ],
)
def test_layout_files_that_say_nothing_or_nonsense_are_refused(tmp_path: Path, change: tuple[str, str]) -> None:
    own = tmp_path / "own.toml"
    own.write_text(OWN.replace(*change), encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        choose_layout(own)
    assert caught.value.code == "settings_invalid"


def test_an_unknown_layout_names_the_nearest() -> None:
    with pytest.raises(EduqError) as caught:
        choose_layout("zhixue-sumary")
    assert caught.value.code == "layout_unknown"
    assert caught.value.params["near"] == "zhixue-summary"


@pytest.mark.parametrize(
    ("key", "written", "subject", "item"),
    [
        ("{subject}原始分", "物理 原始分", "physics", None),
        ("{subject}/得分", "语文/得分", "chinese", None),
        ("{subject}/得分", "总分/得分", None, None),
        ("得分", "语文/得分", "", None),
        ("{item}", "第3题", None, "3"),
        ("{item}", "语文", None, None),
        ("自定义考号", "自定义 考号*", "", None),
        ("考号", "自定义考号", None, None),
    ],
)
def test_header_patterns(key: str, written: str, subject: str | None, item: str | None) -> None:
    match = HeaderPattern(key).match(written)
    if subject is None and item is None:
        assert match is None
        return
    assert match is not None
    assert (match.subject or "", match.item) == (subject or "", item)
