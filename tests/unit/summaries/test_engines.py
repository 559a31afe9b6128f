"""The counting gives the same integers whatever engine holds the rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.builders import build_scores

from eduq.summaries.counts import count_scores, sum_scores
from eduq.summaries.derived import DERIVED_STATUSES, add_every_paper, add_total

CELLS = [70, 95.5, 0, "absent", "exempt", 60, "voided", 88, "deferred", None, "not_chosen", 60]
ROWS = [{"school_id": "ABC"[i % 3], "math": cell, "chinese": CELLS[(i * 5 + 3) % len(CELLS)]} for i, cell in enumerate(CELLS * 4)]
SCORES = build_scores(ROWS, full={"chinese": 100, "math": 100})
FRAME = SCORES.frame.with_columns(
    pl.col("^.*_status$").cast(pl.String), (pl.col("row_no") % 3).alias("unit"), pl.lit(0).alias("stratum")
).select("unit", "stratum", "math", "math_status", "chinese", "chinese_status")


def to_duckdb(frame: pl.DataFrame) -> Any:
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    return duckdb.from_arrow(frame.to_arrow())


@pytest.mark.parametrize("move", [pl.DataFrame.lazy, pl.DataFrame.to_arrow, to_duckdb], ids=["polars-lazy", "pyarrow", "duckdb"])
@pytest.mark.parametrize("policy", ["exclude", "zero"])
def test_every_engine_counts_alike(move: Callable[[pl.DataFrame], Any], policy: Any) -> None:
    def count(frame: Any) -> tuple[Any, ...]:
        frame = add_total(frame, SCORES.papers, policy, "total")
        frame = add_every_paper(frame, SCORES.papers, {"math": 6000, "chinese": 6000}, policy, "all_subjects")
        meanings = {"total": DERIVED_STATUSES, "all_subjects": DERIVED_STATUSES}
        found = count_scores(frame, unit="unit", papers=["math", "chinese", "total", "all_subjects"], statuses=meanings)
        return found.scores, found.statuses, sum_scores(frame, unit="unit", value="total")

    scores, statuses, sums = count(FRAME)
    other_scores, other_statuses, other_sums = count(move(FRAME))
    for paper, cells in scores.items():
        assert_frame_equal(cells, other_scores[paper])
    assert_frame_equal(statuses, other_statuses)
    assert_frame_equal(sums, other_sums)
    assert statuses["count"].sum() > 0
    assert sums["n"].sum() > 0
