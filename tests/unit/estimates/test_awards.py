"""Award schemes: what is barred, one rule of selection, probabilities, and two schemes on the same worlds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eduq as eq
from eduq.errors import NotAssessableError, SettingsError, UsageError
from eduq.estimates.awards.candidates import county_frames
from eduq.estimates.awards.county import AwardCounty, collect_county
from eduq.estimates.awards.schemes import AwardScheme, read_scheme
from eduq.estimates.awards.selection import contrast_series, select_units
from eduq.estimates.exam_source import sources_from_scores
from eduq.registers import read_registers
from eduq.resources import package_path

SAMPLE = Path(__file__).parents[3] / "sample_data"
SHIPPED = package_path("estimates", "awards")
NAME = {"zh": "方案", "en": "scheme"}


def scheme(*measures: dict[str, object], **more: object) -> AwardScheme:
    """A scheme; by default one of level and one of progress, three places."""
    both = measures or ({"measure": "composite_z", "kind": "level"}, {"measure": "composite_z", "kind": "progress"})
    return AwardScheme.model_validate({"id": "test", "name": NAME, "measures": both, "places": 3, "min_n": 1, **more})


def county(units: int = 30, years: int = 5, *, spread: float = 0.4, shock: float = 0.01, seed: int = 1) -> AwardCounty:
    rng = np.random.default_rng(seed)
    n = np.tile(rng.integers(30, 300, units).astype(float)[:, None], (1, years))
    sampling = 0.8 / n
    means = rng.normal(0, spread, units)[:, None] + rng.normal(0, 1, (units, years)) * np.sqrt(sampling + shock)
    names = tuple(f"S{number:02}" for number in range(units)), tuple(f"{2020 + t}-{2021 + t}" for t in range(years))
    return AwardCounty(*names, means, sampling, n, shock, "reml", means[:, 0], "G9", "composite_z", "composite")


def test_a_scheme_on_one_measure_is_barred_by_its_article() -> None:
    frame = pl.DataFrame({"unit": ["A"], "estimate": [0.1], "std_error": [0.1], "n": [50]})
    for measures, rule in (
        ([{"measure": "composite_z", "kind": "level"}], "national.document.single_measure_award"),
        (
            [{"measure": "zhongkao_mean", "kind": "level"}, {"measure": "zhongkao_composite", "kind": "progress"}],
            "national.document.exam_score_award",
        ),
        (
            [{"measure": "composite_z", "kind": "progress"}, {"measure": "promotion_rate", "kind": "level"}],
            "national.document.promotion_only",
        ),
    ):
        with pytest.raises(SettingsError) as stopped:
            eq.propose_awards(frame, frame, scheme=scheme(*measures))
        assert (stopped.value.code, stopped.value.exit_status) == ("award_barred", 10)
        assert stopped.value.params["rule"] == rule
        assert stopped.value.params["title"] in stopped.value.message("en")


def test_level_without_progress_is_no_scheme() -> None:
    two = scheme({"measure": "composite_z", "kind": "level"}, {"measure": "pass_rate", "kind": "level"})
    with pytest.raises(SettingsError, match="award_needs_both"):
        eq.compare_award_schemes(two, two, county(), worlds=5)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"places": 3, "share": 0.1},
        {"places": None},
        {"measures": [{"measure": "a", "kind": "level", "weight": 0}]},
        {"unknown": 1},
        {"measures": [{"measure": "low_score_rate", "kind": "level"}]},
        {"measures": [{"measure": "a", "kind": "level"}, {"measure": "a", "kind": "level"}]},
    ],
)
def test_a_scheme_that_says_too_little_or_too_much_stops(spoilt: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        scheme(**spoilt)


def test_the_shipped_schemes_can_be_read() -> None:
    assert {read_scheme(path).id for path in sorted(SHIPPED.glob("*.toml"))} == {"balanced", "last-year"}


@given(st.permutations(range(12)), st.integers(0, 50))
@settings(max_examples=30)
def test_the_order_of_units_does_not_matter_and_ties_share(order: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, errors = rng.normal(0, 1, (2, 12)).round(1), rng.uniform(0.1, 0.3, (2, 12)).round(1)
    n, groups = np.full(12, 50.0), np.zeros(12, dtype=np.int64)
    raw = scheme(values="raw")
    found = select_units(raw, values, errors, n, groups)
    moved = select_units(raw, values[:, order], errors[:, order], n, groups)
    assert (found.chosen[order] == moved.chosen).all()
    assert found.chosen.sum() >= 3
    assert found.chosen.sum() == 3 or found.tied.sum() >= 2
    assert np.nanmin(found.index[found.chosen]) >= np.nanmax(found.index[~found.chosen])


def test_a_place_without_evidence_stays_empty_and_is_not_handed_down() -> None:
    asked = {"measure": "composite_z", "kind": "progress", "evidence": "lower_bound", "minimum": 0.0}
    made = scheme({"measure": "composite_z", "kind": "level"}, asked, places=2, values="raw")
    level = np.array([3.0, 1.0, 0.5, 0.0, -1.0, -2.0])
    progress = np.array([0.0, 1.0, 0.1, 0.4, -0.5, -0.6])
    errors = np.full((2, 6), 0.05)
    found = select_units(made, np.array([level, progress]), errors, np.full(6, 100.0), np.zeros(6, dtype=np.int64))
    assert set(np.argsort(-found.index)[:2]) == {0, 1}
    assert found.eligible.tolist() == [False, True, False, True, False, False]
    assert found.chosen.tolist() == [False, True, False, False, False, False]


def test_worlds_along_an_axis_are_selected_like_a_county() -> None:
    place, made = county(), read_scheme(SHIPPED / "balanced.toml")
    rng = np.random.default_rng(5)
    y = place.means + rng.normal(0, 0.1, (20, *place.means.shape))
    rules = [contrast_series(place.known, measure) for measure in made.measures]
    values = np.stack([rule.of(y) for rule in rules])
    errors = np.stack([rule.error(place.sampling + place.var_shock) for rule in rules])
    groups = np.arange(30, dtype=np.int64) % 2
    stacked = np.broadcast_to(errors[:, None], values.shape)
    whole = select_units(made, values, stacked, place.n[:, -1], groups)
    for world in range(20):
        one = select_units(made, values[:, world], errors, place.n[:, -1], groups)
        assert (one.chosen == whole.chosen[world]).all()


def test_mean_and_slope_of_a_series() -> None:
    known = np.array([[True, True, True, True], [True, False, True, True], [True, True, True, False], [False, False, True, True]])
    y = np.array([[0.0, 0.1, 0.2, 0.3], [0.0, np.nan, 0.2, 0.3], [0.0, 0.1, 0.2, np.nan], [np.nan, np.nan, 0.0, 0.4]])
    level, progress = (contrast_series(known, measure) for measure in scheme().measures)
    np.testing.assert_allclose(level.of(y), [0.15, 0.5 / 3, np.nan, 0.2])
    np.testing.assert_allclose(progress.of(y), [0.1, 0.1, np.nan, np.nan])
    np.testing.assert_allclose(progress.error(np.full(y.shape, 0.05))[0], np.sqrt(0.05 / 5))
    last = scheme(
        {"measure": "composite_z", "kind": "level", "years": "last"},
        {"measure": "composite_z", "kind": "progress", "years": "last"},
    )
    level, progress = (contrast_series(known, measure) for measure in last.measures)
    np.testing.assert_allclose(level.of(y), [0.3, 0.3, np.nan, 0.4])
    np.testing.assert_allclose(progress.of(y), [0.1, 0.1, np.nan, 0.4])


def test_candidates_stand_by_code_with_both_measures_and_small_units_have_no_numbers() -> None:
    place = county()
    place.n[3, -1] = 5
    level, progress = county_frames(place, scheme(share=0.2, places=None))
    found = eq.propose_awards(level, progress, scheme=scheme(share=0.2, places=None))
    assert found.frame["unit"].is_sorted()
    assert found.frame["candidate"].sum() == 6
    small = found.frame.row(3, named=True)
    assert small["reason"] == "below_min_n"
    numbers = [name for name, kind in found.frame.schema.items() if kind == pl.Float64]
    assert all(small[name] is None for name in numbers)
    assert found.frame["p_top"].sum() == pytest.approx(6, abs=0.01)
    again = eq.propose_awards(level, progress, scheme=scheme(share=0.2, places=None))
    assert found.frame.equals(again.frame)


def test_the_probability_of_a_place_is_calibrated() -> None:
    """Units told .5-.9 to be in the places are so in that share of simulated counties."""
    said, true = [], []
    made = scheme(share=0.2, places=None)
    for seed in range(40):
        rng = np.random.default_rng(seed)
        truth, error = rng.normal(0, [[0.3], [0.1]], (2, 30)), np.array([[0.1], [0.08]]) * np.ones((2, 30))
        seen = truth + rng.normal(0, 1, truth.shape) * error
        parts = [
            pl.DataFrame({"unit": [f"S{i:02}" for i in range(30)], "estimate": seen[k], "std_error": error[k], "n": [99] * 30})
            for k in (0, 1)
        ]
        index = sum((truth[k] - truth[k].mean()) / truth[k].std() for k in (0, 1))
        said.append(eq.propose_awards(*parts, scheme=made).frame["p_top"].to_numpy())
        true.append(index >= np.sort(index)[-6])
    chance, happened = np.concatenate(said), np.concatenate(true)
    for low, high in ((0.0, 0.1), (0.1, 0.5), (0.5, 0.9)):
        inside = (chance >= low) & (chance < high)
        assert abs(chance[inside].mean() - happened[inside].mean()) < 0.07


def test_peer_groups_part_the_units_and_small_ones_are_not_judged() -> None:
    units = [f"S{number:02}" for number in range(16)]
    frame = pl.DataFrame({"unit": units, "estimate": np.linspace(0, 1, 16), "std_error": [0.05] * 16, "n": [80] * 16})
    peers = pl.DataFrame({"unit": units, "kind": ["a"] * 12 + ["b"] * 4})
    made = scheme(places=2, peer_group=["kind"])
    found = eq.propose_awards(frame, frame, scheme=made, peers=peers).frame
    assert found.filter("candidate")["unit"].to_list() == ["S10", "S11"]
    assert found.filter(peer_group="kind=b")["reason"].unique().to_list() == ["peer_group_too_small"]
    with pytest.raises(UsageError, match="award_peers_missing"):
        eq.propose_awards(frame, frame, scheme=made)


def test_no_difference_gives_no_evidence() -> None:
    flat = county(spread=0.0)
    found = eq.compare_award_schemes(SHIPPED / "balanced.toml", SHIPPED / "last-year.toml", flat, worlds=300)
    candidates = found.frame.filter(truth="none", figure="candidates").row(0, named=True)
    assert candidates["a"] < 1 < candidates["b"]
    none = found.frame.filter(truth="none", figure="level_above_median").row(0, named=True)
    assert none["a"] is None
    assert none["worlds"] == 0


def test_schemes_see_the_same_worlds_and_repeat_with_the_seed() -> None:
    same = eq.compare_award_schemes(scheme(), scheme(), county(), worlds=60, seed=4)
    shares = same.frame.filter(pl.col("a").is_not_null())
    assert (shares["a"] == shares["b"]).all()
    assert (shares["difference_se"] == 0).all()
    assert same.frame.equals(eq.compare_award_schemes(scheme(), scheme(), county(), worlds=60, seed=4).frame)
    assert not same.frame.equals(eq.compare_award_schemes(scheme(), scheme(), county(), worlds=60, seed=5).frame)


def test_more_years_find_progress_better_than_the_last_change() -> None:
    found = eq.compare_award_schemes(SHIPPED / "balanced.toml", SHIPPED / "last-year.toml", county(40), worlds=400)
    line = found.frame.filter(truth="progress", figure="progress_above_median").row(0, named=True)
    assert line["difference"] > 5 * line["difference_se"]
    large = found.frame.filter(truth="none", figure="large_third").row(0, named=True)
    assert abs(large["b"] - 1 / 3) < 0.15


def test_results_show_themselves() -> None:
    from lets_plot.plot.core import PlotSpec

    place = county()
    shown = eq.propose_awards(*county_frames(place, scheme()), scheme=scheme())
    compared = eq.compare_award_schemes(scheme(), scheme(values="raw"), place, worlds=20)
    for found, said in ((shown, "persons decide"), (compared, "20 worlds of 30 units")):
        assert said in found.summary()
        assert said in found._repr_html_()
        assert isinstance(found.plot(), PlotSpec)


def test_what_is_no_yearly_series_is_not_simulated() -> None:
    rate = scheme({"measure": "pass_rate", "kind": "level"}, {"measure": "composite_z", "kind": "progress"})
    with pytest.raises(NotAssessableError, match="award_not_simulated"):
        eq.compare_award_schemes(scheme(), rate, county(), worlds=5)


def test_a_county_of_another_measure_is_not_taken_for_it() -> None:
    mixed = scheme({"measure": "all_pass_rate", "kind": "level"}, {"measure": "composite_z", "kind": "progress"})
    with pytest.raises(UsageError, match="award_measure_missing"):
        county_frames(county(), mixed)


def test_a_county_comes_from_its_exams() -> None:
    exams = [eq.read_scores(SAMPLE / f"{year}-2-g9-final") for year in (2023, 2024, 2025)]
    exams.append(eq.read_scores(SAMPLE / "2024-2-g8-final"))
    place = collect_county(sources_from_scores(exams, read_registers(SAMPLE / "registers")))
    assert place.periods == ("2023-2024", "2024-2025", "2025-2026")
    assert len(place.units) == 40
    assert place.shock_source == "reml"
    assert np.isfinite(place.intake).sum() > 35
    rates = collect_county(sources_from_scores(exams, read_registers(SAMPLE / "registers")), measure="all_pass_rate")
    mixed = scheme({"measure": "all_pass_rate", "kind": "level"}, {"measure": "composite_z", "kind": "progress"})
    level, progress = county_frames({"all_pass_rate": rates, "composite_z": place}, mixed)
    found = eq.propose_awards(level, progress, scheme=mixed).frame
    assert found["level"].drop_nulls().is_between(0, 1).all()
