"""`export`: an archive version as plain files that any program reads."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

import eduq
from eduq.archive.content import file_sha256
from eduq.archive.forms import PLAIN_TABLES
from eduq.archive.store import storage_errors
from eduq.errors import ArchiveError
from eduq.intake.exam_file import ExamFile

if TYPE_CHECKING:
    from eduq.archive.database import Archive
    from eduq.registers import Registers

__all__ = ["export_archive", "write_exam_file"]

MANIFEST = "manifest.json"


def export_archive(archive: Archive, target: Path) -> list[Path]:
    """Write what an archive shows into a new folder, whole or not at all.

    Parameters
    ----------
    archive
        The archive as of a version.
    target
        A folder that is not there or empty.

    Returns
    -------
    list of Path
        ``exams/<exam_id>/`` with exam.toml and a Parquet file per table that has rows (ids as keyed hashes),
        ``registers/*.parquet`` and ``packs.toml``, ``decisions.parquet``, ``issued.parquet``, ``versions.parquet``; last
        ``manifest.json`` with the SHA-256 of each.

    Raises
    ------
    ArchiveError
        ``archive_export_exists``, ``archive_disk_full``, ``archive_unwritable``.
    """
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise ArchiveError("archive_export_exists", path=str(target))
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
            part = Path(scratch) / "new"
            part.mkdir()
            written = _write_files(archive, part)
            part.replace(target)
    return [target / path.relative_to(part) for path in written]


def _write_files(archive: Archive, folder: Path) -> list[Path]:
    exams = archive.exams()
    written = []
    for exam_id in exams["exam_id"].sort():
        scores = archive.scores(exam_id)
        place = folder / "exams" / exam_id
        place.mkdir(parents=True)
        written.append(place / "exam.toml")
        written[-1].write_text(write_exam_file(scores.exam), encoding="utf-8")
        tables: dict[str, pl.DataFrame] = {name: getattr(scores, name) for name in PLAIN_TABLES}
        tables |= {"scores": scores.frame, "items": scores.items, "rejected": scores.rejected.drop("value")}
        written += _write_tables(tables, place)
    registers = archive.registers()
    if registers is not None:
        (folder / "registers").mkdir()
        tables = {name: value for name, value in vars(registers).items() if isinstance(value, pl.DataFrame)}
        written += _write_tables(tables, folder / "registers")
        if registers.packs:
            written.append(folder / "registers" / "packs.toml")
            written[-1].write_text(_packs_file(registers), encoding="utf-8")
    written += _write_tables(
        {"decisions": archive.decisions(), "issued": archive.issued(), "versions": archive.versions()}, folder
    )
    manifest = {
        "schema": 1,
        "archive_version": archive.version,
        "archive_schema": archive.schema_version,
        "code_version": eduq.__version__,
        "exams": exams.select("exam_id", "import_id", "archive_version", "n_candidates", "files").sort("exam_id").to_dicts(),
        "files": [
            {"path": path.relative_to(folder).as_posix(), "bytes": path.stat().st_size, "sha256": file_sha256(str(path))}
            for path in written
        ],
    }
    path = folder / MANIFEST
    path.write_text(json.dumps(manifest, ensure_ascii=False, indent=2, default=str) + "\n", encoding="utf-8")
    return [*written, path]


def _write_tables(tables: dict[str, pl.DataFrame], folder: Path) -> list[Path]:
    written = []
    for name, frame in sorted(tables.items()):
        if frame.height:
            frame.write_parquet(folder / f"{name}.parquet")
            written.append(folder / f"{name}.parquet")
    return written


def _packs_file(registers: Registers) -> str:
    """Return packs.toml: from when a text is in force here, and the values the bureau stated."""
    lines: list[str] = []
    for pack, stated in sorted(registers.packs.items()):
        content = stated.model_dump(by_alias=True, exclude_none=True)
        values = content.pop("parameters")
        lines += [f"[{_text(pack)}]", *_keys(content)]
        for rule, parameters in sorted(values.items()):
            lines += [f"[{_text(pack)}.parameters.{_text(rule)}]", *_keys(parameters)]
        lines.append("")
    return "\n".join(lines)


def write_exam_file(exam: ExamFile) -> str:
    """Return exam.toml as resolved, so that reading it gives the same.

    Examples
    --------
    >>> from eduq.settings import parse_toml
    >>> exam = ExamFile.model_validate({"schema": 1, "exam": {"id": "a-1"}, "symbols": {"-": "absent"}})
    >>> parse_toml(write_exam_file(exam).encode(), "exam.toml", ExamFile) == exam
    True
    """
    content = exam.model_dump(by_alias=True, exclude_none=True)
    lines = [f"{key} = {_value(content.pop(key))}" for key in ("schema", "attest", "absence", "symbols", "columns")]
    lines += ["", "[exam]", *_keys(content.pop("exam"))]
    for key in ("papers", "deviations"):
        for entry in content.pop(key):
            lines += ["", f"[[{key}]]", *_keys(entry)]
    return "\n".join([*lines, *_keys(content)]) + "\n"


def _keys(table: dict[str, Any]) -> list[str]:
    return [f"{key} = {_value(value)}" for key, value in table.items()]


def _value(value: Any) -> str:
    if isinstance(value, dict):
        inside = ", ".join(f"{_text(key)} = {_value(one)}" for key, one in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_value(one) for one in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    return _text(value) if isinstance(value, str) else str(value)


def _text(value: str) -> str:
    """Return a TOML basic string; JSON's escapes are TOML's, but for the delete character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
