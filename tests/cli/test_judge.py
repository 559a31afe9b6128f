"""``eduq judge``: what is printed and written, and decisions that a person takes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from tests.unit.rulepacks.county import make_exams, make_registers

from eduq.archive import create_archive, open_archive
from eduq.cli.app import run
from eduq.resources import rules_path

YELLOW = ["--pack", "ezhou", "--as-of", "2025-08-31", "--rule", "ezhou.head.yellow"]
DECISION = """
[[decisions]]
rule_id = "ezhou.head.yellow"
unit = "S1"
decision = "deferred"
decided_by = "教育局局长"
decided_on = 2025-09-10
reason = "待核实合并影响"
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the archive once; tests work on copies."""
    folder = tmp_path_factory.mktemp("judge")
    stored = create_archive(folder / "archive", key_file=folder / "county.key")
    for exam in make_exams():
        stored.add(exam, registers=make_registers())
    return folder


@pytest.fixture
def archive(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = Path(shutil.copytree(made / "archive", tmp_path / "archive"))
    for name, value in (("LANG", "zh"), ("KEY_FILE", str(made / "county.key")), ("ARCHIVE", str(path))):
        monkeypatch.setenv(f"EDUQ_{name}", value)
    return path


def test_table_in_both_languages(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["judge", *YELLOW]) == 0
    said = capsys.readouterr()
    assert "第1中学" in said.out
    assert "建议黄牌警告" in said.out
    assert "仅宽口径触发" in said.out
    assert "待决定" in said.out
    assert said.err == ""
    assert run(["judge", *YELLOW, "--lang", "en"]) == 0
    english = capsys.readouterr().out
    assert "yellow card" in english
    assert "wide reading only" in english.replace("\n", " ")


def test_json_is_the_same_every_time_and_names_no_candidate(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["judge", *YELLOW, "--format", "json"]) == 0
    first = capsys.readouterr().out
    assert run(["judge", *YELLOW, "--format", "json"]) == 0
    assert capsys.readouterr().out == first
    body = json.loads(first)
    assert body["settings"]["archive_version"] == open_archive(archive).version
    assert {(line["unit"], line["reading"]) for line in body["verdicts"] if line["proposal"]} == {("S1", "narrow")}
    assert "S1-2024-2025-0" not in first


@pytest.mark.parametrize("name", ["verdicts.parquet", "verdicts.csv", "verdicts.json"])
def test_out_ends_with_the_path(archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert run(["judge", *YELLOW, "--out", str(tmp_path / name)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / name)
    assert (tmp_path / name).stat().st_size > 0
    if name.endswith(".parquet"):
        assert pl.read_parquet(tmp_path / name).filter(unit="S1", reading="narrow")["clause_result"].to_list() == ["met"]


def test_parquet_and_csv(archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["judge", *YELLOW, "--format", "parquet"]) == 2
    assert "format_needs_out" in capsys.readouterr().err
    assert run(["judge", *YELLOW, "--format", "parquet", "--out", str(tmp_path / "verdicts")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'verdicts.parquet'}\n"
    assert run(["judge", *YELLOW, "--format", "csv"]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].startswith("unit_type,unit,head_id")
    assert run(["judge", *YELLOW, "--format", "csv", "--out", str(tmp_path / "verdicts")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'verdicts.csv'}\n"
    assert (tmp_path / "verdicts.csv").read_text(encoding="utf-8-sig") == printed


def test_a_decision_is_recorded_and_shown_and_the_old_version_stays(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = open_archive(archive).version
    file = tmp_path / "decisions.toml"
    file.write_text(DECISION, encoding="utf-8")
    assert run(["judge", *YELLOW, "--decide", str(file), "--operator", "办公室"]) == 0
    assert f"第 {before + 1} 版" in capsys.readouterr().out
    assert run(["judge", *YELLOW]) == 0
    shown = capsys.readouterr().out
    assert "教育局局长" in shown
    assert "暂缓" in shown
    stored = open_archive(archive).decisions().row(0, named=True)
    assert (stored["head_id"], stored["reading"], stored["proposal"]) == ("H1", "narrow", "yellow_card")
    assert stored["reason"] == "待核实合并影响"
    assert run(["judge", *YELLOW, "--archive-version", str(before)]) == 0
    assert "待决定" in capsys.readouterr().out
    words = [
        "rule_id=ezhou.head.yellow",
        "unit=S1",
        "decision=adopted",
        "decided_by=局长",
        "decided_on=2025-10-10",
        "reason=核实",
    ]
    assert run(["judge", *YELLOW, *(part for word in words for part in ("--decide", word))]) == 0
    capsys.readouterr()
    assert run(["judge", *YELLOW, "--format", "json"]) == 0
    decided = [line for line in json.loads(capsys.readouterr().out)["verdicts"] if line["proposal"]]
    assert [(line["decision"], line["decided_on"], line["needs_decision"]) for line in decided] == [
        ("adopted", "2025-10-10", False)
    ]


@pytest.mark.parametrize(
    ("old", "new", "status", "code"),
    [
        ('unit = "S1"', 'unit = "S2"', 2, "decision_without_proposal"),
        ("ezhou.head.yellow", "ezhou.head.red", 2, "decision_without_proposal"),
        ("2025-09-10", "2025-06-01", 2, "decision_before_exam"),
        ('"deferred"', '"perhaps"', 10, "settings_invalid"),
        ('reason = "待核实合并影响"', "", 10, "settings_invalid"),
        ('unit = "S1"', 'unit = "S1"\nverdict = 1', 10, "settings_invalid"),
    ],
)
def test_only_a_proposal_can_be_decided(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, status: int, code: str
) -> None:
    before = open_archive(archive).version
    file = tmp_path / "decisions.toml"
    file.write_text(DECISION + DECISION.replace(old, new), encoding="utf-8")
    assert run(["judge", *YELLOW, "--decide", str(file)]) == status
    assert code in capsys.readouterr().err
    assert open_archive(archive).version == before  # the good one was not recorded either


def test_errors(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["judge", "--pack", "ezhou", "--as-of", "2020-08-31"]) == 12
    assert "judge_no_exams" in capsys.readouterr().err
    assert run(["judge", "--pack", "dalian", "--as-of", "2025-08-31"]) == 10  # the bureau has not said from when it is in force
    assert "pack_effect_unstated" in capsys.readouterr().err
    assert run(["judge", *YELLOW[:-1], "ezhou.head.none"]) == 2
    assert "rule_unknown" in capsys.readouterr().err
    assert run(["judge", *YELLOW, "--decide", "unit"]) == 10
    assert run(["judge", *YELLOW, "--decide", "unit=S1", "--decide", "unit=S2"]) == 2
    assert "decision_pair" in capsys.readouterr().err
    monkeypatch.delenv("EDUQ_ARCHIVE")
    assert run(["judge", *YELLOW]) == 2
    assert run(["judge", *YELLOW, "--archive", str(tmp_path / "none")]) == 14


def test_a_pack_with_what_the_state_bans_is_not_judged_by(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack = Path(shutil.copytree(rules_path() / "ezhou", tmp_path / "ezhou"))
    award = pack / "rules" / "school_award.yaml"
    award.write_text(
        award.read_text(encoding="utf-8").replace("narrow: all, wide: all", "narrow: any, wide: any"), encoding="utf-8"
    )
    asked = ["judge", "--pack", str(pack), "--as-of", "2025-08-31"]
    assert run(asked) == 10
    said = capsys.readouterr().err
    assert "pack_banned" in said
    assert "ezhou.school.award" in said
    assert "义务教育质量评价指南" in said
    assert run([*asked, "--rule", "ezhou.head.talk"]) == 0


def test_out_makes_its_folder_or_says_that_it_cannot(archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "new" / "folder" / "verdicts.csv"
    assert run(["judge", *YELLOW, "--out", str(target)]) == 0
    assert target.is_file()
    capsys.readouterr()
    assert run(["judge", *YELLOW, "--out", str(target / "verdicts.csv")]) == 2
    assert "output_unwritable" in capsys.readouterr().err
    assert run(["judge", *YELLOW, "--out", str(tmp_path / "other" / "verdicts.txt")]) == 2
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(("line", "key"), [('decided_by = "教育局局长"', "decided_by"), ('reason = "待核实合并影响"', "reason")])
def test_a_blank_name_or_reason_is_none(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, key: str
) -> None:
    stated = tmp_path / "decisions.toml"
    stated.write_text(DECISION.replace(line, f'{key} = "  "'), encoding="utf-8")
    before = open_archive(archive).version
    assert run(["judge", *YELLOW[:4], "--decide", str(stated)]) == 10
    said = capsys.readouterr().err
    assert f"decisions.0.{key}：不能为空" in said
    assert "有 1 处设置不能理解" in said  # the list is not called too short as well
    assert open_archive(archive).version == before


def test_an_unknown_pack_is_answered_with_the_nearest(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["judge", "--pack", "nope"]) == 10
    said = capsys.readouterr().err
    assert "pack_unknown" in said
    assert "“-”" not in said
