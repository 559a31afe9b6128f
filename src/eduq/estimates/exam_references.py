"""An exam beside declared values from outside (province means): the area, and its schools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import polars as pl

from eduq.errors import Place, SettingsError
from eduq.estimates.comparison import Reference, References, compare_units
from eduq.estimates.intervals import normal_quantile
from eduq.estimates.measures import Measure
from eduq.intake.exam_file import ExamFile
from eduq.settings import RunSettings
from eduq.tables import COMPARISONS

__all__ = ["OUTSIDE", "REFERENCE_LINES", "ExamReferences", "compare_references"]

OUTSIDE = "reference"
"""``peer_group`` of a comparison with a declared value."""
_KINDS = ("mean", "proportion")
_OF_PAPER = ("comparison_group", "subject", "paper", "measure")
REFERENCE_LINES: dict[str, pl.DataType] = {
    **dict.fromkeys(_OF_PAPER, pl.String()),
    "n": pl.Int64(),
    **dict.fromkeys(("estimate", "ci_lower", "ci_upper", "reference", "reference_se"), pl.Float64()),
    "reference_source": pl.String(),
    **dict.fromkeys(("difference", "difference_lower", "difference_upper"), pl.Float64()),
}
"""The area beside a declared value; ``reference_se`` is null where the value is taken as exactly known."""


@dataclass(frozen=True)
class ExamReferences:
    """Declared values and what is set beside them.

    Attributes
    ----------
    area
        `REFERENCE_LINES`.
    units
        `eduq.tables.COMPARISONS` with peer_group ``reference``: the schools, each measure a family of tests.
    """

    area: pl.DataFrame
    units: pl.DataFrame


def _check(references: References, measures: Mapping[str, Measure]) -> None:
    fit = sorted(name for name, measure in measures.items() if measure.kind in _KINDS)
    for line in references.lines:
        if line.measure not in fit:
            place = Place(file=references.file)
            raise SettingsError("analyze_reference_measure", place, measure=line.measure, known=", ".join(fit))


def _refuse_unused(references: References, exam: ExamFile, subjects: Sequence[str]) -> NoReturn:
    facts = exam.exam
    said = {"year_group": facts.year_group or "–", "school_year": facts.school_year or "–", "subjects": ", ".join(subjects)}
    raise SettingsError("analyze_reference_unused", Place(file=references.file), n=len(references.lines), **said)


def _find(references: References, item: Mapping[str, Any], exam: ExamFile) -> Reference | None:
    facts = exam.exam
    year_group = None if facts.year_group is None else str(facts.year_group)
    return references.find(item["measure"], item["subject"], year_group, facts.school_year)


def compare_references(
    estimates: pl.DataFrame,
    references: References,
    *,
    exam: ExamFile,
    unit_type: str,
    measures: Mapping[str, Measure],
    settings: RunSettings,
) -> ExamReferences:
    """Set the area and its units beside declared values, where one fits the measure, subject, year group and school year.

    The difference of the area has the bounds of its own interval, joined with the error of the declared value where it has one:
    d − √((x − l)² + (z·s_ref)²).

    Parameters
    ----------
    estimates
        EstimateTable of the exam.
    references
        Declared values.
    exam
        For its year group and school year.
    unit_type
        Units set beside the values: school or class.
    measures
        Definitions of the run by id: means and shares can be set beside an outside value.
    settings
        ``conf_level`` and ``min_n_reporting``.

    Raises
    ------
    SettingsError
        ``analyze_reference_measure``: a declared value of a measure that is not computed, or no mean or share.
        ``analyze_reference_unused``: no declared value is for this exam.
    """
    _check(references, measures)
    names = {line.measure for line in references.lines}
    area = estimates.filter(pl.col("unit_type") == "area", pl.col("measure").is_in(names), pl.col("estimate").is_not_null())
    lines, declared = [], []
    for item in area.iter_rows(named=True):
        line = _find(references, item, exam)
        if line is None:
            continue
        apart = item["estimate"] - line.value
        error = normal_quantile(settings.conf_level) * (line.std_error or 0.0)
        bounds: list[float | None] = [None, None]
        if item["ci_lower"] is not None:
            sides = (item["estimate"] - item["ci_lower"], item["ci_upper"] - item["estimate"])
            bounds = [apart - float(np.hypot(sides[0], error)), apart + float(np.hypot(sides[1], error))]
        place = [item[name] for name in _OF_PAPER]
        said = [line.value, line.std_error, line.source]
        lines.append((*place, *(item[name] for name in ("n", "estimate", "ci_lower", "ci_upper")), *said, apart, *bounds))
        declared.append((item["comparison_group"], item["paper"], item["measure"], *said))
    if not lines and not area.is_empty():
        known = sorted(set(estimates.filter(pl.col("unit_type") == "area")["subject"]))
        _refuse_unused(references, exam, known)
    schema = {name: REFERENCE_LINES[name] for name in REFERENCE_LINES}
    keys = ["comparison_group", "paper", "measure"]
    values = pl.DataFrame(
        declared,
        schema=dict.fromkeys(keys, pl.String)
        | {"reference": pl.Float64, "reference_se": pl.Float64, "reference_source": pl.String},
        orient="row",
    )
    units = estimates.filter(pl.col("unit_type") == unit_type, pl.col("n") >= settings.min_n_reporting).join(values, on=keys)
    return ExamReferences(
        area=pl.DataFrame(lines, schema=schema, orient="row"),
        units=_compare_units(units, measures, references.file, settings).select(
            pl.col(name).cast(kind) for name, kind in COMPARISONS.items()
        ),
    )


def _compare_units(units: pl.DataFrame, measures: Mapping[str, Measure], source: str, settings: RunSettings) -> pl.DataFrame:
    """Return the units beside the declared values; every measure is one family of tests."""
    cell = ["comparison_group", "paper", "measure"]
    tables = [pl.DataFrame(schema=COMPARISONS)]
    for measure in units["measure"].unique().sort():
        rate = measures[measure].kind == "proportion"
        rows = units.filter(pl.col("measure") == measure, pl.col("estimate").is_not_null())
        able = rows if rate else rows.filter(pl.col("std_error") > 0)
        if able.is_empty():
            continue
        given = able.select(
            "unit", *cell, "estimate", "n", *([] if rate else ["std_error"]), pl.col("reference").alias("_value"),
            pl.col("reference_se").fill_null(0.0).alias("_value_se"),
        )  # fmt: skip
        found = compare_units(
            given, unit="unit", family=cell, rate=rate, reference="_value", reference_se="_value_se", reference_source=source,
            level=settings.conf_level, min_n=max(settings.min_n_ranking, settings.min_n_reporting),
        ).frame  # fmt: skip
        kept = [name for name in found.columns if name in COMPARISONS and name != "peer_group"]
        facts = able.select("unit", *cell, "unit_type", "exam_id", "subject", "reference", "reference_source")
        named = found.select(kept).join(facts, on=["unit", *cell], how="left", maintain_order="left")
        ranked_out = pl.when(pl.col("reason") == "below_min_n").then(pl.lit("below_min_n_ranking")).otherwise("reason")
        tables.append(named.with_columns(pl.lit(OUTSIDE).alias("peer_group"), ranked_out.alias("reason")))
    return pl.concat(tables, how="diagonal")
