"""From a frame of estimates to the arrays of each comparison: columns, duplicates, standard errors, what cannot take part."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.errors import DataFileError, NotAssessableError, UsageError
from eduq.estimates.comparison.peers import ALL, NEAREST, NO_PEERS, PeerChoice, label_peers
from eduq.estimates.intervals import normal_quantile

__all__ = ["Cell", "Columns", "choose_columns", "read_cells"]

Floats = NDArray[np.float64]
POOLED_BELOW = 30
"""Units with fewer pupils take the SD pooled within all units."""
OUTPUT = (
    "peer_group", "n_peers", "n", "periods", "estimate", "std_error", "ci_lower", "ci_upper", "conf_level", "method",
    "contrast", "contrast_se", "contrast_lower", "contrast_upper", "p_value", "q_value", "family_size",
    "shrunken", "shrunken_se", "reliability", "rank", "rank_lower", "rank_upper", "n_units",
    "could_be_last", "could_be_first", "p_last", "funnel", "funnel_998",
    "funnel_lower", "funnel_upper", "funnel_lower_998", "funnel_upper_998", "reason",
)  # fmt: skip
"""Columns of the result after those of the family and the unit."""


@dataclass(frozen=True)
class Columns:
    """Names of the caller's columns; ``reference`` and ``reference_se`` are a value, a column, or None."""

    unit: str
    estimate: str
    std_error: str | None
    sd: str | None
    n: str | None
    family: tuple[str, ...]
    reference: float | str | None
    rate: bool
    reference_se: float | str | None = None
    peers: PeerChoice = NO_PEERS
    weight: str | None = None


@dataclass(frozen=True)
class Cell:
    """One comparison: the units of one combination of the family columns.

    Attributes
    ----------
    key
        Values of the family columns.
    units
        Labels of all units, those that cannot take part among them.
    estimate, std_error, n
        (units,), nan where unknown; ``std_error`` nan leaves a unit out.
    reason
        Why a unit has no comparison, None where it has.
    reference, reference_se
        Outside value compared with, None for the group's mean, and its standard error (0: exactly known).
    peer
        Peer group of each unit, None where it cannot be told.
    covariates
        (units, covariates), nan where unknown.
    weight
        What each unit counts in a mean of the group: the column named, else its pupils of this comparison, 1 where numbers are
        not given.
    periods
        How many periods the estimate is pooled over.
    """

    key: tuple[Any, ...]
    units: pl.Series
    estimate: Floats
    std_error: Floats
    n: Floats
    reason: list[str | None]
    reference: float | None
    reference_se: float
    peer: list[str | None]
    covariates: Floats
    weight: Floats
    periods: Floats


def choose_columns(frame: pl.DataFrame, asked: Columns) -> Columns:
    """Return the columns to use: std_error as named, or sd and n, or what the frame has of these names.

    Raises
    ------
    UsageError
        ``compare_column_missing``, ``compare_no_error``, ``compare_name_taken``, ``compare_option`` (a rate has no std_error or
        sd of its own).
    """
    std_error, sd, n = asked.std_error, asked.sd, asked.n
    free = set(frame.columns) - {asked.unit, asked.estimate, asked.reference, *asked.family}
    n = "n" if n is None and "n" in free else n
    if asked.rate:
        if std_error is not None or sd is not None:
            raise UsageError("compare_option")
    elif std_error is None and sd is None:
        std_error = "std_error" if "std_error" in free else None
        sd = "sd" if std_error is None and "sd" in free else None
    known = n if asked.rate else std_error or (sd and n)
    named = [asked.unit, asked.estimate, *asked.family, std_error, sd, n, asked.weight]
    named += [name for name in (asked.reference, asked.reference_se) if isinstance(name, str)]
    named += [*asked.peers.columns, *asked.peers.numeric]
    for name in named:
        if name is not None and name not in frame.columns:
            raise UsageError("compare_column_missing", column=name, known=", ".join(frame.columns))
    if known is None:
        raise UsageError("compare_no_error")
    labels = [asked.unit, *asked.family]
    taken = sorted({name for name in labels if name in OUTPUT or labels.count(name) > 1})
    if taken:
        raise UsageError("compare_name_taken", columns=", ".join(taken))
    return replace(asked, std_error=std_error, sd=sd, n=n)


