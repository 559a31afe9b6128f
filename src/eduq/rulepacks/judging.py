"""Applies a rule pack to the exams of an archive as of a day: literal verdicts with the strength of the evidence beside them."""

from __future__ import annotations

import datetime as dt
import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from eduq.errors import EduqError, NotAssessableError, SettingsError, UsageError
from eduq.estimates.series import ExamSource, SeriesTable, collect_series
from eduq.registers import Registers
from eduq.rulepacks.conditions import PeerSeries
from eduq.rulepacks.decisions import DecisionBook
from eduq.rulepacks.evidence import EvidenceFinder
from eduq.rulepacks.flags import flag_codes, is_recorded
from eduq.rulepacks.guards import ARCHIVE_BANS, check_bans, rests_on_promotion
from eduq.rulepacks.judgement import CONDITIONS, FACTS, JUDGED, NOT_JUDGED, JudgeResult, sort_verdicts
from eduq.rulepacks.ladder import evaluate_years
from eduq.rulepacks.lines import READINGS, CellVerdicts, Course, Scene, ban_lines, cell_lines
from eduq.rulepacks.model import Ban, Flag, Rule, RulePack
from eduq.rulepacks.peers import PeerCell, attributes_of_schools, build_peer_series, form_peer_cells
from eduq.rulepacks.posts import Posts, last_schools_of_teachers, schools_of_teachers
from eduq.rulepacks.reading import load_rulepack
from eduq.rulepacks.targets import find_target_cells, judges_register_targets
from eduq.rulepacks.verdicts import evaluate_rule
from eduq.settings import RunSettings
from eduq.tables import LEFT_OUT, SERIES

__all__ = ["SERIES_OF", "JudgingRun", "judge", "rules_asked"]

SERIES_OF = {"head": "school", "school": "school", "teacher": "teacher", "area": "area"}
"""Whose yearly series speak about the subject of a rule."""


