"""The section on equity: what it says of schools and limits, what it withholds, and its course over the years."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from python_calamine import CalamineWorkbook

import eduq as eq
from eduq.bulletins import build_context, write_workbook
from eduq.bulletins.equity_charts import draw_years
from eduq.bulletins.equity_section import equity_section
from eduq.bulletins.formats import say
from eduq.bulletins.render import render_html, render_markdown
from eduq.bulletins.view import View
from eduq.disclosure import Publishable, PublishableEquity
from eduq.estimates.exam_equity import follow_exams
from eduq.locale import Lang
from eduq.pipeline.equities import equity_tables
from eduq.resources import sample_data_path
from eduq.settings import RunSettings
from eduq.tables import EQUITY, EQUITY_COURSE

YEARS = ["2021-2022", "2022-2023", "2023-2024", "2024-2025", "2025-2026"]


@pytest.fixture(scope="module")
def found() -> Publishable:
    sample = sample_data_path()
    return eq.analyze(sample / "2025-2-g9-final", registers=sample / "registers").publishable


def _series(years: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    rng = np.random.default_rng(4)
    rows = []
    for place, period in enumerate(YEARS[-years:]):
        for subject in ("math", "composite"):
            measure = "composite_z" if subject == "composite" else "z_mean"
            for school in range(20):
                level = (0.2 + 0.08 * place) * float(rng.standard_normal())
                rows.append(
                    (f"S{school + 1:03d}", measure, subject, period, f"e{place}", f"e{place}.{subject}", 90, 0, level, 0.9)
                )
    names = ["unit", "measure", "subject", "period", "exam_id", "comparison_group", "n", "n_elsewhere", "estimate", "sd"]
    frame = pl.DataFrame(rows, schema=names, orient="row")
    schools = pl.DataFrame({"school_id": [f"S{n + 1:03d}" for n in range(20)], "area_type": ["urban", "rural"] * 10})
    return follow_exams(frame, schools, settings=RunSettings())


def _with(found: Publishable, **changes: Any) -> Publishable:
    assert found.equity is not None
    return dataclasses.replace(found, equity=dataclasses.replace(found.equity, **changes))


def _section(found: Publishable, lang: Lang = "zh") -> dict[str, Any]:
    part = equity_section(View(found, lang))
    assert part is not None
    return part


def _said(part: dict[str, Any], lang: Lang) -> str:
    words = []
    for block in part["blocks"]:
        words += [say(block[name], lang) for name in ("text", "caption", "title", "alt") if name in block]
        words += [say(remark, lang) for remark in block.get("notes", ())]
    return "\n".join(words)


def _table(part: dict[str, Any], name: str) -> dict[str, Any]:
    return next(block for block in part["blocks"] if block.get("id") == name)


def test_it_stands_between_the_groups_and_what_follows(found: Publishable) -> None:
    order = [part["id"] for part in build_context(found, "zh")["sections"]]
    assert order.index("sex") < order.index("equity") < order.index("findings")
    for later in {"growth", "focus", "targets", "history"} & set(order):
        assert order.index("equity") < order.index(later)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_it_says_what_the_limit_is_not(found: Publishable, lang: Lang) -> None:
    said = _said(_section(found, lang), lang)
    wanted = {
        "zh": ("0.15", "优质均衡", "不是达标认定", "资源差距与成绩差距是两回事", "0.45", "95%"),
        "en": ("0.15", "优质均衡", "certifies nothing", "two things", "0.45", "95%"),
    }
    for words in wanted[lang]:
        assert words in said
    assert not re.search("排名|名次|落后|先进|优秀学校|达标学校", said)


def test_every_subject_stands_with_its_base_and_state(found: Publishable) -> None:
    assert found.equity is not None
    made = _table(_section(found), "equity_subjects")
    assert [cells["cells"][1:3] for cells in made["rows"]][-1][0] == 39
    shares = found.equity.frame.filter(pl.col("index") == "between_school_share", pl.col("value").is_not_null())
    assert len(made["rows"]) == shares.height
    states = {say(cells["cells"][5], "zh") for cells in made["rows"]}
    assert states <= {"▼ 限值以下", "▲ 限值以上", "○ 尚不能判定"}
    counted = next(block["text"] for block in _section(found)["blocks"] if block["type"] == "paragraph" and "below" in str(block))
    subjects = shares.filter(~pl.col("paper").is_in(["total", "composite"]))
    assert counted["params"]["n"] == subjects.height
    assert counted["params"]["above"] == subjects.filter(limit_state="above").height


def test_the_composite_has_no_coefficient_of_variation(found: Publishable) -> None:
    rows = _table(_section(found), "equity_subjects")["rows"]
    assert rows[-1]["role"] == "total"
    assert rows[-1]["cells"][6:] == [None, None]


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("code", ["date_unknown", "year_group_unknown", "senior", "none_in_force"])
def test_without_a_limit_it_says_why(found: Publishable, code: str, lang: Lang) -> None:
    assert found.equity is not None
    plain = found.equity.frame.with_columns(
        pl.lit(None, dtype=pl.String).alias("limit_state"), limit=pl.lit(None, dtype=pl.Float64)
    )
    bare = _with(found, frame=plain, limits=(), unlimited=code, elsewhere=())
    part = _section(bare, lang)
    assert any("unlimited" in str(block) for block in part["blocks"])
    assert "0.15" not in _said(part, lang)
    assert len(_table(part, "equity_subjects")["columns"]) == 7


def test_a_small_subgroup_is_withheld_and_marked_sensitive(found: Publishable) -> None:
    assert found.equity is not None
    gaps = found.equity.frame.filter(attribute="sex").with_columns(
        *(pl.lit(None, dtype=pl.Float64).alias(name) for name in ("value", "ci_lower", "ci_upper")),
        reason=pl.lit("below_min_n"),
        attribute=pl.lit("sub_bilingual"),
        level=pl.lit("双语班"),
        reference=pl.lit("普通班"),
    )
    part = _section(_with(found, frame=pl.concat([found.equity.frame, gaps])))
    made = _table(part, "equity_gap_sub_bilingual")
    assert all(cells["cells"][3] == {"reason": "below_min_n"} for cells in made["rows"])
    assert "敏感" in _said(part, "zh")


def test_the_lowest_part_is_that_of_the_estimates(found: Publishable) -> None:
    made = _table(_section(found), "equity_bottom")
    own = found.estimates.filter(unit_type="school", paper="total", measure="bottom30_share")
    assert sorted(cells["cells"][1] for cells in made["rows"]) == sorted(
        own.filter(pl.col("comparison_group") == "2025-2-g9-final.total")["n"].to_list()
    )
    judged = {cells["cells"][4] for cells in made["rows"]}
    assert {"above", "below", "same"} <= judged


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_five_years_have_a_figure_and_a_slope(found: Publishable, lang: Lang) -> None:
    years, course = _series(5)
    part = _section(_with(found, years=years, course=course), lang)
    figure = _table(part, "equity_years")
    assert "0.15" in say(figure["caption"], lang)
    rows = _table(part, "equity_course")["rows"]
    assert len(rows) == 3
    slope = course.filter(index="between_school_share", subject="math")["slope"].item()
    assert rows[0]["cells"][-2] == slope
    told = next(block["text"]["params"] for block in part["blocks"] if "slopes" in str(block.get("text", {}).get("key")))
    assert told["rising"] + told["falling"] + told["unclear"] == told["n"] == 2
    counts = [told["rising"], told["falling"], told["unclear"]]
    assert [
        int(number) for number in re.findall(r"\d+", say(figure["title"], lang).partition("：" if lang == "zh" else ":")[2])
    ] == counts


def test_three_years_have_values_only(found: Publishable) -> None:
    years, course = _series(3)
    part = _section(_with(found, years=years, course=course))
    assert "不足四个" in _said(part, "zh")
    assert say(_table(part, "equity_years")["title"], "zh").endswith("学年的校际差异率")
    assert all(cells["cells"][-2:] == [None, None] for cells in _table(part, "equity_course")["rows"])


def test_the_drawings_are_alike_from_run_to_run_and_large_enough_to_read() -> None:
    panels = [("数学", [(0, 0.1, 0.08, 0.12), (1, 0.2, 0.18, 0.23), (3, 0.16, None, None)]), ("语文", [(0, 0.05, 0.04, 0.07)])]
    drawn = draw_years(panels, ["2021", "2022", "2023", "2024"], 0.15, "zh")
    assert drawn == draw_years(panels, ["2021", "2022", "2023", "2024"], 0.15, "zh")
    for svg in drawn:
        assert "数学" in svg
        assert "2024" in svg
        assert min(float(size) for size in re.findall(r"font-size:([\d.]+)px", svg)) >= 12
        assert "stroke-dasharray" in svg
    assert all("stroke-dasharray" not in svg for svg in draw_years(panels, ["2021", "2022", "2023", "2024"], None, "zh"))


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_documents_and_sheets_hold_it(found: Publishable, lang: Lang, tmp_path: Path) -> None:
    years, course = _series(5)
    whole = _with(found, years=years, course=course)
    context = build_context(whole, lang)
    assert "{" not in _said(next(part for part in context["sections"] if part["id"] == "equity"), lang)
    assert say(_section(whole, lang)["heading"], lang) in render_html(context)
    assert "0.15" in render_markdown(context)
    write_workbook(whole, lang, tmp_path / "tables.xlsx")
    book = CalamineWorkbook.from_path(str(tmp_path / "tables.xlsx"))
    names = {"zh": ("均衡指标", "均衡历年", "均衡走势"), "en": ("Equity", "Equity by year", "Equity course")}[lang]
    assert set(names) <= set(book.sheet_names)
    assert whole.equity is not None
    assert len(book.get_sheet_by_name(names[0]).to_python()) == whole.equity.frame.height + 1
    assert len(book.get_sheet_by_name(names[2]).to_python()) == course.height + 1


def test_the_files_of_results(found: Publishable) -> None:
    assert found.equity is not None
    alone = equity_tables(found.equity)
    assert set(alone) == {"equity"}
    assert alone["equity"].schema == pl.Schema(EQUITY)
    years, course = _series(5)
    assert isinstance(found.equity, PublishableEquity)
    both = equity_tables(dataclasses.replace(found.equity, years=years, course=course))
    assert both["equity"].height == alone["equity"].height + years.height
    assert both["equity_course"].schema == pl.Schema(EQUITY_COURSE)


def test_without_equity_there_is_no_section(found: Publishable) -> None:
    bare = dataclasses.replace(found, equity=None)
    assert equity_section(View(bare, "zh")) is None
