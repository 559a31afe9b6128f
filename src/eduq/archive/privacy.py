"""Taking pupils out of an archive, and giving all ids a new key: the only ways that rows of old imports are rewritten.

Both write new partitions beside the old ones, make them visible with one commit, and only then take the old ones away. So a
process killed on the way leaves the archive as it was, or with leftovers that `purge` and the next such command remove.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from eduq.archive.checking import stale_parts, unnamed_files
from eduq.archive.forms import CANDIDATE, person_kind
from eduq.archive.keys import KeyChain, key_folder, read_key_chain, write_key_chain
from eduq.archive.records import ImportRecord, short_id
from eduq.archive.rows import row_source, scan_rows
from eduq.archive.state import State, read_state
from eduq.archive.store import PART, TABLES, exclusive, list_parts, open_table, storage_errors, write_rows
from eduq.archive.writing import commit_line, refuse_wrong_key
from eduq.errors import ArchiveError, UsageError
from eduq.intake.columns import ID_FIELDS
from eduq.intake.exam_file import ExamFile
from eduq.intake.ids import tidied

__all__ = ["ID_KINDS", "ForgetReceipt", "RekeyReceipt", "forget_pupil", "purge", "rekey_archive"]

ID_KINDS = (*ID_FIELDS, CANDIDATE)
"""Kinds of id `forget_pupil` takes: those that stay over exams, and the candidate_id of one exam."""
_NEW_KEY_BYTES = 32


@dataclass(frozen=True)
class ForgetReceipt:
    """What was removed: rows of scores, in how many imports; the version that records it."""

    n_rows: int
    n_imports: int
    version: int


@dataclass(frozen=True)
class RekeyReceipt:
    """What was hashed anew: the new key file (which holds the old keys too), rows, imports, the version that records it."""

    key_file: Path
    n_rows: int
    n_imports: int
    version: int


def _rewrite(
    path: Path, record: ImportRecord, reason: str, changes: dict[str, Callable[[pl.DataFrame], pl.DataFrame]]
) -> ImportRecord:
    """Write tables of an import anew into a partition of their own, each piece changed, and return where they lie."""
    part = short_id(str(record.exam_id), hashlib.sha256(f"{record.import_id}:{reason}".encode()).hexdigest())
    tables = dict(record.tables)
    for table, change in changes.items():
        stored = tables.get(table)
        if stored is None:
            continue

        read = row_source(path, table, stored)

        def pieces(read: Any = read, change: Any = change) -> Iterator[pl.DataFrame]:
            return (change(piece) for piece in read())

        fresh = write_rows(path, table, part, pieces)
        tables[table] = fresh.model_copy(update={"columns": stored.columns})
    return record.model_copy(update={"tables": tables})


def forget_pupil(
    path: Path,
    chain: KeyChain,
    id_kind: str,
    value: str,
    *,
    exam_id: str | None = None,
    operator: str | None = None,
    now: dt.datetime | None = None,
) -> ForgetReceipt:
    """Remove one pupil's rows from every import of every version, and record that it was done (a count, no id).

    Parameters
    ----------
    path
        The archive.
    chain
        Its key.
    id_kind
        ``student_uid``, ``exam_no`` or ``student_no`` (written ``school:number``): the pupil wherever this is the id that stays
        over exams; ``student_uid`` also where it is only the id of one exam. ``candidate``: the candidate_id of ``exam_id``.
    value
        The id as the files have it.
    exam_id
        Look in this exam only.
    operator, now
        Who and when.

    Raises
    ------
    UsageError
        ``archive_id_kind``, ``archive_id_blank``, ``archive_forget_exam``.
    ArchiveError
        ``archive_id_unknown``: no version holds the id; nothing is changed. The errors of writing.
    """
    if id_kind not in ID_KINDS:
        raise UsageError("archive_id_kind", value=id_kind, known=", ".join(ID_KINDS))
    if id_kind == CANDIDATE and exam_id is None:
        raise UsageError("archive_forget_exam")
    plain = str(tidied(pl.Series([value]))[0])
    if not plain:
        raise UsageError("archive_id_blank")
    found: list[tuple[ImportRecord, list[str]]] = []

    def plan(state: State) -> dict[str, Any] | None:
        refuse_wrong_key(state, chain)
        found[:] = list(_find_pupil(state, chain, id_kind, plain, exam_id))
        if not found:
            return None
        records = tuple(_without(state, record, candidates) for record, candidates in found)
        return {"exam_id": exam_id, "n_rows": sum(len(candidates) for _, candidates in found), "imports": records}

    with exclusive(path):
        commit = commit_line(path, "forget", plan, operator=operator, now=now)
        purge(path)
    if commit is None:
        raise ArchiveError("archive_id_unknown", path=path.name)
    return ForgetReceipt(commit.n_rows, len(found), commit.version)


def _find_pupil(
    state: State, chain: KeyChain, id_kind: str, value: str, exam_id: str | None
) -> Iterator[tuple[ImportRecord, list[str]]]:
    """Yield the imports that hold the pupil, with the candidate_ids of the pupil's rows there."""
    for record in state.records().values():
        if record.exam_id is None or (exam_id is not None and record.exam_id != exam_id):
            continue
        with storage_errors(state.path):
            facts = scan_rows(state.path, "exams", record.tables["exams"]).collect().row(0, named=True)
            wanted = pl.lit(False)
            if id_kind == person_kind(ExamFile.model_validate_json(facts["exam"])):
                wanted |= pl.col("person_id") == chain.hash_id(id_kind, value)
            if id_kind in (CANDIDATE, "student_uid"):
                wanted |= pl.col("candidate_id") == chain.hash_id(CANDIDATE, value)
            rows = scan_rows(state.path, "scores", record.tables["scores"], ["candidate_id", "person_id"])
            candidates = rows.filter(wanted.fill_null(False)).select("candidate_id").collect()["candidate_id"]
        if len(candidates):
            yield record, sorted(candidates)