@dataclass
class JudgingRun:
    """Everything that the rules of one call share."""

    pack: RulePack
    source: ExamSource
    as_of: dt.date
    settings: RunSettings | None
    registers: Registers | None
    exams: pl.DataFrame
    decisions: DecisionBook
    evidence: EvidenceFinder = field(default_factory=EvidenceFinder)
    tables: dict[tuple[str, int | None, str], SeriesTable | str] = field(default_factory=dict)
    not_judged: list[dict[str, Any]] = field(default_factory=list)
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    facts: list[dict[str, Any]] = field(default_factory=list)
    conditions: list[dict[str, Any]] = field(default_factory=list)
    _posts: dict[tuple[str, Any], Posts] = field(default_factory=dict)
    _cells: dict[str, list[PeerCell]] = field(default_factory=dict)
    _courses: dict[str, Course] = field(default_factory=dict)

    def scene(self, rule: Rule, **more: Any) -> Scene:
        """Return what all lines of a rule share."""
        names = {} if self.registers is None else dict(self.registers.schools.select("school_id", "name").iter_rows())
        return Scene(pack=self.pack, rule=rule, as_of=self.as_of, names=names, decisions=self.decisions, **more)

    def keep(self, found: CellVerdicts) -> None:
        """Add the lines of one peer group."""
        self.verdicts += found.verdicts
        self.facts += found.facts
        self.conditions += found.conditions

    def skip(self, rule: Rule, reason: str) -> None:
        """Note that a rule gives no verdict."""
        self.not_judged.append({"rule_id": rule.id, "reason": reason})

    def series(self, rule: Rule, rules: Sequence[Rule]) -> SeriesTable | str:
        """Return the series of a rule's units, collected once for all rules of that kind; or why there is none."""
        unit_type = SERIES_OF[rule.subject]
        term = None if rule.term == "newest" else int(rule.term)
        key = (unit_type, term, rule.gaps.new_paper)
        if key not in self.tables:
            alike = [other for other in rules if SERIES_OF.get(other.subject) == unit_type]
            measures = {name for other in alike for name in other.measures()}
            targets = None if self.registers is None else self.registers.targets
            if targets is not None and any(judges_register_targets(other) for other in alike):
                measures |= set(targets.filter(pl.col("unit_type") == unit_type)["measure"])
            self.tables[key] = self._collect(unit_type, sorted(measures), term, rule.gaps.new_paper)
        return self.tables[key]

    def posts(self, frame: pl.DataFrame, judged: str) -> Posts:
        """Return who held which post, seen from a judged year; `frame` has the exams of the series."""
        dates = _exam_dates(frame)
        key = (judged, tuple(sorted(dates.items())))
        if key not in self._posts:
            self._posts[key] = Posts(self.registers, dates, judged)
        return self._posts[key]

    def schools_of_teachers(self, table: SeriesTable) -> dict[str, str]:
        """Return the school of each teacher in the judged year."""
        return schools_of_teachers(self.registers, _judged(table), table.term)

    def cells(self, rule: Rule, table: SeriesTable) -> list[PeerCell]:
        """Return the peer groups of a rule."""
        if rule.id in self._cells:
            return self._cells[rule.id]
        frame, attributes = table.frame, attributes_of_schools(self.registers)
        small = _small_schools(self.registers)
        if rule.subject == "teacher":
            frame = frame.with_columns(pl.col("comparison_group").str.split(".").list.last().alias("stage"))
            schools = last_schools_of_teachers(self.registers, table.frame["period"], table.term, judged=_judged(table))
            attributes = {teacher: attributes.get(school, {}) for teacher, school in schools.items()}
            small = {teacher: small[school] for teacher, school in schools.items() if school in small}
        held = self.posts(frame, _judged(table)).held if rule.subject == "head" else None
        self._cells[rule.id] = form_peer_cells(
            frame, rule, last_period=_judged(table), attributes=attributes, exempt=small, held=held
        )
        return self._cells[rule.id]

    def ladder(self, rule: Rule, table: SeriesTable, needed: Sequence[Rule]) -> list[Course]:
        """Return what the steps of a rule's ladder gave in every year, the mildest step first; without a ladder itself alone."""
        known = {other.id for other in needed}
        steps = [rule] if rule.ladder is None else [step for step in self.pack.ladder(rule.ladder.name) if step.id in known]
        found = []
        for step in steps:
            if (step.subject, step.gaps.new_paper, step.term) != (rule.subject, rule.gaps.new_paper, rule.term):
                continue
            if step.id not in self._courses:
                barred = rests_on_promotion(step)
                years = [(cell, evaluate_years(step, cell, barred=barred)) for cell in self.cells(step, table)]
                self._courses[step.id] = Course.gather(step, years)
            found.append(self._courses[step.id])
        return found

    def _collect(self, unit_type: Any, measures: list[str], term: int | None, new_papers: Any) -> SeriesTable | str:
        if unit_type == "teacher" and (self.registers is None or self.registers.teachers is None):
            return "teachers_missing"
        while measures:
            try:
                found = collect_series(
                    self.source, unit_type=unit_type, measures=measures, term=term, as_of=self.as_of, new_papers=new_papers,
                    settings=self.settings,
                )  # fmt: skip
            except (SettingsError, UsageError) as error:  # an outside figure, or one that these units have not
                if error.code not in ("measure_unknown", "series_measure"):
                    raise
                measures = [name for name in measures if name != error.params["measure"]]
            except NotAssessableError:
                return "no_series"
            else:
                return found
        return "measure_missing"


