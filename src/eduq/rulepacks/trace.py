"""Why a verdict is what it is: the whole chain from the clause to the files, and what would turn it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import polars as pl

from eduq.errors import UsageError
from eduq.estimates.results import EstimateResult
from eduq.estimates.series import ExamSource
from eduq.registers import Registers, follow_events, heads_in_post, school_year_start
from eduq.rulepacks.conditions import REASONS
from eduq.rulepacks.counterfactual import CHANGES, find_changes
from eduq.rulepacks.decline_trace import add_last_place, describe_evidence, find_decline
from eduq.rulepacks.definitions import DefinitionShare, vary_definitions
from eduq.rulepacks.judging import judge
from eduq.rulepacks.model import Rule, RulePack
from eduq.rulepacks.questions import Question, is_known_unit, pose_question
from eduq.rulepacks.reading import load_rulepack
from eduq.rulepacks.verdicts import bound_peer
from eduq.settings import RunSettings

__all__ = ["Explanation", "explain"]

_KEY = ("unit", "head_id", "teacher_id", "year_group", "subject", "target_id")
_ORDER = {"met": 0, "not_met": 1, "not_assessable": 2}
PEERS = {"unit": pl.String, "name": pl.String, "n": pl.Int64, "counted": pl.Boolean, "reason": pl.String}
TENURE = {"period": pl.String, "first": pl.Date, "last": pl.Date, "head_id": pl.String, "held": pl.Boolean}
EXAMS = {
    "exam_id": pl.String, "name": pl.String, "date": pl.Date, "school_year": pl.String, "term": pl.Int64, "year_group": pl.String,
    "used": pl.Boolean, "reason": pl.String, "import_id": pl.String, "archive_version": pl.Int64,
}  # fmt: skip
FILES = {
    "exam_id": pl.String, "file": pl.String, "sha256": pl.String, "rows": pl.Int64, "used": pl.Int64, "rejected": pl.Int64,
}  # fmt: skip
REJECTED = {"exam_id": pl.String, "file": pl.String, "code": pl.String, "n": pl.Int64}


@dataclass(frozen=True)
class Explanation:
    """Everything behind one verdict, before an audience is chosen; `eduq.disclosure.protect_dossier` makes it publishable.

    Attributes
    ----------
    frame
        `eduq.rulepacks.judgement.FACTS` of the unit with ``p_last`` and ``could_be_last`` of each year: the numbers.
    settings
        What was asked and what it was computed from: unit, rule, pack, pack_version, as_of, archive, archive_version,
        schema_version, code_version, min_n_reporting.
    rule, pack
        The rule with its values in force, and its pack.
    verdicts
        Two lines (narrow, wide) of `eduq.rulepacks.judgement.JUDGED`; empty where the rule gives no verdict.
    no_verdict
        Why it gives none (wording ``judge_reasons.<reason>``).
    others
        The unit's other verdicts of the rule (other year groups, subjects, targets).
    conditions
        `eduq.rulepacks.judgement.CONDITIONS` of the verdict.
    evidence
        Slope, interval, p, q, grade and model; None where no test speaks about the rule.
    peers, exams, files, rejected, tenure
        Who is compared, which exams count, from which files, which rows were not used, who held the post.
    decisions
        `eduq.tables.DECISIONS` on the steps of the rule's ladder.
    changes
        `eduq.rulepacks.counterfactual.CHANGES`.
    definitions
        Under how many definitions the verdict stands; None where it does not apply.
    """

    frame: pl.DataFrame
    settings: dict[str, Any]
    rule: Rule
    pack: RulePack
    verdicts: pl.DataFrame
    no_verdict: str | None
    others: pl.DataFrame
    conditions: pl.DataFrame
    evidence: dict[str, Any] | None
    peers: pl.DataFrame
    exams: pl.DataFrame
    files: pl.DataFrame
    rejected: pl.DataFrame
    tenure: pl.DataFrame
    decisions: pl.DataFrame
    changes: pl.DataFrame
    definitions: DefinitionShare | None

    def summary(self) -> str:
        """Return one line: the verdict under both readings and its evidence."""
        asked = f"{self.settings['unit']}, {self.settings['rule']} as of {self.settings['as_of']}"
        if self.verdicts.is_empty():
            return f"{asked}: no verdict ({self.no_verdict})"
        results = dict(self.verdicts.select("reading", "clause_result").iter_rows())
        grade = None if self.evidence is None else self.evidence["evidence_grade"]
        return f"{asked}: narrow {results['narrow']}, wide {results['wide']}, evidence {grade or 'none'}"

    def __repr__(self) -> str:
        """Say what there is without a row of it."""
        return f"Explanation({self.summary()})"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>{self.frame._repr_html_()}"

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the numbers as ``.parquet`` or ``.csv``, whole or not at all, and return the path."""
        return EstimateResult(frame=self.frame, settings={}).write(path)


