"""One function per kind of level measure: from cells to estimate, standard error and interval.

Formulas: docs/explanation/intervals. Scores are in hundredths inside and in marks outside.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from eduq.estimates.intervals import (
    binomial_ranks,
    normal_quantile,
    others_variance,
    part_of_whole,
    ratio_to_whole,
    spread,
    student,
    wilson,
)
from eduq.estimates.level_context import METHOD_CODES, REASON_CODES, Codes, LevelContext, MeasureColumns, fill_columns
from eduq.estimates.measures import Measure, load_measures

__all__ = ["BOTTOM_SHARE", "measure_levels"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Parts = tuple[Floats, Floats, Floats, Floats]
BOTTOM_SHARE = 0.30
_HUNDRED = 100.0


def _proportion(
    context: LevelContext, successes: Ints, n: Ints, *, needs_full: bool = False, compares: bool = False
) -> MeasureColumns:
    k, base = successes.astype(float), n.astype(float)
    std_error, low, high = wilson(k, base, context.settings.conf_level)
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = (k / base, std_error, low, high)
    return fill_columns(context, parts, n=n, method="wilson", needs_full=needs_full, compares=compares)


def _base_of_rates(context: LevelContext) -> Ints:
    return context.cells.n + context.cells.n_zeroed if context.policy == "rate-only" else context.cells.n


def participation(context: LevelContext, measure: Measure) -> MeasureColumns:
    """Present over expected."""
    return _proportion(context, context.cells.n_present, context.cells.n_expected)


def _score_bounds(measure: Measure, full: Ints) -> tuple[Ints, Ints]:
    """Return [low, high) of a measure for the full mark of each row."""
    marks, place = np.unique(full, return_inverse=True)
    bounds = np.array([measure.score_range(int(mark)) or (0, 0) for mark in marks], dtype=np.int64).reshape(-1, 2)
    return bounds[place, 0], bounds[place, 1]


def rate(context: LevelContext, measure: Measure) -> MeasureColumns:
    """Share of candidates in the measure's score range."""
    low, high = _score_bounds(measure, context.max_score)
    return _proportion(context, context.cells.count_between(low, high), _base_of_rates(context), needs_full=True)


def every_paper(context: LevelContext, measure: Measure) -> MeasureColumns:
    """Share of candidates who pass every paper (score 100 in the derived paper)."""
    size = context.cells.size
    passed = context.cells.count_between(np.full(size, 100), np.full(size, 101))
    return _proportion(context, passed, _base_of_rates(context))


def bottom_share(context: LevelContext, measure: Measure) -> MeasureColumns:
    """Share at or below the smallest score that at least 30 % of the comparison group do not exceed."""
    needed = np.ceil(np.round(context.area.n * BOTTOM_SHARE, 9)).astype(np.int64)
    threshold = np.nan_to_num(context.area.value_at_rank(needed)).astype(np.int64)[context.group]
    within = context.cells.count_between(np.full(context.cells.size, -1), threshold + 1)
    return _proportion(context, within, _base_of_rates(context), compares=True)


def _mean_parts(context: LevelContext, unit: Floats | float) -> tuple[Parts, Codes]:
    variance, df, pooled = context.own_or_pooled(context.settings.pooled_mean_below)
    with np.errstate(invalid="ignore", divide="ignore"):
        estimate = context.cells.mean / unit
        std_error = np.sqrt(variance / context.cells.n) / unit
    return (estimate, *student(estimate, std_error, df, context.settings.conf_level)), np.where(
        pooled, METHOD_CODES["t_pooled"], METHOD_CODES["t"]
    )


def mean_score(context: LevelContext, measure: Measure) -> MeasureColumns:
    """Mean in marks."""
    parts, method = _mean_parts(context, _HUNDRED)
    return fill_columns(context, parts, method=method)


def score_rate(context: LevelContext, measure: Measure) -> MeasureColumns:
    """Mean over full mark."""
    parts, method = _mean_parts(context, np.where(context.max_score > 0, context.max_score, np.nan).astype(float))
    return fill_columns(context, parts, method=method, needs_full=True)


def _sd_factor(context: LevelContext) -> Floats:
    """Factor from the sample SD to the printed one."""
    n = context.cells.n.astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt((n - 1) / n) if context.settings.sd_divisor == "population" else np.ones_like(n)


def _too_few(context: LevelContext) -> Codes:
    return np.where(context.cells.n < 2, REASON_CODES["below_two"], REASON_CODES[""])


