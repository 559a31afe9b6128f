"""What documents show and withhold of an exam, as the ledger keeps it, and who has which document in hand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from eduq.disclosure.suppression.certificates import Certificate

__all__ = ["READABLE", "Key", "Pattern", "Shown", "read_issue"]

READABLE: dict[str, tuple[str, ...]] = {
    "public": ("public",),
    "student": ("public", "student"),
    "teacher": ("public", "teacher"),
    "school": ("public", "school"),
    "government": ("public", "government"),
    "bureau": ("public", "student", "teacher", "school", "government", "bureau"),
}
"""Editions the readers of an edition have in hand."""
Key = tuple[str, str, str, str, str]
"""comparison_group, paper, measure, unit_type, unit."""


@dataclass(frozen=True)
class Shown:
    """What an issued document shows and protects of one exam: cells, not their values."""

    exam_id: str
    edition: str
    cells: frozenset[Key]
    primary: frozenset[Key]

    def content(self) -> dict[str, Any]:
        """Return it as the ledger keeps it."""
        return {
            "exam_id": self.exam_id,
            "edition": self.edition,
            "cells": [list(key) for key in sorted(self.cells)],
            "primary": [list(key) for key in sorted(self.primary)],
        }


def read_issue(content: str) -> list[Shown]:
    """Return what a line of the ledger says was shown (``cells`` of its ``content``); empty for a line that says nothing.

    Examples
    --------
    >>> read_issue('{"inputs": "0a"}')
    []
    """
    told = json.loads(content or "{}").get("shown", [])
    return [
        Shown(
            one["exam_id"],
            one["edition"],
            frozenset(tuple(key) for key in one["cells"]),
            frozenset(tuple(key) for key in one["primary"]),
        )
        for one in told
    ]


@dataclass(frozen=True)
class Pattern:
    """What is withheld of the estimates of one exam.

    Attributes
    ----------
    primary, secondary
        Cells withheld because they are small, and those withheld so that the first cannot be worked out.
    certificate
        The proof.
    shown
        What the document shows, for the ledger.
    """

    primary: frozenset[Key]
    secondary: frozenset[Key]
    certificate: Certificate
    shown: Shown
