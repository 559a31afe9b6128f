"""One exam's values for a yearly series: per unit, subject and measure the estimate and the unit's own spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.estimates.across_papers import composite_sums
from eduq.estimates.level_context import REASONS, LevelContext
from eduq.estimates.level_measures import measure_levels
from eduq.estimates.levels import build_context, pass_cuts, unit_columns, unit_mapping, unit_members
from eduq.estimates.measures import Measure
from eduq.groups import COMPOSITE, DERIVED, EVERY_PAPER
from eduq.intake.score_table import ScoreTable
from eduq.settings import RunSettings
from eduq.summaries import COMPOSITE_SCALE, CellTable, Summary, gather_cells, summarise

__all__ = ["measure_exam", "measure_summary", "pool_teachers"]

Floats = NDArray[np.float64]
_LINES: dict[str, pl.DataType] = {
    "unit": pl.String(),
    "year_group": pl.String(),
    "subject": pl.String(),
    "measure": pl.String(),
    "comparison_group": pl.String(),
    "n_expected": pl.Int64(),
    "n": pl.Int64(),
    "estimate": pl.Float64(),
    "sd": pl.Float64(),
    "std_error": pl.Float64(),
    "reason": pl.String(),
    "n_elsewhere": pl.Int64(),
}
_STAGES = {"G1": "primary", "G2": "primary", "G3": "primary", "G4": "primary", "G5": "primary", "G6": "primary",
           "G7": "junior", "G8": "junior", "G9": "junior", "S1": "senior", "S2": "senior", "S3": "senior"}  # fmt: skip


def _own_sd(context: LevelContext, name: str, measure: Measure, estimate: Floats, std_error: Floats) -> Floats:
    """SD of one candidate's contribution, in the measure's unit; of a measure that is no mean, √n times its standard error."""
    own = np.sqrt(context.cells.variance)
    with np.errstate(invalid="ignore", divide="ignore"):
        if measure.kind == "proportion":
            return np.sqrt(estimate * (1 - estimate))
        if name in ("z_mean", "t_mean"):
            spread: Floats = own / context.area_sd * (10.0 if name == "t_mean" else 1.0)
        elif name == "mean_score":
            spread = own / 100
        elif name == "score_rate":
            spread = own / context.max_score
        else:
            spread = std_error * np.sqrt(context.cells.n)
        return spread


def _paper_lines(context: LevelContext, measures: Mapping[str, Measure]) -> list[pl.DataFrame]:
    parts = []
    of_every_paper = pl.col("paper") == EVERY_PAPER
    for name, measure in measures.items():
        columns = measure_levels(context, name, measure)
        if columns is None:
            continue
        line = context.cells.rows.with_columns(
            pl.lit(name).alias("measure"),
            pl.Series("n_expected", context.cells.n_expected),
            pl.Series("n", columns.n),
            pl.Series("estimate", columns.estimate),
            pl.Series("sd", _own_sd(context, name, measure, columns.estimate, columns.std_error)),
            pl.Series("reason", REASONS)[columns.reason].alias("reason"),
        )
        parts.append(line.filter(of_every_paper if name == "all_pass_rate" else ~of_every_paper))
    return parts


def _composite_lines(summary: Summary, source: str, mapping: pl.DataFrame) -> pl.DataFrame:
    """Composite of every unit: mean and own SD of its candidates' composites, from Python integers."""
    rows = composite_sums(summary.by[source], mapping)
    mean, spread = [], []
    for n, total, squares in zip(rows["n"], rows["total"], rows["squares"], strict=True):
        mean.append(total / n / COMPOSITE_SCALE if n else None)
        spread.append((((n * squares - total * total) / (n * (n - 1))) ** 0.5) / COMPOSITE_SCALE if n > 1 else None)
    groups = summary.comparability.frame.select("comparison_group", pl.col("reason").alias("why"))
    return (
        rows.join(groups, on="comparison_group", how="left", maintain_order="left")
        .with_columns(
            pl.lit(COMPOSITE).alias("paper"),
            pl.lit("composite_z").alias("measure"),
            pl.Series("estimate", mean, dtype=pl.Float64),
            pl.Series("sd", spread, dtype=pl.Float64),
        )
        .with_columns(
            pl.coalesce("why", pl.when(pl.col("n") == 0).then(pl.lit("no_candidates")), pl.lit("")).alias("reason"),
        )
        .select("unit", "comparison_group", "paper", "measure", "n_expected", "n", "estimate", "sd", "reason")
    )


