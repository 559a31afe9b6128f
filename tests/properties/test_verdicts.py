"""What holds of verdicts for any series: worlds at once or one by one, rows in any order, and missing is never met."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from eduq.rulepacks.conditions import MET, NOT_ASSESSABLE, REASONS, PeerSeries
from eduq.rulepacks.model import Rule
from eduq.rulepacks.peers import build_peer_series
from eduq.rulepacks.verdicts import evaluate_rule

GROUP = {"within": ["stage"], "min_units": 3, "min_pupils": 30, "small_schools": "exempt"}
CONDITIONS: list[dict[str, Any]] = [
    {"kind": "decline", "years": 1, "noise_band": 0.05},
    {"kind": "decline", "years": 2, "noise_band": 0.0},
    {"kind": "decline", "years": 1, "noise_band": 0.0, "direction": "rise"},
    {"kind": "last_place", "years": 2, "last": 1, "ties": "share"},
    {"kind": "last_place", "years": 1, "last": 2, "ties": "exclude"},
    {"kind": "bottom_share", "years": 2, "share": 0.3, "ties": "share"},
    {"kind": "below_cut", "years": 2, "cut": 0.0, "side": "at_or_below"},
    {"kind": "severe_drop", "drop": 0.2, "against": "previous"},
    {"kind": "severe_drop", "drop": 0.2, "against": "earlier_mean"},
    {"kind": "stagnation", "years": 2, "band": 0.05},
    {"kind": "any", "any": [{"kind": "decline", "years": None}, {"kind": "below_cut", "cut": 0.1}]},
]


def make_rule(*conditions: dict[str, Any]) -> Rule:
    """Return a rule about heads with these conditions."""
    listed = [{"any": node["any"]} if node["kind"] == "any" else node for node in conditions]
    return Rule.model_validate(
        {
            "id": "test.head.rule",
            "clause": "A02",
            "subject": "head",
            "measure": "composite_z",
            "peer_group": GROUP,
            "conditions": listed,
            "gaps": {"tenure": "every_year"},
            "proposal": "talk",
            "addressed": {"decides": "x"},
        }
    )


rules = st.lists(st.sampled_from(CONDITIONS), min_size=1, max_size=3).map(lambda drawn: make_rule(*drawn))


@st.composite
def peers(draw: st.DrawFn, worlds: int) -> PeerSeries:
    """Draw a peer group with holes, small and exempt units, ties and changes of the head."""
    units, years = draw(st.integers(1, 7)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    reason = np.where(rng.random((units, years)) < 0.15, rng.integers(1, len(REASONS), (units, years)), 0).astype(np.int8)
    level = rng.integers(-4, 5, (worlds, units, years)) / 10  # coarse, so that ties and exact bounds occur
    return PeerSeries(
        level=np.where(reason != 0, np.nan, level),
        n=rng.choice([29, 30, 200], (units, years), p=[0.1, 0.2, 0.7]),
        reason=reason,
        exempt=np.where(rng.random(units) < 0.15, REASONS.index("small_school_exempt"), 0).astype(np.int8),
        held=rng.random((units, years)) < 0.9,
    )


@given(rule=rules, many=peers(worlds=6))
@settings(max_examples=150)
def test_worlds_at_once_equal_worlds_one_by_one(rule: Rule, many: PeerSeries) -> None:
    at_once = evaluate_rule(rule, many)
    for world in range(many.level.shape[0]):
        one = PeerSeries(many.level[world], many.n, many.reason, many.exempt, many.held)
        alone = evaluate_rule(rule, one)
        for reading in ("narrow", "wide"):
            assert np.array_equal(at_once.of(reading).code[world], alone.of(reading).code)
            assert np.array_equal(at_once.of(reading).reason[world], alone.of(reading).reason)


@given(rule=rules, one=peers(worlds=1), seed=st.integers(0, 1000))
@settings(max_examples=100)
def test_the_order_of_units_does_not_matter(rule: Rule, one: PeerSeries, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(one.n.shape[0])
    turned = PeerSeries(one.level[:, order], one.n[order], one.reason[order], one.exempt[order], one.held[order])
    for reading in ("narrow", "wide"):
        plain, found = evaluate_rule(rule, one).of(reading), evaluate_rule(rule, turned).of(reading)
        assert np.array_equal(plain.code[:, order], found.code)
        assert np.array_equal(plain.reason[:, order], found.reason)


@given(rule=rules, one=peers(worlds=1))
@settings(max_examples=150)
def test_what_is_not_assessable_has_a_reason_and_missing_is_never_met(rule: Rule, one: PeerSeries) -> None:
    found = evaluate_rule(rule, one)
    for outcome in (found.narrow, found.wide, *found.conditions):
        assert np.array_equal(outcome.code == NOT_ASSESSABLE, outcome.reason != 0)
    blank = (one.reason[:, -1] != 0) | (one.exempt != 0)
    for outcome in found.conditions:
        assert not (outcome.code[0][blank] == MET).any()
    assert not (found.narrow.code[0][blank] == MET).any()
    assert not (found.only_wide & (found.narrow.code == MET)).any()


@given(rule=rules, one=peers(worlds=1))
@settings(max_examples=60)
def test_narrow_met_is_wide_met(rule: Rule, one: PeerSeries) -> None:
    found = evaluate_rule(rule, one)
    assert not ((found.narrow.code == MET) & (found.wide.code != MET)).any()


@given(rule=rules, one=peers(worlds=1), seed=st.integers(0, 1000))
@settings(max_examples=40)
def test_the_order_of_lines_does_not_matter(rule: Rule, one: PeerSeries, seed: int) -> None:
    lines = [
        {"unit": f"S{row}", "period": f"{2015 + year}-{2016 + year}", "n": int(one.n[row, year])}
        | {"estimate": None if one.reason[row, year] else float(one.level[0, row, year])}
        | {"reason": REASONS[one.reason[row, year]] or None, "tenure": bool(one.held[row, year])}
        for row in range(one.n.shape[0])
        for year in range(one.n.shape[1])
    ]
    table = pl.DataFrame(lines, schema_overrides={"reason": pl.String, "estimate": pl.Float64})
    exempt = {f"S{row}": "small_school_exempt" for row in np.flatnonzero(one.exempt)}
    built = build_peer_series(table, exempt=exempt)
    shuffled = build_peer_series(table.sample(fraction=1, shuffle=True, seed=seed), exempt=exempt)
    direct = evaluate_rule(rule, PeerSeries(one.level[0], one.n, one.reason, one.exempt, one.held))
    for found in (evaluate_rule(rule, built), evaluate_rule(rule, shuffled)):
        assert np.array_equal(found.narrow.code, direct.narrow.code)
        assert np.array_equal(found.wide.code, direct.wide.code)
