"""What of an exam belongs to one subject: its own papers' tables, and its place among the subjects of the same candidates."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from eduq.disclosure.comparisons import PublishableComparisons
from eduq.disclosure.equities import PublishableEquity
from eduq.disclosure.growths import PublishableGrowth
from eduq.disclosure.histories import History, tell_direction
from eduq.estimates.declines import DeclineResult
from eduq.estimates.teaching.pooling import difference_from_rest
from eduq.groups import DERIVED

if TYPE_CHECKING:
    from eduq.disclosure.exams import ExamResults, Publishable
    from eduq.disclosure.products import PublishableProduct

__all__ = ["AMONG_OWN", "SubjectPlace", "keep_subject", "narrow_product", "narrow_results", "subject_papers"]

AMONG_OWN: dict[str, pl.DataType] = {
    "unit": pl.String(),
    "n": pl.Int64(),
    "n_subjects": pl.Int64(),
    "difference": pl.Float64(),
    "lower": pl.Float64(),
    "upper": pl.Float64(),
    "side": pl.String(),
}
"""One line per school: ``difference`` is its gap in the subject less the mean of its gaps in its other subjects, in SDs, with the
simultaneous interval; ``side`` above, below, same; ``n`` present in the subject's paper."""
_GAP_SIDES = ("gap", "between_school_share")


@dataclass(frozen=True)
class SubjectPlace:
    """How a subject stands among the subjects of the same candidates in one exam.

    Attributes
    ----------
    shares
        Of every subject how unequal the schools are, and how far kinds of place lie apart (`eduq.tables.EQUITY`).
    among_own
        `AMONG_OWN`.
    """

    shares: pl.DataFrame
    among_own: pl.DataFrame


def subject_papers(shown: Publishable, subject: str) -> list[str]:
    """Return the papers of a subject, that of most candidates first."""
    codes = [paper.code for paper in shown.exam.papers if paper.subject_code == subject]
    area = shown.estimates.filter(pl.col("unit_type") == "area", pl.col("paper").is_in(codes))
    sizes = dict(area.group_by("paper").agg(pl.col("n_present").max()).iter_rows())
    return sorted((code for code in codes if code in sizes), key=lambda code: (-sizes[code], code))


def narrow_results(results: ExamResults, subject: str) -> ExamResults:
    """Return the results of an exam with the course over the years of one subject in place of the composite's.

    All else stays until it is protected: what is withheld is looked for in all tables of the exam.
    """
    return dataclasses.replace(results, history=_subject_history(results.history, subject))


def narrow_product(made: PublishableProduct, subject: str) -> PublishableProduct:
    """Return what of a product is about one subject: its exams, courses, targets; no proposal and no decision.

    Parameters
    ----------
    made
        A product for the bureau, made from results that went through `narrow_results`.
    subject
        Code of the subject.
    """
    narrow = [(whole, keep_subject(whole, subject)) for whole in made.exams]
    kept = [(whole, own) for whole, own in narrow if own is not None]
    ids = [str(own.exam.exam.id) for _, own in kept]
    histories = {str(own.exam.exam.year_group): own.history for _, own in kept if own.history is not None}
    targets = made.targets.filter(pl.col("subject") == subject)
    of_subject = (pl.col("kind") == "target") & pl.col("item").is_in(targets["target_id"].to_list())
    of_data = (pl.col("kind") == "data_quality") & pl.col("exam_id").is_in(ids)
    return dataclasses.replace(
        made,
        exams=tuple(own for _, own in kept),
        news=made.news.filter(pl.col("exam_id").is_in(ids)),
        open_items=made.open_items.filter(of_subject | of_data),
        histories=histories,
        verdicts=made.verdicts.clear(),
        decisions=made.decisions.clear(),
        targets=targets,
        places={str(own.exam.exam.id): _place_of(whole, subject) for whole, own in kept},
    )


def _place_of(whole: Publishable, subject: str) -> SubjectPlace:
    return SubjectPlace(_subject_shares(whole), _measure_among_own(whole, subject))


def _subject_history(history: History | None, subject: str) -> History | None:
    """Return a history whose course is that of one subject; what is known of other subjects stays behind."""
    if history is None or history.declines is None:
        return history
    family, found = history.subjects, None
    if family is not None and "subject" in family.frame.columns and (family.frame["subject"] == subject).any():
        found = _of_family(tell_direction(family), subject)
    reason = None if found is not None else "subject_no_course"
    return dataclasses.replace(history, declines=found, subjects=None, reason=reason)


