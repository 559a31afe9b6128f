"""What an edition may show of the chain behind one verdict."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import polars as pl

from eduq.disclosure.editions import check_edition
from eduq.settings import Edition

if TYPE_CHECKING:
    from eduq.rulepacks.definitions import DefinitionShare
    from eduq.rulepacks.trace import Explanation

__all__ = ["PublishableDossier", "protect_dossier"]


@dataclass(frozen=True)
class PublishableDossier:
    """The chain behind one verdict as an edition may show it: counts of pupils, never one pupil.

    Attributes
    ----------
    edition
        The audience it was made for.
    fields
        `eduq.rulepacks.chain.chain_fields`: plain values, small numbers withheld.
    min_n
        Numbers of fewer candidates are withheld.
    """

    edition: Edition
    fields: dict[str, Any]
    min_n: int

    def summary(self) -> str:
        """Return one line: the edition, and below how many candidates numbers are withheld."""
        return f"{self.edition} edition of a dossier, numbers of fewer than {self.min_n} candidates withheld"

    def __repr__(self) -> str:
        """Say what there is without its content."""
        return f"PublishableDossier({self.summary()})"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>"


def protect_dossier(explanation: Explanation, *, edition: str) -> PublishableDossier:
    """Make an explanation publishable for one audience.

    The bureau edition names schools and holds counts only. Numbers of fewer than ``min_n_reporting`` candidates are withheld
    (reason ``withheld``), and with them the course of a series that rests on such a year and what would change it.

    Parameters
    ----------
    explanation
        From `eduq.rulepacks.trace.explain`.
    edition
        The audience.

    Raises
    ------
    DisclosureError
        ``edition_unknown`` or ``edition_not_available``.
    """
    from eduq.rulepacks.chain import chain_fields

    check_edition(edition)
    least = int(explanation.settings["min_n_reporting"])
    small = pl.col("n") < least
    numbers = ("estimate", "std_error", "change", "rank", "from_bottom", "p_last", "could_be_last")
    touched = small | small.shift(1).over("measure").fill_null(False)
    facts = explanation.frame.sort("measure", "period").with_columns(
        *(pl.when(~(touched if name == "change" else small).fill_null(False)).then(pl.col(name)).alias(name) for name in numbers),
        pl.when(small.fill_null(False)).then(pl.lit("withheld")).otherwise(pl.col("reason")).alias("reason"),
    )
    hidden = bool(explanation.frame.select(small.fill_null(False).any()).item()) if explanation.frame.height else False
    values = ("needed", "estimate", "estimate_after")
    withheld = dataclasses.replace(
        explanation,
        frame=facts,
        peers=explanation.peers.with_columns(pl.when(pl.col("n") >= least).then(pl.col("n")).alias("n")),
        evidence=_without_numbers(explanation.evidence) if hidden else explanation.evidence,
        definitions=_without_places(explanation.definitions) if hidden else explanation.definitions,
        changes=explanation.changes.with_columns(pl.when(not hidden).then(pl.col(name)).alias(name) for name in values),
    )
    return PublishableDossier(edition="bureau", fields=chain_fields(withheld), min_n=least)


def _without_numbers(evidence: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return evidence whose grade alone is shown."""
    if evidence is None:
        return None
    kept = ("evidence_grade", "evidence_reason", "why_not_higher", "model", "bounds", "n_periods", "first", "last")
    return {name: value if name in kept else [] if name == "series" else None for name, value in evidence.items()}


def _without_places(share: DefinitionShare | None) -> DefinitionShare | None:
    """Return the share of definitions without the unit's places."""
    if share is None:
        return None
    places = [pl.lit(None, dtype=pl.Int64).alias(name) for name in ("rank", "from_bottom")]
    return dataclasses.replace(share, frame=share.frame.with_columns(places))
