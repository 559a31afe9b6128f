"""Adjusted p-values of families, along the last axis of an array.

The same numbers as statsmodels' ``multipletests`` (a test says so), for many families at once and without its import.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["adjust_bh", "adjust_holm"]

Floats = NDArray[np.float64]


def _ordered(p: Floats) -> tuple[NDArray[np.intp], Floats, Floats, Floats]:
    """Return the order (nan last), the ordered p, their places from 1 on and the size of each family."""
    order = np.argsort(p, axis=-1, kind="stable")
    sorted_p = np.take_along_axis(p, order, axis=-1)
    place = np.arange(1, p.shape[-1] + 1, dtype=np.float64)
    size = np.sum(~np.isnan(p), axis=-1, keepdims=True).astype(np.float64)
    return order, sorted_p, place, size


def _put_back(adjusted: Floats, order: NDArray[np.intp], p: Floats) -> Floats:
    result = np.empty_like(p)
    np.put_along_axis(result, order, adjusted, axis=-1)
    return np.where(np.isnan(p), np.nan, np.minimum(result, 1.0))


def adjust_holm(p: Floats) -> Floats:
    """Return Holm's adjusted p-values: the running maximum of (m − i + 1)·p₍ᵢ₎.

    Parameters
    ----------
    p
        p-values, float array (..., units); nan leaves the family and its size.

    References
    ----------
    Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal of Statistics 6, 65-70.

    Examples
    --------
    >>> adjust_holm(np.array([0.01, 0.04, np.nan, 0.03])).tolist()
    [0.03, 0.06, nan, 0.06]
    """
    order, sorted_p, place, size = _ordered(p)
    steps = np.where(np.isnan(sorted_p), np.inf, (size - place + 1) * sorted_p)
    return _put_back(np.maximum.accumulate(steps, axis=-1), order, p)


def adjust_bh(p: Floats) -> Floats:
    """Return Benjamini and Hochberg's q-values: the running minimum, from the top, of m·p₍ᵢ₎/i.

    Parameters
    ----------
    p
        p-values, float array (..., units); nan leaves the family and its size.

    References
    ----------
    Benjamini, Y. and Hochberg, Y. (1995). Controlling the false discovery rate. JRSS B 57, 289-300.

    Examples
    --------
    >>> adjust_bh(np.array([0.01, 0.04, np.nan, 0.03])).round(12).tolist()
    [0.03, 0.04, nan, 0.04]
    """
    order, sorted_p, place, size = _ordered(p)
    steps = np.where(np.isnan(sorted_p), np.inf, size * sorted_p / place)
    lowered = np.minimum.accumulate(steps[..., ::-1], axis=-1)[..., ::-1]
    return _put_back(lowered, order, p)
