"""Withholding of small cells and of what would tell them, proved by linear programming."""

from eduq.disclosure.suppression.blocks import AREA, Block, Cell
from eduq.disclosure.suppression.bounds import bound_cell
from eduq.disclosure.suppression.certificates import Certificate
from eduq.disclosure.suppression.search import Protection, protect_block
from eduq.disclosure.suppression.tables import Pattern, Shown, protect_estimates, read_issue

__all__ = [
    "AREA",
    "Block",
    "Cell",
    "Certificate",
    "Pattern",
    "Protection",
    "Shown",
    "bound_cell",
    "protect_block",
    "protect_estimates",
    "read_issue",
]
