"""The course of one unit as a small figure, drawn twice as in `eduq.bulletins.charts`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from eduq.bulletins.drawing import PALETTE, WIDE, at_both_widths, axis_ticks, base_theme, signed_ticks, tidy_svg, to_svg

__all__ = ["draw_course"]

Dot = tuple[int, float, float | None, float | None]
"""Place of the year, value, lower and upper bound."""


def draw_course(dots: Sequence[Dot], periods: Sequence[str], *, signed: bool) -> tuple[str, str]:
    """Return the wide and narrow drawing of a unit's values with their intervals.

    Parameters
    ----------
    dots
        The years with a value.
    periods
        Labels of all years.
    signed
        A gap: the area's zero line is drawn and labels carry signs; else a rate or level from its own range.
    """
    return at_both_widths(lambda width: _course(dots, periods, signed, width))


def _course(dots: Sequence[Dot], periods: Sequence[str], signed: bool, width: int) -> str:
    import lets_plot as lp

    size, height = (15, 250) if width == WIDE else (12, 210)
    zero = [0.0] if signed else []
    low = min([*zero, *(dot[1] if dot[2] is None else dot[2] for dot in dots)])
    high = max([*zero, *(dot[1] if dot[3] is None else dot[3] for dot in dots)])
    pad = 0.06 * (high - low) or 0.05
    ticks = axis_ticks(low - pad, high + pad, 6)
    labels = signed_ticks(ticks) if signed else [f"{tick:g}" for tick in ticks]
    plot = lp.ggplot()
    if signed:
        plot += lp.geom_hline(yintercept=0, color=PALETTE["ink"], size=0.9, tooltips="none")
    colour = PALETTE["accent"]
    bounded = [dot for dot in dots if dot[2] is not None and dot[3] is not None]
    if bounded:
        bars: dict[str, list[Any]] = {"x": [dot[0] for dot in bounded]}
        bars |= {"low": [dot[2] for dot in bounded], "high": [dot[3] for dot in bounded]}
        plot += lp.geom_segment(lp.aes("x", "low", xend="x", yend="high"), data=bars, color=colour, size=1.2, tooltips="none")
    pairs = [(one, two) for one, two in pairwise(dots) if two[0] == one[0] + 1]
    if pairs:
        lines = {"x": [one[0] for one, _ in pairs], "y": [one[1] for one, _ in pairs]}
        lines |= {"x2": [two[0] for _, two in pairs], "y2": [two[1] for _, two in pairs]}
        plot += lp.geom_segment(lp.aes("x", "y", xend="x2", yend="y2"), data=lines, color=colour, size=0.7, tooltips="none")
    points = {"x": [dot[0] for dot in dots], "y": [dot[1] for dot in dots]}
    plot += lp.geom_point(lp.aes("x", "y"), data=points, shape=21, color=colour, fill=colour, size=3.2, tooltips="none")
    shown = [label if width == WIDE else label[2:4] + "–" + label[-2:] for label in periods]
    plot += lp.scale_x_continuous(
        breaks=list(range(len(periods))), labels=shown, limits=[-0.5, len(periods) - 0.5], expand=[0, 0]
    )
    plot += lp.scale_y_continuous(breaks=ticks, labels=labels, limits=[low - pad, high + pad], expand=[0, 0])
    plot += lp.labs(x="", y="") + base_theme(size)
    plot += lp.theme(axis_title=lp.element_blank(), plot_margin=[4, 10, 2, 4], panel_grid_major_x=lp.element_blank())
    return tidy_svg(to_svg(plot, width, height), width, height)
