"""Reading the sheet of one school: names, sides, reasons, and a figure of gaps. Selects and arranges; estimates nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from eduq.bulletins.blocks import Block, Phrase, chart, column, table
from eduq.bulletins.feedback_figure import draw_gaps
from eduq.bulletins.formats import clauses, phrase, say, typed
from eduq.groups import COMPOSITE, TOTAL
from eduq.locale import Lang, has_text

__all__ = ["WORD", "Line", "SchoolPart", "gap_figure", "interval_of", "number_sheet", "side_of", "subject_column", "value_of"]

WORD = "product.school"
Line = Mapping[str, Any]


def interval_of(line: Line, low: str = "ci_lower", high: str = "ci_upper") -> list[float] | None:
    return None if line[low] is None or line[high] is None else [line[low], line[high]]


def side_of(line: Line, centre: float = 0.0) -> str | None:
    if line["estimate"] is None or line["ci_lower"] is None or line["ci_upper"] is None:
        return None
    return "above" if line["ci_lower"] > centre else "below" if line["ci_upper"] < centre else "same"


def value_of(line: Line) -> Any:
    return {"reason": line["reason"]} if line["estimate"] is None and line["reason"] else line["estimate"]


class SchoolPart:
    """One exam of the sheet, and the names its lines go by."""

    def __init__(self, fields: Line, exam: Line, lang: Lang, suffix: str) -> None:
        self.fields = fields
        self.of = exam
        self.lang = lang
        self.suffix = suffix
        self.level = typed(fields["level"], "level")
        self.order = {paper["code"]: place for place, paper in enumerate(exam["papers"])}
        self.subjects = Counter(paper["subject"] for paper in exam["papers"])
        groups = {(line["paper"], line["comparison_group"]) for line in exam["gaps"]}
        self.several_groups = {paper for paper, n in Counter(paper for paper, _ in groups).items() if n > 1}

    def place(self, line: Line) -> tuple[Any, ...]:
        """Sort key: papers in the order of the exam, derived ones last."""
        derived = {TOTAL: 1, COMPOSITE: 2}.get(line["paper"], 0)
        return derived, self.order.get(line["paper"], 99), line["comparison_group"] or ""

    def paper(self, line: Line) -> Any:
        """Return the name of a paper: its subject, its code or track where these tell it from another."""
        key = f"bulletin.subject.{line['subject']}"
        name: Any = phrase(key) if has_text(key) else line["subject"]
        if self.subjects[line["subject"]] > 1:
            name = phrase("bulletin.paper_version", subject=name, code=line["paper"])
        track = self.of["tracks"].get(line["comparison_group"])
        if line["paper"] in self.several_groups and track:
            word = phrase(f"bulletin.track.{track}") if has_text(f"bulletin.track.{track}") else track
            name = phrase("bulletin.paper_in_group", paper=name, group=word)
        return name

    def measure(self, name: str) -> str:
        """Return the name of a measure without what stands in brackets."""
        known = self.of["measures"].get(name)
        return name if known is None else str(known["name"][self.lang]).partition("（")[0].partition(" (")[0]

    def reason(self, code: str) -> Any:
        """Return why there is no number, in words."""
        numbers = {"n": self.fields["min_n"], "least": self.fields["min_others"], "version": ""}
        for key in (f"{WORD}.reason.{code}", f"reasons.{code}", f"growth.reasons.{code}", f"declines.reason.{code}"):
            if has_text(key):
                return phrase(key, **numbers)
        return phrase(f"{WORD}.reason.other")

    def reason_notes(self, lines: Iterable[Line], *, moves: bool = False) -> list[Phrase]:
        """Return one remark per reason for which numbers are missing; few pupils who moved are not few who sat."""
        found = Counter(line["reason"] for line in lines if line["estimate"] is None and line["reason"])
        few = phrase("bulletin.focus.few", n=self.fields["min_n"])
        return [
            phrase(f"{WORD}.lacking", n=n, reason=few if moves and code == "below_min_n" else self.reason(code))
            for code, n in sorted(found.items())
        ]

    def interval_column(self, kind: str) -> Block:
        """Return the column of an interval."""
        return column("interval", phrase("bulletin.head.interval", level=self.level), f"interval_{kind}", soft=True)

    def table(self, name: str, columns: list[Block], rows: list[Block], notes: Iterable[Phrase] = ()) -> Block | None:
        """Return a table of this exam; None without rows."""
        if not rows:
            return None
        return table(f"{name}{self.suffix}", phrase(f"{WORD}.caption.{name}"), columns, rows, notes)


def number_sheet(sections: list[Block]) -> None:
    """Number sections, tables and figures through a sheet."""
    counts, tables, first, second = {"table": 0, "figure": 0}, {}, 0, 0
    for found in sections:
        first, second = (first + 1, 0) if found["level"] == 1 else (first, second + 1)
        found["number"] = [first] if found["level"] == 1 else [first, second]
        for block in found["blocks"]:
            if block["type"] in counts:
                counts[block["type"]] += 1
                block["number"] = counts[block["type"]]
                tables[block["id"]] = block["number"]
    for block in (block for found in sections for block in found["blocks"] if block["type"] == "figure"):
        block["table_number"] = tables.get(block["table"])


def subject_column() -> Block:
    return column("paper", phrase("bulletin.head.subject"), "words")


def gap_figure(part: SchoolPart, name: str, shown: list[tuple[Any, Line]]) -> Block | None:
    """Return a figure of gaps with intervals; None of fewer than two."""
    if len(shown) < 2:
        return None
    said = [
        phrase(f"{WORD}.figure.line", what=what, gap=typed(line["estimate"], "gap"),
               interval=typed(interval_of(line), "interval_gap"))
        for what, line in shown
    ]  # fmt: skip
    dots = [
        (say(what, part.lang), line["estimate"], line["ci_lower"], line["ci_upper"], str(side_of(line))) for what, line in shown
    ]
    return chart(
        f"{name}gap_figure{part.suffix}",
        phrase(f"{WORD}.figure.{name}_title", level=part.level),
        phrase(f"{WORD}.figure.{name}_caption", level=part.level),
        phrase(f"{WORD}.figure.{name}_alt", lines=clauses(said)),
        draw_gaps(dots),
        f"{name}{part.suffix}",
    )
