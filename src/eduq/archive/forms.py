"""ScoreTable and Registers as the archive stores them, and back."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_type_hints

import polars as pl
from pydantic import TypeAdapter

from eduq.archive.content import canonical
from eduq.archive.keys import KeyChain
from eduq.intake.exam_file import ExamFile
from eduq.intake.score_table import ScoreTable
from eduq.registers import Registers
from eduq.tables import CHECKS, INPUTS, REJECTED, STATUS_TYPE

__all__ = [
    "CANDIDATE",
    "EXAM_COLUMNS",
    "FILE_STRUCT",
    "PLAIN_TABLES",
    "HashedIds",
    "exam_frames",
    "person_kind",
    "registers_frame",
    "restore_registers",
    "restore_types",
]

CANDIDATE = "candidate"
"""Kind of a candidate_id, which is an id within one exam."""
PLAIN_TABLES = ("rejected", "checks", "inputs", "schools", "item_spec", "aggregates")
"""Tables stored as intake gave them (the values of rejected rows left out)."""

FILE_STRUCT = pl.Struct(
    {
        "file": pl.String(),
        "sha256": pl.String(),
        "bytes": pl.Int64(),
        "rows": pl.Int64(),
        "used": pl.Int64(),
        "rejected": pl.Int64(),
    }
)
EXAM_COLUMNS: dict[str, Any] = {
    "exam_id": pl.String(),
    "name": pl.String(),
    "school_year": pl.String(),
    "term": pl.Int64(),
    "date": pl.Date(),
    "year_group": pl.String(),
    "scope": pl.String(),
    "purpose": pl.String(),
    "n_candidates": pl.Int64(),
    "n_schools": pl.Int64(),
    "n_rejected": pl.Int64(),
    "n_forgotten": pl.Int64(),
    "files": pl.String(),
    "exam": pl.String(),
    "code_version": pl.String(),
}
"""The table ``exams``; ``files`` and ``exam`` (the whole exam.toml as resolved) are JSON."""
_DTYPES: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        pl.String, pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.Float32, pl.Float64,
        pl.Boolean, pl.Date, pl.Null,
    )
}  # fmt: skip
_CHUNK = 25_000  # the writer keeps several pieces in memory


def person_kind(exam: ExamFile) -> str:
    """Return the kind of id that person_id is."""
    return exam.exam.stable_id or "student_uid"


class HashedIds:
    """The rows of scores and items with keyed hashes for ids; each id is hashed once."""

    def __init__(self, scores: ScoreTable, chain: KeyChain) -> None:
        self._scores = scores
        self._candidates = chain.hash_ids(CANDIDATE, scores.frame["candidate_id"])
        self._persons = chain.hash_ids(person_kind(scores.exam), scores.frame["person_id"])
        names = scores.items["candidate_id"].unique(maintain_order=True)
        self._item_names, self._item_hashes = names, chain.hash_ids(CANDIDATE, names).bin.encode("hex")

    def scores(self) -> Iterator[pl.DataFrame]:
        """Yield the score rows some at a time."""
        frame = self._scores.frame
        for start in range(0, max(frame.height, 1), _CHUNK):
            piece = slice(start, start + _CHUNK)
            hashed = [
                ids[piece].bin.encode("hex").alias(name)
                for name, ids in (("candidate_id", self._candidates), ("person_id", self._persons))
            ]
            yield frame[piece].with_columns(hashed)

    def items(self) -> Iterator[pl.DataFrame]:
        """Yield the item rows some at a time."""
        items = self._scores.items
        for start in range(0, max(items.height, 1), _CHUNK):
            ids = pl.col("candidate_id").replace_strict(self._item_names, self._item_hashes, return_dtype=pl.String)
            yield items[start : start + _CHUNK].with_columns(ids if items.height else pl.col("candidate_id"))


def exam_frames(scores: ScoreTable, code_version: str) -> dict[str, pl.DataFrame]:
    """Return every stored table of an exam but scores and items."""
    exam, facts = scores.exam, scores.exam.exam
    line = {
        **{name: getattr(facts, name) for name in ("name", "school_year", "term", "date", "year_group", "scope", "purpose")},
        "exam_id": facts.id,
        "n_candidates": scores.frame.height,
        "n_schools": scores.frame["school_id"].n_unique(),
        "n_rejected": scores.rejected.height,
        "n_forgotten": 0,
        "files": canonical(scores.inputs.select(list(INPUTS)).sort("file", "sha256").to_dicts()),
        "exam": canonical(exam.model_dump(mode="json", by_alias=True)),
        "code_version": code_version,
    }
    papers = [
        {"paper_id": f"{facts.id}.{paper.code}", "paper": paper.code, **paper.model_dump(exclude={"code"})}
        for paper in exam.papers
    ]
    kinds = dict.fromkeys(("paper_id", "paper", "subject", "sitting", "marking"), pl.String)
    marks = dict.fromkeys(("max_score", "score_step", "weight"), pl.Float64)
    return {
        "exams": pl.DataFrame([line], schema=EXAM_COLUMNS),
        "papers": pl.DataFrame(papers, schema={**kinds, **marks}),
        "rejected": scores.rejected.select(name for name in REJECTED if name != "value"),
        **{name: getattr(scores, name) for name in PLAIN_TABLES if name != "rejected"},
    }


def restore_types(frame: pl.LazyFrame, table: str, columns: Iterable[tuple[str, str]]) -> pl.LazyFrame:
    """Give columns the types they had before they were stored."""
    casts = []
    for name, kind in columns:
        if kind == "Null":
            casts.append(pl.lit(None).alias(name))
        elif kind == "Enum":
            casts.append(pl.col(name).cast(CHECKS["level"] if table == "checks" else STATUS_TYPE))
        else:
            casts.append(pl.col(name).cast(_DTYPES[kind]))
    return frame.with_columns(casts)


def registers_frame(registers: Registers) -> pl.DataFrame:
    """Return registers as stored: one line per register, its content as JSON, whatever columns it has."""
    hints = get_type_hints(type(registers))
    lines = []
    for field in dataclasses.fields(registers):
        value = getattr(registers, field.name)
        if value is None:
            continue
        if isinstance(value, pl.DataFrame):
            content = {
                "columns": [[name, str(kind)] for name, kind in value.schema.items()],
                "values": value.to_dict(as_series=False),
            }
            kind, n_rows = "table", value.height
        else:
            content = TypeAdapter(hints[field.name]).dump_python(value, mode="json", by_alias=True)
            kind, n_rows = "value", len(value) if isinstance(value, Mapping) else 0
        lines.append({"register": field.name, "form": kind, "n_rows": n_rows, "content": canonical(content)})
    schema = {"register": pl.String, "form": pl.String, "n_rows": pl.Int64, "content": pl.String}
    return pl.DataFrame(lines, schema=schema)


def restore_registers(frame: pl.DataFrame) -> Registers:
    """Return registers from their stored lines; a register that was not there is what `Registers` has for it."""
    hints = get_type_hints(Registers)
    found: dict[str, Any] = {}
    for line in frame.iter_rows(named=True):
        if line["register"] not in hints:
            continue
        content = json.loads(line["content"])
        known = TypeAdapter(hints[line["register"]]) if line["form"] == "value" else None
        found[line["register"]] = _restore_table(content) if known is None else known.validate_python(content)
    for field in dataclasses.fields(Registers):
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required:
            found.setdefault(field.name, None)
    return Registers(**found)


def _restore_table(content: dict[str, Any]) -> pl.DataFrame:
    columns = []
    for name, kind in content["columns"]:
        values = content["values"][name]
        if kind == "Date":
            values = [None if value is None else dt.date.fromisoformat(value) for value in values]
        inner = kind.removeprefix("List(").removesuffix(")")
        columns.append(pl.Series(name, values, dtype=pl.List(_DTYPES[inner]) if inner != kind else _DTYPES[kind]))
    return pl.DataFrame(columns)
