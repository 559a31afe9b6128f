"""Figures as SVG, drawn twice: for a page and for a phone. Text stays text; colours are the palette's.

The drawings come from lets-plot; what it leaves random or superfluous (ids, embedded style sheets, clip paths nobody uses)
is taken out, so the same numbers give the same bytes.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from eduq.bulletins.blocks import Phrase
from eduq.bulletins.formats import format_number, say
from eduq.locale import Lang, text

if TYPE_CHECKING:
    from lets_plot.plot.core import PlotSpec

__all__ = ["CATERPILLAR_LIMIT", "PALETTE", "draw_caterpillar", "draw_distribution", "draw_funnel"]

CATERPILLAR_LIMIT = 60
"""With more units than this a dot for each unit is set against its size instead of beside its name."""
PALETTE = {
    "ink": "#1b1f24",
    "soft": "#5b6470",
    "line": "#d9dee4",
    "accent": "#1f4e79",
    "above": "#0f766e",
    "below": "#b45309",
    "same": "#8a94a0",
}
_WIDE, _NARROW = 720, 312
"""Widths in pixels: of the page's measure, and of a phone of 360 less its margins and a scroll bar."""
_SHAPES = {"above": 24, "below": 25, "same": 21}
_SIDES = ("above", "same", "below")
_DROPPED = (
    re.compile(r"<style.*?</style>", re.S),
    re.compile(r"<path>\s*</path>"),
    re.compile(r' clip-bounds-jfx="[^"]*"'),
    re.compile(r' buffered-rendering="[^"]*"'),
    re.compile(r' (?:stroke|fill)-opacity="1\.0"'),
    re.compile(r' transform="rotate\(0\.0 [^"]*"'),
    re.compile(r'<line x1="([^"]*)" y1="([^"]*)" x2="\1" y2="\2"[^>]*>\s*</line>'),
)
_EMPTY_GROUP = re.compile(r"<g(?: [^>]*)?>\s*</g>|<defs>\s*</defs>")
_CLIP = re.compile(r'<defs>\s*<clipPath id="([^"]+)">.*?</clipPath>\s*</defs>', re.S)
_CLIP_USE = re.compile(r"url\(#([^)]+)\)")
_LONG_NUMBER = re.compile(r"-?\d+\.\d+(?:E-?\d+)?")
_RGB = re.compile(r"rgb\((\d+),\s*(\d+),\s*(\d+)\)")
_PANEL_LEFT = re.compile(r'clip-bounds-jfx="\[rect \(([\d.]+),')


def text_width(shown: str, size: float) -> float:
    """Return the width of a text in pixels: full-width characters one em, others a little over half."""
    return size * sum(1.0 if unicodedata.east_asian_width(char) in "WF" else 0.58 for char in shown)


def _round_number(found: re.Match[str]) -> str:
    shown = f"{float(found[0]):.2f}".rstrip("0").rstrip(".")
    return "0" if shown == "-0" else shown


def tidy_svg(svg: str, width: float, height: float) -> str:
    """Return a lets-plot drawing without random ids, style sheets and needless digits."""
    used = set(_CLIP_USE.findall(svg))
    svg = _CLIP.sub(lambda found: found[0] if found[1] in used else "", svg)
    for pattern in _DROPPED:
        svg = pattern.sub("", svg)
    svg = _RGB.sub(lambda found: "#{:02x}{:02x}{:02x}".format(*(int(part) for part in found.groups())), svg)
    svg = _LONG_NUMBER.sub(_round_number, svg)
    for number, name in enumerate(sorted(used, key=svg.find)):
        svg = svg.replace(f'"{name}"', f'"@{number}"').replace(f"#{name})", f"#@{number})")
    svg = re.sub(r'<g id="[A-Za-z]\w*">', "<g>", svg)
    svg = re.sub(r">\s+<", "><", svg)
    for _ in range(6):
        svg, changed = _EMPTY_GROUP.subn("", svg)
        if not changed:
            break
    svg = re.sub(r'style="([^"]*)"', _text_style, svg)
    inside = svg[svg.index(">", svg.index("<svg")) + 1 : svg.rindex("</svg>")]
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">'
    return f"{head}{inside.strip()}</svg>"


