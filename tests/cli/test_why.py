"""``eduq why``: forms, files, statuses, and the same bytes from two archives with the same exams."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.unit.rulepacks.json_schema import find_faults
from tests.unit.rulepacks.small_county import county_exams, county_registers

from eduq.archive import create_archive, open_archive
from eduq.cli.app import run
from eduq.registers import PackStatement, Registers

ROOT = Path(__file__).parents[2]
RULE = "ezhou.head.talk"
ASKED = ["--rule", RULE, "--as-of", "2026-08-31"]


def registers() -> Registers:
    """Return the county's registers with what the bureau states of one pack."""
    stated = {"from": "2020-09-01", "parameters": {RULE: {"min_pupils": 10, "min_units": 5}}}
    own = county_registers()
    return Registers(schools=own.schools, heads=own.heads, packs={"ezhou": PackStatement.model_validate(stated)})


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two archives of one name and key with the same exams."""
    found = []
    key = tmp_path_factory.mktemp("key") / "county.key"
    for number in range(2):
        folder = tmp_path_factory.mktemp(f"place{number}") / "county"
        archive = create_archive(folder, key_file=key)
        archive.add_registers(registers())
        for exam in county_exams():
            archive.add(exam)
        found.append(folder)
    return found[0], found[1]


def test_text_says_the_verdict_and_how_to_repeat_it(archives: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["why", "A", "--archive", str(archives[0]), *ASKED]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "符合条款" in said.out
    assert "对教育质量下滑和位居末位的校长进行履职谈话" in said.out.replace("\n", "")
    version = open_archive(archives[0]).version
    assert f"--archive-version {version}" in said.out.replace("\n    ", " ")
    assert str(archives[0].parent) not in said.out
    assert "pupil-" not in said.out


def test_the_printed_command_gives_the_same_bytes_from_another_archive_of_the_same_exams(
    archives: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(archives[0].parent)
    assert run(["why", "A", "--archive", "county", *ASKED, "--format", "json"]) == 0
    first = capsys.readouterr().out
    fields = json.loads(first)
    words = fields["repeat"].split()
    assert words[:2] == ["eduq", "why"]
    monkeypatch.chdir(archives[1].parent)
    assert run([*words[1:], "--format", "json"]) == 0
    assert capsys.readouterr().out == first
    schema = json.loads((ROOT / "docs" / "reference" / "why-schema.json").read_text(encoding="utf-8"))
    assert list(find_faults(fields, schema)) == []
    assert list(fields) == sorted(fields)
    assert [exam["import_id"] is not None for exam in fields["exams"]] == [True] * 4


@pytest.fixture(autouse=True)
def _chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDUQ_LANG", "zh")


def test_html_goes_to_a_file_and_its_path_to_stdout(
    archives: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, lang = tmp_path / "why.html", "en"
    assert run(["why", "A", "--archive", str(archives[0]), *ASKED, "--format", "html", "--out", str(out), "--lang", lang]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    said = out.read_text(encoding="utf-8")
    assert said.startswith("<!DOCTYPE html>")
    assert '<html lang="en">' in said
    assert [path.name for path in tmp_path.iterdir()] == ["why.html"]


def test_a_later_correction_changes_the_newest_version_only(
    archives: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "county"
    shutil.copytree(archives[1], folder)
    version = str(open_archive(folder).version)
    before = ["why", "all", "--archive", str(folder), "--rule", "ezhou.document.cadence", "--as-of", "2026-08-31"]
    before += ["--format", "json", "--archive-version", version]
    assert run(before) == 0
    first = json.loads(capsys.readouterr().out)
    changed = county_exams()[-1]
    lowered = type(changed)(
        changed.frame.with_columns(changed.frame["math"] // 2), changed.exam, changed.schools, changed.rejected, changed.checks,
        changed.inputs,
    )  # fmt: skip
    key = next(archives[0].parent.parent.glob("key*/county.key"))
    open_archive(folder, key_file=key).add(lowered)
    assert run(before) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert run(before[:-2]) == 0
    newest = json.loads(capsys.readouterr().out)
    assert newest["source"]["archive_version"] == int(version) + 1
    assert newest["exams"][-1]["import_id"] != first["exams"][-1]["import_id"]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["why", "Z", *ASKED], 2),
        (["why", "A", "--rule", "ezhou.head.none", "--as-of", "2026-08-31"], 2),
        (["why", "A", "--rule", "nowhere.rule", "--as-of", "2026-08-31"], 10),
        (["why", "A", *ASKED, "--archive-version", "999"], 14),
        (["why", "A", *ASKED[:2], "--as-of", "2019-08-31"], 12),
    ],
)
def test_what_cannot_be_explained_stops_with_its_status(
    archives: tuple[Path, Path], capsys: pytest.CaptureFixture[str], arguments: list[str], status: int
) -> None:
    assert run([*arguments, "--archive", str(archives[0])]) == status
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err


def test_no_archive_named_is_a_usage_error(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDUQ_ARCHIVE", raising=False)
    assert run(["why", "A", *ASKED]) == 2
    assert "EDUQ_ARCHIVE" in capsys.readouterr().err


def test_a_duty_without_verdict_is_explained_too(archives: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["why", "all", "--archive", str(archives[0]), "--rule", "ezhou.document.cadence", "--as-of", "2026-08-31"]) == 0
    assert "没有作出判定" in capsys.readouterr().out


def test_one_year_in_the_archive_is_explained_too(archives: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    first = str(open_archive(archives[0]).exams()["date"].min())
    assert run(["why", "A", "--archive", str(archives[0]), "--rule", RULE, "--as-of", first]) == 0
    said = capsys.readouterr().out
    assert "现有的年份或数据不足以估计走势，没有证据等级。" in said
    assert "这条规则不凭多年走势判断" not in said


def test_a_unit_that_the_archive_does_not_know_is_refused_even_where_the_rule_gives_no_verdict(
    archives: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--archive", str(archives[0]), "--rule", "ezhou.document.cadence", "--as-of", "2026-08-31"]
    assert run(["why", "nobody", *asked]) == 2
    assert "why_no_verdict" in capsys.readouterr().err
    assert run(["why", "A", *asked]) == 0


def test_a_folder_that_is_not_there_is_made_and_one_that_cannot_be_is_said(
    archives: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["why", "all", "--archive", str(archives[0]), "--rule", "ezhou.document.cadence", "--as-of", "2026-08-31"]
    assert run([*asked, "--out", str(tmp_path / "new" / "why.txt")]) == 0
    assert (tmp_path / "new" / "why.txt").exists()
    (tmp_path / "file").write_text("")
    capsys.readouterr()
    assert run([*asked, "--out", str(tmp_path / "file" / "why.txt")]) == 2
    assert "output_unwritable" in capsys.readouterr().err


@pytest.mark.parametrize(("form", "lang"), [("text", "en"), ("text", "zh"), ("html", "en")])
def test_the_printed_command_repeats_form_and_language(
    archives: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, form: str, lang: str
) -> None:
    monkeypatch.chdir(archives[0].parent)
    monkeypatch.setenv("EDUQ_LANG", "en" if lang == "zh" else "zh")
    assert run(["why", "A", "--archive", "county", *ASKED, "--format", form, "--lang", lang]) == 0
    first = capsys.readouterr().out
    words = " ".join(first[first.rindex("eduq why A") :].replace("</code>", " ").replace("</li>", " ").split()).split()
    command = words[: words.index("--lang") + 2]
    assert command[-4:] == ["--format", form, "--lang", lang]
    assert run(command[1:]) == 0
    assert capsys.readouterr().out == first
