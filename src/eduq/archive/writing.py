"""Adding to an archive: rows first, the commit that shows them last."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

import eduq
from eduq.archive.content import FrameDigest, canonical, digest_frame
from eduq.archive.forms import HashedIds, exam_frames, registers_frame
from eduq.archive.keys import KeyChain, same_check
from eduq.archive.records import Commit, ImportRecord, Kind, TableRecord, short_id
from eduq.archive.state import State, read_state
from eduq.archive.store import CommitLostError, append_commit, exclusive, write_rows
from eduq.errors import ArchiveError, DataFileError
from eduq.intake.score_table import ScoreTable
from eduq.registers import Registers

__all__ = ["ImportReceipt", "RegisterReceipt", "add_exam", "add_lines", "add_register_rows", "commit_line", "refuse_wrong_key"]

_ATTEMPTS = 50
_SOURCE_TABLES = ("rejected", "schools", "item_spec", "aggregates")


@dataclass(frozen=True)
class ImportReceipt:
    """What became of an exam that was added.

    Attributes
    ----------
    exam_id, import_id
        The exam, and the import that is current now.
    version
        The archive version that shows it.
    changed
        False when the archive already showed exactly this.
    status
        imported (a new exam), replaced (a correction) or unchanged.
    """

    exam_id: str
    import_id: str
    version: int
    changed: bool
    status: Literal["imported", "replaced", "unchanged"]


@dataclass(frozen=True)
class RegisterReceipt:
    """What became of registers that were added: their import_id, the version that shows them, whether they are new."""

    import_id: str
    version: int
    changed: bool


def refuse_wrong_key(state: State, chain: KeyChain) -> None:
    """Stop when the key is not the archive's.

    Raises
    ------
    ArchiveError
        ``archive_key_wrong``.
    """
    if not same_check(chain.check, state.key_check):
        raise ArchiveError("archive_key_wrong", path=state.path.name)


def commit_line(
    path: Path, kind: Kind, plan: Callable[[State], dict[str, Any] | None], *, operator: str | None, now: dt.datetime | None
) -> Commit | None:
    """Append one commit that follows from the newest state; plan anew when another writer was faster.

    Parameters
    ----------
    path
        The archive.
    kind
        What the commit is.
    plan
        Takes the newest state, writes rows where they are missing and returns the fields of the commit; None to do nothing.
    operator, now
        Who and when, as far as said.
    """
    if now is not None:
        now = now.replace(tzinfo=dt.UTC) if now.tzinfo is None else now.astimezone(dt.UTC)
    for _ in range(_ATTEMPTS):
        state = read_state(path)
        fields = plan(state)
        if fields is None:
            return None
        commit = Commit(
            version=state.newest + 1,
            committed_at=now,
            operator=operator,
            code_version=eduq.__version__,
            **{"kind": kind, "key_check": state.key_check, **fields},
        )
        before = state.all_commits[-1].chain if state.all_commits else ""
        commit = commit.model_copy(update={"chain": commit.linked(before)})
        try:
            append_commit(path, commit)
        except CommitLostError:
            continue
        return commit
    raise ArchiveError("archive_busy", path=path.name)


def _source_sha256(scores: ScoreTable, frames: Mapping[str, pl.DataFrame], digests: Mapping[str, str]) -> str:
    """Return the fingerprint of what was read: files, exam.toml as resolved, and every table but the checks."""
    content = {
        "exam": scores.exam.model_dump(mode="json", by_alias=True),
        "files": sorted(scores.inputs.select("file", "sha256", "bytes").rows()),
        "tables": {**digests, **{name: digest_frame(frames[name]) for name in _SOURCE_TABLES}},
    }
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def _write_frame(path: Path, table: str, part: str, frame: pl.DataFrame) -> TableRecord:
    return write_rows(path, table, part, lambda: [frame], digest_frame(frame))


def _digest(pieces: Iterable[pl.DataFrame]) -> str:
    digest = FrameDigest()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def add_exam(
    path: Path,
    scores: ScoreTable,
    chain: KeyChain,
    *,
    registers: Registers | None,
    operator: str | None,
    now: dt.datetime | None,
) -> ImportReceipt:
    """Store one exam (see `eduq.archive.Archive.add`); ``registers`` are stored with it."""
    exam_id = scores.exam.exam.id
    if exam_id is None or "assumed_exam_id" in scores.checks["code"]:  # an id taken from the files would change with them
        raise DataFileError("archive_exam_unnamed")
    refuse_wrong_key(read_state(path), chain)
    frames = exam_frames(scores, eduq.__version__)
    hashed = HashedIds(scores, chain)
    digests = {"scores": _digest(hashed.scores()), "items": _digest(hashed.items())}
    oldest = digests
    if len(chain.keys) > 1:
        first = HashedIds(scores, chain.first())
        oldest = {"scores": _digest(first.scores()), "items": _digest(first.items())}
        del first
    source = _source_sha256(scores, frames, oldest)
    import_id = short_id(exam_id, source)
    lists = None if registers is None else registers_frame(registers)
    status: Literal["imported", "replaced", "unchanged"] = "unchanged"
    written: dict[str, ImportRecord] = {}

    def plan(state: State) -> dict[str, Any] | None:
        nonlocal status
        refuse_wrong_key(state, chain)
        known, current = state.records(), state.current_exams().get(exam_id)
        new_lists = _plan_registers(state, lists, written)
        if current is not None and current.import_id == import_id and not new_lists:
            status = "unchanged"
            return None
        status = "unchanged" if current and current.import_id == import_id else "replaced" if current else "imported"
        if status == "unchanged":
            return {"kind": "registers", "register_id": new_lists[-1].import_id, "n_rows": 0, "imports": new_lists}
        record = known.get(import_id) or written.get(import_id)
        if record is None:
            tables = {name: _write_frame(path, name, import_id, frame) for name, frame in frames.items() if frame.height}
            pieces = {"scores": hashed.scores, "items": hashed.items}
            rows = {"scores": scores.frame.height, "items": scores.items.height}
            tables |= {
                name: write_rows(path, name, import_id, pieces[name], digests[name])
                for name in pieces
                if rows[name] or name == "scores"
            }
            record = ImportRecord(import_id=import_id, exam_id=exam_id, source_sha256=source, tables=tables)
            written[import_id] = record
        return {
            "exam_id": exam_id,
            "import_id": import_id,
            "register_id": new_lists[-1].import_id if new_lists else None,
            "n_rows": scores.frame.height,
            "imports": (record, *new_lists),
        }

    with exclusive(path):
        commit = commit_line(path, "exam", plan, operator=operator, now=now)
        if commit is None or status == "unchanged":
            return ImportReceipt(exam_id, import_id, read_state(path).current_exams()[exam_id].version, False, "unchanged")
    return ImportReceipt(exam_id, import_id, commit.version, True, status)


def _plan_registers(state: State, lists: pl.DataFrame | None, written: dict[str, ImportRecord]) -> tuple[ImportRecord, ...]:
    """Store registers that are not the ones in force; return their record, or nothing when they are."""
    if lists is None:
        return ()
    record = _stored_lines(state, "registers", "registers", lists, written)
    return () if record.import_id == state.register_id else (record,)


def _stored_lines(state: State, table: str, prefix: str, lines: pl.DataFrame, written: dict[str, ImportRecord]) -> ImportRecord:
    """Return the record of a small table's lines, writing them where they are not there yet."""
    sha256 = digest_frame(lines)
    import_id = short_id(prefix, sha256)
    record = state.records().get(import_id) or written.get(import_id)
    if record is None:
        stored: TableRecord = write_rows(state.path, table, import_id, lambda: [lines], sha256)
        record = ImportRecord(import_id=import_id, source_sha256=sha256, tables={table: stored})
        written[import_id] = record
    return record


