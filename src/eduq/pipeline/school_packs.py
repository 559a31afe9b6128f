"""The sheets of all schools at once: a pack for each, for nobody else's eyes, and a list for the office without results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

import polars as pl

from eduq.disclosure import Publishable
from eduq.disclosure.schools import PublishableSchool, SchoolReader
from eduq.errors import UsageError
from eduq.locale import Lang
from eduq.pipeline.clock import Progress
from eduq.pipeline.folders import INDEX, choose_name, replace_sheets, write_index, write_private
from eduq.pipeline.outgoing import check_files

if TYPE_CHECKING:
    from eduq.bulletins.template_folder import TemplateFolder

__all__ = ["PACK_FORMATS", "USUAL_FORMATS", "write_pack", "write_school_packs", "write_sheet"]

PACK_FORMATS = {"html": "html", "md": "md", "xlsx": "xlsx", "docx": "docx", "pdf": "pdf"}
"""Formats of a pack and the endings of their files."""
USUAL_FORMATS = ("html", "md", "xlsx")
COLUMNS = ("school_id", "name", "folder", "files")
_MANY = 120
"""From so many schools on, several processes write: below that, starting them costs more than it saves."""
_EVERY = 10
_MOST_WORKERS = 8
_STEM = "feedback"


def write_pack(
    school: PublishableSchool,
    folder: Path,
    *,
    lang: Lang = "zh",
    formats: Sequence[str] = USUAL_FORMATS,
    templates: TemplateFolder | None = None,
) -> list[Path]:
    """Write the files of one school into a new folder that its owner alone may read.

    Parameters
    ----------
    school
        From `eduq.disclosure.schools.protect_school`.
    folder
        Is made.
    lang
        Language of the sheet.
    formats
        Of `PACK_FORMATS`.
    templates
        Local templates.
    """
    from eduq.bulletins.products.school import build_school_context

    names = [str(school.fields["school"]["name"])]
    return write_sheet(build_school_context(school, lang), folder, formats=formats, templates=templates, names=names)


def write_sheet(
    context: dict[str, Any],
    folder: Path,
    *,
    formats: Sequence[str],
    templates: TemplateFolder | None = None,
    names: Sequence[str] = (),
) -> list[Path]:
    """Write a sheet, a bulletin context, into a new folder that its owner alone may read.

    Raises
    ------
    DisclosureError
        ``outward_word``: the sheet, or a local template, says what may not leave; ``names`` of schools are facts.
    """
    from eduq.bulletins.outward_texts import check_document
    from eduq.bulletins.render import render_html, render_markdown
    from eduq.bulletins.table_book import write_table_book

    edition = str(context["meta"]["edition"])
    check_document(context, edition=edition, names=names)
    folder.mkdir(mode=0o700)
    written = []
    for form in formats:
        path = folder / f"{_STEM}.{PACK_FORMATS[form]}"
        if form in ("html", "md"):
            write_private(path, (render_html if form == "html" else render_markdown)(context, templates=templates))
        elif form == "xlsx":
            write_table_book(context, path)
        else:
            _write_document(form, context, path, templates)
        path.chmod(0o600)
        written.append(path)
    if templates is not None:
        check_files(folder, edition=edition, names=names, templates=templates)
    return written


def _write_document(form: str, context: dict[str, Any], path: Path, templates: TemplateFolder | None) -> None:
    """Write a Word or PDF file."""
    if form == "docx":
        from eduq.bulletins.word import write_word

        write_word(context, path, templates=templates)
    else:
        from eduq.bulletins.pdf import write_pdf

        write_pdf(context, path, templates=templates)


def _opened(templates: str | os.PathLike[str] | None) -> TemplateFolder | None:
    from eduq.bulletins.template_folder import open_templates

    return None if templates is None else open_templates(templates)


def _check_formats(formats: Sequence[str]) -> None:
    for form in formats:
        if form not in PACK_FORMATS:
            raise UsageError("format_unknown", format=form, known=", ".join(PACK_FORMATS))
    if "pdf" in formats:
        from eduq.bulletins.pdf import check_pdf

        check_pdf()


def write_school_packs(
    exams: Publishable | Sequence[Publishable],
    folder: str | os.PathLike[str],
    *,
    lang: Lang = "zh",
    formats: Sequence[str] = USUAL_FORMATS,
    templates: str | os.PathLike[str] | None = None,
    open_items: pl.DataFrame | None = None,
    marks: Mapping[str, Any] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write a pack for every school, whole or not at all.

    Parameters
    ----------
    exams
        One exam or several, as the bureau may see them.
    folder
        Replaced when an earlier run wrote it; refused when it holds anything else. Folders and files can be read by their owner
        alone: who hands them on opens them.
    lang
        Language of the packs.
    formats
        Any of html, md, xlsx, docx, pdf.
    templates
        Folder of local templates.
    open_items
        `eduq.disclosure.products.OPEN_ITEMS`.
    marks
        What every sheet says of itself: ``period``, ``document_no``, ``issued_on`` (ISO day; None: a draft).
    workers
        Processes that write beside each other; by default one per processor where there are many schools. The files are the same.
    progress
        Called with stage ``packs``, done, total.

    Returns
    -------
    Path
        ``index.csv``: school_id, name, folder, files; no result stands in it.

    Raises
    ------
    UsageError
        ``output_not_ours``, ``output_unwritable``, ``format_unknown``.
    """
    _check_formats(formats)
    reader = SchoolReader([exams] if isinstance(exams, Publishable) else list(exams), open_items=open_items)
    taken: set[str] = set()
    places = {school: choose_name(school, taken) for school in reader.names}
    crowd = workers if workers is not None else min(_MOST_WORKERS, os.cpu_count() or 1) if len(places) >= _MANY else 1
    opened = _opened(templates)
    said = {"lang": lang, "formats": list(formats), "templates": None if templates is None else str(Path(templates).resolve())}

    def sheet(school: str) -> PublishableSchool:
        return PublishableSchool(edition="school", fields=reader.protect(school).fields | dict(marks or {}))

    with replace_sheets(folder, columns=COLUMNS) as part:
        if crowd > 1:
            _write_beside(sheet, places, part, said, crowd, progress)
        else:
            for done, (school, place) in enumerate(places.items()):
                if progress is not None and done % _EVERY == 0:
                    progress("packs", done, len(places))
                write_pack(sheet(school), part / place, lang=lang, formats=formats, templates=opened)
        files = ";".join(f"{_STEM}.{PACK_FORMATS[form]}" for form in formats)
        write_index(part, COLUMNS, [(school, reader.names[school], place, files) for school, place in places.items()])
    if progress is not None:
        progress("packs", len(places), len(places))
    return Path(folder) / INDEX


