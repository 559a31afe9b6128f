"""Withholding of small cells and of what would tell them, proved by linear programming."""

from eduq.disclosure.suppression.blocks import AREA, Block, Cell
from eduq.disclosure.suppression.bounds import bound_cell
from eduq.disclosure.suppression.certificates import Certificate
from eduq.disclosure.suppression.issues import READABLE, Pattern, Shown, read_issue
from eduq.disclosure.suppression.score_bounds import SQUARES, ScoreBlock, assemble_scores, bound_scores
from eduq.disclosure.suppression.search import Protection, protect_block
from eduq.disclosure.suppression.tables import protect_estimates

__all__ = [
    "AREA",
    "READABLE",
    "SQUARES",
    "Block",
    "Cell",
    "Certificate",
    "Pattern",
    "Protection",
    "ScoreBlock",
    "Shown",
    "assemble_scores",
    "bound_cell",
    "bound_scores",
    "protect_block",
    "protect_estimates",
    "read_issue",
]
