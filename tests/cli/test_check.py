"""`eduq check` as its user runs it: a page or JSON on stdout, drafts written, exit statuses."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from eduq.resources import sample_data_path

ROWS = ["考号,姓名,班级,语文,数学,校次", "7700431,欧阳绝密,1班,88.5,-,1", "7700432,司徒绝密,2班,61.5,77,2"]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def call(*arguments: str, lang: str = "en") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "eduq", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={"PATH": "/usr/bin:/bin", "EDUQ_LANG": lang},
            check=False,
        )

    return call


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    path = tmp_path / "g9.csv"
    path.write_text("\n".join(ROWS) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_page_asks_everything_and_names_no_pupil(run: Run, scores: Path, lang: str) -> None:
    done = run("check", "g9.csv", lang=lang)
    assert done.returncode == 11
    assert done.stderr == ""
    for wanted in ('scope = "school"', '"-" = "absent"', "--write-exam", "g9.csv", "校次"):
        assert wanted in done.stdout
    for secret in ("绝密", "7700431", "88.5", "61.5"):
        assert secret not in done.stdout
    assert "\x1b" not in done.stdout


def test_the_draft_filled_in_makes_check_and_analyze_run(run: Run, scores: Path, tmp_path: Path) -> None:
    done = run("check", "g9.csv", "--write-exam", "exam.toml")
    assert done.returncode == 11
    assert done.stdout.splitlines()[-1] == "exam.toml"
    draft = tmp_path / "exam.toml"
    text = draft.read_text(encoding="utf-8").replace('"-" = "?"', '"-" = "absent"').replace('scope = "?"', 'scope = "school"')
    draft.write_text(text, encoding="utf-8")
    ready = run("check", "g9.csv", "--exam", "exam.toml")
    assert ready.returncode == 0, ready.stdout
    assert "eduq analyze g9.csv --exam exam.toml" in ready.stdout
    assert run("analyze", "g9.csv", "--exam", "exam.toml", "--out", "out").returncode == 0


def test_nothing_is_overwritten(run: Run, scores: Path, tmp_path: Path) -> None:
    (tmp_path / "exam.mine").write_text("mine", encoding="utf-8")
    done = run("check", "g9.csv", "--write-exam", "exam.mine")
    assert done.returncode == 2
    assert "draft_exists" in done.stderr
    assert (tmp_path / "exam.mine").read_text(encoding="utf-8") == "mine"


def test_json_for_scripts(run: Run, scores: Path) -> None:
    done = run("check", "g9.csv", "--format", "json")
    said = json.loads(done.stdout)
    assert done.returncode == said["exit_status"] == 11
    assert said["ready"] is False
    assert {(row["section"], row["key"]) for row in said["questions"] if row["must"]} == {("exam", "scope"), ("symbols", "-")}
    assert {error["code"] for error in said["errors"]} == {"no_school_column", "unknown_symbols"}
    assert said["drafts"]["exam.toml"].startswith("#")


def test_registers_are_drafted_into_a_folder(run: Run, tmp_path: Path) -> None:
    rows = ["考号,学校,语文(120分)", *(f"{n},{'一二'[n % 2]}中,{60 + n}" for n in range(12))]
    (tmp_path / "all.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    done = run("check", "all.csv", "--write-registers", "registers")
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == "registers/schools.csv"
    assert run("analyze", "all.csv", "--registers", "registers", "--out", "out").returncode == 0


def test_the_sample_is_ready_and_a_missing_file_is_an_error(run: Run) -> None:
    done = run("check", str(sample_data_path() / "2025-2-g9-final"), "--registers", str(sample_data_path() / "registers"))
    assert done.returncode == 0, done.stdout + done.stderr
    missing = run("check", "none.csv")
    assert missing.returncode == 11
    assert "Traceback" not in missing.stderr
