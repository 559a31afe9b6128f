"""The strength of the evidence that stands beside a literal clause."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from eduq.rulepacks.model import BottomShare, Decline, LastPlace, Rule, SevereDrop, Stagnation
from eduq.rulepacks.peers import PeerCell

if TYPE_CHECKING:
    from eduq.estimates.declines import DeclineResult

__all__ = ["EVIDENCE_COLUMNS", "EvidenceFinder", "count_last_periods", "kind_of_evidence", "kinds_of_evidence"]

Kind = Literal["decline", "severe_drop", "stagnation"]
Key = tuple[str, str, str]
_KINDS: tuple[Kind, ...] = ("decline", "severe_drop", "stagnation")
EVIDENCE_COLUMNS = (
    "evidence_grade",
    "n_periods",
    "slope",
    "slope_std_error",
    "p_value",
    "q_value",
    "min_detectable",
    "could_be_last",
    "p_last",
)
"""Columns of the evidence; null where there is no series or the rule is not about a course over years."""
_FAMILY = ["year_group", "subject"]


def kinds_of_evidence(rule: Rule) -> tuple[Kind, ...]:
    """Return which tests speak about a rule; none for clauses about one year's place, cuts, targets and records.

    A clause about a fall is tested by the slope, one about stagnation or a severe drop by its own test.
    """
    found: set[Kind] = set()
    for condition in rule.walk():
        match condition:
            case Decline(direction="fall"):
                found.add("decline")
            case SevereDrop():
                found.add("severe_drop")
            case Stagnation():
                found.add("stagnation")
            case _:
                pass
    return tuple(kind for kind in _KINDS if kind in found)


def kind_of_evidence(rule: Rule) -> Kind | None:
    """Return the test that speaks about a rule first, or None."""
    kinds = kinds_of_evidence(rule)
    return kinds[0] if kinds else None


@dataclass(frozen=True)
class _Question:
    """What is asked of one family; equal questions are answered once."""

    family: str
    measure: str
    subjects: tuple[str, ...]
    year_groups: tuple[str, ...]
    members: str
    last_place: bool
    last_k: int
    last_periods: int
    overlap: int
    bounds: str

    @property
    def name(self) -> str:
        """Return the key of the result, readable and unique."""
        place = f"last={self.last_k} in {self.last_periods}" if self.last_place else "any place"
        pooled = f"pooled over {self.overlap} year groups" if self.overlap > 1 else ""
        over = ("+".join(self.year_groups), "+".join(self.subjects))
        parts = (self.measure, self.family, *over, self.members, pooled, place, self.bounds)
        return " | ".join(part for part in parts if part)


@dataclass
class EvidenceFinder:
    """Asks the decline estimator about families of series and remembers the answers.

    Attributes
    ----------
    results
        Every answer by the family and the question.
    """

    results: dict[str, DeclineResult] = field(default_factory=dict)
    _answers: dict[_Question, Mapping[Key, Mapping[str, Any]]] = field(default_factory=dict)

    def find(
        self, rule: Rule, cells: Sequence[PeerCell], *, bounds: Mapping[str, Any], reading: Literal["narrow", "wide"]
    ) -> dict[Key, dict[str, Any]]:
        """Return the evidence per unit, year group and subject of one family.

        Parameters
        ----------
        rule
            The rule.
        cells
            The peer groups of one family: same attributes, all year groups and subjects. All their series are one family.
        bounds
            Bounds of the grades in force.
        reading
            Under a reading that asks for the last place too, the grade looks at the place.

        Returns
        -------
        dict
            Per unit, year group and subject the values of `EVIDENCE_COLUMNS`. Members of the peer group in the judged year are
            one family. A unit outside it (exempt, or of too few candidates) is looked at in a family of everybody, so that its
            row is not empty, and graded C at most: the rule itself says that it cannot carry a finding.
        """
        kinds, measure = kinds_of_evidence(rule), rule.measure
        if not kinds or measure is None:
            return {}
        all_of = rule.readings.narrow if reading == "narrow" else rule.readings.wide
        place = next((item for item in rule.walk() if isinstance(item, LastPlace | BottomShare)), None)
        members, everyone = _family_frames(rule, cells, measure)
        last_k = 1 if place is None else _last_k(place, members)
        found: dict[Key, dict[str, Any]] = {}
        for whole, frame in ((True, everyone), (False, members)):
            if frame.height == 0 or (whole and frame.height == members.height):
                continue
            question = _Question(
                family=cells[0].family,
                measure=measure,
                subjects=tuple(frame["subject"].unique().sort()),
                year_groups=tuple(frame["year_group"].unique().sort()),
                members="everyone" if whole else _members_text(rule),
                last_place="decline" in kinds and place is not None and all_of == "all",
                last_k=last_k,
                last_periods=count_last_periods(rule),
                overlap=_year_groups_pooled(cells, measure),
                bounds=_bounds_text(rule, bounds),
            )
            answers = self._ask(question, frame, rule, bounds)
            grades = {key: _evidence_of(line, kinds, all_of, bounds) for key, line in answers.items()}
            if whole:
                for line in grades.values():
                    line["evidence_grade"] = "C" if line["evidence_grade"] in ("A", "B") else line["evidence_grade"]
            found |= grades
        return found

    def _ask(
        self, question: _Question, frame: pl.DataFrame, rule: Rule, bounds: Mapping[str, Any]
    ) -> Mapping[Key, Mapping[str, Any]]:
        """Run the estimator, or return what it said before."""
        from eduq.errors import NotAssessableError
        from eduq.estimates.declines import DeclineBounds, detect_declines

        if question in self._answers:
            return self._answers[question]
        own = _own_bounds(rule)
        try:
            result = detect_declines(
                frame,
                unit="unit",
                period="period",
                estimate="estimate",
                sd="sd",
                n="n",
                family=_FAMILY,
                bounds=DeclineBounds(**bounds, **own),
                last_k=question.last_k,
                last_periods=question.last_periods,
                last_place=question.last_place,
                overlap=question.overlap,
            )
        except NotAssessableError:
            self._answers[question] = {}
            return {}
        self.results[question.name] = result
        self._answers[question] = {
            (line["unit"], line["year_group"], line["subject"]): line for line in result.frame.iter_rows(named=True)
        }
        return self._answers[question]


def _family_frames(rule: Rule, cells: Sequence[PeerCell], measure: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the series of members of the peer groups in the judged year, and those of everybody; current segments only."""
    group = rule.peer_group
    columns = ["unit", "period", "estimate", "sd", "n", *_FAMILY]
    members, everyone = [], []
    for cell in cells:
        peer = cell.peers.get(measure)
        if peer is None:
            continue
        least = group.min_pupils if group else 0
        keep_small = group is None or group.small_schools == "include"
        bounded = peer.under(min_pupils=least, min_units=0, small_schools="include" if keep_small else "exempt", tenure="none")
        inside = [unit for unit, counted in zip(cell.units, bounded.counted[:, -1], strict=True) if counted]
        readable = {
            (unit, period)
            for row, unit in enumerate(cell.units)
            for column, period in enumerate(cell.periods)
            if peer.reason[row, column] == 0
        }
        lines = cell.lines.filter((pl.col("measure") == measure) & pl.col("estimate").is_not_null())
        kept = [pair in readable for pair in lines.select("unit", "period").iter_rows()]
        lines = lines.filter(pl.Series(kept, dtype=pl.Boolean)).select(columns)
        everyone.append(lines)
        members.append(lines.filter(pl.col("unit").is_in(inside)))
    if not everyone:
        empty = pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
        return empty, empty
    return pl.concat(members).sort([*_FAMILY, "unit", "period"]), pl.concat(everyone).sort([*_FAMILY, "unit", "period"])


