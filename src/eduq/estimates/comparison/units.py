"""Comparison of units of one kind: who differs from the group, and what of a ranking can be relied on."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.errors import UsageError
from eduq.estimates.comparison.fits import FittedCell, fit_cell
from eduq.estimates.comparison.inputs import OUTPUT, Columns, choose_columns, read_cells
from eduq.estimates.comparison.peers import choose_peers
from eduq.estimates.comparison.pooling import POOLED_PERIODS, check_pooling, pool_small_units
from eduq.estimates.comparison.results import ComparisonResult
from eduq.estimates.declines.multiplicity import adjust_bh
from eduq.estimates.frames import FrameLike, as_frame

__all__ = ["compare_units"]

SMALLEST_RANKED = 10
"""Units with fewer pupils are not ranked when nobody says."""
_WHOLE = ("n_peers", "n", "periods", "rank", "rank_lower", "rank_upper", "n_units", "family_size")
_SAID = ("could_be_last", "could_be_first")
_TEXTS = ("peer_group", "funnel", "funnel_998", "reason", "method")


def compare_units(
    frame: FrameLike,
    *,
    unit: str = "school_id",
    estimate: str = "estimate",
    std_error: str | None = None,
    sd: str | None = None,
    n: str | None = None,
    weight: str | None = None,
    family: Sequence[str] = (),
    peers: Sequence[str] = (),
    size_classes: Mapping[str, int | Sequence[float]] | None = None,
    neighbours: int | None = None,
    covariates: Sequence[str] = (),
    period: str | None = None,
    last: int = POOLED_PERIODS,
    var_shock: float = 0.0,
    rate: bool = False,
    reference: float | str | None = None,
    reference_se: float | str | None = None,
    reference_source: str | None = None,
    level: float = 0.95,
    min_n: int = SMALLEST_RANKED,
    high_is_first: bool = True,
) -> ComparisonResult:
    """Compare units: contrast with the group, shrunken estimate, simultaneous rank sets, who could be last, funnel limits.

    Estimates are of different pupils, so independent, each with its own standard error (not that of its difference from the
    group: the unit being part of the group is allowed for here).

    Parameters
    ----------
    frame
        One row per unit (and family), any Polars frame.
    unit, estimate
        Columns of the units and of their estimates; null estimates are kept, with a reason. Not shrunken ones, that
        is done here: of multilevel growth take ``raw`` and ``raw_se``.
    std_error
        Column of standard errors; by default ``std_error`` where the frame has it, else from ``sd`` and ``n``.
    sd
        Column of the pupils' SD within the unit (divisor n − 1): std_error = sd/√n, pooled within all units below 30 pupils.
    n
        Column of numbers of pupils; ``n`` where the frame has it. With it the group mean is that of all pupils, else of units.
    weight
        Column of what each unit counts in the group mean where that is not ``n``: the pupils of this exam, of a unit whose
        estimate and ``n`` hold those of several.
    family
        Columns that make separate comparisons (``["subject"]``, ``["year_group", "area_type"]``: like with like). Ranks, means
        and funnels are their own; the p-values of the whole call are one family (Benjamini-Hochberg).
    peers
        Columns (stage, kind, town or rural): units with equal values of all of them are similar. The contrast is with the mean
        of the peer group, and ranks and the last place are within it; shrunken estimates, reliability and the funnel stay
        those of the whole comparison, which knows more of the spread between units. A unit with fewer than five others in
        its group gets neither contrast nor rank.
    size_classes
        Numeric columns that part the peer groups further: ``{"enrolment": 3}`` (thirds of the units) or bounds
        ``{"enrolment": [500, 1200]}`` for [a, b).
    neighbours
        Instead of peer groups: contrast of each unit with the mean of its k (at least five) nearest units on ``covariates``,
        itself not among them and none below ``min_n``; ranks stay those of the whole comparison.
    covariates
        Numeric columns that say what is near (`find_neighbours`: Euclid's distance, each divided by its SD).
    period
        Column of periods: the newest of each family is compared, and in it units below ``min_n`` take their gap pooled over
        the ``last`` newest periods (`pool_periods`; ``method`` pooled, n pupils of all of them, ``periods`` how many).
    last, var_shock
        How many periods are pooled, and ω² of a cohort.
    rate
        Estimates are rates between 0 and 1 of n pupils: Wilson intervals, rank sets by
        Newcombe's intervals of differences, binomial limits.
    reference
        Outside value compared with instead of the group mean (a province mean): a number, or a column with one value per
        comparison.
    reference_se
        Its standard error, a number or a column; without one it is taken as exactly known.
    reference_source
        Where the reference comes from; needed with it.
    level
        Level of the intervals and, simultaneously for all units of a comparison, of the rank sets.
    min_n
        Units with fewer pupils are not ranked (no place in the order, nor among those that could be last); pool their years.
        Without n there is no such bound.
    high_is_first
        Rank 1 is the highest value; False where low values are good.

    Returns
    -------
    ComparisonResult
        ``.frame`` one row per unit and family (columns: see there), ``.model``, ``.models``, ``.sentences(lang)``, ``.pairs``.

    Raises
    ------
    UsageError
        ``compare_column_missing``, ``compare_no_error``, ``compare_name_taken``, ``compare_option``, ``compare_source``,
        ``compare_reference_source``, ``compare_peers_option``, ``compare_pool_option``.
    DataFileError
        ``compare_value``, ``compare_duplicate``.
    NotAssessableError
        ``compare_no_estimates``.

    References
    ----------
    Paule and Mandel (1982); Hayter (1984); Mogstad, Romano, Shaikh and Wilhelm (2024); Gupta (1965); Spiegelhalter (2005);
    Newcombe (1998); Benjamini and Hochberg (1995), as cited at each formula.

    Examples
    --------
    >>> schools = pl.DataFrame({
    ...     "school_id": ["A", "B", "C", "D", "E"],
    ...     "estimate": [0.6, 0.05, 0.0, -0.05, -0.6],
    ...     "std_error": [0.1] * 5,
    ... })
    >>> compare_units(schools).frame.select("school_id", "rank", "rank_lower", "rank_upper", "could_be_last").rows()[1:]
    [('B', 2, 2, 4, False), ('C', 3, 2, 4, False), ('D', 4, 2, 4, False), ('E', 5, 5, 5, True)]
    """
    given = as_frame(frame, error="compare_source")
    family = (family,) if isinstance(family, str) else tuple(family)
    if not (0.5 < level < 1) or min_n < 0 or not _is_reference(reference, rate=rate):
        raise UsageError("compare_option")
    if (reference is None) != (not (reference_source or "").strip()):
        raise UsageError("compare_reference_source")
    if reference_se is not None and (reference is None or not _is_error(reference_se)):
        raise UsageError("compare_option")
    choice = choose_peers(peers, size_classes, neighbours, covariates, outside=reference is not None)
    check_pooling(last, var_shock)
    outside, outside_se = (
        value if value is None or isinstance(value, str) else float(value) for value in (reference, reference_se)
    )
    in_cells = family if period is None else (*family, period)
    columns = choose_columns(
        given, Columns(unit, estimate, std_error, sd, n, in_cells, outside, rate, outside_se, choice, weight)
    )
    cells = read_cells(given, columns)
    if period is not None:
        if rate or columns.n is None:
            raise UsageError("compare_pool_option")
        cells = pool_small_units(cells, last=last, var_shock=var_shock, min_n=min_n)
        columns = dataclasses.replace(columns, family=family)
    has_n = columns.n is not None
    fits = [
        fit_cell(
            cell, level=level, rate=rate, has_n=has_n, min_n=min_n, high_is_first=high_is_first, neighbours=choice.neighbours
        )
        for cell in cells
    ]
    settings: dict[str, Any] = {
        "unit": unit,
        "estimate": estimate,
        "std_error": columns.std_error,
        "sd": columns.sd,
        "n": columns.n,
        "weight": weight,
        "family": list(family),
        "peers": list(choice.columns),
        "size_classes": {name: asked if isinstance(asked, int) else list(asked) for name, asked in choice.size_classes},
        "neighbours": choice.neighbours,
        "covariates": list(choice.covariates),
        "period": period,
        "last": last if period is not None else None,
        "var_shock": var_shock if period is not None else None,
        "rate": rate,
        "reference": outside,
        "reference_se": outside_se,
        "reference_source": reference_source,
        "level": level,
        "min_n": min_n,
        "high_is_first": high_is_first,
    }
    models = {fit.cell.key: fit.model for fit in fits if fit.model is not None}
    return ComparisonResult(frame=_lay_out(fits, columns, level), settings=settings, models=models, columns=columns)


def _is_reference(reference: float | str | None, *, rate: bool) -> bool:
    if reference is None or isinstance(reference, str):
        return True
    return math.isfinite(reference) and (not rate or 0 <= reference <= 1)


def _is_error(reference_se: float | str) -> bool:
    return isinstance(reference_se, str) or (math.isfinite(reference_se) and reference_se >= 0)


def _lay_out(fits: list[FittedCell], columns: Columns, level: float) -> pl.DataFrame:
    """Return the rows of all comparisons, with the q-values of their whole family."""
    p = np.concatenate([fit.columns.get("p_value", np.full(len(fit.cell.units), np.nan)) for fit in fits])
    q = adjust_bh(p)
    family_size = int((~np.isnan(p)).sum())
    parts, first = [], 0
    for fit in fits:
        size = len(fit.cell.units)
        own = fit.columns | {"q_value": q[first : first + size]}
        first += size
        own["family_size"] = np.full(size, float(family_size))
        own["conf_level"] = np.full(size, level)
        own["method"] = np.where(fit.cell.periods > 1, "pooled", "wilson" if columns.rate else "normal").astype(object)
        own["periods"] = np.where(np.isnan(fit.cell.estimate), np.nan, fit.cell.periods)
        own["peer_group"] = np.array(fit.cell.peer, dtype=object)
        labels = [pl.Series(name, [value] * size) for name, value in zip(columns.family, fit.cell.key, strict=True)]
        parts.append(pl.DataFrame([*labels, fit.cell.units.alias(columns.unit), *(_series(name, own, size) for name in OUTPUT)]))
    return pl.concat(parts, how="vertical_relaxed")


def _series(name: str, values: dict[str, NDArray[Any]], size: int) -> pl.Series:
    found = values.get(name)
    if name in _TEXTS or name in _SAID:
        dtype: Any = pl.String if name in _TEXTS else pl.Boolean
        return pl.Series(name, [None] * size if found is None else found.tolist(), dtype=dtype)
    numbers = np.full(size, np.nan) if found is None else np.array(found, dtype=np.float64)
    series = pl.Series(name, numbers, nan_to_null=True)
    return series.cast(pl.Int64) if name in _WHOLE else series
