"""Units of one exam set beside their group, similar schools and each other: the comparison as a step of the main job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from html import escape
from typing import Any, Literal

import polars as pl

from eduq.errors import NotAssessableError, UsageError
from eduq.estimates.comparison import ComparisonModel, ComparisonResult, compare_units
from eduq.estimates.comparison.pooling import POOLED_PERIODS, pool_periods
from eduq.estimates.exam_pairs import ExamPairs, pair_schools
from eduq.estimates.exam_references import ExamReferences
from eduq.estimates.measures import Measure
from eduq.estimates.unit_lines import measure_summary
from eduq.groups import COMPOSITE, DERIVED, TOTAL
from eduq.intake.score_table import ScoreTable
from eduq.settings import RunSettings
from eduq.summaries import Summary
from eduq.tables import COMPARISONS

__all__ = ["ALL_UNITS", "COMPARED_RATES", "MOST_RATED", "SMALLEST_PEER_GROUP", "ExamComparisons", "compare_exam"]

ALL_UNITS = "all"
"""``peer_group`` of the whole comparison group."""
COMPARED_RATES = ("pass_rate", "excellent_rate")
MOST_RATED = 500
"""With more units rates are compared only when the run names them: pairs of rates are told apart one by one."""
SMALLEST_PEER_GROUP = 5
"""Fewer similar schools than this are not compared with each other."""
_CELL = ("comparison_group", "paper", "measure", "peers")
"""Family columns of a call; ``peers`` becomes ``peer_group``."""
_Z_KINDS = ("composite_z", "z_mean")
_THREADS = 2
CellKey = tuple[str, ...]


@dataclass(frozen=True, repr=False)
class ExamComparisons:
    """Comparisons of the units of one exam; not to be shown as it is.

    Attributes
    ----------
    unit_type
        school, or class where the exam has one school.
    frame
        `eduq.tables.COMPARISONS`. Units below the least number that may be reported take no part: their lines have no numbers
        and the reason ``below_min_n``.
    models
        What was estimated for all units of a comparison together, by comparison_group, paper, measure and peer_group.
    main
        Paper and measure of the primary comparison.
    result
        The primary comparison as `compare_units` gave it.
    pairs
        Paired schools and alliances by the primary measure; None without any in the register.
    references
        The area and its units beside declared values from outside; None without any.
    calls, settings
        What was compared and how, for `without`.
    """

    unit_type: str
    frame: pl.DataFrame
    models: Mapping[CellKey, ComparisonModel]
    main: tuple[str, str]
    result: ComparisonResult
    pairs: ExamPairs | None = None
    references: ExamReferences | None = None
    calls: tuple[_Call, ...] = ()
    settings: RunSettings | None = None

    def without(self, cells: Iterable[tuple[str, str, str, str]]) -> ExamComparisons | None:
        """Compare again without some units, so that no rank, shrunken value or mean of the others tells of them.

        ``cells`` are comparison_group, paper, measure and unit; they keep a line without numbers, reason ``secondary``. None
        where no two units are left.
        """
        keys = ("comparison_group", "paper", "measure", "unit")
        if not (marks := sorted(cells)) or self.settings is None:
            return self
        out = pl.DataFrame(marks, schema=dict.fromkeys(keys, pl.String), orient="row").with_columns(_out=pl.lit(True))
        gone = pl.col("_out").fill_null(False)
        calls = [
            replace(
                call,
                rows=call.rows.join(out, on=keys, how="left", maintain_order="left").with_columns(
                    pl.when(~gone).then("estimate").alias("estimate"),
                    pl.when(gone).then(pl.lit("secondary")).otherwise("reason").alias("reason"),
                ).drop("_out"),
            )
            for call in self.calls
        ]  # fmt: skip
        if (found := _compare_all(calls, self.settings)) is None:
            return None
        facts = self.frame.select("unit_type", "exam_id", "reference", "reference_source").row(0, named=True)
        return replace(self, frame=_lay_out(found[0], facts), models=found[1], result=found[2])

    def summary(self) -> str:
        """Return one line: the primary comparison, and how many comparisons there are."""
        paper, measure = self.main
        return f"{measure} of {paper}: {self.result.summary()}; {len(self.models)} comparisons in all"

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {self.summary()}"

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Hand the frame to Arrow, as the results of estimators do."""
        return self.frame.__arrow_c_stream__(requested_schema)

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>{self.result.frame._repr_html_()}"

    def plot(
        self,
        kind: Literal["caterpillar", "funnel"] = "caterpillar",
        *,
        names: Mapping[str, str] | None = None,
        group: str | None = None,
    ) -> Any:
        """Return a picture (lets-plot) of the primary comparison of one comparison group, the largest when left out.

        Parameters
        ----------
        kind
            As in `ComparisonResult.plot`.
        names
            Names of units by id.
        group
            A comparison group.

        Raises
        ------
        UsageError
            ``compare_family_unknown``: no such group. ``compare_option``: another kind.
        """
        sizes = {key: model.n_units for key, model in self.result.models.items() if group in (None, key[0])}
        if not sizes:
            raise UsageError("compare_family_unknown", family=str(group))
        largest = max(sorted(sizes), key=lambda key: sizes[key])
        named = self.result.frame.with_columns(pl.col("unit").replace(dict(names or {})))
        return replace(self.result, frame=named).plot(kind, family=largest)


