"""What is known of teachers and classes, before an addressee is chosen."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl

from eduq.estimates.teaching.classes import RATES
from eduq.estimates.teaching.pooling import pool_classes
from eduq.intake.exam_file import ExamFile
from eduq.settings import RunSettings
from eduq.tables import TEACHING

__all__ = ["TeachingTable"]

_OF_CLASS = ("teacher_id", "school_id", "class_id", "class_kind", "subject", "paper", "comparison_group", "combination", "share",
             "n_expected", "n_present")  # fmt: skip
_REFERENCE = ("n_like", "reference", "reference_q1", "reference_q3")
Line = dict[str, Any]


@dataclass(frozen=True)
class TeachingTable:
    """Teachers, classes and papers of one exam; not to be handed on as it is.

    Attributes
    ----------
    classes
        One line per class, comparison group and paper (`eduq.estimates.teaching.likeness.add_references`).
    links
        Who taught which (`eduq.estimates.teaching.links.LINKS`).
    exam
        exam.toml as resolved.
    names
        ``schools``: school_id, name; ``teachers``: teacher_id, name, where the register has names.
    settings
        Of the run.
    growth
        `eduq.tables.GROWTH` of classes, or None.
    """

    classes: pl.DataFrame = field(repr=False)
    links: pl.DataFrame = field(repr=False)
    exam: ExamFile = field(repr=False)
    names: dict[str, pl.DataFrame] = field(repr=False)
    settings: RunSettings = field(repr=False)
    growth: pl.DataFrame | None = field(default=None, repr=False)

    @cached_property
    def _lines(self) -> list[Line]:
        """The lines of `classes` in order."""
        return self.classes.to_dicts()

    @cached_property
    def of_teacher(self) -> dict[str, list[tuple[Line, float]]]:
        """Per teacher the lines of the classes taught, with the share."""
        keys = ["class_kind", "unit", "paper"]
        placed = self.links.join(self.classes.with_row_index("line").select("line", *keys), on=keys).sort("teacher_id", "line")
        found: dict[str, list[tuple[Line, float]]] = {}
        for teacher, line, share in placed.select("teacher_id", "line", "share").iter_rows():
            found.setdefault(teacher, []).append((self._lines[line], share))
        return found

    @cached_property
    def of_class(self) -> dict[str, list[Line]]:
        """Per administrative class (``school/class``) its lines."""
        found: dict[str, list[Line]] = {}
        for line in self._lines:
            if line["class_kind"] == "administrative":
                found.setdefault(line["unit"], []).append(line)
        return found

    @cached_property
    def school_names(self) -> dict[str, str | None]:
        """Names of schools by id."""
        return dict(self.names["schools"].iter_rows())

    @cached_property
    def teacher_names(self) -> dict[str, str]:
        """Names of teachers by id, where the register has them."""
        people = self.names.get("teachers")
        return {} if people is None else dict(people.iter_rows())

    @cached_property
    def growth_of(self) -> dict[str, list[Line]]:
        """Per class its multilevel growth, where there is a number with an interval."""
        found: dict[str, list[Line]] = {}
        if self.growth is not None:
            known = self.growth.filter(unit_type="class", growth="multilevel").drop_nulls(["estimate", "ci_lower", "ci_upper"])
            for row in known.sort("paper", "unit", "comparison_group").iter_rows(named=True):
                found.setdefault(row["unit"], []).append(row)
        return found

    @cached_property
    def growth_units(self) -> dict[tuple[str, str | None], set[str]]:
        """Classes with growth per paper and comparison group."""
        found: dict[tuple[str, str | None], set[str]] = {}
        for unit, rows in self.growth_of.items():
            for row in rows:
                found.setdefault((row["paper"], row["comparison_group"]), set()).add(unit)
        return found

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The teacher-class-subject-term table, `eduq.tables.TEACHING`."""
        keys = ["class_kind", "unit", "paper"]
        lines = self.classes.join(self.links, on=keys, how="left", maintain_order="left")
        parts = [_of_mean(lines), _of_gap(lines), *(_of_rate(lines, name) for name in RATES), self._pooled()]
        facts = self.exam.exam
        level = self.settings.conf_level
        return (
            pl.concat(parts, how="diagonal_relaxed")
            .with_columns(
                pl.lit(facts.id).alias("exam_id"),
                pl.lit(facts.school_year).alias("school_year"),
                pl.lit(facts.term).alias("term"),
                pl.when(pl.col("ci_lower").is_not_null()).then(level).alias("conf_level"),
            )
            .select(pl.col(name).cast(kind) for name, kind in TEACHING.items())
            .sort("teacher_id", "paper", "class_kind", "school_id", "class_id", "comparison_group", "measure", nulls_last=True)
        )

    def _pooled(self) -> pl.DataFrame:
        rows: list[Line] = []
        for teacher, taught in self.of_teacher.items():
            for paper in dict.fromkeys(line["paper"] for line, _ in taught):
                own = [(line, share) for line, share in taught if line["paper"] == paper]
                lines, shares = [line for line, _ in own], [share for _, share in own]
                pooled = pool_classes(lines, shares, conf_level=self.settings.conf_level)
                base = {"teacher_id": teacher, "paper": paper, "subject": lines[0]["subject"], "share": sum(shares)}
                base |= {name: pooled[name] for name in ("n_expected", "n_present")}
                for name in ("school_id", "class_kind", "comparison_group", "combination"):
                    values = {line[name] for line in lines}
                    base[name] = values.pop() if len(values) == 1 else None
                rows.append(base | _number(pooled, "mean", "mean_score", pooled["n"], "no_candidates"))
                likes = {line["like"] for line in lines}
                reference = {name: lines[0][name] for name in _REFERENCE} if len(likes) == 1 else {}
                rows.append(base | reference | _number(pooled, "gap", "like_gap", pooled["gap_n"], pooled["gap_reason"]))
        return pl.DataFrame(rows, infer_schema_length=None) if rows else pl.DataFrame(schema=TEACHING)

    def summary(self) -> str:
        """Return one line of counts."""
        classes = self.classes.select("class_kind", "unit").unique().height
        return f"{self.exam.exam.id}: {len(self.of_teacher)} teachers, {classes} classes, {self.links.height} class papers taught"

    def __repr__(self) -> str:
        """Say what there is without a row of it."""
        return f"TeachingTable({self.summary()})"

    def _repr_html_(self) -> str:
        return f"<p>{self.summary()}</p>"


