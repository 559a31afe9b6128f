"""From fitted strata to frames: multiplicity over the whole family, grades, reasons, series and changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.errors import UsageError
from eduq.estimates.declines.bounds import LETTERS, DeclineBounds
from eduq.estimates.declines.companions import STAGNATION, detectable_fall, stagnation_state, t_bounds, t_quantile
from eduq.estimates.declines.inputs import Columns, Stratum
from eduq.estimates.declines.letters import A, B, C, adjust_family, assign_letters, lower_by_last_place
from eduq.estimates.declines.multiplicity import adjust_bh
from eduq.estimates.declines.results import DeclineResult
from eduq.estimates.declines.stratum_fits import FittedStratum
from eduq.estimates.intervals import normal_quantile

__all__ = ["lay_out_result", "refuse_taken_names"]

Floats = NDArray[np.float64]
DECLARED_SHOCKS = (0.05, 0.10, 0.15)
"""Two periods: the interval is shown for each of these shock SDs, as none can be estimated."""
NARROWEST_BAND = 2.93
"""A stagnation band is confirmed with 80 % chance from this many standard errors on (z.95 + z.90)."""
_WHOLE = ("n_periods", "run_declines", "rank", "rank_lower", "rank_upper", "n_units", "n_min", "family_size", "n_left_out")
_OTHERWISE = ("first", "last", "could_be_last")
_KEPT = (
    "n_periods", "n_left_out", "n_min", "first", "last",
    "slope", "std_error", "df", "ci_lower", "ci_upper", "p_value", "q_value", "holm_p", "q_second", "family_size",
    "slope_shrunken", "min_detectable", "level", "run_declines",
    "rank", "rank_lower", "rank_upper", "n_units", "could_be_last", "p_last", "lowest_third",
    "evidence_grade", "evidence_reason",
    "stagnation", "stagnation_literal", "stagnation_band", "drop", "drop_se", "drop_p", "drop_q",
    "theil_sen", "kendall_tau", "kendall_p",
)  # fmt: skip


_SERIES = ("estimate", "relative", "std_error", "ci_lower", "ci_upper", "n", "used", "reason", "_error", "_y", "_se", "_sd", "_n")
_CHANGES = ("period_from", "period_to", "change", "relative_change", "shock_sd", "sentence")


def refuse_taken_names(columns: Columns) -> None:
    """Stop when a unit, period or family column has the name of a column of the result, or two of them are one column.

    Raises
    ------
    UsageError
        ``declines_name_taken``.
    """
    own = [columns.unit, columns.period, *columns.family]
    labels = {columns.unit, *columns.family} & {*_KEPT, *_CHANGES}
    taken = sorted(labels | (set(own) & set(_SERIES)) | {name for name in own if own.count(name) > 1})
    if taken:
        raise UsageError("declines_name_taken", columns=", ".join(taken))


def lay_out_result(
    fits: list[FittedStratum],
    single: list[Stratum],
    columns: Columns,
    *,
    bounds: DeclineBounds,
    last_place: bool,
    settings: dict[str, Any],
    left_out: pl.DataFrame | None,
) -> DeclineResult:
    """Return the result of all strata; ``single`` are strata in which nothing has a course: listed, with the reason."""
    values = {name: np.concatenate([fit.units[name] for fit in fits]) for name in fits[0].units}
    third = np.concatenate([fit.third for fit in fits])
    values |= _family_columns(values, third if last_place else None, bounds)
    letters, reasons = _grades(values, fits, bounds, last_place=last_place)
    values |= _companions(values, bounds)
    labels = pl.concat([_labels(fit.stratum, columns) for fit in fits])
    reasons = np.where(values["n_periods"] == 0, "no_estimate", reasons)
    frame = labels.with_columns(
        *(_column(name, found) for name, found in values.items() if name in _KEPT and name not in _OTHERWISE),
        *_edges(values, fits),
        _boolean("could_be_last", values["could_be_last"]),
        pl.Series("lowest_third", third),
        pl.Series("evidence_grade", [LETTERS[code] for code in letters], dtype=pl.String),
        pl.Series("evidence_reason", reasons.tolist(), dtype=pl.String).replace("", None),
    )
    frame = pl.concat([frame, *(_unfitted(stratum, columns) for stratum in single)], how="diagonal_relaxed")
    order = [*columns.family, columns.unit]
    frame = frame.select(columns.unit, *columns.family, *_KEPT).sort(order, maintain_order=True)
    level = float(settings["level"])
    return DeclineResult(
        frame=frame,
        settings=settings,
        series=pl.concat([_series(fit, columns, level) for fit in fits]).sort([*order, columns.period], maintain_order=True),
        changes=pl.concat([_changes(fit, columns, level) for fit in fits]),
        declared=_declared(fits, columns, level),
        models={fit.stratum.key: fit.model for fit in fits},
        left_out=left_out,
        columns=columns,
    )


def _family_columns(values: dict[str, Any], third: NDArray[np.bool_] | None, bounds: DeclineBounds) -> dict[str, Any]:
    """Adjust the p-values of all series together."""
    holm, q, size = adjust_family(values["p_value"], third)
    q_second = adjust_family(values["p_second"], third)[1]
    # two periods: the best they can reach is C, at the unadjusted bound
    alpha = np.where(values["n_periods"] > 2, bounds.q / np.maximum(size, 1), bounds.p_possible)
    detectable = detectable_fall(values["std_error"], values["df"], alpha, least=bounds.materiality)
    detectable = np.where(np.isnan(values["p_value"]), np.nan, detectable)
    return {
        "holm_p": holm,
        "q_value": q,
        "q_second": q_second,
        "family_size": np.where(np.isnan(values["p_value"]), np.nan, size),
        "min_detectable": detectable,
    }


def _grades(
    values: dict[str, Any], fits: list[FittedStratum], bounds: DeclineBounds, *, last_place: bool
) -> tuple[NDArray[np.int8], NDArray[Any]]:
    """Return letters and why a series has none, or no better one."""
    letters = assign_letters(
        values["slope"], values["p_value"], values["holm_p"], values["q_value"], values["q_second"], values["n_periods"], bounds
    )
    reasons = np.full(len(letters), "", dtype=object)
    with np.errstate(invalid="ignore"):
        as_a = (values["holm_p"] <= bounds.alpha_holm) & (values["q_second"] <= bounds.q)
    reasons[(letters == B) & as_a & (values["n_periods"] < bounds.min_periods_confirmed)] = "three_periods"
    reasons[(letters > 0) & (values["n_periods"] == 2)] = "two_periods"
    if last_place:
        member = values["could_be_last"] == 1
        lowered = lower_by_last_place(letters, values["p_last"], member, bounds)
        reasons[(letters == A) & (lowered == B)] = "not_confirmed_as_last"
        reasons[((letters == A) | (letters == B)) & (lowered > B)] = "not_among_last"
        letters = lowered
    with np.errstate(invalid="ignore"):
        small = ((letters == A) | (letters == B)) & (values["n_min"] < bounds.min_n)
    reasons[small] = "below_min_n"
    letters = np.where(small, C, letters).astype(np.int8)
    few = np.concatenate([np.full(len(fit.stratum.units), _why_none(fit, bounds), dtype=object) for fit in fits])
    fitted = np.concatenate([fit.panel.n_periods > 0 for fit in fits])
    reasons[letters == 0] = np.where(fitted, few, "too_few_periods")[letters == 0]
    return letters, reasons


def _why_none(fit: FittedStratum, bounds: DeclineBounds) -> str:
    return (
        "one_unit" if fit.model.n_units < 2 else "family_too_small" if fit.model.n_units < bounds.min_units else "too_few_periods"
    )


def _companions(values: dict[str, Any], bounds: DeclineBounds) -> dict[str, Any]:
    """Return stagnation and severe drop."""
    from scipy.special import ndtr, stdtr

    slope, se, df = values["slope"], values["std_error"], values["df"]
    found: dict[str, Any] = {"stagnation_band": np.where(np.isnan(se), np.nan, NARROWEST_BAND * se)}
    size = len(slope)
    found["stagnation"] = np.full(size, None, dtype=object)
    found["stagnation_literal"] = np.full(size, None, dtype=object)
    if bounds.stagnation_band is not None:
        codes = stagnation_state(slope, se, df, bounds.stagnation_band)
        found["stagnation"] = np.array([STAGNATION[code] for code in codes], dtype=object)
        literal = slope <= bounds.stagnation_band
        found["stagnation_literal"] = np.where(np.isnan(slope), None, literal)
    found["drop_p"] = found["drop_q"] = np.full(size, np.nan)
    if bounds.severe_drop is not None:
        with np.errstate(invalid="ignore", divide="ignore"):
            z = (values["drop"] + bounds.severe_drop) / values["drop_se"]
            p = np.where(np.isfinite(df), stdtr(np.where(np.isfinite(df), df, 1.0), z), ndtr(z))
        # a family too small for grades has no p either
        found["drop_p"] = np.where(np.isnan(values["p_value"]), np.nan, p)
        found["drop_q"] = adjust_bh(found["drop_p"])
    return found


def _column(name: str, found: NDArray[Any]) -> pl.Series:
    if found.dtype == object:
        dtype: Any = pl.Boolean if name == "stagnation_literal" else pl.String
        return pl.Series(
            name, [None if value is None else (bool(value) if dtype is pl.Boolean else value) for value in found], dtype=dtype
        )
    # infinite degrees of freedom: the normal reference
    series = pl.Series(name, np.where(np.isinf(found), np.nan, found)).cast(pl.Float64).fill_nan(None)
    return series.cast(pl.Int64) if name in _WHOLE else series


def _boolean(name: str, found: Floats) -> pl.Series:
    return pl.Series(name, found).fill_nan(None).cast(pl.Boolean)


def _labels(stratum: Stratum, columns: Columns) -> pl.DataFrame:
    """Return unit, family columns and how many rows of the unit do not count (nor lie outside the window)."""
    dropped = pl.col("reason").is_not_null() & (pl.col("reason") != "outside_window")
    counted = stratum.rows.group_by(columns.unit, maintain_order=True).agg(dropped.sum().cast(pl.Int64).alias("n_left_out"))
    keys = [_literal(stratum, columns, name) for name in columns.family]
    return counted.select(columns.unit, *keys, "n_left_out")


def _literal(stratum: Stratum, columns: Columns, name: str) -> pl.Expr:
    value = stratum.key[columns.family.index(name)]
    return pl.lit(value, dtype=stratum.rows.schema[name]).alias(name)


def _edges(values: dict[str, Any], fits: list[FittedStratum]) -> list[pl.Series]:
    """Return the first and the last period of every series as the caller wrote them."""
    found = []
    sizes = np.cumsum([0, *(len(fit.stratum.units) for fit in fits)])
    for name in ("first", "last"):
        labels: list[Any] = []
        for fit, start, stop in zip(fits, sizes[:-1], sizes[1:], strict=True):
            periods = [*fit.stratum.periods, None]
            labels.extend(periods[place] for place in values[name][start:stop])
        found.append(pl.Series(name, labels))
    return found


def _unfitted(stratum: Stratum, columns: Columns) -> pl.DataFrame:
    reason = "one_period" if len(stratum.periods) == 1 else "no_estimate" if not stratum.periods else "too_few_periods"
    seen = (~np.isnan(stratum.estimates)).sum(axis=1)
    return _labels(stratum, columns).with_columns(
        pl.Series("n_periods", seen).cast(pl.Int64), pl.lit(reason).alias("evidence_reason")
    )


def _series(fit: FittedStratum, columns: Columns, level: float) -> pl.DataFrame:
    """Return the caller's rows in SDs, with interval, the value relative to the other units, and why a row does not count."""
    stratum = fit.stratum
    unit_at, period_at = np.nonzero(~np.isnan(stratum.estimates))
    error = np.sqrt(stratum.variances[unit_at, period_at])
    half = normal_quantile(level) * error
    y = stratum.estimates[unit_at, period_at]
    keys = [columns.unit, columns.period]
    used = stratum.rows.filter("used").select(keys)
    # rows are sorted by unit and period, as the arrays are
    extra = used.with_columns(
        pl.Series("relative", fit.relative[unit_at, period_at]),
        pl.Series("_error", error),
        pl.Series("ci_lower", y - half),
        pl.Series("ci_upper", y + half),
    )
    joined = stratum.rows.join(extra, on=keys, how="left", maintain_order="left")
    return joined.select(
        columns.unit,
        *columns.family,
        columns.period,
        pl.col("_y").alias("estimate"),
        "relative",
        pl.col("_error").alias("std_error"),
        "ci_lower",
        "ci_upper",
        pl.col("_n").alias("n").round().cast(pl.Int64),
        "used",
        "reason",
    )


