"""Cases of a rule: a small table in, the clause's result out, readable without programming."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from pydantic import Field, ValidationError, model_validator

from eduq.errors import Place, SettingsError
from eduq.registers import PackStatement
from eduq.rulepacks.bans import breaks_ban
from eduq.rulepacks.conditions import REASONS, PeerSeries, reason_code
from eduq.rulepacks.forms import Ban
from eduq.rulepacks.model import Rule
from eduq.rulepacks.peers import build_peer_series
from eduq.rulepacks.reading import PackSource, parse_rulepack, read_yaml, resolve_rulepack
from eduq.rulepacks.verdicts import CLAUSE_RESULTS, RegisterTargets, evaluate_rule
from eduq.settings import StrictModel, explain_validation

__all__ = ["CASE_COLUMNS", "Case", "CaseResults", "read_cases", "run_cases", "run_parsed_cases"]

CASE_COLUMNS: dict[str, pl.DataType] = {
    "rule_id": pl.String(),
    "case": pl.String(),
    "as_of": pl.Date(),
    "reading": pl.String(),
    "expected": pl.String(),
    "found": pl.String(),
    "passed": pl.Boolean(),
}
"""One line per case and reading; ``expected`` and ``found`` are a clause result with its reason, or ``not_in_force``."""

_DEFAULT_N = 120
Result = Literal["met", "not_met", "not_assessable"]
Levels = dict[str, tuple[float | None, ...]]


class Expectation(StrictModel):
    """What both readings give; the reason where one is not assessable."""

    narrow: Result
    wide: Result
    reason: str | None = None


class CaseTarget(StrictModel):
    """A target of the register."""

    value: float
    direction: Literal["up", "down"]
    due: dt.date


class Case(StrictModel):
    """One case.

    Attributes
    ----------
    given
        Levels by unit, one per period, on the rule's measure; the first unit is judged. The file's peers stand beside it.
    measures
        The same on other measures.
    n, tenure, reasons
        Candidates, whether the person judged held the post, why a level is not comparable; by unit.
    small, without
        Small schools; peers of the file that this case leaves out.
    flags, fact, target
        Recorded facts, what a ban is held against, a target of the register.
    parameters
        What the bureau stated for this rule.
    expect
        Results, or ``not_in_force``: no verdict at all.
    """

    name: str = Field(min_length=1)
    as_of: dt.date
    periods: tuple[str, ...] = ()
    given: Levels = Field(default_factory=dict)
    measures: dict[str, Levels] = Field(default_factory=dict)
    n: dict[str, int | tuple[int, ...]] = Field(default_factory=dict)
    tenure: dict[str, tuple[bool, ...]] = Field(default_factory=dict)
    reasons: dict[str, tuple[str | None, ...]] = Field(default_factory=dict)
    small: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    flags: dict[str, bool | None] = Field(default_factory=dict)
    fact: dict[str, Any] | None = None
    target: CaseTarget | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    expect: Expectation | Literal["not_in_force"]


class _Effect(StrictModel):
    from_: dt.date | None = Field(None, alias="from")
    to: dt.date | None = None


class CaseFile(StrictModel):
    """``cases/*.yaml``: the rule, what all its cases share (peers, also on other measures), and the cases."""

    rule: str
    effect: _Effect = _Effect()
    periods: tuple[str, ...] = ()
    peers: Levels = Field(default_factory=dict)
    measures: dict[str, Levels] = Field(default_factory=dict)
    cases: tuple[Case, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _fit(self) -> CaseFile:
        names = [case.name for case in self.cases]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"two cases of one name: {', '.join(sorted(twice))}")
        for case in self.cases:
            periods = case.periods or self.periods
            for unit, levels in [*case.given.items(), *(line for table in case.measures.values() for line in table.items())]:
                if len(levels) != len(periods):
                    raise ValueError(f"{case.name}: {unit} has {len(levels)} levels for {len(periods)} periods")
            shared = [self.peers, *self.measures.values()] if case.given or case.measures else []
            if any(len(levels) != len(periods) for table in shared for levels in table.values()):
                raise ValueError(f"{case.name}: peers do not have {len(periods)} levels")
            for table in (case.n, case.tenure, case.reasons):
                for unit, said in table.items():
                    if isinstance(said, tuple) and len(said) != len(periods):
                        raise ValueError(f"{case.name}: {unit} has {len(said)} values for {len(periods)} periods")
            reasons = {reason for said in case.reasons.values() for reason in said if reason}
            if isinstance(case.expect, Expectation) and case.expect.reason:
                reasons.add(case.expect.reason)
            if bogus := sorted(reasons - set(REASONS)):
                raise ValueError(f"{case.name}: no reason {', '.join(bogus)}; known: {', '.join(REASONS[1:])}")
            if unknown := sorted(set(case.without) - set(self.peers)):
                raise ValueError(f"{case.name}: no peers {', '.join(unknown)}")
        return self


@dataclass(frozen=True)
class CaseResults:
    """What the cases of a pack gave.

    Attributes
    ----------
    frame
        `CASE_COLUMNS`, sorted by rule, in the order of the file.
    without_cases
        Rules that have no case at all.
    """

    frame: pl.DataFrame
    without_cases: tuple[str, ...]

    @property
    def failed(self) -> pl.DataFrame:
        """The lines that did not give what they expect."""
        return self.frame.filter(~pl.col("passed"))


def read_cases(folder: Path) -> dict[str, CaseFile]:
    """Return the case files of a pack by rule id.

    Raises
    ------
    SettingsError
        ``yaml_syntax``; ``settings_invalid`` (lists every key that is unknown or has a wrong value).
    """
    found: dict[str, CaseFile] = {}
    for path in sorted((folder / "cases").glob("*.yaml")):
        name = f"cases/{path.name}"
        try:
            said = CaseFile.model_validate(read_yaml(path.read_bytes(), name))
        except ValidationError as error:
            words = {"zh": explain_validation(error, "zh"), "en": explain_validation(error, "en")}
            raise SettingsError("settings_invalid", Place(file=name), n=error.error_count(), **words) from None
        if said.rule in found:
            merged = found[said.rule].cases + said.cases
            said = said.model_copy(update={"cases": merged})
        found[said.rule] = said
    return found


def run_cases(name_or_path: str | os.PathLike[str]) -> CaseResults:
    """Run the cases of a pack through the same functions that judge an archive.

    Parameters
    ----------
    name_or_path
        As in `load_rulepack`.

    Raises
    ------
    SettingsError
        As `load_rulepack` and `read_cases`; ``pack_statement_invalid`` when a case states a parameter that its rule has not;
        ``rule_unknown``: cases of a rule that the pack has not.

    Examples
    --------
    >>> found = run_cases("xiangan")
    >>> found.failed.height, found.without_cases
    (0, ())
    """
    source = parse_rulepack(name_or_path)
    return run_parsed_cases(source, read_cases(source.folder))


def run_parsed_cases(source: PackSource, files: Mapping[str, CaseFile]) -> CaseResults:
    """Run cases that are read already; errors as in `run_cases`."""
    known = sorted(str(raw["id"]) for raw in source.rules.values())
    lines: list[dict[str, Any]] = []
    for rule_id, file in sorted(files.items()):
        if rule_id not in known:
            raise SettingsError(
                "rule_unknown", Place(file="cases/"), pack=source.pack.id, rule=rule_id, known=", ".join(known), close=known[0]
            )
        own = source._replace(rules={name: raw for name, raw in source.rules.items() if raw["id"] == rule_id})
        for case in file.cases:
            lines += _run_case(own, file, case)
    frame = pl.DataFrame(lines, schema=CASE_COLUMNS)
    return CaseResults(frame, tuple(rule_id for rule_id in known if rule_id not in files))


def _run_case(source: PackSource, file: CaseFile, case: Case) -> list[dict[str, Any]]:
    stated = {
        "from": file.effect.from_,
        "to": file.effect.to,
        "parameters": {file.rule: case.parameters} if case.parameters else {},
    }
    said = {source.pack.id: PackStatement.model_validate({key: value for key, value in stated.items() if value is not None})}
    pack = resolve_rulepack(source, as_of=case.as_of, statements=said)
    rule = next((rule for rule in pack.in_force() if rule.id == file.rule), None)
    found = {"narrow": "not_in_force", "wide": "not_in_force"} if rule is None else _evaluate(rule, file, case)
    lines = []
    for reading, result in found.items():
        if isinstance(case.expect, Expectation):
            expected: str = getattr(case.expect, reading)
            if expected == "not_assessable" and case.expect.reason:
                expected += f" {case.expect.reason}"
        else:
            expected = case.expect
        lines.append(
            {
                "rule_id": file.rule,
                "case": case.name,
                "as_of": case.as_of,
                "reading": reading,
                "expected": expected,
                "found": result,
                "passed": expected == result,
            }
        )
    return lines


def _evaluate(rule: Rule, file: CaseFile, case: Case) -> dict[str, str]:
    """Return the result of the judged unit under each reading, with its reason."""
    if any(isinstance(condition, Ban) for condition in rule.walk()):
        return _evaluate_bans(rule, case)
    peers, units = _peers(rule, file, case)
    flags = {name: np.array([-1 if value is None else int(value)], dtype=np.int8) for name, value in case.flags.items()}
    outcome = evaluate_rule(rule, peers, flags=flags, targets=_targets(case, len(units)), as_of=case.as_of)
    found = {}
    for reading in ("narrow", "wide"):
        here = outcome.narrow if reading == "narrow" else outcome.wide
        result, reason = CLAUSE_RESULTS[int(here.code[0])], REASONS[int(here.reason[0])]
        found[reading] = f"{result} {reason}" if reason else result
    return found


def _evaluate_bans(rule: Rule, case: Case) -> dict[str, str]:
    fact = case.fact or {}
    broken = [breaks_ban(condition, fact) for condition in rule.walk() if isinstance(condition, Ban)]
    unknown = "not_assessable parameter_missing" if None in broken else "not_met"
    result = "met" if any(broken) else unknown
    return {"narrow": result, "wide": result}


def _targets(case: Case, n_units: int) -> RegisterTargets | None:
    if case.target is None:
        return None
    said = case.target
    return RegisterTargets(
        target=np.full(n_units, said.value),
        rises=np.full(n_units, said.direction == "up"),
        overdue=np.full(n_units, said.due < case.as_of),
    )


def _peers(rule: Rule, file: CaseFile, case: Case) -> tuple[dict[str | None, PeerSeries], list[str]]:
    """Build the series of every measure that the case gives; without any, one unit of which nothing is known."""
    periods = case.periods or file.periods
    given = _joined(case.given, file.peers, case)
    tables: dict[str | None, Levels] = {rule.measure: given} if given else {}
    for other in sorted({*case.measures, *file.measures}):
        tables[other] = _joined(case.measures.get(other, {}), file.measures.get(other, {}), case)
    units = list(dict.fromkeys(unit for table in tables.values() for unit in table))
    exempt = dict.fromkeys(case.small, "small_school_exempt")
    found: dict[str | None, PeerSeries] = {}
    for measure, levels in tables.items():
        lines = [line for unit in units for line in _lines(unit, levels.get(unit), periods, case)]
        table = pl.DataFrame(lines, schema=_LINE, orient="row")
        found[measure] = build_peer_series(table, units=units, periods=periods, exempt=exempt)
    if not found:
        missing = np.full((1, 1), reason_code("missing_year"), dtype=np.int8)
        nothing = np.full((1, 1), np.nan)
        found["-"] = PeerSeries(
            nothing, np.zeros((1, 1), dtype=np.int64), missing, np.zeros(1, dtype=np.int8), np.ones((1, 1), bool)
        )
    return found, units or ["-"]


def _joined(own: Levels, peers: Levels, case: Case) -> Levels:
    """Put the peers of the file beside the levels of a case; what the case says of a unit goes first."""
    return own | {unit: levels for unit, levels in peers.items() if unit not in own and unit not in case.without}


_LINE: dict[str, Any] = {
    "unit": pl.String(),
    "period": pl.String(),
    "estimate": pl.Float64(),
    "n": pl.Int64(),
    "reason": pl.String(),
    "tenure": pl.Boolean(),
}


def _lines(unit: str, levels: tuple[float | None, ...] | None, periods: tuple[str, ...], case: Case) -> list[tuple[Any, ...]]:
    n = case.n.get(unit, _DEFAULT_N)
    lines = []
    for place, period in enumerate(periods):
        level = levels[place] if levels is not None else None
        reason = case.reasons.get(unit, (None,) * len(periods))[place]
        tenure = case.tenure.get(unit, (True,) * len(periods))[place]
        if level is None and reason is None:
            reason = "missing_year"
        count = n if isinstance(n, int) else n[place]
        lines.append((unit, period, None if reason else level, count, reason, tenure))
    return lines