def _year_groups_pooled(cells: Sequence[PeerCell], measure: str) -> int:
    """Return over how many year groups a value is pooled at most: teachers', whose pupils come again the year after."""
    names = [name for cell in cells for name in cell.lines.filter(pl.col("measure") == measure)["exam_id"].drop_nulls()]
    return max((name.count("+") + 1 for name in names), default=1)


def _members_text(rule: Rule) -> str:
    group = rule.peer_group
    return "everyone" if group is None else f"n>={group.min_pupils},small={group.small_schools}"


def _last_k(place: LastPlace | BottomShare, members: pl.DataFrame) -> int:
    """Return how many places from the bottom a clause means."""
    if isinstance(place, LastPlace):
        return place.last or 1
    if place.share is None or members.height == 0:
        return 1
    size = max(int(count) for count in members.group_by([*_FAMILY, "period"]).len()["len"])
    return max(1, math.ceil(place.share * size - 1e-9))


def count_last_periods(rule: Rule) -> int:
    """Return in how many of the last years the clause asks for the place; each of them must then be shown."""
    place = next((item for item in rule.walk() if isinstance(item, LastPlace | BottomShare)), None)
    return 1 if place is None else place.years or 1


def _own_bounds(rule: Rule) -> dict[str, float]:
    """Return the bounds that the rule's own conditions give to their tests."""
    found: dict[str, float] = {}
    for condition in rule.walk():
        if isinstance(condition, SevereDrop) and condition.drop is not None:
            found["severe_drop"] = condition.drop
        if isinstance(condition, Stagnation) and condition.band is not None:
            found["stagnation_band"] = condition.band
    return found


def _bounds_text(rule: Rule, bounds: Mapping[str, Any]) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted({**bounds, **_own_bounds(rule)}.items()))


def _evidence_of(line: Mapping[str, Any], kinds: Sequence[Kind], how: str, bounds: Mapping[str, Any]) -> dict[str, Any]:
    """Give one line of the estimator as evidence about a rule.

    A fall has the estimator's own grade. A severe drop: B when its q (BH over units) is within the bound, C when the drop alone
    would pass at the bound of C, else D. Stagnation: B when the equivalence test confirms it, else D. Neither can be A, which
    asks for a course over years. Of several tests a reading that asks for any takes the strongest, one that asks for all the
    weakest.
    """
    found: dict[str, Any] = dict.fromkeys(EVIDENCE_COLUMNS)
    for name in EVIDENCE_COLUMNS:
        found[name] = line.get("std_error" if name == "slope_std_error" else name)
    if found["evidence_grade"] is None:
        return found
    state = line.get("stagnation")
    each: dict[Kind, str | None] = {
        "decline": found["evidence_grade"],
        "severe_drop": _drop_letter(line, bounds),
        "stagnation": None if state is None else "B" if state == "stagnant" else "D",
    }
    letters = [letter for kind in kinds if (letter := each[kind]) is not None]
    if how == "all" and len(letters) < len(kinds):
        letters = []
    found["evidence_grade"] = (min(letters) if how == "any" else max(letters)) if letters else None
    return found


def _drop_letter(line: Mapping[str, Any], bounds: Mapping[str, Any]) -> str | None:
    q, p = line.get("drop_q"), line.get("drop_p")
    if q is None:
        return None
    if q <= bounds.get("q", 0.10):
        return "B"
    return "C" if p is not None and p <= bounds.get("p_possible", 0.10) else "D"
