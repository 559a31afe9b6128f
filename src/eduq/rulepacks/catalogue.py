"""Where packs and clauses are found."""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import Field, TypeAdapter, ValidationError

from eduq.errors import Place, SettingsError
from eduq.resources import rules_path
from eduq.rulepacks.model import Citation, Document
from eduq.settings import StrictModel, explain_validation

__all__ = ["Clauses", "find_pack", "list_packs", "read_clauses"]

PACK_FILE = "pack.yaml"


def _rule_folders() -> tuple[Path, ...]:
    """Folders of packs, the bureau's own (``EDUQ_RULES``) before the shipped one."""
    own = [Path(part) for part in os.environ.get("EDUQ_RULES", "").split(os.pathsep) if part]
    return (*own, rules_path())


def list_packs() -> dict[str, Path]:
    """Return the folders of all packs that can be named, by id; a pack under ``EDUQ_RULES`` goes before a shipped one.

    Examples
    --------
    >>> "ezhou" in list_packs()
    True
    """
    found: dict[str, Path] = {}
    for folder in _rule_folders():
        if not folder.is_dir():
            raise SettingsError("rules_folder_missing", path=folder.name)
        for path in sorted(folder.iterdir()):
            if (path / PACK_FILE).is_file():
                found.setdefault(path.name, path)
    return dict(sorted(found.items()))


def find_pack(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the folder of a pack given by its name or its path.

    A bare word is first a name; a folder of that name here is taken when no pack is called so. With a slash it is a path.

    Raises
    ------
    SettingsError
        ``pack_unknown`` (says which there are), ``rules_folder_missing`` (``EDUQ_RULES`` names no folder).
    """
    path = Path(name_or_path)
    is_path = (
        isinstance(name_or_path, os.PathLike) or "/" in name_or_path or os.sep in name_or_path or name_or_path in (".", "..")
    )
    if path.name == PACK_FILE:
        path = path.parent
    if is_path:
        if (path / PACK_FILE).is_file():
            return path
        raise SettingsError("pack_missing", Place(file=path.name), path=path.name)
    known = list_packs()
    if path.name in known:
        return known[path.name]
    if (path / PACK_FILE).is_file():
        return path
    close = difflib.get_close_matches(path.name, known, n=1, cutoff=0.0)
    raise SettingsError("pack_unknown", name=path.name, known=", ".join(known), close=close[0] if close else "-")


class _Quote(StrictModel):
    """A quotation and where it stands in its text."""

    quote: str = Field(min_length=1)
    place: str


class _Text(Document):
    """A text with what it rests on."""

    basis: str | None = None


_DOCUMENTS = TypeAdapter(dict[str, _Text])
_QUOTES = TypeAdapter(dict[str, list[_Quote]])


class Clauses:
    """The quotations of policy texts by clause id, and the texts they stand in.

    Parameters
    ----------
    raw
        Content of ``clauses.toml``; of several files the later adds to the earlier.
    """

    def __init__(self, *raw: dict[str, Any]) -> None:
        self.documents: dict[str, Document] = {}
        self._by_id: dict[str, dict[str, list[dict[str, str]]]] = {}
        for content in raw:
            for key, entry in content.items():
                if key == "documents":
                    texts = _DOCUMENTS.validate_python(entry).items()
                    self.documents |= {
                        name: Document(title=said.title, number=said.number, date=said.date) for name, said in texts
                    }
                else:
                    quotes = _QUOTES.validate_python(entry).items()
                    said = {document: [line.model_dump() for line in lines] for document, lines in quotes}
                    self._by_id.setdefault(key, {}).update(said)

    def ids(self) -> tuple[str, ...]:
        """Return every clause id, sorted."""
        return tuple(sorted(self._by_id))

    def citations(self, clause: str, document: str) -> tuple[Citation, ...]:
        """Return the quotations of a clause in one text; empty when it does not stand there."""
        said = self.documents.get(document)
        if said is None:
            return ()
        return tuple(
            Citation(
                clause=clause,
                document=document,
                title=said.title,
                number=said.number,
                date=said.date,
                quote=line["quote"],
                place=line["place"] or None,
            )
            for line in self._by_id.get(clause, {}).get(document, [])
        )


def read_clauses(pack: Path | None = None) -> Clauses:
    """Return the shipped quotations, and those that a bureau's own pack brings in its ``clauses.toml``.

    Raises
    ------
    SettingsError
        ``settings_syntax``: the pack's file is not TOML; ``settings_invalid``: a document or quotation in it has not its form.
    """
    contents: list[dict[str, Any]] = []
    for path in (rules_path() / "clauses.toml", *([pack / "clauses.toml"] if pack is not None else [])):
        if path.is_file():
            try:
                contents.append(tomllib.loads(path.read_text(encoding="utf-8-sig")))
            except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
                raise SettingsError("settings_syntax", Place(file=path.name), said=str(error)) from None
    try:
        return Clauses(*contents)
    except ValidationError as error:
        words = {"zh": explain_validation(error, "zh"), "en": explain_validation(error, "en")}
        raise SettingsError("settings_invalid", Place(file="clauses.toml"), n=error.error_count(), **words) from None
