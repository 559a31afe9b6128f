"""The literal clause at its boundaries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from eduq.rulepacks.conditions import (
    MET,
    NOT_ASSESSABLE,
    NOT_MET,
    REASONS,
    Outcome,
    PeerSeries,
    below_cut,
    bottom_share,
    combine_outcomes,
    declining,
    flagged,
    last_place,
    reason_code,
    severe_drop,
    stagnating,
    target_missed,
)

N = None


def group(levels: Sequence[Sequence[float | None]], **more: Any) -> PeerSeries:
    """Return a peer group of units by years; None is a missing year."""
    level = np.array([[np.nan if value is None else value for value in row] for row in levels], dtype=float)
    reason = np.where(np.isnan(level), reason_code("missing_year"), 0).astype(np.int8)
    facts: dict[str, Any] = {
        "n": np.full(level.shape, 100),
        "reason": reason,
        "exempt": np.zeros(len(level), np.int8),
        "held": np.ones(level.shape, dtype=bool),
    }
    return PeerSeries(level=level, **(facts | more))


def said(outcome: Outcome, unit: int = 0) -> str:
    """Return one unit's result, with the reason when there is one."""
    code = int(outcome.code[unit])
    return {NOT_MET: "no", MET: "yes", NOT_ASSESSABLE: REASONS[int(outcome.reason[unit])]}[code]


def test_two_falls_need_three_years() -> None:
    assert said(declining(group([[0.3, 0.2, 0.1]]), years=2)) == "yes"
    assert said(declining(group([[0.2, 0.1]]), years=2)) == "missing_year"
    assert said(declining(group([[N, 0.2, 0.1]]), years=2)) == "missing_year"
    assert said(declining(group([[0.3, N, 0.1]]), years=2)) == "missing_year"
    assert said(declining(group([[0.9, 0.3, 0.2, 0.1]]), years=2)) == "yes"


def test_one_fall_after_a_gap_is_not_measured_over_the_gap() -> None:
    assert said(declining(group([[0.5, N, 0.1]]), years=1)) == "missing_year"


@pytest.mark.parametrize(("last", "expected"), [(0.2, "no"), (0.1999, "yes"), (0.25, "no")])
def test_a_fall_of_exactly_the_band_is_none(last: float, expected: str) -> None:
    assert said(declining(group([[0.3, last]]), years=1, noise_band=0.1)) == expected


def test_binary_fractions_do_not_decide() -> None:
    assert 0.3 - 0.1 < 0.2  # what plain subtraction would compare
    assert said(declining(group([[0.3, 0.1]]), years=1, noise_band=0.2)) == "no"


def test_rise_is_the_mirror() -> None:
    peer = group([[0.1, 0.2, 0.3], [0.3, 0.2, 0.1]])
    assert declining(peer, years=2, direction="rise").code.tolist() == [MET, NOT_MET]


def test_unset_numbers_are_not_assessable() -> None:
    peer = group([[0.3, 0.2]])
    for outcome in (
        declining(peer, years=None),
        declining(peer, years=1, noise_band=None),
        last_place(peer, years=1, last=None),
        bottom_share(peer, years=1, share=None),
        below_cut(peer, cut=None),
        severe_drop(peer, drop=None),
        stagnating(peer, years=1, band=None),
        flagged(peer, flags=None),
    ):
        assert said(outcome) == "parameter_missing"


def test_last_in_each_year() -> None:
    peer = group([[0.1, 0.1], [0.2, 0.05], [0.3, 0.3]])
    assert last_place(peer, years=2).code.tolist() == [NOT_MET, NOT_MET, NOT_MET]
    assert last_place(peer, years=1).code.tolist() == [NOT_MET, MET, NOT_MET]
    assert last_place(peer, years=2, last=2).code.tolist() == [MET, MET, NOT_MET]


def test_ties_share_the_last_place_or_nobody_holds_it() -> None:
    peer = group([[0.10001], [0.10003], [0.3]])  # equal as printed, to 10⁻⁴
    assert last_place(peer, years=1).code.tolist() == [MET, MET, NOT_MET]
    assert last_place(peer, years=1, ties="exclude").code.tolist() == [NOT_MET, NOT_MET, NOT_MET]
    assert last_place(peer, years=1, last=2, ties="exclude").code.tolist() == [MET, MET, NOT_MET]
    assert last_place(peer, years=1, last=3).code.tolist() == [MET, MET, MET]
    assert last_place(peer, years=1, last=9, ties="exclude").code.tolist() == [MET, MET, MET]


def test_small_and_missing_units_do_not_take_the_last_place() -> None:
    levels = [[-9.0], [-8.0], [-7.0], [0.1], [0.2]]
    peer = group(
        levels,
        n=np.array([[29], [100], [100], [30], [100]]),
        exempt=np.array([0, reason_code("small_school_exempt"), 0, 0, 0], np.int8),
        reason=np.array([[0], [0], [reason_code("not_comparable")], [0], [0]], np.int8),
        min_pupils=30,
    )
    found = last_place(peer, years=1)
    assert [said(found, unit) for unit in range(5)] == ["below_min_n", "small_school_exempt", "not_comparable", "yes", "no"]


@pytest.mark.parametrize(("units", "expected"), [(4, "peer_group_too_small"), (5, "yes")])
def test_smallest_peer_group(units: int, expected: str) -> None:
    peer = group([[0.1 * unit] for unit in range(units)], min_units=5)
    assert said(last_place(peer, years=1)) == expected


