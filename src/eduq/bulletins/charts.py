"""Figures of levels as SVG, drawn twice: for a page and for a phone. Text stays text; colours are the palette's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from eduq.bulletins.blocks import Phrase
from eduq.bulletins.drawing import (
    PALETTE,
    SHAPES,
    SIDES,
    WIDE,
    at_both_widths,
    axis_ticks,
    base_theme,
    escape_label,
    shorten_label,
    signed_ticks,
    tidy_svg,
    to_svg,
    with_left_labels,
)
from eduq.bulletins.formats import say
from eduq.locale import Lang, text

if TYPE_CHECKING:
    pass

__all__ = ["CATERPILLAR_LIMIT", "draw_caterpillar", "draw_distribution", "draw_funnel"]

CATERPILLAR_LIMIT = 60
"""With more units than this a dot for each unit is set against its size instead of beside its name."""
# ---- gap of every unit, by value or code ------------------------------------------------------------------------------


def draw_caterpillar(units: Sequence[tuple[Phrase | str, float, float, float, str | None]], lang: Lang) -> tuple[str, str]:
    """Return the wide and narrow drawing of gaps with their intervals.

    Parameters
    ----------
    units
        Name, estimate, lower and upper bound, side (above, below, same), from the top down.
    lang
        Language of the labels.
    """
    names = [say(unit[0], lang) for unit in units]
    return at_both_widths(lambda width: _caterpillar(names, units, width))


def _caterpillar(names: list[str], units: Sequence[tuple[Any, ...]], width: int) -> str:
    import lets_plot as lp

    size = 15 if width == WIDE else 12
    room = width * (0.36 if width == WIDE else 0.40)
    labels = [shorten_label(name, size, room) for name in names]
    positions = list(range(len(units), 0, -1))
    low = min(0.0, *(unit[2] for unit in units))
    high = max(0.0, *(unit[3] for unit in units))
    pad = 0.03 * (high - low)
    ticks = axis_ticks(low - pad, high + pad, 7 if width == WIDE else 4)
    height = len(units) * (24 if width == WIDE else 19) + 34

    def make(left: float) -> Any:
        plot = lp.ggplot() + lp.geom_vline(xintercept=0, color=PALETTE["ink"], size=0.9, tooltips="none")
        for side in SIDES:
            chosen = [i for i, unit in enumerate(units) if unit[4] == side]
            if not chosen:
                continue
            data = {"y": [positions[i] for i in chosen], "x": [units[i][1] for i in chosen]}
            data |= {"low": [units[i][2] for i in chosen], "high": [units[i][3] for i in chosen]}
            colour = PALETTE[side]
            plot += lp.geom_segment(lp.aes("low", "y", xend="high", yend="y"), data=data, color=colour, size=1.1, tooltips="none")
            plot += lp.geom_point(
                lp.aes("x", "y"),
                data=data,
                shape=SHAPES[side],
                color=colour,
                fill=colour,
                size=3.4 if width == WIDE else 2.6,
                tooltips="none",
            )
        return (
            plot
            + lp.scale_x_continuous(breaks=ticks, labels=signed_ticks(ticks), limits=[low - pad, high + pad], expand=[0, 0])
            + lp.scale_y_continuous(breaks=positions, labels=labels, limits=[0.4, len(units) + 0.6], expand=[0, 0])
            + lp.labs(x="", y="")
            + base_theme(size)
            + lp.theme(panel_grid_major_y=lp.element_blank(), axis_title=lp.element_blank(), plot_margin=[2, 10, 2, left])
        )

    return tidy_svg(with_left_labels(make, labels, size, width, height), width, height)


# ---- gap against size -------------------------------------------------------------------------------------------------


def draw_funnel(units: Sequence[tuple[int, float, float | None, str | None]], level: float, lang: Lang) -> tuple[str, str]:
    """Return the wide and narrow drawing of gaps against numbers of candidates, with the limits chance alone would set.

    Parameters
    ----------
    units
        n, estimate, standard error, side.
    level
        Level of the limits.
    lang
        Language of the labels.
    """
    return at_both_widths(lambda width: _funnel(units, level, lang, width))


def _apart(
    units: Sequence[tuple[int, float, float | None, str | None]], step_n: float, step_gap: float
) -> list[tuple[int, float, float | None, str | None]]:
    """Return units without those that would be drawn on top of one another (within about four pixels, same side)."""
    kept: dict[tuple[int, int, str | None], tuple[int, float, float | None, str | None]] = {}
    for unit in units:
        kept.setdefault((round(math.log(unit[0]) / step_n / 4), round(unit[1] / step_gap / 4), unit[3]), unit)
    return list(kept.values())


def _funnel(units: Sequence[tuple[int, float, float | None, str | None]], level: float, lang: Lang, width: int) -> str:
    from statistics import NormalDist

    import lets_plot as lp

    size = 15 if width == WIDE else 12
    height = 380 if width == WIDE else 300
    spread = sorted(error * math.sqrt(n) for n, _, error, _ in units if error)
    typical = spread[len(spread) // 2] if spread else 1.0
    quantile = NormalDist().inv_cdf(0.5 + level / 2)
    largest = max(unit[0] for unit in units)
    smallest = max(1, min(unit[0] for unit in units))
    sizes = [smallest * (largest / smallest) ** (i / 60) for i in range(61)] if largest > smallest else [smallest, smallest + 1]
    limits = [quantile * typical / math.sqrt(n) for n in sizes]
    plot = lp.ggplot() + lp.geom_hline(yintercept=0, color=PALETTE["ink"], size=0.9, tooltips="none")
    for sign in (1, -1):
        data = {"n": sizes, "limit": [sign * limit for limit in limits]}
        plot += lp.geom_line(lp.aes("n", "limit"), data=data, color=PALETTE["soft"], size=0.9, linetype="dashed", tooltips="none")
    gaps = [unit[1] for unit in units]
    low, high = min([*gaps, 0.0]), max([*gaps, 0.0])
    drawn = (
        _apart(units, math.log(largest / smallest) / width or 1.0, (high - low) / height or 1.0)
        if len(units) > 300
        else list(units)
    )
    for side in ("same", "above", "below"):
        chosen = [unit for unit in drawn if unit[3] == side]
        if chosen:
            # lets-plot looks at every number of a list by itself, at an array once
            dots = {"n": np.array([unit[0] for unit in chosen]), "gap": np.array([unit[1] for unit in chosen])}
            dot = 1.6 if len(units) > 300 else 2.4
            plot += lp.geom_point(
                lp.aes("n", "gap"),
                data=dots,
                shape=SHAPES[side],
                color=PALETTE[side],
                fill=PALETTE[side],
                size=dot,
                alpha=1,
                tooltips="none",
            )
    pad = 0.04 * (high - low)
    ticks = axis_ticks(low - pad, high + pad, 7)
    counts = [n for n in (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000) if smallest <= n <= largest]
    plot += lp.scale_x_log10(
        breaks=counts, labels=[f"{n:,}" for n in counts], expand=[0, 0], limits=[smallest * 0.9, largest * 1.1]
    )
    plot += lp.scale_y_continuous(breaks=ticks, labels=signed_ticks(ticks))
    plot += lp.coord_cartesian(ylim=[low - pad, high + pad])
    plot += lp.labs(x=text("bulletin.figure.axis_n", lang), y="")
    plot += base_theme(size) + lp.theme(axis_title_y=lp.element_blank(), plot_margin=[4, 10, 2, 4])
    return tidy_svg(to_svg(plot, width, height), width, height)


# ---- score distribution -----------------------------------------------------------------------------------------------


def draw_distribution(
    panels: Sequence[tuple[Phrase | str, int, pl.DataFrame]],
    cuts: Sequence[float],
    lang: Lang,
    *,
    band_width: int | None = None,
) -> tuple[str, str]:
    """Return the wide and narrow drawing of the area's score distributions as steps, one small panel per paper.

    Parameters
    ----------
    panels
        Label, full mark in hundredths, frame of score and count.
    cuts
        Shares of the full mark at which a line stands.
    lang
        Language of the labels.
    band_width
        Width of a step in marks, a divisor of every full mark, where scores are known by bands only; by default a twentieth of
        the full mark.
    """
    labels = [say(label, lang) for label, _, _ in panels]
    steps = [20 if band_width is None else full // (100 * band_width) for _, full, _ in panels]
    shares = [share_by_band(frame, full, bands) for (_, full, frame), bands in zip(panels, steps, strict=True)]
    return at_both_widths(lambda width: _distribution(labels, shares, cuts, lang, width))


def share_by_band(frame: pl.DataFrame, full: int, bands: int = 20) -> list[float]:
    """Return the share of candidates, in percent, in equal bands of the full mark; the last band holds the full mark."""
    band = (pl.col("score").cast(pl.Int64) * bands // full).clip(0, bands - 1).alias("band")
    counted = dict(frame.group_by(band).agg(pl.col("count").sum()).iter_rows())
    total = sum(counted.values())
    return [100 * counted.get(i, 0) / total for i in range(bands)]


def _distribution(labels: list[str], shares: list[list[float]], cuts: Sequence[float], lang: Lang, width: int) -> str:
    import lets_plot as lp

    size = 15 if width == WIDE else 12
    across = min(len(labels), 4 if width == WIDE else 2)
    down = math.ceil(len(labels) / across)
    height = down * (150 if width == WIDE else 128) + 46
    data: dict[str, list[Any]] = {"paper": [], "share": [], "percent": []}
    for number, bands in enumerate(shares):
        for i in range(len(bands) + 2):
            data["paper"].append(f"{number:02d}")
            data["share"].append(min(i, len(bands)) * 100 / len(bands))
            data["percent"].append(bands[i] if i < len(bands) else (bands[-1] if i == len(bands) else 0.0))
    top = max(max(bands) for bands in shares)
    ticks = axis_ticks(0, top * 1.05, 4)
    plot = lp.ggplot(data, lp.aes("share", "percent"))
    for cut in cuts:
        plot += lp.geom_vline(xintercept=100 * cut, color=PALETTE["soft"], size=0.8, linetype="dashed", tooltips="none")
    plot += lp.geom_step(color=PALETTE["accent"], size=1.0, direction="hv", tooltips="none")
    plot += lp.facet_wrap("paper", ncol=across)
    plot += lp.scale_x_continuous(breaks=[50, 100], labels=["50", "100"], limits=[0, 100], expand=[0.02, 0])
    plot += lp.scale_y_continuous(breaks=ticks, labels=[f"{tick:g}" for tick in ticks], limits=[0, top * 1.08], expand=[0, 0])
    plot += lp.labs(x=text("bulletin.figure.axis_share", lang), y="")
    plot += base_theme(size) + lp.theme(
        axis_title_y=lp.element_blank(), plot_margin=[2, 8, 2, 2], panel_grid_major_x=lp.element_blank()
    )
    svg = tidy_svg(to_svg(plot, width, height), width, height)
    for number, label in enumerate(labels):
        room = width / across - 30
        svg = svg.replace(f"<tspan>{number:02d}</tspan>", f"<tspan>{escape_label(shorten_label(label, size, room))}</tspan>", 1)
    return svg
