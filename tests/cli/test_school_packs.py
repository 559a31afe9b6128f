"""`eduq analyze --school-packs` as its user runs it: a pack per school, for that school alone."""

from __future__ import annotations

import csv
import hashlib
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.bulletins.fixture import make_publishable

from eduq.errors import UsageError
from eduq.pipeline.school_packs import write_school_packs

PLACES = "甲乙丙丁戊己庚"


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "eduq", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "EDUQ_LANG": "zh"},
        check=False,
    )


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def exam(tmp_path: Path) -> Path:
    """Seven schools of 14 pupils, the last of 4."""
    rows = ["考号,姓名,学校,数学(120分),语文(120分)"]
    for place, school in enumerate(PLACES):
        for pupil in range(4 if school == "庚" else 14):
            scores = f"{50 + 2 * place + (7 * pupil) % 60},{60 + place + (11 * pupil) % 50}"
            rows.append(f"{place}{pupil:03d},丑测试{pupil},{school}庄密语中学,{scores}")
    folder = tmp_path / "exam"
    folder.mkdir()
    (folder / "成绩.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "exam.toml").write_text(
        'schema = 1\n[exam]\nid = "sp-exam"\nschool_year = "2025-2026"\nterm = 2\nscope = "county"\n', encoding="utf-8"
    )
    return folder


def test_every_school_gets_a_pack_of_its_own(exam: Path, tmp_path: Path) -> None:
    found = run(tmp_path, "analyze", str(exam), "--out", "out", "--school-packs", "packs")
    assert found.returncode == 0, found.stderr
    assert "packs/index.csv" in found.stdout.replace("\\", "/").splitlines()
    packs = tmp_path / "packs"
    with (packs / "index.csv").open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["name"] for line in lines] == sorted(f"{school}庄密语中学" for school in PLACES)
    assert list(lines[0]) == ["school_id", "name", "folder", "files"]
    assert stat.S_IMODE(packs.stat().st_mode) == 0o700
    for line in lines:
        files = sorted(path.name for path in (packs / line["folder"]).iterdir())
        assert files == ["feedback.html", "feedback.md", "feedback.xlsx"]
        written = (packs / line["folder"] / "feedback.md").read_text(encoding="utf-8")
        page = (packs / line["folder"] / "feedback.html").read_text(encoding="utf-8")
        for school in PLACES:
            assert (f"{school}庄密语" in written) == (line["name"] == f"{school}庄密语中学")
            assert (f"{school}庄密语" in page) == (line["name"] == f"{school}庄密语中学")
        assert "丑测试" not in written
        assert {stat.S_IMODE(path.stat().st_mode) for path in (packs / line["folder"]).iterdir()} == {0o600}
    small = next(line for line in lines if line["name"].startswith("庚"))
    assert "不足 10 人，个别学生就能改变结果" in (packs / small["folder"] / "feedback.md").read_text(encoding="utf-8")
    again = run(tmp_path, "analyze", str(exam), "--out", "out", "--school-packs", "packs")
    assert again.returncode == 0
    (packs / "别人的.txt").write_text("x", encoding="utf-8")
    before = hashes(packs)
    assert run(tmp_path, "analyze", str(exam), "--out", "out", "--school-packs", "out").returncode == 2
    assert hashes(packs) == before


def test_several_processes_write_the_same_files_and_count_them(tmp_path: Path) -> None:
    exam = make_publishable(schools=23, papers=2)
    told: list[tuple[str, int, int]] = []
    write_school_packs(exam, tmp_path / "one", workers=1, lang="en")
    write_school_packs(exam, tmp_path / "two", workers=2, lang="en", progress=lambda *step: told.append(step))
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")
    assert len(hashes(tmp_path / "one")) == 23 * 3 + 1
    assert told[-1] == ("packs", 23, 23)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_local_templates_are_used_by_one_and_by_several_processes(tmp_path: Path) -> None:
    own = tmp_path / "templates"
    own.mkdir()
    (own / "bulletin.md").write_text("本地样式 {{ said(meta.title) }}\n", encoding="utf-8")
    exam = make_publishable(schools=8, papers=1)
    for workers in (1, 2):
        index = write_school_packs(exam, tmp_path / f"p{workers}", formats=("md",), templates=own, workers=workers)
        written = (index.parent / "S003" / "feedback.md").read_text(encoding="utf-8")
        assert written.startswith("本地样式 ")
        assert len(written.splitlines()) == 1


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exam = make_publishable(schools=8, papers=1)
    index = write_school_packs(exam, tmp_path / "packs", formats=("md",))
    before = hashes(index.parent)

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("eduq.pipeline.school_packs.write_private", fail)
    with pytest.raises(UsageError):
        write_school_packs(exam, tmp_path / "packs")
    assert hashes(index.parent) == before
    assert [path.name for path in tmp_path.iterdir()] == ["packs"]
    with pytest.raises(UsageError):
        write_school_packs(exam, tmp_path / "packs", formats=("odt",))
