"""Small score tables for tests, built from plain lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from eduq.intake.exam_file import ExamFile
from eduq.intake.score_table import ScoreTable
from eduq.tables import CHECKS, INPUTS, REJECTED, SCORE_COLUMNS, STATUS_TYPE, status_column

Cell = float | str | None


def build_scores(
    rows: Sequence[Mapping[str, Any]], *, full: Mapping[str, float | None] | None = None, exam: Mapping[str, Any] | None = None
) -> ScoreTable:
    """Build a score table.

    Each row maps column names to values; a paper's value is a score, a status or None (no such paper). `full` gives the
    papers and their full marks, `exam` further keys of exam.toml.
    """
    marks = dict(full or {"math": 100})
    facts: dict[str, Any] = {"schema": 1, "exam": {"id": "test-exam"}, **(exam or {})}
    facts.setdefault("papers", [{"code": code, "max_score": mark} for code, mark in marks.items()])
    columns: dict[str, pl.Series] = {}
    for name, kind in SCORE_COLUMNS.items():
        values = [row.get(name) for row in rows]
        if name == "candidate_id":
            values = [value or f"c{number}" for number, value in enumerate(values)]
        if name == "row_no":
            values = list(range(1, len(rows) + 1))
        columns[name] = pl.Series(name, ["test-exam"] * len(rows) if name == "exam_id" else values, dtype=kind)
    for row_column in sorted({name for row in rows for name in row if name.startswith("sub_")}):
        columns[row_column] = pl.Series(row_column, [row.get(row_column) for row in rows], dtype=pl.String)
    for code in marks:
        cells: list[Cell] = [row.get(code) for row in rows]
        columns[code] = pl.Series(
            code, [round(cell * 100) if isinstance(cell, (int, float)) else None for cell in cells], dtype=pl.Int32
        )
        statuses = ["present" if isinstance(cell, (int, float)) else cell for cell in cells]
        columns[status_column(code)] = pl.Series(status_column(code), statuses, dtype=STATUS_TYPE)
    frame = pl.DataFrame(list(columns.values()))
    schools = (
        frame.select("school_id")
        .unique()
        .sort("school_id")
        .with_columns(
            pl.col("school_id").alias("name"),
            *(pl.lit(None, dtype=pl.String).alias(name) for name in ("township", "cluster", "area_type")),
        )
    )
    return ScoreTable(
        frame=frame,
        exam=ExamFile.model_validate(facts),
        schools=schools,
        rejected=pl.DataFrame(schema=REJECTED),
        checks=pl.DataFrame(schema=CHECKS),
        inputs=pl.DataFrame(schema=INPUTS),
    )


def one_school(values: Sequence[Cell], *, school: str = "A", paper: str = "math") -> list[dict[str, Any]]:
    """Return rows of one school and paper."""
    return [{"school_id": school, paper: value} for value in values]


def pick(frame: pl.DataFrame, measure: str, *, unit: str = "A", paper: str = "math") -> dict[str, Any]:
    """Return the one line of a unit, paper and measure."""
    found = frame.filter((pl.col("measure") == measure) & (pl.col("unit") == unit) & (pl.col("paper") == paper))
    assert found.height == 1, found
    return found.row(0, named=True)
