"""From a frame of estimates to the arrays of each family: columns, duplicates, breaks, window, sampling variances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.errors import DataFileError, NotAssessableError, UsageError
from eduq.estimates.declines.bounds import DeclineBounds
from eduq.estimates.declines.panels import SMALLEST
from eduq.estimates.declines.periods import number_periods

__all__ = ["Columns", "Stratum", "read_strata"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Columns:
    """Names of the caller's columns; ``std_error``, or ``sd`` and ``n``, tell the sampling variance."""

    unit: str
    period: str
    estimate: str
    std_error: str | None
    sd: str | None
    n: str | None
    scale: str | float | None
    family: tuple[str, ...]
    segment: str | None


@dataclass(frozen=True)
class Stratum:
    """Series of one family that share period effects: one measure, year group and subject.

    Attributes
    ----------
    key
        Values of the family columns.
    units, periods
        Labels of the axes.
    times
        Periods as numbers.
    spacing
        ``years`` or ``order``.
    estimates, variances
        (S, T), in pupil SDs, nan where there is nothing usable.
    n
        (S, T), nan where unknown.
    rows
        The caller's rows with ``used`` and ``reason``.
    n_replaced
        Cells whose own sampling variance was 0 or unknown.
    """

    key: tuple[Any, ...]
    units: pl.Series
    periods: list[Any]
    times: Floats
    spacing: str
    estimates: Floats
    variances: Floats
    n: Floats
    rows: pl.DataFrame
    n_replaced: int


def read_strata(frame: pl.DataFrame, columns: Columns, bounds: DeclineBounds) -> list[Stratum]:
    """Return the arrays of every stratum (combination of the family columns), sorted.

    Raises
    ------
    UsageError
        ``declines_column_missing``, ``declines_no_error``.
    DataFileError
        ``declines_duplicate``: two estimates of one unit and period; ``declines_value``: an infinite or negative value.
    NotAssessableError
        ``declines_no_estimates``: no usable estimate at all.
    """
    rows = _tidy(frame, columns)
    _refuse_duplicates(rows, columns)
    usable = rows.filter(pl.col("_y").is_not_null())
    if usable.is_empty():
        raise NotAssessableError("declines_no_estimates")
    if not columns.family:
        return [_stratum((), rows, columns, bounds)]
    parts = rows.partition_by(list(columns.family), as_dict=True, maintain_order=True)
    return [_stratum(key, parts[key], columns, bounds) for key in sorted(parts, key=lambda key: tuple(map(str, key)))]


