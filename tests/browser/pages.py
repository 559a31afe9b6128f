"""Every kind of page that eduq makes, for the tests in a browser: the sample county with all its sections, both languages."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tests.unit.bulletins.products.fixture import PERIODS, make_product

import eduq as eq
from eduq.bulletins import render_html
from eduq.bulletins.feedback import render_feedback
from eduq.bulletins.products import build_product_context
from eduq.disclosure.feedback import protect_feedback
from eduq.locale import Lang
from eduq.pipeline import Analysis
from eduq.resources import sample_data_path

GOLDEN = Path(__file__).parent.parent / "golden"
PRODUCTS = (*sorted(PERIODS), "public")
SHEETS = ("teacher.zh", "teacher.en", "class.zh", "dossier.zh", "dossier.en")
NAMES = (
    "bulletin.zh",
    "bulletin.en",
    *SHEETS,
    *(f"{product}.{('zh', 'en')[place % 2]}" for place, product in enumerate(PRODUCTS)),
)
"""Products in one language each, by turns: both come from one template."""


@cache
def sample_analysis() -> Analysis:
    """Return the newest exam of the sample county with growth, comparisons, equity and teaching."""
    sample = sample_data_path()
    return eq.analyze(
        sample / "2025-2-g9-final", registers=sample / "registers", prior=[str(sample / "2024-2-g8-final")], feedback=True
    )


@cache
def make_page(name: str) -> str:
    """Return one page as HTML."""
    kind, tongue = name.split(".")
    lang: Lang = "en" if tongue == "en" else "zh"
    if kind == "dossier":
        return (GOLDEN / f"{name}.html").read_text(encoding="utf-8")
    if kind in PRODUCTS:
        found = make_product("term", edition="public") if kind == "public" else make_product(kind)
        return render_html(build_product_context(found, lang))
    analysed = sample_analysis()
    if kind == "bulletin":
        return eq.render_bulletin(analysed.publishable, lang=lang)
    assert analysed.teaching is not None
    of = analysed.teaching.of_teacher if kind == "teacher" else analysed.teaching.of_class
    return render_feedback(protect_feedback(analysed.teaching, **{f"{kind}_id": min(of)}), format="html", lang=lang)
