"""Gains, prior-score bands and the agreement of growth methods, by hand and by property."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from eduq.errors import EduqError
from eduq.estimates.growth import GrowthResult, compare_growth, estimate_growth
from eduq.estimates.growth.bands import cut_bands
from eduq.estimates.growth.gains import percentile_ranks

COLUMNS = {"outcome": "after", "prior": "before", "unit": "school"}


def pupils(n: int = 2000, seed: int = 2, schools: int = 20, effect: float = 3.0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    ability, school = rng.normal(size=n), rng.integers(0, schools, n)
    level = np.linspace(-effect, effect, schools)
    return pl.DataFrame(
        {
            "school": [f"S{place:02d}" for place in school],
            "before": np.rint(60 + 15 * ability + 6 * rng.normal(size=n)),
            "after": np.rint(60 + 15 * ability + 6 * rng.normal(size=n) + level[school]),
        }
    )


def fit(frame: pl.DataFrame, method: Any, **options: Any) -> GrowthResult:
    return estimate_growth(frame, method=method, **{**COLUMNS, **options})


def test_gain_by_hand() -> None:
    # twelve pupils a school: own SD, t with 11 degrees of freedom
    frame = pl.DataFrame({"school": ["A"] * 12 + ["B"] * 12, "before": [*range(12), *range(12)]}).with_columns(
        after=pl.col("before") + pl.Series([1, 3] * 6 + [-1, 1] * 6)
    )
    found = fit(frame, "gain")
    line = found.frame.row(0, named=True)
    error = np.sqrt(12 / 11) / np.sqrt(12)
    assert (line["school"], line["n"], line["estimate"], line["df"], line["method"]) == ("A", 12, 2.0, 11.0, "t")
    assert line["std_error"] == pytest.approx(error)
    assert line["ci_upper"] == pytest.approx(2 + stats.t.ppf(0.975, 11) * error)
    assert found.frame["estimate"].to_list() == [2.0, 0.0]
    assert found.settings["neutral"] == 1.0
    assert found.candidates is not None
    assert found.candidates["gain"].to_list() == [1.0, 3.0] * 6 + [-1.0, 1.0] * 6


def test_small_schools_take_the_pooled_sd_and_say_so() -> None:
    frame = pupils(300).with_columns(school=pl.when(pl.int_range(pl.len()) < 3).then(pl.lit("tiny")).otherwise("school"))
    lines = {line["school"]: line for line in fit(frame, "z_gain").frame.iter_rows(named=True)}
    assert lines["tiny"]["method"] == "t_pooled"
    assert lines["tiny"]["df"] == 300 - len(lines)
    own = fit(frame, "z_gain").candidates
    assert own is not None
    within = own.group_by("school").agg(((pl.col("z_gain") - pl.col("z_gain").mean()) ** 2).sum())["z_gain"].sum()
    assert lines["tiny"]["std_error"] == pytest.approx(np.sqrt(within / (300 - len(lines)) / 3))


def test_z_gain_and_rank_change_add_up_to_nothing_and_fall_with_the_prior() -> None:
    for method in ("z_gain", "rank_change"):
        found = fit(pupils(), method)
        total = (found.frame["n"] * found.frame["estimate"]).sum()
        assert total == pytest.approx(0, abs=1e-7)
        checks = found.tables["checks"].row(0, named=True)
        assert checks["corr_prior"] < -0.2
        assert checks["n"] == 2000


def test_percentile_ranks_share_ties() -> None:
    values = np.array([5.0, 1.0, 5.0, 2.0, 9.0])
    assert percentile_ranks(values).tolist() == [60.0, 10.0, 60.0, 30.0, 90.0]
    assert percentile_ranks(values).mean() == 50


def test_order_of_rows_changes_nothing() -> None:
    frame = pupils(500)
    other = frame.sample(fraction=1, shuffle=True, seed=4)
    for method in ("gain", "z_gain", "rank_change", "bands"):
        assert fit(frame, method).frame.equals(fit(other, method).frame)


def test_bands_by_hand() -> None:
    # two bands of 60; school A is a third of the first, 11 against its mean of 13 2/3, and half of the second, at its mean
    low = pl.DataFrame(
        {"before": [1] * 60, "after": [10.0, 12.0] * 10 + [14.0, 16.0] * 20, "school": ["A"] * 20 + ["B"] * 30 + ["C"] * 10}
    )
    high = pl.DataFrame({"before": [2] * 60, "after": [20.0, 22.0] * 30, "school": ["A"] * 30 + ["C"] * 30})
    frame = pl.concat([low, high])
    found = fit(frame, "bands", n_bands=2)
    bands = found.tables["bands"]
    assert bands.select("band", "prior_low", "prior_high", "n").rows() == [(1, 1.0, 1.0, 60), (2, 2.0, 2.0, 60)]
    assert bands["largest_share"].to_list() == [0.5, 0.5]
    assert found.frame["estimate"].to_list() == pytest.approx([20 * (11 - 41 / 3) / 50, 4 / 3, 10 * (4 / 3) / 40])


def test_bands_merge_until_no_school_holds_more_than_half() -> None:
    prior = np.repeat([1.0, 2.0, 3.0], [60, 60, 60])
    school = np.concatenate([np.repeat([0, 1], [45, 15]), np.repeat([0, 1, 2], [10, 25, 25]), np.repeat([1, 2, 0], [20, 20, 20])])
    band = cut_bands(prior, school, 3)
    # the first band is three quarters of school 0: it joins the second
    assert np.unique(band[:120]).tolist() == [0]
    assert np.unique(band[120:]).tolist() == [1]
    small = cut_bands(np.arange(100.0), np.arange(100) % 5, 10)
    assert np.bincount(small).min() >= 30
    assert (np.diff(small) >= 0).all()


def test_band_estimate_and_error_follow_the_formula() -> None:
    frame = pupils()
    found = fit(frame, "bands")
    assert found.candidates is not None
    own, bands = found.candidates.filter(pl.col("school") == "S07"), found.tables["bands"]
    line = found.frame.filter(pl.col("school") == "S07").row(0, named=True)
    counts = np.array([(own["prior_band"] == band).sum() for band in bands["band"]])
    variance = (counts * bands["outcome_sd"].to_numpy() ** 2 * (1 - counts / bands["n"].to_numpy())).sum() / own.height**2
    assert line["estimate"] == pytest.approx(own["residual"].mean())
    assert line["std_error"] == pytest.approx(np.sqrt(variance))
    assert line["ci_upper"] - line["estimate"] == pytest.approx(1.959963985 * line["std_error"])
    assert found.candidates["residual"].mean() == pytest.approx(0, abs=1e-9)
    assert (found.candidates["expected"] + found.candidates["residual"]).to_list() == pytest.approx(frame["after"].to_list())


def test_a_school_that_is_most_of_the_county_has_no_band_value() -> None:
    frame = pupils(400).with_columns(school=pl.when(pl.int_range(pl.len()) < 300).then(pl.lit("most")).otherwise("school"))
    lines = {line["school"]: line for line in fit(frame, "bands").frame.iter_rows(named=True)}
    assert (lines["most"]["estimate"], lines["most"]["std_error"]) == (None, None)
    assert lines["most"]["reason"] == "unit_is_most_of_band"
    assert lines["most"]["n"] == 300
    assert lines["S03"]["estimate"] is not None


def test_band_intervals_cover_in_simulation() -> None:
    # no school differs: nominal 95 % of the intervals hold zero
    covered = [fit(pupils(600, seed=seed, effect=0), "bands").frame for seed in range(60)]
    share = np.mean([((frame["ci_lower"] <= 0) & (frame["ci_upper"] >= 0)).mean() for frame in covered])
    assert 0.93 <= share <= 0.97


def test_who_is_missing_stands_beside_each_school() -> None:
    frame = pupils(200, schools=4).with_columns(
        after=pl.when((pl.col("school") == "S01") & (pl.col("before") < 55)).then(None).otherwise("after")
    )
    frame = pl.concat(
        [frame, pl.DataFrame({"school": ["Z"] * 3, "before": [60.0] * 3, "after": [None] * 3}, schema=frame.schema)]
    )
    found = fit(frame, "gain")
    line = found.frame.filter(pl.col("school") == "S01").row(0, named=True)
    assert line["n"] < line["n_listed"]
    assert line["match_rate"] == pytest.approx(line["n"] / line["n_listed"])
    assert line["unmatched_prior_z"] < -0.5
    # a school without any pair of scores is listed, with no number
    assert found.tables["coverage"].filter(pl.col("school") == "Z").row(0)[:4] == ("Z", 3, 0, 0.0)
    assert "Z" not in found.frame["school"]


def test_agreement_counts_the_methods_on_one_side() -> None:
    frame = pupils(3000, effect=6)
    results = {method: fit(frame, method) for method in ("multilevel", "gain", "bands", "percentile")}
    found = compare_growth(results)
    first, last = found.frame.row(0, named=True), found.frame.row(-1, named=True)
    assert (first["side"], first["agreement"], first["n_below"]) == ("below", "A", 4)
    assert (last["side"], last["agreement"], last["n_above"]) == ("above", "A", 4)
    middle = found.frame.filter(pl.col("side") == "none")
    assert middle.height > 0
    assert middle["agreement"].null_count() == middle.height
    table = found.spearman.drop("method").to_numpy()
    assert np.allclose(np.diag(table), 1)
    assert np.allclose(table, table.T)
    assert table.min() > 0.9
    reference = stats.spearmanr(results["gain"].frame["estimate"], results["bands"].frame["estimate"]).statistic
    assert found.spearman.filter(pl.col("method") == "gain")["bands"].item() == pytest.approx(reference)
    assert 0 < found.n_agreeing <= found.n_units == 20
    assert "agreement A" in found.summary()


def test_agreement_by_hand() -> None:
    def result(bounds: list[tuple[float | None, float | None]], **settings: Any) -> GrowthResult:
        middle = [None if low is None or high is None else (low + high) / 2 for low, high in bounds]
        rows = {
            "school": list("abcd"),
            "n": [20] * 4,
            "estimate": middle,
            "ci_lower": [x for x, _ in bounds],
            "ci_upper": [x for _, x in bounds],
        }
        left = pl.DataFrame(schema={"reason": pl.String, "n": pl.Int64})
        return GrowthResult(pl.DataFrame(rows, strict=False), {"method": "x", "level": 0.95, **settings}, "school", left)

    zero = result([(1, 2), (1, 2), (1, 2), (None, None)])
    fifty = result([(51, 60), (51, 60), (30, 49), (40, 60)], neutral=50.0)
    weak = result([(1, 2), (-1, 2), (1, 2), (-1, 1)])
    frame = compare_growth({"a": zero, "b": fifty, "c": weak, "d": zero}).frame
    assert frame["agreement"].to_list() == ["A", "B", None, None]
    assert frame["side"].to_list() == ["above", "above", "opposed", "none"]
    assert frame["n_methods"].to_list() == [4, 4, 4, 2]


@pytest.mark.parametrize(
    ("method", "options", "code"),
    [
        ("gain", {"prior": ["before", "other"]}, "growth_one_prior"),
        ("bands", {"prior": ["before", "other"]}, "growth_one_prior"),
        ("bands", {"n_bands": 1}, "growth_option"),
        ("gain", {"unit": "df"}, "growth_name_taken"),
        ("bands", {"unit": "reason"}, "growth_name_taken"),
        ("gain", {"outcome": "flat"}, "growth_column_constant"),
        ("bands", {"prior": "flat"}, "growth_column_constant"),
        ("z_gain", {"outcome": "school"}, "growth_value"),
    ],
)
def test_what_makes_no_sense_stops(method: str, options: dict[str, Any], code: str) -> None:
    frame = pupils(100).with_columns(other=pl.col("before") + 1, flat=pl.lit(1), df="school", reason="school")
    if options.get("outcome") == "school":
        options = {**options, "unit": "df"}
    with pytest.raises(EduqError) as error:
        fit(frame, method, **options)
    assert error.value.code == code


def test_results_that_do_not_belong_together_stop() -> None:
    frame = pupils(100)
    one = fit(frame, "gain")
    for results in ({"one": one}, {"one": one, "two": fit(frame, "gain", level=0.9)}):
        with pytest.raises(EduqError) as error:
            compare_growth(results)
        assert error.value.code == "growth_methods_differ"
