"""What rank sets promise, on simulated counties: small here, in full by benchmarks/calibration/ranks.py."""

from __future__ import annotations

import json

import numpy as np
import pytest
from benchmarks.calibration.ranks import COUNTIES, HERE, MARKS, PAGE, render_table, simulate

WORLDS = 150


@pytest.mark.parametrize("name", list(COUNTIES))
def test_all_rank_sets_hold_together_and_the_truly_last_is_kept(name: str) -> None:
    found = simulate(COUNTIES[name], worlds=WORLDS, seed=91)
    allowed = 0.95 - 2 * float(np.sqrt(0.05 * 0.95 / WORLDS))
    assert found["together"] >= allowed
    assert found["kept"] >= allowed


def test_the_page_shows_the_figures_of_the_full_run() -> None:
    figures = json.loads((HERE / "ranks.json").read_text())
    assert set(figures) == set(COUNTIES)
    table = PAGE.read_text(encoding="utf-8").split(MARKS[0])[1].split(MARKS[1])[0]
    assert table == render_table(figures)
    for name, found in figures.items():
        error = float(np.sqrt(0.05 * 0.95 / found["figures"]["worlds"]))
        assert found["figures"]["together"] >= 0.95 - 2 * error, name
        assert found["figures"]["kept"] >= 0.95 - 2 * error, name
