"""What files say of items, put together: scores and answers of candidates, the item specification, full marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from eduq.errors import DataFileError, Place
from eduq.intake.checks import CheckList
from eduq.intake.item_headers import subtotals
from eduq.intake.items import SpecRow
from eduq.intake.joins import ITEMS_MARK
from eduq.intake.parts import Part
from eduq.intake.specifications import FullMark
from eduq.tables import ITEM_SPEC, ITEMS

__all__ = ["add_full_marks", "build_items", "build_spec", "keep_candidates", "mark_items"]


def mark_items(part: Part) -> None:
    """Give the rows of a part a column that stands for their item cells, so that rows can be compared."""
    if part.items is None:
        return
    cells = pl.struct(list(part.items.labels)).hash(seed=0).alias(f"{ITEMS_MARK}{part.items.paper}")
    marks = part.items.frame.select(pl.col("row").alias("row_no"), cells)
    part.frame = part.frame.join(marks, on="row_no", how="left", maintain_order="left")


def build_items(parts: Sequence[Part]) -> pl.DataFrame:
    """Return candidate, paper, item, score and answer of every row that stands in a part.

    Call it before parts are joined; rows of candidates who are left out later are dropped by `keep_candidates`.
    """
    frames = []
    for part in parts:
        if part.items is None:
            continue
        ids = part.frame.select("candidate_id", pl.col("row_no").alias("row"))
        frame = ids.join(part.items.frame, on="row", how="inner", maintain_order="left")
        by_item: dict[str, dict[str, str]] = {}
        for column, label in part.items.labels.items():
            by_item.setdefault(label, {})["score" if column.startswith("s") else "answer"] = column
        for label, columns in by_item.items():
            frames.append(
                frame.select(
                    "candidate_id",
                    pl.lit(part.items.paper).alias("paper"),
                    pl.lit(label).alias("item"),
                    (pl.col(columns["score"]) if "score" in columns else pl.lit(None)).cast(pl.Int32).alias("score"),
                    (pl.col(columns["answer"]) if "answer" in columns else pl.lit(None)).cast(pl.String).alias("answer"),
                )
            )
    empty = pl.DataFrame(schema={name: kind for name, kind in ITEMS.items() if name != "exam_id"})
    return pl.concat([empty, *frames])


def keep_candidates(items: pl.DataFrame, candidates: pl.Series, exam_id: str) -> pl.DataFrame:
    """Return the items of candidates who are used, each once, as `eduq.tables.ITEMS`."""
    if not items.height:
        return pl.DataFrame(schema=ITEMS)
    used = items.filter(pl.col("candidate_id").is_in(candidates.implode()))
    used = used.unique(["candidate_id", "paper", "item"], keep="first", maintain_order=True)
    return used.with_columns(pl.lit(exam_id, pl.String).alias("exam_id")).select(list(ITEMS))


def build_spec(lines: Sequence[tuple[SpecRow, Place]], checks: CheckList) -> pl.DataFrame:
    """Return what is known of every item; what two places say differently of its full mark stops the run.

    Raises
    ------
    DataFileError
        ``item_mark_contradiction``.
    """
    known: dict[tuple[object, object], SpecRow] = {}
    differ: dict[str, int] = {}
    for line, place in lines:
        one = known.setdefault((line["paper"], line["item"]), {})
        for name, value in line.items():
            before = one.setdefault(name, value)
            if before == value:
                continue
            if name == "max_score":
                raise DataFileError(
                    "item_mark_contradiction", place, code=line["paper"], item=line["item"], one=f"{value:g}", other=f"{before:g}"
                )
            differ[name] = differ.get(name, 0) + 1
    for name, n in differ.items():
        checks.add("spec_differs", "warning", found=name, n=n)
    return pl.DataFrame(list(known.values()), schema=ITEM_SPEC, orient="row")


def add_full_marks(marks: dict[str, float], stated: Sequence[FullMark], spec: pl.DataFrame, places: Mapping[str, Place]) -> None:
    """Add full marks of papers from their own sheets and from the items, where these have all of theirs.

    Raises
    ------
    DataFileError
        ``max_score_contradiction``.
    """
    for code, mark, place in [*stated, *_sums(spec, places)]:
        before = marks.setdefault(code, mark)
        if before != mark:
            raise DataFileError("max_score_contradiction", place, code=code, one=f"{mark:g}", other=f"{before:g}")


def _sums(spec: pl.DataFrame, places: Mapping[str, Place]) -> list[FullMark]:
    found = []
    for (paper,), lines in spec.group_by(["paper"], maintain_order=True):
        marks = dict(lines.select("item", "max_score").iter_rows())
        whole = subtotals(list(marks))
        leaves = [mark for item, mark in marks.items() if item not in whole]
        if leaves and all(mark is not None for mark in leaves):
            found.append((str(paper), round(sum(leaves), 4), places[str(paper)]))
    return found
