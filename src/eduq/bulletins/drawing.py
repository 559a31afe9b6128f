"""What all figures share: widths, colours, theme, ticks, labels, and tidy SVG.

The drawings come from lets-plot; what it leaves random or superfluous (ids, embedded style sheets, clip paths nobody uses)
is taken out, so the same numbers give the same bytes.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from eduq.bulletins.formats import format_number

if TYPE_CHECKING:
    from lets_plot.plot.core import PlotSpec

__all__ = [
    "NARROW",
    "PALETTE",
    "SHAPES",
    "SIDES",
    "WIDE",
    "at_both_widths",
    "axis_ticks",
    "base_theme",
    "escape_label",
    "shorten_label",
    "signed_ticks",
    "text_width",
    "tidy_svg",
    "to_svg",
    "with_left_labels",
]

PALETTE = {
    "ink": "#1b1f24",
    "soft": "#5b6470",
    "line": "#d9dee4",
    "accent": "#1f4e79",
    "above": "#0f766e",
    "below": "#b45309",
    "same": "#8a94a0",
}
WIDE, NARROW = 720, 312
"""Widths in pixels: of the page's measure, and of a phone of 360 less its margins and a scroll bar."""
SHAPES = {"above": 24, "below": 25, "same": 21}
SIDES = ("above", "same", "below")
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


def base_theme(size: int) -> Any:
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


def axis_ticks(low: float, high: float, wanted: int) -> list[float]:
    span = max(high - low, 1e-9)
    step = next(step for step in (0.05, 0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10, 20, 50, 100, 1e9) if span / step <= wanted)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def signed_ticks(ticks: Sequence[float]) -> list[str]:
    """Return tick labels with signs and one number of decimals."""
    decimals = max((len(f"{tick:g}".partition(".")[2]) for tick in ticks), default=0)
    return [format_number(tick, decimals, signed=True) if tick else "0" for tick in ticks]


def to_svg(plot: PlotSpec, width: int, height: int) -> str:
    from lets_plot import ggsize

    return str((plot + ggsize(width, height)).to_svg())


def with_left_labels(make: Any, labels: Sequence[str], size: int, width: int, height: int) -> str:
    """Draw a plot whose left labels may be wider than lets-plot thinks: measure, then give the labels the room they need."""
    first = to_svg(make(0.0), width, height)
    found = _PANEL_LEFT.search(first)
    left = float(found[1]) if found else 0.0
    lacking = max((text_width(label, size) for label in labels), default=0.0) + 8 - left
    return first if lacking <= 0 else to_svg(make(math.ceil(lacking)), width, height)


def shorten_label(label: str, size: int, room: float) -> str:
    if text_width(label, size) <= room:
        return label
    while label and text_width(label + "…", size) > room:
        label = label[:-1]
    return label + "…"


def escape_label(shown: str) -> str:
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def at_both_widths(draw: Callable[[int], str]) -> tuple[str, str]:
    """Return a drawing for a page and for a phone."""
    return draw(WIDE), draw(NARROW)
