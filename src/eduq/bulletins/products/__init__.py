"""Products of the yearly cadence as bulletin contexts: one module per product, only what may be shown comes in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eduq.bulletins.products.annual import build_annual
from eduq.bulletins.products.check import build_check
from eduq.bulletins.products.common import ProductView
from eduq.bulletins.products.dispatch import build_dispatch
from eduq.bulletins.products.government import build_government
from eduq.bulletins.products.public import build_public
from eduq.bulletins.products.quarterly import build_quarterly
from eduq.bulletins.products.research import build_research
from eduq.bulletins.products.student import build_student
from eduq.bulletins.products.subject import build_subject
from eduq.bulletins.products.term import build_term
from eduq.disclosure.products import PublishableProduct
from eduq.locale import Lang

__all__ = ["BUILDERS", "build_product_context"]

BUILDERS: dict[str, Callable[[ProductView], dict[str, Any]]] = {
    "check": build_check,
    "dispatch": build_dispatch,
    "quarterly": build_quarterly,
    "term": build_term,
    "annual": build_annual,
    "government": build_government,
    "research": build_research,
    "subject": build_subject,
}
"""Which function makes which product; pupils and parents have a text of their own and the public has the public one, whatever
the product."""


def build_product_context(publishable: PublishableProduct, lang: Lang) -> dict[str, Any]:
    """Arrange a product for printing.

    Parameters
    ----------
    publishable
        What an edition may show of the product.
    lang
        ``zh`` or ``en``.

    Returns
    -------
    dict
        A bulletin context, version 1, as `eduq.bulletins.build_context` gives it, with ``meta.byline`` (and ``meta.cc`` of a
        report to the government) and ``certificate`` (None where there is no exam) besides. Any edition but those of
        bureau, government and students is the public text of its period, whatever the product: area level, no school, no order,
        no verdict, no proposal.

    Raises
    ------
    KeyError
        The product has no builder.
    """
    product = ProductView(publishable, lang)
    if publishable.edition == "student":
        return build_student(product)
    return (build_public if product.kind == "public" else BUILDERS[product.kind])(product)
