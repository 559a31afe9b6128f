"""Opening a page that was written, where somebody sits before the machine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

__all__ = ["open_review"]


def open_review(written: Iterable[Path]) -> None:
    """Open the page to explore among the files written; without a browser its path, which has been printed, is all there is."""
    import webbrowser

    for path in written:
        if path.name == "review.html":
            webbrowser.open(path.resolve().as_uri())