def _of_family(family: DeclineResult, subject: str) -> DeclineResult:
    own = pl.col("subject") == subject
    place = list(family.columns.family).index("subject")

    def kept(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.filter(own) if "subject" in frame.columns else frame

    return dataclasses.replace(
        family,
        frame=kept(family.frame),
        series=kept(family.series),
        changes=kept(family.changes),
        declared=kept(family.declared),
        models={key: model for key, model in family.models.items() if key[place] == subject},
    )


def keep_subject(shown: Publishable, subject: str) -> Publishable | None:
    """Return what of an exam is about one subject; None where it was not sat.

    Left are the tables of its papers: estimates, distribution, comparison, equity, growth, low group, targets. The composite,
    moves between bands of the composite and pairs compared by it are left out.
    """
    codes = subject_papers(shown, subject)
    if not codes:
        return None
    own = pl.col("paper").is_in(codes)
    estimates = shown.estimates.filter(own)
    units = estimates.select("unit_type", "unit").unique()
    parents = shown.units.join(units, on=["unit_type", "unit"], how="semi", maintain_order="left")
    papers = tuple(paper for code in codes for paper in shown.exam.papers if paper.code == code)
    targets = shown.targets
    return dataclasses.replace(
        shown,
        exam=shown.exam.model_copy(update={"papers": papers}),
        estimates=estimates,
        comparability=shown.comparability.filter(own),
        units=parents,
        distribution=shown.distribution.filter(own),
        statuses=shown.statuses.filter(own),
        comparisons=_comparisons(shown.comparisons, codes),
        equity=_equity(shown.equity, codes, subject),
        growth=_growth(shown.growth, codes, [paper.code for paper in shown.exam.papers if paper.code not in codes]),
        targets=None
        if targets is None
        else dataclasses.replace(targets, frame=targets.frame.filter(pl.col("subject") == subject)),
        states=None,
    )


def _comparisons(found: PublishableComparisons | None, codes: list[str]) -> PublishableComparisons | None:
    if found is None:
        return None
    own = pl.col("paper").is_in(codes)
    frame = found.frame.filter(own)
    if frame.is_empty():
        return None
    references = found.references
    if references is not None:
        references = references.filter(own)
        references = None if references.is_empty() else references
    return dataclasses.replace(
        found,
        main=(codes[0], "z_mean"),
        frame=frame,
        models={key: model for key, model in found.models.items() if key[1] in codes},
        pairs=None,
        references=references,
    )


def _equity(found: PublishableEquity | None, codes: list[str], subject: str) -> PublishableEquity | None:
    if found is None:
        return None
    own = pl.col("subject") == subject
    years = [frame if frame.is_empty() else frame.filter(own) for frame in (found.years, found.course)]
    return dataclasses.replace(found, frame=found.frame.filter(pl.col("paper").is_in(codes)), years=years[0], course=years[1])


def _growth(found: PublishableGrowth | None, codes: list[str], others: list[str]) -> PublishableGrowth | None:
    if found is None:
        return None
    own = pl.col("paper").is_in(codes)
    named = ("frame", "models", "coefficients", "checks", "agreement", "flows", "low_groups")
    frames = {name: getattr(found, name) for name in named}
    kept = {name: frame.filter(own) if "paper" in frame.columns else frame for name, frame in frames.items()}
    of_others = pl.col("found").str.split(",").list.eval(pl.element().is_in(others)).list.all()
    notes = found.notes.filter(~of_others.fill_null(value=False)) if "found" in found.notes.columns else found.notes
    return dataclasses.replace(found, **kept, missing=found.missing.clear(), notes=notes)


def _subject_shares(shown: Publishable) -> pl.DataFrame:
    """Return how unequal the schools are in each subject, and how far kinds of place lie apart (`eduq.tables.EQUITY`)."""
    if shown.equity is None:
        return pl.DataFrame()
    of_places = pl.col("attribute").is_null() | (pl.col("attribute") == "area_type")
    return shown.equity.frame.filter(pl.col("index").is_in(_GAP_SIDES), of_places, ~pl.col("paper").is_in(DERIVED))


def _measure_among_own(shown: Publishable, subject: str) -> pl.DataFrame:
    """Return, of each school, its gap in a subject beside the mean of its gaps in its other subjects (`AMONG_OWN`).

    The intervals are simultaneous over a school's subjects (`eduq.estimates.teaching.pooling.difference_from_rest`). Of a subject
    with several papers, and of a school in several groups, the one of most candidates counts.
    """
    subject_of = {paper.code: paper.subject_code for paper in shown.exam.papers}
    gaps = shown.estimates.filter(
        pl.col("unit_type") == "school",
        pl.col("measure") == "z_mean",
        ~pl.col("paper").is_in(DERIVED),
        pl.col("estimate").is_not_null(),
        pl.col("std_error") > 0,
    ).sort("unit", "n", "paper", "comparison_group", descending=[False, True, False, False])
    of_school: dict[str, dict[str, tuple[float, float, int]]] = defaultdict(dict)
    for unit, paper, estimate, error, n in gaps.select("unit", "paper", "estimate", "std_error", "n").iter_rows():
        of_school[unit].setdefault(subject_of.get(paper, paper), (estimate, error, n))
    lines = []
    for unit, own in sorted(of_school.items()):
        if subject not in own or len(own) < 2:
            continue
        names = [subject, *(name for name in own if name != subject)]
        found = difference_from_rest(
            [own[name][0] for name in names], [own[name][1] for name in names], conf_level=shown.settings.conf_level
        )
        apart, lower, upper = found[0]
        side = "above" if lower > 0 else "below" if upper < 0 else "same"
        lines.append((unit, own[subject][2], len(own), apart, lower, upper, side))
    return pl.DataFrame(lines, schema=AMONG_OWN, orient="row")
