"""Every kind of page that eduq makes, for the tests in a browser: the sample county with all its sections, both languages."""

from __future__ import annotations

import datetime as dt
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
from tests.unit.bulletins.products.fixture import PERIODS, make_product

import eduq as eq
from eduq.bulletins import render_html
from eduq.bulletins.feedback import render_feedback
from eduq.bulletins.products import build_product_context
from eduq.bulletins.products.school import build_school_context
from eduq.bulletins.products.teacher import build_teacher_context
from eduq.bulletins.review import build_review
from eduq.bulletins.review_page import render_review
from eduq.disclosure.feedback import protect_feedback
from eduq.disclosure.products import NEWS, OPEN_ITEMS, PRODUCTS, ProductFacts, protect_product
from eduq.disclosure.schools import SchoolReader
from eduq.locale import Lang
from eduq.pipeline import Analysis
from eduq.resources import sample_data_path
from eduq.tables import DECISIONS, TARGET_REVIEWS, VERDICTS

GOLDEN = Path(__file__).parent.parent / "golden"
DOCUMENTS = (*(name for name in PRODUCTS if name != "school-packs"), "public", "student")
"""Products, and the editions with a text of their own; a new product has to have a page here. Packs are sheets of schools."""
KINDS = ("bulletin", *DOCUMENTS, "feedback", "class", "dossier")
NAMES = tuple(f"{kind}.{lang}" for kind in KINDS for lang in ("zh", "en"))
SCHOOL = "S006"


@cache
def sample_analysis() -> Analysis:
    """Return the newest exam of the sample county with growth, comparisons, equity and teaching."""
    sample = sample_data_path()
    return eq.analyze(
        sample / "2025-2-g9-final", registers=sample / "registers", prior=[str(sample / "2024-2-g8-final")], feedback=True
    )


def _sample_facts(product: Any, unit: str | None = None) -> ProductFacts:
    """Return the sample's newest exam as the facts of a term, nothing waiting and nothing decided."""
    results = sample_analysis().results
    assert results is not None
    exam = results.scores.exam.exam
    news = {
        "exam_id": exam.id,
        "name": exam.name,
        "date": exam.date,
        "year_group": exam.year_group,
        "purpose": exam.purpose,
        "n_candidates": results.scores.frame.height,
        "n_schools": results.scores.schools.height,
        "news": "new",
    }
    return ProductFacts(
        product=product,
        period="2025-2026-2",
        first=dt.date(2026, 2, 1),
        last=dt.date(2026, 8, 31),
        today=dt.date(2026, 8, 31),
        archive_version=1,
        exams=(results,),
        news=pl.DataFrame([news], schema=NEWS),
        open_items=pl.DataFrame(schema=OPEN_ITEMS),
        histories={},
        verdicts=pl.DataFrame(schema=VERDICTS),
        decisions=pl.DataFrame(schema=DECISIONS),
        targets=pl.DataFrame(schema=TARGET_REVIEWS),
        names={},
        settings=results.settings,
        unit=unit,
    )


def _product_context(kind: str, lang: Lang) -> dict[str, Any]:
    if kind == "public":
        return build_product_context(make_product("term", edition="public"), lang)
    if kind == "student":
        return build_product_context(protect_product(_sample_facts("term"), edition="student"), lang)
    if kind == "subject":
        return build_product_context(protect_product(_sample_facts("subject", "math"), edition="bureau"), lang)
    if kind == "school":
        return build_school_context(SchoolReader((sample_analysis().publishable,)).protect(SCHOOL), lang)
    if kind == "teacher":
        teaching = sample_analysis().teaching
        assert teaching is not None
        return build_teacher_context((protect_feedback(teaching, teacher_id=min(teaching.of_teacher)),), lang)
    assert kind in PERIODS, f"no page of the product {kind}: add one here"
    return build_product_context(make_product(kind), lang)


@cache
def make_context(name: str) -> dict[str, Any]:
    """Return the bulletin context of a product, or of the bulletin of an exam."""
    kind, tongue = name.split(".")
    lang: Lang = "en" if tongue == "en" else "zh"
    if kind == "bulletin":
        return eq.bulletins.build_context(sample_analysis().publishable, lang)
    return _product_context(kind, lang)


@cache
def make_page(name: str) -> str:
    """Return one page as HTML."""
    kind, tongue = name.split(".")
    lang: Lang = "en" if tongue == "en" else "zh"
    if kind == "dossier":
        return (GOLDEN / f"{name}.html").read_text(encoding="utf-8")
    if kind == "review":
        return render_review(build_review([sample_analysis().publishable], lang))
    if kind in ("feedback", "class"):
        teaching = sample_analysis().teaching
        assert teaching is not None
        chosen = {"teacher_id": min(teaching.of_teacher)} if kind == "feedback" else {"class_id": min(teaching.of_class)}
        return render_feedback(protect_feedback(teaching, **chosen), format="html", lang=lang)
    return render_html(make_context(name))
