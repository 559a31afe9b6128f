"""Reading rows back: the writer does not keep their order, so each has its number."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import polars as pl

from eduq.archive.records import TableRecord
from eduq.archive.store import ROW_ORDER, live_files, storage_errors, stored_type
from eduq.errors import ArchiveError

__all__ = ["collect_rows", "row_source", "scan_rows"]

_CHUNK = 25_000
_MOST_RUNS = 100_000


def scan_rows(
    path: Path, table: str, record: TableRecord, columns: Iterable[str] | None = None, files: list[str] | None = None
) -> pl.LazyFrame:
    """Return the rows of a partition with `ROW_ORDER`, in no certain order: the writer does not keep it.

    Parameters
    ----------
    path, table, record
        Where they lie.
    columns
        What to read; all by default.
    files
        The live files where they are known.

    Raises
    ------
    ArchiveError
        ``archive_damaged``: the rows are not there.
    """
    wanted = [name for name, _ in record.columns] if columns is None else list(columns)
    files = live_files(path, table, record.part) if files is None else files
    if not files and record.rows:
        raise ArchiveError("archive_damaged", path=path.name)
    if not files:
        return _no_rows(record, wanted).lazy()
    with storage_errors(path):
        return pl.scan_parquet(files, hive_partitioning=False, glob=False).select(*wanted, ROW_ORDER)


def collect_rows(path: Path, rows: pl.LazyFrame) -> pl.DataFrame:
    """Read scanned rows and put them in order; their runs are laid side by side, not copied."""
    with storage_errors(path):
        frame = rows.collect()
    order = frame[ROW_ORDER]
    if not order.is_sorted():
        runs = _runs(frame)
        frame = pl.concat(runs, rechunk=False) if len(runs) < _MOST_RUNS else frame.sort(ROW_ORDER)
    return frame.drop(ROW_ORDER)


def _runs(frame: pl.DataFrame) -> list[pl.DataFrame]:
    """Cut rows where their order jumps and return the pieces in order."""
    if not frame.height:
        return []
    order = frame[ROW_ORDER]
    starts = [0, *(order.diff() != 1).fill_null(False).arg_true().to_list()]
    pieces = [frame.slice(start, stop - start) for start, stop in itertools.pairwise([*starts, frame.height])]
    return sorted(pieces, key=lambda piece: int(piece[ROW_ORDER][0]))


def row_source(
    path: Path, table: str, record: TableRecord, files: list[str] | None = None
) -> Callable[[], Iterator[pl.DataFrame]]:
    """Return a function that yields the rows of a partition in their order, some at a time.

    What must be looked up is looked up now, and the files are read without the storage library, which cannot be called while
    it writes what is yielded.
    """
    wanted = [name for name, _ in record.columns]
    files = live_files(path, table, record.part) if files is None else files
    if not files and record.rows:
        raise ArchiveError("archive_damaged", path=path.name)
    if not files:
        return lambda: iter([_no_rows(record, wanted).drop(ROW_ORDER)])
    with storage_errors(path):
        ordered = sorted(files, key=_first_number) if len(files) > 1 else files
    return lambda: _read_pieces(path, ordered, wanted)


def _first_number(file: str) -> int:
    return int(pl.scan_parquet(file, hive_partitioning=False, glob=False).select(ROW_ORDER).head(1).collect().item())


def _no_rows(record: TableRecord, wanted: list[str]) -> pl.DataFrame:
    """Return a partition without rows, which has no file to tell its types."""
    kinds = dict(record.columns)
    return pl.DataFrame(schema={**{name: stored_type(getattr(pl, kinds[name])) for name in wanted}, ROW_ORDER: pl.Int64()})


def _read_pieces(path: Path, files: list[str], wanted: list[str]) -> Iterator[pl.DataFrame]:
    """Yield runs of rows in order; one that comes too early waits for those before it."""
    import pyarrow.parquet as pq

    waiting: dict[int, pl.DataFrame] = {}
    due = 0
    for file in files:
        with storage_errors(path), pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(batch_size=_CHUNK, columns=[*wanted, ROW_ORDER]):
                waiting.update((int(run[ROW_ORDER][0]), run) for run in _runs(pl.DataFrame(batch)))
                while due in waiting:
                    run = waiting.pop(due)
                    due += run.height
                    yield run.select(wanted)
    for _, run in sorted(waiting.items()):
        yield run.select(wanted)
