"""The grade that stands beside a clause: which test speaks, over which family, and under which reading."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from eduq.rulepacks.evidence import EVIDENCE_COLUMNS, EvidenceFinder, kind_of_evidence, kinds_of_evidence
from eduq.rulepacks.model import Rule
from eduq.rulepacks.peers import PeerCell, build_peer_series

YEARS = tuple(f"{year}-{year + 1}" for year in range(2020, 2026))
FALL = {"kind": "decline", "years": 2, "noise_band": 0.0}
LAST = {"kind": "last_place", "years": 1, "last": 1}
DROP = {"kind": "severe_drop", "drop": 0.1}
STILL = {"kind": "stagnation", "years": 5, "band": 0.2}


def make_rule(*conditions: dict[str, Any], narrow: str = "all") -> Rule:
    """Return a rule about schools."""
    return Rule.model_validate(
        {
            "id": "test.school.rule",
            "clause": "A02",
            "subject": "school",
            "measure": "composite_z",
            "peer_group": {"within": ["stage"], "min_units": 5, "min_pupils": 30, "small_schools": "exempt"},
            "conditions": list(conditions),
            "readings": {"narrow": narrow, "wide": "any"},
            "proposal": "talk",
            "addressed": {"decides": "x"},
        }
    )


def make_cell(*, small: tuple[str, ...] = (), n: int = 150, start: float = 1.2, fall: float = 0.3) -> PeerCell:
    """Return twenty schools: S00 falls by .3 a year from far above, S01 is low and flat, the others flat with small shocks."""
    rng = np.random.default_rng(11)
    rows = []
    for unit in range(20):
        for year, period in enumerate(YEARS):
            level = 0.04 * unit + 0.05 * float(rng.normal())
            level = start - fall * year if unit == 0 else level
            level = -1.0 + 0.002 * (year % 2) if unit == 1 else level
            facts = {"unit": f"S{unit:02d}", "period": period, "estimate": level, "sd": 0.9, "n": n, "measure": "composite_z"}
            rows.append(facts | {"year_group": "G9", "subject": "composite", "exam_id": f"e{year}", "reason": None})
    lines = pl.DataFrame(rows, schema_overrides={"reason": pl.String})
    peer = build_peer_series(lines, exempt=dict.fromkeys(small, "small_school_exempt"))
    units = tuple(lines["unit"].unique().sort())
    return PeerCell("stage=junior", "G9", "composite", units, YEARS, {"composite_z": peer}, lines)


def grade(rule: Rule, unit: str, reading: Any = "narrow", **more: Any) -> str | None:
    """Return one school's grade."""
    found = EvidenceFinder().find(rule, [make_cell(**more)], bounds={}, reading=reading)
    line = found[(unit, "G9", "composite")]
    assert set(line) == set(EVIDENCE_COLUMNS)
    letter = line["evidence_grade"]
    assert letter is None or isinstance(letter, str)
    return letter


def test_a_place_held_in_several_years_must_be_shown_in_each() -> None:
    """From .5 by .4 a year: below the low school in the last two years only."""
    course = {"start": 0.5, "fall": 0.4}
    assert grade(make_rule(FALL, LAST), "S00", **course) == "A"
    assert grade(make_rule(FALL, {**LAST, "years": 2}), "S00", **course) == "A"
    assert grade(make_rule(FALL, {**LAST, "years": 3}), "S00", **course) == "C"


def test_which_test_speaks() -> None:
    assert kinds_of_evidence(make_rule(FALL, LAST)) == ("decline",)
    assert kinds_of_evidence(make_rule(STILL, FALL, DROP)) == ("decline", "severe_drop", "stagnation")
    rise = {**FALL, "direction": "rise"}
    for silent in (make_rule(LAST), make_rule(rise), make_rule({"kind": "below_cut", "cut": 0.1})):
        assert kind_of_evidence(silent) is None
        assert EvidenceFinder().find(silent, [make_cell()], bounds={}, reading="narrow") == {}


def test_a_fall_alone_and_a_fall_with_the_last_place() -> None:
    assert grade(make_rule(FALL), "S00") == "A"
    assert grade(make_rule(FALL), "S05") == "D"
    both = make_rule(FALL, LAST)
    assert grade(both, "S00") == "C"  # it could not be last: S01 is far below
    assert grade(both, "S00", reading="wide") == "A"


def test_outside_the_peer_group_c_at_most() -> None:
    assert grade(make_rule(FALL), "S00", small=("S00",)) == "C"
    assert grade(make_rule(FALL), "S05", small=("S00",)) == "D"
    assert grade(make_rule(FALL), "S00", n=29) == "C"


def test_drop_and_stagnation_have_tests_of_their_own() -> None:
    assert grade(make_rule(DROP), "S00") == "B"
    assert grade(make_rule(DROP), "S01") == "D"
    assert grade(make_rule(STILL), "S01") == "B"
    assert grade(make_rule(STILL), "S00") == "D"


@pytest.mark.parametrize(("narrow", "unit", "expected"), [("any", "S00", "A"), ("any", "S01", "B"), ("all", "S01", "D")])
def test_of_several_tests_or_takes_the_strongest_and_takes_the_weakest(narrow: str, unit: str, expected: str) -> None:
    assert grade(make_rule(FALL, STILL, narrow=narrow), unit) == expected


def test_years_of_an_earlier_segment_are_left_out() -> None:
    cell = make_cell()
    early = (pl.col("unit") == "S00") & (pl.col("period") < YEARS[4])
    lines = cell.lines.with_columns(segment=pl.when(early).then(1).otherwise(2))
    peer = build_peer_series(lines)
    finder = EvidenceFinder()
    turned = PeerCell(cell.family, "G9", "composite", cell.units, YEARS, {"composite_z": peer}, lines)
    found = finder.find(make_rule(FALL), [turned], bounds={}, reading="narrow")
    assert found[("S00", "G9", "composite")]["n_periods"] == 2
    assert found[("S05", "G9", "composite")]["n_periods"] == 6


def test_equal_questions_are_answered_once() -> None:
    finder, cell = EvidenceFinder(), make_cell()
    first = finder.find(make_rule(FALL), [cell], bounds={"q": 0.1}, reading="narrow")
    again = finder.find(make_rule({**FALL, "years": 3}), [cell], bounds={"q": 0.1}, reading="narrow")
    assert first == again
    assert len(finder.results) == 1
    finder.find(make_rule(FALL), [cell], bounds={"q": 0.05}, reading="narrow")
    assert len(finder.results) == 2
