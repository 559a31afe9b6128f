"""Error classes, their codes, places, hints and exit statuses.

An error carries a code and the facts; its sentence stands in ``locale/`` under ``errors.<code>``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from eduq.locale import Lang, text

__all__ = [
    "ArchiveError",
    "DataFileError",
    "DisclosureError",
    "EduqError",
    "NotAssessableError",
    "Place",
    "SettingsError",
    "UsageError",
]


@dataclass(frozen=True)
class Place:
    """Where in the input something was found: base name of the file, sheet, row (as a spreadsheet counts), column header.

    Of a Word file the paragraph, counted from 1 in the order of the file.
    """

    file: str | None = None
    sheet: str | None = None
    row: int | None = None
    column: str | None = None
    paragraph: int | None = None

    def describe(self, lang: Lang | None = None) -> str:
        """Return the place as words, empty when nothing is known."""
        parts = [text(f"place.{name}", lang, value=value) for name, value in vars(self).items() if value not in (None, "")]
        return text("place.joiner", lang).join(parts)


class EduqError(Exception):
    """Base of all errors a user can mend.

    Parameters
    ----------
    code
        Stable code; the sentence is ``errors.<code>.message`` and ``errors.<code>.hint`` of the wording files.
    place
        Where the trouble is.
    **params
        Values of the sentence's placeholders. Never a pupil's name, id or score.
    """

    exit_status: ClassVar[int] = 1

    def __init__(self, code: str, place: Place | None = None, /, **params: object) -> None:
        super().__init__(code)
        self.code = code
        self.place = place or Place()
        self.params = params

    def message(self, lang: Lang | None = None) -> str:
        """Return what was found and what was expected, led by the place."""
        where = self.place.describe(lang)
        said = text(f"errors.{self.code}.message", lang, **self.params)
        return text("place.lead", lang, place=where, message=said) if where else said

    def advice(self, lang: Lang | None = None) -> str:
        """Return what to do."""
        return text(f"errors.{self.code}.hint", lang, **self.params)

    @property
    def hint(self) -> str:
        """What to do, in the current language."""
        return self.advice()

    def __str__(self) -> str:
        return f"[{self.code}] {self.message()}\n{self.hint}"


class UsageError(EduqError):
    """The command or call was given arguments that do not fit together."""

    exit_status = 2


class SettingsError(EduqError):
    """A settings file, exam.toml, register, measure or rule was not understood."""

    exit_status = 10


class DataFileError(EduqError):
    """A data file could not be read or understood."""

    exit_status = 11


class NotAssessableError(EduqError):
    """Everything was read, but nothing in it can be assessed.

    Attributes
    ----------
    scores
        The score table as far as it was read, so that its rejected rows can still be listed.
    """

    exit_status = 12

    def __init__(self, code: str, place: Place | None = None, /, *, scores: Any = None, **params: object) -> None:
        super().__init__(code, place, **params)
        self.scores = scores


class DisclosureError(EduqError):
    """An edition may not show what was asked for."""

    exit_status = 13


class ArchiveError(EduqError):
    """The archive is locked, damaged, newer than this program, or the key is wrong."""

    exit_status = 14