def explain(
    archive: ExamSource | str | os.PathLike[str],
    *,
    unit: str,
    rule: str,
    as_of: dt.date,
    pack: RulePack | str | os.PathLike[str] | None = None,
    year_group: str | None = None,
    subject: str | None = None,
    settings: RunSettings | None = None,
) -> Explanation:
    """Explain one verdict of a rule pack: the chain behind it and what would turn it.

    Parameters
    ----------
    archive
        An archive (pinned to a version), its folder, or `eduq.estimates.series.sources_from_scores`.
    unit
        Unit of the verdict: a school (also for its head), teacher, exam, or ``all`` for the area.
    rule
        Id of the rule.
    as_of
        The day: rules in force, exams and events dated by then.
    pack
        A loaded pack, or its name or folder; by default the pack that the rule's id begins with.
    year_group, subject
        Which verdict, where the unit has several; by default the one with most to decide: proposed, met, then the highest year
        group. The others are listed.
    settings
        Run settings of the series.

    Returns
    -------
    Explanation

    Raises
    ------
    UsageError
        ``rule_unknown``, ``why_no_verdict`` (the rule gives verdicts, none of them on this unit).
    SettingsError, NotAssessableError, ArchiveError
        What `load_rulepack`, `judge` and the archive give.

    Examples
    --------
    >>> import datetime as dt
    >>> import eduq as eq
    >>> from eduq.estimates.series import sources_from_scores
    >>> from eduq.registers import read_registers
    >>> from eduq.resources import sample_data_path
    >>> sample = sample_data_path()
    >>> exams = [eq.read_scores(sample / f"{year}-2-g9-final") for year in (2022, 2023, 2024)]
    >>> source = sources_from_scores(exams, read_registers(sample / "registers"))
    >>> found = explain(source, unit="S003", rule="ezhou.head.talk", as_of=dt.date(2025, 8, 31))
    >>> found.changes.filter(quantity="reading", reading="narrow")["after"].to_list()
    ['met']
    """
    source = _open(archive)
    registers = source.registers()
    loaded = _load(pack or rule.split(".")[0], as_of, registers)
    asked = loaded.rule(rule)
    if asked is None:
        known = [one.id for one in loaded.rules]
        close = difflib.get_close_matches(rule, known, n=1, cutoff=0.0)[0]
        raise UsageError("rule_unknown", rule=rule, pack=loaded.id, known=", ".join(known), close=close)
    run = settings or RunSettings()
    ladder = [asked] if asked.ladder is None else loaded.ladder(asked.ladder.name)
    small = dataclasses.replace(loaded, rules=tuple(one for one in loaded.rules if one in ladder or one is asked))
    judged = judge(small, source, as_of=as_of, rules=[rule], settings=settings)
    canonical = unit if registers is None else follow_events(registers, as_of).unit(unit)
    is_it = pl.col("unit") == canonical
    own = judged.frame.filter(is_it | (pl.col("unit") == "") if canonical == "all" else is_it)  # the register's whole area
    verdicts, others = choose_verdict(own, year_group, subject, asked)
    if verdicts.is_empty() and (judged.frame.height or not is_known_unit(canonical, source, registers)):
        raise UsageError("why_no_verdict", rule=rule, unit=unit, year_group=year_group or "-", subject=subject or "-")
    why_not = dict(judged.not_judged.iter_rows()).get(rule) if verdicts.is_empty() else None
    line = verdicts.row(0, named=True) if verdicts.height else None
    question = None
    if line is not None:
        question = pose_question(
            asked, source, unit=canonical, year_group=line["year_group"], subject=line["subject"], as_of=as_of,
            target_id=line["target_id"], settings=run,
        )  # fmt: skip
    _refuse_other_answer(question, verdicts)
    found = find_decline(judged.declines, verdicts, asked)
    bounds = loaded.bounds_of(asked)
    exams = _exams(source, judged.left_out, line, as_of=as_of, graded=found is not None)
    files, rejected = _files(source, exams)
    return Explanation(
        frame=add_last_place(_of_verdict(judged.facts, line), found, canonical, line),
        settings={
            "unit": canonical,
            "rule": rule,
            "pack": loaded.id,
            "pack_version": loaded.version,
            "as_of": as_of,
            "archive": getattr(getattr(source, "path", None), "name", None),
            "archive_version": getattr(source, "version", None),
            "schema_version": getattr(source, "schema_version", None),
            "code_version": _code_version(),
            "min_n_reporting": run.min_n_reporting,
            "named_pack": None if pack is None or isinstance(pack, RulePack) else Path(pack).name,
        },
        rule=asked,
        pack=loaded,
        verdicts=verdicts,
        no_verdict=why_not,
        others=others,
        conditions=_of_verdict(judged.conditions, line),
        evidence=describe_evidence(asked, bounds, found, verdicts),
        peers=_peers(question, registers),
        exams=exams,
        files=files,
        rejected=rejected,
        tenure=_tenure(asked, question, registers),
        decisions=_decisions(source, ladder, canonical, as_of),
        changes=pl.DataFrame(schema=CHANGES) if question is None else find_changes(question),
        definitions=None if question is None else vary_definitions(question, bounds=bounds.values()),
    )


