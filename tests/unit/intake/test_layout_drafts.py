"""A drafted layout is a layout, and the file it was drafted from is recognised by it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from tests.unit.intake.tables import Rows, found, write_csv, write_xlsx

from eduq.dry_run import check_files
from eduq.intake import read_scores
from eduq.intake.layout_drafts import draft_layout, generalise
from eduq.intake.layouts import Layout

TWO_ROWS = [
    ["报名号码", "考号", "姓名", "学校", "语文", "", "数学", ""],
    ["", "", "", "", "得分", "校次", "得分", "校次"],
    ["a", "0001", "甲", "一中", 100, 1, 90, 1],
    ["b", "0002", "乙", "二中", 80, 1, 70, 1],
]
PLAIN = [
    ("考号", "姓名", "学校", "语文（120分）", "数学（120分）"),
    ("0001", "甲", "一中", "100", "90"),
    ("0002", "乙", "二中", "80", "70"),
]


@pytest.mark.parametrize("rows", [TWO_ROWS, PLAIN])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_file_is_recognised_by_its_own_draft(rows: Rows, lang: str, tmp_path: Path) -> None:
    merged = ("A1:A2", "B1:B2", "C1:C2", "D1:D2", "E1:F1", "G1:H1") if rows is TWO_ROWS else ()
    path = write_xlsx(tmp_path / "scores.xlsx", {"成绩": rows}, merged=merged)
    report = check_files(path, lang="zh" if lang == "zh" else "en")
    target = report.write_draft("layout.toml", tmp_path / "ours.toml")
    table = read_scores(path, layout=target)
    assert [line["found"] for line in found(table, "layout_recognised")] == ["my-layout"]
    assert table.frame.select("chinese", "math").rows() == [(10000, 9000), (8000, 7000)]


def test_columns_nobody_has_explained_stand_in_the_draft_as_remarks(tmp_path: Path) -> None:
    rows = [("考号", "学校", "语文", "怪列"), ("1", "一中", "90", "3"), ("2", "二中", "80", "4")]
    report = check_files(write_csv(tmp_path / "scores.csv", rows))
    text = report.drafts["layout.toml"]
    layout = Layout.model_validate(tomllib.loads(text))
    assert "怪列" not in layout.columns
    assert next(line for line in text.splitlines() if "怪列" in line).startswith("# ")


@pytest.mark.parametrize(
    ("written", "became", "pattern"),
    [
        ("语文", "chinese", "{subject}"),
        ("语文/得分", "chinese", "{subject}/得分"),
        ("语文(120分)", "chinese", "{subject}"),
        ("物理赋分", "physics_scaled", "{subject}赋分"),
        ("总分/得分", "total", "总分/得分"),
        ("成绩", "math", "成绩"),
        ("姓名", "name", "姓名"),
    ],
)
def test_headers_are_written_for_any_subject(written: str, became: str, pattern: str) -> None:
    assert generalise(written, became) == pattern


def test_nothing_read_gives_no_draft() -> None:
    import polars as pl

    sheets = pl.DataFrame(schema={"file": pl.String, "sheet": pl.String, "layout": pl.String, "header_from": pl.Int64})
    assert draft_layout(pl.DataFrame(), sheets) is None
