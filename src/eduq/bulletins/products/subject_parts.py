"""What a subject's own figures say beside those of the exam: classes, the school's other subjects, low group, other subjects."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl

from eduq.bulletins.blocks import Block, Phrase, column, note, paragraph, row, table
from eduq.bulletins.cells import interval_column
from eduq.bulletins.formats import phrase, typed
from eduq.bulletins.products.common import ProductView
from eduq.bulletins.products.exam_parts import unit_counts
from eduq.bulletins.reading import Row
from eduq.bulletins.view import View

__all__ = [
    "WORD",
    "class_blocks",
    "low_group_blocks",
    "low_group_rows",
    "own_blocks",
    "own_rows",
    "shares_blocks",
    "tallied_gaps",
]

WORD = "product.subject"
_SHARE, _GAP = "between_school_share", "gap"
_PLACES = (("urban", "rural"), ("town", "rural"), ("urban", "town"))


def tallied_gaps(view: View, unit_type: str) -> list[Row]:
    """Return the gaps of units in the groups that the text shows."""
    if view.gap_paper is None:
        return []
    return [item for _, rows in view.compared(unit_type, *view.gap_paper) for item in rows]


def class_blocks(view: View) -> list[Block]:
    """Return how many classes can be told from the area; no class and no teacher is listed here."""
    blocks = unit_counts(view, "class")
    return [*blocks, note(phrase(f"{WORD}.classes_note", level=typed(view.settings.conf_level, "level")))] if blocks else []


# ---- beside the school's other subjects -------------------------------------------------------------------------------


def own_rows(product: ProductView, view: View) -> list[Row]:
    """Return each school's gap in the subject beside its other subjects, in register order."""
    place = product.pub.places.get(str(view.exam.exam.id))
    return [] if place is None else view.sorted_units("school", place.among_own)


def own_blocks(product: ProductView, view: View) -> list[Block]:
    """Return in which schools the subject stands out among the school's own subjects."""
    rows = own_rows(product, view)
    if not rows:
        return []
    counts = Counter(item["side"] for item in rows)
    sides = {name: counts[name] for name in ("above", "below", "same")}
    subject = product.subject_name(product.pub.unit)
    blocks = [paragraph(phrase(f"{WORD}.own", subject=subject, n=len(rows), **sides))]
    apart = [item for item in rows if item["side"] != "same"]
    if not apart:
        return blocks
    listed, whole = view.shown(apart)
    columns = [
        column("unit", phrase("bulletin.unit_type.school"), "words"),
        column("n", phrase("bulletin.head.n_present"), "count"),
        column("difference", phrase(f"{WORD}.difference"), "gap"),
        interval_column(view),
        column("side", phrase(f"{WORD}.beside_own"), "judged"),
    ]
    cells = [
        row([view.unit_name("school", x["unit"]), x["n"], x["difference"], [x["lower"], x["upper"]], x["side"]]) for x in listed
    ]
    notes = [*([] if whole is None else [phrase("product.cut", shown=len(listed), n=whole)]), phrase(f"{WORD}.own_note")]
    caption = phrase(f"{WORD}.own_caption", subject=subject)
    return [*blocks, table("own_subjects", caption, columns, cells, notes, whole=whole)]


# ---- the low group ----------------------------------------------------------------------------------------------------


def low_group_rows(view: View) -> list[dict[str, Row]]:
    """Return, per school, who stays in, leaves and enters the low group of the subject."""
    growth = view.pub.growth
    if growth is None or growth.low_groups.is_empty() or growth.unit_type != "school":
        return []
    moves = growth.low_groups.filter(pl.col("unit_type") == "school", pl.col("flow").is_in(["staying", "leaving", "entering"]))
    shown = {group for paper in view.real_papers for group in view.main_groups(paper)}
    found: dict[tuple[str, ...], dict[str, Row]] = {}
    for item in view.sorted_units("school", moves):
        if item["comparison_group"] in shown:
            key = (item["unit"], item["paper"], item["comparison_group"], item["prior_exam"])
            found.setdefault(key, {})[item["flow"]] = item
    return [own for own in found.values() if len(own) == 3]


