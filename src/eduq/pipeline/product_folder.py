"""Folders that appear whole or not at all, and one run at a time: also after a run was killed."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from eduq.errors import ArchiveError, UsageError
from eduq.pipeline.documents import RUN_RECORD

__all__ = ["alone_in", "file_hashes", "replace_folder", "safe_name"]

_LOCK = ".lock"
_PART = ".part-"


def safe_name(text: str) -> str:
    """Return text as a part of a folder's name: letters of any script, digits, dots, dashes; the rest becomes ``_``.

    Examples
    --------
    >>> safe_name("教通〔2026〕3号"), safe_name("../x")
    ('教通_2026_3号', '_x')
    """
    return re.sub(r"[^\w.\-]+", "_", text).lstrip(".") if text.strip(".") else "_"


def file_hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a folder but its run record, by name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != RUN_RECORD)
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; what a killed run left in it is mended first.

    Raises
    ------
    ArchiveError
        ``bulletin_busy``: another run holds it.
    UsageError
        ``output_unwritable``.
    """
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / _LOCK, timeout=0).acquire()
    except Timeout:
        raise ArchiveError("bulletin_busy", folder=str(folder)) from None
    except OSError as error:
        raise UsageError("output_unwritable", folder=str(folder), said=error.strerror or "") from None
    with lock:
        for part in sorted(folder.glob(f"{_PART}*")):
            _mend(part)
        yield


def _mend(part: Path) -> None:
    """Put back the folder that a killed run had set aside, and remove what it had begun."""
    target = part.with_name(part.name.removeprefix(_PART))
    if (part / "old").is_dir() and not target.exists():
        (part / "old").replace(target)
    shutil.rmtree(part)


def replace_folder(target: Path, write: Callable[[Path], None]) -> None:
    """Write a folder beside its place and put it there whole.

    Raises
    ------
    UsageError
        ``output_not_ours``: there is a folder with files of others. ``output_unwritable``.
    """
    if target.exists() and not (target.is_dir() and (not any(target.iterdir()) or (target / RUN_RECORD).is_file())):
        raise UsageError("output_not_ours", folder=str(target))
    part = target.with_name(f"{_PART}{target.name}")
    try:
        if part.exists():
            _mend(part)
        (part / "new").mkdir(parents=True)
    except OSError as error:
        raise UsageError("output_unwritable", folder=str(target), said=error.strerror or "") from None
    try:
        write(part / "new")
        if target.exists():
            target.replace(part / "old")
        (part / "new").replace(target)
    finally:
        if target.exists() or not (part / "old").exists():
            shutil.rmtree(part, ignore_errors=True)
        else:
            _mend(part)
