"""What a dry run gives: frames of columns and questions, drafts, the verdict."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import polars as pl

from eduq.errors import EduqError, Place, UsageError

__all__ = ["CHECKED_COLUMNS", "QUESTIONS", "CheckReport"]

PathLike = str | os.PathLike[str]

CHECKED_COLUMNS: dict[str, pl.DataType] = {
    "file": pl.String(),
    "sheet": pl.String(),
    "column": pl.String(),
    "became": pl.String(),
    "code": pl.String(),
    "description": pl.String(),
}
"""One line per column that is used (``became``) or dropped (``code`` of the check that says why)."""

QUESTIONS: dict[str, pl.DataType] = {
    "must": pl.Boolean(),
    "code": pl.String(),
    "section": pl.String(),
    "key": pl.String(),
    "file": pl.String(),
    "sheet": pl.String(),
    "row": pl.Int64(),
    "column": pl.String(),
    "n": pl.Int64(),
    "near": pl.String(),
    "question": pl.String(),
    "answer": pl.String(),
}
"""What only a person can say: where the answer goes (``section``, ``key`` of exam.toml), how often it matters, the sentence
and the lines that answer it. With ``must`` the analysis does not run before it is answered."""


@dataclass(frozen=True)
class CheckReport:
    """What a dry run found. Nothing in it is a pupil's name, id or score.

    Attributes
    ----------
    frame
        `eduq.tables.CHECKS`: what was recognised, dropped, assumed or looks odd.
    columns
        `CHECKED_COLUMNS`.
    questions
        `QUESTIONS`, those that must be answered first.
    sheets
        file, sheet, layout, header_from, header_to, rows of every sheet that was read.
    inputs
        `eduq.tables.INPUTS`; empty when the files could not be read to the end.
    rejected
        file, code, n: rows that would not be used.
    errors
        What would stop the analysis, in the order met.
    drafts
        Texts by name: exam.toml, schools.csv, aliases.csv where names look alike, layout.toml where one can be drafted.
    settings
        paths, exam and registers as given (base names).
    """

    frame: pl.DataFrame
    columns: pl.DataFrame
    questions: pl.DataFrame
    sheets: pl.DataFrame
    inputs: pl.DataFrame
    rejected: pl.DataFrame
    errors: tuple[EduqError, ...]
    drafts: Mapping[str, str]
    settings: Mapping[str, Any]
    provisional: bool = False
    """Whether the counts rest on stand-ins for answers that are still missing."""

    @property
    def ready(self) -> bool:
        """Whether the analysis would run."""
        return not self.errors

    @property
    def exit_status(self) -> int:
        """0 when the analysis would run, else the exit status of the first error."""
        return self.errors[0].exit_status if self.errors else 0

    def summary(self) -> str:
        """Return one line: rows, questions, whether the analysis would run."""
        must = int(self.questions["must"].sum())
        used, rejected = int(self.inputs["used"].sum()), int(self.inputs["rejected"].sum())
        state = "ready" if self.ready else f"not ready ({self.errors[0].code})"
        asked = f"{must} questions to answer, {self.questions.height - must} more may be"
        return f"{self.inputs.height} files, {used} rows used, {rejected} not used; {asked}; {state}"

    def _repr_html_(self) -> str:
        columns = self.columns.select("file", "sheet", "column", "description")
        asked = self.questions.select("must", "question", "answer")
        return f"<p>{escape(self.summary())}</p>" + "".join(part._repr_html_() for part in (asked, columns) if part.height)

    def write_draft(self, name: str, path: PathLike) -> Path:
        """Write one of the drafts; a file that is there is never overwritten, and the new one appears whole or not at all.

        Parameters
        ----------
        name
            Key of ``.drafts``.
        path
            The file to write.

        Raises
        ------
        UsageError
            ``draft_exists``, ``draft_missing``.
        """
        self._refuse({name: path})
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            part.write_bytes(self.drafts[name].encode("utf-8-sig" if target.suffix == ".csv" else "utf-8"))
            os.link(part, target)
        except FileExistsError:
            raise UsageError("draft_exists", Place(file=target.name), path=target.name) from None
        finally:
            part.unlink(missing_ok=True)
        return target

    def write_drafts(self, paths: Mapping[str, PathLike]) -> list[Path]:
        """Write several drafts, or none when one of them cannot be written; see `write_draft`."""
        self._refuse(paths)
        return [self.write_draft(name, path) for name, path in paths.items()]

    def _refuse(self, paths: Mapping[str, PathLike]) -> None:
        for name, path in paths.items():
            if name not in self.drafts:
                raise UsageError("draft_missing", name=name, names=", ".join(self.drafts) or "-")
            if os.path.lexists(path):
                raise UsageError("draft_exists", Place(file=Path(path).name), path=Path(path).name)
