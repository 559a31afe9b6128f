"""Fingerprints of tables: equal for equal content, whatever library version, file or chunk it was read from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import polars as pl

__all__ = ["FrameDigest", "canonical", "digest_frame", "file_sha256"]


class FrameDigest:
    """SHA-256 of a table's names, types and values, fed a piece at a time; the order of columns does not matter.

    Per column two streams are hashed: lengths (of text) or presence (of the rest), and the values. So neither the size of the
    pieces nor a character inside a text can make two tables alike that are not.
    """

    def __init__(self) -> None:
        self._columns: dict[str, tuple[str, Any, Any]] = {}
        self.rows = 0

    def update(self, frame: pl.DataFrame) -> None:
        """Take in the next rows."""
        self.rows += frame.height
        for series in frame.iter_columns():
            kind, shape, values = _streams(series)
            known = self._columns.setdefault(series.name, (kind, hashlib.sha256(), hashlib.sha256()))
            known[1].update(shape)
            known[2].update(values)

    def hexdigest(self) -> str:
        """Return the fingerprint of all rows so far."""
        columns = [
            [name, kind, shape.hexdigest(), values.hexdigest()] for name, (kind, shape, values) in sorted(self._columns.items())
        ]
        return hashlib.sha256(canonical([self.rows, columns]).encode()).hexdigest()


def _streams(series: pl.Series) -> tuple[str, bytes, bytes]:
    kind = series.dtype
    if kind in (pl.String, pl.Enum, pl.Categorical):
        text = series.cast(pl.String)
        lengths = text.str.len_bytes().cast(pl.Int64).fill_null(-1)
        return "text", lengths.to_numpy().tobytes(), text.str.join("").item().encode() if len(text) else b""
    if kind == pl.Binary:
        known = series.drop_nulls()
        return "bytes", series.bin.size().cast(pl.Int64).fill_null(-1).to_numpy().tobytes(), b"".join(known.to_list())
    present = series.is_not_null().cast(pl.UInt8).to_numpy().tobytes()
    if kind.is_integer() or kind == pl.Boolean:
        return "integer", present, series.cast(pl.Int64).fill_null(0).to_numpy().tobytes()
    if kind == pl.Date:
        return "date", present, series.to_physical().cast(pl.Int64).fill_null(0).to_numpy().tobytes()
    if kind.is_float():
        return "float", present, series.cast(pl.Float64).fill_null(0.0).to_numpy().tobytes()
    if kind == pl.Null:
        return "text", pl.repeat(-1, len(series), dtype=pl.Int64, eager=True).to_numpy().tobytes(), b""
    raise TypeError(f"no fingerprint for columns of type {kind}")


def digest_frame(frame: pl.DataFrame) -> str:
    """Return the fingerprint of a whole frame (64 hex digits).

    Examples
    --------
    >>> one = pl.DataFrame({"a": ["x", None], "b": [1, 2]})
    >>> digest_frame(one) == digest_frame(one.select("b", "a")), digest_frame(one) == digest_frame(one.reverse())
    (True, False)
    """
    digest = FrameDigest()
    digest.update(frame)
    return digest.hexdigest()


def canonical(value: Any) -> str:
    """Return JSON with sorted keys and no spaces; dates are written as text."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str, separators=(",", ":"))


def file_sha256(path: str) -> str:
    """Return the SHA-256 of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
