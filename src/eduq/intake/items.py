"""Sheets of one paper with item columns: the paper's score and, beside it, what each item got."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from eduq.errors import DataFileError, Place
from eduq.intake.cells import CellGrid, SymbolReader, read_cells
from eduq.intake.checks import CheckList
from eduq.intake.columns import TOTAL, AssignedColumn, assign_columns
from eduq.intake.exam_file import ExamFile
from eduq.intake.headers import Header, HeaderColumn, is_naming
from eduq.intake.item_headers import item_full_mark, item_number, subtotals
from eduq.intake.layouts import ItemRules
from eduq.intake.one_paper import name_paper, paper_of_sheet
from eduq.intake.readers import ItemBlock, RawSheet, RefusedRows
from eduq.intake.synonyms import Meaning

__all__ = ["FEWEST_ITEMS", "ItemColumn", "SpecRow", "item_cells", "item_columns", "second_row", "separate_items"]

FEWEST_ITEMS = 3
"""Fewer columns headed by numbers are no item table."""
SUM = "Σ"
"""Header of the score made from the items."""
_ANSWER = re.compile(r"^(?:[A-Ha-h]{1,8}|[#*])$")
_OUT_OF = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*/\s*(\d+(?:\.\d+)?)\s*$")
_NUMBER = re.compile(r"^\s*\d+(?:\.\d+)?\s*$")
_MOSTLY = 0.5


@dataclass(frozen=True)
class ItemColumn:
    """One item column: where it stands, as written, its number and the full mark its header names."""

    position: int
    written: str
    label: str
    full_mark: float | None


SpecRow = dict[str, object]
"""One line of the item specification: paper, item and what is known of it."""


def item_columns(sheet: RawSheet, header: Header, exam: ExamFile) -> list[ItemColumn]:
    """Return the columns headed by item numbers, none when the sheet is no table of one paper's items."""
    assigned = assign_columns(header, exam, sheet.layout)
    if not any(is_naming(item.meaning) for item in assigned):
        return []
    papers = {item.meaning.key for item in assigned if item.meaning is not None and item.meaning.kind == "score"}
    if len(papers - {TOTAL}) > 1:
        return []
    stated = {item.column.position: item for item in assigned if item.setting is not None}
    lines = sheet.head[header.first : header.first + header.depth]
    found = []
    for column in header.columns:
        item = stated.get(column.position)
        known = column.meaning is not None and column.meaning.kind in ("field", "score")
        if known or (item is not None and item.meaning != Meaning("spec", "item")):
            continue
        for line in lines:
            text = line[column.position] if column.position < len(line) else ""
            label = item_number(text)
            if label is not None:
                found.append(ItemColumn(column.position, " ".join(text.split()), label, item_full_mark(text)))
                break
    return found if len({column.label for column in found}) >= FEWEST_ITEMS else []


def second_row(sheet: RawSheet, header: Header, items: Sequence[ItemColumn]) -> str | None:
    """Return what the row below the item numbers holds: ``knowledge_point``, ``max_score``, or None for a candidate's row."""
    place = header.first + header.depth
    if place >= len(sheet.head) or header.depth > 1:
        return None
    row = sheet.head[place]
    naming = [column.position for column in header.columns if is_naming(column.meaning)]
    if any(place < len(row) and row[place] and row[place] not in ("满分", "分值", "知识点") for place in naming):
        return None
    cells = [row[item.position] for item in items if item.position < len(row) and row[item.position]]
    if len(cells) < _MOSTLY * len(items):
        return None
    numbers = sum(re.fullmatch(r"\d+(?:\.\d+)?", cell) is not None for cell in cells)
    return "max_score" if numbers == len(cells) else "knowledge_point" if not numbers else None


def item_cells(sheet: RawSheet, header: Header, items: Sequence[ItemColumn]) -> str | None:
    """Return the form of most item cells at hand: ``score`` or ``score/full``; None when none holds a number."""
    start = header.first + header.depth + (second_row(sheet, header, items) is not None)
    cells = [row[item.position] for row in sheet.head[start:] for item in items if item.position < len(row)]
    pairs = sum(_OUT_OF.match(cell) is not None for cell in cells)
    numbers = sum(_NUMBER.match(cell) is not None for cell in cells)
    return None if not pairs + numbers else "score/full" if pairs > numbers else "score"


