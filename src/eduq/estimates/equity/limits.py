"""An index against a dated limit of a policy text: below, above, or undecided while its interval holds the limit."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import Field

from eduq.settings import StrictModel

__all__ = ["EquityLimit", "judge_limit"]


class EquityLimit(StrictModel):
    """A limit an index should keep below; a rule pack hands in those of its texts.

    Attributes
    ----------
    index
        Id of the index, such as ``between_school_share``.
    value
        The limit.
    reaching
        Whether an index exactly at the limit is ``below`` (a text that says "not above") or ``above`` ("lower than").
    valid_from, valid_to
        Dates of effect, both included; None = open.
    source
        Document and article.
    """

    index: str
    value: float = Field(allow_inf_nan=False)
    reaching: Literal["below", "above"] = "above"
    valid_from: dt.date | None = None
    valid_to: dt.date | None = None
    source: str = ""

    def in_force(self, day: dt.date | None) -> bool:
        """Whether the limit holds on a day; without a day every limit that has not ended."""
        if day is None:
            return self.valid_to is None
        return (self.valid_from is None or self.valid_from <= day) and (self.valid_to is None or day <= self.valid_to)


def judge_limit(
    limit: EquityLimit, value: float | None, lower: float | None, upper: float | None, *, census: bool
) -> Literal["below", "above", "undecided", "not_assessable"]:
    """Return the state of an index: the whole interval on one side of the limit, else undecided; counts need no interval.

    Examples
    --------
    >>> limit = EquityLimit(index="between_school_share", value=0.15)
    >>> judge_limit(limit, 0.12, 0.09, 0.18, census=False), judge_limit(limit, 0.12, 0.09, 0.14, census=False)
    ('undecided', 'below')
    """
    if value is None:
        return "not_assessable"
    if census:
        lower = upper = value
    if lower is None or upper is None:
        return "undecided"
    keeps = limit.reaching == "below"
    if upper < limit.value or (keeps and upper == limit.value):
        return "below"
    return "above" if lower > limit.value or (not keeps and lower == limit.value) else "undecided"
