"""How far the comparison carries (比较的把握): who differs, which places are possible, who could be last, similar schools."""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.bulletins.blocks import Block, Phrase, chart, column, note, paragraph, row, section, table
from eduq.bulletins.cells import cut_note, interval_column
from eduq.bulletins.charts import CATERPILLAR_LIMIT
from eduq.bulletins.comparison_charts import FunnelDot, OrderedUnit, draw_funnel_limits, draw_order, outer_units
from eduq.bulletins.comparison_words import (
    comparison_reason,
    could_be,
    funnel_place,
    peer_label,
    possible_places,
    side_of,
    small_chance,
)
from eduq.bulletins.comparisons import counter, units_counted
from eduq.bulletins.formats import phrase, typed
from eduq.bulletins.pair_blocks import pair_blocks
from eduq.bulletins.reading import Row
from eduq.bulletins.reference_blocks import reference_blocks
from eduq.bulletins.view import View
from eduq.disclosure import PublishableComparisons
from eduq.estimates.comparison import ComparisonModel
from eduq.estimates.exam_comparisons import ALL_UNITS, COMPARED_RATES

__all__ = ["comparison_section"]

_WORD = "bulletin.comparisons"
_NAMED = 12
"""So many units a sentence names before it says that there are more."""
_FUNNEL = (0.95, 0.998)
_SMALLEST_FUNNEL = 10


class _Group:
    """The primary comparison of one comparison group: its rows in register order, model and words."""

    def __init__(self, view: View, found: PublishableComparisons, group: str) -> None:
        paper, measure = found.main
        wanted = (pl.col("comparison_group") == group) & (pl.col("paper") == paper) & (pl.col("measure") == measure)
        of_group = found.frame.filter(wanted)
        self.view, self.unit_type, self.group, self.paper = view, found.unit_type, group, paper
        self.alpha = 1 - view.settings.conf_level
        self.rows = view.sorted_units(found.unit_type, of_group.filter(pl.col("peer_group") == ALL_UNITS))
        self.peers = view.sorted_units(found.unit_type, of_group.filter(pl.col("peer_group") != ALL_UNITS))
        self.model: ComparisonModel = found.models[group, paper, measure, ALL_UNITS]
        self.compared = [item for item in self.rows if side_of(item, self.alpha) is not None]
        self.ranked = [item for item in self.compared if item["rank"] is not None]
        self.words: dict[str, Any] = {
            "unit": units_counted(found.unit_type),
            "each": counter(found.unit_type),
            "area": view.area_word,
            "gap": view.gap_name,
        }

    def name(self, item: Row) -> Any:
        return self.view.unit_name(self.unit_type, item["unit"])

    def named(self, rows: list[Row]) -> dict[str, Any]:
        """Return the parameters of a sentence that lists units."""
        rest = len(rows) - _NAMED
        more = phrase(f"{_WORD}.more", n=rest, **self.words) if rest > 0 else phrase("bulletin.finding.no_more")
        return {"n": len(rows), "units": [self.name(item) for item in rows[:_NAMED]], "more": more}

    @property
    def level(self) -> dict[str, Any]:
        return typed(self.view.settings.conf_level, "level")


def _lead(part: _Group) -> Phrase:
    """Return the headline sentence: how many can be told from the area, and how many could be last."""
    sides = Counter(side_of(item, part.alpha) for item in part.compared)
    differ = sides["above"] + sides["below"]
    return phrase(
        f"{_WORD}.lead{'' if sides['same'] else '_all_differ'}",
        n=len(part.compared),
        differ=differ,
        above=sides["above"],
        below=sides["below"],
        same=sides["same"],
        alpha=typed(part.alpha, "number2"),
        **part.words,
    )


def _ends(part: _Group) -> list[Block]:
    """Return who could be last and who could be first, each with what follows from it and what does not."""
    blocks = []
    for end in ("last", "first"):
        chosen = [item for item in part.ranked if item[f"could_be_{end}"]]
        if not chosen or len(part.ranked) < 2:
            continue
        if len(chosen) == len(part.ranked):
            blocks.append(paragraph(phrase(f"{_WORD}.{end}_any", n=len(chosen), **part.words)))
        else:
            key = f"{end}_one" if len(chosen) == 1 else f"{end}_of"
            blocks.append(paragraph(phrase(f"{_WORD}.{key}", ranked=len(part.ranked), **part.named(chosen), **part.words)))
    return blocks


