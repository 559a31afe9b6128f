"""Documents of a product ready to be written: what they have in common, and the bulletin."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from eduq.archive import Archive
from eduq.disclosure.products import Product, PublishableProduct
from eduq.disclosure.suppression import Certificate, Shown
from eduq.errors import UsageError
from eduq.locale import Lang
from eduq.manifest import versions
from eduq.pipeline.clock import Progress
from eduq.pipeline.documents import RUN_RECORD
from eduq.pipeline.outgoing import check_files, check_stated, known_names
from eduq.pipeline.periods import Period
from eduq.pipeline.product_folder import file_hashes, replace_folder
from eduq.pipeline.product_ledger import ProductInputs
from eduq.settings import RunSettings

if TYPE_CHECKING:
    from eduq.bulletins.template_folder import TemplateFolder

__all__ = ["BulletinDraft", "Draft", "write_document", "write_tables"]

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, kw_only=True)
class Draft(ABC):
    """One edition of a product, ready to be written.

    Attributes
    ----------
    product, period, edition, lang, unit, settings
        What was asked for.
    day, archive_version
        The day it speaks of, and the version of the archive it was made from.
    exam_ids
        Exams of the period.
    inputs
        What it was made from.
    templates
        Folder of local templates.
    document_no, issued_on
        Of an issued document; None for a draft.
    """

    product: Product
    period: Period
    edition: str
    lang: Lang
    unit: str | None
    settings: RunSettings
    day: Any
    archive_version: int
    exam_ids: tuple[str, ...]
    inputs: ProductInputs
    templates: Path | None = None
    document_no: str | None = None
    issued_on: Any = None

    FORMATS: ClassVar[tuple[str, ...]] = ("md", "html", "docx", "pdf", "xlsx")
    USUAL: ClassVar[tuple[str, ...]] = ("md", "html", "docx", "xlsx")
    PRIVATE: ClassVar[bool] = True
    MANY: ClassVar[bool] = False
    """Whether there is a folder for each of many: their files are not listed one by one."""

    @abstractmethod
    def shown(self) -> list[Shown]:
        """Return which cells it shows and which it protects, for the ledger of issued editions."""

    @abstractmethod
    def _write_formats(self, part: Path, formats: Sequence[str], progress: Progress | None) -> None:
        """Write the documents into a new folder."""

    def _certificates(self) -> Mapping[str, Certificate | None]:
        """Return what was withheld of each exam and how that was proved, by exam."""
        return {}

    def _names(self) -> list[str]:
        """Return names of schools and places: facts, whatever words they are made of."""
        return []

    def _check_document(self, names: Sequence[str]) -> None:
        """Stop where settings or the document say what may not leave in its edition; sheets of many are looked at one by one."""
        check_stated(self.edition, settings=self.settings, names=names)

    def summary(self) -> str:
        """Return one line: product, period, edition, exams."""
        return f"{self.edition} edition of {self.product} {self.period.text}: {len(self.exam_ids)} exams"

    def __repr__(self) -> str:
        """Say what there is without a row of it."""
        return f"{type(self).__name__}({self.summary()})"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>"

    @property
    def marks(self) -> dict[str, Any]:
        """What a sheet says of itself."""
        return {
            "period": self.period.text,
            "issuer": self.settings.issuer,
            "document_no": self.document_no or self.settings.document_no,
            "issued_on": None if self.issued_on is None else self.issued_on.isoformat(),
            "archive_version": self.archive_version,
        }

    @property
    def opened_templates(self) -> TemplateFolder | None:
        """The local templates, opened."""
        from eduq.bulletins.template_folder import open_templates

        return None if self.templates is None else open_templates(self.templates)

    def write(
        self,
        folder: PathLike,
        *,
        formats: Sequence[str] | None = None,
        enter: Callable[[Path], None] | None = None,
        progress: Progress | None = None,
    ) -> list[Path]:
        """Write the documents into a folder, whole or not at all; the same draft gives the same bytes.

        Parameters
        ----------
        folder
            Replaced when an earlier run wrote it; refused when it holds anything else. Sheets of schools and teachers can be
            read by their owner alone.
        formats
            Of ``FORMATS``; ``USUAL`` by default: bulletin.md, .html, .docx, .pdf and tables.xlsx (of a bulletin also
            tables-<exam>.xlsx per exam of the period and, for the bureau, the page to explore them, review.html, with
            why/*.html). Of the sheets of all there is a folder per addressee and index.csv, without results.
        enter
            Called with the folder's content before it is put in its place.
        progress
            Called with stage, done, total.

        Returns
        -------
        list of Path
            What was written, run.json last; certificate.json says what was withheld and how that was proved. Of the sheets of
            all the list, index.csv, stands for them.

        Raises
        ------
        UsageError
            ``format_unknown``, ``output_not_ours``, ``output_unwritable``; ``paper_library_missing``: the library that sets a
            format is not installed.
        SettingsError
            The errors of local templates.
        DisclosureError
            ``outward_word``: settings, exam.toml, the document or a local template say what may not leave in this edition.
        """
        wanted = self.USUAL if formats is None else tuple(formats)
        if unknown := [name for name in wanted if name not in self.FORMATS]:
            raise UsageError("format_unknown", format=unknown[0], known=", ".join(self.FORMATS))
        target = Path(folder)
        written: list[str] = []

        names = self._names()
        self._check_document(names)

        def write(part: Path) -> None:
            self._write_formats(part, wanted, progress)
            if not self.MANY:  # the sheets of all are looked at one by one as they are written
                check_files(part, edition=self.edition, names=names, templates=self.opened_templates)
            self._write_certificate(part)
            hashes = file_hashes(part)
            written.extend([*(name for name in hashes if not self.MANY or "/" not in name), RUN_RECORD])
            record = json.dumps(self._record(wanted, hashes), ensure_ascii=False, indent=2)
            (part / RUN_RECORD).write_text(record + "\n", encoding="utf-8")
            if self.PRIVATE:
                _close(part)
            if enter is not None:
                enter(part)

        replace_folder(target, write)
        return [target / name for name in written]

    def _write_certificate(self, part: Path) -> None:
        proofs = {name: one.as_dict() for name, one in self._certificates().items() if one is not None}
        if proofs:
            told = json.dumps(proofs, ensure_ascii=False, indent=2)
            (part / "certificate.json").write_text(told + "\n", encoding="utf-8")

    def _record(self, formats: Sequence[str], hashes: dict[str, str]) -> dict[str, Any]:
        return {
            "schema": 1,
            "product": self.product,
            "period": self.period.text,
            "first": self.period.first.isoformat(),
            "last": self.period.last.isoformat(),
            "as_of": self.day.isoformat(),
            "edition": self.edition,
            "lang": self.lang,
            "unit": self.unit,
            "archive_version": self.archive_version,
            "exams": list(self.exam_ids),
            "inputs": self.inputs.key if self.issued_on is None else self.inputs.own,
            "draft": self.issued_on is None,
            "formats": sorted(set(formats)),
            "files": hashes,
            "settings": self.settings.model_dump(mode="json"),
            "versions": versions(),
        }


def _close(folder: Path) -> None:
    """Let nobody but the owner read a folder and what is in it."""
    folder.chmod(0o700)
    for path in sorted(folder.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)


def write_document(
    context: dict[str, Any], folder: Path, formats: Sequence[str], templates: TemplateFolder | None, *, stem: str = "bulletin"
) -> None:
    """Write a document in every format but a workbook."""
    from eduq.bulletins.render import render_html, render_markdown
    from eduq.pipeline.papers import write_papers

    if "html" in formats:
        (folder / f"{stem}.html").write_text(render_html(context, templates=templates), encoding="utf-8")
    if "md" in formats:
        (folder / f"{stem}.md").write_text(render_markdown(context, templates=templates), encoding="utf-8")
    write_papers(context, folder, formats, stem=stem, templates=templates)


def write_tables(context: dict[str, Any], path: Path, formats: Sequence[str]) -> None:
    """Write the tables of a document as a workbook: what is printed and no more."""
    from eduq.bulletins.table_book import write_table_book

    if "xlsx" in formats:
        write_table_book(context, path)


@dataclass(frozen=True, kw_only=True, repr=False)
class BulletinDraft(Draft):
    """A bulletin: ``publishable`` is what the edition may show, ``archive`` where the pages of reasons come from (None: none)."""

    publishable: PublishableProduct
    archive: Archive | None = None

    FORMATS: ClassVar[tuple[str, ...]] = ("md", "html", "docx", "pdf", "xlsx", "review")
    PRIVATE: ClassVar[bool] = False

    @cached_property
    def context(self) -> dict[str, Any]:
        """The bulletin context, version 1: all that a renderer sees."""
        from eduq.bulletins.products import build_product_context

        context = build_product_context(self.publishable, self.lang)
        if self.issued_on is not None:
            context["meta"] |= {"draft": False, "document_no": self.document_no, "date": self.issued_on.isoformat()}
        return context

    def summary(self) -> str:
        """Return one line: product, period, edition, exams, open items."""
        return f"{super().summary()}, {self.publishable.open_items.height} open"

    def shown(self) -> list[Shown]:
        """Return which cells it shows and which it protects, for the ledger of issued editions."""
        return [exam.shown for exam in self.publishable.exams if exam.shown is not None]

    def _certificates(self) -> Mapping[str, Certificate | None]:
        return {str(exam.exam.exam.id): exam.certificate for exam in self.publishable.exams}

    def _names(self) -> list[str]:
        return [] if self.edition == "bureau" else known_names(self.publishable.exams, self.archive)

    def _check_document(self, names: Sequence[str]) -> None:
        from eduq.bulletins.outward_texts import check_document

        check_stated(self.edition, settings=self.settings, exams=[one.exam for one in self.publishable.exams], names=names)
        check_document(self.context, edition=self.edition, names=names)

    def _write_formats(self, part: Path, formats: Sequence[str], progress: Progress | None) -> None:
        from eduq.bulletins.workbook import write_workbook
        from eduq.pipeline.reviews import write_review

        shown = self.publishable
        write_document(self.context, part, formats, self.opened_templates)
        # a workbook of an exam would hold more than they read; of a subject's exams only the subject is left
        own = self.edition == "student" or (self.unit is not None and shown.product != "subject")
        parts = (*self.context["sections"], *self.context["annexes"])
        if own or any(block["type"] == "table" for held in parts for block in held["blocks"]):
            write_tables(self.context, part / "tables.xlsx", formats)
        if "xlsx" in formats and not own:
            for exam in shown.exams:
                write_workbook(exam, self.lang, part / f"tables-{exam.exam.exam.id}.xlsx")
        if "review" in formats and shown.exams and self.edition == "bureau":
            day = min(shown.today, shown.last)
            write_review(
                shown.exams[::-1], part, lang=self.lang, archive=self.archive, as_of=day, templates=self.opened_templates
            )
