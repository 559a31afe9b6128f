"""The review page in a browser: filter, sort, search, open a school with the keyboard alone, and ask for nothing outside."""

from __future__ import annotations

import base64
import dataclasses
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.browser.devtools import CHROMIUM, Page
from tests.unit.bulletins.fixture import make_publishable
from tests.unit.bulletins.test_review import dossier, with_courses

from eduq.bulletins.review import build_review
from eduq.bulletins.review_page import render_review

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
STATUS = "document.getElementById('review-status').textContent"
SCHOOLS = "[...document.querySelectorAll('#review-table button.unit')].map(one => one.textContent)"
FOCUS = "document.activeElement.id || document.activeElement.textContent"
CONTRAST = """(() => {
  const parts = (said) => (said.match(/[\\d.]+/g) || []).map(Number);
  const linear = (one) => one <= .03928 ? one / 12.92 : ((one + .055) / 1.055) ** 2.4;
  const weights = [.2126, .7152, .0722];
  const light = (rgb) => rgb.slice(0, 3).reduce((sum, one, place) => sum + linear(one / 255) * weights[place], 0);
  const ground = (node) => {
    for (let one = node; one; one = one.parentElement) {
      const found = parts(getComputedStyle(one).backgroundColor);
      if (found.length === 3 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const node of document.querySelectorAll('.page *, dialog *')) {
    const own = [...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.getClientRects().length) continue;
    const pair = [light(parts(getComputedStyle(node).color)), light(ground(node))].sort((one, other) => other - one);
    const ratio = (pair[0] + .05) / (pair[1] + .05);
    if (ratio < 4.5) found.push([node.tagName, node.className, node.textContent.slice(0, 20), ratio]);
  }
  return found;
})()"""
WIDE = """(() => {
  const detail = document.getElementById('review-detail');
  return [document.documentElement.scrollWidth, detail.scrollWidth - detail.clientWidth];
})()"""
NAMELESS = """[...document.querySelectorAll('button, select, input, a, dialog, [role=group], [role=navigation]')]
  .filter(one => !one.textContent.trim() && !one.labels?.length)
  .filter(one => !one.getAttribute('aria-label') && !one.getAttribute('aria-labelledby')).map(one => one.outerHTML)"""
