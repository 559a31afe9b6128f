"""The section on change over the years: what it says, what it withholds, what it says when there is nothing to say."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl
import pytest
from python_calamine import CalamineWorkbook
from tests.unit.bulletins.fixture import EXAM, make_publishable

from eduq.bulletins import build_context, write_workbook
from eduq.bulletins.courses import COURSES_LIMIT, draw_courses
from eduq.bulletins.render import render_html, render_markdown
from eduq.disclosure import History, Publishable, protect_history
from eduq.estimates.declines import DeclineResult, detect_declines
from eduq.locale import Lang
from eduq.tables import LEFT_OUT

YEARS = ["2021-2022", "2022-2023", "2023-2024", "2024-2025", "2025-2026"]
FAMILY = ("measure", "subject", "year_group")


def _series(
    *, years: int = 5, falling: int = 3, small: str | None = None, subjects: tuple[str, ...] = ("composite",)
) -> pl.DataFrame:
    """Yearly values of 24 schools, the first of which fall by .4 SD a year."""
    draw = np.random.default_rng(7)
    rows = []
    for subject in subjects:
        for number in range(24):
            school = f"S{number + 1:03d}"
            for place, period in enumerate(YEARS[-years:]):
                n = 6 if school == small and place == 1 else 150
                fall = -0.4 * place if number < falling else 0.0
                value = 0.3 * np.sin(number) + fall + draw.normal(0, 0.08)
                measure = "composite_z" if subject == "composite" else "z_mean"
                rows.append((school, measure, subject, "G9", period, value, 0.9, n))
    names = ["unit", *FAMILY, "period", "estimate", "sd", "n"]
    return pl.DataFrame(rows, schema=names, orient="row")


def _declines(frame: pl.DataFrame) -> DeclineResult:
    return detect_declines(frame, family=FAMILY)


def _left_out() -> pl.DataFrame:
    rows = [(f"{year[:4]}-2-g9-final", year, 2, "G9", True, None) for year in YEARS]
    rows += [
        ("2024-1-g9-mid", "2024-2025", 1, "G9", False, "other_term"),
        ("2024-2-g8", "2024-2025", 2, "G8", False, "other_year_group"),
    ]
    return pl.DataFrame(rows, schema=LEFT_OUT, orient="row")


def _with_history(history: History, *, min_n: int = 10) -> Publishable:
    return dataclasses.replace(make_publishable(), history=protect_history(history, min_n))


def _history(**changes: Any) -> History:
    facts: dict[str, Any] = {"archive_version": 7, "origin": "added", "left_out": _left_out(), "declines": _declines(_series())}
    return History(**(facts | changes))


@pytest.fixture(scope="module")
def shown() -> Publishable:
    subjects = _declines(_series(subjects=("math", "english")))
    return _with_history(_history(subjects=subjects, names={"S024": "某校"}))


def _section(publishable: Publishable, lang: Lang = "zh") -> dict[str, Any]:
    return next(part for part in build_context(publishable, lang)["sections"] if part["id"] == "history")


def _text(publishable: Publishable, lang: Lang = "zh") -> str:
    """Return the section as Markdown."""
    whole = render_markdown(build_context(publishable, lang))
    heading = {"zh": "历年变化", "en": "Change over the years"}[lang]
    return re.split(r"\n## ", whole[whole.index(heading, whole.index("\n### ")) :])[0]


def _rows(publishable: Publishable) -> list[list[Any]]:
    return [line["cells"] for block in _section(publishable)["blocks"] if block["type"] == "table" for line in block["rows"]]


def test_without_an_archive_there_is_no_section() -> None:
    assert all(part["id"] != "history" for part in build_context(make_publishable(), "zh")["sections"])


def test_every_school_stands_in_the_table_with_the_numbers_of_the_estimator(shown: Publishable) -> None:
    assert shown.history is not None
    found = {line["unit"]: line for line in shown.history.declines.iter_rows(named=True)}
    rows = _rows(shown)
    assert len(rows) == 24 == len(found)
    slopes = sorted(line["slope"] for line in found.values())
    assert sorted(cells[3] for cells in rows) == slopes
    assert [cells[9] is not None for cells in rows] == [True] * 24


def test_counts_and_sentences_are_those_of_the_grades(shown: Publishable) -> None:
    assert shown.history is not None
    declines = shown.history.declines
    counts = {letter: int((declines["evidence_grade"] == letter).sum()) for letter in "ABCD"}
    assert counts["A"] == 3
    said = _text(shown)
    assert f"（A 级）的 {counts['A']} 所，很可能在下滑（B 级）的 {counts['B']} 所" in said
    middle = median(declines.filter(evidence_grade="D")["min_detectable"])
    assert f"每年下滑超过 {middle:.2f} 个标准差才有八成把握" in said
    listed = next(block["items"] for block in _section(shown)["blocks"] if block["type"] == "list")
    assert len(listed) == counts["A"] + counts["B"] + counts["C"]
    assert [item["params"]["slope"]["value"] for item in listed[:3]] == sorted(declines.filter(evidence_grade="A")["slope"])


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_conditions_exams_and_reasons_are_said(shown: Publishable, lang: Lang) -> None:
    said = _text(shown, lang)
    for wanted in {
        "zh": ("第 7 版", "尚未入库", "约为 10%", "2021-2-g9-final", "不是所选学期 1 次", "不等于“稳定”", "互相独立"),
        "en": ("version 7", "not in the archive yet", "about 10%", "2021-2-g9-final", "not 'stable'", "independently"),
    }[lang]:
        assert wanted in said, wanted
    assert "{" not in said


def test_strong_evidence_is_named_among_the_findings(shown: Publishable) -> None:
    whole = render_markdown(build_context(shown, "zh"))
    findings = whole[whole.index("存在的问题") :]
    assert "（A、B 级）的有 3 所学校" in findings
    none = _with_history(_history(declines=_declines(_series(falling=0))))
    assert "（A、B 级）的有" not in render_markdown(build_context(none, "zh"))


def test_numbers_of_small_years_are_withheld_everywhere(tmp_path: Path) -> None:
    result = _declines(_series(small="S001"))
    published = _with_history(_history(declines=result))
    history = published.history
    assert history is not None
    own = history.declines.filter(unit="S001")
    assert own["slope"].item() is None
    assert own["evidence_grade"].item() is None
    assert own["evidence_reason"].item() == "withheld"
    assert history.series.filter(unit="S001")["estimate"].null_count() == 1
    assert history.changes.filter(unit="S001").height == result.changes.filter(unit="S001").height - 2
    assert result.frame.filter(unit="S001")["slope"].item() is not None
    said = _text(published)
    assert "1 所学校不评等级：" in said
    others = history.declines.filter(pl.col("unit") != "S001")
    assert others.drop("direction").equals(result.frame.filter(pl.col("unit") != "S001"))
    all_shown = _with_history(_history(declines=result), min_n=5).history.declines  # type: ignore[union-attr]
    assert all_shown.drop("direction").equals(result.frame)


@pytest.mark.parametrize(
    "reason",
    ["exam_unplaced", "series_no_exams", "series_no_values", "declines_one_period", "declines_too_few_periods"],
)
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_reason_stands_where_nothing_can_be_said(reason: str, lang: Lang) -> None:
    published = _with_history(History(archive_version=3, origin="archived", reason=reason))
    blocks = _section(published, lang)["blocks"]
    assert [block["type"] for block in blocks] == ["paragraph"]
    assert "3" in _text(published, lang)


def test_two_years_say_that_the_variation_is_assumed() -> None:
    published = _with_history(_history(declines=_declines(_series(years=2))))
    said = _text(published)
    assert "按 0.10 个标准差计" in said
    assert published.history is not None
    assert not set(published.history.declines["evidence_grade"]) & {"A", "B"}


def test_small_multiples_are_cut_and_repeat_byte_for_byte() -> None:
    published = _with_history(_history(declines=_declines(_series(falling=0))))
    assert all(block["type"] != "figure" for block in _section(published)["blocks"])
    courses = [
        (f"校{number}", "below", [(0, 0.1, 0.0, 0.2), (1, -0.2, -0.3, -0.1), (3, -0.4, None, None)]) for number in range(5)
    ]
    wide, narrow = draw_courses(courses, ["2021", "2022", "2023", "2024"], "zh")
    assert (wide, narrow) == draw_courses(courses, ["2021", "2022", "2023", "2024"], "zh")
    for number in range(5):
        assert f"<tspan>校{number}</tspan>" in wide
    assert "http" not in wide.replace("http://www.w3.org", "")
    bridged = [(name, side, [*dots[:2], (2, *dots[2][1:])]) for name, side, dots in courses]
    joined = draw_courses(bridged, ["2021", "2022", "2023", "2024"], "zh")[0]
    assert joined.count("<line") == wide.count("<line") + len(courses)  # a missing year is not bridged


def test_the_figure_shows_at_most_a_dozen() -> None:
    frame = _series(falling=0)
    half = pl.col("unit").str.slice(1).cast(pl.Int64)
    years = pl.col("period").str.slice(0, 4).cast(pl.Int64) - 2021
    steep = frame.with_columns(pl.col("estimate") - pl.when(half <= 15).then(0.5 * years).otherwise(-0.5 * years))
    published = _with_history(_history(declines=_declines(steep)))
    figure = next(block for block in _section(published)["blocks"] if block["type"] == "figure")
    assert published.history is not None
    assert int((published.history.declines["evidence_grade"] == "A").sum()) == 15
    assert figure["caption"]["params"]["cut"]["params"]["shown"] == COURSES_LIMIT


def test_names_come_from_the_registers_for_schools_that_sat_no_longer(shown: Publishable) -> None:
    gone = dataclasses.replace(shown, units=shown.units.filter(pl.col("unit") != "S024"))
    assert "某校" in [cells[0] for cells in _rows(gone)]


def test_the_workbook_holds_every_school_year_change_and_exam(shown: Publishable, tmp_path: Path) -> None:
    write_workbook(shown, "zh", tmp_path / "tables.xlsx")
    book = CalamineWorkbook.from_path(str(tmp_path / "tables.xlsx"))
    rows = {name: len(book.get_sheet_by_name(name).to_python()) - 1 for name in book.sheet_names}
    assert rows["历年变化"] == 24
    assert rows["历年数值"] == 24 * 5
    assert rows["逐年变化"] == 24 * 4
    assert rows["分学科历年变化"] == 48
    assert rows["历次考试"] == 7


def test_html_holds_the_section_and_no_other_file(shown: Publishable) -> None:
    page = render_html(build_context(shown, "en"))
    assert 'id="history-2"' in page
    assert 'id="table-school_history"' in page
    assert not re.search(r'(?:src|href)="https?:', page)
    assert EXAM not in page.split('id="history-2"')[1].split("</section>")[0]
