"""What may not leave the bureau: texts with barred words, and products that are not made at all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache

from eduq.errors import DisclosureError, Place
from eduq.locale import LANGUAGES, Lang
from eduq.locale import text as text_of
from eduq.rulepacks.outward_search import find_barred, read_plainly
from eduq.rulepacks.outward_words import BarredProduct, TwoLanguages, cite_ban, read_outward

__all__ = ["check_outward", "find_barred", "refuse_product"]


def check_outward(
    text: str, *, edition: str, place: Place | None = None, where: Mapping[Lang, str] | None = None, names: Iterable[str] = ()
) -> None:
    """Stop at a text that holds what may not leave in an edition.

    Parameters
    ----------
    text, edition, names
        As in `find_barred`.
    place
        File, and its line or column.
    where
        Part of the document, or the setting, in both languages (``zh``, ``en``).

    Raises
    ------
    DisclosureError
        ``outward_word``: names the word, where it stands, the rule with its document and article, and what to write instead.

    Examples
    --------
    >>> check_outward("各科平均分及其区间", edition="public")
    """
    for found in find_barred(text, edition=edition, names=names):
        said = {}
        for lang in LANGUAGES:
            parts = {"where": (where or {}).get(lang, ""), "kind": getattr(found.entry.name, lang)}
            key = "outward.said" if parts["where"] else "outward.said_plain"
            said[lang] = text_of(key, lang, **parts, **_cited(found.entry.rule, found.entry.instead, lang))
        raise DisclosureError("outward_word", place, word=found.word, edition=edition, **said)


def _cited(rule_id: str, instead: TwoLanguages, lang: Lang) -> dict[str, str]:
    """Return document, article and point of a rule, and what to do instead, as values of a sentence."""
    cited = cite_ban(rule_id)
    values = {"rule": rule_id, "instead": getattr(instead, lang), "title": rule_id, "article": "-", "point": "-"}
    if cited is not None:
        point = text_of("outward.quote", lang, quote=cited.quote) if cited.quote else cited.point
        values |= {"title": cited.title, "article": cited.article or cited.place or "-", "point": point or "-"}
    return values


def _asked(name: str) -> str:
    return re.sub(r"[\s_\-]+", "-", read_plainly(name.replace("_", "-"))).strip("-")


@cache
def _products() -> dict[str, BarredProduct]:
    return {_asked(name): product for product in read_outward().products for name in product.names}


def refuse_product(product: str, *, edition: str | None = None) -> None:
    """Stop where a product that the national texts ban is asked for, or one for an audience that may not have it.

    Parameters
    ----------
    product
        As asked for, in either language.
    edition
        As asked for; None: nobody has said.

    Raises
    ------
    DisclosureError
        ``product_banned``, ``product_edition_banned``: name document and article.

    Examples
    --------
    >>> refuse_product("annual", edition="public")
    >>> refuse_product("Pupil_Ranking")
    Traceback (most recent call last):
    ...
    eduq.errors.DisclosureError: ...
    """
    found = _products().get(_asked(product))
    if found is None or (found.editions and edition not in found.editions):
        return
    said = {lang: text_of("outward.refused", lang, **_cited(found.rule, found.instead, lang)) for lang in LANGUAGES}
    if found.editions:
        raise DisclosureError("product_edition_banned", product=product, edition=edition, **said)
    raise DisclosureError("product_banned", product=product, **said)
