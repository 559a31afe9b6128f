"""From frames of pupils or of units to the sums every index is computed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.errors import DataFileError, NotAssessableError, UsageError
from eduq.estimates.equity.gaps import PupilCells
from eduq.estimates.equity.shares import UnitSums

__all__ = ["Bottom", "Columns", "EquityData", "read_pupils", "read_units"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Bottom:
    """The lowest part of an area: the threshold, and pupils at or below it and in all per unit."""

    threshold: float
    within: Floats
    base: Floats


@dataclass(frozen=True)
class EquityData:
    """One table of units: one paper of one exam, one period.

    Attributes
    ----------
    key
        Values of the family columns.
    units
        Labels, sorted; (S,).
    sums
        Per unit.
    census
        The values are counts, not samples of pupils.
    attributes
        Kind of each unit by attribute, null where unknown.
    cells
        Pupils of each unit by attribute.
    logs
        Σx·ln x per unit, where every pupil's value is known and none is negative.
    bottom
        The lowest part, where every pupil's value is known.
    n_left_out
        Rows that could not be used.
    reason
        Why nothing can be compared, or None.
    """

    key: tuple[Any, ...]
    units: list[Any]
    sums: UnitSums
    census: bool = False
    attributes: Mapping[str, Sequence[str | None]] = field(default_factory=dict)
    cells: Mapping[str, PupilCells] = field(default_factory=dict)
    logs: Floats | None = None
    bottom: Bottom | None = None
    n_left_out: int = 0
    reason: str | None = None


@dataclass(frozen=True)
class Columns:
    """Names of the caller's columns."""

    unit: str
    value: str | None
    n: str | None
    mean: str | None
    sd: str | None
    family: tuple[str, ...]
    unit_attributes: tuple[str, ...]
    pupil_attributes: tuple[str, ...]

    def named(self) -> list[str]:
        """Every column there must be."""
        single = [name for name in (self.unit, self.value, self.n, self.mean, self.sd) if name]
        return [*single, *self.family, *self.unit_attributes, *self.pupil_attributes]


