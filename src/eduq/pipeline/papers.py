"""Word and PDF files of a bulletin, and which formats there are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eduq.errors import UsageError

if TYPE_CHECKING:
    from eduq.bulletins.template_folder import TemplateFolder

__all__ = ["FORMATS", "USUAL_FORMATS", "check_formats", "write_papers"]

FORMATS = ("md", "html", "xlsx", "docx", "pdf", "review")
USUAL_FORMATS = ("md", "html", "xlsx")


def check_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """Return the formats asked for, each once and in the order of `FORMATS`.

    Raises
    ------
    UsageError
        ``format_unknown``; ``paper_library_missing``: pdf without the extra ``pdf``.

    Examples
    --------
    >>> check_formats(["xlsx", "md", "xlsx"])
    ('md', 'xlsx')
    """
    for name in formats:
        if name not in FORMATS:
            raise UsageError("format_unknown", format=name, known=", ".join(FORMATS))
    if "pdf" in formats:
        from eduq.bulletins.pdf import check_pdf

        check_pdf()
    return tuple(name for name in FORMATS if name in formats)


def write_papers(
    context: dict[str, Any],
    folder: Path,
    formats: Sequence[str],
    *,
    stem: str = "bulletin",
    templates: TemplateFolder | None = None,
) -> list[Path]:
    """Write the Word and PDF files among the formats asked for, by local templates where there are any; return their paths."""
    paths = []
    if "docx" in formats:
        from eduq.bulletins.word import write_word

        paths.append(folder / f"{stem}.docx")
        write_word(context, paths[-1], templates=templates)
    if "pdf" in formats:
        from eduq.bulletins.pdf import write_pdf

        paths.append(folder / f"{stem}.pdf")
        write_pdf(context, paths[-1], templates=templates)
    return paths
