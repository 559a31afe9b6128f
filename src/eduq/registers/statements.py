"""packs.toml: from which day a policy text is in force here, and the bureau's values for what it leaves without a number."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from eduq.errors import Place, SettingsError
from eduq.registers.model import PackStatement
from eduq.settings import explain_validation

__all__ = ["read_statements"]


def _flatten(tree: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Return the leaves of nested tables by their dotted keys: a rule id has dots of its own."""
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{path}.{key}" if path else key
        leaves |= _flatten(value, name) if isinstance(value, dict) else {name: value}
    return leaves


def _by_rule(parameters: dict[str, Any], pack: str, place: Place) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for key, value in sorted(_flatten(parameters).items()):
        rule, _, parameter = key.rpartition(".")
        if not rule:
            raise SettingsError("pack_parameter_form", place, pack=pack, key=key)
        found.setdefault(rule, {})[parameter] = value
    return found


def read_statements(path: Path) -> dict[str, PackStatement]:
    """Read packs.toml.

    Parameters
    ----------
    path
        The file: per pack id ``from``, ``to``, ``stated_by`` and ``parameters`` (``rule_id.parameter = value``).

    Raises
    ------
    SettingsError
        ``settings_encoding``, ``settings_syntax``, ``settings_invalid`` or ``pack_parameter_form``.
    """
    place = Place(file=path.name)
    try:
        raw = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise SettingsError("settings_encoding", place) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError("settings_syntax", place, said=str(error)) from None
    found: dict[str, PackStatement] = {}
    for pack, entry in raw.items():
        if isinstance(entry, dict) and isinstance(entry.get("parameters"), dict):
            entry = entry | {"parameters": _by_rule(entry["parameters"], pack, place)}
        try:
            found[pack] = PackStatement.model_validate(entry)
        except ValidationError as error:
            said = {"zh": explain_validation(error, "zh"), "en": explain_validation(error, "en")}
            raise SettingsError("settings_invalid", Place(path.name, column=pack), n=error.error_count(), **said) from None
    return dict(sorted(found.items()))