def sd(context: LevelContext, measure: Measure) -> MeasureColumns:
    """SD in marks, interval from the fourth moment."""
    sample = np.sqrt(context.cells.variance)
    std_error, low, high = spread(
        sample, context.cells.n.astype(float), context.cells.higher_moments[1], context.settings.conf_level
    )
    factor = _sd_factor(context) / _HUNDRED
    return fill_columns(
        context,
        (sample * factor, std_error * factor, low * factor, high * factor),
        method="fourth_moment",
        reason=_too_few(context),
    )


def cv(context: LevelContext, measure: Measure) -> MeasureColumns:
    """SD over mean, delta method from the moments of the same candidates."""
    cells = context.cells
    n = cells.n.astype(float)
    variance = cells.variance
    z = normal_quantile(context.settings.conf_level)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.sqrt(variance) / cells.mean
        third, fourth = cells.higher_moments
        of_variance = np.maximum((fourth - variance**2 * (n - 3) / (n - 1)) / n, 0)
        relative = of_variance / (4 * variance**2) + variance / (n * cells.mean**2) - third / (n * variance * cells.mean)
        std_error = ratio * np.sqrt(np.maximum(relative, 0))
        factor = _sd_factor(context)
        parts = (ratio * factor, std_error * factor, (ratio - z * std_error) * factor, (ratio + z * std_error) * factor)
    reason = np.where(
        cells.n < 2, REASON_CODES["below_two"], np.where(cells.total > 0, REASON_CODES[""], REASON_CODES["zero_mean"])
    )
    return fill_columns(context, parts, method="delta", reason=reason)


def quantile(context: LevelContext, measure: Measure) -> MeasureColumns:
    """Quantile in marks with the interval of order statistics; below six candidates the range, with its coverage."""
    probability = measure.probability or 0.5
    cells, level = context.cells, context.settings.conf_level
    low, high, coverage = binomial_ranks(cells.n, probability, level)
    few = cells.n < 6
    low, high = np.where(few, 1, low), np.where(few, cells.n, high)
    coverage = np.where(few, 1 - probability ** cells.n.astype(float) - (1 - probability) ** cells.n.astype(float), coverage)
    estimate = cells.quantile(probability) / _HUNDRED
    bounds = cells.value_at_rank(low) / _HUNDRED, cells.value_at_rank(high) / _HUNDRED
    missing = np.full(cells.size, np.nan)
    return fill_columns(
        context,
        (estimate, missing, *bounds),
        method=np.where(few, METHOD_CODES["range"], METHOD_CODES["order_statistics"]),
        conf_level=np.where(coverage >= level, level, coverage),
    )


def _gap(context: LevelContext, scale: float, shift: float) -> MeasureColumns:
    variance, df, pooled = context.own_or_pooled(context.settings.pooled_gap_below)
    with np.errstate(invalid="ignore", divide="ignore"):
        estimate = shift + scale * (context.cells.mean - context.area_mean) / context.area_sd
        n = context.cells.n.astype(np.float64)
        error, df = part_of_whole(variance, df, n, *context.others, context.area_n)
        std_error = scale * error / context.area_sd
    parts = (estimate, *student(estimate, std_error, df, context.settings.conf_level))
    reason = np.where(context.area_sd > 0, REASON_CODES[""], REASON_CODES["zero_spread"])
    method = np.where(pooled, METHOD_CODES["t_pooled_part_of_area"], METHOD_CODES["t_part_of_area"])
    return fill_columns(context, parts, method=method, compares=True, reason=reason)


def z_mean(context: LevelContext, measure: Measure) -> MeasureColumns:
    """Mean z in the comparison group that contains the unit: SE of the contrast with the others (`part_of_whole`)."""
    return _gap(context, 1.0, 0.0)


def t_mean(context: LevelContext, measure: Measure) -> MeasureColumns:
    """50 + 10 z."""
    return _gap(context, 10.0, 50.0)


def percentile_rank(context: LevelContext, measure: Measure) -> MeasureColumns:
    """Mean percentile rank 100(F_below + f/2)/N of the unit's candidates."""
    cells, area = context.cells, context.area
    starts = np.concatenate([[0], np.cumsum(area.count)])
    first = starts[np.searchsorted(area.row, np.arange(area.size))]
    doubled = 2 * (starts[:-1] - first[area.row]) + area.count
    table = np.zeros((area.size, int(area.score.max(initial=0)) + 1), dtype=np.int64)
    table[area.row, area.score] = doubled
    per_cell = table[context.group[cells.row], cells.score]
    with np.errstate(invalid="ignore", divide="ignore"):
        to_rank = 50.0 / area.n[context.group]
        rank = cells.add_up(cells.count * per_cell) / cells.n * to_rank
        centred = per_cell * to_rank[cells.row] - rank[cells.row]
        squares, n = cells.add_up_float(cells.count * centred**2), cells.n.astype(np.float64)
        others = others_variance(*context.pool(squares), squares, n)
        std_error, df = part_of_whole(squares / (n - 1), n - 1, n, *others, context.area_n)
    parts = (rank, *student(rank, std_error, df, context.settings.conf_level))
    return fill_columns(context, parts, method="t_part_of_area", compares=True)


