"""Moves of pupils between bands of scores: where bands are cut, how many move, and rates with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.errors import NotAssessableError, UsageError
from eduq.estimates.intervals import wilson

__all__ = [
    "FLOW_NUMBERS",
    "Ends",
    "Move",
    "Strata",
    "count_moves",
    "cut_ends",
    "cut_strata",
    "describe_bands",
    "low_end",
    "move_rates",
    "place_bands",
]

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

FLOW_NUMBERS = (
    *("flow", "band_from", "band_to", "count", "n", "estimate", "std_error", "ci_lower", "ci_upper", "conf_level", "method"),
    *("expected", "difference", "difference_lower", "difference_upper", "reason"),
)
"""Columns of every table of moves, after the unit."""

LEAST, MOST = 30, 20
"""Fewest pupils of all units in a stratum, and most strata in a band."""


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


@dataclass(frozen=True)
class Strata:
    """Pupils of one band whose prior scores are nearly equal: the stratum of each pupil, and the band of each stratum."""

    of: Places
    band: Places


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


def cut_strata(values: Floats, bands: Places) -> Strata:
    """Cut each band into strata of nearly equal prior scores; equal scores stay together.

    Of a band with n pupils, n/30 strata of equal count (at most 20); one with fewer than 30 joins the smaller one beside it.

    Parameters
    ----------
    values
        Prior score per pupil.
    bands
        Band per pupil, rising with the score.

    Examples
    --------
    >>> found = cut_strata(np.arange(200.0), np.repeat([0, 1], [60, 140]))
    >>> found.band.tolist(), np.bincount(found.of).tolist()
    ([0, 0, 1, 1, 1, 1], [30, 30, 35, 35, 35, 35])
    """
    _, first, place, times = np.unique(values, return_index=True, return_inverse=True, return_counts=True)
    band_at = bands[first]
    stratum_at = np.empty(len(times), dtype=np.int64)
    held: list[int] = []
    for band in np.unique(band_at):
        own = np.flatnonzero(band_at == band)
        n = times[own]
        middle = (np.cumsum(n) - n / 2) / n.sum()
        wanted = int(min(max(n.sum() // LEAST, 1), MOST))
        cut = np.unique((middle * wanted).astype(np.int64), return_inverse=True)[1]
        total = np.bincount(cut, weights=n)
        while len(total) > 1 and total.min() < LEAST:
            at = int(total.argmin())
            low = at if at == 0 or (at + 1 < len(total) and total[at + 1] < total[at - 1]) else at - 1
            cut = cut - (cut > low)
            total = np.bincount(cut, weights=n)
        stratum_at[own] = cut + len(held)
        held += [int(band)] * len(total)
    return Strata(stratum_at[place], np.array(held, dtype=np.int64))


def count_moves(unit_of: Places, strata: Strata, after: Places, n_units: int, n_bands: int) -> Places:
    """Return counts (units, stratum before, band after)."""
    n_strata = len(strata.band)
    flat = (unit_of * n_strata + strata.of) * n_bands + after
    shape = (n_units, n_strata, n_bands)
    return np.bincount(flat, minlength=n_units * n_strata * n_bands).reshape(shape).astype(np.int64)


def _contrast(count: Floats, n: Floats, level: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Return, of counts (units, strata), the expected rate and a unit's rate less that, with bounds.

    Expected is Σ n_h P_h / n, P_h being the rate of all pupils of stratum h, the unit's own among them. The difference is then
    f·(p − p₀): p and p₀ are the rates of the unit and of the others in the strata, with the weights n_h (1 − w_h) of Mantel and
    Haenszel, w_h is the unit's share of a stratum and f = Σ n_h (1 − w_h) / n. The bounds of p − p₀ are Newcombe's (Wilson bounds
    combined) on the effective sizes Q(1 − Q)/Σ a_h² V_h/n_h, where a_h are the weights, V_h = P_h (1 − P_h) N_h/(N_h − 1) and
    Q = Σ a_h P_h. With one stratum they are Newcombe's of two plain rates.
    """
    whole = n.sum(axis=0)
    n_all = whole.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = np.where(whole > 0, count.sum(axis=0) / whole, 0.0)
        variance = rate * (1 - rate) * whole / np.maximum(whole - 1, 1)
        others = whole - n
        own_n = n.sum(axis=1)
        expected = n @ rate / own_n
        weight = n * others / whole
        weight_sum = weight.sum(axis=1)
        share = weight / weight_sum[:, None]
        own = (share * np.where(n > 0, count / n, 0.0)).sum(axis=1)
        rest = (share * np.where(others > 0, (count.sum(axis=0) - count) / others, 0.0)).sum(axis=1)
        own_size, rest_size = (_effective(share, size, rate, variance, n_all) for size in (n, others))
        _, own_low, own_high = wilson(own * own_size, own_size, level)
        _, rest_low, rest_high = wilson(rest * rest_size, rest_size, level)
        gap = own - rest
        lower = gap - np.sqrt(np.maximum(own - own_low, 0) ** 2 + np.maximum(rest_high - rest, 0) ** 2)
        upper = gap + np.sqrt(np.maximum(own_high - own, 0) ** 2 + np.maximum(rest - rest_low, 0) ** 2)
        factor = weight_sum / own_n
        known = weight_sum > 0
        return (
            expected,
            np.where(known, factor * gap, np.where(own_n > 0, 0.0, np.nan)),
            np.where(known, factor * lower, np.nan),
            np.where(known, factor * upper, np.nan),
        )


