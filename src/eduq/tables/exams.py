"""Columns of what intake and grouping give: scores, rows not used, checks, items, aggregates, comparison groups."""

from __future__ import annotations

import polars as pl

__all__ = [
    "AGGREGATES",
    "CHECKS",
    "COMPARABILITY",
    "INPUTS",
    "ITEMS",
    "ITEM_SPEC",
    "NOT_EXPECTED",
    "REJECTED",
    "SCORE_COLUMNS",
    "STATUSES",
    "STATUS_TYPE",
    "SUBGROUP_PREFIX",
    "status_column",
]

STATUSES = ("present", "absent", "deferred", "exempt", "not_chosen", "voided", "not_scanned")
"""What can be true of a candidate and a paper. Null: the exam has no such paper for the row."""
STATUS_TYPE = pl.Enum(STATUSES)
NOT_EXPECTED = ("exempt", "not_chosen")
"""Statuses that n_expected leaves out."""

SUBGROUP_PREFIX = "sub_"

SCORE_COLUMNS: dict[str, pl.DataType] = {
    "exam_id": pl.String(),
    "candidate_id": pl.String(),
    "person_id": pl.String(),
    "school_id": pl.String(),
    "class_id": pl.String(),
    "year_group": pl.String(),
    "track": pl.String(),
    "combination": pl.String(),
    "sex": pl.String(),
    "source_file": pl.String(),
    "source_sheet": pl.String(),
    "row_no": pl.Int64(),
}
"""Columns of every ScoreTable; beside them ``sub_<name>`` and, per paper code, ``<code>`` (Int32, hundredths, null unless
present), ``<code>_status`` (STATUS_TYPE) and where they exist ``<code>_scaled`` (Int32) and ``<code>_class`` (String)."""

REJECTED: dict[str, pl.DataType] = {
    "file": pl.String(),
    "sheet": pl.String(),
    "row": pl.Int64(),
    "column": pl.String(),
    "code": pl.String(),
    "value": pl.String(),
}
"""One line per row that was not used. ``value`` is written out only when a person asks for it."""

CHECKS: dict[str, pl.DataType] = {
    "code": pl.String(),
    "level": pl.Enum(("info", "notice", "warning")),
    "file": pl.String(),
    "sheet": pl.String(),
    "row": pl.Int64(),
    "column": pl.String(),
    "found": pl.String(),
    "n": pl.Int64(),
}
"""What was recognised, dropped knowingly, assumed or looks odd. The sentence is ``checks.<code>`` of the wording files,
with placeholders file, sheet, row, column, found, n. ``found`` is a header, symbol or setting; never a pupil's value."""

INPUTS: dict[str, pl.DataType] = {
    "file": pl.String(),
    "sha256": pl.String(),
    "bytes": pl.Int64(),
    "encoding": pl.String(),
    "rows": pl.Int64(),
    "used": pl.Int64(),
    "rejected": pl.Int64(),
}
"""One line per file; rows (below the header) = used + rejected."""

ITEMS: dict[str, pl.DataType] = {
    "exam_id": pl.String(),
    "candidate_id": pl.String(),
    "paper": pl.String(),
    "item": pl.String(),
    "score": pl.Int32(),
    "answer": pl.String(),
}
"""One line per candidate and item: score in hundredths or null, answer as written or null."""

ITEM_SPEC: dict[str, pl.DataType] = {
    "paper": pl.String(),
    "item": pl.String(),
    "max_score": pl.Float64(),
    "item_type": pl.String(),
    "module": pl.String(),
    "knowledge_point": pl.String(),
    "ability": pl.String(),
    "literacy": pl.String(),
    "expected_difficulty": pl.Float64(),
    "key": pl.String(),
}
"""One line per item; what no file says is null."""

AGGREGATES: dict[str, pl.DataType] = {
    "school_id": pl.String(),
    "year_group": pl.String(),
    "paper": pl.String(),
    "n_expected": pl.Int64(),
    "n_present": pl.Int64(),
    "measure": pl.String(),
    "value": pl.Float64(),
}
"""Figures of schools as they stand in school summaries; ``paper`` is null for figures over papers."""

COMPARABILITY: dict[str, pl.DataType] = {
    "comparison_group": pl.String(),
    "exam_id": pl.String(),
    "paper": pl.String(),
    "subject": pl.String(),
    "year_group": pl.String(),
    "track": pl.String(),
    "deviation": pl.String(),
    "marking": pl.String(),
    "sitting": pl.String(),
    "max_score": pl.Float64(),
    "papers": pl.String(),
    "n_schools": pl.Int64(),
    "n_expected": pl.Int64(),
    "n_present": pl.Int64(),
    "comparable": pl.Boolean(),
    "reason": pl.String(),
}
"""One line per comparison group; ``papers`` (codes joined by ``+``) and a total's ``max_score`` are those of its combination;
``reason`` is null where schools may be compared (wording: ``reasons.<reason>``)."""


def status_column(paper: str) -> str:
    """Return the name of a paper's status column."""
    return f"{paper}_status"
