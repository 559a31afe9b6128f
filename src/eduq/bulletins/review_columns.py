"""Columns of the review page: numbers in units of the last decimal that is printed, texts as places in a list.

Rounding happens here, once, as in every other document; the page only sets the decimal point.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from eduq.bulletins.formats import MINUS, NUMBER_FORMS, format_value
from eduq.locale import Lang

__all__ = ["Column", "choice", "counts", "measured", "shown_number", "whole_units"]

Column = dict[str, Any]
_DIGITS = 12
_DASH = "\u00a0\u2014\u00a0"


def whole_units(values: pl.Series, kind: str) -> list[int | None]:
    """Return numbers in units of their last printed decimal, rounded half away from zero; what is not finite is None.

    Parameters
    ----------
    values
        Float64, as in the frames (rates 0-1).
    kind
        A kind of `eduq.bulletins.formats.NUMBER_FORMS`.

    Examples
    --------
    >>> whole_units(pl.Series([0.2875, -0.125, None]), "rate")
    [288, -125, None]
    """
    decimals, _, factor = NUMBER_FORMS[kind]
    known = values.cast(pl.Float64)
    known = known.to_frame("x").select(pl.when(pl.col("x").is_finite()).then(pl.col("x")))["x"]
    meant = ((known * factor).round_sig_figs(_DIGITS) * 10**decimals).round_sig_figs(_DIGITS)
    found: list[int | None] = ((meant.abs() + 0.5).floor() * meant.sign()).cast(pl.Int64).to_list()
    return found


def _bounds(values: pl.Series, kind: str, lang: Lang) -> list[int | str | None]:
    """Return bounds of intervals; one beside zero as the text that says on which side it lies."""
    whole: list[int | str | None] = list(whole_units(values, kind))
    if not NUMBER_FORMS[kind][1]:
        return whole
    for place, value in enumerate(values.to_list()):
        if whole[place] == 0 and value:
            whole[place] = format_value([value, value], f"interval_{kind}", lang).partition(_DASH)[0]
    return whole


def shown_number(value: int | str | None, kind: str) -> str | None:
    """Return a number of `whole_units` as printed, and a text as it is; the page's script prints the same.

    Examples
    --------
    >>> shown_number(-12345, "gap"), shown_number(0, "gap"), shown_number(288, "rate")
    ('−123.45', '0.00', '28.8')
    """
    if value is None or isinstance(value, str):
        return value
    decimals, signed, _ = NUMBER_FORMS[kind]
    ahead, rest = divmod(abs(value), 10**decimals)
    body = f"{ahead:,}" + (f".{rest:0{decimals}d}" if decimals else "")
    sign = MINUS if value < 0 else "+" if signed and value > 0 else ""
    return sign + body


def choice(name: str, label: str, said: Sequence[str | None], *, known: Sequence[str] = (), filtered: bool = True) -> Column:
    """Return a column of texts, each a place in the list of its values.

    Parameters
    ----------
    name, label
        Of the column.
    said
        A text per row; None where there is none.
    known
        Values in the order to sort by; others follow as they occur.
    filtered
        Whether the page offers to choose one of them.
    """
    occurring = {value for value in said if value is not None}
    values = [value for value in dict.fromkeys(known) if value in occurring]
    values += [value for value in dict.fromkeys(said) if value is not None and value not in set(values)]
    places = {value: place for place, value in enumerate(values)}
    at = [None if value is None else places[value] for value in said]
    return {"id": name, "label": label, "kind": "choice", "values": values, "at": at, "filter": filtered and len(values) > 1}


def counts(name: str, label: str, said: Sequence[int | None]) -> Column:
    """Return a column of whole numbers."""
    return {"id": name, "label": label, "kind": "count", "at": list(said)}


def measured(name: str, label: str, kind: str, frame: pl.DataFrame, reasons: dict[str, int], lang: Lang) -> Column:
    """Return a measure: value and bounds per row, and the place of the reason by row where there is no value.

    Parameters
    ----------
    name, label, kind
        Of the measure.
    frame
        Columns estimate, ci_lower, ci_upper, reason; a row per row of the table.
    reasons
        Places of reasons met so far; new ones are added.
    lang
        Language of the page.
    """
    decimals, signed, _ = NUMBER_FORMS[kind]
    value, lower, upper = (frame[column] for column in ("estimate", "ci_lower", "ci_upper"))
    said = {
        row: reasons.setdefault(reason, len(reasons))
        for row, (reason, known) in enumerate(zip(frame["reason"].to_list(), value.to_list(), strict=True))
        if reason is not None and known is None
    }
    return {
        "id": name,
        "label": label,
        "kind": kind,
        "decimals": decimals,
        "signed": signed,
        "value": whole_units(value, kind),
        "lower": _bounds(lower, kind, lang),
        "upper": _bounds(upper, kind, lang),
        "reason": said,
    }
