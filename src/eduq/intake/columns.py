"""What becomes of every column: a field, a score, or dropped knowingly; a column that might be a score is never dropped."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

import polars as pl

from eduq.errors import DataFileError, Place, SettingsError
from eduq.intake.checks import CheckList
from eduq.intake.exam_file import ExamFile
from eduq.intake.headers import Header, HeaderColumn
from eduq.intake.layouts import Layout
from eduq.intake.readers import RawSheet
from eduq.intake.synonyms import Meaning, Vocabulary, normalise_header, vocabulary
from eduq.tables import SCORE_COLUMNS, SUBGROUP_PREFIX

__all__ = [
    "HEADING",
    "ID_FIELDS",
    "IGNORE",
    "AssignedColumn",
    "ColumnPlan",
    "PlannedColumn",
    "UnknownColumn",
    "assign_columns",
    "check_column_settings",
    "plan_columns",
]

IGNORE = "ignore"
ID_FIELDS = ("student_uid", "exam_no", "student_no")
"""Columns that can name a candidate, the best first; the name serves where there is none of them."""
TOTAL = "total"
HEADING = Meaning("metric", "heading")
"""A blank column that only names the subject of the columns right of it."""
PRIVATE_FIELDS = ("id_card", "birth_date", "ethnicity")
USED_FIELDS = (
    *ID_FIELDS,
    *("name", "gender", "counted", "grade", "admin_class", "school", "school_code", "track", "combination"),
    *("township", "cluster", "location_type"),
)
_NUMERIC_SHARE = 0.5

Role = Literal["field", "score", "scaled", "class", "subgroup"]


@dataclass(frozen=True)
class PlannedColumn:
    """One column that is used: what it becomes (field id, paper code or subgroup name) and the full mark in its header."""

    position: int
    written: str
    role: Role
    key: str
    full_mark: float | None = None

    @property
    def source(self) -> str:
        """Name of the column in the body frame."""
        return f"c{self.position}"

    @property
    def became(self) -> str:
        """What the column is called from here on."""
        return f"{self.key}_{self.role}" if self.role in ("scaled", "class") else self.key


@dataclass(frozen=True)
class UnknownColumn:
    """A column of numbers nobody has explained."""

    place: Place
    written: str
    nearest: tuple[str, str] | None


@dataclass
class ColumnPlan:
    """The used columns of one sheet.

    Attributes
    ----------
    columns
        Those that are used.
    unknown
        Those of numbers that are not understood.
    group_fields
        How many columns are figures of groups (means, rates): many of them and no pupils make a school summary.
    """

    columns: list[PlannedColumn] = field(default_factory=list)
    unknown: list[UnknownColumn] = field(default_factory=list)
    group_fields: int = 0

    def find(self, role: Role, key: str) -> PlannedColumn | None:
        """Return the column of a role and key."""
        return next((column for column in self.columns if column.role == role and column.key == key), None)

    def all(self, role: Role) -> list[PlannedColumn]:
        """Return the columns of a role, left to right."""
        return [column for column in self.columns if column.role == role]


def _paper_codes(exam: ExamFile, words: Vocabulary) -> set[str]:
    return {*words.subjects, *(paper.code for paper in exam.papers)}


def _read_setting(value: str, codes: set[str], words: Vocabulary) -> Meaning | None:
    """Return what a value of ``[columns]`` stands for, None when it is not understood."""
    if value == IGNORE:
        return Meaning("metric", IGNORE)
    if value in codes:
        return Meaning("score", value)
    if value in words.fields:
        return Meaning("field", value)
    if value.startswith(SUBGROUP_PREFIX) and value.isidentifier() and value != SUBGROUP_PREFIX:
        return Meaning("spec", value)
    if value.endswith("_scaled") and value.removesuffix("_scaled") in codes:
        return Meaning("scaled", value.removesuffix("_scaled"))
    if value.endswith("_class") and value.removesuffix("_class") in codes:
        return Meaning("class", value.removesuffix("_class"))
    return None


def check_column_settings(exam: ExamFile) -> None:
    """Refuse values of ``[columns]`` that name nothing, and paper codes that another column has.

    Raises
    ------
    SettingsError
        ``columns_value_unknown``, ``columns_key_twice``, ``paper_code_taken``.
    """
    words = vocabulary()
    codes = _paper_codes(exam, words)
    met: dict[str, tuple[str, str]] = {}
    for header, value in exam.columns.items():
        other, before = met.setdefault(normalise_header(header)[0] or header, (header, value))
        if before != value:
            raise SettingsError(
                "columns_key_twice", Place(file="exam.toml", column=header), other=other, one=value, before=before
            )
        if _read_setting(value, codes, words) is None:
            close = difflib.get_close_matches(value, [*codes, *words.fields], n=1)
            raise SettingsError(
                "columns_value_unknown", Place(file="exam.toml", column=header), value=value, near=close[0] if close else "math"
            )
    for paper in exam.papers:
        taken = paper.code in (*SCORE_COLUMNS, *words.fields) or paper.code.startswith(SUBGROUP_PREFIX)
        if taken or paper.code.endswith(("_status", "_scaled", "_class")):
            raise SettingsError("paper_code_taken", Place(file="exam.toml"), code=paper.code)


@dataclass(frozen=True)
class AssignedColumn:
    """A header column and what it stands for by exam.toml or, failing that, by the synonym file."""

    column: HeaderColumn
    meaning: Meaning | None
    setting: str | None


def _read_layout_value(value: str, codes: set[str], words: Vocabulary) -> Meaning | None:
    """Return what a value of a layout's ``[columns]`` stands for: those of exam.toml, and those of a row that has one subject."""
    if value in ("score", "scaled"):
        return Meaning("bare_score", value)
    return Meaning("spec", "item") if value == "item" else _read_setting(value, codes, words)


