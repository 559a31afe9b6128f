"""What a product is made from: the exams of its period, what is new in them, what waits for somebody."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence

import polars as pl

from eduq.archive import Archive, open_archive
from eduq.disclosure.exams import ExamResults
from eduq.disclosure.products import NEWS, OPEN_ITEMS, Product, ProductFacts, UnreadExam
from eduq.errors import NotAssessableError
from eduq.groups import DERIVED
from eduq.locale import LANGUAGES
from eduq.pipeline.analysis import Analysis
from eduq.pipeline.clock import Progress
from eduq.pipeline.main_job import analyze
from eduq.pipeline.periods import Period
from eduq.pipeline.stored_exams import ExamId
from eduq.registers import Registers
from eduq.rulepacks.model import RulePack
from eduq.settings import RunSettings
from eduq.tables import TARGET_REVIEWS, VERDICTS

__all__ = ["collect_facts", "packs_in_force", "tell_news"]

_EARLIEST = dt.date(1900, 1, 1)
_NO_CLASSES = ("classes_missing", "feedback_term_unknown")
"""Why an exam tells nothing of teachers."""
_NO_SCORES = ("only_aggregates", "no_rows_used", "no_scores")
"""Why there is nothing to calculate from; the product says so and goes on."""
_SAME = ("rule_id", "pack", "unit_type", "unit", "head_id", "teacher_id", "year_group", "subject")
"""What tells one proposal from another."""


def _exams_of(archive: Archive, period: Period, day: dt.date) -> pl.DataFrame:
    """Return the exams of an archive that are dated in a period, up to a day."""
    return archive.exams().filter(pl.col("date").is_between(period.first, min(period.last, day)))


def _news(archive: Archive, period: Period, day: dt.date, based_on: int | None) -> pl.DataFrame:
    """Return NEWS of the exams up to a day: of the period all, of earlier ones those added or replaced since the last issue."""
    known: dict[str, str] = {}
    if based_on is not None:
        known = dict(open_archive(archive.path, version=based_on).exams().select("exam_id", "import_id").iter_rows())
    imports = known.keys()
    exams = archive.exams().filter(pl.col("date") <= day)
    before = pl.col("exam_id").replace_strict(known, default=None, return_dtype=pl.String)
    news = (
        pl.when(~pl.col("exam_id").is_in(list(imports)))
        .then(pl.lit("new"))
        .when(before != pl.col("import_id"))
        .then(pl.lit("corrected"))
        .otherwise(pl.lit("unchanged"))
    )
    marked = exams.with_columns(news.alias("news"))
    shown = (pl.col("date") >= period.first) | ((pl.col("news") != "unchanged") & pl.lit(based_on is not None))
    return marked.filter(shown).select(pl.col(name).cast(kind) for name, kind in NEWS.items()).sort("date", "exam_id")


def packs_in_force(registers: Registers | None, packs: Sequence[str], day: dt.date) -> list[RulePack]:
    """Return the packs that are asked for or, if none is, those that the bureau stated to be in force."""
    from eduq.rulepacks.linting import refuse_banned
    from eduq.rulepacks.reading import load_rulepack

    statements = {} if registers is None else registers.packs
    stated = [
        name
        for name, said in sorted(statements.items())
        if (said.effective_from or _EARLIEST) <= day and (said.effective_to is None or day <= said.effective_to)
    ]
    found = [load_rulepack(name, as_of=day, statements=statements) for name in (packs or stated)]
    for pack in found:
        refuse_banned(pack, rules=())
    return found


def _undecided(archive: Archive, proposals: pl.DataFrame, day: dt.date) -> pl.DataFrame:
    """Leave out the proposals that were decided after the day, before the next exam changed what they rest on."""
    later = archive.exams().filter(pl.col("date") > day)["date"].min()
    judged = pl.col("as_of") > day
    decided = archive.decisions().filter(judged if later is None else judged & (pl.col("as_of") < later))
    return proposals.join(decided.select(_SAME), on=_SAME, how="anti", nulls_equal=True, maintain_order="left")


def _proposals(archive: Archive, packs: Sequence[RulePack], day: dt.date, run: RunSettings) -> pl.DataFrame:
    """Return the proposals that wait for a decision, as of a day: one line per reading that proposes."""
    from eduq.rulepacks.judging import judge

    found = [judge(pack, archive, as_of=day, settings=run).proposals for pack in packs]
    if not found:
        return pl.DataFrame(schema=VERDICTS)
    waiting = pl.concat(found).filter(pl.col("needs_decision"))
    return _undecided(archive, waiting, day)


def _targets(archive: Archive, registers: Registers | None, day: dt.date, run: RunSettings) -> pl.DataFrame:
    from eduq.rulepacks.target_reviews import review_targets

    if registers is None or registers.targets is None or registers.targets.is_empty():
        return pl.DataFrame(schema=TARGET_REVIEWS)
    return review_targets(archive, as_of=day, registers=registers, settings=run).frame.select(TARGET_REVIEWS.keys())


def _open_proposals(verdicts: pl.DataFrame) -> pl.DataFrame:
    keys = ["rule_id", "unit_type", "unit", "head_id", "teacher_id", "year_group", "subject"]
    return verdicts.unique(keys, keep="first", maintain_order=True).select(
        pl.lit("proposal").alias("kind"), pl.col("rule_id").alias("item"), "unit_type", "unit", pl.lit("open").alias("status")
    )


def _open_targets(targets: pl.DataFrame) -> pl.DataFrame:
    """Return the targets that are not reached in every group: overdue after their due day, open before."""
    waiting = targets.filter(~pl.col("state").is_in(["reached", "refused"])).unique(
        "target_id", keep="first", maintain_order=True
    )
    return waiting.select(
        pl.lit("target").alias("kind"),
        pl.col("target_id").alias("item"),
        "unit_type",
        "unit",
        pl.col("signer").alias("owner"),
        "due",
        pl.when(pl.col("overdue")).then(pl.lit("overdue")).otherwise(pl.lit("open")).alias("status"),
    )


def _low_participation(results: ExamResults, bound: float) -> pl.DataFrame:
    """Return each school and paper below the bound of participation, ``n`` how many did not sit it; a school's lowest only."""
    counts = (
        results.estimates.filter((pl.col("unit_type") == "school") & ~pl.col("paper").is_in(DERIVED) & (pl.col("n_expected") > 0))
        .group_by("unit", "comparison_group", "paper")
        .agg(pl.col("n_present", "n_expected").max())
        .with_columns((pl.col("n_present") / pl.col("n_expected")).alias("rate"))
    )
    lowest = counts.filter(pl.col("rate") < bound).sort("unit", "rate", "paper", "comparison_group")
    return lowest.unique("unit", keep="first", maintain_order=True).select(
        pl.lit("participation").alias("kind"),
        pl.col("paper").alias("item"),
        pl.lit("school").alias("unit_type"),
        "unit",
        pl.lit("open").alias("status"),
        pl.lit(str(results.scores.exam.exam.id)).alias("exam_id"),
        (pl.col("n_expected") - pl.col("n_present")).cast(pl.Int64).alias("n"),
    )


