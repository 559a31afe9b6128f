"""Write an invented exam in any layout, file format, text encoding and container that intake reads.

A workbook of the old kind (.xls) cannot be written: no library that is kept up writes one.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import polars as pl

from eduq.errors import UsageError
from eduq.intake.drafts import draft_exam
from eduq.intake.exam_file import ExamFile
from eduq.synthetic.layout_tables import LAYOUTS
from eduq.synthetic.sheets import Grid

if TYPE_CHECKING:
    from eduq.synthetic.samples import SampleExam

__all__ = ["CONTAINERS", "ENCODINGS", "FORMATS", "write_exam"]

Format = Literal["xlsx", "csv", "parquet"]
Container = Literal["folder", "zip", "workbook"]
Encoding = Literal["utf-8", "utf-8-sig", "gb18030", "utf-16"]
FORMATS: tuple[Format, ...] = ("xlsx", "csv", "parquet")
CONTAINERS: tuple[Container, ...] = ("folder", "zip", "workbook")
ENCODINGS: tuple[Encoding, ...] = ("utf-8", "utf-8-sig", "gb18030", "utf-16")
_CREATED = dt.datetime(2026, 1, 20, 9, 0)
_ZIP_TIME = (2026, 1, 20, 9, 0, 0)
_ALL_SHEETS = "成绩"


def write_exam(
    exam: SampleExam,
    folder: str | Path,
    *,
    layout: str = "wide",
    format: Format = "xlsx",
    container: Container = "folder",
    encoding: Encoding = "utf-8-sig",
) -> tuple[Path, ...]:
    """Write one exam of a sample in one layout, with its exam.toml.

    Parameters
    ----------
    exam
        An exam of `make_sample`.
    folder
        Made where it is missing; files of the same name are replaced.
    layout
        A key of `eduq.synthetic.layout_tables.LAYOUTS`, such as ``zhixue-summary``.
    format
        ``xlsx``; ``csv`` (a file per sheet); ``parquet`` (only for layouts of plain tables).
    container
        The files in the ``folder``, in a ``zip``, or all sheets in one ``workbook``.
    encoding
        Of CSV files.

    Returns
    -------
    tuple of Path
        What was written; exam.toml stands last, or in the zip.

    Raises
    ------
    UsageError
        ``layout_not_written``: there is no such layout, or it cannot have this format or container.

    Examples
    --------
    >>> from eduq.synthetic import make_sample
    >>> exam = make_sample(schools=2, candidates=12, years=1).exams[0]
    >>> write_exam(exam, "out", layout="long-flags", format="csv")          # doctest: +SKIP
    """
    made = LAYOUTS.get(layout)
    if made is None or (container == "workbook" and format != "xlsx"):
        raise UsageError("layout_not_written", layout=layout, format=format, container=container, known=", ".join(LAYOUTS))
    facts, grids = made(exam)
    names = [grid.sheet for grid in _named_apart(grids)]
    alike = container == "workbook" and len(set(names)) < len(names)
    if alike or (format == "parquet" and not all(grid.plain for grid in grids)):
        raise UsageError("layout_not_written", layout=layout, format=format, container=container, known=", ".join(LAYOUTS))
    files = dict(_files(grids, facts, format, container, encoding))
    files["exam.toml"] = draft_exam(facts).encode()
    target = Path(folder)
    if container == "zip":
        return (_put(target / f"{exam.exam_id}.zip", _zipped(files)),)
    return tuple(_put(target / name, content) for name, content in files.items())


def _put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    return part.replace(path)


def _zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _ZIP_TIME), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _files(
    grids: Sequence[Grid], facts: ExamFile, format: Format, container: Container, encoding: Encoding
) -> Iterable[tuple[str, bytes]]:
    """Give the files by name."""
    by_file: dict[str, list[Grid]] = {}
    for grid in _named_apart(grids) if container == "workbook" else grids:
        by_file.setdefault(_ALL_SHEETS if container == "workbook" else grid.file, []).append(grid)
    for name, sheets in by_file.items():
        if format == "xlsx":
            yield f"{name}.xlsx", workbook(sheets, str(facts.exam.name))
            continue
        for grid in sheets:
            stem = name if len(sheets) == 1 and (not grid.says_something or grid.sheet in name) else f"{name}-{grid.sheet}"
            yield f"{stem}.{format}", _text(grid, encoding) if format == "csv" else _parquet(grid)


def _named_apart(grids: Sequence[Grid]) -> list[Grid]:
    """Give sheets of one name the names of their files, where the name of the sheet says nothing."""
    names = [grid.sheet for grid in grids]
    return [replace(grid, sheet=grid.file) if names.count(grid.sheet) > 1 and not grid.says_something else grid for grid in grids]


def workbook(grids: Sequence[Grid], title: str = "") -> bytes:
    """Return sheets as an .xlsx workbook; the same sheets give the same bytes."""
    import xlsxwriter

    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"in_memory": True, "strings_to_urls": False, "strings_to_formulas": False})
    book.set_properties({"title": title, "created": _CREATED})
    for grid in grids:
        sheet = book.add_worksheet(grid.sheet[:31])
        for place, row in enumerate(grid.rows):
            for column, value in enumerate(row):
                if isinstance(value, str):
                    if value:
                        sheet.write_string(place, column, value)
                else:
                    sheet.write_number(place, column, value)
        for top, left, bottom, right in grid.merged:
            sheet.merge_range(top, left, bottom, right, grid.rows[top][left])
    book.close()
    return buffer.getvalue()


def _words(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _text(grid: Grid, encoding: Encoding) -> bytes:
    content = io.StringIO(newline="")
    writer = csv.writer(content, lineterminator="\r\n")
    width = max(len(row) for row in grid.rows)
    writer.writerows([*map(_words, row), *[""] * (width - len(row))] for row in grid.rows)
    return content.getvalue().encode(encoding)


def _parquet(grid: Grid) -> bytes:
    header, *rows = grid.rows
    columns = {str(name): [_words(row[place]) for row in rows] for place, name in enumerate(header)}
    buffer = io.BytesIO()
    pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)).write_parquet(buffer)
    return buffer.getvalue()
