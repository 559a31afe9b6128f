"""Level measures (一分三率 and the rest) of every unit, with interval, base and reason: stage 4 for one exam."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from eduq.errors import UsageError
from eduq.estimates.equity import corrected_cv
from eduq.estimates.intervals import student
from eduq.estimates.level_measures import METHODS, REASONS, LevelContext, measure_levels
from eduq.estimates.measures import Measure, load_measures
from eduq.estimates.results import EstimateResult
from eduq.groups import COMPOSITE, EVERY_PAPER, TOTAL
from eduq.intake.exam_file import ExamFile
from eduq.intake.score_table import ScoreTable
from eduq.settings import UNIT_TYPES, RunSettings
from eduq.summaries import AREA_UNIT, COMPOSITE_SCALE, CellTable, Summary, UnitSummary, gather_cells, summarise
from eduq.tables import ESTIMATE_COLUMNS, SUBGROUP_PREFIX, EstimateTable

__all__ = ["describe", "estimate_levels", "pass_cuts", "unit_columns"]

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


def _members(unit_type: str, units: pl.DataFrame, schools: pl.DataFrame, teachers: pl.DataFrame | None) -> pl.DataFrame | None:
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
        return units.join(teachers, on=["school_id", "class_id"]).select("unit_index", "stratum", pl.col("teacher_id").alias("unit"), "subject").unique()
    column = "school_id" if unit_type == "school" else unit_type
    return units.select("unit_index", "stratum", pl.col(column).alias("unit"))


def _mapping(members: pl.DataFrame, summary: Summary, subjects: Mapping[str, str]) -> pl.DataFrame:
    """Return unit_index, paper, unit, comparison_group; a teacher only has the papers of the subject taught."""
    if "subject" not in members.columns:
        return summary.mapping(members)
    linked = members.join(summary.comparability.links, on="stratum", maintain_order="left")
    taught = pl.col("paper").replace_strict(subjects, default=None, return_dtype=pl.String) == pl.col("subject")
    return linked.filter(taught).select("unit_index", "paper", *_KEYS)


def _full_marks(exam: ExamFile, names: pl.Series) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    full = {paper.code: paper.max_hundredths or 0 for paper in exam.papers}
    full[TOTAL] = sum(full.values()) if all(full.values()) else 0
    return names.replace_strict(full, default=0, return_dtype=pl.Int64).to_numpy()


def _context(cells: CellTable, area: CellTable, summary: Summary, exam: ExamFile, settings: RunSettings) -> LevelContext:
    groups = summary.comparability.frame.select("comparison_group", "comparable", "reason")
    place = area.rows.select("comparison_group").with_row_index("place")
    aligned = cells.rows.join(groups, on="comparison_group", how="left", maintain_order="left").join(place, on="comparison_group", how="left", maintain_order="left")
    return LevelContext(
        cells=cells,
        area=area,
        group=aligned["place"].cast(pl.Int64).to_numpy(),
        max_score=_full_marks(exam, cells.rows["paper"]),
        comparable=aligned["comparable"].to_numpy(),
        why_not=np.array([REASONS.index(reason or "") for reason in aligned["reason"]], dtype=np.int8),
        policy=exam.absence.policy,
        settings=settings,
    )


def _long(context: LevelContext, measures: Mapping[str, Measure]) -> pl.DataFrame:
    """Compute every measure of every row and lay them out row by row, measure by measure."""
    found = {name: columns for name, measure in measures.items() if (columns := measure_levels(context, name, measure)) is not None}
    names, columns = list(found), list(found.values())
    of_every_paper = context.cells.rows["paper"].to_numpy() == EVERY_PAPER
    # passing every paper has one measure of its own; every other measure is of a paper or the total
    applies = np.stack([of_every_paper == (name == "all_pass_rate") for name in names], axis=1).ravel()
    row = np.repeat(np.arange(context.cells.size), len(names))[applies]
    fields = {
        field: np.stack([getattr(column, field) for column in columns], axis=1).ravel()[applies]
        for field in ("n", "estimate", "std_error", "ci_lower", "ci_upper", "conf_level")
    }
    codes = {field: np.stack([getattr(column, field) for column in columns], axis=1).ravel()[applies] for field in ("method", "reason")}
    measure_index = np.tile(np.arange(len(names)), context.cells.size)[applies]
    return context.cells.rows[row].with_columns(
        pl.Series("measure", names)[measure_index].alias("measure"),
        pl.Series("n_expected", context.cells.n_expected[row]),
        pl.Series("n_present", context.cells.n_present[row]),
        *(pl.Series(field, value) for field, value in fields.items()),
        pl.Series("method", METHODS)[codes["method"]].alias("method"),
        pl.Series("reason", REASONS)[codes["reason"]].alias("reason"),
    )


def _composite_rows(unit: UnitSummary, mapping: pl.DataFrame) -> pl.DataFrame:
    sums = ["n_expected", "n_present", "n", "total", "squares"]
    here = mapping.filter(pl.col("paper") == COMPOSITE)
    return unit.composite.join(here, on="unit_index").group_by(_KEYS).agg(pl.col(sums).sum()).sort(_KEYS)


def _squares(rows: pl.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Σ(x − x̄)² per row from Σ and Σ², in Python integers."""
    pairs = zip(rows["n"], rows["total"], rows["squares"], strict=True)
    return np.array([(n * q - t * t) / n if n else 0.0 for n, t, q in pairs]) / COMPOSITE_SCALE**2


