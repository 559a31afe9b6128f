"""What a rule pack leaves open, and what it may not say at all."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from typing import Any, Literal

import polars as pl

from eduq.errors import SettingsError
from eduq.locale import LANGUAGES, Lang, text
from eduq.registers.measures import measure_id
from eduq.resources import rules_path
from eduq.rulepacks.bans import breaks_ban
from eduq.rulepacks.cases import read_cases, run_parsed_cases
from eduq.rulepacks.forms import (
    PROMOTION_MEASURES,
    AllOf,
    AnyOf,
    Ban,
    BottomShare,
    Decline,
    Flag,
    LastPlace,
    SevereDrop,
    Stagnation,
    TargetMissed,
    Tree,
)
from eduq.rulepacks.model import Rule, RulePack
from eduq.rulepacks.outward_lint import outward_problems
from eduq.rulepacks.parameters import OPEN_PARAMETERS, number_places
from eduq.rulepacks.reading import PackSource, load_rulepack, parse_rulepack, resolve_rulepack

__all__ = ["FINDING_COLUMNS", "LADDER_QUESTIONS", "Finding", "LintResult", "lint_rulepack", "refuse_banned"]

FINDING_COLUMNS: dict[str, pl.DataType] = {
    "level": pl.Enum(("error", "question")),
    "code": pl.String(),
    "rule_id": pl.String(),
    "key": pl.String(),
    "zh": pl.String(),
    "en": pl.String(),
}
"""One line per finding: ``error`` must be mended, ``question`` must be answered; the sentence in both languages."""

LADDER_QUESTIONS: dict[str, str] = {
    "and_or": "readings",
    "year_groups": "year_groups",
    "peer_group": "peer_group.within",
    "min_units": "peer_group.min_units",
    "min_pupils": "peer_group.min_pupils",
    "small_schools": "peer_group.small_schools",
    "missing_year": "gaps.missing_year",
    "new_paper": "gaps.new_paper",
    "merger": "gaps.merger",
    "tenure": "gaps.tenure",
    "exit": "exit.after_years",
    "appeal": "addressed.appeal_days",
    "person_decides": "person_decides",
}
"""What a rule that judges by series must say itself: question and the key that answers it. An explicit null is an answer:
the text is silent."""
_STANDARDISED = ("z_mean", "t_mean", "composite_z")
_UNITS = ("head", "teacher", "school")
_WORDS = {
    "top_scorer_publicity": re.compile(r"状元|尖子生名单|top scorers?\b", re.IGNORECASE),
    "promotion_publicity": re.compile(r"升学率|上线率|promotion rate", re.IGNORECASE),
    "pupil_rank": re.compile(
        r"(学生|考生|个人)(按分数)?(排名|名次)|(pupils?|candidates?)('s?)? ranks?\b|ranks? of pupils", re.IGNORECASE
    ),
}
_NAMES = {"top_scorer_publicity": "top_scorer", "pupil_rank": "pupil_rank", "selection": "selection_list"}


@dataclass(frozen=True)
class Finding:
    """One thing that lint found.

    Attributes
    ----------
    code
        ``lint.<code>`` of the wording files.
    level
        ``error`` or ``question``.
    rule_id, key
        Where; the rule is None for the pack as a whole.
    values
        Of the sentence's placeholders.
    """

    code: str
    level: Literal["error", "question"]
    rule_id: str | None
    key: str
    values: dict[str, dict[Lang, str]] = field(default_factory=dict)

    def sentence(self, lang: Lang) -> str:
        """Return it in words."""
        return text(f"lint.{self.code}", lang, **{name: said[lang] for name, said in self.values.items()})


@dataclass(frozen=True)
class LintResult:
    """What lint found in a pack."""

    pack: str
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        """How many things must be mended."""
        return sum(finding.level == "error" for finding in self.findings)

    @property
    def questions(self) -> int:
        """How many things must be answered."""
        return len(self.findings) - self.errors

    @property
    def frame(self) -> pl.DataFrame:
        """The findings with `FINDING_COLUMNS`."""
        lines = [(one.level, one.code, one.rule_id, one.key, one.sentence("zh"), one.sentence("en")) for one in self.findings]
        return pl.DataFrame(lines, schema=FINDING_COLUMNS, orient="row")


def _same(value: object) -> dict[Lang, str]:
    return {"zh": str(value), "en": str(value)}


def lint_rulepack(name_or_path: str | os.PathLike[str]) -> LintResult:
    """Ask of a pack every question a ladder must answer, and refuse what the national texts ban.

    Parameters
    ----------
    name_or_path
        As in `load_rulepack`.

    Raises
    ------
    SettingsError
        The pack cannot be read at all: as `load_rulepack`, and of its cases as `read_cases`.

    Examples
    --------
    >>> lint_rulepack("ezhou").findings
    ()
    """
    source = parse_rulepack(name_or_path)
    pack = resolve_rulepack(source, as_of=None)
    national = _national()
    raws = {str(raw["id"]): raw for raw in source.rules.values()}
    findings: list[Finding] = []
    for rule in pack.rules:
        findings += _questions(rule, raws[rule.id])
        findings += _numbers(rule, raws[rule.id])
        findings += _measures(rule, source)
        findings += _banned(rule, pack, national)
    findings += _cases(source)
    findings += [Finding(code, "error", None, key, values) for code, key, values in outward_problems(source.folder)]
    return LintResult(pack.id, tuple(sorted(findings, key=lambda one: (one.level, one.rule_id or "", one.code, one.key))))


def refuse_banned(pack: RulePack, *, rules: Collection[str] = ()) -> None:
    """Stop at a pack with a rule that the national texts ban; the rest of lint is for who writes a pack.

    Parameters
    ----------
    pack
        A loaded pack.
    rules
        Ids of the rules meant; all when empty.

    Raises
    ------
    SettingsError
        ``pack_banned``: names each rule, document and article.

    Examples
    --------
    >>> refuse_banned(load_rulepack("ezhou", as_of=None))
    """
    found = [one for rule in pack.rules if not rules or rule.id in rules for one in _banned(rule, pack, _national())]
    if found:
        said = {lang: "\n".join(f"{one.rule_id}: {one.sentence(lang)}" for one in found) for lang in LANGUAGES}
        raise SettingsError("pack_banned", pack=pack.id, n=len(found), zh=said["zh"], en=said["en"])


@cache
def _national() -> RulePack:
    """The shipped bans of the State; a pack of the same name elsewhere does not soften them."""
    return load_rulepack(rules_path() / "national", as_of=None)


def _judges(rule: Rule) -> bool:
    """Whether a rule judges units by yearly series: only then do the questions of ladders arise."""
    return rule.subject in _UNITS and not all(isinstance(condition, Flag | Ban | TargetMissed) for condition in rule.walk())


def _said(raw: dict[str, Any], place: str) -> bool:
    """Whether a file says a key itself, null included."""
    node: Any = raw
    for part in place.split("."):
        if not isinstance(node, dict) or part not in node:
            return False
        node = node[part]
    return True


def _questions(rule: Rule, raw: dict[str, Any]) -> Iterator[Finding]:
    if not rule.person_decides:
        yield Finding("person_decides", "question", rule.id, "person_decides")
    if not _judges(rule):
        return
    for code, place in LADDER_QUESTIONS.items():
        asked = code != "person_decides" and not (code == "tenure" and rule.subject == "school")
        if asked and not _said(raw, place):
            yield Finding(code, "question", rule.id, place)
    if _said(raw, "readings"):
        for name in ("narrow", "wide", "proposes"):
            if not _said(raw, f"readings.{name}"):
                yield Finding("and_or", "question", rule.id, f"readings.{name}")
    if rule.subject in ("head", "teacher") and rule.gaps.tenure == "none":
        yield Finding("tenure_none", "error", rule.id, "gaps.tenure")
    for place, node in number_places(raw["conditions"], "conditions"):
        wanted = {"last_place": ("last", "ties"), "bottom_share": ("share", "ties"), "decline": ("noise_band",)}
        for key in wanted.get(str(node.get("kind")), ()):
            if key not in node:
                yield Finding({"last": "last_k", "share": "last_k"}.get(key, key), "question", rule.id, f"{place}.{key}")


def _numbers(rule: Rule, raw: dict[str, Any]) -> Iterator[Finding]:
    """Every number of a condition names where it comes from; every open number can be set."""
    covered = {place for parameter in rule.parameters.values() for place in parameter.at}
    for place, node in number_places(raw["conditions"], "conditions"):
        for key, value in node.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            settable = value is None and key not in ("measure", "due", "every")
            if (number or settable) and f"{place}.{key}" not in covered:
                yield Finding(
                    "uncited_value", "error", rule.id, f"{place}.{key}", {"value": _same("null" if value is None else value)}
                )
        for key in ("years", "share", "last", "cut", "drop", "band"):
            open_number = key in _numeric_fields(str(node.get("kind"))) and key not in node
            if open_number and not (key == "years" and node.get("kind") == "below_cut"):
                yield Finding("number_open", "question", rule.id, f"{place}.{key}")
    for place in sorted(covered):
        names = sorted(name for name, parameter in rule.parameters.items() if place in parameter.at)
        if len(names) > 1:
            said = {"place": _same(place), "names": _same(", ".join(names))}
            yield Finding("parameter_twice", "error", rule.id, f"parameters.{names[1]}.at", said)
    for name in rule.parameters:
        if name in OPEN_PARAMETERS:
            yield Finding("parameter_name", "error", rule.id, f"parameters.{name}", {"name": _same(name)})


def _numeric_fields(kind: str) -> tuple[str, ...]:
    return {
        "decline": ("years",),
        "last_place": ("years",),
        "bottom_share": ("years",),
        "below_cut": ("cut",),
        "severe_drop": ("drop",),
        "stagnation": ("years", "band"),
    }.get(kind, ())


def _measures(rule: Rule, source: PackSource) -> Iterator[Finding]:
    for measure in rule.measures():
        if measure_id(measure, source.pack.measures) != measure:
            yield Finding("measure_unknown", "error", rule.id, "measure", {"measure": _same(measure)})
    for condition in rule.walk():
        name = condition.measure or rule.measure
        if isinstance(condition, Decline | SevereDrop | Stagnation) and name is not None and name not in _STANDARDISED:
            values = {"measure": _same(name), "known": _same(", ".join(_STANDARDISED))}
            yield Finding("not_standardised", "error", rule.id, "measure", values)
        if name is None and not isinstance(condition, Flag | Ban | TargetMissed):
            yield Finding("measure_missing", "error", rule.id, "measure")
    if rule.peer_group is None and any(isinstance(condition, LastPlace | BottomShare) for condition in rule.walk()):
        yield Finding("place_without_peers", "error", rule.id, "peer_group")
    elif rule.peer_group is not None and "stage" not in rule.peer_group.within:
        yield Finding("stages_mixed", "error", rule.id, "peer_group.within")


def _banned(rule: Rule, pack: RulePack, national: RulePack) -> Iterator[Finding]:
    """Hold a rule against the national bans; a ban itself breaks none."""
    if all(isinstance(condition, Ban) for condition in rule.walk()):
        return
    for ban_rule in national.rules:
        for ban in ban_rule.walk():
            if isinstance(ban, Ban) and _breaks(rule, ban, pack):
                yield _citing(rule, ban, ban_rule)


def _meaning(measure: str, pack: RulePack) -> str:
    """Return the id a measure goes by; a figure of the pack's own whose name says 升学率 is one of them."""
    own = pack.measures.get(measure)
    if own is None:
        return measure_id(measure) or measure
    known = measure_id(own.zh) or measure_id(measure) or measure
    said = any(_WORDS["promotion_publicity"].search(name) for name in (own.zh, own.en))
    return PROMOTION_MEASURES[0] if said and known not in PROMOTION_MEASURES else known


