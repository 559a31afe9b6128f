"""``eduq doctor``: what is installed and what is missing."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from eduq.cli.options import LangOption, OutputLang
from eduq.locale import Lang, text

__all__ = ["doctor_command", "warn_of_fonts"]


def warn_of_fonts(formats: Sequence[str], lang: Lang) -> None:
    """Say on stderr that a Word file will give its figures in words, where no font can draw them."""
    if "docx" not in formats:
        return
    from eduq.bulletins.word_figures import find_chinese_fonts

    if not find_chinese_fonts():
        typer.echo(text("cli.doctor.figures_as_words", lang), err=True)


def doctor_command(lang: LangOption = OutputLang.zh) -> None:
    """Print versions, where resources are, and whether a Chinese font can be found."""
    import importlib.util
    import shutil
    import subprocess

    from eduq.bulletins.word_figures import find_chinese_fonts
    from eduq.manifest import versions
    from eduq.resources import package_path, sample_data_path

    for name, version in versions().items():
        typer.echo(f"{name} {version}")
    typer.echo(text("cli.doctor.package", lang.value, path=package_path()))
    typer.echo(text("cli.doctor.sample", lang.value, path=sample_data_path()))
    if importlib.util.find_spec("typst") is None:
        typer.echo(text("cli.doctor.pdf_missing", lang.value))
    if not find_chinese_fonts():
        typer.echo(text("cli.doctor.figures_as_words", lang.value))
    if shutil.which("fc-list") is None:
        typer.echo(text("cli.doctor.fonts_unknown", lang.value))
        return
    found = subprocess.run(["fc-list", ":lang=zh", "family"], capture_output=True, text=True, check=False).stdout.strip()
    key = "fonts_found" if found else "fonts_missing"
    typer.echo(text(f"cli.doctor.{key}", lang.value, n=len(set(found.splitlines()))))
