"""One rule asked about one unit: the literal answer on the series as they are, or as they would be after a change."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from eduq.errors import NotAssessableError, SettingsError, UsageError
from eduq.estimates.measures import Measure, load_measures
from eduq.estimates.series import ExamSource, SeriesTable, collect_series, follow_renames
from eduq.estimates.unit_lines import measure_exam
from eduq.intake.score_table import ScoreTable
from eduq.registers import Registers, apply_registers, follow_events
from eduq.rulepacks.conditions import REASONS, PeerSeries
from eduq.rulepacks.guards import rests_on_promotion
from eduq.rulepacks.judging import SERIES_OF
from eduq.rulepacks.model import AllOf, AnyOf, Condition, Rule, Tree
from eduq.rulepacks.peers import PeerCell, attributes_of_schools, form_peer_cells
from eduq.rulepacks.posts import Posts, last_schools_of_teachers
from eduq.rulepacks.targets import find_target_cells, judges_register_targets
from eduq.rulepacks.verdicts import CLAUSE_RESULTS, evaluate_rule
from eduq.settings import RunSettings
from eduq.tables import status_column

__all__ = ["Answer", "Question", "is_known_unit", "pose_question", "replace_condition"]

_KEYS = ["unit", "year_group", "subject", "measure", "period"]
_NUMBERS = ("n_expected", "n", "estimate", "sd", "std_error")


class Answer(NamedTuple):
    """The clause result under the two readings, and the reason where one is not assessable."""

    narrow: str
    wide: str
    narrow_reason: str | None = None
    wide_reason: str | None = None

    def under(self, reading: str) -> str:
        """Return the result under a reading."""
        return self.narrow if reading == "narrow" else self.wide


def replace_condition(rule: Rule, number: int, **values: Any) -> Rule:
    """Return a rule with other values in one of its conditions, numbered from 0 in the order of `Rule.walk`."""
    counter = iter(range(1_000))

    def walk(nodes: Sequence[Tree]) -> tuple[Tree, ...]:
        return tuple(change(node) for node in nodes)

    def change(node: Tree) -> Tree:
        if isinstance(node, AllOf):
            return node.model_copy(update={"all": walk(node.all)})
        if isinstance(node, AnyOf):
            return node.model_copy(update={"any": walk(node.any)})
        return node.model_copy(update=values) if next(counter) == number else node

    return rule.model_copy(update={"conditions": walk(rule.conditions)})


@dataclass(frozen=True)
class Question:
    """A rule about series, asked about one unit.

    Attributes
    ----------
    rule
        With the values in force.
    unit, year_group, subject
        Of the verdict; an empty text where the verdict has none.
    table
        The series of all units.
    source, registers, as_of, settings
        What they were made from.
    target_id
        For a rule about targets of the register.
    """

    rule: Rule
    unit: str
    year_group: str
    subject: str
    table: SeriesTable
    source: ExamSource
    registers: Registers | None
    as_of: dt.date
    settings: RunSettings
    target_id: str | None = None

    @cached_property
    def judged(self) -> str:
        """The judged school year."""
        return str(self.table.frame["period"].max())

    @cached_property
    def measures(self) -> Mapping[str, Measure]:
        """Definitions of the measures of the series."""
        return load_measures(names=tuple(self.table.frame["measure"].unique().sort()))

    @cached_property
    def unit_type(self) -> str:
        """Kind of unit of the series."""
        return SERIES_OF[self.rule.subject]

    def _posts_of(self, frame: pl.DataFrame, judged: str) -> Posts:
        """Return who held which post, seen from a judged year."""
        dated = frame.group_by("year_group", "period").agg(pl.col("date").max())
        dates = {(row[0] or "", row[1]): row[2] for row in dated.iter_rows() if row[2] is not None}
        return Posts(self.registers, dates, judged)

    @cached_property
    def _posts(self) -> Posts:
        return self._posts_of(self.table.frame, self.judged)

    def form_cells(self, frame: pl.DataFrame | None = None) -> list[PeerCell]:
        """Return the peer groups of the rule on the series, or on `frame` with the same columns."""
        table = self.table.frame if frame is None else frame
        attributes = attributes_of_schools(self.registers)
        small = _small_schools(self.registers)
        if self.rule.subject == "teacher":
            table = table.with_columns(pl.col("comparison_group").str.split(".").list.last().alias("stage"))
            schools = last_schools_of_teachers(self.registers, table["period"], self.table.term, judged=self.judged)
            attributes = {teacher: attributes.get(school, {}) for teacher, school in schools.items()}
            small = {teacher: small[school] for teacher, school in schools.items() if school in small}
        held = self._posts.held if self.rule.subject == "head" else None
        return form_peer_cells(table, self.rule, last_period=self.judged, attributes=attributes, exempt=small, held=held)

    def own_cell(self, cells: Sequence[PeerCell]) -> PeerCell | None:
        """Return the peer group of the unit."""
        here = [cell for cell in cells if self.unit in cell.units]
        return next((cell for cell in here if (cell.year_group, cell.subject) == (self.year_group, self.subject)), None)

    @cached_property
    def cell(self) -> PeerCell | None:
        """The peer group on the series as they are; for a target the unit alone."""
        if self.target_id is not None:
            found = self._targets(self.table.frame)
            return None if found is None else found.cell
        return self.own_cell(self.form_cells())

    def _targets(self, frame: pl.DataFrame) -> Any:
        if self.registers is None or self.registers.targets is None:
            return None
        found = find_target_cells(self.rule, self.registers.targets, frame, as_of=self.as_of, posts=self._posts_of)
        mine = [item for item in found if item.row["target_id"] == self.target_id]
        return next((item for item in mine if item.cell.year_group == self.year_group), None)

    def answer(self, *, rule: Rule | None = None, frame: pl.DataFrame | None = None, target: float | None = None) -> Answer:
        """Evaluate the clause.

        Parameters
        ----------
        rule
            The rule with other values; the measure, subjects and peers must be the same.
        frame
            Other series.
        target
            Another target, for a rule about targets of the register.
        """
        asked = rule or self.rule
        if self.target_id is not None:
            return self._answer_target(asked, self.table.frame if frame is None else frame, target)
        cell = self.cell if frame is None else self.own_cell(self.form_cells(frame))
        if cell is None:
            return Answer("not_assessable", "not_assessable", "measure_missing", "measure_missing")
        return self.answer_in(asked, cell)

    def answer_in(self, rule: Rule, cell: PeerCell) -> Answer:
        """Evaluate the clause in a peer group that is already formed."""
        found = evaluate_rule(rule, cell.peers, as_of=self.as_of, barred=rests_on_promotion(rule))
        row = cell.units.index(self.unit)
        codes = [(int(outcome.code[row]), int(outcome.reason[row])) for outcome in (found.narrow, found.wide)]
        results = [CLAUSE_RESULTS[code] for code, _ in codes]
        reasons = [REASONS[reason] or None for _, reason in codes]
        return Answer(results[0], results[1], reasons[0], reasons[1])

    def _answer_target(self, rule: Rule, frame: pl.DataFrame, target: float | None) -> Answer:
        found = self._targets(frame)
        if found is None:
            return Answer("not_assessable", "not_assessable", "measure_missing", "measure_missing")
        asked = found.targets if target is None else replace(found.targets, target=np.array([target]))
        outcome = evaluate_rule(rule, found.cell.peers, targets=asked, as_of=self.as_of, barred=found.barred)
        result = CLAUSE_RESULTS[int(outcome.narrow.code[0])]
        wide = CLAUSE_RESULTS[int(outcome.wide.code[0])]
        return Answer(result, wide, *(REASONS[int(part.reason[0])] or None for part in (outcome.narrow, outcome.wide)))

    def own_line(self, frame: pl.DataFrame | None = None) -> dict[str, Any] | None:
        """Return the unit's line of the judged year and the rule's measure."""
        table = self.table.frame if frame is None else frame
        measure, last = self.measure, self.judged if self.target_id is None or self.cell is None else self.cell.periods[-1]
        own = table.filter(
            (pl.col("unit") == self.unit)
            & (pl.col("period") == last)
            & (pl.col("measure") == measure)
            & (pl.col("year_group").fill_null("") == self.year_group)
            & (pl.col("subject").fill_null("") == self.subject)
        )
        return own.row(0, named=True) if own.height == 1 else None

    @cached_property
    def measure(self) -> str | None:
        """The measure that is judged: the rule's, or that of the target."""
        if self.target_id is not None and self.registers is not None and self.registers.targets is not None:
            row = self.registers.targets.filter(pl.col("target_id") == self.target_id)
            return str(row["measure"][0]) if row.height else None
        return self.rule.measure or next(iter(self.rule.measures()), None)

    def read_exam(self, exam_id: str) -> ScoreTable:
        """Return an exam with the columns that measures and changes need, under today's schools."""
        facts = self.source.scores(exam_id, columns=["school_id"])
        columns = ["candidate_id", "school_id", "class_id", "year_group", "track"]
        columns += [name for paper in facts.papers for name in (paper.code, status_column(paper.code))]
        scores = self.source.scores(exam_id, columns=columns)
        if self.registers is None:
            return scores
        return follow_renames(apply_registers(scores, self.registers), follow_events(self.registers, self.as_of))

    def measure_lines(self, scores: ScoreTable, exam_id: str) -> pl.DataFrame:
        """Return the values of one exam, changed or not, as lines of the series."""
        known = self.table.frame.filter(pl.col("exam_id") == exam_id)
        lines = measure_exam(
            scores, unit_type=self.unit_type, measures=self.measures, subjects=None, settings=self.settings, teachers=None
        )
        return lines.filter(pl.col("unit").is_in(known["unit"].unique().to_list())).with_columns(
            pl.lit(known["period"][0]).alias("period"), pl.lit(known["year_group"][0]).alias("year_group")
        )

    def with_lines(self, lines: pl.DataFrame, frame: pl.DataFrame | None = None) -> pl.DataFrame:
        """Return the series with the numbers of some lines replaced; what has no number for another reason keeps none."""
        table = self.table.frame if frame is None else frame
        new = lines.select(*_KEYS, *(pl.col(name).alias(f"new_{name}") for name in _NUMBERS))
        joined = table.join(new, on=_KEYS, how="left", nulls_equal=True, maintain_order="left")
        usable = pl.col("reason").is_null() & pl.col("new_n").is_not_null()
        changed = joined.with_columns(
            pl.when(usable).then(pl.col(f"new_{name}")).otherwise(pl.col(name)).alias(name) for name in _NUMBERS
        )
        return changed.select(table.columns)

    @property
    def can_recount(self) -> bool:
        """Whether the scores behind the unit's series can be changed: schools, whose value is not that of the whole area."""
        return self.unit_type == "school"


