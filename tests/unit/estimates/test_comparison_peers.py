"""Peers, neighbours, pooled years and declared references of a comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eduq.errors import SettingsError, UsageError
from eduq.estimates.comparison import compare_units, pool_periods, read_references
from eduq.estimates.comparison.contrasts import contrast_with_group
from eduq.estimates.comparison.peers import find_neighbours
from eduq.estimates.comparison.pooling import hide_small_units, pool_gaps


def schools(size: int = 24, seed: int = 1) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    n = rng.integers(15, 400, size)
    error = 0.9 / np.sqrt(n)
    kinds = [("public", "private")[i % 2] for i in range(size)]
    places = [("urban", "rural", "rural")[i % 3] for i in range(size)]
    return pl.DataFrame({
        "school_id": [f"S{i:03d}" for i in range(size)],
        "estimate": rng.normal(0, 0.3, size) + error * rng.normal(size=size),
        "std_error": error,
        "n": n,
        "kind": kinds,
        "place": places,
        "enrolment": rng.integers(100, 2000, size),
    })  # fmt: skip


# ---- peer groups ---------------------------------------------------------------------------------------------------------


def test_peers_give_the_contrast_and_the_places_and_the_whole_gives_the_rest() -> None:
    frame = schools()
    found, whole = compare_units(frame, peers=["kind"]), compare_units(frame)
    assert found.standard == "peers"
    for kind in ("public", "private"):
        part = frame.filter(pl.col("kind") == kind)
        alone = compare_units(part).frame
        own = found.frame.filter(pl.col("peer_group") == f"kind={kind}")
        for name in ("contrast", "contrast_se", "rank", "rank_lower", "rank_upper", "could_be_last", "p_last", "n_units"):
            assert own[name].equals(alone[name]), name
        assert own["n_peers"].to_list() == [11] * 12
    for name in ("shrunken", "reliability", "funnel", "funnel_lower", "family_size"):
        assert found.frame[name].equals(whole.frame[name]), name
    groups = found.model.peer_groups
    assert {label: (group.n_units, group.n_ranked) for label, group in groups.items()} == {
        "kind=private": (12, 12),
        "kind=public": (12, 12),
    }
    assert whole.frame["peer_group"].unique().to_list() == ["all"]


def test_a_group_of_five_others_is_compared_and_one_of_four_is_not() -> None:
    for size, told in ((6, True), (5, False)):
        frame = schools().with_columns(
            kind=pl.when(pl.int_range(pl.len()) < size).then(pl.lit("small")).otherwise(pl.lit("other"))
        )
        found = compare_units(frame, peers=["kind"]).frame.filter(pl.col("peer_group") == "kind=small")
        assert found["n_peers"].to_list() == [size - 1] * size
        for name in ("contrast", "p_value", "q_value", "rank", "could_be_last", "p_last", "n_units"):
            assert (found[name].null_count() == 0) == told, name
        assert found["reason"].to_list() == [None if told else "peer_group_too_small"] * size
        assert found["shrunken"].null_count() == 0


def test_a_unit_of_unknown_kind_has_no_peers() -> None:
    frame = schools().with_columns(kind=pl.when(pl.col("school_id") == "S003").then(None).otherwise("kind"))
    result = compare_units(frame, peers=["kind", "place"])
    line = result.frame.row(3, named=True)
    assert (line["peer_group"], line["contrast"], line["rank"], line["reason"]) == (None, None, None, "no_peer_group")
    assert "its kind is not known" in result.sentences("en")["sentence"][3]


def test_size_classes_are_thirds_or_declared_bounds() -> None:
    frame = schools(30)
    thirds = compare_units(frame, size_classes={"enrolment": 3}).frame
    assert sorted(thirds["peer_group"].value_counts()["count"].to_list()) == pytest.approx([10, 10, 10], abs=1)
    bounds = compare_units(frame, size_classes={"enrolment": [500, 1200]}).frame
    expected = [
        "enrolment=" + ("<500" if size < 500 else "[500,1200)" if size < 1200 else ">=1200")
        for size in frame["enrolment"].to_list()
    ]
    assert bounds["peer_group"].to_list() == expected
    both = compare_units(frame, peers=["kind"], size_classes={"enrolment": [900]}).frame
    assert both["peer_group"].n_unique() == 4


def test_pairs_of_one_peer_group_use_its_cut() -> None:
    found = compare_units(schools(), peers=["kind"])
    same, across = found.pairs(["S000", "S002"]), found.pairs(["S000", "S001"])
    cut = found.model.peer_groups["kind=public"].pair_cut
    assert same["ci_upper"][0] - same["difference"][0] == pytest.approx(cut * same["std_error"][0])
    assert across["ci_upper"][0] - across["difference"][0] == pytest.approx(found.model.pair_cut * across["std_error"][0])


@settings(max_examples=20)
@given(st.permutations(range(24)))
def test_order_of_rows_changes_no_peer(order: list[int]) -> None:
    frame = schools()
    frame = frame.with_columns(enrolment=pl.lit(100) * (pl.int_range(pl.len()) % 4))  # ties in every distance
    for options in ({"peers": ["kind"], "size_classes": {"enrolment": 2}}, {"neighbours": 7, "covariates": ["enrolment"]}):
        assert compare_units(frame[order], **options).frame.equals(compare_units(frame, **options).frame)


# ---- neighbours ----------------------------------------------------------------------------------------------------------


def test_neighbours_are_the_nearest_others_by_brute_force() -> None:
    rng = np.random.default_rng(4)
    points = np.column_stack([rng.normal(0, 1, 60), rng.normal(50, 30, 60)])
    allowed = rng.random(60) > 0.2
    found = find_neighbours(points, allowed, 8)
    scaled = (points - points.mean(axis=0)) / points.std(axis=0)
    for unit in range(60):
        distance = ((scaled - scaled[unit]) ** 2).sum(axis=1)
        others = [other for other in range(60) if allowed[other] and other != unit]
        assert found[unit].tolist() == sorted(sorted(others, key=lambda other: distance[other])[:8])


def test_scale_of_a_covariate_and_a_constant_one_change_nothing() -> None:
    frame = schools()
    options: dict[str, Any] = {"neighbours": 6, "covariates": ["enrolment", "n"]}
    found = compare_units(frame, **options).frame
    moved = compare_units(frame.with_columns(pl.col("enrolment") * 1000.0 + 7), **options).frame
    assert moved["contrast"].to_numpy() == pytest.approx(found["contrast"].to_numpy(), abs=1e-12)
    constant = compare_units(frame.with_columns(one=pl.lit(3.0)), neighbours=6, covariates=["enrolment", "n", "one"]).frame
    assert constant["contrast"].equals(found["contrast"])


def test_the_contrast_with_neighbours_is_that_of_independent_means() -> None:
    frame = schools().with_columns(pl.int_range(pl.len()).alias("at"))
    found = compare_units(frame, neighbours=5, covariates=["at"])
    line = found.frame.row(0, named=True)
    x, s, n = (frame[name].to_numpy().astype(float)[1:6] for name in ("estimate", "std_error", "n"))
    share = n / n.sum()
    assert line["contrast"] == pytest.approx(frame["estimate"][0] - share @ x)
    assert line["contrast_se"] == pytest.approx(np.sqrt(frame["std_error"][0] ** 2 + share**2 @ s**2))
    assert (line["peer_group"], line["n_peers"]) == ("nearest", 5)
    assert found.frame["rank"].to_list() == compare_units(frame).frame["rank"].to_list()
    assert "the mean of its nearest units" in found.sentences("en")["sentence"][0]


def test_small_units_are_nobodys_neighbours_and_blank_covariates_have_none() -> None:
    frame = schools(9).with_columns(
        n=pl.when(pl.col("school_id") == "S001").then(4).otherwise("n"),
        enrolment=pl.when(pl.col("school_id") == "S002").then(None).otherwise("enrolment"),
    )
    found = compare_units(frame, neighbours=8, covariates=["enrolment"]).frame
    assert found["n_peers"].to_list() == [6, 7, None, 6, 6, 6, 6, 6, 6]
    assert found.row(2, named=True)["reason"] == "no_covariates"
    few = compare_units(frame.head(6), neighbours=5, covariates=["enrolment"]).frame
    assert few["contrast"].null_count() == 6
    assert "peer_group_too_small" in few["reason"].to_list()


@pytest.mark.parametrize(
    "options",
    [
        {"peers": ["kind"], "neighbours": 6, "covariates": ["n"]},
        {"peers": ["kind"], "reference": 0.0, "reference_source": "province"},
        {"neighbours": 4, "covariates": ["n"]},
        {"neighbours": 6},
        {"covariates": ["n"]},
        {"size_classes": {"enrolment": 1}},
        {"size_classes": {"enrolment": [900, 500]}},
        {"peers": ["enrolment"], "size_classes": {"enrolment": 2}},
    ],
)
def test_standards_that_do_not_fit_together_stop(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="compare_peers_option"):
        compare_units(schools(), **options)


# ---- pooled years --------------------------------------------------------------------------------------------------------


def years(sizes: dict[str, list[int]], seed: int = 3) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    rows = [
        (school, f"{2020 + year}-{2021 + year}", float(rng.normal(0.1 * year, 0.3)), 0.9, n)
        for school, counts in sizes.items()
        for year, n in enumerate(counts)
    ]
    return pl.DataFrame(rows, schema=["school_id", "period", "estimate", "sd", "n"], orient="row")


def test_pooling_by_hand_and_with_a_cohort_variance() -> None:
    x, s = np.array([0.2, -0.1, 0.4]), np.array([0.1, 0.3, 0.2])
    for shock in (0.0, 0.01):
        w = 1 / (s**2 + shock)
        estimate, error = pool_gaps(x, s, var_shock=shock)
        assert estimate == pytest.approx(w @ x / w.sum())
        assert error**2 == pytest.approx((w**2 * (s**2 + shock)).sum() / w.sum() ** 2)


def test_a_single_period_stays_itself_and_old_periods_do_not_count() -> None:
    frame = years({"A": [20, 20, 20, 20], "B": [20, 20, 20, 20]})
    frame = frame.filter(~((pl.col("school_id") == "B") & (pl.col("period") != "2023-2024")))
    found = pool_periods(frame, last=2).frame
    assert found["periods"].to_list() == [2, 1]
    assert found["first"].to_list() == ["2022-2023", "2023-2024"]
    assert found["method"].to_list() == ["pooled", "normal"]
    assert found["n"].to_list() == [40, 20]
    alone = frame.filter(pl.col("period") == "2023-2024")
    assert found["estimate"][1] == pytest.approx(alone.filter(pl.col("school_id") == "B")["estimate"].item())


def test_only_small_units_are_pooled_and_then_ranked() -> None:
    sizes = {f"S{i:02d}": [80, 90, 100] for i in range(10)} | {"small": [8, 9, 7], "tiny": [2, 3, 2]}
    frame = years(sizes)
    found = compare_units(frame, period="period").frame
    newest = compare_units(frame.filter(pl.col("period") == "2022-2023")).frame
    large = pl.col("school_id").str.starts_with("S")
    for name in ("estimate", "std_error", "n"):
        assert found.filter(large)[name].equals(newest.filter(large)[name]), name
    small, tiny = found.row(10, named=True), found.row(11, named=True)
    assert (small["method"], small["periods"], small["n"], small["reason"]) == ("pooled", 3, 24, None)
    assert small["rank"] is not None
    assert (tiny["n"], tiny["rank"], tiny["reason"]) == (7, None, "below_min_n")
    means = frame.group_by("period").agg(((pl.col("estimate") * pl.col("n")).sum() / pl.col("n").sum()).alias("mean"))
    gaps = frame.join(means, on="period").with_columns(pl.col("estimate") - pl.col("mean"))
    pooled = pool_periods(gaps.select(frame.columns)).frame.filter(pl.col("school_id") == "small")
    last = means.filter(pl.col("period") == "2022-2023")["mean"].item()
    assert small["estimate"] == pytest.approx(last + pooled["estimate"].item())
    assert small["std_error"] == pytest.approx(pooled["std_error"].item())
    wider = compare_units(frame, period="period", var_shock=0.01).frame.row(10, named=True)
    assert wider["std_error"] > small["std_error"]


def test_pooled_intervals_cover_the_mean_of_the_years() -> None:
    rng = np.random.default_rng(8)
    s, shock = np.array([0.3, 0.25, 0.4]), 0.02
    x = rng.normal(0, np.sqrt(s**2 + shock), (4000, 3))
    found = np.array([pool_gaps(row, s, var_shock=shock) for row in x])
    covered = np.abs(found[:, 0]) <= 1.959964 * found[:, 1]
    assert covered.mean() == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 4000))


def test_a_small_year_that_could_be_subtracted_is_hidden() -> None:
    frame = years({"A": [30, 30, 6], "B": [30, 8, 7], "C": [8, 7, 30]}).rename({"school_id": "unit"})
    shown = hide_small_units(frame)
    assert shown.group_by("unit").agg(pl.col("estimate").null_count()).sort("unit")["estimate"].to_list() == [3, 0, 0]


@pytest.mark.parametrize("options", [{"last": 0}, {"var_shock": -1.0}, {"rate": True}])
def test_what_cannot_be_pooled_stops(options: dict[str, Any]) -> None:
    frame = years({"A": [20, 20], "B": [20, 20]}).with_columns(pl.lit(0.5).alias("estimate"))
    frame = frame.drop("sd") if "rate" in options else frame
    with pytest.raises(UsageError, match="compare_pool_option"):
        compare_units(frame, period="period", **options)


# ---- declared references -------------------------------------------------------------------------------------------------


def test_the_error_of_a_reference_enters_the_contrast() -> None:
    frame = schools()
    exact = compare_units(frame, reference=0.1, reference_source="province").frame
    found = compare_units(frame, reference=0.1, reference_se=0.05, reference_source="province")
    assert found.frame["contrast"].equals(exact["contrast"])
    assert found.frame["contrast_se"].to_numpy() == pytest.approx(np.hypot(exact["contrast_se"].to_numpy(), 0.05))
    column = compare_units(frame.with_columns(se=pl.lit(0.05)), reference=0.1, reference_se="se", reference_source="province")
    assert column.frame.equals(found.frame)
    assert found.model.reference_se == 0.05
    with pytest.raises(UsageError, match="compare_option"):
        compare_units(frame, reference_se=0.05)


TOML = """
[[reference]]
measure = "pass_rate"
value = 0.8
source = "全省监测公报 2025"