def _text_style(found: re.Match[str]) -> str:
    """Keep size and weight of a text; its colour follows its class or stands in the style."""
    kept = [part.strip() for part in found[1].split(";") if part.strip().startswith(("font-size", "font-weight", "fill"))]
    colour = "" if any(part.startswith("fill") for part in kept) else f"fill:{PALETTE['soft']}"
    return 'style="{}"'.format(";".join([*kept, *([colour] if colour else [])]))


def _base_theme(size: int) -> Any:
    from lets_plot import element_blank, element_line, element_text, theme

    blank = element_blank()
    plain = element_text(color=PALETTE["ink"], size=size, angle=0)
    return theme(
        axis_text=plain,
        axis_title=element_text(color=PALETTE["soft"], size=size),
        axis_line=blank,
        axis_ticks=blank,
        axis_tooltip=blank,
        legend_position="none",
        panel_background=blank,
        plot_background=blank,
        panel_grid_minor=blank,
        panel_grid_major=element_line(color=PALETTE["line"], size=0.8),
        strip_background=blank,
        strip_text=element_text(color=PALETTE["ink"], size=size, face="bold"),
        plot_margin=0,
    )


def _ticks(low: float, high: float, wanted: int) -> list[float]:
    span = max(high - low, 1e-9)
    step = next(step for step in (0.05, 0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10, 20, 50, 100, 1e9) if span / step <= wanted)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def _signed(ticks: Sequence[float]) -> list[str]:
    """Return tick labels with signs and one number of decimals."""
    decimals = max((len(f"{tick:g}".partition(".")[2]) for tick in ticks), default=0)
    return [format_number(tick, decimals, signed=True) if tick else "0" for tick in ticks]


def _svg(plot: PlotSpec, width: int, height: int) -> str:
    from lets_plot import ggsize

    return str((plot + ggsize(width, height)).to_svg())


def _with_left_labels(make: Any, labels: Sequence[str], size: int, width: int, height: int) -> str:
    """Draw a plot whose left labels may be wider than lets-plot thinks: measure, then give the labels the room they need."""
    first = _svg(make(0.0), width, height)
    found = _PANEL_LEFT.search(first)
    left = float(found[1]) if found else 0.0
    lacking = max((text_width(label, size) for label in labels), default=0.0) + 8 - left
    return first if lacking <= 0 else _svg(make(math.ceil(lacking)), width, height)


def _shorten(label: str, size: int, room: float) -> str:
    if text_width(label, size) <= room:
        return label
    while label and text_width(label + "…", size) > room:
        label = label[:-1]
    return label + "…"


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
    return tuple(_caterpillar(names, units, width) for width in (_WIDE, _NARROW))  # type: ignore[return-value]


def _caterpillar(names: list[str], units: Sequence[tuple[Any, ...]], width: int) -> str:
    import lets_plot as lp

    size = 15 if width == _WIDE else 12
    room = width * (0.36 if width == _WIDE else 0.40)
    labels = [_shorten(name, size, room) for name in names]
    positions = list(range(len(units), 0, -1))
    low = min(0.0, *(unit[2] for unit in units))
    high = max(0.0, *(unit[3] for unit in units))
    pad = 0.03 * (high - low)
    ticks = _ticks(low - pad, high + pad, 7 if width == _WIDE else 4)
    height = len(units) * (24 if width == _WIDE else 19) + 34

    def make(left: float) -> Any:
        plot = lp.ggplot() + lp.geom_vline(xintercept=0, color=PALETTE["ink"], size=0.9, tooltips="none")
        for side in _SIDES:
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
                shape=_SHAPES[side],
                color=colour,
                fill=colour,
                size=3.4 if width == _WIDE else 2.6,
                tooltips="none",
            )
        return (
            plot
            + lp.scale_x_continuous(breaks=ticks, labels=_signed(ticks), limits=[low - pad, high + pad], expand=[0, 0])
            + lp.scale_y_continuous(breaks=positions, labels=labels, limits=[0.4, len(units) + 0.6], expand=[0, 0])
            + lp.labs(x="", y="")
            + _base_theme(size)
            + lp.theme(panel_grid_major_y=lp.element_blank(), axis_title=lp.element_blank(), plot_margin=[2, 10, 2, left])
        )

    return tidy_svg(_with_left_labels(make, labels, size, width, height), width, height)


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
    return tuple(_funnel(units, level, lang, width) for width in (_WIDE, _NARROW))  # type: ignore[return-value]


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

    size = 15 if width == _WIDE else 12
    height = 380 if width == _WIDE else 300
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
                shape=_SHAPES[side],
                color=PALETTE[side],
                fill=PALETTE[side],
                size=dot,
                alpha=1,
                tooltips="none",
            )
    pad = 0.04 * (high - low)
    ticks = _ticks(low - pad, high + pad, 7)
    counts = [n for n in (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000) if smallest <= n <= largest]
    plot += lp.scale_x_log10(
        breaks=counts, labels=[f"{n:,}" for n in counts], expand=[0, 0], limits=[smallest * 0.9, largest * 1.1]
    )
    plot += lp.scale_y_continuous(breaks=ticks, labels=_signed(ticks))
    plot += lp.coord_cartesian(ylim=[low - pad, high + pad])
    plot += lp.labs(x=text("bulletin.figure.axis_n", lang), y="")
    plot += _base_theme(size) + lp.theme(axis_title_y=lp.element_blank(), plot_margin=[4, 10, 2, 4])
    return tidy_svg(_svg(plot, width, height), width, height)