def _data_quality(results: ExamResults) -> pl.DataFrame:
    """Return the warnings of an exam's data by code, ``n`` how many places or rows it concerns."""
    warnings = results.scores.checks.filter(pl.col("level") == "warning")
    found = warnings.group_by("code").agg(pl.col("n").fill_null(1).sum().cast(pl.Int64)).sort("code")
    return found.select(
        pl.lit("data_quality").alias("kind"),
        pl.col("code").alias("item"),
        pl.lit("open").alias("status"),
        pl.lit(str(results.scores.exam.exam.id)).alias("exam_id"),
        "n",
    )


def _open_items(verdicts: pl.DataFrame, targets: pl.DataFrame, exams: Sequence[ExamResults], run: RunSettings) -> pl.DataFrame:
    """Return OPEN_ITEMS: what is overdue first, then what waits for a decision, targets, participation, data."""
    parts = [_open_proposals(verdicts), _open_targets(targets)]
    parts += [_low_participation(results, run.participation_warning) for results in exams]
    parts += [_data_quality(results) for results in exams]
    frame = pl.concat([pl.DataFrame(schema=OPEN_ITEMS), *(_complete(part) for part in parts)])
    order = pl.col("status").cast(pl.String).replace_strict({"overdue": 0, "open": 1, "closed": 2}, return_dtype=pl.Int8)
    return frame.sort(order, pl.col("kind").to_physical(), "due", "exam_id", "item", "unit", nulls_last=True, maintain_order=True)


def _complete(part: pl.DataFrame) -> pl.DataFrame:
    """Give a part all columns of OPEN_ITEMS."""
    return part.select(
        pl.col(name).cast(kind) if name in part.columns else pl.lit(None, dtype=kind).alias(name)
        for name, kind in OPEN_ITEMS.items()
    )


def _names(registers: Registers | None, exams: Sequence[ExamResults]) -> Mapping[str, Mapping[str, str]]:
    """Return names of schools and of those who stand in the registers; a school's from the exams where there are none."""
    schools: dict[str, str] = {}
    for results in exams:
        schools |= dict(results.scores.schools.select("school_id", "name").drop_nulls().iter_rows())
    found: dict[str, dict[str, str]] = {"school": schools}
    if registers is not None:
        schools |= dict(registers.schools.select("school_id", "name").drop_nulls().iter_rows())
        for kind, frame, key in (("teacher", registers.teachers, "teacher_id"), ("head", registers.heads, "head_id")):
            if frame is not None and "name" in frame.columns:
                named = frame.select(key, "name").drop_nulls().unique(key, keep="first", maintain_order=True)
                found[kind] = dict(named.iter_rows())
    return {kind: dict(sorted(names.items())) for kind, names in found.items()}


