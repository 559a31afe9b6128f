"""What an archive shows at a version, read back as the frames later stages take."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import polars as pl

from eduq.archive.forms import EXAM_COLUMNS, FILE_STRUCT, PLAIN_TABLES, restore_types
from eduq.archive.records import ImportRecord
from eduq.archive.rows import collect_rows, scan_rows
from eduq.archive.state import State
from eduq.archive.store import ROW_ORDER
from eduq.errors import ArchiveError
from eduq.intake.exam_file import ExamFile
from eduq.intake.score_table import ScoreTable
from eduq.tables import AGGREGATES, CHECKS, INPUTS, ITEM_SPEC, ITEMS, REJECTED

__all__ = [
    "exams_frame",
    "ledger_lines",
    "read_table",
    "register_lines",
    "scan_table",
    "score_table",
    "versions_frame",
]  # fmt: skip

_SCHEMAS: dict[str, dict[str, pl.DataType]] = {
    "rejected": REJECTED, "checks": CHECKS, "inputs": INPUTS, "items": ITEMS, "item_spec": ITEM_SPEC, "aggregates": AGGREGATES,
    "schools": dict.fromkeys(("school_id", "name", "township", "cluster", "area_type"), pl.String()),
}  # fmt: skip
VERSION_COLUMNS: dict[str, Any] = {
    "version": pl.Int64(),
    "committed_at": pl.Datetime("us", "UTC"),
    "kind": pl.String(),
    "exam_id": pl.String(),
    "import_id": pl.String(),
    "register_id": pl.String(),
    "operator": pl.String(),
    "n_rows": pl.Int64(),
    "code_version": pl.String(),
    "schema_version": pl.Int64(),
}


def exams_frame(state: State) -> pl.DataFrame:
    """Return the exams of a version by date and exam_id."""
    records, lines = state.records(), []
    for exam_id, commit in sorted(state.current_exams().items()):
        record = records[str(commit.import_id)]
        stored = record.tables["exams"]
        rows = scan_rows(state.path, "exams", stored, files=state.files("exams", stored.part))
        line = collect_rows(state.path, rows).row(0, named=True)
        files = json.loads(line["files"])
        line |= {"files": [{name: file.get(name) for name in dict(FILE_STRUCT)} for file in files]}
        lines.append({**line, "exam_id": exam_id, "import_id": record.import_id, "archive_version": commit.version})
    schema = {
        "exam_id": pl.String(), "import_id": pl.String(), "archive_version": pl.Int64(),
        **{name: kind for name, kind in EXAM_COLUMNS.items() if name not in ("exam_id", "exam")},
        "files": pl.List(FILE_STRUCT),
    }  # fmt: skip
    frame = pl.DataFrame([{name: line[name] for name in schema} for line in lines], schema=schema)
    return frame.sort("date", "exam_id", nulls_last=True)


def score_table(state: State, record: ImportRecord, columns: Sequence[str] | None, with_items: bool) -> ScoreTable:
    """Return the score table of one import."""
    facts = read_table(state, "exams", record).row(0, named=True)
    tables = {name: read_table(state, name, record) for name in PLAIN_TABLES}
    if with_items:
        tables["items"] = read_table(state, "items", record)
    frame = read_table(state, "scores", record, columns)
    return ScoreTable(frame=frame, exam=ExamFile.model_validate_json(facts["exam"]), **tables)


def versions_frame(state: State) -> pl.DataFrame:
    """Return one line per commit."""
    lines = [{name: getattr(commit, name) for name in VERSION_COLUMNS} for commit in state.commits]
    return pl.DataFrame(lines, schema=VERSION_COLUMNS)


def scan_table(state: State, table: str, record: ImportRecord, columns: Sequence[str] | None = None) -> pl.LazyFrame:
    """Return the rows of one table of an import, typed, only the columns asked for, with `ROW_ORDER`; in no certain order."""
    stored = record.tables.get(table)
    if stored is None:
        return pl.LazyFrame(schema={**_SCHEMAS[table], ROW_ORDER: pl.Int64()})
    unknown = sorted(set(columns or ()) - {name for name, _ in stored.columns})
    if unknown:
        known = ", ".join(name for name, _ in stored.columns)
        raise ArchiveError("archive_column_unknown", columns=", ".join(unknown), known=known)
    kinds = [(name, kind) for name, kind in stored.columns if columns is None or name in columns]
    return restore_types(scan_rows(state.path, table, stored, columns, state.files(table, stored.part)), table, kinds)


def read_table(state: State, table: str, record: ImportRecord, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Return one table of an import in its order; what was not stored is there as null."""
    frame = collect_rows(state.path, scan_table(state, table, record, columns))
    if table == "rejected" and "value" not in frame.columns:
        frame = frame.with_columns(pl.lit(None, dtype=pl.String).alias("value")).select(list(REJECTED))
    return frame


def register_lines(state: State) -> pl.DataFrame | None:
    """Return the stored registers of a version."""
    return None if state.register_id is None else read_table(state, "registers", state.records()[state.register_id])


def ledger_lines(state: State, kind: str, table: str, schema: dict[str, Any]) -> pl.DataFrame:
    """Return the lines of the decisions or of the ledger, in the order of their commits."""
    records = state.records()
    found = [
        read_table(state, table, records[str(commit.import_id)]).with_columns(
            pl.lit(commit.version, dtype=pl.Int64).alias("archive_version")
        )
        for commit in state.commits
        if commit.kind == kind
    ]
    empty = pl.DataFrame(schema=schema)
    return pl.concat([empty, *(frame.select(list(schema)) for frame in found)])