def _grounds(nodes: Sequence[Tree], how: str, rule: Rule) -> list[frozenset[str]]:
    """Return every way in which conditions can be met, each as the measures it rests on."""
    each: list[list[frozenset[str]]] = []
    for node in nodes:
        if isinstance(node, AllOf | AnyOf):
            inner = ("all", node.all) if isinstance(node, AllOf) else ("any", node.any)
            each.append(_grounds(inner[1], inner[0], rule))
        else:
            name = None if isinstance(node, Flag | Ban) else node.measure or rule.measure
            each.append([frozenset({name} if name else ())])
    if how == "any":
        return [ground for ways in each for ground in ways]
    return [frozenset().union(*ways) for ways in product(*each)]


def _breaks(rule: Rule, ban: Ban, pack: RulePack) -> bool:
    measures = [_meaning(measure, pack) for measure in rule.measures()]
    if ban.of == "promotion_only":  # one measure among others, too: judging bars such a rule
        return rule.subject in _UNITS and any(measure in (ban.measures or PROMOTION_MEASURES) for measure in measures)
    if ban.of in ("exam_score_only_award", "single_measure_award"):
        if rule.subject not in _UNITS or rule.proposal != "award":
            return False
        ways = _grounds(rule.conditions, getattr(rule.readings, rule.readings.proposes), rule)
        meant = [{_meaning(measure, pack) for measure in way} for way in ways]
        return any(bool(breaks_ban(ban, {"proposal": rule.proposal, "measures": way})) for way in meant)
    if ban.of == "promotion_target":
        aims = any(isinstance(condition, TargetMissed) for condition in rule.walk())
        return aims and any(bool(breaks_ban(ban, {"unit_type": rule.subject, "measure": measure})) for measure in measures)
    if ban.of == "low_grade_paper_exam":
        judged = rule.year_groups if isinstance(rule.year_groups, tuple) else ()
        return bool(rule.measures()) and bool(set(judged) & set(ban.year_groups))
    if ban.of in _NAMES:
        words = [
            *rule.measures(),
            *(condition.flag for condition in rule.walk() if isinstance(condition, Flag) and not condition.expect),
        ]
        if any(_NAMES[ban.of] in word for word in words):
            return True
    outward = rule.addressed.to in ("public", "school", "government") or rule.proposal == "award"
    if ban.of in _WORDS and outward and rule.proposal != "refuse":
        said = [pack.texts[lang].rules[rule.id] for lang in LANGUAGES]
        if rule.subject == "area" and ban.of == "promotion_publicity" and rule.addressed.to == "government":
            return False
        return any(_WORDS[ban.of].search(part) for words in said for part in (words.name, words.asks))
    return False