def _composite(unit: UnitSummary, mapping: pl.DataFrame, area: pl.DataFrame, summary: Summary, exam: ExamFile, settings: RunSettings) -> pl.DataFrame:
    """Composite gap of every unit: mean of its candidates' composites, SE with its own SD (pooled when n is small)."""
    rows = _composite_rows(unit, mapping).join(
        summary.comparability.frame.select("comparison_group", "comparable", pl.col("reason").alias("why")), on="comparison_group", how="left", maintain_order="left"
    )
    rows = rows.join(area.select("comparison_group", pl.col("n").alias("area_n")), on="comparison_group", how="left", maintain_order="left")
    squares = _squares(rows)
    rows = rows.with_columns(pl.Series("ss", squares)).with_columns(
        pl.col("ss").sum().over("comparison_group").alias("pool"),
        (pl.col("n").sum() - (pl.col("n") > 0).sum()).over("comparison_group").alias("pool_df"),
    )
    n, pool_df = rows["n"].to_numpy().astype(float), rows["pool_df"].to_numpy().astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        own, pooled = squares / (n - 1), rows["pool"].to_numpy() / pool_df
        use_pooled = ((n < settings.pooled_gap_below) | ~(own > 0)) & (pool_df >= 1)
        variance, df = np.where(use_pooled, pooled, own), np.where(use_pooled, pool_df, n - 1)
        estimate = rows["total"].to_numpy() / n / COMPOSITE_SCALE
        if exam.absence.policy == "penalty":
            absent = 1 - rows["n_present"].to_numpy() / rows["n_expected"].to_numpy()
            estimate = estimate - exam.absence.penalty_per_point * 100 * np.maximum(absent - exam.absence.penalty_bound, 0)
        std_error = np.sqrt(variance / n * np.maximum(1 - n / rows["area_n"].to_numpy(), 0))
    _, low, high = student(estimate, std_error, df, settings.conf_level)
    reason = np.where(rows["comparable"].to_numpy(), np.where(n > 0, "", "no_candidates"), rows["why"].fill_null("").to_numpy().astype("U32"))
    shown = reason == ""
    return rows.select(*_KEYS, "n_expected", "n_present", "n").with_columns(
        pl.lit(COMPOSITE).alias("paper"),
        pl.lit("composite_z").alias("measure"),
        *(pl.Series(name, np.where(shown, value, np.nan)) for name, value in (("estimate", estimate), ("std_error", std_error), ("ci_lower", low), ("ci_upper", high))),
        pl.Series("conf_level", np.where(shown, settings.conf_level, np.nan)),
        pl.Series("method", np.where(use_pooled, "t_pooled_part_of_area", "t_part_of_area")),
        pl.Series("reason", reason),
    )


