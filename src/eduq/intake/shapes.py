"""Geometry of sheets: tables side by side or under one another, pupils as columns, one line per pupil and attribute.

Each shape gives plain sheets, header on top and one row per candidate, that know the true place of every row.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from eduq.intake.headers import HEAD_ROWS, NAMING, Header, corner_word, find_header, is_naming, turned_head
from eduq.intake.readers import RawSheet, RefusedRows
from eduq.intake.synonyms import vocabulary

__all__ = [
    "NAMING",
    "made_sheet",
    "names_candidates",
    "split_side_by_side",
    "split_stacked",
    "turn",
    "unfold_attributes",
    "whole",
]

_FEWEST_CYCLES = 2
_LABEL_COLUMNS = 3
"""Where the words down the left of a turned table may stand."""


def names_candidates(header: Header) -> bool:
    """Whether a header has a column that names candidates."""
    return any(is_naming(column.meaning) for column in header.columns)


def whole(sheet: RawSheet, width: int = 0) -> pl.DataFrame:
    """Return all rows of a sheet, blank as ``""``, as wide as its widest row."""
    widest = max((len(row) for row in sheet.head), default=0)
    return sheet.body(0, max(widest, width)).with_columns(pl.all().str.strip_chars().fill_null(""))


def made_sheet(sheet: RawSheet, frame: pl.DataFrame, numbers: np.ndarray, **changes: object) -> RawSheet:
    """Return a sheet with other rows; ``numbers`` says where they stand in the file."""
    head = [list(row) for row in frame.head(HEAD_ROWS).fill_null("").iter_rows()]
    made = replace(sheet, head=head, body=lambda start, width: frame.slice(start), merged=lambda: None, numbers=numbers)
    return replace(made, **changes)  # type: ignore[arg-type]


def _renamed(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.rename({old: f"c{place}" for place, old in enumerate(frame.columns)})


# ---------------------------------------------------------------- pupils as columns


def turn(sheet: RawSheet, header: Header | None) -> tuple[RawSheet, Header] | None:
    """Return a sheet whose pupils stand in columns with its pupils in rows, and its header; None for other sheets.

    They do when the words down the left explain more than those of any row, each of them stands there once, and they name
    pupils and papers.
    """
    cells = turned_head(sheet.head)
    found = [replace(one, first=place) for place, row in enumerate(cells[:_LABEL_COLUMNS]) if (one := find_header([row]))]
    other = max(found, key=lambda one: one.hits, default=None)
    if other is None or other.hits <= (header.hits if header is not None else 0):
        return None
    meanings = [column.meaning for column in other.columns if column.meaning is not None]
    papers = [meaning for meaning in meanings if meaning.kind in ("score", "scaled")]
    if not papers or len(papers) != len(set(papers)) or not any(is_naming(meaning) for meaning in meanings):
        return None
    frame = whole(sheet)
    turned = _renamed(frame.transpose())
    first = turned.columns
    turned = turned.with_columns(
        pl.Series(name, [corner_word(value) if place == 0 else value for place, value in enumerate(turned.get_column(name))])
        for name in first
    )
    made = made_sheet(sheet, turned, np.arange(1, turned.height + 1, dtype=np.int64), turned=True)
    return made, other


# ---------------------------------------------------------------- two tables side by side


def split_side_by_side(sheet: RawSheet, header: Header | None) -> list[RawSheet]:
    """Return the tables that stand beside each other with a blank column between, none when there is one table.

    A block is a table of its own when several blocks name candidates, or when it explains something else: no names, no
    subjects, and rows filled where the other has none.
    """
    if header is None or header.depth > 1:
        return []
    blocks = _blocks(sheet, header)
    if len(blocks) < 2:
        return []
    named = [block for block in blocks if any(is_naming(header.columns[place].meaning) for place in range(*block))]
    others = [block for block in blocks if block not in named]
    if not named or not all(_explains_only(sheet, header, block, named[0]) for block in others):
        return []
    if len(named) < 2 and not others:
        return []
    return [_columns_of(sheet, *block) for block in blocks]


def _blocks(sheet: RawSheet, header: Header) -> list[tuple[int, int]]:
    """Return runs of columns between columns that are blank from the header down in the rows at hand."""
    rows = sheet.head[header.first :]
    width = len(header.columns)
    filled = [any(place < len(row) and row[place] for row in rows) for place in range(width)]
    blocks, start = [], None
    for place, is_filled in enumerate([*filled, False]):
        if is_filled and start is None:
            start = place
        elif not is_filled and start is not None:
            blocks.append((start, place))
            start = None
    return [block for block in blocks if any(header.columns[place].meaning is not None for place in range(*block))]


def _explains_only(sheet: RawSheet, header: Header, block: tuple[int, int], main: tuple[int, int]) -> bool:
    kinds = {meaning.kind for place in range(*block) if (meaning := header.columns[place].meaning) is not None}
    if kinds & {"field", "score", "scaled", "class"}:
        return False
    rows = sheet.head[header.first + header.depth :]
    return any(any(row[block[0] : block[1]]) and not any(row[main[0] : main[1]]) for row in rows)


def _columns_of(sheet: RawSheet, left: int, right: int) -> RawSheet:
    width = max(len(row) for row in sheet.head)
    head = [[*row, *[""] * (right - len(row))][left:right] for row in sheet.head]

    def body(start: int, _: int) -> pl.DataFrame:
        from eduq.intake.delimited import trim_tail

        frame = sheet.body(start, width)
        return trim_tail(_renamed(frame[:, left : min(right, frame.width)]))

    return replace(sheet, head=head, body=body, merged=lambda: None)


# ---------------------------------------------------------------- tables under one another


def split_stacked(sheet: RawSheet, header: Header | None) -> list[RawSheet]:
    """Return the tables that stand under each other with different headers, none when there is one table.

    The same header once more is no new table: its rows are left out as repeated headers.
    """
    if header is None or sheet.numbers is not None or not sheet.loaded:
        return []
    naming = [f"c{column.position}" for column in header.columns if is_naming(column.meaning)]
    start = header.first + header.depth
    body = sheet.body(start, len(header.columns))
    words = sorted(word for word, meaning in vocabulary().exact.items() if is_naming(meaning))
    looked = [name for name in naming if name in body.columns] or body.columns[:1]
    likely = body.select(pl.any_horizontal(pl.col(looked).str.strip_chars().str.to_lowercase().is_in(words)))
    tops, current = [0], header
    for place in likely.to_series().fill_null(False).arg_true().to_list():
        other = find_header([[cell or "" for cell in row] for row in body.slice(place, HEAD_ROWS).iter_rows()])
        if other is not None and other.first == 0 and names_candidates(other) and not _alike(current, other):
            tops.append(start + _above(body, place))
            current = other
    if len(tops) == 1:
        return []
    frame = whole(sheet, len(header.columns))
    ends = [*tops[1:], frame.height]
    numbers = sheet.row_numbers(0, frame.height)
    return [
        made_sheet(sheet, frame.slice(top, end - top), numbers[top:end]) for top, end in zip(tops, ends, strict=True) if end > top
    ]


def _alike(one: Header, other: Header) -> bool:
    first = {(column.position, column.meaning) for column in one.columns if column.meaning is not None}
    second = {(column.position, column.meaning) for column in other.columns if column.meaning is not None}
    return first == second


def _above(body: pl.DataFrame, place: int) -> int:
    """Return where the titles of a table begin: rows above its header with one filled cell."""
    while place and sum(bool((cell or "").strip()) for cell in body.row(place - 1)) == 1:
        place -= 1
    return place


# ---------------------------------------------------------------- one line per pupil and attribute


def unfold_attributes(sheet: RawSheet) -> RawSheet | None:
    """Return a sheet that says name, score and so on in rows of their own as one row per pupil, None for any other sheet.

    One column holds words of headers again and again, the column right of it what they stand for.
    """
    place = _attribute_column(sheet)
    if place is None:
        return None
    start, found = place
    frame = whole(sheet).slice(start)
    words = frame.get_column(f"c{found}")
    above = sheet.head[start - 1] if start else []
    keys = [column for column in range(found) if column < len(above) and above[column]]
    leader = next(word for word in words if word)
    blank = (words == "").to_numpy()
    empty = frame.select(pl.all_horizontal(pl.all() == "")).to_series().to_numpy()
    numbers = sheet.row_numbers(start, frame.height)
    starts = np.cumsum((words == leader).to_numpy())
    long = frame.with_columns(pl.Series("_n", starts), pl.Series("_row", numbers)).filter(~pl.Series(blank))
    order = [word for word in dict.fromkeys(words) if word]
    wide = long.group_by("_n", maintain_order=True).agg(
        *(pl.col(f"c{key}").filter(pl.col(f"c{key}") != "").first().fill_null("").alias(f"k{key}") for key in keys),
        *(
            pl.col(f"c{found + 1}").filter(pl.col(f"c{found}") == word).first().fill_null("").alias(f"v{place}")
            for place, word in enumerate(order)
        ),
        pl.col("_row").alias("rows"),
        pl.any_horizontal(pl.col(f"c{found}").is_duplicated().any(), *(_several(key) for key in keys)).alias("_mixed"),
    )
    refused = [RefusedRows(numbers[blank & empty], "blank_row"), RefusedRows(numbers[blank & ~empty], "note_row")]
    mixed = wide.filter("_mixed").get_column("rows").explode().to_numpy()
    refused.append(RefusedRows(mixed, "lines_mixed"))
    wide = wide.filter(~pl.col("_mixed"))
    title = [[above[column] for column in keys] + order]
    names = [f"c{place}" for place in range(len(title[0]))]
    body = _renamed(wide.drop(["_n", "rows", "_mixed"]))
    top = pl.DataFrame(title, schema={name: pl.String() for name in names}, orient="row")
    first = wide.get_column("rows").list.first()
    return made_sheet(
        sheet,
        pl.concat([top, body]),
        np.concatenate([[int(numbers[0]) - 1], first.to_numpy()]).astype(np.int64),
        sources=pl.DataFrame({"row": first, "rows": wide.get_column("rows")}),
        refused=[one for one in refused if len(one.numbers)],
    )


def _several(key: int) -> pl.Expr:
    """Whether the lines of one pupil say different things in a column that should say one."""
    return pl.col(f"c{key}").filter(pl.col(f"c{key}") != "").n_unique() > 1


def _attribute_column(sheet: RawSheet) -> tuple[int, int] | None:
    """Return the first row and the column of the words, None where no column holds words of headers again and again."""
    words = vocabulary()
    width = max((len(row) for row in sheet.head), default=0)
    for column in range(width - 1):
        cells = [row[column] if column < len(row) else "" for row in sheet.head]
        named = [place for place, cell in enumerate(cells) if is_naming(words.recognise(cell))]
        if len(named) < _FEWEST_CYCLES or named[0] == 0:
            continue
        below = [cell for cell in cells[named[0] :] if cell]
        different = list(dict.fromkeys(below))
        known = all(words.recognise(cell) is not None for cell in different)
        if known and len(different) > 1 and len(below) >= _FEWEST_CYCLES * len(different) and not cells[named[0] - 1]:
            return named[0], column
    return None
