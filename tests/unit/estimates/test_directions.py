"""Which way a course goes: the same bar for a rise as for a fall."""

from __future__ import annotations

import polars as pl

from eduq.estimates.declines.directions import DIRECTIONS, add_direction


def told(grades: list[str | None], p: list[float | None], q: float = 0.10) -> list[str]:
    return add_direction(pl.DataFrame({"evidence_grade": grades, "p_value": p}), q=q)["direction"].to_list()


def test_only_strong_grades_are_falling() -> None:
    assert told(["A", "B", "C", "D"], [0.0001, 0.01, 0.08, 0.5]) == ["falling", "falling", "unclear", "unclear"]


def test_a_rise_needs_the_same_q_over_the_family() -> None:
    many = ["D"] * 20
    assert told(many, [0.99] + [0.5] * 19).count("rising") == 0  # one of twenty at p = .01 is not enough: q = .20
    assert told(["D"] * 5, [0.99] + [0.5] * 4)[0] == "rising"  # one of five: q = .05
    assert told(["D"] * 5, [0.99] + [0.5] * 4, q=0.04).count("rising") == 0


def test_without_a_grade_there_is_too_little_data() -> None:
    assert told([None, "D"], [None, 0.999]) == ["too_little", "rising"]
    assert add_direction(pl.DataFrame()).is_empty()
    assert set(told([None, "A", "D", "D"], [None, 0.001, 0.999, 0.4])) == set(DIRECTIONS)
