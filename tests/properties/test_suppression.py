"""An attacker with an exact integer program against drawn tables: no withheld total is recovered closer than stated."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from eduq.disclosure.suppression import AREA, Cell, Pattern, Shown, protect_estimates
from eduq.disclosure.withholding import withhold_quantiles
from eduq.errors import DisclosureError
from eduq.estimates.measures import load_measures
from eduq.settings import RunSettings

MIN_N = 6
COUNT = -(-MIN_N // 2)
"""Width stated for a count, one candidate known beforehand."""
TYPES = ("area", "township", "cluster", "school")
RUN = RunSettings(min_n_reporting=MIN_N)
MEASURES = load_measures(None, ("pass_rate", "excellent_rate"))
School = tuple[int, int, int, int, int]
"""Township, cluster, candidates, passed, excellent."""


def tables(schools: list[School]) -> tuple[pl.DataFrame, pl.DataFrame, dict[Cell, list[int]]]:
    """Return estimates and register of drawn schools, and which schools each unit is made of."""
    members: dict[Cell, list[int]] = {AREA: list(range(len(schools)))}
    for i, (township, cluster, *_) in enumerate(schools):
        for cell in (("township", f"T{township}"), ("cluster", f"C{cluster}"), ("school", f"S{i}")):
            members.setdefault(cell, []).append(i)
    rows = []
    for (unit_type, unit), own in members.items():
        n = sum(schools[i][2] for i in own)
        for place, measure in ((3, "pass_rate"), (4, "excellent_rate")):
            rows.append((unit_type, unit, measure, n, sum(schools[i][place] for i in own) / n))
    frame = pl.DataFrame(rows, schema=["unit_type", "unit", "measure", "n", "estimate"], orient="row").with_columns(
        pl.lit("g").alias("comparison_group"), pl.lit("math").alias("paper")
    )
    register = pl.DataFrame(
        [(f"S{i}", f"T{one[0]}", f"C{one[1]}") for i, one in enumerate(schools)],
        schema=["school_id", "township", "cluster"],
        orient="row",
    )
    return frame, register, members


def withhold(schools: list[School], edition: str = "bureau", **more: object) -> Pattern:
    frame, register, _ = tables(schools)
    types = TYPES if edition == "bureau" else TYPES[:-1]
    return protect_estimates(
        frame, exam_id="E", edition=edition, schools=register, settings=RUN, measures=MEASURES, shown_types=types,
        full_marks={"g": 100.0}, **more,
    )  # fmt: skip


def attack(
    schools: list[School], cells: set[tuple[str, Cell]], measure: str, target: Cell, pupil: tuple[int, int] | None = None
) -> tuple[int, int]:
    """Return least and greatest count of a unit over all whole-number tables that agree with the cells shown.

    Unknowns are passed and excellent of every school; who is excellent has passed. ``pupil`` is one candidate's result known
    beforehand: the school and whether counted.
    """
    _, _, members = tables(schools)
    k = len(schools)
    n = np.array([one[2] for one in schools])
    offset = {"pass_rate": 0, "excellent_rate": k}
    rows, right = [], []
    for name, cell in cells:
        line = np.zeros(2 * k)
        line[[offset[name] + i for i in members[cell]]] = 1
        rows.append(line)
        right.append(sum(schools[i][3 if name == "pass_rate" else 4] for i in members[cell]))
    constraints = [LinearConstraint(np.hstack([-np.eye(k), np.eye(k)]), -np.inf, 0)]
    if rows:
        constraints.append(LinearConstraint(np.array(rows), right, right))
    lower, upper = np.zeros(2 * k), np.concatenate([n, n]).astype(float)
    if pupil is not None:
        place = offset[measure] + pupil[0]
        lower[place], upper[place] = pupil[1], n[pupil[0]] - 1 + pupil[1]
    aim = np.zeros(2 * k)
    aim[[offset[measure] + i for i in members[target]]] = 1
    found = []
    for sign in (1, -1):
        solved = milp(sign * aim, constraints=constraints, bounds=Bounds(lower, upper), integrality=np.ones(2 * k))
        assert solved.status == 0, solved.message
        found.append(round(sign * solved.fun))
    return found[0], found[1]


def cells_of(pattern: Pattern) -> set[tuple[str, Cell]]:
    return {(key[2], (key[3], key[4])) for key in pattern.shown.cells}


def stated(schools: list[School], measure: str, target: Cell) -> int:
    """Return the width stated: of a small unit all of it, and never more than the area's own figure leaves open."""
    _, _, members = tables(schools)
    n = sum(schools[i][2] for i in members[target])
    place = 3 if measure == "pass_rate" else 4
    whole, everybody = sum(one[place] for one in schools), sum(one[2] for one in schools)
    open_width = min(n, whole) - max(0, whole - (everybody - n))
    return min(n, COUNT + 1, open_width)


