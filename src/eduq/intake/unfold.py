"""From the sheets of a file to plain tables: shape, layout, and what stands in names instead of columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from eduq.errors import DataFileError, Place
from eduq.intake.aggregates import is_group_summary, read_aggregates
from eduq.intake.checks import CheckList
from eduq.intake.columns import assign_columns
from eduq.intake.exam_file import ExamFile
from eduq.intake.headers import Header, HeaderColumn, find_header
from eduq.intake.items import SpecRow, item_cells, item_columns, second_row, separate_items
from eduq.intake.layouts import Layout
from eduq.intake.layouts.model import Shape
from eduq.intake.long_tables import apply_flags, is_long, unfold_long
from eduq.intake.names import class_in_name, looks_like_school, track_in_name
from eduq.intake.one_paper import settle_header
from eduq.intake.readers import RawSheet, RefusedRows
from eduq.intake.recognition import Shelf, Sight, recognise
from eduq.intake.shapes import names_candidates, split_side_by_side, split_stacked, turn, unfold_attributes
from eduq.intake.specifications import (
    FullMark,
    is_full_marks,
    is_specification,
    item_line,
    read_full_marks,
    read_item_line,
    read_specification,
)
from eduq.intake.synonyms import Meaning

__all__ = ["Findings", "Table", "unfold_file"]

Table = tuple[RawSheet, Header | None]
"""A sheet with one row per candidate and its header, None where none was found."""
_GROUP_KEYS = {"admin_class": "班级", "track": "科类", "school": "学校"}


@dataclass
class Findings:
    """What files say beside scores of candidates.

    Attributes
    ----------
    spec, full_marks, aggregates
        Items, full marks of papers, figures of schools.
    rows, refused
        Per file, rows such tables have below their headers; rows of them that are none.
    recognised
        Ids of the layouts that were recognised.
    settings
        Keys of ``[columns]`` of exam.toml that speak of columns a shape has used.
    """

    spec: list[tuple[SpecRow, Place]] = field(default_factory=list)
    full_marks: list[FullMark] = field(default_factory=list)
    aggregates: list[pl.DataFrame] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    refused: list[tuple[str, str | None, RefusedRows]] = field(default_factory=list)
    recognised: set[str] = field(default_factory=set)
    settings: set[str | None] = field(default_factory=set)

    def count(self, sheet: RawSheet, rows: int, refused: Sequence[RefusedRows] = ()) -> None:
        """Account for the rows of a table that holds no candidates."""
        self.rows[sheet.file] = self.rows.get(sheet.file, 0) + rows
        self.refused += [(sheet.file, sheet.sheet, one) for one in refused]


@dataclass(frozen=True)
class _Folder:
    """What every step needs."""

    stem: str
    exam: ExamFile
    shelf: Shelf
    checks: CheckList
    findings: Findings

    @property
    def known(self) -> tuple[str, ...]:
        return (*self.exam.columns, *self.shelf.headers)

    def header(self, sheet: RawSheet) -> Header | None:
        found = find_header(sheet.head, known=self.known)
        if found is None or found.depth > 1:
            merged = sheet.merged()
            found = find_header(sheet.head, merged, self.known) if merged else found
        return found


def unfold_file(
    sheets: Sequence[RawSheet], stem: str, exam: ExamFile, shelf: Shelf, checks: CheckList, findings: Findings
) -> list[Table]:
    """Return the tables of candidates in the sheets of a file; the rest goes to ``findings``.

    Parameters
    ----------
    sheets, stem
        The sheets as read and the name of the file without suffix.
    exam, shelf
        exam.toml and the layouts.
    checks, findings
        Get what is recognised.

    Raises
    ------
    DataFileError
        ``layout_ambiguous``, ``school_from_sheet`` and those of the shapes.
    """
    folder = _Folder(stem, exam, shelf, checks, findings)
    tables: list[Table] = []
    for sheet in sheets:
        tables += _unfold(sheet, folder.header(sheet), folder)
        sheet.merged = _no_merged
    _ask_for_schools(tables, folder)
    return tables


def _no_merged() -> None:
    return None


def _unfold(sheet: RawSheet, header: Header | None, folder: _Folder) -> Iterator[Table]:
    """Undo the geometry of a sheet, then read it as what it is."""
    line = item_line(sheet, header)
    if line is not None:
        _note(sheet, _geometry(sheet, Header(line, 1, (), (), 0, 0), "item_line", folder), folder)
        spec, rows = read_item_line(sheet, line, folder.stem, folder.exam, folder.checks)
        _keep_spec(sheet, spec, rows, folder)
        return
    turned = turn(sheet, header)
    if turned is not None:
        yield from _understand(*turned, folder, "transposed")
        return
    one = unfold_attributes(sheet)
    if one is not None:
        yield from _understand(one, find_header(one.head[:1], known=folder.known), folder, "attributes")
        return
    shapes: tuple[tuple[Shape, list[RawSheet]], ...] = (
        ("side_by_side", split_side_by_side(sheet, header)),
        ("stacked", split_stacked(sheet, header)),
    )
    for shape, parts in shapes:
        if parts:
            _note(sheet, _geometry(sheet, header, shape, folder), folder)
            for part in parts:
                head = folder.header(part)
                if head is not None and shape == "side_by_side" and _explains(part, head, folder):
                    continue
                yield from _understand(part, head, folder, None)
            return
    yield from _understand(sheet, header, folder, None)


def _explains(sheet: RawSheet, header: Header, folder: _Folder) -> bool:
    """Leave out a table that stands beside the pupils' and only explains, such as 分数 and 等级; it is listed."""
    if names_candidates(header) or _look(sheet, header, None, folder).shapes != {"wide"}:
        return False
    folder.findings.settings |= {item.setting for item in assign_columns(header, folder.exam)}
    headers = ", ".join(column.written for column in header.columns if column.written)
    folder.checks.add("side_table_skipped", "notice", file=sheet.file, sheet=sheet.sheet, found=headers)
    return True


