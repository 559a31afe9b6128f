"""The shipped layouts, and the one a call names."""

from __future__ import annotations

import difflib
import os
from functools import cache
from pathlib import Path

from eduq.errors import SettingsError
from eduq.intake.layouts.model import Layout
from eduq.resources import package_path
from eduq.settings import validate_toml

__all__ = ["choose_layout", "shipped_layouts"]


@cache
def shipped_layouts() -> tuple[Layout, ...]:
    """Return the layouts that travel with the package, by id."""
    folder = package_path("intake", "layouts")
    return tuple(sorted((validate_toml(path, Layout) for path in folder.glob("*.toml")), key=lambda layout: layout.id))


def choose_layout(layout: str | os.PathLike[str] | Layout) -> Layout:
    """Return the layout a call names: the id of a shipped one, or a layout file.

    Raises
    ------
    SettingsError
        ``layout_unknown``; those of `eduq.settings.validate_toml` for a file.
    """
    if isinstance(layout, Layout):
        return layout
    name = os.fspath(layout)
    known = {one.id: one for one in shipped_layouts()}
    if name in known:
        return known[name]
    path = Path(name)
    if path.suffix.lower() == ".toml" or path.exists():
        return validate_toml(path, Layout)
    near = difflib.get_close_matches(name, known, n=1)
    raise SettingsError("layout_unknown", layout=name, near=near[0] if near else "-", known=", ".join(known))
