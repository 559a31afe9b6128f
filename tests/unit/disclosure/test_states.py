"""Numbers of schools by state: what is counted, what is not, and that no school can be found in what the government reads."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.unit.bulletins.fixture import make_publishable
from tests.unit.bulletins.products.fixture import SCHOOL_NAMES, make_product

from eduq.bulletins.products import build_product_context
from eduq.bulletins.render import render_html, render_markdown
from eduq.bulletins.table_book import write_table_book
from eduq.bulletins.word import write_word
from eduq.disclosure import Publishable
from eduq.disclosure.states import LEAST_SCHOOLS, STATES, count_states


def counts(shown: Publishable, what: str = "gap", paper: str = "math") -> dict[str, int]:
    frame = count_states(shown).filter(what=what, paper=paper)
    return dict(frame.select("state", "n").iter_rows())


def with_gaps(shown: Publishable, gaps: list[tuple[float, float]], n: int = 50) -> Publishable:
    """Return an exam whose schools have these intervals in mathematics, and nothing else."""
    line = shown.estimates.filter(unit_type="school", paper="math", measure="z_mean").head(1)
    own = [
        line.with_columns(
            unit=pl.lit(f"X{i:02d}"),
            n=pl.lit(n, pl.Int64),
            estimate=pl.lit((low + high) / 2),
            ci_lower=pl.lit(low),
            ci_upper=pl.lit(high),
            reason=pl.lit(None, pl.String),
        )
        for i, (low, high) in enumerate(gaps)
    ]
    return dataclasses.replace(shown, estimates=pl.concat(own))


ABOVE, SAME, BELOW = (0.1, 0.5), (-0.2, 0.2), (-0.6, -0.1)


def test_schools_are_counted_by_the_side_of_their_interval() -> None:
    shown = with_gaps(make_publishable(), [ABOVE, ABOVE, SAME, SAME, SAME, BELOW])
    assert counts(shown) == {"above": 2, "same": 3, "below": 1}
    assert count_states(shown).schema == pl.Schema(STATES)


def test_fewer_than_five_schools_are_not_counted() -> None:
    shown = with_gaps(make_publishable(), [ABOVE, SAME, SAME, BELOW])
    assert len(shown.estimates) == LEAST_SCHOOLS - 1
    assert counts(shown) == {}


def test_all_schools_in_one_telling_state_are_not_told() -> None:
    assert counts(with_gaps(make_publishable(), [BELOW] * 6)) == {}
    assert counts(with_gaps(make_publishable(), [SAME] * 6)) == {"above": 0, "same": 6, "below": 0}


def test_small_schools_and_groups_of_a_deviation_do_not_count() -> None:
    assert counts(with_gaps(make_publishable(), [ABOVE] * 3 + [BELOW] * 3, n=9)) == {}
    whole = make_publishable()
    deviating = whole.comparability.filter(pl.col("deviation").is_not_null() & (pl.col("deviation") != ""))
    assert not deviating.is_empty()
    told = count_states(whole)
    assert set(told["comparison_group"].drop_nulls()).isdisjoint(deviating["comparison_group"])
    assert told.filter(what="gap", paper="composite")["n"].sum() == 23  # of 24 schools one was marked apart


def test_growth_and_grades_are_counted_likewise() -> None:
    product = make_product("government")
    decline = product.exams[0].states
    assert decline is not None
    letters = decline.filter(what="decline", subject="composite")
    assert dict(letters.select("state", "n").iter_rows()) == {"A": 1, "B": 1, "C": 1, "D": 2}


def _texts(path: Path) -> str:
    """Return all text inside a zipped office file."""
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as packed:
        return "".join(packed.read(name).decode("utf-8", "ignore") for name in packed.namelist() if name.endswith(".xml"))


@pytest.mark.parametrize("edition", ["government", "bureau"])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_no_school_is_in_any_file_for_the_government(edition: str, lang: Any, tmp_path: Path) -> None:
    product = make_product("government", edition=edition)
    context = build_product_context(product, lang)
    write_word(context, tmp_path / "bulletin.docx")
    write_table_book(context, tmp_path / "tables.xlsx")
    documents = {
        "context": json.dumps(context, ensure_ascii=False),
        "md": render_markdown(context),
        "html": render_html(context),
        "docx": _texts(tmp_path / "bulletin.docx"),
        "xlsx": _texts(tmp_path / "tables.xlsx"),
    }
    names = set(product.exams[0].units.filter(pl.col("unit_type") == "school")["name"]) | set(SCHOOL_NAMES.values())
    ids = set(product.exams[0].estimates.filter(unit_type="school")["unit"])
    assert len(names) > 20
    assert len(ids) == 24
    for name, document in documents.items():
        assert [one for one in [*names, *ids] if one in document] == [], name
        if name in ("md", "html"):
            assert ("参加比较的 23 所学校" in document) == (lang == "zh")
