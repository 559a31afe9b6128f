"""Intervals against independent references: published values, statsmodels, scipy, and R where it is installed."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint
from tests.builders import build_scores, one_school, pick

import eduq as eq
from eduq.estimates.intervals import binomial_ranks, ratio_to_whole, spread, wilson
from eduq.estimates.measures import load_measures

HERE = Path(__file__).parent
SCORES = json.loads((HERE / "scores.json").read_text())
"""Two schools of 25 and 40 candidates, half marks, drawn once: see answers.R."""
ANSWERS = json.loads((HERE / "answers.json").read_text())


def build() -> pl.DataFrame:
    return eq.describe(build_scores(one_school(SCORES["A"]) + one_school(SCORES["B"], school="B"))).frame


def test_wilson_published_value() -> None:
    # Newcombe (1998), Statistics in Medicine 17, 857-872, table I: 81 of 263 and 15 of 148, 95 %
    for successes, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        _, found_low, found_high = wilson(np.array([float(successes)]), np.array([float(n)]), 0.95)
        assert (round(float(found_low[0]), 4), round(float(found_high[0]), 4)) == (low, high)


def test_wilson_equals_statsmodels() -> None:
    n = np.repeat([1, 2, 7, 30, 1000], 3).astype(float)
    k = np.array([0, 1, 1, 0, 1, 2, 0, 3, 7, 5, 15, 29, 1, 500, 1000], dtype=float)
    _, low, high = wilson(k, n, 0.99)
    for i in range(len(n)):
        expected = proportion_confint(k[i], n[i], alpha=0.01, method="wilson")
        assert (low[i], high[i]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("school", ["A", "B"])
def test_level_measures_equal_r(school: str) -> None:
    frame, answer = build(), ANSWERS[school]
    mean, rate = pick(frame, "mean_score", unit=school), pick(frame, "pass_rate", unit=school)
    assert [mean["estimate"], mean["ci_lower"], mean["ci_upper"]] == pytest.approx(answer["mean"], rel=1e-9)
    assert [rate["estimate"], rate["ci_lower"], rate["ci_upper"]] == pytest.approx(answer["pass"], rel=1e-9)
    quartiles = [pick(frame, name, unit=school)["estimate"] for name in ("q1", "median", "q3")]
    assert quartiles == pytest.approx(answer["quartiles"], rel=1e-12)


@pytest.mark.r
@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed; the stored answers are used")
def test_stored_answers_are_what_r_gives() -> None:
    found = subprocess.run(
        ["Rscript", "--vanilla", str(HERE / "answers.R"), str(HERE / "scores.json")], capture_output=True, text=True, check=True
    )
    fresh = json.loads(found.stdout)
    for school, answers in ANSWERS.items():
        for name, values in answers.items():
            assert fresh[school][name] == pytest.approx(values, rel=1e-9)


@pytest.mark.parametrize("q", [0.1, 0.25, 0.5, 0.75, 0.9])
def test_quantile_ranks_equal_a_search_over_the_binomial(q: float) -> None:
    n = np.array([6, 7, 10, 29, 100, 457, 3001])
    low, high, coverage = binomial_ranks(n, q, 0.95)
    for i, size in enumerate(n):
        ranks = np.arange(1, size + 1)
        below, above = stats.binom.cdf(ranks - 1, size, q), stats.binom.sf(ranks - 1, size, q)
        expected_low = ranks[below <= 0.025].max() if (below <= 0.025).any() else 1
        expected_high = ranks[above <= 0.025].min() if (above <= 0.025).any() else size
        assert (low[i], high[i]) == (expected_low, expected_high)
        assert coverage[i] == pytest.approx(1 - below[expected_low - 1] - above[expected_high - 1])


def test_small_schools_take_the_pooled_sd() -> None:
    small, large = [50, 70, 90], list(range(40, 80))
    frame = eq.describe(build_scores(one_school(small) + one_school(large, school="B"))).frame
    squares = sum((x - 70) ** 2 for x in small) + sum((x - np.mean(large)) ** 2 for x in large)
    df = len(small) + len(large) - 2
    line = pick(frame, "mean_score")
    assert line["method"] == "t_pooled"
    assert line["std_error"] == pytest.approx(math.sqrt(squares / df / 3))
    assert line["ci_upper"] == pytest.approx(70 + stats.t.ppf(0.975, df) * line["std_error"])


def test_a_gap_is_the_contrast_of_a_school_with_the_others() -> None:
    frame = build()
    a, b, everyone = np.array(SCORES["A"]), np.array(SCORES["B"]), np.array(SCORES["A"] + SCORES["B"])
    pooled = (a.var() * 25 + b.var() * 40) / 63
    line = pick(frame, "z_mean")
    assert line["estimate"] == pytest.approx((a.mean() - everyone.mean()) / everyone.std())
    assert line["method"] == "t_pooled_part_of_area"
    assert line["std_error"] == pytest.approx(40 / 65 * math.sqrt(pooled / 25 + b.var(ddof=1) / 40) / everyone.std())


def test_two_schools_with_unlike_spread_get_one_verdict() -> None:
    rng = np.random.default_rng(2)
    narrow, wide = np.round(60 + 2 * rng.standard_normal(60), 1), np.round(55 + 15 * rng.standard_normal(60), 1)
    frame = eq.describe(build_scores(one_school(list(narrow)) + one_school(list(wide), school="B"))).frame
    a, b = pick(frame, "z_mean"), pick(frame, "z_mean", unit="B")
    welch = stats.ttest_ind(narrow, wide, equal_var=False)
    assert a["std_error"] == pytest.approx(b["std_error"])
    assert a["estimate"] / a["std_error"] == pytest.approx(welch.statistic)
    t = stats.t.ppf(0.975, welch.df)
    assert a["ci_lower"] == pytest.approx(a["estimate"] - t * a["std_error"])


def test_gaps_of_equal_schools_cover_zero_at_the_stated_rate() -> None:
    rng = np.random.default_rng(23)
    covered = []
    for _ in range(150):
        rows = [
            {"school_id": school, "math": float(score)}
            for school, n in (("A", 12), ("B", 40), ("C", 150))
            for score in np.clip(np.round(60 + 15 * rng.standard_normal(n), 1), 0, 100)
        ]
        frame = eq.describe(build_scores(rows), measures=load_measures(names=["z_mean"])).frame
        covered += ((frame["ci_lower"] <= 0) & (frame["ci_upper"] >= 0)).to_list()
    assert 0.92 <= np.mean(covered) <= 0.98  # 450 intervals, Monte-Carlo SE .010


def test_delta_method_of_a_ratio_equals_a_bootstrap_of_candidates() -> None:
    rng = np.random.default_rng(5)
    a, b = np.array(SCORES["A"]), np.array(SCORES["B"])
    draws_a, draws_b = rng.choice(a, (20_000, 25)).mean(axis=1), rng.choice(b, (20_000, 40)).mean(axis=1)
    simulated = draws_a / ((25 * draws_a + 40 * draws_b) / 65)
    _, std_error = ratio_to_whole(
        np.array([a.mean()]), np.array([a.var() / 25]), np.array([b.mean()]), np.array([b.var() / 40]), np.array([25 / 65])
    )
    assert float(std_error[0]) == pytest.approx(simulated.std(), rel=0.03)


def test_interval_of_the_sd_covers_for_scores_that_are_not_normal() -> None:
    rng = np.random.default_rng(11)
    worlds, n = 4000, 120
    samples = 100 * rng.beta(5, 2, (worlds, n))  # skewed like an easy paper
    true_sd = 100 * stats.beta(5, 2).std()
    sd = samples.std(axis=1, ddof=1)
    fourth = ((samples - samples.mean(axis=1, keepdims=True)) ** 4).mean(axis=1)
    _, low, high = spread(sd, np.full(worlds, float(n)), fourth, 0.95)
    coverage = float(((low <= true_sd) & (true_sd <= high)).mean())
    assert 0.925 <= coverage <= 0.97  # Monte-Carlo SE .0035
