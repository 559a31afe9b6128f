"""`eduq analyze --formats review`: the page, the pages of reasons beside it, and a browser where one is asked for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.unit.rulepacks.small_county import county_exams, county_registers

from eduq.archive import create_archive
from eduq.cli.app import run
from eduq.registers import PackStatement, Registers


@pytest.fixture(autouse=True)
def _chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDUQ_LANG", "zh")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """An archive whose registers state a pack, and the id of its newest exam."""
    folder = tmp_path_factory.mktemp("place") / "county"
    made = create_archive(folder, key_file=folder.parent / "county.key")
    parameters = {"ezhou.head.talk": {"min_pupils": 10, "min_units": 5}}
    stated = PackStatement.model_validate({"from": "2020-09-01", "parameters": parameters})
    own = county_registers()
    made.add_registers(Registers(schools=own.schools, heads=own.heads, packs={"ezhou": stated}))
    for exam in county_exams():
        made.add(exam)
    return folder, str(made.exams().sort("date")["exam_id"][-1])


def test_the_page_and_every_page_of_reasons_it_leads_to(
    archive: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    folder, exam = archive
    out = tmp_path / "out"
    assert run(["analyze", exam, "--archive", str(folder), "--formats", "review", "--out", str(out), "--open"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert str(out / "review.html") in said
    assert opened == [(out / "review.html").resolve().as_uri()]
    assert not (out / "bulletin.html").exists()
    page = (out / "review.html").read_text(encoding="utf-8")
    found = re.search(r'id="review-data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    tables = {table["id"]: table for table in json.loads(found[1])["tables"]}
    links = tables["verdicts"]["columns"][-1]["at"]
    assert "why/A-ezhou.head.talk.html" in links
    assert sorted(links) == sorted(str(path.relative_to(out)) for path in (out / "why").iterdir())
    assert all(str(out / link) in said for link in links)
    assert "pupil-" not in page


def test_without_an_archive_there_is_the_page_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        f"{school}{pupil:03d},{school}中学,{50 + 5 * place + pupil}"
        for place, school in enumerate("甲乙丙")
        for pupil in range(20)
    ]
    (tmp_path / "数学.csv").write_text("\n".join(["考号,学校,数学(120分)", *rows]) + "\n", encoding="utf-8")
    out = tmp_path / "out"
    assert run(["analyze", str(tmp_path / "数学.csv"), "--formats", "html,review", "--out", str(out), "--lang", "en"]) == 0
    assert (out / "bulletin.html").exists()
    assert not (out / "why").exists()
    assert "甲中学" in (out / "review.html").read_text(encoding="utf-8")
    first = (out / "review.html").read_bytes()
    assert run(["analyze", str(tmp_path / "数学.csv"), "--formats", "review", "--out", str(out), "--lang", "en"]) == 0
    assert (out / "review.html").read_bytes() == first
    assert not (out / "bulletin.html").exists()
    capsys.readouterr()


def test_a_product_has_the_page_for_the_bureau_alone(
    archive: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    asked = ["bulletin", "--archive", str(archive[0]), "--product", "annual", "--period", "2025-2026", "--today", "2026-09-15"]
    assert run([*asked, "--formats", "review", "--out", str(tmp_path / "bureau"), "--open"]) == 0
    pages = [line for line in capsys.readouterr().out.splitlines() if line.endswith("review.html")]
    assert opened == [Path(pages[0]).as_uri()]
    assert "why/A-ezhou.head.talk.html" in Path(pages[0]).read_text(encoding="utf-8")
    assert run([*asked, "--edition", "government", "--formats", "review", "--out", str(tmp_path / "government")]) == 13
    assert not list((tmp_path / "government").rglob("review.html"))
    capsys.readouterr()
