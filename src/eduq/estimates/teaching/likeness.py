"""A class beside like classes: same comparison group, kind of class and combination, taught by others."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.estimates.intervals import student

__all__ = ["MIN_LIKE", "add_references"]

MIN_LIKE = 5
"""Below this number of like classes of other teachers there is no reference: it would tell too much of each of them."""
Floats = NDArray[np.float64]
_LIKE = ["class_kind", "comparison_group", "combination"]


def add_references(classes: pl.DataFrame, circle: NDArray[np.int64], *, min_n: int, conf_level: float) -> pl.DataFrame:
    """Set every class beside the like classes outside its circle.

    With m, n, s² of the class and M, N, S² (within classes, pooled) of the like classes' candidates, σ the SD of the comparison
    group: gap = (m − M)/σ, its variance (s²/n + S²/N)/σ², degrees of freedom after Welch. The like classes are taken as they are,
    not as a sample of classes.

    Parameters
    ----------
    classes
        From `eduq.estimates.teaching.classes.count_classes`.
    circle
        Per line, from `eduq.estimates.teaching.links.teacher_circles`.
    min_n
        Classes with fewer candidates are no part of a reference.
    conf_level
        Of the intervals.

    Returns
    -------
    pl.DataFrame
        The lines with like (Int64, one number per kind, group and combination), n_like, reference, reference_q1,
        reference_q3 (marks), gap, gap_se, gap_lower, gap_upper, own_se, reference_se (SDs), gap_reason (null,
        why_not of the group, no_candidates, below_two, zero_spread or few_like_classes).

    References
    ----------
    Welch, B. L. (1947). The generalization of "Student's" problem when several different population variances are involved.
    Biometrika 34, 28-35.
    """
    like = classes.select(pl.struct(_LIKE).rank("dense").cast(pl.Int64).alias("like"))["like"].to_numpy() - 1
    n = classes["n"].to_numpy().astype(np.float64)
    usable = n >= max(min_n, 2)
    total, squares = classes["total"].to_numpy(), classes["squares"].fill_null(0.0).to_numpy()
    pair = like * (int(circle.max(initial=0)) + 1) + circle
    _, place = np.unique(pair, return_inverse=True)

    def outside(values: Floats) -> Floats:
        kept = np.where(usable, values, 0.0)
        found: Floats = np.bincount(like, weights=kept)[like] - np.bincount(place, weights=kept)[place]
        return found

    count, of_n, of_total, of_squares = (outside(values) for values in (np.ones_like(n), n, total, squares))
    enough = count >= MIN_LIKE
    q1, q3 = _quartiles(classes["mean"].to_numpy(), like, place, usable, enough)
    with np.errstate(invalid="ignore", divide="ignore"):
        reference = np.where(enough, of_total / of_n, np.nan)
        reference_df = of_n - count
        reference_variance = np.maximum(of_squares, 0.0) / reference_df / of_n
        own = classes["own_variance"].fill_null(np.nan).to_numpy() / n
        sd = classes["sd"].fill_null(np.nan).to_numpy()
        gap = (classes["mean"].fill_null(np.nan).to_numpy() - reference) / sd
        own_df = classes["own_df"].fill_null(np.nan).to_numpy()
        df = (own + reference_variance) ** 2 / (own**2 / own_df + reference_variance**2 / reference_df)
    reasons = [
        why or ("no_candidates" if size < 1 else "below_two" if size < 2 else "few_like_classes" if few else None)
        for why, size, few in zip(classes["why_not"], n, ~enough, strict=True)
    ]
    given = np.array([reason is None for reason in reasons], dtype=bool) & np.isfinite(gap)
    reasons = [reason if reason or ok else "zero_spread" for reason, ok in zip(reasons, given, strict=True)]
    with np.errstate(invalid="ignore", divide="ignore"):
        error, low, high = student(gap, np.sqrt(own + reference_variance) / sd, df, conf_level)
    numbers = {
        "reference": reference, "reference_q1": q1, "reference_q3": q3, "gap": gap, "gap_se": error, "gap_lower": low,
        "gap_upper": high, "own_se": np.sqrt(own) / np.where(given, sd, np.nan),
        "reference_se": np.sqrt(reference_variance) / np.where(given, sd, np.nan),
    }  # fmt: skip
    return classes.with_columns(
        pl.Series("like", like),
        pl.Series("circle", circle),
        pl.Series("n_like", count.round().astype(np.int64)),
        *(
            pl.Series(name, np.where(given & np.isfinite(values), values, np.nan)).fill_nan(None)
            for name, values in numbers.items()
        ),
        pl.Series("gap_reason", reasons, dtype=pl.String),
    )


def _quartiles(
    mean: Floats, like: NDArray[np.int64], place: NDArray[np.int64], usable: NDArray[np.bool_], enough: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Return the quartiles (type 7) of the means of the usable classes outside each class's circle."""
    q1, q3 = np.full(len(mean), np.nan), np.full(len(mean), np.nan)
    for group in np.unique(like):
        members = np.flatnonzero((like == group) & usable)
        members = members[np.argsort(mean[members], kind="stable")]
        ordered = mean[members]
        own_places: dict[int, list[int]] = {}
        for rank, line in enumerate(members):
            own_places.setdefault(int(place[line]), []).append(rank)
        known: dict[int, tuple[float, float]] = {}
        for line in np.flatnonzero((like == group) & enough):
            circle = int(place[line])
            if circle not in known:
                known[circle] = _without(ordered, own_places.get(circle, []))
            q1[line], q3[line] = known[circle]
    return q1, q3


def _without(ordered: Floats, removed: list[int]) -> tuple[float, float]:
    """Return the quartiles of a sorted array without the values at some places."""
    size = len(ordered) - len(removed)

    def value(rank: int) -> float:
        for gone in removed:
            rank += gone <= rank
        return float(ordered[rank])

    found = []
    for probability in (0.25, 0.75):
        position = (size - 1) * probability
        low = int(position)
        lower, upper = value(low), value(min(low + 1, size - 1))
        found.append(lower + (position - low) * (upper - lower))
    return found[0], found[1]
