"""The feedback sheet of one teacher or one class: one page, HTML or Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eduq.bulletins.blocks import Block, Phrase, chart, column, items, note, row, section, table
from eduq.bulletins.feedback_figure import draw_gaps
from eduq.bulletins.formats import clauses, joined, phrase, say, typed
from eduq.bulletins.ordering import natural_key
from eduq.bulletins.reading import reason_words
from eduq.bulletins.render import render_html, render_markdown
from eduq.bulletins.template_folder import TemplateFolder
from eduq.disclosure.feedback import PublishableFeedback
from eduq.errors import UsageError
from eduq.estimates.teaching.classes import MIXED
from eduq.locale import Lang, has_text

__all__ = ["FEEDBACK_FORMATS", "build_feedback", "render_feedback"]

FEEDBACK_FORMATS = ("html", "markdown")
_CAVEATS = ("chance", "cohort", "assignment", "cause", "use")
_OWN_REASONS = ("few_like_classes", "below_two", "zero_spread", "no_candidates")
Line = dict[str, Any]


class _Sheet:
    """The fields of one addressee and the names they go by."""

    def __init__(self, feedback: PublishableFeedback, lang: Lang) -> None:
        self.fields = feedback.fields
        self.lang = lang
        self.person = self.fields["addressee"]
        self.of_teacher = self.person["kind"] == "teacher"
        self.lines = sorted(self.fields["lines"], key=self._place)
        self.level = typed(self.fields["level"], "level")
        self.several_papers = len({line["paper"] for line in self.lines}) > 1
        self.several_schools = len({line["school_id"] for line in self.lines}) > 1

    def _place(self, line: Line) -> tuple[Any, ...]:
        papers = list(dict.fromkeys(known["paper"] for known in self.fields["lines"]))
        return papers.index(line["paper"]), line["school_id"], natural_key(line["class_id"]), line["class_kind"]

    def paper(self, line: Line) -> Phrase | str:
        """Return the name of a paper: its subject, with the code where a subject has several papers."""
        key = f"bulletin.subject.{line['subject']}"
        name: Phrase | str = phrase(key) if has_text(key) else line["subject"]
        same = {known["paper"] for known in self.lines if known["subject"] == line["subject"]}
        return phrase("bulletin.paper_version", subject=name, code=line["paper"]) if len(same) > 1 else name

    def class_name(self, line: Line) -> Any:
        """Return the name of a class with what sets it apart: kind, school, combination."""
        name: Any = line["class_id"]
        if line.get("class_kind") == "teaching":
            name = phrase("feedback.class_name", name=name)
        if self.several_schools:
            name = phrase("feedback.class_in_school", school=line["school_id"], name=name)
        combination = line.get("combination")
        if combination == MIXED:
            return phrase("feedback.class_with_papers", name=name, papers=phrase("feedback.mixed"))
        if combination and combination != "-":
            papers = [self.paper({"paper": code, "subject": code}) for code in combination.split("+")]
            return phrase("feedback.class_with_papers", name=name, papers=papers)
        return name

    def what(self, line: Line) -> Any:
        """Return what a line is about: the class, the subject or both."""
        if not self.of_teacher:
            return self.paper(line)
        if not self.several_papers:
            return self.class_name(line)
        return joined([self.paper(line), self.class_name(line)], " · ")

    def who(self) -> Any:
        """Return the addressee by name, or by id."""
        if self.of_teacher and self.person["name"]:
            return phrase("feedback.teacher", name=self.person["name"], id=self.person["id"])
        return self.person["name"] or self.person["id"]

    def exam(self) -> Any:
        """Return the name of the exam."""
        return self.fields["exam"]["name"] or self.fields["exam"]["id"]


def _side(line: Line) -> str | None:
    if line["gap_lower"] is None:
        return None
    return "above" if line["gap_lower"] > 0 else "below" if line["gap_upper"] < 0 else "same"


def _reason(sheet: _Sheet, code: str) -> Phrase:
    if code in _OWN_REASONS:
        return phrase(f"feedback.reason.{code}", n=sheet.fields["min_like"])
    return phrase("feedback.reason.other", reason=reason_words(code))


def _sentence(sheet: _Sheet, line: Line, what: Any) -> Phrase:
    """Say where one figure lies beside the like classes."""
    if line.get("reason"):
        key = "absent" if line["reason"] == "no_candidates" else "small"
        return phrase(f"feedback.sentence.{key}", what=what, n=sheet.fields["min_n"])
    side = _side(line)
    if side is None:
        return phrase("feedback.sentence.none", what=what, reason=_reason(sheet, line["gap_reason"] or "not_computable"))
    return phrase(
        f"feedback.sentence.{'same' if side == 'same' else 'above'}",
        what=what,
        side=phrase(f"feedback.side.{side}"),
        gap=typed(line["gap"], "gap"),
        interval=typed([line["gap_lower"], line["gap_upper"]], "interval_gap"),
        level=sheet.level,
    )


def _pair(low: float | None, high: float | None) -> list[float] | None:
    return None if low is None or high is None else [low, high]


def _cells(name: Any, line: Line) -> list[Any]:
    """Return the cells of one line of the table of results."""
    reason = line.get("reason")
    gap = line["gap"] if line["gap"] is not None else None if reason else {"reason": line["gap_reason"]}
    return [
        name,
        [line["n_present"], line["n_expected"]],
        {"reason": reason} if reason else line["mean"],
        _pair(line["mean_lower"], line["mean_upper"]),
        line.get("reference"),
        _pair(line.get("reference_q1"), line.get("reference_q3")),
        gap,
        _pair(line["gap_lower"], line["gap_upper"]),
        _side(line),
    ]


def _results(sheet: _Sheet) -> Block:
    kind = "teacher" if sheet.of_teacher else "class"
    head = phrase("feedback.head.class") if sheet.of_teacher else phrase("bulletin.head.subject")
    interval = phrase("feedback.head.interval", level=sheet.level)
    columns = [
        column("what", head),
        column("base", phrase("feedback.head.base"), "base"),
        column("mean", phrase("feedback.head.mean"), "score"),
        column("mean_interval", interval, "interval_score", soft=True),
        column("reference", phrase("feedback.head.reference"), "score"),
        column("middle", phrase("feedback.head.middle"), "interval_score", soft=True),
        column("gap", phrase("feedback.head.gap"), "gap"),
        column("gap_interval", interval, "interval_gap", soft=True),
        column("judged", phrase("feedback.head.judged"), "judged"),
    ]
    rows = []
    for line in sheet.lines:
        rows.append(row(_cells(sheet.what(line), line)))
        last = line is [known for known in sheet.lines if known["paper"] == line["paper"]][-1]
        pooled = next((known for known in sheet.fields["pooled"] if known["paper"] == line["paper"]), None)
        if last and pooled is not None:
            name = phrase("feedback.pooled")
            label = joined([sheet.paper(line), name], " · ") if sheet.several_papers else name
            rows.append(row(_cells(label, pooled), "total"))
    counts = sorted({line["n_like"] for line in sheet.lines if line["n_like"] is not None})
    notes = []
    if counts:
        count = (
            typed(counts[0], "count")
            if len(counts) == 1
            else joined([typed(counts[0], "count"), typed(counts[-1], "count")], "—")
        )
        least = sheet.fields["min_like"]
        notes += [
            phrase("feedback.note.like", n=sheet.fields["min_n"], least=least, count=count),
            joined([phrase("feedback.note.gap"), phrase("feedback.note.middle")], "" if sheet.lang == "zh" else " "),
        ]
    if any(line["share"] is not None and line["share"] < 1 for line in sheet.lines):
        notes.append(phrase("feedback.note.share"))
    if any(line["reason"] == "below_min_n" for line in sheet.lines):
        notes.append(phrase("feedback.note.withheld", n=sheet.fields["min_n"]))
    return table("results", phrase(f"feedback.caption.results_{kind}"), columns, rows, notes)


def _figure(sheet: _Sheet) -> Block | None:
    shown = [line for line in sheet.lines if _side(line) is not None]
    if len(shown) < 2:
        return None
    said = [
        phrase(
            "feedback.figure.line",
            what=sheet.what(line),
            gap=typed(line["gap"], "gap"),
            interval=typed([line["gap_lower"], line["gap_upper"]], "interval_gap"),
        )
        for line in shown
    ]
    dots = [
        (say(sheet.what(line), sheet.lang), line["gap"], line["gap_lower"], line["gap_upper"], str(_side(line))) for line in shown
    ]
    return chart(
        "gaps",
        phrase("feedback.figure.title", level=sheet.level),
        phrase("feedback.figure.caption", level=sheet.level),
        phrase("feedback.figure.alt", lines=clauses(said)),
        draw_gaps(dots),
        "results",
    )


def _band(band: Line) -> Phrase:
    key = "below" if band["low"] is None else "from" if band["high"] is None else "between"
    cuts = {name: typed(band[name], "full") for name in ("low", "high") if band[name] is not None}
    return phrase(f"feedback.band.{key}", count=typed(band["count"], "count"), **cuts)


def _bands(sheet: _Sheet) -> list[Block]:
    said = [
        phrase("feedback.band.line", what=sheet.what(line), bands=[_band(band) for band in line["bands"]])
        for line in sheet.lines
        if line["bands"]
    ]
    return [items(said), note(phrase("feedback.band.note", n=sheet.fields["min_n"]))] if said else []


def _apart(sheet: _Sheet) -> list[Block]:
    """Say which own figures stand out among the own figures."""
    found = sheet.fields["apart"]
    known = {(line["paper"], line["school_id"], line["class_id"]): line for line in sheet.lines}
    said: list[Phrase] = []
    for paper in dict.fromkeys(line["paper"] for line in found) if sheet.of_teacher else [None]:
        of_paper = [line for line in found if paper is None or line["paper"] == paper]
        clear = [line for line in of_paper if line["side"] != "same"]
        for line in clear:
            own = known[line["paper"], line["school_id"], line["class_id"]]
            interval = typed([line["lower"], line["upper"]], "interval_gap")
            said.append(
                phrase(
                    f"feedback.apart.{line['side']}",
                    what=sheet.what(own),
                    gap=typed(line["difference"], "gap"),
                    interval=interval,
                )
            )
        if of_paper and not clear:
            some = known[of_paper[0]["paper"], of_paper[0]["school_id"], of_paper[0]["class_id"]]
            said.append(
                phrase("feedback.apart.same_teacher", paper=sheet.paper(some)) if paper else phrase("feedback.apart.same_class")
            )
        elif paper is None and len(clear) < len(of_paper):
            said.append(phrase("feedback.apart.rest_class"))
    return [items(said), note(phrase("feedback.apart.note", level=sheet.level))] if said else []


def _growth(sheet: _Sheet) -> list[Block]:
    rows = [
        row([sheet.what(line), [line["n"], line["n_listed"]], line["estimate"], [line["lower"], line["upper"]]])
        for line in sheet.fields["growth"]
    ]
    if not rows:
        return []
    columns = [
        column("what", phrase("feedback.head.class") if sheet.of_teacher else phrase("bulletin.head.subject")),
        column("linked", phrase("feedback.head.linked"), "base"),
        column("growth", phrase("feedback.head.growth"), "gap"),
        column("interval", phrase("feedback.head.interval", level=sheet.level), "interval_gap", soft=True),
    ]
    return [table("growth", phrase("feedback.caption.growth"), columns, rows, [phrase("feedback.note.growth")])]


def _headline(sheet: _Sheet) -> list[dict[str, Any]]:
    lines = sheet.lines
    sums = [sum(line[name] for line in lines) for name in ("n_present", "n_expected")]
    base = {"label": phrase("feedback.headline.base"), "value": typed(sums, "base")}
    if not sheet.of_teacher:
        sides = [_side(line) for line in lines]
        found = [{"label": phrase("feedback.headline.subjects"), "value": typed(len(lines), "count")}, base]
        return found + [
            {"label": phrase(f"feedback.headline.{side}"), "value": typed(sides.count(side), "count")}
            for side in ("above", "below")
            if any(sides)
        ]
    classes = len({(line["school_id"], line["class_id"], line["class_kind"]) for line in lines})
    found = [{"label": phrase("feedback.headline.classes"), "value": typed(classes, "count")}, base]
    for line in _main_lines(sheet)[:2]:
        if line["gap_lower"] is not None:
            interval = typed([line["gap_lower"], line["gap_upper"]], "interval_gap")
            label = phrase("feedback.headline.gap", paper=sheet.paper(line), level=sheet.level, interval=interval)
            found.append({"label": label, "value": typed(line["gap"], "gap")})
    return found


def _main_lines(sheet: _Sheet) -> list[Line]:
    """Return one line per paper: the pooled one, or that of the only class with a result."""
    found = []
    for paper in dict.fromkeys(line["paper"] for line in sheet.lines):
        pooled = [line for line in sheet.fields["pooled"] if line["paper"] == paper]
        own = [line for line in sheet.lines if line["paper"] == paper]
        found += pooled or [line for line in own if line["reason"] is None][:1] or own[:1]
    return found


def _number(sections: Sequence[Block]) -> None:
    counts = {"table": 0, "figure": 0}
    tables = {}
    for number, part in enumerate(sections, start=1):
        part["number"] = [number]
        for block in part["blocks"]:
            if block["type"] in counts:
                counts[block["type"]] += 1
                block["number"] = counts[block["type"]]
                tables[block["id"]] = block["number"]
    for part in sections:
        for block in part["blocks"]:
            if block["type"] == "figure":
                block["table_number"] = tables.get(block["table"])


def build_feedback(feedback: PublishableFeedback, *, lang: Lang) -> dict[str, Any]:
    """Return what the templates of a sheet see: meta, headline, intro and sections, all numbers raw.

    Parameters
    ----------
    feedback
        From `eduq.disclosure.protect_feedback`.
    lang
        Language of the document.
    """
    sheet = _Sheet(feedback, lang)
    kind = sheet.person["kind"]
    parts: list[tuple[str, str, list[Block | None]]] = [
        ("results", "results", [_results(sheet), _figure(sheet)]),
        ("apart", f"apart_{kind}", list(_apart(sheet))),
        ("growth", "growth", list(_growth(sheet))),
        ("bands", "bands", list(_bands(sheet))),
        ("reading", "reading", [items([phrase(f"feedback.caveat.{name}") for name in _CAVEATS])]),
    ]
    sections = [section(name, 1, phrase(f"feedback.heading.{key}"), blocks) for name, key, blocks in parts if any(blocks)]
    _number(sections)
    day = sheet.fields["exam"]["date"]
    said = [(_sentence(sheet, line, sheet.paper(line) if sheet.of_teacher else sheet.what(line))) for line in _main_lines(sheet)]
    return {
        "meta": {
            "lang": lang,
            "audience": phrase(f"feedback.audience.{kind}"),
            "title": phrase("feedback.title", exam=sheet.exam()),
            "byline": phrase("feedback.byline", who=sheet.who(), school=sheet.person["school"]),
            "date": phrase("feedback.date", date=typed(day, "date")) if day else phrase("feedback.no_date"),
        },
        "headline": _headline(sheet),
        "intro": [
            joined(
                [phrase(f"feedback.intro.{kind}", exam=sheet.exam(), name=sheet.who()), phrase("feedback.intro.use")],
                "" if lang == "zh" else " ",
            )
        ],
        "said_lines": said if sheet.of_teacher else [],
        "sections": sections,
    }


def render_feedback(
    feedback: PublishableFeedback, *, format: str = "html", lang: Lang = "zh", templates: TemplateFolder | None = None
) -> str:
    """Return the sheet of one addressee as a document; the same feedback gives the same bytes.

    Parameters
    ----------
    feedback
        From `eduq.disclosure.protect_feedback`, the only type that can be rendered.
    format
        ``html`` (one page without script or outside address, prints on A4) or ``markdown``.
    lang
        Language of the document.
    templates
        Local templates that stand in for the shipped ones.

    Raises
    ------
    UsageError
        ``format_unknown``.
    """
    if format not in FEEDBACK_FORMATS:
        raise UsageError("format_unknown", format=format, known=", ".join(FEEDBACK_FORMATS))
    context = build_feedback(feedback, lang=lang)
    if format == "html":
        return render_html(context, template="feedback.html", templates=templates)
    return render_markdown(context, template="feedback.md", templates=templates)
