"""Whole bulletins of the sample county, both languages. `make golden` writes them anew; a person reads the difference."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import eduq as eq
from eduq.locale import Lang
from eduq.pipeline import Analysis
from eduq.resources import sample_data_path

HERE = Path(__file__).parent
EXAM = "2025-2-g9-final"


@pytest.fixture(scope="module")
def found() -> Analysis:
    sample = sample_data_path()
    return eq.analyze(sample / EXAM, registers=sample / "registers")


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize(("format", "suffix"), [("markdown", "md"), ("html", "html")])
def test_bulletin_is_as_it_was_read(found: Analysis, lang: Lang, format: str, suffix: str) -> None:
    stored = HERE / f"bulletin.{lang}.{suffix}"
    fresh = eq.render_bulletin(found.publishable, format=format, lang=lang)
    if os.environ.get("EDUQ_WRITE_GOLDEN"):
        stored.write_text(fresh, encoding="utf-8")
    assert fresh == stored.read_text(encoding="utf-8")
