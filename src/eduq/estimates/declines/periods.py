"""Periods as numbers: school years and years keep their distances, anything else counts in its order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["number_periods"]

_SCHOOL_YEAR = re.compile(r"(\d{4})-(\d{4})(?:-([12]))?")


def number_periods(periods: Sequence[Any]) -> tuple[NDArray[np.float64], str]:
    """Return periods as numbers and how they were read: ``years`` or ``order``.

    Parameters
    ----------
    periods
        Sorted distinct periods: integers and school years (``2024-2025``, with ``-1`` or ``-2`` for the term) are years, and a
        year nobody has keeps its place; other labels and dates are numbered in their order.

    Examples
    --------
    >>> number_periods(["2021-2022", "2022-2023", "2024-2025"])[0].tolist()
    [2021.0, 2022.0, 2024.0]
    """
    if all(isinstance(period, int) and not isinstance(period, bool) for period in periods):
        return np.array(periods, dtype=np.float64), "years"
    years = [_read_year(period) for period in periods]
    if all(year is not None for year in years):
        return np.array(years, dtype=np.float64), "years"
    return np.arange(len(periods), dtype=np.float64), "order"


def _read_year(period: object) -> float | None:
    found = _SCHOOL_YEAR.fullmatch(str(period))
    if found and int(found[2]) == int(found[1]) + 1:
        return int(found[1]) + (int(found[3]) - 1) / 2 if found[3] else float(found[1])
    return float(str(period)) if re.fullmatch(r"\d{4}", str(period)) else None