# ---- several processes ------------------------------------------------------------------------------------------------


def _write_beside(
    sheet: Callable[[str], PublishableSchool],
    places: Mapping[str, str],
    folder: Path,
    how: Mapping[str, Any],
    crowd: int,
    progress: Progress | None,
) -> None:
    """Share the schools among processes of their own; each is given what it writes as JSON that its owner alone may read.

    Processes are started anew, not copied: threads of the engine that reads the tables do not outlive a copy.
    """
    names = list(places)
    done, counted = 0, Lock()
    with tempfile.TemporaryDirectory(prefix=".tasks.", dir=folder.parent) as scratch:

        def work(number: int) -> tuple[int, str]:
            nonlocal done
            task = Path(scratch) / f"{number}.json"
            schools = [{"place": places[name], "fields": sheet(name).fields} for name in names[number::crowd]]
            said = {"folder": str(folder.resolve()), "how": dict(how), "schools": schools}
            write_private(task, json.dumps(said, ensure_ascii=False))
            with subprocess.Popen(
                [sys.executable, "-m", "eduq.pipeline.school_packs", str(task)],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
            ) as process:  # fmt: skip
                for _ in cast("Any", process.stdout):
                    with counted:
                        done += 1
                        if progress is not None and done % _EVERY == 0:
                            progress("packs", done, len(names))
                failed = cast("Any", process.stderr).read()
            return process.returncode, failed

        with ThreadPoolExecutor(crowd) as pool:
            for status, failed in list(pool.map(work, range(crowd))):
                if status:
                    raise OSError(status, (failed.strip().splitlines() or ["?"])[-1])


def _work_off(task: Path) -> None:
    """Write the packs of a task and print a line for each."""
    said = json.loads(task.read_text(encoding="utf-8"))
    how = said["how"] | {"templates": _opened(said["how"]["templates"])}
    for school in said["schools"]:
        found = PublishableSchool(edition="school", fields=school["fields"])
        write_pack(found, Path(said["folder"]) / school["place"], **how)
        sys.stdout.write("\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _work_off(Path(sys.argv[1]))