def _changes(fit: FittedStratum, columns: Columns, level: float) -> pl.DataFrame:
    """Return the changes between neighbouring periods: as given, and relative to the other units with interval."""
    stratum = fit.stratum
    y = stratum.estimates
    unit_at, before = np.nonzero(
        ~np.isnan(y[:, :-1]) & ~np.isnan(y[:, 1:]) & fit.panel.present[:, 1:] & fit.panel.present[:, :-1]
    )
    after = before + 1
    cov = fit.covariance
    error = np.sqrt(cov[unit_at, before, before] + cov[unit_at, after, after] - 2 * cov[unit_at, before, after])
    change = fit.relative[unit_at, after] - fit.relative[unit_at, before]
    half = t_quantile(fit.units["df"], level)[unit_at] * error
    labels = pl.Series(columns.period, stratum.periods)
    found = pl.DataFrame({columns.unit: stratum.units[unit_at]}).with_columns(
        *(_literal(stratum, columns, name) for name in columns.family),
        labels[before].alias("period_from"),
        labels[after].alias("period_to"),
        pl.Series("change", y[unit_at, after] - y[unit_at, before]),
        pl.Series("relative_change", change),
        pl.Series("std_error", error),
        _column("df", fit.units["df"][unit_at]),
        pl.Series("ci_lower", change - half),
        pl.Series("ci_upper", change + half),
    )
    return found.with_columns(pl.col("ci_lower", "ci_upper").fill_nan(None))


