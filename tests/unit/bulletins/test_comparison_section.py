"""The section on how far the comparison carries: its sentences, tables and figures, and what it never shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from python_calamine import CalamineWorkbook
from tests.unit.estimates.test_exam_comparisons import SIZES, compared, county

from eduq.bulletins import build_context, write_workbook
from eduq.bulletins.comparison_charts import OrderedUnit, draw_order, outer_units
from eduq.bulletins.formats import say
from eduq.bulletins.render import render_html, render_markdown
from eduq.disclosure import ExamResults, Publishable, protect
from eduq.estimates.comparison import Reference, References
from eduq.estimates.exam_references import compare_references
from eduq.estimates.levels import estimate_levels, pass_cuts, unit_columns
from eduq.estimates.measures import load_measures
from eduq.locale import Lang
from eduq.settings import RunSettings
from eduq.summaries import summarise


def publishable(
    sizes: dict[str, int] = SIZES, *, run: RunSettings | None = None, references: References | None = None, seed: int = 3
) -> Publishable:
    """Return an exam with its comparison, without an archive."""
    run = run or RunSettings()
    scores, definitions = county(sizes, seed=seed), load_measures(None, ())
    columns = unit_columns(("area", "school"), scores.frame.columns)
    summary = summarise(scores, by=columns, settings=run, pass_cuts=pass_cuts(scores.exam, definitions))
    frame = estimate_levels(summary, scores, by=("area", "school"), settings=run, measures=definitions)
    kinds = {school: "urban" if number % 2 else "rural" for number, school in enumerate(sizes)}
    register = pl.DataFrame({"school_id": list(kinds), "area_type": list(kinds.values())}).with_columns(
        pl.when(pl.col("school_id").is_in(["S01", "S02"])).then(pl.lit("P1")).alias("pair_id"),
        pl.when(pl.col("school_id") < "S06").then(pl.lit("片区甲")).alias("cluster"),
    )
    found = compared(scores, run=run, schools=register)
    if references is not None:
        outside = compare_references(frame, references, exam=scores.exam, unit_type="school", measures=definitions, settings=run)
        found = type(found)(**{**found.__dict__, "references": outside})
    return protect(ExamResults(frame, scores, summary, run, definitions, {}, comparisons=found), edition="bureau")


def section_of(shown: Publishable, lang: Lang = "zh") -> dict[str, Any]:
    sections = build_context(shown, lang)["sections"]
    return next((part for part in sections if part["id"] == "comparisons"), {"blocks": []})


def texts(part: dict[str, Any], lang: Lang = "zh") -> list[str]:
    return [say(block["text"], lang) for block in part["blocks"] if block["type"] in ("paragraph", "note")]


def tables(part: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {block["id"]: block for block in part["blocks"] if block["type"] == "table"}


def test_the_headline_counts_what_the_adjusted_q_tells_apart() -> None:
    shown = publishable()
    assert shown.comparisons is not None
    main = shown.comparisons.frame.filter(measure="composite_z", peer_group="all").drop_nulls("contrast")
    apart = main.filter(pl.col("q_value") <= 0.05)
    above = apart.filter(pl.col("contrast") > 0).height
    lead, last = texts(section_of(shown))[:2]
    assert lead.startswith(f"6 所学校参加比较，其中 {apart.height} 所")  # one small, one withheld for its sake
    assert f"高于 {above} 所，低于 {apart.height - above} 所" in lead
    assert "未能区分不等于相同" in lead
    could = main.filter("could_be_last")
    assert f"{could.height} 所" in last
    assert all(school in last for school in could["unit"])
    assert "不能认定" in last


def test_the_table_gives_every_school_its_range_of_places_and_never_ranks_a_small_one() -> None:
    part = section_of(publishable())
    made = tables(part)["comparisons"]
    ids = [item["id"] for item in made["columns"]]
    cells = {say(line["cells"][0], "zh"): dict(zip(ids, line["cells"], strict=True)) for line in made["rows"]}
    assert set(cells) == set(SIZES)
    assert re.fullmatch(r"\d+(–\d+)? 位", say(cells["S01"]["ranks"], "zh"))
    assert cells["S06"]["contrast"] == {"reason": "secondary"}  # else S07 is the area less all others
    assert cells["S06"]["ranks"] is None
    assert cells["S06"]["ends"] is None
    assert cells["S07"]["contrast"] == {"reason": "below_min_n"}
    assert all(value is None for name, value in cells["S07"].items() if name not in ("unit", "n", "contrast"))
    notes = " ".join(say(said, "zh") for said in made["notes"])
    assert "倒推" in notes
    assert "不是名次" in notes


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_no_sentence_calls_an_indistinguishable_school_different(lang: Lang) -> None:
    part = section_of(publishable({f"S{number:02d}": 40 for number in range(1, 13)}, seed=8), lang)
    said = " ".join(texts(part, lang))
    assert "{" not in said
    for word in ("落后", "最差", "不合格", "worst", "weak", "poor", "fail"):
        assert word not in said


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_figures_have_words_their_table_and_two_drawings(lang: Lang) -> None:
    context = build_context(publishable({f"S{number:02d}": 40 + number for number in range(1, 13)}), lang)
    part = next(part for part in context["sections"] if part["id"] == "comparisons")
    figures = [block for block in part["blocks"] if block["type"] == "figure"]
    assert [figure["id"] for figure in figures] == ["comparisons_order", "comparisons_funnel"]
    for figure in figures:
        assert figure["table_number"]
        assert say(figure["alt"], lang)
        assert "<svg" in figure["svg_wide"]
        assert figure["svg_wide"] != figure["svg_narrow"]
    page, plain = render_html(context), render_markdown(context)
    assert page.count("{") == page.count("}")
    assert "comparisons" in page
    assert "φ = " in plain
    sizes = [float(size) for size in re.findall(r"font-size:\s*([\d.]+)", figures[1]["svg_narrow"])]
    assert min(sizes) >= 12


def test_more_units_than_find_room_are_drawn_from_both_ends() -> None:
    units = [OrderedUnit(f"U{place:03d}", float(place), place - 1.0, place + 1.0, None, "same") for place in range(100)]
    drawn = outer_units(units)
    assert len(drawn) == 60
    assert [unit.name for unit in drawn[:2]] == ["U099", "U098"]
    assert drawn[-1].name == "U000"
    assert outer_units(units[:10]) == sorted(units[:10], key=lambda unit: -unit.estimate)
    wide, narrow = draw_order(drawn[:3], "zh")
    assert "U099" in wide
    assert "U099" in narrow


def test_the_same_results_draw_the_same_bytes() -> None:
    one, two = (render_html(build_context(publishable(), "zh")) for _ in range(2))
    assert one == two


def test_similar_schools_pairs_and_alliances_are_told() -> None:
    part = section_of(publishable({f"S{number:02d}": 40 for number in range(1, 13)}))
    made = tables(part)
    assert {"comparisons", "comparisons_peers", "comparisons_subjects", "comparisons_pairs", "comparisons_clusters"} == set(made)
    assert len(made["comparisons_peers"]["rows"]) == 12
    assert {say(line["cells"][1], "zh") for line in made["comparisons_peers"]["rows"]} == {"城区", "乡村"}
    assert say(made["comparisons_pairs"]["rows"][0]["cells"][0], "zh") == "P1 S02 − S01"
    assert made["comparisons_clusters"]["rows"][0]["cells"][0] == "片区甲"
    subjects = made["comparisons_subjects"]["rows"]
    assert len(subjects) == 3  # the rates stand in the sheet
    for line in subjects:
        compared_units, above, below, same = line["cells"][2:6]
        assert compared_units == above + below + same == 12


def test_declared_values_stand_with_their_source() -> None:
    declared = References("r.toml", (Reference(measure="pass_rate", value=0.5, source="全省公报"),))
    shown = publishable(references=declared)
    made = tables(section_of(shown))["comparisons_references"]
    assert len(made["rows"]) >= 3
    first = made["rows"][0]["cells"]
    assert say(first[4], "zh") == "50.0%"
    assert say(first[5], "zh").endswith("个百分点")
    assert first[-1] == "全省公报"


def test_the_workbook_has_every_line_and_no_number_of_a_small_school(tmp_path: Path) -> None:
    shown = publishable()
    write_workbook(shown, "zh", tmp_path / "tables.xlsx")
    book = CalamineWorkbook.from_path(tmp_path / "tables.xlsx")
    assert {"比较", "各率比较"} <= set(book.sheet_names)
    head, *lines = book.get_sheet_by_name("比较").to_python()
    assert shown.comparisons is not None
    assert len(lines) == shown.comparisons.frame.filter(~pl.col("measure").is_in(["pass_rate", "excellent_rate"])).height
    small = [dict(zip(head, line, strict=True)) for line in lines if line[0] == "S07"]
    assert small
    for line in small:
        assert all(line[name] == "" for name in ("点估计", "与组平均之差", "收缩估计", "名次上限", "居末位的概率"))
        assert "10 人" in str(line["缺值原因"])


def test_without_a_comparison_there_is_no_section() -> None:
    shown = publishable()
    bare = type(shown)(**{**shown.__dict__, "comparisons": None})
    assert section_of(bare)["blocks"] == []
