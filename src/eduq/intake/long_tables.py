"""One row per candidate and subject: read as one row per candidate, every row of the file accounted for."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from eduq.errors import DataFileError, Place
from eduq.intake.cells import NO_PAPER
from eduq.intake.checks import CheckList
from eduq.intake.columns import AssignedColumn, assign_columns
from eduq.intake.exam_file import ExamFile
from eduq.intake.headers import Header, is_naming
from eduq.intake.readers import RawSheet, RefusedRows
from eduq.intake.shapes import made_sheet
from eduq.intake.synonyms import Meaning, vocabulary

__all__ = ["apply_flags", "is_long", "unfold_long"]

_SUBJECT = Meaning("field", "subject_long")
_SCORE, _SCALED = Meaning("bare_score", "score"), Meaning("bare_score", "scaled")
_FLAGS = {"absent_flag": "缺考", "cheat_flag": "违纪"}
"""What a flag puts into the cell of the paper."""
_CLASS = Meaning("field", "teaching_class")
_MOST_SUBJECTS = 60
_TURNED_FLAG = "实考"


@dataclass(frozen=True)
class _LongColumns:
    subject: AssignedColumn
    score: AssignedColumn
    scaled: AssignedColumn | None
    flags: dict[str, AssignedColumn]
    teaching_class: AssignedColumn | None
    keys: list[AssignedColumn]


def _columns(header: Header, exam: ExamFile, sheet: RawSheet) -> _LongColumns | None:
    assigned = [item for item in assign_columns(header, exam, sheet.layout) if item.meaning is not None]
    met: dict[Meaning, AssignedColumn] = {}
    for item in assigned:
        met.setdefault(item.meaning or _SUBJECT, item)
    papers = [item for item in assigned if item.meaning is not None and item.meaning.kind == "score"]
    if _SUBJECT not in met or papers or _SCORE not in met or not any(is_naming(item.meaning) for item in assigned):
        return None
    flags = {key: met[Meaning("field", key)] for key in _FLAGS if Meaning("field", key) in met}
    scaled, teaching = met.get(_SCALED), met.get(_CLASS)
    used = {item.column.position for item in (met[_SUBJECT], met[_SCORE], *flags.values())}
    used |= {item.column.position for item in (scaled, teaching) if item is not None}
    keys = [item for item in assigned if item.column.position not in used and _belongs_to_candidate(item.meaning)]
    return _LongColumns(met[_SUBJECT], met[_SCORE], scaled, flags, teaching, keys)


def _belongs_to_candidate(meaning: Meaning | None) -> bool:
    if meaning is None or meaning.kind not in ("field", "spec"):
        return False
    return meaning.key not in ("row_index", "note", "room", "seat", "teacher", "full_mark", "exam_code")


def is_long(sheet: RawSheet, header: Header, exam: ExamFile) -> bool:
    """Whether a sheet has one row per candidate and subject: a subject column, a score column, no column of a subject."""
    return _columns(header, exam, sheet) is not None


def unfold_long(sheet: RawSheet, header: Header, exam: ExamFile, checks: CheckList) -> RawSheet:
    """Return a long table as a sheet with one row per candidate and one column per subject as written.

    Absent and breach flags become the words that stand for them in score cells. The same candidate and subject twice: identical
    rows count once, different ones spoil the candidate.

    Raises
    ------
    DataFileError
        ``flag_unknown``, ``too_many_subjects``.
    """
    columns = _columns(header, exam, sheet)
    assert columns is not None
    for item, became in (
        (columns.subject, "subject"),
        (columns.score, "score"),
        *((one, key) for key, one in columns.flags.items()),
    ):
        checks.use(sheet.file, sheet.sheet, item.column.written, became)
    start = header.first + header.depth
    body = sheet.body(start, len(header.columns))
    body = body.with_columns(pl.all().str.strip_chars().fill_null("")).with_columns(
        pl.Series("_row", sheet.row_numbers(start, body.height))
    )
    refused: list[RefusedRows] = []
    body = _without_other_rows(sheet, header, columns, body, refused)
    body = body.with_columns(_cell(sheet, columns, body, refused))
    body = body.filter(pl.col("_cell").is_not_null())
    key = [f"c{item.column.position}" for item in columns.keys]
    subject = f"c{columns.subject.column.position}"
    body = _without_repeats(columns, body, [*key, subject], refused)
    subjects = body.get_column(subject).unique(maintain_order=True).to_list()
    if len(subjects) > _MOST_SUBJECTS:
        place = Place(sheet.file, sheet.sheet, column=columns.subject.column.written)
        raise DataFileError("too_many_subjects", place, n=len(subjects), limit=_MOST_SUBJECTS)
    return _widen(sheet, columns, body, key, subject, subjects, refused)


def _without_other_rows(
    sheet: RawSheet, header: Header, columns: _LongColumns, body: pl.DataFrame, refused: list[RefusedRows]
) -> pl.DataFrame:
    """Put aside blank rows, repeated headers, summaries and notes, rows without subject and rows that name no one."""
    words = vocabulary()
    subject = f"c{columns.subject.column.position}"
    naming = [f"c{item.column.position}" for item in columns.keys if is_naming(item.meaning)]
    cells = [name for name in body.columns if name != "_row"]
    filled = pl.sum_horizontal(pl.col(name) != "" for name in cells)
    first = pl.coalesce(pl.when(pl.col(name) != "").then(pl.col(name)) for name in cells)
    notes = pl.any_horizontal(first.str.starts_with(word) for word in words.words("summary_rows", "footer_prefixes"))
    summaries = sorted(words.words("summary_rows", "first_cell_or_name"))
    rules = {
        "blank_row": filled == 0,
        "repeated_header": pl.col(subject) == columns.subject.column.written,
        "summary_row": (pl.col(subject) == "") & first.is_in(summaries) | pl.any_horizontal(pl.col(naming).is_in(summaries)),
        "note_row": (filled <= 2) & notes,
        "missing_id": pl.all_horizontal(pl.col(naming) == ""),
        "missing_subject": pl.col(subject) == "",
    }
    for code, rule in rules.items():
        bad = body.select(rule.alias("bad")).to_series().fill_null(False)
        if bad.any():
            refused.append(RefusedRows(body.filter(bad).get_column("_row").to_numpy(), code))
            body = body.filter(~bad)
    return body


def _cell(sheet: RawSheet, columns: _LongColumns, body: pl.DataFrame, refused: list[RefusedRows]) -> pl.Series:
    """Return the text of the score cell: the score, or the word of a flag; null where a flag contradicts a score."""
    score = body.get_column(f"c{columns.score.column.position}")
    return _flagged(sheet, columns.flags, body, score, refused).alias("_cell")


def _flagged(
    sheet: RawSheet, flags: dict[str, AssignedColumn], body: pl.DataFrame, score: pl.Series, refused: list[RefusedRows]
) -> pl.Series:
    number = score.str.normalize("NFKC").cast(pl.Float64, strict=False).fill_null(0.0)
    cell = score
    for key, item in flags.items():
        raised = _flag(sheet, item, body)
        cell = cell.zip_with(~raised, pl.Series([_FLAGS[key]]).new_from_index(0, len(cell)))
        against = raised & (number > 0)
        if key == "absent_flag" and against.any():
            rows = body.filter(against).get_column("_row").to_numpy()
            refused.append(RefusedRows(rows, "flag_contradicts", item.column.written))
            cell = cell.set(against, None)
    return cell


def apply_flags(sheet: RawSheet, header: Header, exam: ExamFile, checks: CheckList) -> tuple[RawSheet, Header]:
    """Put the flags of a sheet of one paper into the cells of its score; of another sheet nothing is changed.

    Raises
    ------
    DataFileError
        ``flag_unknown``.
    """
    assigned = assign_columns(header, exam, sheet.layout)
    found = {item.meaning: item for item in assigned if item.meaning is not None and item.setting is None}
    flags = {key: found[Meaning("field", key)] for key in _FLAGS if Meaning("field", key) in found}
    papers = [item for item in assigned if item.meaning is not None and item.meaning.kind == "score"]
    if not flags or len(papers) != 1:
        return sheet, header
    start = header.first + header.depth
    body = sheet.body(start, len(header.columns)).with_columns(pl.all().str.strip_chars().fill_null(""))
    body = body.with_columns(pl.Series("_row", sheet.row_numbers(start, body.height)))
    score = f"c{papers[0].column.position}"
    refused = list(sheet.refused)
    headings = {item.column.written for item in flags.values()}
    repeated = pl.any_horizontal(pl.col(f"c{item.column.position}").is_in(list(headings)) for item in flags.values())
    again = body.filter(repeated)
    if again.height:
        refused.append(RefusedRows(again.get_column("_row").to_numpy(), "repeated_header"))
        body = body.filter(~repeated)
    body = body.with_columns(_flagged(sheet, flags, body, body.get_column(score), refused).alias(score))
    body = body.filter(pl.col(score).is_not_null())
    numbers = np.concatenate([np.zeros(start, dtype=np.int64), body.get_column("_row").to_numpy()])
    for key, item in flags.items():
        checks.use(sheet.file, sheet.sheet, item.column.written, key)
    gone = {item.column.position for item in flags.values()}
    body = body.drop(["_row", *(f"c{position}" for position in gone)])
    kept = tuple(column for column in header.columns if column.position not in gone)
    made = replace(sheet, body=lambda first, width: body.slice(max(first - start, 0)), numbers=numbers, refused=refused)
    return made, replace(header, columns=kept)


def _flag(sheet: RawSheet, item: AssignedColumn, body: pl.DataFrame) -> pl.Series:
    """Return in which rows a flag is raised; 实考 flags say the opposite."""
    flags = vocabulary().raw["flags"]
    words = [*flags["true_values"], *vocabulary().words("marks", "absent"), *vocabulary().words("marks", "void")]
    value = body.get_column(f"c{item.column.position}").str.normalize("NFKC").str.to_lowercase().str.replace(r"\.0$", "")
    for other in value.unique().sort():
        if other not in words and other not in flags["false_values"]:
            raise DataFileError("flag_unknown", Place(sheet.file, sheet.sheet, column=item.column.written), value=other)
    raised = value.is_in(words)
    return ~raised & (value != "") if _TURNED_FLAG in item.column.written else raised


def _without_repeats(columns: _LongColumns, body: pl.DataFrame, key: list[str], refused: list[RefusedRows]) -> pl.DataFrame:
    """Keep one of identical rows of a candidate and subject; different ones spoil all rows of the candidate."""
    if not body.select(pl.struct(key).is_duplicated().any()).item():
        return body
    content = ["_cell", *([f"c{columns.scaled.column.position}"] if columns.scaled is not None else [])]
    body = body.with_columns(
        (pl.struct(content).n_unique().over(key) > 1).alias("_differs"), (pl.int_range(pl.len()).over(key) > 0).alias("_again")
    ).with_columns(pl.col("_differs").any().over(key[:-1]))
    for rule, code in ((pl.col("_differs"), "duplicate_conflict"), (pl.col("_again"), "duplicate_identical")):
        bad = body.filter(rule)
        if bad.height:
            refused.append(RefusedRows(bad.get_column("_row").to_numpy(), code))
            body = body.filter(~rule)
    return body.drop(["_differs", "_again"])


def _widen(
    sheet: RawSheet,
    columns: _LongColumns,
    body: pl.DataFrame,
    key: list[str],
    subject: str,
    subjects: list[str],
    refused: list[RefusedRows],
) -> RawSheet:
    values = {"": "_cell"}
    if columns.scaled is not None:
        values["赋分"] = f"c{columns.scaled.column.position}"
    if columns.teaching_class is not None:
        values["教学班"] = f"c{columns.teaching_class.column.position}"
    picked = [
        pl.col(value).filter(pl.col(subject) == name).first().fill_null("" if suffix else NO_PAPER).alias(f"{name}{suffix}")
        for suffix, value in values.items()
        for name in subjects
    ]
    rows = [pl.col("_row").filter(pl.col(subject) == name).first().alias(f"r{place}") for place, name in enumerate(subjects)]
    wide = body.group_by(key, maintain_order=True).agg(*picked, *rows, pl.col("_row").alias("rows"))
    title = [*(item.column.written for item in columns.keys), *(f"{name}{suffix}" for suffix in values for name in subjects)]
    names = [f"c{place}" for place in range(len(title))]
    made = wide.select(pl.col(old).alias(new) for old, new in zip([*key, *title[len(key) :]], names, strict=True))
    top = pl.DataFrame([title], schema={name: pl.String() for name in names}, orient="row")
    first = wide.get_column("rows").list.first()
    exact = {f"c{len(key) + place}": wide.get_column(f"r{place}") for place in range(len(subjects))}
    return made_sheet(
        sheet,
        pl.concat([top, made]),
        np.concatenate([[0], first.to_numpy()]).astype(np.int64),
        sources=pl.DataFrame({"row": first, "rows": wide.get_column("rows"), **exact}),
        refused=[*sheet.refused, *refused],
    )
