"""Small exams and archives for the tests of the archive."""

from __future__ import annotations

import atexit
import dataclasses
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
from tests.builders import build_scores

from eduq.archive import Archive, create_archive, open_archive
from eduq.intake import ScoreTable
from eduq.registers import Registers
from eduq.registers.model import SCHOOL_COLUMNS
from eduq.tables import CHECKS, INPUTS, ITEMS, REJECTED

PUPILS = 12
PAPERS = {"math": 100.0, "english": 120.0}


def uid(number: int) -> str:
    """An id that could be somebody's: a 学籍号 holds the number of an identity card."""
    return f"G11010120100101{number:04d}"


def small_exam(exam_id: str = "2025-1-g9-final", *, shift: int = 0, pupils: int = PUPILS, date: str = "2026-01-15") -> ScoreTable:
    """An exam of a few pupils in two schools; `shift` changes one score."""
    rows: list[dict[str, Any]] = [
        {
            "exam_id": exam_id,
            "candidate_id": f"K{770000 + number}",
            "person_id": uid(number),
            "school_id": "AB"[number % 2],
            "class_id": "1班",
            "year_group": "G9",
            "source_file": "全县.csv",
            "math": 50 + number + (shift if number == 0 else 0),
            "english": "absent" if number == 3 else 60 + number,
        }
        for number in range(pupils)
    ]
    facts = {"exam": {"id": exam_id, "name": "期末", "school_year": "2025-2026", "term": 1, "date": date, "year_group": "G9"}}
    table = build_scores(rows, full=PAPERS, exam=facts)
    reject = {"file": "全县.csv", "sheet": None, "row": 99, "column": "数学", "code": "cell_error", "value": "绝密原值"}
    check = dict.fromkeys(CHECKS) | {"code": "ids_tidied", "level": "info", "file": "全县.csv", "n": 1}
    file = {"file": "全县.csv", "sha256": f"{shift:064d}", "bytes": 10, "encoding": "utf-8", "used": pupils, "rejected": 1}
    items = [
        {"exam_id": exam_id, "candidate_id": f"K{770000 + number}", "paper": "math", "item": "1", "score": 100 * (number % 5)}
        for number in range(pupils)
    ]
    return dataclasses.replace(
        table,
        rejected=pl.DataFrame([reject], schema=REJECTED),
        checks=pl.DataFrame([check], schema=CHECKS),
        inputs=pl.DataFrame([{**file, "rows": pupils + 1}], schema=INPUTS),
        items=pl.DataFrame(items, schema=ITEMS),
    )


def small_registers(*names: str) -> Registers:
    """Registers of schools A and B."""
    lines = [{"school_id": code, "name": name} for code, name in zip("AB", names or ("一中", "二中"), strict=True)]
    return Registers(schools=pl.DataFrame(lines, schema=SCHOOL_COLUMNS))


@cache
def _template() -> Path:
    """An empty archive made once in a process: making its tables takes longer than most tests."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    create_archive(folder / "archive", key_file=folder / "archive.key")
    return folder


def new_archive(folder: Path) -> Archive:
    """An empty archive with its key beside it."""
    shutil.copytree(_template(), folder, dirs_exist_ok=True)
    return open_archive(folder / "archive", key_file=folder / "archive.key")


def without_ids(frame: pl.DataFrame) -> pl.DataFrame:
    """A score table without what the archive changes."""
    return frame.drop("candidate_id", "person_id")


def stored_text(folder: Path) -> str:
    """All that lies in a folder as text: bytes of every file, and Parquet files decoded, since they are compressed."""
    parts = []
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            parts.append(file.read_bytes().decode("utf-8", "replace"))
            if ".parquet" in file.name:
                frame = pl.read_parquet(file)
                plain = frame.select(name for name, kind in frame.schema.items() if not kind.is_nested())
                parts.append(plain.write_csv())
    return "\n".join(parts)