def test_peer_group_too_small_in_one_of_the_years_only() -> None:
    peer = group([[0.0, 0.0], [0.1, 0.1], [0.2, N]], min_units=3)
    assert said(last_place(peer, years=2)) == "peer_group_too_small"
    assert said(last_place(group([[0.0, 0.0], [N, 0.1], [0.2, 0.2]], min_units=3), years=1)) == "yes"


def test_post_must_be_held_in_the_year_a_fall_is_measured_from() -> None:
    held = np.array([[False, True, True]])
    peer = group([[0.3, 0.2, 0.1]], held=held)
    assert said(declining(peer, years=2)) == "tenure_incomplete"
    assert said(declining(peer, years=1)) == "yes"
    assert said(last_place(peer, years=2)) == "yes"


def test_the_gravest_reason_is_given() -> None:
    peer = group([[N, 0.2]], held=np.array([[False, False]]), exempt=np.array([reason_code("small_school_exempt")], np.int8))
    assert said(declining(peer, years=1)) == "small_school_exempt"


def test_lowest_share_is_rounded_up_to_whole_units() -> None:
    peer = group([[0.1 * unit] for unit in range(11)])
    assert bottom_share(peer, years=1, share=0.1).code.sum() == 2  # ⌈1.1⌉
    assert bottom_share(group([[0.1 * unit] for unit in range(10)]), years=1, share=0.1).code.sum() == 1
    assert bottom_share(group([[0.1 * unit] for unit in range(10)]), years=1, share=0.3).code.sum() == 3  # 0.3·10 > 3 in binary


@pytest.mark.parametrize(
    ("side", "expected"),
    [("below", "no"), ("at_or_below", "yes"), ("above", "no"), ("at_or_above", "yes")],
)
def test_sides_of_a_cut(side: str, expected: str) -> None:
    assert said(below_cut(group([[0.45]]), cut=0.45, side=side)) == expected


def test_severe_drop_against_the_year_before_or_the_mean_of_the_earlier_years() -> None:
    assert said(severe_drop(group([[0.5, 0.1]]), drop=0.4)) == "no"
    assert said(severe_drop(group([[0.5, 0.0999]]), drop=0.4)) == "yes"
    bounce = group([[0.0, 0.6, 0.1]])
    assert said(severe_drop(bounce, drop=0.4)) == "yes"
    assert said(severe_drop(bounce, drop=0.4, against="earlier_mean")) == "no"
    assert said(severe_drop(group([[9.0, N, 0.5, 0.0]]), drop=0.6, against="earlier_mean")) == "no"  # the gap ends the run
    assert said(severe_drop(group([[0.5, N, 0.0]]), drop=0.1, against="earlier_mean")) == "missing_year"


def test_stagnation_is_no_rise_beyond_the_band() -> None:
    assert said(stagnating(group([[0.0, 0.5, 0.1]]), years=2, band=0.05)) == "yes"
    assert said(stagnating(group([[0.0, 0.5, 0.1001]]), years=2, band=0.05)) == "no"
    assert said(stagnating(group([[0.3, 0.2, 0.1]]), years=2, band=0.05)) == "yes"
    assert said(stagnating(group([[0.0, N, 0.1]]), years=2, band=0.05)) == "missing_year"


def test_targets_up_down_and_not_yet_due() -> None:
    peer = group([[0.70], [0.70], [0.30], [0.10]])
    found = target_missed(
        peer,
        target=np.array([0.70, 0.7001, 0.29, 0.9]),
        rises=np.array([True, True, False, True]),
        overdue=np.array([True, True, True, False]),
    )
    assert [said(found, unit) for unit in range(4)] == ["no", "yes", "yes", "no"]
    assert (
        said(target_missed(group([[N]]), target=np.ones(1), rises=np.ones(1, bool), overdue=np.ones(1, bool))) == "missing_year"
    )


def test_flags_are_never_inferred() -> None:
    peer = group([[0.0], [0.0], [0.0]])
    flags = np.array([1, 0, -1], np.int8)
    assert [said(flagged(peer, flags=flags), unit) for unit in range(3)] == ["yes", "no", "parameter_missing"]
    assert [said(flagged(peer, flags=flags, expect=False), unit) for unit in range(3)] == ["no", "yes", "parameter_missing"]


def test_three_valued_logic() -> None:
    values = {NOT_MET: 0, MET: 1, NOT_ASSESSABLE: 2}
    codes = [Outcome(np.array([code], np.int8), np.array([7 if code == 2 else 0], np.int8)) for code in values]
    no, yes, open_ = codes
    assert [int(combine_outcomes(pair, "all").code[0]) for pair in ([yes, yes], [yes, open_], [no, open_], [no, yes])] == [
        1,
        2,
        0,
        0,
    ]
    assert [int(combine_outcomes(pair, "any").code[0]) for pair in ([no, no], [yes, open_], [no, open_], [no, yes])] == [
        0,
        1,
        2,
        1,
    ]
    assert int(combine_outcomes([no, open_], "all").reason[0]) == 0
    assert int(combine_outcomes([no, open_], "any").reason[0]) == 7


def test_an_earlier_year_is_judged_with_what_was_known_then() -> None:
    peer = group([[0.3, 0.2, 0.9]])
    assert said(declining(peer, years=1)) == "no"
    assert said(declining(peer.until(1), years=1)) == "yes"
