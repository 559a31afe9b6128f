"""`verify`: what lies in an archive against what its commits recorded."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import polars as pl

from eduq.archive.content import FrameDigest, file_sha256
from eduq.archive.records import ImportRecord, TableRecord
from eduq.archive.rows import collect_rows, row_source, scan_rows
from eduq.archive.state import State
from eduq.archive.store import COMMITS, TABLES, list_parts, storage_errors, table_files
from eduq.errors import ArchiveError
from eduq.tables import write_frame

__all__ = ["FINDINGS", "VerifyResult", "stale_parts", "unnamed_files", "verify_state"]

FINDINGS: dict[str, Any] = {
    "level": pl.String(),
    "code": pl.String(),
    "table": pl.String(),
    "import_id": pl.String(),
    "file": pl.String(),
    "n": pl.Int64(),
}
"""One line per finding: ``level`` damage or info; wording ``archive_findings.<code>``."""


@dataclass(frozen=True)
class VerifyResult:
    """What was found.

    Attributes
    ----------
    frame
        `FINDINGS`; empty when everything is as it was recorded.
    version
        The newest version, up to which everything was checked.
    n_imports, n_rows
        How many imports and rows were read and compared.
    """

    frame: pl.DataFrame
    version: int
    n_imports: int
    n_rows: int

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged; rows that no commit names are no damage."""
        return not (self.frame["level"] == "damage").any()

    def summary(self) -> str:
        """Return one line of counts."""
        damaged = int((self.frame["level"] == "damage").sum())
        return f"version {self.version}, {self.n_imports} imports, {self.n_rows} rows; {damaged} damaged"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>{self.frame._repr_html_()}"

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the findings as ``.parquet`` or ``.csv``, whole or not at all, and return the path.

        Raises
        ------
        UsageError
            ``format_unknown``: another suffix.
        """
        return write_frame(self.frame, path)


def verify_state(state: State) -> VerifyResult:
    """Check an archive from its first commit to its newest.

    The chain of the commits is checked by reading them. Then per import and table: the bytes of the files, the number of rows,
    the fingerprint of the content; per exam that its counts add up. Rows that no commit names (a killed import, a superseded
    rewriting) and files that no table names are listed and are no damage.
    """
    records = sorted(state.records().items())
    lines: list[dict[str, Any]] = []
    n_rows = 0
    parts: dict[str, dict[str, tuple[list[str], int]]] = {}
    for table in (COMMITS, *TABLES):
        try:
            parts[table] = {} if table == COMMITS else list_parts(state.path, table)
            unnamed = unnamed_files(state.path, table)
        except ArchiveError:
            lines.append({"level": "damage", "code": "table_unreadable", "table": table})
            continue
        stale = stale_parts(table, parts[table], state)
        lines += [{"level": "info", "code": "rows_without_commit", "table": table, "import_id": one, "n": n} for one, n in stale]
        if unnamed:
            lines.append({"level": "info", "code": "files_without_table", "table": table, "n": len(unnamed)})
    for import_id, record in records:
        found = []
        for table, stored in sorted(record.tables.items()):
            if table in parts:
                files, there = parts[table].get(stored.part, ([], 0))
                found += [{"table": table, **line} for line in _check_table(state.path, table, stored, files, there)]
                n_rows += stored.rows
        if record.exam_id is not None and "exams" in parts and not found:
            found += [{"table": "exams", **line} for line in _check_counts(state.path, record, parts)]
        lines += [{"level": "damage", "import_id": import_id, **line} for line in found]
    frame = pl.DataFrame(lines, schema=FINDINGS) if lines else pl.DataFrame(schema=FINDINGS)
    return VerifyResult(frame, state.newest, len(records), n_rows)


def _check_table(path: Path, table: str, stored: TableRecord, files: list[str], there: int) -> Iterator[dict[str, Any]]:
    live = {Path(file).name: Path(file) for file in files}
    if there != stored.rows:
        yield {"code": "rows_differ" if there else "rows_missing", "n": there - stored.rows}
        return
    recorded = {file.name: file for file in stored.files}
    changed = False
    for name, file in sorted(live.items()):
        if not file.is_file():
            yield {"code": "file_missing", "file": name}
            changed = True
        elif name in recorded and file_sha256(str(file)) != recorded[name].sha256:
            yield {"code": "file_changed", "file": name}
            changed = True
    if changed:
        return
    digest = FrameDigest()
    try:
        for piece in row_source(path, table, stored, files)():
            digest.update(piece)
    except (ArchiveError, OSError, pl.exceptions.PolarsError):
        yield {"code": "rows_unreadable"}
        return
    if digest.rows != stored.rows:
        yield {"code": "rows_differ", "n": digest.rows - stored.rows}
    elif digest.hexdigest() != stored.sha256:
        yield {"code": "content_differs"}


def _check_counts(path: Path, record: ImportRecord, parts: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Check that an exam's counts add up: rows = used + rejected in every file, and the tables as long as it says."""
    stored = record.tables["exams"]
    facts = collect_rows(path, scan_rows(path, "exams", stored, files=parts["exams"][stored.part][0])).row(0, named=True)
    rows = {table: record.tables[table].rows if table in record.tables else 0 for table in ("scores", "rejected")}
    if facts["n_candidates"] != rows["scores"] or facts["n_rejected"] != rows["rejected"]:
        yield {"code": "counts_differ"}
    wrong = [file for file in json.loads(facts["files"]) if file["rows"] != (file["used"] or 0) + (file["rejected"] or 0)]
    yield from ({"code": "counts_differ", "file": file["file"]} for file in wrong)


def stale_parts(table: str, parts: dict[str, tuple[list[str], int]], state: State) -> list[tuple[str, int]]:
    """Return the partitions of a table that no commit names, with their rows."""
    named = {record.tables[table].part for record in state.records().values() if table in record.tables}
    return [(part, n_rows) for part, (_, n_rows) in sorted(parts.items()) if part not in named]


def unnamed_files(path: Path, table: str) -> list[Path]:
    """Return data files that a table's newest state does not name."""
    with storage_errors(path):
        live = {Path(file).resolve() for file in table_files(path, table)}
        folder = path / table
        return sorted(
            file
            for file in folder.rglob("*")
            if file.is_file() and "_delta_log" not in file.relative_to(folder).parts and file.resolve() not in live
        )
