"""Linking candidates to earlier exams: whose scores stand beside whose, and who is missing."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from tests.builders import build_scores

from eduq.settings import RunSettings
from eduq.summaries import summarise
from eduq.summaries.links import link_exams

FULL = {"math": 100, "chinese": 100}
EXAM = {"exam": {"id": "now-exam", "date": "2026-06-01"}}
PRIOR = {"exam": {"id": "old-exam", "date": "2025-06-01"}}


def rows(*lines: tuple[str | None, str, Any, Any]) -> list[dict[str, Any]]:
    return [
        {"person_id": person, "school_id": school, "math": math, "chinese": chinese} for person, school, math, chinese in lines
    ]


def test_scores_stand_beside_those_of_the_same_pupil_standardised_within_each_exam() -> None:
    now = build_scores(rows(("a", "S1", 50, 40), ("b", "S2", 70, 60), ("c", "S2", "absent", 80)), full=FULL, exam=EXAM)
    old = build_scores(rows(("b", "S1", 90, 10), ("a", "S1", 30, 20), ("z", "S9", 60, 60)), full=FULL, exam=PRIOR)
    found = link_exams(now, [old], settings=RunSettings())
    assert found.papers == ("composite", "math", "chinese")
    assert found.frame["z_math"].to_list() == pytest.approx([-1.0, 1.0, None])
    spread = (((90 - 60) ** 2 + (30 - 60) ** 2) / 3) ** 0.5
    assert found.frame["p1_math"].to_list() == pytest.approx([-30 / spread, 30 / spread, None])
    assert found.frame["school_id"].to_list() == ["S1", "S2", "S2"]
    assert found.frame["expected_math"].to_list() == [True, True, True]
    assert not {"person_id", "candidate_id", "source_file"} & set(found.frame.columns)
    (prior,) = found.priors
    assert (prior.n_listed, prior.n_linked, prior.n_without_id, prior.n_duplicates) == (3, 2, 0, 0)


def test_the_composite_is_the_one_that_summaries_add_up() -> None:
    lines = [(f"p{k}", f"S{k % 3}", (k * 7) % 41 + 20, "absent" if k % 11 == 0 else (k * 13) % 37 + 30) for k in range(60)]
    scores = build_scores(rows(*lines), full=FULL, exam=EXAM)
    settings = RunSettings()
    linked = link_exams(scores, [], settings=settings).frame
    sums = summarise(scores, by={"school": ["school_id"]}, settings=settings).by["school"]
    stated = sums.units.join(sums.composite, on="unit_index").select("school_id", "n", (pl.col("total") / 10_000).alias("total"))
    mine = linked.group_by("school_id").agg(pl.col("z_composite").count().alias("n"), pl.col("z_composite").sum().alias("total"))
    for one, other in zip(stated.sort("school_id").iter_rows(), mine.sort("school_id").iter_rows(), strict=True):
        assert one[:2] == other[:2]
        assert one[2] == pytest.approx(other[2], abs=1e-9)


def test_an_id_that_stands_twice_or_is_missing_links_nobody_and_is_counted() -> None:
    now = build_scores(
        rows(("a", "S1", 50, 40), ("a", "S2", 70, 60), (None, "S2", 30, 80), ("d", "S1", 10, 20)), full=FULL, exam=EXAM
    )
    old = build_scores(
        rows(("a", "S1", 30, 20), ("d", "S1", 31, 25), ("d", "S2", 60, 60), ("e", "S1", 9, 9)), full=FULL, exam=PRIOR
    )
    found = link_exams(now, [old], settings=RunSettings())
    assert found.frame["p1_composite"].null_count() == 4
    (prior,) = found.priors
    assert (prior.n_linked, prior.n_without_id, prior.n_duplicates) == (0, 1, 2)


def test_scores_of_a_group_that_may_not_be_compared_are_not_standardised() -> None:
    deviation = {"schools": ["S2"], "change": {"papers": ["math"], "marking": "school", "reason": "own marking"}}
    old = build_scores(
        rows(("a", "S1", 30, 20), ("b", "S1", 60, 50), ("c", "S2", 70, 80), ("d", "S2", 20, 80)),
        full=FULL,
        exam=PRIOR | {"deviations": [deviation]},
    )
    now = build_scores(rows(*((name, "S1", 10 * k, 20 * k) for k, name in enumerate("abcd", start=1))), full=FULL, exam=EXAM)
    found = link_exams(now, [old], settings=RunSettings()).frame
    assert found["p1_math"].is_null().to_list() == [False, False, True, True]
    assert found["p1_chinese"].null_count() == 0
    assert found["p1_composite"].is_null().to_list() == [False, False, True, True]


def test_missing_counts_pupils_of_the_prior_exam_by_its_school_and_band() -> None:
    lines = [(f"p{k}", "S1" if k < 10 else "S2", k, k) for k in range(20)]
    old = build_scores(rows(*lines, ("none", "S2", "absent", "absent")), full=FULL, exam=PRIOR)
    gone = {"p0", "p19", "none"}
    kept = [line for line in lines if line[0] not in gone]
    now = build_scores(rows(*kept, ("p19", "S2", "absent", "absent"), ("new", "S1", 5, 5)), full=FULL, exam=EXAM)
    missing = link_exams(now, [old], settings=RunSettings()).missing
    found = {tuple(line[:2]): line[2:4] for line in missing.drop("prior_exam").iter_rows()}
    assert found["all", "all"] == (21, 18)
    assert found["all", "lower"] == (6, 5)
    assert found["all", "middle"] == (8, 8)
    assert found["all", "upper"] == (6, 5)  # p19 is listed, but has no score
    assert found["S2", "none"] == (1, 0)
    assert found["S1", "all"] == (10, 9)
    bands = missing.filter(pl.col("prior_band") != "all", pl.col("school_id") != "all")
    assert bands["n_listed"].sum() == 21


def test_an_exam_of_one_paper_has_that_paper_for_its_composite() -> None:
    now = build_scores([{"person_id": str(k), "school_id": "S1", "math": 10 * k} for k in range(5)], exam=EXAM)
    found = link_exams(now, [now], settings=RunSettings())
    assert found.papers == ("math",)
    assert found.frame["p1_composite"].equals(found.frame["z_math"], check_names=False)
