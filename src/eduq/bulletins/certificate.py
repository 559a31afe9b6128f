"""The disclosure certificate at the end of a document: what was withheld of each exam and how that was proved, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eduq.bulletins.blocks import Phrase
from eduq.bulletins.formats import phrase, typed
from eduq.disclosure.suppression import Certificate

__all__ = ["build_certificate"]

_HASH = 12
"""Characters of a settings hash that are printed: enough to tell two runs apart."""


def _in_all(exam: Any, found: Certificate) -> Phrase:
    """Say how many numbers there could be and how many are withheld, for which of the two reasons."""
    of = {"exam": exam, "cells": found.n_cells, "n": found.min_n}
    if not found.n_primary and not found.n_secondary:
        return phrase("certificate.nothing", **of)
    return phrase("certificate.withheld", primary=found.n_primary, secondary=found.n_secondary, **of)


def _proof(found: Certificate) -> list[Phrase]:
    """Say how it was proved, and how close the withheld numbers could be worked out."""
    if not found.n_proved:
        return []
    widths = {"count": found.least_count, "share": typed(found.least_share, "level")}
    lines = [phrase("certificate.proved", proved=found.n_proved, blocks=found.n_blocks, solver=found.solver, **widths)]
    if found.narrowest is not None:
        lines.append(phrase("certificate.narrowest", times=typed(found.narrowest, "number2")))
    if found.n_joint:
        lines.append(phrase("certificate.joint", n=found.n_joint))
    return lines


def _covered(found: Certificate, edition: Phrase) -> Phrase:
    """Say which tables and which editions issued before the proof is about."""
    if not found.earlier:
        return phrase("certificate.covers", edition=edition)
    named = [phrase(f"certificate.edition.{name}") for name in dict.fromkeys(found.earlier)]
    return phrase("certificate.covers_earlier", edition=edition, n=len(found.earlier), earlier=named)


def _lines(exam: Any, found: Certificate) -> list[Phrase]:
    lines = [_in_all(exam, found)]
    if found.n_primary or found.n_secondary:
        lines += [*_proof(found), _covered(found, phrase(f"certificate.edition.{found.edition}"))]
        if found.settings_hash:
            lines.append(phrase("certificate.settings", hash=found.settings_hash[:_HASH]))
    return lines


def build_certificate(exams: Sequence[tuple[Any, Certificate | None]]) -> dict[str, Any] | None:
    """Return what a document says of the numbers it withholds.

    Parameters
    ----------
    exams
        Name (text or phrase) and certificate of each exam of the document; None: nothing was looked at.

    Returns
    -------
    dict or None
        ``heading``, ``lines`` (phrases: of each exam how many numbers are withheld and why, how that was proved, how close they
        could be worked out, which tables and earlier editions were taken into account, solver, settings) and ``foot`` (how
        to check it). Where nothing is withheld of any exam one line says so. None without a certificate.
    """
    known = [(name, found) for name, found in exams if found is not None]
    if not known:
        return None
    heading = phrase("certificate.heading")
    if not any(found.n_primary or found.n_secondary for _, found in known):
        said = phrase(
            "certificate.nothing_at_all",
            exams=[name for name, _ in known],
            cells=sum(found.n_cells for _, found in known),
            n=max(found.min_n for _, found in known),
        )
        return {"heading": heading, "lines": [said], "foot": None}
    lines = [line for name, found in known for line in _lines(name, found)]
    return {"heading": heading, "lines": lines, "foot": phrase("certificate.foot")}