def assign_columns(header: Header, exam: ExamFile, layout: Layout | None = None) -> list[AssignedColumn]:
    """Give each column of a header its meaning; ``[columns]`` of exam.toml comes first, then the layout's."""
    words = vocabulary()
    codes = _paper_codes(exam, words)
    settings = {normalise_header(key)[0] or key: (key, value) for key, value in exam.columns.items()}
    assigned = []
    for column in header.columns:
        stated = settings.get(normalise_header(column.written)[0]) if column.written else None
        if stated is not None:
            assigned.append(AssignedColumn(column, _read_setting(stated[1], codes, words), stated[0]))
        elif column.written in codes:
            assigned.append(AssignedColumn(column, Meaning("score", column.written), None))
        elif layout is not None and column.settled is None and (value := layout.value_of(column.written)) is not None:
            assigned.append(AssignedColumn(column, _read_layout_value(value, codes, words), None))
        else:
            assigned.append(AssignedColumn(column, column.settled or column.meaning, None))
    return assigned


def plan_columns(sheet: RawSheet, header: Header, body: pl.DataFrame, exam: ExamFile, checks: CheckList) -> ColumnPlan:
    """Decide on every column of a sheet.

    Parameters
    ----------
    sheet, header, body
        The sheet, its header and the rows below it.
    exam
        Its ``[columns]`` come first.
    checks
        Gets a line for every column that is dropped.

    Raises
    ------
    DataFileError
        ``column_twice``: two columns for one field or paper that differ in content; ``flag_column``.
    """
    plan = ColumnPlan()
    have = set(body.columns)
    assigned = [item for item in assign_columns(header, exam, sheet.layout) if f"c{item.column.position}" in have]
    for item in assigned:
        _place(plan, sheet, item.column, _by_content(item.meaning, item.column, body), body, checks)
    _refuse_flags(sheet, assigned, body)
    plan.columns = _without_twins(plan.columns, sheet, body, checks)
    for column in plan.columns:
        checks.use(sheet.file, sheet.sheet, column.written, column.became)
    return plan


def _refuse_flags(sheet: RawSheet, assigned: Sequence[AssignedColumn], body: pl.DataFrame) -> None:
    """A flag that says absent, but not of which paper: stop before a figure is wrong."""
    met = {item.meaning.key: item.column for item in assigned if item.meaning is not None and item.meaning.kind == "field"}
    false_words = set(vocabulary().raw["flags"]["false_values"])
    for key in ("absent_flag", "cheat_flag"):
        if key in met:
            values = body.get_column(f"c{met[key].position}").fill_null("").unique()
            if any(value.strip().lower() not in false_words for value in values):
                place = Place(file=sheet.file, sheet=sheet.sheet, column=met[key].written)
                raise DataFileError("flag_column", place, header=met[key].written)


_SAYS_STATUS = r"缺考|未考|缓考|免考|弃考|作弊|违纪|舞弊|雷同|未扫描|转出|转学|休学|退学"
"""Words in a column of remarks that speak of a status the scores beside them may not show."""


def _by_content(meaning: Meaning | None, column: HeaderColumn, body: pl.DataFrame) -> Meaning | None:
    """年级 is the year group, unless it holds numbers: then it is the rank within it."""
    if meaning == Meaning("field", "grade") and _numeric_share(body, column.position) > _NUMERIC_SHARE:
        return Meaning("metric", "rank")
    return meaning