def _exam_names(archive: Archive, day: dt.date) -> Mapping[str, str]:
    """Return names of all exams up to a day: a proposal may rest on one from before the period."""
    known = archive.exams().filter(pl.col("date") <= day)
    return dict(known.select("exam_id", "name").drop_nulls().sort("exam_id").iter_rows())


def _rule_names(packs: Sequence[RulePack]) -> Mapping[str, Mapping[str, str]]:
    """Return names of rules in both languages, as their packs have them, and the clauses they rest on."""
    rules = sorted(((rule, pack) for pack in packs for rule in pack.rules), key=lambda pair: pair[0].id)
    found = {f"rule_{lang}": {rule.id: pack.name_of(rule, lang) for rule, pack in rules} for lang in LANGUAGES}
    return found | {"clause": {rule.id: "+".join(rule.clause) for rule, _ in rules if rule.clause}}


def collect_facts(
    archive: Archive,
    *,
    product: Product,
    period: Period,
    day: dt.date,
    settings: RunSettings,
    packs: Sequence[str] = (),
    unit: str | None = None,
    based_on: int | None = None,
    last_issue: dt.date | None = None,
    teaching: bool = False,
    progress: Progress | None = None,
) -> ProductFacts:
    """Collect everything known for a product as of a day.

    Parameters
    ----------
    archive
        As of the version it was opened at.
    product, period, unit
        What is made, for when and, for some products, for whom.
    day
        Exams and events after it are not known.
    settings
        Of the run.
    packs
        Rule packs to judge by; by default those that ``registers/packs.toml`` states to be in force on the day.
    based_on, last_issue
        Archive version and day of the last issue of the product; None: never issued.
    teaching
        Also measure teachers and classes; needs a register of teachers.
    progress
        Called with stage, done, total.
    """
    registers = archive.registers()
    ids = _exams_of(archive, period, day)["exam_id"].to_list()
    analyses, unread = [], {}
    for number, exam_id in enumerate(ids):
        if progress is not None:
            progress("product_exams", number, len(ids))
        try:
            analyses.append(_analyze(archive, exam_id, settings, teaching=teaching))
        except NotAssessableError as error:
            unread[exam_id] = _unread(archive, exam_id, error)
    exams = [found.results for found in analyses if found.results is not None]
    judged_by = packs_in_force(registers, packs, day)
    verdicts = _proposals(archive, judged_by, day, settings)
    targets = _targets(archive, registers, day, settings)
    decisions = archive.decisions()
    facts = ProductFacts(
        product=product,
        period=period.text,
        first=period.first,
        last=period.last,
        today=day,
        archive_version=archive.version,
        exams=tuple(exams),
        news=pl.DataFrame(schema=NEWS),
        open_items=_open_items(verdicts, targets, exams, settings),
        histories={str(results.scores.exam.exam.year_group): results.history for results in exams if results.history is not None},
        verdicts=verdicts,
        decisions=decisions.filter(pl.col("decided_on").is_between(period.first, min(period.last, day))),
        targets=targets,
        names={**_names(registers, exams), **_rule_names(judged_by), "exam": _exam_names(archive, day)},
        settings=settings,
        unit=unit,
        teaching=tuple(found.teaching for found in analyses if found.teaching is not None),
        unread=unread,
    )
    return tell_news(facts, archive, period, based_on=based_on, last_issue=last_issue)


def _unread(archive: Archive, exam_id: str, error: NotAssessableError) -> UnreadExam:
    """Return what is known of an exam that nothing can be calculated from; any other reason stops the run."""
    if error.code not in _NO_SCORES:
        raise error
    scores = archive.scores(exam_id)
    figures = scores.aggregates
    return UnreadExam(error.code, scores.exam.exam.name, figures["school_id"].n_unique(), figures.height)


def _analyze(archive: Archive, exam_id: str, settings: RunSettings, *, teaching: bool) -> Analysis:
    """Return an exam of the archive; without teachers where it does not say who sat in which class."""
    try:
        return analyze(ExamId(exam_id), archive=archive, settings=settings, feedback=teaching)
    except NotAssessableError as error:
        if not teaching or error.code not in _NO_CLASSES:
            raise
        return analyze(ExamId(exam_id), archive=archive, settings=settings)


def tell_news(
    facts: ProductFacts, archive: Archive, period: Period, *, based_on: int | None, last_issue: dt.date | None
) -> ProductFacts:
    """Return the facts with what is new since an issue; arguments as of `collect_facts`."""
    news, of_period = _news(archive, period, facts.today, based_on), pl.col("date") >= period.first
    return dataclasses.replace(facts, news=news.filter(of_period), earlier_news=news.filter(~of_period), last_issue=last_issue)
