"""The frozen results that estimators return."""

from __future__ import annotations

import os
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import polars as pl

from eduq.tables import write_frame

__all__ = ["EstimateResult"]


@dataclass(frozen=True, repr=False)
class EstimateResult:
    """A table of estimates and the settings they were made with.

    Attributes
    ----------
    frame
        The estimates, one row per unit, paper and measure.
    settings
        What they depend on.
    """

    frame: pl.DataFrame
    settings: dict[str, Any]

    def summary(self) -> str:
        """Return one line: rows, units, measures and how many numbers could not be given."""
        missing = self.frame["estimate"].null_count()
        units = self.frame.select("unit_type", "unit").n_unique()
        measures = self.frame["measure"].n_unique()
        return f"{self.frame.height} estimates of {units} units and {measures} measures, {missing} without a number"

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {self.summary()}"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>{self.frame._repr_html_()}"

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Hand the frame to Arrow, so that ``pyarrow.table(result)``, DuckDB and pandas take the result as a table."""
        return self.frame.__arrow_c_stream__(requested_schema)

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the frame as ``.parquet`` or ``.csv``, whole or not at all, and return the path.

        Raises
        ------
        UsageError
            ``format_unknown``: another suffix.
        """
        return write_frame(self.frame, path)