@st.composite
def counties(draw: st.DrawFn) -> list[School]:
    found = []
    for _ in range(draw(st.integers(3, 7))):
        n = draw(st.integers(1, 20))
        passed = draw(st.integers(0, n))
        found.append((draw(st.integers(0, 2)), draw(st.integers(0, 1)), n, passed, draw(st.integers(0, passed))))
    return found


@given(counties())
@settings(max_examples=20)
def test_no_withheld_count_is_recovered_closer_than_stated(schools: list[School]) -> None:
    try:
        pattern = withhold(schools)
    except DisclosureError:  # refused rather than shown
        return
    shown = cells_of(pattern)
    for key in pattern.primary:
        measure, cell = key[2], (key[3], key[4])
        low, high = attack(schools, {one for one in shown if one[0] == measure}, measure, cell)
        assert high - low >= stated(schools, measure, cell)


@given(counties())
@settings(max_examples=8)
def test_rates_nested_in_each_other_do_not_tell_more(schools: list[School]) -> None:
    try:
        pattern = withhold(schools)
    except DisclosureError:
        return
    for key in pattern.primary:
        measure, cell = key[2], (key[3], key[4])
        low, high = attack(schools, cells_of(pattern), measure, cell)
        alone = attack(schools, {(name, AREA) for name, one in cells_of(pattern) if one == AREA}, measure, cell)
        assert high - low >= min(stated(schools, measure, cell), alone[1] - alone[0])


PLAIN: list[School] = [
    (0, 0, 4, 2, 1), (0, 0, 18, 11, 6), (0, 1, 25, 13, 7), (1, 0, 22, 12, 7), (1, 1, 30, 16, 8), (1, 1, 24, 13, 7),
]  # fmt: skip
"""One small school among six."""


def test_without_the_second_cell_the_small_school_is_told() -> None:
    naive = {("pass_rate", cell) for cell in tables(PLAIN)[2] if cell != ("school", "S0")}
    assert attack(PLAIN, naive, "pass_rate", ("school", "S0")) == (2, 2)
    pattern = withhold(PLAIN)
    assert {key[3:] for key in pattern.primary} == {("school", "S0")}
    assert pattern.secondary
    assert attack(PLAIN, cells_of(pattern), "pass_rate", ("school", "S0")) == (0, 4)
    assert pattern.certificate.narrowest is not None
    assert pattern.certificate.narrowest >= 1


@pytest.mark.parametrize("counted", [0, 1])
def test_a_parent_who_knows_one_pupil_learns_no_more_than_stated(counted: int) -> None:
    low, high = attack(PLAIN, cells_of(withhold(PLAIN)), "pass_rate", ("school", "S0"), (0, counted))
    assert high - low >= min(4 - 1, COUNT)


@pytest.mark.parametrize("order", [("public", "government", "bureau"), ("bureau", "government", "public")])
def test_editions_read_together_tell_no_more_whatever_their_order(order: tuple[str, ...]) -> None:
    issued, seen = [], set()
    for edition in order:
        pattern = withhold(PLAIN, edition, issued=tuple(issued))
        issued.append(pattern.shown)
        seen |= cells_of(pattern)
    for one in issued:
        for key in one.primary:
            readable = {(cell[2], (cell[3], cell[4])) for other in issued for cell in other.cells if one.edition == "bureau"}
            readable |= {(cell[2], (cell[3], cell[4])) for cell in one.cells}
            low, high = attack(PLAIN, readable, key[2], (key[3], key[4]))
            assert high - low >= stated(PLAIN, key[2], (key[3], key[4]))


def test_an_issued_edition_that_tells_the_small_school_stops_the_next() -> None:
    first = withhold(PLAIN)
    cells = first.shown.cells | {("g", "math", "pass_rate", "school", "S0")}
    told = type(first.shown)("E", "bureau", cells, frozenset())
    with pytest.raises(DisclosureError) as stop:
        withhold(PLAIN, issued=(told,))
    assert stop.value.code == "disclosure_issued"
    assert stop.value.params["paper"] == "math"