def _without(state: State, record: ImportRecord, candidates: list[str]) -> ImportRecord:
    with storage_errors(state.path):
        rows = scan_rows(state.path, "scores", record.tables["scores"], ["candidate_id", "school_id"])
        left = rows.filter(~pl.col("candidate_id").is_in(candidates)).select(pl.col("school_id").n_unique()).collect().item()

    def drop(piece: pl.DataFrame) -> pl.DataFrame:
        return piece.filter(~pl.col("candidate_id").is_in(candidates))

    def recount(line: pl.DataFrame) -> pl.DataFrame:
        n = len(candidates)
        return line.with_columns(
            pl.col("n_candidates") - n, pl.col("n_forgotten") + n, pl.lit(left, dtype=pl.Int64).alias("n_schools")
        )

    reason = f"without:{state.newest + 1}"
    return _rewrite(state.path, record, reason, {"scores": drop, "items": drop, "exams": recount})


def rekey_archive(
    path: Path,
    chain: KeyChain,
    new_key_file: str | os.PathLike[str] | None = None,
    *,
    operator: str | None = None,
    now: dt.datetime | None = None,
) -> RekeyReceipt:
    """Hash every stored hash once more with a new key, in every import of every version.

    Parameters
    ----------
    path
        The archive.
    chain
        Its key until now.
    new_key_file
        Where the new chain of keys is written (the old file is left alone); by default in `eduq.archive.keys.key_folder`.
    operator, now
        Who and when.

    Raises
    ------
    ArchiveError
        ``archive_key_exists`` (the file is there and is not the new chain of a rotation that was cut short),
        ``archive_key_inside``, ``archive_key_unwritable``, and the errors of writing.
    """
    new = chain.extend(secrets.token_bytes(_NEW_KEY_BYTES))
    target = Path(new_key_file) if new_key_file is not None else key_folder() / f"{path.resolve().name}-{new.check[:8]}.key"
    if target.resolve().is_relative_to(path.resolve()):
        raise ArchiveError("archive_key_inside", path=target.name)
    if target.is_file():
        new = read_key_chain(target)
        if new.keys[:-1] != chain.keys:
            raise ArchiveError("archive_key_exists", path=target.name)
    else:
        refuse_wrong_key(read_state(path), chain)
        write_key_chain(target, new)
    rewritten: list[ImportRecord] = []

    def change(piece: pl.DataFrame) -> pl.DataFrame:
        names = [name for name in ("candidate_id", "person_id") if name in piece.columns]
        return piece.with_columns(new.rehash(piece[name]).alias(name) for name in names)

    def plan(state: State) -> dict[str, Any]:
        refuse_wrong_key(state, chain)
        exams = [record for record in state.records().values() if record.exam_id is not None]
        rewritten[:] = [_rewrite(path, record, new.check, {"scores": change, "items": change}) for record in exams]
        n_rows = sum(record.tables["scores"].rows for record in rewritten)
        return {"key_check": new.check, "n_rows": n_rows, "imports": tuple(rewritten)}

    with exclusive(path):
        commit = commit_line(path, "rekey", plan, operator=operator, now=now)
        purge(path)
    if commit is None:
        raise ArchiveError("archive_busy", path=path.name)
    return RekeyReceipt(target, commit.n_rows, len(rewritten), commit.version)


def purge(path: Path) -> None:
    """Delete rows that no commit names and files that no table names, for good. The caller holds the archive alone."""
    state = read_state(path)
    for table in TABLES:
        stale = [part for part, _ in stale_parts(table, list_parts(path, table), state)]
        with storage_errors(path):
            handle = open_table(path, table)
            if stale:
                handle.delete(" OR ".join(f"{PART} = '{part}'" for part in stale))
            if unnamed_files(path, table):
                handle.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False, full=True)
            for file in unnamed_files(path, table):  # what a killed writer left half written, which vacuum does not know
                file.unlink(missing_ok=True)