@dataclass(frozen=True)
class _Call:
    """One call of `compare_units`, that is one family of tests: its rows and whether they are rates."""

    rows: pl.DataFrame
    rate: bool = False


def _main_measure(lines: pl.DataFrame, papers: Sequence[str]) -> tuple[str, str] | None:
    """Return paper and measure of the primary comparison: the composite, else the total, else the first paper."""
    counted = lines.filter(pl.col("estimate").is_not_null()).group_by("paper", "measure", "comparison_group").len()
    known = set(counted.filter(pl.col("len") >= 2).select("paper", "measure").unique().iter_rows())
    wanted = [(COMPOSITE, "composite_z"), (TOTAL, "z_mean"), *((paper, "z_mean") for paper in papers)]
    return next((pair for pair in wanted if pair in known), None)


def _largest_group(lines: pl.DataFrame, main: tuple[str, str]) -> pl.DataFrame:
    """Return the primary measure in the comparison group of most units."""
    own = lines.filter(pl.col("paper") == main[0], pl.col("measure") == main[1], pl.col("estimate").is_not_null())
    sizes = own.group_by("comparison_group").len().sort("len", "comparison_group", descending=[True, False])
    return own.filter(pl.col("comparison_group") == sizes["comparison_group"][0])


def _add_errors(lines: pl.DataFrame, pooled_below: int) -> pl.DataFrame:
    """Set std_error to sd/√n, with the SD pooled within the units of the comparison where one has few candidates or no spread."""
    cell = ["comparison_group", "paper", "measure"]
    df = pl.when(pl.col("sd").is_not_null() & (pl.col("n") > 1)).then(pl.col("n") - 1)
    pooled = ((df * pl.col("sd") ** 2).sum().over(cell) / df.sum().over(cell)).sqrt()
    own = pl.when((pl.col("n") < pooled_below) | ~(pl.col("sd") > 0).fill_null(False)).then(pooled).otherwise("sd")
    return lines.with_columns((own / pl.col("n").sqrt()).fill_nan(None).alias("std_error"))


def _pool_small(
    lines: pl.DataFrame, main: tuple[str, str], series: pl.DataFrame | None, var_shock: float, run: RunSettings
) -> pl.DataFrame:
    """Give units too small to be ranked by one exam their value pooled over the newest years.

    What the years below the least number that may be reported hold together must reach that number, else the pooled value would
    give away a withheld one. In the mean of the group they keep the weight of this exam's candidates.
    """
    lines = lines.with_columns(pl.lit(1, dtype=pl.Int64).alias("periods"), pl.col("n").alias("_weight"))
    if series is None or series.is_empty():
        return lines
    of_main = (pl.col("paper") == main[0]) & (pl.col("measure") == main[1]) & pl.col("estimate").is_not_null()
    small = lines.filter(of_main & (pl.col("n") < run.min_n_ranking))["unit"].unique()
    newest = series["period"].unique().sort()[-POOLED_PERIODS:]
    known = pl.col("estimate").is_not_null() & (pl.col("std_error") > 0) & (pl.col("n") > 0)
    years = series.filter(known, pl.col("unit").is_in(small.to_list()), pl.col("period").is_in(newest.to_list()))
    withheld = pl.col("n").filter(pl.col("n") < run.min_n_reporting)
    safe = (withheld.len() == 0) | (withheld.sum() >= run.min_n_reporting)
    years = years.filter(safe.over("unit"), pl.len().over("unit") > 1)
    if years.is_empty():
        return lines
    pooled = pool_periods(years, unit="unit", std_error="std_error", n="n", var_shock=var_shock).frame
    names = {"estimate": "_pooled", "std_error": "_error", "n": "_n", "periods": "_periods"}
    joined = lines.join(pooled.select("unit", *names).rename(names), on="unit", how="left", maintain_order="left")
    chosen = of_main & pl.col("_pooled").is_not_null()
    return joined.with_columns(
        pl.when(chosen).then(pl.col(other)).otherwise(pl.col(name)).alias(name) for name, other in names.items()
    ).select(lines.columns)


