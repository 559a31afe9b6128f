"""Tracks, combinations, one school, classes, papers that stand in, numbers withheld: what is said and what is left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest
from tests.unit.bulletins.fixture import make_publishable, with_tracks

from eduq.bulletins import build_context, render_html, render_markdown
from eduq.bulletins.formats import say
from eduq.disclosure import Publishable

NUMBERS = ["estimate", "std_error", "ci_lower", "ci_upper"]


def _blocks(context: dict[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    for part in [*context["sections"], *context["annexes"]]:
        yield from (block for block in part["blocks"] if block["type"] == kind)


def _table(context: dict[str, Any], name: str) -> dict[str, Any]:
    return next(block for block in _blocks(context, "table") if block["id"] == name)


def _without(publishable: Publishable, which: pl.Expr, reason: str) -> Publishable:
    """Return results whose numbers are missing for a reason where ``which`` holds."""
    estimates = publishable.estimates.with_columns(
        *(pl.when(~which).then(pl.col(name)).alias(name) for name in NUMBERS),
        pl.when(which).then(pl.lit(reason)).otherwise(pl.col("reason")).alias("reason"),
    )
    return dataclasses.replace(publishable, estimates=estimates)


@pytest.fixture(scope="module")
def tracks(county: Publishable) -> dict[str, Any]:
    return build_context(with_tracks(county, shares=(0.55, 0.41, 0.04)), "zh")


def test_cards_and_findings_name_every_track(tracks: dict[str, Any]) -> None:
    cards = {figure["id"]: say(figure["label"], "zh") for figure in tracks["headline"]}
    assert "物理类" in cards["all_pass"]
    assert "历史类" in cards["all_pass"]
    assert "物理类" in cards["schools_below"]
    assert "历史类" in cards["schools_below"]
    findings = next(part for part in tracks["sections"] if part["id"] == "findings")
    listed = next(block for block in findings["blocks"] if block["type"] == "list")["items"]
    low = next(say(item, "zh") for item in listed if item["key"] == "bulletin.finding.low_rates")
    assert low.count("物理类") == low.count("历史类") == 7
    below = [say(item, "zh") for item in listed if item["key"] == "bulletin.finding.below"]
    assert all("类" in said.partition("的")[0] for said in below)


def test_small_combinations_are_left_to_the_workbook_with_their_number(tracks: dict[str, Any], county: Publishable) -> None:
    totals = [say(line["cells"][0], "zh") for line in _table(tracks, "overall")["rows"] if line["role"] == "total"]
    assert totals == ["总分（历史类）", "总分（物理类、各科齐全）", "总分（物理类、不含历史）"]
    area = county.estimates.filter((pl.col("unit_type") == "area") & (pl.col("paper") == "total"))["n_expected"][0]
    said = {say(block["text"], "zh") for block in _blocks(tracks, "note")}
    assert f"另有 {round(area * 0.04)} 名考生分属 1 种人数较少的科目组合，数字见 tables.xlsx。" in said


def test_annex_has_a_line_for_each_school_and_track(tracks: dict[str, Any], county: Publishable) -> None:
    names = [say(line["cells"][0], "zh") for line in _table(tracks, "annex_school_gaps")["rows"]]
    assert len(names) == len(set(names))
    schools = county.units.filter(pl.col("unit_type") == "school")["name"].to_list()
    assert {f"{name}（{track}）" for name in schools[:5] for track in ("物理类", "历史类")} <= set(names)


def test_subjects_are_counted_not_their_groups(tracks: dict[str, Any]) -> None:
    figure = next(block for block in _blocks(tracks, "figure") if block["id"] == "distribution")
    assert say(figure["title"], "zh").startswith("6 科") or say(figure["title"], "zh").startswith("7 科")
    assert "7 科合计" in say(tracks["headline"][0]["label"], "zh")


def test_one_school_is_not_compared_with_itself(county: Publishable) -> None:
    lone = ~pl.col("unit_type").is_in(["school", "township", "area_type"]) | (pl.col("unit") == "S001")
    context = build_context(dataclasses.replace(county, estimates=county.estimates.filter(lone)), "zh")
    part = next(part for part in context["sections"] if part["id"] == "schools")
    assert [say(block["text"], "zh") for block in part["blocks"]] == ["本次考试只有一所学校，不作校际比较。"]
    assert not [block for block in _blocks(context, "figure") if block["id"] != "distribution"]
    assert "annex_schools" not in {part["id"] for part in context["annexes"]}


def _in_classes(county: Publishable, edition: str = "bureau") -> Publishable:
    """Return one school of classes in place of the county's schools, the third class withheld."""
    schools = county.estimates.filter(pl.col("unit_type") == "school")
    kept = sorted(schools["unit"].unique())[:12]
    names = {unit: f"S001/九{place}班" for place, unit in enumerate(kept, start=1)}
    classes = schools.filter(pl.col("unit").is_in(kept)).with_columns(
        pl.lit("class").alias("unit_type"), pl.col("unit").replace(names)
    )
    teachers = classes.with_columns(pl.lit("teacher").alias("unit_type"), pl.lit("T-甲").alias("unit"))
    lone = schools.filter(pl.col("unit") == "S001")
    rest = county.estimates.filter(pl.col("unit_type") == "area")
    units = pl.DataFrame(
        [("class", name, f"甲校 {name.partition('/')[2]}", "S001", None) for name in names.values()]
        + [("school", "S001", "甲校", None, 0), ("teacher", "T-甲", "某教师", None, None)],
        schema=county.units.schema,
        orient="row",
    )
    estimates = pl.concat([rest, lone, classes, teachers])
    changed = dataclasses.replace(county, estimates=estimates, units=units, edition=edition)  # type: ignore[arg-type]
    withheld = (pl.col("unit") == "S001/九3班") & (pl.col("measure") != "participation_rate")
    return _without(changed, withheld, "below_min_n")


