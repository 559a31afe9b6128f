"""Every level measure against figures worked by hand."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from tests.builders import build_scores, one_school, pick

import eduq as eq
from eduq.estimates.equity import weighted_cv
from eduq.estimates.measures import load_measures
from eduq.settings import RunSettings

# Ten candidates of school A, full mark 100; one absent, one exempt, one voided.
TEN = [100, 90, 85, 84.5, 72, 60, 59.5, 40, 39.5, 0]
A = one_school([*TEN, "absent", "exempt", "voided"])
B = one_school([50, 60, 70, 80, 90, 100, 30, 20, 10, 55], school="B")


@pytest.fixture(scope="module")
def by_school() -> pl.DataFrame:
    return eq.describe(build_scores(A + B), by="school").frame


@pytest.fixture(scope="module")
def by_area() -> pl.DataFrame:
    return eq.describe(build_scores(A + B), by="area").frame


def test_participation_counts_everyone_expected_and_leaves_out_the_exempt(by_school: pl.DataFrame) -> None:
    found = pick(by_school, "participation_rate")
    assert (found["n_expected"], found["n_present"], found["n"]) == (12, 10, 12)
    assert found["estimate"] == pytest.approx(10 / 12)


def test_mean_sd_cv_are_of_those_present(by_school: pl.DataFrame) -> None:
    mean = sum(TEN) / 10
    sd = math.sqrt(sum((x - mean) ** 2 for x in TEN) / 10)
    assert pick(by_school, "mean_score")["estimate"] == pytest.approx(63.05)
    assert pick(by_school, "mean_score")["n"] == 10
    assert pick(by_school, "sd")["estimate"] == pytest.approx(sd)
    assert pick(by_school, "cv")["estimate"] == pytest.approx(sd / mean)
    assert pick(by_school, "score_rate")["estimate"] == pytest.approx(0.6305)


def test_sample_divisor_is_a_setting() -> None:
    found = eq.describe(build_scores(A), settings=RunSettings(sd_divisor="sample")).frame
    assert pick(found, "sd")["estimate"] == pytest.approx(np.std(TEN, ddof=1))


@pytest.mark.parametrize(
    ("measure", "count"),
    [("excellent_rate", 3), ("good_rate", 5), ("pass_rate", 6), ("low_score_rate", 2), ("full_score_rate", 1)],
)
def test_rates_count_at_the_cut_and_full_marks_in_the_top_band(by_school: pl.DataFrame, measure: str, count: int) -> None:
    assert pick(by_school, measure)["estimate"] == pytest.approx(count / 10)


def test_a_cut_that_is_no_binary_fraction_is_exact() -> None:
    # 0.55 of 60 is 33 exactly; in floating point 0.55 * 60 = 33.00000000000001 would fail a candidate at 33
    measure = load_measures()["pass_rate"].model_copy(update={"cut": 0.55})
    assert measure.score_range(6000) == (3300, 6001)


def test_bands_are_closed_below_and_open_above() -> None:
    measures = load_measures(names=["good_band_70_85"])
    found = eq.describe(build_scores(one_school([85, 84.5, 70, 69.5])), measures=measures).frame
    assert pick(found, "good_band_70_85")["estimate"] == pytest.approx(2 / 4)


def test_quantiles_interpolate_like_type_7(by_school: pl.DataFrame) -> None:
    for measure, q in (("q1", 0.25), ("median", 0.5), ("q3", 0.75)):
        assert pick(by_school, measure)["estimate"] == pytest.approx(np.quantile(TEN, q))


def test_published_cv_of_26_88() -> None:
    # mean 63.20, SD 16.99: a two-point distribution around the mean has exactly these
    scores = build_scores(one_school([63.20 + 16.99, 63.20 - 16.99]))
    assert round(100 * pick(eq.describe(scores).frame, "cv")["estimate"], 2) == 26.88


@pytest.mark.parametrize(("score", "z"), [(79.54, 0.96), (37.76, -1.50)])
def test_published_z_of_a_unit_mean(score: float, z: float) -> None:
    # group of mean 63.20 and SD 16.99 made of a large two-point school, and one candidate at the published score
    rows = one_school([63.20 + 16.99, 63.20 - 16.99] * 2000, school="B") + one_school([score])
    found = pick(eq.describe(build_scores(rows)).frame, "z_mean")
    assert round(found["estimate"], 2) == z
    assert pick(eq.describe(build_scores(rows)).frame, "t_mean")["estimate"] == pytest.approx(50 + 10 * found["estimate"])


def test_published_weighted_cv_of_0_515() -> None:
    pupils = np.array([45, 37, 89, 76, 55])
    books = np.array([279, 137, 935, 160, 402])
    assert round(weighted_cv(books / pupils, pupils), 3) == 0.515


def test_percentile_rank_gives_ties_the_middle(by_area: pl.DataFrame) -> None:
    rows = one_school([10, 20, 20, 30]) + one_school([20, 40], school="B")
    found = eq.describe(build_scores(rows)).frame
    # of six: 10 → 100·0.5/6, each 20 → 100·(1+1.5)/6, 30 → 100·4.5/6, 40 → 100·5.5/6
    assert pick(found, "percentile_rank")["estimate"] == pytest.approx(100 * (0.5 + 2.5 + 2.5 + 4.5) / 6 / 4)
    assert pick(found, "percentile_rank", unit="B")["estimate"] == pytest.approx(100 * (2.5 + 5.5) / 6 / 2)
    assert pick(by_area, "percentile_rank", unit="all")["estimate"] == pytest.approx(50)


def test_above_mean_ratio_is_mean_ratio_minus_one(by_school: pl.DataFrame) -> None:
    area = (sum(TEN) + 565) / 20
    assert pick(by_school, "mean_ratio")["estimate"] == pytest.approx(63.05 / area)
    assert pick(by_school, "above_mean_ratio")["estimate"] == pytest.approx(63.05 / area - 1)
    assert pick(by_school, "above_mean_ratio")["std_error"] == pytest.approx(pick(by_school, "mean_ratio")["std_error"])


def test_bottom_30_takes_the_ties_at_the_threshold() -> None:
    rows = one_school([10, 20, 20, 20]) + one_school([30, 40, 50, 60, 70, 80], school="B")
    found = eq.describe(build_scores(rows), by=["area", "school"]).frame
    # 30 % of ten is the third smallest score, 20; four candidates are at or below it
    assert pick(found, "bottom30_share", unit="all")["estimate"] == pytest.approx(0.4)
    assert pick(found, "bottom30_share")["estimate"] == pytest.approx(1.0)
    assert pick(found, "bottom30_share", unit="B")["estimate"] == 0.0


def test_composite_of_mean_and_rates_is_its_stored_formula(by_school: pl.DataFrame) -> None:
    assert pick(by_school, "composite_three_rates")["estimate"] == pytest.approx(60 * 0.6305 + 70 * 0.3 + 70 * 0.6)
    values = [60 * x / 100 + 70 * (x >= 85) + 70 * (x >= 60) for x in TEN]
    assert pick(by_school, "composite_three_rates")["std_error"] == pytest.approx(np.std(values, ddof=1) / math.sqrt(10))


def test_all_pass_needs_every_expected_paper() -> None:
    rows = [
        {"school_id": "A", "math": 60, "chinese": 72},
        {"school_id": "A", "math": 60, "chinese": 71.5},
        {"school_id": "A", "math": 90, "chinese": "exempt"},
        {"school_id": "A", "math": 90, "chinese": "absent"},
        {"school_id": "A", "math": 30, "chinese": "not_chosen"},
    ]
    found = pick(eq.describe(build_scores(rows, full={"chinese": 120, "math": 100})).frame, "all_pass_rate", paper="all_subjects")
    # the last candidate takes one paper only and belongs to no combination
    assert (found["n"], found["n_expected"]) == (3, 4)
    assert found["estimate"] == pytest.approx(2 / 3)


def test_total_is_of_candidates_with_every_paper_and_leaves_out_the_exempt() -> None:
    rows = [
        {"school_id": "A", "math": 60, "chinese": 72},
        {"school_id": "A", "math": 50, "chinese": "exempt"},
        {"school_id": "A", "math": 90, "chinese": "absent"},
    ]
    found = pick(eq.describe(build_scores(rows, full={"chinese": 120, "math": 100})).frame, "mean_score", paper="total")
    assert found["estimate"] is not None
    assert (found["estimate"], found["n"], found["n_expected"]) == (pytest.approx(132), 1, 2)


def test_composite_is_the_standardised_mean_of_standardised_scores() -> None:
    chinese, math_ = [80.0, 60.0, 40.0, 90.0], [50.0, 70.0, 20.0, 80.0]
    rows = [{"school_id": "AABB"[i], "math": math_[i], "chinese": chinese[i]} for i in range(4)]
    z = [(np.array(x) - np.mean(x)) / np.std(x) for x in (chinese, math_)]
    mean = (z[0] + z[1]) / 2
    expected = (mean / mean.std())[:2].mean()
    found = pick(eq.describe(build_scores(rows, full={"chinese": 100, "math": 100})).frame, "composite_z", paper="composite")
    assert found["estimate"] == pytest.approx(expected, abs=1e-4)


def test_composite_needs_half_of_the_weight_and_the_core_papers() -> None:
    papers = {"chinese": 100, "math": 100, "english": 100}
    rows = [{"school_id": "A", "math": 50 + i, "chinese": 60 - i, "english": 55 + (i % 3)} for i in range(6)]
    rows += [
        {"school_id": "A", "math": 50, "chinese": "absent", "english": 60},
        {"school_id": "A", "math": 50, "chinese": "absent", "english": "absent"},
    ]
    found = pick(eq.describe(build_scores(rows, full=papers)).frame, "composite_z", paper="composite")
    assert (found["n_expected"], found["n"]) == (8, 7)
    core = pick(
        eq.describe(build_scores(rows, full=papers), settings=RunSettings(core_papers=("chinese",))).frame,
        "composite_z",
        paper="composite",
    )
    assert (core["n_expected"], core["n"]) == (8, 6)


class TestAbsencePolicies:
    """One school of scores 60, 80, one absent, one deferred; pass mark 60 of 100."""

    ROWS = one_school([60, 80, "absent", "deferred"])

    def found(self, policy: str) -> pl.DataFrame:
        return eq.describe(build_scores(self.ROWS, exam={"absence": {"policy": policy}})).frame

    @pytest.mark.parametrize(
        ("policy", "mean", "pass_rate", "n_mean", "n_rate"),
        [("exclude", 70, 1.0, 2, 2), ("zero", 140 / 3, 2 / 3, 3, 3), ("rate-only", 70, 2 / 3, 2, 3), ("penalty", 70, 1.0, 2, 2)],
    )
    def test_each_policy_has_its_denominators(self, policy: str, mean: float, pass_rate: float, n_mean: int, n_rate: int) -> None:
        frame = self.found(policy)
        mean_line, rate_line = pick(frame, "mean_score"), pick(frame, "pass_rate")
        assert (mean_line["estimate"], mean_line["n"]) == (pytest.approx(mean), n_mean)
        assert (rate_line["estimate"], rate_line["n"]) == (pytest.approx(pass_rate), n_rate)
        assert (mean_line["n_expected"], mean_line["n_present"]) == (4, 2)

    def test_penalty_takes_its_deduction_from_the_composite_beyond_the_bound(self) -> None:
        rows = [{"school_id": s, "math": 40 + 7 * i, "chinese": 50 + 3 * i} for s in "AB" for i in range(9)]
        rows.append({"school_id": "A", "math": "absent", "chinese": "absent"})
        marks = {"chinese": 100, "math": 100}
        plain = pick(eq.describe(build_scores(rows, full=marks)).frame, "composite_z", paper="composite")
        absence = {"absence": {"policy": "penalty", "penalty_bound": 0.04, "penalty_per_point": 0.01}}
        frame = eq.describe(build_scores(rows, full=marks, exam=absence)).frame
        measured = pick(frame, "composite_z", paper="composite")
        fined = pick(frame, "composite_penalised", paper="composite")
        assert measured["estimate"] == pytest.approx(plain["estimate"])  # what was measured stays as it is
        for field in ("estimate", "ci_lower", "ci_upper"):
            assert fined[field] == pytest.approx(plain[field] - 0.01 * 100 * (0.1 - 0.04))
        assert pick(frame, "composite_penalised", paper="composite", unit="B")["estimate"] == pytest.approx(
            pick(frame, "composite_z", paper="composite", unit="B")["estimate"]
        )


def test_without_a_full_mark_rates_are_null_with_the_reason() -> None:
    found = eq.describe(build_scores(one_school([1, 2, 3]), full={"math": None})).frame
    line = pick(found, "pass_rate")
    assert (line["estimate"], line["reason"]) == (None, "max_score_unknown")
    assert pick(found, "mean_score")["estimate"] == pytest.approx(2)


def test_a_school_without_a_score_has_no_number() -> None:
    found = eq.describe(build_scores(one_school(["absent", "absent"]) + B)).frame
    line = pick(found, "mean_score")
    assert (line["estimate"], line["n"], line["n_expected"], line["reason"]) == (None, 0, 2, "no_candidates")
    assert pick(found, "participation_rate")["estimate"] == 0.0


def test_equal_scores_leave_no_gap_to_measure() -> None:
    found = eq.describe(build_scores(one_school([50, 50]) + one_school([50, 50, 50], school="B"))).frame
    assert pick(found, "z_mean")["reason"] == "zero_spread"
    assert pick(found, "sd")["estimate"] == 0.0


def test_derived_papers_stay_inside_one_combination() -> None:
    papers = {"chinese": 120, "physics": 100, "history": 100}
    rows = [{"school_id": "AB"[i % 2], "chinese": 60 + i, "physics": 50 + i, "history": "not_chosen"} for i in range(10)]
    rows += [{"school_id": "AB"[i % 2], "chinese": 90 - i, "physics": "not_chosen", "history": 30 + i} for i in range(6)]
    scores = build_scores(rows, full=papers)
    groups = eq.check_comparability(scores).frame
    totals = groups.filter(pl.col("paper") == "total")
    assert totals.select("comparison_group", "papers", "max_score", "n_schools", "n_expected").rows() == [
        ("test-exam.total.k1", "chinese+physics", 220.0, 2, 10),
        ("test-exam.total.k2", "chinese+history", 220.0, 2, 6),
    ]
    assert groups.filter(pl.col("paper") == "chinese").select("n_schools", "n_expected").rows() == [(2, 16)]
    area = eq.describe(scores, by="area").frame.filter((pl.col("paper") == "total") & (pl.col("measure") == "score_rate"))
    physics = np.mean([60 + i + 50 + i for i in range(10)]) / 220
    assert area.filter(pl.col("comparison_group") == "test-exam.total.k1")["estimate"].item() == pytest.approx(physics)


def test_the_total_of_a_track_is_measured_by_its_own_full_mark() -> None:
    rows = [
        {"school_id": "A", "track": "physics", "chinese": 90, "physics": 60},
        {"school_id": "A", "track": "history", "chinese": 90, "history": 60},
    ]
    found = eq.describe(build_scores(rows, full={"chinese": 150, "physics": 100, "history": 100}), by="area").frame
    rates = found.filter((pl.col("paper") == "total") & (pl.col("measure") == "score_rate"))["estimate"].to_list()
    assert rates == pytest.approx([150 / 250, 150 / 250])


def test_zeroed_absentees_are_in_the_base_and_not_among_the_present() -> None:
    rows = [{"school_id": "A", "math": 60, "chinese": 72}, {"school_id": "A", "math": "absent", "chinese": "absent"}]
    rows += [{"school_id": "B", "math": 50, "chinese": 50}, {"school_id": "B", "math": "deferred", "chinese": 50}]
    exam = {"absence": {"policy": "zero"}}
    frame = eq.describe(build_scores(rows, full={"chinese": 120, "math": 100}, exam=exam)).frame
    for paper, measure, mean in (("total", "mean_score", 66.0), ("composite", "composite_z", None), ("math", "mean_score", 30.0)):
        line = pick(frame, measure, paper=paper)
        assert (line["n_expected"], line["n_present"], line["n"]) == (2, 1, 2)
        assert mean is None or line["estimate"] == pytest.approx(mean)
    assert pick(frame, "all_pass_rate", paper="all_subjects")["estimate"] == pytest.approx(0.5)
    assert pick(frame, "participation_rate", paper="total")["estimate"] == pytest.approx(0.5)
    assert pick(frame, "mean_score", unit="B", paper="total")["n"] == 1
