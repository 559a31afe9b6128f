"""Layouts: one TOML file per kind of export, how it is recognised and what its columns are."""

from __future__ import annotations

from eduq.intake.layouts.model import SHAPES, Example, ItemRules, Layout, NameRules, Signature
from eduq.intake.layouts.shelf import choose_layout, shipped_layouts

__all__ = ["SHAPES", "Example", "ItemRules", "Layout", "NameRules", "Signature", "choose_layout", "shipped_layouts"]
