"""`eduq archive` as its user runs it: several exams, one that fails, ids from a file, exit statuses."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from eduq.cli import app

SECRET = "G11010120100101"


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process: a dozen processes would take half a minute."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"EDUQ_LANG": "en", "EDUQ_ARCHIVE": "db", "EDUQ_KEY_FILE": "db.key"}.items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str, stdin: str = "") -> Done:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        status = app.run(["archive", *arguments])
        said = capsys.readouterr()
        return Done(status, said.out, said.err)

    return call


def write_exam(folder: Path, name: str, *, first: float = 81.5) -> None:
    place = folder / name
    place.mkdir(exist_ok=True)
    rows = ["学籍号,学校,数学(120分)", *(f"{SECRET}{n:04d},{'一二'[n % 2]}中,{first if n == 0 else 60 + n}" for n in range(12))]
    (place / "g9.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    facts = f'schema = 1\n[exam]\nid = "{name}"\ndate = 2026-01-15\nyear_group = "G9"\n'
    (place / "exam.toml").write_text(facts, encoding="utf-8")


def test_a_county_from_its_first_exam_to_a_forgotten_pupil(run: Run, tmp_path: Path) -> None:
    made = run("init")
    assert (made.returncode, made.stdout.splitlines()[-2:]) == (0, ["db", "db.key"]), made.stderr
    write_exam(tmp_path, "exam-one")
    write_exam(tmp_path, "exam-two")
    (tmp_path / "broken").mkdir()
    added = run("add", "exam-one", "broken", "exam-two", "--operator", "王五")
    assert added.returncode == 11
    assert [line.split(":")[0] for line in added.stdout.splitlines()] == ["exam-one", "broken", "exam-two"]
    assert "Traceback" not in added.stderr
    again = run("add", "exam-one", "exam-two", "--format", "json")
    assert (again.returncode, [line["status"] for line in json.loads(again.stdout)]) == (0, ["unchanged", "unchanged"])
    write_exam(tmp_path, "exam-one", first=90)
    assert "replaced (version 3)" in run("add", "exam-one").stdout

    listed = json.loads(run("list", "--format", "json").stdout)
    assert [(line["exam_id"], line["archive_version"], line["n_candidates"]) for line in listed] == [
        ("exam-one", 3, 12),
        ("exam-two", 2, 12),
    ]
    assert run("list", "--archive-version", "1", "--format", "csv").stdout.count("\n") == 2
    assert "王五" in run("list", "--versions").stdout
    assert run("list", "--archive-version", "9").returncode == 14

    asked = run("forget", "--kind", "student_uid", stdin=f"{SECRET}0003\n")
    assert (asked.returncode, "archive_confirm" in asked.stderr) == (2, True)
    (tmp_path / "id.txt").write_text(f"{SECRET}0003\n", encoding="utf-8")
    gone = run("forget", "--kind", "student_uid", "--id-file", "id.txt", "--yes")
    assert gone.returncode == 0, gone.stderr
    assert "3 rows of 3 imports" in gone.stdout
    assert run("forget", "--kind", "student_uid", "--yes", stdin=f"{SECRET}0003\n").returncode == 14

    assert "12 rows" not in run("rekey").stdout
    turned = run("rekey", "--new-key-file", "new.key", "--yes")
    assert (turned.returncode, turned.stdout.splitlines()[-1]) == (0, "new.key"), turned.stderr
    wrong = run("add", "exam-one")
    assert (wrong.returncode, "archive_key_wrong" in wrong.stderr) == (14, True)
    assert run("add", "exam-one", "--key-file", "new.key").returncode == 0

    exported = run("export", "--out", "out")
    assert (exported.returncode, exported.stdout.splitlines()[-1]) == (0, "out/manifest.json")
    checked = run("verify")
    assert (checked.returncode, checked.stdout.startswith("whole")) == (0, True)
    next(iter(sorted((tmp_path / "db" / "scores").rglob("*.parquet")))).write_bytes(b"spoilt")
    damaged = run("verify", "--format", "json")
    assert damaged.returncode == 14
    assert {line["code"] for line in json.loads(damaged.stdout)} == {"file_changed"}

    for done in (added, again, asked, gone, turned, wrong, exported, checked, damaged):
        assert SECRET not in done.stdout + done.stderr


def test_an_archive_must_be_named_and_there(run: Run, tmp_path: Path) -> None:
    missing = run("list")
    assert (missing.returncode, "archive_missing" in missing.stderr) == (14, True)
    assert run("add", "--archive", "elsewhere").returncode == 2
    assert run("init").returncode == 0
    twice = run("init")
    assert (twice.returncode, "archive_exists" in twice.stderr) == (14, True)


def test_what_keeps_an_exam_out_of_series_is_said(run: Run, tmp_path: Path) -> None:
    run("init")
    write_exam(tmp_path, "exam-one")
    added = run("add", "exam-one")
    assert added.returncode == 0
    assert "does not say school_year term," in added.stderr
    exam = tmp_path / "exam-one" / "exam.toml"
    exam.write_text(exam.read_text(encoding="utf-8") + 'school_year = "2025-2026"\nterm = 1\n', encoding="utf-8")
    assert run("add", "exam-one").stderr == ""
    exam.write_text(exam.read_text(encoding="utf-8").replace("G9", "G8"), encoding="utf-8")
    other = run("add", "exam-one", "--format", "json")
    assert "exam exam-one was year_group=G9 and is year_group=G8 now" in other.stderr
    assert json.loads(other.stdout)[0]["unsaid"] == ""


def test_an_exam_without_id_is_not_stored(run: Run, tmp_path: Path) -> None:
    run("init")
    write_exam(tmp_path, "exam-one")
    exam = tmp_path / "exam-one" / "exam.toml"
    exam.write_text(exam.read_text(encoding="utf-8").replace('id = "exam-one"\n', ""), encoding="utf-8")
    added = run("add", "exam-one")
    assert added.returncode == 11
    assert "archive_exam_unnamed" in added.stderr
