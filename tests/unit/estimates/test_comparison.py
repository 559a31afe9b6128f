"""Units compared: columns, families, references, small units, sentences, pairs, pictures, and what ranks achieve."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_ndtr

import eduq as eq
from eduq.errors import DataFileError, NotAssessableError, UsageError
from eduq.estimates.comparison import compare_units
from eduq.estimates.comparison.fits import clear_rates, contrast_with_group
from eduq.estimates.comparison.funnel import fit_funnel
from eduq.estimates.comparison.inputs import OUTPUT
from eduq.estimates.ranks import could_be_first, could_be_last, last_place_p, pair_cut, rank_sets


def schools(size: int = 12, seed: int = 1, spread: float = 0.3) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    n = rng.integers(15, 400, size)
    error = 0.9 / np.sqrt(n)
    x = rng.normal(0, spread, size) + error * rng.normal(size=size)
    return pl.DataFrame({"school_id": [f"S{i:03d}" for i in range(size)], "estimate": x, "std_error": error, "n": n})


def test_the_declared_columns_in_order_and_plain_types() -> None:
    found = eq.compare_units(schools())
    assert found.frame.columns == ["school_id", *OUTPUT]
    assert found.frame.schema["rank"] == pl.Int64
    assert found.frame.schema["could_be_last"] == pl.Boolean
    assert found.frame["n_units"].to_list() == [12] * 12
    assert found.frame["rank"].sort().to_list() == list(range(1, 13))
    assert "12 units in 1 comparisons" in found.summary()
    assert "<table" in found._repr_html_()


@settings(max_examples=25)
@given(st.permutations(range(12)))
def test_order_of_rows_changes_nothing(order: list[int]) -> None:
    frame = schools()
    assert compare_units(frame[order]).frame.equals(compare_units(frame).frame)


@settings(max_examples=25)
@given(st.floats(-50, 50), st.floats(0.1, 20))
def test_shift_and_scale_move_the_numbers_and_no_verdict(shift: float, scale: float) -> None:
    frame = schools(spread=0.5)
    moved = frame.with_columns(pl.col("estimate") * scale + shift, pl.col("std_error") * scale)
    first, second = compare_units(frame).frame, compare_units(moved).frame
    same = ["rank_lower", "rank_upper", "could_be_last", "could_be_first", "funnel", "funnel_998"]
    assert second.select(same).equals(first.select(same))
    assert second["contrast"].to_numpy() == pytest.approx(first["contrast"].to_numpy() * scale, abs=1e-9)
    assert second["q_value"].to_numpy() == pytest.approx(first["q_value"].to_numpy(), rel=1e-5, abs=1e-12)


def test_a_unit_is_part_of_its_group() -> None:
    n = np.array([300.0, 700.0])
    _, error = contrast_with_group(np.zeros(2), 1 / np.sqrt(n), n)
    assert error * np.sqrt(n) == pytest.approx(np.sqrt(1 - n / 1000))
    found = compare_units(schools()).frame
    assert float((found["contrast"] * found["n"]).sum()) == pytest.approx(0, abs=1e-9)
    without_n = compare_units(schools().drop("n")).frame
    assert float(without_n["contrast"].sum()) == pytest.approx(0, abs=1e-12)
    assert without_n["n"].null_count() == 12


def test_standard_errors_from_sd_and_n_pool_small_and_flat_units() -> None:
    frame = pl.DataFrame({"school_id": list("ABC"), "estimate": [0.1, 0.0, -0.1], "sd": [1.0, 0.5, 0.0], "n": [101, 11, 51]})
    pooled = (100 * 1.0 + 10 * 0.25 + 50 * 0.0) / 160
    expected = np.sqrt(np.array([1.0, pooled, pooled]) / np.array([101, 11, 51]))
    assert compare_units(frame).frame["std_error"].to_numpy() == pytest.approx(expected)


def test_families_are_compared_within_and_tested_together() -> None:
    both = pl.concat([schools(seed=1).with_columns(subject=pl.lit("math")), schools(seed=2).with_columns(subject=pl.lit("art"))])
    found = compare_units(both, family=["subject"])
    alone = compare_units(schools(seed=2))
    art = found.frame.filter(pl.col("subject") == "art")
    for name in ("contrast", "p_value", "shrunken", "rank_lower", "p_last", "funnel_lower"):
        assert art[name].equals(alone.frame[name]), name
    assert found.frame["family_size"].unique().to_list() == [24]
    p = found.frame["p_value"].to_numpy()
    places = np.argsort(p)
    q = np.minimum.accumulate((24 * p[places] / np.arange(1, 25))[::-1])[::-1]
    assert found.frame["q_value"].to_numpy()[places] == pytest.approx(np.minimum(q, 1))
    assert set(found.models) == {("art",), ("math",)}
    with pytest.raises(UsageError, match="compare_several_models"):
        _ = found.model
    with pytest.raises(UsageError, match="compare_several_models"):
        found.plot()
    assert found.plot(family=("art",)).as_dict()["layers"]


def test_an_outside_reference_needs_its_source_and_takes_no_part() -> None:
    frame = schools()
    found = compare_units(frame, reference=0.1, reference_source="province 2025")
    assert found.frame["contrast"].to_numpy() == pytest.approx(frame["estimate"].to_numpy() - 0.1)
    assert found.frame["contrast_se"].to_list() == found.frame["std_error"].to_list()
    assert found.model.funnel_target == 0.1
    assert found.settings["reference_source"] == "province 2025"
    assert "outside reference" in found.sentences("en")["sentence"][0]
    column = compare_units(frame.with_columns(province=pl.lit(0.1)), reference="province", reference_source="province 2025")
    assert column.frame.equals(found.frame)
    with pytest.raises(UsageError, match="compare_reference_source"):
        compare_units(frame, reference=0.1)
    with pytest.raises(UsageError, match="compare_reference_source"):
        compare_units(frame, reference_source="province 2025")


def test_small_units_are_compared_and_not_ranked() -> None:
    frame = schools().with_columns(n=pl.when(pl.col("school_id") == "S003").then(6).otherwise("n"))
    found = compare_units(frame)
    line = found.frame.row(3, named=True)
    assert (line["rank"], line["could_be_last"], line["p_last"], line["reason"]) == (None, None, None, "below_min_n")
    assert line["contrast"] is not None
    assert found.frame["n_units"].to_list() == [11] * 12
    assert "Not ranked" in found.sentences("en")["sentence"][3]
    assert compare_units(frame, min_n=0).frame["rank"].null_count() == 0


def test_what_is_unknown_is_null_with_a_reason() -> None:
    frame = schools().with_columns(
        estimate=pl.when(pl.col("school_id") == "S001").then(None).otherwise("estimate"),
        std_error=pl.when(pl.col("school_id") == "S002").then(0.0).otherwise("std_error"),
        n=pl.when(pl.col("school_id") == "S004").then(None).otherwise("n"),
    )
    found = compare_units(frame)
    assert found.frame["reason"].to_list()[:5] == [None, "no_estimate", "no_std_error", None, "no_n"]
    left_out = found.frame.filter(pl.col("reason").is_not_null())
    assert left_out.select("contrast", "p_value", "q_value", "rank", "shrunken", "funnel").null_count().row(0) == (3,) * 6
    rest = compare_units(frame.filter(~pl.col("school_id").is_in(["S001", "S002", "S004"])))
    assert found.frame.filter(pl.col("reason").is_null()).equals(rest.frame)
    assert "no value" in found.sentences("en")["sentence"][1]


@pytest.mark.parametrize("size", [1, 2, 4, 5, 9, 10])
def test_few_units_get_what_can_be_told(size: int) -> None:
    found = compare_units(schools(size))
    assert (found.frame["shrunken"].null_count() == 0) == (size >= 5)
    assert (found.frame["p_last"].null_count() == 0) == (size >= 5)
    assert (found.model.dispersion is not None) == (size >= 10)
    assert (found.frame["contrast"].null_count() == 0) == (size >= 2)
    assert found.frame["reason"].to_list() == (["one_unit"] if size == 1 else [None] * size)
    assert found.sentences("zh").height == size
    found.plot("funnel")


def test_equal_data_tell_nobody_from_anybody() -> None:
    frame = schools().with_columns(estimate=pl.lit(0.2))
    found = compare_units(frame)
    assert found.model.var_between == 0
    assert found.frame["reliability"].to_list() == [0.0] * 12
    assert found.frame["could_be_last"].all()
    assert found.frame["could_be_first"].all()
    assert found.frame["p_last"].to_numpy() == pytest.approx(np.full(12, 1 / 12))
    assert set(found.frame["funnel"]) == {"in"}
    assert found.frame["rank"].to_list() == [1] * 12
    assert found.frame["rank_upper"].to_list() == [12] * 12


def test_low_values_may_be_good() -> None:
    frame = schools()
    found = compare_units(frame, high_is_first=False).frame
    turned = compare_units(frame.with_columns(-pl.col("estimate"))).frame
    same = ["rank", "rank_lower", "rank_upper", "could_be_last", "could_be_first", "p_last"]
    assert found.select(same).equals(turned.select(same))
    assert found["contrast"].to_list() == (-turned["contrast"]).to_list()


def test_first_is_last_from_the_other_end() -> None:
    x, s = schools()["estimate"].to_numpy(), schools()["std_error"].to_numpy()
    assert could_be_first(x, s).tolist() == could_be_last(-x, s).tolist()
    assert could_be_first(x, s)[np.argmax(x)]


# ---- rates and funnels ---------------------------------------------------------------------------------------------------


def rates(size: int = 12, spread: float = 0.0) -> pl.DataFrame:
    rng = np.random.default_rng(5)
    n = rng.integers(20, 300, size)
    passed = rng.binomial(n, np.clip(0.8 + spread * rng.normal(size=size), 0, 1))
    return pl.DataFrame({"school_id": [f"S{i:03d}" for i in range(size)], "estimate": passed / n, "n": n})


def test_rates_of_all_and_none_have_an_error_and_an_interval() -> None:
    frame = rates().with_columns(estimate=pl.when(pl.col("school_id") == "S000").then(1.0).otherwise("estimate"))
    found = compare_units(frame, rate=True).frame
    assert (found["std_error"] > 0).all()
    assert found["ci_upper"][0] == 1.0
    assert found["ci_lower"][0] < 1.0
    assert found["method"].unique().to_list() == ["wilson"]
    assert (found["funnel_lower_998"] >= 0).all()
    assert (found["funnel_upper_998"] <= 1).all()
    everybody = compare_units(frame.with_columns(estimate=pl.lit(1.0)), rate=True).frame
    assert set(everybody["funnel"]) == {"in"}
    assert everybody["could_be_last"].all()


def test_a_rate_without_overdispersion_stands_between_binomial_quantiles() -> None:
    found = compare_units(rates(8), rate=True)
    assert found.model.var_overdispersion == 0
    normal = found.model.funnel_target - 1.959964 * np.sqrt(
        found.model.funnel_target * (1 - found.model.funnel_target) / found.frame["n"].to_numpy()
    )
    gap = np.abs(found.frame["funnel_lower"].to_numpy() - normal)
    assert (gap > 1e-6).all()
    assert (gap < 0.05).all()


def test_overdispersion_widens_the_funnel_and_one_outlier_does_not() -> None:
    wide = compare_units(rates(30, spread=0.12), rate=True)
    assert wide.model.dispersion is not None
    assert wide.model.dispersion > 2
    assert wide.model.var_overdispersion > 0
    calm = schools(30, spread=0.0)
    one = calm.with_columns(estimate=pl.when(pl.col("school_id") == "S007").then(-0.8).otherwise("estimate"))
    found = compare_units(one)
    assert found.frame.filter(pl.col("school_id") == "S007")["funnel_998"].item() == "low"
    null_error = 0.9 / np.sqrt(one["n"].to_numpy())
    plain = fit_funnel(one["estimate"].to_numpy(), null_error, found.model.funnel_target, tail=0.0)
    assert found.model.dispersion is not None
    assert found.model.dispersion < 1.5 < plain.dispersion


# ---- sentences and pairs -------------------------------------------------------------------------------------------------

WORDS_OF_DIFFERENCE = {"zh": ("高于", "低于"), "en": ("above", "below")}


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("spread", [0.0, 0.15, 0.6])
def test_no_indistinguishable_pair_is_called_different(lang: Any, spread: float) -> None:
    found = compare_units(schools(16, seed=3, spread=spread))
    units = found.frame["school_id"].to_list()
    pairs = found.pairs(units, lang=lang)
    assert pairs.height == 16 * 15 // 2
    for line in pairs.iter_rows(named=True):
        covers = line["ci_lower"] <= 0 <= line["ci_upper"]
        assert line["distinct"] != covers
        assert any(word in line["sentence"] for word in WORDS_OF_DIFFERENCE[lang]) != covers
    # the same certainty as the rank sets
    below = pairs.filter(pl.col("distinct") & (pl.col("difference") > 0)).group_by("unit_a").len()
    above = pairs.filter(pl.col("distinct") & (pl.col("difference") < 0)).group_by("unit_b").len()
    counts = dict.fromkeys(units, 0)
    for unit, number in [*below.iter_rows(), *above.iter_rows()]:
        counts[unit] += number
    assert [16 - counts[unit] for unit in units] == found.frame["rank_upper"].to_list()


def test_pairs_of_rates_go_with_their_rank_sets() -> None:
    found = compare_units(rates(14, spread=0.15), rate=True)
    units = found.frame["school_id"].to_list()
    pairs = found.pairs(units, lang="en")
    clear = pairs.filter("distinct")
    assert clear.height > 3
    counts = dict.fromkeys(units, 0)
    for line in clear.iter_rows(named=True):
        counts[line["unit_a"] if line["difference"] > 0 else line["unit_b"]] += 1
    assert [14 - counts[unit] for unit in units] == found.frame["rank_upper"].to_list()
    assert (pairs["ci_lower"] >= -1).all()
    assert (pairs["ci_upper"] <= 1).all()


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_unit_is_called_above_or_below_the_group_only_where_q_says_so(lang: Any) -> None:
    found = compare_units(schools(30, seed=4, spread=0.15))
    said = found.frame.hstack(found.sentences(lang).select("sentence"))
    for line in said.iter_rows(named=True):
        named = any(word in line["sentence"] for word in WORDS_OF_DIFFERENCE[lang])
        assert named == (line["q_value"] <= 0.05)
    assert 0 < said.filter(pl.col("q_value") <= 0.05).height < 30


def test_a_pair_needs_ranked_units() -> None:
    with pytest.raises(UsageError, match="compare_unit_unknown"):
        compare_units(schools()).pairs(["S000", "elsewhere"])
    with pytest.raises(UsageError, match="compare_family_unknown"):
        compare_units(schools()).pairs(["S000"], family=("math",))


@pytest.mark.parametrize("with_n", [True, False])
def test_pictures(with_n: bool) -> None:
    frame = schools() if with_n else schools().drop("n")
    found = compare_units(frame)
    assert len(found.plot().as_dict()["layers"]) == 4
    assert len(found.plot("funnel").as_dict()["layers"]) == 6
    with pytest.raises(UsageError, match="compare_option"):
        found.plot("pie")  # type: ignore[arg-type]
    assert compare_units(rates(), rate=True).plot("funnel").as_dict()["layers"]


# ---- what stops ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "options", "error", "code"),
    [
        ({}, {"unit": "school"}, UsageError, "compare_column_missing"),
        ({}, {"family": ["estimate", "estimate"]}, UsageError, "compare_name_taken"),
        ({}, {"level": 1.0}, UsageError, "compare_option"),
        ({}, {"rate": True, "std_error": "std_error"}, UsageError, "compare_option"),
        ({}, {"reference": float("nan"), "reference_source": "x"}, UsageError, "compare_option"),
        ({"std_error": -pl.col("std_error")}, {}, DataFileError, "compare_value"),
        ({"estimate": pl.lit("about 3")}, {}, DataFileError, "compare_value"),
        ({"estimate": pl.lit(float("inf"))}, {}, DataFileError, "compare_value"),
        ({"estimate": pl.lit(1.5)}, {"rate": True}, DataFileError, "compare_value"),
        ({"school_id": pl.lit(None, pl.String)}, {}, DataFileError, "compare_value"),
        ({"school_id": pl.lit("S")}, {}, DataFileError, "compare_duplicate"),
        ({"estimate": pl.lit(None, pl.Float64)}, {}, NotAssessableError, "compare_no_estimates"),
        ({}, {"reference": "n", "reference_source": "x"}, DataFileError, "compare_value"),
    ],
)
def test_what_does_not_fit_stops(change: dict[str, pl.Expr], options: dict[str, Any], error: type[Exception], code: str) -> None:
    with pytest.raises(error, match=code):
        compare_units(schools().with_columns(**change), **options)


def test_no_error_and_no_frame_stop() -> None:
    with pytest.raises(UsageError, match="compare_no_error"):
        compare_units(schools().select("school_id", "estimate"))
    with pytest.raises(UsageError, match="compare_source"):
        compare_units([1, 2])  # type: ignore[arg-type]


def test_lazy_frames_and_written_numbers_are_read() -> None:
    frame = schools()
    assert compare_units(frame.lazy()).frame.equals(compare_units(frame).frame)
    as_text = frame.with_columns(pl.col("n").cast(pl.String))
    assert compare_units(as_text).frame.equals(compare_units(frame).frame)


# ---- what it achieves ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["equal", "near", "spread", "three_last"])
def test_rank_sets_hold_together_and_each_truly_last_unit_is_kept(kind: str) -> None:
    """600 counties of 20 schools; bounds are .95 less two Monte-Carlo standard errors, three for the lowest of several."""
    rng = np.random.default_rng(99)
    size, runs = 20, 600
    error = 0.9 / np.sqrt(np.exp(rng.normal(np.log(100), 0.6, size)))
    truth = rng.normal(size=size) * {"equal": 0.0, "near": 0.05, "spread": 0.3, "three_last": 0.3}[kind]
    if kind == "three_last":
        truth[:3] = truth.min() - 0.05
    last = np.flatnonzero(truth == truth.min())
    low, high = 1 + (truth[:, None] < truth).sum(1), (truth[:, None] <= truth).sum(1)
    together, kept = 0, np.zeros(len(last))
    for _ in range(runs):
        x = truth + error * rng.normal(size=size)
        sets = rank_sets(x, error)
        together += bool(((sets.lower <= low) & (sets.upper >= high)).all())
        kept += could_be_last(x, error)[last]
    allowed = 0.95 - 2 * np.sqrt(0.95 * 0.05 / runs)
    assert together / runs >= allowed
    assert kept.mean() / runs >= allowed
    assert kept.min() / runs >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / runs)


def test_intervals_of_the_contrast_cover() -> None:
    """The part-of-whole factor at a share of a third: .95 within four Monte-Carlo standard errors."""
    rng = np.random.default_rng(7)
    n = np.array([400.0, 300, 200, 100, 50, 50, 50, 50])
    truth, error = rng.normal(0, 0.3, 8), 0.9 / np.sqrt(n)
    x = truth + error * rng.normal(size=(4_000, 8))
    target = truth - n @ truth / n.sum()
    covered = []
    for row in x:
        value, se = contrast_with_group(row, error, n)
        covered.append(np.abs(value - target) <= 1.959964 * se)
    assert np.mean(covered, axis=0) == pytest.approx(np.full(8, 0.95), abs=4 * np.sqrt(0.95 * 0.05 / 4000))


@pytest.mark.parametrize(("p", "low", "high"), [(0.5, 10, 30), (0.3, 10, 60), (0.97, 30, 200)])
def test_rank_sets_of_equal_rates_hold_together(p: float, low: int, high: int) -> None:
    """300 counties of 20 schools with few pupils or a rate near 1; .95 less three Monte-Carlo standard errors."""
    rng = np.random.default_rng(11)
    size, runs = 20, 300
    n = rng.integers(low, high + 1, size)
    cut = pair_cut(size, 0.95)
    together = sum(not clear_rates(rng.binomial(n, p) / n, n.astype(np.float64), cut)[0].any() for _ in range(runs))
    assert together / runs >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / runs)


@pytest.mark.parametrize("ratio", [1, 3, 8])
def test_a_unit_with_a_large_error_is_integrated_as_well(ratio: int) -> None:
    rng = np.random.default_rng(12)
    s = np.full(30, 0.03)
    s[0] *= ratio
    x = rng.normal(0, 0.03, 30)
    for own in (-0.1, 0.05, 0.2):
        x[0] = own
        apart = np.hypot(s[0], s[1:])
        reach = ((x[0] - x[1:]) / apart).max() * apart
        z = np.linspace(-8, 8, 20_001)
        inside = np.exp(log_ndtr((reach - s[0] * z[:, None]) / s[1:]).sum(axis=1) - z * z / 2) / np.sqrt(2 * np.pi)
        assert last_place_p(x[None, :], s[None, :], np.array([0]))[0] == pytest.approx(1 - inside.sum() * (z[1] - z[0]), abs=1e-4)
