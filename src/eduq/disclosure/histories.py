"""What an edition may show of the schools' course over the years."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from eduq.estimates.declines import DeclineResult
from eduq.estimates.declines.directions import add_direction
from eduq.tables import LEFT_OUT

__all__ = ["History", "HistoryOrigin", "PublishableHistory", "protect_history", "tell_direction", "withhold_small_series"]

HistoryOrigin = Literal["archived", "added", "replaced"]
"""Whether the exam of a bulletin is in the archive as it was read, was not in it, or was there from other files."""


@dataclass(frozen=True)
class History:
    """Yearly series of schools up to an exam, before an audience is chosen; not to be shown as it is.

    Attributes
    ----------
    archive_version
        Version of the archive that was read.
    origin
        Where the newest exam came from (`HistoryOrigin`).
    left_out
        `eduq.tables.LEFT_OUT`, every exam of the archive and the exam itself; None where no exam could be placed.
    notes
        What changed in the papers from one exam to the next (`eduq.estimates.series.NOTES`).
    declines
        The schools' composite; None where there is no course to speak of.
    subjects
        Schools × subjects, a second family; None likewise.
    reason
        Why there are no declines (code of an error).
    names
        Names of schools by id, as the registers have them.
    series
        The yearly series everything is read from (`eduq.tables.SERIES` and ``n_elsewhere``): composite, subjects, mean scores;
        None where no exam could be placed or there is one year only.
    """

    archive_version: int
    origin: HistoryOrigin
    left_out: pl.DataFrame | None = None
    notes: pl.DataFrame | None = None
    declines: DeclineResult | None = None
    subjects: DeclineResult | None = None
    reason: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    series: pl.DataFrame | None = None


@dataclass(frozen=True)
class PublishableHistory:
    """What an edition may show of a history: the tables of `History`, numbers of small units withheld.

    Attributes
    ----------
    archive_version, origin, reason, left_out, notes, names
        As in `History`.
    declines, series, changes
        Of the composite, one line per school, per school and year, and per change from year to year; empty without any.
    subjects, subject_series
        One line per school and subject, and per school, subject and year; empty without any.
    model
        What was estimated for all schools together (`eduq.estimates.declines.DeclineModel`); empty without any.
    bounds
        Bounds of the evidence grades.
    """

    archive_version: int
    origin: HistoryOrigin
    left_out: pl.DataFrame
    notes: pl.DataFrame
    declines: pl.DataFrame
    series: pl.DataFrame
    changes: pl.DataFrame
    subjects: pl.DataFrame
    model: dict[str, Any]
    bounds: dict[str, Any]
    reason: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    subject_series: pl.DataFrame = field(default_factory=pl.DataFrame)


_KEPT_OF_SMALL = ("n_periods", "n_left_out", "n_min", "first", "last")


def withhold_small_series(found: DeclineResult, min_n: int) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return declines, series and changes: numbers of small years withheld, and all of a unit's course if one of its years is."""
    keys = [found.columns.unit, *found.columns.family]
    period = found.columns.period
    small = pl.col("n") < min_n
    few = found.series.filter(small).select(*keys, period).unique()
    shown = [name for name in ("estimate", "relative", "std_error", "ci_lower", "ci_upper") if name in found.series.columns]
    series = found.series.with_columns(
        *(pl.when(~small.fill_null(False)).then(pl.col(name)).alias(name) for name in shown),
        pl.when(small.fill_null(False)).then(pl.lit("below_min_n")).otherwise(pl.col("reason")).alias("reason"),
    )
    changes = found.changes
    for side in ("period_from", "period_to"):
        changes = changes.join(few.rename({period: side}), on=[*keys, side], how="anti", maintain_order="left")
    thin = found.frame.join(few.select(keys).unique(), on=keys, how="semi").select(keys)
    marked = found.frame.join(thin.with_columns(pl.lit(True).alias("_thin")), on=keys, how="left", maintain_order="left")
    withheld = pl.col("_thin").fill_null(False)
    declines = marked.with_columns(
        *(
            pl.when(~withheld).then(pl.col(name)).alias(name)
            for name in found.frame.columns
            if name not in (*keys, *_KEPT_OF_SMALL, "evidence_reason")
        ),
        pl.when(withheld).then(pl.lit("withheld")).otherwise(pl.col("evidence_reason")).alias("evidence_reason"),
    ).drop("_thin")
    return declines, series, changes


def tell_direction(found: DeclineResult) -> DeclineResult:
    """Return declines whose frame says which way each course goes (``direction``, null where its numbers are withheld)."""
    if "direction" in found.frame.columns:
        return found
    bounds = found.settings.get("bounds", {})
    return dataclasses.replace(found, frame=add_direction(found.frame, q=float(bounds.get("q", 0.10))))


def protect_history(history: History, min_n: int) -> PublishableHistory:
    """Return what the bureau edition may show of a history: see `protect`."""
    empty = pl.DataFrame()
    declines, series, changes = (
        (empty, empty, empty) if history.declines is None else withhold_small_series(tell_direction(history.declines), min_n)
    )
    subjects, of_years, _ = (
        (empty, empty, empty) if history.subjects is None else withhold_small_series(tell_direction(history.subjects), min_n)
    )
    return PublishableHistory(
        archive_version=history.archive_version,
        origin=history.origin,
        left_out=pl.DataFrame(schema=LEFT_OUT) if history.left_out is None else history.left_out,
        notes=empty if history.notes is None else history.notes,
        declines=declines,
        series=series,
        changes=changes,
        subjects=subjects,
        model={} if history.declines is None else dataclasses.asdict(history.declines.model),
        bounds={} if history.declines is None else dict(history.declines.settings["bounds"]),
        reason=history.reason,
        names=dict(history.names),
        subject_series=of_years,
    )
