"""Drafts are right TOML and CSV, hold what is known, and ask for the rest."""

from __future__ import annotations

import csv
import io
import tomllib

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.intake.tables import exam_file

from eduq.errors import Place
from eduq.intake.drafts import complete_exam, draft_aliases, draft_exam, draft_schools, toml_value
from eduq.intake.exam_file import ExamFile
from eduq.intake.questions import Asked


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=20))
def test_any_text_stays_itself_in_toml(text: str) -> None:
    assert tomllib.loads(f"key = {toml_value(text)}")["key"] == text.replace("\x7f", " ")


def test_a_draft_of_a_stated_exam_states_the_same() -> None:
    exam = exam_file(
        attest={"pace": "yes", "marking": "no"},
        symbols={"-": "absent", 'x"': "voided"},
        columns={"成绩": "math"},
        exam={"id": "g9-math", "name": "测", "school_year": "2025-2026", "term": 1, "date": "2026-01-15", "scope": "county"},
        papers=[{"code": "math", "max_score": 120, "score_step": 0.5, "weight": 0.5}, {"code": "chinese"}],
        deviations=[{"schools": ["S1", "S2"], "change": {"papers": ["math"], "marking": "school", "reason": "另阅"}}],
    )
    drafted = ExamFile.model_validate(tomllib.loads(draft_exam(exam, lang="en")))
    stated = {paper.code: paper.model_copy(update={"subject": paper.subject_code}) for paper in exam.papers}
    assert drafted == exam.model_copy(update={"papers": tuple(stated.values())})


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_what_is_asked_stands_there_with_a_question_mark_and_means_not_said(lang: str) -> None:
    asked = [
        Asked("symbols", "", Place("a.csv", row=7, column="语文"), 12, ("chinese", "math")),
        Asked("symbols", "×", Place("a.csv", row=9), 1, ("math",)),
        Asked("columns", '得分"', Place("a.csv", column='得分"'), 1, (), "math"),
    ]
    text = draft_exam(ExamFile(schema=1), asked, lang="zh" if lang == "zh" else "en")
    raw = tomllib.loads(text)
    assert raw["symbols"] == {"": "?", "×": "?"}
    assert raw["columns"] == {'得分"': "?"}
    assert ExamFile.model_validate(raw).symbols == {}
    assert "math" in next(line for line in text.splitlines() if line.startswith('"得分'))


@pytest.mark.parametrize(
    ("name", "year", "term", "group"),
    [
        ("2025—2026学年第一学期九年级期末质量监测", "2025-2026", 1, "G9"),
        ("2024-2025 学年度 第二学期 高一期中", "2024-2025", 2, "S1"),
        ("2024-2025学年下学期初二抽测", "2024-2025", 2, "G8"),
        ("2024-2026学年七、八年级", None, None, "G8"),
        ("九年级与八年级联考", None, None, None),
        ("一中月考", None, None, None),
    ],
)
def test_the_name_of_an_exam_tells_its_time_and_year_group(
    name: str, year: str | None, term: int | None, group: str | None
) -> None:
    facts = complete_exam(exam_file(exam={"name": name})).exam
    assert (facts.school_year, facts.term, facts.year_group) == (year, term, group)


def test_what_a_person_stated_stays() -> None:
    facts = complete_exam(exam_file(exam={"name": "2025-2026学年第一学期九年级", "term": 2}), ["G8"]).exam
    assert (facts.term, facts.school_year, facts.year_group) == (2, "2025-2026", "G8")


def test_the_register_of_schools_has_all_columns_and_no_formula() -> None:
    schools = pl.DataFrame({"school_id": ["S1", "=1+1"], "name": ["一中", "=1+1"], "township": [None, "城关"]})
    rows = list(csv.DictReader(io.StringIO(draft_schools(schools))))
    assert [(row["school_id"], row["name"], row["township"], row["aliases"]) for row in rows] == [
        ("S1", "一中", "", ""),
        ("'=1+1", "'=1+1", "城关", ""),
    ]
    assert list(csv.reader(io.StringIO(draft_aliases([("城关一中", "城关第一中学")])))) == [
        ["name", "may_be"],
        ["城关一中", "城关第一中学"],
    ]