def judge(
    pack: RulePack | str | os.PathLike[str],
    archive: ExamSource,
    *,
    as_of: dt.date,
    rules: Sequence[str] | None = None,
    flags: pl.DataFrame | None = None,
    settings: RunSettings | None = None,
) -> JudgeResult:
    """Apply the rules of a pack that are in force on a day to the exams dated by then.

    Every clause is taken literally under both readings; beside it, never merged with it, stands the grade of the evidence. A
    missing or incomparable year breaks a chain; a person is judged only on years in which the same person held the post, the
    year that a first fall is measured from included. A proposal is for a person to decide; nothing changes state here.

    Parameters
    ----------
    pack
        A loaded pack, or the name or folder of one; what the bureau states of it is taken from the registers.
    archive
        An archive (pinned to a version), or `eduq.estimates.series.sources_from_scores`.
    as_of
        The day: rules in force, exams and events dated by then, decisions on verdicts judged by then.
    rules
        Ids of the rules wanted; all when left out.
    flags
        Recorded facts that no exam shows, one line each: unit_type (``school``, ``head``, ``teacher``), unit, flag, value (bool).
    settings
        Run settings of the series.

    Returns
    -------
    JudgeResult
        ``.frame``: `eduq.rulepacks.judgement.JUDGED`, two lines (readings narrow and wide) per unit, rule, year group and
        subject. For a head the unit is the school, with head_id beside it.

    Raises
    ------
    UsageError
        ``rule_unknown``: no rule of that id in the pack.
    NotAssessableError
        ``judge_no_exams``: no exam dated by that day.
    SettingsError
        What `load_rulepack` gives, ``pack_effect_unstated`` among it.

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
    >>> found = judge("ezhou", source, as_of=dt.date(2025, 8, 31), rules=["ezhou.head.talk"])
    >>> found.frame.filter(unit="S003", reading="narrow")["clause_result"].to_list()
    ['not_met']
    """
    registers = archive.registers()
    statements = registers.packs if registers is not None else {}
    loaded = pack if isinstance(pack, RulePack) else load_rulepack(pack, as_of=as_of, statements=statements)
    wanted = _wanted(loaded, rules, as_of)
    exams = archive.exams().filter(pl.col("date") <= as_of).sort("date", "exam_id")
    if exams.is_empty():
        raise NotAssessableError("judge_no_exams", as_of=as_of)
    stored = getattr(archive, "decisions", None)
    run = JudgingRun(
        pack=loaded,
        source=archive,
        as_of=as_of,
        settings=settings,
        registers=registers,
        exams=exams,
        decisions=DecisionBook.read(stored() if stored is not None else None, pack=loaded.id, as_of=as_of),
    )
    ladders = {rule.ladder.name for rule in wanted if rule.ladder is not None}
    wanted_ids = {rule.id for rule in wanted}
    needed = [
        rule
        for rule in loaded.in_force(as_of)
        if rule.id in wanted_ids or (rule.ladder is not None and rule.ladder.name in ladders)
    ]
    for rule in wanted:
        _judge_rule(run, rule, needed, flags)
    absent = [rule.id for rule in rules_asked(loaded, rules) if rule.id not in wanted_ids]
    run.not_judged += [{"rule_id": rule_id, "reason": "not_in_force"} for rule_id in absent]
    return JudgeResult(
        frame=sort_verdicts(run.verdicts, JUDGED),
        facts=sort_verdicts(run.facts, FACTS),
        conditions=sort_verdicts(run.conditions, CONDITIONS),
        left_out=_left_out(run.tables),
        not_judged=pl.DataFrame(run.not_judged, schema=NOT_JUDGED).sort("rule_id", "reason"),
        declines=dict(sorted(run.evidence.results.items())),
        pack=loaded,
        settings={
            "pack": loaded.id,
            "pack_version": loaded.version,
            "as_of": as_of,
            "archive_version": getattr(archive, "version", None),
            "rules": None if rules is None else sorted(rules),
        },
    )


def rules_asked(pack: RulePack, rules: Sequence[str] | None) -> list[Rule]:
    """Return the rules of a pack that are asked for, all when nobody says; an unknown id stops."""
    if rules is None:
        return list(pack.rules)
    for rule_id in rules:
        if pack.rule(rule_id) is None:
            known = [rule.id for rule in pack.rules]
            close = difflib.get_close_matches(rule_id, known, n=1, cutoff=0.0)[0]
            raise UsageError("rule_unknown", rule=rule_id, pack=pack.id, known=", ".join(known), close=close)
    return [rule for rule in pack.rules if rule.id in set(rules)]


def _wanted(pack: RulePack, rules: Sequence[str] | None, as_of: dt.date) -> list[Rule]:
    """Return the rules asked for that are in force on the day."""
    in_force = {rule.id for rule in pack.in_force(as_of)}
    return [rule for rule in rules_asked(pack, rules) if rule.id in in_force]


def _left_out(tables: Mapping[tuple[str, int | None, str], SeriesTable | str]) -> pl.DataFrame:
    """Return which exams the series of each unit type used."""
    found = [
        table.left_out.with_columns(pl.lit(key[0]).alias("unit_type"))
        for key, table in sorted(tables.items(), key=lambda item: str(item[0]))
        if isinstance(table, SeriesTable)
    ]
    if not found:
        return pl.DataFrame(schema={**LEFT_OUT, "unit_type": pl.String})
    return pl.concat(found).unique(maintain_order=True)


def _judge_rule(run: JudgingRun, rule: Rule, needed: Sequence[Rule], flags: pl.DataFrame | None) -> None:
    """Give the verdicts of one rule, or say why it gives none."""
    kinds = list(rule.walk())
    if all(isinstance(condition, Ban) for condition in kinds):
        bans = [condition for condition in kinds if isinstance(condition, Ban) and condition.of in ARCHIVE_BANS]
        found = [finding for ban in bans for finding in check_bans(ban, run.source, run.exams)]
        if not found:
            run.skip(rule, "nothing_to_guard" if bans else "guard_elsewhere")
        run.keep(ban_lines(run.scene(rule), found))
    elif rule.subject not in SERIES_OF:
        run.skip(rule, "record_elsewhere")
    elif all(isinstance(condition, Flag) for condition in kinds):
        if flags is None or not is_recorded(rule, flags):
            run.skip(rule, "flag_unrecorded")
        else:
            _judge_flags(run, rule, flags)
    elif judges_register_targets(rule):
        _judge_targets(run, rule, needed)
    else:
        _judge_series(run, rule, needed, flags)


