"""Registers: schools and their lineage, heads, teachers, targets, and what the bureau states of a policy text."""

from __future__ import annotations

from eduq.registers.lineage import Lineage, follow_events, trace_lineage
from eduq.registers.matching import apply_registers
from eduq.registers.measures import OUTSIDE_MEASURES, PROMOTION_MEASURES, measure_word
from eduq.registers.model import PackStatement, Registers
from eduq.registers.reading import read_registers
from eduq.registers.tenures import heads_in_post, school_year_start

__all__ = [
    "OUTSIDE_MEASURES",
    "PROMOTION_MEASURES",
    "Lineage",
    "PackStatement",
    "Registers",
    "apply_registers",
    "follow_events",
    "heads_in_post",
    "measure_word",
    "read_registers",
    "school_year_start",
    "trace_lineage",
]