def test_classes_of_one_school_are_compared_inside_the_bureau_in_order_of_their_code(county: Publishable) -> None:
    context = build_context(_in_classes(county), "zh")
    table = _table(context, "classes")
    units = [line["cells"][0] for line in table["rows"] if line["role"] == "unit"]
    assert units == [f"九{place}班" for place in range(1, 13)]
    assert table["rows"][2]["cells"][3] == {"reason": "below_min_n"}
    figure = next(block for block in _blocks(context, "figure") if block["id"] == "class_gaps")
    assert figure["caption"]["params"]["order"]["key"] == "bulletin.figure.order_code"
    assert "某教师" not in render_markdown(context)
    outside = build_context(_in_classes(county, "government"), "zh")
    assert "classes" not in {part["id"] for part in outside["sections"]}


def test_a_small_unit_is_withheld_and_not_called_incomparable(county: Publishable) -> None:
    small = pl.col("unit").eq("S002") & ~pl.col("measure").is_in(["participation_rate"])
    context = build_context(_without(county, small, "below_min_n"), "zh")
    remarks = " ".join(say(remark, "zh") for remark in _table(context, "schools")["notes"])
    assert "“人数少不列”（1 个单位）：不足 10 人，只列参考情况。" in remarks
    notes = [say(block["text"], "zh") for block in _blocks(context, "note")]
    assert "另有 1 所学校没有列出数字，原因见表注。" in notes
    assert "另有 1 所学校不可比，原因见表注。" in notes
    assert "不足 10 人" in say(context["intro"][1], "zh")