def _small_schools(registers: Registers | None) -> dict[str, str]:
    if registers is None:
        return {}
    small = registers.schools.filter(pl.col("small_school").fill_null(False))
    return dict.fromkeys(small["school_id"], "small_school_exempt")


def pose_question(
    rule: Rule,
    source: ExamSource,
    *,
    unit: str,
    year_group: str | None,
    subject: str | None,
    as_of: dt.date,
    target_id: str | None = None,
    settings: RunSettings | None = None,
) -> Question | None:
    """Ask a rule about a unit; None where the rule reads no series or there is none.

    Parameters
    ----------
    rule
        With the values in force.
    source
        The exams.
    unit, year_group, subject, target_id
        Which verdict.
    as_of
        Day up to which exams and events count.
    settings
        Run settings of the series.
    """
    if rule.subject not in SERIES_OF:
        return None
    registers = source.registers()
    if rule.subject == "teacher" and (registers is None or registers.teachers is None):
        return None
    run = settings or RunSettings()
    wanted = set(rule.measures())
    if judges_register_targets(rule) and registers is not None and registers.targets is not None:
        wanted |= set(registers.targets.filter(pl.col("target_id") == target_id)["measure"])
    measures = sorted(wanted)
    while measures:
        try:
            table = collect_series(
                source,
                unit_type=SERIES_OF[rule.subject],  # type: ignore[arg-type]
                measures=measures,
                term=None if rule.term == "newest" else int(rule.term),
                as_of=as_of,
                new_papers=rule.gaps.new_paper,
                settings=run,
            )
        except (SettingsError, UsageError) as error:
            if error.code not in ("measure_unknown", "series_measure"):
                raise
            measures = [name for name in measures if name != error.params["measure"]]
        except NotAssessableError:
            return None
        else:
            return Question(
                rule=rule, unit=unit, year_group=year_group or "", subject=subject or "", table=table, source=source,
                registers=registers, as_of=as_of, settings=run, target_id=target_id,
            )  # fmt: skip
    return None


