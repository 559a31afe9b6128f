"""Sentences of what was found while reading the files: names instead of codes, and no commands in the body."""

from __future__ import annotations

from typing import Any

import polars as pl

from eduq.bulletins.blocks import Phrase
from eduq.bulletins.formats import joined, phrase
from eduq.bulletins.view import View
from eduq.locale import has_text

__all__ = ["check_sentences", "technical_sentences"]

_CODED = frozenset(
    {
        "assumed_max_score",
        "assumed_paper",
        "assumed_subject",
        "assumed_track",
        "assumed_year_group",
        "max_score_unknown",
        "paper_not_stated",
        "score_from_items",
        "year_group_differs",
    }
)
"""Checks whose ``found`` holds codes of papers, tracks or year groups."""


def _named(view: View, code: str, found: str) -> Any:
    """Return what was found in words: codes become names, lists are joined as the language does."""
    if code not in _CODED:
        return found
    said = []
    for part in found.split(", "):
        word, space, rest = part.partition(" ")
        kinds = ("track", "year_group", "subject") if code == "assumed_track" else ("year_group", "subject", "track")
        key = next((f"bulletin.{kind}.{word}" for kind in kinds if has_text(f"bulletin.{kind}.{word}")), None)
        name: Any = phrase(key) if key else word
        if word in view.papers and code != "assumed_track":
            name = view.paper_name(word)
        said.append(joined([name, rest], space) if space else name)
    return said


def _sentence(view: View, key: str, item: dict[str, Any]) -> Phrase:
    names = ("file", "sheet", "row", "column", "n")
    params = {name: "" if item[name] is None else item[name] for name in names}
    return phrase(key, **params, found=_named(view, item["code"], item["found"] or ""))


def _distinct(said: list[Phrase]) -> list[Phrase]:
    kept: list[Phrase] = []
    for sentence in said:
        if sentence not in kept:
            kept.append(sentence)
    return kept


def check_sentences(view: View, checks: pl.DataFrame, *, body: bool = True) -> list[Phrase]:
    """Return the sentences of checks that have wording, each once; in the body without settings and commands."""
    said = []
    for item in checks.iter_rows(named=True):
        own = f"bulletin.check.{item['code']}"
        key = own if body and has_text(own) else f"checks.{item['code']}"
        if has_text(key):
            said.append(_sentence(view, key, item))
    return _distinct(said)


def technical_sentences(view: View) -> list[Phrase]:
    """Return in full the sentences that the body shortens: what to write where."""
    shortened = [
        _sentence(view, f"checks.{item['code']}", item)
        for item in view.pub.checks.iter_rows(named=True)
        if item["level"] != "info" and has_text(f"bulletin.check.{item['code']}") and has_text(f"checks.{item['code']}")
    ]
    return _distinct(shortened)