def _largest_group(lines: pl.DataFrame) -> pl.DataFrame:
    """Keep, per unit, subject and measure, the comparison group with most of the unit's candidates."""
    keys = ["unit", "year_group", "subject", "measure"]
    return (
        lines.sort("n_expected", "n", "comparison_group", descending=[True, True, False])
        .with_columns((pl.col("n_expected").sum().over(keys) - pl.col("n_expected")).alias("n_elsewhere"))
        .unique(keys, keep="first", maintain_order=True)
        .sort(keys)
    )


def measure_exam(
    scores: ScoreTable,
    *,
    unit_type: str,
    measures: Mapping[str, Measure],
    subjects: Sequence[str] | None,
    settings: RunSettings,
    teachers: pl.DataFrame | None,
) -> pl.DataFrame:
    """Return the values of one exam.

    Parameters
    ----------
    scores
        The exam.
    unit_type
        Kind of unit.
    measures
        Definitions by id.
    subjects
        Subjects wanted; None for those of all papers.
    settings
        Of the run.
    teachers
        teacher_id, school_id, class_id, subject for the unit type ``teacher``.

    Returns
    -------
    pl.DataFrame
        unit, year_group (null where rows say none), subject, measure, comparison_group (String), n_expected, n (Int64),
        estimate, sd, std_error (Float64), reason (String), n_elsewhere (Int64). Teachers keep a line per comparison group.
    """
    if not scores.papers or scores.frame.is_empty():
        return pl.DataFrame(schema=_LINES)
    cuts = pass_cuts(scores.exam, measures) if "all_pass_rate" in measures else None
    summary = summarise(scores, by=unit_columns((unit_type,), scores.frame.columns), settings=settings, pass_cuts=cuts)
    lines = measure_summary(
        summary, scores, unit_type=unit_type, measures=measures, subjects=subjects, settings=settings, teachers=teachers
    )
    if lines is None:
        return pl.DataFrame(schema=_LINES)
    if unit_type != "teacher":
        lines = _largest_group(lines)
    return lines.select(pl.col(name).cast(kind) for name, kind in _LINES.items())


def measure_summary(
    summary: Summary,
    scores: ScoreTable,
    *,
    unit_type: str,
    measures: Mapping[str, Measure],
    subjects: Sequence[str] | None,
    settings: RunSettings,
    teachers: pl.DataFrame | None,
    counted: CellTable | None = None,
) -> pl.DataFrame | None:
    """Return the values of an exam whose rows were counted before, a line per unit, paper, comparison group and measure.

    Parameters
    ----------
    summary
        Counted by the unit type (`unit_columns`).
    scores, unit_type, measures, subjects, settings, teachers
        As in `measure_exam`; rows are not read.
    counted
        Cells of these units in every paper, where another stage has them already (`Summary.schools`); what was worked out of
        them is not worked out again.

    Returns
    -------
    pl.DataFrame or None
        The columns of `measure_exam` and paper; None where there is nothing to measure.
    """
    source = "class" if unit_type in ("class", "teacher") else "school"
    members = unit_members(unit_type, summary.by[source].units, scores.schools, teachers)
    subject_of = {paper.code: paper.subject_code for paper in scores.papers}
    if members is None:
        return None
    mapping = unit_mapping(members, summary, subject_of)
    subject_of |= {name: name for name in DERIVED}
    wanted = set(subject_of.values()) - set(DERIVED) if subjects is None else set(subjects)
    kept = [
        paper
        for paper, subject in subject_of.items()
        if (subject in wanted and paper not in (COMPOSITE, EVERY_PAPER)) or (paper == EVERY_PAPER and "all_pass_rate" in measures)
    ]
    parts: list[pl.DataFrame] = []
    of_papers = mapping.filter(pl.col("paper").is_in(kept))
    if set(measures) - {"composite_z"} and of_papers.height:
        cells = counted or gather_cells(summary.by[source].counts, of_papers, policy=summary.policy)
        of_measures = _paper_lines(build_context(cells, summary.area, summary, scores.exam, settings), measures)
        parts += [part.filter(pl.col("paper").is_in(kept)) for part in of_measures]
    if "composite_z" in measures and summary.by[source].composite.height:
        parts.append(_composite_lines(summary, source, mapping))
    if not parts:
        return None
    groups = summary.comparability.frame.select("comparison_group", "year_group")
    lines = pl.concat(parts, how="diagonal_relaxed").join(groups, on="comparison_group", how="left", maintain_order="left")
    lines = lines.filter(pl.col("n_expected") > 0).with_columns(
        pl.col("paper").replace_strict(subject_of, return_dtype=pl.String).alias("subject"),
        pl.when(pl.col("reason") != "").then(pl.col("reason")).alias("reason"),
        pl.col("estimate", "sd").fill_nan(None),
    )
    given = pl.col("reason").is_null()
    lines = lines.with_columns(pl.when(given).then(pl.col(name)).alias(name) for name in ("estimate", "sd"))
    return lines.with_columns((pl.col("sd") / pl.col("n").sqrt()).alias("std_error"), pl.lit(0).alias("n_elsewhere"))


