"""Moves of pupils between bands of scores: where bands are cut, how many move, and rates with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.errors import NotAssessableError, UsageError
from eduq.estimates.intervals import wilson

__all__ = ["FLOW_NUMBERS", "Ends", "Move", "count_moves", "cut_ends", "describe_bands", "low_end", "move_rates", "place_bands"]

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

FLOW_NUMBERS = (
    *("flow", "band_from", "band_to", "count", "n", "estimate", "std_error", "ci_lower", "ci_upper", "conf_level", "method"),
    *("expected", "difference", "difference_lower", "difference_upper", "reason"),
)
"""Columns of every table of moves, after the unit."""


@dataclass(frozen=True)
class Move:
    """One kind of move: its name, the band it starts from, the bands it ends in, and what those are called together."""

    flow: str
    start: int
    ends: tuple[int, ...]
    band_from: str
    band_to: str


@dataclass(frozen=True)
class Ends:
    """Where bands end: the lower band holds ``x <= low`` (``x < low`` where scores were stated), the upper one ``x >= high``."""

    low: float
    high: float
    stated: bool = False


def low_end(values: Floats, share: float) -> float:
    """Return the smallest score at or below which lies at least that share of the values: ties at the cut stay together.

    Examples
    --------
    >>> low_end(np.array([1.0, 2.0, 2.0, 3.0, 4.0]), 0.3)
    2.0
    """
    ordered = np.sort(values)
    return float(ordered[max(int(np.ceil(share * len(ordered) - 1e-9)) - 1, 0)])


def cut_ends(values: Floats, cuts: tuple[float, float], stated: tuple[float, float] | None, column: str) -> Ends:
    """Return where the bands of a score end, from shares of all pupils or from stated scores.

    Raises
    ------
    UsageError
        ``flow_cuts``: the cuts are not in order, or shares not within 0 and 1.
    NotAssessableError
        ``flow_no_bands``: so many share a score that no middle band is left between the cuts.
    """
    if stated is not None:
        if not stated[0] < stated[1]:
            raise UsageError("flow_cuts", low=f"{stated[0]:g}", high=f"{stated[1]:g}")
        return Ends(float(stated[0]), float(stated[1]), stated=True)
    if not 0 < cuts[0] < cuts[1] < 1:
        raise UsageError("flow_cuts", low=f"{cuts[0]:g}", high=f"{cuts[1]:g}")
    ends = Ends(low_end(values, cuts[0]), -low_end(-values, 1 - cuts[1]))
    if not ((values > ends.low) & (values < ends.high)).any():
        raise NotAssessableError("flow_no_bands", column=column)
    return ends


def place_bands(values: Floats, ends: Ends) -> Places:
    """Return the band of each value: 0 lower, 1 middle, 2 upper."""
    lower = values < ends.low if ends.stated else values <= ends.low
    return np.where(lower, 0, np.where(values >= ends.high, 2, 1)).astype(np.int64)


def describe_bands(values: Floats, bands: Places, names: Sequence[str]) -> list[dict[str, object]]:
    """Return, per band from the top, its lowest and highest score, how many are in it and which share that is."""
    said: list[dict[str, object]] = []
    for place in reversed(range(len(names))):
        own = values[bands == place]
        ends = (float(own.min()), float(own.max())) if len(own) else (None, None)
        said.append({"band": names[place], "lowest": ends[0], "highest": ends[1], "n": len(own), "share": len(own) / len(values)})
    return said


def count_moves(unit_of: Places, before: Places, after: Places, n_units: int, n_bands: int) -> Places:
    """Return counts (units, band before, band after)."""
    flat = (unit_of * n_bands + before) * n_bands + after
    return np.bincount(flat, minlength=n_units * n_bands**2).reshape(n_units, n_bands, n_bands).astype(np.int64)


def _contrast(count: Floats, n: Floats, level: float) -> tuple[Floats, Floats, Floats]:
    """Return a unit's rate less that of all units together, which hold it, with bounds.

    With the share w of the unit in the band the difference is (1 − w)(p − p of the others); the bounds of p − p of the others are
    Newcombe's (Wilson bounds combined).
    """
    whole, others_n = n.sum(), n.sum() - n
    others = count.sum() - count
    with np.errstate(invalid="ignore", divide="ignore"):
        own, rest = count / n, others / others_n
        _, own_low, own_high = wilson(count, n, level)
        _, rest_low, rest_high = wilson(others, others_n, level)
        gap = own - rest
        lower = gap - np.sqrt((own - own_low) ** 2 + (rest_high - rest) ** 2)
        upper = gap + np.sqrt((own_high - own) ** 2 + (rest - rest_low) ** 2)
        factor = others_n / whole
        known = others_n > 0
        return (
            np.where(known, factor * gap, np.where(n > 0, 0.0, np.nan)),
            np.where(known, factor * lower, np.nan),
            np.where(known, factor * upper, np.nan),
        )


def move_rates(counts: Places, moves: Sequence[Move], units: pl.Series, level: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the moves of each unit (sorted by unit, then in the order of the moves) and of all units together.

    Parameters
    ----------
    counts
        Of `count_moves`, shape (units, bands, bands).
    moves
        Which moves.
    units
        Labels, named as the caller's column.
    level
        Level of the Wilson intervals.

    Returns
    -------
    tuple of DataFrame
        The unit column and `FLOW_NUMBERS`; the second without a unit. ``expected`` is the rate of all pupils who start from that
        band: what a school would show that moves its pupils as the area does, regression to the mean included; ``difference`` =
        estimate − expected with its bounds. ``reason`` no_pupils: nobody starts from that band.
    """
    parts, whole = [], []
    for order, move in enumerate(moves):
        own_n = counts[:, move.start, :].sum(axis=1)
        own = counts[:, move.start, :][:, list(move.ends)].sum(axis=1)
        gap, gap_low, gap_high = _contrast(own.astype(np.float64), own_n.astype(np.float64), level)
        expected = own.sum() / own_n.sum() if own_n.sum() else np.nan
        frame = _rates(move, own, own_n, level).with_columns(
            pl.Series("expected", np.where(own_n > 0, expected, np.nan), nan_to_null=True),
            pl.Series("difference", gap, nan_to_null=True),
            pl.Series("difference_lower", gap_low, nan_to_null=True),
            pl.Series("difference_upper", gap_high, nan_to_null=True),
        )
        parts.append(frame.insert_column(0, units).with_columns(pl.lit(order).alias("_order")))
        whole.append(_rates(move, own.sum(keepdims=True), own_n.sum(keepdims=True), level))
    of_units = pl.concat(parts).sort(units.name, "_order").select(units.name, *FLOW_NUMBERS)
    gaps = ("expected", "difference", "difference_lower", "difference_upper")
    of_all = pl.concat(whole).with_columns(*(pl.lit(None, dtype=pl.Float64).alias(name) for name in gaps))
    return of_units, of_all.select(FLOW_NUMBERS)


def _rates(move: Move, count: Places, n: Places, level: float) -> pl.DataFrame:
    error, low, high = wilson(count.astype(np.float64), n.astype(np.float64), level)
    with np.errstate(invalid="ignore"):
        rate = count / n.astype(np.float64)
    empty = pl.col("n") == 0
    return pl.DataFrame(
        {
            "flow": [move.flow] * len(n),
            "band_from": [move.band_from] * len(n),
            "band_to": [move.band_to] * len(n),
            "count": count,
            "n": n,
            "estimate": rate,
            "std_error": error,
            "ci_lower": low,
            "ci_upper": high,
        },
        schema_overrides={"count": pl.Int64, "n": pl.Int64},
        nan_to_null=True,
    ).with_columns(
        pl.when(~empty).then(pl.lit(level)).alias("conf_level"),
        pl.when(~empty).then(pl.lit("wilson")).alias("method"),
        pl.when(empty).then(pl.lit("no_pupils")).alias("reason"),
    )
