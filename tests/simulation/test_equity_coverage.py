"""What the intervals of equity promise, on simulated counties: small here, in full by benchmarks/calibration/equity.py."""

from __future__ import annotations

import json

import numpy as np
import pytest
from benchmarks.calibration.equity import AREAS, HERE, MARKS, PAGE, render_table, simulate

WORLDS = 100
PROMISED = ("between_school_share", "icc", "weighted_cv")


@pytest.mark.parametrize("name", ["standard", "alike"])
def test_intervals_of_share_correlation_and_coefficient_of_variation_cover(name: str) -> None:
    found = simulate(AREAS[name], worlds=WORLDS, seed=77)
    slack = 2 * float(np.sqrt(0.05 * 0.95 / WORLDS))
    for index in PROMISED:
        assert 0.93 - slack <= found[index]["coverage"] <= 0.97 + slack, index


def test_small_schools_do_not_make_an_area_look_unequal() -> None:
    found = simulate(AREAS["small_schools"], worlds=WORLDS, seed=78)
    assert abs(found["weighted_cv"]["bias"]) < 0.002
    assert abs(found["between_school_share"]["bias"]) < 0.01


def test_the_page_shows_the_figures_of_the_full_run() -> None:
    figures = json.loads((HERE / "equity.json").read_text())
    assert set(figures) == set(AREAS)
    table = PAGE.read_text(encoding="utf-8").split(MARKS[0])[1].split(MARKS[1])[0]
    assert table == render_table(figures)
    for name in ("standard", "small_schools", "alike", "few_schools", "many_schools"):
        for index in PROMISED:
            assert 0.93 <= figures[name]["figures"][index]["coverage"] <= 0.97, (name, index)