def _tidy(frame: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    """Return the rows sorted, with _y, _se, _sd, _n as floats in pupil SDs (null where unknown)."""
    named = [columns.unit, columns.period, columns.estimate, *columns.family]
    named += [name for name in (columns.std_error, columns.sd, columns.n, columns.segment) if name]
    named += [columns.scale] if isinstance(columns.scale, str) else []
    for name in named:
        if name not in frame.columns:
            raise UsageError("declines_column_missing", column=name, known=", ".join(frame.columns))
    if columns.std_error is None and (columns.sd is None or columns.n is None):
        raise UsageError("declines_no_error")
    _refuse_values(frame, columns)
    scale = _number(frame, columns.scale) if isinstance(columns.scale, str) else pl.lit(columns.scale or 1.0)

    def number(name: str | None, over: pl.Expr) -> pl.Expr:
        return _number(frame, name) / over if name else pl.lit(None, dtype=pl.Float64)

    return frame.with_columns(
        number(columns.estimate, scale).alias("_y"),
        number(columns.std_error, scale).alias("_se"),
        number(columns.sd, scale).alias("_sd"),
        number(columns.n, pl.lit(1.0)).alias("_n"),
    ).sort([*columns.family, columns.unit, columns.period], nulls_last=True, maintain_order=True)


def _number(frame: pl.DataFrame, name: str) -> pl.Expr:
    """Return a column as floats: blank and nan are null, as is text that is no number (`_refuse_values` stops there)."""
    column = pl.col(name)
    if frame.schema[name] == pl.String:
        column = column.str.strip_chars()
    return column.cast(pl.Float64, strict=False).fill_nan(None)


def _refuse_values(frame: pl.DataFrame, columns: Columns) -> None:
    """Stop at what cannot be a value: text for a number, infinite, negative errors or numbers, a scale that is not positive."""

    def is_wrong(name: str) -> bool:
        given, found = frame[name], frame.select(_number(frame, name)).to_series()
        lost = found.is_null() & given.is_not_null()
        if given.dtype == pl.String:
            lost &= given.str.strip_chars() != ""
        elif given.dtype.is_float():
            lost &= given.is_not_nan()
        limits = {columns.estimate: None, columns.scale: found <= 0}
        outside = limits.get(name, found < 0)
        return bool(lost.any()) or bool(found.is_infinite().any()) or (outside is not None and bool(outside.any()))

    def is_blank(name: str) -> bool:
        given = frame[name]
        return bool(given.is_null().any()) or (given.dtype.is_float() and not bool(given.is_finite().all()))

    numbers = [columns.estimate, columns.std_error, columns.sd, columns.n, columns.scale]
    wrong = [name for name in (columns.unit, columns.period) if is_blank(name)]
    wrong += [name for name in numbers if isinstance(name, str) and is_wrong(name)]
    if wrong:
        raise DataFileError("declines_value", columns=", ".join(dict.fromkeys(wrong)))


def _refuse_duplicates(rows: pl.DataFrame, columns: Columns) -> None:
    keys = [*columns.family, columns.unit, columns.period]
    # rows are sorted by these keys
    same = rows.select(pl.all_horizontal(pl.col(key).eq_missing(pl.col(key).shift(1)) for key in keys).alias("same"))["same"]
    if same.any():
        twice = rows.filter(same).select(keys).unique(maintain_order=True)
        shown = "; ".join(" ".join(str(value) for value in row) for row in twice.head(5).iter_rows())
        raise DataFileError("declines_duplicate", n=twice.height, shown=shown)


def _stratum(key: tuple[Any, ...], rows: pl.DataFrame, columns: Columns, bounds: DeclineBounds) -> Stratum:
    """Drop what does not count, with the reason, and lay the rest out by unit and period."""
    reason: Any = pl.when(pl.col("_y").is_null()).then(pl.lit("no_estimate"))
    if columns.std_error is not None:
        reason = reason.when(pl.col("_se").is_null()).then(pl.lit("no_std_error"))
    else:
        reason = reason.when(pl.col("_n").is_null() | (pl.col("_n") < 1)).then(pl.lit("no_n"))
    if columns.segment:
        newest = pl.col(columns.segment).last().over(columns.unit)
        reason = reason.when(pl.col(columns.segment) != newest).then(pl.lit("before_break"))
    rows = rows.with_columns(reason.otherwise(None).alias("reason"))
    per_period = rows.filter(pl.col("reason").is_null()).group_by(columns.period).len().sort(columns.period)
    kept = per_period[columns.period].tail(bounds.window)
    rows = rows.with_columns(
        pl.when(pl.col("reason").is_null() & ~pl.col(columns.period).is_in(kept.implode()))
        .then(pl.lit("outside_window"))
        .otherwise(pl.col("reason"))
        .alias("reason")
    ).with_columns(pl.col("reason").is_null().alias("used"))
    units = rows[columns.unit].unique(maintain_order=True)
    periods = kept.to_list()
    used = rows.filter("used")
    labels = rows[columns.period].unique().sort().to_list()
    all_times, spacing = number_periods(labels)
    times = all_times[[labels.index(period) for period in periods]]
    at = (_places(used[columns.unit], units), _places(used[columns.period], kept))
    shape = (len(units), len(periods))

    def lay_out(name: str) -> Floats:
        found = np.full(shape, np.nan)
        found[at] = used[name].to_numpy()
        return found

    y, n = lay_out("_y"), lay_out("_n")
    given = lay_out("_se") if columns.std_error is not None else lay_out("_sd")
    variances, replaced = _variances(y, given, n, from_sd=columns.std_error is None, bounds=bounds)
    return Stratum(key, units, periods, times, spacing, y, variances, n, rows, replaced)


def _places(values: pl.Series, labels: pl.Series) -> NDArray[np.int64]:
    index = pl.DataFrame({"label": labels, "place": np.arange(len(labels))})
    return values.to_frame("label").join(index, on="label", how="left", maintain_order="left")["place"].to_numpy()


def _variances(y: Floats, given: Floats, n: Floats, *, from_sd: bool, bounds: DeclineBounds) -> tuple[Floats, int]:
    """Return v_st and how many cells could not use their own.

    From sd and n: σ̂²_s/n_st with the unit's within variance pooled over its years, the family's where Σ(n − 1) < 60 or the
    unit's is 0. From std_error: its square; 0 (all pupils alike) becomes the unit's mean over other years, else the family's.
    """
    seen = ~np.isnan(y)
    with np.errstate(invalid="ignore", divide="ignore"):
        if not from_sd:
            own = np.where(seen & (given > 0), given**2, np.nan)
            replaced = int((seen & ~(given > 0)).sum())
            return np.where(seen, _fill(own), np.nan), replaced
        weight = np.where(seen & (n > 1) & ~np.isnan(given), n - 1, 0.0)
        squares = np.where(weight > 0, weight * given**2, 0.0)
        df = weight.sum(axis=1)
        county = squares.sum() / max(weight.sum(), 1.0)
        own = squares.sum(axis=1) / np.where(df > 0, df, 1.0)
        pooled = (df < bounds.min_df_own) | (own <= 0)
        variance = np.where(pooled, county, own)
        return np.where(seen, np.maximum(variance[:, None] / n, SMALLEST), np.nan), int((seen & pooled[:, None]).sum())


def _fill(own: Floats) -> Floats:
    """Return variances with gaps filled by the unit's mean, else the family's median, else the smallest variance."""
    known = ~np.isnan(own)
    counted = known.sum(axis=1, keepdims=True)
    mean = np.where(known, own, 0.0).sum(axis=1, keepdims=True) / np.maximum(counted, 1)
    family = float(np.median(own[known])) if known.any() else SMALLEST
    return np.maximum(np.where(known, own, np.where(counted > 0, mean, family)), SMALLEST)


def default_columns(
    frame: pl.DataFrame, *, named: Sequence[str | None], taken: Sequence[str]
) -> tuple[str | None, str | None, str | None]:
    """Return std_error, sd and n as named, or as the frame has them when none is: sd and n before std_error.

    Columns that are taken for something else are not looked at.
    """
    std_error, sd, n = named
    free = set(frame.columns) - set(taken)
    if std_error is None and sd is None:
        if {"sd", n or "n"} <= free:
            return None, "sd", n or "n"
        std_error = "std_error" if "std_error" in free else None
    if sd is not None and n is None:
        n = "n"
    if n is None and "n" in free and std_error is not None:
        n = "n"
    return std_error, sd, n