def _spread(part: _Group) -> Block | None:
    """Return how far the units truly differ, and how reliable the estimates are."""
    reliable = [item["reliability"] for item in part.compared if item["reliability"] is not None]
    if part.model.var_between is None or not reliable:
        return note(phrase(f"{_WORD}.not_shrunken", **part.words))
    if part.model.var_between == 0:
        return note(phrase(f"{_WORD}.no_spread", **part.words))
    return note(
        phrase(
            f"{_WORD}.spread",
            sd=typed(float(np.sqrt(part.model.var_between)), "number2"),
            reliability=typed(median(reliable), "number2"),
            least=typed(min(reliable), "number2"),
            **part.words,
        )
    )


def _small(part: _Group) -> list[Phrase]:
    """Return what was done with units too small to be ranked, and why others have no numbers."""
    said = []
    pooled = [item for item in part.compared if (item["periods"] or 1) > 1]
    if pooled:
        said.append(phrase(f"{_WORD}.pooled", least=part.view.settings.min_n_ranking, **part.named(pooled), **part.words))
    reasons: dict[str, list[Row]] = {}
    for item in part.rows:
        if item["reason"]:
            reasons.setdefault(item["reason"], []).append(item)
    for code, rows in sorted(reasons.items()):
        key = "not_ranked" if code == "below_min_n_ranking" else "not_compared"
        said.append(phrase(f"{_WORD}.{key}", n=len(rows), reason=comparison_reason(part.view, code), **part.words))
    return said


def _table(part: _Group, name: str, *, several: bool) -> Block:
    view = part.view
    listed, whole = view.shown(part.rows)
    pooled = any((item["periods"] or 1) > 1 for item in part.rows)
    columns = [
        column("unit", phrase(f"bulletin.unit_type.{part.unit_type}"), "words"),
        column("n", phrase(f"{_WORD}.head_n"), "count"),
        *([column("periods", phrase(f"{_WORD}.head_periods"), "count", soft=True)] if pooled else []),
        column("contrast", phrase(f"{_WORD}.head_contrast", area=view.area_word), "gap"),
        interval_column(view),
        column("q", phrase(f"{_WORD}.head_q"), "number3"),
        column("shrunken", phrase(f"{_WORD}.head_shrunken"), "gap"),
        column("reliability", phrase(f"{_WORD}.head_reliability"), "number2", soft=True),
        column("ranks", phrase(f"{_WORD}.head_ranks"), "words"),
        column("ends", phrase(f"{_WORD}.head_ends"), "words"),
        column("funnel", phrase(f"{_WORD}.head_funnel"), "words"),
    ]
    cells = []
    for item in listed:
        told: list[Any] = [part.name(item), item["n"], *([item["periods"]] if pooled else [])]
        if item["contrast"] is None:
            cells.append(row([*told, {"reason": item["reason"]} if item["reason"] else None, *[None] * 7]))
            continue
        shrunken = None if item["shrunken"] is None else item["shrunken"] - part.model.group_mean
        told += [item["contrast"], [item["contrast_lower"], item["contrast_upper"]], small_chance(item["q_value"]), shrunken]
        cells.append(row([*told, item["reliability"], possible_places(item), could_be(item), funnel_place(item)]))
    notes = [*cut_note(whole, len(listed), "comparisons"), *_small(part), phrase(f"{_WORD}.note_table", level=part.level)]
    caption = phrase(f"{_WORD}.caption", units=phrase(f"bulletin.each_of.{part.unit_type}"), gap=view.gap_name)
    if several:
        caption = phrase("bulletin.paper_in_group", paper=caption, group=view.group_label(part.group, part.paper))
    return table(name, caption, columns, cells, notes, whole=whole)


