"""What a file may at most be, all in one place: beyond it reading stops before memory or time runs out."""

from __future__ import annotations

from eduq.errors import DataFileError, Place
from eduq.locale import text

__all__ = [
    "MAX_CELLS",
    "MAX_COLUMNS",
    "MAX_FILE_BYTES",
    "MAX_LINE_BYTES",
    "MAX_MEMBERS",
    "MAX_RATIO",
    "MAX_SHEETS",
    "MAX_TABLE_CELLS",
    "MAX_TEXT_BYTES",
    "MAX_UNPACKED_BYTES",
    "RATIO_COUNTS_FROM",
    "too_large",
]

MAX_FILE_BYTES = 4 << 30
"""Size of one file on disk."""
MAX_UNPACKED_BYTES = 2 << 30
"""Size of everything in one zip or workbook once it is unpacked."""
MAX_RATIO = 200
"""How many times larger the unpacked content may be; spreadsheets reach 10 to 50."""
RATIO_COUNTS_FROM = 64 << 20
"""Unpacked content below this size is harmless whatever its ratio."""
MAX_MEMBERS = 20_000
"""Files in one zip."""
MAX_SHEETS = 1000
"""Sheets of one workbook."""
MAX_CELLS = 40_000_000
"""Cells of one workbook: last used row times last used column, over its sheets. 10⁶ candidates have 38 columns."""
MAX_TABLE_CELLS = 1_000_000_000
"""Cells of one Parquet file."""
MAX_COLUMNS = 2000
"""Columns of one table; a spreadsheet has 16,384, a table of candidates and items some hundreds."""
MAX_TEXT_BYTES = 2 << 30
"""Length of all texts of a workbook's cells together."""
MAX_LINE_BYTES = 4 << 20
"""Length of one line of a text file's header."""


def too_large(place: Place, limit: str, most: int, found: int) -> DataFileError:
    """Return the error that a limit is passed; it names the limit.

    Parameters
    ----------
    place
        The file, sheet or cell.
    limit
        Key of the wording, ``limits.<limit>``.
    most, found
        The limit and what the file has.
    """
    zh, en = (text(f"limits.{limit}", lang, most=f"{most:,}", found=f"{found:,}") for lang in ("zh", "en"))
    return DataFileError("file_too_large", place, zh=zh, en=en)