def separate_items(
    sheet: RawSheet,
    header: Header,
    items: list[ItemColumn],
    stem: str,
    exam: ExamFile,
    checks: CheckList,
) -> tuple[RawSheet, Header, list[SpecRow]]:
    """Take the item columns out of a sheet; what is left has one score column of its paper.

    The score is the paper's own column where there is one (then the sum of the items is compared with it), else the sum.

    Returns
    -------
    tuple
        The sheet, its header, and what the sheet says of the items.

    Raises
    ------
    DataFileError
        ``paper_unclear``, ``item_twice``, ``item_full_mark_varies``, ``subtotal_unclear``, ``items_without_scores``.
    """
    rules = sheet.layout.items if sheet.layout is not None else ItemRules()
    below = second_row(sheet, header, items)
    start = header.first + header.depth + (below is not None)
    width = len(header.columns)
    body = sheet.body(start, width)
    numbers = sheet.row_numbers(start, body.height)
    assigned = assign_columns(header, exam, sheet.layout)
    paper, score = _paper(sheet, header, assigned, stem, exam, checks)
    answers, scores = _blocks(sheet, items, body)
    reader = SymbolReader({**(sheet.layout.symbols if sheet.layout else {}), **exam.symbols})
    full: dict[str, float] = {item.label: item.full_mark for item in scores if item.full_mark is not None}
    if rules.cells == "score/full":
        body = _split_pairs(sheet, body, scores, score, full)
    grid = read_cells(body, [f"c{item.position}" for item in scores], reader)
    _refuse_above_full(sheet, scores, grid, full, numbers)
    scores, dropped = _leaves(sheet, scores, grid, body, score, numbers)
    for item in dropped:
        checks.add("dropped_part", "info", file=sheet.file, sheet=sheet.sheet, column=item.written, found=item.written)
    block = _block(paper, answers, scores, grid, body, numbers)
    spec = _spec(sheet, header, paper, [*scores, *answers], full, below)
    for item in [*answers, *scores]:
        checks.use(sheet.file, sheet.sheet, item.written, "item")
    kept = [column for column in header.columns if column.position not in {item.position for item in items}]
    body = body.drop([f"c{item.position}" for item in items if f"c{item.position}" in body.columns])
    refused = list(sheet.refused)
    if below is not None:
        refused_rows = sheet.row_numbers(start - 1, 1)
        refused.append(RefusedRows(refused_rows, "second_header"))
    columns = [_as_score(column, score, paper) for column in kept]
    if score is None:
        if not scores:
            raise DataFileError("items_without_scores", sheet.place)
        good, texts = _sums(scores, grid, numbers, rules, refused)
        body = body.with_columns(pl.Series(f"c{width}", texts, dtype=pl.String)).filter(pl.Series(good))
        numbers = numbers[good]
        columns.append(HeaderColumn(width, SUM, None, None, Meaning("score", paper)))
        checks.add("score_from_items", "notice", file=sheet.file, sheet=sheet.sheet, found=paper, n=len(scores))
    else:
        _compare_sum(sheet, score, scores, grid, body, reader, numbers, checks)
    made = replace(
        sheet,
        body=lambda first, width: body.slice(max(first - start, 0)),
        numbers=np.concatenate([np.zeros(start, dtype=np.int64), numbers]),
        items=block,
        refused=refused,
    )
    return made, replace(header, columns=tuple(columns), depth=start - header.first), spec


def _as_score(column: HeaderColumn, score: AssignedColumn | None, paper: str) -> HeaderColumn:
    if score is None or column.position != score.column.position:
        return column
    return replace(score.column, settled=Meaning("score", paper))


def _paper(
    sheet: RawSheet, header: Header, assigned: Sequence[AssignedColumn], stem: str, exam: ExamFile, checks: CheckList
) -> tuple[str, AssignedColumn | None]:
    """Return the paper of the sheet and the column of its score: of a subject, else the total; None for the sum of the items."""
    columns = [item for item in assigned if item.meaning is not None and item.meaning.kind == "score"]
    own = [item for item in columns if item.meaning is not None and item.meaning.key != TOTAL]
    if own and own[0].meaning is not None:
        return own[0].meaning.key, own[0]
    paper = paper_of_sheet(sheet, header.titles, stem, exam, checks)
    if paper is None:
        raise name_paper(sheet)
    return paper, next(iter(columns), None)


