"""What the bulletin context holds, and that it says no more than the estimates do."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest
from tests.unit.bulletins.fixture import make_publishable

from eduq.bulletins import build_context
from eduq.bulletins.formats import say
from eduq.disclosure import Publishable
from eduq.tables import CHECKS


def _blocks(context: dict[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    for part in [*context["sections"], *context["annexes"]]:
        yield from (block for block in part["blocks"] if block["type"] == kind)


def _table(context: dict[str, Any], name: str) -> dict[str, Any]:
    return next(block for block in _blocks(context, "table") if block["id"] == name)


def _column(table: dict[str, Any], name: str) -> list[Any]:
    place = [column["id"] for column in table["columns"]].index(name)
    return [row["cells"][place] for row in table["rows"] if row["role"] == "unit"]


def test_context_is_plain_data_and_repeats(county: Publishable, context: dict[str, Any]) -> None:
    written = json.dumps(context, ensure_ascii=False)
    assert json.loads(written)["version"] == 1
    assert json.dumps(build_context(county, "zh"), ensure_ascii=False) == written


def test_skeleton_is_that_of_a_bulletin(context: dict[str, Any]) -> None:
    first = [part["id"] for part in context["sections"] if part["level"] == 1]
    assert first == ["basics", "results", "findings", "causes", "actions"]
    second = [part["id"] for part in context["sections"] if part["level"] == 2]
    assert second[:4] == ["participation", "comparability", "data", "definitions"]
    assert second[4:] == ["overall", "schools", "subjects", "area_type", "township", "sex"]
    assert [part["number"] for part in context["sections"][:3]] == [[1], [1, 1], [1, 2]]


def test_headline_has_at_most_four_figures_each_with_interval_or_base(context: dict[str, Any]) -> None:
    assert 1 <= len(context["headline"]) <= 4
    for figure in context["headline"]:
        said = figure["label"]["params"]
        assert {"interval", "expected", "compared"} & (set(said) | set(said.get("said", {}).get("params", {})))


def test_every_school_stands_once_in_its_table_with_base_and_interval(county: Publishable, context: dict[str, Any]) -> None:
    table = _table(context, "schools")
    expected = county.estimates.filter((pl.col("unit_type") == "school") & (pl.col("paper") == "composite"))
    assert len(_column(table, "unit")) == expected["unit"].n_unique() == 24
    assert all(present <= asked for present, asked in _column(table, "base"))
    gaps = [gap for gap in _column(table, "gap") if isinstance(gap, float)]
    assert sorted(gaps) == sorted(expected["estimate"].drop_nulls())
    assert table["rows"][-1]["role"] == "total"


def test_tally_equals_the_intervals(county: Publishable, context: dict[str, Any]) -> None:
    rows = county.estimates.filter((pl.col("unit_type") == "school") & (pl.col("measure") == "composite_z"))
    part = next(part for part in context["sections"] if part["id"] == "schools")
    said = part["blocks"][0]["text"]["params"]["said"]["params"]
    assert said["above"] == (rows["ci_lower"] > 0).sum()
    assert said["below"] == (rows["ci_upper"] < 0).sum()
    assert said["compared"] == rows["estimate"].count() == said["above"] + said["below"] + said["same"]


def test_a_school_that_cannot_be_compared_shows_its_reason_instead_of_a_number(context: dict[str, Any]) -> None:
    table = _table(context, "schools")
    assert {"reason": "marking_not_shared"} in _column(table, "gap")
    remarks = " ".join(say(remark, "zh") for remark in table["notes"])
    assert "不可比" in remarks
    assert "未统一阅卷" in remarks
    chance = next(block for block in _blocks(context, "note") if block["text"]["key"] == "bulletin.results.chance")
    assert "5%" in say(chance["text"], "zh")


def test_deviating_schools_are_not_in_the_area_table(context: dict[str, Any]) -> None:
    assert _column(_table(context, "subjects"), "none")[1] == 1
    assert len(_column(_table(context, "overall"), "paper")) == 7


def test_what_nobody_has_said_stands_on_the_first_page() -> None:
    context = build_context(make_publishable(stated=False), "zh")
    said = " ".join(say(premise, "zh") for premise in context["premises"])
    for word in ("考试日期", "组织依据", "同进度", "同阅卷", "阅卷方式"):
        assert word in said
    assert context["meta"]["date"] is None
    assert build_context(make_publishable(), "zh")["premises"] == []


def test_assumptions_of_the_reader_join_the_premises(county: Publishable) -> None:
    check = pl.DataFrame([("assumed_exam_id", "notice", None, None, None, None, "x", 1)], schema=CHECKS, orient="row")
    assert len(build_context(dataclasses.replace(county, checks=check), "zh")["premises"]) <= 1


def test_long_tables_are_cut_with_a_line_that_says_so(province: Publishable) -> None:
    context = build_context(province, "zh")
    for name in ("schools", "annex_school_gaps", "annex_schools_math"):
        table = _table(context, name)
        assert table["whole"] == 150
        assert sum(row["role"] == "unit" for row in table["rows"]) == province.settings.bulletin_rows
        assert any("150" in say(remark, "zh") and "tables.xlsx" in say(remark, "zh") for remark in table["notes"])
    figure = next(block for block in _blocks(context, "figure") if block["id"] == "school_gaps")
    assert figure["caption"]["key"] == "bulletin.figure.funnel_caption"


def test_tables_keep_register_order_and_only_the_bureau_sees_an_order_by_value(
    county: Publishable, context: dict[str, Any]
) -> None:
    names = _column(_table(context, "schools"), "unit")
    register = county.units.filter(pl.col("unit_type") == "school").sort("sort_key")["name"].to_list()
    assert names == register
    for edition, order in (("bureau", "order_value"), ("government", "order_code")):
        shown = build_context(dataclasses.replace(county, edition=edition), "zh")
        figure = next(block for block in _blocks(shown, "figure") if block["id"] == "school_gaps")
        assert figure["caption"]["params"]["order"]["key"] == f"bulletin.figure.{order}"


def test_causes_and_next_steps_are_left_to_a_person(context: dict[str, Any]) -> None:
    for name in ("causes", "actions"):
        part = next(part for part in context["sections"] if part["id"] == name)
        assert part["blocks"][0]["type"] == "to_fill"
    causes = next(part for part in context["sections"] if part["id"] == "causes")
    assert len(causes["blocks"]) == 1


def test_findings_name_what_lies_below_its_bound(county: Publishable) -> None:
    low = pl.col("unit").eq("S003") & pl.col("paper").eq("math")
    half = pl.col("n_expected") // 2
    estimates = county.estimates.with_columns(pl.when(low).then(half).otherwise(pl.col("n_present")).alias("n_present"))
    context = build_context(dataclasses.replace(county, estimates=estimates), "zh")
    findings = next(part for part in context["sections"] if part["id"] == "findings")
    listed = " ".join(say(item, "zh") for block in findings["blocks"] if block["type"] == "list" for item in block["items"])
    assert re.search(r"石桥第1中学（数学 (50\.0|49\.\d)%）", listed)


def test_bands_add_up_to_those_present_and_full_marks_are_in_the_top_band(county: Publishable) -> None:
    top = pl.DataFrame({"comparison_group": ["2025-1-g9-final/math"], "paper": ["math"], "score": [12000], "count": [7]})
    distribution = pl.concat([county.distribution.filter(pl.col("score") < 12000), top.cast(dict(county.distribution.schema))])
    table = _table(build_context(dataclasses.replace(county, distribution=distribution), "zh"), "bands")
    place = [say(column["label"], "zh") for column in table["columns"]].index("数学")
    counts = [row["cells"][place] or 0 for row in table["rows"]]
    math = distribution.filter(pl.col("paper") == "math")
    assert counts[-1] == sum(counts[:-1]) == math["count"].sum()
    assert table["rows"][0]["cells"][0] == "110—120"
    assert counts[0] == math.filter(pl.col("score") >= 11000)["count"].sum()


def test_definitions_name_formula_base_policies_and_version(context: dict[str, Any]) -> None:
    passed = next(entry for entry in context["definitions"] if entry["id"] == "pass_rate")
    assert passed["cut"] == {"cut": 0.6}
    assert passed["denominator"] == "present"
    assert passed["version"] == 1
    assert passed["formula"]
    assert passed["homonyms"]


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_sections_without_data_are_left_out(county: Publishable, lang: Any) -> None:
    area_only = dataclasses.replace(county, estimates=county.estimates.filter(pl.col("unit_type") == "area"))
    context = build_context(area_only, lang)
    names = [part["id"] for part in context["sections"]]
    assert "schools" not in names
    assert "township" not in names
    assert "overall" in names
    assert all(part["blocks"] for part in context["annexes"])


def test_a_paper_without_full_mark_gives_no_rates_but_a_bulletin(county: Publishable) -> None:
    papers = tuple(paper.model_copy(update={"max_score": None}) for paper in county.exam.papers)
    rates = pl.col("measure").str.ends_with("_rate") & ~pl.col("measure").is_in(["participation_rate", "all_pass_rate"])
    numbers = ["estimate", "std_error", "ci_lower", "ci_upper"]
    estimates = county.estimates.with_columns(
        pl.when(~rates).then(pl.col(numbers)),
        pl.when(rates).then(pl.lit("max_score_unknown")).otherwise(pl.col("reason")).alias("reason"),
    )
    exam = county.exam.model_copy(update={"papers": papers})
    context = build_context(dataclasses.replace(county, exam=exam, estimates=estimates), "zh")
    assert {"reason": "max_score_unknown"} in _column(_table(context, "overall"), "pass_rate")
    assert any("满分未知" in say(premise, "zh") for premise in context["premises"])
    assert not [block for block in _blocks(context, "figure") if block["id"] == "distribution"]
