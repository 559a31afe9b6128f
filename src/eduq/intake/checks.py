"""Collects what intake recognised, dropped knowingly, assumed or found odd."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from eduq.tables import CHECKS

__all__ = ["CheckList"]

Level = Literal["info", "notice", "warning"]


@dataclass
class CheckList:
    """Lines of the checks frame, in the order found."""

    _lines: list[dict[str, object]] = field(default_factory=list)

    def add(
        self,
        code: str,
        level: Level,
        *,
        file: str | None = None,
        sheet: str | None = None,
        row: int | None = None,
        column: str | None = None,
        found: str | None = None,
        n: int | None = None,
    ) -> None:
        """Add one line; ``found`` is a header, symbol or setting, never a pupil's value."""
        self._lines.append(
            {"code": code, "level": level, "file": file, "sheet": sheet, "row": row, "column": column, "found": found, "n": n}
        )

    def frame(self) -> pl.DataFrame:
        """Return the lines as `eduq.tables.CHECKS`."""
        return pl.DataFrame(self._lines, schema=CHECKS, orient="row")
