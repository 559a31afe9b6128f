"""What must hold of feedback for any county: nobody learns of a class taught by another."""

from __future__ import annotations

from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import build_scores

from eduq.disclosure.feedback import protect_feedback
from eduq.estimates.teaching import TeachingTable, measure_teaching

EXAM = {"exam": {"id": "test-exam", "school_year": "2025-2026", "term": 2}}
Taught = list[tuple[int, int]]


@st.composite
def counties(draw: st.DrawFn) -> tuple[list[list[int]], Taught]:
    """Scores of 6 to 12 classes, some of them small, and who teaches which, co-teaching included."""
    n_classes = draw(st.integers(6, 12))
    classes = [draw(st.lists(st.integers(0, 100), min_size=9, max_size=12)) for _ in range(n_classes)]
    pairs = st.tuples(st.integers(0, 6), st.integers(0, n_classes - 1))
    return classes, draw(st.lists(pairs, min_size=1, max_size=6, unique=True))


def teach(classes: list[list[int]], taught: Taught) -> TeachingTable:
    rows = [
        {"school_id": f"S{number}", "class_id": "1班", "math": float(score)}
        for number, scores in enumerate(classes)
        for score in scores
    ]
    register = pl.DataFrame(
        [{"teacher_id": f"T{who}", "school_id": f"S{place}", "class_id": "1班", "subject": "math"} for who, place in taught]
    )
    return measure_teaching(build_scores(rows, exam=EXAM), register)


def numbers(value: Any) -> list[float]:
    """Return every float of nested plain values."""
    if isinstance(value, dict):
        return [number for part in value.values() for number in numbers(part)]
    if isinstance(value, list):
        return [number for part in value for number in numbers(part)]
    return [value] if isinstance(value, float) else []


@settings(max_examples=25)
@given(counties())
def test_reference_is_of_at_least_five_large_classes_of_others(made: tuple[list[list[int]], Taught]) -> None:
    classes, taught = made
    teaching = teach(classes, taught)
    for who in {who for who, _ in taught}:
        own = {place for person, place in taught if person == who}
        colleagues = {person for person, place in taught if place in own}
        near = {place for person, place in taught if person in colleagues}
        far = [place for place in range(len(classes)) if place not in near and len(classes[place]) >= 10]
        for line in protect_feedback(teaching, teacher_id=f"T{who}").fields["lines"]:
            if line["reference"] is not None:
                assert 5 <= line["n_like"] <= len(far)


@settings(max_examples=25)
@given(counties(), st.integers(0, 100))
def test_own_scores_do_not_move_the_own_reference(made: tuple[list[list[int]], Taught], score: int) -> None:
    classes, taught = made
    who = taught[0][0]
    own = {place for person, place in taught if person == who}
    changed = [[score] * len(scores) if place in own else scores for place, scores in enumerate(classes)]
    before, after = (
        protect_feedback(teach(scores, taught), teacher_id=f"T{who}").fields["lines"] for scores in (classes, changed)
    )
    for one, two in zip(before, after, strict=True):
        if one["reference"] is not None and two["reference"] is not None:
            assert abs(one["reference"] - two["reference"]) < 1e-9
            assert one["n_like"] == two["n_like"]


@settings(max_examples=25)
@given(counties())
def test_small_classes_have_no_number_and_bands_hold_ten(made: tuple[list[list[int]], Taught]) -> None:
    teaching = teach(*made)
    sheets = [protect_feedback(teaching, teacher_id=name).fields for name in teaching.of_teacher]
    sheets += [protect_feedback(teaching, class_id=name).fields for name in teaching.of_class]
    for fields in sheets:
        for line in fields["lines"]:
            if line["n"] < 10:
                assert set(numbers(line)) <= {line["share"], line["max_score"]}
            for band in line["bands"] or []:
                assert band["count"] >= 10
        for pooled in fields["pooled"]:
            kept = [line["n"] for line in fields["lines"] if line["reason"] is None and line["paper"] == pooled["paper"]]
            assert pooled["n"] == sum(kept)


@settings(max_examples=25)
@given(counties())
def test_a_sheet_does_not_depend_on_the_order_of_rows(made: tuple[list[list[int]], Taught]) -> None:
    classes, taught = made
    name = f"T{taught[0][0]}"
    one = protect_feedback(teach(classes, taught), teacher_id=name)
    two = protect_feedback(teach([scores[::-1] for scores in classes], taught[::-1]), teacher_id=name)
    assert one.fields == two.fields
