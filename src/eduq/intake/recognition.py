"""Which layout a sheet has: by what its headers, titles and names say; two that fit equally are asked about."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eduq.errors import DataFileError
from eduq.intake.columns import assign_columns
from eduq.intake.exam_file import ExamFile
from eduq.intake.headers import Header
from eduq.intake.layouts import Layout, shipped_layouts
from eduq.intake.layouts.model import Shape
from eduq.intake.layouts.patterns import header_pattern
from eduq.intake.readers import RawSheet

__all__ = ["Shelf", "Sight", "recognise"]


@dataclass(frozen=True)
class Sight:
    """What is seen of a sheet: headers as written (items among them), their depth, texts above, names, shapes, row below.

    Attributes
    ----------
    headers, depth, titles
        From the header.
    file, sheet
        Names.
    shapes
        What its structure is.
    second_row, item_cells
        What the row below the item numbers holds, and the form of item cells; None where there are no items.
    """

    headers: tuple[str, ...]
    depth: int
    titles: tuple[str, ...]
    file: str
    sheet: str | None
    shapes: frozenset[Shape]
    second_row: str | None = None
    item_cells: str | None = None


@dataclass(frozen=True)
class Shelf:
    """The layouts of a call: the named one, which wins where it fits, and the shipped ones."""

    named: Layout | None = None

    @property
    def all(self) -> tuple[Layout, ...]:
        """The layouts that may be recognised without being named."""
        return tuple(layout for layout in shipped_layouts() if not layout.named_only)

    @property
    def headers(self) -> tuple[str, ...]:
        """Headers the named layout knows."""
        return () if self.named is None else tuple(key for key in self.named.columns if "{" not in key)


def _fits(layout: Layout, sight: Sight) -> int | None:
    """Return how much of a signature is met, None when a layout does not fit."""
    signature = layout.signature
    headers = list(sight.headers)
    if layout.shape not in sight.shapes:
        return None
    if layout.shape == "items" and not _item_rules_fit(layout, sight):
        return None
    if signature.depth is not None and signature.depth != sight.depth:
        return None
    named = {"file": sight.file, "sheet": sight.sheet or "", "title": "\n".join(sight.titles)}
    for key, text in named.items():
        wanted = getattr(signature, key)
        if wanted is not None and not re.search(wanted, text):
            return None
    if not all(header_pattern(one).met(headers) for one in signature.must):
        return None
    if not all(any(header_pattern(one).met(headers) for one in several) for several in signature.any_of):
        return None
    if any(header_pattern(one).met(headers) for one in signature.must_not):
        return None
    stated = sum(getattr(signature, key) is not None for key in ("depth", *named))
    extra = sum(header_pattern(one).met(headers) for one in signature.may)
    rules = (layout.items.second_row is not None) + (layout.items.cells != "score")
    return 2 * (len(signature.must) + len(signature.any_of)) + stated + extra + 2 * rules


def _item_rules_fit(layout: Layout, sight: Sight) -> bool:
    if layout.items.second_row is not None and layout.items.second_row != sight.second_row:
        return False
    return layout.items.cells == sight.item_cells or sight.item_cells is None


def _effect(layout: Layout, header: Header, exam: ExamFile) -> tuple[object, ...]:
    """Return all that a layout changes in what is read."""
    meanings = tuple((item.column.position, item.meaning) for item in assign_columns(header, exam, layout))
    return (layout.shape, meanings, tuple(sorted(layout.symbols.items())), layout.names, layout.items)


Look = Callable[[Layout | None], Sight]
"""What a sheet looks like when its columns are understood by a layout, or by none."""


def recognise(sheet: RawSheet, header: Header, look: Look, exam: ExamFile, shelf: Shelf) -> Layout | None:
    """Return the layout of a sheet, None when none fits.

    Raises
    ------
    DataFileError
        ``layout_ambiguous``: two fit equally and mean different things.
    """
    if shelf.named is not None and not shelf.named.named_only and _fits(shelf.named, look(shelf.named)) is not None:
        return shelf.named
    sight = look(None)
    rated = [(fit, layout) for layout in shelf.all if (fit := _fits(layout, sight)) is not None]
    if not rated:
        return None
    best = max(fit for fit, _ in rated)
    return _only([layout for fit, layout in rated if fit == best], sheet, header, exam)


def _only(layouts: Sequence[Layout], sheet: RawSheet, header: Header, exam: ExamFile) -> Layout:
    first = layouts[0]
    for other in layouts[1:]:
        if _effect(first, header, exam) != _effect(other, header, exam):
            raise DataFileError("layout_ambiguous", sheet.place, one=first.id, other=other.id)
    return first
