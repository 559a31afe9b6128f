"""One school's sheet: its own figures, quartiles of at least five others, and nothing else of anybody."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.bulletins.fixture import make_publishable

import eduq as eq
from eduq.bulletins.products.school import build_school_context
from eduq.bulletins.render import render_html, render_markdown
from eduq.disclosure import Publishable
from eduq.disclosure.histories import PublishableHistory
from eduq.disclosure.products import OPEN_ITEMS
from eduq.disclosure.schools import MIN_OTHERS, SchoolReader, _quarters, protect_school
from eduq.errors import DisclosureError, UsageError
from eduq.resources import sample_data_path

RELATIVE = ("z_mean", "composite_z")


@cache
def county() -> Publishable:
    """The newest exam of the sample, with growth, targets and a made course over four years."""
    sample = sample_data_path()
    found = eq.analyze(sample / "2025-2-g9-final", registers=sample / "registers", prior=[sample / "2024-2-g8-final"]).publishable
    units = sorted(found.units.filter(unit_type="school")["unit"])
    years = [f"{year}-{year + 1}" for year in range(2022, 2026)]
    rows = [
        {"unit": unit, "measure": "composite_z", "subject": "composite", "year_group": "G9", "period": year, "n": 60 + place,
         "estimate": 0.01 * place - 0.05 * step, "ci_lower": 0.01 * place - 0.05 * step - 0.2,
         "ci_upper": 0.01 * place - 0.05 * step + 0.2, "reason": None}
        for place, unit in enumerate(units) for step, year in enumerate(years)
    ]  # fmt: skip
    declines = [
        {"unit": unit, "subject": "composite", "n_periods": 4, "first": years[0], "last": years[-1],
         "slope": -0.05 - 1e-4 * place, "ci_lower": -0.15, "ci_upper": 0.05, "q_value": 0.4, "min_detectable": 0.2,
         "evidence_grade": "D", "direction": "unclear",
         "evidence_reason": None}
        for place, unit in enumerate(units)
    ]  # fmt: skip
    course = PublishableHistory(
        archive_version=3, origin="archived", left_out=pl.DataFrame(), notes=pl.DataFrame(), declines=pl.DataFrame(declines),
        series=pl.DataFrame(rows), changes=pl.DataFrame(), subjects=pl.DataFrame(), model={}, bounds={},
    )  # fmt: skip
    return dataclasses.replace(found, history=course)


def numbers(value: Any) -> Iterator[float]:
    """Every number with decimals in plain values."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from numbers(part)
    elif isinstance(value, float):
        yield value


def others_of(exam: Publishable, school: str) -> list[str]:
    schools = exam.units.filter(unit_type="school").filter(pl.col("unit") != school)
    return [*schools["unit"], *schools["name"]]


def test_no_name_id_or_exact_value_of_another_school_is_in_any_sheet() -> None:
    exam = county()
    reader = SchoolReader([exam])
    assert len(reader.names) == 40
    chosen = ("mean_score", *RELATIVE)
    values = exam.estimates.filter(pl.col("unit_type") == "school", pl.col("measure").is_in(chosen)).drop_nulls("estimate")
    growth = exam.growth.frame.drop_nulls("estimate") if exam.growth is not None else pl.DataFrame()
    for school in list(reader.names)[::5]:
        fields = reader.protect(school).fields
        written = json.dumps(fields, ensure_ascii=False)
        assert [name for name in others_of(exam, school) if name in written] == []
        own = set(numbers(fields))
        for frame in (values, growth.filter(growth=pl.lit("multilevel"))):
            mine = set(frame.filter(pl.col("unit") == school)["estimate"])
            assert mine & own, "own values are there"
            theirs = set(frame.filter(pl.col("unit") != school)["estimate"]) - mine
            assert {value for value in theirs if round(value, 3) != value} & own == set()


def test_a_planted_name_appears_in_no_document_of_another() -> None:
    exam = county()
    planted = exam.units.with_columns(
        pl.when((pl.col("unit_type") == "school") & (pl.col("unit") == "S002")).then(pl.lit("植入密语学校")).otherwise("name")
        .alias("name")
    )  # fmt: skip
    reader = SchoolReader([dataclasses.replace(exam, units=planted)])
    for school in ("S001", "S019", "S040"):
        for lang in ("zh", "en"):
            context = build_school_context(reader.protect(school), lang)
            for written in (render_html(context), render_markdown(context), json.dumps(context, ensure_ascii=False)):
                assert "植入密语" not in written
                assert "S002" not in written
    assert "植入密语学校" in render_markdown(build_school_context(reader.protect("S002"), "zh"))


def test_no_place_and_no_chance_of_being_last_is_told() -> None:
    fields = protect_school(county(), school_id="S017").fields
    keys = set(json.dumps(fields).replace('"', " ").replace(":", " ").split())
    assert not keys & {"rank", "rank_lower", "rank_upper", "could_be_last", "p_last", "lowest_third", "signer", "percentile_rank"}


