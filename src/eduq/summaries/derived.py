"""Between the two sweeps: papers derived per candidate (total, passes every paper, composite).

Written against narwhals expressions, so the same code runs on every engine; every result is an integer. The status of a
derived paper is kept as a small integer (`DERIVED_STATUSES`): of a candidate's papers the most telling status counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import narwhals.stable.v2 as nw

from eduq.intake.exam_file import PaperFacts
from eduq.settings import AbsencePolicy
from eduq.summaries.counts import COMPOSITE_SCALE
from eduq.tables import NOT_EXPECTED, status_column

__all__ = [
    "DERIVED_STATUSES",
    "RAW_COMPOSITE_SCALE",
    "Scale",
    "add_every_paper",
    "add_expected",
    "add_raw_composite",
    "add_standard_scores",
    "add_total",
    "effective_score",
    "is_expected",
    "standardise_composite",
]

RAW_COMPOSITE_SCALE = 1_000_000
ZEROED = ("absent", "voided")
"""Statuses that count as a score of 0 under the absence policy ``zero``."""
DERIVED_STATUSES = {1: "present", 2: "not_scanned", 3: "deferred", 4: "voided", 5: "absent", 6: "exempt"}
"""Integer statuses of derived papers, rising from least to most telling; 0: expected in no paper."""
_PRESENT = 1
_COMPLETE = "__complete"


@dataclass(frozen=True)
class Scale:
    """Mean and SD (divisor N) of one comparison group, in the integer unit of the scores."""

    mean: float
    sd: float


def _is(paper: PaperFacts, statuses: Sequence[str]) -> nw.Expr:
    status = nw.col(status_column(paper.code))
    found = status == statuses[0]
    for name in statuses[1:]:
        found = found | (status == name)
    return found


def is_expected(paper: PaperFacts) -> nw.Expr:
    """Whether a candidate is expected in a paper."""
    return (~nw.col(status_column(paper.code)).is_null()) & ~_is(paper, NOT_EXPECTED)


def effective_score(paper: PaperFacts, policy: AbsencePolicy) -> nw.Expr:
    """The score that counts: as it stands, or 0 for an absent or voided candidate under the policy ``zero``."""
    score = nw.col(paper.code)
    return nw.when(_is(paper, ZEROED)).then(nw.lit(0)).otherwise(score) if policy == "zero" else score


def _most_telling(papers: Sequence[PaperFacts], *, exempt_leaves: bool) -> nw.Expr:
    """The integer status over all papers of a candidate, whatever the absence policy."""
    codes = {name: code for code, name in DERIVED_STATUSES.items() if name != "present" and (exempt_leaves or name != "exempt")}
    per_paper = []
    for paper in papers:
        expression: Any = nw.when(~nw.col(paper.code).is_null()).then(nw.lit(_PRESENT))
        for name, code in codes.items():
            expression = nw.when(_is(paper, [name])).then(nw.lit(code)).otherwise(expression)
        per_paper.append(expression.fill_null(0).cast(nw.Int8))
    return nw.max_horizontal(*per_paper)


def _counts(papers: Sequence[PaperFacts], policy: AbsencePolicy, *, exempt_leaves: bool) -> nw.Expr:
    """Whether a candidate has what a derived paper needs: a score that counts in every expected paper."""
    lacking = ("deferred", "not_scanned") if policy == "zero" else ("deferred", "not_scanned", *ZEROED)
    lacking = (*lacking, "exempt") if exempt_leaves else lacking
    return ~nw.any_horizontal(*[_is(paper, lacking) for paper in papers], ignore_nulls=True)


def add_total(frame: Any, papers: Sequence[PaperFacts], policy: AbsencePolicy, name: str) -> Any:
    """Add the sum of a candidate's papers and its status.

    There is one only when every expected paper has a score that counts; a candidate exempt from a paper has no total,
    since it would be out of fewer papers than the others'.
    """
    status = status_column(name)
    total = nw.sum_horizontal(*[effective_score(paper, policy) for paper in papers])
    lazy = nw.from_native(frame).with_columns(
        _most_telling(papers, exempt_leaves=True).alias(status),
        _counts(papers, policy, exempt_leaves=True).alias(_COMPLETE),
        total.alias(name),
    )
    shown = nw.when(nw.col(_COMPLETE) & (nw.col(status) > 0)).then(nw.col(name))
    return lazy.with_columns(shown.alias(name)).drop(_COMPLETE).to_native()


def add_every_paper(frame: Any, papers: Sequence[PaperFacts], cuts: Mapping[str, int], policy: AbsencePolicy, name: str) -> Any:
    """Add 100 when a candidate reaches the cut in every expected paper, else 0, and its status.

    Parameters
    ----------
    frame
        Score frame.
    papers
        The papers that count.
    cuts
        Cut of each paper in hundredths.
    policy
        Absence policy.
    name
        Name of the new paper.
    """
    status = status_column(name)
    failed = nw.any_horizontal(*[effective_score(paper, policy) < cuts[paper.code] for paper in papers], ignore_nulls=True)
    lazy = nw.from_native(frame).with_columns(
        _most_telling(papers, exempt_leaves=False).alias(status),
        _counts(papers, policy, exempt_leaves=False).alias(_COMPLETE),
        failed.alias(name),
    )
    value = nw.when(nw.col(name)).then(nw.lit(0)).otherwise(nw.lit(100))
    shown = nw.when(nw.col(_COMPLETE) & (nw.col(status) > 0)).then(value)
    return lazy.with_columns(shown.alias(name)).drop(_COMPLETE).to_native()


def _by_stratum(strata: Sequence[int], pick: Callable[[int], float]) -> nw.Expr:
    """A number that depends on the stratum alone."""
    values = [float(pick(stratum)) for stratum in strata]
    expression: Any = nw.lit(values[0])
    for stratum, value in zip(strata[1:], values[1:], strict=True):
        if value != values[0]:
            expression = nw.when(nw.col("stratum") == stratum).then(nw.lit(value)).otherwise(expression)
    return cast(nw.Expr, expression)


def add_standard_scores(
    frame: Any,
    papers: Sequence[PaperFacts],
    scales: Mapping[tuple[int, str], Scale],
    *,
    strata: Sequence[int],
    policy: AbsencePolicy,
    prefix: str,
) -> Any:
    """Add each paper's score as its distance from the mean of its comparison group in SDs (divisor N).

    Parameters
    ----------
    frame
        Score frame with the column ``stratum``.
    papers
        The papers to standardise.
    scales
        (stratum, paper) to the mean and SD of its comparison group; without an entry, or with SD 0, there is none.
    strata
        All strata.
    policy
        Absence policy.
    prefix
        Before the code of each new column.
    """
    added = []
    for paper in papers:
        known = {stratum: scale for stratum in strata if (scale := scales.get((stratum, paper.code))) and scale.sd > 0}
        if not known:
            added.append(nw.lit(None, dtype=nw.Float64).alias(f"{prefix}{paper.code}"))
            continue
        mean = _by_stratum(strata, {at: known[at].mean if at in known else 0.0 for at in strata}.__getitem__)
        spread = _by_stratum(strata, {at: known[at].sd if at in known else 1.0 for at in strata}.__getitem__)
        value = ((effective_score(paper, policy) - mean) / spread).cast(nw.Float64)
        if len(known) < len(strata):
            value = nw.when(nw.col("stratum").is_in(list(known))).then(value)
        added.append(value.alias(f"{prefix}{paper.code}"))
    return nw.from_native(frame).with_columns(*added).to_native()


def add_expected(frame: Any, papers: Sequence[PaperFacts], *, prefix: str, name: str) -> Any:
    """Add whether a candidate is expected in each paper, and (as `name`) in any of them."""
    lazy = nw.from_native(frame).with_columns(
        *(is_expected(paper).fill_null(False).alias(f"{prefix}{paper.code}") for paper in papers)
    )
    every = nw.any_horizontal(*(nw.col(f"{prefix}{paper.code}") for paper in papers), ignore_nulls=True)
    return lazy.with_columns(every.alias(name)).to_native()


def add_raw_composite(
    frame: Any,
    papers: Sequence[PaperFacts],
    scales: Mapping[tuple[int, str], Scale],
    *,
    strata: Sequence[int],
    policy: AbsencePolicy,
    min_weight: float,
    core: Sequence[str],
    name: str,
) -> Any:
    """Add the weighted mean of a candidate's standardised scores, in units of 1/1,000,000, before it is standardised itself.

    Parameters
    ----------
    frame
        Score frame with the column ``stratum``.
    papers
        The papers of the exam; weight 0 keeps one out.
    scales
        (stratum, paper) to the mean and SD of its comparison group; a missing entry keeps the paper out there.
    strata
        All strata.
    policy
        Absence policy.
    min_weight
        Share of the weight of the expected papers a candidate must have.
    core
        Papers a candidate must have when expected in them.
    name
        Name of the new column.
    """

    def by_stratum(pick: Any) -> nw.Expr:
        return _by_stratum(strata, pick)

    def weight_of(paper: PaperFacts, stratum: int) -> float:
        scale = scales.get((stratum, paper.code))
        return paper.weight if scale is not None and scale.sd > 0 else 0.0

    gained, counted, sat, expected, complete = [], [], [], [], []
    for paper in (paper for paper in papers if paper.weight > 0):
        score = effective_score(paper, policy)
        weight = by_stratum(lambda stratum, paper=paper: weight_of(paper, stratum))
        factor = by_stratum(
            lambda stratum, paper=paper: (
                weight_of(paper, stratum) / scales[stratum, paper.code].sd if weight_of(paper, stratum) else 0.0
            )
        )
        mean = by_stratum(
            lambda stratum, paper=paper: scales[stratum, paper.code].mean if (stratum, paper.code) in scales else 0.0
        )
        gained.append((score - mean) * factor)
        counted.append(nw.when(~score.is_null()).then(weight).otherwise(nw.lit(0.0)))
        sat.append(nw.when(~nw.col(paper.code).is_null()).then(weight).otherwise(nw.lit(0.0)))
        expected.append(nw.when(is_expected(paper)).then(weight).otherwise(nw.lit(0.0)))
        if paper.code in core:
            complete.append(~is_expected(paper) | ~score.is_null())
    lazy = nw.from_native(frame).with_columns(
        nw.sum_horizontal(*gained).alias("__gained"),
        nw.sum_horizontal(*counted).alias("__counted"),
        nw.sum_horizontal(*sat).alias("__sat"),
        nw.sum_horizontal(*expected).alias("__expected"),
    )
    core_there = nw.all_horizontal(*complete, ignore_nulls=True) if complete else nw.lit(True)

    def reaches(weight: str) -> nw.Expr:
        return core_there & (nw.col(weight) > 0) & (nw.col(weight) >= min_weight * nw.col("__expected") - 1e-9)

    enough = reaches("__counted")
    raw = (nw.col("__gained") / nw.col("__counted") * RAW_COMPOSITE_SCALE).round().cast(nw.Int64)
    absent = next(code for code, status in DERIVED_STATUSES.items() if status == "absent")
    status = (
        nw.when(nw.col("__expected") > 0)
        .then(nw.when(reaches("__sat")).then(nw.lit(_PRESENT)).otherwise(nw.lit(absent)))
        .otherwise(nw.lit(0))
    )
    return (
        lazy.with_columns(nw.when(enough).then(raw).alias(name), status.alias(status_column(name)))
        .drop("__gained", "__counted", "__sat", "__expected")
        .to_native()
    )


def standardise_composite(frame: Any, scales: Mapping[int, Scale], *, raw: str, name: str) -> Any:
    """Add the composite in units of 1/10,000 SD: the raw composite minus its group's mean, over its group's SD.

    Parameters
    ----------
    frame
        Frame with the raw composite and ``stratum``.
    scales
        Stratum to mean and SD of the raw composite in its comparison group; a stratum without one has no composite.
    raw, name
        Column read and column added.
    """
    expression: Any = None
    for stratum, scale in scales.items():
        if scale.sd > 0:
            value = ((nw.col(raw) - scale.mean) / scale.sd * COMPOSITE_SCALE).round().cast(nw.Int64)
            here = nw.when((nw.col("stratum") == stratum) & ~nw.col(raw).is_null()).then(value)
            expression = here if expression is None else here.otherwise(expression)
    added = nw.lit(None, dtype=nw.Int64) if expression is None else expression
    return nw.from_native(frame).with_columns(added.alias(name)).to_native()
