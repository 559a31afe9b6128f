"""Reading a Publishable for a bulletin: names, labels, lookups. Selects and arranges; estimates nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import polars as pl

from eduq.bulletins.blocks import Phrase
from eduq.bulletins.formats import counted, joined, phrase
from eduq.bulletins.ordering import natural_key
from eduq.bulletins.reading import Row, reason_cell, reason_words
from eduq.disclosure import Publishable
from eduq.groups import COMPOSITE, DERIVED, TOTAL
from eduq.groups import EVERY_PAPER as ALL_SUBJECTS
from eduq.intake.exam_file import PaperFacts
from eduq.locale import Lang, has_text, text

__all__ = ["ALL_SUBJECTS", "COMPOSITE", "DERIVED", "TOTAL", "GapKey", "View"]

_FIXED_ORDER = {unit: i for i, unit in enumerate(("urban", "town", "rural", "female", "male"))}
_MAIN_SHARE = 0.10
"""A combination of papers taken by this share of the candidates stands in the text; smaller ones stand in the workbook."""
GapKey = tuple[str, str]
"""Comparison group and paper."""


class View:
    """What the sections of a bulletin ask of a Publishable.

    Parameters
    ----------
    publishable
        The results an edition may show.
    lang
        Language of the document.
    """

    def __init__(self, publishable: Publishable, lang: Lang) -> None:
        self.pub = publishable
        self.lang: Lang = lang
        self.exam = publishable.exam
        self.settings = publishable.settings
        self._types: dict[str, pl.DataFrame] = {}

    # ---- estimates -------------------------------------------------------------------------------------------------

    @cached_property
    def unit_types(self) -> tuple[str, ...]:
        """Unit types that have estimates, in the order of the file."""
        return tuple(self.pub.estimates["unit_type"].unique(maintain_order=True))

    def of(self, unit_type: str) -> pl.DataFrame:
        """Return the estimates of one unit type."""
        if unit_type not in self._types:
            self._types[unit_type] = self.pub.estimates.filter(pl.col("unit_type") == unit_type)
        return self._types[unit_type]

    def lookup(self, frame: pl.DataFrame, *, by_unit: bool = True) -> dict[tuple[str, ...], Row]:
        """Return rows by (comparison_group, paper, unit, measure), or without the unit."""
        keys = ["comparison_group", "paper", "unit", "measure"] if by_unit else ["comparison_group", "paper", "measure"]
        return {tuple(item[name] for name in keys): item for item in frame.iter_rows(named=True)}

    @cached_property
    def area(self) -> dict[tuple[str, ...], Row]:
        """Area estimates by (comparison_group, paper, measure)."""
        return self.lookup(self.of("area"), by_unit=False)

    @cached_property
    def area_counts(self) -> dict[GapKey, tuple[int, int]]:
        """Expected and present candidates by comparison group and paper, whatever measures were computed."""
        frame = self.of("area").group_by("comparison_group", "paper").agg(pl.col("n_expected", "n_present").max())
        return {(group, paper): (expected, present) for group, paper, expected, present in frame.iter_rows()}

    @cached_property
    def papers(self) -> dict[str, PaperFacts]:
        """Facts of the papers by code, in the order of the exam."""
        return {paper.code: paper for paper in self.exam.papers}

    @cached_property
    def area_groups(self) -> dict[str, list[str]]:
        """Comparison groups of each paper, the largest first; papers in the order of the exam, derived ones last."""
        order = {code: i for i, code in enumerate([*(code for code in self.papers if code not in DERIVED), *DERIVED])}
        frame = self.of("area").group_by("paper", "comparison_group").agg(pl.col("n_present").max())
        rows = sorted(frame.iter_rows(), key=lambda item: (order.get(item[0], len(order)), item[0], -item[2], item[1]))
        found: dict[str, list[str]] = {}
        for paper, group, _ in rows:
            found.setdefault(paper, []).append(group)
        return found

    def main_groups(self, paper: str) -> list[str]:
        """Return the comparison groups of a paper that the text shows, the largest first.

        Left out are schools that sat, were paced or were marked otherwise, and of the combinations that a total or composite
        is formed in those of few candidates; the largest of a track or year group stays.
        """
        groups = self.area_groups.get(paper, [])
        plain = [group for group in groups if not self.fact(group, "deviation")]
        if paper not in DERIVED or len(plain) < 2:
            return plain or groups
        sizes = {group: self._size(group, paper) for group in plain}
        least = _MAIN_SHARE * sum(sizes.values())
        of_stratum: dict[tuple[Any, Any], list[str]] = {}
        for group in plain:
            of_stratum.setdefault(self.stratum(group), []).append(group)
        largest = {
            max(found, key=lambda group: sizes[group])
            for found in of_stratum.values()
            if sum(sizes[group] for group in found) >= least
        }
        return [group for group in plain if sizes[group] >= least or group in largest]

    def minor_groups(self, paper: str) -> tuple[int, int]:
        """Return how many combinations of a paper the text leaves to the workbook, and their candidates."""
        kept = set(self.main_groups(paper))
        rest = [group for group in self.area_groups.get(paper, []) if group not in kept and not self.fact(group, "deviation")]
        return len(rest), sum(self._size(group, paper) for group in rest)

    def _size(self, group: str, paper: str) -> int:
        return int(self.fact(group, "n_expected") or self.area_counts.get((group, paper), (0, 0))[0])

    def fact(self, group: str, name: str) -> Any:
        """Return a column of the comparability table for a comparison group; None where it is not known."""
        return (self._groups.get(group) or {}).get(name)

    def stratum(self, group: str) -> tuple[Any, Any]:
        """Return year group and track of a comparison group."""
        return self.fact(group, "year_group"), self.fact(group, "track")

    @cached_property
    def real_papers(self) -> list[str]:
        """Papers that were sat, in order; a total counts where nothing else was."""
        listed = [paper for paper in self.area_groups if paper not in DERIVED]
        return listed or [paper for paper in self.area_groups if paper == TOTAL]

    @property
    def subjects(self) -> list[Phrase | str]:
        """Names of the subjects that were sat; two papers of one subject are one."""
        sat = self.real_papers or list(self.papers)
        codes = [self.papers[code].subject_code if code in self.papers else code for code in sat]
        return [self.subject_name(code) for code in dict.fromkeys(codes)]

    @property
    def only_total(self) -> bool:
        """Whether totals are all there is."""
        return self.real_papers == [TOTAL]

    @cached_property
    def n_schools(self) -> int:
        """Number of schools with results."""
        return self.of("school")["unit"].n_unique() if "school" in self.unit_types else 0

    @cached_property
    def compared_units(self) -> tuple[str, ...]:
        """Unit types that are set side by side one by one: schools unless there is one only, and classes, for the bureau."""
        classes = self.pub.edition == "bureau" and "class" in self.unit_types and self.of("class")["unit"].n_unique() > 1
        return (*(("school",) if self.n_schools > 1 else ()), *(("class",) if classes else ()))

    @cached_property
    def gap_paper(self) -> tuple[str, str] | None:
        """Paper and measure by which units are set beside the area: the composite where it can be compared."""
        wanted = [
            (COMPOSITE, "composite_z"),
            (COMPOSITE, "z_mean"),
            (TOTAL, "z_mean"),
            *((paper, "z_mean") for paper in self.real_papers),
        ]
        for unit_type in self.compared_units:
            for pair in wanted:
                if self.compared(unit_type, *pair):
                    return pair
        units = self.pub.estimates.filter(pl.col("unit_type") != "area")
        known = units.filter(pl.col("measure").is_in(["composite_z", "z_mean"]) & pl.col("estimate").is_not_null())
        pairs = set(known.select("paper", "measure").unique().iter_rows())
        return next((pair for pair in wanted if pair in pairs), None)

    @cached_property
    def stands_in(self) -> bool:
        """Whether one paper stands in for a composite that cannot be compared or does not exist."""
        return self.gap_paper is not None and self.gap_paper[0] != COMPOSITE

    @property
    def gap_name(self) -> Phrase:
        """What the gap in use is called: the composite gap, or that of the paper that stands in."""
        if self.gap_paper is None or not self.stands_in:
            return phrase("bulletin.gap.composite")
        return phrase("bulletin.gap.paper", paper=self.paper_name(self.gap_paper[0]))

    def gap_heading(self, name: str) -> Phrase:
        """Return a heading of a section of gaps, with the paper where one stands in."""
        heading = phrase(f"bulletin.heading.{name}")
        if self.gap_paper is None or not self.stands_in:
            return heading
        return phrase("bulletin.paper_in_group", paper=heading, group=self.paper_name(self.gap_paper[0]))

    def gap_rows(self, unit_type: str, paper: str, measure: str) -> dict[str, list[Row]]:
        """Return rows of the gap of one paper by comparison group, units in register order, groups by size."""
        frame = self.of(unit_type).filter((pl.col("paper") == paper) & (pl.col("measure") == measure))
        found: dict[str, list[Row]] = {group: [] for group in self.area_groups.get(paper, [])}
        for item in self.sorted_units(unit_type, frame):
            found.setdefault(item["comparison_group"], []).append(item)
        return {group: rows for group, rows in found.items() if rows}

    def compared(self, unit_type: str, paper: str, measure: str) -> list[tuple[str, list[Row]]]:
        """Return the comparison groups of the text in which at least two units have a gap, with their rows."""
        groups = self.gap_rows(unit_type, paper, measure)
        shown = set(self.main_groups(paper))
        return [
            (group, rows)
            for group, rows in groups.items()
            if (group in shown or self.fact(group, "deviation")) and sum(row["estimate"] is not None for row in rows) >= 2
        ]

    # ---- units -----------------------------------------------------------------------------------------------------

    @cached_property
    def _units(self) -> dict[tuple[str, str], Row]:
        return {(item["unit_type"], item["unit"]): item for item in self.pub.units.iter_rows(named=True)}

    def sorted_units(self, unit_type: str, frame: pl.DataFrame) -> list[Row]:
        """Return rows of a frame as dictionaries, units in register order."""
        return sorted(frame.iter_rows(named=True), key=lambda item: self.position(unit_type, item["unit"]))

    def position(self, unit_type: str, unit: str) -> tuple[Any, ...]:
        """Return where a unit stands in the register."""
        if unit_type in ("area_type", "sex") and unit in _FIXED_ORDER:
            return (0, _FIXED_ORDER[unit], unit)
        known = self._units.get((unit_type, unit))
        key = known["sort_key"] if known else None
        return (0, key, unit) if isinstance(key, (int, float)) else (1, natural_key(str(key or unit)), unit)

    def unit_name(self, unit_type: str, unit: str) -> Any:
        """Return the name of a unit: from the register, or wording for areas, sexes and kinds of place."""
        if unit_type == "area":
            return self.area_word
        if has_text(f"bulletin.unit_name.{unit}") and unit_type in ("area_type", "sex"):
            return phrase(f"bulletin.unit_name.{unit}")
        known = self._units.get((unit_type, unit))
        name = str((known["name"] if known else None) or unit)
        if unit_type == "class" and self._class_schools == 1:  # one school: its name before every class says nothing
            return name.rpartition(" ")[2] or name
        return name

    @cached_property
    def _class_schools(self) -> int:
        return self.pub.units.filter(pl.col("unit_type") == "class")["parent"].n_unique()

    def parent_name(self, unit_type: str, unit: str) -> str | None:
        """Return the township of a school as the register has it."""
        known = self._units.get((unit_type, unit))
        return known["parent"] if known else None

    def without_result(self, known: set[str]) -> list[Row]:
        """Return a line for each school that is not among those known: nobody in it has a result in the paper of the gap."""
        frame = self.of("school").filter(~pl.col("unit").is_in(list(known)) & ~pl.col("paper").is_in(DERIVED))
        counts = (
            frame.group_by("unit").agg(pl.col("n_expected", "n_present").max(), pl.col("comparison_group").min()).sort("unit")
        )
        nothing = dict.fromkeys(("estimate", "std_error", "ci_lower", "ci_upper"))
        return [{**item, **nothing, "n": 0, "reason": "no_candidates"} for item in counts.iter_rows(named=True)]

    # ---- words -----------------------------------------------------------------------------------------------------

    @cached_property
    def area_word(self) -> Phrase:
        """What the whole is called: the county, the city, the school, as far as the exam says."""
        scope: str = self.exam.exam.scope or "unknown"
        if scope == "county" and "区" in self.settings.issuer and "县" not in self.settings.issuer:
            scope = "district"
        return phrase(f"bulletin.area.{scope}")

    def subject_name(self, code: str) -> Phrase | str:
        """Return the name of a subject or derived paper."""
        return phrase(f"bulletin.subject.{code}") if has_text(f"bulletin.subject.{code}") else code

    def paper_name(self, code: str) -> Phrase | str:
        """Return the name of a paper: its subject, and its code where two papers share a subject."""
        facts = self.papers.get(code)
        subject = facts.subject_code if facts else code
        shared = sum(other.subject_code == subject for other in self.papers.values()) > 1
        name = self.subject_name(subject)
        if not shared or code == subject:
            return name
        written = [header for header, said in self.exam.columns.items() if said == code]
        return written[0] if len(written) == 1 else phrase("bulletin.paper_version", subject=name, code=code)

    def subgroup_name(self, unit_type: str) -> str:
        """Return what a subgroup column is called: its header as exam.toml has it, else its own name."""
        written = [header for header, said in self.exam.columns.items() if said == unit_type]
        return written[0] if len(written) == 1 else unit_type.removeprefix("sub_")

    @cached_property
    def _groups(self) -> dict[str, Row]:
        return {item["comparison_group"]: item for item in self.pub.comparability.iter_rows(named=True)}

    @cached_property
    def _year_groups(self) -> int:
        return self.pub.comparability["year_group"].drop_nulls().n_unique()

    def group_parts(self, group: str, *, whole: bool = False) -> list[Any]:
        """Return what sets a comparison group apart in words: year group, track, combination, deviation (``whole``: and why)."""
        known = self._groups.get(group)
        if known is None:
            return []
        parts = self.stratum_words(group)
        combination = self._combination(known)
        if combination is not None:
            parts.append(combination)
        if known["deviation"]:
            parts.append(phrase("bulletin.group_deviation"))
            if whole:
                parts += [self.exam.deviations[int(number) - 1].change.reason for number in known["deviation"].split("+")]
        return parts

    def stratum_words(self, group: str) -> list[Any]:
        """Return year group and track of a comparison group in words."""
        year_group, track = self.stratum(group)
        said = [phrase(f"bulletin.year_group.{year_group}")] if year_group and self._year_groups > 1 else []
        return said + ([self.track_name(track)] if track else [])

    @cached_property
    def has_combinations(self) -> bool:
        """Whether totals and composites are formed in several combinations of one track."""
        return any(self._combination(known) is not None for known in self._groups.values())

    def track_name(self, track: str) -> Phrase | str:
        """Return the name of a track."""
        return phrase(f"bulletin.track.{track}") if has_text(f"bulletin.track.{track}") else track

    def _combination(self, known: Row) -> Phrase | None:
        """Return what tells a combination from the others of its year group and track; None where there is no other."""
        if not known.get("papers"):
            return None
        alike = ("paper", "year_group", "track", "deviation")
        others = [
            set(item["papers"].split("+"))
            for item in self._groups.values()
            if item.get("papers") and all(item[name] == known[name] for name in alike)
        ]
        if len(others) < 2:
            return None
        own, union, common = set(known["papers"].split("+")), set.union(*others), set.intersection(*others)
        own_only = [self.paper_name(code) for code in self.papers if code in own - common]
        lacking = [self.paper_name(code) for code in self.papers if code in union - own]
        if not lacking:
            return phrase("bulletin.combination.all")
        if not own_only or union in others:
            return phrase("bulletin.combination.without", papers=lacking)
        return joined(own_only, "+")

    def group_label(self, group: str, paper: str) -> Any:
        """Return the words that set a comparison group apart, or the name of the paper where nothing does."""
        return self.group_parts(group) or self.paper_name(paper)

    def paper_label(self, group: str, paper: str) -> Phrase | str:
        """Return the name of a paper, with its comparison group where the paper has several."""
        name = self.paper_name(paper)
        if len(self.area_groups.get(paper, [])) < 2:
            return name
        parts = self.group_parts(group)
        return phrase("bulletin.paper_in_group", paper=name, group=parts) if parts else name

    def measure_name(self, measure: str) -> str:
        """Return the name of a measure in the language of the document."""
        defined = self.pub.measures.get(measure)
        if defined is None and has_text(f"bulletin.measure.{measure}"):
            return text(f"bulletin.measure.{measure}", self.lang)
        return str(defined["name"][self.lang]) if defined else measure

    def shown(self, rows: Sequence[Any]) -> tuple[list[Any], int | None]:
        """Return the rows a bulletin shows, and how many there are where some are left out."""
        limit = self.settings.bulletin_rows
        return (list(rows), None) if len(rows) <= limit else (list(rows[:limit]), len(rows))

    def reason_notes(self, rows: Iterable[Row], *, by_paper: bool = False) -> list[Phrase]:
        """Return one remark per reason for which numbers are missing among rows: how many units lack them, or which papers."""
        found: dict[str, dict[str, None]] = {}
        for item in rows:
            if item["estimate"] is None and item["reason"]:
                found.setdefault(item["reason"], {})[item["paper" if by_paper else "unit"]] = None
        return [
            phrase(
                "bulletin.reason_note",
                cell=reason_cell(code),
                where=[self.paper_name(paper) for paper in lacking] if by_paper else counted("unit", len(lacking)),
                reason=self.reason_said(code),
            )
            for code, lacking in sorted(found.items())
        ]

    def reason_said(self, code: str) -> Phrase | str:
        """Return why a number cannot be given, with the number of candidates where there are too few."""
        return phrase("reasons.below_min_n", n=self.min_n) if code == "below_min_n" else reason_words(code)

    @property
    def min_n(self) -> int:
        """Units of fewer candidates are shown without results."""
        return self.settings.min_n_reporting
