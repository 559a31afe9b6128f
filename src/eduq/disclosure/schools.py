"""What one school may see: its own figures and an anonymous reference, nothing of any other school."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any, Literal

import polars as pl

from eduq.disclosure.exams import Publishable
from eduq.disclosure.suppression import Shown
from eduq.errors import DisclosureError, UsageError
from eduq.estimates.teaching.likeness import MIN_LIKE as MIN_OTHERS
from eduq.estimates.teaching.pooling import difference_from_rest
from eduq.groups import COMPOSITE, EVERY_PAPER, TOTAL

__all__ = ["MIN_OTHERS", "PublishableSchool", "SchoolReader", "protect_school"]

Line = dict[str, Any]
_LEVELS = {"mean_score": 1, "excellent_rate": 3, "pass_rate": 3, "low_score_rate": 3, "all_pass_rate": 3}
"""Level measures of the sheet, and how many decimals of a reference leave this module: as many as are printed."""
_GAPS = ("z_mean", "composite_z")
_TAKEN = ("unit", "comparison_group", "subject", "paper", "measure", "n_expected", "n_present", "n", "estimate", "std_error",
          "ci_lower", "ci_upper", "reason")  # fmt: skip
_FACTS = ("id", "name", "school_year", "term", "year_group", "scope", "legal_basis")
_PROVENANCE = ("version", "settings", "measures")
_QUARTERS = (0.25, 0.5, 0.75)
_TARGET = ("target_id", "measure", "subject", "baseline", "target", "direction", "due", "n", "estimate", "ci_lower", "ci_upper",
           "state", "overdue", "reason")  # fmt: skip
_COURSE = ("period", "n", "estimate", "ci_lower", "ci_upper", "reason")
_DECLINE = ("subject", "n_periods", "first", "last", "slope", "ci_lower", "ci_upper", "q_value", "min_detectable",
            "evidence_grade", "evidence_reason", "direction")  # fmt: skip
_GROWTH = ("subject", "paper", "comparison_group", "growth", "n", "n_listed", "match_rate", "estimate", "ci_lower", "ci_upper",
           "agreement", "reason")  # fmt: skip
_FLOW = ("subject", "paper", "comparison_group", "prior_exam", "flow", "band_from", "band_to", "count", "n", "estimate",
         "ci_lower", "ci_upper", "expected", "difference", "difference_lower", "difference_upper", "side", "reason")  # fmt: skip
_OPEN = ("kind", "item", "owner", "due", "status", "exam_id", "n")
_RELATIVE = ("estimate", "ci_lower", "ci_upper")
_BESIDE_OTHERS = ("expected", "difference", "difference_lower", "difference_upper", "side")


@dataclass(frozen=True)
class PublishableSchool:
    """The sheet of one school: its own counts and values, and quartiles of at least five others without a name.

    Attributes
    ----------
    edition
        Always ``school``.
    fields
        ``school`` (id, name), ``min_n``, ``min_others``, ``level``, ``issuer``, ``document_no``, ``exams`` (one entry per exam,
        see `SchoolReader.protect`), ``open_items`` (None: none were asked for). Plain values, nothing of another school.
    """

    edition: Literal["school"]
    fields: dict[str, Any]

    def summary(self) -> str:
        """Return one line: the edition, and on how many exams it rests."""
        return f"{self.edition} edition for one school, {len(self.fields['exams'])} exams"

    def __repr__(self) -> str:
        """Say what there is without its content."""
        return f"PublishableSchool({self.summary()})"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>"


def _by_unit(frame: pl.DataFrame, columns: Iterable[str], unit: str = "unit") -> dict[str, list[Line]]:
    """Return the rows of each unit, in the order of the frame."""
    found: dict[str, list[Line]] = defaultdict(list)
    if frame.is_empty():
        return found
    for line in frame.select(unit, *columns).iter_rows(named=True):
        found[line.pop(unit)].append(line)
    return found


def _schools_only(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(pl.col("unit_type") == "school") if "unit_type" in frame.columns else frame


def _quarters(values: Sequence[float], own: float | None, decimals: int) -> list[float] | None:
    """Return the quartiles of sorted values without one of them, rounded as printed; None of fewer than `MIN_OTHERS`.

    Examples
    --------
    >>> _quarters([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 6.0, 1), _quarters([1.0, 2.0, 3.0, 4.0, 5.0], 5.0, 1)
    ([2.0, 3.0, 4.0], None)
    """
    skipped = len(values) if own is None else bisect_left(values, own)
    size = len(values) - (own is not None)
    if size < MIN_OTHERS:
        return None

    def at(place: int) -> float:
        return values[place + (place >= skipped)]

    found = []
    for share in _QUARTERS:
        whole, part = divmod(share * (size - 1), 1)
        low = at(int(whole))
        found.append(round(low + (part * (at(int(whole) + 1) - low) if part else 0.0), decimals))
    return found


class _ExamReader:
    """One exam of the bureau edition, laid out by school."""

    def __init__(self, exam: Publishable) -> None:
        self.exam = exam
        estimates = _schools_only(exam.estimates)
        wanted = estimates.filter(pl.col("measure").is_in([*_LEVELS, *_GAPS, "participation_rate"]))
        self.rows = _by_unit(wanted, [name for name in _TAKEN if name != "unit"])
        self.values: dict[tuple[str, str, str], dict[str, float]] = defaultdict(dict)
        self.sizes: dict[tuple[str, str], set[str]] = defaultdict(set)
        for unit, lines in self.rows.items():
            for line in lines:
                if line["estimate"] is None or line["measure"] == "participation_rate":
                    continue
                self.sizes[line["comparison_group"], line["paper"]].add(unit)
                if line["measure"] in _LEVELS:
                    self.values[line["comparison_group"], line["paper"], line["measure"]][unit] = line["estimate"]
        self._sorted: dict[tuple[tuple[str, str, str], str | None], list[float]] = {}

    @cached_property
    def likeness(self) -> tuple[dict[str, str], dict[str, set[str]]]:
        """The peer group of each school by the register, and the members of each."""
        own: dict[str, str] = {}
        members: dict[str, set[str]] = defaultdict(set)
        if self.exam.comparisons is not None and self.exam.comparisons.unit_type == "school":
            similar = self.exam.comparisons.frame.filter(pl.col("peer_group").str.contains("=", literal=True))
            for unit, peers in similar.select("unit", "peer_group").unique(maintain_order=True).iter_rows():
                own.setdefault(unit, peers)
                members[peers].add(unit)
        return own, members

    @cached_property
    def growth(self) -> tuple[dict[str, list[Line]], dict[tuple[str, str, str], int]]:
        """Growth of each school, and how many schools have one by paper, comparison group and way."""
        found = self.exam.growth
        if found is None or found.reason is not None or found.unit_type != "school":
            return {}, {}
        lines = _by_unit(_schools_only(found.frame), _GROWTH)
        counts: dict[tuple[str, str, str], int] = defaultdict(int)
        for own in lines.values():
            for line in own:
                counts[line["paper"], line["comparison_group"], line["growth"]] += line["estimate"] is not None
        return lines, counts

    @cached_property
    def flows(self) -> dict[str, list[Line]]:
        """Moves between bands and of the low groups of each school."""
        found = self.exam.growth
        if found is None or found.reason is not None or found.unit_type != "school":
            return {}
        both = [_schools_only(part).select("unit", *_FLOW) for part in (found.flows, found.low_groups)]
        return _by_unit(pl.concat(both), _FLOW)

    @cached_property
    def course(self) -> tuple[dict[str, list[Line]], dict[str, list[Line]], dict[str, list[Line]], dict[str, int]]:
        """Yearly values, decline and subjects' declines of each school, and how many schools have a value in each year."""
        found = self.exam.history
        if found is None or found.series.is_empty():
            return {}, {}, {}, {}
        counts = found.series.filter(pl.col("estimate").is_not_null()).group_by("period").agg(pl.col("unit").n_unique())
        of_subjects = {} if found.subjects.is_empty() else _by_unit(found.subjects, _DECLINE)
        return _by_unit(found.series, _COURSE), _by_unit(found.declines, _DECLINE), of_subjects, dict(counts.iter_rows())

    @cached_property
    def targets(self) -> dict[str, list[Line]]:
        """Reviewed targets of each school."""
        found = self.exam.targets
        return {} if found is None else _by_unit(_schools_only(found.frame), _TARGET)

    def others(self, unit: str, group: str, paper: str) -> int:
        """Return how many other schools have a result in a comparison group and paper."""
        return len(self.sizes[group, paper] - {unit})

    def reference(self, unit: str, line: Line) -> tuple[str | None, int, list[float] | None]:
        """Return which schools stand beside a value (similar, all), how many they are, and their quartiles."""
        key = (line["comparison_group"], line["paper"], line["measure"])
        known, members = self.likeness
        for kind, peers in (("similar", known.get(unit)), ("all", None)):
            if kind == "similar" and peers is None:
                continue
            if (key, peers) not in self._sorted:
                chosen = self.values[key].items()
                self._sorted[key, peers] = sorted(value for name, value in chosen if peers is None or name in members[peers])
            values = self._sorted[key, peers]
            quarters = _quarters(values, self.values[key].get(unit), _LEVELS[line["measure"]])
            if quarters is not None:
                return kind, len(values) - (unit in self.values[key]), quarters
        return None, 0, None

    def levels(self, unit: str) -> list[Line]:
        """Return own level measures, each with its reference."""
        found = []
        for line in self.rows.get(unit, []):
            if line["measure"] not in _LEVELS:
                continue
            kind, n, quarters = self.reference(unit, line)
            found.append({**line, "others": kind, "n_others": n, "quarters": quarters})
        return found

    def participation(self, unit: str) -> list[Line]:
        """Return who was expected and present, by paper that was sat."""
        derived = (COMPOSITE, EVERY_PAPER, TOTAL)
        own = [line for line in self.rows.get(unit, []) if line["measure"] == "participation_rate"]
        return [line for line in own if line["paper"] not in derived] or own

    def gaps(self, unit: str) -> list[Line]:
        """Return own gaps to the area; without a number where too few others sat: the gap would tell theirs."""
        found = []
        for line in self.rows.get(unit, []):
            if line["measure"] not in _GAPS:
                continue
            if self.others(unit, line["comparison_group"], line["paper"]) < MIN_OTHERS and line["estimate"] is not None:
                line = line | dict.fromkeys((*_RELATIVE, "std_error")) | {"reason": "few_others"}
            found.append(line)
        return found


def _apart(gaps: Sequence[Line], level: float) -> list[Line]:
    """Return, of each own subject with a gap, whether it can be told from the mean of the own others."""
    beside = [
        line
        for line in gaps
        if line["measure"] == "z_mean" and line["paper"] != TOTAL and line["estimate"] is not None and line["std_error"]
    ]
    if len(beside) < 2:
        return []
    found = difference_from_rest([line["estimate"] for line in beside], [line["std_error"] for line in beside], conf_level=level)
    return [
        {"subject": line["subject"], "paper": line["paper"], "comparison_group": line["comparison_group"], "difference": apart,
         "lower": lower, "upper": upper, "side": "above" if lower > 0 else "below" if upper < 0 else "same"}
        for line, (apart, lower, upper) in zip(beside, found, strict=True)
    ]  # fmt: skip


def _plain(line: Mapping[str, Any]) -> Line:
    """Return a line with dates as text."""
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in line.items()}


