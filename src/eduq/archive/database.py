"""`Archive`: one folder that holds every exam of a county, read as of a version."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import polars as pl

from eduq.archive.creating import make_archive
from eduq.archive.forms import person_kind, restore_registers
from eduq.archive.keys import KeyChain, find_key_file, read_key_chain
from eduq.archive.reading import exams_frame, ledger_lines, register_lines, scan_table, score_table, versions_frame
from eduq.archive.records import SCHEMA_VERSION, ImportRecord
from eduq.archive.state import State, read_state
from eduq.archive.store import ROW_ORDER
from eduq.archive.writing import ImportReceipt, RegisterReceipt, add_exam, add_lines, add_register_rows, refuse_wrong_key
from eduq.errors import ArchiveError, UsageError
from eduq.intake.score_table import ScoreTable
from eduq.registers import Registers, apply_registers
from eduq.tables import DECISIONS, ISSUED

if TYPE_CHECKING:
    from eduq.archive.checking import VerifyResult
    from eduq.archive.privacy import ForgetReceipt, RekeyReceipt

__all__ = ["Archive", "create_archive", "open_archive"]

PathLike = str | os.PathLike[str]
Found = TypeVar("Found")
_DECIDED = ("adopted", "rejected", "deferred")
_NEEDED = {
    "decisions": ("rule_id", "pack", "unit_type", "unit", "as_of", "decision", "decided_by", "decided_on", "reason"),
    "issued": ("product", "period", "edition", "issued_by", "issued_on", "sha256"),
}


def create_archive(path: PathLike, *, key_file: PathLike | None = None) -> Archive:
    """Make an empty archive and, where there is none yet, its key.

    Parameters
    ----------
    path
        A folder that is not there or empty.
    key_file
        Where the key lies or is to be made (mode 0600), outside the archive; by default in ``~/.config/eduq/keys`` (or what
        the environment variable ``EDUQ_KEY_FILE`` names). Without the key nothing can be added that links to what is there:
        keep a copy in another place.

    Raises
    ------
    ArchiveError
        ``archive_exists``, ``archive_path_unfit``, ``archive_key_inside``, ``archive_unwritable``, ``archive_disk_full`` and
        the errors of a key file.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> archive = create_archive(folder / "archive", key_file=folder / "archive.key")
    >>> archive.version, archive.exams().height
    (0, 0)
    """
    target = Path(path)
    key_path = make_archive(target, None if key_file is None else Path(key_file))
    return open_archive(target, key_file=key_path)


def open_archive(path: PathLike, *, version: int | None = None, key_file: PathLike | None = None) -> Archive:
    """Open an archive as of a version.

    Parameters
    ----------
    path
        Folder of the archive.
    version
        The archive version to read; the newest by default. What is added later, by whomever, does not show.
    key_file
        The key file; only adding exams, `Archive.forget` and `Archive.rekey` need it. By default the one that
        ``EDUQ_KEY_FILE`` names, or the one in ``~/.config/eduq/keys`` that fits the archive.

    Raises
    ------
    ArchiveError
        ``archive_missing``, ``archive_newer``, ``archive_damaged``, ``archive_version_unknown``; for a key that is given
        ``archive_key_missing``, ``archive_key_open``, ``archive_key_not_understood`` or ``archive_key_wrong``.
    """
    archive = Archive(Path(path), read_state(Path(path), version), pinned=version is not None, key_file=key_file)
    if key_file is not None:
        archive.require_key()
    return archive


class Archive:
    """A teaching quality database (教学质量数据库) as of one version. Made by `create_archive` and `open_archive`.

    Attributes
    ----------
    path
        Its folder.
    version
        The version that is read: the number of commits up to it. What is added through this object shows at once.
    schema_version
        Version of its tables.
    """

    def __init__(self, path: Path, state: State, *, pinned: bool, key_file: PathLike | None) -> None:
        self.path = path
        self.schema_version = SCHEMA_VERSION
        self._state = state
        self._pinned = pinned
        self._key_file = None if key_file is None else Path(key_file)

    @property
    def version(self) -> int:
        """The archive version that is read."""
        return self._state.version

    def __repr__(self) -> str:
        """Say what there is without a row of it."""
        return f"Archive({self.summary()})"

    def summary(self) -> str:
        """Return one line: version, exams, commits."""
        exams = len(self._state.current_exams())
        return f"{self.path.name}, version {self.version} of {self._state.newest}, {exams} exams"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>{self.exams().drop('files')._repr_html_()}"

    @property
    def key_file(self) -> Path | None:
        """The key file in use, None when none is found."""
        return find_key_file(self._state.key_check, self._key_file)

    def require_key(self) -> None:
        """Stop now rather than later when the key is missing or wrong."""
        self._key_chain()

    def _key_chain(self) -> KeyChain:
        found = self.key_file
        if found is None:
            raise ArchiveError("archive_key_missing", path=f"*-{self._state.key_check[:8]}.key")
        if found.resolve().is_relative_to(self.path.resolve()):
            raise ArchiveError("archive_key_inside", path=found.name)
        chain = read_key_chain(found)
        refuse_wrong_key(self._state, chain)
        return chain

    def hash_persons(self, scores: ScoreTable) -> pl.Series:
        """Return the person_id of an exam that is not stored here as the keyed hashes (hex) it would have here."""
        ids = self._key_chain().hash_ids(person_kind(scores.exam), scores.frame["person_id"])
        return ids.bin.encode("hex")

    def _writable(self) -> None:
        if self._pinned:
            raise UsageError("archive_pinned", version=self.version)

    def _refresh(self) -> None:
        self._state = read_state(self.path)

    def _read(self, read: Callable[[State], Found]) -> Found:
        """Read; once more when a removal or rotation has moved the rows meanwhile."""
        try:
            return read(self._state)
        except ArchiveError as error:
            if error.code != "archive_damaged":
                raise
            newest = read_state(self.path)
            if newest.newest == self._state.newest:
                raise
            self._state = State(self.path, newest.key_check, newest.all_commits, self.version)
            return read(self._state)

    # what is added

    def add(
        self,
        scores: ScoreTable,
        *,
        registers: Registers | None = None,
        operator: str | None = None,
        now: dt.datetime | None = None,
    ) -> ImportReceipt:
        """Store one exam; the same again changes nothing, anything else replaces the exam from this version on.

        Ids become keyed hashes. Names are in no ScoreTable (intake drops them), so none are stored; nor are the values of
        rejected rows.

        Parameters
        ----------
        scores
            The exam, with an id in its exam.toml.
        registers
            Schools are named by these registers (`eduq.registers.apply_registers`), which are stored too; by default by the
            registers in the archive, where there are any.
        operator
            Who adds it.
        now
            When; not recorded when left out.

        Raises
        ------
        DataFileError
            ``archive_exam_unnamed``, ``school_not_in_register``.
        ArchiveError
            The errors of a key, ``archive_busy``, ``archive_disk_full``, ``archive_unwritable``.
        UsageError
            ``archive_pinned``: this is an older version, opened by number.
        """
        self._writable()
        chain = self._key_chain()
        self._refresh()
        known = registers if registers is not None else self.registers()
        named = scores if known is None else apply_registers(scores, known)
        receipt = add_exam(self.path, named, chain, registers=registers, operator=operator, now=now)
        self._refresh()
        return receipt

    def add_registers(
        self, registers: Registers, *, operator: str | None = None, now: dt.datetime | None = None
    ) -> RegisterReceipt:
        """Store registers; the same again change nothing. Exams stay as they are until they are added again."""
        self._writable()
        receipt = add_register_rows(self.path, registers, operator=operator, now=now)
        self._refresh()
        return receipt

    def add_decision(self, decision: Mapping[str, Any], *, operator: str | None = None, now: dt.datetime | None = None) -> int:
        """Record a named person's decision and return the version that shows it.

        Parameters
        ----------
        decision
            Columns of `eduq.tables.DECISIONS` but archive_version; ``decision`` is adopted, rejected or deferred.
        operator, now
            Who records it, and when.

        Raises
        ------
        UsageError
            ``archive_line_incomplete``, ``archive_line_unknown_key``, ``decision_unknown``.
        """
        if decision.get("decision") not in (None, *_DECIDED):
            raise UsageError("decision_unknown", value=decision["decision"], known=", ".join(_DECIDED))
        return self._add_line("decision", "decisions", DECISIONS, decision, operator, now)

    def add_issued(self, entry: Mapping[str, Any], *, operator: str | None = None, now: dt.datetime | None = None) -> int:
        """Enter an issued document (columns of `eduq.tables.ISSUED` but archive_version) in the ledger."""
        return self._add_line("issued", "issued", ISSUED, entry, operator, now)

    def _add_line(
        self,
        kind: Any,
        table: str,
        schema: dict[str, Any],
        line: Mapping[str, Any],
        operator: str | None,
        now: dt.datetime | None,
    ) -> int:
        self._writable()
        columns = {name: dtype for name, dtype in schema.items() if name != "archive_version"}
        unknown = sorted(set(line) - set(columns))
        if unknown:
            raise UsageError("archive_line_unknown_key", keys=", ".join(unknown), known=", ".join(columns))
        missing = [name for name in _NEEDED[table] if line.get(name) in (None, "")]
        if missing:
            raise UsageError("archive_line_incomplete", keys=", ".join(missing))
        version = add_lines(self.path, kind, table, pl.DataFrame([dict(line)], schema=columns), operator=operator, now=now)
        self._refresh()
        return version

    # what is read

    def exams(self) -> pl.DataFrame:
        """Return the exams of this version, by date and exam_id.

        Returns
        -------
        polars.DataFrame
            exam_id, import_id, archive_version (the commit that brought it), name, school_year, term (Int64), date (Date),
            year_group, scope, purpose, n_candidates, n_schools, n_rejected, n_forgotten (pupils removed), files (List of
            Struct file, sha256, bytes, rows, used, rejected), code_version.
        """
        return self._read(exams_frame)

    def scores(self, exam_id: str, *, columns: Sequence[str] | None = None, items: bool | None = None) -> ScoreTable:
        """Return one exam as intake gave it, ids as keyed hashes.

        Parameters
        ----------
        exam_id
            The exam.
        columns
            Columns of the score table to read, in this order; all by default. Only these are read from disk.
        items
            Whether to read what candidates got in single items; by default where all columns are read.

        Raises
        ------
        ArchiveError
            ``archive_exam_unknown``, ``archive_column_unknown``, ``archive_damaged``.
        """

        with_items = columns is None if items is None else items
        return self._read(lambda state: score_table(state, self._record(state, exam_id), columns, with_items))

    def scan(self, exam_id: str, *, columns: Sequence[str] | None = None) -> pl.LazyFrame:
        """Return the score rows of one exam, read when they are needed and in no certain order: they need not fit into memory."""
        return self._read(lambda state: scan_table(state, "scores", self._record(state, exam_id), columns).drop(ROW_ORDER))

    def score_files(self, exam_id: str) -> list[str]:
        """Return the live Parquet files of one exam's score rows, for another engine."""
        return self._read(lambda state: state.files("scores", self._record(state, exam_id).tables["scores"].part))

    def _record(self, state: State, exam_id: str) -> ImportRecord:
        record = state.current_record(exam_id)
        if record is None:
            known = ", ".join(sorted(state.current_exams()))
            raise ArchiveError("archive_exam_unknown", exam=exam_id, version=state.version, known=known or "-")
        return record

    def registers(self) -> Registers | None:
        """Return the registers of this version, None when there are none."""
        return self._read(lambda state: restore_registers(lists) if (lists := register_lines(state)) is not None else None)

    def register(self, name: str) -> pl.DataFrame:
        """Return one register (schools, teachers, events, heads, targets), or ``decisions`` or ``issued``.

        Raises
        ------
        ArchiveError
            ``archive_register_unknown``.
        """
        if name in ("decisions", "issued"):
            return self.decisions() if name == "decisions" else self.issued()
        registers = self.registers()
        found = getattr(registers, name, None)
        if not isinstance(found, pl.DataFrame):
            known = [key for key, value in vars(registers).items() if isinstance(value, pl.DataFrame)] if registers else []
            raise ArchiveError("archive_register_unknown", name=name, known=", ".join([*known, "decisions", "issued"]))
        return found

    def decisions(self) -> pl.DataFrame:
        """Return `eduq.tables.DECISIONS`, in the order they were recorded."""
        return self._read(lambda state: ledger_lines(state, "decision", "decisions", DECISIONS))

    def issued(self) -> pl.DataFrame:
        """Return `eduq.tables.ISSUED`, in the order they were entered."""
        return self._read(lambda state: ledger_lines(state, "issued", "issued", ISSUED))

    def versions(self) -> pl.DataFrame:
        """Return one line per commit up to this version.

        Returns
        -------
        polars.DataFrame
            version, committed_at (UTC, null when not said), kind (exam, registers, decision, issued, forget, rekey), exam_id,
            import_id, register_id, operator, n_rows, code_version, schema_version.
        """
        return versions_frame(self._state)

    def count_imports(self) -> tuple[int, int]:
        """Return how many exam imports there are over all versions, and their score rows."""
        records = [record for record in self._state.records().values() if record.exam_id is not None]
        return len(records), sum(record.tables["scores"].rows for record in records)

    # what keeps it whole

    def verify(self) -> VerifyResult:
        """Check every import of every version against what its commit recorded; see `eduq.archive.checking`."""
        from eduq.archive.checking import verify_state

        return verify_state(read_state(self.path))

    def export(self, path: PathLike) -> list[Path]:
        """Write this version as plain files into a new folder; see `eduq.archive.exporting`."""
        from eduq.archive.exporting import export_archive

        return export_archive(self, Path(path))

    def forget(
        self,
        id_kind: str,
        value: str,
        *,
        exam_id: str | None = None,
        operator: str | None = None,
        now: dt.datetime | None = None,
    ) -> ForgetReceipt:
        """Remove one pupil from every version; see `eduq.archive.privacy.forget_pupil`."""
        from eduq.archive.privacy import forget_pupil

        self._writable()
        receipt = forget_pupil(self.path, self._key_chain(), id_kind, value, exam_id=exam_id, operator=operator, now=now)
        self._refresh()
        return receipt

    def rekey(
        self, new_key_file: PathLike | None = None, *, operator: str | None = None, now: dt.datetime | None = None
    ) -> RekeyReceipt:
        """Hash every stored hash once more with a new key; see `eduq.archive.privacy.rekey_archive`."""
        from eduq.archive.privacy import rekey_archive

        self._writable()
        receipt = rekey_archive(self.path, self._key_chain(), new_key_file, operator=operator, now=now)
        self._key_file = receipt.key_file
        self._refresh()
        return receipt
