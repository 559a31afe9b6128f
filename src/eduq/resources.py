"""The only place that finds what travels with the package: wording, templates, synonyms, rules and sample data."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["package_path", "read_toml", "rules_path", "sample_data_path"]

_PACKAGE = Path(__file__).resolve().parent


def package_path(*parts: str) -> Path:
    """Return the path of a file or folder inside the installed package.

    Parameters
    ----------
    *parts
        Path segments below ``eduq/``.
    """
    return _PACKAGE.joinpath(*parts)


@cache
def read_toml(*parts: str) -> dict[str, Any]:
    """Parse a TOML file of the package once and return its content (not to be changed by the caller)."""
    with package_path(*parts).open("rb") as file:
        return tomllib.load(file)


def rules_path() -> Path:
    """Return the folder of shipped rule packs: inside the wheel, or beside ``src/`` in a checkout."""
    shipped = package_path("data", "rules")
    if shipped.is_dir():
        return shipped
    return _PACKAGE.parent.parent / "rules"


def sample_data_path() -> Path:
    """Return the folder of sample data: inside the wheel, or beside ``src/`` in a checkout."""
    shipped = package_path("data", "sample_data")
    if shipped.is_dir():
        return shipped
    return _PACKAGE.parent.parent / "sample_data"
