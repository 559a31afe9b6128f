"""Which editions there are, and which of them are built."""

from __future__ import annotations

from eduq.errors import DisclosureError
from eduq.settings import EDITIONS, Edition

__all__ = ["EXAM_EDITIONS", "PUBLISHED_EDITIONS", "check_edition"]

PUBLISHED_EDITIONS: tuple[Edition, ...] = ("bureau",)
"""Editions whose disclosure rules are built; any other is refused, never approximated."""

EXAM_EDITIONS: tuple[Edition, ...] = ("bureau", "government", "student", "public")
"""Editions of one exam; of everything else there are `PUBLISHED_EDITIONS` only."""


def check_edition(edition: str, built: tuple[Edition, ...] = PUBLISHED_EDITIONS) -> Edition:
    """Return an edition that is known and built; stop at any other."""
    if edition not in EDITIONS:
        raise DisclosureError("edition_unknown", edition=edition, known=", ".join(EDITIONS))
    for one in built:
        if one == edition:
            return one
    raise DisclosureError("edition_not_available", edition=edition, known=", ".join(built))
