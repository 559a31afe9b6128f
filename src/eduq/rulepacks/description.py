"""Rules in words: conditions, parameters and sources, for people and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eduq.locale import Lang, has_text, text
from eduq.registers.measures import OUTSIDE_MEASURES, PROMOTION_MEASURES
from eduq.resources import read_toml
from eduq.rulepacks.forms import AllOf, AnyOf, Ban, BelowCut, Condition, Decline, Flag, TargetMissed, Tree
from eduq.rulepacks.model import Citation, Named, Rule, RulePack

__all__ = ["cite", "describe_rule", "describe_tree", "name_measure"]


def name_measure(measure: str, lang: Lang, *, measures: Mapping[str, Named] | None = None) -> str:
    """Return what a measure is called, also one that a pack declares; its id where it has no name in that language.

    Examples
    --------
    >>> name_measure("pass_rate", "zh")
    '及格率'
    """
    shipped = read_toml("estimates", "measures.toml").get(measure)
    if shipped is not None:
        return str(shipped["name"][lang])
    own = (measures or {}).get(measure)
    if own is not None:
        return own.zh if lang == "zh" else own.en
    words = OUTSIDE_MEASURES.get(measure) or PROMOTION_MEASURES.get(measure)
    return words[0] if words and lang == "zh" else measure.replace("_", " ")


def _number(value: object, lang: Lang) -> str:
    if value is None:
        return text("condition.open", lang)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _words(condition: Condition, rule: Rule, lang: Lang, measures: Mapping[str, Named]) -> str:
    """Say one condition in a sentence of fixed form."""
    values: dict[str, object] = {
        name: _number(getattr(condition, name), lang) for name in type(condition).model_fields if name not in ("kind", "measure")
    }
    measure = condition.measure or rule.measure
    values["measure"] = name_measure(measure, lang, measures=measures) if measure else text("condition.its_measure", lang)
    key: str = condition.kind
    match condition:
        case Decline():
            key = "decline" if condition.direction == "fall" else "rise"
        case BelowCut():
            key = condition.side
        case TargetMissed():
            key = f"target_{condition.source}"
        case Flag():
            key = "flag" if condition.expect else "flag_missing"
            values["every"] = text(f"condition.every.{condition.every}", lang) if condition.every else ""
            if has_text(f"flags.{condition.flag}"):
                values["flag"] = text(f"flags.{condition.flag}", lang)
        case Ban():
            values["of"] = text(f"bans.{condition.of}", lang)
            values["year_groups"] = ", ".join(condition.year_groups)
        case _:
            pass
    said = text(f"condition.{key}", lang, **values)
    if getattr(condition, "ties", None) is not None:
        said += text(f"condition.ties.{values['ties']}", lang)
    return said


def describe_tree(
    nodes: tuple[Tree, ...], rule: Rule, how: str, lang: Lang, *, measures: Mapping[str, Named] | None = None
) -> str:
    """Return a list of conditions joined by AND or OR, in words."""
    parts = []
    for node in nodes:
        if isinstance(node, AllOf | AnyOf):
            inner, joined = (node.all, "all") if isinstance(node, AllOf) else (node.any, "any")
            said = describe_tree(inner, rule, joined, lang, measures=measures)
            parts.append(text("condition.group", lang, inner=said))
        else:
            parts.append(_words(node, rule, lang, measures or {}))
    return text(f"condition.{how}", lang).join(parts)


def cite(line: Citation, lang: Lang) -> str:
    """Return a quotation, or the point where nobody here has read the words, with its source."""
    values = {name: value for name, value in line.model_dump().items() if value is not None}
    source = text("citation.source", lang, title=line.title)
    source += "".join(
        text(f"citation.{name}", lang, value=values[name]) for name in ("number", "date", "place", "article") if name in values
    )
    key = "quoted" if line.quote is not None else "not_quoted"
    return text(f"citation.{key}", lang, quote=line.quote or "", point=line.point or "", source=source)


def describe_rule(pack: RulePack, rule: Rule) -> dict[str, Any]:
    """Return a rule as plain values for JSON: everything its file says, its sources, what is in force, and its words.

    Examples
    --------
    >>> from eduq.rulepacks.reading import load_rulepack
    >>> pack = load_rulepack("dalian", as_of=None)
    >>> describe_rule(pack, pack.rule("dalian.area.fitness"))["readings_in_words"]["en"]["narrow"]
    'fitness good rate below 0.5'
    """
    effect = pack.effect_of(rule)
    return {
        "pack": pack.id,
        "pack_version": pack.version,
        **rule.model_dump(mode="json", by_alias=True, exclude={"effect"}),
        "effect": effect.model_dump(mode="json", by_alias=True),
        "missing_parameters": list(rule.missing_parameters()),
        "readings_in_words": {
            lang: {
                reading: describe_tree(rule.conditions, rule, getattr(rule.readings, reading), lang, measures=pack.measures)
                for reading in ("narrow", "wide")
            }
            for lang in pack.texts
        },
        "text": {lang: words.rules[rule.id].model_dump() for lang, words in pack.texts.items()},
    }
