"""The part of JSON Schema that docs/reference/why-schema.json uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def find_faults(value: Any, schema: dict[str, Any], path: str = "$") -> Iterator[str]:
    """Give every place where a value does not follow the schema."""
    if "const" in schema and value != schema["const"]:
        yield f"{path}: {value!r} is not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is not one of {schema['enum']}"
    kinds = schema.get("type")
    if kinds is not None:
        wanted = [kinds] if isinstance(kinds, str) else kinds
        fits = any(isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool)) for kind in wanted)
        if not fits:
            yield f"{path}: {type(value).__name__} is not {kinds}"
    if isinstance(value, dict):
        known = schema.get("properties", {})
        yield from (f"{path}.{name} is missing" for name in schema.get("required", []) if name not in value)
        if schema.get("additionalProperties") is False:
            yield from (f"{path}.{name} is unknown" for name in value if name not in known)
        for name, item in value.items():
            yield from find_faults(item, known.get(name, {}), f"{path}.{name}")
    if isinstance(value, list):
        for place, item in enumerate(value):
            yield from find_faults(item, schema.get("items", {}), f"{path}[{place}]")
