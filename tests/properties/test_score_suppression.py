"""An attacker who lays mean, SD and rates of a paper together, with whole candidates and whole scores."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from eduq.disclosure.suppression import AREA, Cell, Pattern, Shown, protect_estimates
from eduq.errors import DisclosureError
from eduq.estimates.measures import load_measures
from eduq.settings import RunSettings

FULL, MIN_N, SMALL = 20, 6, ("school", "S0")
RUN = RunSettings(min_n_reporting=MIN_N)
NAMES = ("mean_score", "sd", "pass_rate", "excellent_rate")
MEASURES = load_measures(None, NAMES)
TYPES = {"bureau": ("area", "township", "school"), "government": ("area", "township")}
LEAST_SHARE = 0.2


def units(scores: list[list[int]]) -> dict[Cell, list[int]]:
    found: dict[Cell, list[int]] = {AREA: list(range(len(scores)))}
    for i in range(len(scores)):
        found.setdefault(("township", f"T{i % 2}"), []).append(i)
        found["school", f"S{i}"] = [i]
    return found


def withhold(scores: list[list[int]], edition: str = "bureau", issued: tuple[Shown, ...] = ()) -> Pattern:
    rows = []
    for (unit_type, unit), own in units(scores).items():
        all_scores = np.array([one for i in own for one in scores[i]])
        values = (all_scores.mean(), all_scores.std(), (all_scores >= 12).mean(), (all_scores >= 17).mean())
        rows += [(unit_type, unit, name, len(all_scores), float(value)) for name, value in zip(NAMES, values, strict=True)]
    frame = pl.DataFrame(rows, schema=["unit_type", "unit", "measure", "n", "estimate"], orient="row").with_columns(
        pl.lit("g").alias("comparison_group"), pl.lit("math").alias("paper"), pl.lit(None, dtype=pl.Float64).alias("std_error")
    )
    register = pl.DataFrame(
        {"school_id": [f"S{i}" for i in range(len(scores))], "township": [f"T{i % 2}" for i in range(len(scores))]}
    )
    return protect_estimates(
        frame, exam_id="E", edition=edition, schools=register, settings=RUN, measures=MEASURES, shown_types=TYPES[edition],
        full_marks={"g": float(FULL)}, issued=issued,
    )  # fmt: skip


def attack(scores: list[list[int]], cells: set[tuple[str, Cell]], known: int | None = None) -> tuple[int, int]:
    """Return least and greatest sum of the small school over all whole score tables that agree with what is shown.

    ``known`` is the score of one of its candidates, known beforehand.
    """
    k, grid = len(scores), np.arange(FULL + 1)
    values = {"mean_score": grid, "sd": grid**2, "pass_rate": grid >= 12, "excellent_rate": grid >= 17}
    rows, right = [], []
    for i, own in enumerate(scores):
        line = np.zeros((k, FULL + 1))
        line[i] = 1
        rows.append(line.ravel())
        right.append(len(own))
    for name, cell in cells:
        line = np.zeros((k, FULL + 1))
        line[units(scores)[cell]] = values[name]
        rows.append(line.ravel())
        right.append(int(sum(values[name][one] for i in units(scores)[cell] for one in scores[i])))
    lower = np.zeros((k, FULL + 1))
    if known is not None:
        lower[0, known] = 1
    aim = np.zeros((k, FULL + 1))
    aim[0] = grid
    found = []
    for sign in (1, -1):
        solved = milp(
            sign * aim.ravel(), constraints=LinearConstraint(np.array(rows), right, right), integrality=np.ones(aim.size),
            bounds=Bounds(lower.ravel(), np.inf), options={"time_limit": 20},
        )  # fmt: skip
        assert solved.x is not None, solved.message
        found.append(round(sign * solved.fun))
    return found[0], found[1]


def cells_of(*shown: Shown) -> set[tuple[str, Cell]]:
    return {(key[2], (key[3], key[4])) for one in shown for key in one.cells}


def required(scores: list[list[int]]) -> float:
    n = len(scores[0])
    return FULL * min(n, LEAST_SHARE * n + 1)


@st.composite
def counties(draw: st.DrawFn) -> list[list[int]]:
    sizes = [draw(st.integers(2, 5)), *(draw(st.integers(8, 16)) for _ in range(draw(st.integers(4, 6))))]
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    return [np.clip(np.round(rng.normal(12, 4, n)), 0, FULL).astype(int).tolist() for n in sizes]


PLAIN: list[list[int]] = [
    np.clip(np.round(np.random.default_rng(i).normal(12, 4, n)), 0, FULL).astype(int).tolist()
    for i, n in enumerate((4, 9, 10, 12, 14, 15))
]


def test_the_sd_tells_a_sum_that_the_means_alone_leave_open() -> None:
    """With two schools withheld the means leave the sum open, the SDs close half of it: so more is withheld."""
    hidden = {SMALL, ("school", "S2")}
    means = {("mean_score", cell) for cell in units(PLAIN) if cell not in hidden}
    both = means | {("sd", cell) for _, cell in means}
    wide, narrow = attack(PLAIN, means), attack(PLAIN, both)
    assert narrow[1] - narrow[0] < wide[1] - wide[0]
    low, high = attack(PLAIN, cells_of(withhold(PLAIN).shown))
    assert high - low >= required(PLAIN) - 1


@given(counties())
@settings(max_examples=6)
def test_no_sum_is_recovered_from_means_sds_and_rates(scores: list[list[int]]) -> None:
    """The proof splits candidates and half marks, whole tables agree with a little less: one mark for each end."""
    try:
        pattern = withhold(scores)
    except DisclosureError:
        return
    low, high = attack(scores, cells_of(pattern.shown))
    area = attack(scores, {(name, AREA) for name in NAMES})
    assert high - low >= min(required(scores), area[1] - area[0]) - 2


@pytest.mark.parametrize("order", [("government", "bureau"), ("bureau", "government")])
def test_a_parent_with_two_issued_editions_learns_no_sum(order: tuple[str, str]) -> None:
    issued: tuple[Shown, ...] = ()
    for edition in order:
        issued = (*issued, withhold(PLAIN, edition, issued).shown)
    low, high = attack(PLAIN, cells_of(*issued), known=PLAIN[0][0])
    assert high - low >= required(PLAIN) - FULL  # stated so that one candidate known beforehand leaves LEAST_SHARE