def test_the_same_cells_are_withheld_again_beside_the_same_edition() -> None:
    first = withhold(PLAIN)
    again = withhold(PLAIN, issued=(first.shown,))
    assert again.shown == first.shown
    assert again.certificate.earlier == ("bureau",)


ORDERS = [("bureau", "government"), ("government", "bureau")]


@pytest.mark.parametrize("order", ORDERS)
@given(schools=counties())
@settings(max_examples=6)
def test_two_editions_together_tell_no_withheld_count(order: tuple[str, str], schools: list[School]) -> None:
    """Whichever was issued first: a reader of both, the bureau, learns no more; with one pupil known, one less at most."""
    issued: list[Shown] = []
    try:
        for edition in order:
            issued.append(withhold(schools, edition, issued=tuple(issued)).shown)
    except DisclosureError:
        return
    seen = {(cell[2], (cell[3], cell[4])) for one in issued for cell in one.cells}
    told = next(one for one in issued if one.edition == "bureau")
    _, _, members = tables(schools)
    for key in sorted(told.primary):
        measure, cell = key[2], (key[3], key[4])
        readable = {one for one in seen if one[0] == measure}
        width = stated(schools, measure, cell)
        low, high = attack(schools, readable, measure, cell)
        assert high - low >= width
        school, place = members[cell][0], 3 if measure == "pass_rate" else 4
        counted = int(schools[school][place] > 0)  # a pupil who is there
        low, high = attack(schools, readable, measure, cell, (school, counted))
        assert high - low >= width - 1


def counts_from_print(n: int, printed: float) -> set[int]:
    """Return the whole numbers of candidates that a rate printed to a tenth of a percent of a place of known size can mean."""
    return {k for k in range(n + 1) if round(100 * k / n, 1) == printed}


@given(st.integers(10, 60), st.data())
@settings(max_examples=40)
def test_printed_shares_and_the_size_of_a_place_pin_no_small_count(n: int, data: st.DataObject) -> None:
    """Outside the bureau: from a printed rate and n the count follows, so a rate of few stands nowhere."""
    counts = sorted((data.draw(st.integers(0, n)) for _ in range(2)), reverse=True)
    schools: list[School] = [(0, i, n, counts[0], counts[1]) for i in (0, 1, 0)] + [(1, 1, 25, 13, 7)] * 3
    try:
        pattern = withhold(schools, "government")
    except DisclosureError:
        return
    _, _, members = tables(schools)
    for _, _, measure, unit_type, unit in pattern.shown.cells:
        own = members[unit_type, unit]
        size, place = sum(schools[i][2] for i in own), 3 if measure == "pass_rate" else 4
        count = sum(schools[i][place] for i in own)
        told = counts_from_print(size, round(100 * count / size, 1))
        assert count in told
        if len(told) == 1:
            smaller = min(count, size - count)
            assert smaller >= MIN_N or (smaller == 0 and size >= 3 * MIN_N)


@given(st.lists(st.integers(0, 100), min_size=10, max_size=60))
@settings(max_examples=30)
def test_quantiles_and_the_size_of_a_class_name_nobody(scores: list[int]) -> None:
    """Percentile times class size: the quantile that stands has as many on either side as stated, so it is not one of few."""
    n, least = len(scores), -(-MIN_N // 2)
    frame = pl.DataFrame(
        [("median", n, float(np.quantile(scores, 0.5))), ("q1", n, float(np.quantile(scores, 0.25)))],
        schema=["measure", "n", "estimate"], orient="row",
    ).with_columns(
        *(pl.lit(None, dtype=pl.Float64).alias(name) for name in ("std_error", "ci_lower", "ci_upper", "conf_level")),
        *(pl.lit(None, dtype=pl.String).alias(name) for name in ("method", "reason")),
    )  # fmt: skip
    shown = withhold_quantiles(frame, load_measures(None, ("median", "q1")), least)
    for measure, share in (("median", 0.5), ("q1", 0.25)):
        told = shown.filter(measure=measure).row(0, named=True)
        if told["estimate"] is None:
            assert int(n * share) < least
            assert told["reason"] == "quantile_few"
        else:
            assert sum(one <= told["estimate"] for one in scores) >= least
            assert sum(one >= told["estimate"] for one in scores) >= least
