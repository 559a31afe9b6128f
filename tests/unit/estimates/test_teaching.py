"""Classes and teachers beside like classes, checked by hand and against brute force."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.builders import build_scores

from eduq.errors import NotAssessableError, UsageError
from eduq.estimates.teaching import TeachingTable, measure_teaching
from eduq.estimates.teaching.likeness import MIN_LIKE, _without
from eduq.estimates.teaching.pooling import difference_from_rest
from eduq.intake.score_table import ScoreTable
from eduq.tables import TEACHING

SIZES = (12, 15, 11, 14, 12, 13, 16, 12)
EXAM = {"exam": {"id": "test-exam", "school_year": "2025-2026", "term": 2}}


def score(number: int, pupil: int) -> float:
    return 40 + 3 * number + (7 * pupil + 3 * number) % 23


def county(sizes: Sequence[int] = SIZES, *, exam: Mapping[str, Any] = EXAM, **more: Any) -> ScoreTable:
    """One class per school: class k has pupils with `score(k, pupil)`."""
    rows = [
        {"school_id": f"S{number}", "class_id": "1班", "math": score(number, pupil), **more}
        for number, size in enumerate(sizes)
        for pupil in range(size)
    ]
    return build_scores(rows, exam=exam)


def register(*entries: tuple[str, str, str] | tuple[str, str, str, float | None], subject: str = "math") -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"teacher_id": entry[0], "school_id": entry[1], "class_id": entry[2], "subject": subject, "share": (*entry, None)[3]}
            for entry in entries
        ],
        schema={
            "teacher_id": pl.String,
            "school_id": pl.String,
            "class_id": pl.String,
            "subject": pl.String,
            "share": pl.Float64,
        },
    )


def one_each(sizes: Sequence[int] = SIZES) -> pl.DataFrame:
    return register(*((f"T{number}", f"S{number}", "1班") for number in range(len(sizes))))


def line_of(table: TeachingTable, unit: str, **more: str) -> dict[str, Any]:
    return table.classes.filter(unit=unit, **more).row(0, named=True)


def test_gap_reference_and_quartiles_by_hand() -> None:
    table = measure_teaching(county(), one_each())
    values = [np.array([score(number, pupil) for pupil in range(size)]) for number, size in enumerate(SIZES)]
    others = values[1:]
    reference = np.concatenate(others).mean()
    sd = np.concatenate(values).std()
    line = line_of(table, "S0/1班")
    assert line["n_like"] == len(SIZES) - 1
    assert line["reference"] == pytest.approx(reference)
    assert line["gap"] == pytest.approx((values[0].mean() - reference) / sd)
    means = [part.mean() for part in others]
    assert (line["reference_q1"], line["reference_q3"]) == pytest.approx(tuple(np.quantile(means, [0.25, 0.75])))
    within = sum(((part - part.mean()) ** 2).sum() for part in others)
    n_others = sum(map(len, others))
    s_reference = within / (n_others - len(others)) / n_others
    pooled = sum(((part - part.mean()) ** 2).sum() for part in values) / (sum(SIZES) - len(SIZES))  # below 30: pooled
    assert line["gap_se"] == pytest.approx(math.sqrt(pooled / SIZES[0] + s_reference) / sd)


def test_fewer_than_five_like_classes_of_others_give_no_reference() -> None:
    table = measure_teaching(county(SIZES[:5]), one_each(SIZES[:5]))
    assert set(table.classes["gap_reason"]) == {"few_like_classes"}
    assert table.classes.select("gap", "reference", "reference_q1", "own_se").null_count().row(0) == (5, 5, 5, 5)
    assert set(measure_teaching(county(SIZES[:6]), one_each(SIZES[:6])).classes["n_like"]) == {MIN_LIKE}


def test_classes_of_the_same_teacher_and_of_colleagues_who_share_a_class_are_no_reference() -> None:
    # T0 has S0 and S1, T1 shares S1 and has S2: all three classes are one circle
    shared = register(
        ("T0", "S0", "1班"), ("T0", "S1", "1班"), ("T1", "S1", "1班"), ("T1", "S2", "1班"),
        *((f"T{number}", f"S{number}", "1班") for number in range(3, 8)),
    )  # fmt: skip
    table = measure_teaching(county(), shared)
    circle = [line_of(table, f"S{number}/1班") for number in range(3)]
    assert {line["n_like"] for line in circle} == {5}
    assert len({line["reference"] for line in circle}) == 1
    assert line_of(table, "S3/1班")["n_like"] == 7


def test_small_classes_are_no_part_of_a_reference() -> None:
    sizes = (*SIZES[:7], 4)
    table = measure_teaching(county(sizes), one_each(sizes))
    assert set(table.classes.filter(pl.col("n") >= 10)["n_like"]) == {6}
    assert line_of(table, "S7/1班")["n_like"] == 7


def test_co_taught_classes_are_pooled_by_share() -> None:
    table = measure_teaching(
        county(), register(("A", "S0", "1班", 0.25), ("B", "S0", "1班"), ("A", "S1", "1班"), ("B", "S2", "1班"))
    )
    assert table.links.sort("teacher_id", "unit")["share"].to_list() == [0.25, 1.0, 0.75, 1.0]
    pooled = table.frame.filter(pl.col("class_id").is_null(), measure="mean_score", teacher_id="A").row(0, named=True)
    first, second = line_of(table, "S0/1班"), line_of(table, "S1/1班")
    weights = 0.25 * first["n"], second["n"]
    assert pooled["estimate"] == pytest.approx((weights[0] * first["mean"] + weights[1] * second["mean"]) / sum(weights))
    error = math.hypot(weights[0] * first["mean_se"], weights[1] * second["mean_se"]) / sum(weights)
    assert pooled["std_error"] == pytest.approx(error)
    assert (pooled["n"], pooled["share"]) == (27, 1.25)


def test_pooled_gap_counts_the_error_of_a_shared_reference_once() -> None:
    table = measure_teaching(county(), register(("A", "S0", "1班"), ("A", "S1", "1班")))
    pooled = table.frame.filter(pl.col("class_id").is_null(), measure="like_gap").row(0, named=True)
    lines = [line_of(table, f"S{number}/1班") for number in (0, 1)]
    whole = sum(line["n"] for line in lines)
    own = sum((line["n"] * line["own_se"]) ** 2 for line in lines) / whole**2
    assert pooled["std_error"] == pytest.approx(math.sqrt(own + lines[0]["reference_se"] ** 2))
    assert lines[0]["gap_se"] == pytest.approx(math.hypot(lines[0]["own_se"], lines[0]["reference_se"]))


def test_teaching_classes_are_set_beside_teaching_classes() -> None:
    plain = county()
    names = [f"物{place % 2 + 1}" for place in range(plain.frame.height)]
    scores = dataclasses.replace(plain, frame=plain.frame.with_columns(pl.Series("math_class", names)))
    table = measure_teaching(scores, register(("A", "S0", "物1"), ("B", "S1", "1班")))
    kinds = table.classes.group_by("class_kind").len().sort("class_kind")
    assert kinds.rows() == [("administrative", 8), ("teaching", 16)]
    taught = {(line["class_kind"], line["unit"]) for taught in table.of_teacher.values() for line, _ in taught}
    assert taught == {("teaching", "S0/物1"), ("administrative", "S1/1班")}
    assert list(table.of_class) == [f"S{number}/1班" for number in range(8)]


def test_combinations_are_not_mixed() -> None:
    rows = []
    for number, size in enumerate(SIZES * 2):
        chosen = {"physics": 50.0 + number, "history": "not_chosen"} if number % 2 else {"physics": "not_chosen", "history": 60.0}
        for pupil in range(size):
            rows.append({"school_id": f"S{number}", "class_id": "1班", "math": score(number, pupil), **chosen})
    scores = build_scores(rows, full={"math": 100, "physics": 100, "history": 100}, exam=EXAM)
    table = measure_teaching(scores, register(*((f"T{number}", f"S{number}", "1班") for number in range(16))))
    math_lines = table.classes.filter(paper="math")
    assert set(math_lines["combination"]) == {"physics", "history"}
    assert set(math_lines["n_like"]) == {7}


def test_not_comparable_groups_say_why() -> None:
    exam = EXAM | {"papers": [{"code": "math", "max_score": 100, "marking": "school"}]}
    table = measure_teaching(county(exam=exam), one_each())
    assert set(table.classes["gap_reason"]) == {"marking_not_shared"}
    assert table.classes["gap"].null_count() == 8
    assert table.classes["mean"].null_count() == 0


def test_frame_has_the_declared_columns_and_one_line_per_measure() -> None:
    frame = measure_teaching(county(), one_each()).frame
    assert dict(frame.schema) == TEACHING
    keys = ["teacher_id", "class_id", "school_id", "class_kind", "paper", "comparison_group", "measure"]
    assert frame.select(keys).is_duplicated().sum() == 0
    assert set(frame["measure"]) == {"mean_score", "like_gap", "pass_rate", "excellent_rate", "low_score_rate"}
    assert frame.filter(pl.col("estimate").is_null() & pl.col("reason").is_null()).is_empty()


def test_entries_of_another_year_or_term_get_nothing() -> None:
    teachers = one_each().with_columns(
        pl.when(pl.col("teacher_id") == "T0").then(pl.lit("2024-2025")).otherwise(pl.lit("2025-2026")).alias("school_year"),
        pl.when(pl.col("teacher_id") == "T1").then(1).otherwise(2).alias("term"),
    )
    assert sorted(measure_teaching(county(), teachers).of_teacher) == [f"T{number}" for number in range(2, 8)]
    with pytest.raises(NotAssessableError) as caught:
        measure_teaching(county(exam={"exam": {"id": "test-exam"}}), teachers)
    assert caught.value.code == "feedback_term_unknown"


def test_refusals() -> None:
    with pytest.raises(UsageError) as no_register:
        measure_teaching(county(), None)
    assert no_register.value.code == "teachers_missing"
    rows = [{"school_id": "A", "math": 50.0}] * 12
    with pytest.raises(NotAssessableError) as no_class:
        measure_teaching(build_scores(rows, exam=EXAM), one_each())
    assert no_class.value.code == "classes_missing"


def test_quartiles_without_some_places() -> None:
    rng = np.random.default_rng(3)
    for size in (6, 9, 20):
        ordered = np.sort(rng.normal(size=size))
        removed = sorted(rng.choice(size, size=min(4, size - 5), replace=False).tolist())
        expected = np.quantile(np.delete(ordered, removed), [0.25, 0.75])
        assert _without(ordered, removed) == pytest.approx(tuple(expected))


def test_own_figures_are_set_against_the_own_others_simultaneously() -> None:
    found = difference_from_rest([0.5, 0.0, 0.1], [0.1, 0.1, 0.1], conf_level=0.95)
    critical = 2.3939797  # normal quantile at 1 - 0.05 / 6
    assert found[0][0] == pytest.approx(0.45)
    assert found[0][2] - found[0][0] == pytest.approx(critical * 0.1 * math.sqrt(1.5), rel=1e-6)
    assert difference_from_rest([0.2], [0.1], conf_level=0.95) == []
