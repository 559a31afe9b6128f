"""Words that may not go out and products that are not made: the data, ``rules/national/outward.toml``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from eduq.resources import rules_path
from eduq.rulepacks.model import Citation
from eduq.settings import StrictModel, parse_toml

__all__ = [
    "OUTWARD_EDITIONS",
    "OUTWARD_FILE",
    "BarredProduct",
    "BarredWord",
    "LawfulPhrase",
    "OutwardWords",
    "TwoLanguages",
    "cite_ban",
    "read_outward",
]

OUTWARD_FILE = "outward.toml"
OutwardEdition = Literal["government", "school", "teacher", "student", "public"]
OUTWARD_EDITIONS: tuple[OutwardEdition, ...] = ("government", "school", "teacher", "student", "public")
"""Editions that leave the bureau."""
_ID = r"^[a-z][a-z0-9_]*$"
_RULE = r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)+$"


class TwoLanguages(StrictModel):
    """The same in both languages."""

    zh: str = Field(min_length=1)
    en: str = Field(min_length=1)


def _compiled(patterns: tuple[str, ...]) -> tuple[str, ...]:
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise PydanticCustomError("value_error", "not a pattern", {"error": f"{pattern}: {error}"}) from None
    return patterns


class BarredWord(StrictModel):
    """Words of one kind that may not stand in some editions.

    Attributes
    ----------
    id, name
        What kind it is.
    zh, en
        The words; an English one is a whole word.
    patterns
        Regular expressions beside them.
    except_
        Of these longer words it is a part that means something else.
    barred
        Editions it may not stand in.
    rule
        The rule of a shipped pack that it rests on: its document and article are cited.
    instead
        What to write instead.
    refuses, passes
        Cases: each of the first is refused in every edition named, each of the second in none.
    """

    id: str = Field(pattern=_ID)
    name: TwoLanguages
    zh: tuple[str, ...] = Field(min_length=1)
    en: tuple[str, ...] = Field(min_length=1)
    patterns: tuple[str, ...] = ()
    except_: tuple[str, ...] = Field((), alias="except")
    barred: tuple[OutwardEdition, ...] = Field(min_length=1)
    rule: str = Field(pattern=_RULE)
    instead: TwoLanguages
    refuses: tuple[str, ...] = Field(min_length=1)
    passes: tuple[str, ...] = Field(min_length=1)

    _patterns = field_validator("patterns", "except_")(_compiled)


class LawfulPhrase(StrictModel):
    """Phrases in which a barred word is lawful, such as the ban itself.

    Attributes
    ----------
    patterns
        Regular expressions; a word wholly inside a match is passed over.
    refuses, passes
        Cases, as of `BarredWord`, for the public edition.
    """

    patterns: tuple[str, ...] = Field(min_length=1)
    refuses: tuple[str, ...] = Field(min_length=1)
    passes: tuple[str, ...] = Field(min_length=1)

    _patterns = field_validator("patterns")(_compiled)


class BarredProduct(StrictModel):
    """A product that is not made, or not for some audiences.

    Attributes
    ----------
    names
        What it may be asked for as.
    editions
        Audiences it is refused for; all when empty.
    rule, instead
        As of `BarredWord`.
    """

    names: tuple[str, ...] = Field(min_length=1)
    editions: tuple[OutwardEdition, ...] = ()
    rule: str = Field(pattern=_RULE)
    instead: TwoLanguages


class OutwardWords(StrictModel):
    """The whole file.

    Attributes
    ----------
    same
        Characters that are read as another one (traditional forms).
    words, lawful, products
        See `BarredWord`, `LawfulPhrase`, `BarredProduct`.
    """

    schema_: Literal[1] = Field(alias="schema")
    same: dict[str, str] = Field(default_factory=dict)
    words: tuple[BarredWord, ...] = Field(min_length=1)
    lawful: tuple[LawfulPhrase, ...] = ()
    products: tuple[BarredProduct, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> OutwardWords:
        """Refuse an id, a word or a product said twice, and anything but single characters in ``same``."""
        ids = [entry.id for entry in self.words]
        said = [word for entry in self.words for word in (*entry.zh, *entry.en)]
        asked = [name for entry in self.products for name in entry.names]
        for names in (ids, said, asked):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise PydanticCustomError("value_error", "twice", {"error": ", ".join(twice)})
        if long := [pair for pair in self.same.items() if any(len(one) != 1 for one in pair)]:
            raise PydanticCustomError("value_error", "not single characters", {"error": str(long)})
        return self

    def cited_rules(self) -> Iterator[tuple[str, str]]:
        """Return where a rule is named, and its id."""
        for entry in self.words:
            yield f"words.{entry.id}", entry.rule
        for product in self.products:
            yield f"products.{product.names[0]}", product.rule


def read_outward(folder: Path | None = None) -> OutwardWords:
    """Read the words and products of a pack's folder; the shipped ones of the State when left out.

    Raises
    ------
    SettingsError
        ``settings_syntax``, ``settings_invalid``: not TOML, or a key or value that is not understood.

    Examples
    --------
    >>> [entry.id for entry in read_outward().words][:2]
    ['top_scorer', 'triumph']
    """
    return _shipped() if folder is None else _read(folder)


def _read(folder: Path) -> OutwardWords:
    return parse_toml((folder / OUTWARD_FILE).read_bytes(), OUTWARD_FILE, OutwardWords)


@cache
def _shipped() -> OutwardWords:
    """The shipped file; a pack of the same name elsewhere does not soften it."""
    return _read(rules_path() / "national")


@cache
def cite_ban(rule_id: str) -> Citation | None:
    """Return document and article of a rule of a shipped pack; None where there is no such rule.

    Examples
    --------
    >>> cite_ban("national.document.publicity").article
    '坚决纠正片面追求升学率倾向'
    """
    from eduq.rulepacks.reading import load_rulepack

    folder = rules_path() / rule_id.partition(".")[0]
    if not (folder / "pack.yaml").is_file():
        return None
    rule = load_rulepack(folder, as_of=None).rule(rule_id)
    return rule.citations[0] if rule is not None and rule.citations else None
