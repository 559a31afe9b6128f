"""Columns of yearly series, verdicts, decisions and the ledger of issued editions."""

from __future__ import annotations

import polars as pl

__all__ = ["DECISIONS", "ISSUED", "LEFT_OUT", "SERIES", "VERDICTS"]

SERIES: dict[str, pl.DataType] = {
    "unit_type": pl.String(),
    "unit": pl.String(),
    "year_group": pl.String(),
    "subject": pl.String(),
    "measure": pl.String(),
    "period": pl.String(),
    "exam_id": pl.String(),
    "comparison_group": pl.String(),
    "n_expected": pl.Int64(),
    "n": pl.Int64(),
    "estimate": pl.Float64(),
    "sd": pl.Float64(),
    "std_error": pl.Float64(),
    "rank": pl.Int64(),
    "n_units": pl.Int64(),
    "segment": pl.Int64(),
    "reason": pl.String(),
}
"""One line per unit, year group, subject, measure and period of a yearly series. ``period`` is a school year
(``2024-2025``); ``estimate`` and ``sd`` (the unit's own within SD, divisor n - 1) are in pupil SDs for z measures;
``std_error`` = sd / √n; ``rank`` 1 is highest, ties share, among the ``n_units`` of the comparison group with an estimate;
``segment`` counts up where a break splits the series; a null estimate has a ``reason``."""

LEFT_OUT: dict[str, pl.DataType] = {
    "exam_id": pl.String(),
    "school_year": pl.String(),
    "term": pl.Int64(),
    "year_group": pl.String(),
    "used": pl.Boolean(),
    "reason": pl.String(),
}
"""Which exams a series uses and which it does not, with the reason (wording ``series_reasons.<reason>``)."""

VERDICTS: dict[str, pl.DataType] = {
    "unit_type": pl.String(),
    "unit": pl.String(),
    "head_id": pl.String(),
    "teacher_id": pl.String(),
    "year_group": pl.String(),
    "subject": pl.String(),
    "rule_id": pl.String(),
    "pack": pl.String(),
    "pack_version": pl.String(),
    "as_of": pl.Date(),
    "period_first": pl.String(),
    "period_last": pl.String(),
    "reading": pl.String(),
    "clause_result": pl.Enum(("met", "not_met", "not_assessable")),
    "reason": pl.String(),
    "evidence_grade": pl.String(),
    "proposal": pl.String(),
    "only_wide": pl.Boolean(),
    "earlier_steps": pl.String(),
    "needs_decision": pl.Boolean(),
    "decided_by": pl.String(),
    "decided_on": pl.Date(),
    "decision": pl.String(),
}
"""The VerdictTable: one line per unit, year group, subject, rule and reading. ``clause_result`` is the literal clause,
``evidence_grade`` (A-D, null where there is no series) the strength of the evidence; the two are never merged. ``reason``
says why something is not assessable (wording ``verdict_reasons.<reason>``); ``proposal`` is null unless the proposing
reading is met; ``earlier_steps`` lists earlier proposals and decisions of the same ladder (``rule_id@period``, joined by
``;``)."""

DECISIONS: dict[str, pl.DataType] = {
    "rule_id": pl.String(),
    "pack": pl.String(),
    "pack_version": pl.String(),
    "reading": pl.String(),
    "unit_type": pl.String(),
    "unit": pl.String(),
    "head_id": pl.String(),
    "teacher_id": pl.String(),
    "year_group": pl.String(),
    "subject": pl.String(),
    "as_of": pl.Date(),
    "proposal": pl.String(),
    "decision": pl.String(),
    "decided_by": pl.String(),
    "decided_on": pl.Date(),
    "reason": pl.String(),
    "archive_version": pl.Int64(),
}
"""One line per decision a named person took on a proposal: ``decision`` is adopted, rejected or deferred, ``reason`` the
person's own words, ``archive_version`` the version that recorded it."""

ISSUED: dict[str, pl.DataType] = {
    "product": pl.String(),
    "period": pl.String(),
    "edition": pl.String(),
    "document_no": pl.String(),
    "issued_by": pl.String(),
    "issued_on": pl.Date(),
    "based_on": pl.Int64(),
    "sha256": pl.String(),
    "content": pl.String(),
    "archive_version": pl.Int64(),
}
"""The ledger of issued editions, one line per document: ``based_on`` the archive version it was made from, ``sha256`` of the
document, ``content`` JSON of the published cells, ``archive_version`` the version that recorded it."""
