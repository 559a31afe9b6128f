"""What an edition may show of the comparison of units of one exam."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from eduq.estimates.comparison import ComparisonModel
from eduq.estimates.exam_comparisons import CellKey, ExamComparisons
from eduq.estimates.exam_pairs import ExamPairs
from eduq.tables import COMPARISONS

__all__ = ["PublishableComparisons", "protect_comparisons"]

_KEPT = ("unit_type", "unit", "exam_id", "comparison_group", "subject", "paper", "measure", "peer_group", "n", "reason")
"""What remains of a unit that is too small: who it is, and how many."""


@dataclass(frozen=True)
class PublishableComparisons:
    """Units beside their group, similar schools and each other, numbers of small units withheld.

    Attributes
    ----------
    unit_type, main
        As in `eduq.estimates.exam_comparisons.ExamComparisons`.
    frame
        `eduq.tables.COMPARISONS`; units below ``min_n_reporting`` have no numbers and the reason ``below_min_n``.
    models
        What was estimated for the units of a comparison together, by comparison_group, paper, measure and peer_group.
    pairs
        Paired schools and alliances; schools below ``min_n_reporting`` in a year take no part in it.
    references
        The area beside declared values (`eduq.estimates.exam_references.REFERENCE_LINES`); None without any.
    """

    unit_type: str
    main: tuple[str, str]
    frame: pl.DataFrame
    models: Mapping[CellKey, ComparisonModel]
    pairs: ExamPairs | None = None
    references: pl.DataFrame | None = None


def protect_comparisons(found: ExamComparisons, min_n: int) -> PublishableComparisons:
    """Return what the bureau edition may show of comparisons: see `protect`.

    Units below ``min_n`` took no part in the comparison, so neither shrunken values nor ranks of others tell of them.
    """
    small = (pl.col("n") < min_n).fill_null(True)
    outside = found.references
    whole = found.frame if outside is None else pl.concat([found.frame, outside.units])
    frame = whole.with_columns(
        *(pl.when(~small).then(pl.col(name)).alias(name) for name in COMPARISONS if name not in _KEPT),
        pl.when(small & (pl.col("n") > 0)).then(pl.lit("below_min_n")).otherwise("reason").alias("reason"),
    )
    return PublishableComparisons(
        unit_type=found.unit_type,
        main=found.main,
        frame=frame,
        models=found.models,
        pairs=found.pairs,
        references=None if outside is None else outside.area.filter(pl.col("n") >= min_n),
    )
