"""Candidates of an exam beside what the same pupils did in earlier exams: the linked table, without ids.

Pupils are joined by person_id alone; intake drops names, so nobody is joined by name. An id that stands twice in one of the two
exams links nobody: which of the rows is meant cannot be known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from eduq.groups import COMPOSITE
from eduq.intake.exam_file import ExamFacts, PaperFacts
from eduq.intake.score_table import ScoreTable
from eduq.settings import RunSettings
from eduq.summaries.counts import COMPOSITE_SCALE
from eduq.summaries.derived import add_expected, add_standard_scores
from eduq.summaries.sweeps import place_candidates
from eduq.tables import SUBGROUP_PREFIX, status_column

__all__ = [
    "MISSING",
    "PRIOR_BANDS",
    "PRIOR_SHARES",
    "LinkedPrior",
    "LinkedTable",
    "cut_prior_bands",
    "link_exams",
    "prior_column",
]

PRIOR_BANDS = ("upper", "middle", "lower")
PRIOR_SHARES = (0.30, 0.70)
"""Percentile ranks of the area: a prior composite below the first is in the lower band, one from the second on in the upper."""
MISSING: dict[str, pl.DataType] = {
    "prior_exam": pl.String(),
    "school_id": pl.String(),
    "prior_band": pl.String(),
    "n_listed": pl.Int64(),
    "n_linked": pl.Int64(),
    "prior_z_missing": pl.Float64(),
}
"""Who of a prior exam is in the later one: ``school_id`` is the school at the time of the prior exam (``all``: the area);
``prior_band`` upper, middle, lower, none (no composite then) or all; ``n_linked`` of the ``n_listed`` have a score in the
later exam; ``prior_z_missing`` is the mean prior composite (SDs) of those who have not."""
_UNITS = ("school_id", "class_id", "sex", "track", "combination")
_KEY = "__person"


@dataclass(frozen=True)
class LinkedPrior:
    """One prior exam as it was linked.

    Attributes
    ----------
    exam, papers
        What exam.toml says of it.
    n_listed
        Candidates of the later exam.
    n_linked
        Those of them found in the prior exam, with a score there or not.
    n_without_id
        Candidates of the later exam without a person_id.
    n_duplicates
        Ids that stand twice in one of the two exams.
    """

    exam: ExamFacts
    papers: tuple[PaperFacts, ...]
    n_listed: int
    n_linked: int
    n_without_id: int
    n_duplicates: int


@dataclass(frozen=True)
class LinkedTable:
    """Candidates of an exam with their standardised scores in it and in prior exams. Not to be shown: rows of pupils.

    Attributes
    ----------
    frame
        One row per candidate in the order of the exam: stratum, school_id, class_id, sex, track, combination, sub_*,
        <code>_class as far as the exam has them; per paper and for the composite ``z_<paper>`` (Float64, SDs of its comparison
        group; null without a score that counts, or where the group may not be compared) and ``expected_<paper>`` (Boolean); per
        prior exam k = 1, 2 ... ``p<k>_<paper>`` and ``p<k>_composite``, the same in that exam, null for who is not linked. In an
        exam of one paper the composite is that paper's score.
    papers
        Papers of the exam in order, ``composite`` first where there is one.
    links, groups
        stratum, paper, comparison_group; `eduq.tables.COMPARABILITY`.
    priors
        The prior exams, in the order of the columns.
    missing
        `MISSING`.
    """

    frame: pl.DataFrame
    papers: tuple[str, ...]
    links: pl.DataFrame
    groups: pl.DataFrame
    priors: tuple[LinkedPrior, ...]
    missing: pl.DataFrame


def prior_column(number: int, paper: str) -> str:
    """Return the column of a paper (or ``composite``) of prior exam 1, 2 ..."""
    return f"p{number}_{paper}"


def link_exams(scores: ScoreTable, priors: Sequence[ScoreTable], *, settings: RunSettings) -> LinkedTable:
    """Put each candidate's standardised scores of prior exams beside those of an exam.

    Parameters
    ----------
    scores
        The exam; its frame must hold person_id, in the same form as the priors' (plain ids, or hashes under one key).
    priors
        Earlier exams.
    settings
        Of the run: who has a composite.

    Returns
    -------
    LinkedTable
    """
    own, links, groups = _standardise(scores, settings, "z_")
    found = own.select(pl.all().exclude(_KEY))
    kept = [name for name in scores.frame.columns if _is_unit(name)]
    statuses = scores.frame.select(status_column(paper.code) for paper in scores.papers)
    expected = add_expected(statuses, scores.papers, prefix="expected_", name=f"expected_{COMPOSITE}").drop(statuses.columns)
    found = found.hstack(scores.frame.select(kept)).hstack(expected)
    person, twice = _single(own[_KEY])
    here = person.filter(own[f"z_{COMPOSITE}"].is_not_null()).drop_nulls()
    facts, lost = [], []
    for number, prior in enumerate(priors, start=1):
        then, _, _ = _standardise(prior, settings, f"p{number}_")
        then_person, then_twice = _single(then[_KEY])
        then = then.drop("stratum").with_columns(then_person)
        linked = person.to_frame().join(
            then.drop_nulls(_KEY).with_columns(pl.lit(True).alias("__linked")), on=_KEY, how="left", maintain_order="left"
        )
        found = found.hstack(linked.drop(_KEY, "__linked"))
        facts.append(
            LinkedPrior(
                exam=prior.exam.exam,
                papers=prior.papers,
                n_listed=scores.frame.height,
                n_linked=int(linked["__linked"].sum()),
                n_without_id=int(own[_KEY].null_count()),
                n_duplicates=twice + then_twice,
            )
        )
        schools = prior.frame["school_id"]
        lost.append(_count_missing(then, schools, here, number, str(prior.exam.exam.id)))
    papers = (*([COMPOSITE] if len(scores.papers) > 1 else []), *(paper.code for paper in scores.papers))
    missing = pl.concat(lost) if lost else pl.DataFrame(schema=MISSING)
    return LinkedTable(found, papers, links, groups, tuple(facts), missing)


def _is_unit(name: str) -> bool:
    return name in _UNITS or name.startswith(SUBGROUP_PREFIX) or name.endswith("_class")


def _standardise(scores: ScoreTable, settings: RunSettings, prefix: str) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return person key, stratum and the standardised scores of an exam; its links and its groups."""
    standing = place_candidates(scores, settings=settings)
    links, groups = standing.comparability.links, standing.comparability.frame
    comparable = set(groups.filter("comparable")["comparison_group"])
    may = {(stratum, paper) for stratum, paper, group in links.iter_rows() if group in comparable}
    scales = {key: scale for key, scale in standing.scales.items() if key in may}
    strata = standing.comparability.strata["stratum"].to_list()
    frame = scores.frame.with_columns(standing.frame["stratum"])
    columns = [name for paper in scores.papers for name in (paper.code, status_column(paper.code))]
    nobody = pl.Series("person_id", [None], dtype=pl.String).new_from_index(0, frame.height)
    person = frame["person_id"] if "person_id" in frame.columns else nobody
    made = add_standard_scores(
        frame.select("stratum", *columns), scores.papers, scales, strata=strata, policy=scores.exam.absence.policy, prefix=prefix
    )
    made = made.select("stratum", *(f"{prefix}{paper.code}" for paper in scores.papers))
    if COMPOSITE in standing.frame.columns:
        shown = [stratum for stratum in strata if (stratum, COMPOSITE) in may]
        value = pl.when(pl.col("stratum").is_in(shown)).then(pl.col(COMPOSITE) / COMPOSITE_SCALE)
        composite = standing.frame.select(value.alias(f"{prefix}{COMPOSITE}")).to_series()
    else:
        composite = made[f"{prefix}{scores.papers[0].code}"].alias(f"{prefix}{COMPOSITE}")
    return made.with_columns(composite, person.alias(_KEY)), links, groups


