"""What the evidence grades promise, on simulated counties: small here, in full by benchmarks/calibration/declines.py."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks.calibration.counties import County, draw_counties, literal_clause
from benchmarks.calibration.declines import grade_figures
from benchmarks.calibration.pages import render_page

from eduq.estimates.declines import fit_worlds

ROOT = Path(__file__).resolve().parents[2]
WORLDS = 500


def figures(county: County, *, seed: int, worlds: int = WORLDS, last_place: bool = False) -> dict[str, tuple[float, float]]:
    drawn = draw_counties(county, worlds=worlds, seed=seed)
    return grade_figures(drawn, fit_worlds(drawn.means, drawn.variances, last_place=last_place))


def two_se(p: float, worlds: int = WORLDS) -> float:
    """Two Monte-Carlo standard errors of a share."""
    return 2 * float(np.sqrt(p * (1 - p) / worlds))


@pytest.mark.parametrize("years", [3, 4, 5, 6])
def test_unchanged_counties_rarely_have_a_false_a_or_b_and_intervals_cover(years: int) -> None:
    found = figures(County(years=years), seed=years)
    assert found["false_ab"][0] <= 0.10 + two_se(0.10)
    assert found["false_a"][0] <= (0.05 + two_se(0.05) if years > 3 else 0.0)
    assert 0.93 <= found["coverage"][0] <= 0.97


def test_one_falling_school_is_found() -> None:
    assert figures(County(falls=(-0.2,)), seed=11)["power_ab"][0] >= 0.60
    assert figures(County(falls=(-0.1,)), seed=12, worlds=300)["power_ab"][0] <= 0.25


def test_four_of_forty_keep_the_false_discovery_rate() -> None:
    found = figures(County(falls=(-0.2,) * 4), seed=13)
    assert found["fdr"][0] <= 0.10
    assert found["power_ab"][0] >= 0.60


def test_the_lowest_third_as_family_keeps_size_and_adds_power() -> None:
    assert figures(County(), seed=14, last_place=True)["false_ab"][0] <= 0.10 + two_se(0.10)
    low = County(falls=(-0.2,), level_of_first=-0.6)
    assert figures(low, seed=15, last_place=True)["power_ab"][0] > figures(low, seed=15)["power_ab"][0] + 0.03


def test_correlated_shocks_cost_b_its_promise_and_leave_a_near_it() -> None:
    found = figures(County(correlation=0.3), seed=16, worlds=800)
    assert found["false_a"][0] <= 0.12 + two_se(0.12, 800)
    assert found["false_ab"][0] > 0.15


@pytest.mark.parametrize("groups", [2, 3])
def test_pooled_year_groups_need_the_covariance_of_shared_cohorts(groups: int) -> None:
    drawn = draw_counties(County(pooled=groups), worlds=300, seed=17)
    even = np.broadcast_to(drawn.variances.mean(axis=2, keepdims=True), drawn.variances.shape)
    stable = {}
    for overlap in (1, groups):
        fits = fit_worlds(drawn.means, even, overlap=overlap)
        stable[overlap] = float(((fits.letter > 0) & (fits.letter <= 2)).any(axis=1).mean())
    assert stable[1] > 0.5
    assert stable[groups] <= 0.10 + two_se(0.10, 300)


def test_literal_clauses_on_unchanged_counties() -> None:
    drawn = draw_counties(County(), worlds=800, seed=18)
    assert literal_clause(drawn.means, years=2)["or"].sum(axis=1).mean() == pytest.approx(6.9, abs=0.4)
    assert literal_clause(drawn.means, years=2)["and_each"].sum(axis=1).mean() == pytest.approx(0.14, abs=0.05)


def test_the_page_is_made_of_the_committed_figures() -> None:
    rows = json.loads((ROOT / "benchmarks" / "calibration" / "declines.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "explanation" / "calibration.md").read_text(encoding="utf-8")
    assert page == render_page(rows)
    assert min(row["counties"] for row in rows) >= 2000
    found = {(row["scenario"], row["years"], row["figure"]): row for row in rows}
    for years in (3, 4, 5, 6):
        false = found["no_change", years, "false_ab"]
        assert false["value"] <= 0.10 + 2 * false["mc_se"]
        assert 0.93 <= found["no_change", years, "coverage"]["value"] <= 0.97
        assert found["four_0.2", years, "fdr"]["value"] <= 0.10
    assert found["one_0.2", 4, "power_ab"]["value"] >= 0.60