def test_where_fewer_than_five_others_sat_the_gap_is_withheld_and_there_is_no_reference() -> None:
    few, enough = make_publishable(schools=MIN_OTHERS, papers=2), make_publishable(schools=MIN_OTHERS + 1, papers=2)
    part = protect_school(few, school_id="S001").fields["exams"][0]
    assert {line["reason"] for line in part["gaps"]} == {"few_others"}
    assert all(line["estimate"] is None and line["ci_lower"] is None and line["std_error"] is None for line in part["gaps"])
    assert all(line["quarters"] is None for line in part["levels"])
    assert part["apart"] == []
    part = protect_school(enough, school_id="S001").fields["exams"][0]
    assert all(line["estimate"] is not None for line in part["gaps"])
    assert {line["n_others"] for line in part["levels"]} == {MIN_OTHERS}
    assert {line["others"] for line in part["levels"]} == {"all"}


def test_schools_too_small_for_a_number_do_not_count_as_others() -> None:
    exam = make_publishable(schools=MIN_OTHERS + 1, papers=1)
    gone = (pl.col("unit_type") == "school") & (pl.col("unit") == "S006") & (pl.col("measure") != "participation_rate")
    hidden = exam.estimates.with_columns(
        *(pl.when(~gone).then(pl.col(name)).alias(name) for name in ("estimate", "std_error", "ci_lower", "ci_upper")),
        pl.when(gone).then(pl.lit("below_min_n")).otherwise("reason").alias("reason"),
    )
    reader = SchoolReader([dataclasses.replace(exam, estimates=hidden)])
    assert {line["reason"] for line in reader.protect("S001").fields["exams"][0]["gaps"]} == {"few_others"}
    own = reader.protect("S006").fields["exams"][0]
    assert {line["reason"] for line in own["levels"]} == {"below_min_n"}
    assert all(line["estimate"] is None for line in own["levels"])
    assert own["participation"][0]["n_expected"] > 0


def test_a_course_is_withheld_with_its_grade_where_a_year_had_too_few_others() -> None:
    exam = county()
    history = exam.history
    assert history is not None
    kept = pl.col("unit").is_in(["S017", "S018", "S019", "S020", "S021"]) | (pl.col("period") != "2023-2024")
    thin = dataclasses.replace(history, series=history.series.filter(kept))
    part = protect_school(dataclasses.replace(exam, history=thin), school_id="S017").fields["exams"][0]
    assert [line["reason"] for line in part["course"]] == [None, "few_others", None, None]
    assert part["course"][1]["estimate"] is None
    assert part["decline"] is None
    whole = protect_school(exam, school_id="S017").fields["exams"][0]
    assert whole["decline"]["evidence_grade"] == "D"


@given(st.lists(st.integers(0, 40), min_size=1, max_size=30), st.integers(0, 29))
def test_quartiles_are_those_of_the_others(drawn: list[int], place: int) -> None:
    values = sorted(value / 4 for value in drawn)
    own = values[place % len(values)]
    rest = list(values)
    rest.remove(own)
    found = _quarters(values, own, 6)
    if len(rest) < MIN_OTHERS:
        assert found is None
    else:
        asked = pl.Series(rest)
        assert found == pytest.approx([asked.quantile(share, "linear") for share in (0.25, 0.5, 0.75)])


def test_own_open_items_only_and_no_proposal_before_it_is_decided() -> None:
    rows = [
        {"kind": "target", "item": "T004", "unit_type": "school", "unit": "S019", "owner": "某某", "due": None, "status": "open",
         "exam_id": None, "n": 1},
        {"kind": "target", "item": "T009", "unit_type": "school", "unit": "S002", "owner": "他人", "due": None,
         "status": "overdue", "exam_id": None, "n": 1},
        {"kind": "proposal", "item": "ezhou.head.yellow", "unit_type": "school", "unit": "S019", "owner": None, "due": None,
         "status": "open", "exam_id": None, "n": 1},
        {"kind": "data_quality", "item": "x", "unit_type": "area", "unit": "all", "owner": None, "due": None, "status": "open",
         "exam_id": None, "n": 3},
    ]  # fmt: skip
    items = pl.DataFrame(rows, schema=OPEN_ITEMS)
    assert [line["item"] for line in protect_school(county(), school_id="S019", open_items=items).fields["open_items"]] == [
        "T004"
    ]
    context = build_school_context(protect_school(county(), school_id="S018", open_items=items), "zh")
    assert "没有等待本校办理的事项" in render_markdown(context)


def test_the_sheet_is_taken_from_the_bureau_edition_of_exams_the_school_sat() -> None:
    with pytest.raises(UsageError, match="S999"):
        protect_school(county(), school_id="S999")
    with pytest.raises(DisclosureError):
        protect_school(dataclasses.replace(county(), edition="public"), school_id="S001")


def test_the_course_carries_its_direction_and_the_legend_once() -> None:
    context = build_school_context(protect_school(county(), school_id="S019"), "zh")
    tables = [block for part in context["sections"] for block in part["blocks"] if block["type"] == "table"]
    found = [one for one in tables if one["id"].startswith("directions")]
    assert [line["cells"][-1] for one in found for line in one["rows"] if line["role"] == "total"] == ["unclear"]
    assert found[0]["columns"][-1]["kind"] == "direction"
    assert render_markdown(context).count("变化图标：") == 1
