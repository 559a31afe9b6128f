"""`eduq bulletin --product subject`: the pack of a 教研员 as it is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest
from tests.cadence import make_archive, make_exam

from eduq.archive import Archive
from eduq.cli.app import run as run_command

Run = Callable[..., tuple[int, list[str], str]]
TERM = "2025-2026-1"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    store = make_archive(tmp_path_factory.mktemp("subject"))
    store.add(make_exam("2025-1-g9-mid", "2025-11-12"))
    return store


@pytest.fixture
def run(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("EDUQ_LANG", "en")

    def call(unit: str, *more: str) -> tuple[int, list[str], str]:
        asked = ["--archive", str(archive.path), "--product", "subject", "--unit", unit, "--period", TERM]
        status = run_command(["bulletin", *asked, "--today", "2026-03-01", "--out", str(tmp_path / "out"), "--lang", "zh", *more])
        said = capsys.readouterr()
        return status, said.out.splitlines(), said.err

    return call


def subjects(archive: Archive) -> list[str]:
    return [paper.subject_code for paper in archive.scores("2025-1-g9-mid").exam.papers]


def test_a_subject_is_asked_for_by_code_or_name(run: Run, archive: Archive, tmp_path: Path) -> None:
    assert "math" in subjects(archive)
    status, said, trouble = run("数学")
    assert (status, trouble) == (0, "")
    folder = tmp_path / "out" / "subject" / f"{TERM}-math-bureau-zh"
    assert str(folder / "bulletin.docx") in said
    assert json.loads((folder / "run.json").read_text(encoding="utf-8"))["unit"] == "math"
    document = (folder / "bulletin.md").read_text(encoding="utf-8")
    assert document.startswith("**内部资料 · 教育局**")
    assert "数学学科教学质量分析" in document
    first = document
    assert run("math")[0] == 0
    assert (folder / "bulletin.md").read_text(encoding="utf-8") == first
    for book in folder.glob("*.xlsx"):
        with ZipFile(book) as packed:
            names = packed.read("xl/workbook.xml").decode()
            sheets = [packed.read(name).decode() for name in packed.namelist() if name.startswith("xl/worksheets/sheet")]
        assert "语文" not in names
        kept = [sheet for sheet in sheets if "语文" in sheet and "数据" not in sheet]
        assert len(kept) <= int(book.name == "tables.xlsx"), book.name  # beside the other subjects, and nowhere else


def test_a_subject_that_was_not_sat_is_said_to_be_missing(run: Run, tmp_path: Path) -> None:
    status, _, trouble = run("music", "--formats", "md")
    assert (status, trouble) == (0, "")
    document = (tmp_path / "out" / "subject" / f"{TERM}-music-bureau-zh" / "bulletin.md").read_text(encoding="utf-8")
    assert "没有音乐学科" in document


def test_an_unknown_subject_stops_and_names_those_of_the_period(run: Run, archive: Archive) -> None:
    status, said, trouble = run("alchemy")
    assert (status, said) == (2, [])
    assert "subject_unknown" in trouble
    assert "alchemy" in trouble
    for code in subjects(archive):
        assert code in trouble


@pytest.mark.parametrize("edition", ["public", "government", "school", "student"])
def test_it_is_for_the_bureau_alone(run: Run, edition: str) -> None:
    status, said, _ = run("math", "--edition", edition)
    assert (status, said) == (13, [])
