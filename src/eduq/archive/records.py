"""What one commit says: which import is current, where its rows lie, how many there are and their fingerprints."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any, Literal

import polars as pl

from eduq.archive.content import canonical
from eduq.settings import StrictModel

__all__ = ["COMMIT_COLUMNS", "SCHEMA_VERSION", "Commit", "ImportRecord", "Kind", "StoredFile", "TableRecord", "short_id"]

SCHEMA_VERSION = 1
"""Version of the archive's tables; a program refuses an archive of a newer one."""

Kind = Literal["exam", "registers", "decision", "issued", "forget", "rekey"]

COMMIT_COLUMNS: dict[str, Any] = {
    "version": pl.Int64(),
    "committed_at": pl.Datetime("us", "UTC"),
    "kind": pl.String(),
    "exam_id": pl.String(),
    "import_id": pl.String(),
    "register_id": pl.String(),
    "operator": pl.String(),
    "code_version": pl.String(),
    "schema_version": pl.Int64(),
    "key_check": pl.String(),
    "n_rows": pl.Int64(),
    "imports": pl.String(),
    "chain": pl.String(),
}
"""Columns of the table ``commits``. ``n_rows``: rows this commit brought or removed; ``imports``: JSON of `ImportRecord`;
``chain``: fingerprint of this line and the one before."""


class StoredFile(StrictModel):
    """A Parquet file of a table as it was written."""

    name: str
    bytes: int
    sha256: str


class TableRecord(StrictModel):
    """The rows of one import in one table."""

    part: str
    rows: int
    sha256: str
    columns: tuple[tuple[str, str], ...]
    files: tuple[StoredFile, ...]


class ImportRecord(StrictModel):
    """One import: what it is of and where its rows lie.

    Attributes
    ----------
    import_id
        ``<exam_id>-<12 hex of the content>``, ``registers-…``, ``decision-…`` or ``issued-…``; never changes.
    exam_id
        None for what is not an exam.
    source_sha256
        Fingerprint of what was imported, ids under the oldest key: the same files again have the same.
    tables
        By table; ``part`` is the partition, which is the import_id until ids are rewritten.
    """

    import_id: str
    exam_id: str | None = None
    source_sha256: str
    tables: dict[str, TableRecord]


class Commit(StrictModel):
    """One line of the table ``commits``."""

    version: int
    committed_at: dt.datetime | None
    kind: Kind
    exam_id: str | None = None
    import_id: str | None = None
    register_id: str | None = None
    operator: str | None = None
    code_version: str
    schema_version: int = SCHEMA_VERSION
    key_check: str
    n_rows: int
    imports: tuple[ImportRecord, ...] = ()
    chain: str = ""

    def linked(self, before: str) -> str:
        """Return the fingerprint of this line after the fingerprint of the line before."""
        content = self.model_dump(mode="json", exclude={"chain"})
        return hashlib.sha256((before + canonical(content)).encode()).hexdigest()

    def to_row(self) -> dict[str, Any]:
        """Return the line as it is stored."""
        row = self.model_dump(exclude={"imports"})
        return {**row, "imports": canonical([one.model_dump(mode="json") for one in self.imports])}


def short_id(prefix: str, sha256: str) -> str:
    """Return an import_id: ASCII, so that it can be the name of a folder everywhere."""
    return f"{prefix}-{sha256[:12]}"
