"""The share of definitions under which a verdict stands."""

from __future__ import annotations

import math
from itertools import product

import polars as pl
import pytest
from tests.unit.rulepacks.small_county import (
    AS_OF,
    build_exam,
    build_pack,
    build_rule,
    county_exams,
    county_registers,
    county_source,
)

from eduq.estimates.series import sources_from_scores
from eduq.rulepacks.definitions import DIMENSIONS, vary_definitions
from eduq.rulepacks.judging import judge
from eduq.rulepacks.model import EvidenceBounds, Rule
from eduq.rulepacks.questions import pose_question, with_policy

BOUNDS = EvidenceBounds().values()


def vary(rule: Rule, unit: str):  # type: ignore[no-untyped-def]
    question = pose_question(rule, county_source(), unit=unit, year_group="G9", subject="composite", as_of=AS_OF)
    assert question is not None
    found = vary_definitions(question, bounds=BOUNDS)
    assert found is not None
    return found


def test_every_combination_of_choices_counts_once() -> None:
    found = vary(build_rule(), "A")
    sizes = [len(found.choices[name]) for name in DIMENSIONS]
    assert found.n == math.prod(sizes)
    assert found.frame.select(DIMENSIONS).n_unique() == found.n
    assert set(found.frame.select(DIMENSIONS).iter_rows()) == set(product(*(found.choices[name] for name in DIMENSIONS)))
    assert all(len(set(choices)) == len(choices) for choices in found.choices.values())


def test_the_definition_in_use_is_one_of_them_and_gives_the_verdict() -> None:
    rule = build_rule()
    found = vary(rule, "A")
    declared = found.frame.filter("declared")
    assert declared.height == 1
    verdict = judge(build_pack(rule), county_source(), as_of=AS_OF).frame.filter(unit="A", reading="narrow").row(0, named=True)
    assert found.base["narrow"] == verdict["clause_result"]
    assert found.base["evidence_grade"] == verdict["evidence_grade"]
    assert found.count_same("narrow") == int((found.frame["narrow"] == verdict["clause_result"]).sum())


def test_choices_that_the_rule_does_not_know_are_not_varied() -> None:
    found = vary(build_rule({"kind": "decline", "years": 1, "noise_band": 0.0}), "A")
    assert found.choices["ties"] == ("own",)
    assert found.choices["last"] == ("own",)
    assert found.choices["min_pupils"][0] == "5"


def test_absences_counted_as_zero_are_those_of_the_policy() -> None:
    rule = build_rule({"kind": "last_place", "years": 1, "last": 1})
    found = vary(rule, "B")
    zeroed = sources_from_scores([with_policy(exam, "zero") for exam in county_exams()], county_registers())
    question = pose_question(rule, zeroed, unit="B", year_group="G9", subject="composite", as_of=AS_OF)
    assert question is not None
    line = question.own_line()
    assert line is not None
    own = found.frame.filter(absence="zero", sd_divisor="population", weights="equal", min_pupils="5", ties="share", last="1")
    assert own["estimate"].unique().to_list() == [line["estimate"]]


def test_weights_by_full_mark_are_those_of_an_exam_that_says_so() -> None:
    rule = build_rule({"kind": "last_place", "years": 1, "last": 1})
    found = vary(rule, "B")
    exams = [build_exam(place, weights={"math": 100.0, "chinese": 120.0}) for place in range(4)]
    weighted = sources_from_scores(exams, county_registers())
    question = pose_question(rule, weighted, unit="B", year_group="G9", subject="composite", as_of=AS_OF)
    assert question is not None
    line = question.own_line()
    assert line is not None
    own = found.frame.filter(
        absence="exclude", sd_divisor="population", weights="full_mark", min_pupils="5", ties="share", last="1"
    )
    assert own["estimate"][0] == pytest.approx(line["estimate"], abs=1e-12)
    own_weights = vary_definitions(question, bounds=BOUNDS)
    assert own_weights is not None
    assert own_weights.choices["weights"] == ("full_mark", "equal")


def test_the_sample_divisor_shrinks_all_values_of_a_year_alike() -> None:
    found = vary(build_rule({"kind": "last_place", "years": 1, "last": 1}), "A")
    equal = found.frame.filter(weights="equal")  # all 72 have a composite
    pairs = equal.pivot("sd_divisor", index=[name for name in DIMENSIONS if name != "sd_divisor"], values="estimate")
    ratio = (pairs["sample"] / pairs["population"]).unique()
    assert ratio.to_list() == pytest.approx([math.sqrt(71 / 72)] * len(ratio))


def test_ranks_run_over_all_definitions() -> None:
    found = vary(build_rule({"kind": "last_place", "years": 1, "last": 1}), "A")
    assert (found.frame["rank"].min(), found.frame["rank"].max()) == (6, 6)
    assert found.frame.filter(min_pupils="30")["rank"].null_count() == found.frame.filter(min_pupils="30").height


def test_minimum_beyond_the_unit_turns_the_verdict() -> None:
    found = vary(build_rule({"kind": "last_place", "years": 1, "last": 1}), "A")
    by_minimum = dict(found.frame.group_by("min_pupils").agg(pl.col("narrow").unique().first()).iter_rows())
    assert by_minimum == {"5": "met", "10": "met", "30": "not_assessable", "50": "not_assessable"}


def test_rules_about_targets_have_no_share() -> None:
    rule = build_rule({"kind": "target_missed", "source": "register"})
    question = pose_question(rule, county_source(), unit="A", year_group="G9", subject="composite", as_of=AS_OF, target_id="T1")
    assert question is not None
    assert vary_definitions(question, bounds=BOUNDS) is None
