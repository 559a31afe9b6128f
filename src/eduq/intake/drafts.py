"""Drafts of the files only a person can finish: exam.toml and the register of schools, filled in as far as the files say."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date

import polars as pl

from eduq.intake.columns import IGNORE
from eduq.intake.exam_file import ExamFile, PaperFacts
from eduq.intake.questions import Asked, paper_name
from eduq.intake.synonyms import normalise_header, vocabulary
from eduq.locale import Lang, has_text, text
from eduq.tables import STATUSES

__all__ = ["REGISTER_COLUMNS", "UNSAID", "complete_exam", "draft_aliases", "draft_exam", "draft_schools", "toml_value"]

UNSAID = "?"
REGISTER_COLUMNS = (
    *("school_id", "name", "aliases", "township", "cluster", "area_type", "stage", "kind"),
    *("enrolment", "small_school", "pair_id", "valid_from", "valid_to"),
)
_SCHOOL_YEAR = re.compile(r"(20\d{2})\D{1,3}(20\d{2})学年度?(?:第?([一二上下12])学期)?")
_TERMS = {"一": 1, "上": 1, "1": 1, "二": 2, "下": 2, "2": 2}
_FACTS = ("id", "name", "school_year", "term", "date", "year_group", "scope", "purpose", "legal_basis", "stable_id")
_PAPER_FACTS = ("max_score", "score_step", "sitting", "marking")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def toml_value(value: object) -> str:
    """Return a value as TOML writes it.

    Examples
    --------
    >>> toml_value('一中 "新"'), toml_value(120.0), toml_value(None)
    ('"一中 \\\\"新\\\\""', '120', '"?"')
    """
    if value is None:
        return f'"{UNSAID}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, date):
        return value.isoformat()
    return json.dumps(str(value).replace("\x7f", " "), ensure_ascii=False)


def complete_exam(exam: ExamFile, year_groups: Sequence[str] = ()) -> ExamFile:
    """Return the exam with what its name and its rows say: school year, term, year group, and an id made of them.

    Parameters
    ----------
    exam
        As read; what a person stated stays.
    year_groups
        The year groups of the rows.
    """
    facts = exam.exam
    said: dict[str, object] = {}
    name = facts.name or ""
    if found := _SCHOOL_YEAR.search(name.replace(" ", "")):
        first, second, term = found.groups()
        if int(second) == int(first) + 1:
            said["school_year"] = f"{first}-{second}"
            said |= {"term": _TERMS[term]} if term else {}
    groups = set(year_groups) or _year_groups_in(name)
    if len(groups) == 1:
        said["year_group"] = next(iter(groups))
    facts = facts.model_copy(update={key: value for key, value in said.items() if getattr(facts, key) is None})
    return exam.model_copy(update={"exam": facts})


def _year_groups_in(name: str) -> set[str]:
    """Return the year groups a name speaks of; of words that lie in each other the longest counts."""
    words = {word: code for code, variants in vocabulary().raw["grades"].items() if code != "notes" for word in variants}
    found = set()
    rest = normalise_header(name)[0]
    for word in sorted(words, key=len, reverse=True):
        if len(word) > 1 and not word.isdigit() and word.lower() in rest:
            found.add(words[word])
            rest = rest.replace(word.lower(), " ")
    return found


def draft_exam(exam: ExamFile, asked: Sequence[Asked] = (), *, assumed: Sequence[str] = (), lang: Lang = "zh") -> str:
    """Return exam.toml: what is stated or read filled in, ``?`` where only a person can know, a remark on each part.

    Parameters
    ----------
    exam
        What is known of the exam.
    asked
        What must be answered under ``[symbols]`` and ``[columns]``.
    assumed
        Keys of ``[exam]`` that were made up from the files and may be changed.
    lang
        Language of the remarks.
    """
    return "\n".join(_exam_lines(exam, asked, assumed, lang))


def _exam_lines(exam: ExamFile, asked: Sequence[Asked], assumed: Sequence[str], lang: Lang) -> Iterator[str]:
    def say(key: str, **params: object) -> str:
        return "# " + text(f"draft.{key}", lang, **params)

    yield say("lead")
    yield "schema = 1"
    attest = ", ".join(f"{name} = {toml_value(answer)}" for name, answer in exam.attest.model_dump().items())
    yield f"attest = {{ {attest} }}  {say('attest')}"
    yield f"absence = {{ policy = {toml_value(exam.absence.policy)} }}  {say('absence')}"
    yield from _answers("symbols", exam.symbols, asked, lang)
    yield from _answers("columns", exam.columns, asked, lang)
    yield ""
    yield "[exam]"
    for name in _FACTS:
        remark = say(f"exam.{name}") if has_text(f"draft.exam.{name}") else ""
        if name in assumed:
            remark = say("assumed")
        yield f"{name} = {toml_value(getattr(exam.exam, name))}  {remark}".rstrip()
    for number, paper in enumerate(exam.papers):
        yield ""
        yield from _paper_lines(paper, number == 0, lang)
    for deviation in exam.deviations:
        change = deviation.change.model_dump(exclude_none=True)
        pairs = ", ".join(f"{key} = {_inline(value)}" for key, value in change.items())
        yield from ("", "[[deviations]]", f"schools = {_inline(deviation.schools)}", f"change = {{ {pairs} }}")
    yield ""


def _inline(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    return toml_value(value)


def _answers(section: str, stated: Mapping[str, str], asked: Sequence[Asked], lang: Lang) -> Iterator[str]:
    """Write ``[symbols]`` or ``[columns]``: the stated lines, then one with ``?`` for everything that is asked."""
    open_ones = [one for one in asked if one.section == section and one.key not in stated]
    if not stated and not open_ones:
        return
    yield ""
    yield f"[{section}]"
    if open_ones:
        words = ", ".join(status for status in STATUSES if status != "present") if section == "symbols" else IGNORE
        yield "# " + text(f"draft.{section}", lang, words=words)
    for key, value in stated.items():
        yield f"{toml_value(key)} = {toml_value(value)}"
    for one in open_ones:
        papers = text("place.joiner", lang).join(paper_name(code, lang) for code in one.about)
        key = "draft.near" if one.near else "draft.met" if one.about else "draft.place"
        remark = text(key, lang, n=one.n, papers=papers, near=one.near or "", place=one.place.describe(lang))
        yield f'{toml_value(one.key)} = "{UNSAID}"  # {" ".join(remark.split())}'


def _paper_lines(paper: PaperFacts, explained: bool, lang: Lang) -> Iterator[str]:
    yield "[[papers]]"
    yield f"code = {toml_value(paper.code)}"
    yield f"subject = {toml_value(paper.subject_code)}"
    for name in _PAPER_FACTS:
        remark = "  # " + text(f"draft.paper.{name}", lang) if explained else ""
        yield f"{name} = {toml_value(getattr(paper, name))}{remark}"
    if paper.weight != 1.0:
        yield f"weight = {toml_value(paper.weight)}"


def draft_schools(schools: pl.DataFrame) -> str:
    """Return registers/schools.csv of the schools as the files have them; what the files do not say stays blank."""
    content = io.StringIO(newline="")
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(REGISTER_COLUMNS)
    for row in schools.iter_rows(named=True):
        writer.writerow([_neutral(row.get(name) or "") for name in REGISTER_COLUMNS])
    return content.getvalue()


def draft_aliases(variants: Sequence[tuple[str, str]]) -> str:
    """Return a table of school names that may mean one school, to be judged by a person; nothing is ever merged by it."""
    content = io.StringIO(newline="")
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(("name", "may_be"))
    writer.writerows((_neutral(name), _neutral(other)) for name, other in variants)
    return content.getvalue()


def _neutral(value: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return "'" + value if value.startswith(_FORMULA_STARTS) else value
