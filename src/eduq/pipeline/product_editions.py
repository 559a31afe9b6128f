"""Which editions a product has, and which document an edition is: a bulletin, the sheet of one, the sheets of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from eduq.disclosure.editions import check_edition
from eduq.disclosure.outward import refuse_product
from eduq.disclosure.products import PRODUCTS, Product
from eduq.errors import DisclosureError, UsageError
from eduq.settings import EDITIONS, Edition

__all__ = ["ISSUE_ORDER", "Form", "editions_of", "find_form", "read_editions", "usual_edition"]

Form = Literal["bulletin", "school", "schools", "teacher", "teachers"]
"""What is written: a bulletin, the sheet of one school or teacher, the sheets of all of them."""

ISSUE_ORDER: tuple[Edition, ...] = ("public", "student", "teacher", "government", "school", "bureau")
"""In which order the editions of one run are made: what most people read first, so that what more people hold is settled before
what fewer hold is fitted to it. The sheets of schools are cut from the bureau's figures and come next to them: made before the
government's edition they would fix figures of schools that the bureau's own edition might then have to withhold beside it."""

_CADENCE = ("check", "dispatch", "quarterly", "term", "annual")
_OWN: dict[Product, tuple[Edition, ...]] = {
    "government": ("government", "bureau", "public"),
    "research": ("bureau", "government", "public"),
    "school": ("school",),
    "school-packs": ("school",),
    "teacher": ("teacher",),
    "subject": ("bureau",),
}
"""Editions of the products beside the cadence, the usual one first; those of the cadence have all six."""
_OF_ONE = ("school", "teacher", "subject")


def editions_of(product: Product) -> tuple[Edition, ...]:
    """Return the editions of a product, the usual one first.

    Examples
    --------
    >>> editions_of("school"), editions_of("term")[0]
    (('school',), 'bureau')
    """
    if product not in PRODUCTS:
        refuse_product(product)
        raise UsageError("product_unknown", product=product, known=", ".join(PRODUCTS))
    return _OWN.get(product, ("bureau", *(name for name in EDITIONS if name != "bureau")))


def usual_edition(product: Product) -> Edition:
    """Return the edition of a product that is meant when none is named: the one for those it is made for."""
    return editions_of(product)[0]


def find_form(product: Product, edition: str, unit: str | None) -> Form:
    """Return what an edition of a product is.

    Raises
    ------
    DisclosureError
        ``product_banned``, ``product_edition_banned``: the national texts ban it;
        ``edition_unknown``; ``edition_unfit``: the product is not made for that audience.
    UsageError
        ``product_unknown``, ``product_unit_missing``, ``product_unit_unfit``.

    Examples
    --------
    >>> find_form("term", "school", None), find_form("term", "school", "S001"), find_form("term", "public", None)
    ('schools', 'school', 'bulletin')
    """
    known = editions_of(product)
    named = check_edition(edition, EDITIONS)
    if named not in known:
        refuse_product(product, edition=named)
        raise DisclosureError("edition_unfit", product=product, edition=edition, known=", ".join(known))
    if product in _OF_ONE and unit is None:
        raise UsageError("product_unit_missing", product=product)
    may_name = product in _OF_ONE or (product in _CADENCE and named in ("school", "teacher"))
    if unit is not None and not may_name:
        raise UsageError("product_unit_unfit", product=product)
    if named == "school":
        return "schools" if unit is None else "school"
    if named == "teacher":
        return "teachers" if unit is None else "teacher"
    return "bulletin"


def read_editions(text: str | None, product: Product) -> Sequence[Edition]:
    """Return the editions named with commas between them, each once; ``all`` are those of the product in `ISSUE_ORDER`.

    Examples
    --------
    >>> read_editions(None, "government"), read_editions("bureau, public", "term"), len(read_editions("all", "term"))
    (('government',), ('bureau', 'public'), 6)
    """
    known = editions_of(product)
    if text is None:
        return (known[0],)
    if text.strip() == "all":
        return tuple(name for name in ISSUE_ORDER if name in known)
    named = dict.fromkeys(name.strip() for name in text.replace("，", ",").split(",") if name.strip())
    found = [check_edition(name, EDITIONS) for name in named]
    if not found:
        raise DisclosureError("edition_unknown", edition=text, known=", ".join((*EDITIONS, "all")))
    return tuple(found)
