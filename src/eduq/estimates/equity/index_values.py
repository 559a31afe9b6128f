"""One index as it leaves a computation: value, interval, method, reason."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["IndexValue"]


@dataclass(frozen=True)
class IndexValue:
    """An index; None where a number or an interval cannot be given, with the reason.

    Attributes
    ----------
    index
        Id, wording ``equity.index.<id>``.
    value, std_error, ci_lower, ci_upper
        The figure and its uncertainty.
    n_units, n
        Units and pupils it rests on; 0 where the caller of the computation fills them in.
    method
        How the interval was made, wording ``equity.method.<method>``; null where there is no value.
    reason
        Why value or interval are missing, wording ``equity.reason.<reason>``.
    attribute, group, reference
        Of a gap or a decomposition: what units or pupils are divided by, and the two sides.
    """

    index: str
    value: float | None
    std_error: float | None = None
    ci_lower: float | None = None
    ci_upper: float | None = None
    n_units: int = 0
    n: int = 0
    method: str | None = None
    reason: str | None = None
    attribute: str | None = None
    group: str | None = None
    reference: str | None = None
