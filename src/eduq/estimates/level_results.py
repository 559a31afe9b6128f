"""The result of the level measures: its frame, a line of counts, a picture of one measure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from eduq.errors import UsageError
from eduq.estimates.pictures import draw_intervals
from eduq.estimates.results import EstimateResult
from eduq.groups import COMPOSITE, TOTAL
from eduq.summaries import AREA_UNIT

__all__ = ["LevelResult"]

IN_SDS = ("composite_z", "z_mean")
"""Gaps: their line is 0, and they are drawn first."""


@dataclass(frozen=True, repr=False)
class LevelResult(EstimateResult):
    """Level measures of units.

    Attributes
    ----------
    frame
        `eduq.tables.EstimateTable`.
    settings
        What they depend on.
    """

    def plot(
        self,
        measure: str | None = None,
        *,
        paper: str | None = None,
        unit_type: str | None = None,
        comparison_group: str | None = None,
    ) -> Any:
        """Return one measure of the units of one comparison group, with intervals, in order (lets-plot).

        The line is 0 of a gap, else the value of the whole area where the frame has it. Units of other comparison groups cannot
        be compared with these: they are not drawn, and the caption counts them.

        Parameters
        ----------
        measure
            Id of a measure; the composite gap by default, else the gap of a paper, else the only one.
        paper
            Code of a paper; by default the composite, else the total, else the only one.
        unit_type
            By default the only one besides the area, else ``school``.
        comparison_group
            By default the one with the most units.

        Raises
        ------
        UsageError
            ``estimates_choose``: there are several, or there is no such; ``estimates_nothing_to_draw``: no unit has a number.
        """
        rows = self.frame
        unit_type = _choose(rows, "unit_type", unit_type, ("school",), but=("area",))
        area, rows = rows.filter(unit_type="area"), rows.filter(unit_type=unit_type)
        measure = _choose(rows, "measure", measure, IN_SDS)
        rows = rows.filter(measure=measure)
        paper = _choose(rows, "paper", paper, (COMPOSITE, TOTAL))
        rows = rows.filter(pl.col("paper") == paper, pl.col("estimate").is_not_null())
        if rows.is_empty():
            raise UsageError("estimates_nothing_to_draw", measure=measure, paper=paper)
        groups = rows.group_by("comparison_group").len().sort("len", "comparison_group", descending=[True, False])
        group = _choose(rows, "comparison_group", comparison_group, (groups["comparison_group"][0],))
        drawn = rows.filter(comparison_group=group).select(
            pl.col("unit").alias("label"), pl.col("estimate").alias("value"), "ci_lower", "ci_upper"
        )
        whole = area.filter(measure=measure, paper=paper, comparison_group=group, unit=AREA_UNIT)["estimate"].drop_nulls()
        lines = [0.0] if measure in IN_SDS else whole.to_list()[:1]
        others = rows.height - drawn.height
        caption = group if not others else f"{group} (+{others}: not comparable, not drawn)"
        return draw_intervals(drawn, lines=lines, axis=f"{measure} · {paper}", caption=caption)


def _choose(rows: pl.DataFrame, column: str, asked: str | None, first: tuple[str, ...], but: tuple[str, ...] = ()) -> str:
    """Return what was asked for, the first of the preferred ones there is, or the only one."""
    known = [value for value in rows[column].unique().sort().to_list() if value is not None and value not in but]
    if asked is not None and asked in (*known, *but):
        return asked
    preferred = next((name for name in first if name in known), known[0] if len(known) == 1 else None)
    if asked is not None or preferred is None:
        raise UsageError("estimates_choose", option=column, known=", ".join(known))
    return preferred
