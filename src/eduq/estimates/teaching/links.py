"""Who teaches which class, and which classes hang together through shared teachers."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

__all__ = ["LINKS", "join_teachers", "teacher_circles"]

LINKS: dict[str, pl.DataType] = {
    "teacher_id": pl.String(),
    "class_kind": pl.String(),
    "unit": pl.String(),
    "paper": pl.String(),
    "share": pl.Float64(),
}
_KEYS = ["class_kind", "unit", "paper"]


def join_teachers(classes: pl.DataFrame, teachers: pl.DataFrame) -> pl.DataFrame:
    """Return which teacher taught which class in which paper, and the share of the teaching.

    A class of a register is a teaching class of the subject where there is one of that name in the school, else an
    administrative class. Where no share is said, the teachers of a class have equal parts of what the others leave.

    Parameters
    ----------
    classes
        From `eduq.estimates.teaching.classes.count_classes`.
    teachers
        teacher_id, school_id, class_id, subject, and share where it is known; those of the term.

    Returns
    -------
    pl.DataFrame
        `LINKS`, sorted; share in (0, 1].
    """
    stated = pl.col("share").cast(pl.Float64) if "share" in teachers.columns else pl.lit(None, dtype=pl.Float64)
    entries = (
        teachers.select("teacher_id", pl.format("{}/{}", "school_id", "class_id").alias("unit"), "subject", stated.alias("share"))
        .drop_nulls(["teacher_id", "unit", "subject"])
        .group_by("teacher_id", "unit", "subject")
        .agg(pl.col("share").max())
    )
    places = classes.select(*_KEYS, "subject").unique()
    linked = entries.join(places, on=["unit", "subject"])
    of_both = ["teacher_id", "unit", "paper"]
    teaching = pl.col("class_kind") == "teaching"
    linked = linked.filter(teaching | ~teaching.any().over(of_both)).filter(pl.col("share").is_null() | (pl.col("share") > 0))
    left = (1 - pl.col("share").sum().over(_KEYS)) / pl.col("share").is_null().sum().over(_KEYS)
    part = pl.when(left > 0).then(left).otherwise(1 / pl.len().over(_KEYS))
    return (
        linked.with_columns(pl.coalesce("share", part).clip(0, 1).alias("share"))
        .select(pl.col(name).cast(kind) for name, kind in LINKS.items())
        .sort("teacher_id", *_KEYS)
    )


def teacher_circles(classes: pl.DataFrame, links: pl.DataFrame) -> NDArray[np.int64]:
    """Return a number per line of `classes`: classes of a subject that share a teacher, directly or through others, share it.

    What a class is set beside leaves out its whole circle. So nobody of the circle can find the figure of a colleague's class
    by taking own classes from the reference, nor by taking one reference from another.
    """
    parent: dict[tuple[str, ...], tuple[str, ...]] = {}

    def root(node: tuple[str, ...]) -> tuple[str, ...]:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    subject_of = dict(classes.select("paper", "subject").unique().iter_rows())
    for teacher, unit, paper in links.select("teacher_id", "unit", "paper").iter_rows():
        subject = subject_of[paper]
        one, two = root(("teacher", teacher, subject)), root(("class", unit, subject))
        if one != two:
            parent[max(one, two)] = min(one, two)
    numbers: dict[tuple[str, ...], int] = {}
    circles = [
        numbers.setdefault(root(("class", unit, subject)), len(numbers))
        for unit, subject in classes.select("unit", "subject").iter_rows()
    ]
    return np.array(circles, dtype=np.int64)