def _single(person: pl.Series) -> tuple[pl.Series, int]:
    """Return the ids with null for those that stand more than once, and how many these are."""
    twice = person.is_duplicated() & person.is_not_null()
    if not twice.any():
        return person.alias(_KEY), 0
    n = int(person.filter(twice).n_unique())
    return person.to_frame().select(pl.when(~twice).then(pl.first())).to_series().alias(_KEY), n


def cut_prior_bands(prior: pl.Series) -> pl.Series:
    """Return upper, middle or lower of each prior score by its percentile rank among all, ``none`` where there is none.

    Examples
    --------
    >>> cut_prior_bands(pl.Series([3.0, 1.0, None, 2.0, 2.0])).to_list()
    ['upper', 'lower', 'none', 'middle', 'middle']
    """
    low, high = PRIOR_SHARES
    known = max(prior.len() - prior.null_count(), 1)
    rank = pl.DataFrame({"rank": (prior.rank("average") - 0.5) / known})
    band = pl.when(pl.col("rank").is_null()).then(pl.lit("none")).when(pl.col("rank") < low).then(pl.lit("lower"))
    band = band.when(pl.col("rank") >= high).then(pl.lit("upper")).otherwise(pl.lit("middle"))  # type: ignore[assignment]
    return rank.select(band.alias("prior_band")).to_series()


def _count_missing(then: pl.DataFrame, schools: pl.Series, here: pl.Series, number: int, exam_id: str) -> pl.DataFrame:
    """Count by school and band who of a prior exam has a score in the later one."""
    composite = prior_column(number, COMPOSITE)
    rows = pl.DataFrame(
        {
            "school_id": schools,
            "z": then[composite],
            "prior_band": cut_prior_bands(then[composite]),
            "linked": then[_KEY].is_in(here.implode()).fill_null(False),
        }
    )
    parts = []
    for keys in (["school_id", "prior_band"], ["school_id"], ["prior_band"], []):
        counted = rows.group_by(keys or pl.lit(0).alias("__all")).agg(
            pl.len().cast(pl.Int64).alias("n_listed"),
            pl.col("linked").sum().cast(pl.Int64).alias("n_linked"),
            pl.col("z").filter(~pl.col("linked")).sort().mean().alias("prior_z_missing"),
        )
        absent = [pl.lit("all").alias(name) for name in ("school_id", "prior_band") if name not in keys]
        parts.append(counted.with_columns(pl.lit(exam_id).alias("prior_exam"), *absent).select(MISSING.keys()).cast(MISSING))  # type: ignore[arg-type]
    order = pl.col("prior_band").replace_strict({name: at for at, name in enumerate((*PRIOR_BANDS, "none", "all"))})
    area_last = pl.col("school_id") == "all"
    return pl.concat(parts).sort(area_last, "school_id", order)
