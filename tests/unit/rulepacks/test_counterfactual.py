"""The smallest change that turns a verdict, against judging the changed county anew."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import build_scores
from tests.unit.rulepacks.small_county import AS_OF, FULL, SCHOOLS, build_pack, build_rule, county_exams, county_source

from eduq.rulepacks.counterfactual import CHANGES, _grid, _smallest, find_changes
from eduq.rulepacks.judging import judge
from eduq.rulepacks.model import Rule
from eduq.rulepacks.questions import Answer, Question, pose_question, replace_condition
from eduq.rulepacks.rescoring import count_raisable, fill_absences, remark

PAPERS = ("math", "chinese")


def ask(rule: Rule, unit: str) -> Question:
    question = pose_question(rule, county_source(), unit=unit, year_group="G9", subject="composite", as_of=AS_OF)
    assert question is not None
    return question


def judged(rule: Rule, unit: str, **last: Any) -> dict[str, str]:
    """Judge a county whose last exam may be another one."""
    found = judge(build_pack(rule), county_source(**last), as_of=AS_OF).frame.filter(pl.col("unit") == unit)
    return dict(found.select("reading", pl.col("clause_result").cast(pl.String)).iter_rows())


def line(changes: pl.DataFrame, quantity: str, reading: str, condition: int | None = None) -> dict[str, Any]:
    same = pl.col("condition").eq_missing(pl.lit(condition))
    found = changes.filter((pl.col("quantity") == quantity) & (pl.col("reading") == reading) & same)
    assert found.height == 1, found
    return found.row(0, named=True)


@pytest.mark.parametrize("unit", SCHOOLS)
def test_answers_are_those_of_judge(unit: str) -> None:
    rule = build_rule()
    answer = ask(rule, unit).answer()
    assert {"narrow": answer.narrow, "wide": answer.wide} == judged(rule, unit)


def test_school_a_is_met_and_others_are_not() -> None:
    rule = build_rule()
    assert judged(rule, "A") == {"narrow": "met", "wide": "met"}
    assert judged(rule, "E")["narrow"] == "not_met"


@pytest.mark.parametrize("reading", ["narrow", "wide"])
def test_fewest_pupils_are_confirmed_by_judging_the_changed_county(reading: str) -> None:
    rule = build_rule()
    found = line(find_changes(ask(rule, "A")), "remarked", reading)
    needed = int(found["needed"])
    assert (found["before"], found["after"]) == ("met", "not_met")
    assert 1 <= needed <= found["searched"]
    last = county_exams()[-1]
    place = {"school": "A", "year_group": "G9", "papers": PAPERS}
    assert judged(rule, "A", last=remark(last, pupils=needed, **place))[reading] == "not_met"  # type: ignore[arg-type]
    for fewer in {0, needed // 2, needed - 1}:
        assert judged(rule, "A", last=remark(last, pupils=fewer, **place))[reading] == "met"  # type: ignore[arg-type]


def test_raising_pupils_does_not_make_a_fall() -> None:
    found = line(find_changes(ask(build_rule(), "E")), "remarked", "narrow")
    assert found["before"] == "not_met"
    assert (found["after"], found["needed"], found["searched"]) == (None, None, 12)


def test_remark_takes_those_with_most_room_and_only_papers_sat() -> None:
    rows = [
        {"candidate_id": "p", "school_id": "A", "year_group": "G9", "math": 50, "chinese": 100},
        {"candidate_id": "q", "school_id": "A", "year_group": "G9", "math": 40, "chinese": "absent"},
        {"candidate_id": "r", "school_id": "A", "year_group": "G9", "math": 100, "chinese": 120},
        {"candidate_id": "s", "school_id": "B", "year_group": "G9", "math": 1, "chinese": 1},
    ]
    scores = build_scores(rows, full=FULL)
    place: dict[str, Any] = {"school": "A", "year_group": "G9", "papers": PAPERS}
    assert count_raisable(scores, **place) == 2
    once = remark(scores, pupils=1, **place).frame
    assert once["math"].to_list() == [10_000, 4_000, 10_000, 100]
    assert once["chinese"].to_list() == [12_000, None, 12_000, 100]
    both = remark(scores, pupils=9, **place).frame
    assert both["math"].to_list() == [10_000, 10_000, 10_000, 100]
    assert both["chinese"].to_list() == [12_000, None, 12_000, 100]


def test_absentees_count_as_zero_or_at_their_own_level() -> None:
    rows = [
        {"candidate_id": "p", "school_id": "A", "year_group": "G9", "math": 90, "chinese": "absent"},
        {"candidate_id": "q", "school_id": "A", "year_group": "G9", "math": 50, "chinese": 60},
        {"candidate_id": "r", "school_id": "B", "year_group": "G9", "math": 70, "chinese": 80},
        {"candidate_id": "s", "school_id": "B", "year_group": "G9", "math": "absent", "chinese": "deferred"},
    ]
    scores = build_scores(rows, full=FULL)
    place: dict[str, Any] = {"school": "A", "year_group": "G9", "papers": PAPERS}
    zero, pupils = fill_absences(scores, as_zero=True, **place)
    assert pupils == 1
    assert zero.frame["chinese"].to_list() == [0, 6_000, 8_000, None]
    assert zero.frame["chinese_status"].cast(pl.String).to_list() == ["present", "present", "present", "deferred"]
    assert zero.frame["math"].to_list() == scores.frame["math"].to_list()
    # math: mean 70, SD 16.33, so p lies 1.2247 SD above; chinese: mean 70, SD 10, so 70 + 12.247
    predicted, _ = fill_absences(scores, as_zero=False, **place)
    assert predicted.frame["chinese"].to_list() == [8_225, 6_000, 8_000, None]
    assert predicted.frame.schema == scores.frame.schema


def test_predicted_score_stays_inside_the_paper() -> None:
    rows = [
        {"candidate_id": str(n), "school_id": "A", "year_group": "G9", "math": mark, "chinese": other}
        for n, (mark, other) in enumerate([(100, "absent"), (10, 119), (10, 117), (10, 118), (10, 120)])
    ]
    predicted, _ = fill_absences(build_scores(rows, full=FULL), as_zero=False, school="A", year_group="G9", papers=PAPERS)
    assert predicted.frame["chinese"][0] == 12_000


def test_counting_absentees_as_zero_is_confirmed_by_judge() -> None:
    rule = build_rule({"kind": "last_place", "years": 1, "last": 2})
    found = line(find_changes(ask(rule, "B")), "absent_zero", "narrow")
    changed, pupils = fill_absences(county_exams()[-1], school="B", year_group="G9", papers=PAPERS, as_zero=True)
    after = judged(rule, "B", last=changed)["narrow"]
    assert found["searched"] == pupils == 1
    assert (found["after"] or found["before"]) == after
    assert found["estimate_after"] < found["estimate"]


def test_nearest_noise_band_is_the_smaller_of_the_falls() -> None:
    rule = build_rule({"kind": "decline", "years": 2, "noise_band": 0.0})
    question = ask(rule, "A")
    found = line(find_changes(question), "noise_band", "narrow", 0)
    assert found["after"] == "not_met"
    needed = found["needed"]
    assert question.answer(rule=replace_condition(rule, 0, noise_band=needed)).narrow == "not_met"
    assert question.answer(rule=replace_condition(rule, 0, noise_band=round(needed - 1e-4, 4))).narrow == "met"
    levels = question.table.frame.filter(unit="A").sort("period")["estimate"].round(4).to_list()
    assert needed == pytest.approx(min(levels[1] - levels[2], levels[2] - levels[3]), abs=1e-9)


def test_last_k_and_years_are_whole_numbers_nearest_to_the_rule() -> None:
    rule = build_rule({"kind": "last_place", "years": 1, "last": 1})
    changes = find_changes(ask(rule, "B"))
    last = line(changes, "last", "narrow", 0)
    assert (last["current"], last["needed"], last["after"]) == (1.0, 2.0, "met")
    years = line(find_changes(ask(rule, "A")), "years", "narrow", 0)
    assert years["needed"] == int(years["needed"]) > 1


def test_minimum_of_pupils_above_the_own_number_leaves_the_unit_out() -> None:
    found = line(find_changes(ask(build_rule(), "A")), "min_pupils", "narrow")
    assert found["after"] == "not_assessable"
    assert found["needed"] == 13.0


def test_the_other_reading_is_said() -> None:
    rule = build_rule({"kind": "decline", "years": 2, "noise_band": 0.0}, {"kind": "last_place", "years": 4, "last": 1})
    question = ask(rule, "A")
    assert question.answer() == Answer("not_met", "met")
    changes = find_changes(question)
    assert line(changes, "reading", "narrow")["after"] == "met"
    assert line(changes, "reading", "wide")["after"] == "not_met"


def test_a_verdict_that_is_not_monotone_is_scanned() -> None:
    turned = {5, 6, 7}

    def look(pupils: int) -> tuple[Answer, float | None]:
        result = "not_met" if pupils in turned else "met"
        return Answer(result, result), float(pupils % 9)

    assert _smallest(look, [0, 1, 2, 4, 8, 12], "narrow", "met", 12) == (5, "scan")
    assert _smallest(lambda pupils: (Answer("met", "met"), 0.0), [0, 1, 2], "narrow", "met", 2) == (None, "scan")
    steady = [(Answer("not_met" if pupils > 6 else "met", "met"), float(pupils)) for pupils in range(13)]
    assert _smallest(lambda pupils: steady[pupils], [0, 1, 2, 4, 8, 12], "narrow", "met", 12) == (7, "bisection")


def test_a_rule_without_number_says_what_cannot_be_tried() -> None:
    rule = build_rule({"kind": "bottom_share", "years": 1, "share": None})
    found = line(find_changes(ask(rule, "A")), "share", "narrow", 0)
    assert (found["before"], found["current"]) == ("not_assessable", None)
    assert found["after"] in ("met", "not_met")


def test_changes_have_their_columns_and_both_readings() -> None:
    changes = find_changes(ask(build_rule(), "A"))
    assert dict(changes.schema) == CHANGES
    assert changes.group_by("quantity", "condition").len()["len"].unique().to_list() == [2]


def test_nested_conditions_keep_their_order() -> None:
    rule = build_rule(
        {"any": [{"kind": "decline", "years": 1, "noise_band": 0.0}, {"kind": "last_place", "years": 1, "last": 1}]},
        {"kind": "last_place", "years": 2, "last": 3},
    )
    changed = replace_condition(rule, 2, last=5)
    assert [getattr(one, "last", None) for one in changed.walk()] == [None, 1, 5]
    assert [getattr(one, "last", None) for one in replace_condition(rule, 1, last=4).walk()] == [None, 4, 3]


@given(most=st.integers(1, 70), first=st.integers(1, 80))
def test_bisection_finds_what_trying_every_number_finds(most: int, first: int) -> None:
    def look(pupils: int) -> tuple[Answer, float | None]:
        result = "not_met" if pupils >= first else "met"
        return Answer(result, result), float(pupils)

    expected = first if first <= most else None
    assert _smallest(look, [0, *_grid(most)], "wide", "met", most) == (expected, "bisection")


@given(turned=st.lists(st.booleans(), min_size=1, max_size=40), values=st.lists(st.floats(-2, 2), min_size=41, max_size=41))
def test_a_value_that_does_not_rise_is_tried_at_every_number(turned: list[bool], values: list[float]) -> None:
    most = len(turned)
    values[1] = values[0]

    def look(pupils: int) -> tuple[Answer, float | None]:
        result = "not_met" if pupils and turned[pupils - 1] else "met"
        return Answer(result, result), values[pupils]

    expected = turned.index(True) + 1 if any(turned) else None
    assert _smallest(look, [0, *_grid(most)], "narrow", "met", most) == (expected, "scan")