def add_register_rows(path: Path, registers: Registers, *, operator: str | None, now: dt.datetime | None) -> RegisterReceipt:
    """Store registers (see `eduq.archive.Archive.add_registers`)."""
    lists = registers_frame(registers)
    written: dict[str, ImportRecord] = {}

    def plan(state: State) -> dict[str, Any] | None:
        new = _plan_registers(state, lists, written)
        return {"register_id": new[0].import_id, "n_rows": int(lists["n_rows"].sum()), "imports": new} if new else None

    with exclusive(path):
        commit = commit_line(path, "registers", plan, operator=operator, now=now)
        if commit is None:
            state = read_state(path)
            since = next(one for one in reversed(state.commits) if one.register_id)
            return RegisterReceipt(str(since.register_id), since.version, False)
    return RegisterReceipt(str(commit.register_id), commit.version, True)


def add_lines(
    path: Path,
    kind: Literal["decision", "issued"],
    table: str,
    lines: pl.DataFrame,
    *,
    operator: str | None,
    now: dt.datetime | None,
) -> int:
    """Store lines of the decisions or of the ledger and return the version that shows them; the same again changes nothing."""
    written: dict[str, ImportRecord] = {}
    import_id = short_id(kind, digest_frame(lines))

    def plan(state: State) -> dict[str, Any] | None:
        if any(commit.import_id == import_id for commit in state.commits):
            return None
        record = _stored_lines(state, table, kind, lines, written)
        return {"import_id": import_id, "n_rows": lines.height, "imports": (record,)}

    with exclusive(path):
        commit = commit_line(path, kind, plan, operator=operator, now=now)
        if commit is None:
            return next(one.version for one in read_state(path).commits if one.import_id == import_id)
    return commit.version
