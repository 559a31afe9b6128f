"""Worlds, shocks, edits, the ladder's memory and the sums of the simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.standard_county import fixed_county, ladder_rule, standard_cell, standard_plan, with_holes

from eduq.rulepacks.model import BottomShare, Decline, LastPlace, Rule
from eduq.rulepacks.simulation.edits import list_edits
from eduq.rulepacks.simulation.engine import CHUNK, run_worlds
from eduq.rulepacks.simulation.families import form_family, pool_within
from eduq.rulepacks.simulation.frames import build_frames
from eduq.rulepacks.simulation.memory import Standing
from eduq.rulepacks.simulation.outcomes import Met, find_met
from eduq.rulepacks.simulation.plans import place_declines, plan_rule
from eduq.rulepacks.simulation.shocks import declare_shocks, weigh_shocks
from eduq.rulepacks.simulation.subjects import correlate_subjects
from eduq.rulepacks.simulation.worlds import County, draw_worlds, lay_decline, preserve_spread


def dense_reml(y: np.ndarray, v: np.ndarray, sd: float, rho: float) -> float:
    """−2 log restricted likelihood by dense matrices, levels, slopes and inner years as fixed effects."""
    n_units, n_years = y.shape
    time = np.arange(n_years)
    covariance = np.zeros((y.size, y.size))
    design = np.zeros((y.size, 2 * n_units + n_years - 2))
    for unit in range(n_units):
        rows = slice(unit * n_years, (unit + 1) * n_years)
        covariance[rows, rows] = sd**2 * rho ** np.abs(np.subtract.outer(time, time)) + np.diag(v[unit])
        design[rows, unit], design[rows, n_units + unit] = 1.0, time
        design[rows, 2 * n_units :] = np.eye(n_years)[:, 1:-1]
    there = np.isfinite(y.ravel())
    covariance, design, values = covariance[np.ix_(there, there)], design[there], y.ravel()[there]
    inverse = np.linalg.inv(covariance)
    information = design.T @ inverse @ design
    beta = np.linalg.solve(information, design.T @ inverse @ values)
    rest = values - design @ beta
    return float(np.linalg.slogdet(covariance)[1] + np.linalg.slogdet(information)[1] + rest @ inverse @ rest)


def test_likelihood_of_the_shocks_is_the_dense_restricted_likelihood() -> None:
    rng = np.random.default_rng(5)
    v = rng.uniform(0.004, 0.02, (8, 5))
    y = rng.normal(size=(8, 1)) + 0.12 * rng.normal(size=(8, 5))
    y[2, 1] = y[6, 4] = np.nan
    grid = weigh_shocks([(y, v)])
    dense = np.array([dense_reml(y, v, sd, rho) for sd, rho in zip(grid.shock_sd, grid.correlation, strict=True)])
    expected = np.exp(-0.5 * (dense - dense.min()))
    np.testing.assert_allclose(grid.weight, expected / expected.sum(), atol=1e-9)
    assert grid.source == "likelihood"


def test_shocks_are_found_where_there_are_many_schools() -> None:
    rng = np.random.default_rng(2)
    swing = np.zeros((400, 6))
    swing[:, 0] = rng.normal(size=400)
    for year in range(1, 6):
        swing[:, year] = 0.4 * swing[:, year - 1] + np.sqrt(1 - 0.16) * rng.normal(size=400)
    y = rng.normal(size=(400, 1)) + 0.15 * swing + np.sqrt(0.005) * rng.normal(size=(400, 6))
    grid = weigh_shocks([(y[:200], np.full((200, 6), 0.005)), (y[200:], np.full((200, 6), 0.005))])
    assert grid.mean_shock_sd == pytest.approx(0.15, abs=0.02)
    assert grid.mean_correlation == pytest.approx(0.4, abs=0.12)


@pytest.mark.parametrize(("n_units", "n_years", "rhos"), [(4, 5, 1), (30, 2, 1), (30, 3, 1), (30, 4, 4), (30, 5, 9)])
def test_what_cannot_be_seen_is_declared_or_fixed(n_units: int, n_years: int, rhos: int) -> None:
    y = np.random.default_rng(1).normal(size=(n_units, n_years))
    grid = weigh_shocks([(y, np.full(y.shape, 0.01))])
    assert np.unique(grid.correlation).size == rhos
    assert (grid.source == "declared") == (n_units < 5 or n_years < 3)
    assert grid.weight.sum() == pytest.approx(1.0)
    if grid.source == "declared":
        assert grid.shock_sd.tolist() == [0.1]


def test_worlds_have_the_stated_moments_and_holes() -> None:
    cell, levels = standard_cell(np.random.default_rng(4), n_schools=6, n_years=4)
    family = form_family([with_holes(cell, [(1, 2)])], "composite_z")
    county = fixed_county(family, levels, declare_shocks(0.2, 0.5))
    worlds = draw_worlds(county, np.random.default_rng(9), 20_000)
    assert np.isnan(worlds[:, 1, 2]).all()
    assert np.isfinite(np.delete(worlds.reshape(20_000, -1), 6, axis=1)).all()
    np.testing.assert_allclose(np.nanmean(worlds, axis=(0, 2)), levels, atol=0.01)
    covariance = np.cov(worlds[:, 0].T)
    expected = 0.04 * 0.5 ** np.abs(np.subtract.outer(np.arange(4), np.arange(4))) + np.diag(family.variances[0])
    np.testing.assert_allclose(covariance, expected, atol=0.0025)
    assert abs(np.corrcoef(worlds[:, 0, 0], worlds[:, 2, 0])[0, 1]) < 0.03


def test_worlds_stay_paired_where_a_hole_differs() -> None:
    cell, levels = standard_cell(np.random.default_rng(4), n_schools=6)
    whole = form_family([cell], "composite_z")
    holed = form_family([with_holes(cell, [(1, 2)])], "composite_z")
    one, two = (draw_worlds(fixed_county(family, levels), np.random.default_rng(3), 5) for family in (whole, holed))
    np.testing.assert_array_equal(np.delete(one, 1, axis=1), np.delete(two, 1, axis=1))


def test_true_levels_keep_the_spread_of_true_levels() -> None:
    rng = np.random.default_rng(6)
    levels, v = 0.35 * rng.normal(size=400), np.full((400, 4), 0.85 / 30)
    means = levels[:, None] + 0.1 * rng.normal(size=v.shape) + np.sqrt(v) * rng.normal(size=v.shape)
    found = preserve_spread(means, v, declare_shocks(0.1))
    assert found.shape == (1, 400)
    assert found.std() == pytest.approx(levels.std(), abs=0.02)
    assert means[:, 0].std() > found.std() + 0.03
    assert np.corrcoef(found[0], means.mean(axis=1))[0, 1] == pytest.approx(1.0)


def test_equal_schools_have_one_level_and_a_missing_one_none() -> None:
    v = np.full((6, 4), 0.01)
    means = np.tile([0.02, -0.02, 0.01, -0.01], (6, 1))
    means[5] = np.nan
    found = preserve_spread(means, v, declare_shocks(0.1))
    assert np.unique(found[0, :5]).size == 1
    assert np.isnan(found[0, 5])


def test_a_decline_keeps_the_level_of_its_window() -> None:
    worlds = np.zeros((1, 3, 8))
    fallen = lay_decline(worlds, series=np.array([1]), slope=-0.2, window=6)
    assert fallen[0, 1].round(10).tolist() == [0, 0, 0.5, 0.3, 0.1, -0.1, -0.3, -0.5]
    assert not fallen[0, [0, 2]].any()
    assert not worlds.any()


def test_declines_are_placed_at_the_lowest_the_median_and_the_largest() -> None:
    cell, levels = standard_cell(np.random.default_rng(8), n_schools=9)
    lowest = int(np.argmin(levels))
    family = form_family([cell], "composite_z")
    placed = {one.placed: one.unit for one in place_declines(family, fixed_county(family, levels), (-0.1,))}
    assert placed == {
        "lowest": lowest,
        "median": int(np.argsort(levels)[4]),
        "largest": int(np.argmax(cell.peers["composite_z"].n[:, -1])),
    }
    without = form_family([with_holes(cell, [], exempt=(lowest,))], "composite_z")
    assert place_declines(without, fixed_county(without, levels), (-0.1,))[0].unit == int(np.argsort(levels)[1])


def test_within_variance_is_pooled_over_years_and_small_schools_take_the_familys() -> None:
    sd = np.array([[1.0, 2.0], [0.5, 0.5]])
    n = np.array([[101, 101], [11, 11]])
    found = pool_within(np.zeros((2, 2)), n, sd)
    assert found[0, 0] == pytest.approx(2.5 / 101)
    assert found[1, 0] == pytest.approx(((100 * 1 + 100 * 4 + 20 * 0.25) / 220) / 11)


def test_edits_change_one_number_each() -> None:
    rule = ladder_rule(2, min_pupils=30)
    edits = {edit.id: edit for edit in list_edits(rule)}
    assert list(edits) == ["none", "one_year_more", "bottom_share", "noise_band", "min_pupils", "evidence_b"]
    decline, place = edits["one_year_more"].rule.conditions
    assert isinstance(decline, Decline)
    assert isinstance(place, LastPlace)
    assert (decline.years, place.years, place.last) == (3, 3, 1)
    assert isinstance(edits["bottom_share"].rule.conditions[1], BottomShare)
    assert edits["noise_band"].rule.conditions[0] == rule.conditions[0].model_copy(update={"noise_band": 0.1})
    assert edits["min_pupils"].rule.peer_group is not None
    assert edits["min_pupils"].rule.peer_group.min_pupils == 60
    assert edits["evidence_b"].rule is rule
    assert edits["evidence_b"].gate == "B"


def test_edits_reach_into_groups_of_conditions() -> None:
    raw = ladder_rule(1).model_dump(by_alias=True, mode="json", exclude_none=True)
    raw["conditions"] = [{"any": [{"kind": "decline", "years": 1}, {"all": [{"kind": "last_place", "years": 1, "last": 2}]}]}]
    rule = Rule.model_validate(raw)
    longer = next(edit.rule for edit in list_edits(rule) if edit.id == "one_year_more")
    assert [condition.years for condition in longer.walk()] == [2, 2]  # type: ignore[union-attr]


def test_a_clause_that_reads_more_years_is_judged_later() -> None:
    assert plan_rule(ladder_rule(3), {}, n_years=4, years_ahead=0).ahead == 0  # type: ignore[union-attr]
    later = plan_rule(ladder_rule(3), {}, n_years=2, years_ahead=4)
    assert later is not None
    assert (later.ahead, later.edits_ahead) == (2, 3)
    assert plan_rule(ladder_rule(3), {}, n_years=2, years_ahead=1) is None


def scripted(codes: list[list[int]]) -> list[Met]:
    """Give one world of two units, year by year."""
    return [Met(np.array([year], np.int8), np.array([year], np.int8)) for year in codes]


def test_a_card_is_new_once_and_leaves_by_its_exit() -> None:
    cell, _levels = standard_cell(np.random.default_rng(1), n_schools=2, n_years=2)
    family = form_family([cell], "composite_z")
    plan = plan_rule(ladder_rule(1), {}, n_years=2, years_ahead=4)
    assert plan is not None
    standing = Standing("county", (plan,), "narrow", (1, 2))
    seen = []
    # met, met again, not assessable (stays), not met (leaves), met (new again); the second unit is never met
    for ahead, found in enumerate(scripted([[1, 0], [1, 0], [2, 0], [0, 2], [1, 0]])):
        values = {key[0]: int(count[0]) for key, count in standing.take_year(ahead, family, {plan.rule.id: found})}
        seen.append((values["new"], values["standing"], values["ever"]))
    assert seen == [(1, 1, 1), (0, 1, 1), (0, 1, 1), (0, 0, 1), (1, 1, 1)]


def test_a_step_without_exit_stays() -> None:
    cell, _ = standard_cell(np.random.default_rng(1), n_schools=2, n_years=2)
    family = form_family([cell], "composite_z")
    plan = plan_rule(ladder_rule(1).model_copy(update={"exit": None}), {}, n_years=2, years_ahead=4)
    assert plan is not None
    standing = Standing("county", (plan,), "wide", (1, 2))
    for ahead, found in enumerate(scripted([[1, 0], [0, 0], [0, 0]])):
        values = {key[0]: int(count[0]) for key, count in standing.take_year(ahead, family, {plan.rule.id: found})}
    assert values["standing"] == 1


def test_years_ahead_are_as_the_newest_one() -> None:
    cell, levels = standard_cell(np.random.default_rng(3), n_schools=8, n_years=3)
    family = form_family([with_holes(cell, [(1, 2)], changed=(4,))], "composite_z")
    county = fixed_county(family, levels).extend(2)
    worlds = draw_worlds(county, np.random.default_rng(1), 3)
    assert np.isnan(worlds[:, 1, 2:]).all()
    assert worlds.shape == (3, 8, 5)
    peer = family.world_peers(worlds, 0, ahead=2)
    assert (peer.n[:, 3:] == peer.n[:, 2:3]).all()
    assert peer.held[4].tolist() == [False, True, True, True, True]
    codes = [find_met(ladder_rule(2), family, worlds, ahead=ahead).wide[0, 4] for ahead in (0, 1)]
    assert codes[0] == 2
    assert codes[1] in (0, 1)


@given(workers=st.sampled_from([1, 2, 5]))
def test_the_number_of_workers_changes_nothing(workers: int) -> None:
    plan = standard_plan([ladder_rule(1), ladder_rule(2)], seed=3, n_schools=12, years_ahead=1)
    one = run_worlds(plan, worlds=CHUNK + 20, evidence_worlds=30, workers=1)
    other = run_worlds(plan, worlds=CHUNK + 20, evidence_worlds=30, workers=workers)
    assert list(one) == list(other)
    assert all((one[key] == other[key]).all() for key in one)


def test_more_worlds_begin_with_the_same_ones() -> None:
    plan = standard_plan([ladder_rule(2)], seed=3, n_schools=12, decline=None)
    few = run_worlds(plan, worlds=CHUNK, evidence_worlds=0)
    many = run_worlds(plan, worlds=2 * CHUNK, evidence_worlds=0)
    key = ("row", "county.head.k2", "wide", "literal", 0)
    assert (many[key] >= few[key]).all()
    assert many[key][-1] == 2 * CHUNK
    other = run_worlds(replace(plan, seed=4), worlds=CHUNK, evidence_worlds=0)
    assert (other[key] != few[key]).any()


def test_frames_add_up() -> None:
    plan = standard_plan([ladder_rule(1, step=1), ladder_rule(2, step=2)], seed=5, n_schools=15, years_ahead=2)
    found = build_frames(plan, run_worlds(plan, worlds=300, evidence_worlds=60))
    for row in found["rates"].iter_rows(named=True):
        mine = found["per_school"].filter(rule_id=row["rule_id"], reading=row["reading"], gate=row["gate"])
        assert mine["p"].sum() == pytest.approx(row["cards_per_year"])
        assert row["worlds"] == (300 if row["gate"] == "literal" else 60)
        assert row["p_any"] <= row["cards_per_year"] + 1e-12
        assert row["p_any_mc_se"] == pytest.approx(np.sqrt(row["p_any"] * (1 - row["p_any"]) / row["worlds"]))
    base = found["edits"].filter(edit="none")
    assert base["false_cards"].to_list() == found["rates"].filter(gate="literal").sort("rule_id")["cards_per_year"].to_list()
    assert set(base["false_difference"]) == {0.0}
    first = found["ladder"].filter(ahead=0)
    assert (first["new_cards"] == first["standing"]).all()
    assert (found["ladder"]["ever"] >= found["ladder"]["standing"] - 1e-12).all()
    assert found["county"].row(0, named=True)["shock_sd"] == pytest.approx(0.1)
    power = {
        row["gate"]: row["power"]
        for row in found["power"].filter(rule_id="county.head.k1", reading="narrow").iter_rows(named=True)
    }
    assert power["literal"] >= power["B"] >= power["A"]


def test_narrow_is_never_more_than_wide_and_a_gate_never_more_than_the_clause() -> None:
    plan = standard_plan([ladder_rule(1), ladder_rule(2)], seed=9, n_schools=15, decline=None)
    rates = build_frames(plan, run_worlds(plan, worlds=200, evidence_worlds=200))["rates"]
    cards = {(row["rule_id"], row["reading"], row["gate"]): row["cards_per_year"] for row in rates.iter_rows(named=True)}
    for rule in ("county.head.k1", "county.head.k2"):
        assert cards[rule, "narrow", "literal"] <= cards[rule, "wide", "literal"]
        for reading in ("narrow", "wide"):
            assert cards[rule, reading, "A"] <= cards[rule, reading, "B"] <= cards[rule, reading, "literal"]


def test_levels_follow_the_shocks_that_were_drawn() -> None:
    cell, levels = standard_cell(np.random.default_rng(2), n_schools=5)
    family = form_family([cell], "composite_z")
    grid = replace(declare_shocks(0.0), shock_sd=np.zeros(2), correlation=np.zeros(2), weight=np.array([0.5, 0.5]))
    county = County(np.isfinite(family.means), np.zeros_like(family.variances), np.stack([levels, levels + 10]), grid)
    worlds = draw_worlds(county, np.random.default_rng(1), 400)
    high = worlds[:, 0, 0] > 5
    assert 0.4 < high.mean() < 0.6
    np.testing.assert_allclose(worlds[high], np.broadcast_to((levels + 10)[None, :, None], worlds[high].shape))


def test_subjects_of_one_cohort_swing_together() -> None:
    rng = np.random.default_rng(3)
    shared = rng.normal(size=(300, 1, 6))
    swing = np.sqrt(0.7) * shared + np.sqrt(0.3) * rng.normal(size=(300, 3, 6))
    means = rng.normal(size=(300, 3, 1)) + 0.1 * swing
    means[0, 0] = np.nan
    cohorts = [(f"S{unit:03d}", "G9") for unit in range(300) for _ in range(3)]
    names = ["chinese", "math", "english"] * 300
    together = correlate_subjects(means.reshape(900, 6), cohorts, names)
    assert together is not None
    assert together.correlation[0, 1] == pytest.approx(0.7, abs=0.05)
    drawn = together.draw(np.random.default_rng(1), 4000)
    assert drawn.shape == (4000, 900)
    assert np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1] == pytest.approx(0.7, abs=0.07)
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 3])[0, 1]) < 0.06
    np.testing.assert_allclose(drawn.std(axis=0), 1.0, atol=0.06)


def test_one_subject_needs_no_matrix_and_few_residuals_take_the_mean() -> None:
    means = np.random.default_rng(1).normal(size=(4, 5))
    assert correlate_subjects(means, [("a", "G9"), ("b", "G9"), ("c", "G9"), ("d", "G9")], ["math"] * 4) is None
    few = correlate_subjects(means[:, :2], [("a", ""), ("a", ""), ("b", ""), ("b", "")], ["math", "chinese"] * 2)
    assert few is not None
    assert few.correlation.tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_pooled_year_groups_share_pupils_from_year_to_year() -> None:
    cell, levels = standard_cell(np.random.default_rng(4), n_schools=6, n_years=4)
    family = form_family([cell], "composite_z")
    county = replace(fixed_county(family, levels, declare_shocks(0.2, 0.0)), overlap=3)
    worlds = draw_worlds(county, np.random.default_rng(9), 20_000)
    correlation = np.corrcoef(worlds[:, 0].T)
    np.testing.assert_allclose(correlation[0], [1, 2 / 3, 1 / 3, 0], atol=0.03)
    np.testing.assert_allclose(worlds[:, 0].var(axis=0), 0.04 + family.variances[0], rtol=0.05)


def test_the_shock_is_seen_through_the_overlap() -> None:
    cell, levels = standard_cell(np.random.default_rng(4), n_schools=60, n_years=6)
    family = form_family([cell], "composite_z")
    county = replace(fixed_county(family, levels, declare_shocks(0.2, 0.0)), overlap=2)
    world = draw_worlds(county, np.random.default_rng(5), 1)[0]
    grid = weigh_shocks([(world, family.variances)], overlap=2)
    assert np.unique(grid.correlation).tolist() == [0.0]
    assert grid.mean_shock_sd == pytest.approx(0.2, abs=0.04)
    assert preserve_spread(world, family.variances, grid, overlap=2).std(axis=1).mean() == pytest.approx(levels.std(), abs=0.06)


def test_years_that_holes_leave_unknown_do_not_stop_the_likelihood() -> None:
    y = np.random.default_rng(2).normal(size=(12, 5))
    y[:6, 3:] = y[6:, :2] = np.nan  # three years each, one in common: their lines absorb a kink of the county
    grid = weigh_shocks([(y, np.full(y.shape, 0.01))])
    assert grid.source == "likelihood"
    assert grid.weight.sum() == pytest.approx(1.0)


def test_series_without_any_mean_have_no_level() -> None:
    means = np.full((3, 4), np.nan)
    assert np.isnan(preserve_spread(means, means, declare_shocks())).all()