def test_a_subject_that_stands_in_is_named_everywhere(county: Publishable) -> None:
    barred = pl.col("paper").is_in(["composite", "total"]) & pl.col("measure").is_in(["composite_z", "z_mean"])
    context = build_context(_without(county, barred, "marking_not_shared"), "zh")
    heads = {part["id"]: say(part["heading"], "zh") for part in context["sections"]}
    assert heads["schools"] == "校际比较（语文）"
    assert heads["township"] == "乡镇情况（语文）"
    assert say(_table(context, "schools")["caption"], "zh") == "各校语文差距"
    parts = [part for part in context["sections"] if part["id"] in ("schools", "township", "area_type", "findings")]
    shown = str(
        [
            say(block[name], "zh")
            for part in parts
            for block in part["blocks"]
            for name in ("text", "caption", "title")
            if name in block
        ]
    )
    assert "语文差距" in shown
    assert "综合差距" not in shown + str([say(figure["label"], "zh") for figure in context["headline"]])


def test_a_comparison_that_cannot_be_made_says_why(county: Publishable) -> None:
    relative = pl.col("measure").is_in(["composite_z", "z_mean"])
    context = build_context(_without(county, relative, "marking_not_shared"), "zh")
    part = next(part for part in context["sections"] if part["id"] == "schools")
    assert [say(block["text"], "zh") for block in part["blocks"]] == ["本次不作校际比较：未统一阅卷，分数尺度不同。"]
    assert "subjects" not in {part["id"] for part in context["sections"]}


def test_a_mean_over_papers_marked_by_schools_carries_a_sign_and_the_five_sames_an_exception(county: Publishable) -> None:
    own = (pl.col("paper") == "math") & pl.col("deviation").is_null()
    comparability = county.comparability.with_columns(
        pl.when(own).then(pl.lit("marking_not_shared")).otherwise(pl.col("reason")).alias("reason"),
        pl.when(own).then(pl.lit(False)).otherwise(pl.col("comparable")).alias("comparable"),
    )
    context = build_context(dataclasses.replace(county, comparability=comparability), "zh")
    labels = [say(line["cells"][0], "zh") for line in _table(context, "overall")["rows"]]
    assert labels[:3] == ["语文", "数学 ※", "英语"]
    answers = [say(line["cells"][1], "zh") for line in _table(context, "five_sames")["rows"]]
    assert answers == ["是", "是", "是", "是（数学、部分学校除外）", "是"]


def test_measures_asked_for_reach_the_tables_under_their_own_names(county: Publishable) -> None:
    passed = county.estimates.filter(pl.col("measure") == "pass_rate").with_columns(pl.lit("top_rate").alias("measure"))
    entry = county.measures["pass_rate"] | {"name": {"zh": "高分率", "en": "top rate"}, "cut": None, "band": [0.9, 1.0]}
    local = dataclasses.replace(
        county, estimates=pl.concat([county.estimates, passed]), measures=county.measures | {"top_rate": entry}
    )
    context = build_context(local, "zh")
    for name in ("overall", "annex_schools_math"):
        heads = [say(column["label"], "zh") for column in _table(context, name)["columns"]]
        assert {"高分率 %", "及格率 %", "优秀率 %"} <= set(heads)
    assert "高分率在 90% 至满分（100%，含满分）之间" in render_markdown(context)


@pytest.mark.parametrize("kept", [("pass_rate",), ("mean_score", "participation_rate"), ("composite_z",)])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_no_table_is_empty_and_no_head_a_raw_id_when_measures_are_absent(
    county: Publishable, kept: tuple[str, ...], lang: Any
) -> None:
    few = dataclasses.replace(
        county,
        estimates=county.estimates.filter(pl.col("measure").is_in(kept)),
        measures={name: entry for name, entry in county.measures.items() if name in kept},
    )
    context = build_context(few, lang)
    for block in _blocks(context, "table"):
        assert block["rows"]
        heads = " ".join(say(column["label"], lang) for column in block["columns"])
        assert "_" not in heads
    assert render_html(context)


