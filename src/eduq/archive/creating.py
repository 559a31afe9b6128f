"""Making an empty archive and its key."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import eduq
from eduq.archive.keys import find_key_file, key_folder, make_key_chain, read_key_chain, write_key_chain
from eduq.archive.records import SCHEMA_VERSION
from eduq.archive.store import MARKER, create_tables, refuse_path, storage_errors
from eduq.errors import ArchiveError

__all__ = ["make_archive"]


def make_archive(target: Path, key_file: Path | None) -> Path:
    """Make the folder of an archive, whole or not at all, and where there is none yet its key; return the key file."""
    refuse_path(target)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise ArchiveError("archive_exists", path=str(target))
    named = find_key_file("", key_file)
    if named is not None and named.is_file():
        chain, key_path = read_key_chain(named), named
    else:
        chain = make_key_chain()
        key_path = named or key_folder() / f"{target.resolve().name}-{chain.check[:8]}.key"
    if key_path.resolve().is_relative_to(target.resolve()):
        raise ArchiveError("archive_key_inside", path=key_path.name)
    if not key_path.is_file():
        write_key_chain(key_path, chain)
    marker = {
        "format": "eduq-archive",
        "schema_version": SCHEMA_VERSION,
        "code_version": eduq.__version__,
        "key_check": chain.check,
    }
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
            part = Path(scratch) / "new"
            part.mkdir()
            create_tables(part)
            (part / MARKER).write_text(json.dumps(marker, indent=2) + "\n", encoding="utf-8")
            part.replace(target)
    return key_path