def _order_figure(part: _Group, name: str, shown_in: str) -> Block | None:
    if len(part.compared) < 2:
        return None
    units = [
        OrderedUnit(
            part.name(item),
            item["contrast"],
            item["contrast_lower"],
            item["contrast_upper"],
            None if item["shrunken"] is None else item["shrunken"] - part.model.group_mean,
            side_of(item, part.alpha) or "same",
        )
        for item in part.compared
    ]
    drawn = outer_units(units)
    sides = Counter(unit.side for unit in units)
    said = {
        "n": len(units),
        "differ": sides["above"] + sides["below"],
        "above": sides["above"],
        "below": sides["below"],
        "same": sides["same"],
        "last": sum(bool(item["could_be_last"]) for item in part.ranked),
        "level": part.level,
        "alpha": typed(part.alpha, "number2"),
        **part.words,
    }
    cut = len(drawn) < len(units)
    which = phrase(f"{_WORD}.{'outer' if cut else 'whole'}", half=CATERPILLAR_LIMIT // 2)
    return chart(
        name,
        phrase(f"{_WORD}.order_title{'_one' if said['last'] == 1 else ''}", **said),
        phrase(f"{_WORD}.order_caption", which=which, **said),
        phrase(f"{_WORD}.order_alt", **said),
        draw_order(drawn, part.view.lang),
        shown_in,
    )


def _funnel_figure(part: _Group, name: str, shown_in: str) -> Block | None:
    """Return the funnel of the units of this exam; pooled years are of another base and stay out."""
    rows = [item for item in part.compared if item["funnel"] is not None and (item["periods"] or 1) == 1]
    model = part.model
    spread_within = model.sd_within
    if len(rows) < 2 or not spread_within:
        return None
    sides = {"low": "below", "in": "same", "high": "above"}
    dots = [
        FunnelDot(part.name(item), item["n"], item["estimate"], sides[item["funnel"]], item["funnel_998"] not in (None, "in"))
        for item in rows
    ]

    def limits(sizes: NDArray[np.float64]) -> list[tuple[str, NDArray[np.float64], NDArray[np.float64]]]:
        error = spread_within / np.sqrt(sizes)
        return [(f"{100 * level:g}%", *model.limits(error, level)) for level in _FUNNEL]

    if model.dispersion is None:
        spread = phrase(f"{_WORD}.dispersion_unknown", least=_SMALLEST_FUNNEL)
    elif model.var_overdispersion == 0:
        spread = phrase(f"{_WORD}.dispersion_none")
    else:
        tau = typed(float(np.sqrt(model.var_overdispersion)), "number2")
        spread = phrase(f"{_WORD}.dispersion", phi=typed(model.dispersion, "number1"), tau=tau)
    said = {
        "n": len(dots),
        "beyond": sum(dot.beyond for dot in dots),
        "outside": sum(dot.side != "same" for dot in dots),
        "spread": spread,
        **part.words,
    }
    return chart(
        name,
        phrase(f"{_WORD}.funnel_title", **said),
        phrase(f"{_WORD}.funnel_caption", **said),
        phrase(f"{_WORD}.funnel_alt", **said),
        draw_funnel_limits(dots, model.funnel_target, limits, part.view.lang),
        shown_in,
    )


def _peer_blocks(part: _Group, found: PublishableComparisons, name: str) -> list[Block | None]:
    """Return schools beside similar schools: sentence and table."""
    compared = [item for item in part.peers if side_of(item, part.alpha) is not None]
    if not compared:
        return []
    view = part.view
    sides = Counter(side_of(item, part.alpha) for item in compared)
    counts = {"n": len(compared), "above": sides["above"], "below": sides["below"], "same": sides["same"]}
    groups = list(dict.fromkeys(item["peer_group"] for item in compared))
    sizes = [
        phrase(f"{_WORD}.peer_size", name=peer_label(view, group), n=found.models[part.group, *found.main, group].n_units)
        for group in sorted(groups)
    ]
    listed, whole = view.shown(part.peers)
    columns = [
        column("unit", phrase(f"bulletin.unit_type.{part.unit_type}"), "words"),
        column("peers", phrase(f"{_WORD}.head_peers"), "words"),
        column("n", phrase(f"{_WORD}.head_n"), "count"),
        column("contrast", phrase(f"{_WORD}.head_peer_contrast"), "gap"),
        interval_column(view),
        column("q", phrase(f"{_WORD}.head_q"), "number3"),
        column("ranks", phrase(f"{_WORD}.head_peer_ranks"), "words"),
    ]
    cells = []
    for item in listed:
        label = None if item["peer_group"] is None else peer_label(view, item["peer_group"])
        start: list[Any] = [part.name(item), label, item["n"]]
        if item["contrast"] is None:
            cells.append(row([*start, {"reason": item["reason"]} if item["reason"] else None, None, None, None]))
        else:
            interval = [item["contrast_lower"], item["contrast_upper"]]
            cells.append(row([*start, item["contrast"], interval, small_chance(item["q_value"]), possible_places(item)]))
    notes = cut_note(whole, len(listed), "comparisons")
    lacking = Counter(item["reason"] for item in part.peers if item["reason"] and item["contrast"] is None)
    notes += [
        phrase(f"{_WORD}.not_compared", n=n, reason=comparison_reason(view, code), **part.words)
        for code, n in sorted(lacking.items())
    ]
    return [
        paragraph(phrase(f"{_WORD}.peers", groups=sizes, **counts, **part.words)),
        table(name, phrase(f"{_WORD}.peers_caption", gap=view.gap_name), columns, cells, notes, whole=whole),
    ]


def _subject_blocks(view: View, found: PublishableComparisons) -> list[Block | None]:
    """Return how many units can be told from their group in each subject and by each rate."""
    alpha = 1 - view.settings.conf_level
    lines, tests = [], Counter[str]()
    by_subject = found.frame.filter((pl.col("measure") == "z_mean") & (pl.col("peer_group") == ALL_UNITS))
    rates = () if by_subject["contrast"].is_not_null().any() else COMPARED_RATES  # beside the gaps they stand in the sheet
    for measure in ("z_mean", *rates):
        of_measure = found.frame.filter((pl.col("measure") == measure) & (pl.col("peer_group") == ALL_UNITS))
        for paper in view.real_papers:
            for group in view.main_groups(paper):
                here = of_measure.filter((pl.col("paper") == paper) & (pl.col("comparison_group") == group))
                rows = list(here.iter_rows(named=True))
                sides = Counter(side_of(item, alpha) for item in rows)
                compared = sides["above"] + sides["below"] + sides["same"]
                if not compared or (paper, measure) == found.main:
                    continue
                if measure == "z_mean":
                    tests["n"] += compared
                    tests["differ"] += sides["above"] + sides["below"]
                last = sum(bool(item["could_be_last"]) for item in rows)
                beyond = sum(item["funnel_998"] in ("low", "high") for item in rows)
                numbers = [compared, sides["above"], sides["below"], sides["same"], last, beyond]
                lines.append(row([view.paper_label(group, paper), view.measure_name(measure), *numbers]))
    if not lines:
        return []
    heads = ("compared", "above", "below", "same", "could_last", "beyond")
    columns = [
        column("paper", phrase("bulletin.head.subject"), "words"),
        column("measure", phrase(f"{_WORD}.head_measure"), "text"),
    ]
    columns += [column(name, phrase(f"{_WORD}.count_{name}", area=view.area_word), "count") for name in heads]
    caption = phrase(f"{_WORD}.subjects_caption", units=units_counted(found.unit_type))
    made = table(
        "comparisons_subjects", caption, columns, lines, [phrase(f"{_WORD}.note_subjects", alpha=typed(alpha, "number2"))]
    )
    if not tests["n"]:
        return [made]
    kind = phrase(f"bulletin.unit_type.{found.unit_type}")
    said = phrase(f"{_WORD}.subjects", n=tests["n"], differ=tests["differ"], same=tests["n"] - tests["differ"], kind=kind)
    return [paragraph(said), made]


def _groups(view: View, found: PublishableComparisons) -> list[_Group]:
    """Return the comparison groups of the text that have a primary comparison of at least two units."""
    paper, measure = found.main
    groups = [group for group in view.main_groups(paper) if (group, paper, measure, ALL_UNITS) in found.models]
    parts = [_Group(view, found, group) for group in groups]
    return [part for part in parts if len(part.compared) >= 2]


def comparison_section(view: View) -> Block:
    """Return the section, without blocks where no two units can be compared."""
    found = view.pub.comparisons
    parts = [] if found is None or found.unit_type not in view.compared_units else _groups(view, found)
    blocks = [] if found is None or not parts else _blocks(view, found, parts)
    return section("comparisons", 2, view.gap_heading("comparisons"), blocks)


def _blocks(view: View, found: PublishableComparisons, parts: list[_Group]) -> list[Block | None]:
    blocks: list[Block | None] = []
    for number, part in enumerate(parts):
        suffix = f"_{number + 1}" if number else ""
        if len(parts) > 1:
            blocks.append(paragraph(phrase("bulletin.results.in_group", group=view.paper_label(part.group, found.main[0]))))
        name = f"comparisons{suffix}"
        blocks += [paragraph(_lead(part)), *_ends(part), _spread(part)]
        blocks.append(_order_figure(part, f"comparisons_order{suffix}", name))
        blocks.append(_table(part, name, several=len(parts) > 1))
        blocks.append(_funnel_figure(part, f"comparisons_funnel{suffix}", name))
        blocks += _peer_blocks(part, found, f"comparisons_peers{suffix}")
    blocks += _subject_blocks(view, found)
    blocks += pair_blocks(view)
    blocks += reference_blocks(view)
    names = ["comparisons", "comparisons_rates"]
    if found.pairs is not None:
        names += [
            name for name, result in (("pairs", found.pairs.pairs), ("clusters", found.pairs.clusters)) if result is not None
        ]
    sheets = [phrase(f"bulletin.sheet.{name}") for name in names]
    blocks.append(note(phrase(f"{_WORD}.key", sheets=sheets)))
    return blocks
