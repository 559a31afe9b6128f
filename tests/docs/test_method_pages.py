"""A page per method, in both languages: what it answers, formula, assumptions, when it misleads, source; and readers find it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

EXPLANATION = Path(__file__).parents[2] / "docs" / "explanation"
PAGES = {
    "comparison": "compare_units",
    "growth-multilevel": "estimate_growth",
    "growth-percentiles": "estimate_growth",
    "growth-gains": "compare_growth",
    "growth-flows": "measure_flows",
    "equity": "measure_equity",
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_what_a_reader_must_know(name: str) -> None:
    page = (EXPLANATION / f"{name}.md").read_text(encoding="utf-8")
    chinese, english = page.split("\n## English\n")
    assert "回答" in chinese or "各答什么" in chinese, "what it answers"
    assert re.search("误导|误读|误用", chinese), "when it misleads"
    assert re.search("[mM]isle", english), "when it misleads"
    assert re.search("[=Σ²√]", chinese), "a formula"
    assert re.search(r"文献|References|Sources", page), "its sources"
    assert re.search(r"\((?:19|20)\d\d\)|(?:19|20)\d\d[ab]?\b", page), "a dated source"
    assert f"eq.{PAGES[name]}" in page


@pytest.mark.parametrize("name", PAGES)
def test_the_table_of_contents_leads_to_it_in_both_languages(name: str) -> None:
    contents = (EXPLANATION.parent / "README.md").read_text(encoding="utf-8")
    assert f"(explanation/{name}.md)" in contents
    assert f"(explanation/{name}.md#english)" in contents
