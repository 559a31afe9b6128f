"""Which editions there are, and which of them are built."""

from __future__ import annotations

from eduq.errors import DisclosureError
from eduq.settings import EDITIONS, Edition

__all__ = ["EXAM_EDITIONS", "PUBLISHED_EDITIONS", "check_edition"]

PUBLISHED_EDITIONS: tuple[Edition, ...] = ("bureau",)
"""Editions whose disclosure rules are built; any other is refused, never approximated."""

EXAM_EDITIONS: tuple[Edition, ...] = ("bureau", "government", "public")
"""Editions of one exam; of everything else there are `PUBLISHED_EDITIONS` only."""


def check_edition(edition: str, built: tuple[Edition, ...] = PUBLISHED_EDITIONS) -> None:
    """Stop at an edition that is unknown or not built."""
    if edition not in EDITIONS:
        raise DisclosureError("edition_unknown", edition=edition, known=", ".join(EDITIONS))
    if edition not in built:
        raise DisclosureError("edition_not_available", edition=edition, known=", ".join(built))
