"""A frame as a file, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl

from eduq.errors import UsageError

__all__ = ["write_frame"]


def write_frame(frame: pl.DataFrame, path: str | os.PathLike[str]) -> Path:
    """Write a frame as ``.parquet`` or ``.csv``, whole or not at all, and return the path.

    Raises
    ------
    UsageError
        ``format_unknown``: another suffix.
    """
    target = Path(path)
    if target.suffix not in (".parquet", ".csv"):
        raise UsageError("format_unknown", format=target.suffix, known=".parquet, .csv")
    part = target.with_name(f".{target.name}.part")
    if target.suffix == ".csv":
        frame.write_csv(part, include_bom=True)
    else:
        frame.write_parquet(part)
    part.replace(target)
    return target
