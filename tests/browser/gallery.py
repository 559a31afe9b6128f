"""Takes the pictures of docs/gallery: `make gallery`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.browser.devtools import Page
from tests.browser.pages import DOCUMENTS, make_page

GALLERY = Path(__file__).parent.parent.parent / "docs" / "gallery"
KINDS = ("bulletin", "review", "dossier", "feedback", *DOCUMENTS)
TITLES = {
    "bulletin": "一次考试的通报 · bulletin of an exam",
    "review": "局内查阅页 · page to explore",
    "feedback": "一次考试的教师反馈表 · feedback to a teacher on one exam",
    "dossier": "判定说明 · reasons of a verdict",
    "check": "每月一抽查 · monthly check",
    "dispatch": "每双月一调度 · two-monthly dispatch",
    "quarterly": "每季一通报 · quarterly bulletin",
    "term": "每学期一监测 · monitoring of a term",
    "annual": "每学年一考评 · yearly review",
    "government": "致政府的年度报告 · annual report to the government",
    "research": "调研报告 · research paper",
    "school": "学校反馈表 · sheet of a school",
    "teacher": "教师反馈表 · sheet of a teacher",
    "subject": "学科教研分析 · pack for the subject's teaching researcher",
    "public": "公开版 · public edition",
    "student": "致学生和家长 · edition for pupils and parents",
}
VIEWS = {"": (1000, 1000, False), "-phone": (390, 900, False), "-dark": (1000, 1000, True)}
ALL_VIEWS = ("bulletin", "review")
"""Kinds shown on a phone and in the dark as well."""


def _shrink(path: Path) -> None:
    """Write a picture with at most 96 colours, rare ones (the red of the audience) kept."""
    from PIL import Image

    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(96, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


def take_pictures() -> list[Path]:
    """Take the first screen of every kind of page in both languages; of some also on a phone and in the dark."""
    taken = []
    with tempfile.TemporaryDirectory() as scratch, Page(Path(scratch) / "profile") as page:
        for kind in KINDS:
            for lang in ("zh", "en"):
                source = Path(scratch) / "page.html"
                source.write_text(make_page(f"{kind}.{lang}"), encoding="utf-8")
                for view, (width, height, dark) in VIEWS.items():
                    if view and kind not in ALL_VIEWS:
                        continue
                    page.open(source, width=width, height=height, dark=dark)
                    path = GALLERY / f"{kind}-{lang}{view}.png"
                    page.picture(path)
                    _shrink(path)
                    taken.append(path)
    return taken


def write_index() -> None:
    """Write the page that shows the pictures."""
    lines = [
        "# 图例 · Gallery",
        "",
        "`make gallery` 重新生成；数据都是虚构的。Made by `make gallery`; the county is invented.",
        "",
    ]
    for path in sorted(GALLERY.glob("*.png")):
        if path.stem.split("-")[0] not in KINDS:
            path.unlink()  # of a kind that is no more
    for kind in KINDS:
        views = [view for view in VIEWS if not view or kind in ALL_VIEWS]
        lines += [f"## {TITLES[kind]}", ""]
        lines += [f"![{kind} {lang}{view}]({kind}-{lang}{view}.png)" for view in views for lang in ("zh", "en")]
        lines.append("")
    (GALLERY / "README.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    take_pictures()
    write_index()
