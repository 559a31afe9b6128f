"""The public function of growth: one call, several methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from eduq.errors import UsageError
from eduq.estimates.frames import FrameLike
from eduq.estimates.growth.inputs import read_rows
from eduq.estimates.growth.results import GrowthResult

__all__ = ["estimate_growth"]

Method = Literal["multilevel", "percentile", "gain", "z_gain", "rank_change", "bands"]
METHODS = ("multilevel", "percentile", "gain", "z_gain", "rank_change", "bands")
ONLY = {
    "multilevel": ("reml", "random_slopes", "covariates", "class_unit", "reliability", "draws", "seed", "weights", "pupil"),
    "percentile": ("knots", "boundaries", "obtainable", "min_n"),
    "bands": ("n_bands",),
}
"""Options that one method alone understands."""


def estimate_growth(
    frame: FrameLike,
    *,
    outcome: str,
    prior: Sequence[str] | str,
    unit: str,
    method: Method = "multilevel",
    level: float = 0.95,
    reml: bool = True,
    random_slopes: Sequence[str] = (),
    covariates: Sequence[str] = (),
    class_unit: str | None = None,
    reliability: float | Mapping[str, float] | None = None,
    draws: int = 1000,
    seed: int = 20250101,
    weights: str | None = None,
    pupil: str | None = None,
    knots: Mapping[str, Sequence[float]] | None = None,
    boundaries: Mapping[str, Sequence[float]] | None = None,
    obtainable: Sequence[float] | None = None,
    min_n: int = 10,
    n_bands: int = 10,
) -> GrowthResult:
    """Estimate what units add beyond what their pupils brought with them.

    Parameters
    ----------
    frame
        One row per pupil: Polars, eager or lazy, or any Arrow table (pyarrow, pandas, DuckDB).
    outcome, unit
        Columns of the later score and of the unit (school, class, teacher).
    prior
        Columns of earlier scores.
    method
        ``multilevel``: y = Xβ + unit (+ class) + pupil, fitted exactly from cross-products; ``percentile``: growth percentiles by
        quantile regression; ``gain``, ``z_gain``, ``rank_change``: differences; ``bands``: residuals within bands of the prior.
    level
        Level of the intervals.
    reml
        Restricted maximum likelihood; False: maximum likelihood. For ``multilevel``, as are the next six.
    random_slopes
        Priors and numeric covariates whose slope differs between units.
    covariates
        Further columns: numbers enter as they are, text as one column for each value but the first in sorted order
        (``sex=male``).
    class_unit
        Column of classes within units: three levels. Equal class names in two units are two classes.
    reliability
        Reliability of the priors, one number for all or by name: measurement error is taken out of the fixed effects, the
        standard errors come from a bootstrap over units. Both results are returned. Nothing is corrected unless asked for.
    draws, seed
        Of that bootstrap.
    weights, pupil
        Of ``multilevel``, for co-teaching: a pupil stands in a row for each unit that teaches him, ``weights`` is the column of
        its share, ``pupil`` the column that says whose row it is; shares of a pupil sum to 1. Not with random slopes, classes or
        a correction for measurement error.
    knots, boundaries, obtainable, min_n
        For ``percentile``: inner knots and boundaries by prior; the lowest and highest obtainable score; smallest unit shown.
    n_bands
        For ``bands``: how many.

    Returns
    -------
    GrowthResult
        ``.frame`` one row per unit, sorted: the unit column, n, estimate, std_error, ci_lower, ci_upper, reliability. For
        ``multilevel`` estimate is the BLUP of the random intercept and std_error its conditional SE; then prediction_se (for a
        unit against a fixed outside value only), centred, centred_lower, centred_upper (less the mean of all units: what to
        print), at_mean, at_mean_se (with random slopes: the effect at the mean prior) and slope_NAME, slope_NAME_se, raw, raw_se
        (mean residual, not shrunken: for pairwise claims), n_classes, estimate_uncorrected, method, conf_level, reason
        (too_few_units, one_pupil_each; no_difference: the variance of units is estimated as 0, an estimate of 0 has then no
        error). ``.model`` a `GrowthModel`, ``.left_out`` rows that do not count, ``.tables["classes"]``. The other methods give
        ``.candidates`` (the caller's rows with growth_percentile, the gain, or prior_band, expected and residual), and beside
        each unit n_listed, match_rate, unmatched_prior_z; for their further columns see `eduq.estimates.growth.percentile`,
        `eduq.estimates.growth.gains` and `eduq.estimates.growth.bands`.

    Raises
    ------
    UsageError
        ``growth_source``, ``growth_column_missing``, ``growth_column_twice``, ``growth_name_taken``, ``growth_method``,
        ``growth_option``, ``growth_option_unused``, ``growth_slope``, ``growth_slope_dropped``, ``growth_slopes_and_classes``,
        ``growth_reliability_slope``, ``growth_one_prior``, ``growth_column_taken``, ``growth_knots``, ``growth_weights_alone``.
    DataFileError
        ``growth_value``: text for a number, infinite values; ``growth_weights_value``, ``growth_weights_sum``,
        ``growth_weights_differ``.
    NotAssessableError
        ``growth_no_rows``, ``growth_too_few_pupils``, ``growth_no_spread``, ``growth_classes``, ``growth_too_many_effects``,
        ``growth_reliability``, ``growth_reliability_units``, ``growth_not_converged``, ``growth_column_constant``,
        ``growth_too_few_for_quantiles``, ``growth_quantile_unsolved``, ``growth_weights_units``.

    References
    ----------
    Bates, D., Mächler, M., Bolker, B. and Walker, S. (2015). Fitting linear mixed-effects models using lme4. Journal of
    Statistical Software 67(1). Goldstein, H. (2011). Multilevel statistical models, 4th ed. Betebenner, D. (2009). Norm- and
    criterion-referenced student growth. Educational Measurement: Issues and Practice 28(4), 42-51. Fuller, W. A. (1987).
    Measurement error models.

    Examples
    --------
    >>> import polars as pl
    >>> rows = [
    ...     {"school": f"S{j}", "before": 60.0 + 7 * i % 20, "after": 62.0 + 7 * i % 20 + 4 * j + (i * (j + 2)) % 5}
    ...     for j in range(6) for i in range(12)
    ... ]
    >>> found = estimate_growth(pl.DataFrame(rows), outcome="after", prior="before", unit="school")
    >>> found.frame.sort("estimate", descending=True)["school"].to_list()
    ['S5', 'S4', 'S3', 'S2', 'S1', 'S0']
    >>> found.model.n, found.model.method
    (72, 'REML')
    """
    given: dict[str, Any] = dict(locals())
    for name in ("frame", "outcome", "prior", "unit", "method", "level"):
        del given[name]
    prior = (prior,) if isinstance(prior, str) else tuple(prior)
    _refuse_options(method, level, given)
    if method == "multilevel":
        from eduq.estimates.growth.multilevel import fit_multilevel

        return fit_multilevel(
            frame, outcome=outcome, prior=prior, unit=unit, level=level, **{name: given[name] for name in ONLY["multilevel"]}
        )
    rows = read_rows(frame, unit=unit, outcome=outcome, prior=prior)
    if method == "percentile":
        from eduq.estimates.growth.percentile import fit_percentiles

        return fit_percentiles(rows, level=level, knots=knots, boundaries=boundaries, obtainable=obtainable, min_n=min_n)
    if method == "bands":
        from eduq.estimates.growth.bands import fit_bands

        return fit_bands(rows, level=level, n_bands=n_bands)
    from eduq.estimates.growth.gains import fit_gains

    return fit_gains(rows, kind=method, level=level)


def _refuse_options(method: str, level: float, given: Mapping[str, Any]) -> None:
    """Stop at an unknown method, a level out of range, and options the method would silently ignore."""
    if method not in METHODS:
        raise UsageError("growth_method", method=method, known=", ".join(METHODS))
    if not 0.5 < level < 1:
        raise UsageError("growth_option", option="level")
    defaults = estimate_growth.__kwdefaults__ or {}
    for owner, names in ONLY.items():
        for name in names:
            if owner != method and given[name] != defaults[name]:
                raise UsageError("growth_option_unused", option=name, method=method)
