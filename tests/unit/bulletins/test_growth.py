"""The sections on growth and focus groups: what they say, what they withhold, and their sheets."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from python_calamine import CalamineWorkbook
from tests.unit.bulletins.fixture import with_tracks

import eduq as eq
from eduq.bulletins import build_context, write_workbook
from eduq.bulletins.growth_charts import draw_level_growth
from eduq.bulletins.growth_section import growth_lines
from eduq.bulletins.render import render_html, render_markdown
from eduq.bulletins.view import View
from eduq.disclosure import Publishable
from eduq.disclosure.flows import withhold_small_flows
from eduq.disclosure.growths import PublishableGrowth
from eduq.locale import Lang
from eduq.resources import sample_data_path
from eduq.tables import FLOWS

SAMPLE = sample_data_path()


@pytest.fixture(scope="module")
def found() -> Publishable:
    return eq.analyze(SAMPLE / "2025-2-g9-final", prior=SAMPLE / "2024-2-g8-final", registers=SAMPLE / "registers").publishable


def _section(publishable: Publishable, name: str, lang: Lang = "zh") -> dict[str, Any]:
    return next(part for part in build_context(publishable, lang)["sections"] if part["id"] == name)


def _table(section: dict[str, Any], name: str) -> dict[str, Any]:
    return next(block for block in section["blocks"] if block["type"] == "table" and block["id"] == name)


def _growth(publishable: Publishable) -> PublishableGrowth:
    assert publishable.growth is not None
    return publishable.growth


def test_sections_stand_in_order_before_the_years(found: Publishable) -> None:
    names = [part["id"] for part in build_context(found, "zh")["sections"]]
    assert names.index("growth") + 1 == names.index("focus")
    assert names.index("growth") > names.index("subjects")


def test_the_table_of_growth_holds_what_was_measured(found: Publishable) -> None:
    table = _table(_section(found, "growth"), "growth_table")
    places = {column["id"]: place for place, column in enumerate(table["columns"])}
    frame = _growth(found).frame.filter(pl.col("paper") == "composite")
    for way, name in (("multilevel", "growth"), ("percentile", "percentile"), ("bands", "bands"), ("z_gain", "gain")):
        shown = sorted(row["cells"][places[name]] for row in table["rows"] if isinstance(row["cells"][places[name]], float))
        assert shown == sorted(frame.filter(pl.col("growth") == way)["estimate"].drop_nulls().to_list())
    assert table["columns"][places["gain"]]["soft"]
    letters = {row["cells"][places["agreement"]] for row in table["rows"]}
    assert letters <= {"A", "B", ""}


def test_small_schools_have_no_numbers(found: Publishable) -> None:
    growth = _growth(found)
    small = growth.frame.filter(pl.col("reason") == "below_min_n")
    assert small["estimate"].null_count() == small.height
    units = growth.flows.filter(pl.col("unit_type") != "area", pl.col("reason") == "below_min_n")
    assert units.height > 0
    for name in ("count", "estimate", "ci_lower", "ci_upper", "expected", "difference", "method"):
        assert units[name].null_count() == units.height
    shown = growth.flows.filter(pl.col("unit_type") != "area", pl.col("count").is_not_null())
    assert (shown["count"] >= 10).all()
    assert (shown.filter(pl.col("flow") != "cell").select(pl.col("n") - pl.col("count")).to_series() >= 10).all()


def test_cells_of_a_row_are_withheld_together() -> None:
    counts = {"upper": 30, "middle": 12, "lower": 3}
    of = {"unit_type": "school", "unit": "S1", "exam_id": "e", "comparison_group": "g", "paper": "math", "prior_exam": "p"}
    rows = [
        {**of, "flow": "cell", "band_from": "upper", "band_to": end, "count": n, "n": 45, "estimate": n / 45, "side": "same"}
        for end, n in counts.items()
    ]
    rows.append(
        {**of, "flow": "band_retention", "band_from": "upper", "band_to": "upper", "count": 30, "n": 45, "estimate": 30 / 45}
    )
    for band in ("middle", "lower"):
        rows.append({**of, "flow": "cell", "band_from": band, "band_to": band, "count": 6, "n": 6, "side": "same"})
    frame = pl.DataFrame(rows, schema=FLOWS)
    held = withhold_small_flows(frame, 10)
    assert held["count"].to_list() == [None, None, None, 30, None, None]
    assert held["n"].to_list() == [45, 45, 45, 45, None, None]
    assert held["side"].to_list() == ["same", "same", "same", None, None, None]
    area = frame.with_columns(pl.lit("area").alias("unit_type"))
    assert withhold_small_flows(area, 10).equals(area)


def test_one_small_band_is_not_told_by_the_number_linked_less_the_others() -> None:
    of = {"unit_type": "school", "unit": "S1", "exam_id": "e", "comparison_group": "g", "paper": "math", "prior_exam": "p"}
    starts = {"upper": 8, "middle": 30, "lower": 60}
    rows = [
        {
            **of,
            "flow": "conversion",
            "band_from": band,
            "band_to": "upper",
            "count": n // 2,
            "n": n,
            "estimate": 0.5,
            "side": "same",
        }
        for band, n in starts.items()
    ]
    frame = pl.DataFrame(rows, schema=FLOWS)
    held = withhold_small_flows(frame, 10)
    assert held["n"].to_list() == [None, None, 60]
    assert held["estimate"].to_list() == [None, None, 0.5]  # with its interval a rate would tell the number it stands on
    assert held["side"].to_list() == [None, "same", "same"]
    assert held["reason"].to_list() == ["below_min_n", "below_min_n", None]
    enough = frame.with_columns(pl.when(pl.col("n") == 8).then(20).otherwise("n").cast(pl.Int64).alias("n"))
    assert withhold_small_flows(enough, 10)["n"].to_list() == [20, 30, 60]


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_everything_is_said_in_words_and_nothing_is_judged(found: Publishable, lang: Lang) -> None:
    context = build_context(found, lang)
    context["sections"] = [part for part in context["sections"] if part["id"] in ("growth", "focus")]
    said = render_markdown(context)
    assert "{" not in said
    assert "bulletin." not in said
    assert "growth." not in said.replace("growth.parquet", "")
    for word in ("优秀学校", "薄弱", "差校", "失败", "failing", "weak", "best", "worst"):
        assert word not in said
    assert "未扣除" in said or "不扣除" in said or "uncorrected" in said
    assert "<svg" in render_html(context)


def test_the_tally_agrees_with_the_intervals(found: Publishable) -> None:
    main = _growth(found).frame.filter(pl.col("paper") == "composite", pl.col("growth") == "multilevel")
    above, below = (main["ci_lower"] > 0).sum(), (main["ci_upper"] < 0).sum()
    (line,) = growth_lines(View(found, "zh"))
    assert (line["params"]["above"], line["params"]["below"]) == (above, below)
    assert line["params"]["compared"] == main["estimate"].count()


def test_without_growth_there_are_no_sections(county: Publishable) -> None:
    names = [part["id"] for part in build_context(county, "zh")["sections"]]
    assert "growth" not in names
    assert "focus" not in names
    assert growth_lines(View(county, "zh")) == []


def test_no_prior_exam_is_said(found: Publishable) -> None:
    growth = _growth(found)
    names = ("frame", "priors", "notes", "flows", "low_groups", "missing")
    parts: dict[str, Any] = {name: getattr(growth, name).clear() for name in names}
    none = dataclasses.replace(growth, reason="no_prior_exam", **parts)
    section = _section(dataclasses.replace(found, growth=none), "growth")
    assert len(section["blocks"]) == 1
    assert section["blocks"][0]["type"] == "paragraph"


def test_the_workbook_has_every_line(found: Publishable, tmp_path: Path) -> None:
    write_workbook(found, "zh", tmp_path / "t.xlsx")
    book = CalamineWorkbook.from_path(str(tmp_path / "t.xlsx"))
    growth = _growth(found)
    for sheet, frame in (
        ("增值", growth.frame),
        ("分段移动", growth.flows),
        ("待提升群体", growth.low_groups),
        ("未到学生", growth.missing),
    ):
        assert len(book.get_sheet_by_name(sheet).to_python()) == frame.height + 1


def test_level_against_growth_is_drawn_without_names_and_repeats() -> None:
    dots = [(0.1 * k, 0.05 * k - 0.2, ("above", "below", "same")[k % 3]) for k in range(12)]
    wide, narrow = draw_level_growth(dots, "zh")
    assert (wide, narrow) == draw_level_growth(dots, "zh")
    assert re.search('width="720"', wide)
    assert re.search('width="312"', narrow)
    texts = re.findall(r"<tspan>([^<]*)</tspan>", wide)
    assert all(re.fullmatch(r"[−+0-9.]+|水平（标准差）|增值（标准差）", said) for said in texts), texts


def test_the_same_dots_are_left_out_where_there_are_too_many() -> None:
    dots = [(0.001 * (k % 7), 0.001 * (k % 5), "same") for k in range(2_000)]
    few = draw_level_growth(dots, "en")[0]
    assert few.count("<circle") + few.count("<path") < 200


def test_two_tracks_have_a_part_each(found: Publishable, province: Publishable) -> None:
    province = with_tracks(province)
    groups = View(province, "zh").main_groups("composite")[:2]
    assert len(groups) == 2
    growth = _growth(found)

    def twice(frame: pl.DataFrame) -> pl.DataFrame:
        own = frame.filter(pl.col("paper") == "composite")
        return pl.concat([own.with_columns(pl.lit(group).alias("comparison_group")) for group in groups])

    names = ("frame", "flows", "low_groups", "models", "checks", "coefficients", "agreement")
    parts: dict[str, Any] = {name: twice(getattr(growth, name)) for name in names}
    doubled = dataclasses.replace(growth, **parts)
    publishable = dataclasses.replace(province, growth=doubled)
    tables = {block["id"] for block in _section(publishable, "growth")["blocks"] if block["type"] == "table"}
    assert {"growth_table", "growth_table_2"} <= tables
    tables = {block["id"] for block in _section(publishable, "focus")["blocks"] if block["type"] == "table"}
    assert {"focus_area", "focus_area_2", "focus_units", "focus_units_2"} <= tables
    assert "bulletin." not in render_markdown(build_context(publishable, "zh"))


def test_classes_are_named_as_such_and_many_are_drawn_against_their_size(found: Publishable) -> None:
    growth = _growth(found)
    many = [
        growth.frame.with_columns((pl.col("unit") + f"/{number}").alias("unit"), pl.lit("class").alias("unit_type"))
        for number in range(3)
    ]
    classes = dataclasses.replace(growth, frame=pl.concat(many), unit_type="class", flows=growth.flows.clear())
    section = _section(dataclasses.replace(found, growth=classes), "growth")
    captions = [block["caption"]["key"] for block in section["blocks"] if block["type"] == "figure"]
    assert captions[0] == "bulletin.growth.figure_caption_many"
    assert "班级" in render_markdown(build_context(dataclasses.replace(found, growth=classes), "zh"))