def _judge_targets(run: JudgingRun, rule: Rule, needed: Sequence[Rule]) -> None:
    if run.registers is None or run.registers.targets is None:
        return run.skip(rule, "targets_missing")
    table = run.series(rule, needed)
    series = table.frame if isinstance(table, SeriesTable) else None
    found = find_target_cells(rule, run.registers.targets, series, as_of=run.as_of, posts=run.posts)
    if not found:
        return run.skip(rule, "targets_missing")
    for item in found:
        outcome = evaluate_rule(rule, item.cell.peers, targets=item.targets, as_of=run.as_of, barred=item.barred)
        barred_by = _ban_on_promotion(run, "promotion_target") if item.barred else None
        scene = run.scene(rule, barred_by=barred_by, posts=item.posts)
        run.keep(cell_lines(scene, item.cell, outcome, target=item.row))
    return None


def _judge_flags(run: JudgingRun, rule: Rule, flags: pl.DataFrame) -> None:
    """Give the verdicts of a rule that asks for recorded facts alone: one line for each unit with a record."""
    units = flags.filter(pl.col("unit_type") == rule.subject)["unit"].unique().sort().to_list()
    lines = pl.DataFrame(schema=SERIES)
    peers: dict[str | None, PeerSeries] = {None: build_peer_series(lines, units=units, periods=[""])}
    cell = PeerCell("", "", "", tuple(units), ("",), peers, lines)
    run.keep(cell_lines(run.scene(rule), cell, evaluate_rule(rule, peers, flags=flag_codes(rule, units, flags))))


def _judge_series(run: JudgingRun, rule: Rule, needed: Sequence[Rule], flags: pl.DataFrame | None) -> None:
    table = run.series(rule, needed)
    if isinstance(table, str):
        return run.skip(rule, table)
    cells = run.cells(rule, table)
    if not cells:
        return run.skip(rule, "measure_missing")
    barred = rests_on_promotion(rule)
    scene = run.scene(
        rule,
        posts=run.posts(table.frame, _judged(table)) if rule.subject == "head" else None,
        schools=run.schools_of_teachers(table) if rule.subject == "teacher" else {},
        ladder=run.ladder(rule, table, needed),
        barred_by=_ban_on_promotion(run, "promotion_only") if barred else None,
    )
    groups: dict[str, list[PeerCell]] = {}
    for cell in cells:
        groups.setdefault(cell.family, []).append(cell)
    bounds = run.pack.bounds_of(rule).values()
    for members in groups.values():
        evidence = {reading: run.evidence.find(rule, members, bounds=bounds, reading=reading) for reading in READINGS}
        for cell in members:
            codes = flag_codes(rule, cell.units, flags)
            outcome = evaluate_rule(rule, cell.peers, flags=codes, as_of=run.as_of, barred=barred)
            run.keep(cell_lines(scene, cell, outcome, evidence=evidence))
    return None


def _small_schools(registers: Registers | None) -> dict[str, str]:
    if registers is None:
        return {}
    small = registers.schools.filter(pl.col("small_school").fill_null(False))
    return dict.fromkeys(small["school_id"], "small_school_exempt")


def _judged(table: SeriesTable) -> str:
    """Return the judged school year: the newest with an exam that the series use."""
    return str(table.frame["period"].max())


def _exam_dates(frame: pl.DataFrame) -> dict[tuple[str, str], dt.date]:
    """Return the day of each year group's exam in each school year."""
    dated = frame.group_by("year_group", "period").agg(pl.col("date").max())
    return {(row[0] or "", row[1]): row[2] for row in dated.iter_rows() if row[2] is not None}


def _ban_on_promotion(run: JudgingRun, code: str) -> str | None:
    """Return the national rule that forbids to judge schools or persons by 升学率, if the shipped pack has one in force."""
    try:
        national = load_rulepack("national", as_of=run.as_of, statements=run.registers.packs if run.registers else {})
    except EduqError:
        return None
    for rule in national.in_force(run.as_of):
        if any(isinstance(condition, Ban) and condition.of == code for condition in rule.walk()):
            return rule.id
    return None