def _growth_lines(reader: _ExamReader, unit: str) -> list[Line]:
    lines, counts = reader.growth
    found = []
    for line in lines.get(unit, []):
        others = counts[line["paper"], line["comparison_group"], line["growth"]] - (line["estimate"] is not None)
        if line["estimate"] is not None and others < MIN_OTHERS:
            line = line | dict.fromkeys((*_RELATIVE, "agreement")) | {"reason": "few_others"}
        found.append(line)
    return found


def _flow_lines(reader: _ExamReader, unit: str) -> list[Line]:
    """Return own moves; beside those who started alike only where enough other schools sat."""
    found = []
    for line in reader.flows.get(unit, []):
        if reader.others(unit, line["comparison_group"], line["paper"]) < MIN_OTHERS:
            line = line | dict.fromkeys(_BESIDE_OTHERS)
        found.append(line)
    return found


def _course_fields(reader: _ExamReader, unit: str) -> Line:
    """Return the course over the years, and why there is none."""
    history = reader.exam.history
    if history is None:
        return {"course": [], "decline": None, "subject_declines": [], "no_course": "no_archive"}
    years, declines, subjects, counts = reader.course
    course, short = [], False
    for line in sorted(years.get(unit, []), key=lambda line: str(line["period"])):
        if line["estimate"] is not None and counts.get(line["period"], 0) - 1 < MIN_OTHERS:
            line, short = line | dict.fromkeys(_RELATIVE) | {"reason": "few_others"}, True
        course.append(line)
    decline = next(iter(declines.get(unit, [])), None)
    return {
        "course": course,
        "decline": None if short else decline,
        "subject_declines": [] if short else subjects.get(unit, []),
        "no_course": None if course else history.reason or "no_estimate",
    }


