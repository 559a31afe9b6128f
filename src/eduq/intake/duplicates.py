"""Exam numbers that every school counts from one."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from eduq.intake.checks import CheckList
from eduq.intake.parts import Part

__all__ = ["qualify_repeated"]

_OVERLAP_SHARE = 0.2


def qualify_repeated(parts: Sequence[Part], kind: str, checks: CheckList) -> None:
    """Put the school before an exam number that every school counts from one; listed, because it is an assumption.

    Done when more than a fifth of the numbers stand in several schools and none stands twice in one.
    """
    if len({tuple(sorted(part.papers)) for part in parts}) > 1 and _each_once(parts, kind):
        return
    number = pl.concat([part.frame.get_column(kind).hash(seed=0) for part in parts])
    n = number.n_unique()
    if n > (1 - _OVERLAP_SHARE) * len(number):
        return
    pairs = pl.concat([part.frame.select("school_id", kind) for part in parts])
    if pairs.is_duplicated().any():
        return
    for part in parts:
        for name in ("frame", "spoilt"):
            frame: pl.DataFrame = getattr(part, name)
            setattr(part, name, frame.with_columns(pl.concat_str("school_id", kind, separator=":").alias(kind)))
    checks.add("exam_no_by_school", "warning", column=kind, n=len(number) - n)


def _each_once(parts: Sequence[Part], kind: str) -> bool:
    """Whether every number stands once in each sheet: then sheets of different papers hold the same candidates."""
    return not any(part.frame.get_column(kind).is_duplicated().any() for part in parts)
