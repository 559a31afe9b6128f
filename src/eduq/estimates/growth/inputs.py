"""From the caller's frame to the rows that growth methods use: columns checked, blanks counted, numbers as floats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.errors import DataFileError, NotAssessableError, UsageError
from eduq.estimates.frames import FrameLike, as_frame

__all__ = ["GrowthRows", "read_rows"]

REASONS = ("no_unit", "no_outcome", "no_prior", "no_covariate", "no_class")


@dataclass(frozen=True)
class GrowthRows:
    """Rows that have everything the method needs, in the caller's order.

    Attributes
    ----------
    frame
        The caller's frame, whole.
    at
        Places of the used rows in that frame.
    units
        Labels of the units of the used rows, sorted.
    unit_of
        Place in ``units`` of each used row.
    y
        Outcome of the used rows.
    x
        Priors of the used rows (n, number of priors).
    left_out
        reason, n; one row for each reason, also where n is 0.
    """

    frame: pl.DataFrame
    at: NDArray[np.int64]
    unit: str
    outcome: str
    prior: tuple[str, ...]
    units: pl.Series
    unit_of: NDArray[np.int64]
    y: NDArray[np.float64]
    x: NDArray[np.float64]
    left_out: pl.DataFrame

    @property
    def n(self) -> int:
        """Number of rows used."""
        return len(self.y)


def read_rows(
    frame: FrameLike,
    *,
    unit: str,
    outcome: str,
    prior: Sequence[str],
    covariates: Sequence[str] = (),
    class_unit: str | None = None,
) -> GrowthRows:
    """Return the rows in which unit, outcome, every prior, every covariate and the class stand.

    Raises
    ------
    UsageError
        ``growth_source`` (not a table), ``growth_column_missing``, ``growth_column_twice``.
    DataFileError
        ``growth_value``: text for a number, infinite values.
    NotAssessableError
        ``growth_no_rows``: no row has everything.
    """
    frame = as_frame(frame, error="growth_source")
    named = [unit, outcome, *prior, *covariates, *([class_unit] if class_unit else [])]
    for name in named:
        if name not in frame.columns:
            raise UsageError("growth_column_missing", column=name, known=", ".join(frame.columns))
        if named.count(name) > 1:
            raise UsageError("growth_column_twice", column=name)
    numbers = {name: _numbers(frame, name) for name in (outcome, *prior)}
    blank = [
        ("no_unit", _blank(frame[unit])),
        ("no_outcome", numbers[outcome].is_null()),
        *(("no_prior", numbers[name].is_null()) for name in prior),
        *(("no_covariate", _blank(frame[name])) for name in covariates),
        *([("no_class", _blank(frame[class_unit]))] if class_unit else []),
    ]
    kept = np.ones(frame.height, dtype=bool)
    counts = dict.fromkeys(REASONS, 0)
    for reason, gone in blank:
        if not gone.any():
            continue
        lost = gone.to_numpy() & kept
        counts[reason] += int(lost.sum())
        kept &= ~lost
    at = np.flatnonzero(kept)
    if not len(at):
        raise NotAssessableError("growth_no_rows", n=frame.height)
    left_out = pl.DataFrame({"reason": list(counts), "n": list(counts.values())}, schema={"reason": pl.String, "n": pl.Int64})

    def take(values: pl.Series) -> NDArray[np.float64]:
        found = values.to_numpy()
        return np.asarray(found if len(at) == frame.height else found[at], dtype=np.float64)

    labels = frame[unit] if len(at) == frame.height else frame[unit].gather(at)
    units, unit_of = number_labels(labels)
    x = np.column_stack([take(numbers[name]) for name in prior]) if prior else np.empty((len(at), 0))
    return GrowthRows(frame, at, unit, outcome, tuple(prior), units, unit_of, take(numbers[outcome]), x, left_out)


def number_labels(labels: pl.Series) -> tuple[pl.Series, NDArray[np.int64]]:
    """Return the distinct labels sorted, and the place of each label among them."""
    if labels.dtype.is_integer() and len(labels) and not labels.null_count():
        found = _number_integers(labels)
        if found is not None:
            return found
    distinct = labels.unique().sort()
    places = pl.DataFrame({"label": distinct, "place": np.arange(len(distinct), dtype=np.int64)})
    placed = labels.alias("label").to_frame().join(places, on="label", how="left", maintain_order="left")["place"]
    return distinct, placed.to_numpy()


def _number_integers(labels: pl.Series) -> tuple[pl.Series, NDArray[np.int64]] | None:
    """Return the same of whole numbers that lie close together, by counting; None where they lie far apart."""
    lowest, highest = int(labels.min()), int(labels.max())  # type: ignore[arg-type]
    if highest - lowest > max(4 * len(labels), 2**20) or highest >= 2**62 or lowest <= -(2**62):
        return None
    offset = labels.to_numpy().astype(np.int64) - lowest
    there = np.zeros(highest - lowest + 1, dtype=bool)
    there[offset] = True
    place = np.cumsum(there) - 1
    distinct = pl.Series(labels.name, np.flatnonzero(there) + lowest).cast(labels.dtype)
    return distinct, place[offset]


def _numbers(frame: pl.DataFrame, name: str) -> pl.Series:
    """Return a column as floats: blank and nan are null; what is no number stops."""
    given = frame[name]
    if given.dtype == pl.String:
        given = given.str.strip_chars()
        given = given.set(given == "", None)
    if given.dtype.is_float():
        given = given.fill_nan(None)
    elif not (given.dtype.is_numeric() or given.dtype in (pl.Boolean, pl.String, pl.Null)):
        raise DataFileError("growth_value", column=name)
    found = given.cast(pl.Float64, strict=False)
    if found.null_count() > given.null_count() or found.is_infinite().any() or found.is_nan().any():
        raise DataFileError("growth_value", column=name)
    return found


def _blank(given: pl.Series) -> pl.Series:
    if given.dtype.is_float():
        return given.is_null() | given.is_nan()
    if given.dtype == pl.String:
        return given.is_null() | (given.str.strip_chars() == "")
    return given.is_null()