def _number(values: Line, field_: str, measure: str, n: int, reason: str | None) -> Line:
    missing = values[field_] is None
    return {
        "measure": measure,
        "n": n,
        "estimate": values[field_],
        "std_error": values[f"{field_}_se"],
        "ci_lower": values[f"{field_}_lower"],
        "ci_upper": values[f"{field_}_upper"],
        "method": None if missing else "pooled_by_share",
        "reason": reason if missing else None,
    }


def _of_mean(lines: pl.DataFrame) -> pl.DataFrame:
    return lines.select(
        *_OF_CLASS,
        pl.lit("mean_score").alias("measure"),
        "n",
        pl.col("mean").alias("estimate"),
        pl.col("mean_se").alias("std_error"),
        pl.col("mean_lower").alias("ci_lower"),
        pl.col("mean_upper").alias("ci_upper"),
        pl.when(pl.col("mean").is_not_null()).then(pl.lit("t")).alias("method"),
        pl.when(pl.col("mean").is_null()).then(pl.lit("no_candidates")).alias("reason"),
    )


def _of_gap(lines: pl.DataFrame) -> pl.DataFrame:
    return lines.select(
        *_OF_CLASS,
        pl.lit("like_gap").alias("measure"),
        "n",
        pl.col("gap").alias("estimate"),
        pl.col("gap_se").alias("std_error"),
        pl.col("gap_lower").alias("ci_lower"),
        pl.col("gap_upper").alias("ci_upper"),
        pl.when(pl.col("gap").is_not_null()).then(pl.lit("welch")).alias("method"),
        *_REFERENCE,
        pl.col("gap_reason").alias("reason"),
    )


def _of_rate(lines: pl.DataFrame, name: str) -> pl.DataFrame:
    missing = pl.col(name).is_null()
    return lines.select(
        *_OF_CLASS,
        pl.lit(name).alias("measure"),
        pl.col(f"{name}_n").alias("n"),
        pl.col(name).alias("estimate"),
        pl.col(f"{name}_se").alias("std_error"),
        pl.col(f"{name}_lower").alias("ci_lower"),
        pl.col(f"{name}_upper").alias("ci_upper"),
        pl.when(~missing).then(pl.lit("wilson")).alias("method"),
        pl.when(missing)
        .then(pl.when(pl.col("max_score").is_null()).then(pl.lit("max_score_unknown")).otherwise(pl.lit("not_computable")))
        .alias("reason"),
    )
