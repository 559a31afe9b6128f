"""Options that several commands share, defined once."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from eduq.locale import text

__all__ = ["LangOption", "OutOption", "OutputLang"]


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
