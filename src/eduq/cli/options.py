"""Options that several commands share, defined once."""

from __future__ import annotations

import datetime as dt
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from eduq.errors import UsageError
from eduq.locale import text

__all__ = [
    "ArchiveOption",
    "ArchiveVersionOption",
    "AsOfOption",
    "KeyFileOption",
    "LangOption",
    "OutOption",
    "OutputLang",
    "PriorOption",
    "TemplatesOption",
    "as_date",
    "named_archive",
]


class OutputLang(StrEnum):
    """Languages of output."""

    zh = "zh"
    en = "en"


def _set_language(value: OutputLang) -> OutputLang:
    os.environ["EDUQ_LANG"] = value.value
    return value


LangOption = Annotated[
    OutputLang, typer.Option("--lang", envvar="EDUQ_LANG", callback=_set_language, is_eager=True, help=text("cli.help.lang"))
]
OutOption = Annotated[Path | None, typer.Option("--out", help=text("cli.help.out"))]
ArchiveOption = Annotated[
    Path | None, typer.Option("--archive", envvar="EDUQ_ARCHIVE", help=text("cli.help.archive_folder"), show_default=False)
]
ArchiveVersionOption = Annotated[int | None, typer.Option("--archive-version", min=0, help=text("cli.help.archive_version"))]
AsOfOption = Annotated[dt.datetime | None, typer.Option("--as-of", formats=["%Y-%m-%d"], help=text("cli.help.as_of"))]
PriorOption = Annotated[list[str] | None, typer.Option("--prior", help=text("cli.help.prior"), show_default=False)]
TemplatesOption = Annotated[Path | None, typer.Option("--templates", help=text("cli.help.templates"), show_default=False)]
KeyFileOption = Annotated[
    Path | None, typer.Option("--key-file", envvar="EDUQ_KEY_FILE", help=text("cli.help.key_file"), show_default=False)
]


def named_archive(archive: Path | None) -> Path:
    """Return the archive's folder, or stop: neither ``--archive`` nor ``EDUQ_ARCHIVE`` names one."""
    if archive is None:
        raise UsageError("archive_not_named")
    return archive


def as_date(as_of: dt.datetime | None) -> dt.date | None:
    """Return the day an ``--as-of`` option names."""
    return None if as_of is None else as_of.date()
