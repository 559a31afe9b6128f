"""Rules over peer groups: readings, tenure, measures, targets, ladders and the order of years."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest

from eduq.errors import DataFileError, UsageError
from eduq.rulepacks.conditions import REASONS, Outcome
from eduq.rulepacks.decisions import DecisionBook
from eduq.rulepacks.ladder import evaluate_years, exit_state
from eduq.rulepacks.model import Rule
from eduq.rulepacks.peers import PeerCell, build_peer_series, form_peer_cells
from eduq.rulepacks.verdicts import CLAUSE_RESULTS, evaluate_rule, years_read

FALL = {"kind": "decline", "years": 2, "noise_band": 0.0}
LAST = {"kind": "last_place", "years": 2, "last": 1, "ties": "share"}
YEARS = ("2022-2023", "2023-2024", "2024-2025")


def make_rule(*conditions: dict[str, Any], **more: Any) -> Rule:
    """Return a rule about heads."""
    facts: dict[str, Any] = {
        "id": "test.head.rule",
        "clause": "A02",
        "subject": "head",
        "measure": "composite_z",
        "peer_group": {"within": ["stage", "kind"], "min_units": 2, "min_pupils": 30, "small_schools": "exempt"},
        "conditions": list(conditions),
        "gaps": {"tenure": "every_year"},
        "proposal": "talk",
        "addressed": {"decides": "x"},
    }
    return Rule.model_validate(facts | more)


def lines(levels: dict[str, list[float | None]], **more: Any) -> pl.DataFrame:
    """Return series of units over YEARS."""
    rows = [
        {"unit": unit, "period": period, "estimate": value, "n": 90, "reason": None if value is not None else "missing_year"}
        | more
        for unit, values in levels.items()
        for period, value in zip(YEARS, values, strict=True)
    ]
    return pl.DataFrame(rows, schema_overrides={"estimate": pl.Float64, "reason": pl.String})


def said(outcome: Outcome) -> list[str]:
    """Return results and reasons as words."""
    return [CLAUSE_RESULTS[int(code)] + (f" {REASONS[why]}" if why else "") for code, why in zip(*outcome, strict=True)]


THREE: dict[str, list[float | None]] = {"A": [-0.1, -0.2, -0.3], "B": [0.3, 0.2, 0.1], "C": [0.0, 0.1, 0.2]}


def test_both_readings_and_what_only_the_wide_one_meets() -> None:
    found = evaluate_rule(make_rule(FALL, LAST), build_peer_series(lines(THREE)))
    assert said(found.narrow) == ["met", "not_met", "not_met"]
    assert said(found.wide) == ["met", "met", "not_met"]
    assert found.only_wide.tolist() == [False, True, False]
    assert found.proposed.tolist() == [True, False, False]
    assert [said(outcome) for outcome in found.conditions] == [["met", "met", "not_met"], ["met", "not_met", "not_met"]]


def test_a_definite_no_decides_where_another_condition_cannot_be_assessed() -> None:
    found = evaluate_rule(make_rule(FALL, LAST), build_peer_series(lines(THREE | {"B": [None, 0.2, 0.1]})))
    assert said(found.narrow)[1] == "not_met"
    assert said(found.wide)[1] == "not_assessable missing_year"


def test_trees_keep_their_own_words_under_both_readings() -> None:
    found = evaluate_rule(make_rule({"all": [FALL, LAST]}), build_peer_series(lines(THREE)))
    assert said(found.narrow) == said(found.wide) == ["met", "not_met", "not_met"]
    assert len(found.conditions) == 2


@pytest.mark.parametrize(
    ("tenure", "expected"),
    [("every_year", "not_assessable tenure_incomplete"), ("last_year", "met"), ("none", "met")],
)
def test_tenure_as_the_rule_says(tenure: str, expected: str) -> None:
    table = lines(THREE).with_columns(tenure=pl.col("period") > YEARS[0])
    found = evaluate_rule(make_rule(FALL, gaps={"tenure": tenure}), build_peer_series(table))
    assert said(found.narrow)[0] == expected


def test_tenure_does_not_matter_for_a_rule_about_schools() -> None:
    table = lines(THREE).with_columns(tenure=pl.lit(False))
    found = evaluate_rule(make_rule(FALL, subject="school"), build_peer_series(table))
    assert said(found.narrow)[0] == "met"


def test_small_schools_stay_outside_unless_the_rule_includes_them() -> None:
    peer = build_peer_series(lines(THREE), exempt={"A": "small_school_exempt"})
    found = evaluate_rule(make_rule(LAST), peer)
    assert said(found.narrow) == ["not_assessable small_school_exempt", "not_met", "not_met"]
    group = {"within": ["stage"], "min_units": 2, "min_pupils": 30, "small_schools": "include"}
    assert said(evaluate_rule(make_rule(LAST, peer_group=group), peer).narrow)[0] == "met"


def test_a_condition_with_a_measure_of_its_own() -> None:
    rule = make_rule({**LAST, "years": 1}, {"kind": "below_cut", "measure": "pass_rate", "cut": 0.6})
    scores, rates = build_peer_series(lines(THREE)), build_peer_series(lines({"A": [0.5] * 3, "B": [0.7] * 3, "C": [0.5] * 3}))
    both = evaluate_rule(rule, {"composite_z": scores, "pass_rate": rates})
    assert said(both.narrow) == ["met", "not_met", "not_met"]
    assert said(both.wide) == ["met", "not_met", "met"]
    assert said(evaluate_rule(rule, scores).narrow)[0] == "not_assessable measure_missing"


def test_target_of_the_clause_itself() -> None:
    asked = {"kind": "target_missed", "source": "text", "target": 0.5, "direction": "up", "due": "2025-07-31"}
    peer = build_peer_series(lines(THREE))
    rule = make_rule(asked, subject="school", peer_group=None)
    assert said(evaluate_rule(rule, peer, as_of=dt.date(2025, 7, 31)).narrow) == ["not_met"] * 3
    assert said(evaluate_rule(rule, peer, as_of=dt.date(2025, 8, 1)).narrow) == ["met"] * 3


def test_barred_rules_judge_nobody() -> None:
    found = evaluate_rule(make_rule(FALL, LAST), build_peer_series(lines(THREE)), barred=True)
    assert said(found.narrow) == said(found.wide) == ["not_assessable barred"] * 3


def test_years_before_a_merger_do_not_count() -> None:
    table = lines(THREE).with_columns(
        segment=pl.when((pl.col("unit") == "A") & (pl.col("period") > YEARS[0])).then(2).otherwise(1)
    )
    found = evaluate_rule(make_rule(FALL), build_peer_series(table))
    assert said(found.narrow) == ["not_assessable merged", "met", "not_met"]


def test_two_lines_of_one_year_stop() -> None:
    with pytest.raises(DataFileError) as error:
        build_peer_series(pl.concat([lines(THREE), lines({"A": [0.0, 0.0, 0.0]})]))
    assert error.value.code == "series_duplicate"
    with pytest.raises(UsageError) as empty:
        build_peer_series(lines(THREE).clear())
    assert empty.value.code == "series_empty"


def test_years_read() -> None:
    rule = make_rule(FALL, LAST, {"kind": "severe_drop", "drop": 0.3}, {"kind": "flag", "flag": "x"})
    assert [years_read(condition) for condition in rule.walk()] == [3, 2, 2, 0]


def _series(levels: dict[str, list[float | None]], year_group: str, measure: str = "composite_z") -> pl.DataFrame:
    facts = {"year_group": year_group, "subject": "composite", "measure": measure, "segment": 1}
    return lines(levels, **facts)


def test_peer_groups_by_stage_and_kind_and_the_highest_year_group_of_each_school() -> None:
    series = pl.concat([_series(THREE, "G9"), _series(THREE | {"D": [0.0, 0.0, 0.0]}, "G8")])
    attributes = {unit: {"stage": "junior", "kind": "public" if unit != "C" else "private"} for unit in "ABCD"}
    cells = form_peer_cells(series, make_rule(FALL), last_period=YEARS[-1], attributes=attributes, exempt={})
    assert [(cell.family, cell.year_group, cell.units) for cell in cells] == [
        ("stage=junior,kind=private", "G8", ("C",)),
        ("stage=junior,kind=private", "G9", ("C",)),
        ("stage=junior,kind=public", "G8", ("A", "B", "D")),
        ("stage=junior,kind=public", "G9", ("A", "B")),
    ]
    highest = make_rule(FALL, year_groups="highest")
    cells = form_peer_cells(series, highest, last_period=YEARS[-1], attributes=attributes, exempt={})
    assert [(cell.year_group, cell.units) for cell in cells] == [("G9", ("C",)), ("G8", ("D",)), ("G9", ("A", "B"))]
    assert form_peer_cells(series, make_rule(FALL, measure="z_mean"), last_period=YEARS[-1], attributes={}, exempt={}) == []


def test_units_of_another_comparison_group_are_not_ranked_together() -> None:
    def group_of(track: str) -> pl.Expr:
        return pl.concat_str(pl.lit("e."), pl.col("period"), pl.lit(f".composite.{track}"))

    levels = {unit: [0.1, 0.1, 0.1] for unit in "ABC"} | {"D": [-0.5, -0.5, -0.5]}
    series = _series(levels, "S3").with_columns(
        comparison_group=pl.when(pl.col("unit") == "D").then(group_of("history")).otherwise(group_of("physics"))
    )
    (cell,) = form_peer_cells(series, make_rule(LAST), last_period=YEARS[-1], attributes={}, exempt={})
    assert said(evaluate_rule(make_rule(LAST), cell.peers).narrow) == ["met"] * 3 + ["not_assessable not_comparable"]
    group = {"within": ["stage", "track"], "min_units": 2, "min_pupils": 30, "small_schools": "exempt"}
    apart = form_peer_cells(series, make_rule(LAST, peer_group=group), last_period=YEARS[-1], attributes={}, exempt={})
    assert [(cell.family, cell.units) for cell in apart] == [
        ("stage=,track=history", ("D",)),
        ("stage=,track=physics", ("A", "B", "C")),
    ]


def test_every_year_is_judged_with_what_was_known_then() -> None:
    cell = PeerCell("", "G9", "composite", tuple(THREE), YEARS, {"composite_z": build_peer_series(lines(THREE))}, lines(THREE))
    found = evaluate_years(make_rule({**FALL, "years": 1}), cell)
    assert found.of("A") == [(YEARS[0], 2), (YEARS[1], 1), (YEARS[2], 1)]
    assert found.of("C") == [(YEARS[0], 2), (YEARS[1], 0), (YEARS[2], 0)]


@pytest.mark.parametrize(
    ("codes", "after", "expected"),
    [
        ([0, 0], 1, None),
        ([0, 1], 1, "in_step"),
        ([1, 0], 1, "left"),
        ([1, 0, 1, 0], 2, "open"),
        ([1, 0, 0], 2, "left"),
        ([1, 0, 2, 0], 2, "open"),
        ([1, 2], 1, "open"),
        ([1, 0], None, "open"),
    ],
)
def test_exit(codes: list[int], after: int | None, expected: str | None) -> None:
    assert exit_state(codes, after) == expected


def test_decisions_belong_to_the_exam_before_them() -> None:
    base = dict.fromkeys(("head_id", "teacher_id", "year_group", "subject")) | {"unit_type": "head", "unit": "A"}
    verdict = base | {"rule_id": "p.yellow", "period_last": YEARS[2]}
    rows = [
        base | {"rule_id": rule, "pack": "p", "as_of": day, "decision": decision, "decided_on": day, "archive_version": version}
        for rule, day, decision, version in (
            ("p.talk", dt.date(2024, 9, 1), "adopted", 3),
            ("p.yellow", dt.date(2025, 9, 1), "deferred", 4),
            ("p.yellow", dt.date(2025, 9, 1), "rejected", 5),
            ("p.yellow", dt.date(2026, 9, 1), "adopted", 6),
        )
    ]
    text = dict.fromkeys(("head_id", "teacher_id", "year_group", "subject"), pl.String)
    book = DecisionBook.read(pl.DataFrame(rows, schema_overrides=text), pack="p", as_of=dt.date(2025, 12, 31))
    exams = {YEARS[1]: dt.date(2024, 6, 1), YEARS[2]: dt.date(2025, 6, 1)}
    decided = book.on(verdict, since=exams[YEARS[2]])
    assert decided is not None
    assert decided["decision"] == "rejected"
    assert book.on(verdict | {"unit": "B"}, since=exams[YEARS[2]]) is None
    assert book.on(verdict | {"rule_id": "p.talk"}, since=exams[YEARS[2]]) is None
    assert book.before(verdict, "p.talk", exams) == {YEARS[1]: "adopted"}
    assert book.before(verdict, "p.yellow", exams) == {}


def test_no_world_changes_the_input() -> None:
    peer = build_peer_series(lines(THREE))
    kept = peer.level.copy()
    evaluate_rule(make_rule(FALL, LAST), peer)
    assert np.array_equal(peer.level, kept)
