"""What was run on what: hashes that make every figure traceable to inputs, settings and definitions."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

__all__ = ["content_hash", "versions"]

_LIBRARIES = ("eduq", "polars", "narwhals", "numpy", "scipy", "fastexcel", "xlsxwriter", "lets-plot", "jinja2")


def content_hash(content: Mapping[str, Any] | list[Any]) -> str:
    """Return the first 16 hex digits of the SHA-256 of a value's canonical JSON.

    Parameters
    ----------
    content
        Anything JSON can hold; dates and paths are written as text.

    Examples
    --------
    >>> content_hash({"b": 1, "a": 2}) == content_hash({"a": 2, "b": 1})
    True
    """
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, default=str, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that figures depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}}
