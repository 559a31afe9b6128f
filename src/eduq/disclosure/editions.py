"""Which editions there are, and which of them are built."""

from __future__ import annotations

from eduq.errors import DisclosureError
from eduq.settings import EDITIONS, Edition

__all__ = ["PUBLISHED_EDITIONS", "check_edition"]

PUBLISHED_EDITIONS: tuple[Edition, ...] = ("bureau",)
"""Editions whose disclosure rules are built; any other is refused, never approximated."""


def check_edition(edition: str) -> None:
    """Stop at an edition that is unknown or not built."""
    if edition not in EDITIONS:
        raise DisclosureError("edition_unknown", edition=edition, known=", ".join(EDITIONS))
    if edition not in PUBLISHED_EDITIONS:
        raise DisclosureError("edition_not_available", edition=edition, known=", ".join(PUBLISHED_EDITIONS))
