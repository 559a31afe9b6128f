"""The door for a caller's tables: Polars, eager or lazy, and whatever hands itself over by Arrow (pyarrow, pandas, DuckDB)."""

from __future__ import annotations

from typing import Any, Protocol

import polars as pl

from eduq.errors import UsageError

__all__ = ["ArrowTable", "FrameLike", "as_frame", "is_frame"]


class ArrowTable(Protocol):
    """A table with the Arrow C stream interface: pyarrow.Table, pandas.DataFrame, a DuckDB relation, a result of eduq.

    References
    ----------
    Apache Arrow: The Arrow PyCapsule interface.
    """

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return a capsule with a stream of record batches."""


FrameLike = pl.DataFrame | pl.LazyFrame | ArrowTable


def is_frame(data: Any) -> bool:
    """Return whether `as_frame` can read it."""
    return isinstance(data, pl.DataFrame | pl.LazyFrame) or hasattr(data, "__arrow_c_stream__")


def as_frame(data: Any, *, error: str) -> pl.DataFrame:
    """Return the table as an eager Polars frame.

    Coded text of other libraries (dictionary columns, pandas categories) becomes plain text, so that it sorts by its letters.

    Parameters
    ----------
    data
        A table.
    error
        Code of the error where it is none; its wording names what was ``found``.

    Raises
    ------
    UsageError
        ``error``: not a table, or one that Polars cannot take.

    Examples
    --------
    >>> import pyarrow
    >>> as_frame(pyarrow.table({"school": ["A", "B"], "estimate": [0.1, -0.1]}), error="compare_source").shape
    (2, 2)
    """
    if isinstance(data, pl.LazyFrame):
        return data.collect()
    if isinstance(data, pl.DataFrame):
        return data
    if not is_frame(data):
        raise UsageError(error, found=type(data).__name__)
    try:
        found = pl.DataFrame(data)
    except (pl.exceptions.PolarsError, TypeError, ValueError) as reason:
        raise UsageError(error, found=type(data).__name__) from reason
    coded = [name for name, dtype in found.schema.items() if isinstance(dtype, pl.Categorical | pl.Enum)]
    return found.with_columns(pl.col(coded).cast(pl.String)) if coded else found
