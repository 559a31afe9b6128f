"""Every estimator takes Polars, eager or lazy, and every table that speaks Arrow, and gives the same numbers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import polars as pl
import pyarrow
import pytest
from polars.testing import assert_frame_equal

import eduq as eq
from eduq.errors import UsageError
from eduq.estimates.frames import as_frame, is_frame

RNG = np.random.default_rng(5)
PUPILS = pl.DataFrame(
    {
        "school": [f"S{i % 8}" for i in range(400)],
        "kind": ["town" if i % 8 < 4 else "rural" for i in range(400)],
        "before": np.rint(60 + 10 * RNG.standard_normal(400)),
    }
).with_columns(after=(pl.col("before") * 0.7 + pl.Series(np.rint(20 + 6 * RNG.standard_normal(400)))))
YEARS = pl.DataFrame(
    [
        {"unit": f"U{i}", "period": 2020 + t, "estimate": 0.1 * i + 0.05 * RNG.standard_normal(), "std_error": 0.06}
        for i in range(8)
        for t in range(4)
    ]
)


class Stream:
    """A table that offers the Arrow stream and nothing else, as a DuckDB relation or a pandas frame does."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.frame.__arrow_c_stream__(requested_schema)


def coded(frame: pl.DataFrame) -> pyarrow.Table:
    """Return a pyarrow table whose text is coded, as pandas categories are."""
    table = frame.to_arrow()
    for place, field in enumerate(table.schema):
        if pyarrow.types.is_large_string(field.type) or pyarrow.types.is_string_view(field.type):
            column = table.column(place).cast(pyarrow.string()).dictionary_encode()
            table = table.set_column(place, field.name, column)
    return table


FORMS: dict[str, Callable[[pl.DataFrame], Any]] = {
    "lazy": pl.DataFrame.lazy,
    "pyarrow": lambda frame: frame.to_arrow(),
    "coded": coded,
    "stream": Stream,
}
CALLS: dict[str, tuple[pl.DataFrame, Callable[[Any], Any]]] = {
    "compare_units": (YEARS.filter(period=2023), lambda data: eq.compare_units(data, unit="unit")),
    "detect_declines": (YEARS, lambda data: eq.detect_declines(data)),
    "measure_equity": (
        PUPILS,
        lambda data: eq.measure_equity(data, unit="school", value="after", unit_attributes=["kind"]),
    ),
    "compare_pairs": (
        YEARS.with_columns(pair=pl.col("unit").replace_strict({f"U{i}": f"P{i // 2}" for i in range(8)})),
        lambda data: eq.compare_pairs(data, unit="unit", pair="pair", period="period"),
    ),
    "measure_flows": (PUPILS, lambda data: eq.measure_flows(data, outcome="after", prior="before", unit="school")),
    "measure_low_groups": (
        PUPILS,
        lambda data: eq.measure_low_groups(data, subjects={"math": ("before", "after")}, unit="school"),
    ),
    "trace_cohort": (PUPILS, lambda data: eq.trace_cohort(data, exams=["before", "after"], unit="school")),
} | {
    f"estimate_growth_{method}": (
        PUPILS,
        lambda data, method=method: eq.estimate_growth(data, outcome="after", prior="before", unit="school", method=method),
    )
    for method in ("multilevel", "percentile", "z_gain", "bands")
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("call", CALLS)
def test_every_form_of_a_table_gives_the_same(call: str, form: str) -> None:
    frame, run = CALLS[call]
    assert_frame_equal(run(FORMS[form](frame)).frame, run(frame).frame)


@pytest.mark.parametrize("call", CALLS)
def test_a_result_is_a_table_for_arrow(call: str) -> None:
    frame, run = CALLS[call]
    result = run(frame)
    table = pyarrow.table(result)
    assert table.num_rows == result.frame.height
    assert table.column_names == result.frame.columns
    assert_frame_equal(as_frame(result, error="compare_source"), result.frame)


PEERS = """
import duckdb
import pandas
import polars as pl
import eduq as eq

frame = pl.DataFrame({"unit": list("ABCDEF"), "estimate": [0.6, 0.3, None, 0.0, -0.1, -0.6], "std_error": [0.1] * 6})
expected = eq.compare_units(frame).frame
table = pandas.DataFrame(frame.to_dict(as_series=False))
table["unit"] = table["unit"].astype("category")
assert eq.compare_units(table).frame.equals(expected)
arrow = frame.to_arrow()
assert eq.compare_units(duckdb.sql("select * from arrow")).frame.equals(expected)
""".replace("eq.compare_units(", "eq.compare_units(unit='unit', frame=")


def test_pandas_and_duckdb_where_they_are_installed() -> None:
    for name in ("pandas", "duckdb"):
        if find_spec(name) is None:
            pytest.skip(f"{name} is not installed (extra bench)")
    done = subprocess.run([sys.executable, "-c", PEERS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(
    ("run", "code"),
    [
        (lambda data: eq.compare_units(data, unit="unit"), "compare_source"),
        (lambda data: eq.detect_declines(data), "declines_source"),
        (lambda data: eq.measure_equity(data, value="after"), "equity_source"),
        (lambda data: eq.estimate_growth(data, outcome="after", prior="before", unit="school"), "growth_source"),
    ],
)
@pytest.mark.parametrize("data", [{"unit": ["A"]}, 3, "pupils.csv"])
def test_what_is_no_table_stops_by_name(run: Callable[[Any], Any], code: str, data: Any) -> None:
    assert not is_frame(data)
    with pytest.raises(UsageError, match=code) as caught:
        run(data)
    assert type(data).__name__ in caught.value.message("en")


@pytest.mark.parametrize(
    "labels",
    [[3, -2, 3, 7], [10**12, 5, 10**12, -(10**12)], [2**63 - 1, 0, -(2**63)], [0]],
    ids=["near", "far apart", "largest", "one"],
)
def test_whole_numbers_are_numbered_as_text_of_equal_order_is(labels: list[int]) -> None:
    from eduq.estimates.growth.inputs import number_labels

    for dtype in (pl.Int64, *([pl.Int16] if max(map(abs, labels)) < 2**15 else [])):
        distinct, place = number_labels(pl.Series("unit", labels, dtype=dtype))
        assert distinct.to_list() == sorted(set(labels))
        assert distinct.dtype == dtype
        assert place.dtype == np.int64
        assert place.tolist() == [sorted(set(labels)).index(label) for label in labels]