def _note(sheet: RawSheet, layout: Layout | None, folder: _Folder) -> None:
    if layout is not None:
        folder.findings.recognised.add(layout.id)
        folder.checks.add("layout_recognised", "info", file=sheet.file, sheet=sheet.sheet, found=layout.id)


def _geometry(sheet: RawSheet, header: Header | None, shape: Shape, folder: _Folder) -> Layout | None:
    if header is None:
        return None
    return recognise(sheet, header, lambda _: _sight(sheet, header, frozenset({shape})), folder.exam, folder.shelf)


def _sight(sheet: RawSheet, header: Header, shapes: frozenset[Shape], **more: str | None) -> Sight:
    headers = tuple(column.written for column in header.columns if column.written)
    return Sight(headers, header.depth, header.titles, sheet.file, sheet.sheet, shapes, **more)


def _look(sheet: RawSheet, header: Header, layout: Layout | None, folder: _Folder) -> Sight:
    """Return what a sheet looks like when its columns are understood by a layout."""
    seen = replace(sheet, layout=layout)
    exam = folder.exam
    items = item_columns(seen, header, exam)
    shape: Shape = "wide"
    if is_specification(seen, header, exam):
        shape = "specification"
    elif is_full_marks(seen, header, exam):
        shape = "full_marks"
    elif is_group_summary(seen, header, exam):
        shape = "group_summary"
    elif is_long(seen, header, exam):
        shape = "long"
    elif items:
        shape = "items"
    cells = item_cells(seen, header, items) if items else None
    below = second_row(seen, header, items) if items else None
    return _sight(seen, header, frozenset({shape}), second_row=below, item_cells=cells)


def _understand(sheet: RawSheet, header: Header | None, folder: _Folder, geometry: Shape | None) -> Iterator[Table]:
    """Recognise the layout of a sheet and hand on its table of candidates, or keep what else it says."""
    if header is None:
        yield sheet, None
        return
    outer = None if geometry is None else _geometry(sheet, header, geometry, folder)
    _note(sheet, outer, folder)
    found = header
    layout = recognise(sheet, found, lambda one: _look(sheet, found, one, folder), folder.exam, folder.shelf)
    _note(sheet, layout, folder)
    sheet = replace(sheet, layout=layout or outer)
    folder.findings.settings |= {item.setting for item in assign_columns(header, folder.exam, sheet.layout)}
    shape = next(iter(_look(sheet, header, sheet.layout, folder).shapes))
    exam, checks, findings = folder.exam, folder.checks, folder.findings
    if shape == "specification":
        spec, rows = read_specification(sheet, header, folder.stem, exam, checks)
        _keep_spec(sheet, spec, rows, folder)
    elif shape == "full_marks":
        marks, rows = read_full_marks(sheet, header, exam)
        findings.full_marks += marks
        findings.count(sheet, rows)
        checks.add("full_marks_read", "info", file=sheet.file, sheet=sheet.sheet, n=len(marks))
    elif shape == "group_summary":
        figures, rows, refused = read_aggregates(sheet, header, exam, checks)
        findings.aggregates.append(figures)
        findings.count(sheet, rows, refused)
        checks.add("aggregates_read", "notice", file=sheet.file, sheet=sheet.sheet, n=rows)
    elif shape == "items":
        header = settle_header(sheet, header, folder.stem, exam, checks)
        items = item_columns(sheet, header, exam)
        sheet, header, spec = separate_items(sheet, header, items, folder.stem, exam, checks)
        findings.spec += [(line, sheet.place) for line in spec]
        yield _with_names(sheet, header, folder)
    elif shape == "long":
        made = unfold_long(sheet, header, exam, checks)
        first = find_header(made.head[:1], known=made.head[0])
        yield (made, None) if first is None else _with_names(made, replace(first, titles=header.titles), folder)
    else:
        settled = settle_header(sheet, header, folder.stem, exam, checks)
        if layout is None and settled is not header:
            _note(sheet, _geometry(sheet, header, "one_subject", folder), folder)
        yield _with_names(*apply_flags(sheet, settled, exam, checks), folder)


