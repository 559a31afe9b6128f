"""Growth since an earlier exam (增值): what schools add beyond what their pupils brought with them, and how sure one can be."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl

from eduq.bulletins.blocks import Block, Phrase, chart, column, note, paragraph, row, section, table
from eduq.bulletins.cells import interval_column, interval_of, value_or_reason
from eduq.bulletins.charts import CATERPILLAR_LIMIT, draw_caterpillar, draw_funnel
from eduq.bulletins.comparisons import counter, tally, units_counted
from eduq.bulletins.formats import clauses, counted, phrase, typed
from eduq.bulletins.growth_charts import draw_level_growth
from eduq.bulletins.reading import Row, judge
from eduq.bulletins.view import COMPOSITE, View
from eduq.disclosure.growths import PublishableGrowth
from eduq.locale import has_text

__all__ = ["growth_cut", "growth_lines", "growth_reason", "growth_section", "main_paper"]

_WORD = "bulletin.growth"
_MAIN = "multilevel"
_NEUTRAL_PERCENTILE = 50.0
_HIGH_CORRELATION = 0.3
"""Beyond this, in size, a way of measuring is said to go with the intake of schools."""
_EVERYONE = "all"


def _of(view: View) -> PublishableGrowth | None:
    found: PublishableGrowth | None = view.pub.growth
    return found


def growth_reason(view: View, code: str) -> Phrase | str:
    """Return why a number of growth cannot be given, in words."""
    key = f"{_WORD}.unit_reason.{code}"
    return phrase(key) if has_text(key) else view.reason_said(code)


def growth_cut(whole: int | None, shown: int, sheet: str) -> list[Phrase]:
    """Return the line that says how many rows a table has and where all of them are."""
    if whole is None:
        return []
    return [phrase(f"{_WORD}.cut", whole=whole, shown=shown, sheet=phrase(f"bulletin.sheet.{sheet}"))]


def main_paper(growth: PublishableGrowth) -> str:
    """Return the paper that speaks for the exam: the composite where there is one."""
    papers = growth.frame["paper"].unique(maintain_order=True).to_list()
    return COMPOSITE if COMPOSITE in papers else papers[0]


def _groups(view: View, growth: PublishableGrowth, paper: str) -> list[str]:
    """Return the comparison groups of a paper that the text shows, the largest first."""
    known = growth.frame.filter(pl.col("paper") == paper)["comparison_group"].unique(maintain_order=True).to_list()
    shown = [group for group in view.main_groups(paper) if group in known]
    return shown or known[:1]


def _rows(growth: PublishableGrowth, way: str, group: str, paper: str) -> dict[str, Row]:
    chosen = growth.frame.filter((pl.col("growth") == way) & (pl.col("comparison_group") == group) & (pl.col("paper") == paper))
    return {item["unit"]: item for item in chosen.iter_rows(named=True)}


def _model(growth: PublishableGrowth, group: str, paper: str) -> Row:
    found = growth.models.filter((pl.col("comparison_group") == group) & (pl.col("paper") == paper))
    return found.row(0, named=True) if found.height else {}


def _check(growth: PublishableGrowth, way: str, group: str, paper: str) -> Row:
    found = growth.checks.filter((pl.col("growth") == way) & (pl.col("comparison_group") == group) & (pl.col("paper") == paper))
    return found.row(0, named=True) if found.height else {}


# ---- which prior exam -------------------------------------------------------------------------------------------------


def _priors(view: View, growth: PublishableGrowth) -> list[Block]:
    blocks: list[Block] = []
    for item in growth.priors.iter_rows(named=True):
        why = f"growth.why.{item['why']}"
        said = phrase(
            f"{_WORD}.prior",
            exam=item["name"] or item["exam_id"],
            date=typed(item["date"].isoformat(), "date") if item["date"] else phrase(f"{_WORD}.no_date"),
            why=phrase(f"{_WORD}.chosen", why=phrase(why)) if item["why"] and has_text(why) else "",
            link=phrase(f"{_WORD}.link_{'name' if item['link'] == 'name' else 'id'}"),
            n_listed=counted("candidate", item["n_listed"]),
            n_linked=counted("candidate", item["n_linked"]),
            rate=typed(item["match_rate"], "percent"),
        )
        blocks.append(paragraph(said))
    for item in growth.notes.iter_rows(named=True):
        key = f"growth.notes.{item['code']}"
        if has_text(key) and item["code"] != "uncorrected":  # that is said beside the correlation
            found = [view.paper_name(code) for code in item["found"].split(",")] if item["found"] else ""
            blocks.append(note(phrase(key, found=found, n=item["n"] or 0)))
    return blocks


# ---- sentences --------------------------------------------------------------------------------------------------------


def _tally(view: View, growth: PublishableGrowth, group: str, paper: str, rows: list[Row]) -> list[Block]:
    counts, kind = tally(rows), growth.unit_type
    model = _model(growth, group, paper)
    known = counts["above"] + counts["below"] + counts["same"]
    blocks: list[Block] = []
    said: dict[str, Any] = {"unit": units_counted(kind), "each": counter(kind), "kind": phrase(f"bulletin.one_of.{kind}")}
    said["level"] = typed(view.settings.conf_level, "level")
    if not known:
        upper = model.get("sd_unit_upper")
        if upper is not None:
            return [paragraph(phrase(f"{_WORD}.no_difference", upper=typed(upper, "number2"), **said))]
        codes = sorted({item["reason"] for item in rows if item["reason"]})
        return [paragraph(phrase(f"{_WORD}.no_numbers", reasons=clauses([growth_reason(view, code) for code in codes])))]
    blocks.append(
        paragraph(
            phrase(
                f"{_WORD}.tally",
                name=view.paper_label(group, paper),
                compared=known,
                above=counts["above"],
                below=counts["below"],
                same=counts["same"],
                **said,
            )
        )
    )
    if model.get("unit_share") is not None:
        share = typed(model["unit_share"], "percent")
        blocks.append(note(phrase(f"{_WORD}.share", share=share, n=counted("candidate", model["n"]), **said)))
    return blocks


def _intake(growth: PublishableGrowth, group: str, paper: str) -> list[Phrase]:
    """Return how growth goes with intake, corrected or not."""
    found = _check(growth, _MAIN, group, paper)
    corrected = bool(_model(growth, group, paper).get("corrected"))
    key = "corrected" if corrected else "uncorrected"
    said: list[Phrase] = []
    kind = phrase(f"bulletin.one_of.{growth.unit_type}")
    if found.get("corr_intake") is not None:
        said.append(phrase(f"{_WORD}.intake", corr=typed(found["corr_intake"], "gap"), n=found["n_units"], kind=kind))
        said.append(phrase(f"{_WORD}.intake_causes"))
    before = _check(growth, f"{_MAIN}_uncorrected", group, paper).get("corr_intake")
    if corrected and before is not None:
        said.append(phrase(f"{_WORD}.corrected_from", before=typed(before, "gap")))
    return [*said, phrase(f"{_WORD}.{key}")]


def _gain_warning(growth: PublishableGrowth, group: str, paper: str) -> list[Phrase]:
    corr = _check(growth, "z_gain", group, paper).get("corr_intake")
    if corr is None:
        return []
    key = "gain_goes" if abs(corr) > _HIGH_CORRELATION else "gain_may_go"
    return [phrase(f"{_WORD}.{key}", corr=typed(corr, "gap"))]


# ---- figures ----------------------------------------------------------------------------------------------------------


def _names(view: View, growth: PublishableGrowth, units: list[str]) -> list[str]:
    """Return units in the order of a figure."""
    return sorted(units, key=lambda unit: view.position(growth.unit_type, unit))


def _figure(view: View, growth: PublishableGrowth, rows: list[Row], suffix: str) -> Block | None:
    known = [item for item in rows if judge(item) is not None]
    if len(known) < 2:
        return None
    counts, kind = tally(known), growth.unit_type
    if len(known) <= CATERPILLAR_LIMIT:
        by_value = view.pub.edition == "bureau" and kind == "school"
        if by_value:
            known = sorted(known, key=lambda item: (-item["estimate"], view.position(kind, item["unit"])))
        units = [
            (view.unit_name(kind, item["unit"]), item["estimate"], item["ci_lower"], item["ci_upper"], judge(item))
            for item in known
        ]
        svg = draw_caterpillar(units, view.lang)
        order = phrase("bulletin.figure.order_value" if by_value else "bulletin.figure.order_code")
    else:
        dots = [(item["n"], item["estimate"], item["std_error"], judge(item)) for item in known]
        svg, order = draw_funnel(dots, view.settings.conf_level, view.lang), phrase("bulletin.figure.order_none")
    said = {
        "compared": len(known),
        "above": counts["above"],
        "below": counts["below"],
        "same": counts["same"],
        "unit": units_counted(kind),
        "each": counter(kind),
        "kind": phrase(f"bulletin.one_of.{kind}"),
        "level": typed(view.settings.conf_level, "level"),
        "order": order,
    }
    caption = "figure_caption" if len(known) <= CATERPILLAR_LIMIT else "figure_caption_many"
    words = [phrase(f"{_WORD}.{key}", **said) for key in ("figure_title", caption, "figure_alt")]
    return chart(f"growth{suffix}", words[0], words[1], words[2], svg, f"growth_table{suffix}")


def _level_figure(view: View, growth: PublishableGrowth, group: str, rows: list[Row], suffix: str) -> Block | None:
    if view.gap_paper is None:
        return None
    paper, measure = view.gap_paper
    levels = {
        item["unit"]: item["estimate"]
        for item in view.gap_rows(growth.unit_type, paper, measure).get(group, [])
        if item["estimate"] is not None
    }
    dots = [
        (levels[item["unit"]], item["estimate"], judge(item) or "same")
        for item in rows
        if item["unit"] in levels and judge(item) is not None
    ]
    if len(dots) < 3:
        return None
    kind = growth.unit_type
    said = {"n": len(dots), "unit": units_counted(kind), "each": counter(kind), "kind": phrase(f"bulletin.one_of.{kind}")}
    sides = Counter(side for _, _, side in dots)
    said |= {name: sides[name] for name in ("above", "below", "same")}
    words = [phrase(f"{_WORD}.level_{key}", **said) for key in ("title", "caption", "alt")]
    svg = draw_level_growth(dots, view.lang)
    return chart(f"level_growth{suffix}", words[0], words[1], words[2], svg, f"growth_table{suffix}")


# ---- tables -----------------------------------------------------------------------------------------------------------


def _table(view: View, growth: PublishableGrowth, group: str, paper: str, suffix: str) -> Block:
    kind, ways = growth.unit_type, ("multilevel", "percentile", "bands", "z_gain")
    found = {way: _rows(growth, way, group, paper) for way in ways}
    ordered = _names(view, growth, sorted({unit for rows in found.values() for unit in rows}))
    listed, whole = view.shown(ordered)
    columns = [
        column("unit", phrase(f"bulletin.unit_type.{kind}"), "words"),
        column("n", phrase(f"{_WORD}.n"), "count"),
        column("match", phrase(f"{_WORD}.match"), "rate"),
        column("growth", phrase(f"{_WORD}.multilevel"), "gap"),
        interval_column(view),
        column("agreement", phrase(f"{_WORD}.agreement"), "words"),
        column("percentile", phrase(f"{_WORD}.percentile"), "number1"),
        interval_column(view, "number1"),
        column("bands", phrase(f"{_WORD}.bands"), "gap"),
        column("gain", phrase(f"{_WORD}.z_gain"), "gap", soft=True),
    ]
    rows, used = [], []
    for unit in listed:
        own = {way: found[way].get(unit) for way in ways}
        main = own["multilevel"] or next(item for item in own.values() if item is not None)
        used += [main]
        letter = main["agreement"]
        rows.append(
            row(
                [
                    view.unit_name(kind, unit),
                    main["n"],
                    main["match_rate"],
                    value_or_reason(own["multilevel"]),
                    interval_of(own["multilevel"]),
                    letter or "",
                    value_or_reason(own["percentile"]),
                    interval_of(own["percentile"]),
                    value_or_reason(own["bands"]),
                    value_or_reason(own["z_gain"]),
                ]
            )
        )
    lacking = Counter(item["reason"] for item in used if item["estimate"] is None and item["reason"])
    notes = [
        *growth_cut(whole, len(listed), "growth"),
        phrase(f"{_WORD}.ways_note"),
        *(phrase(f"{_WORD}.agreement_{letter}") for letter in ("a", "b")),
        phrase(f"{_WORD}.agreement_none"),
        *_gain_warning(growth, group, paper),
        *(
            phrase(f"{_WORD}.lacking", n=n, unit=counter(kind), reason=growth_reason(view, code))
            for code, n in sorted(lacking.items())
        ),
    ]
    caption = phrase(f"{_WORD}.caption", name=view.paper_label(group, paper))
    return table(f"growth_table{suffix}", caption, columns, rows, notes, whole=whole)


def _subjects(view: View, growth: PublishableGrowth) -> Block | None:
    """Return one line per subject: how many units lie above and below, and how growth there goes with intake."""
    main = main_paper(growth)
    rows = []
    for paper in [name for name in view.real_papers if name != main]:
        for group in _groups(view, growth, paper):
            found = list(_rows(growth, _MAIN, group, paper).values())
            if not found:
                continue
            counts, model = tally(found), _model(growth, group, paper)
            sides = [counts[side] for side in ("above", "below", "same")]
            corr = _check(growth, _MAIN, group, paper).get("corr_intake")
            base = [model.get("n"), model.get("match_rate"), model.get("unit_share")]
            rows.append(row([view.paper_label(group, paper), *base, sum(sides), *sides, corr]))
    if not rows:
        return None
    columns = [
        column("paper", phrase("bulletin.head.subject"), "words"),
        column("n", phrase(f"{_WORD}.n"), "count"),
        column("match", phrase(f"{_WORD}.match"), "rate"),
        column("share", phrase(f"{_WORD}.unit_share"), "rate"),
        column("compared", phrase("bulletin.head.compared"), "count"),
        column("above", phrase(f"{_WORD}.above"), "count"),
        column("below", phrase(f"{_WORD}.below"), "count"),
        column("same", phrase("bulletin.head.same"), "count"),
        column("intake", phrase(f"{_WORD}.corr"), "gap", soft=True),
    ]
    return table("growth_subjects", phrase(f"{_WORD}.subjects_caption"), columns, rows, [phrase(f"{_WORD}.subjects_note")])


def _missing(view: View, growth: PublishableGrowth) -> list[Block]:
    """Return who of the prior exam is not in this one: counts of the area by prior band."""
    area = growth.missing.filter(pl.col("school_id") == _EVERYONE)
    rows = []
    several = area["prior_exam"].n_unique() > 1
    for exam in area["prior_exam"].unique(maintain_order=True):
        own = {item["prior_band"]: item for item in area.filter(pl.col("prior_exam") == exam).iter_rows(named=True)}
        for band in ("upper", "middle", "lower", "none", _EVERYONE):
            item = own.get(band)
            if item is None or item["n_listed"] is None or not item["n_listed"]:
                continue
            gone = item["n_listed"] - item["n_linked"]
            name = phrase(f"{_WORD}.missing_band.{band}")
            label = phrase("bulletin.paper_in_group", paper=exam, group=name) if several else name
            cells = [label, item["n_listed"], item["n_linked"], gone, gone / item["n_listed"]]
            rows.append(row(cells, "total" if band == _EVERYONE else "unit"))
    if not rows:
        return []
    columns = [
        column("band", phrase(f"{_WORD}.missing_head"), "words"),
        column("listed", phrase(f"{_WORD}.listed"), "count"),
        column("linked", phrase(f"{_WORD}.linked"), "count"),
        column("gone", phrase(f"{_WORD}.gone"), "count"),
        column("share", phrase(f"{_WORD}.gone_share"), "rate"),
    ]
    sheet = phrase("bulletin.sheet.growth_missing")
    notes = [phrase(f"{_WORD}.missing_note"), phrase(f"{_WORD}.missing_sheet", sheet=sheet)]
    return [table("growth_missing", phrase(f"{_WORD}.missing_caption"), columns, rows, notes)]


# ---- the section ------------------------------------------------------------------------------------------------------


def _why_none(growth: PublishableGrowth) -> Phrase:
    key = f"growth.reasons.{growth.reason}"
    if growth.reason and has_text(key):
        return phrase("growth.no_growth.because", reason=phrase(key))
    return phrase(f"{_WORD}.none")


def growth_lines(view: View) -> list[Phrase]:
    """Return the section in short, for the terminal; empty without growth."""
    growth = _of(view)
    if growth is None:
        return []
    if growth.frame.is_empty():
        return [_why_none(growth)]
    paper = main_paper(growth)
    said: list[Phrase] = []
    for group in _groups(view, growth, paper):
        rows = list(_rows(growth, _MAIN, group, paper).values())
        said += [block["text"] for block in _tally(view, growth, group, paper, rows)[:1]]
    return said


def growth_section(view: View) -> Block | None:
    """Return the section, None where growth was not asked for."""
    growth = _of(view)
    if growth is None:
        return None
    heading = phrase("bulletin.heading.growth")
    if growth.frame.is_empty():
        return section("growth", 2, heading, [*_priors(view, growth), paragraph(_why_none(growth))])
    paper = main_paper(growth)
    blocks: list[Block | None] = [*_priors(view, growth), paragraph(phrase(f"{_WORD}.views"))]
    groups = _groups(view, growth, paper)
    for number, group in enumerate(groups):
        suffix = f"_{number + 1}" if number else ""
        found = _rows(growth, _MAIN, group, paper)
        rows = [found[unit] for unit in _names(view, growth, list(found))]
        if len(groups) > 1:
            blocks.append(paragraph(phrase("bulletin.results.in_group", group=view.paper_label(group, paper))))
        blocks += _tally(view, growth, group, paper, rows)
        blocks += [note(said) for said in _intake(growth, group, paper)]
        blocks.append(_figure(view, growth, rows, suffix))
        blocks.append(_level_figure(view, growth, group, rows, suffix))
        blocks.append(_table(view, growth, group, paper, suffix))
    blocks.append(_subjects(view, growth))
    blocks += _missing(view, growth)
    blocks.append(note(phrase(f"{_WORD}.key", sheet=phrase("bulletin.sheet.growth"))))
    return section("growth", 2, heading, blocks)