def _blocks(sheet: RawSheet, items: Sequence[ItemColumn], body: pl.DataFrame) -> tuple[list[ItemColumn], list[ItemColumn]]:
    """Tell answers (letters) from scores; the same number may head one column of each."""
    answers: dict[str, ItemColumn] = {}
    scores: dict[str, ItemColumn] = {}
    for item in items:
        text = body.get_column(f"c{item.position}").str.strip_chars()
        filled = text.filter(text.is_not_null() & (text != ""))
        letters = int(filled.str.contains(_ANSWER.pattern).sum())
        block = answers if len(filled) and letters > _MOSTLY * len(filled) else scores
        if item.label in block:
            raise DataFileError("item_twice", Place(sheet.file, sheet.sheet, column=item.written), item=item.label)
        block[item.label] = item
    return list(answers.values()), list(scores.values())


def _split_pairs(
    sheet: RawSheet, body: pl.DataFrame, scores: Sequence[ItemColumn], score: AssignedColumn | None, full: dict[str, float]
) -> pl.DataFrame:
    """Turn cells such as 10/12 into 10, and keep 12 as the full mark of the item."""
    for item in scores:
        pairs = body.get_column(f"c{item.position}").str.extract_groups(_OUT_OF.pattern)
        marks = pairs.struct.field("2").drop_nulls().unique().to_list()
        if len(marks) > 1:
            raise DataFileError("item_full_mark_varies", Place(sheet.file, sheet.sheet, column=item.written), n=len(marks))
        if marks:
            full[item.label] = float(marks[0])
    columns = [f"c{item.position}" for item in scores] + ([] if score is None else [f"c{score.column.position}"])
    first = [pl.col(name).str.extract(_OUT_OF.pattern, 1) for name in columns]
    return body.with_columns(pl.coalesce(value, pl.col(name)).alias(name) for value, name in zip(first, columns, strict=True))


def _values(grid: CellGrid, item: ItemColumn) -> npt.NDArray[np.int64]:
    return grid.table.values[grid.codes[f"c{item.position}"]].astype(np.int64)


def _refuse_above_full(
    sheet: RawSheet, scores: Sequence[ItemColumn], grid: CellGrid, full: Mapping[str, float], numbers: npt.NDArray[np.int64]
) -> None:
    """An item scored above its full mark would go into the paper's score unseen: it stops with its place."""
    for item in scores:
        above = _values(grid, item) > round(full[item.label] * 100) if item.label in full else np.zeros(0, dtype=bool)
        if above.any():
            place = Place(sheet.file, sheet.sheet, int(numbers[np.argmax(above)]), item.written)
            raise DataFileError("item_above_full", place, n=int(above.sum()), full=f"{full[item.label]:g}")


def _leaves(
    sheet: RawSheet,
    scores: list[ItemColumn],
    grid: CellGrid,
    body: pl.DataFrame,
    score: AssignedColumn | None,
    numbers: npt.NDArray[np.int64],
) -> tuple[list[ItemColumn], list[ItemColumn]]:
    """Put aside subtotals: an item that has parts beside it and equals their sum in every row."""
    by_label = {item.label: item for item in scores}
    dropped = []
    for label, parts in subtotals(list(by_label)).items():
        whole_values = _values(grid, by_label[label])
        values = np.stack([_values(grid, by_label[part]) for part in parts])
        known = (whole_values >= 0) & (values >= 0).all(axis=0)
        if (whole_values[known] != values.sum(axis=0)[known]).any():
            row = int(numbers[known][np.argmax(whole_values[known] != values.sum(axis=0)[known])])
            raise DataFileError("subtotal_unclear", Place(sheet.file, sheet.sheet, row, by_label[label].written), item=label)
        dropped.append(by_label[label])
    return [item for item in scores if item not in dropped], dropped