def _refuse_other_answer(question: Question | None, verdicts: pl.DataFrame) -> None:
    """Stop, as at a fault of the program, when what is varied would not start from the verdict itself."""
    if question is None:
        return
    answer = question.answer()
    for reading, result in verdicts.select("reading", pl.col("clause_result").cast(pl.String)).iter_rows():
        if answer.under(reading) != result:
            raise RuntimeError(f"{question.rule.id}: varied from {answer.under(reading)}, judged {result}")


def _open(archive: ExamSource | str | os.PathLike[str]) -> ExamSource:
    if isinstance(archive, (str, os.PathLike)):
        from eduq.archive import open_archive

        return open_archive(archive)
    return archive


def _code_version() -> str:
    from eduq import __version__

    return __version__


def _load(pack: RulePack | str | os.PathLike[str], as_of: dt.date, registers: Registers | None) -> RulePack:
    if isinstance(pack, RulePack):
        return pack
    return load_rulepack(pack, as_of=as_of, statements={} if registers is None else registers.packs)


def choose_verdict(
    own: pl.DataFrame, year_group: str | None, subject: str | None, rule: Rule
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the two lines of the verdict asked for, and the lines of the unit's other verdicts."""
    asked = own
    if year_group is not None:
        asked = asked.filter(pl.col("year_group") == year_group)
    if subject is not None:
        asked = asked.filter(pl.col("subject") == subject)
    if asked.is_empty():
        return asked, own
    proposing = asked.filter(pl.col("reading") == rule.readings.proposes)
    rows = proposing.with_columns(
        pl.col("proposal").is_null().alias("__quiet"),
        pl.col("only_wide").not_().alias("__both"),
        pl.col("clause_result").cast(pl.String).replace_strict(_ORDER, return_dtype=pl.Int64).alias("__result"),
    ).sort(
        "__quiet", "__both", "__result", "year_group", "subject", "target_id",
        descending=[False, False, False, True, False, False], nulls_last=True, maintain_order=True,
    )  # fmt: skip
    first = rows.row(0, named=True)
    is_it = pl.all_horizontal(pl.col(name).eq_missing(pl.lit(first[name])) for name in _KEY)
    return own.filter(is_it), own.filter(~is_it)


def _of_verdict(frame: pl.DataFrame, line: Mapping[str, Any] | None) -> pl.DataFrame:
    """Return the lines of facts or conditions of one verdict."""
    if line is None:
        return frame.clear()
    names = ("unit", "year_group", "subject", "target_id")
    return frame.filter(pl.all_horizontal(pl.col(name).eq_missing(pl.lit(line[name])) for name in names))


def _peers(question: Question | None, registers: Registers | None) -> pl.DataFrame:
    """Return every unit with a line in the judged year: counted in the peer group, or why not."""
    if question is None or question.cell is None or question.target_id is not None:
        return pl.DataFrame(schema=PEERS)
    cell, measure = question.cell, question.measure
    names = {} if registers is None else dict(registers.schools.select("school_id", "name").iter_rows())
    peer = bound_peer(question.rule, cell.peers.get(measure) or next(iter(cell.peers.values())))
    rows: list[tuple[Any, ...]] = []
    for row, unit in enumerate(cell.units):
        why = REASONS[int(peer.why_not[row, -1])] or None
        counted = bool(peer.counted[row, -1])
        rows.append((unit, names.get(unit), int(peer.n[row, -1]), counted, None if counted else why))
    frame = question.table.frame
    elsewhere = frame.filter(
        (pl.col("period") == question.judged)
        & (pl.col("measure") == measure)
        & (pl.col("year_group").fill_null("") == cell.year_group)
        & (pl.col("subject").fill_null("") == cell.subject)
        & ~pl.col("unit").is_in(list(cell.units))
    )
    rows += [(line["unit"], names.get(line["unit"]), line["n"], False, "other_peer_group") for line in elsewhere.to_dicts()]
    return pl.DataFrame(rows, schema=PEERS, orient="row").sort("unit")


def _exams(
    source: ExamSource, left_out: pl.DataFrame, line: Mapping[str, Any] | None, *, as_of: dt.date, graded: bool
) -> pl.DataFrame:
    """Return the exams of the archive: which the series of the verdict use, which not and why.

    Other year groups count only for an evidence grade (`graded`), whose family holds them all.
    """
    known = source.exams()
    for name in ("name", "import_id", "archive_version"):
        if name not in known.columns:
            known = known.with_columns(pl.lit(None, dtype=EXAMS[name]).alias(name))
    if line is not None and line["unit_type"] == "exam":
        known = known.with_columns(
            (pl.col("exam_id") == line["unit"]).alias("used"), pl.lit(None, dtype=pl.String).alias("reason")
        )
        known = known.with_columns(pl.when(~pl.col("used")).then(pl.lit("not_asked")).alias("reason"))
    elif left_out.is_empty():
        late = pl.when(pl.col("date") > as_of).then(pl.lit("after_as_of")).otherwise(pl.lit("no_exam_read"))
        known = known.with_columns(pl.lit(False).alias("used"), late.alias("reason"))
    else:
        uses = left_out.select("exam_id", "used", "reason").unique("exam_id", keep="first", maintain_order=True)
        known = known.join(uses, on="exam_id", how="left", maintain_order="left").with_columns(pl.col("used").fill_null(False))
        group = None if line is None else line["year_group"]
        if group:
            other = pl.col("used") & (pl.col("year_group") != group)
            said = "family_only" if graded else "other_year_group"
            known = known.with_columns(
                (pl.col("used") & (~other | graded)).alias("used"),
                pl.when(other).then(pl.lit(said)).otherwise(pl.col("reason")).alias("reason"),
            )
    return known.select(pl.col(name).cast(kind) for name, kind in EXAMS.items()).sort("date", "exam_id", nulls_last=True)


def _files(source: ExamSource, exams: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the files of the exams used (base name, SHA-256, rows), and how many rows were not used by reason; never a row."""
    rows = []
    parts = [pl.DataFrame(schema=REJECTED)]
    for exam_id in exams.filter("used")["exam_id"]:
        scores = source.scores(exam_id, columns=["school_id"])
        rows += [
            (exam_id, Path(one["file"]).name, one["sha256"], one["rows"], one["used"], one["rejected"])
            for one in scores.inputs.sort("file").iter_rows(named=True)
        ]
        counts = scores.rejected.group_by("file", "code").agg(pl.len().cast(pl.Int64).alias("n")).sort("file", "code")
        parts.append(counts.with_columns(pl.lit(exam_id).alias("exam_id")).select(list(REJECTED)))
    return pl.DataFrame(rows, schema=FILES, orient="row"), pl.concat(parts)


def _tenure(rule: Rule, question: Question | None, registers: Registers | None) -> pl.DataFrame:
    """Return who held the post of the school in each school year, from 1 September to the exam."""
    if rule.subject != "head" or question is None or question.cell is None or registers is None:
        return pl.DataFrame(schema=TENURE)
    frame = question.table.frame.filter(pl.col("year_group").fill_null("") == question.year_group)
    dates = dict(frame.group_by("period").agg(pl.col("date").max()).iter_rows())
    rows = []
    last = dates.get(question.judged)
    judged = None if last is None else heads_in_post(registers, question.unit, school_year_start(question.judged), last)
    for period in question.cell.periods:
        day = dates.get(period)
        first = school_year_start(period)
        head = None if day is None else heads_in_post(registers, question.unit, first, day)
        rows.append((period, first, day, head, head is not None and head == judged))
    return pl.DataFrame(rows, schema=TENURE, orient="row")


def _decisions(source: ExamSource, ladder: Sequence[Rule], unit: str, as_of: dt.date) -> pl.DataFrame:
    from eduq.tables import DECISIONS

    stored = getattr(source, "decisions", None)
    if stored is None:
        return pl.DataFrame(schema=DECISIONS)
    steps = [rule.id for rule in ladder]
    found: pl.DataFrame = stored()
    return found.filter(pl.col("rule_id").is_in(steps) & (pl.col("unit") == unit) & (pl.col("as_of") <= as_of))
