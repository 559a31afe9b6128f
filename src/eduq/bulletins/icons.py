"""Icons of two kinds, each with its word beside it: a target's state is a ring, the direction of a course an arrow or a wave.

They differ in shape, so that no colour is needed to tell them apart.
"""

from __future__ import annotations

__all__ = ["draw_direction", "draw_target"]

_MARKS = {
    "reached": '<circle cx="8" cy="8" r="3.4" fill="currentColor"/>',
    "undecided": '<path d="M8 4.6a3.4 3.4 0 0 0 0 6.8z" fill="currentColor"/>',
    "not_reached": '<path d="M3 13 13 3" stroke="currentColor" stroke-width="1.6"/>',
}


def draw_target(state: object) -> str:
    """Return the icon as inline SVG, empty for a state without one.

    Examples
    --------
    >>> draw_target("reached").startswith("<svg"), draw_target("not_assessable")
    (True, '')
    """
    mark = _MARKS.get(str(state))
    if mark is None:
        return ""
    ring = '<circle cx="8" cy="8" r="6.4" fill="none" stroke="currentColor" stroke-width="1.5"/>'
    return f'<svg class="icon-{state}" viewBox="0 0 16 16" aria-hidden="true" focusable="false">{ring}{mark}</svg>'


_DIRECTIONS = {
    "rising": '<path d="M8 14V3M3.5 7.5 8 3l4.5 4.5" {line}/>',
    "falling": '<path d="M8 2v11M3.5 8.5 8 13l4.5-4.5" {line}/>',
    "unclear": '<path d="M1.5 9.5c2-4 4-4 6.5-1.5s4.5 2.5 6.5-1.5" {line}/>',
    "too_little": '<rect x="2.5" y="2.5" width="11" height="11" stroke-dasharray="2 2.2" {line}/>',
}
_LINE = 'fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round"'


def draw_direction(direction: object) -> str:
    """Return the icon as inline SVG, empty for what has none.

    Examples
    --------
    >>> draw_direction("falling").startswith("<svg"), draw_direction("")
    (True, '')
    """
    mark = _DIRECTIONS.get(str(direction))
    if mark is None:
        return ""
    drawn = mark.format(line=_LINE)
    return f'<svg class="icon-{direction}" viewBox="0 0 16 16" aria-hidden="true" focusable="false">{drawn}</svg>'
