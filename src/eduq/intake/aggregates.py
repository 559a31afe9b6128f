"""School summaries as schools upload them: kept as figures of schools, never as pupils."""

from __future__ import annotations

import re

import polars as pl

from eduq.intake.checks import CheckList
from eduq.intake.columns import assign_columns
from eduq.intake.exam_file import ExamFile
from eduq.intake.headers import PART_JOINER, Header, is_naming
from eduq.intake.readers import RawSheet, RefusedRows
from eduq.intake.synonyms import vocabulary
from eduq.tables import AGGREGATES

__all__ = ["is_group_summary", "read_aggregates"]

_FEWEST = 3
_COUNTS = ("n_expected", "n_present")
_MORE = {"一分": "mean", "综合": "composite", "得分": "composite", "排名": "rank", "名次": "rank"}
"""Words that stand for figures of schools only under a year group or in a school summary."""
_NUMBER = re.compile(r"^([+-]?\d{1,9}(?:\.\d+)?)(%?)$")


def is_group_summary(sheet: RawSheet, header: Header, exam: ExamFile) -> bool:
    """Whether a sheet has one row per school with at least three figures of groups and no pupils."""
    if any(is_naming(column.meaning) for column in header.columns):
        return False
    assigned = assign_columns(header, exam, sheet.layout)
    keys = {item.meaning.key for item in assigned if item.meaning is not None and item.meaning.kind == "field"}
    figures = sum(_measure(item.column.written) is not None for item in assigned)
    return bool(keys & {"school", "school_code"}) and figures >= _FEWEST


def _measure(written: str) -> tuple[str | None, str | None, str] | None:
    """Return year group, paper and measure of a column of figures, None for other columns."""
    words = vocabulary()
    parts = written.split(PART_JOINER)
    years = {word: code for code, names in words.raw["grades"].items() if code != "notes" for word in names}
    year = paper = measure = None
    for part in parts:
        bare = "".join(part.split())
        meaning = words.recognise(part)
        if bare in years:
            year = years[bare]
        elif words.subject(part) is not None:
            paper = words.subject(part)
        elif meaning is not None and meaning.kind == "group":
            measure = meaning.key
        elif meaning is not None and meaning.kind == "metric" and meaning.paper is not None:
            paper, measure = meaning.paper, meaning.key
        elif bare in _MORE and (len(parts) > 1 or measure is None):
            measure = _MORE[bare]
    return None if measure is None else (year, paper, measure)


def read_aggregates(
    sheet: RawSheet, header: Header, exam: ExamFile, checks: CheckList
) -> tuple[pl.DataFrame, int, list[RefusedRows]]:
    """Return the figures of schools, the number of rows below the header, and the rows that are no school's.

    Cells that are no number are left out; a figure with ``%`` becomes a share.
    """
    start = header.first + header.depth
    body = sheet.body(start, len(header.columns)).with_columns(pl.all().str.strip_chars().fill_null(""))
    numbers = sheet.row_numbers(start, body.height)
    fields = {
        item.meaning.key: item.column
        for item in assign_columns(header, exam, sheet.layout)
        if item.meaning is not None and item.meaning.kind == "field"
    }
    column = fields.get("school_code") or fields["school"]
    names = fields.get("school", column)
    years = {word: code for code, words in vocabulary().raw["grades"].items() if code != "notes" for word in words}
    summaries = vocabulary().words("summary_rows", "first_cell_or_name")
    figures = {one.position: found for one in header.columns if (found := _measure(one.written)) is not None}
    for position, (_, _, measure) in figures.items():
        checks.use(sheet.file, sheet.sheet, header.columns[position].written, measure)
    lines: list[dict[str, object]] = []
    bins: dict[str, list[int]] = {"blank_row": [], "summary_row": [], "missing_school": []}
    for number, row in zip(numbers.tolist(), body.iter_rows(), strict=True):
        school = row[column.position] or row[names.position]
        if not any(row):
            bins["blank_row"].append(number)
        elif school in summaries or next(filter(None, row)) in summaries:
            bins["summary_row"].append(number)
        elif not school:
            bins["missing_school"].append(number)
        else:
            year = years.get(row[fields["grade"].position]) if "grade" in fields else None
            lines += _lines(row, figures, school, year or exam.exam.year_group)
    refused = [RefusedRows(pl.Series(rows, dtype=pl.Int64).to_numpy(), code) for code, rows in bins.items() if rows]
    return pl.DataFrame(lines, schema=AGGREGATES, orient="row"), body.height, refused


def _lines(
    row: tuple[str, ...], figures: dict[int, tuple[str | None, str | None, str]], school: str, year: str | None
) -> list[dict[str, object]]:
    values = {place: _number(row[place]) for place in figures}
    counts: dict[tuple[str | None, str | None, str], float] = {
        figures[place]: value for place, value in values.items() if value is not None and figures[place][2] in _COUNTS
    }
    made = []
    for place, (own_year, paper, measure) in figures.items():
        value = values[place]
        if value is None or measure in _COUNTS:
            continue
        line: dict[str, object] = {"school_id": school, "year_group": own_year or year, "paper": paper, "measure": measure}
        for count in _COUNTS:
            keys = ((own_year, paper, count), (own_year, None, count), (None, None, count))
            n = next((counts[key] for key in keys if key in counts), None)
            line[count] = None if n is None else round(n)
        made.append({**line, "value": value})
    return made


def _number(text: str) -> float | None:
    found = _NUMBER.match(text.replace(",", ""))
    return None if found is None else float(found[1]) / (100 if found[2] else 1)