class SchoolReader:
    """Exams of the bureau edition from which the sheets of schools are taken, one by one.

    Parameters
    ----------
    exams
        What the bureau may see of each exam (`eduq.disclosure.protect`), oldest first.
    open_items
        `eduq.disclosure.products.OPEN_ITEMS`; None where nobody keeps them. Proposals stay with the bureau: nothing is decided.

    Raises
    ------
    DisclosureError
        ``school_needs_bureau``: an exam was protected for another audience, which lacks what a school may see of itself.
    """

    def __init__(self, exams: Sequence[Publishable], *, open_items: pl.DataFrame | None = None) -> None:
        for exam in exams:
            if exam.edition != "bureau":
                raise DisclosureError("school_needs_bureau", edition=exam.edition)
        self._exams = [_ExamReader(exam) for exam in exams]
        self._open = None
        if open_items is not None:
            plain = open_items.cast({"kind": pl.String, "status": pl.String})
            self._open = _by_unit(plain.filter(pl.col("unit_type") == "school", pl.col("kind") != "proposal"), _OPEN)

    @cached_property
    def names(self) -> dict[str, str]:
        """Name of every school with a result or a candidate, in the order of ids."""
        found: dict[str, str] = {}
        for reader in self._exams:
            units = reader.exam.units.filter(pl.col("unit_type") == "school").select("unit", "name")
            found |= {unit: name or unit for unit, name in units.iter_rows() if unit in reader.rows}
        return dict(sorted(found.items()))

    def protect(self, school_id: str) -> PublishableSchool:
        """Return the sheet of one school.

        Of the school itself there is what the bureau edition has, numbers below ``min_n_reporting`` withheld. Of others there
        are quartiles only, of similar schools by the register or else of all other schools of the comparison group, at least
        `MIN_OTHERS` of them, rounded as printed. Gaps to the area, growth and courses have no number where fewer others sat:
        the area's value would then tell theirs. There is no place, no rank, no name and no value of another.

        Raises
        ------
        UsageError
            ``school_unknown``: no exam has candidates of it.
        """
        if school_id not in self.names:
            raise UsageError("school_unknown", asked=school_id)
        settings = self._exams[0].exam.settings
        fields = {
            "school": {"id": school_id, "name": self.names[school_id]},
            "min_n": settings.min_n_reporting,
            "min_others": MIN_OTHERS,
            "level": settings.conf_level,
            "issuer": settings.issuer,
            "document_no": settings.document_no,
            "exams": [self._part(reader, school_id) for reader in self._exams if school_id in reader.rows],
            "open_items": None if self._open is None else [_plain(line) for line in self._open.get(school_id, [])],
        }
        return PublishableSchool(edition="school", fields=fields)

    def shown(self, school_ids: Iterable[str]) -> list[Shown]:
        """Return which cells the sheets of some schools show and protect, for the ledger: of each exam their own and no other."""
        own = frozenset(school_ids)
        found = []
        for reader in self._exams:
            if reader.exam.shown is None or not own & reader.rows.keys():
                continue
            wanted = {*_LEVELS, *_GAPS} | {line["measure"] for unit in own for line in reader.targets.get(unit, [])}
            cells, kept = (
                frozenset(key for key in keys if key[2] in wanted and key[3] == "school" and key[4] in own)
                for keys in (reader.exam.shown.cells, reader.exam.shown.primary)
            )
            found.append(Shown(reader.exam.shown.exam_id, "school", cells, kept))
        return found

    @staticmethod
    def _part(reader: _ExamReader, unit: str) -> Line:
        exam = reader.exam
        facts = exam.exam.exam
        growth = exam.growth
        gaps = reader.gaps(unit)
        used = {line["measure"] for line in reader.rows[unit]} | {line["measure"] for line in reader.targets.get(unit, [])}
        groups = {line["comparison_group"] for line in reader.rows[unit]}
        tracks = exam.comparability.filter(pl.col("comparison_group").is_in(list(groups)))
        return {
            "exam": {name: getattr(facts, name) for name in _FACTS} | {"date": facts.date.isoformat() if facts.date else None},
            "papers": [{"code": p.code, "subject": p.subject_code, "max_score": p.max_score} for p in exam.exam.papers],
            "tracks": dict(tracks.select("comparison_group", "track").iter_rows()),
            "deviates": sorted(tracks.filter(pl.col("deviation").is_not_null())["paper"].to_list()),
            "participation": reader.participation(unit),
            "levels": reader.levels(unit),
            "gaps": gaps,
            "apart": _apart(gaps, exam.settings.conf_level),
            "growth": _growth_lines(reader, unit),
            "no_growth": "no_archive" if growth is None else growth.reason,
            "priors": [] if growth is None else growth.priors["exam_id"].to_list(),
            "flows": _flow_lines(reader, unit),
            **_course_fields(reader, unit),
            "targets": [_plain(line) for line in reader.targets.get(unit, [])],
            "measures": {
                name: {"name": dict(entry["name"]), "version": entry["version"], "formula": dict(entry.get("formula") or {}),
                       "kind": entry["kind"]}
                for name, entry in exam.measures.items() if name in used
            },
            "provenance": {name: exam.provenance[name] for name in _PROVENANCE if name in exam.provenance},
        }  # fmt: skip


def protect_school(
    exams: Publishable | Sequence[Publishable], *, school_id: str, open_items: pl.DataFrame | None = None
) -> PublishableSchool:
    """Make the sheet of one school: see `SchoolReader.protect`.

    Parameters
    ----------
    exams
        One exam or several, as the bureau may see them.
    school_id
        The school.
    open_items
        `eduq.disclosure.products.OPEN_ITEMS`.
    """
    given = [exams] if isinstance(exams, Publishable) else list(exams)
    return SchoolReader(given, open_items=open_items).protect(school_id)
