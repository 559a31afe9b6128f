"""Whom each unit is set beside: its comparison, its group of like units, or its nearest neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.errors import UsageError

__all__ = ["ALL", "NEAREST", "NO_PEERS", "SMALLEST_PEERS", "PeerChoice"]
__all__ += ["choose_peers", "find_neighbours", "label_peers"]

Floats = NDArray[np.float64]
ALL, NEAREST = "all", "nearest"
"""Peer group of a unit set beside its whole comparison, and beside its neighbours."""
SMALLEST_PEERS = 5
"""A unit with fewer others beside it gets no contrast: ``peer_group_too_small``."""
_BLOCK = 2_000_000
_STEP = 1e8
"""Squared distances closer than 1/``_STEP`` are ties, which go by the order of the units."""


@dataclass(frozen=True)
class PeerChoice:
    """How peers are chosen; nothing of it set: the whole comparison.

    Attributes
    ----------
    columns
        Units with equal values of these are peers.
    size_classes
        Numeric columns cut into classes: a number of classes with equally many units, or bounds [a, b).
    neighbours
        How many nearest units each unit is set beside.
    covariates
        Numeric columns that say what is near.
    """

    columns: tuple[str, ...] = ()
    size_classes: tuple[tuple[str, int | tuple[float, ...]], ...] = ()
    neighbours: int | None = None
    covariates: tuple[str, ...] = ()

    @property
    def grouped(self) -> bool:
        """Whether units are parted into peer groups."""
        return bool(self.columns or self.size_classes)

    @property
    def numeric(self) -> tuple[str, ...]:
        """Columns that must hold numbers."""
        return (*(name for name, _ in self.size_classes), *self.covariates)


NO_PEERS = PeerChoice()


def choose_peers(
    peers: Sequence[str],
    size_classes: Mapping[str, int | Sequence[float]] | None,
    neighbours: int | None,
    covariates: Sequence[str],
    *,
    outside: bool,
) -> PeerChoice:
    """Return the choice, or stop at one that means nothing.

    Raises
    ------
    UsageError
        ``compare_peers_option``: peer groups, neighbours and an outside reference are three standards, of which one is chosen;
        fewer than five neighbours, or neighbours without covariates; fewer than two classes, or bounds that do not rise.
    """
    columns = (peers,) if isinstance(peers, str) else tuple(peers)
    near = (covariates,) if isinstance(covariates, str) else tuple(covariates)
    classes: list[tuple[str, int | tuple[float, ...]]] = []
    wrong = False
    for name, asked in (size_classes or {}).items():
        if isinstance(asked, int):
            wrong |= asked < 2
            classes.append((name, asked))
        else:
            bounds = tuple(float(bound) for bound in asked)
            wrong |= not bounds or not np.isfinite(bounds).all() or bool((np.diff(bounds) <= 0).any())
            classes.append((name, bounds))
    wrong |= sum((bool(columns or classes), neighbours is not None, outside)) > 1
    wrong |= (neighbours is None) != (not near) or (neighbours is not None and neighbours < SMALLEST_PEERS)
    wrong |= len({*columns, *(name for name, _ in classes)}) < len(columns) + len(classes) or len(set(near)) < len(near)
    if wrong:
        raise UsageError("compare_peers_option", least=SMALLEST_PEERS)
    return PeerChoice(columns, tuple(classes), neighbours, near)


def label_peers(rows: pl.DataFrame, choice: PeerChoice) -> list[str | None]:
    """Return each unit's peer group as ``COLUMN=VALUE;...``, None where one of the values is unknown.

    Parameters
    ----------
    rows
        One row per unit, with the columns of the choice; those of size classes are floats.
    choice
        With peer columns or size classes.

    Examples
    --------
    >>> rows = pl.DataFrame({"kind": ["public", "public", None], "size": [300.0, 900.0, 500.0]})
    >>> label_peers(rows, PeerChoice(columns=("kind",), size_classes=(("size", (500.0,)),)))
    ['kind=public;size=<500', 'kind=public;size=>=500', None]
    """
    parts: list[list[str | None]] = []
    for name in choice.columns:
        parts.append([None if value is None else f"{name}={value}" for value in rows[name].to_list()])
    for name, asked in choice.size_classes:
        values = rows[name].to_numpy()
        bounds = np.array(asked) if isinstance(asked, tuple) else _equal_classes(values, asked)
        texts = _class_texts(bounds)
        places = np.searchsorted(bounds, values, side="right")
        parts.append([None if np.isnan(value) else f"{name}={texts[place]}" for value, place in zip(values, places, strict=True)])
    joined: list[str | None] = []
    for line in zip(*parts, strict=True):
        known = [part for part in line if part is not None]
        joined.append(";".join(known) if len(known) == len(parts) else None)
    return joined


def _equal_classes(values: Floats, classes: int) -> Floats:
    """Return the bounds of classes with about equally many units; ties stay together."""
    known = values[~np.isnan(values)]
    if len(known) == 0:
        return np.empty(0)
    bounds = np.unique(np.quantile(known, np.arange(1, classes) / classes, method="inverted_cdf"))
    return np.asarray(bounds[bounds > known.min()], dtype=np.float64)


def _class_texts(bounds: Floats) -> list[str]:
    if len(bounds) == 0:
        return [ALL]
    shown = [f"{bound:g}" if abs(bound) < 1e5 else f"{bound:.10g}" for bound in bounds]
    inner = [f"[{low},{high})" for low, high in pairwise(shown)]
    return [f"<{shown[0]}", *inner, f">={shown[-1]}"]


def find_neighbours(covariates: Floats, allowed: NDArray[np.bool_], k: int) -> NDArray[np.intp]:
    """Return the k nearest units of each unit, never itself; as many as there are where that is fewer.

    Distance: Euclid's on covariates divided by their SD over the units (a covariate without spread tells nothing apart). Every
    declared covariate counts the same, which Mahalanobis' distance would not keep with few units or collinear covariates. Ties
    go by the order of the units.

    Parameters
    ----------
    covariates
        Float array (units, covariates), no nan.
    allowed
        (units,), which units may be a neighbour.
    k
        At least one.

    Returns
    -------
    numpy.ndarray
        Places (units, up to k), sorted within a row; −1 fills a row that has one fewer than the others.

    Examples
    --------
    >>> size = np.array([[100.0], [110.0], [130.0], [400.0]])
    >>> find_neighbours(size, np.full(4, True), 2).tolist()
    [[1, 2], [0, 2], [0, 1], [1, 2]]
    """
    size = len(covariates)
    if not allowed.any():
        return np.empty((size, 0), dtype=np.intp)
    spread = covariates.std(axis=0)
    scaled = (covariates - covariates.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    open_ = np.flatnonzero(allowed)
    k = min(k, len(open_))
    found = np.empty((size, k), dtype=np.intp)
    step = max(1, _BLOCK // len(open_))
    for first in range(0, size, step):
        own = scaled[first : first + step]
        squared = np.zeros((len(own), len(open_)))
        for column in range(scaled.shape[1]):
            squared += (own[:, column, None] - scaled[open_, column]) ** 2
        # whole keys that no two units share, so that the choice among ties does not depend on the sorting
        keys = np.rint(np.minimum(squared, 1e5) * _STEP).astype(np.int64) * size + open_
        keys[np.arange(first, first + len(own))[:, None] == open_] = np.iinfo(np.int64).max
        chosen = np.argpartition(keys, k - 1, axis=1)[:, :k]
        itself = np.take_along_axis(keys, chosen, axis=1) == np.iinfo(np.int64).max
        found[first : first + step] = np.sort(np.where(itself, -1, open_[chosen]), axis=1)
    return found
