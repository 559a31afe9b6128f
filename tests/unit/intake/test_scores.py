from __future__ import annotations

import string
from pathlib import Path

import polars as pl
from tests.unit.intake.tables import HEADER, PUPILS, exam_file, found, read_rows, write_csv

from eduq.intake import read_scores, write_rejects
from eduq.locale import text
from eduq.resources import read_toml
from eduq.tables import CHECKS, INPUTS, REJECTED, SCORE_COLUMNS, STATUS_TYPE

ROWS = (HEADER, *PUPILS)


def test_frames_have_the_declared_columns(tmp_path: Path) -> None:
    table = read_rows(tmp_path, ROWS)
    assert list(table.frame.schema.items())[:12] == list(SCORE_COLUMNS.items())
    assert dict(list(table.frame.schema.items())[12:]) == {
        "chinese": pl.Int32(),
        "chinese_status": STATUS_TYPE,
        "math": pl.Int32(),
        "math_status": STATUS_TYPE,
    }
    assert dict(table.checks.schema) == CHECKS
    assert dict(table.inputs.schema) == INPUTS
    assert dict(table.rejected.schema) == REJECTED
    assert table.schools.columns == ["school_id", "name", "township", "cluster", "area_type"]


def test_papers_have_one_order_whatever_the_files(tmp_path: Path) -> None:
    one = write_csv(tmp_path / "a.csv", [("考号", "学校", "历史", "实验班分", "数学"), ("1", "一中", "1", "2", "3")])
    other = write_csv(tmp_path / "b.csv", [("考号", "学校", "语文", "数学"), ("2", "一中", "4", "5")])
    exam = exam_file(columns={"实验班分": "extra"}, papers=[{"code": "extra"}, {"code": "math"}])
    table = read_scores([one, other], exam)
    assert [paper.code for paper in table.papers] == ["chinese", "math", "history", "extra"]
    assert table.frame.select("chinese", "chinese_status", "extra_status").rows() == [
        (None, None, "present"),
        (400, "present", None),
    ]
    assert {line["found"] for line in found(table, "paper_not_stated")} == {"chinese", "history"}


def test_what_is_assumed_is_listed(tmp_path: Path) -> None:
    rows = [("某县2025年秋九年级期末监测成绩", "", ""), ("考号", "学校", "数学(120分)"), ("1", "一中", "50")]
    table = read_scores(write_csv(tmp_path / "g9-final.csv", rows))
    assert (table.exam.exam.id, table.exam.exam.name) == ("g9-final", "某县2025年秋九年级期末监测成绩")
    assert table.papers[0].max_score == 120
    assumed = {line["code"]: line["found"] for line in table.checks.iter_rows(named=True) if line["code"].startswith("assumed_")}
    assert assumed == {"assumed_exam_id": "g9-final", "assumed_exam_name": table.exam.exam.name, "assumed_max_score": "math 120"}


def test_an_exam_id_made_from_the_input_depends_on_its_content_alone(tmp_path: Path) -> None:
    one = read_scores(write_csv(tmp_path / "甲.csv", ROWS)).exam.exam.id
    two = read_scores(write_csv(tmp_path / "乙.csv", ROWS)).exam.exam.id
    other = read_scores(write_csv(tmp_path / "丙.csv", ROWS[:-1])).exam.exam.id
    assert one == two != other
    assert one is not None
    assert one.startswith("exam-")


def test_the_same_input_gives_the_same_table(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "scores.csv", ROWS)
    one, two = read_scores(path), read_scores(path)
    assert one.frame.equals(two.frame)
    assert one.checks.equals(two.checks)
    assert one.exam == two.exam


def test_every_check_and_reject_code_in_the_source_has_wording() -> None:
    import re

    from eduq.resources import package_path

    source = "\n".join(path.read_text(encoding="utf-8") for path in package_path("intake").glob("*.py"))
    used = set(re.findall(r"(?:checks\.add|note|drop)\(\s*\"([a-z_]+)\"", source)) - {"total_mismatch"}
    errors = set(re.findall(r"Error\(\s*\"([a-z_]+)\"", source)) | set(re.findall(r"_with_lists\(\"([a-z_]+)\"", source))
    assert len(used) > 25
    assert len(errors) > 25
    for lang in ("zh_CN.toml", "en.toml"):
        words = read_toml("locale", lang)
        assert used <= set(words["checks"])
        assert errors <= set(words["errors"])


def test_sentences_of_checks_use_only_the_columns_of_the_frame() -> None:
    for lang in ("zh_CN.toml", "en.toml"):
        for code, sentence in read_toml("locale", lang)["checks"].items():
            names = {name for _, name, _, _ in string.Formatter().parse(sentence) if name}
            assert names <= {"file", "sheet", "row", "column", "found", "n"}, code


def test_checks_can_be_said_in_both_languages(tmp_path: Path) -> None:
    table = read_rows(tmp_path, [(*HEADER, "总分", "兴趣"), (*PUPILS[0], "1", "棋"), (*PUPILS[2], "61", "")])
    for line in table.checks.iter_rows(named=True):
        values = {name: line[name] for name in ("file", "sheet", "row", "column", "found", "n")}
        for lang in ("zh", "en"):
            said = text(f"checks.{line['code']}", lang, **values)  # type: ignore[arg-type]
            assert said
            assert "None" not in said


def test_no_name_id_or_score_of_a_pupil_is_in_anything_that_is_said(tmp_path: Path) -> None:
    name, number, card, score = "赵某某", "20269876543", "110101201001010017", "143.7"
    rows = [
        ("考号", "姓名", "身份证号", "学校", "数学(100分)", "总分"),
        (number, name, card, "一中", score, "1"),
        ("2", "钱", "3", "一中", "50", "51"),
    ]
    table = read_rows(tmp_path, [*rows, (number, name, card, "一中", "60", "60")])
    said = [
        str(table.checks.rows()),
        str(table.inputs.rows()),
        write_rejects(table, tmp_path / "out.csv").read_text(encoding="utf-8-sig"),
    ]
    said.append(str(table.rejected.drop("value").rows()))
    said.append(str(table.schools.rows()))
    for secret in (name, number, card, score):
        assert not any(secret in text for text in said)
    assert name not in str(table.frame.rows())
    assert card not in str(table.frame.rows())


def test_both_languages_fill_the_same_places() -> None:
    chinese, english = read_toml("locale", "zh_CN.toml"), read_toml("locale", "en.toml")
    for section in ("checks", "reject", "questions", "place", "status"):
        assert set(chinese[section]) == set(english[section])
        for code, sentence in chinese[section].items():
            there = {name for _, name, _, _ in string.Formatter().parse(sentence) if name}
            here = {name for _, name, _, _ in string.Formatter().parse(english[section][code]) if name}
            assert there == here, (section, code)
