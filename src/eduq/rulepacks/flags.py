"""Recorded facts that no exam shows: taken as somebody recorded them, never inferred."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from eduq.rulepacks.conditions import Codes
from eduq.rulepacks.model import Flag, Rule

__all__ = ["flag_codes", "is_recorded"]


def is_recorded(rule: Rule, flags: pl.DataFrame) -> bool:
    """Tell whether anything is recorded that a rule asks for."""
    names = [condition.flag for condition in rule.walk() if isinstance(condition, Flag)]
    return flags.filter((pl.col("unit_type") == rule.subject) & pl.col("flag").is_in(names)).height > 0


def flag_codes(rule: Rule, units: Sequence[str], flags: pl.DataFrame | None) -> dict[str, Codes]:
    """Return the recorded facts of some units as codes: 1, 0, -1 where nobody has said."""
    if flags is None:
        return {}
    mine = flags.filter(pl.col("unit_type") == rule.subject)
    known = {(row["unit"], row["flag"]): row["value"] for row in mine.iter_rows(named=True)}
    names = {condition.flag for condition in rule.walk() if isinstance(condition, Flag)}
    codes = {name: [known.get((unit, name)) for unit in units] for name in sorted(names)}
    return {
        name: np.array([-1 if value is None else int(value) for value in values], dtype=np.int8) for name, values in codes.items()
    }
