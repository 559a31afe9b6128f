"""The course of an index over the years as small multiples on one scale, with its limit, drawn as in `eduq.bulletins.charts`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from eduq.bulletins.blocks import Phrase
from eduq.bulletins.drawing import (
    PALETTE,
    WIDE,
    at_both_widths,
    axis_ticks,
    base_theme,
    escape_label,
    shorten_label,
    tidy_svg,
    to_svg,
)
from eduq.bulletins.formats import say
from eduq.locale import Lang

__all__ = ["PANELS", "draw_years"]

PANELS = 12
Dots = Sequence[tuple[int, float, float | None, float | None]]


def draw_years(
    panels: Sequence[tuple[Phrase | str, Dots]], periods: Sequence[str], limit: float | None, lang: Lang
) -> tuple[str, str]:
    """Return the wide and narrow drawing: one panel per subject, values with intervals, the limit as a dashed line.

    Parameters
    ----------
    panels
        Name, and per period its place, value and interval.
    periods
        Labels of the periods; only the first and the last are printed.
    limit
        Drawn in every panel; None for none.
    lang
        Language of the labels.
    """
    names = [say(name, lang) for name, _ in panels]
    return at_both_widths(lambda width: _years(names, [dots for _, dots in panels], periods, limit, width))


def _years(names: list[str], panels: Sequence[Dots], periods: Sequence[str], limit: float | None, width: int) -> str:
    import lets_plot as lp

    size = 15 if width == WIDE else 12
    across = min(len(panels), 4 if width == WIDE else 2)
    height = math.ceil(len(panels) / across) * (150 if width == WIDE else 132) + 30
    dots = [dot for found in panels for dot in found]
    high = 1.05 * max(limit or 0.0, *(dot[1] if dot[3] is None else dot[3] for dot in dots))
    ticks = axis_ticks(0.0, high, 5)
    ends = [0, len(periods) - 1]
    plot = lp.ggplot()
    if limit is not None:
        plot += lp.geom_hline(yintercept=limit, color=PALETTE["soft"], size=0.9, linetype="dashed", tooltips="none")
    colour = PALETTE["accent"]
    for number, found in enumerate(panels):
        label = f"{number:02d}"
        bounded = [dot for dot in found if dot[2] is not None and dot[3] is not None]
        data: dict[str, list[Any]] = {"unit": [label] * len(bounded), "x": [dot[0] for dot in bounded]}
        data |= {"low": [dot[2] for dot in bounded], "high": [dot[3] for dot in bounded]}
        if bounded:
            plot += lp.geom_segment(lp.aes("x", "low", xend="x", yend="high"), data=data, color=colour, size=1.0, tooltips="none")
        pairs = [(one, two) for one, two in pairwise(found) if two[0] == one[0] + 1]
        if pairs:
            data = {"unit": [label] * len(pairs), "x": [one[0] for one, _ in pairs], "y": [one[1] for one, _ in pairs]}
            data |= {"x2": [two[0] for _, two in pairs], "y2": [two[1] for _, two in pairs]}
            plot += lp.geom_segment(lp.aes("x", "y", xend="x2", yend="y2"), data=data, color=colour, size=0.7, tooltips="none")
        data = {"unit": [label] * len(found), "x": [dot[0] for dot in found], "y": [dot[1] for dot in found]}
        plot += lp.geom_point(lp.aes("x", "y"), data=data, shape=21, color=colour, fill=colour, size=2.2, tooltips="none")
    plot += lp.facet_wrap("unit", ncol=across)
    plot += lp.scale_x_continuous(
        breaks=ends, labels=[periods[place] for place in ends], limits=[-0.6, len(periods) - 0.4], expand=[0, 0]
    )
    plot += lp.scale_y_continuous(breaks=ticks, labels=[f"{tick:.2f}" for tick in ticks], limits=[0, high], expand=[0, 0])
    plot += lp.labs(x="", y="") + base_theme(size)
    plot += lp.theme(axis_title=lp.element_blank(), plot_margin=[2, 8, 2, 2], panel_grid_major_x=lp.element_blank())
    svg = tidy_svg(to_svg(plot, width, height), width, height)
    for number, name in enumerate(names):
        room = width / across - 30
        svg = svg.replace(f"<tspan>{number:02d}</tspan>", f"<tspan>{escape_label(shorten_label(name, size, room))}</tspan>", 1)
    return svg