def _effective(share: Floats, size: Floats, rate: Floats, variance: Floats, n_all: float) -> Floats:
    """Return the number of pupils of one common chance whose rate varies as the weighted rate over the strata does."""
    squares = share**2 / np.where(size > 0, size, np.inf)
    plain: Floats = 1 / squares.sum(axis=1)
    middle = share @ rate
    spread = middle * (1 - middle) * n_all / max(n_all - 1, 1)
    within = (squares * variance).sum(axis=1)
    found: Floats = np.where((within > 0) & (spread > 0), np.maximum(spread / within, plain), plain)
    return found


def move_rates(
    counts: Places, strata: Strata, moves: Sequence[Move], units: pl.Series, level: float
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the moves of each unit (sorted by unit, then in the order of the moves) and of all units together.

    Parameters
    ----------
    counts
        Of `count_moves`, shape (units, strata, bands).
    strata
        Which strata make each band.
    moves
        Which moves.
    units
        Labels, named as the caller's column.
    level
        Level of the Wilson intervals.

    Returns
    -------
    tuple of DataFrame
        The unit column and `FLOW_NUMBERS`; the second without a unit. ``expected`` is the mean over the unit's pupils of the rate
        of all pupils in their stratum (indirect standardisation): what a school would show whose pupils move as those who started
        alike, regression to the mean included; ``difference`` = estimate − expected with its bounds. ``reason`` no_pupils: nobody
        starts from that band.

    References
    ----------
    Keiding, N. and Clayton, D. (2014). Standardization and control for confounding in observational studies. Statistical Science
    29, 529-558. Mantel, N. and Haenszel, W. (1959). J. Natl. Cancer Inst. 22, 719-748. Newcombe, R. G. (1998). Statistics in
    Medicine 17, 873-890.
    """
    parts, whole = [], []
    for order, move in enumerate(moves):
        held = counts[:, strata.band == move.start, :]
        of_strata = held[:, :, list(move.ends)].sum(axis=2)
        n_strata = held.sum(axis=2)
        own, own_n = of_strata.sum(axis=1), n_strata.sum(axis=1)
        expected, gap, gap_low, gap_high = _contrast(of_strata.astype(np.float64), n_strata.astype(np.float64), level)
        frame = _rates(move, own, own_n, level).with_columns(
            pl.Series("expected", expected, nan_to_null=True),
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
