"""The comparison as a step of an exam: what it compares, leaves out and pools, by hand and against the estimators."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.builders import build_scores

from eduq.disclosure import protect_comparisons
from eduq.errors import SettingsError, UsageError
from eduq.estimates.comparison import Reference, References
from eduq.estimates.comparison.fits import clear_rates, rate_difference
from eduq.estimates.exam_comparisons import ALL_UNITS, ExamComparisons, compare_exam
from eduq.estimates.exam_references import OUTSIDE, compare_references
from eduq.estimates.levels import estimate_levels, pass_cuts, unit_columns
from eduq.estimates.measures import load_measures
from eduq.estimates.series import sources_from_scores
from eduq.intake import ScoreTable
from eduq.settings import RunSettings
from eduq.summaries import summarise
from eduq.tables import COMPARISONS

FULL = {"math": 100, "english": 100, "physics": 100}
SIZES = {"S01": 60, "S02": 45, "S03": 80, "S04": 35, "S05": 50, "S06": 18, "S07": 6, "S08": 40}
ATTEST = dict.fromkeys(("pace", "paper", "sitting", "marking"), "yes")
RUN = RunSettings()


def county(sizes: dict[str, int] = SIZES, *, seed: int = 3, classes: bool = False, marking: str = "central") -> ScoreTable:
    """Return an exam of three papers; schools differ in level."""
    draw = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for place, (school, size) in enumerate(sizes.items()):
        for number in range(size):
            able = 0.5 * (place - 3) / 3 + draw.normal()
            marks = {paper: float(np.clip(round(62 + 12 * (able + 0.5 * draw.normal())), 0, 100)) for paper in FULL}
            rows.append({"school_id": school, "class_id": f"{number % 3 + 1}" if classes else None, **marks})
    papers = [{"code": code, "subject": code, "max_score": mark, "marking": marking} for code, mark in FULL.items()]
    facts = {"id": "test-exam", "school_year": "2025-2026", "term": 2, "year_group": "G9", "date": "2026-06-01"}
    return build_scores(rows, full=FULL, exam={"attest": ATTEST, "exam": facts, "papers": papers})


def compared(scores: ScoreTable, *, by: tuple[str, ...] = ("school",), run: RunSettings = RUN, **options: Any) -> ExamComparisons:
    definitions = load_measures(None, run.measures)
    columns = unit_columns(by, scores.frame.columns)
    summary = summarise(scores, by=columns, settings=run, pass_cuts=pass_cuts(scores.exam, definitions))
    found = compare_exam(summary, scores, by=by, settings=run, measures=definitions, **options)
    assert found is not None
    return found


def composites(scores: ScoreTable) -> pl.DataFrame:
    """Return school_id and composite of every candidate, by the definition: mean of z, scaled by its SD in the area."""
    z = [(pl.col(code) - pl.col(code).mean()) / pl.col(code).std(ddof=0) for code in FULL]
    summed = scores.frame.select("school_id", pl.mean_horizontal(z).alias("c"))
    return summed.with_columns((pl.col("c") - pl.col("c").mean()) / pl.col("c").std(ddof=0))


def test_the_primary_comparison_has_each_schools_own_error() -> None:
    scores = county()
    found = compared(scores)
    assert found.main == ("composite", "composite_z")
    by_hand = composites(scores).group_by("school_id").agg(pl.col("c").mean().alias("x"), pl.col("c").std().alias("s"), pl.len())
    lines = found.frame.filter(measure="composite_z", peer_group=ALL_UNITS)
    pairs = lines.join(by_hand.rename({"school_id": "unit"}), on="unit")
    large = pairs.filter(pl.col("n") >= 30)
    assert large.height == 6
    assert np.allclose(large["estimate"], large["x"], atol=1e-4)
    assert np.allclose(large["std_error"], large["s"] / large["len"].sqrt(), rtol=1e-3)
    small = pairs.filter(unit="S06").row(0, named=True)
    df, squares = by_hand["len"] - 1, (by_hand["len"] - 1) * by_hand["s"] ** 2
    assert small["std_error"] == pytest.approx((squares.sum() / df.sum()) ** 0.5 / 18**0.5, rel=1e-3)
    assert list(found.frame.schema.items()) == list(COMPARISONS.items())


def test_schools_too_small_to_report_take_no_part() -> None:
    found = compared(county())
    lines = found.frame.filter(unit="S07")
    assert lines["reason"].unique().to_list() == ["below_min_n"]
    for name in ("estimate", "contrast", "shrunken", "rank", "rank_lower", "could_be_last", "p_last", "q_value", "funnel"):
        assert lines[name].is_null().all(), name
    model = next(model for key, model in found.models.items() if key[1] == "composite")
    reported = found.frame.filter(measure="composite_z", peer_group=ALL_UNITS).drop_nulls("estimate")
    assert model.n_units == reported.height == 7
    assert model.group_mean == pytest.approx((reported["n"] * reported["estimate"]).sum() / reported["n"].sum())
    # nor do they count in the family of tests or the order of the others
    assert reported["family_size"].unique().to_list() == [7]
    assert reported.drop_nulls("rank")["n_units"].unique().to_list() == [6]


def test_schools_too_small_to_be_ranked_are_compared_and_not_ranked() -> None:
    found = compared(county()).frame.filter(unit="S06", measure="composite_z", peer_group=ALL_UNITS).row(0, named=True)
    assert found["reason"] == "below_min_n_ranking"
    assert found["contrast"] is not None
    assert found["rank"] is None
    assert found["periods"] == 1


def test_the_families_are_units_and_units_by_subjects_and_each_rate() -> None:
    frame = compared(county()).frame
    sizes = {
        measure: part["family_size"].drop_nulls().unique().to_list()
        for (measure,), part in frame.filter(peer_group=ALL_UNITS).group_by(["measure"])
    }
    assert sizes == {"composite_z": [7], "z_mean": [21], "pass_rate": [21], "excellent_rate": [21]}


def _years(small: tuple[int, ...]) -> pl.DataFrame:
    rows = []
    for place, (year, n) in enumerate(zip(("2022-2023", "2023-2024", "2024-2025", "2025-2026"), small, strict=True)):
        rows.append(("S06", year, 0.1 * place, 0.2 + 0.05 * place, n))
        rows.append(("S01", year, 0.0, 0.1, 60))
    return pl.DataFrame(rows, schema=["unit", "period", "estimate", "std_error", "n"], orient="row")


def test_small_schools_are_pooled_over_the_three_newest_years() -> None:
    found = compared(county(), series=_years((90, 20, 15, 18)), var_shock=0.01)
    line = found.frame.filter(unit="S06", measure="composite_z", peer_group=ALL_UNITS).row(0, named=True)
    errors, values = np.array([0.25, 0.30, 0.35]), np.array([0.1, 0.2, 0.3])
    weight = 1 / (errors**2 + 0.01)
    assert line["estimate"] == pytest.approx(weight @ values / weight.sum())
    assert line["std_error"] == pytest.approx(1 / np.sqrt(weight.sum()))
    assert (line["periods"], line["n"], line["method"], line["reason"]) == (3, 53, "pooled_years", None)
    assert line["rank"] is not None
    others = found.frame.filter(pl.col("periods") > 1)
    assert others["unit"].unique().to_list() == ["S06"]
    assert others["measure"].unique().to_list() == ["composite_z"]


def test_a_pooled_school_counts_in_the_group_mean_by_this_exam_alone() -> None:
    frame = compared(county(), series=_years((90, 20, 15, 18)), var_shock=0.01).frame
    lines = frame.filter(measure="composite_z", peer_group=ALL_UNITS).drop_nulls("estimate")
    alone = compared(county()).frame.filter(measure="composite_z", peer_group=ALL_UNITS).drop_nulls("estimate")
    assert lines["n"].sum() > alone["n"].sum()
    mean = (alone["n"] * lines["estimate"]).sum() / alone["n"].sum()
    np.testing.assert_allclose(lines["estimate"] - lines["contrast"], mean, atol=1e-12)


def test_a_pooled_value_never_gives_away_a_withheld_year() -> None:
    # 20 + 18 are shown elsewhere: with 9 in one withheld year the pooled value would tell that year
    line = compared(county(), series=_years((90, 20, 9, 18))).frame.filter(unit="S06", measure="composite_z").row(0, named=True)
    assert line["periods"] == 1
    # two withheld years of 9 and 8 together are 17: no one of them can be told
    line = compared(county(), series=_years((90, 9, 8, 18))).frame.filter(unit="S06", measure="composite_z").row(0, named=True)
    assert line["periods"] == 3


def _register(kinds: dict[str, str], **columns: dict[str, str]) -> pl.DataFrame:
    frame = pl.DataFrame({"school_id": list(kinds), "area_type": list(kinds.values())})
    return frame.with_columns(
        pl.col("school_id").replace_strict(values, default=None, return_dtype=pl.String).alias(name)
        for name, values in columns.items()
    )


def test_similar_schools_are_those_of_the_register_and_at_least_five() -> None:
    sizes = {f"S{number:02d}": 40 for number in range(1, 10)}
    kinds = {school: "rural" if number < 6 else "urban" for number, school in enumerate(sizes)}
    schools = _register(kinds, kind=dict.fromkeys(sizes, "public"))
    found = compared(county(sizes), schools=schools)
    peers = found.frame.filter(pl.col("peer_group") != ALL_UNITS)
    rural = peers.filter(peer_group="area_type=rural")
    assert rural.height == 6
    assert rural["contrast"].is_not_null().all()
    assert np.average(rural["contrast"], weights=rural["n"]) == pytest.approx(0, abs=1e-12)
    urban = peers.filter(peer_group="area_type=urban")
    assert urban["reason"].unique().to_list() == ["peer_group_too_small"]
    assert urban["estimate"].is_null().all()


def test_pairs_and_alliances_leave_small_schools_out() -> None:
    kinds = {school: "urban" if school in ("S01", "S03") else "rural" for school in SIZES}
    pairs = {"S01": "P1", "S02": "P1", "S03": "P2", "S07": "P2"}
    found = compared(county(), schools=_register(kinds, pair_id=pairs, cluster=dict.fromkeys(SIZES, "C"))).pairs
    assert found is not None
    assert found.pairs is not None
    assert found.clusters is not None
    gap = found.pairs.frame.filter(pair_id="P1").row(0, named=True)
    assert (gap["unit"], gap["partner"]) == ("S01", "S02")
    assert gap["gap"] == pytest.approx(gap["estimate"] - gap["partner_estimate"])
    assert found.pairs.frame.filter(pair_id="P2")["gap"].is_null().all()
    member = found.clusters.frame.filter(unit="S07")
    assert member["gap"].is_null().all()
    assert member["estimate"].is_null().all()


def test_one_school_compares_its_classes_only_when_they_are_asked_for() -> None:
    scores = county({"S01": 120}, classes=True)
    found = compared(scores, by=("area", "class"))
    assert found.unit_type == "class"
    assert found.frame["unit"].unique().sort().to_list() == ["S01/1", "S01/2", "S01/3"]
    definitions = load_measures(None, ())
    summary = summarise(scores, by=unit_columns(("area",), scores.frame.columns), settings=RUN)
    assert compare_exam(summary, scores, by=("area",), settings=RUN, measures=definitions) is None


def test_papers_marked_by_the_schools_are_not_compared() -> None:
    scores = county(marking="school")
    definitions = load_measures(None, ())
    summary = summarise(scores, by=unit_columns(("school",), scores.frame.columns), settings=RUN)
    assert not summary.comparability.frame["comparable"].any()
    assert compare_exam(summary, scores, by=("school",), settings=RUN, measures=definitions) is None


def test_protection_takes_the_numbers_of_small_units_whatever_the_estimator_left() -> None:
    found = compared(county())
    shown = protect_comparisons(found, 50).frame
    held = shown.filter(pl.col("n") < 50)
    assert set(held["reason"]) == {"below_min_n"}
    assert all(held[name].is_null().all() for name in ("estimate", "contrast", "shrunken", "rank_upper", "p_last", "funnel_998"))
    kept = shown.filter(pl.col("n") >= 50)
    assert kept.equals(found.frame.filter(pl.col("n") >= 50))


def _references(*lines: Reference) -> References:
    return References("references.toml", lines)


def test_the_area_stands_beside_a_declared_value_with_both_errors() -> None:
    scores = county()
    definitions = load_measures(None, ())
    summary = summarise(scores, by=unit_columns(("school",), scores.frame.columns), settings=RUN)
    frame = estimate_levels(summary, scores, by=("area", "school"), settings=RUN, measures=definitions)
    declared = _references(
        Reference(measure="mean_score", value=60.0, std_error=0.5, source="P", subject="math"),
        Reference(measure="pass_rate", value=0.5, source="P", subject="math"),
        Reference(measure="pass_rate", value=0.1, source="P", subject="math", year_group="G8"),
    )
    found = compare_references(frame, declared, exam=scores.exam, unit_type="school", measures=definitions, settings=RUN)
    assert found.area.select("measure", "reference").rows() == [("mean_score", 60.0), ("pass_rate", 0.5)]
    mean, rate = found.area.iter_rows(named=True)
    half = np.hypot(mean["estimate"] - mean["ci_lower"], 1.959964 * 0.5)
    assert mean["difference_lower"] == pytest.approx(mean["estimate"] - 60 - half, abs=1e-4)
    assert rate["difference_upper"] == pytest.approx(rate["ci_upper"] - 0.5)
    units = found.units
    assert units["peer_group"].unique().to_list() == [OUTSIDE]
    assert "S07" not in units["unit"].to_list()
    own = units.filter(unit="S01", measure="mean_score").row(0, named=True)
    told = frame.filter(unit="S01", measure="mean_score", paper="math").row(0, named=True)
    assert own["contrast"] == pytest.approx(told["estimate"] - 60)
    assert own["contrast_se"] == pytest.approx(np.hypot(told["std_error"], 0.5))
    assert own["reference_source"] == "P"


def test_a_declared_value_of_a_gap_is_refused() -> None:
    scores = county()
    empty = pl.DataFrame(schema={"unit_type": pl.String})
    with pytest.raises(SettingsError) as error:
        compare_references(
            empty,
            _references(Reference(measure="z_mean", value=0.1, source="P")),
            exam=scores.exam,
            unit_type="school",
            measures=load_measures(None, ()),
            settings=RUN,
        )
    assert error.value.code == "analyze_reference_measure"


def test_the_picture_is_of_the_largest_group_and_names_units() -> None:
    found = compared(county())
    drawn = str(found.plot("funnel", names={"S01": "First"}).as_dict())
    assert "First" in drawn
    assert "S07" not in drawn
    with pytest.raises(UsageError, match="compare_family_unknown"):
        found.plot(group="nowhere")
    assert "comparisons in all" in found.summary()
    assert "<table" in found._repr_html_()


def test_rates_are_told_apart_as_pair_by_pair() -> None:
    draw = np.random.default_rng(5)
    n = draw.integers(1, 90, 60).astype(np.float64)
    p = draw.binomial(n.astype(int), draw.uniform(0, 1, 60)) / n
    above, below = clear_rates(p, n, 2.3)
    expected = np.zeros((2, 60), dtype=int)
    for one, other in product(range(60), repeat=2):
        low, high = rate_difference(p[[one]], n[[one]], p[[other]], n[[other]], 2.3)
        expected[0, one] += low[0] > 0
        expected[1, one] += high[0] < 0
    assert above.tolist() == expected[0].tolist()
    assert below.tolist() == expected[1].tolist()


def test_a_source_of_years_gives_the_pooled_value_end_to_end() -> None:
    """The series of the archive and this exam agree on the newest year."""
    from eduq.estimates.series import collect_series

    scores = county()
    series = collect_series(sources_from_scores([scores], None)).frame
    lines = compared(scores).frame.filter(measure="composite_z", peer_group=ALL_UNITS).drop_nulls("estimate")
    both = lines.join(series.select("unit", pl.col("estimate").alias("x")), on="unit")
    assert both.height == lines.height
    assert np.allclose(both["estimate"], both["x"])


def test_with_very_many_units_rates_are_compared_only_when_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eduq.estimates.exam_comparisons.MOST_RATED", 5)
    assert set(compared(county()).frame["measure"]) == {"composite_z", "z_mean"}
    run = RunSettings(measures=("composite_z", "z_mean", "pass_rate"))
    assert set(compared(county(), run=run).frame["measure"]) == {"composite_z", "z_mean", "pass_rate"}
