"""Write the rows that were not used: by place and code, values only when a person asks for them."""

from __future__ import annotations

import csv
import io
import os
import tempfile
from pathlib import Path

from eduq.intake.score_table import ScoreTable
from eduq.locale import Lang, text

__all__ = ["write_rejects"]

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def _neutral(value: object) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    said = "" if value is None else str(value)
    return "'" + said if said.startswith(_FORMULA_STARTS) else said


def write_rejects(
    table: ScoreTable, path: str | os.PathLike[str], with_values: bool = False, *, lang: Lang | None = None
) -> Path:
    """Write the rejected rows as CSV (UTF-8 with byte order mark) and return the path.

    Parameters
    ----------
    table
        What `read_scores` gave.
    path
        The file to write; it appears whole or not at all.
    with_values
        Also write the offending values.
    lang
        Language of the reasons.
    """
    target = Path(path)
    columns = ["file", "sheet", "row", "column", "code", *(["value"] if with_values else [])]
    content = io.StringIO(newline="")
    writer = csv.writer(content, lineterminator="\r\n")
    writer.writerow([*columns, "reason"])
    for line in table.rejected.iter_rows(named=True):
        writer.writerow([*(_neutral(line[name]) for name in columns), text(f"reject.{line['code']}", lang)])
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.getvalue().encode("utf-8-sig"))
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return target
