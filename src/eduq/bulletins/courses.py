"""Courses over the years as small multiples on one scale, drawn twice as in `eduq.bulletins.charts`."""

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
    signed_ticks,
    tidy_svg,
    to_svg,
)
from eduq.bulletins.formats import say
from eduq.locale import Lang

__all__ = ["COURSES_LIMIT", "Course", "draw_courses"]

COURSES_LIMIT = 12
"""So many units get a panel of their own; the table has all."""
Course = tuple[Phrase | str, str, Sequence[tuple[int, float, float | None, float | None]]]
"""Name, side (below, above, same: colour and shape), and per period its place, estimate and interval."""
_DOTS = {"above": 24, "below": 25, "same": 21}


def draw_courses(courses: Sequence[Course], periods: Sequence[str], lang: Lang) -> tuple[str, str]:
    """Return the wide and narrow drawing: one panel per unit, estimates with intervals, the line of the area at zero.

    Parameters
    ----------
    courses
        The units, in the order of the panels.
    periods
        Labels of the periods; only the first and the last are printed.
    lang
        Language of the labels.
    """
    names = [say(name, lang) for name, _, _ in courses]
    return at_both_widths(lambda width: _courses(names, courses, periods, width))


def _segments(number: int, dots: Sequence[tuple[int, float, float | None, float | None]]) -> dict[str, list[Any]]:
    """Return the lines between neighbouring periods; a missing period leaves a gap."""
    pairs = [(one, two) for one, two in pairwise(dots) if two[0] == one[0] + 1]
    return {
        "unit": [f"{number:02d}"] * len(pairs),
        "x": [one[0] for one, _ in pairs],
        "y": [one[1] for one, _ in pairs],
        "x2": [two[0] for _, two in pairs],
        "y2": [two[1] for _, two in pairs],
    }


def _courses(names: list[str], courses: Sequence[Course], periods: Sequence[str], width: int) -> str:
    import lets_plot as lp

    size = 15 if width == WIDE else 12
    across = min(len(courses), 4 if width == WIDE else 2)
    down = math.ceil(len(courses) / across)
    height = down * (150 if width == WIDE else 132) + 30
    dots = [dot for _, _, found in courses for dot in found]
    low = min(0.0, *(dot[1] if dot[2] is None else dot[2] for dot in dots))
    high = max(0.0, *(dot[1] if dot[3] is None else dot[3] for dot in dots))
    pad = 0.05 * (high - low)
    ticks = axis_ticks(low - pad, high + pad, 6)
    ends = [0, len(periods) - 1]
    plot = lp.ggplot() + lp.geom_hline(yintercept=0, color=PALETTE["ink"], size=0.9, tooltips="none")
    for number, (_, side, found) in enumerate(courses):
        colour, panel = PALETTE[side], f"{number:02d}"
        bounded = [dot for dot in found if dot[2] is not None and dot[3] is not None]
        if bounded:
            data: dict[str, list[Any]] = {"unit": [panel] * len(bounded), "x": [dot[0] for dot in bounded]}
            data |= {"low": [dot[2] for dot in bounded], "high": [dot[3] for dot in bounded]}
            plot += lp.geom_segment(lp.aes("x", "low", xend="x", yend="high"), data=data, color=colour, size=1.0, tooltips="none")
        lines = _segments(number, found)
        if lines["x"]:
            plot += lp.geom_segment(lp.aes("x", "y", xend="x2", yend="y2"), data=lines, color=colour, size=0.7, tooltips="none")
        data = {"unit": [panel] * len(found), "x": [dot[0] for dot in found], "y": [dot[1] for dot in found]}
        plot += lp.geom_point(
            lp.aes("x", "y"), data=data, shape=_DOTS[side], color=colour, fill=colour, size=2.2, tooltips="none"
        )
    plot += lp.facet_wrap("unit", ncol=across)
    plot += lp.scale_x_continuous(
        breaks=ends, labels=[periods[place] for place in ends], limits=[-0.6, len(periods) - 0.4], expand=[0, 0]
    )
    plot += lp.scale_y_continuous(breaks=ticks, labels=signed_ticks(ticks), limits=[low - pad, high + pad], expand=[0, 0])
    plot += lp.labs(x="", y="") + base_theme(size)
    plot += lp.theme(axis_title=lp.element_blank(), plot_margin=[2, 8, 2, 2], panel_grid_major_x=lp.element_blank())
    svg = tidy_svg(to_svg(plot, width, height), width, height)
    for number, name in enumerate(names):
        room = width / across - 30
        svg = svg.replace(f"<tspan>{number:02d}</tspan>", f"<tspan>{escape_label(shorten_label(name, size, room))}</tspan>", 1)
    return svg
