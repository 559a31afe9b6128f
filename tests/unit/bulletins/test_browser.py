"""The page in a browser: no sideways scrolling of the page, text in figures not below 12 px, at every width."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from eduq.bulletins import build_context, render_html
from eduq.disclosure import Publishable

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
MEASURE = """
const page = document.querySelector("iframe").contentDocument;
const shown = [...page.querySelectorAll("svg")].filter(svg => svg.getBoundingClientRect().width > 0);
const smallest = shown.map(svg => {
  const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
  return Math.min(...[...svg.querySelectorAll("text")].map(text => parseFloat(getComputedStyle(text).fontSize) * scale));
});
const outside = shown.flatMap(svg => {
  const box = svg.getBoundingClientRect();
  return [...svg.querySelectorAll("text")].filter(text => {
    const place = text.getBoundingClientRect();
    return place.left < box.left - 1 || place.right > box.right + 1;
  });
});
const root = page.documentElement;
const found = {client: root.clientWidth, scroll: root.scrollWidth, figures: shown.length};
found.smallest = Math.min(...smallest);
found.outside = outside.length;
document.querySelector("pre").textContent = JSON.stringify(found);
"""


def _measure(page: str, width: int, folder: Path) -> dict[str, Any]:
    frame = f'<iframe style="width:{width}px;height:900px;border:0" srcdoc="{html.escape(page)}"></iframe>'
    script = f'<script>document.querySelector("iframe").onload = () => {{{MEASURE}}};</script>'
    host = folder / "host.html"
    host.write_text(f'<!DOCTYPE html><meta charset="utf-8">{frame}<pre></pre>{script}', encoding="utf-8")
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    more = f"--disable-component-update --disable-sync --virtual-time-budget=5000 --user-data-dir={folder / 'profile'}"
    command = [str(CHROMIUM), *flags.split(), *more.split(), "--dump-dom", host.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    said = re.search(r"<pre>(\{.*?\})</pre>", shown)
    assert said is not None
    return dict(json.loads(html.unescape(said[1])))


@pytest.mark.parametrize(("lang", "width"), [("zh", 360), ("zh", 721), ("en", 360)])
def test_page_fits_and_figures_are_readable(county: Publishable, lang: Any, width: int, tmp_path: Path) -> None:
    found = _measure(render_html(build_context(county, lang)), width, tmp_path)
    assert found["scroll"] <= found["client"] <= width
    assert found["figures"] == 2
    assert found["smallest"] >= 12
    assert found["outside"] == 0
