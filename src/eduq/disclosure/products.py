"""What an edition may show of one product of the yearly cadence: exams of a period, what changed, what is open."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import polars as pl

from eduq.disclosure.editions import EXAM_EDITIONS, PUBLISHED_EDITIONS, check_edition
from eduq.disclosure.exams import ExamResults, Publishable, protect
from eduq.disclosure.histories import History, PublishableHistory, protect_history
from eduq.disclosure.subjects import SubjectPlace, narrow_product, narrow_results
from eduq.disclosure.target_reviews import protect_targets
from eduq.disclosure.withholding import withhold_targets
from eduq.estimates.targets.results import TargetReview
from eduq.estimates.teaching import TeachingTable
from eduq.settings import Edition, RunSettings

__all__ = ["NEWS", "OPEN_ITEMS", "PRODUCTS", "Product", "ProductFacts", "PublishableProduct", "UnreadExam", "protect_product"]

Product = Literal[
    "check", "dispatch", "quarterly", "term", "annual", "government", "research", "school", "school-packs", "teacher", "subject"
]
PRODUCTS: tuple[Product, ...] = (
    *("check", "dispatch", "quarterly", "term", "annual", "government", "research"),
    *("school", "school-packs", "teacher", "subject"),
)

NEWS: dict[str, pl.DataType] = {
    "exam_id": pl.String(),
    "name": pl.String(),
    "date": pl.Date(),
    "year_group": pl.String(),
    "purpose": pl.String(),
    "n_candidates": pl.Int64(),
    "n_schools": pl.Int64(),
    "news": pl.Enum(("new", "corrected", "unchanged")),
}
"""One line per exam of the period: ``news`` against the last issue of the same product and edition (new where there is none).
Of exams from before the period (``earlier_news``) only those added or corrected since that issue."""

OPEN_ITEMS: dict[str, pl.DataType] = {
    "kind": pl.Enum(("proposal", "target", "participation", "data_quality")),
    "item": pl.String(),
    "unit_type": pl.String(),
    "unit": pl.String(),
    "owner": pl.String(),
    "due": pl.Date(),
    "status": pl.Enum(("open", "overdue", "closed")),
    "exam_id": pl.String(),
    "n": pl.Int64(),
}
"""One line per matter that waits for somebody: ``item`` is a rule id, target id, paper or check code; ``owner`` who decides or
signed (null: to be named); ``n`` how many it concerns."""


@dataclass(frozen=True)
class UnreadExam:
    """An exam of the period without a candidate's score: there is nothing to calculate from.

    Attributes
    ----------
    reason
        ``only_aggregates`` (school summaries alone), ``no_rows_used`` (no row could be used), ``no_scores`` (nobody sat it).
    name
        As exam.toml says.
    n_schools, n_figures
        Schools and figures of the school summaries.
    """

    reason: str
    name: str | None = None
    n_schools: int = 0
    n_figures: int = 0


@dataclass(frozen=True, kw_only=True)
class ProductParts:
    """What a product holds, before and after an audience is chosen.

    Attributes
    ----------
    product, period, first, last
        What is made, the period as written (``2025Q4``) and its first and last day.
    today, archive_version
        The day it is made as of, and the version of the archive that was read.
    news, open_items
        `NEWS` and `OPEN_ITEMS`.
    verdicts, decisions, targets
        Proposals awaiting a decision (`eduq.tables.VERDICTS`), decisions of the period (`eduq.tables.DECISIONS`), reviewed
        targets (`eduq.tables.TARGET_REVIEWS`).
    names
        unit_type to unit to name, as the registers have them.
    settings
        Of the run.
    unit
        The school, teacher or subject a product is for; None for the others.
    last_issue
        When the same product and edition was last issued; None: never.
    earlier_news
        `NEWS` of exams from before the period: what came in too late for an earlier issue, or was corrected since.
    unread
        Exams of the period, by id, that have no results.
    """

    product: Product
    period: str
    first: dt.date
    last: dt.date
    today: dt.date
    archive_version: int
    news: pl.DataFrame
    open_items: pl.DataFrame
    verdicts: pl.DataFrame
    decisions: pl.DataFrame
    targets: pl.DataFrame
    names: Mapping[str, Mapping[str, str]]
    settings: RunSettings
    unit: str | None = None
    last_issue: dt.date | None = None
    earlier_news: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=NEWS))
    unread: Mapping[str, UnreadExam] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ProductFacts(ProductParts):
    """Everything known for a product before an audience is chosen; not to be shown as it is.

    Attributes
    ----------
    exams
        Exams of the period, oldest first, each analysed.
    histories
        Courses over the years by year group.
    teaching
        Teachers and classes of each exam, in the order of ``exams``; empty where they were not asked for.
    """

    exams: tuple[ExamResults, ...]
    histories: Mapping[str, History]
    teaching: tuple[TeachingTable, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PublishableProduct(ProductParts):
    """What an edition may show of a product; its frames are protected.

    Attributes
    ----------
    edition
        The audience.
    exams
        What may be shown of each exam.
    histories
        Courses over the years by year group.
    places
        Of a product for one subject: by exam, how the subject stands among those of the same candidates.
    """

    edition: Edition
    exams: tuple[Publishable, ...]
    histories: Mapping[str, PublishableHistory]
    places: Mapping[str, SubjectPlace] = field(default_factory=dict)


def protect_product(facts: ProductFacts, *, edition: str, issued: Iterable[str] = ()) -> PublishableProduct:
    """Make the facts of a product publishable for one audience.

    Every exam passes `eduq.disclosure.protect`, beside all that was issued before. The bureau edition names schools; of
    histories and targets it withholds the numbers of units with fewer than ``min_n_reporting`` candidates, and of those withheld
    in an exam of the period for the sake of others. The other editions hold the exams only: no school's course, no target, no
    verdict, no decision, no open item, no name.

    Parameters
    ----------
    facts
        What is known for the product.
    edition
        The audience.
    issued
        ``content`` of the ledger of issued editions (`eduq.tables.ISSUED`), which a withheld number must be safe beside.

    Raises
    ------
    DisclosureError
        ``edition_unknown`` or ``edition_not_available``, and those of `eduq.disclosure.protect`.
    """
    subject = facts.unit if facts.product == "subject" else None
    named = check_edition(edition, EXAM_EDITIONS if subject is None else PUBLISHED_EDITIONS)
    told = list(issued)
    known = facts.exams if subject is None else [narrow_results(results, subject) for results in facts.exams]
    exams = tuple(protect(results, edition=edition, issued=told) for results in known)
    same = {one.name: getattr(facts, one.name) for one in fields(ProductParts)}
    if edition != "bureau":
        kept: dict[str, Any] = {name: getattr(facts, name).clear() for name in ("open_items", "verdicts", "decisions", "targets")}
        kept |= {"histories": {}, "names": {}, "edition": named}
    else:
        min_n = facts.settings.min_n_reporting
        kept = {
            "edition": "bureau",
            "histories": {year_group: protect_history(history, min_n) for year_group, history in facts.histories.items()}
            | {str(exam.exam.exam.year_group): exam.history for exam in exams if exam.history is not None},
            "targets": withhold_targets(protect_targets(TargetReview(frame=facts.targets, settings={}), min_n), exams).frame,
        }
    made = PublishableProduct(**(same | kept | {"exams": exams}))
    return made if subject is None else narrow_product(made, subject)
