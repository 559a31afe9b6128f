"""`check_files`: everything is asked at once, the drafts answer it, and no pupil shows."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from tests.unit.intake.tables import write_csv, write_xlsx

from eduq.cli.check_output import report_as_json
from eduq.dry_run import CheckReport, check_files
from eduq.errors import SettingsError, UsageError
from eduq.intake.exam_file import ExamFile
from eduq.pipeline import analyze
from eduq.resources import sample_data_path

HEADER = ("考号", "姓名", "班级", "语文", "数学", "新学科", "旷考标记", "校次")
PUPILS = [
    ("7700431", "欧阳绝密", "1班", "88.5", "/", "31", "x", "1"),
    ("7700432", "司徒绝密", "1班", "-", "61.5", "32", "y", "2"),
    ("7700433", "上官绝密", "2班", "77", "", "33", "x", "3"),
]
SECRETS = ("绝密", "7700431", "7700432", "88.5", "61.5")


def ask(report: CheckReport) -> set[tuple[str, str, str]]:
    return {(row["code"], row["section"], row["key"]) for row in report.questions.filter("must").iter_rows(named=True)}


def fill(text: str, **answers: str) -> ExamFile:
    """Answer the question marks of a draft as a person would."""
    for key, value in answers.items():
        text = text.replace(key, value)
    return ExamFile.model_validate(tomllib.loads(text))


def test_everything_is_asked_at_once_and_the_answers_make_it_run(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "scores.csv", [HEADER, *PUPILS])
    report = check_files(path, lang="en")
    assert ask(report) == {
        ("unknown_columns", "columns", "新学科"),
        ("no_school_column", "exam", "scope"),
        ("unknown_symbols", "symbols", "/"),
        ("unknown_symbols", "symbols", "-"),
        ("unknown_symbols", "symbols", ""),
    }
    assert not report.ready
    assert report.exit_status == 11
    assert report.provisional
    draft = tmp_path / "exam.toml"
    report.write_draft("exam.toml", draft)
    again = check_files(path, draft, lang="en")
    assert ask(again) == ask(report)
    text = draft.read_text(encoding="utf-8")
    for key, answer in (("新学科", "history"), ("/", "not_chosen"), ("-", "absent"), ("", "exempt")):
        text = text.replace(f'"{key}" = "?"', f'"{key}" = "{answer}"')
    draft.write_text(text.replace('scope = "?"', 'scope = "school"'), encoding="utf-8")
    answered = check_files(path, draft)
    assert answered.ready
    assert answered.exit_status == 0
    assert not answered.provisional
    assert not answered.questions.filter("must").height
    table = analyze(path, exam=draft).scores
    assert table.frame["math_status"].cast(str).to_list() == ["not_chosen", "present", "exempt"]
    assert table.frame["history"].to_list() == [3100, 3200, 3300]


def test_no_pupil_shows_anywhere(tmp_path: Path) -> None:
    report = check_files(write_csv(tmp_path / "scores.csv", [HEADER, *PUPILS]))
    said = json.dumps(report_as_json(report, "zh"), ensure_ascii=False) + report.summary() + report._repr_html_()
    assert [secret for secret in SECRETS if secret in said] == []


def test_columns_say_what_they_became_or_why_not(tmp_path: Path) -> None:
    report = check_files(write_csv(tmp_path / "scores.csv", [HEADER, *PUPILS]), lang="en")
    became = dict(report.columns.select("column", "became").iter_rows())
    assert became["语文"] == "chinese"
    assert became["考号"] == "exam_no"
    codes = dict(report.columns.select("column", "code").iter_rows())
    assert codes["校次"] == "dropped_rank"
    assert codes["旷考标记"] == "dropped_unknown_text"
    assert set(became) == {name for name in HEADER if name != "新学科"} | {"新学科"}
    assert report.columns.filter(column="新学科")["code"].to_list() == ["ignored_by_setting"]
    assert (report.columns["description"].str.len_chars() > 0).all()


def test_when_only_unknown_columns_could_be_scores_their_symbols_are_asked_too(tmp_path: Path) -> None:
    rows = [("考号", "学校", "得分"), ("1", "一中", "90"), ("2", "一中", "×"), ("3", "二中", "70")]
    report = check_files(write_csv(tmp_path / "scores.csv", rows))
    assert ask(report) == {("unknown_columns", "columns", "得分"), ("unknown_symbols", "symbols", "×")}
    drafted = tomllib.loads(report.drafts["exam.toml"])
    assert drafted["columns"] == {"得分": "?"}
    assert drafted["symbols"] == {"×": "?"}
    assert "papers" not in drafted


def test_a_bad_file_does_not_hide_the_questions_of_the_others(tmp_path: Path) -> None:
    write_csv(tmp_path / "good.csv", [("考号", "学校", "语文"), ("1", "一中", "90"), ("2", "一中", "?")])
    (tmp_path / "bad.xlsx").write_bytes(b"PK\x03\x04 not a workbook")
    (tmp_path / "empty.csv").write_bytes(b"")
    report = check_files(tmp_path)
    assert {error.place.file for error in report.errors} >= {"bad.xlsx", "empty.csv"}
    assert ("unknown_symbols", "symbols", "?") in ask(report)
    assert report.inputs["file"].to_list() == ["good.csv"]
    assert report.exit_status == report.errors[0].exit_status == 11


def test_settings_that_speak_of_nothing_are_listed_together(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "scores.csv", [("考号", "学校", "语文"), ("1", "一中", "90"), ("2", "一中", "80")])
    (tmp_path / "exam.toml").write_text(
        'schema = 1\n[columns]\n"无此列" = "math"\n"也无" = "english"\n[[papers]]\ncode = "physics"\n', encoding="utf-8"
    )
    report = check_files(path)
    assert [error.code for error in report.errors] == ["columns_key_unused", "columns_key_unused", "paper_without_column"]
    assert report.exit_status == 10
    assert report.inputs["used"].to_list() == [2]


def test_flags_and_full_marks_and_facts_are_asked_but_only_what_must_be_stops(tmp_path: Path) -> None:
    rows = [("考号", "学校", "语文", "缺考标记"), ("1", "一中", "90", "否"), ("2", "一中", "80", "是")]
    report = check_files(write_csv(tmp_path / "scores.csv", rows))
    must, may = (set(report.questions.filter(must=must)["code"]) for must in (True, False))
    assert must <= {"flag_column"}
    assert {"max_score", "facts", "attest"} <= may


def test_the_sample_is_ready_and_its_schools_are_drafted() -> None:
    report = check_files(sample_data_path() / "2025-2-g9-final", registers=sample_data_path() / "registers")
    assert report.ready
    assert not report.questions.filter("must").height
    assert report.inputs["rejected"].sum() == report.rejected["n"].sum() > 0
    assert report.sheets.filter(file="城区片区.xlsx").select("header_from", "header_to").rows() == [(3, 4)]


def test_schools_the_register_does_not_know_are_an_error_with_names_that_may_be_meant(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "scores.csv", [("考号", "学校", "语文"), ("1", "城关一中", "90"), ("2", "城关一中", "80")])
    folder = tmp_path / "registers"
    folder.mkdir()
    (folder / "schools.csv").write_text("school_id,name\nS1,城关一中学\n", encoding="utf-8")
    report = check_files(path, registers=folder)
    assert [error.code for error in report.errors] == ["school_not_in_register"]
    assert "城关一中,城关一中学" in report.drafts["aliases.csv"]


def test_drafted_registers_can_be_used(tmp_path: Path) -> None:
    rows = [("考号", "学校", "语文"), *((str(n), "一中" if n % 2 else "二中", str(50 + n)) for n in range(20))]
    path = write_csv(tmp_path / "scores.csv", rows)
    report = check_files(path)
    report.write_draft("schools.csv", tmp_path / "registers" / "schools.csv")
    assert analyze(path, registers=tmp_path / "registers").scores.schools["name"].to_list() == ["一中", "二中"]


def test_a_draft_never_replaces_a_file(tmp_path: Path) -> None:
    report = check_files(write_csv(tmp_path / "scores.csv", [HEADER, *PUPILS]))
    target = tmp_path / "mine.toml"
    target.write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        report.write_drafts({"exam.toml": target})
    assert caught.value.code == "draft_exists"
    assert target.read_text(encoding="utf-8") == "mine"
    with pytest.raises(UsageError) as caught:
        report.write_drafts({"exam.toml": tmp_path / "new.toml", "nothing": tmp_path / "x"})
    assert caught.value.code == "draft_missing"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.toml", "scores.csv"]


def test_wrong_paths_and_settings_are_errors_at_once(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "scores.csv", [HEADER, *PUPILS])
    (tmp_path / "exam.toml").write_text("schema = 2\n", encoding="utf-8")
    with pytest.raises(SettingsError):
        check_files(path)


def test_a_workbook_of_one_school_needs_one_answer(tmp_path: Path) -> None:
    rows = [["考号", "姓名", "语文", "数学"], ["1", "甲", 90, 80], ["2", "乙", 70, 60]]
    path = write_xlsx(tmp_path / "scores.xlsx", {"Sheet1": rows})
    report = check_files(path)
    assert ask(report) == {("no_school_column", "exam", "scope")}
    assert "schools.csv" not in report.drafts


def test_sheets_named_after_schools_are_asked_about_and_read_for_the_time_being(tmp_path: Path) -> None:
    header = ["考号", "姓名", "班级", "语文"]
    sheets = {"城关中学": [header, ["1", "甲", "1班", 90]], "新城中学": [header, ["2", "乙", "1班", 80]]}
    path = write_xlsx(tmp_path / "scores.xlsx", sheets)
    report = check_files(path)
    assert {code for code, _, _ in ask(report)} == {"school_from_sheet"}
    assert report.inputs["used"].to_list() == [2]
    named = check_files(path, layout="sheet-per-school")
    assert named.ready
    assert "城关中学" in named.drafts["schools.csv"]


def test_items_of_an_unnamed_paper_are_asked_about(tmp_path: Path) -> None:
    rows = [
        ("考号", "姓名", "学校", "班级", "1", "2", "3"),
        ("1", "甲", "一中", "1班", "5", "4", "3"),
        ("2", "乙", "一中", "1班", "5", "0", "1"),
    ]
    path = write_csv(tmp_path / "items.csv", rows)
    report = check_files(path)
    assert "paper_unclear" in {code for code, _, _ in ask(report)}
    assert "papers" not in tomllib.loads(report.drafts["exam.toml"])
    draft = report.drafts["exam.toml"].replace("# [[papers]]", "[[papers]]").replace('# code = "math"', 'code = "math"')
    (tmp_path / "exam.toml").write_text(draft, encoding="utf-8")
    assert check_files(path).ready


def test_a_school_summary_is_no_exam_of_candidates(tmp_path: Path) -> None:
    rows = [
        ["学校代码", "学校名称", "参考人数", "平均分", "及格率"],
        ["001", "一中", 120, 78.5, "82.5%"],
        ["002", "二中", 96, 70, "71.9%"],
    ]
    report = check_files(write_xlsx(tmp_path / "summary.xlsx", {"S": rows}))
    assert not report.ready
    assert report.exit_status == 12
    assert report.sheets["layout"].to_list() == ["school-summary"]
