"""Two schemes on the same simulated worlds of one county: whom they pick, how steadily, and how often rightly.

World: y_st = θ_s + b_s·(t − t̄) + N(0, ω² + σ²_s/n_st), one year more than the county has. Truths: ``none`` (all θ equal,
b = 0), ``level`` (θ as the county's, spread kept: m + √λ(x̄ − m); b = 0), ``progress`` (the same levels, b ~ N(0, stated SD)).
Both schemes see the same draws (common random numbers), so their difference has the smaller error of a paired one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.errors import NotAssessableError, UsageError
from eduq.estimates.awards.county import AwardCounty
from eduq.estimates.awards.schemes import AwardScheme, require_both
from eduq.estimates.awards.selection import LEAST, contrast_series, select_units
from eduq.estimates.ranks import shrink
from eduq.estimates.results import EstimateResult

__all__ = ["FIGURES", "TRUTHS", "SchemeComparison", "simulate_schemes"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
TRUTHS = ("none", "level", "progress")
FIGURES = (
    "candidates",
    "level_above_median",
    "progress_above_median",
    "truly_in_places",
    "large_third",
    "small_third",
    "high_intake_third",
    "again_next_year",
    "overlap",
)
_CELLS = 3_000_000


@dataclass(frozen=True, repr=False)
class SchemeComparison(EstimateResult):
    """Two schemes side by side.

    Attributes
    ----------
    frame
        One line per truth and figure: truth, figure, a, a_se, b, b_se, difference (a − b), difference_se (paired), worlds (in
        which both schemes have candidates). Figures: candidates (number), the others shares of the candidates:
        level_above_median, progress_above_median (truly above the median school; null where the truth has no
        difference), truly_in_places (truly among the places by the
        scheme's own weights), large_third, small_third, high_intake_third (a third would be no preference), again_next_year
        (candidates a year later with the same truth), overlap (of both schemes' candidates, those of both).
    settings
        Schemes, worlds, seed, stated SD of progress, ω².
    """

    def summary(self) -> str:
        """Return one line: schemes, worlds, seed."""
        a, b = (self.settings[name]["id"] for name in ("a", "b"))
        worlds, units, seed = (self.settings[name] for name in ("worlds", "n_units", "seed"))
        return f"scheme {a} against {b}: {worlds} worlds of {units} units, seed {seed}"

    def plot(self) -> Any:
        """Return the shares of both schemes with twice their simulation error, by truth (lets-plot)."""
        import lets_plot as lp

        shares = self.frame.filter(~pl.col("figure").is_in(["candidates", "overlap"]), pl.col("a").is_not_null())
        sides = [
            shares.select(
                "truth", "figure", pl.lit(side).alias("scheme"), pl.col(side).alias("share"), pl.col(f"{side}_se").alias("se")
            )
            for side in ("a", "b")
        ]
        both = pl.concat(sides).with_columns(
            (pl.col("share") - 2 * pl.col("se")).alias("low"), (pl.col("share") + 2 * pl.col("se")).alias("high")
        )
        return (
            lp.ggplot(both.to_dict(as_series=False), lp.aes("share", "figure", color="scheme"))
            + lp.geom_errorbar(lp.aes(xmin="low", xmax="high"), size=0.8, width=0)
            + lp.geom_point(lp.aes(shape="scheme"), size=3)
            + lp.scale_color_manual({"a": "#1f4e79", "b": "#b45309"})
            + lp.facet_wrap("truth", ncol=1)
            + lp.labs(x="", y="")
            + lp.ggsize(800, 700)
        )

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>{self.frame._repr_html_()}"


@dataclass(frozen=True)
class _Field:
    """What is the same in every world: arrays by unit."""

    county: AwardCounty
    theta: Floats
    variance: Floats
    known: Bools
    n: Floats
    groups: NDArray[np.int64]
    thirds: dict[str, Bools]


def simulate_schemes(
    scheme_a: AwardScheme,
    scheme_b: AwardScheme,
    county: AwardCounty,
    *,
    worlds: int = 2000,
    seed: int = 20250101,
    progress_sd: float = 0.05,
    peers: pl.DataFrame | None = None,
) -> SchemeComparison:
    """Compare two schemes; the texts that bar schemes are asked by `eduq.compare_award_schemes`, not here.

    Parameters
    ----------
    scheme_a, scheme_b
        One measure of level and one of progress each, of the county's series.
    county
        From `eduq.estimates.awards.county.collect_county`.
    worlds, seed
        Of the simulation.
    progress_sd
        SD of the schools' true change a year under the truth ``progress``, in pupil SDs.
    peers
        unit and the columns of the schemes' peer groups.
    """
    if worlds < 2 or progress_sd < 0:
        raise UsageError("award_option")
    for scheme in (scheme_a, scheme_b):
        require_both(scheme)
        for measure in scheme.measures:
            if measure.measure != county.measure or len(scheme.of(measure.kind)) > 1:
                raise NotAssessableError("award_not_simulated", scheme=scheme.id, measure=measure.measure, known=county.measure)
    fields = [_field(county, scheme, peers) for scheme in (scheme_a, scheme_b)]
    if int(fields[0].known[:, -1].sum()) < LEAST:
        raise NotAssessableError("award_too_few", units=int(fields[0].known[:, -1].sum()), periods=len(county.periods))
    lines = []
    for number, truth in enumerate(TRUTHS):
        rng = np.random.default_rng([seed, number])
        parts = [_figures((scheme_a, scheme_b), fields, block) for block in _worlds(fields[0], truth, worlds, progress_sd, rng)]
        for figure in FIGURES:
            a, b = (np.concatenate([part[place][figure] for part in parts]) for place in (0, 1))
            lines.append(_line(truth, figure, a, b))
    facts = {
        "a": scheme_a.model_dump(mode="json", by_alias=True),
        "b": scheme_b.model_dump(mode="json", by_alias=True),
        "worlds": worlds,
        "seed": seed,
        "progress_sd": progress_sd,
        "n_units": int(fields[0].known[:, -1].sum()),
        "periods": list(county.periods),
        "var_shock": county.var_shock,
        "shock_source": county.shock_source,
    }
    return SchemeComparison(frame=pl.DataFrame(lines), settings=facts)


def _line(truth: str, figure: str, a: Floats, b: Floats) -> dict[str, object]:
    both = ~np.isnan(a) & ~np.isnan(b)
    line: dict[str, object] = {"truth": truth, "figure": figure}
    for name, values in (("a", a[~np.isnan(a)]), ("b", b[~np.isnan(b)]), ("difference", (a - b)[both])):
        several = len(values) > 1
        line[name] = float(values.mean()) if several else None
        line[f"{name}_se"] = float(values.std(ddof=1) / np.sqrt(len(values))) if several else None
    return line | {"worlds": int(both.sum())}


def _field(county: AwardCounty, scheme: AwardScheme, peers: pl.DataFrame | None) -> _Field:
    from eduq.estimates.awards.candidates import peer_labels

    known = county.known
    counts = np.maximum(known.sum(axis=1), 1)
    mean = np.where(known, np.nan_to_num(county.means), 0.0).sum(axis=1) / counts
    error = np.sqrt((np.where(known, np.nan_to_num(county.sampling) + county.var_shock, 0.0)).sum(axis=1)) / counts
    seen = np.asarray(known.any(axis=1))
    found = shrink(mean[seen], error[seen])
    theta = np.zeros(len(seen))
    theta[seen] = found.mean + np.sqrt(found.reliability) * (mean[seen] - found.mean)
    labels = peer_labels(county.units, "unit", peers, scheme.peer_group)
    names = sorted(set(labels))
    n = np.nan_to_num(county.n[:, -1])
    able = known[:, -1]
    low, high = (np.quantile(n[able], share) if able.any() else 0.0 for share in (1 / 3, 2 / 3))
    thirds = {"large_third": able & (n >= high), "small_third": able & (n <= low)}
    placed = able & ~np.isnan(county.intake)
    if placed.sum() >= LEAST:
        thirds["high_intake_third"] = placed & (county.intake >= np.quantile(county.intake[placed], 2 / 3))
    variance = np.where(known, np.nan_to_num(county.sampling), 0.0) + county.var_shock
    return _Field(county, theta, variance, known, n, np.array([names.index(label) for label in labels]), thirds)


def _worlds(
    field: _Field, truth: str, worlds: int, progress_sd: float, rng: np.random.Generator
) -> Iterator[tuple[Floats, Floats, Floats]]:
    """Yield blocks of worlds: values (worlds, units, years + 1), true levels in the middle of the county's years, true slopes."""
    units, years = field.known.shape
    block = max(1, _CELLS // (units * (years + 1)))
    noise = np.sqrt(np.concatenate([field.variance, field.variance[:, -1:]], axis=1))
    times = np.arange(years + 1) - (years - 1) / 2
    for start in range(0, worlds, block):
        size = min(block, worlds - start)
        slope = rng.standard_normal((size, units)) * (progress_sd if truth == "progress" else 0.0)
        theta = np.zeros(units) if truth == "none" else field.theta
        y = theta[:, None] + slope[..., None] * times + rng.standard_normal((size, units, years + 1)) * noise
        yield y, np.broadcast_to(theta, (size, units)), slope


def _chosen(scheme: AwardScheme, field: _Field, y: Floats, known: Bools) -> Bools:
    """Return the candidates of a window of years."""
    values, errors = [], []
    for measure in scheme.measures:
        made = contrast_series(known, measure)
        values.append(made.of(y))
        errors.append(made.error(field.variance))
    return select_units(
        scheme, np.stack(values), np.stack([np.broadcast_to(e, values[0].shape) for e in errors]), field.n, field.groups
    ).chosen


def _figures(
    schemes: tuple[AwardScheme, AwardScheme], fields: list[_Field], block: tuple[Floats, Floats, Floats]
) -> list[dict[str, Floats]]:
    """Return every figure of both schemes, one value per world."""
    y, theta, slope = block
    now, later = [], []
    for scheme, field in zip(schemes, fields, strict=True):
        now.append(_chosen(scheme, field, y[..., :-1], field.known))
        later.append(_chosen(scheme, field, y[..., 1:], field.known))
    either = (now[0] | now[1]).sum(axis=1)
    overlap = _share((now[0] & now[1]).sum(axis=1), either)
    found = []
    for scheme, field, chosen, again in zip(schemes, fields, now, later, strict=True):
        count = chosen.sum(axis=1)
        figures = {"candidates": count.astype(np.float64), "overlap": overlap}
        figures["again_next_year"] = _share((chosen & again).sum(axis=1), count)
        for name, truth in (("level_above_median", theta), ("progress_above_median", slope)):
            above = truth > np.median(truth[:, field.known[:, -1]], axis=1, keepdims=True)
            figures[name] = _share((chosen & above).sum(axis=1), count if np.ptp(truth) > 0 else np.zeros_like(count))
        figures["truly_in_places"] = _share((chosen & _truly(scheme, field, theta, slope)).sum(axis=1),
                                            count if np.ptp(theta) > 0 else np.zeros_like(count))  # fmt: skip
        for name in ("large_third", "small_third", "high_intake_third"):
            inside = field.thirds.get(name)
            figures[name] = np.full(len(count), np.nan) if inside is None else _share((chosen & inside).sum(axis=1), count)
        found.append(figures)
    return found


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> Floats:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _truly(scheme: AwardScheme, field: _Field, theta: Floats, slope: Floats) -> Bools:
    """Return who is truly among the places, by the scheme's own weights."""
    result = np.zeros(theta.shape, dtype=bool)
    weights = np.array([item.weight for item in scheme.measures])
    able = field.known[:, -1] & (field.n >= scheme.min_n)
    for group in np.unique(field.groups):
        inside = np.flatnonzero(able & (field.groups == group))
        if len(inside) < LEAST:
            continue
        total = np.zeros((len(theta), len(inside)))
        for measure, weight in zip(scheme.measures, weights, strict=True):
            truth = (theta if measure.kind == "level" else slope)[:, inside]
            spread = truth.std(axis=1, keepdims=True)
            total += weight * (truth - truth.mean(axis=1, keepdims=True)) / np.where(spread > 1e-12, spread, 1.0)
        places = scheme.places_in(len(inside))
        result[:, inside] = total >= -np.sort(-total, axis=1)[:, places - 1 : places]
    return result
