"""Reads a registers folder: every file checked, what is not understood named with file, row and column."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import polars as pl

from eduq.errors import Place, SettingsError
from eduq.intake.synonyms import vocabulary
from eduq.registers.files import RegisterFile, read_file
from eduq.registers.lineage import check_events
from eduq.registers.measures import is_rate, measure_id
from eduq.registers.model import (
    EVENT_COLUMNS,
    HEAD_COLUMNS,
    SCHOOL_COLUMNS,
    TARGET_COLUMNS,
    TEACHER_COLUMNS,
    Registers,
)
from eduq.registers.statements import read_statements
from eduq.registers.tenures import check_tenures
from eduq.settings import UNIT_TYPES

__all__ = ["read_registers"]

_AREA_TYPES = {
    "urban": "urban", "town": "town", "rural": "rural", "城区": "urban", "城市": "urban", "城镇": "town", "镇区": "town",
    "县镇": "town", "乡镇": "town", "乡村": "rural", "农村": "rural",
}  # fmt: skip
_STAGES = {"小学": "primary", "初中": "junior", "高中": "senior", "九年一贯制": "nine_year", "完全中学": "secondary"}
_KINDS = {"公办": "public", "民办": "private", "普通高中": "general", "中等职业学校": "vocational"}
_YES_NO = {"yes": True, "no": False, "是": True, "否": False, "true": True, "false": False, "1": True, "0": False}
_EVENTS = {name: name for name in ("merge", "split", "rename", "new", "close")} | {
    "合并": "merge", "撤并": "merge", "并入": "merge", "分设": "split", "拆分": "split", "更名": "rename", "改名": "rename",
    "新建": "new", "新设": "new", "撤销": "close", "停办": "close", "关闭": "close",
}  # fmt: skip
_DIRECTIONS = {"up": "up", "down": "down", "提高": "up", "上升": "up", "不低于": "up", "降低": "down", "下降": "down",
               "不高于": "down"}  # fmt: skip
_UNIT_WORDS = {name: name for name in UNIT_TYPES if name != "sex"} | {
    "全县": "area", "全区": "area", "区域": "area", "乡镇": "township", "片区": "cluster", "学校": "school", "班级": "class",
    "教师": "teacher", "城乡类型": "area_type",
}  # fmt: skip
_TERMS = {"1": 1, "2": 2, "上": 1, "下": 2, "上学期": 1, "下学期": 2, "第一学期": 1, "第二学期": 2}
_DERIVED = ("total", "composite", "all_subjects")
_DERIVED_WORDS = {"总分": "total", "全科": "composite", "综合": "composite"} | {name: name for name in _DERIVED}


def _schools(path: Path) -> pl.DataFrame:
    file = read_file(path, SCHOOL_COLUMNS, ("school_id", "name"))
    file.distinct("school_id", "register_duplicate")
    file.words("area_type", _AREA_TYPES)
    small = pl.Series("small_school", file.words("small_school", _YES_NO), dtype=pl.Boolean)
    enrolment = file.numbers("enrolment", low=0)
    valid = [file.dates("valid_from"), file.dates("valid_to")]
    file.in_order("valid_from", "valid_to")
    return file.table.with_columns(
        pl.col("area_type").replace_strict(_AREA_TYPES, default=None, return_dtype=pl.String),
        pl.col("stage").replace(_STAGES),
        pl.col("kind").replace(_KINDS),
        enrolment.round().cast(pl.Int64),
        small,
        *valid,
    )


def _subjects(file: RegisterFile, extra: dict[str, str]) -> pl.Series:
    words = vocabulary()
    known = ", ".join([*words.subjects, *sorted(set(extra.values()))])
    values = file.parse("subject", lambda cell: extra.get(cell) or words.subject(cell), "register_value", known=known)
    return pl.Series("subject", values, dtype=pl.String)


def _teachers(path: Path, schools: Collection[str]) -> pl.DataFrame:
    file = read_file(path, TEACHER_COLUMNS, ("teacher_id", "school_id", "class_id", "subject"))
    file.known("school_id", schools, register="schools.csv")
    for row, value in enumerate(file.table["school_year"]):
        if value is not None and not _is_school_year(value):
            file.refuse("register_value", row, "school_year", value=value, known="2024-2025")
    term = pl.Series("term", file.words("term", _TERMS), dtype=pl.Int64)
    return file.table.with_columns(_subjects(file, {}), term, file.numbers("share", low=0, high=1))


def _is_school_year(value: str) -> bool:
    first, _, second = value.partition("-")
    return len(value) == 9 and first.isdecimal() and second.isdecimal() and int(second) == int(first) + 1


def _events(path: Path, schools: Collection[str]) -> pl.DataFrame:
    file = read_file(path, EVENT_COLUMNS, ("date", "event"))
    dates, kinds = file.dates("date"), file.words("event", _EVENTS)
    both = {name: file.lists(name) for name in ("from_ids", "to_ids")}
    for name, lists in both.items():
        for row, ids in enumerate(lists):
            for school in ids:
                if school not in schools:
                    file.refuse("register_id_unknown", row, name, value=school, register="schools.csv")
    events = pl.DataFrame([dates, pl.Series("event", kinds, dtype=pl.String)]).with_columns(
        [pl.Series(name, lists, dtype=pl.List(pl.String)) for name, lists in both.items()]
    )
    check_events(events, file)
    return events.sort("date", maintain_order=True)


def _heads(path: Path, schools: Collection[str]) -> pl.DataFrame:
    file = read_file(path, HEAD_COLUMNS, ("head_id", "school_id", "from"))
    file.known("school_id", schools, register="schools.csv")
    dates = [file.dates("from"), file.dates("to")]
    file.in_order("from", "to")
    heads = file.table.with_columns(dates)
    check_tenures(heads, file)
    return heads.sort("school_id", "from")


def _targets(path: Path, found: Registers, local: Collection[str]) -> pl.DataFrame:
    file = read_file(path, TARGET_COLUMNS, ("target_id", "unit_type", "measure", "target", "direction", "due"))
    file.distinct("target_id", "register_target_twice")
    unit_types = file.words("unit_type", _UNIT_WORDS)
    measures = file.parse("measure", lambda cell: measure_id(cell, local), "register_measure_unknown")
    numbers = [file.numbers("baseline"), file.numbers("target")]
    for row, measure in enumerate(measures):
        if measure is not None and is_rate(measure):
            for values in numbers:
                if values[row] is not None and not 0 <= values[row] <= 1:
                    file.refuse("register_number", row, values.name, value=file.table[values.name][row], low="0", high="1")
    _check_units(file, unit_types, found)
    return file.table.with_columns(
        pl.Series("unit_type", unit_types, dtype=pl.String),
        pl.Series("measure", measures, dtype=pl.String),
        _subjects(file, _DERIVED_WORDS),
        *numbers,
        pl.Series("direction", file.words("direction", _DIRECTIONS), dtype=pl.String),
        file.dates("due"),
    )


def _check_units(file: RegisterFile, unit_types: list[str | None], found: Registers) -> None:
    """A target's unit must be in the register of its kind; only the area has none."""
    ids: dict[str, set[str]] = {"school": set(found.schools["school_id"])}
    ids |= {name: set(found.schools[name].drop_nulls()) for name in ("township", "cluster", "area_type")}
    if found.teachers is not None:
        ids["teacher"] = set(found.teachers["teacher_id"])
    for row, (kind, unit) in enumerate(zip(unit_types, file.table["unit_id"], strict=True)):
        if kind == "area":
            continue
        if unit is None:
            file.refuse("register_blank", row, "unit_id")
        if kind in ids and unit not in ids[kind]:
            file.refuse(
                "register_id_unknown", row, "unit_id", value=unit, register="teachers.csv" if kind == "teacher" else "schools.csv"
            )


