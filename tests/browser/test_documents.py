"""The documents in a browser: nothing asked for, nothing complained of, nothing cut on a phone or on paper, open to all."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.browser.devtools import CHROMIUM, Page
from tests.browser.pages import NAMES, make_page

AXE = Path(__file__).parent.parent.parent / "build" / "node_modules" / "axe-core" / "axe.min.js"
pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
    pytest.mark.xdist_group("browser_documents"),
]
SMALLEST = """
Math.min(99, ...[...document.querySelectorAll("svg")].filter(svg => svg.getBoundingClientRect().width > 20).flatMap(svg => {
  const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
  return [...svg.querySelectorAll("text")].map(text => parseFloat(getComputedStyle(text).fontSize) * scale);
}))
"""
LOOSE = """
(() => {
  const wide = document.documentElement.clientWidth, found = [];
  for (const box of document.querySelectorAll(".scroll")) {
    const head = box.querySelector("tbody th");
    if (!head || box.scrollWidth <= box.clientWidth + 1) continue;
    box.scrollLeft = 200;
    const place = head.getBoundingClientRect().left - box.getBoundingClientRect().left;
    if (Math.abs(place) > 1) found.push(box.querySelector("table").id);
    box.scrollLeft = 0;
  }
  return found;
})()
"""
MARK_CELLS = """
(() => {
  const mark = (cell, at, words) => {
    const put = document.createElement("span");
    put.style.cssText = "font-size:1px;letter-spacing:0;white-space:nowrap";
    put.textContent = words;
    cell.insertAdjacentElement(at, put);
  };
  let cells = 0;
  document.querySelectorAll("table").forEach((table, t) => {
    table.querySelectorAll("thead th").forEach(cell => mark(cell, "afterbegin", ` qh${t}q `));
    table.querySelectorAll("tbody tr").forEach((row, r) => row.querySelectorAll("th, td").forEach(cell => {
      mark(cell, "afterbegin", ` qt${t}r${r}q `);
      mark(cell, "beforeend", ` qt${t}r${r}q `);
      cells += 1;
    }));
  });
  return cells;
})()
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with Page(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(params=NAMES)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"{request.param}.html"
    path.write_text(make_page(request.param), encoding="utf-8")
    return path


def test_a_page_asks_for_nothing_and_fits_a_phone(page: Page, file: Path) -> None:
    for width in (360, 721, 1200):
        page.open(file, width=width)
        assert page.console == []
        assert page.requests == [file.as_uri()]
        assert page.ask("document.documentElement.scrollWidth") <= width
        assert page.ask(SMALLEST) >= 12
        assert page.ask(LOOSE) == []
    assert page.ask("document.documentElement.lang") == ("zh-CN" if ".zh" in file.name else "en")


@pytest.mark.parametrize("file", ["bulletin.zh", "teacher.en", "dossier.zh"], indirect=True)
def test_a_reader_by_keyboard_skips_to_the_text_and_sees_where_he_is(page: Page, file: Path) -> None:
    page.open(file, width=1200)
    page.press("Tab")
    assert page.ask("document.activeElement.getAttribute('href')") == "#main"
    assert page.ask("document.activeElement.getBoundingClientRect().left") >= 0
    page.press("Tab")
    assert page.ask("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not under build/node_modules (see .ci/run)")
@pytest.mark.parametrize(
    ("name", "dark"),
    [
        *((name, ".en" in name) for name in NAMES),
        *((name, True) for name in ("bulletin.zh", "class.zh", "annual.zh")),
    ],
)
def test_no_barrier_that_axe_calls_serious(page: Page, tmp_path: Path, name: str, dark: bool) -> None:
    file = tmp_path / "page.html"
    file.write_text(make_page(name), encoding="utf-8")
    page.open(file, width=1200, dark=dark)
    page.ask(AXE.read_text(encoding="utf-8") + ";0")
    found = page.ask("axe.run(document, {resultTypes: ['violations']}).then(found => found.violations)")
    grave = [item for item in found if item["impact"] in ("serious", "critical")]
    assert [(item["id"], [node["target"] for node in item["nodes"]][:3]) for item in grave] == []
    ground = page.ask("getComputedStyle(document.querySelector('.page')).backgroundColor")
    assert ground == ("rgb(20, 24, 29)" if dark else "rgb(255, 255, 255)")


def _printed(page: Page, path: Path) -> list[dict[str, Any]]:
    """Print the open page and return size and words (text, left, right) of each sheet."""
    said = page.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
    path.write_bytes(base64.b64decode(said["data"]))
    boxes = subprocess.run(["pdftotext", "-bbox", str(path), "-"], capture_output=True, text=True, check=True).stdout
    sheets = []
    for sheet in re.split(r"<page ", boxes)[1:]:
        size = re.search(r'width="([\d.]+)" height="([\d.]+)"', sheet)
        assert size is not None
        words = re.findall(r'<word xMin="([\d.-]+)" yMin="[\d.-]+" xMax="([\d.-]+)" yMax="[\d.-]+">(.*?)</word>', sheet)
        sheets.append({"width": float(size[1]), "words": [(word, float(left), float(right)) for left, right, word in words]})
    return sheets


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="no pdftotext on this machine")
def test_no_row_is_split_on_paper_and_every_sheet_of_a_table_has_its_head(page: Page, file: Path) -> None:
    page.open(file, width=1200)
    cells = page.ask(MARK_CELLS)
    sheets = _printed(page, file.with_suffix(".pdf"))
    on: dict[str, set[int]] = {}
    seen = 0
    for number, sheet in enumerate(sheets):
        for word, left, right in sheet["words"]:
            assert 0 < left <= right < sheet["width"], f"{word} leaves sheet {number + 1}"
            for mark in re.findall(r"q(t\d+r\d+|h\d+)q", word):
                on.setdefault(mark, set()).add(number)
                seen += mark[0] == "t"
    assert 2 * cells >= seen > 1.98 * cells > 0  # here and there a mark is read as two words
    rows = {mark: places for mark, places in on.items() if mark[0] == "t"}
    assert len(rows) == page.ask("document.querySelectorAll('tbody tr').length")
    assert {mark: places for mark, places in rows.items() if len(places) > 1} == {}
    headless = {mark for mark, places in rows.items() if not places <= on["h" + mark[1 : mark.index("r")]]}
    assert headless == set()
