"""Wording in zh-CN and English from one set of keys.

Every sentence a user reads stands in ``zh_CN.toml`` and ``en.toml`` under the same dotted key;
a test keeps the two sets of keys and their placeholders equal.
"""

from __future__ import annotations

import os
from typing import Any, Literal

from eduq.resources import read_toml

__all__ = ["LANGUAGES", "Lang", "current_language", "has_text", "text"]

Lang = Literal["zh", "en"]
LANGUAGES: dict[Lang, str] = {"zh": "zh_CN.toml", "en": "en.toml"}


def current_language() -> Lang:
    """Return the language of messages: ``EDUQ_LANG`` (zh or en), else zh."""
    lang = os.environ.get("EDUQ_LANG", "zh")
    return "en" if lang == "en" else "zh"


def _find(key: str, lang: Lang) -> Any:
    node: Any = read_toml("locale", LANGUAGES[lang])
    for part in key.split("."):
        if not isinstance(node, dict) or part not in node:
            return None
        node = node[part]
    return node


def has_text(key: str) -> bool:
    """Return whether a key has wording."""
    return isinstance(_find(key, "zh"), str)


def text(key: str, lang: Lang | None = None, /, **params: object) -> str:
    """Return the sentence of a key with its placeholders filled.

    Parameters
    ----------
    key
        Dotted key, such as ``errors.unknown_symbol.message``.
    lang
        ``zh`` or ``en``; the current language when left out.
    **params
        Values of the ``{placeholders}``.

    Raises
    ------
    KeyError
        The key has no wording.

    Examples
    --------
    >>> text("status.absent", "en")
    'absent'
    """
    found = _find(key, lang or current_language())
    if not isinstance(found, str):
        raise KeyError(key)
    return found.format(**params)
