"""Who a scheme makes candidates, and how sure that is: level and progress side by side, by school code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.errors import DataFileError, NotAssessableError, UsageError
from eduq.estimates.awards.county import AwardCounty
from eduq.estimates.awards.schemes import AwardScheme, require_both
from eduq.estimates.awards.selection import LEAST, Selection, contrast_series, select_units
from eduq.estimates.frames import FrameLike, as_frame
from eduq.estimates.intervals import normal_quantile
from eduq.estimates.results import EstimateResult

__all__ = ["AwardCandidates", "county_frames", "find_candidates", "peer_labels"]

Floats = NDArray[np.float64]
DRAWS = 4000


@dataclass(frozen=True, repr=False)
class AwardCandidates(EstimateResult):
    """Candidates, not winners: persons decide.

    Attributes
    ----------
    frame
        One line per unit, by its code: unit, peer_group, n_peers, places, n; per measure of the scheme (``level`` and
        ``progress``, with the measure's id in front where there are several of a kind) the estimate, then the same name with
        ``_std_error``, ``_lower``, ``_upper``, ``_shrunken`` and ``_shrunken_se``; index (weighted mean of the measures, each on
        the scale of its peers' spread), candidate, tied, p_top (probability of truly being among the places by the index,
        whatever evidence the scheme asks for), reason (no_level, no_progress, below_min_n, peer_group_too_small,
        no_evidence; null for
        candidates and for those whose index lies below the places).
    settings
        The scheme and what else it depends on.
    """

    def summary(self) -> str:
        """Return one line: scheme, units, candidates."""
        chosen = self.frame.filter("candidate")
        return f"scheme {self.settings['scheme']['id']}: {chosen.height} candidates of {self.frame.height} units; persons decide"

    def plot(self) -> Any:
        """Return level and progress side by side with their intervals (lets-plot); candidates by shape, in no order."""
        import lets_plot as lp

        names = [name.removesuffix("_shrunken_se") for name in self.frame.columns if name.endswith("_shrunken_se")]
        across, up = (next(name for name in names if name.endswith(kind)) for kind in ("level", "progress"))
        sides = {
            f"{side}_{end}": pl.col(f"{name}_{end}") for side, name in (("x", across), ("y", up)) for end in ("lower", "upper")
        }
        said = pl.when("candidate").then(pl.lit("candidate")).otherwise(pl.lit("other")).alias("state")
        data = self.frame.select("unit", said, pl.col(across).alias("x"), pl.col(up).alias("y"), **sides).drop_nulls()
        return (
            lp.ggplot(data.to_dict(as_series=False), lp.aes("x", "y"))
            + lp.geom_errorbar(lp.aes(xmin="x_lower", xmax="x_upper"), color="#d9dee4", size=0.6, width=0)
            + lp.geom_errorbar(lp.aes(ymin="y_lower", ymax="y_upper"), color="#d9dee4", size=0.6, width=0)
            + lp.geom_point(lp.aes(color="state", shape="state"), size=3)
            + lp.geom_text(lp.aes(label="unit"), vjust=-0.8, size=4, color="#5b6470")
            + lp.scale_color_manual({"candidate": "#1f4e79", "other": "#8a94a0"})
            + lp.labs(x=across, y=up)
            + lp.ggsize(800, 600)
        )


def find_candidates(
    level: FrameLike | Mapping[str, FrameLike],
    progress: FrameLike | Mapping[str, FrameLike],
    *,
    scheme: AwardScheme,
    unit: str = "unit",
    peers: pl.DataFrame | None = None,
    min_n: int = 10,
    seed: int = 20250101,
) -> AwardCandidates:
    """Find the candidates of a scheme; the texts that bar schemes are asked by `eduq.propose_awards`, not here.

    Parameters
    ----------
    level, progress
        Columns ``unit``, estimate, std_error and, in at least one, n; by measure id where a scheme has several of a kind.
    scheme
        See `AwardScheme`.
    unit
        Name of the unit column.
    peers
        The unit column and those of ``scheme.peer_group``.
    min_n
        Units with fewer candidates show no numbers, whatever the scheme says.
    seed
        Of the draws behind p_top: θ ~ N(shrunken, its SE) for every measure and unit.
    """
    require_both(scheme)
    frames = [_frame_of(scheme, place, level, progress, unit) for place in range(len(scheme.measures))]
    units = sorted({str(value) for frame in frames for value in frame[unit]})
    values = np.stack([_column(frame, unit, units, "estimate") for frame in frames])
    errors = np.stack([_column(frame, unit, units, "std_error") for frame in frames])
    sizes = [_column(frame, unit, units, "n") for frame in frames if "n" in frame.columns]
    if not sizes:
        raise UsageError("award_column_missing", column="n", known=", ".join(frames[0].columns))
    n = np.stack(sizes)
    n = np.where(np.isnan(n).all(axis=0), 0.0, np.nanmin(np.where(np.isnan(n), np.inf, n), axis=0))
    labels = peer_labels(units, unit, peers, scheme.peer_group)
    names = sorted(set(labels))
    groups = np.array([names.index(label) for label in labels])
    held = scheme.model_copy(update={"min_n": max(scheme.min_n, min_n)})
    found = select_units(held, values, np.where(errors > 0, errors, np.nan), n, groups)
    if not np.isfinite(found.index).any():
        usable = np.isfinite(values).all(axis=0) & (errors > 0).all(axis=0) & (n >= held.min_n)
        raise NotAssessableError("award_too_few", units=int(np.bincount(groups[usable], minlength=1).max()), periods=0)
    p_top = _probabilities(held, found, groups, seed)
    frame = _lay_out(held, units, labels, groups, n, values, errors, found, p_top, min_n)
    facts = {"scheme": scheme.model_dump(mode="json", by_alias=True), "seed": seed, "draws": DRAWS, "min_n": min_n}
    return AwardCandidates(frame=frame, settings=facts)


def county_frames(
    county: AwardCounty | Mapping[str, AwardCounty], scheme: AwardScheme
) -> tuple[dict[str, pl.DataFrame], dict[str, pl.DataFrame]]:
    """Return level and progress of a county's schools as the scheme wants them, by measure id.

    Raises
    ------
    UsageError
        ``award_measure_missing``: the county was collected for another measure.
    """
    known = {county.measure: county} if isinstance(county, AwardCounty) else county
    parts: dict[str, dict[str, pl.DataFrame]] = {"level": {}, "progress": {}}
    for measure in scheme.measures:
        if measure.measure not in known:
            raise UsageError("award_measure_missing", measure=measure.name, known=", ".join(known))
        own = known[measure.measure]
        made = contrast_series(own.known, measure)
        data = {
            "unit": list(own.units),
            "estimate": made.of(own.means),
            "std_error": made.error(own.sampling + own.var_shock),
            "n": own.n[:, -1],
        }
        parts[measure.kind][measure.measure] = pl.DataFrame(data).with_columns(
            pl.col("estimate", "std_error", "n").fill_nan(None)
        )
    return parts["level"], parts["progress"]


def _frame_of(
    scheme: AwardScheme,
    place: int,
    level: FrameLike | Mapping[str, FrameLike],
    progress: FrameLike | Mapping[str, FrameLike],
    unit: str,
) -> pl.DataFrame:
    measure = scheme.measures[place]
    given = level if measure.kind == "level" else progress
    if not isinstance(given, Mapping):
        if len(scheme.of(measure.kind)) > 1:
            raise UsageError(
                "award_frames", kind=measure.kind, measures=", ".join(item.measure for item in scheme.of(measure.kind))
            )
        frame = as_frame(given, error="award_source")
    elif measure.measure in given:
        frame = as_frame(given[measure.measure], error="award_source")
    else:
        raise UsageError("award_measure_missing", measure=measure.name, known=", ".join(given) or "-")
    for name in (unit, "estimate", "std_error"):
        if name not in frame.columns:
            raise UsageError("award_column_missing", column=name, known=", ".join(frame.columns))
    if frame[unit].n_unique() < frame.height:
        raise UsageError("award_unit_twice", measure=measure.name)
    return frame.with_columns(
        _numbers(frame, name, measure.name) for name in ("estimate", "std_error", "n") if name in frame.columns
    )


def _numbers(frame: pl.DataFrame, name: str, measure: str) -> pl.Series:
    """Return a column as numbers, null where there is none."""
    given = frame[name]
    if given.dtype == pl.String:
        given = given.str.strip_chars().replace("", None)
    values = given.cast(pl.Float64, strict=False)
    wrong = values.is_infinite().any() or values.null_count() > given.null_count()
    if wrong or (name != "estimate" and (values.fill_nan(None) < 0).any()):
        raise DataFileError("award_value", measure=measure, column=name)
    return values.fill_nan(None)


def _column(frame: pl.DataFrame, unit: str, units: Sequence[str], name: str) -> Floats:
    known = dict(zip(frame[unit].cast(pl.String), frame[name], strict=True))
    return np.array([np.nan if known.get(label) is None else float(known[label]) for label in units])


def peer_labels(units: Sequence[str], unit: str, peers: pl.DataFrame | None, columns: Sequence[str]) -> list[str]:
    """Return the peer group of each unit as ``COLUMN=VALUE;...``, ``all`` where nothing parts them."""
    if not columns:
        return ["all"] * len(units)
    if peers is None or any(name not in peers.columns for name in (unit, *columns)):
        raise UsageError("award_peers_missing", columns=", ".join(columns))
    known = {
        str(row[unit]): ";".join(f"{name}={'' if row[name] is None else row[name]}" for name in columns)
        for row in peers.unique(unit, keep="first", maintain_order=True).iter_rows(named=True)
    }
    return [known.get(label, ";".join(f"{name}=" for name in columns)) for label in units]


def _probabilities(scheme: AwardScheme, found: Selection, groups: NDArray[np.int64], seed: int) -> Floats:
    """Return the probability of truly being among the places of the own peer group, from the shrunken values and their errors."""
    rng = np.random.default_rng(seed)
    result = np.full(len(groups), np.nan)
    weights = np.array([item.weight for item in scheme.measures])
    for group in np.unique(groups):
        inside = np.flatnonzero((groups == group) & np.isfinite(found.index))
        if len(inside) == 0:
            continue
        total = np.zeros((DRAWS, len(inside)))
        for place, weight in enumerate(weights):
            middle, error = found.shrunken[place, inside], found.shrunken_se[place, inside]
            truth = middle + error * rng.standard_normal((DRAWS, len(inside)))
            spread = truth.std(axis=1, keepdims=True)
            total += weight * (truth - truth.mean(axis=1, keepdims=True)) / np.where(spread > 1e-12, spread, 1.0)
        last = -np.sort(-total, axis=1)[:, scheme.places_in(len(inside)) - 1 : scheme.places_in(len(inside))]
        result[inside] = (total >= last).mean(axis=0)
    return result


def _lay_out(
    scheme: AwardScheme,
    units: Sequence[str],
    labels: Sequence[str],
    groups: NDArray[np.int64],
    n: Floats,
    values: Floats,
    errors: Floats,
    found: Selection,
    p_top: Floats,
    min_n: int,
) -> pl.DataFrame:
    sizes = np.array([int(((groups == group) & np.isfinite(found.index)).sum()) for group in range(groups.max() + 1)])[groups]
    small = n < min_n
    reason: list[str | None] = []
    for place in range(len(units)):
        lacking = [item.kind for item, value in zip(scheme.measures, values[:, place], strict=True) if np.isnan(value)]
        if lacking:
            reason.append(f"no_{lacking[0]}")
        elif n[place] < scheme.min_n:
            reason.append("below_min_n")
        elif sizes[place] < LEAST:
            reason.append("peer_group_too_small")
        else:
            reason.append(None if found.eligible[place] else "no_evidence")
    data: dict[str, Any] = {"unit": list(units), "peer_group": list(labels), "n_peers": sizes}
    data |= {
        "places": [min(scheme.places_in(int(size)), int(size)) if size >= LEAST else 0 for size in sizes],
        "n": n.astype(np.int64),
    }
    z = normal_quantile(scheme.level)
    for place, measure in enumerate(scheme.measures):
        name = measure.kind if len(scheme.of(measure.kind)) == 1 else f"{measure.measure}_{measure.kind}"
        x, error = np.where(small, np.nan, values[place]), np.where(small, np.nan, errors[place])
        data |= {name: x, f"{name}_std_error": error, f"{name}_lower": x - z * error, f"{name}_upper": x + z * error}
        data |= {f"{name}_shrunken": found.shrunken[place], f"{name}_shrunken_se": found.shrunken_se[place]}
    data |= {"index": found.index, "candidate": found.chosen, "tied": found.tied, "p_top": p_top, "reason": reason}
    return pl.DataFrame(data, schema_overrides={"reason": pl.String}).with_columns(pl.selectors.float().fill_nan(None))
