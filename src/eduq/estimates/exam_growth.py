"""Growth of the schools or classes of an exam since earlier exams, in every paper, by four ways side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from html import escape
from typing import Any, Literal

import polars as pl

from eduq.errors import UsageError
from eduq.estimates.exam_growth_fits import (
    AGREEMENT,
    CHECKS_OF_GROWTH,
    COEFFICIENTS,
    MODELS,
    WAYS,
    GrowthJob,
    GrowthLines,
    Way,
    fit_paper,
)
from eduq.estimates.exam_growth_flows import measure_exam_flows
from eduq.estimates.results import EstimateResult
from eduq.groups import COMPOSITE
from eduq.settings import RunSettings
from eduq.summaries.links import MISSING, LinkedTable, prior_column
from eduq.tables import FLOWS, GROWTH

__all__ = ["PRIORS", "ExamGrowth", "describe_priors", "measure_exam_growth"]

LOW_MATCH = 0.9
"""A smaller share of linked candidates is noted."""
_LARGE = 100_000
"""From so many candidates on, papers are fitted two at a time."""

PRIORS: dict[str, pl.DataType] = {
    "exam_id": pl.String(),
    "name": pl.String(),
    "date": pl.Date(),
    "school_year": pl.String(),
    "term": pl.Int64(),
    "year_group": pl.String(),
    "chosen": pl.String(),
    "why": pl.String(),
    "link": pl.String(),
    "n_listed": pl.Int64(),
    "n_linked": pl.Int64(),
    "match_rate": pl.Float64(),
    "n_without_id": pl.Int64(),
    "n_duplicates": pl.Int64(),
}
NOTES: dict[str, pl.DataType] = {"code": pl.String(), "found": pl.String(), "n": pl.Int64()}


@dataclass(frozen=True, repr=False)
class ExamGrowth(EstimateResult):
    """Growth of an exam's units before an audience is chosen; not to be shown as it is.

    Attributes
    ----------
    frame
        `eduq.tables.GROWTH`; ``growth`` is multilevel, percentile, z_gain or bands, and with declared reliabilities also
        multilevel_uncorrected.
    settings
        What it depends on.
    unit_type
        ``school`` or ``class``.
    priors, missing, models, coefficients, checks, agreement, notes
        See `eduq.disclosure.growths.PublishableGrowth`.
    flows, low_groups
        `eduq.tables.FLOWS`.
    reason
        Why there is no growth, None where there is.
    linked
        The candidates it was measured on: rows of pupils.
    """

    unit_type: Literal["school", "class"] = "school"
    priors: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=PRIORS))
    missing: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=MISSING))
    models: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=MODELS))
    coefficients: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=COEFFICIENTS))
    checks: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=CHECKS_OF_GROWTH))
    agreement: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=AGREEMENT))
    notes: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=NOTES))
    flows: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=FLOWS))
    low_groups: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=FLOWS))
    reason: str | None = None
    linked: LinkedTable | None = field(default=None, repr=False)

    def summary(self) -> str:
        """Return one line: prior exams, units, papers, candidates linked."""
        if self.reason is not None:
            return f"growth: none ({self.reason})"
        priors = ", ".join(f"{line['exam_id']} ({line['match_rate']:.1%} linked)" for line in self.priors.iter_rows(named=True))
        units, papers = self.frame["unit"].n_unique(), self.frame["paper"].n_unique()
        return f"growth since {priors}: {units} {self.unit_type} units, {papers} papers, {self.frame['growth'].n_unique()} ways"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>{self.frame._repr_html_()}"

    def plot(self, paper: str | None = None, *, growth: str = "multilevel") -> Any:
        """Return the units of a paper with their intervals by one way (lets-plot), the neutral value marked.

        Parameters
        ----------
        paper
            The paper; the composite by default, in an exam of one paper that one.
        growth
            The way of measuring, as in the frame.

        Raises
        ------
        UsageError
            ``growth_paper_unknown``: nothing of that paper and way has a number.
        """
        from eduq.estimates.pictures import draw_intervals

        known = self.frame.drop_nulls("estimate")
        papers = known["paper"].unique(maintain_order=True).to_list()
        wanted = paper or next(iter(papers), None)
        rows = known.filter(paper=wanted, growth=growth)
        if rows.is_empty():
            raise UsageError("growth_paper_unknown", paper=f"{wanted} ({growth})", known=", ".join(papers) or "-")
        drawn = rows.select(pl.col("unit").alias("label"), pl.col("estimate").alias("value"), "ci_lower", "ci_upper")
        return draw_intervals(drawn, lines=[50.0 if growth == "percentile" else 0.0])


def describe_priors(linked: LinkedTable, chosen: Sequence[tuple[str, str | None]]) -> pl.DataFrame:
    """Return a line per prior exam: what it is, who chose it and why, how many candidates are linked.

    Parameters
    ----------
    linked
        The linked table.
    chosen
        Per prior ``given`` or ``automatic``, and the code of the reason.
    """
    lines = [
        {
            "exam_id": prior.exam.id,
            **{name: getattr(prior.exam, name) for name in ("name", "date", "school_year", "term", "year_group")},
            "chosen": how,
            "why": why,
            "link": "person_id",
            "n_listed": prior.n_listed,
            "n_linked": prior.n_linked,
            "match_rate": prior.n_linked / prior.n_listed if prior.n_listed else None,
            "n_without_id": prior.n_without_id,
            "n_duplicates": prior.n_duplicates,
        }
        for prior, (how, why) in zip(linked.priors, chosen, strict=True)
    ]
    return pl.DataFrame(lines, schema=PRIORS)


def measure_exam_growth(
    linked: LinkedTable,
    *,
    exam_id: str,
    by: Literal["school", "class"] = "school",
    ways: Sequence[Way] = WAYS,
    papers: Sequence[str] | None = None,
    settings: RunSettings,
) -> ExamGrowth:
    """Measure the growth of schools or classes in the composite and every paper.

    The multilevel model of the composite has each prior's composite; that of a paper also the prior paper of the same subject,
    where there is one. The other ways take one prior, of the first prior exam: the paper of the same subject, else the composite.
    All scores are in SDs of their comparison group, and so are the results (percentiles excepted).

    Parameters
    ----------
    linked
        Candidates with their earlier scores.
    exam_id
        The exam.
    by
        Unit.
    ways
        Of measuring growth.
    papers
        Papers (``composite`` among them); all by default.
    settings
        Of the run: conf_level, min_n_reporting (smallest unit with a growth percentile), prior_reliability, growth_covariates.

    Returns
    -------
    ExamGrowth

    Raises
    ------
    UsageError
        ``growth_paper_unknown``, ``growth_covariate_unknown``, ``growth_no_classes``, ``growth_method``.
    """
    wanted = _check(linked, by, ways, papers, settings)
    frame = linked.frame.with_columns(_unit(by).alias("unit"))
    jobs = list(_jobs(linked, frame, wanted, settings))

    def fit(job: GrowthJob) -> GrowthLines:
        return fit_paper(job, linked, exam_id=exam_id, by=by, ways=ways, settings=settings)

    if frame.height >= _LARGE:
        with ThreadPoolExecutor(2) as threads:
            done = list(threads.map(fit, jobs))
    else:
        done = [fit(job) for job in jobs]
    lines = pl.concat([found.lines for found in done]) if done else pl.DataFrame(schema=GROWTH)
    flows, low_groups = measure_exam_flows(
        jobs, exam_id=exam_id, prior_exam=str(linked.priors[0].exam.id), by=by, settings=settings
    )
    return ExamGrowth(
        frame=lines,
        settings={
            "exam_id": exam_id,
            "priors": [prior.exam.id for prior in linked.priors],
            "unit_type": by,
            "ways": list(ways),
            "level": settings.conf_level,
            "prior_reliability": dict(settings.prior_reliability),
            "covariates": list(settings.growth_covariates),
        },
        unit_type=by,
        priors=describe_priors(linked, [("given", None)] * len(linked.priors)),
        missing=linked.missing,
        models=pl.DataFrame([found.model for found in done], schema=MODELS),
        coefficients=pl.DataFrame([line for found in done for line in found.coefficients], schema=COEFFICIENTS),
        checks=pl.DataFrame([line for found in done for line in found.checks], schema=CHECKS_OF_GROWTH),
        agreement=pl.DataFrame([line for found in done for line in found.agreement], schema=AGREEMENT),
        notes=_notes(linked, jobs, settings),
        flows=flows,
        low_groups=low_groups,
        linked=linked,
    )


def _unit(by: str) -> pl.Expr:
    return pl.col("school_id") if by == "school" else pl.concat_str("school_id", "class_id", separator="/")


def _check(
    linked: LinkedTable, by: str, ways: Sequence[str], papers: Sequence[str] | None, settings: RunSettings
) -> tuple[str, ...]:
    """Return the papers to do; stop at what is not there."""
    for way in ways:
        if way not in WAYS:
            raise UsageError("growth_method", method=way, known=", ".join(WAYS))
    if by == "class" and ("class_id" not in linked.frame.columns or linked.frame["class_id"].null_count() == linked.frame.height):
        raise UsageError("growth_no_classes")
    for name in settings.growth_covariates:
        if name not in linked.frame.columns:
            raise UsageError("growth_covariate_unknown", column=name)
    for paper in papers or ():
        if paper not in linked.papers:
            raise UsageError("growth_paper_unknown", paper=paper, known=", ".join(linked.papers))
    return tuple(paper for paper in linked.papers if papers is None or paper in papers)


def _own_prior(linked: LinkedTable, number: int, subject: str) -> str | None:
    """Return the column of the prior paper of a subject."""
    for paper in linked.priors[number - 1].papers:
        if paper.subject_code == subject:
            return prior_column(number, paper.code)
    return None


def _jobs(linked: LinkedTable, frame: pl.DataFrame, papers: Sequence[str], settings: RunSettings) -> Iterable[GrowthJob]:
    """Yield a job per paper and comparison group, largest group of a paper first."""
    numbers = range(1, len(linked.priors) + 1)
    for paper in papers:
        groups = linked.groups.filter(pl.col("paper") == paper).sort("n_expected", "comparison_group", descending=[True, False])
        for group in groups.iter_rows(named=True):
            strata = linked.links.filter(pl.col("comparison_group") == group["comparison_group"])["stratum"].unique()
            inside = (
                frame
                if strata.len() == linked.links["stratum"].n_unique()
                else frame.filter(pl.col("stratum").is_in(strata.implode()))
            )
            composites = [prior_column(number, COMPOSITE) for number in numbers]
            same = [_own_prior(linked, number, group["subject"]) for number in numbers]
            own = [
                name for name in same if name is not None and len(linked.priors[int(name[1 : name.index("_")]) - 1].papers) > 1
            ]
            columns = ["unit", *composites, *own, *settings.growth_covariates]
            units = (
                inside.filter(pl.col("unit").is_not_null())
                .group_by("unit")
                .agg(
                    pl.col(f"expected_{paper}").sum().cast(pl.Int64).alias("n_expected"),
                    pl.col(f"z_{paper}").is_not_null().sum().cast(pl.Int64).alias("n_listed"),
                )
            )
            rows = inside.filter(pl.col(f"z_{paper}").is_not_null(), pl.col("unit").is_not_null()).select(
                pl.col(f"z_{paper}").alias("y"), *columns
            )
            first = same[0] if same and same[0] in own else composites[0]
            yield GrowthJob(paper, group, units.filter(pl.col("n_expected") > 0).sort("unit"), rows, first, (*composites, *own))


def _notes(linked: LinkedTable, jobs: Sequence[GrowthJob], settings: RunSettings) -> pl.DataFrame:
    """Return what a reader must know beside the numbers."""
    lines: list[dict[str, Any]] = []
    for prior in linked.priors:
        exam = str(prior.exam.id)
        if prior.n_listed and prior.n_linked < LOW_MATCH * prior.n_listed:
            lines.append({"code": "low_match_rate", "found": exam, "n": prior.n_listed - prior.n_linked})
        if prior.n_without_id:
            lines.append({"code": "without_id", "found": exam, "n": prior.n_without_id})
        if prior.n_duplicates:
            lines.append({"code": "duplicate_ids", "found": exam, "n": prior.n_duplicates})
    if len(linked.priors) > 1:
        lines.append({"code": "first_prior_only", "found": str(linked.priors[0].exam.id), "n": len(linked.priors)})
    without = dict.fromkeys(job.paper for job in jobs if job.paper != COMPOSITE and job.first.endswith(f"_{COMPOSITE}"))
    if without:
        lines.append({"code": "no_own_prior", "found": ",".join(without), "n": len(without)})
    if not settings.prior_reliability:
        lines.append({"code": "uncorrected", "found": None, "n": None})
    return pl.DataFrame(lines, schema=NOTES)