def _declared(fits: list[FittedStratum], columns: Columns, level: float) -> pl.DataFrame:
    """Return, for strata whose shock is declared, the interval of the slope at other shock SDs."""
    parts = []
    for fit in fits:
        if fit.model.shock_source != "declared":
            continue
        span = fit.panel.times[-1] - fit.panel.times[0]
        slope = fit.units["slope"]
        for shock in DECLARED_SHOCKS:
            error = np.sqrt(np.nansum(fit.stratum.variances[:, [0, -1]], axis=1) + 2 * shock**2) / span
            lower, upper = t_bounds(slope, error, np.full_like(slope, np.inf), level)
            part = pl.DataFrame({columns.unit: fit.stratum.units}).with_columns(
                *(_literal(fit.stratum, columns, name) for name in columns.family),
                pl.lit(shock).alias("shock_sd"),
                pl.Series("slope", slope),
                pl.Series("std_error", error),
                pl.Series("ci_lower", lower),
                pl.Series("ci_upper", upper),
            )
            if fit.model.n_periods == 2:
                parts.append(part.filter(pl.col("slope").is_not_nan()))
    schema: dict[str, Any] = {"shock_sd": pl.Float64, "slope": pl.Float64, "std_error": pl.Float64}
    return pl.concat(parts) if parts else pl.DataFrame(schema=schema | {"ci_lower": pl.Float64, "ci_upper": pl.Float64})