def numbered_conditions(rule: Rule) -> Iterator[tuple[int, Condition]]:
    """Give every condition with its number."""
    return enumerate(rule.walk())


Change = Callable[[ScoreTable], ScoreTable]
"""What turns an exam as it is into an exam as it would be."""


def with_policy(scores: ScoreTable, policy: str) -> ScoreTable:
    """Return an exam under another absence policy."""
    absence = scores.exam.absence.model_copy(update={"policy": policy})
    return dataclasses.replace(scores, exam=scores.exam.model_copy(update={"absence": absence}))


def with_weights(scores: ScoreTable, weights: Mapping[str, float]) -> ScoreTable:
    """Return an exam with other weights of its papers in the composite."""
    papers = tuple(paper.model_copy(update={"weight": weights[paper.code]}) for paper in scores.exam.papers)
    return dataclasses.replace(scores, exam=scores.exam.model_copy(update={"papers": papers}))


def count_judged(peer: PeerSeries) -> int:
    """Return the number of counted units in the judged year."""
    return int(peer.counted[:, -1].sum())


def is_known_unit(unit: str, source: ExamSource, registers: Registers | None) -> bool:
    """Tell whether the archive knows a unit: the area, a school, a teacher or an exam."""
    if unit == "all" or unit in source.exams()["exam_id"]:
        return True
    if registers is None:
        return False
    teachers = registers.teachers
    return unit in registers.schools["school_id"] or (teachers is not None and unit in teachers["teacher_id"])
