"""How commands with one frame give it: a table for people, or the frame as JSON, CSV or Parquet; a file whole or not at all."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from eduq.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["give_frame", "interval_words", "number_words"]

_WIDTH = 140


def number_words(value: float | None, decimals: int = 2, *, percent: bool = False, signed: bool = False) -> str:
    """Return a number with a true minus sign, a dash where there is none; what rounds to nothing has no sign.

    Examples
    --------
    >>> number_words(-0.456), number_words(0.4567, 1, percent=True), number_words(None), number_words(0.001, signed=True)
    ('−0.46', '45.7%', '—', '0.00')
    """
    if value is None:
        return "—"
    shown = f"{100 * value if percent else value:{'+' if signed else ''}.{decimals}f}"
    shown = shown if any(digit in shown for digit in "123456789") else shown.lstrip("+-")
    return shown.replace("-", "−") + ("%" if percent else "")


def interval_words(
    low: float | None, high: float | None, decimals: int = 2, *, percent: bool = False, signed: bool = False
) -> str:
    """Return an interval as two numbers with a dash between them."""
    if low is None or high is None:
        return "—"
    return " — ".join(number_words(value, decimals, percent=percent, signed=signed) for value in (low, high))


def give_frame(
    frame: pl.DataFrame,
    document: Callable[[], Mapping[str, Any]],
    show: Callable[[Console], None],
    *,
    form: str,
    out: Path | None,
    width: int = _WIDTH,
) -> Path | None:
    """Print a result, or write it whole or not at all and return the path.

    Parameters
    ----------
    frame
        Its lines, for CSV and Parquet.
    document
        Makes what JSON holds.
    show
        Prints the table for people.
    form
        ``table``, ``json``, ``csv`` or ``parquet``.
    out
        The file; standard output when None.
    width
        Characters a line of the table has where there is no terminal.

    Raises
    ------
    UsageError
        ``output_unwritable``.
    """
    console = Console(highlight=False)
    if out is None and form == "table" and console.is_terminal:
        show(console)
        return None
    said = ""
    if form == "json":
        said = json.dumps(document(), ensure_ascii=False, indent=2, sort_keys=True, default=str) + "\n"
    elif form == "csv":
        said = frame.write_csv()
    elif form == "table":
        buffer = io.StringIO()
        show(Console(file=buffer, width=width, highlight=False, color_system=None))
        said = buffer.getvalue()
    if out is None:
        sys.stdout.write(said)
        return None
    part = out.with_name(f".{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if form == "parquet":
            frame.write_parquet(part)
        else:
            mark = "\ufeff" if form == "csv" else ""  # so that a spreadsheet reads the Chinese
            part.write_text(mark + said, encoding="utf-8")
        return part.replace(out)
    except OSError as error:
        raise UsageError("output_unwritable", folder=str(out.parent), said=error.strerror or "") from None
