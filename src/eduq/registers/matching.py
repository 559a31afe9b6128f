"""How schools of score files find their entry in the register: by id, name or declared alias, never by likeness."""

from __future__ import annotations

import dataclasses
import difflib
import unicodedata

import polars as pl

from eduq.errors import DataFileError, Place, SettingsError
from eduq.intake.score_table import ScoreTable
from eduq.registers.model import Registers
from eduq.tables import CHECKS

__all__ = ["apply_registers"]

_LISTED = 20
_KEPT = ("school_id", "name", "township", "cluster", "area_type")


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
    gone = pl.lit(False) if held is None else (pl.col("valid_to") < held).fill_null(False)
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