def _keep_spec(sheet: RawSheet, spec: list[SpecRow], rows: int, folder: _Folder) -> None:
    folder.findings.spec += [(line, sheet.place) for line in spec]
    folder.findings.count(sheet, rows)
    folder.checks.add("spec_read", "info", file=sheet.file, sheet=sheet.sheet, n=len(spec))


# ---------------------------------------------------------------- what stands in names


def _fields(sheet: RawSheet, header: Header, exam: ExamFile) -> set[str]:
    assigned = assign_columns(header, exam, sheet.layout)
    return {item.meaning.key for item in assigned if item.meaning is not None and item.meaning.kind == "field"}


def _school_rule(sheet: RawSheet, folder: _Folder) -> str | None:
    named = folder.shelf.named.names.school if folder.shelf.named is not None else None
    return named or (sheet.layout.names.school if sheet.layout is not None else None)


def _with_names(sheet: RawSheet, header: Header, folder: _Folder) -> Table:
    """Add class, track and school where only the name of the sheet (or file) says them."""
    have = _fields(sheet, header, folder.exam)
    given: dict[str, str] = {}
    name = sheet.sheet or ""
    if "admin_class" not in have and (found := class_in_name(name)):
        given["admin_class"] = found
        _note(sheet, _geometry(sheet, header, "one_class", folder), folder)
    if "track" not in have and (found := track_in_name(name)):
        given["track"] = found
    rule = _school_rule(sheet, folder)
    if rule is not None and not have & {"school", "school_code"}:
        given["school"] = name.strip() if rule == "sheet" and sheet.sheet is not None else folder.stem
        if folder.shelf.named is not None:
            _note(sheet, folder.shelf.named if folder.shelf.named.names.school else None, folder)
    if not given:
        return sheet, header
    width = len(header.columns)
    start = 1 + max((column.position for column in header.columns), default=-1)
    columns = list(header.columns)
    for place, (key, value) in enumerate(given.items()):
        columns.append(HeaderColumn(start + place, _GROUP_KEYS[key], None, None, Meaning("field", key)))
        folder.checks.add(f"assumed_{key}", "notice", file=sheet.file, sheet=sheet.sheet, found=value)
    values = list(given.values())
    inner = sheet.body

    def body(first: int, _: int) -> pl.DataFrame:
        frame = inner(first, width)
        filled = pl.any_horizontal(pl.all().str.strip_chars().str.len_bytes().fill_null(0) > 0)
        said = [pl.when(filled).then(pl.lit(value)).alias(f"c{start + place}") for place, value in enumerate(values)]
        return frame.with_columns(said)

    return replace(sheet, body=body), replace(header, columns=tuple(columns))


def _ask_for_schools(tables: Sequence[Table], folder: _Folder) -> None:
    """Several sheets named like schools and no school column: the names are not taken for schools without being told so."""
    if folder.exam.exam.scope == "school":
        return
    lacking = [
        sheet
        for sheet, header in tables
        if header is not None and not _fields(sheet, header, folder.exam) & {"school", "school_code"} and sheet.sheet
    ]
    if len(lacking) > 1 and all(looks_like_school(sheet.sheet or "") for sheet in lacking):
        raise DataFileError("school_from_sheet", Place(lacking[0].file), n=len(lacking), example=lacking[0].sheet)