def _numeric_share(body: pl.DataFrame, position: int) -> float:
    """Return the share of numbers among the filled cells; -1 when all cells are blank."""
    text = body.get_column(f"c{position}").str.strip_chars()
    filled = text.filter(text.is_not_null() & (text != ""))
    if not len(filled):
        return -1.0
    numbers = filled.str.normalize("NFKC").cast(pl.Float64, strict=False)
    return (len(filled) - numbers.null_count()) / len(filled)


def _place(
    plan: ColumnPlan, sheet: RawSheet, column: HeaderColumn, meaning: Meaning | None, body: pl.DataFrame, checks: CheckList
) -> None:
    def drop(code: str, level: Literal["info", "notice"] = "info") -> None:
        checks.add(code, level, file=sheet.file, sheet=sheet.sheet, column=column.written, found=column.written)

    def use(role: Role, key: str) -> None:
        plan.columns.append(PlannedColumn(column.position, column.written, role, key, column.full_mark))

    if meaning is None or meaning.kind == "bare_score":
        share = _numeric_share(body, column.position)
        if share < 0:
            if column.written:
                drop("dropped_blank_column")
        elif share >= _NUMERIC_SHARE or meaning is not None:
            name = column.written or f"#{column.position + 1}"
            place = Place(file=sheet.file, sheet=sheet.sheet, column=name)
            near = vocabulary().nearest(column.written) if column.written and meaning is None else None
            plan.unknown.append(UnknownColumn(place, column.written, near))
        else:
            drop("dropped_unknown_text" if column.written else "dropped_unnamed_text", "notice")
    elif meaning == HEADING:
        drop("dropped_blank_column")
    elif meaning == Meaning("scaled", TOTAL):
        drop("dropped_metric")
    elif meaning.kind in ("score", "scaled", "class"):
        use(cast(Role, meaning.kind), meaning.key)
    elif meaning.kind == "metric":
        drop({IGNORE: "ignored_by_setting", "level": "dropped_level"}.get(meaning.key, _metric_code(meaning.key)))
    elif meaning.kind == "group":
        plan.group_fields += 1
        drop("dropped_group_figure")
    elif meaning.key.startswith(SUBGROUP_PREFIX):
        use("subgroup", meaning.key)
    elif meaning.kind == "spec":
        drop("dropped_field")
    elif meaning.key in PRIVATE_FIELDS:
        drop("dropped_private")
    elif meaning.key in USED_FIELDS and meaning.paper is None:
        use("field", meaning.key)
        if meaning.key == "name":
            drop("dropped_private")
    else:
        drop("dropped_field")
        if meaning.key == "note" and (n := int(body.get_column(f"c{column.position}").str.contains(_SAYS_STATUS).sum())):
            checks.add("note_says_status", "warning", file=sheet.file, sheet=sheet.sheet, column=column.written, n=n)


def _metric_code(key: str) -> str:
    if key.endswith(("rank", "delta")):
        return "dropped_rank"
    if key in ("objective", "subjective", "part"):
        return "dropped_part"
    return "dropped_metric"


def _without_twins(
    columns: Sequence[PlannedColumn], sheet: RawSheet, body: pl.DataFrame, checks: CheckList
) -> list[PlannedColumn]:
    """Keep one of several columns for the same thing: identical ones, or the better of two ids or totals; else stop."""
    has_papers = any(column.role == "score" and column.key != TOTAL for column in columns)
    kept: dict[tuple[str, str], PlannedColumn] = {}
    for column in columns:
        name = (column.role, column.key)
        other = kept.get(name)
        if other is None:
            kept[name] = column
            continue
        same = body.get_column(column.source).equals(body.get_column(other.source), check_names=False, null_equal=True)
        if not same and (column.key in ID_FIELDS or (column.key == TOTAL and has_papers)):
            words = vocabulary()
            blanks = {one: body.get_column(one.source).null_count() for one in (other, column)}
            better, worse = sorted((other, column), key=lambda one: (blanks[one], words.priority(one.written)))
            kept[name] = better
        elif same:
            worse = column
        else:
            place = Place(file=sheet.file, sheet=sheet.sheet, column=column.written)
            raise DataFileError("column_twice", place, other=other.written, key=column.key)
        used = kept[name].written
        checks.add("dropped_second_column", "notice", file=sheet.file, sheet=sheet.sheet, column=worse.written, found=used)
    return [column for column in columns if kept[column.role, column.key] is column]