DOUBLED = """(() => {
  const ids = [...document.querySelectorAll('[id]')].map(one => one.id);
  return ids.length - new Set(ids).size;
})()"""
AXE = Path(__file__).parents[2] / "build" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with Page(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("review")
    county = with_courses(make_publishable())
    found = {}
    for lang in ("zh", "en"):
        found[lang] = folder / f"{lang}.html"
        found[lang].write_text(render_review(build_review([county], lang, dossiers=[dossier()])), encoding="utf-8")
    (folder / "why").mkdir()
    (folder / "why" / "S003-ezhou.head.talk.html").write_text("<!DOCTYPE html><title>why</title><p>why</p>", encoding="utf-8")
    found["large"] = folder / "large.html"
    found["large"].write_text(render_review(build_review([make_publishable(2000, 10)], "zh")), encoding="utf-8")
    return found


def _choose(browser: Page, name: str, label: str) -> None:
    browser.ask(f"""(() => {{
      const box = document.getElementById({json.dumps(name)});
      box.value = [...box.options].find(one => one.textContent === {json.dumps(label)}).value;
      box.dispatchEvent(new Event("change", {{bubbles: true}}));
    }})()""")


def _values(browser: Page, column: int) -> list[str]:
    found: list[str] = browser.ask(
        f"[...document.querySelectorAll('#review-table tbody tr')].map(row => row.children[{column}].textContent)"
    )
    return found


def _head(browser: Page, name: str) -> str:
    return str(browser.ask(f"document.querySelector('[data-sort={name}]').closest('th').getAttribute('aria-sort')"))


def _quiet(browser: Page) -> None:
    assert browser.console == []
    assert [one for one in browser.requests if not one.startswith("file:")] == []


def test_filters_and_search_narrow_the_rows_and_say_so(browser: Page, pages: dict[str, Path]) -> None:
    browser.open(pages["zh"])
    whole = browser.ask(STATUS)
    assert whole == "共 216 行，符合条件 216 行，显示第 1—50 行"
    _choose(browser, "review-filter-subject", "数学")
    assert browser.ask(STATUS) == "共 216 行，符合条件 24 行，显示第 1—24 行"
    assert set(_values(browser, 2)) == {"数学"}
    school = _values(browser, 0)[4]
    _choose(browser, "review-filter-unit", school)
    assert _values(browser, 0) == [school]
    browser.ask("document.getElementById('review-clear').click()")
    assert browser.ask(STATUS) == whole
    browser.ask("document.getElementById('review-search').focus()")
    browser.press(*"S003")
    browser.ask("new Promise(done => setTimeout(done, 300))")
    assert browser.ask(STATUS) == "共 216 行，符合条件 9 行，显示第 1—9 行"
    assert len(set(_values(browser, 0))) == 1
    browser.press(*"zzz")
    browser.ask("new Promise(done => setTimeout(done, 300))")
    assert browser.ask("document.getElementById('review-empty').hidden") is False
    _quiet(browser)


def test_years_are_a_table_to_filter_by_year(browser: Page, pages: dict[str, Path]) -> None:
    browser.open(pages["zh"])
    browser.ask("document.getElementById('review-which-years').click()")
    assert browser.ask(STATUS) == "共 288 行，符合条件 96 行，显示第 1—50 行"  # the composite first
    assert set(_values(browser, 2)) == {"综合"}
    _choose(browser, "review-filter-year", "2024-2025")
    assert set(_values(browser, 3)) == {"2024-2025"}
    assert browser.ask(STATUS) == "共 288 行，符合条件 24 行，显示第 1—24 行"
    _choose(browser, "review-filter-subject", "数学")
    assert set(_values(browser, 2)) == {"数学"}
    assert len(set(_values(browser, 0))) == 24
    browser.ask("document.getElementById('review-clear').click()")
    assert browser.ask(STATUS) == "共 288 行，符合条件 288 行，显示第 1—50 行"
    _quiet(browser)


def test_a_head_sorts_up_down_and_back_and_says_so(browser: Page, pages: dict[str, Path]) -> None:
    browser.open(pages["zh"])
    _choose(browser, "review-filter-subject", "语文")
    in_order = _values(browser, 0)
    browser.ask("document.querySelector('[data-sort=value]').focus()")

    def numbers() -> list[float]:
        return [float(one.replace("\u2212", "-")) for one in _values(browser, 6)]

    browser.press("Enter")
    assert (_head(browser, "value"), numbers()) == ("ascending", sorted(numbers()))
    assert browser.ask(STATUS).endswith("，按“与全体的差距（标准差）”升序")
    assert browser.ask("document.activeElement.dataset.sort") == "value"
    browser.press("Enter")
    assert (_head(browser, "value"), numbers()) == ("descending", sorted(numbers(), reverse=True))
    browser.press("Enter")
    assert (_head(browser, "value"), _values(browser, 0)) == ("none", in_order)
    _quiet(browser)


def test_rows_without_a_number_are_last_either_way(browser: Page, pages: dict[str, Path]) -> None:
    browser.open(pages["zh"])
    for _ in range(2):
        browser.ask("document.querySelector('[data-sort=value]').click()")
        browser.ask("document.getElementById('review-last').click()")
        assert _values(browser, 6)[-1] == "不可比"


def test_everything_is_reached_with_the_keyboard_alone(browser: Page, pages: dict[str, Path]) -> None:
    browser.open(pages["zh"])
    seen = []
    for _ in range(40):
        browser.press("Tab")
        seen.append(browser.ask(FOCUS))
        if browser.ask("document.activeElement.classList.contains('unit')"):
            break
    assert {"review-which-levels", "review-search", "review-measure", "review-filter-unit", "review-clear"} <= set(seen)
    first, second, *_ = browser.ask(SCHOOLS)
    assert seen[-1] == first
    browser.press("End", "Home", "ArrowDown")
    assert browser.ask(f"{SCHOOLS}.length") == 50
    assert browser.ask("[...document.querySelectorAll('#review-table button.unit')].indexOf(document.activeElement)") == 1
    assert browser.ask("document.querySelectorAll('#review-table button.unit[tabindex=\"0\"]').length") == 1
    browser.press("Enter")
    assert browser.ask("document.getElementById('review-detail').open")
    assert browser.ask(FOCUS) == "review-school"
    assert browser.ask("document.getElementById('review-school').textContent") == second
    browser.press("Escape")
    assert browser.ask("document.getElementById('review-detail').open") is False
    assert browser.ask("[...document.querySelectorAll('#review-table button.unit')].indexOf(document.activeElement)") == 1
    browser.press("PageDown")
    assert browser.ask(STATUS) == "共 216 行，符合条件 216 行，显示第 51—100 行"
    assert browser.ask("document.activeElement.classList.contains('unit')")
    _quiet(browser)


def test_where_the_focus_is_can_be_seen_on_every_control(browser: Page, pages: dict[str, Path]) -> None:
    browser.open(pages["zh"])
    seen = set()
    for _ in range(40):
        browser.press("Tab")
        assert browser.ask("getComputedStyle(document.activeElement).outlineStyle") in ("solid", "auto"), browser.ask(FOCUS)
        assert browser.ask("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 1
        seen.add(browser.ask("document.activeElement.tagName + '.' + document.activeElement.className"))
        if browser.ask("document.activeElement.id") == "review-last":
            break
    assert {"A.skip", "INPUT.", "SELECT.", "BUTTON.plain", "BUTTON.sort", "BUTTON.unit"} <= seen


def test_a_number_in_the_change_over_the_years_is_a_link_to_its_reasons(browser: Page, pages: dict[str, Path]) -> None:
    browser.open(pages["zh"])
    browser.ask("document.getElementById('review-which-courses').click()")
    _choose(
        browser, "review-filter-unit", browser.ask("JSON.parse(document.getElementById('review-data').textContent).units[2][1]")
    )
    links = "[...document.querySelectorAll('#review-table td a')]"
    assert browser.ask(f"{links}.map(one => one.getAttribute('href'))") == ["why/S003-ezhou.head.talk.html"]
    assert browser.ask(f"{links}[0].getAttribute('aria-label')").endswith("：查看依据")
    assert _values(browser, 2)[0] == "综合"
    browser.ask(f"{links}[0].focus()")
    with browser.loading():
        browser.press("Enter")
    assert browser.ask("document.title") == "why"


def _printed(browser: Page, path: Path) -> list[str]:
    path.write_bytes(base64.b64decode(browser.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"]))
    said = subprocess.run(["pdftotext", "-layout", str(path), "-"], capture_output=True, text=True, check=True).stdout
    return said.split("\f")[:-1]


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="no pdftotext on this machine")
def test_paper_has_all_chosen_rows_what_was_chosen_and_a_head_on_every_sheet(
    browser: Page, pages: dict[str, Path], tmp_path: Path
) -> None:
    browser.open(pages["zh"])
    browser.ask("document.getElementById('review-which-years').click()")
    sheets = _printed(browser, tmp_path / "page.pdf")
    assert "科目：综合；共288行，符合条件96行，显示第1—96行" in sheets[0].replace(" ", "")
    assert sum(sheet.count("2022-2023") for sheet in sheets) == 24
    assert all("学校" in sheet and "置信区间" in sheet for sheet in sheets if "2022-2023" in sheet)
    assert browser.ask("document.querySelectorAll('#review-table tbody tr').length") == 50
    browser.ask("document.querySelector('#review-table button.unit').click()")
    (first, *_) = _printed(browser, tmp_path / "school.pdf")
    assert "内部资料" in first
    assert "S001" in first
    assert browser.ask("document.getElementById('review-detail').matches(':modal')")
    _quiet(browser)


def test_a_browser_that_cannot_run_the_script_gets_the_plain_tables(
    browser: Page, pages: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    path.write_text(
        pages["zh"].read_text(encoding="utf-8").replace('"use strict";', "a script it cannot read", 1), encoding="utf-8"
    )
    browser.open(path)
    assert browser.ask("document.getElementById('review').hidden")
    assert browser.ask("document.querySelectorAll('#review-plain section table').length") == 4
    assert "请用较新版本的浏览器" in browser.ask("document.getElementById('review-plain').innerText")


def test_a_number_leads_to_the_page_of_its_reasons(browser: Page, pages: dict[str, Path]) -> None:
    browser.open(pages["zh"])
    browser.ask("document.querySelectorAll('#review-table button.unit')[25].click()")
    body = browser.ask("document.getElementById('review-school-body').textContent")
    for said in ("各项指标", "历年水平", "历年变化", "履职谈话"):
        assert said in body
    link = browser.ask("document.querySelector('#review-school-body a').href")
    assert link.endswith("/why/S003-ezhou.head.talk.html")
    browser.ask("document.querySelector('#review-school-body a').focus()")
    with browser.loading():
        browser.press("Enter")
    assert browser.ask("document.title") == "why"


@pytest.mark.parametrize(("lang", "dark"), [("zh", False), ("en", True)])
def test_the_page_fits_a_phone_and_can_be_read(browser: Page, pages: dict[str, Path], lang: str, dark: bool) -> None:
    browser.open(pages[lang], width=360, height=780, dark=dark)
    assert browser.ask(WIDE) == [360, 0]
    assert browser.ask(CONTRAST) == []
    browser.ask("document.querySelector('#review-table button.unit').click()")
    assert browser.ask(WIDE)[0] == 360
    assert browser.ask(WIDE)[1] <= 0
    assert browser.ask(CONTRAST) == []
    _quiet(browser)


def test_every_control_has_a_name_and_ids_are_its_own(browser: Page, pages: dict[str, Path]) -> None:
    browser.open(pages["en"])
    assert browser.ask(NAMELESS) == []
    assert browser.ask(DOUBLED) == 0
    assert browser.ask("document.getElementById('review-status').getAttribute('aria-live')") == "polite"


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not under build/node_modules (see .ci/run)")
@pytest.mark.parametrize(("lang", "dark", "width"), [("zh", False, 1200), ("en", True, 360)])
def test_axe_finds_no_barrier(browser: Page, pages: dict[str, Path], lang: str, dark: bool, width: int) -> None:
    browser.open(pages[lang], width=width, dark=dark)
    browser.ask(AXE.read_text(encoding="utf-8") + ";0")
    for step in ("0", "document.querySelector('#review-table button.unit').click()"):
        browser.ask(step)
        assert browser.ask("axe.run().then(found => found.violations.map(one => [one.id, one.impact]))") == []


def test_without_a_script_there_are_plain_tables(browser: Page, pages: dict[str, Path]) -> None:
    browser.open(pages["zh"], script=False)
    rows = browser.call("DOM.getDocument", depth=0)["root"]["nodeId"]
    found = browser.call("DOM.querySelectorAll", nodeId=rows, selector="noscript table tbody tr")["nodeIds"]
    assert len(found) == 240 + 3 * 24 + 3 * 24 + 1
    hidden = browser.call("DOM.querySelector", nodeId=rows, selector="#review[hidden]")["nodeId"]
    assert hidden
    _quiet(browser)


def test_two_thousand_schools_stay_few_elements(browser: Page, pages: dict[str, Path]) -> None:
    browser.open(pages["large"])
    assert browser.ask(STATUS) == "共 24,000 行，符合条件 24,000 行，显示第 1—50 行"
    assert browser.ask("document.querySelectorAll('#review-table tr').length") == 51
    browser.ask("document.querySelector('[data-sort=value]').click()")
    browser.ask("document.getElementById('review-last').click()")
    sorted_by = "，按“与全体的差距（标准差）”升序"
    assert browser.ask(STATUS) == "共 24,000 行，符合条件 24,000 行，显示第 23,951—24,000 行" + sorted_by
    assert browser.ask("document.querySelectorAll('#review-table tr').length") == 51
    _quiet(browser)


def test_a_script_from_data_does_not_run(browser: Page, tmp_path: Path) -> None:
    county: Any = make_publishable(6, 3)
    name = "</script><img src=https://example.org/x onerror=\"console.log('ran')\">"
    units = county.units.with_columns(pl.when(pl.col("unit") == "S001").then(pl.lit(name)).otherwise("name").alias("name"))
    path = tmp_path / "page.html"
    path.write_text(render_review(build_review([dataclasses.replace(county, units=units)], "zh")), encoding="utf-8")
    browser.open(path)
    assert browser.ask(SCHOOLS)[0] == name
    browser.ask("document.querySelector('#review-table button.unit').click()")
    assert browser.ask("document.getElementById('review-school').textContent") == name
    assert browser.ask("document.querySelectorAll('img').length") == 0
    _quiet(browser)
