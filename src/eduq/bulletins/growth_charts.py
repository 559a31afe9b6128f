"""Level against growth, one dot for each unit, drawn twice as in `eduq.bulletins.charts`."""

from __future__ import annotations

from collections.abc import Sequence

from eduq.bulletins.drawing import PALETTE, SHAPES, WIDE, at_both_widths, axis_ticks, base_theme, signed_ticks, tidy_svg, to_svg
from eduq.locale import Lang, text

__all__ = ["draw_level_growth"]

_MOST = 300
"""With more units than this the dots are smaller and those that would lie on one another are left out."""


def draw_level_growth(units: Sequence[tuple[float, float, str]], lang: Lang) -> tuple[str, str]:
    """Return the wide and narrow drawing of level (across) against growth (up), with a line at zero each way.

    The four fields bear no names: a dot says where a unit lies, not what it is worth.

    Parameters
    ----------
    units
        Level, growth, and the side of growth (above, below, same).
    lang
        Language of the axis titles.
    """
    return at_both_widths(lambda width: _draw(units, lang, width))


def _apart(units: Sequence[tuple[float, float, str]], across: float, up: float) -> list[tuple[float, float, str]]:
    """Return units without those that would be drawn on top of one another on the same side."""
    kept: dict[tuple[int, int, str], tuple[float, float, str]] = {}
    for unit in units:
        kept.setdefault((round(unit[0] / across / 4), round(unit[1] / up / 4), unit[2]), unit)
    return list(kept.values())


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of an axis that holds the values and zero, with some room."""
    low, high = min(0.0, *values), max(0.0, *values)
    pad = 0.05 * (high - low) or 0.1
    return low - pad, high + pad


def _draw(units: Sequence[tuple[float, float, str]], lang: Lang, width: int) -> str:
    import lets_plot as lp

    size = 15 if width == WIDE else 12
    height = 400 if width == WIDE else 312
    (left, right), (low, high) = _ends([unit[0] for unit in units]), _ends([unit[1] for unit in units])
    drawn = list(units) if len(units) <= _MOST else _apart(units, (right - left) / width, (high - low) / height)
    plot = lp.ggplot() + lp.geom_hline(yintercept=0, color=PALETTE["ink"], size=0.9, tooltips="none")
    plot += lp.geom_vline(xintercept=0, color=PALETTE["ink"], size=0.9, tooltips="none")
    for side in ("same", "above", "below"):
        chosen = [unit for unit in drawn if unit[2] == side]
        if chosen:
            plot += lp.geom_point(
                lp.aes("level", "growth"),
                data={"level": [unit[0] for unit in chosen], "growth": [unit[1] for unit in chosen]},
                shape=SHAPES[side],
                color=PALETTE[side],
                fill=PALETTE[side],
                size=1.6 if len(units) > _MOST else 2.6,
                tooltips="none",
            )
    across, up = axis_ticks(left, right, 7 if width == WIDE else 4), axis_ticks(low, high, 7)
    plot += lp.scale_x_continuous(breaks=across, labels=signed_ticks(across), limits=[left, right], expand=[0, 0])
    plot += lp.scale_y_continuous(breaks=up, labels=signed_ticks(up), limits=[low, high], expand=[0, 0])
    plot += lp.labs(x=text("bulletin.growth.axis_level", lang), y=text("bulletin.growth.axis_growth", lang))
    plot += base_theme(size) + lp.theme(plot_margin=[4, 10, 2, 4])
    return tidy_svg(to_svg(plot, width, height), width, height)