def _tidy(frame: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    """Return the named columns with numbers as floats; stop at columns that are missing and at what is no number."""
    named = columns.named()
    for name in named:
        if name not in frame.columns:
            raise UsageError("equity_column_missing", column=name, known=", ".join(frame.columns))
    if len(set(named)) < len(named):
        raise UsageError("equity_column_twice", columns=", ".join(sorted({name for name in named if named.count(name) > 1})))
    numbers = [name for name in (columns.value, columns.n, columns.mean, columns.sd) if name]
    rows = frame.select(
        *(_number(frame, name) for name in numbers),
        *(pl.col(name) for name in (columns.unit, *columns.family)),
        *(pl.col(name).cast(pl.String) for name in (*columns.unit_attributes, *columns.pupil_attributes)),
    )
    for name in numbers:
        broken = frame.select(
            ((rows[name].is_null() & pl.col(name).is_not_null()) | rows[name].is_infinite().fill_null(False)).sum()
        ).item()
        if frame.schema[name].is_float():
            broken -= int(frame[name].is_nan().sum())
        if broken or (name in (columns.n, columns.sd) and (rows[name] < 0).any()):
            raise DataFileError("equity_value", columns=name)
    if rows[columns.unit].null_count() or any(rows[name].null_count() for name in columns.family):
        raise DataFileError("equity_value", columns=", ".join([columns.unit, *columns.family]))
    return rows


def _number(frame: pl.DataFrame, name: str) -> pl.Expr:
    column = pl.col(name).str.strip_chars() if frame.schema[name] == pl.String else pl.col(name)
    return column.cast(pl.Float64, strict=False).fill_nan(None)


def _parts(rows: pl.DataFrame, family: tuple[str, ...]) -> list[tuple[tuple[Any, ...], pl.DataFrame]]:
    if rows.is_empty():
        raise NotAssessableError("equity_no_values")
    if not family:
        return [((), rows)]
    return sorted(rows.partition_by(list(family), as_dict=True).items(), key=lambda part: tuple(map(str, part[0])))


def _attributes(rows: pl.DataFrame, columns: Columns, units: pl.DataFrame) -> dict[str, list[str | None]]:
    """Return the kind of every unit; stop where a unit has two."""
    found: dict[str, list[str | None]] = {}
    for name in columns.unit_attributes:
        kinds = rows.select(columns.unit, name).drop_nulls().unique()
        if kinds.height > kinds[columns.unit].n_unique():
            raise DataFileError("equity_attribute_varies", column=name)
        found[name] = units.join(kinds, on=columns.unit, how="left", maintain_order="left")[name].to_list()
    return found


def _sums(rows: pl.DataFrame, by: list[str], value: str) -> tuple[pl.DataFrame, UnitSums]:
    """Return the cells and their sums; the order of rows changes nothing."""
    cells = (
        rows.sort([*by, value])
        .group_by(by, maintain_order=True)
        .agg(
            pl.len().cast(pl.Float64).alias("__n"),
            pl.col(value).mean().alias("__mean"),
            ((pl.col(value) - pl.col(value).mean()) ** 2).sum().alias("__squares"),
        )
    )
    n, mean, squares = (cells[name].to_numpy() for name in ("__n", "__mean", "__squares"))
    return cells, UnitSums(n, mean, squares)


def read_pupils(frame: pl.DataFrame, columns: Columns, share: float) -> list[EquityData]:
    """Return the tables of a frame with one row per pupil; rows without a value are left out and counted.

    Raises
    ------
    UsageError
        ``equity_column_missing``, ``equity_column_twice``.
    DataFileError
        ``equity_value``: not a number, infinite, or a blank unit; ``equity_attribute_varies``.
    NotAssessableError
        ``equity_no_values``.
    """
    value = columns.value or ""
    return [_pupils(key, part, columns, value, share) for key, part in _parts(_tidy(frame, columns), columns.family)]


def _pupils(key: tuple[Any, ...], rows: pl.DataFrame, columns: Columns, value: str, share: float) -> EquityData:
    known = rows.filter(pl.col(value).is_not_null())
    cells, sums = _sums(known, [columns.unit], value)
    units = cells.select(columns.unit)
    place = units.with_row_index("__unit").with_columns(pl.col("__unit").cast(pl.Int64))
    pupils: dict[str, PupilCells] = {}
    for name in columns.pupil_attributes:
        sides, side_sums = _sums(known.drop_nulls(name), [columns.unit, name], value)
        where = sides.join(place, on=columns.unit, how="left", maintain_order="left")["__unit"].to_numpy()
        pupils[name] = PupilCells(where, sides[name].to_list(), side_sums)
    return EquityData(
        key=key,
        units=units[columns.unit].to_list(),
        sums=sums,
        attributes=_attributes(known, columns, units),
        cells=pupils,
        logs=_logs(known, columns.unit, value, place),
        bottom=_bottom(known, columns.unit, value, place, share),
        n_left_out=rows.height - known.height,
        reason=None if known.height else "no_values",
    )


def _per_unit(known: pl.DataFrame, unit: str, place: pl.DataFrame, values: Floats) -> Floats:
    where = known.select(unit).join(place, on=unit, how="left", maintain_order="left")["__unit"].to_numpy()
    return np.bincount(where, weights=values, minlength=place.height).astype(np.float64)


def _logs(known: pl.DataFrame, unit: str, value: str, place: pl.DataFrame) -> Floats | None:
    if known.is_empty() or known[value].min() < 0:  # type: ignore[operator]
        return None
    ordered = known.sort(unit, value)
    x = ordered[value].to_numpy()
    return _per_unit(ordered, unit, place, x * np.log(np.where(x > 0, x, 1.0)))


def _bottom(known: pl.DataFrame, unit: str, value: str, place: pl.DataFrame, share: float) -> Bottom | None:
    """Threshold: the smallest value that at least this share of all pupils do not exceed."""
    if known.is_empty():
        return None
    rank = max(int(np.ceil(round(known.height * share, 9))), 1)
    threshold = float(np.sort(known[value].to_numpy())[rank - 1])
    within = _per_unit(known, unit, place, (known[value].to_numpy() <= threshold).astype(np.float64))
    return Bottom(threshold, within, _per_unit(known, unit, place, np.ones(known.height)))


def read_units(frame: pl.DataFrame, columns: Columns) -> list[EquityData]:
    """Return the tables of a frame with one row per unit (n, mean and sd; without sd the means are counts, not samples).

    Raises
    ------
    UsageError
        ``equity_column_missing``, ``equity_column_twice``.
    DataFileError
        ``equity_value``; ``equity_duplicate``: a unit has two rows.
    NotAssessableError
        ``equity_no_values``.
    """
    return [_units(key, part, columns) for key, part in _parts(_tidy(frame, columns), columns.family)]


def _units(key: tuple[Any, ...], rows: pl.DataFrame, columns: Columns) -> EquityData:
    n, mean, sd = columns.n or "", columns.mean or "", columns.sd
    if rows[columns.unit].n_unique() < rows.height:
        raise DataFileError("equity_duplicate", n=rows.height - rows[columns.unit].n_unique())
    usable = (pl.col(n) > 0) & pl.col(mean).is_not_null()
    if sd:
        usable &= (pl.col(n) >= 1) & (pl.col(sd).is_not_null() | (pl.col(n) == 1))
    known = rows.filter(usable.fill_null(False)).sort(columns.unit)
    size = known[n].to_numpy()
    spread = known[sd].fill_null(0.0).to_numpy() if sd else np.full(len(size), np.nan)
    return EquityData(
        key=key,
        units=known[columns.unit].to_list(),
        sums=UnitSums(size, known[mean].to_numpy(), spread**2 * (size - 1)),
        census=sd is None,
        attributes=_attributes(known, columns, known.select(columns.unit)),
        n_left_out=rows.height - known.height,
        reason=None if known.height else "no_values",
    )
