"""Level figures of every class and paper: of administrative classes (行政班) and of teaching classes (教学班)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from eduq.errors import NotAssessableError
from eduq.estimates.level_context import REASONS, LevelContext
from eduq.estimates.level_measures import measure_levels
from eduq.estimates.levels import build_context
from eduq.estimates.measures import Measure, load_measures
from eduq.intake.score_table import ScoreTable
from eduq.settings import RunSettings
from eduq.summaries import Summary, gather_cells, summarise

__all__ = ["MIXED", "RATES", "count_classes"]

RATES = ("low_score_rate", "pass_rate", "excellent_rate")
"""Rates whose cuts part the score bands, from below."""
MIXED = "mixed"
_ONE_COMBINATION = 0.9
"""From this share of its candidates on a class is said to be of one combination."""


def count_classes(scores: ScoreTable, *, settings: RunSettings, measures: Mapping[str, Measure] | None = None) -> pl.DataFrame:
    """Return one line per class, comparison group and paper.

    Parameters
    ----------
    scores
        The exam.
    settings
        Of the run.
    measures
        Definitions of the rates by id; the shipped ones where they are missing.

    Returns
    -------
    pl.DataFrame
        class_kind (administrative, teaching), unit (``school/class``), school_id, class_id, comparison_group, paper, subject,
        combination (papers not taken by all, joined by ``+``; ``mixed``; null where all take the same), n_expected,
        n_present, n (Int64), mean, mean_se (marks), df, total, squares (marks, marks²: Σx and Σ(x − mean)²), sd (of the
        comparison group, divisor N), own_variance (what stands behind mean_se for gaps), own_df, max_score, bands (List of
        counts from below, null where a cut is unknown), cuts (List of marks), and per rate ``<rate>``, ``<rate>_se``,
        ``<rate>_lower``, ``<rate>_upper``, ``<rate>_n``; comparable, why_not.

    Raises
    ------
    NotAssessableError
        ``classes_missing``: the files name no class.
    """
    columns = {"class": ["school_id", "class_id"]}
    columns |= {
        f"teaching_{paper.code}": ["school_id", f"{paper.code}_class"]
        for paper in scores.papers
        if f"{paper.code}_class" in scores.frame.columns
    }
    columns = {name: keys for name, keys in columns.items() if scores.frame[keys[1]].null_count() < scores.frame.height}
    if not columns:
        raise NotAssessableError("classes_missing")
    summary = summarise(scores, by={"school": ["school_id"], **columns}, settings=settings)
    definitions = {name: (measures or {}).get(name) or load_measures()[name] for name in ("mean_score", *RATES)}
    codes = [paper.code for paper in scores.papers]
    parts = []
    for name, keys in columns.items():
        papers = codes if name == "class" else [name.removeprefix("teaching_")]
        parts.append(_figures(scores, summary, name, keys[1], papers, settings, definitions))
    subjects = {paper.code: paper.subject_code for paper in scores.papers}
    return (
        pl.concat(parts)
        .filter(pl.col("n_expected") > 0)
        .with_columns(
            pl.col("paper").replace_strict(subjects, return_dtype=pl.String).alias("subject"),
            pl.when(pl.col("combination").n_unique() > 1).then(pl.col("combination")).alias("combination"),
        )
    )


def _figures(
    scores: ScoreTable,
    summary: Summary,
    name: str,
    column: str,
    papers: Sequence[str],
    settings: RunSettings,
    definitions: Mapping[str, Measure],
) -> pl.DataFrame:
    """Return the lines of one kind of class."""
    source = summary.by[name]
    named = source.units.select(
        "unit_index",
        "stratum",
        "school_id",
        pl.col(column).alias("class_id"),
        pl.format("{}/{}", "school_id", column).alias("unit"),
    )
    mapping = summary.mapping(named).filter(pl.col("paper").is_in(papers))
    cells = gather_cells(source.counts, mapping, policy=summary.policy)
    context = build_context(cells, summary.area, summary, scores.exam, settings)
    own, own_df, _ = context.own_or_pooled(settings.pooled_gap_below)
    level = measure_levels(context, "mean_score", definitions["mean_score"])
    if level is None:
        raise AssertionError("mean_score is computed under every policy")
    places = named.unique("unit").select("unit", "school_id", "class_id")
    why = pl.Series("why_not", REASONS, dtype=pl.String)[context.why_not]
    lines = cells.rows.join(places, on="unit", how="left", maintain_order="left").with_columns(
        pl.lit("administrative" if name == "class" else "teaching").alias("class_kind"),
        pl.Series("n_expected", cells.n_expected),
        pl.Series("n_present", cells.n_present),
        pl.Series("n", level.n),
        pl.Series("mean", level.estimate),
        pl.Series("mean_se", level.std_error),
        pl.Series("mean_lower", level.ci_lower),
        pl.Series("mean_upper", level.ci_upper),
        pl.Series("total", cells.total / 100),
        pl.Series("squares", cells.squares / 10_000),
        pl.Series("sd", context.area_sd / 100),
        pl.Series("own_variance", own / 10_000),
        pl.Series("own_df", own_df),
        pl.Series("max_score", np.where(context.max_score > 0, context.max_score / 100, np.nan)),
        pl.Series("comparable", context.comparable),
        pl.when(why != "").then(why).alias("why_not"),
        *_rates(context, definitions),
        *_bands(context, definitions),
    )
    lines = lines.with_columns(pl.selectors.float().fill_nan(None))
    return lines.join(_combinations(summary, name, named), on=["unit", "comparison_group"], how="left", maintain_order="left")


def _rates(context: LevelContext, definitions: Mapping[str, Measure]) -> list[pl.Series]:
    """Return the rates with their intervals and bases; null where the absence policy or a full mark does not allow them."""
    found: list[pl.Series] = []
    nothing = np.full(context.cells.size, np.nan)
    for name in RATES:
        column = measure_levels(context, name, definitions[name])
        fields = {"": "estimate", "_se": "std_error", "_lower": "ci_lower", "_upper": "ci_upper"}
        found += [pl.Series(name + end, nothing if column is None else getattr(column, field)) for end, field in fields.items()]
        found.append(pl.Series(f"{name}_n", context.cells.n if column is None else column.n))
    return found


def _bands(context: LevelContext, definitions: Mapping[str, Measure]) -> list[pl.Expr]:
    """Return the counts of the score bands that the cuts of the rates make, and those cuts in marks."""
    size = context.cells.size
    cuts = np.zeros((size, len(RATES)), dtype=np.int64)
    known = context.max_score > 0
    for full in np.unique(context.max_score[known]):
        here = context.max_score == full
        for place, name in enumerate(RATES):
            low_high = definitions[name].score_range(int(full))
            if low_high is None:
                known = known & ~here
                continue
            cuts[here, place] = low_high[1] if definitions[name].below is not None else low_high[0]
    known = known & (np.diff(cuts, axis=1) > 0).all(axis=1) & (cuts[:, 0] > 0)
    edges = np.concatenate([np.zeros((size, 1), np.int64), cuts, np.full((size, 1), 1 << 20)], axis=1)
    counts = np.stack(
        [context.cells.count_between(edges[:, place], edges[:, place + 1]) for place in range(edges.shape[1] - 1)], axis=1
    )
    shown = pl.Series("shown", known)
    return [
        pl.when(shown).then(pl.Series("bands", counts).arr.to_list()).alias("bands"),
        pl.when(shown).then(pl.Series("cuts", cuts / 100).arr.to_list()).alias("cuts"),
    ]


def _combinations(summary: Summary, name: str, named: pl.DataFrame) -> pl.DataFrame:
    """Return unit, comparison_group and the combination that at least nine tenths of the unit's candidates there have."""
    source = summary.by[name]
    sizes = source.counts.statuses.group_by("unit_index", "paper").agg(pl.col("count").sum())
    sizes = sizes.group_by("unit_index").agg(pl.col("count").max())
    linked = (
        named.join(sizes, on="unit_index")
        .join(summary.comparability.strata, on="stratum")
        .join(summary.comparability.links.select("stratum", "comparison_group").unique(), on="stratum")
    )
    keys = ["unit", "comparison_group"]
    of_each = linked.group_by(*keys, "taken").agg(pl.col("count").sum())
    top = (
        of_each.sort(*keys, "count", "taken", descending=[False, False, True, False])
        .group_by(keys, maintain_order=True)
        .agg(pl.col("taken").first(), (pl.col("count").first() / pl.col("count").sum()).alias("share"))
    )
    codes = list(source.counts.scores)
    taken = summary.comparability.strata["taken"].unique().to_list()
    common = ~0
    for bits in taken:
        common &= bits
    labels = {bits: "+".join(code for place, code in enumerate(codes) if (bits & ~common) >> place & 1) or "-" for bits in taken}
    label = pl.col("taken").replace_strict(labels, return_dtype=pl.String) if len(taken) > 1 else pl.lit(None, dtype=pl.String)
    mixed = pl.lit(MIXED) if len(taken) > 1 else pl.lit(None, dtype=pl.String)
    return top.select(*keys, pl.when(pl.col("share") >= _ONE_COMBINATION).then(label).otherwise(mixed).alias("combination"))
