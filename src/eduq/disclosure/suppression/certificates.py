"""What was withheld and how it was proved: the numbers printed at the end of a document."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Certificate"]


@dataclass(frozen=True)
class Certificate:
    """Proof of what a document does not tell.

    Attributes
    ----------
    edition
        The audience.
    n_cells
        Cells (unit, comparison group, paper, measure) the tables could hold.
    n_primary, n_secondary
        Cells withheld because they are small, and those withheld so that the first cannot be worked out.
    n_blocks, n_proved
        Quantities of a paper with a withheld cell, and withheld totals whose bounds were computed.
    narrowest
        Smallest proven width as a multiple of the width required (at least 1); None where nothing is withheld.
    min_n, least_count, least_share
        Fewest candidates shown; width required of a count (or all candidates of a smaller unit) and of a sum, as a share of
        what is possible.
    earlier
        Editions of the exam issued before that were taken into account.
    solver
        Program that computed the bounds.
    settings_hash
        Of the run.
    n_joint
        Withheld totals bounded once more against mean, SD and all rates of their paper together.
    """

    edition: str
    n_cells: int
    n_primary: int
    n_secondary: int
    n_blocks: int
    n_proved: int
    narrowest: float | None
    min_n: int
    least_count: int
    least_share: float
    earlier: tuple[str, ...]
    solver: str
    settings_hash: str
    n_joint: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers, strings and lists."""
        return asdict(self) | {"earlier": list(self.earlier)}