def read_cells(frame: pl.DataFrame, columns: Columns) -> list[Cell]:
    """Return the comparisons, sorted by the family columns, units sorted within.

    Raises
    ------
    DataFileError
        ``compare_value``: text, infinite values, negative errors, rates outside 0 and 1, several references in one comparison;
        ``compare_duplicate``: a unit twice in one comparison.
    NotAssessableError
        ``compare_no_estimates``: no unit with an estimate and its error.
    """
    _refuse_values(frame, columns)
    keys = [*columns.family, columns.unit]
    twice = frame.filter(pl.struct(keys).is_duplicated()).select(keys).unique().sort(keys)
    if twice.height:
        shown = "; ".join(" ".join(str(value) for value in row) for row in twice.head(5).iter_rows())
        raise DataFileError("compare_duplicate", n=twice.height, shown=shown)
    parts = {
        "_x": columns.estimate, "_se": columns.std_error, "_sd": columns.sd, "_n": columns.n, "_weight": columns.weight,
        "_ref": columns.reference if isinstance(columns.reference, str) else None,
        "_ref_se": columns.reference_se if isinstance(columns.reference_se, str) else None,
    }  # fmt: skip
    rows = frame.select(
        *keys,
        *(_number(frame, name).alias(key) if name else pl.lit(None, pl.Float64).alias(key) for key, name in parts.items()),
        *(_number(frame, name).alias(f"_number_{name}") for name in dict.fromkeys(columns.peers.numeric)),
        *(pl.col(name).alias(f"_peer_{name}") for name in dict.fromkeys(columns.peers.columns)),
    ).sort(keys)
    family = list(columns.family)
    split = rows.partition_by(family, as_dict=True, maintain_order=True) if family else {(): rows}
    cells = [_cell(key, part, columns) for key, part in split.items()]
    if not any(reason is None for cell in cells for reason in cell.reason):
        raise NotAssessableError("compare_no_estimates")
    return cells


def _number(frame: pl.DataFrame, name: str) -> pl.Expr:
    """Return a column as floats; blank and nan are null."""
    column = pl.col(name)
    if frame.schema[name] == pl.String:
        column = column.str.strip_chars()
    return column.cast(pl.Float64, strict=False).fill_nan(None)


def _refuse_values(frame: pl.DataFrame, columns: Columns) -> None:
    wrong = [name for name in (columns.unit, *columns.family) if frame[name].null_count()]
    limits = [(columns.estimate, 0.0 if columns.rate else -math.inf, 1.0 if columns.rate else math.inf)]
    limits += [(name, 0.0, math.inf) for name in (columns.std_error, columns.sd, columns.n, columns.weight) if name]
    limits += [(columns.reference, *limits[0][1:])] if isinstance(columns.reference, str) else []
    limits += [(columns.reference_se, 0.0, math.inf)] if isinstance(columns.reference_se, str) else []
    limits += [(name, -math.inf, math.inf) for name in columns.peers.numeric]
    for name, low, high in limits:
        given, found = frame[name], frame.select(_number(frame, name)).to_series()
        lost = found.is_null() & given.is_not_null()
        if given.dtype == pl.String:
            lost &= given.str.strip_chars() != ""
        elif given.dtype.is_float():
            lost &= given.is_not_nan()
        if lost.any() or found.is_infinite().any() or (found < low).any() or (found > high).any():
            wrong.append(name)
    for outside in (columns.reference, columns.reference_se):
        if isinstance(outside, str):
            groups = frame.with_columns(_number(frame, outside).alias("_ref"))
            per_cell = (
                groups.group_by(list(columns.family)).agg(pl.col("_ref").n_unique())["_ref"].max()
                if columns.family
                else groups["_ref"].n_unique()
            )
            if (outside == columns.reference and groups["_ref"].null_count()) or per_cell != 1:
                wrong.append(outside)
    if wrong:
        raise DataFileError("compare_value", columns=", ".join(dict.fromkeys(wrong)))


