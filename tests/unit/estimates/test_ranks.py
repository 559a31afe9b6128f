"""Shrinkage, rank sets, who could be last and who probably is."""

from __future__ import annotations

import numpy as np
import pytest

from eduq.estimates import ranks
from eduq.estimates.ranks import could_be_last, last_place_p, probability_last, rank_sets, shrink


def units(seed: int, size: int, spread: float = 0.3) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], ...]:
    rng = np.random.default_rng(seed)
    errors = np.sqrt(0.85 / rng.integers(15, 500, size) + 0.01)
    return rng.normal(0, spread, size) + errors * rng.normal(size=size), errors


def test_paule_mandel_solves_its_equation_and_shrinks_toward_the_mean() -> None:
    x, s = units(1, 30)
    found = shrink(x, s)
    weight = 1 / (found.variance + s**2)
    assert float((weight * (x - found.mean) ** 2).sum()) == pytest.approx(29, abs=1e-6)
    assert found.estimate == pytest.approx(found.mean + found.reliability * (x - found.mean))
    expected = np.sqrt(found.reliability * s**2 + (1 - found.reliability) ** 2 / weight.sum())
    assert found.std_error == pytest.approx(expected)


def test_equal_values_shrink_to_the_mean() -> None:
    found = shrink(np.full(8, 0.2), np.linspace(0.1, 0.3, 8))
    assert float(found.variance) == 0
    assert found.reliability == pytest.approx(np.zeros(8))
    assert found.estimate == pytest.approx(np.full(8, 0.2))


def test_families_side_by_side_equal_families_alone() -> None:
    first, second = units(2, 12), units(3, 12)
    x, s = np.stack([first[0], second[0]]), np.stack([first[1], second[1]])
    both = probability_last(x, s)
    assert both[0] == pytest.approx(probability_last(*first), abs=1e-9)
    assert both[1] == pytest.approx(probability_last(*second), abs=1e-9)
    p = last_place_p(x, s, np.array([4, 7]))
    assert p == pytest.approx([last_place_p(x[i : i + 1], s[i : i + 1], np.array([j]))[0] for i, j in ((0, 4), (1, 7))])


def test_large_families_count_as_small_ones_do(monkeypatch: pytest.MonkeyPatch) -> None:
    x, s = units(4, 300)
    large, clear = rank_sets(x, s), could_be_last(x, s)
    monkeypatch.setattr(ranks, "DIRECT", 1000)
    small = rank_sets(x, s)
    assert large.lower.tolist() == small.lower.tolist()
    assert large.upper.tolist() == small.upper.tolist()
    assert clear.tolist() == could_be_last(x, s).tolist()


def test_rank_sets_hold_the_rank_and_ties_share() -> None:
    x, s = units(5, 60)
    x[3] = x[4] + 1e-6
    found = rank_sets(x, s)
    assert bool(((found.lower <= found.rank) & (found.rank <= found.upper)).all())
    assert found.rank[3] == found.rank[4]
    assert found.rank.min() == 1


@pytest.mark.parametrize("places", [1, 2, 3])
def test_probabilities_of_the_last_places_add_up(places: int) -> None:
    x, s = units(6, 25)
    p = probability_last(x, s, places=places)
    assert float(p.sum()) == pytest.approx(places, abs=1e-6)
    found = shrink(x, s)
    draws = np.random.default_rng(1).normal(found.estimate, np.sqrt(found.reliability) * s, (60_000, 25))
    drawn = (draws.argsort(axis=1).argsort(axis=1) < places).mean(axis=0)
    assert p == pytest.approx(drawn, abs=0.01)


def test_more_places_keep_more_units() -> None:
    x, s = units(7, 40)
    one, three = could_be_last(x, s), could_be_last(x, s, places=3)
    assert bool((three | ~one).all())
    assert three.sum() > one.sum()
    assert bool(could_be_last(x[:2], s[:2], places=2).all())
    assert one[np.argmin(x)]


def test_sets_keep_what_they_promise() -> None:
    # three tied at the bottom of 20, and all 20 equal: each truly last unit stays in with probability .95
    rng = np.random.default_rng(8)
    s = np.sqrt(0.85 / rng.integers(20, 300, 20) + 0.01)
    for truth in (np.r_[np.full(3, -0.4), np.linspace(0, 0.8, 17)], np.zeros(20)):
        x = truth + s * rng.normal(size=(1200, 20))
        kept = last_place_p(x, s * np.ones_like(x), np.zeros(1200, dtype=np.intp)) > 0.05
        assert kept.mean() >= 0.95 - 2 * np.sqrt(0.05 * 0.95 / 1200)
    covered = [_covers(rank_sets(row, s), np.zeros(20)) for row in s * rng.normal(size=(600, 20))]
    assert np.mean(covered) >= 0.95 - 2 * np.sqrt(0.05 * 0.95 / 600)


def _covers(found: ranks.Ranks, truth: np.ndarray[tuple[int], np.dtype[np.float64]]) -> bool:
    """All units equal: every rank set must hold the whole range of ranks, 1 to S."""
    del truth
    return bool((found.lower == 1).all() and (found.upper == len(found.rank)).all())
