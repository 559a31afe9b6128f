"""Whole products of an invented county, both languages. `make golden` writes them anew; a person reads the difference."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.unit.bulletins.products.fixture import PERIODS, make_product

from eduq.bulletins.products import build_product_context
from eduq.bulletins.render import render_markdown
from eduq.locale import Lang

HERE = Path(__file__).parent
CASES = [
    *((product, "bureau", True) for product in PERIODS),
    ("quarterly", "bureau", False),
    ("government", "government", True),
    ("annual", "public", True),
    ("subject", "bureau", True),
]


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize(("product", "edition", "with_exams"), CASES)
def test_product_is_as_it_was_read(product: str, edition: str, with_exams: bool, lang: Lang) -> None:
    stored = HERE / f"{product}.{edition}{'' if with_exams else '.no-exam'}.{lang}.md"
    fresh = render_markdown(build_product_context(make_product(product, edition=edition, with_exams=with_exams), lang))
    if os.environ.get("EDUQ_WRITE_GOLDEN"):
        stored.write_text(fresh, encoding="utf-8")
    assert fresh == stored.read_text(encoding="utf-8")
