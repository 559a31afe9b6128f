"""What commands share that take a table of aggregates or an archive: the table read, the form chosen, options checked."""

from __future__ import annotations

import io
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eduq.errors import DataFileError, Place, UsageError
from eduq.locale import text

if TYPE_CHECKING:
    import polars as pl

__all__ = ["TableFormat", "choose_form", "read_aggregates", "refuse_options", "split_names"]


class TableFormat(StrEnum):
    """How a table is given."""

    table = "table"
    json = "json"
    csv = "csv"
    parquet = "parquet"


def choose_form(form: TableFormat | None, out: Path | None) -> TableFormat:
    """Return the form asked for, or the one that the suffix of the file says."""
    suffix = "" if out is None else out.suffix.removeprefix(".")
    if form is None:
        return TableFormat(suffix) if suffix in ("json", "csv", "parquet") else TableFormat.table
    if form is TableFormat.parquet and out is None:
        raise UsageError("format_needs_out", format=form.value)
    return form


def refuse_options(options: dict[str, Any], door: str) -> None:
    """Stop at an option that the source given has no use for."""
    for name, value in options.items():
        if value is not None:
            other = "archive" if door == "file" else "file"
            raise UsageError("trend_option", option=name, door=text(f"cli.trend.door_{other}"))


def split_names(names: str | None) -> list[str] | None:
    """Return the names of a list with commas."""
    return None if names is None else [name.strip() for name in names.split(",") if name.strip()]


def read_aggregates(path: Path) -> pl.DataFrame:
    """Read a .csv (UTF-8, UTF-16 with its mark, GB18030) or .parquet file with column names in its first row."""
    import polars as pl

    from eduq.intake.files import decode_text

    place = Place(file=path.name)
    try:
        content = path.read_bytes()
        if path.suffix == ".parquet":
            return pl.read_parquet(io.BytesIO(content))
        if path.suffix == ".csv":
            return pl.read_csv(io.BytesIO(decode_text(content, place)[0]), infer_schema_length=None)
    except (OSError, pl.exceptions.PolarsError):
        pass
    raise DataFileError("trend_file", place, file=path.name)
