"""Registers: the schools (with their other names) and who teaches which class; read from a folder of CSV files."""

from __future__ import annotations

import dataclasses
import difflib
import io
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from eduq.errors import DataFileError, Place, SettingsError
from eduq.intake.score_table import ScoreTable
from eduq.intake.synonyms import normalise_header, vocabulary
from eduq.resources import read_toml
from eduq.tables import CHECKS

__all__ = ["Registers", "apply_registers", "read_registers"]

_SCHOOL_COLUMNS = (
    "school_id", "name", "aliases", "township", "cluster", "area_type", "stage", "kind", "enrolment", "small_school",
    "pair_id", "valid_from", "valid_to",
)  # fmt: skip
_TEACHER_COLUMNS = ("teacher_id", "name", "school_id", "class_id", "subject", "school_year", "term", "share")
_OF_FIELD = {
    "school_code": "school_id", "school": "name", "location_type": "area_type", "school_kind": "kind",
    "admin_class": "class_id", "subject_long": "subject", "teacher": "name",
}  # fmt: skip
_AREA_TYPES = {
    "urban": "urban", "town": "town", "rural": "rural", "城区": "urban", "城市": "urban", "城镇": "town", "镇区": "town",
    "县镇": "town", "乡镇": "town", "乡村": "rural", "农村": "rural",
}  # fmt: skip
_LISTED = 20
_KEPT = ("school_id", "name", "township", "cluster", "area_type")


@dataclass(frozen=True)
class Registers:
    """What a registers folder holds.

    Attributes
    ----------
    schools
        school_id, name, aliases (``;`` between them), township, cluster, area_type (urban, town, rural), stage, kind,
        enrolment, small_school, pair_id, valid_from, valid_to; all String, blank is null.
    teachers
        teacher_id, name, school_id, class_id, subject (code), school_year, term, share; null when there is no such file.
    """

    schools: pl.DataFrame
    teachers: pl.DataFrame | None

    def teachers_of(self, school_year: str | None, term: int | None) -> pl.DataFrame | None:
        """Return who taught in a school year and term; entries without one hold for every year and term."""
        if self.teachers is None:
            return None
        in_year = pl.col("school_year").is_null() | (pl.lit(school_year is None) | (pl.col("school_year") == school_year))
        in_term = pl.col("term").is_null() | (pl.lit(term is None) | (pl.col("term") == str(term)))
        return self.teachers.filter(in_year & in_term)


def _canonical(header: str, allowed: tuple[str, ...]) -> str | None:
    """Return the register column a header stands for: its own name, a register word or a field of the synonym file."""
    plain, _ = normalise_header(header)
    if plain in allowed:
        return plain
    synonyms = read_toml("intake", "header_synonyms.toml")
    for name, words in synonyms["register_fields"].items():
        if plain in words and name in allowed:
            return str(name)
    for name, entry in synonyms["fields"].items():
        if plain in [*entry.get("seen", []), *entry.get("extra", [])]:
            column = _OF_FIELD.get(name, name)
            return column if column in allowed else None
    return None


def _read(path: Path, allowed: tuple[str, ...], required: tuple[str, ...]) -> pl.DataFrame:
    place = Place(file=path.name)
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SettingsError("settings_encoding", place) from None
    try:
        raw = pl.read_csv(io.StringIO(content), infer_schema=False)
    except pl.exceptions.PolarsError:
        raise SettingsError("register_unreadable", place) from None
    names = {header: _canonical(header, allowed) for header in raw.columns}
    for header, name in names.items():
        if name is None:
            raise SettingsError(
                "register_column_unknown", Place(path.name, column=header), column=header, known=", ".join(allowed)
            )
    columns = [name for name in names.values() if name]
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice:
        raise SettingsError("register_column_twice", place, column=twice)
    for name in required:
        if name not in columns:
            raise SettingsError("register_column_missing", place, column=name)
    table = raw.rename({header: name for header, name in names.items() if name}).with_columns(pl.all().str.strip_chars())
    table = table.with_columns(pl.when(pl.all() != "").then(pl.all()))
    for name in required:
        blank = table[name].is_null().arg_max() if table[name].null_count() else None
        if blank is not None:
            raise SettingsError("register_blank", Place(path.name, row=blank + 2, column=name))
    return table.with_columns(
        [pl.lit(None, dtype=pl.String).alias(name) for name in allowed if name not in table.columns]
    ).select(allowed)


