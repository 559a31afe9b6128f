"""The form of a layout file."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from eduq.intake.exam_file import CellStatus
from eduq.intake.layouts.patterns import HeaderPattern, header_pattern
from eduq.intake.synonyms import vocabulary
from eduq.settings import StrictModel

__all__ = ["SHAPES", "Example", "ItemRules", "Layout", "NameRules", "Shape", "Signature"]

Shape = Literal[
    "wide",
    "long",
    "side_by_side",
    "stacked",
    "transposed",
    "attributes",
    "items",
    "specification",
    "full_marks",
    "group_summary",
    "item_line",
    "one_subject",
    "one_class",
]
SHAPES: tuple[Shape, ...] = Shape.__args__  # type: ignore[attr-defined]
GEOMETRY: tuple[Shape, ...] = ("side_by_side", "stacked", "transposed", "attributes", "item_line", "one_subject", "one_class")
"""Shapes that say how a table lies in its sheet; beside them it has a layout of its own."""
SELF_EVIDENT: tuple[Shape, ...] = (*GEOMETRY, "items", "specification", "full_marks", "group_summary", "long")
"""Shapes that a sheet shows by itself, so that a layout of them needs no signature."""
ROW_ROLES = ("score", "scaled", "ignore", "item")
"""Values of ``[columns]`` beside those of exam.toml: the score of the row's subject, its scaled score, one item."""
_SUBJECT_VALUES = ("{subject}", "{subject}_scaled", "{subject}_class")


class Signature(StrictModel):
    """What must be seen for a layout to be recognised. Headers as in ``[columns]``: ``{subject}`` and ``{item}`` stand for any.

    Attributes
    ----------
    must, any_of, must_not
        Headers that stand in the sheet; of each list of ``any_of`` at least one; headers that do not.
    may
        Headers that make the layout the better one of two.
    depth
        Number of header rows.
    file, sheet, title
        Regular expressions searched in the name of the file, of the sheet, in the texts above the header.
    """

    must: tuple[str, ...] = ()
    any_of: tuple[tuple[str, ...], ...] = ()
    must_not: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    depth: Literal[1, 2, 3] | None = None
    file: str | None = None
    sheet: str | None = None
    title: str | None = None

    @field_validator("file", "sheet", "title")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error:
            raise ValueError("not a regular expression") from None
        return value

    @property
    def says_something(self) -> bool:
        """Whether it asks for anything."""
        return bool(self.must or self.any_of or self.file or self.sheet or self.title)


class NameRules(StrictModel):
    """What is taken from the name of a sheet or file where no column says it; subject, class and track are by themselves."""

    school: Literal["sheet", "file"] | None = None


class ItemRules(StrictModel):
    """How item columns are read.

    Attributes
    ----------
    cells
        ``score``, or ``score/full`` for cells such as 10/12.
    second_row
        What the row below the item numbers holds.
    blank
        A blank item among filled ones: the row is rejected, or it counts 0 (optional items).
    """

    cells: Literal["score", "score/full"] = "score"
    second_row: Literal["knowledge_point", "max_score"] | None = None
    blank: Literal["reject", "zero"] = "reject"


class Words(StrictModel):
    """A text in Chinese and English."""

    zh: str
    en: str


class Example(StrictModel):
    """A small made-up table of the layout, for the reference page and for tests; blank cells are ``""``."""

    sheet: str = "Sheet1"
    file: str | None = None
    rows: tuple[tuple[str | int | float, ...], ...] = Field(min_length=1)
    merged: tuple[str, ...] = ()


class Layout(StrictModel):
    """The whole of a layout file.

    Attributes
    ----------
    id, version, name, source
        What it is called and where it was seen.
    shape
        How rows and columns are turned into one row per candidate.
    signature
        How it is recognised.
    columns
        Header (``{subject}`` stands for any subject) to field of the synonym file, paper code, ``{subject}``,
        ``{subject}_scaled``, ``{subject}_class``, ``score``, ``ignore``; exam.toml comes first.
    symbols
        Cell text to status, only where the provider says so; exam.toml comes first.
    names, items
        What is taken from names; how item columns are read.
    named_only
        Used only when a call names it.
    examples
        Tables to show and test it with.
    """

    schema_version: Literal[1] = Field(1, alias="schema")
    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{2,40}$")]
    version: int = Field(1, ge=1)
    name: Words
    source: str
    shape: Shape = "wide"
    signature: Signature = Signature()
    columns: dict[str, str] = Field(default_factory=dict)
    symbols: dict[str, CellStatus] = Field(default_factory=dict)
    names: NameRules = NameRules()
    named_only: bool = False
    items: ItemRules = ItemRules()
    examples: tuple[Example, ...] = Field((), alias="example")

    @field_validator("columns")
    @classmethod
    def _known_values(cls, columns: dict[str, str]) -> dict[str, str]:
        words = vocabulary()
        for header, value in columns.items():
            bare = re.sub(r"_(?:scaled|class)$", "", value)
            known = value in (*words.fields, *ROW_ROLES) or bare in words.subjects or value.startswith("sub_")
            if not known and not (value in _SUBJECT_VALUES and "{subject}" in header):
                raise ValueError(f"{header}: {value}")
        return columns

    @model_validator(mode="after")
    def _recognisable(self) -> Layout:
        if not self.signature.says_something and self.shape not in SELF_EVIDENT:
            raise ValueError("signature")
        return self

    @cached_property
    def patterns(self) -> tuple[tuple[HeaderPattern, str], ...]:
        """The keys of ``[columns]`` ready to match, the longest first, each with its value."""
        made = [(header_pattern(key), value) for key, value in self.columns.items()]
        return tuple(sorted(made, key=lambda item: -len(item[0].key)))

    def value_of(self, written: str) -> str | None:
        """Return what ``[columns]`` says of a header as written, with the subject put in."""
        for pattern, value in self.patterns:
            found = pattern.match(written)
            if found is not None:
                return value.replace("{subject}", found.subject or "")
        return None
