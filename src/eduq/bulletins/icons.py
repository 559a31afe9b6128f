"""The icon of a target's state: a ring with its centre filled, half filled, or empty and struck; its word stands beside it."""

from __future__ import annotations

__all__ = ["draw_target"]

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
