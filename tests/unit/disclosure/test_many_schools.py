"""A province of more schools than are searched at once: what is withheld holds against linear programs over all of them."""

from __future__ import annotations

import numpy as np
import polars as pl
from scipy.optimize import linprog

from eduq.disclosure.suppression import AREA, protect_estimates
from eduq.estimates.measures import load_measures
from eduq.settings import RunSettings

FULL, SCHOOLS, TOWNSHIPS = 100, 330, 30
EACH = {"mean_score": float(FULL), "pass_rate": 1.0}


def draw() -> tuple[pl.DataFrame, pl.DataFrame, dict[tuple[str, str], list[int]], list[np.ndarray]]:
    """Return estimates, register, members of each unit, and the scores of each school; one school in 30 is small."""
    rng = np.random.default_rng(11)
    sizes = np.where(np.arange(SCHOOLS) % 30 == 7, rng.integers(3, 10, SCHOOLS), rng.integers(12, 90, SCHOOLS))
    scores = [np.clip(np.round(rng.normal(62 + rng.normal(0, 6), 17, n)), 0, FULL) for n in sizes]
    register = pl.DataFrame(
        {
            "school_id": [f"S{i:03d}" for i in range(SCHOOLS)],
            "township": [f"T{i % TOWNSHIPS:02d}" for i in range(SCHOOLS)],
            "area_type": [("urban", "rural")[i % 7 < 3] for i in range(SCHOOLS)],
        }
    )
    members: dict[tuple[str, str], list[int]] = {AREA: list(range(SCHOOLS))}
    for place in ("township", "area_type"):
        for i, unit in enumerate(register[place]):
            members.setdefault((place, unit), []).append(i)
    members |= {("school", f"S{i:03d}"): [i] for i in range(SCHOOLS)}
    rows = []
    for (unit_type, unit), own in members.items():
        found = np.concatenate([scores[i] for i in own])
        error = float(found.std(ddof=1) / len(found) ** 0.5)
        rows.append(("g", "math", "mean_score", unit_type, unit, len(found), float(found.mean()), error))
        rows.append(("g", "math", "pass_rate", unit_type, unit, len(found), float((found >= 60).mean()), None))
    columns = ["comparison_group", "paper", "measure", "unit_type", "unit", "n", "estimate", "std_error"]
    return pl.DataFrame(rows, schema=columns, orient="row"), register, members, scores


def test_no_small_school_of_a_province_is_told_by_all_totals_together() -> None:
    estimates, register, members, scores = draw()
    pattern = protect_estimates(
        estimates, exam_id="E", edition="bureau", schools=register, settings=RunSettings(), measures=load_measures(),
        shown_types=("area", "township", "area_type", "school"), full_marks={"g": float(FULL)},
    )  # fmt: skip
    assert len(pattern.secondary) < len(estimates) / 4
    for measure, each in EACH.items():
        value = [float(s.sum() if measure == "mean_score" else (s >= 60).sum()) for s in scores]
        shown = {(key[3], key[4]) for key in pattern.shown.cells if key[2] == measure}
        hidden = sorted(key[4] for key in pattern.primary if key[2] == measure)
        assert len(hidden) == 11
        matrix = np.array([[float(i in set(members[cell])) for i in range(SCHOOLS)] for cell in sorted(shown)])
        told = np.array([sum(value[i] for i in members[cell]) for cell in sorted(shown)])
        for school in hidden:
            place, n = int(school[1:]), len(scores[int(school[1:])])
            aim = (np.arange(SCHOOLS) == place).astype(float)
            ends = [
                sign * linprog(sign * aim, A_eq=matrix, b_eq=told, bounds=[(0, each * len(s)) for s in scores]).fun
                for sign in (1, -1)
            ]
            required = each * min(n, 0.2 * n + 1) if measure == "mean_score" else min(n, 6)
            assert ends[1] - ends[0] >= required - 1e-6, (measure, school)
