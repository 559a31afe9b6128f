"""Level measures (一分三率 and the rest) of every unit, with interval, base and reason: stage 4 for one exam."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.errors import UsageError
from eduq.estimates.across_papers import between_school_cv, composite_gaps, composite_sums
from eduq.estimates.level_context import METHODS, REASONS, LevelContext
from eduq.estimates.level_measures import measure_levels
from eduq.estimates.level_results import LevelResult
from eduq.estimates.measures import Measure, load_measures
from eduq.groups import COMPOSITE, EVERY_PAPER, TOTAL
from eduq.intake.exam_file import ExamFile
from eduq.intake.score_table import ScoreTable
from eduq.settings import UNIT_TYPES, RunSettings
from eduq.summaries import AREA_UNIT, CellTable, Summary, gather_cells, summarise
from eduq.tables import ESTIMATE_COLUMNS, SUBGROUP_PREFIX, EstimateTable

__all__ = [
    "build_context",
    "describe",
    "estimate_levels",
    "pass_cuts",
    "unit_columns",
    "unit_mapping",
    "unit_members",
]

_OF_SCHOOL = ("township", "cluster", "area_type")
_KEYS = ["unit", "comparison_group"]


def unit_columns(by: Sequence[str], frame_columns: Sequence[str]) -> dict[str, list[str]]:
    """Return the kinds of unit the rows must be counted by, with their columns, for the unit types asked for.

    Areas, townships, clusters and area types are sums of schools, teachers are sums of classes.

    Raises
    ------
    UsageError
        ``unit_type_unknown``.
    """
    subgroups = [column for column in frame_columns if column.startswith(SUBGROUP_PREFIX)]
    for name in by:
        if name not in UNIT_TYPES and name not in subgroups:
            raise UsageError("unit_type_unknown", unit_type=name, known=", ".join([*UNIT_TYPES, *subgroups]))
    columns: dict[str, list[str]] = {"school": ["school_id"]}
    if "class" in by or "teacher" in by:
        columns["class"] = ["school_id", "class_id"]
    if "sex" in by:
        columns["sex"] = ["sex"]
    columns |= {name: [name] for name in subgroups if name in by}
    return columns


def pass_cuts(exam: ExamFile, measures: Mapping[str, Measure]) -> dict[str, int] | None:
    """Return the pass mark of every paper in hundredths, or None when a full mark is unknown."""
    definition = measures.get("pass_rate") or load_measures()["pass_rate"]
    cuts = {}
    for paper in exam.papers:
        bounds = definition.score_range(paper.max_hundredths) if paper.max_hundredths else None
        if bounds is None:
            return None
        cuts[paper.code] = bounds[0]
    return cuts


def unit_members(
    unit_type: str, units: pl.DataFrame, schools: pl.DataFrame, teachers: pl.DataFrame | None
) -> pl.DataFrame | None:
    """Return unit_index, stratum, unit (and paper's subject for teachers): which counted unit belongs to which unit."""
    if unit_type == "area":
        return units.select("unit_index", "stratum", pl.lit(AREA_UNIT).alias("unit"))
    if unit_type in _OF_SCHOOL:
        placed = units.join(schools.select("school_id", pl.col(unit_type).alias("unit")), on="school_id").drop_nulls("unit")
        return placed.select("unit_index", "stratum", "unit") if placed.height else None
    if unit_type == "class":
        return units.select("unit_index", "stratum", pl.format("{}/{}", "school_id", "class_id").alias("unit"))
    if unit_type == "teacher":
        if teachers is None:
            return None
        return (
            units.join(teachers, on=["school_id", "class_id"])
            .select("unit_index", "stratum", pl.col("teacher_id").alias("unit"), "subject")
            .unique()
        )
    column = "school_id" if unit_type == "school" else unit_type
    return units.select("unit_index", "stratum", pl.col(column).alias("unit"))


def unit_mapping(members: pl.DataFrame, summary: Summary, subjects: Mapping[str, str]) -> pl.DataFrame:
    """Return unit_index, paper, unit, comparison_group; a teacher only has the papers of the subject taught."""
    if "subject" not in members.columns:
        return summary.mapping(members)
    linked = members.join(summary.comparability.links, on="stratum", maintain_order="left")
    taught = pl.col("paper").replace_strict(subjects, default=None, return_dtype=pl.String) == pl.col("subject")
    return linked.filter(taught).select("unit_index", "paper", *_KEYS)


def build_context(cells: CellTable, area: CellTable, summary: Summary, exam: ExamFile, settings: RunSettings) -> LevelContext:
    """Return what the measures of counted units are computed from."""
    groups = summary.comparability.frame.select("comparison_group", "comparable", "reason", "max_score")
    place = area.rows.select("comparison_group").with_row_index("place")
    aligned = cells.rows.join(groups, on="comparison_group", how="left", maintain_order="left").join(
        place, on="comparison_group", how="left", maintain_order="left"
    )
    return LevelContext(
        cells=cells,
        area=area,
        group=aligned["place"].cast(pl.Int64).to_numpy(),
        max_score=(aligned["max_score"].fill_null(0) * 100).round().cast(pl.Int64).to_numpy(),
        comparable=aligned["comparable"].to_numpy(),
        why_not=np.array([REASONS.index(reason or "") for reason in aligned["reason"]], dtype=np.int8),
        policy=exam.absence.policy,
        settings=settings,
    )


def _long(context: LevelContext, measures: Mapping[str, Measure]) -> pl.DataFrame:
    """Compute every measure of every row and lay them out row by row, measure by measure."""
    computed = [(name, measure_levels(context, name, measure)) for name, measure in measures.items()]
    names = [name for name, values in computed if values is not None]
    columns = [values for _, values in computed if values is not None]

    def lay_out(field: str) -> NDArray[Any]:
        stacked: NDArray[Any] = np.stack([getattr(column, field) for column in columns], axis=1).ravel()[applies]
        return stacked

    of_every_paper = context.cells.rows["paper"].to_numpy() == EVERY_PAPER
    # passing every paper has one measure of its own; every other measure is of a paper or the total
    applies = np.stack([of_every_paper == (name == "all_pass_rate") for name in names], axis=1).ravel()
    row = np.repeat(np.arange(context.cells.size), len(names))[applies]
    measure_index = np.tile(np.arange(len(names)), context.cells.size)[applies]
    rows: pl.DataFrame = context.cells.rows[row]
    return rows.with_columns(
        pl.Series("measure", names)[measure_index].alias("measure"),
        pl.Series("n_expected", context.cells.n_expected[row]),
        pl.Series("n_present", context.cells.n_present[row]),
        *(pl.Series(field, lay_out(field)) for field in ("n", "estimate", "std_error", "ci_lower", "ci_upper", "conf_level")),
        pl.Series("method", METHODS)[lay_out("method")].alias("method"),
        pl.Series("reason", REASONS)[lay_out("reason")].alias("reason"),
    )


def estimate_levels(
    summary: Summary,
    scores: ScoreTable,
    *,
    by: Sequence[str],
    settings: RunSettings,
    measures: Mapping[str, Measure],
    teachers: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Turn the sufficient statistics of an exam into its EstimateTable.

    Parameters
    ----------
    summary
        From `eduq.summaries.summarise`.
    scores
        For the exam, its papers and the schools' townships; rows are not read.
    by
        Unit types.
    settings
        Of the run.
    measures
        Definitions by id.
    teachers
        teacher_id, school_id, class_id, subject, when teachers are asked for.

    Returns
    -------
    pl.DataFrame
        `eduq.tables.EstimateTable`, in the order of unit types as asked, papers, comparison groups, units and measures.
    """
    exam = scores.exam
    subjects = {paper.code: paper.subject_code for paper in exam.papers}
    schools = summary.by["school"]
    has_composite = "composite_z" in measures and schools.composite.height > 0
    area_members = unit_members("area", schools.units, scores.schools, None)
    area_composite = (
        composite_sums(schools, summary.mapping(area_members)) if has_composite and area_members is not None else None
    )
    parts: list[pl.DataFrame] = []
    contexts: dict[str, LevelContext] = {}
    for unit_type in dict.fromkeys([*by, "school"] if "school_cv" in measures and "area" in by else by):
        source = summary.by["class"] if unit_type in ("class", "teacher") else summary.by.get(unit_type, schools)
        members = unit_members(unit_type, source.units, scores.schools, teachers)
        if members is None:
            continue
        mapping = unit_mapping(members, summary, subjects)
        if unit_type in ("area", "school"):
            cells = summary.area if unit_type == "area" else summary.schools
        else:
            cells = gather_cells(source.counts, mapping, policy=summary.policy)
        contexts[unit_type] = build_context(cells, summary.area, summary, exam, settings)
        if unit_type not in by:
            continue
        tables = [_long(contexts[unit_type], measures)]
        if area_composite is not None and unit_type != "teacher":
            tables.append(composite_gaps(source, mapping, area_composite, summary, exam, settings))
        parts.append(pl.concat(tables, how="diagonal").with_columns(pl.lit(unit_type).alias("unit_type")))
    if "school_cv" in measures and "area" in by:
        parts.insert(
            list(by).index("area") + 1,
            between_school_cv(contexts["school"], settings).with_columns(pl.lit("area").alias("unit_type")),
        )
    return _finish(parts, exam)


def _finish(parts: Sequence[pl.DataFrame], exam: ExamFile) -> pl.DataFrame:
    subjects = {paper.code: paper.subject_code for paper in exam.papers} | {
        name: name for name in (TOTAL, COMPOSITE, EVERY_PAPER)
    }
    table = pl.concat(parts, how="diagonal").with_columns(
        pl.lit(exam.exam.id).alias("exam_id"),
        pl.col("paper").replace_strict(subjects, return_dtype=pl.String).alias("subject"),
        pl.col("estimate", "std_error", "ci_lower", "ci_upper", "conf_level").fill_nan(None),
        pl.when(pl.col("reason") != "").then(pl.col("reason")).alias("reason"),
    )
    table = table.with_columns(pl.when(pl.col("estimate").is_not_null()).then(pl.col("method")).alias("method"))
    return EstimateTable.validate(table.select(pl.col(name).cast(kind) for name, kind in ESTIMATE_COLUMNS.items()))


def describe(
    scores: ScoreTable,
    *,
    by: str | Sequence[str] = "school",
    settings: RunSettings | None = None,
    measures: Mapping[str, Measure] | None = None,
    teachers: pl.DataFrame | None = None,
) -> LevelResult:
    """Give every level measure of every unit, with interval, base and, where a number cannot be given, the reason.

    Parameters
    ----------
    scores
        From `eduq.read_scores`.
    by
        Unit type or types: area, township, cluster, area_type, school, class, teacher, sex or ``sub_<name>``.
    settings
        Run settings; defaults when left out.
    measures
        Definitions by id, from `eduq.estimates.measures.load_measures`; all defaults when left out.
    teachers
        teacher_id, school_id, class_id, subject: needed for ``teacher``. Co-taught candidates count for each teacher.

    Returns
    -------
    LevelResult
        ``.frame``: unit_type, unit, exam_id, comparison_group, subject, paper, measure (String), n_expected, n_present, n
        (Int64, candidates), estimate, std_error, ci_lower, ci_upper, conf_level (Float64; marks, 0-1 or SD by measure),
        method, reason (String).

    Raises
    ------
    UsageError
        ``unit_type_unknown``.
    SettingsError
        exam.toml names a school or paper that the files do not have.

    Examples
    --------
    >>> import eduq as eq
    >>> from eduq.resources import sample_data_path
    >>> scores = eq.read_scores(sample_data_path() / "2025-2-g9-final")
    >>> area = eq.describe(scores, by="area").frame
    >>> area.filter(measure="mean_score", paper="math")["n"].sum() > 4000
    True
    """
    wanted = (by,) if isinstance(by, str) else tuple(by)
    run = settings or RunSettings()
    definitions = dict(measures) if measures is not None else load_measures(names=run.measures)
    columns = unit_columns(wanted, scores.frame.columns)
    summary = summarise(scores, by=columns, settings=run, pass_cuts=pass_cuts(scores.exam, definitions))
    frame = estimate_levels(summary, scores, by=wanted, settings=run, measures=definitions, teachers=teachers)
    return LevelResult(frame=frame, settings={"by": wanted, **run.model_dump()})