def read_registers(folder: Path, *, measures: Collection[str] = ()) -> Registers:
    """Read a registers folder: schools.csv, and as far as they are there teachers.csv, school_events.csv, heads.csv,
    targets.csv and packs.toml.

    Parameters
    ----------
    folder
        The registers folder.
    measures
        Ids of local measures that targets may name beside the shipped ones.

    Returns
    -------
    Registers
        Typed frames; blank is null.

    Raises
    ------
    SettingsError
        ``register_missing``, ``register_unreadable``, ``settings_encoding``, ``register_column_unknown``,
        ``register_column_twice``, ``register_column_missing``, ``register_blank``, ``register_duplicate``, ``register_value``,
        ``register_date``, ``register_number``, ``register_dates_reversed``, ``register_id_unknown``,
        ``register_event_repeated``, ``register_event_sizes``, ``register_event_after_end``, ``register_event_exists``,
        ``register_tenures_overlap``, ``register_target_twice``, ``register_measure_unknown``, and those of packs.toml; each
        names file, row and column.

    Examples
    --------
    >>> from eduq.resources import sample_data_path
    >>> found = read_registers(sample_data_path() / "registers")
    >>> found.schools.height, found.heads.height, found.targets["direction"].unique().sort().to_list()
    (45, 50, ['down', 'up'])
    """
    path = Path(folder) / "schools.csv"
    if not path.is_file():
        raise SettingsError("register_missing", Place(file="schools.csv"))
    schools = _schools(path)
    ids = set(schools["school_id"])
    teachers, events, heads, targets, packs = (
        path.with_name(name) for name in ("teachers.csv", "school_events.csv", "heads.csv", "targets.csv", "packs.toml")
    )
    found = Registers(
        schools=schools,
        teachers=_teachers(teachers, ids) if teachers.is_file() else None,
        events=_events(events, ids) if events.is_file() else None,
        heads=_heads(heads, ids) if heads.is_file() else None,
        packs=read_statements(packs) if packs.is_file() else {},
    )
    if not targets.is_file():
        return found
    return Registers(**vars(found) | {"targets": _targets(targets, found, measures)})