def _block(
    paper: str,
    answers: Sequence[ItemColumn],
    scores: Sequence[ItemColumn],
    grid: CellGrid,
    body: pl.DataFrame,
    numbers: npt.NDArray[np.int64],
) -> ItemBlock:
    labels: dict[str, str] = {}
    columns = [pl.Series("row", numbers)]
    for place, item in enumerate(scores):
        values = pl.Series(f"s{place}", _values(grid, item), dtype=pl.Int32)
        columns.append(values.set(values < 0, None))
        labels[f"s{place}"] = item.label
    for place, item in enumerate(answers):
        text = body.get_column(f"c{item.position}").str.strip_chars()
        columns.append(text.set(text == "", None).alias(f"a{place}"))
        labels[f"a{place}"] = item.label
    return ItemBlock(paper, labels, pl.DataFrame(columns))


def _spec(
    sheet: RawSheet, header: Header, paper: str, items: Sequence[ItemColumn], full: dict[str, float], below: str | None
) -> list[SpecRow]:
    """Return what the sheet itself says of its items: full marks and the row below their numbers."""
    row = sheet.head[header.first + header.depth] if below is not None else []
    said: dict[str, SpecRow] = {}
    for item in items:
        line = said.setdefault(item.label, {"paper": paper, "item": item.label})
        if item.label in full:
            line["max_score"] = full[item.label]
        text = row[item.position].strip() if item.position < len(row) else ""
        if text and below == "knowledge_point":
            line["knowledge_point"] = text
        elif text and below == "max_score":
            line["max_score"] = float(text)
    return list(said.values())


def _sums(
    scores: Sequence[ItemColumn],
    grid: CellGrid,
    numbers: npt.NDArray[np.int64],
    rules: ItemRules,
    refused: list[RefusedRows],
) -> tuple[npt.NDArray[np.bool_], list[str]]:
    """Return which rows have a sum, and the sum as text; a row of one symbol in all items keeps the symbol."""
    values = np.stack([_values(grid, item) for item in scores])
    blank = np.stack([grid.blank(f"c{item.position}") for item in scores])
    have = values >= 0
    if rules.blank == "zero":
        have |= blank & have.any(axis=0)
    total = np.maximum(values, 0).sum(axis=0)
    texts = [f"{value // 100}.{value % 100:02d}" for value in total.tolist()]
    good = np.ones(grid.height, dtype=bool)
    for row in np.flatnonzero(~have.all(axis=0)).tolist():
        if have[:, row].any():
            good[row] = False
            continue
        said = {_token(grid, item, row) for item in scores} - {""}
        good[row] = len(said) <= 1
        texts[row] = next(iter(said), "")
    for item_place, item in enumerate(scores):
        first = ~good & ~have[item_place] & have[:item_place].all(axis=0)
        if first.any():
            refused.append(RefusedRows(numbers[first], "item_missing", item.written))
    return good, texts


def _token(grid: CellGrid, item: ItemColumn, row: int) -> str:
    token: str = grid.table.tokens[grid.codes[f"c{item.position}"][row]]
    return token.strip()


def _compare_sum(
    sheet: RawSheet,
    score: AssignedColumn,
    scores: Sequence[ItemColumn],
    grid: CellGrid,
    body: pl.DataFrame,
    reader: SymbolReader,
    numbers: npt.NDArray[np.int64],
    checks: CheckList,
) -> None:
    """List rows whose score is not the sum of their items."""
    if not scores:
        return
    own = read_cells(body, [f"c{score.column.position}"], reader)
    stated = own.table.values[own.codes[f"c{score.column.position}"]].astype(np.int64)
    values = np.stack([_values(grid, item) for item in scores])
    known = (stated >= 0) & (values >= 0).all(axis=0)
    wrong = known & (stated != values.sum(axis=0))
    place = {"file": sheet.file, "sheet": sheet.sheet, "column": score.column.written, "found": score.column.written}
    if wrong.any():
        row = int(numbers[np.argmax(wrong)])
        checks.add("item_sum_mismatch", "warning", row=row, n=int(wrong.sum()), **place)
    elif known.any():
        checks.add("item_sum_checked", "info", n=int(known.sum()), **place)  # type: ignore[arg-type]
