"""``eduq stress``: what is printed and written."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
from tests.unit.rulepacks.county import make_exams, make_registers

from eduq.archive import create_archive
from eduq.cli.app import run

SMALL = ["--pack", "ezhou", "--as-of", "2025-08-31", "--worlds", "120", "--evidence-worlds", "20", "--years-ahead", "1"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the archive once."""
    folder = tmp_path_factory.mktemp("stress")
    stored = create_archive(folder / "archive", key_file=folder / "county.key")
    for exam in make_exams():
        stored.add(exam, registers=make_registers())
    return folder


@pytest.fixture(autouse=True)
def archive(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = Path(shutil.copytree(made / "archive", tmp_path / "archive"))
    for name, value in (("LANG", "zh"), ("KEY_FILE", str(made / "county.key")), ("ARCHIVE", str(path))):
        monkeypatch.setenv(f"EDUQ_{name}", value)
    return path


def test_table_in_both_languages(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["stress", *SMALL]) == 0
    said = capsys.readouterr()
    for wanted in ("误判模拟", "校长黄牌警告", "窄口径", "宽口径", "用一句话说", "减半", "条款没有数值", "120 个世界"):
        assert wanted in said.out
    assert "\x1b" not in said.out
    assert said.err == ""
    assert run(["stress", *SMALL, "--lang", "en"]) == 0
    english = capsys.readouterr().out
    for wanted in ("False-sanction simulation", "narrow reading", "one sentence", "halves", "as of 2025-08-31"):
        assert wanted in english
    assert "{" not in said.out + english


def test_json_and_csv_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["stress", *SMALL, "--rule", "ezhou.head.yellow", "--decline=-0.3", "--format", "json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["settings"]["archive_version"] == 3
    assert body["settings"]["declines"] == [-0.3]
    assert {row["decline"] for row in body["power"]} == {-0.3}
    assert run(["stress", *SMALL, "--rule", "ezhou.head.yellow", "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["gate"] for row in rows] == ["literal", "B", "A"] * 2


def test_out_ends_with_its_path_and_workers_change_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for workers in ("1", "3"):
        out = tmp_path / f"stress{workers}.json"
        assert run(["stress", *SMALL, "--workers", workers, "--out", str(out)]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == str(out)
    assert (tmp_path / "stress1.json").read_bytes() == (tmp_path / "stress3.json").read_bytes()


def test_an_older_version_of_the_archive_is_another_county(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["stress", *SMALL, "--archive-version", "2", "--format", "json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["settings"]["archive_version"] == 2
    assert body["county"][0]["n_years"] == 2
    assert body["county"][0]["shock_source"] == "declared"


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--pack", "dalian", "--as-of", "2025-08-31"], 10, "dalian"),
        (["--pack", "ezhou", "--as-of", "2025-08-31", "--rule", "ezhou.teacher.talk"], 12, "parameter_missing"),
        (["--pack", "ezhou", "--as-of", "2025-08-31", "--decline", "0.2"], 2, "declines"),
        (["--pack", "ezhou", "--as-of", "2020-08-31"], 12, "2020-08-31"),
    ],
)
def test_errors_have_their_status(capsys: pytest.CaptureFixture[str], options: list[str], status: int, said: str) -> None:
    assert run(["stress", *options]) == status
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.out == ""
