"""How ``eduq rules show PACK --words`` prints the words that may not go out and the products that are not made."""

from __future__ import annotations

import json
import sys
from typing import Any

from eduq.errors import SettingsError
from eduq.locale import Lang, text

__all__ = ["show_words"]


def _ground(rule_id: str) -> dict[str, Any]:
    from eduq.rulepacks.outward_words import cite_ban

    cited = cite_ban(rule_id)
    if cited is None:
        return {"rule": rule_id}
    return {
        "rule": rule_id,
        "title": cited.title,
        "article": cited.article or cited.place,
        "point": cited.point,
        "quote": cited.quote,
    }


def show_words(pack: str, *, as_json: bool, lang: Lang) -> None:
    """Print the words and products of a pack, each with the editions it is barred in and its ground.

    Raises
    ------
    SettingsError
        ``outward_none``: the pack has none; ``pack_unknown``.
    """
    from eduq.rulepacks.catalogue import find_pack
    from eduq.rulepacks.outward_words import OUTWARD_FILE, read_outward

    folder = find_pack(pack)
    if not (folder / OUTWARD_FILE).is_file():
        raise SettingsError("outward_none", pack=pack, file=OUTWARD_FILE)
    found = read_outward(folder)
    if as_json:
        words = [entry.model_dump(mode="json", by_alias=True) | {"ground": _ground(entry.rule)} for entry in found.words]
        products = [one.model_dump(mode="json") | {"ground": _ground(one.rule)} for one in found.products]
        print(json.dumps({"schema": 1, "words": words, "products": products}, ensure_ascii=False, indent=2))
        return
    _print(
        text("cli.words.title", lang, n=len(found.words)),
        [text(f"cli.words.{name}", lang) for name in ("kind", "words", "barred", "ground")],
        [
            [
                getattr(entry.name, lang),
                ", ".join(getattr(entry, lang)),
                ", ".join(text(f"certificate.edition.{edition}", lang) for edition in entry.barred),
                _said(entry.rule, lang),
            ]
            for entry in found.words
        ],
    )
    _print(
        text("cli.words.products", lang, n=len(found.products)),
        [text(f"cli.words.{name}", lang) for name in ("asked", "barred", "ground")],
        [
            [
                ", ".join(one.names),
                ", ".join(text(f"certificate.edition.{edition}", lang) for edition in one.editions)
                or text("cli.words.always", lang),
                _said(one.rule, lang),
            ]
            for one in found.products
        ],
    )


def _said(rule_id: str, lang: Lang) -> str:
    ground = _ground(rule_id)
    return text("cli.words.cited", lang, **{name: ground.get(name) or "-" for name in ("rule", "title", "article")})


def _print(title: str, columns: list[str], rows: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), box=None, header_style="bold", title_justify="left", pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console(highlight=False)
    (console if console.is_terminal else Console(file=sys.stdout, width=160, highlight=False, color_system=None)).print(table)