def pool_teachers(lines: pl.DataFrame, measures: Mapping[str, Measure]) -> pl.DataFrame:
    """Pool a teacher's groups and year groups of one stage and school year, every candidate weighing the same.

    Parameters
    ----------
    lines
        Lines of `measure_exam` with period, exam_id and date.
    measures
        Definitions by id.

    Returns
    -------
    pl.DataFrame
        The same columns; year_group is null, comparison_group ``<period>.<subject>.<stage>``, exam_id the ids joined by ``+``.
        With n_g, m_g, s_g of the groups: n = Σn_g, m = Σn_g m_g/n, s² = (Σ(n_g−1)s_g² + Σn_g(m_g−m)²)/(n−1), for rates
        m(1−m).
    """
    stage = pl.col("year_group").replace_strict(_STAGES, default=None, return_dtype=pl.String).alias("stage")
    keys = ["period", "stage", "unit", "subject", "measure"]
    parts = lines.with_columns(stage).sort(*keys, "exam_id", "comparison_group")
    place = parts.select(pl.struct(keys).rle_id().alias("place"))["place"].to_numpy()
    usable = parts["estimate"].is_not_null().to_numpy()
    weight = np.where(usable, parts["n"].to_numpy(), 0)
    mean, spread = parts["estimate"].fill_null(0.0).to_numpy(), parts["sd"].fill_null(0.0).to_numpy()
    n = np.bincount(place, weights=weight).astype(np.int64)
    with np.errstate(invalid="ignore", divide="ignore"):
        pooled = np.bincount(place, weights=weight * mean) / n
        within = np.maximum(weight - 1, 0) * spread**2 + np.where(usable, weight * (mean - pooled[place]) ** 2, 0.0)
        sd = np.sqrt(np.bincount(place, weights=within) / (n - 1))
        share = np.sqrt(pooled * (1 - pooled))
    merged = parts.group_by(keys, maintain_order=True).agg(
        pl.col("n_expected").sum(),
        pl.col("reason").drop_nulls().first(),
        pl.col("exam_id").unique(maintain_order=True).str.join("+"),
        pl.col("date").max(),
        pl.col("n_expected").filter(pl.col("estimate").is_null()).sum().alias("n_elsewhere"),
    )
    is_rate = merged["measure"].is_in([name for name, measure in measures.items() if measure.kind == "proportion"]).to_numpy()
    own = np.where(is_rate, np.where(n > 0, share, np.nan), np.where(n > 1, sd, np.nan))
    return (
        merged.with_columns(pl.Series("n", n), pl.Series("estimate", pooled), pl.Series("sd", own))
        .with_columns(pl.col("estimate", "sd").fill_nan(None))
        .with_columns(
            (pl.col("sd") / pl.col("n").sqrt()).alias("std_error"),
            pl.when(pl.col("estimate").is_null()).then(pl.col("reason")).alias("reason"),
            pl.lit(None, dtype=pl.String).alias("year_group"),
            pl.concat_str("period", "subject", "stage", separator=".").alias("comparison_group"),
        )
        .select(*_LINES, "period", "exam_id", "date")
        .cast(_LINES)  # type: ignore[arg-type]
    )
