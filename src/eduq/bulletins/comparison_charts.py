"""Pictures of a comparison: units in order with shrunken estimates, and the funnel; drawn twice as in `eduq.bulletins.charts`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eduq.bulletins.blocks import Phrase
from eduq.bulletins.charts import CATERPILLAR_LIMIT
from eduq.bulletins.drawing import (
    NARROW,
    PALETTE,
    SHAPES,
    SIDES,
    WIDE,
    axis_ticks,
    base_theme,
    shorten_label,
    signed_ticks,
    text_width,
    tidy_svg,
    to_svg,
    with_left_labels,
)
from eduq.bulletins.formats import say
from eduq.locale import Lang, text

__all__ = ["FunnelDot", "OrderedUnit", "draw_funnel_limits", "draw_order", "outer_units"]

Floats = NDArray[np.float64]
_LABELLED = 6
"""So many units beyond the outer limits are named in the funnel; the table names all."""
_COUNTS = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000)


@dataclass(frozen=True)
class OrderedUnit:
    """A unit of the ordered picture: estimate, interval, shrunken estimate, and side (above, below, same)."""

    name: Phrase | str
    estimate: float
    low: float
    high: float
    shrunken: float | None
    side: str


@dataclass(frozen=True)
class FunnelDot:
    """A unit of the funnel: candidates, estimate, side of the inner limits, and whether it lies beyond the outer ones."""

    name: Phrase | str
    n: int
    estimate: float
    side: str
    beyond: bool


def outer_units(units: Sequence[OrderedUnit]) -> list[OrderedUnit]:
    """Return the units of the picture, highest first: all, or as many from either end as there is room for."""
    ordered = sorted(units, key=lambda unit: -unit.estimate)
    if len(ordered) <= CATERPILLAR_LIMIT:
        return ordered
    half = CATERPILLAR_LIMIT // 2
    return [*ordered[:half], *ordered[-half:]]


def draw_order(units: Sequence[OrderedUnit], lang: Lang) -> tuple[str, str]:
    """Return the wide and narrow drawing of units in the order given: dot, interval, and the shrunken estimate as a ring.

    Parameters
    ----------
    units
        From the top down.
    lang
        Language of the labels.
    """
    names = [say(unit.name, lang) for unit in units]
    return _order(names, units, WIDE), _order(names, units, NARROW)


def _order(names: list[str], units: Sequence[OrderedUnit], width: int) -> str:
    import lets_plot as lp

    wide = width == WIDE
    size = 15 if wide else 12
    labels = [shorten_label(name, size, width * (0.36 if wide else 0.40)) for name in names]
    places = list(range(len(units), 0, -1))
    low, high = min(0.0, *(unit.low for unit in units)), max(0.0, *(unit.high for unit in units))
    pad = 0.03 * (high - low)
    ticks = axis_ticks(low - pad, high + pad, 7 if wide else 4)
    height = len(units) * (24 if wide else 19) + 34

    def make(left: float) -> Any:
        plot = lp.ggplot() + lp.geom_vline(xintercept=0, color=PALETTE["ink"], size=0.9, tooltips="none")
        for side in SIDES:
            chosen = [i for i, unit in enumerate(units) if unit.side == side]
            if not chosen:
                continue
            data = {"y": [places[i] for i in chosen], "x": [units[i].estimate for i in chosen]}
            data |= {"low": [units[i].low for i in chosen], "high": [units[i].high for i in chosen]}
            look = {"color": PALETTE[side], "tooltips": "none"}
            plot += lp.geom_segment(lp.aes("low", "y", xend="high", yend="y"), data=data, size=1.1, **look)
            plot += lp.geom_point(
                lp.aes("x", "y"), data=data, shape=SHAPES[side], fill=PALETTE[side], size=3.4 if wide else 2.6, **look
            )
        drawn = [i for i, unit in enumerate(units) if unit.shrunken is not None]
        if drawn:
            data = {"y": [places[i] for i in drawn], "x": [units[i].shrunken for i in drawn]}
            ring = {"shape": 1, "color": PALETTE["ink"], "size": 2.6 if wide else 2.0, "stroke": 1, "tooltips": "none"}
            plot += lp.geom_point(lp.aes("x", "y"), data=data, **ring)
        return (
            plot
            + lp.scale_x_continuous(breaks=ticks, labels=signed_ticks(ticks), limits=[low - pad, high + pad], expand=[0, 0])
            + lp.scale_y_continuous(breaks=places, labels=labels, limits=[0.4, len(units) + 0.6], expand=[0, 0])
            + lp.labs(x="", y="")
            + base_theme(size)
            + lp.theme(panel_grid_major_y=lp.element_blank(), axis_title=lp.element_blank(), plot_margin=[2, 10, 2, left])
        )

    return tidy_svg(with_left_labels(make, labels, size, width, height), width, height)


def draw_funnel_limits(
    dots: Sequence[FunnelDot],
    target: float,
    limits: Callable[[Floats], Sequence[tuple[str, Floats, Floats]]],
    lang: Lang,
) -> tuple[str, str]:
    """Return the wide and narrow drawing of a funnel: level against number of candidates within two limits.

    Parameters
    ----------
    dots
        The units.
    target
        The value the limits stand around.
    limits
        Gives, for numbers of candidates, label, lower and upper limit of the inner and of the outer pair.
    lang
        Language of the labels.
    """
    names = [say(dot.name, lang) for dot in dots]
    return _funnel(names, dots, target, limits, lang, WIDE), _funnel(names, dots, target, limits, lang, NARROW)


def _funnel(
    names: list[str],
    dots: Sequence[FunnelDot],
    target: float,
    limits: Callable[[Floats], Sequence[tuple[str, Floats, Floats]]],
    lang: Lang,
    width: int,
) -> str:
    import lets_plot as lp

    wide = width == WIDE
    size, height = (15, 400) if wide else (12, 310)
    smallest, largest = max(1, min(dot.n for dot in dots)), max(dot.n for dot in dots)
    ends = (smallest * 0.85, largest * 1.35)
    sizes = np.geomspace(*ends, 80)
    curves = limits(sizes)
    values = [dot.estimate for dot in dots]
    low = min(*values, target, float(curves[-1][1][-1]))
    high = max(*values, target, float(curves[-1][2][-1]))
    low, high = low - 0.06 * (high - low), high + 0.06 * (high - low)
    plot = lp.ggplot() + lp.geom_hline(yintercept=target, color=PALETTE["ink"], size=0.9, tooltips="none")
    for (label, *bounds), line in zip(curves, ("dashed", "solid"), strict=True):
        for bound in bounds:
            inside = (bound >= low) & (bound <= high)
            data = {"n": sizes[inside], "limit": bound[inside]}
            look = {"color": PALETTE["soft"], "size": 0.9, "linetype": line, "tooltips": "none"}
            plot += lp.geom_line(lp.aes("n", "limit"), data=data, **look)
        at = {"n": [ends[1]], "limit": [float(bounds[1][-1]) + 0.012 * (high - low)], "label": [label]}
        plot += lp.geom_text(lp.aes("n", "limit", label="label"), data=at, hjust=1, vjust=0, **_text_look(size, "soft"))
    for side in ("same", "above", "below"):
        chosen = [dot for dot in dots if dot.side == side]
        if chosen:
            # lets-plot looks at every number of a list by itself, at an array once
            data = {"n": np.array([dot.n for dot in chosen]), "value": np.array([dot.estimate for dot in chosen])}
            look = {"shape": SHAPES[side], "color": PALETTE[side], "fill": PALETTE[side], "tooltips": "none"}
            plot += lp.geom_point(lp.aes("n", "value"), data=data, size=1.6 if len(dots) > 300 else 2.6, **look)
    if wide:
        plot = _add_names(plot, names, dots, target, size, width)
    ticks = axis_ticks(low, high, 7)
    counts = [n for n in _COUNTS if smallest <= n <= largest] or [smallest]
    plot += lp.scale_x_log10(breaks=counts, labels=[f"{n:,}" for n in counts], expand=[0, 0], limits=list(ends))
    plot += lp.scale_y_continuous(breaks=ticks, labels=signed_ticks(ticks))
    plot += lp.coord_cartesian(ylim=[low, high])
    plot += lp.labs(x=text("bulletin.figure.axis_n", lang), y="")
    plot += base_theme(size) + lp.theme(axis_title_y=lp.element_blank(), plot_margin=[4, 10, 2, 4])
    return tidy_svg(to_svg(plot, width, height), width, height)


def _text_look(size: int, role: str) -> dict[str, Any]:
    return {"color": PALETTE[role], "size": size / 2, "tooltips": "none"}


def _add_names(plot: Any, names: list[str], dots: Sequence[FunnelDot], target: float, size: int, width: int) -> Any:
    """Name the units farthest from the target beyond the outer limits, those whose name finds room beside the dot."""
    import lets_plot as lp

    beyond = sorted((i for i, dot in enumerate(dots) if dot.beyond), key=lambda i: -abs(dots[i].estimate - target))
    chosen: list[int] = []
    for i in beyond:
        near = [
            j for j in chosen if abs(math.log(dots[i].n / dots[j].n)) < 1.2 and abs(dots[i].estimate - dots[j].estimate) < 0.12
        ]
        if not near and text_width(names[i], size) < width / 4:
            chosen.append(i)
    for i in chosen[:_LABELLED]:
        data = {"n": [dots[i].n], "value": [dots[i].estimate], "label": [f"  {names[i]}"]}
        plot += lp.geom_text(lp.aes("n", "value", label="label"), data=data, hjust=0, **_text_look(size, "ink"))
    return plot
