"""Tables of an archive on disk: Delta tables written a partition at a time, and the commits that make them visible."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from pydantic import TypeAdapter, ValidationError

from eduq.archive.content import FrameDigest, file_sha256
from eduq.archive.records import COMMIT_COLUMNS, SCHEMA_VERSION, Commit, ImportRecord, StoredFile, TableRecord
from eduq.errors import ArchiveError

if TYPE_CHECKING:
    from deltalake import DeltaTable

__all__ = [
    "COMMITS",
    "MARKER",
    "PART",
    "ROW_ORDER",
    "TABLES",
    "CommitLostError",
    "append_commit",
    "create_tables",
    "exclusive",
    "list_parts",
    "live_files",
    "open_table",
    "read_commits",
    "read_marker",
    "refuse_path",
    "storage_errors",
    "stored_type",
    "table_files",
    "write_rows",
]

COMMITS = "commits"
TABLES = (
    "exams", "papers", "scores", "items", "rejected", "checks", "inputs", "schools", "item_spec", "aggregates",
    "registers", "decisions", "issued",
)  # fmt: skip
MARKER = "archive.json"
LOCK = "write.lock"
PART, ROW_ORDER = "import_id", "row_order"
ROW_GROUP = 200_000
SEGMENT = 1_000_000
"""Rows given to the storage library in one call: it takes in all of a call faster than it writes them."""
LOCK_SECONDS = 900.0
_ATTEMPTS = 50
_CONFIGURATION = {
    "delta.enableExpiredLogCleanup": "false",  # the log of the commits is the list of versions
    "delta.dataSkippingNumIndexedCols": "0",  # else the log keeps the least and greatest id of every file for ever
}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_WORDS = ("No space left on device", "Disk quota exceeded", "File too large", "os error 28", "os error 122", "os error 27")
_DENIED_WORDS = ("Permission denied", "Read-only file system", "os error 13", "os error 30")
_UNFIT = re.compile(r"[\[\]^|\\\x00-\x1f]|%[0-9A-Fa-f]{2}")
"""What the storage library cannot have in the name of a folder."""
_LOST_WORDS = ("No such file or directory", "not found", "os error 2)", "Parquet error", "parquet")
_STORED = {pl.Enum: pl.String(), pl.Categorical: pl.String(), pl.Null: pl.String(), pl.Float32: pl.Float64()}


class CommitLostError(Exception):
    """Another writer was faster: read again and try again."""


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what the storage raises into errors a user can act on.

    Raises
    ------
    ArchiveError
        ``archive_disk_full``, ``archive_unwritable`` or ``archive_damaged``.
    """
    from deltalake.exceptions import CommitFailedError, DeltaError

    try:
        yield
    except CommitFailedError:
        raise
    except (OSError, DeltaError, pl.exceptions.PolarsError) as error:
        said = str(error)
        if getattr(error, "errno", None) in _FULL or any(word in said for word in _FULL_WORDS):
            raise ArchiveError("archive_disk_full", path=path.name) from None
        if isinstance(error, PermissionError) or any(word in said for word in _DENIED_WORDS):
            raise ArchiveError("archive_unwritable", path=path.name) from None
        if isinstance(error, (FileNotFoundError, DeltaError)) or any(word in said for word in _LOST_WORDS):
            raise ArchiveError("archive_damaged", path=path.name) from None
        raise


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Let one writer in at a time; the lock of a process that was killed is free at once.

    Raises
    ------
    ArchiveError
        ``archive_busy``: another process has been writing for a quarter of an hour.
    """
    from filelock import FileLock, Timeout

    try:
        with storage_errors(path):
            lock = FileLock(path / LOCK, timeout=LOCK_SECONDS).acquire()
    except Timeout:
        raise ArchiveError("archive_busy", path=path.name) from None
    with lock:
        yield


def refuse_path(path: Path) -> None:
    """Stop at a folder whose name, or that of a folder above it, the storage library would misread.

    Raises
    ------
    ArchiveError
        ``archive_path_unfit``.
    """
    for name in path.resolve().parts[1:]:
        if found := _UNFIT.search(name):
            raise ArchiveError("archive_path_unfit", path=name, found=found.group().strip() or "?")


def read_marker(path: Path) -> dict[str, Any]:
    """Return what archive.json says.

    Raises
    ------
    ArchiveError
        ``archive_missing`` (not an archive), ``archive_path_unfit`` or ``archive_newer``.
    """
    refuse_path(path)
    try:
        marker = json.loads((path / MARKER).read_bytes())
        schema_version = int(marker["schema_version"])
        if marker["format"] != "eduq-archive" or not isinstance(marker["key_check"], str):
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError):
        raise ArchiveError("archive_missing", path=str(path)) from None
    _refuse_newer(path, schema_version, str(marker.get("code_version", "?")))
    return dict(marker)


def _refuse_newer(path: Path, schema_version: int, code_version: str) -> None:
    if schema_version > SCHEMA_VERSION:
        raise ArchiveError("archive_newer", path=path.name, found=schema_version, known=SCHEMA_VERSION, by=code_version)


def create_tables(path: Path) -> None:
    """Create the empty tables of a new archive."""
    from deltalake import DeltaTable

    commits = pl.DataFrame(schema=COMMIT_COLUMNS).to_arrow().schema
    rows = pl.DataFrame(schema={PART: pl.String, ROW_ORDER: pl.Int64}).to_arrow().schema
    with storage_errors(path):
        DeltaTable.create(path / COMMITS, commits, configuration=_CONFIGURATION)
        for table in TABLES:
            DeltaTable.create(path / table, rows, partition_by=[PART], configuration=_CONFIGURATION)


def open_table(path: Path, table: str) -> DeltaTable:
    """Open one table at its newest state."""
    from deltalake import DeltaTable

    with storage_errors(path):
        return DeltaTable(path / table)


def read_commits(path: Path) -> tuple[Commit, ...]:
    """Return all commits in order.

    Raises
    ------
    ArchiveError
        ``archive_newer``, or ``archive_damaged``: a line is missing, changed or not understood.
    """
    table = open_table(path, COMMITS)
    files = table_files(path, COMMITS, table)
    if not files:
        if table.version():
            raise ArchiveError("archive_damaged", path=path.name)
        return ()
    with storage_errors(path):
        for schema_version, code_version in (
            pl.scan_parquet(files, glob=False).select("schema_version", "code_version").unique().collect().iter_rows()
        ):
            _refuse_newer(path, schema_version, code_version)
        frame = pl.scan_parquet(files, glob=False).select(list(COMMIT_COLUMNS)).collect().sort("version")
    records = TypeAdapter(tuple[ImportRecord, ...])
    commits, before = [], ""
    for number, row in enumerate(frame.iter_rows(named=True), 1):
        try:
            commit = Commit.model_validate({**row, "imports": records.validate_json(row["imports"])})
        except ValidationError:
            raise ArchiveError("archive_damaged", path=path.name) from None
        if commit.version != number or commit.linked(before) != commit.chain:
            raise ArchiveError("archive_damaged", path=path.name)
        commits.append(commit)
        before = commit.chain
    if len(commits) != table.version():
        raise ArchiveError("archive_damaged", path=path.name)
    return tuple(commits)


def append_commit(path: Path, commit: Commit) -> None:
    """Make a commit the archive's newest version, if nobody was faster.

    The line holds its own version; the table takes it only as exactly that version.

    Raises
    ------
    CommitLostError
        The version has been taken.
    """
    from deltalake import CommitProperties, write_deltalake
    from deltalake.exceptions import CommitFailedError

    table = open_table(path, COMMITS)
    if table.version() != commit.version - 1:
        raise CommitLostError
    line = pl.DataFrame([commit.to_row()], schema=COMMIT_COLUMNS)
    try:
        with storage_errors(path):
            write_deltalake(table, line.to_arrow(), mode="append", commit_properties=CommitProperties(max_commit_retries=0))
    except CommitFailedError:
        raise CommitLostError from None


def table_files(path: Path, table: str, opened: DeltaTable | None = None) -> list[str]:
    """Return the Parquet files of a table's newest state: as paths, not as addresses, in which Chinese letters are escaped."""
    with storage_errors(path):
        actions = pl.DataFrame((opened or open_table(path, table)).get_add_actions(flatten=True))
    return sorted(_file_path(path, table, file) for file in actions["path"]) if actions.height else []


