"""Outside references (province means): declared values with their source, from a TOML or CSV file."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from pydantic import Field, ValidationError, field_validator

from eduq.errors import Place, SettingsError
from eduq.intake.files import decode_text
from eduq.settings import StrictModel, parse_toml

__all__ = ["Reference", "References", "read_references"]

_FIRST_ROW = 2
_NUMBERS = ("value", "std_error")


class Reference(StrictModel):
    """A value from outside that units are compared with.

    Attributes
    ----------
    measure
        Id of the measure (measures.toml): ``z_mean``, ``pass_rate`` ...
    value
        On the scale of the measure; rates are 0-1.
    source
        Where it is published.
    subject, year_group, school_year
        What it holds for; left out: for every one.
    std_error
        Its standard error; left out: taken as exactly known.
    """

    measure: str = Field(min_length=1)
    value: float
    source: str
    subject: str | None = None
    year_group: str | None = None
    school_year: str | None = None
    std_error: float | None = Field(None, ge=0)

    @field_validator("source")
    @classmethod
    def _named(cls, source: str) -> str:
        if not source.strip():
            raise ValueError("source")
        return source.strip()

    @field_validator("value", "std_error")
    @classmethod
    def _finite(cls, number: float | None) -> float | None:
        if number is not None and not math.isfinite(number):
            raise ValueError("not finite")
        return number

    @property
    def key(self) -> tuple[str, str | None, str | None, str | None]:
        """What the reference is of."""
        return self.measure, self.subject, self.year_group, self.school_year

    def words(self) -> str:
        """Return what the reference is of in one word."""
        return "/".join(part for part in self.key if part is not None)


class _ReferenceFile(StrictModel):
    reference: tuple[Reference, ...] = ()


@dataclass(frozen=True)
class References:
    """The references of a file.

    Attributes
    ----------
    file
        Base name of the file.
    lines
        In the order of the file.
    """

    file: str
    lines: tuple[Reference, ...]

    def find(
        self, measure: str, subject: str | None = None, year_group: str | None = None, school_year: str | None = None
    ) -> Reference | None:
        """Return the reference that fits, the one that says most of subject, year group and school year first.

        Examples
        --------
        >>> every = Reference(measure="pass_rate", value=0.8, source="Province 2025")
        >>> maths = Reference(measure="pass_rate", value=0.7, source="Province 2025", subject="math")
        >>> file = References("references.toml", (every, maths))
        >>> file.find("pass_rate", "math").value, file.find("pass_rate", "art").value, file.find("z_mean")
        (0.7, 0.8, None)
        """
        wanted = (subject, year_group, school_year)
        fitting = [
            line
            for line in self.lines
            if line.measure == measure
            and all(own is None or own == asked for own, asked in zip(line.key[1:], wanted, strict=True))
        ]
        # subject before year group before school year where two say equally much
        return max(fitting, key=lambda line: (sum(own is not None for own in line.key), *_said(line)), default=None)


def _said(line: Reference) -> tuple[bool, ...]:
    return tuple(own is not None for own in line.key[1:])


def read_references(path: str | Path) -> References:
    """Read outside references.

    Parameters
    ----------
    path
        ``.toml`` with one ``[[reference]]`` each, or ``.csv`` with the same names as columns (blank: left out).

    Returns
    -------
    References

    Raises
    ------
    SettingsError
        ``settings_missing``, ``settings_encoding``, ``settings_syntax``, ``settings_invalid`` (TOML);
        ``compare_references_value`` with row and column (CSV), ``compare_references_empty``, ``compare_references_twice``.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> text = 'reference = [{ measure = "z_mean", subject = "math", value = 0.12, source = "Province bulletin 2025" }]'
    >>> _ = (folder / "references.toml").write_text(text)
    >>> read_references(folder / "references.toml").find("z_mean", "math").value
    0.12
    """
    path = Path(path)
    place = Place(file=path.name)
    try:
        content = path.read_bytes()
    except OSError:
        raise SettingsError("settings_missing", place, path=path.name) from None
    lines = (
        _from_table(content, path.name)
        if path.suffix.lower() == ".csv"
        else parse_toml(content, path.name, _ReferenceFile).reference
    )
    if not lines:
        raise SettingsError("compare_references_empty", place, file=path.name)
    seen = {line.key: line for line in lines}
    if len(seen) < len(lines):
        keys = [line.key for line in lines]
        shown = ", ".join(sorted({line.words() for line in lines if keys.count(line.key) > 1}))
        raise SettingsError("compare_references_twice", place, shown=shown)
    return References(path.name, tuple(lines))


def _from_table(content: bytes, name: str) -> tuple[Reference, ...]:
    try:
        table = pl.read_csv(io.BytesIO(decode_text(content, Place(file=name))[0]), infer_schema=False)
    except pl.exceptions.PolarsError:
        raise SettingsError("compare_references_value", Place(file=name), complaint=name) from None
    lines = []
    for row, cells in enumerate(table.iter_rows(named=True)):
        given = {column: cell.strip() for column, cell in cells.items() if cell is not None and cell.strip()}
        if not given:
            continue
        try:
            numbers = {column: float(given[column]) for column in _NUMBERS if column in given}
            lines.append(Reference.model_validate(given | numbers))
        except (ValueError, ValidationError) as error:
            columns = [str(item["loc"][0]) for item in error.errors()] if isinstance(error, ValidationError) else list(_NUMBERS)
            place = Place(file=name, row=row + _FIRST_ROW, column=columns[0])
            raise SettingsError("compare_references_value", place, complaint=", ".join(columns)) from None
    return tuple(lines)
