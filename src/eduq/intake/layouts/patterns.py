"""Headers of layout files: exact words, with ``{subject}`` and ``{item}`` standing for any subject and any item number."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from eduq.intake.item_headers import item_number
from eduq.intake.synonyms import normalise_header, vocabulary

__all__ = ["HeaderMatch", "HeaderPattern", "header_pattern"]

_TOTAL = "total"


@dataclass(frozen=True)
class HeaderMatch:
    """What the placeholders of a pattern stand for."""

    subject: str | None = None
    item: str | None = None


def normalise_path(written: str) -> str:
    """Return a header as written, each of its parts in the form of the synonym file."""
    return "/".join(normalise_header(part)[0] for part in written.split("/"))


class HeaderPattern:
    """A header of a layout file.

    Attributes
    ----------
    key
        The header as the layout file has it.

    Examples
    --------
    >>> HeaderPattern("{subject}原始分").match("物理原始分").subject
    'physics'
    >>> HeaderPattern("{subject}/得分").match("总分/得分") is None
    True
    """

    def __init__(self, key: str) -> None:
        self.key = key
        plain = re.escape(normalise_path(key))
        plain = plain.replace(re.escape("{subject}"), "(?P<subject>.+?)").replace(re.escape("{item}"), "(?P<item>.+?)")
        self._pattern = re.compile(plain)

    def match(self, written: str) -> HeaderMatch | None:
        """Match the whole header, or its lowest part where it has several rows and the pattern has one."""
        whole = normalise_path(written)
        texts = [whole] if "/" in self.key else dict.fromkeys((whole, whole.rsplit("/", 1)[-1]))
        for text in texts:
            found = self._pattern.fullmatch(text)
            if found is None:
                continue
            groups = found.groupdict()
            subject = vocabulary().subject(groups["subject"]) if "subject" in groups else None
            item = item_number(groups["item"]) if "item" in groups else None
            if ("subject" in groups and subject in (None, _TOTAL)) or ("item" in groups and item is None):
                continue
            return HeaderMatch(subject, item)
        return None

    def met(self, headers: list[str]) -> bool:
        """Whether any of the headers, or any part of one, matches."""
        parts = dict.fromkeys(one for header in headers for one in (header, *header.split("/")))
        return any(self.match(one) is not None for one in parts)


@cache
def header_pattern(key: str) -> HeaderPattern:
    """Return the pattern of a key, made once."""
    return HeaderPattern(key)
