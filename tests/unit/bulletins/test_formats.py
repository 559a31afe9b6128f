"""How numbers, intervals, dates and sentences are printed."""

from __future__ import annotations

import pytest

from eduq.bulletins.formats import MINUS, format_date, format_number, format_value, measure_kind, phrase, say, typed


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (18412, "count", "18,412"),
        (74.25, "score", "74.3"),
        (1 / 80, "percent", "1.3%"),
        (23 / 80, "rate", "28.8"),
        (0.285, "gap", "+0.29"),
        (-0.125, "gap", f"{MINUS}0.13"),
        (2.675, "number2", "2.68"),
        (0.0005, "percent", "0.1%"),
        (1 / 3, "percent", "33.3%"),
        (0.9873, "rate", "98.7"),
        (0.9873, "percent", "98.7%"),
        (0.95, "level", "95%"),
        (-0.412, "gap", f"{MINUS}0.41"),
        (0.412, "gap", "+0.41"),
        (0.0, "gap", "0.00"),
        (-0.001, "gap", "0.00"),
        (0.0312, "change", "+3.1"),
        (120, "full", "120"),
        (7.5, "full", "7.5"),
        ([139, 142], "base", "139 / 142"),
        (None, "score", "—"),
        (float("nan"), "score", "—"),
        ("", "gap", ""),
    ],
)
def test_values_are_printed_by_kind(value: object, kind: str, expected: str) -> None:
    assert format_value(value, kind, "zh") == expected


def test_an_interval_keeps_its_sides_of_zero() -> None:
    assert format_value([-0.051, 0.689], "interval_gap", "zh") == f"{MINUS}0.05\u00a0—\u00a0+0.69"
    assert format_value([0.004, 0.09], "interval_gap", "en") == "+0.004\u00a0—\u00a0+0.09"
    assert format_value([-0.06, -0.0004], "interval_gap", "en") == f"{MINUS}0.06\u00a0—\u00a0{MINUS}0.0004"


def test_a_missing_number_says_why_in_both_languages() -> None:
    barred = {"reason": "marking_not_shared"}
    assert format_value(barred, "gap", "zh") == "不可比"
    assert format_value(barred, "gap", "en") == "not comparable"
    assert format_value({"reason": "no_such_reason"}, "gap", "zh") == "—"


def test_dates_follow_the_language() -> None:
    assert format_date("2026-01-05", "zh") == "2026年1月5日"
    assert format_date("2026-01-05", "en") == "5 January 2026"


def test_hyphen_never_stands_for_minus() -> None:
    assert "-" not in format_number(-1234.5, 1)


def test_sentences_take_raw_parameters_and_escape_only_data() -> None:
    said = phrase(
        "bulletin.results.tally",
        unit="所|学校",
        each="所",
        compared=1400,
        above=3,
        below=2,
        same=9,
        area=phrase("bulletin.area.county"),
    )
    shown = say(said, "zh", lambda value: value.replace("|", "\\|"))
    assert "1,400 所\\|学校" in shown
    assert "与全县**无法区分**" in shown


def test_lists_join_as_the_language_does() -> None:
    assert say(["甲", "乙"], "zh") == "甲、乙"
    assert say([1, typed(0.5, "percent")], "en") == "1, 50.0%"


def test_a_local_measure_is_printed_after_its_kind() -> None:
    assert measure_kind("pass_rate_local", {"kind": "proportion"}) == "rate"
    assert measure_kind("composite_local", {"kind": "composite"}) == "number2"
    assert measure_kind("z_mean") == "gap"