def _file_path(path: Path, table: str, file: str) -> str:
    return str((path / table / file).absolute())


def live_files(path: Path, table: str, part: str) -> list[str]:
    """Return the Parquet files that hold a partition now."""
    return list_parts(path, table).get(part, ([], 0))[0]


def list_parts(path: Path, table: str) -> dict[str, tuple[list[str], int]]:
    """Return every partition of a table with its live files and its number of rows."""
    with storage_errors(path):
        actions = pl.DataFrame(open_table(path, table).get_add_actions(flatten=True))
    found: dict[str, tuple[list[str], int]] = {}
    if actions.height:
        lines = actions.select("path", f"partition.{PART}", "num_records").sort("path")
        for file, part, n_rows in lines.iter_rows():
            files, before = found.get(part, ([], 0))
            found[part] = ([*files, _file_path(path, table, file)], before + n_rows)
    return found


def write_rows(
    path: Path, table: str, part: str, pieces: Callable[[], Iterable[pl.DataFrame]], sha256: str | None = None
) -> TableRecord:
    """Replace one partition of a table and return its record.

    Parameters
    ----------
    path
        The archive.
    table
        Name of the table.
    part
        The partition; what other partitions hold is not touched.
    pieces
        Gives the rows in order, some at a time, and again if another writer was faster.
    sha256
        The fingerprint when it is known; else it is computed on the way.
    """
    from deltalake.exceptions import CommitFailedError

    for _ in range(_ATTEMPTS):
        writing = _Writing(path, table, part, pieces(), digest=sha256 is None)
        try:
            with storage_errors(path):
                writing.run()
        except CommitFailedError:
            continue
        files, there = list_parts(path, table).get(part, ([], 0))
        if there == writing.digest.rows:  # else another writer without a lock wrote the same import between two segments
            return writing.record(files, sha256)
    raise ArchiveError("archive_busy", path=path.name)