def read_registers(folder: Path) -> Registers:
    """Read schools.csv and, if there, teachers.csv.

    Parameters
    ----------
    folder
        The registers folder; its other registers are left to the commands that use them.

    Raises
    ------
    SettingsError
        ``register_missing``, ``register_unreadable``, ``settings_encoding``, ``register_column_unknown``,
        ``register_column_twice``, ``register_column_missing``, ``register_blank``, ``register_duplicate`` or ``register_value``.
    """
    path = Path(folder) / "schools.csv"
    if not path.is_file():
        raise SettingsError("register_missing", Place(file="schools.csv"))
    schools = _read(path, _SCHOOL_COLUMNS, ("school_id", "name"))
    repeated = schools["school_id"].is_duplicated().arg_max()
    if repeated is not None and schools["school_id"].is_duplicated().any():
        raise SettingsError(
            "register_duplicate", Place(path.name, row=repeated + 2, column="school_id"), value=schools["school_id"][repeated]
        )
    for row, value in enumerate(schools["area_type"]):
        if value is not None and value not in _AREA_TYPES:
            raise SettingsError(
                "register_value", Place(path.name, row=row + 2, column="area_type"), value=value, known=", ".join(_AREA_TYPES)
            )
    schools = schools.with_columns(pl.col("area_type").replace_strict(_AREA_TYPES, default=None, return_dtype=pl.String))
    teachers_path = path.with_name("teachers.csv")
    teachers = None
    if teachers_path.is_file():
        teachers = _read(teachers_path, _TEACHER_COLUMNS, ("teacher_id", "school_id", "class_id", "subject"))
        words = vocabulary()
        subjects = {value: words.subject(value) for value in teachers["subject"].unique()}
        for row, value in enumerate(teachers["subject"]):
            if subjects[value] is None:
                raise SettingsError(
                    "register_value",
                    Place("teachers.csv", row=row + 2, column="subject"),
                    value=value,
                    known=", ".join(words.subjects),
                )
        teachers = teachers.with_columns(pl.col("subject").replace_strict(subjects, return_dtype=pl.String))
    return Registers(schools=schools, teachers=teachers)


def _fold(name: str) -> str:
    return unicodedata.normalize("NFKC", name).replace(" ", "").lower()


def _index_names(schools: pl.DataFrame) -> dict[str, str]:
    """Return every id, name and alias (folded) with the school it means."""
    index: dict[str, str] = {}
    for row in schools.iter_rows(named=True):
        aliases = (row["aliases"] or "").replace("；", ";").split(";")
        for name in {_fold(word) for word in (row["school_id"], row["name"], *aliases) if word.strip()}:
            if index.setdefault(name, row["school_id"]) != row["school_id"]:
                raise SettingsError(
                    "register_ambiguous", Place(file="schools.csv"), name=name, first=index[name], second=row["school_id"]
                )
    return index


def _nearest(name: str, known: list[str]) -> str | None:
    """Return the known name to show beside an unknown one: one that contains it or lies in it, else the most alike."""
    inside = [other for other in known if name in other or other in name]
    near = difflib.get_close_matches(name, inside or known, n=1, cutoff=0.0 if inside else 0.5)
    return near[0] if near else None


def apply_registers(scores: ScoreTable, registers: Registers) -> ScoreTable:
    """Give every row the school_id of the register, and the schools their register entries.

    A school is found by its id, its name or a declared alias; nothing is matched by likeness.

    Raises
    ------
    SettingsError
        ``register_ambiguous``: one name means two schools.
    DataFileError
        ``school_not_in_register``: lists the schools of the files that the register does not know, with the nearest names.
    """
    index = _index_names(registers.schools)
    found: dict[str, str] = {}
    unknown: list[str] = []
    for row in scores.schools.iter_rows(named=True):
        school = index.get(_fold(row["school_id"])) or (index.get(_fold(row["name"])) if row["name"] else None)
        if school is None:
            unknown.append(row["name"] or row["school_id"])
        else:
            found[row["school_id"]] = school
    if unknown:
        names = registers.schools["name"].to_list()
        lines = [f"{name} → {near}?" if (near := _nearest(name, names)) else name for name in unknown[:_LISTED]]
        lines += ["…"] if len(unknown) > _LISTED else []
        raise DataFileError("school_not_in_register", Place(file="schools.csv"), n=len(unknown), schools="; ".join(lines))
    frame = scores.frame.with_columns(pl.col("school_id").replace_strict(found, return_dtype=pl.String))
    present = set(found.values())
    schools = registers.schools.filter(pl.col("school_id").is_in(present)).select(_KEPT).sort("school_id")
    held = scores.exam.exam.date
    gone = pl.lit(False) if held is None else (pl.col("valid_to") < str(held)).fill_null(False)
    idle = registers.schools.filter(~gone & ~pl.col("school_id").is_in(present)).height
    checks = scores.checks
    if idle:
        line = dict.fromkeys(CHECKS) | {
            "code": "schools_without_rows",
            "level": "notice",
            "file": "schools.csv",
            "n": idle,
        }
        checks = pl.concat([checks, pl.DataFrame([line], schema=CHECKS)])
    return dataclasses.replace(scores, frame=frame, schools=schools, checks=checks)
