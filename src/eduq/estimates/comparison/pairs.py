"""Paired units and clusters: the gap of every period, and its course over the periods."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from eduq.errors import DataFileError, NotAssessableError, UsageError
from eduq.estimates.comparison.contrasts import contrast_with_group
from eduq.estimates.comparison.fits import rate_difference
from eduq.estimates.comparison.gap_courses import follow_gaps
from eduq.estimates.comparison.inputs import POOLED_BELOW, Cell, Columns, choose_columns, read_cells
from eduq.estimates.comparison.pair_results import COURSE, GAPS, SPREADS, PairsResult
from eduq.estimates.comparison.peers import PeerChoice
from eduq.estimates.comparison.pooling import check_pooling
from eduq.estimates.comparison.spread import measure_spread
from eduq.estimates.declines.multiplicity import adjust_bh
from eduq.estimates.frames import FrameLike, as_frame
from eduq.estimates.intervals import normal_quantile

__all__ = ["compare_pairs"]


@dataclass(frozen=True)
class _Member:
    """A unit of a group in one period."""

    unit: Any
    strong: bool
    x: float
    error: float
    n: float
    df: float
    reason: str | None


def compare_pairs(
    frame: FrameLike,
    *,
    unit: str = "school_id",
    pair: str | None = None,
    cluster: str | None = None,
    estimate: str = "estimate",
    std_error: str | None = None,
    sd: str | None = None,
    n: str | None = None,
    period: str | None = None,
    strong: str | None = None,
    family: Sequence[str] = (),
    rate: bool = False,
    var_shock: float = 0.0,
    level: float = 0.95,
) -> PairsResult:
    """Compare paired units (town and village schools), or the members of a cluster with its mean, and follow the gap.

    Parameters
    ----------
    frame
        One row per unit (and period, and family); units with a null ``pair`` or ``cluster`` take no part. Periods have different
        pupils (one year group), on one scale.
    unit, estimate, std_error, sd, n
        Columns, as in `compare_units`; with ``sd`` and ``n`` gaps of pairs are Welch's.
    pair
        Column of pair ids: the gap of a pair is the strong unit less the other.
    cluster
        Instead: column of clusters; each unit against the mean of its cluster (of all pupils where n is known), and how far
        its units are apart.
    period
        Column of periods (school years); without it there is one and no course.
    strong
        Boolean column: which unit helps the other. A pair with exactly one may have several others. Without it the first by id
        comes first, whichever is higher: a unit picked because it was the higher one in the data would fall back by chance.
    family
        Columns that make separate comparisons.
    rate
        Estimates are rates of n pupils: Newcombe's intervals for pairs.
    var_shock
        ω² of a cohort (`detect_declines`), added to every unit's variance in a change of fewer than four periods; from four
        on the swing of the gap is estimated from the gap itself.
    level
        Level of the intervals.

    Returns
    -------
    PairsResult
        ``.frame`` gaps, ``.course`` one row per pair or member, ``.spread`` of clusters, ``.sentences(lang)``, ``.plot()``.

    Raises
    ------
    UsageError, DataFileError, NotAssessableError
        As `compare_units` (a unit in several pairs of one period is a ``compare_duplicate``: one id joins all schools that one
        school helps); ``pairs_option``: not one of pair and cluster, or strong with cluster; ``pairs_none``: nobody is paired;
        ``compare_value``: strong not true or false.

    References
    ----------
    Welch (1947); Newcombe (1998); Benjamini and Hochberg (1995); Knapp and Hartung (2003), as cited at each formula.

    Examples
    --------
    >>> schools = pl.DataFrame({
    ...     "school_id": ["T1", "V1", "T2", "V2"], "pair_id": ["P1", "P1", "P2", "P2"], "town": [True, False, True, False],
    ...     "estimate": [0.5, -0.1, 0.2, 0.1], "std_error": [0.1, 0.1, 0.1, 0.1],
    ... })
    >>> found = compare_pairs(schools, pair="pair_id", strong="town").frame
    >>> found.select("pair_id", "school_id", "partner", pl.col("gap").round(2), pl.col("q_value").round(4)).rows()
    [('P1', 'T1', 'V1', 0.6, 0.0), ('P2', 'T2', 'V2', 0.1, 0.4795)]
    """
    given = as_frame(frame, error="compare_source")
    family = (family,) if isinstance(family, str) else tuple(family)
    group = pair if cluster is None else cluster
    if group is None or (pair is not None and cluster is not None) or (strong is not None and pair is None):
        raise UsageError("pairs_option")
    if not 0.5 < level < 1:
        raise UsageError("compare_option")
    check_pooling(1, var_shock)
    keys = (*family, *([period] if period is not None else []))
    columns = choose_columns(given, Columns(unit, estimate, std_error, sd, n, keys, None, rate, None, PeerChoice((group,))))
    check_names(given, [*keys, group, unit], strong)
    given = given.filter(pl.col(group).is_not_null())
    if given.is_empty():
        raise NotAssessableError("pairs_none", column=group)
    values = {f"{group}={value}": value for value in given[group].unique().to_list()}
    strong_units = find_strong(given, [*keys, unit], strong)
    rows: list[dict[str, Any]] = []
    spreads: list[dict[str, Any]] = []
    for cell in read_cells(given, columns):
        members: dict[str, list[_Member]] = {}
        for member, peer in zip(_members(cell, strong_units, by_sd=columns.sd is not None), cell.peer, strict=True):
            members.setdefault(peer or "", []).append(member)
        where = dict(zip(keys, cell.key, strict=True))
        for label, own in sorted(members.items()):
            if pair is not None:
                rows += [where | {group: values[label]} | line for line in _pair_gaps(own, level, rate=rate)]
            else:
                found, apart = _cluster_gaps(own, level, has_n=columns.n is not None)
                rows += [where | {group: values[label]} | line for line in found]
                spreads.append(where | {group: values[label]} | apart)
    of_keys = {name: given.schema[name] for name in (*family, group)}
    of_period = {} if period is None else {period: given.schema[period]}
    of_units = {"unit": given.schema[unit], "partner": given.schema[unit]}
    gaps = _adjust(_frame(rows, of_keys | of_units | of_period | GAPS, level), list(of_period))
    course = follow_gaps(gaps, list(of_keys), period, var_shock=var_shock, level=level, both=pair is not None)
    spread = None if cluster is None else _frame(spreads, of_keys | of_period | SPREADS, level)
    settings: dict[str, Any] = {
        "unit": unit, "pair": pair, "cluster": cluster, "estimate": estimate, "std_error": columns.std_error, "sd": columns.sd,
        "n": columns.n, "period": period, "strong": strong, "family": list(family), "rate": rate, "var_shock": var_shock,
        "level": level,
    }  # fmt: skip
    return PairsResult(frame=gaps.rename({"unit": unit}), settings=settings, course=course.rename({"unit": unit}), spread=spread)


def check_names(frame: pl.DataFrame, names: list[str], strong: str | None) -> None:
    """Stop at a column that is not there, or whose name the result needs."""
    for name in (*names, *([strong] if strong is not None else [])):
        if name not in frame.columns:
            raise UsageError("compare_column_missing", column=name, known=", ".join(frame.columns))
    reserved = {"partner", "unit", *GAPS, *COURSE, *SPREADS}
    taken = sorted(
        {name for name in names[:-1] if name in reserved or names.count(name) > 1} | ({names[-1]} & reserved - {"unit"})
    )
    if taken:
        raise UsageError("compare_name_taken", columns=", ".join(taken))


def find_strong(frame: pl.DataFrame, keys: list[str], strong: str | None) -> set[tuple[Any, ...]]:
    """Return the units marked strong, by the values of the keys."""
    if strong is None:
        return set()
    if frame.schema[strong] != pl.Boolean:
        raise DataFileError("compare_value", columns=strong)
    return set(frame.filter(strong).select(keys).iter_rows())


def _members(cell: Cell, strong: set[tuple[Any, ...]], *, by_sd: bool) -> list[_Member]:
    """Return the units of a cell; degrees of freedom as their SD was made (`read_cells` pools those of small units)."""
    own = np.where(np.isnan(cell.n) | (cell.n < 1), 0.0, cell.n - 1)
    df = np.where(cell.n < POOLED_BELOW, own.sum(), own) if by_sd else np.full(len(cell.n), np.inf)
    return [
        _Member(
            unit, (*cell.key, unit) in strong, float(cell.estimate[place]), float(cell.std_error[place]), float(cell.n[place]),
            float(df[place]), cell.reason[place],
        )
        for place, unit in enumerate(cell.units.to_list())
    ]  # fmt: skip


def _pair_gaps(members: list[_Member], level: float, *, rate: bool) -> list[dict[str, Any]]:
    """Return a line for each unit beside the strong one, or beside the first by id where two are alike."""
    strong = [member for member in members if member.strong]
    if len(members) == 1:
        only = members[0]
        return [{"unit": only.unit, "strong": only.strong, "n": _count(only.n), "reason": "partner_missing"}]
    if len(strong) != 1 and len(members) > 2:
        return [{"unit": one.unit, "strong": one.strong, "n": _count(one.n), "reason": "strong_unclear"} for one in members]
    first = strong[0] if len(strong) == 1 else members[0]
    return [_gap(first, other, level, rate=rate) for other in members if other is not first]


def _gap(one: _Member, other: _Member, level: float, *, rate: bool) -> dict[str, Any]:
    from scipy.special import stdtr, stdtrit

    line: dict[str, Any] = {"unit": one.unit, "partner": other.unit, "strong": one.strong}
    line |= {"n": _count(one.n), "n_partner": _count(other.n), "reason": one.reason or other.reason}
    if line["reason"] is not None:
        return line
    gap, error = one.x - other.x, float(np.hypot(one.error, other.error))
    if rate:
        p_one, n_one, p_other, n_other = (np.array([value]) for value in (one.x, one.n, other.x, other.n))
        low, high = (float(bound[0]) for bound in rate_difference(p_one, n_one, p_other, n_other, normal_quantile(level)))
        df, method = math.inf, "newcombe"
    else:
        parts = sum(member.error**4 / member.df for member in (one, other) if math.isfinite(member.df))
        df = error**4 / parts if parts else math.inf
        method = "welch" if parts else "normal"
        half = error * (float(stdtrit(df, 0.5 + level / 2)) if parts else normal_quantile(level))
        low, high = gap - half, gap + half
    p = 2 * float(stdtr(df, -abs(gap) / error))
    line |= {"estimate": one.x, "partner_estimate": other.x, "gap": gap, "std_error": error, "ci_lower": low, "ci_upper": high}
    return line | {"df": df if math.isfinite(df) else None, "p_value": p, "method": method}


def _cluster_gaps(members: list[_Member], level: float, *, has_n: bool) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return each member's gap to the mean of its cluster, and how far the members are apart."""
    from scipy.special import ndtr

    used = [member for member in members if member.reason is None]
    x, error = (np.array([getattr(member, name) for member in used]) for name in ("x", "error"))
    n = np.array([member.n for member in used])
    weight = n if has_n else np.ones(len(used))
    total = {"n_units": len(used), "n": _count(float(n.sum())) if used else None}
    if len(used) < 2:
        lines = [{"unit": one.unit, "n": _count(one.n), "reason": one.reason or "partner_missing"} for one in members]
        return lines, total | {"reason": "partner_missing"}
    gap, se = contrast_with_group(x, error, weight)
    mean, half = float(weight @ x / weight.sum()), normal_quantile(level)
    p = 2 * ndtr(-np.abs(gap) / se)
    found = {member.unit: place for place, member in enumerate(used)}
    lines = []
    for member in members:
        line: dict[str, Any] = {"unit": member.unit, "n": _count(member.n), "reason": member.reason}
        if member.unit in found:
            at = found[member.unit]
            own, own_se = float(gap[at]), float(se[at])
            line |= {"n_partner": total["n"], "estimate": member.x, "partner_estimate": mean, "gap": own, "std_error": own_se}
            line |= {
                "ci_lower": own - half * own_se,
                "ci_upper": own + half * own_se,
                "p_value": float(p[at]),
                "method": "normal",
            }
        lines.append(line)
    spread = dataclasses.asdict(measure_spread(x, error, level=level))
    return lines, total | {"mean": mean} | spread | {"method": "noncentral_chi2", "reason": None}


def _count(n: float) -> int | None:
    return None if math.isnan(n) else int(n)


def _frame(rows: list[dict[str, Any]], schema: dict[str, Any], level: float) -> pl.DataFrame:
    keys = [name for name in schema if name not in GAPS and name not in SPREADS]
    filled = [{name: row.get(name) for name in schema} for row in rows]
    return pl.DataFrame(filled, schema=schema, orient="row").with_columns(pl.lit(level).alias("conf_level")).sort(keys)


def _adjust(gaps: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """Fill q_value and family_size: one family per period, of all pairs."""
    parts = gaps.with_row_index("_row").partition_by(by, maintain_order=True) if by else [gaps.with_row_index("_row")]
    done = []
    for part in parts:
        p = part["p_value"].cast(pl.Float64).fill_null(math.nan).to_numpy()
        q = pl.Series("q_value", adjust_bh(p), dtype=pl.Float64).fill_nan(None)
        done.append(part.with_columns(q, pl.lit(int((~np.isnan(p)).sum()), pl.Int64).alias("family_size")))
    return pl.concat(done).sort("_row").drop("_row")
