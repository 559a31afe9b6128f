"""Figures for paper: black and one grey, as a picture where a font can draw their words."""

from __future__ import annotations

import os
import re
import sys
from functools import cache
from pathlib import Path

from eduq.bulletins.drawing import PALETTE
from eduq.locale import Lang

__all__ = ["PAPER_GREY", "draw_picture", "find_chinese_fonts", "paper_svg"]

PAPER_GREY = "#808080"
_GREYS = ("line", "same")
_FULL_WIDTH = re.compile(r"[\u2e80-\u9fff\uff00-\uffef]")
_CHINESE_FONT = re.compile(
    r"cjk|han-?(sans|serif)|sourcehan|wqy|droidsansfallback|simsun|simhei|simfang|simkai|msyh|fang|kaiti|pingfang|stheiti|songti"
    r"|hiragino.*gb|ukai|uming|harmonyos|deng",
    re.I,
)
_FONT_FILE = (".ttf", ".ttc", ".otf", ".otc")
_ZOOM = 2


def _font_folders() -> list[Path]:
    home = Path.home()
    if sys.platform == "win32":
        return [
            Path(os.environ.get("WINDIR", r"C:\Windows")) / "Fonts",
            home / "AppData" / "Local" / "Microsoft" / "Windows" / "Fonts",
        ]
    if sys.platform == "darwin":
        return [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library" / "Fonts"]
    return [Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), home / ".fonts", home / ".local" / "share" / "fonts"]


@cache
def find_chinese_fonts() -> tuple[Path, ...]:
    """Return the font files of this machine whose names say that they draw Chinese, sorted."""
    found = [
        path
        for folder in _font_folders()
        if folder.is_dir()
        for path in folder.rglob("*")
        if path.suffix.lower() in _FONT_FILE and _CHINESE_FONT.search(path.name)
    ]
    return tuple(sorted(found))


def paper_svg(svg: str) -> str:
    """Return a figure in black and one grey, so that a photocopy keeps its meaning; shapes already tell the sides apart."""
    for role, colour in PALETTE.items():
        svg = svg.replace(colour, PAPER_GREY if role in _GREYS else "#000000")
    return svg.replace("@", "c")


def draw_picture(svg: str, lang: Lang) -> bytes | None:
    """Return a figure as PNG, or None where no font of this machine can draw its words.

    Parameters
    ----------
    svg
        A figure of the bulletin context.
    lang
        Language of the document: it orders the fonts that are asked for.
    """
    import resvg_py

    fonts = find_chinese_fonts()
    if _FULL_WIDTH.search(svg) and not fonts:
        return None
    family = "Noto Sans CJK SC" if any("NotoSansCJK" in path.name for path in fonts) else None
    drawn = resvg_py.svg_to_bytes(
        svg_string=paper_svg(svg), background="#ffffff", zoom=_ZOOM, sans_serif_family=family, languages=[lang]
    )
    return bytes(drawn)
