"""Lineage and tenures: what counts on which side of a day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eduq.registers import Registers, follow_events, heads_in_post, trace_lineage
from eduq.registers.model import EVENT_COLUMNS, HEAD_COLUMNS, SCHOOL_COLUMNS

DAY = dt.date(2023, 9, 1)
LATER = dt.date(2026, 8, 31)


def registers(events: Sequence[tuple[object, ...]] = (), heads: Sequence[tuple[object, ...]] = ()) -> Registers:
    schools = pl.DataFrame({"school_id": list("ABCDE"), "name": list("ABCDE")})
    empty = [pl.lit(None, dtype=kind).alias(name) for name, kind in SCHOOL_COLUMNS.items() if name not in schools.columns]
    return Registers(
        schools=schools.with_columns(empty).select(SCHOOL_COLUMNS.keys()),
        events=pl.DataFrame(list(events), schema=EVENT_COLUMNS, orient="row") if events else None,
        heads=pl.DataFrame(
            [(head, None, *rest) for head, *rest in heads],
            schema=HEAD_COLUMNS,
            orient="row",
        )
        if heads
        else None,
    )


def line(found: Registers, school: str, as_of: dt.date = LATER) -> tuple[object, ...]:
    return trace_lineage(found, [school], as_of=as_of).row(0)


def test_without_events_a_school_stands_for_itself() -> None:
    assert line(registers(), "A") == ("A", "A", None, None, None)


def test_a_merger_begins_the_receiving_school_anew_and_ends_the_others() -> None:
    found = registers([(DAY, "merge", ["A", "B"], ["B"])])
    assert line(found, "A") == ("A", "A", None, DAY, "merged")
    assert line(found, "B") == ("B", "B", DAY, None, "merged")
    assert line(found, "C") == ("C", "C", None, None, None)


def test_a_merger_into_a_new_school_ends_all_of_its_sources() -> None:
    found = registers([(DAY, "merge", ["A", "B"], ["C"])])
    assert [line(found, school)[3] for school in "AB"] == [DAY, DAY]
    assert line(found, "C") == ("C", "C", DAY, None, "merged")


def test_all_parts_of_a_split_begin_anew() -> None:
    found = registers([(DAY, "split", ["A"], ["A", "B"])])
    assert line(found, "A") == ("A", "A", DAY, None, "split")
    assert line(found, "B") == ("B", "B", DAY, None, "split")
    gone = registers([(DAY, "split", ["A"], ["B", "C"])])
    assert line(gone, "A") == ("A", "A", None, DAY, "split")


def test_new_and_closed() -> None:
    found = registers([(DAY, "new", [], ["A"]), (DAY, "close", ["B"], [])])
    assert line(found, "A") == ("A", "A", DAY, None, "new")
    assert line(found, "B") == ("B", "B", None, DAY, "closed")


def test_a_rename_goes_on_as_the_same_unit_with_what_happened_before() -> None:
    earlier = dt.date(2022, 9, 1)
    found = registers([(earlier, "merge", ["D", "A"], ["A"]), (DAY, "rename", ["A"], ["B"]), (LATER, "rename", ["B"], ["C"])])
    assert line(found, "A") == ("A", "C", earlier, None, "merged")
    assert line(found, "C") == ("C", "C", earlier, None, "merged")
    assert line(found, "A", dt.date(2025, 1, 1)) == ("A", "B", earlier, None, "merged")
    assert line(registers([(DAY, "rename", ["A"], ["A"])]), "A") == ("A", "A", None, None, None)


def test_an_event_holds_from_its_own_day_and_is_unknown_before() -> None:
    found = registers([(DAY, "merge", ["A", "B"], ["B"])])
    before = DAY - dt.timedelta(days=1)
    assert line(found, "B", before) == ("B", "B", None, None, None)
    lineage = follow_events(found, LATER)
    assert (lineage.segment("B", before), lineage.segment("B", DAY)) == (0, 1)
    assert (lineage.has_ended("A", before), lineage.has_ended("A", DAY)) == (False, True)


FIRST, LAST = dt.date(2022, 9, 1), dt.date(2025, 6, 20)


@pytest.mark.parametrize(
    ("heads", "held_by"),
    [
        ([("H1", "A", FIRST, None)], "H1"),
        ([("H1", "A", FIRST, LAST)], "H1"),
        ([("H1", "A", FIRST + dt.timedelta(days=1), None)], None),
        ([("H1", "A", FIRST, LAST - dt.timedelta(days=1))], None),
        ([("H0", "A", dt.date(2010, 9, 1), FIRST - dt.timedelta(days=1)), ("H1", "A", FIRST, None)], "H1"),
        ([("H0", "A", dt.date(2010, 9, 1), FIRST), ("H1", "A", FIRST + dt.timedelta(days=1), None)], None),
        ([("H1", "A", FIRST, dt.date(2023, 8, 31)), ("H1", "A", dt.date(2023, 9, 1), None)], "H1"),
        ([("H1", "A", FIRST, dt.date(2023, 8, 31)), ("H1", "A", dt.date(2023, 9, 2), None)], None),
        ([("H1", "A", FIRST, dt.date(2023, 8, 31)), ("H2", "A", dt.date(2023, 9, 1), None)], None),
        ([("H1", "A", FIRST, None), ("H2", "B", FIRST, None)], "H1"),
        ([("H2", "B", FIRST, None)], None),
        ([], None),
    ],
)
def test_a_head_must_have_held_the_post_on_every_day(heads: list[tuple[object, ...]], held_by: str | None) -> None:
    assert heads_in_post(registers(heads=heads), "A", FIRST, LAST) == held_by


def test_a_renamed_school_keeps_its_head() -> None:
    heads = [("H1", "A", dt.date(2020, 9, 1), dt.date(2023, 8, 31)), ("H1", "B", DAY, None)]
    found = registers([(DAY, "rename", ["A"], ["B"])], heads)
    assert heads_in_post(found, "B", FIRST, LAST) == "H1"
    assert heads_in_post(found, "A", FIRST, LAST) == "H1"
    assert heads_in_post(registers(heads=heads), "B", FIRST, LAST) is None


def test_a_school_known_by_the_id_of_a_later_rename_had_its_head_before_too() -> None:
    # series name a school by its newest id; the years counted may all lie before the rename
    found = registers([(LAST + dt.timedelta(days=20), "rename", ["A"], ["B"])], [("H1", "A", FIRST, None)])
    assert heads_in_post(found, "B", FIRST, LAST) == "H1"
    assert heads_in_post(found, "A", FIRST, LAST) == "H1"


@given(
    cuts=st.lists(st.integers(1, 3000), min_size=1, max_size=5, unique=True),
    names=st.lists(st.sampled_from(["H1", "H2"]), min_size=6, max_size=6),
    span=st.tuples(st.integers(0, 3100), st.integers(0, 400)),
)
def test_the_holder_is_the_one_found_day_by_day(cuts: list[int], names: list[str], span: tuple[int, int]) -> None:
    start = dt.date(2015, 1, 1)
    edges = [0, *sorted(cuts), 3001]
    day = dt.timedelta(days=1)
    heads = [
        (names[i], "A", start + day * edges[i], start + day * (edges[i + 1] - 1 - (i % 2) * (edges[i + 1] - edges[i] > 3)))
        for i in range(len(edges) - 1)
    ]
    first = start + day * span[0]
    last = first + day * span[1]
    holders = {
        next((head for head, _, since, until in heads if since <= first + day * k <= until), None) for k in range(span[1] + 1)
    }
    expected = holders.pop() if len(holders) == 1 else None
    assert heads_in_post(registers(heads=heads), "A", first, last) == expected
