"""Growth of an exam's units: the estimators on linked rows, what is shown of it, and which exam it starts from."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.builders import build_scores

from eduq.disclosure.growths import protect_growth
from eduq.errors import ArchiveError, UsageError
from eduq.estimates.exam_growth import ExamGrowth, measure_exam_growth
from eduq.estimates.exam_growth_fits import on_mean_of_units
from eduq.estimates.growth import GrowthResult, compare_growth, estimate_growth
from eduq.intake.exam_file import ExamFacts
from eduq.intake.score_table import ScoreTable
from eduq.pipeline.growths import choose_prior, collect_growth
from eduq.settings import RunSettings
from eduq.summaries.links import LinkedTable, link_exams
from eduq.tables import GROWTH

FULL = {"math": 100, "chinese": 100}
SIZES = (60, 55, 50, 45, 40, 35, 30, 6)
GAINS = (0.9, 0.5, 0.2, 0.0, -0.1, -0.4, -0.9, 0.3)


def exams(*, seed: int = 7) -> tuple[ScoreTable, ScoreTable]:
    """Return an exam and its prior: schools of `SIZES` that add `GAINS` (SDs), the last school too small to show."""
    draw = np.random.default_rng(seed)
    now: list[dict[str, Any]] = []
    old: list[dict[str, Any]] = []
    for school, (size, gain) in enumerate(zip(SIZES, GAINS, strict=True)):
        for pupil in range(size):
            able = draw.normal()
            who = {
                "person_id": f"{school}-{pupil}",
                "school_id": f"S{school}",
                "class_id": str(pupil % 2),
                "sex": "FM"[pupil % 2],
            }
            before, after = (able + draw.normal(0, 0.5, 2) for _ in range(2))
            old.append(who | dict(zip(FULL, np.clip(np.round(50 + 12 * before), 0, 100).tolist(), strict=True)))
            now.append(who | dict(zip(FULL, np.clip(np.round(50 + 12 * (after + gain)), 0, 100).tolist(), strict=True)))
    later, earlier = (
        {"exam": {"id": f"{name}-exam", "date": date}} for name, date in (("now", "2026-06-01"), ("old", "2025-06-01"))
    )
    return build_scores(now, full=FULL, exam=later), build_scores(old, full=FULL, exam=earlier)


@pytest.fixture(scope="module")
def linked() -> LinkedTable:
    now, old = exams()
    return link_exams(now, [old], settings=RunSettings())


@pytest.fixture(scope="module")
def growth(linked: LinkedTable) -> ExamGrowth:
    return measure_exam_growth(linked, exam_id="now-exam", settings=RunSettings())


def test_every_unit_paper_and_way_has_a_line_with_its_n(growth: ExamGrowth) -> None:
    assert dict(growth.frame.schema) == GROWTH
    assert growth.frame.height == len(SIZES) * 3 * 4
    assert growth.frame.select("paper", "growth", "unit").is_unique().all()
    for (unit,), lines in growth.frame.group_by(["unit"]):
        assert set(lines["n"]) == {SIZES[int(str(unit)[1:])]}
    assert growth.frame["match_rate"].unique().to_list() == [1.0]


def test_the_model_is_that_of_estimate_growth_on_the_same_rows(linked: LinkedTable, growth: ExamGrowth) -> None:
    direct = estimate_growth(linked.frame, outcome="z_math", prior=["p1_composite", "p1_math"], unit="school_id")
    lines = growth.frame.filter(paper="math", growth="multilevel").sort("unit")
    assert lines["estimate"].to_list() == pytest.approx(direct.frame["centred"].to_list(), rel=1e-12)
    assert lines["ci_lower"].to_list() == pytest.approx(direct.frame["centred_lower"].to_list(), rel=1e-12)
    assert direct.model is not None
    told = growth.coefficients.filter(paper="math", prior="math").row(0, named=True)
    assert told["prior_exam"] == "old-exam"
    assert told["coefficient"] == pytest.approx(direct.model.fixed["p1_math"], rel=1e-12)
    share = growth.models.filter(paper="math").row(0, named=True)
    assert share["unit_share"] == pytest.approx(share["var_unit"] / (share["var_unit"] + share["var_residual"]))
    bands = estimate_growth(linked.frame, outcome="z_math", prior="p1_math", unit="school_id", method="bands")
    mine = growth.frame.filter(paper="math", growth="bands").sort("unit")["estimate"].to_list()
    assert mine == pytest.approx(bands.frame["estimate"].to_list(), rel=1e-12)


def test_growth_finds_what_the_schools_add(growth: ExamGrowth) -> None:
    lines = growth.frame.filter(paper="composite", growth="multilevel").sort("unit")
    assert np.corrcoef(lines["estimate"].to_numpy()[:7], GAINS[:7])[0, 1] > 0.95
    letters = dict(growth.frame.filter(paper="composite", growth="bands").select("unit", "agreement").iter_rows())
    assert letters["S0"] == letters["S6"] == "A"
    assert letters["S3"] is None


def test_letters_are_those_of_the_intervals_that_are_shown_against_the_mean_of_schools(growth: ExamGrowth) -> None:
    means = dict(growth.frame.filter(paper="composite").group_by("growth").agg(pl.col("estimate").mean()).iter_rows())
    assert means["multilevel"] == pytest.approx(0, abs=1e-9)  # centred there by itself
    for (unit,), lines in growth.frame.filter(paper="composite").group_by(["unit"]):
        sides = set()
        n = 0
        for line in lines.iter_rows(named=True):
            neutral = 0 if line["growth"] == "multilevel" else means[line["growth"]]
            if line["ci_lower"] is not None and line["ci_lower"] > neutral:
                sides.add("above")
                n += 1
            elif line["ci_upper"] is not None and line["ci_upper"] < neutral:
                sides.add("below")
                n += 1
        assert lines["agreement"][0] == (None if len(sides) != 1 or n < 3 else "AB"[4 - n]), unit


def test_one_large_school_does_not_move_the_reference_of_the_letters() -> None:
    frame = pl.DataFrame({"unit": ["big", "S1", "S2", "S3"], "estimate": [0.1, -0.2, -0.2, -0.1]})
    result = GrowthResult(frame, {"neutral": 0.0, "level": 0.95, "method": "bands"}, "unit", pl.DataFrame())
    assert on_mean_of_units(result).settings["neutral"] == pytest.approx(-0.1)
    assert result.settings["neutral"] == 0.0
    empty = dataclasses.replace(result, frame=frame.with_columns(pl.lit(None, pl.Float64).alias("estimate")))
    assert on_mean_of_units(empty).settings["neutral"] == 0.0


def test_declared_reliability_gives_both_results_and_leaves_the_rest(linked: LinkedTable, growth: ExamGrowth) -> None:
    settings = RunSettings(prior_reliability={"composite": 0.9})
    found = measure_exam_growth(linked, exam_id="now-exam", settings=settings, papers=["composite"])
    ways = found.frame["growth"].unique().sort().to_list()
    assert ways == ["bands", "multilevel", "multilevel_uncorrected", "percentile", "z_gain"]
    before = growth.frame.filter(paper="composite", growth="multilevel").drop("growth", "agreement")
    same = found.frame.filter(growth="multilevel_uncorrected").drop("growth", "agreement")
    assert same.equals(before)
    slope = found.coefficients.filter(prior="composite").row(0, named=True)
    assert slope["coefficient"] > slope["coefficient_uncorrected"]
    assert found.models["corrected"].to_list() == [True]
    assert "uncorrected" in growth.notes["code"].to_list()
    assert "uncorrected" not in found.notes["code"].to_list()


def test_intake_is_set_beside_every_way(growth: ExamGrowth) -> None:
    lines = growth.frame.filter(paper="composite", growth="z_gain").drop_nulls("estimate")
    told = growth.checks.filter(paper="composite", growth="z_gain").row(0, named=True)
    expected = np.corrcoef(lines["estimate"].to_numpy(), lines["prior_mean"].to_numpy())[0, 1]
    assert told["corr_intake"] == pytest.approx(expected)
    assert told["n_units"] == len(SIZES)
    assert growth.checks.height == 12


def test_classes_are_units_within_schools(linked: LinkedTable) -> None:
    found = measure_exam_growth(linked, exam_id="now-exam", by="class", papers=["math"], ways=["z_gain"], settings=RunSettings())
    assert found.frame["unit"].sort().to_list() == sorted(
        f"S{school}/{room}" for school in range(len(SIZES)) for room in range(2)
    )
    assert found.frame["n"].sum() == sum(SIZES)


def test_what_is_asked_wrongly_is_refused(linked: LinkedTable) -> None:
    for options, code in (
        ({"papers": ["music"]}, "growth_paper_unknown"),
        ({"ways": ["best"]}, "growth_method"),
        ({"settings": RunSettings(growth_covariates=("height",))}, "growth_covariate_unknown"),
    ):
        with pytest.raises(UsageError) as stop:
            measure_exam_growth(linked, **({"exam_id": "now-exam", "settings": RunSettings()} | options))  # type: ignore[arg-type]
        assert stop.value.code == code


def test_growth_shows_itself(growth: ExamGrowth) -> None:
    drawn = growth.plot("math", growth="percentile").as_dict()
    assert len(drawn["data"]["label"]) == growth.frame.filter(paper="math", growth="percentile").drop_nulls("estimate").height
    assert "old-exam" in growth.summary()
    assert growth.summary() in growth._repr_html_()
    with pytest.raises(UsageError):
        growth.plot("music")


def test_small_units_keep_their_counts_and_lose_their_numbers(growth: ExamGrowth) -> None:
    shown = protect_growth(growth, 10)
    small = shown.frame.filter(unit="S7")
    for name in ("estimate", "std_error", "ci_lower", "ci_upper", "reliability", "prior_mean", "agreement", "unmatched_prior_z"):
        assert small[name].null_count() == small.height, name
    assert small["reason"].null_count() == 0
    assert small["n"].to_list() == [6] * small.height
    others = shown.frame.filter(pl.col("unit") != "S7")
    assert others["estimate"].equals(growth.frame.filter(pl.col("unit") != "S7")["estimate"])
    assert "linked" not in vars(shown)


def test_bands_of_who_is_missing_are_withheld_together() -> None:
    now, old = exams()
    gone = dataclass_without(now, {f"1-{k}" for k in range(15)})
    found = protect_growth(
        measure_exam_growth(link_exams(gone, [old], settings=RunSettings()), exam_id="now-exam", settings=RunSettings()), 10
    )
    of_small = found.missing.filter(pl.col("school_id") == "S7", pl.col("prior_band") != "all")
    assert of_small["n_listed"].null_count() == of_small.height
    whole = found.missing.filter(school_id="S1", prior_band="all").row(0, named=True)
    assert (whole["n_listed"], whole["n_linked"]) == (55, 40)
    assert whole["prior_z_missing"] is not None
    few = found.missing.filter(pl.col("school_id") == "S2")
    assert few["prior_z_missing"].null_count() == few.height
    lost = found.frame.filter(paper="composite", growth="bands").select("unit", "unmatched_prior_z")
    assert lost.drop_nulls()["unit"].to_list() == ["S1"]


def dataclass_without(scores: ScoreTable, persons: set[str]) -> ScoreTable:
    import dataclasses

    return dataclasses.replace(scores, frame=scores.frame.filter(~pl.col("person_id").is_in(list(persons))))


def test_the_prior_exam_of_a_cohort_is_chosen_by_year_group_and_school_year() -> None:
    lines = [
        ("g8-mid-exam", "2024-2025", dt.date(2024, 11, 20), "G8", "county"),
        ("g8-final-exam", "2024-2025", dt.date(2025, 6, 20), "G8", "county"),
        ("g8-own-exam", "2024-2025", dt.date(2025, 6, 30), "G8", "school"),
        ("g9-mid-exam", "2025-2026", dt.date(2025, 11, 20), "G9", "county"),
        ("g8-next-exam", "2025-2026", dt.date(2026, 6, 1), "G8", "county"),
        ("g7-final-exam", "2023-2024", dt.date(2024, 6, 20), "G7", "county"),
    ]
    known = pl.DataFrame(lines, schema=["exam_id", "school_year", "date", "year_group", "scope"], orient="row")
    here = ExamFacts(id="g9-final-exam", school_year="2025-2026", date=dt.date(2026, 6, 3), year_group="G9")
    assert choose_prior(known, here) == ("g8-final-exam", "year_before")
    without = known.filter(pl.col("year_group") != "G8")
    assert choose_prior(without, here) == ("g9-mid-exam", "newest_of_cohort")
    senior = ExamFacts(id="s1-mid-exam", school_year="2026-2027", date=dt.date(2026, 11, 3), year_group="S1")
    assert choose_prior(known, senior) == ("g9-mid-exam", "year_before")
    other = ExamFacts(id="g4-exam", school_year="2025-2026", date=dt.date(2026, 6, 3), year_group="G4")
    assert choose_prior(known, other) == (None, "no_prior_exam")
    assert choose_prior(known, ExamFacts(id="odd-exam")) == (None, "exam_unplaced")


def test_without_prior_and_archive_there_is_no_growth() -> None:
    now, _ = exams()
    assert collect_growth(None, None, now, archived=False, registers=None, settings=RunSettings()) is None


@pytest.mark.parametrize(
    ("change", "code"),
    [({"id": "now-exam"}, "prior_is_exam"), ({"date": dt.date(2026, 6, 1)}, "prior_not_earlier")],
)
def test_a_prior_must_be_another_and_earlier_exam(change: dict[str, Any], code: str) -> None:
    import dataclasses

    now, old = exams()
    facts = old.exam.exam.model_copy(update=change)
    wrong = dataclasses.replace(old, exam=old.exam.model_copy(update={"exam": facts}))
    with pytest.raises(UsageError) as stop:
        collect_growth(wrong, None, now, archived=False, registers=None, settings=RunSettings())
    assert stop.value.code == code


def test_nobody_linked_is_said_and_not_guessed() -> None:
    now, old = exams()
    import dataclasses

    strangers = dataclasses.replace(old, frame=old.frame.with_columns(pl.concat_str(pl.lit("x"), "person_id").alias("person_id")))
    found = collect_growth(strangers, None, now, archived=False, registers=None, settings=RunSettings())
    assert found is not None
    assert found.reason == "nobody_linked"
    assert found.frame.is_empty()
    assert found.priors["n_linked"].to_list() == [0]


def test_files_and_an_archive_link_to_the_same_growth(tmp_path: Path) -> None:
    from eduq.archive import create_archive, open_archive

    now, old = exams()
    plain = collect_growth(old, None, now, archived=False, registers=None, settings=RunSettings())
    assert plain is not None
    store = create_archive(tmp_path / "archive", key_file=tmp_path / "archive.key")
    store.add(old)
    mixed = collect_growth("old-exam", store, now, archived=False, registers=None, settings=RunSettings())
    store.add(now)
    stored = collect_growth("old-exam", store, store.scores("now-exam"), archived=True, registers=None, settings=RunSettings())
    other = collect_growth(old, store, store.scores("now-exam"), archived=True, registers=None, settings=RunSettings())
    for found in (mixed, stored, other):
        assert found is not None
        assert found.frame.equals(plain.frame)
        assert found.missing.equals(plain.missing)
    keyless = open_archive(tmp_path / "archive")
    (tmp_path / "archive.key").rename(tmp_path / "elsewhere.key")
    with pytest.raises(ArchiveError) as stop:
        collect_growth("old-exam", keyless, now, archived=False, registers=None, settings=RunSettings())
    assert stop.value.code == "archive_key_missing"


def test_a_missing_key_is_a_notice_when_nobody_asked_for_a_prior(tmp_path: Path) -> None:
    import dataclasses

    from eduq.archive import create_archive, open_archive

    now, old = exams()
    place = {"year_group": "G9", "school_year": "2025-2026", "term": 2, "scope": "county"}
    before = place | {"year_group": "G8", "school_year": "2024-2025"}
    now, old = (
        dataclasses.replace(one, exam=one.exam.model_copy(update={"exam": one.exam.exam.model_copy(update=said)}))
        for one, said in ((now, place), (old, before))
    )
    store = create_archive(tmp_path / "archive", key_file=tmp_path / "archive.key")
    store.add(old)
    found = collect_growth(None, store, now, archived=False, registers=None, settings=RunSettings())
    assert found is not None
    assert found.reason is None
    assert found.priors.select("exam_id", "chosen", "why").row(0) == ("old-exam", "automatic", "year_before")
    (tmp_path / "archive.key").rename(tmp_path / "elsewhere.key")
    keyless = collect_growth(
        None, open_archive(tmp_path / "archive"), now, archived=False, registers=None, settings=RunSettings()
    )
    assert keyless is not None
    assert keyless.reason == "prior_key"


def test_agreement_is_over_the_four_ways(linked: LinkedTable, growth: ExamGrowth) -> None:
    assert growth.agreement.filter(paper="math").height == 16
    ways = {
        way: estimate_growth(linked.frame, outcome="z_math", prior="p1_math", unit="school_id", method=way)  # type: ignore[arg-type]
        for way in ("z_gain", "bands")
    }
    rho = compare_growth(ways).spearman["bands"][0]
    told = growth.agreement.filter(paper="math", growth="z_gain", other="bands")["spearman"].item()
    assert told == pytest.approx(rho)


def test_a_prior_of_one_paper_stands_for_its_composite() -> None:
    now, old = exams()
    one = build_scores(
        [
            {"person_id": f"{row['person_id']}", "school_id": row["school_id"], "math": row["math"] / 100}
            for row in old.frame.iter_rows(named=True)
        ],
        full={"math": 100},
        exam={"exam": {"id": "one-exam", "date": "2025-06-01"}},
    )
    found = measure_exam_growth(link_exams(now, [one], settings=RunSettings()), exam_id="now-exam", settings=RunSettings())
    shown = found.frame.filter(paper="math", growth="percentile")
    assert shown["estimate"].null_count() < shown.height
    assert shown["estimate"].is_between(1, 99).any()


def test_a_pupil_alone_is_too_few_and_not_without_spread() -> None:
    now, old = exams()
    others = pl.when(pl.int_range(pl.len()) == 0).then("person_id").otherwise(pl.lit("x") + pl.col("person_id"))
    alone = dataclasses.replace(old, frame=old.frame.with_columns(others.alias("person_id")))
    found = measure_exam_growth(link_exams(now, [alone], settings=RunSettings()), exam_id="now-exam", settings=RunSettings())
    reasons = set(found.frame.filter(pl.col("growth").is_in(["z_gain", "bands"]))["reason"])
    assert "growth_too_few_pupils" in reasons
    assert "growth_column_constant" not in reasons