def test_absentees_under_each_policy_are_explained_with_the_declared_numbers(county: Publishable) -> None:
    absence = county.exam.absence.model_copy(update={"policy": "penalty", "penalty_bound": 0.03, "penalty_per_point": 0.015})
    exam = county.exam.model_copy(update={"absence": absence})
    measured = county.estimates.filter(pl.col("measure") == "composite_z")
    deducted = measured.with_columns(pl.lit("composite_penalised").alias("measure"), pl.col("estimate") - 0.5)
    changed = dataclasses.replace(county, exam=exam, estimates=pl.concat([county.estimates, deducted]))
    context = build_context(changed, "zh")
    said = render_markdown(context)
    assert "缺考率超过 3.0% 的部分，每超 1 个百分点从综合标准分中扣减 0.015 个标准差" in said
    table = _table(context, "schools")
    place = [column["id"] for column in table["columns"]].index("penalised")
    gap = [column["id"] for column in table["columns"]].index("gap")
    first = table["rows"][0]["cells"]
    assert first[place] == pytest.approx(first[gap] - 0.5)
    assert [line["cells"][-2] for line in table["rows"]] == [
        line["cells"][-1] for line in _table(build_context(county, "zh"), "schools")["rows"]
    ]


def test_an_interval_without_width_is_a_dash(county: Publishable) -> None:
    flat = county.estimates.with_columns(
        pl.when(pl.col("measure") == "composite_z").then(pl.col("estimate")).otherwise(pl.col(side)).alias(side)
        for side in ("ci_lower", "ci_upper")
    )
    only = flat.filter(pl.col("measure") != "z_mean")
    context = build_context(dataclasses.replace(county, estimates=only), "zh")
    assert all(line["cells"][5] in (None, "") for line in _table(context, "schools")["rows"])


def test_schools_without_candidates_are_named(county: Publishable) -> None:
    gone = (pl.col("unit") == "S005") & ~pl.col("paper").is_in(["total", "composite", "all_subjects"])
    left = county.estimates.filter(~((pl.col("unit") == "S005") & pl.col("paper").is_in(["total", "composite", "all_subjects"])))
    empty = left.with_columns(
        *(pl.when(gone).then(0).otherwise(pl.col(name)).alias(name) for name in ("n_expected", "n_present", "n")),
        *(pl.when(~gone).then(pl.col(name)).alias(name) for name in NUMBERS),
        pl.when(gone).then(pl.lit("no_candidates")).otherwise(pl.col("reason")).alias("reason"),
    )
    context = build_context(dataclasses.replace(county, estimates=empty), "zh")
    name = county.units.filter(pl.col("unit") == "S005")["name"].item()
    row = next(line for line in _table(context, "schools")["rows"] if line["cells"][0] == name)
    assert {"reason": "no_candidates"} in row["cells"]
    assert f"没有应考的考生（全部免考或未选考），不在成绩表中：{name}。" in render_markdown(context)


def test_annexes_are_listed_before_the_signature(county: Publishable) -> None:
    context = build_context(county, "zh")
    said = render_markdown(context)
    listed = [say(heading, "zh") for heading in context["attachments"]]
    assert listed == [say(part["heading"], "zh") for part in context["annexes"]]
    assert said.index("附件：") < said.index("成文日期")


def test_schools_without_register_stand_in_the_order_of_their_numbers() -> None:
    publishable = make_publishable(schools=12)
    numerals = "一二三四五六七八九十"
    names = {
        f"S{place:03d}": f"甲第{numerals[place - 1] if place < 11 else '十' + numerals[place - 11]}中学" for place in range(1, 13)
    }
    rename = pl.col("unit").replace(names)
    units = publishable.units.with_columns(rename, rename.alias("name"), rename.alias("sort_key"))
    context = build_context(
        dataclasses.replace(publishable, estimates=publishable.estimates.with_columns(rename), units=units), "zh"
    )
    shown = [line["cells"][0] for line in _table(context, "schools")["rows"] if line["role"] == "unit"]
    assert shown == list(names.values())
