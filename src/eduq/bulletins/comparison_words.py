"""Words for the lines of a comparison: side, possible places, the ends of the order, the funnel, similar schools, reasons."""

from __future__ import annotations

from typing import Any

from eduq.bulletins.blocks import Phrase
from eduq.bulletins.formats import joined, phrase
from eduq.bulletins.reading import Row, reason_words
from eduq.bulletins.view import View
from eduq.estimates.exam_comparisons import ALL_UNITS
from eduq.estimates.exam_references import OUTSIDE
from eduq.locale import has_text

__all__ = ["comparison_reason", "could_be", "funnel_place", "peer_label", "possible_places", "side_of", "small_chance"]

_WORD = "bulletin.comparisons"


def side_of(item: Row, alpha: float) -> str | None:
    """Return above, below or same as the adjusted q lets a unit be told from its group; None where it is not compared."""
    if item["q_value"] is None or item["contrast"] is None:
        return None
    if item["q_value"] > alpha:
        return "same"
    return "above" if item["contrast"] > 0 else "below"


def could_be(item: Row) -> Phrase | None:
    """Return which end of the order a unit could hold, None where it is not ranked."""
    if item["could_be_last"] is None or item["could_be_first"] is None:
        return None
    ends = {(True, True): "both", (True, False): "last", (False, True): "first", (False, False): "neither"}
    return phrase(f"{_WORD}.could_{ends[bool(item['could_be_last']), bool(item['could_be_first'])]}")


def funnel_place(item: Row) -> Phrase | None:
    """Return where a unit lies in the funnel: within, beyond the inner or beyond the outer limits, above or below."""
    if item["funnel"] is None:
        return None
    if item["funnel"] == "in":
        return phrase(f"{_WORD}.funnel_in")
    outer = "_outer" if item["funnel_998"] not in (None, "in") else ""
    return phrase(f"{_WORD}.funnel_{item['funnel']}{outer}")


def comparison_reason(view: View, code: str) -> Phrase | str:
    """Return why a unit is not compared or not ranked."""
    if code == "below_min_n_ranking":
        return phrase(f"{_WORD}.reason_not_ranked", n=view.settings.min_n_ranking)
    if code == "below_min_n":
        return view.reason_said(code)
    key = f"{_WORD}.reason_{code}"
    return phrase(key) if has_text(key) else reason_words(code)


def peer_label(view: View, peer_group: str) -> Any:
    """Return a peer group in words: the values of the register's columns."""
    if peer_group in (ALL_UNITS, OUTSIDE):
        return phrase(f"{_WORD}.peers_{peer_group}")
    parts: list[Any] = []
    for pair in peer_group.split(";"):
        name, _, value = pair.partition("=")
        key = f"{_WORD}.{name}.{value}"
        parts.append(view.unit_name("area_type", value) if name == "area_type" else phrase(key) if has_text(key) else value)
    return joined(parts, " · ")


def possible_places(item: Row) -> Phrase | None:
    if item["rank_lower"] is None:
        return None
    one = item["rank_lower"] == item["rank_upper"]
    return phrase(f"{_WORD}.{'place' if one else 'places'}", low=item["rank_lower"], high=item["rank_upper"])


def small_chance(value: float | None) -> Any:
    """Return a small probability as it is printed: below .001 it says so."""
    if value is None:
        return None
    return phrase("bulletin.history.very_small") if value < 0.001 else value