def _cell(key: tuple[Any, ...], rows: pl.DataFrame, columns: Columns) -> Cell:
    x, n = rows["_x"].to_numpy().copy(), rows["_n"].to_numpy().copy()
    if columns.rate:
        error = _rate_error(x, n)
    elif columns.std_error is not None:
        error = rows["_se"].to_numpy().copy()
    else:
        error = _error_of_sd(rows["_sd"].to_numpy(), n)
    error = np.where(error > 0, error, np.nan)
    no_n = np.isnan(n) | (n < 1) if columns.n is not None else np.zeros(len(x), dtype=np.bool_)
    reason = [
        "no_estimate" if math.isnan(x[i]) else "no_n" if no_n[i] else "no_std_error" if math.isnan(error[i]) else None
        for i in range(len(x))
    ]
    reference = columns.reference if not isinstance(columns.reference, str) else float(rows["_ref"][0])
    reference_se = columns.reference_se if not isinstance(columns.reference_se, str) else rows["_ref_se"][0]
    peers, covariates = _peers(rows, columns.peers)
    counts = n if columns.weight is None else rows["_weight"].to_numpy().copy()
    weighed = columns.n is not None or columns.weight is not None
    return Cell(
        key,
        rows[columns.unit],
        x,
        error,
        n,
        reason,
        reference,
        float(reference_se or 0.0),
        peers,
        covariates,
        np.where(np.isnan(counts), 0.0, counts) if weighed else np.ones(len(x)),
        np.ones(len(x)),
    )


def _peers(rows: pl.DataFrame, choice: PeerChoice) -> tuple[list[str | None], Floats]:
    """Return the units' peer groups, and their covariates."""
    covariates = np.empty((rows.height, len(choice.covariates)))
    for place, name in enumerate(choice.covariates):
        covariates[:, place] = rows[f"_number_{name}"].to_numpy()
    if choice.neighbours is not None:
        unknown: NDArray[np.bool_] = np.any(np.isnan(covariates), axis=1)
        return [None if missing else NEAREST for missing in unknown.tolist()], covariates
    if not choice.grouped:
        return [ALL] * rows.height, covariates
    own = {f"_peer_{name}": name for name in choice.columns} | {f"_number_{name}": name for name, _ in choice.size_classes}
    return label_peers(rows.select(pl.col(old).alias(new) for old, new in own.items()), choice), covariates


def _rate_error(p: Floats, n: Floats) -> Floats:
    """Return √(p̃(1 − p̃)/n) with Agresti and Coull's p̃ = (np + z²/2)/(n + z²), z = 1.96: above 0 for rates of 0 and 1.

    The divisor is n, as the rate itself is not drawn in: with n + z² units of ten pupils would pass for too certain.
    """
    z = normal_quantile(0.95)
    size = np.where(n >= 1, n, np.nan)
    middle = (size * p + z**2 / 2) / (size + z**2)
    return np.asarray(np.sqrt(middle * (1 - middle) / size))


def _error_of_sd(sd: Floats, n: Floats) -> Floats:
    """Return s/√n; s pooled within the units where a unit has few pupils or no spread."""
    df = np.where((n > 1) & ~np.isnan(sd), n - 1, 0.0)
    total = df.sum()
    pooled = float((df * np.where(df > 0, sd, 0.0) ** 2).sum() / total) if total > 0 else math.nan
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.where((n < POOLED_BELOW) | ~(sd > 0), pooled, sd**2)
        return np.asarray(np.sqrt(variance / np.where(n >= 1, n, np.nan)))
