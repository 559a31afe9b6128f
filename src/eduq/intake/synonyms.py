"""What a header means, by the synonym file: exact matches after normalising, never substrings."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from eduq.resources import read_toml

__all__ = ["Meaning", "Vocabulary", "normalise_header", "to_half_width", "vocabulary"]

MeaningKind = Literal["field", "score", "scaled", "class", "metric", "bare_score", "group", "spec"]

_INVISIBLE = re.compile(r"[\s\u3000\ufeff\u200b-\u200f\u2060]+")
_EDGES = " *＊!！:：#、.。'"
_FULL_MARK = re.compile(r"^(?P<rest>.*\D)\((?:满分|总分)?:?(?P<mark>\d{1,4}(?:\.\d{1,2})?)分?\)$")
_UNIT = re.compile(r"^(?P<rest>.+)\((?:分|%|满分|名|人)\)$")
_RANK_WORDS = ("名次", "排名", "位次", "排位", "名")
_KEPT_WIDE = {ord("，"): ","}


@dataclass(frozen=True)
class Meaning:
    """What a header stands for.

    Attributes
    ----------
    kind
        ``field`` (identity, place, group), ``score`` / ``scaled`` / ``class`` of a paper, ``metric`` (rank, level, part:
        not a score), ``bare_score`` (a score word without subject), ``group`` (a figure of a group), ``spec``.
    key
        Field id, paper code, or id of the metric.
    paper
        The paper a metric belongs to, where it names one.
    """

    kind: MeaningKind
    key: str
    paper: str | None = None


def to_half_width(text: str) -> str:
    """Return a text with full-width letters, digits and signs made half-width."""
    folded = []
    for char in text:
        code = ord(char)
        folded.append(chr(code - 0xFEE0) if 0xFF01 <= code <= 0xFF5E else char)
    return "".join(folded)


@cache
def normalise_header(text: str) -> tuple[str, float | None]:
    """Return a header in the form the synonym file is matched in, and the full mark it names.

    Examples
    --------
    >>> normalise_header("数学（１２０分）")
    ('数学', 120.0)
    >>> normalise_header("！级名")
    ('级名', None)
    """
    plain = to_half_width(_INVISIBLE.sub("", text)).strip(_EDGES).lower()
    plain = unicodedata.normalize("NFC", plain)
    full_mark = None
    if found := _FULL_MARK.match(plain):
        plain, full_mark = found["rest"], float(found["mark"])
    elif found := _UNIT.match(plain):
        plain = found["rest"]
    return plain.strip(_EDGES), full_mark


def _variants(entry: dict[str, Any]) -> list[str]:
    return [*entry.get("seen", []), *entry.get("extra", [])]


class Vocabulary:
    """The synonym file, ready for look-up.

    Attributes
    ----------
    exact
        Normalised header to meaning.
    subjects
        Paper codes in the order of the file.
    fields
        Field ids.
    """

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw = raw
        self.exact: dict[str, Meaning] = {}
        self.subjects: tuple[str, ...] = tuple(raw["subjects"])
        self.subject_names: dict[str, str] = {code: entry["zh"] for code, entry in raw["subjects"].items()}
        self.fields: tuple[str, ...] = tuple(raw["fields"])
        self._subject_of: dict[str, str] = {}
        self._metric_of: dict[str, str] = {}
        self._priority: dict[str, int] = {}
        self._recognised: dict[str, Meaning | None] = {}
        for code, entry in raw["subjects"].items():
            for variant in self._each(entry, code):
                self._subject_of[variant] = code
                scaled = "赋分" in variant
                self.exact.setdefault(variant, Meaning("scaled" if scaled else "score", code))
        for field_id, entry in raw["fields"].items():
            for variant in self._each(entry, field_id):
                self.exact.setdefault(variant, Meaning("field", field_id))
        for metric, entry in raw["metrics"].items():
            for variant in self._each(entry):
                self._metric_of[variant] = metric
                kind: MeaningKind = "bare_score" if metric in ("score", "scaled") else "metric"
                self.exact.setdefault(variant, Meaning(kind, metric))
        for word in _RANK_WORDS:
            self._metric_of.setdefault(word, "rank")
            self.exact.setdefault(word, Meaning("metric", "rank"))
        for name, kind in (("group_fields", "group"), ("spec_fields", "spec")):
            for key, entry in raw[name].items():
                for variant in self._each(entry):
                    self.exact.setdefault(variant, Meaning(kind, key))
        self.exact.setdefault("年级", Meaning("field", "grade"))
        self.exact.setdefault("号", Meaning("field", "row_index"))
        self._prefixes = sorted(self._subject_of, key=len, reverse=True)
        self._joiners = [joiner for joiner in raw["two_row"]["flat_joiners"] if joiner.strip()]
        self._direction = re.compile(raw["two_row"]["direction_rank_pattern"])

    def _each(self, entry: dict[str, Any], own: str | None = None) -> Iterator[str]:
        for place, variant in enumerate([*_variants(entry), *([own] if own else [])]):
            key = normalise_header(variant)[0]
            if key:
                self._priority.setdefault(key, place)
                yield key

    def priority(self, header: str) -> int:
        """Return how early a header stands in its list: of two columns for one id the earlier is preferred."""
        return self._priority.get(normalise_header(header)[0], 1000)

    def recognise(self, header: str) -> Meaning | None:
        """Return what one header cell means, or None."""
        key = normalise_header(header)[0]
        if key not in self._recognised:
            self._recognised[key] = (self.exact.get(key) or self._flat(key)) if key else None
        return self._recognised[key]

    def _flat(self, key: str) -> Meaning | None:
        if self._direction.match(key):
            return Meaning("metric", "rank")
        for prefix in self._prefixes:
            if not key.startswith(prefix) or key == prefix:
                continue
            rest = key[len(prefix) :]
            for joiner in self._joiners:
                rest = rest.removeprefix(joiner)
            rest = rest[1:-1] if rest.startswith("(") and rest.endswith(")") else rest
            if len(prefix) == 1 and len(rest) == 1:
                continue
            if found := self.combine(self._subject_of[prefix], rest):
                return found
        return None

    def subject(self, header: str) -> str | None:
        """Return the paper code of a header that is a subject and nothing else."""
        return self._subject_of.get(normalise_header(header)[0])

    def metric(self, header: str) -> str | None:
        """Return the metric of a header that is a metric word and nothing else."""
        key = normalise_header(header)[0]
        return self._metric_of.get(key) or ("rank" if self._direction.match(key) else None)

    def combine(self, code: str, word: str) -> Meaning | None:
        """Return what a subject and a second word mean together, such as 语文 and 校次."""
        metric = self.metric(word)
        if metric == "score":
            return Meaning("score", code)
        if metric == "scaled":
            return Meaning("scaled", code)
        if metric is not None:
            return Meaning("metric", metric, code)
        found = self.exact.get(normalise_header(word)[0])
        if found == Meaning("field", "teaching_class"):
            return Meaning("class", code)
        if found is not None and found.kind == "field" and found.key in ("teacher", "note"):
            return Meaning("field", found.key, code)
        if found == Meaning("field", "grade"):
            return Meaning("metric", "rank", code)
        if found is not None and found.kind == "group":
            return Meaning("metric", found.key, code)
        return None

    def nearest(self, header: str) -> tuple[str, str] | None:
        """Return the known header most like an unknown one (a subject before a field) and its value in ``[columns]``."""
        key = normalise_header(header)[0]
        for kind in ("score", "field"):
            known = [one for one, meaning in self.exact.items() if meaning.kind == kind and len(one) > 1]
            near = [one for one in known if len(key) > 2 or one[:1] == key[:1]]
            if close := difflib.get_close_matches(key, near, n=1, cutoff=0.5):
                return close[0], self.exact[close[0]].key
        return None

    def words(self, section: str, name: str) -> tuple[str, ...]:
        """Return a list of words of the file, as written."""
        entry = self.raw[section][name]
        return tuple(_variants(entry) if isinstance(entry, dict) else entry)


@cache
def vocabulary() -> Vocabulary:
    """Return the shipped synonym file, read once."""
    return Vocabulary(read_toml("intake", "header_synonyms.toml"))
