"""What an edition may show of the equity of an exam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from eduq.estimates.equity import EquityLimit
from eduq.estimates.exam_equity import ExamEquity

__all__ = ["PublishableEquity", "protect_equity"]


@dataclass(frozen=True)
class PublishableEquity:
    """What an edition may show of an `ExamEquity`: figures of the whole area, never of one school.

    Attributes
    ----------
    frame, years
        `eduq.tables.EQUITY` of the exam, and of every school year of the archive's series; empty without an archive.
    course
        `eduq.tables.EQUITY_COURSE`.
    limits, unlimited, elsewhere, n_small
        As in `ExamEquity`.
    """

    frame: pl.DataFrame
    years: pl.DataFrame
    course: pl.DataFrame
    limits: tuple[EquityLimit, ...]
    unlimited: str | None
    elsewhere: tuple[dict[str, Any], ...]
    n_small: int


def protect_equity(equity: ExamEquity, min_n: int) -> PublishableEquity:
    """Return what the bureau edition may show of an exam's equity.

    Numbers resting on fewer than `min_n` pupils are withheld; a gap with so small a side has none already, and of the schools
    only those large enough count in ranges and other indices of variation.
    """
    return PublishableEquity(
        frame=_withhold(equity.frame, min_n),
        years=_withhold(equity.years, min_n),
        course=equity.course,
        limits=equity.limits,
        unlimited=equity.unlimited,
        elsewhere=equity.elsewhere,
        n_small=equity.n_small,
    )


def _withhold(frame: pl.DataFrame, min_n: int) -> pl.DataFrame:
    small = (pl.col("n") < min_n) & pl.col("value").is_not_null()
    numbers = ("value", "std_error", "ci_lower", "ci_upper", "conf_level", "method", "limit_state")
    return frame.with_columns(
        *(pl.when(~small).then(pl.col(name)).alias(name) for name in numbers),
        pl.when(small).then(pl.lit("below_min_n")).otherwise(pl.col("reason")).alias("reason"),
    )
