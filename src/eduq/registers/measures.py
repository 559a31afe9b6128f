"""Which measures a target may name: those of measures.toml, and figures that come from outside the exams."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

from eduq.resources import read_toml

__all__ = ["OUTSIDE_MEASURES", "PROMOTION_MEASURES", "is_rate", "measure_id", "measure_word"]

PROMOTION_MEASURES: dict[str, tuple[str, ...]] = {
    "promotion_rate": ("升学率", "普高升学率", "重点高中升学率", "中考升学率", "高考升学率"),
    "admission_rate": ("录取率", "普高录取率", "高中录取率", "重点高中录取率"),
    "undergraduate_rate": ("本科上线率", "本科率"),
    "key_university_rate": ("一本上线率", "重点本科上线率", "特控线上线率"),
    "line_rate": ("上线率", "有效上线率"),
    "line_completion": ("上线完成率", "本科上线完成率", "高考本科上线人数完成率", "上线人数完成率"),
}
"""升学率 and what is made of it, with their words. A register may name them, so that a rule can refuse such a target by its
clause."""
OUTSIDE_MEASURES: dict[str, tuple[str, ...]] = {
    "retention_rate": ("巩固率", "义务教育巩固率", "三年巩固率"),
    "fitness_good_rate": ("体质健康优良率", "体质优良率"),
    "between_school_share": ("校际差异率",),
    "zhongkao_mean": ("中考平均分",),
    "zhongkao_composite": ("中考综合指数",),
    "gaokao_mean": ("高考平均分",),
    "gaokao_composite": ("高考综合指数",),
}
"""Measures that are recorded or come from other statistics, with their words."""
_SHARES = ("retention_rate", "fitness_good_rate", "between_school_share", "promotion_rate", "admission_rate",
           "undergraduate_rate", "key_university_rate", "line_rate")  # fmt: skip


@cache
def _shipped() -> dict[str, str]:
    """Every id and Chinese name there is → id."""
    raw = read_toml("estimates", "measures.toml")
    found = {name: name for name in raw} | {entry["name"]["zh"]: name for name, entry in raw.items()}
    for name, words in (PROMOTION_MEASURES | OUTSIDE_MEASURES).items():
        found |= dict.fromkeys((name, *words), name)
    return found


@cache
def _rates() -> frozenset[str]:
    raw = read_toml("estimates", "measures.toml")
    return frozenset({name for name, entry in raw.items() if entry["kind"] == "proportion"} | set(_SHARES))


def is_rate(measure: str) -> bool:
    """Whether a measure is a share, 0-1."""
    return measure in _rates()


def measure_word(measure: str) -> str:
    """Return the Chinese word of a figure that comes from outside the exams, the id itself of others.

    Examples
    --------
    >>> measure_word("promotion_rate"), measure_word("pass_rate")
    ('升学率', 'pass_rate')
    """
    words = (PROMOTION_MEASURES | OUTSIDE_MEASURES).get(measure)
    return words[0] if words else measure


def measure_id(word: str, local: Collection[str] = ()) -> str | None:
    """Return the id a word of a register means, or None; ids of local measures are given in `local`.

    Examples
    --------
    >>> measure_id("及格率"), measure_id("pass_rate"), measure_id("升学率"), measure_id("幸福指数")
    ('pass_rate', 'pass_rate', 'promotion_rate', None)
    """
    plain = word.strip()
    return plain if plain in local else _shipped().get(plain)
