"""Differences of flows from pupils who started alike: what their intervals hold where no school adds anything."""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl
import pytest

import eduq as eq

WORLDS, SCHOOLS = 12, 40
RELIABILITY = 0.9


def _held(spread: float, truth: Literal["score", "ability"], seed: int) -> pl.DataFrame:
    """Return the share of intervals that hold zero, per rate, of schools whose intakes have that SD and that add nothing."""
    draw = np.random.default_rng(seed)
    error = np.sqrt(1 / RELIABILITY - 1)
    found = []
    for _ in range(WORLDS):
        school = np.repeat(np.arange(SCHOOLS), draw.integers(40, 200, SCHOOLS))
        n = len(school)
        ability = draw.normal(0, spread, SCHOOLS)[school] + draw.normal(0, np.sqrt(1 - spread**2), n)
        before = ability + draw.normal(0, error, n)
        after = ability + draw.normal(0, error, n) if truth == "ability" else 0.8 * before + draw.normal(0, 0.5, n)
        frame = pl.DataFrame({"school": school, "before": np.round(70 + 12 * before), "after": np.round(70 + 12 * after)})
        flows = eq.measure_flows(frame, outcome="after", prior="before", unit="school").frame
        low = eq.measure_low_groups(frame, subjects={"math": ("before", "after")}, unit="school").frame.drop("subject")
        found += [flows.filter(pl.col("flow") != "cell"), low.filter(pl.col("flow") != "leaving")]
    known = pl.concat(found).drop_nulls("difference_lower")
    held = (pl.col("difference_lower") <= 0) & (pl.col("difference_upper") >= 0)
    return known.group_by("flow", "band_from", maintain_order=True).agg(held.mean().alias("held"), pl.len().alias("n"))


@pytest.mark.parametrize("spread", [0.0, 0.35, 0.5])
def test_intervals_hold_zero_where_equal_scores_mean_equal_chances(spread: float) -> None:
    found = _held(spread, "score", 41)
    assert found.height == 5
    assert found["n"].min() > 0.95 * WORLDS * SCHOOLS  # type: ignore[operator]
    assert found["held"].is_between(0.93, 0.98).all(), found


def test_measurement_error_of_the_prior_score_still_leans_towards_a_high_intake() -> None:
    """As the page says: 95 % with equal intakes, a little less where they differ, never as little as with one rate per band."""
    assert _held(0.0, "ability", 42)["held"].is_between(0.93, 0.98).all()
    assert _held(0.5, "ability", 43)["held"].is_between(0.89, 0.96).all()
