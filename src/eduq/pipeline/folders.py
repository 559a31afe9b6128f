"""Folders that are written whole or not at all; those of sheets, one per addressee, are read by their owner alone."""

from __future__ import annotations

import csv
import io
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from eduq.errors import UsageError

__all__ = ["INDEX", "choose_name", "replace_sheets", "replace_whole", "write_index", "write_private"]

INDEX = "index.csv"
_UNFIT = re.compile(r"[^\w（）()-]+")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_LONGEST = 80


def _holds_sheets(folder: Path, columns: Sequence[str]) -> bool:
    """Whether a folder holds what an earlier run of sheets wrote."""
    index = folder / INDEX
    return index.is_file() and index.read_text(encoding="utf-8-sig", errors="replace").splitlines()[:1] == [",".join(columns)]


@contextmanager
def replace_whole(folder: str | os.PathLike[str], *, is_ours: Callable[[Path], bool], mode: int = 0o777) -> Iterator[Path]:
    """Give a new folder to write into, and put it in the place of the old one when all went well.

    Parameters
    ----------
    folder
        Replaced when it is empty or an earlier run wrote it; refused when it holds anything else.
    is_ours
        Whether an earlier run wrote a folder.
    mode
        Of the new folder.

    Raises
    ------
    UsageError
        ``output_not_ours``: the folder holds files of others. ``output_unwritable``: it cannot be made or written.
    """
    target = Path(folder)
    if target.exists() and not (target.is_dir() and (not any(target.iterdir()) or is_ours(target))):
        raise UsageError("output_not_ours", folder=str(target))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
            part = Path(scratch) / "new"
            part.mkdir(mode=mode)
            yield part
            if target.exists():
                target.replace(Path(scratch) / "old")
            part.replace(target)
    except OSError as error:
        raise UsageError("output_unwritable", folder=str(target), said=error.strerror or "") from None


def replace_sheets(folder: str | os.PathLike[str], *, columns: Sequence[str]) -> AbstractContextManager[Path]:
    """Give a new private folder for sheets; an old one is known by its list, which has these columns (`write_index`)."""
    return replace_whole(folder, is_ours=lambda found: _holds_sheets(found, columns), mode=0o700)


def choose_name(shown: str, taken: set[str]) -> str:
    """Return a name that every file system takes and that is not among those taken, and take it.

    Examples
    --------
    >>> names = set()
    >>> choose_name("S001/一 班", names), choose_name("s001/一 班", names)
    ('S001_一_班', 's001_一_班-2')
    """
    plain = _UNFIT.sub("_", shown).strip("_")[:_LONGEST] or "_"
    name, number = plain, 1
    while name.casefold() in taken:
        number += 1
        name = f"{plain}-{number}"
    taken.add(name.casefold())
    return name


def write_private(path: Path, content: str) -> None:
    """Write a file that its owner alone may read."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
        file.write(content)


def write_index(folder: Path, columns: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Write the list of a folder's sheets; nothing in it is taken for a formula."""
    content = io.StringIO(newline="")
    writer = csv.writer(content, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell for cell in line] for line in lines)
    write_private(folder / INDEX, "\ufeff" + content.getvalue())