def low_group_blocks(view: View) -> list[Block]:
    """Return the low group school by school: counts, and whether more enter it than of pupils who started alike."""
    rows = low_group_rows(view)
    known = [own for own in rows if own["entering"]["side"] is not None or own["staying"]["count"] is not None]
    if not known:
        return []
    counts = Counter(own["entering"]["side"] for own in known)
    sides = {name: counts[name] for name in ("above", "below", "same")}
    listed, whole = view.shown(known)
    word = "bulletin.focus"
    columns = [
        column("unit", phrase("bulletin.unit_type.school"), "words"),
        column("before", phrase(f"{word}.low_before"), "count"),
        *(column(name, phrase(f"{word}.{name}"), "count") for name in ("staying", "leaving", "entering")),
        column("entering_rate", phrase(f"{word}.entering_rate"), "rate"),
        interval_column(view, "rate"),
        column("side", phrase(f"{WORD}.entering_side"), "judged"),
    ]
    cells = []
    for own in listed:
        stay, leave, enter = own["staying"], own["leaving"], own["entering"]
        interval = None if enter["ci_lower"] is None else [enter["ci_lower"], enter["ci_upper"]]
        numbers = [stay["n"], *(_count(item) for item in (stay, leave, enter)), _rate(enter), interval, enter["side"]]
        cells.append(row([view.unit_name("school", stay["unit"]), *numbers]))
    notes = [*([] if whole is None else [phrase("product.cut", shown=len(listed), n=whole)])]
    notes += [phrase(f"{WORD}.low_note"), phrase("bulletin.focus.few", n=view.min_n)]
    said = paragraph(phrase(f"{WORD}.low", n=sum(sides.values()), **sides))
    return [said, table("low_group", phrase(f"{WORD}.low_caption"), columns, cells, notes, whole=whole)]


def _count(item: Row) -> Any:
    return {"reason": item["reason"]} if item["count"] is None and item["reason"] else item["count"]


def _rate(item: Row) -> Any:
    return {"reason": item["reason"]} if item["estimate"] is None and item["reason"] else item["estimate"]


# ---- beside the other subjects of the same pupils ---------------------------------------------------------------------


def shares_blocks(product: ProductView, view: View) -> list[Block]:
    """Return how unequal schools and kinds of place are in this subject beside the other subjects of the same candidates."""
    place = product.pub.places.get(str(view.exam.exam.id))
    if place is None or place.shares.is_empty():
        return []
    own_group = {item["comparison_group"] for item in tallied_gaps(view, "school")}
    year_groups = {view.fact(group, "year_group") for group in own_group}
    if len(year_groups) > 1:
        return []
    shares = place.shares.filter(pl.col("value").is_not_null()).sort("n", descending=True, maintain_order=True)
    found: dict[str, Row] = {}
    for item in shares.filter(pl.col("index") == _SHARE).iter_rows(named=True):
        found.setdefault(item["subject"], item)
    if len(found) < 2 or product.pub.unit not in found:
        return []
    gaps = shares.filter(pl.col("index") == _GAP)
    pair = next((one for one in _PLACES if not _of_pair(gaps, one).is_empty()), None)
    of_gap: dict[str, Row] = {}
    if pair is not None:
        for item in _of_pair(gaps, pair).iter_rows(named=True):
            of_gap.setdefault(item["subject"], item)
    columns = [
        column("paper", phrase("bulletin.head.subject"), "words"),
        column("schools", phrase("bulletin.equity.schools"), "count"),
        column("share", phrase(f"equity.index.{_SHARE}"), "number3"),
        interval_column(view, "number3"),
    ]
    if pair is not None:
        names = {side: view.unit_name("area_type", name) for side, name in zip(("first", "second"), pair, strict=True)}
        columns += [column("gap", phrase("bulletin.equity.pair", **names), "gap"), interval_column(view)]
    order = [*(name for name in found if name != product.pub.unit), str(product.pub.unit)]
    rows = []
    for subject in order:
        item, gap = found[subject], of_gap.get(subject)
        cells: list[Any] = [product.subject_name(subject), item["n_units"], item["value"], _bounds(item)]
        if pair is not None:
            cells += [None, None] if gap is None else [gap["value"], _bounds(gap)]
        rows.append(row(cells, "total" if subject == product.pub.unit else "unit"))
    name = product.subject_name(product.pub.unit)
    return [
        paragraph(_share_sentence(found, str(product.pub.unit), name)),
        table("beside_subjects", phrase(f"{WORD}.shares_caption", subject=name), columns, rows, [phrase(f"{WORD}.shares_note")]),
    ]


def _of_pair(gaps: pl.DataFrame, pair: tuple[str, str]) -> pl.DataFrame:
    return gaps.filter((pl.col("level") == pair[0]) & (pl.col("reference") == pair[1]))


def _bounds(item: Row) -> Any:
    return None if item["ci_lower"] is None or item["ci_upper"] is None else [item["ci_lower"], item["ci_upper"]]


def _share_sentence(found: dict[str, Row], subject: str, name: Any) -> Phrase:
    own, others = found[subject], [item for code, item in found.items() if code != subject]
    known = [item for item in others if _bounds(item) is not None]
    if _bounds(own) is None or not known:
        return phrase(f"{WORD}.shares_open", subject=name, n=len(others))
    more = sum(item["ci_upper"] < own["ci_lower"] for item in known)
    less = sum(item["ci_lower"] > own["ci_upper"] for item in known)
    return phrase(f"{WORD}.shares", subject=name, n=len(known), more=more, less=less, same=len(known) - more - less)
