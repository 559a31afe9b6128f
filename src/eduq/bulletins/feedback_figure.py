"""Gaps with their intervals as a small figure, drawn as plain SVG: there are thousands of sheets."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from eduq.bulletins.drawing import NARROW, PALETTE, WIDE, shorten_label, text_width
from eduq.bulletins.formats import format_number

__all__ = ["Gap", "draw_gaps"]

Gap = tuple[str, float, float, float, str]
"""Name, value, lower and upper bound, side (above, same, below)."""
_ROW, _FOOT, _SIZE = 26, 26, 13
_LARGER = 3
"""Text of the wide drawing is larger by this: it is shown down to 0.85 of its size and may not fall below 12."""
_STEPS = (0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0)


def draw_gaps(gaps: Sequence[Gap]) -> tuple[str, str]:
    """Return the wide and the narrow drawing: a line per gap in the order given, zero is the mean of the like classes."""
    return _draw(gaps, WIDE, 0.28, 8), _draw(gaps, NARROW, 0.36, 4)


def _mark(x: float, y: float, side: str) -> str:
    """Return the sign of a side: ▲ above, ▼ below, ○ cannot be told apart."""
    colour = PALETTE[side]
    if side == "same":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{PALETTE["same"]}" stroke="{colour}"/>'
    up = -5.5 if side == "above" else 5.5
    return f'<path d="M{x:.1f} {y + up:.1f}L{x + 5.5:.1f} {y - up * 0.8:.1f}L{x - 5.5:.1f} {y - up * 0.8:.1f}Z" fill="{colour}"/>'


def _draw(gaps: Sequence[Gap], width: int, share: float, most: int) -> str:
    size = _SIZE + (_LARGER if width == WIDE else 0)
    low, high = min(0.0, *(gap[2] for gap in gaps)), max(0.0, *(gap[3] for gap in gaps))
    step = next((step for step in _STEPS if (high - low) / step <= most), _STEPS[-1])
    first, last = int(low // step), -int(-high // step)
    names = min(share * width, max(text_width(gap[0], size) for gap in gaps) + 4)
    left, right = names + 16, width - 20.0
    height = len(gaps) * _ROW + _FOOT

    def place(value: float) -> float:
        return left + (value - first * step) / ((last - first) * step) * (right - left)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">']
    bottom = height - _FOOT + 2
    decimals = 2 if step in (0.05, 0.25) else 1
    for tick in range(first, last + 1):
        x = place(tick * step)
        colour = PALETTE["ink"] if tick == 0 else PALETTE["line"]
        parts.append(f'<line x1="{x:.1f}" y1="0" x2="{x:.1f}" y2="{bottom}" stroke="{colour}"/>')
        label = format_number(tick * step, decimals, signed=True)
        parts.append(
            f'<text x="{x:.1f}" y="{height - 6}" text-anchor="middle" font-size="{size - 1}" fill="{PALETTE["soft"]}">'
            f"{label}</text>"
        )
    for number, (name, value, lower, upper, side) in enumerate(gaps):
        y = number * _ROW + _ROW / 2
        parts.append(
            f'<text x="{names + 4:.1f}" y="{y + 4.5:.1f}" text-anchor="end" font-size="{size}" fill="{PALETTE["ink"]}">'
            f"{escape(shorten_label(name, size, names))}</text>"
        )
        x1, x2, colour = place(lower), place(upper), PALETTE[side]
        parts.append(f'<line x1="{x1:.1f}" y1="{y:.1f}" x2="{x2:.1f}" y2="{y:.1f}" stroke="{colour}" stroke-width="2"/>')
        parts.append(_mark(place(value), y, side))
    return "".join([*parts, "</svg>"])