class _Writing:
    """One attempt at a partition: the first segment replaces what is there, each further one is added to it."""

    def __init__(self, path: Path, table: str, part: str, pieces: Iterable[pl.DataFrame], *, digest: bool) -> None:
        self.path, self.table, self.part = path, table, part
        self.digest = FrameDigest()
        self._hashing = digest
        self._source = iter(pieces)
        self._piece: pl.DataFrame | None = next(self._source)
        self._columns = self._piece.schema
        self._stored: Any = {name: stored_type(kind) for name, kind in self._columns.items()}
        self._schema = self._to_arrow(self._piece.clear()).schema

    def run(self) -> None:
        """Write all segments."""
        import pyarrow as pa
        from deltalake import WriterProperties, write_deltalake

        how: dict[str, Any] = {"mode": "overwrite", "predicate": f"{PART} = '{self.part}'"}
        while self._piece is not None:
            write_deltalake(
                open_table(self.path, self.table),
                pa.RecordBatchReader.from_batches(self._schema, self._batches()),
                schema_mode="merge",
                writer_properties=WriterProperties(compression="ZSTD", compression_level=3, max_row_group_size=ROW_GROUP),
                **how,
            )
            how = {"mode": "append"}

    def _batches(self) -> Iterator[Any]:
        """Yield the batches of one segment."""
        last = self.digest.rows + SEGMENT
        while self._piece is not None and self.digest.rows < last:
            yield from self._to_arrow(self._piece).cast(self._schema).to_batches()
            if self._hashing:
                self.digest.update(self._piece)
            else:
                self.digest.rows += self._piece.height
            self._piece = next(self._source, None)

    def _to_arrow(self, piece: pl.DataFrame) -> Any:
        start = self.digest.rows
        order = pl.int_range(start, start + piece.height, dtype=pl.Int64).alias(ROW_ORDER)
        return piece.cast(self._stored).with_columns(pl.lit(self.part).alias(PART), order).to_arrow()

    def record(self, files: list[str], sha256: str | None) -> TableRecord:
        """Return what was written."""
        with storage_errors(self.path):
            stored = tuple(
                StoredFile(name=Path(file).name, bytes=Path(file).stat().st_size, sha256=file_sha256(file)) for file in files
            )
        columns = tuple((name, str(kind.base_type())) for name, kind in self._columns.items())
        sha256 = sha256 or self.digest.hexdigest()
        return TableRecord(part=self.part, rows=self.digest.rows, sha256=sha256, columns=columns, files=stored)


def stored_type(kind: Any) -> Any:
    """Return the type a column is stored as: the writer knows no Enum and cuts unsigned numbers."""
    for known, stored in _STORED.items():
        if kind == known:
            return stored
    return pl.Int64() if kind.is_integer() and kind != pl.Int32 else kind