def _peer_groups(schools: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame | None:
    """Return unit and peers (``COLUMN=VALUE;...``) of the schools that the register describes; None where nothing tells apart."""
    used = [name for name in columns if name in schools.columns and schools[name].drop_nulls().n_unique() > 1]
    if not used:
        return None
    label = pl.concat_str([pl.concat_str(pl.lit(f"{name}="), pl.col(name).cast(pl.String)) for name in used], separator=";")
    return schools.select(pl.col("school_id").alias("unit"), label.alias("peers")).drop_nulls()


def _calls(lines: pl.DataFrame, main: tuple[str, str], peers: pl.DataFrame | None, real: Sequence[str]) -> list[_Call]:
    """Return the families: the primary one, subjects, each rate, and similar schools."""
    whole = lines.with_columns(pl.lit(ALL_UNITS).alias("peers"))
    is_main = (pl.col("paper") == main[0]) & (pl.col("measure") == main[1])
    calls = [_Call(whole.filter(is_main))]
    calls.append(_Call(whole.filter(pl.col("measure") == "z_mean", pl.col("paper").is_in(real), ~is_main)))
    calls += [_Call(whole.filter(pl.col("measure") == rate, pl.col("paper").is_in(real)), rate=True) for rate in COMPARED_RATES]
    if peers is not None:
        calls.append(_Call(lines.filter(is_main).join(peers, on="unit", maintain_order="left")))
    return [call for call in calls if not call.rows.is_empty()]


def _compare(call: _Call, run: RunSettings) -> tuple[pl.DataFrame, ComparisonResult] | None:
    """Return the lines of one family; None where nothing can be compared."""
    cell = list(_CELL)
    reported = (pl.col("n") >= run.min_n_reporting).fill_null(False)
    able = (reported & pl.col("estimate").is_not_null() & pl.col("std_error").is_not_null()).alias("_able")
    rows = call.rows.with_columns(able).with_columns(pl.col("_able").sum().over(cell).alias("_size"))
    least = pl.when(pl.col("peers") == ALL_UNITS).then(2).otherwise(SMALLEST_PEER_GROUP)
    used = pl.col("_able") & (pl.col("_size") >= least)
    given = rows.filter(used).select("unit", *cell, "estimate", "n", "_weight", *([] if call.rate else ["std_error"]))
    if given.is_empty():
        return None
    try:
        found = compare_units(
            given,
            unit="unit",
            weight="_weight",
            family=cell,
            rate=call.rate,
            level=run.conf_level,
            min_n=max(run.min_n_ranking, run.min_n_reporting),
        )
    except NotAssessableError:
        return None
    why = (
        pl.when((pl.col("n") > 0) & ~reported)
        .then(pl.lit("below_min_n"))
        .when(pl.col("estimate").is_null())
        .then(pl.coalesce("reason", pl.lit("no_estimate")))
        .when(~pl.col("_able"))
        .then(pl.lit("no_std_error"))
        .when(pl.col("_size") < least)
        .then(pl.lit("peer_group_too_small"))
        .alias("_why")
    )
    keys = ["unit", *cell]
    left = rows.with_columns(why).select(*keys, "subject", "periods", pl.col("n").alias("_n"), "_why")
    table = left.join(
        found.frame.drop("periods", "peer_group", strict=False).rename({"reason": "_reason"}),
        on=keys,
        how="left",
        maintain_order="left",
    )
    ranked_out = pl.when(pl.col("_reason") == "below_min_n").then(pl.lit("below_min_n_ranking")).otherwise("_reason")
    pooled = pl.when((pl.col("periods") > 1) & pl.col("estimate").is_not_null())
    table = table.rename({"peers": "peer_group"}).with_columns(
        pl.coalesce("_why", ranked_out).alias("reason"),
        pl.coalesce("n", "_n").alias("n"),
        pooled.then(pl.lit("pooled_years")).otherwise("method").alias("method"),
    )
    return table, found


def _compare_all(
    calls: Sequence[_Call], run: RunSettings
) -> tuple[list[pl.DataFrame], dict[CellKey, ComparisonModel], ComparisonResult] | None:
    """Return lines, models and the primary result of all families; None where the primary one cannot be compared."""
    tables: list[pl.DataFrame] = []
    models: dict[CellKey, ComparisonModel] = {}
    first: ComparisonResult | None = None
    with ThreadPoolExecutor(_THREADS) as beside:  # the array work leaves the interpreter free
        compared = list(beside.map(lambda call: _compare(call, run), calls))
    for done in compared:
        if done is not None:
            first = done[1] if first is None else first
            tables.append(done[0])
            models |= done[1].models
    return None if first is None or first.columns.rate else (tables, models, first)


def _lay_out(tables: Sequence[pl.DataFrame], facts: Mapping[str, Any]) -> pl.DataFrame:
    frame = pl.concat(tables, how="diagonal").with_columns(pl.lit(value).alias(name) for name, value in facts.items())
    return frame.select(pl.col(name).cast(kind) for name, kind in COMPARISONS.items())


def compare_exam(
    summary: Summary,
    scores: ScoreTable,
    *,
    by: Sequence[str],
    settings: RunSettings,
    measures: Mapping[str, Measure],
    schools: pl.DataFrame | None = None,
    series: pl.DataFrame | None = None,
    var_shock: float = 0.0,
) -> ExamComparisons | None:
    """Compare the schools of an exam, or its classes where there is one school.

    Families of tests (each with its own Benjamini-Hochberg adjustment): the composite over units (or the total, or the paper,
    where there is no composite); z of the subjects, units × subjects in one; pass rate; excellent rate; and the primary measure
    again among similar schools. Only units of one comparison group that may be compared stand beside each other.

    Parameters
    ----------
    summary
        Counts of the exam.
    scores
        The exam; rows are not read.
    by
        Unit types of the run: classes are compared only when they are among them.
    settings
        ``conf_level``, ``min_n_reporting`` (fewer: no part), ``min_n_ranking`` (fewer: not ranked by one exam alone), ``peers``.
    measures
        Definitions of the run by id.
    schools
        Register of schools, for similar schools; None without one.
    series
        Yearly values of the composite: unit, period, estimate, std_error, n; units too small to be ranked are pooled over them.
    var_shock
        ω², variance of a cohort's shock, for the pooling.

    Returns
    -------
    ExamComparisons or None
        None where no two units can be compared.
    """
    unit_type = "school" if summary.by["school"].units["school_id"].n_unique() > 1 else "class"
    if unit_type == "class" and ("class" not in by or "class" not in summary.by):
        return None
    units = summary.by[unit_type].units
    many = (units["school_id"].n_unique() if unit_type == "school" else units.height) > MOST_RATED
    rates = [rate for rate in COMPARED_RATES if not many or rate in settings.measures]
    wanted = {name: measures[name] for name in (*_Z_KINDS, *rates) if name in measures}
    papers = [paper.code for paper in scores.papers]
    subjects = [*dict.fromkeys(paper.subject_code for paper in scores.papers), TOTAL]
    measured = measure_summary(
        summary,
        scores,
        unit_type=unit_type,
        measures=wanted,
        subjects=subjects,
        settings=settings,
        teachers=None,
        counted=summary.schools if unit_type == "school" else None,
    )
    if measured is None:
        return None
    groups = summary.comparability.frame.filter("comparable").select("comparison_group")
    lines = measured.join(groups, on="comparison_group", how="semi", maintain_order="left")
    real = [paper for paper in papers if paper not in DERIVED] or papers
    main = _main_measure(lines, real)
    if main is None:
        return None
    lines = _add_errors(lines, settings.pooled_gap_below)
    of_composite = series if unit_type == "school" and main[1] == "composite_z" else None
    pairs = None
    if schools is not None and unit_type == "school":
        own = _largest_group(lines, main)
        pairs = pair_schools(own, schools, settings=settings, series=of_composite, var_shock=var_shock)
    lines = _pool_small(lines, main, of_composite, var_shock, settings)
    peers = _peer_groups(schools, settings.peers) if schools is not None and unit_type == "school" else None
    calls = _calls(lines, main, peers, real)
    if (found := _compare_all(calls, settings)) is None:
        return None
    tables, models, first = found
    facts = {"unit_type": unit_type, "exam_id": scores.exam.exam.id, "reference": None, "reference_source": None}
    return ExamComparisons(
        unit_type=unit_type,
        frame=_lay_out(tables, facts),
        models=models,
        main=main,
        result=first,
        pairs=pairs,
        calls=tuple(calls),
        settings=settings,
    )