def _school_cv(schools: LevelContext, settings: RunSettings) -> pl.DataFrame:
    """Between-school CV of the means in each comparable group of at least two schools."""
    rows, cells = schools.cells.rows, schools.cells
    variance, _, _ = schools.own_or_pooled(settings.pooled_mean_below)
    lines = []
    for place, group in enumerate(schools.area.rows.iter_rows(named=True)):
        of_group = (schools.group == place) & (cells.n > 0)
        if group["paper"] == EVERY_PAPER:
            continue
        line = {**group, "measure": "school_cv", "n_expected": int(schools.area.n_expected[place]), "n_present": int(schools.area.n_present[place]), "n": int(cells.n[of_group].sum())}
        usable = of_group & np.isfinite(variance)
        why = "" if bool(schools.comparable[of_group].all()) and of_group.any() else REASONS[schools.why_not[of_group][0]] if of_group.any() else "no_candidates"
        if not why and usable.sum() < 2:
            why = "single_school"
        if not why and not (cells.mean[usable] > 0).all():
            why = "zero_mean"
        if why:
            lines.append(line | {"reason": why})
            continue
        n = cells.n[usable].astype(float)
        found = corrected_cv(cells.mean[usable], np.sqrt(variance[usable] / n), n, conf_level=settings.conf_level)
        lines.append(line | {"estimate": found.estimate, "std_error": found.std_error, "ci_lower": found.ci_lower, "ci_upper": found.ci_upper, "conf_level": settings.conf_level, "method": "parametric_bootstrap", "reason": ""})
    outside = ("unit_type", "exam_id", "subject")
    schema = {name: kind for name, kind in ESTIMATE_COLUMNS.items() if name not in outside}
    return pl.DataFrame(lines, schema=schema)


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
    area_members = _members("area", schools.units, scores.schools, None)
    area_composite = _composite_rows(schools, summary.mapping(area_members)) if has_composite and area_members is not None else None
    parts: list[pl.DataFrame] = []
    contexts: dict[str, LevelContext] = {}
    for unit_type in dict.fromkeys([*by, "school"] if "school_cv" in measures and "area" in by else by):
        source = summary.by["class"] if unit_type in ("class", "teacher") else summary.by.get(unit_type, schools)
        members = _members(unit_type, source.units, scores.schools, teachers)
        if members is None:
            continue
        mapping = _mapping(members, summary, subjects)
        cells = summary.area if unit_type == "area" else gather_cells(source.counts, mapping, policy=summary.policy)
        contexts[unit_type] = _context(cells, summary.area, summary, exam, settings)
        if unit_type not in by:
            continue
        tables = [_long(contexts[unit_type], measures)]
        if area_composite is not None and unit_type != "teacher":
            tables.append(_composite(source, mapping, area_composite, summary, exam, settings))
        parts.append(pl.concat(tables, how="diagonal").with_columns(pl.lit(unit_type).alias("unit_type")))
    if "school_cv" in measures and "area" in by:
        parts.insert(list(by).index("area") + 1, _school_cv(contexts["school"], settings).with_columns(pl.lit("area").alias("unit_type")))
    return _finish(parts, exam)


def _finish(parts: Sequence[pl.DataFrame], exam: ExamFile) -> pl.DataFrame:
    subjects = {paper.code: paper.subject_code for paper in exam.papers} | {name: name for name in (TOTAL, COMPOSITE, EVERY_PAPER)}
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
) -> EstimateResult:
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
    EstimateResult
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
    >>> scores = eq.read_scores(sample_data_path() / "2025-1-g9-final")
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
    return EstimateResult(frame=frame, settings={"by": wanted, **run.model_dump()})
