"""What is wrong with a file of words that may not go out: its form, the rules it cites, its own cases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from eduq.errors import SettingsError
from eduq.locale import LANGUAGES, Lang
from eduq.rulepacks.outward_search import find_barred, prepare_search
from eduq.rulepacks.outward_words import OUTWARD_FILE, OutwardWords, cite_ban, read_outward

__all__ = ["outward_problems"]

Problem = tuple[str, str, dict[str, dict[Lang, str]]]
"""Code of the sentence (``lint.<code>``), key, and values of its placeholders."""


def _same(value: str) -> dict[Lang, str]:
    return {"zh": value, "en": value}


def outward_problems(folder: Path) -> Iterator[Problem]:
    """Return what is wrong with the words of a pack's folder; nothing where it has none.

    Examples
    --------
    >>> from eduq.resources import rules_path
    >>> list(outward_problems(rules_path() / "national"))
    []
    """
    if not (folder / OUTWARD_FILE).is_file():
        return
    try:
        words = read_outward(folder)
    except SettingsError as error:
        yield "outward_invalid", OUTWARD_FILE, {"said": {lang: error.message(lang) for lang in LANGUAGES}}
        return
    for key, rule in words.cited_rules():
        if cite_ban(rule) is None:
            yield "outward_rule", f"{OUTWARD_FILE} {key}", {"rule": _same(rule)}
    yield from _cases(words)


def _cases(words: OutwardWords) -> Iterator[Problem]:
    """Every text that must be refused is, by its own entry and in every edition named; every other is refused in none."""
    search = prepare_search(words)
    for entry in words.words:
        for said, wanted in [(said, True) for said in entry.refuses] + [(said, False) for said in entry.passes]:
            for edition in entry.barred:
                found = find_barred(said, edition=edition, search=search)
                if any(one.entry.id == entry.id for one in found) if wanted else not found:
                    continue
                code = "outward_refuses" if not wanted else "outward_passes"
                yield code, f"{OUTWARD_FILE} words.{entry.id}", {"said": _same(said), "edition": _same(edition)}
                break
    for number, phrase in enumerate(words.lawful, start=1):
        for said, wanted in [(said, True) for said in phrase.refuses] + [(said, False) for said in phrase.passes]:
            if bool(find_barred(said, edition="public", search=search)) != wanted:
                code = "outward_passes" if wanted else "outward_refuses"
                yield code, f"{OUTWARD_FILE} lawful.{number}", {"said": _same(said), "edition": _same("public")}