def _ratio_parts(context: LevelContext) -> tuple[Floats, Floats]:
    cells = context.cells
    variance, _, _ = context.own_or_pooled(context.settings.pooled_mean_below)
    rest_n = context.area_n - cells.n
    with np.errstate(invalid="ignore", divide="ignore"):
        rest_mean = np.where(rest_n > 0, (context.area.total[context.group] - cells.total) / np.maximum(rest_n, 1), 0.0)
        rest_variance = np.where(rest_n > 0, context.others[0] / np.maximum(rest_n, 1), 0.0)
        return ratio_to_whole(cells.mean, variance / cells.n, rest_mean, rest_variance, context.share)


def _mean_ratio(context: LevelContext, shift: float) -> MeasureColumns:
    ratio, std_error = _ratio_parts(context)
    estimate = ratio + shift
    half = normal_quantile(context.settings.conf_level) * std_error
    reason = np.where(context.area_mean > 0, REASON_CODES[""], REASON_CODES["zero_mean"])
    return fill_columns(
        context, (estimate, std_error, estimate - half, estimate + half), method="delta", compares=True, reason=reason
    )


def mean_ratio(context: LevelContext, measure: Measure) -> MeasureColumns:
    """Unit mean over the mean of the group that contains it."""
    return _mean_ratio(context, 0.0)


def above_mean_ratio(context: LevelContext, measure: Measure) -> MeasureColumns:
    """Mean ratio minus 1."""
    return _mean_ratio(context, -1.0)


def weighted_rates(context: LevelContext, measure: Measure) -> MeasureColumns:
    """A linear composite of mean and rates of one paper is the mean of one value per candidate, so its SE is s/√n.

    The value is v = a·x + Σ w_i·1[x ≥ c_i]; Σv and Σv² follow from counts and sums above each cut.
    """
    cells, definitions = context.cells, load_measures()
    full = np.where(context.max_score > 0, context.max_score, 1)
    top = full + 1
    slope = measure.weights.get("score_rate", 0.0) / full
    cuts = {
        part: (weight, _score_bounds(definitions[part], full)[0])
        for part, weight in measure.weights.items()
        if part != "score_rate"
    }
    above = {part: (cells.count_between(low, top), cells.total_between(low, top)) for part, (_, low) in cuts.items()}
    n = cells.n.astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        total = slope * cells.total + sum(weight * above[part][0] for part, (weight, _) in cuts.items())
        squares = slope**2 * (cells.squares + n * np.nan_to_num(cells.mean) ** 2)
        for part, (weight, low) in cuts.items():
            squares = squares + 2 * slope * weight * above[part][1]
            for other, (other_weight, other_low) in cuts.items():
                both = cells.count_between(np.maximum(low, other_low), top) if other != part else above[part][0]
                squares = squares + weight * other_weight * both
        estimate = total / n
        std_error = np.sqrt(np.maximum(squares - total**2 / n, 0) / (n - 1) / n)
    estimate, std_error = estimate.astype(np.float64), std_error.astype(np.float64)
    parts = (estimate, *student(estimate, std_error, n - 1.0, context.settings.conf_level))
    return fill_columns(context, parts, method="t", needs_full=True)


_BY_ID: dict[str, Callable[[LevelContext, Measure], MeasureColumns]] = {
    "participation_rate": participation,
    "mean_score": mean_score,
    "score_rate": score_rate,
    "sd": sd,
    "cv": cv,
    "all_pass_rate": every_paper,
    "z_mean": z_mean,
    "t_mean": t_mean,
    "percentile_rank": percentile_rank,
    "above_mean_ratio": above_mean_ratio,
    "mean_ratio": mean_ratio,
    "bottom30_share": bottom_share,
}


def measure_levels(context: LevelContext, name: str, measure: Measure) -> MeasureColumns | None:
    """Compute one measure for every row, or return None for one that is not of this kind (composite_z, school_cv).

    Parameters
    ----------
    context
        The rows.
    name
        Id of the measure; a measure of measures.toml without a function of its own is computed from its cut, probability
        or weights.
    measure
        Its definition.
    """
    if name in _BY_ID:
        return _BY_ID[name](context, measure)
    if measure.weights:
        return weighted_rates(context, measure)
    if measure.probability is not None:
        return quantile(context, measure)
    if measure.score_range(100) is not None:
        return rate(context, measure)
    return None