# ---- score distribution -----------------------------------------------------------------------------------------------


def draw_distribution(
    panels: Sequence[tuple[Phrase | str, int, pl.DataFrame]], cuts: Sequence[float], lang: Lang
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
    """
    labels = [say(label, lang) for label, _, _ in panels]
    shares = [share_by_band(frame, full) for _, full, frame in panels]
    return tuple(_distribution(labels, shares, cuts, lang, width) for width in (_WIDE, _NARROW))  # type: ignore[return-value]


def share_by_band(frame: pl.DataFrame, full: int, bands: int = 20) -> list[float]:
    """Return the share of candidates, in percent, in equal bands of the full mark; the last band holds the full mark."""
    band = (pl.col("score").cast(pl.Int64) * bands // full).clip(0, bands - 1).alias("band")
    counted = dict(frame.group_by(band).agg(pl.col("count").sum()).iter_rows())
    total = sum(counted.values())
    return [100 * counted.get(i, 0) / total for i in range(bands)]


def _distribution(labels: list[str], shares: list[list[float]], cuts: Sequence[float], lang: Lang, width: int) -> str:
    import lets_plot as lp

    size = 15 if width == _WIDE else 12
    across = min(len(labels), 4 if width == _WIDE else 2)
    down = math.ceil(len(labels) / across)
    height = down * (150 if width == _WIDE else 128) + 46
    data: dict[str, list[Any]] = {"paper": [], "share": [], "percent": []}
    for number, bands in enumerate(shares):
        for i in range(len(bands) + 2):
            data["paper"].append(f"{number:02d}")
            data["share"].append(min(i, len(bands)) * 100 / len(bands))
            data["percent"].append(bands[i] if i < len(bands) else (bands[-1] if i == len(bands) else 0.0))
    top = max(max(bands) for bands in shares)
    ticks = _ticks(0, top * 1.05, 4)
    plot = lp.ggplot(data, lp.aes("share", "percent"))
    for cut in cuts:
        plot += lp.geom_vline(xintercept=100 * cut, color=PALETTE["soft"], size=0.8, linetype="dashed", tooltips="none")
    plot += lp.geom_step(color=PALETTE["accent"], size=1.0, direction="hv", tooltips="none")
    plot += lp.facet_wrap("paper", ncol=across)
    plot += lp.scale_x_continuous(breaks=[50, 100], labels=["50", "100"], limits=[0, 100], expand=[0.02, 0])
    plot += lp.scale_y_continuous(breaks=ticks, labels=[f"{tick:g}" for tick in ticks], limits=[0, top * 1.08], expand=[0, 0])
    plot += lp.labs(x=text("bulletin.figure.axis_share", lang), y="")
    plot += _base_theme(size) + lp.theme(
        axis_title_y=lp.element_blank(), plot_margin=[2, 8, 2, 2], panel_grid_major_x=lp.element_blank()
    )
    svg = tidy_svg(_svg(plot, width, height), width, height)
    for number, label in enumerate(labels):
        room = width / across - 30
        svg = svg.replace(f"<tspan>{number:02d}</tspan>", f"<tspan>{_escape(_shorten(label, size, room))}</tspan>", 1)
    return svg


def _escape(shown: str) -> str:
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
