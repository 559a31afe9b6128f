"""`eduq rules` as its user runs it: listed, shown, tested and linted, with exit statuses."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from eduq.resources import rules_path


@dataclass
class Done:
    """What a command left."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call the command in this process, in an empty folder."""
    from eduq.cli.app import run as run_eduq

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EDUQ_RULES", raising=False)

    def call(*arguments: str, lang: str = "en") -> Done:
        monkeypatch.setenv("EDUQ_LANG", lang)
        status = run_eduq(["rules", *arguments, "--lang", lang])
        said = capsys.readouterr()
        return Done(status, said.out, said.err)

    return call


def test_the_command_runs_as_a_process(tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "EDUQ_LANG": "zh", "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "eduq", "rules", "show", "ezhou", "--as-of", "2026-08-31"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert (done.returncode, done.stdout) == (10, "")
    assert "ezhou = { from = 2021-09-01 }" in done.stderr
    assert "Traceback" not in done.stderr


def test_list_gives_every_pack(run: Run) -> None:
    done = run("list")
    assert done.returncode == 0
    for pack in ("dalian", "ezhou", "jinghong", "national", "xiangan"):
        assert pack in done.stdout
    assert "2018-07-17" in done.stdout
    said = json.loads(run("list", "--format", "json").stdout)
    assert said["schema"] == 1
    packs = {line["pack"]: line for line in said["packs"]}
    assert packs["ezhou"]["effect"] == {"from": None, "to": None}
    assert "ezhou.head.yellow" in packs["ezhou"]["rules"]


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_show_prints_the_clause_both_readings_and_where_numbers_come_from(run: Run, lang: str) -> None:
    done = run("show", "ezhou/ezhou.head.yellow", lang=lang)
    assert done.returncode == 0
    assert "对教育质量连续两年下滑和居末位的校长给予黄牌警告" in done.stdout
    for wanted in {
        "zh": ("窄口径", "，并且", "，或者", "原文规定", "由人决定", "5 个单位"),
        "en": ("Narrow reading", "; and ", "; or ", "word of the text", "For a person to decide", "5 units"),
    }[lang]:
        assert wanted in done.stdout
    assert run("show", "ezhou/head.yellow", lang=lang).stdout == done.stdout


def test_show_says_the_point_where_nobody_read_the_words(run: Run) -> None:
    done = run("show", "national/national.exam.cross_school")
    assert "the point, not a quotation" in done.stdout
    said = json.loads(run("show", "national/national.exam.cross_school", "--format", "json").stdout)
    (rule,) = said["rules"]
    assert rule["citations"][0]["quote"] is None
    assert rule["citations"][0]["title"] == "教育部办公厅关于加强义务教育学校考试管理的通知"
    assert rule["effect"] == {"from": "2021-08-30", "to": None}


def test_show_puts_in_what_the_bureau_stated(run: Run, tmp_path: Path) -> None:
    (tmp_path / "packs.toml").write_text(
        "[ezhou]\nfrom = 2021-09-01\n[ezhou.parameters]\nezhou.teacher.talk.share = 0.15\n", encoding="utf-8"
    )
    said = json.loads(run("show", "ezhou/teacher.talk", "--registers", ".", "--as-of", "2026-08-31", "--format", "json").stdout)
    (rule,) = said["rules"]
    assert rule["conditions"][1]["share"] == 0.15
    assert rule["missing_parameters"] == []
    assert rule["effect"]["from"] == "2021-09-01"


def test_a_hidden_year_stops_a_dated_question_only(run: Run) -> None:
    assert run("show", "ezhou").returncode == 0
    done = run("show", "ezhou", "--as-of", "2026-08-31")
    assert done.returncode == 10
    assert "pack_effect_unstated" in done.stderr


@pytest.mark.parametrize(
    ("name", "code", "hint"), [("ezou", "pack_unknown", "ezhou"), ("ezhou/yelow", "rule_unknown", "ezhou.head.yellow")]
)
def test_a_mistyped_name_gets_a_hint(run: Run, name: str, code: str, hint: str) -> None:
    done = run("show", name)
    assert done.returncode == 10
    assert code in done.stderr
    assert f"'{hint}'" in done.stderr
    assert "Traceback" not in done.stderr


def test_test_counts_cases_and_names_those_that_fail(run: Run, tmp_path: Path) -> None:
    done = run("test", "xiangan")
    assert done.returncode == 0
    shutil.copytree(rules_path() / "xiangan", tmp_path / "xiangan")
    path = tmp_path / "xiangan" / "cases" / "document_three_views.yaml"
    said = path.read_text(encoding="utf-8")
    path.write_text(said.replace("narrow: met", "narrow: not_met", 1), encoding="utf-8")
    done = run("test", "./xiangan")
    assert done.returncode == 10
    assert "rule_cases_failed" in done.stderr
    assert "xiangan.document.three_views" in done.stdout
    assert json.loads(run("test", "./xiangan", "--format", "json").stdout)["packs"]
    assert run("show", "./xiangan").returncode == 0
    assert "双随机" in run("show", "./xiangan/document.random_inspection", lang="zh").stdout


def test_lint_is_quiet_on_a_good_pack_and_stops_on_a_banned_one(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run("lint", "xiangan")
    assert (done.returncode, done.stderr) == (0, "")
    shutil.copytree(rules_path() / "xiangan", tmp_path / "own" / "xiangan")
    path = tmp_path / "own" / "xiangan" / "rules" / "school_award.yaml"
    said = path.read_text(encoding="utf-8")
    said = said.replace("measure: composite_z", "measure: promotion_rate").replace("measure: all_pass_rate", "measure: line_rate")
    path.write_text(said, encoding="utf-8")
    monkeypatch.setenv("EDUQ_RULES", str(tmp_path / "own"))
    done = run("lint", "xiangan")
    assert done.returncode == 10
    assert "pack_lint" in done.stderr
    assert "深化新时代教育评价改革总体方案" in done.stdout
    found = json.loads(run("lint", "xiangan", "--format", "json").stdout)
    assert found["errors"] >= 2
    assert {line["code"] for line in found["findings"]} >= {"banned", "not_standardised"}


def test_what_is_printed_is_the_same_twice(run: Run) -> None:
    assert run("show", "jinghong", "--format", "json").stdout == run("show", "jinghong", "--format", "json").stdout
