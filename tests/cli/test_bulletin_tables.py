"""`eduq bulletin`: the workbook of a product's own tables, and exams of the period that have no candidate's score."""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path

import polars as pl
import pytest
from python_calamine import CalamineWorkbook
from tests.cadence import make_archive, make_exam

from eduq.archive import Archive
from eduq.cli.app import run
from eduq.intake import ScoreTable, read_scores
from eduq.intake.exam_file import ExamFile
from eduq.tables import STATUS_TYPE, status_column

MID, REPORTED = "2025-1-g9-mid", "2025-1-g8-mid"


def only_reported(folder: Path) -> ScoreTable:
    """Return an exam of which schools sent in their own figures."""
    rows = ["学校代码,学校名称,参考人数,数学平均分,数学及格率", "QA01,一中,120,78.5,82.5%", "QA02,二中,96,70.1,61%"]
    path = folder / "上报.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    facts = {"id": REPORTED, "name": "八年级期中", "school_year": "2025-2026", "term": 1, "date": "2025-11-20",
             "year_group": "G8", "scope": "county", "purpose": "monitoring"}  # fmt: skip
    return read_scores(path, exam=ExamFile.model_validate({"exam": facts}))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """An exam with scores and one with school summaries alone."""
    folder = tmp_path_factory.mktemp("cadence")
    store = make_archive(folder)
    store.add(make_exam(MID, "2025-11-12"))
    store.add(only_reported(folder))
    return store


def make(archive: Archive, out: Path, *more: str) -> int:
    return run(["bulletin", "--archive", str(archive.path), "--today", "2026-09-01", "--out", str(out), *more])


@pytest.mark.parametrize("product", ["check", "quarterly", "term", "annual", "government", "research"])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_an_exam_of_school_summaries_is_told_of_and_stops_nothing(
    archive: Archive, tmp_path: Path, capsys: pytest.CaptureFixture[str], product: str, lang: str
) -> None:
    period = {"check": "2025-11", "quarterly": "2025Q4", "term": "2025-2026-1"}.get(product, "2025-2026")
    assert make(archive, tmp_path, "--product", product, "--period", period, "--lang", lang, "--formats", "md,xlsx") == 0
    capsys.readouterr()
    (bulletin,) = tmp_path.rglob("bulletin.md")
    said = bulletin.read_text(encoding="utf-8")
    assert ("只有学校汇总数（2 所学校、4 个数）" if lang == "zh" else "school summaries only (2 schools, 4 figures)") in said
    assert "78.5" not in said
    assert [path.name for path in sorted(bulletin.parent.glob("*.xlsx"))] == [f"tables-{MID}.xlsx", "tables.xlsx"]


def test_a_period_of_such_an_exam_alone_has_its_bulletin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = make_archive(tmp_path)
    store.add(only_reported(tmp_path))
    assert make(store, tmp_path / "out", "--product", "quarterly", "--period", "2025Q4", "--lang", "en") == 0
    written = [Path(line).name for line in capsys.readouterr().out.splitlines()]
    assert written == ["bulletin.docx", "bulletin.html", "bulletin.md", "tables.xlsx", "run.json"]
    said = next(tmp_path.rglob("bulletin.md")).read_text(encoding="utf-8")
    assert "no candidate's score" in said
    assert "There are no results of this quarter" in said
    row = next(line for line in said.splitlines() if line.startswith("| 八年级期中"))
    assert [cell.strip() for cell in row.split("|")][5:7] == ["2", "—"], "nobody is listed: how many sat it is not known"


def test_the_workbook_holds_the_tables_of_the_document(
    archive: Archive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make(archive, tmp_path, "--product", "quarterly", "--period", "2025Q4", "--lang", "zh", "--formats", "md,xlsx") == 0
    capsys.readouterr()
    (path,) = tmp_path.rglob("tables.xlsx")
    said = next(tmp_path.rglob("bulletin.md")).read_text(encoding="utf-8")
    book = CalamineWorkbook.from_path(str(path))
    captions = [book.get_sheet_by_name(name).to_python()[0][0] for name in book.sheet_names]
    assert len(captions) == said.count("**表")
    assert all(str(caption) in said for caption in captions)
    participation = book.get_sheet_by_name(next(name for name in book.sheet_names if "参考" in name)).to_python()
    assert participation[2][1:4] == [60.0, 60.0, 1.0]
    with zipfile.ZipFile(path) as parts:
        sheets = [parts.read(name).decode() for name in parts.namelist() if name.startswith("xl/worksheets/sheet")]
    assert all('state="frozen"' in sheet for sheet in sheets)
    assert not any("<f>" in sheet for sheet in sheets)


def test_an_exam_that_nobody_sat_is_told_of_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = make_archive(tmp_path)
    exam = make_exam(MID, "2025-11-12")
    nobody = exam.frame.with_columns(
        *(pl.lit(None, dtype=exam.frame.schema[paper]).alias(paper) for paper in ("math", "english")),
        *(pl.lit("absent", dtype=STATUS_TYPE).alias(status_column(paper)) for paper in ("math", "english")),
    )
    store.add(dataclasses.replace(exam, frame=nobody))
    assert make(store, tmp_path / "out", "--product", "quarterly", "--period", "2025Q4", "--lang", "zh", "--formats", "md") == 0
    capsys.readouterr()
    assert "没有一名考生有成绩" in next(tmp_path.rglob("bulletin.md")).read_text(encoding="utf-8")
