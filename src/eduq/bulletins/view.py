"""Reading a Publishable for a bulletin: names, labels, lookups. Selects and arranges; estimates nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import polars as pl

from eduq.bulletins.blocks import Phrase
from eduq.bulletins.formats import phrase
from eduq.disclosure import Publishable
from eduq.groups import COMPOSITE, DERIVED, TOTAL
from eduq.groups import EVERY_PAPER as ALL_SUBJECTS
from eduq.intake.exam_file import PaperFacts
from eduq.locale import Lang, has_text

__all__ = ["ALL_SUBJECTS", "COMPOSITE", "DERIVED", "TOTAL", "GapKey", "View", "judge", "reason_words"]

_FIXED_ORDER = {unit: i for i, unit in enumerate(("urban", "town", "rural", "female", "male"))}

GapKey = tuple[str, str]
"""Comparison group and paper."""
Row = dict[str, Any]


def judge(row: Row | None) -> str | None:
    """Return ``above``, ``below`` or ``same`` as the interval of a gap lies beyond zero or holds it; None without a number."""
    if row is None or row["estimate"] is None or row["ci_lower"] is None:
        return None
    if row["ci_lower"] > 0:
        return "above"
    return "below" if row["ci_upper"] < 0 else "same"


def reason_words(code: str) -> Phrase | str:
    """Return why a number cannot be given, in words."""
    return phrase(f"reasons.{code}") if has_text(f"reasons.{code}") else code


def reason_cell(code: str) -> Phrase:
    """Return what stands in the cell of a number that cannot be given."""
    key = f"bulletin.cell.reason.{code}"
    return phrase(key if has_text(key) else "bulletin.cell.nothing")


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
        """Return the comparison groups of a paper without those of schools that sat, were paced or were marked otherwise."""
        groups = self.area_groups.get(paper, [])
        plain = [group for group in groups if not (self._groups.get(group) or {}).get("deviation")]
        return plain or groups

    @cached_property
    def real_papers(self) -> list[str]:
        """Papers that were sat, in order; a total counts where nothing else was."""
        listed = [paper for paper in self.area_groups if paper not in DERIVED]
        return listed or [paper for paper in self.area_groups if paper == TOTAL]

    @cached_property
    def gap_paper(self) -> tuple[str, str] | None:
        """Paper and measure by which units are set beside the area: the composite where there is one."""
        schools = self.of("school") if "school" in self.unit_types else self.pub.estimates
        known = schools.filter(pl.col("measure").is_in(["composite_z", "z_mean"]) & pl.col("estimate").is_not_null())
        pairs = set(known.select("paper", "measure").unique().iter_rows())
        wanted = [
            (COMPOSITE, "composite_z"),
            (COMPOSITE, "z_mean"),
            (TOTAL, "z_mean"),
            *((paper, "z_mean") for paper in self.real_papers),
        ]
        return next((pair for pair in wanted if pair in pairs), None)

    def gap_rows(self, unit_type: str, paper: str, measure: str) -> dict[str, list[Row]]:
        """Return rows of the gap of one paper by comparison group, units in register order, groups by size."""
        frame = self.of(unit_type).filter((pl.col("paper") == paper) & (pl.col("measure") == measure))
        found: dict[str, list[Row]] = {group: [] for group in self.area_groups.get(paper, [])}
        for item in self.sorted_units(unit_type, frame):
            found.setdefault(item["comparison_group"], []).append(item)
        return {group: rows for group, rows in found.items() if rows}

    def compared(self, unit_type: str, paper: str, measure: str) -> list[tuple[str, list[Row]]]:
        """Return the comparison groups in which at least two units have a gap, with their rows."""
        groups = self.gap_rows(unit_type, paper, measure)
        return [(group, rows) for group, rows in groups.items() if sum(row["estimate"] is not None for row in rows) >= 2]

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
        return (0, key, unit) if isinstance(key, (int, float)) else (1, str(key or ""), unit)

    def unit_name(self, unit_type: str, unit: str) -> Any:
        """Return the name of a unit: from the register, or wording for areas, sexes and kinds of place."""
        if unit_type == "area":
            return self.area_word
        if has_text(f"bulletin.unit_name.{unit}") and unit_type in ("area_type", "sex"):
            return phrase(f"bulletin.unit_name.{unit}")
        known = self._units.get((unit_type, unit))
        return (known["name"] if known else None) or unit

    def parent_name(self, unit_type: str, unit: str) -> str | None:
        """Return the township of a school as the register has it."""
        known = self._units.get((unit_type, unit))
        return known["parent"] if known else None

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
        return phrase("bulletin.paper_version", subject=name, code=code) if shared and code != subject else name

    @cached_property
    def _groups(self) -> dict[str, Row]:
        return {item["comparison_group"]: item for item in self.pub.comparability.iter_rows(named=True)}

    @cached_property
    def _year_groups(self) -> int:
        return self.pub.comparability["year_group"].drop_nulls().n_unique()

    def group_parts(self, group: str) -> list[Any]:
        """Return what sets a comparison group apart in words: year group, track, deviation."""
        known = self._groups.get(group)
        if known is None:
            return []
        parts: list[Any] = []
        if known["year_group"] and self._year_groups > 1:
            parts.append(phrase(f"bulletin.year_group.{known['year_group']}"))
        if known["track"]:
            parts.append(
                phrase(f"bulletin.track.{known['track']}") if has_text(f"bulletin.track.{known['track']}") else known["track"]
            )
        if known["deviation"]:
            parts.append(phrase("bulletin.group_deviation"))
        return parts

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
        return str(defined["name"][self.lang]) if defined else measure

    def shown(self, rows: Sequence[Any]) -> tuple[list[Any], int | None]:
        """Return the rows a bulletin shows, and how many there are where some are left out."""
        limit = self.settings.bulletin_rows
        return (list(rows), None) if len(rows) <= limit else (list(rows[:limit]), len(rows))

    def reason_notes(self, rows: Iterable[Row]) -> list[Phrase]:
        """Return one remark per reason for which numbers are missing among rows."""
        counts: dict[str, set[str]] = {}
        for item in rows:
            if item["estimate"] is None and item["reason"]:
                counts.setdefault(item["reason"], set()).add(item["unit"])
        return [
            phrase("bulletin.reason_note", cell=reason_cell(code), n=len(units), reason=reason_words(code))
            for code, units in sorted(counts.items())
        ]