[[reference]]
measure = "pass_rate"
subject = "math"
year_group = "G9"
value = 0.7
std_error = 0.01
source = "全省监测公报 2025"
"""
CSV = """measure,subject,year_group,school_year,value,std_error,source
pass_rate,,,,0.8,,全省监测公报 2025
pass_rate,math,G9,,0.7,0.01,全省监测公报 2025
"""


@pytest.mark.parametrize(("name", "content"), [("r.toml", TOML), ("r.csv", CSV)])
def test_references_are_read_alike_and_the_closest_fits(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    found = read_references(tmp_path / name)
    assert found.find("pass_rate", "math", "G9", "2025-2026").value == 0.7  # type: ignore[union-attr]
    assert found.find("pass_rate", "math", "G8").value == 0.8  # type: ignore[union-attr]
    assert found.find("mean", "math") is None
    assert found.lines[1].std_error == 0.01
    assert found.lines[1].words() == "pass_rate/math/G9"


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("r.toml", TOML.replace('source = "全省监测公报 2025"', ""), "settings_invalid"),
        ("r.toml", TOML + 'note = "x"', "settings_invalid"),
        ("r.toml", "", "compare_references_empty"),
        ("r.toml", TOML.replace('subject = "math"\nyear_group = "G9"\n', ""), "compare_references_twice"),
        ("r.csv", CSV.replace("0.7", "seven"), "compare_references_value"),
        ("r.csv", CSV.replace("0.01,全省监测公报 2025", "0.01,"), "compare_references_value"),
        ("absent.toml", None, "settings_missing"),
    ],
)
def test_a_reference_without_source_or_sense_stops(name: str, content: str | None, code: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError, match=code) as caught:
        read_references(tmp_path / name)
    if code == "compare_references_value":
        assert caught.value.place is not None
        assert caught.value.place.row == 3


def test_group_contrasts_stay_what_they_were() -> None:
    frame = schools()
    contrast, error = contrast_with_group(*(frame[name].to_numpy().astype(float) for name in ("estimate", "std_error", "n")))
    found = compare_units(frame).frame
    assert found["contrast"].to_numpy() == pytest.approx(contrast)
    assert found["contrast_se"].to_numpy() == pytest.approx(error)