def _citing(rule: Rule, ban: Ban, ban_rule: Rule) -> Finding:
    """Name document and article of the ban."""
    where: dict[Lang, str] = {}
    for lang in LANGUAGES:
        parts = []
        for line in ban_rule.citations:
            number = line.number or (str(line.date.year) if line.date else "")
            parts.append(
                text(
                    "lint_text.source",
                    lang,
                    title=line.title,
                    number=number,
                    article=line.article or "-",
                    point=line.point or "-",
                )
            )
        where[lang] = text("lint_text.joiner", lang).join(parts)
    said = {"ban": {lang: text(f"bans.{ban.of}", lang) for lang in LANGUAGES}, "rule": _same(ban_rule.id), "source": where}
    return Finding("banned", "error", rule.id, "measure" if ban.of.startswith("promotion_") else "conditions", said)


def _cases(source: PackSource) -> Iterator[Finding]:
    """A rule has cases on both sides and one before it existed, and all of them give what they expect."""
    files = read_cases(source.folder)
    for raw in source.rules.values():
        rule_id = str(raw["id"])
        if rule_id not in files:
            yield Finding("no_cases", "error", rule_id, "cases/")
            continue
        cases = files[rule_id].cases
        results = {case.expect if isinstance(case.expect, str) else case.expect.narrow for case in cases}
        results |= {case.expect.wide for case in cases if not isinstance(case.expect, str)}
        for code, wanted in (("case_met", "met"), ("case_not_met", "not_met"), ("case_before", "not_in_force")):
            if wanted not in results:
                yield Finding(code, "question", rule_id, "cases/")
    try:
        failed = run_parsed_cases(source, files).failed
    except SettingsError as error:
        yield Finding("case_invalid", "error", None, "cases/", {"said": {lang: error.message(lang) for lang in LANGUAGES}})
        return
    for line in failed.unique("case", maintain_order=True).iter_rows(named=True):
        values = {"case": _same(line["case"]), "expected": _same(line["expected"]), "found": _same(line["found"])}
        yield Finding("case_failed", "error", line["rule_id"], "cases/", values)
