"""Figures: readable text, stable bytes, colours of the palette only."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import polars as pl
import pytest

from eduq.bulletins.charts import draw_caterpillar, draw_distribution, draw_funnel, share_by_band
from eduq.bulletins.drawing import PALETTE, text_width

UNITS = [
    ("清河镇第一初级中学", 0.42, 0.2, 0.64, "above"),
    ("城关第二中学", 0.03, -0.11, 0.17, "same"),
    ("石桥乡中心学校", -0.3, -0.5, -0.1, "below"),
]
SVG = "{http://www.w3.org/2000/svg}"


def _funnel() -> tuple[str, str]:
    sides = ("above", "same", "below")
    return draw_funnel(
        [(20 + 7 * i, 0.2 - 0.01 * (i % 41), 0.9 / (20 + 7 * i) ** 0.5, sides[i % 3]) for i in range(90)], 0.95, "zh"
    )


def _distribution() -> tuple[str, str]:
    frame = pl.DataFrame({"score": [0, 5999, 6000, 12000], "count": [1, 2, 3, 4]})
    return draw_distribution([("语文", 12000, frame), ("A&B <C>", 12000, frame)], [0.6, 0.85], "zh")


DRAWINGS = {"caterpillar": lambda: draw_caterpillar(UNITS, "zh"), "funnel": _funnel, "distribution": _distribution}


@pytest.mark.parametrize("name", DRAWINGS)
def test_drawings_repeat_and_hold_no_random_ids(name: str) -> None:
    first, second = DRAWINGS[name](), DRAWINGS[name]()
    assert first == second
    for svg in first:
        assert "<style" not in svg
        assert all(found.startswith("@") for found in re.findall(r'id="([^"]+)"', svg))


@pytest.mark.parametrize("name", DRAWINGS)
def test_text_is_text_and_never_below_twelve_pixels(name: str) -> None:
    for svg in DRAWINGS[name]():
        root = ET.fromstring(svg)
        sizes = [float(found) for found in re.findall(r"font-size:([\d.]+)px", svg)]
        texts = list(root.iter(f"{SVG}text"))
        assert texts
        assert len(sizes) >= len(texts)
        assert min(sizes) >= 12


@pytest.mark.parametrize("name", DRAWINGS)
def test_colours_are_the_palette(name: str) -> None:
    for svg in DRAWINGS[name]():
        opaque = re.sub(r'(?:stroke|fill)="[^"]*" (?=(?:stroke|fill)-opacity="0)', "", svg)
        assert set(re.findall(r"#[0-9a-f]{6}", opaque)) <= set(PALETTE.values())


def test_long_chinese_labels_stay_inside_the_drawing() -> None:
    for svg, size in zip(draw_caterpillar(UNITS, "zh"), (15, 12), strict=True):
        left = re.search(r'<g transform="translate\(([\d.]+) [\d.]+ ?\) ?">', svg)
        panel = re.findall(r'<g transform="translate\(([\d.]+) ', svg)
        assert left is not None
        room = float(panel[0]) + float(panel[1])
        assert room >= text_width("清河镇第一初级中学", size)


def test_sides_differ_in_shape_as_well_as_colour() -> None:
    wide, _ = draw_caterpillar(UNITS, "zh")
    shapes = {
        colour: re.findall(rf'<(path|circle|rect) fill="{PALETTE[colour]}"[^>]*?(?: d="([^"]*)")?[ /]', wide)
        for colour in ("above", "same", "below")
    }
    assert shapes["same"][0][0] == "circle"
    assert shapes["above"][0][0] == shapes["below"][0][0] == "path"


def test_bands_of_the_full_mark_hold_the_top_score() -> None:
    frame = pl.DataFrame({"score": [0, 11999, 12000], "count": [1, 1, 2]})
    shares = share_by_band(frame, 12000)
    assert shares[0] == 25
    assert shares[-1] == 75
    assert sum(shares) == pytest.approx(100)


def test_scores_known_by_bands_are_drawn_by_those_bands() -> None:
    bands = pl.DataFrame({"score": [2000 + 1000 * i for i in range(11)], "count": [10 * (i + 1) for i in range(11)]})
    wide, _ = draw_distribution([("数学", 12000, bands)], [0.6], "zh", band_width=10)
    assert share_by_band(bands, 12000, 12)[2:11] == pytest.approx([100 * 10 * (i + 1) / 660 for i in range(9)])
    assert 0.0 in share_by_band(bands, 12000), "bands of 5 per cent would leave gaps that no candidate left"
    assert wide != draw_distribution([("数学", 12000, bands)], [0.6], "zh")[0]
