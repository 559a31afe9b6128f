"""The products of the cadence from an archive: facts of a period, what an edition may show of them, the document."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

from eduq.archive import Archive
from eduq.disclosure.editions import EXAM_EDITIONS, check_edition
from eduq.disclosure.products import Product, PublishableProduct, protect_product
from eduq.errors import UsageError
from eduq.locale import Lang
from eduq.manifest import versions
from eduq.pipeline.clock import Progress
from eduq.pipeline.documents import RUN_RECORD
from eduq.pipeline.periods import Period, current_period, parse_period
from eduq.pipeline.product_facts import collect_facts, refuse_unit
from eduq.pipeline.product_folder import file_hashes, replace_folder
from eduq.pipeline.product_ledger import ProductInputs, find_inputs
from eduq.pipeline.stored_exams import open_named
from eduq.settings import RunSettings

__all__ = ["FORMATS", "USUAL_FORMATS", "BulletinDraft", "ProductRequest", "make_bulletin", "request_product"]

PathLike = str | os.PathLike[str]
FORMATS = ("md", "html", "docx", "pdf", "xlsx", "review")
"""Formats a product can be written in."""
USUAL_FORMATS = ("md", "html", "docx", "xlsx")


@dataclass(frozen=True)
class ProductRequest:
    """What is to be made, checked, and what it would be made from.

    Attributes
    ----------
    archive
        As of the version that is read.
    product, period, edition, lang, unit, settings, packs, templates
        What was asked for; the period is the last complete one where none was named.
    day
        The day it speaks of: the last of the period, or today if that comes before.
    inputs
        What it would be made from.
    """

    archive: Archive
    product: Product
    period: Period
    edition: str
    lang: Lang
    unit: str | None
    settings: RunSettings
    packs: tuple[str, ...]
    templates: Path | None
    day: dt.date
    inputs: ProductInputs

    def pinned(self, version: int) -> ProductRequest:
        """Return the same request as of another archive version, with the inputs it has here."""
        return dataclasses.replace(self, archive=open_named(self.archive.path, version))

    def make(self, progress: Progress | None = None) -> BulletinDraft:
        """Collect the facts and protect them."""
        before = self.inputs.before
        facts = collect_facts(
            self.archive,
            product=self.product,
            period=self.period,
            day=self.day,
            settings=self.settings,
            packs=self.packs,
            unit=self.unit,
            based_on=None if before is None else before.based_on,
            last_issue=None if before is None else before.issued_on,
            progress=progress,
        )
        publishable = protect_product(facts, edition=self.edition, issued=self.archive.issued())
        return BulletinDraft(publishable, lang=self.lang, inputs=self.inputs, templates=self.templates, archive=self.archive)


@dataclass(frozen=True)
class BulletinDraft:
    """One product, ready to be written.

    Attributes
    ----------
    publishable
        What the edition may show.
    lang
        Language of the documents.
    inputs
        What it was made from.
    templates
        Folder of local templates.
    document_no, issued_on
        Of an issued document; None for a draft.
    archive
        Where the pages of reasons beside the page to explore come from; None: there are none.
    """

    publishable: PublishableProduct
    lang: Lang
    inputs: ProductInputs
    templates: Path | None = None
    document_no: str | None = None
    issued_on: dt.date | None = None
    archive: Archive | None = None

    @cached_property
    def context(self) -> dict[str, Any]:
        """The bulletin context, version 1: all that a renderer sees."""
        from eduq.bulletins.products import build_product_context

        context = build_product_context(self.publishable, self.lang)
        if self.issued_on is not None:
            context["meta"] |= {"draft": False, "document_no": self.document_no, "date": self.issued_on.isoformat()}
        return context

    def summary(self) -> str:
        """Return one line: product, period, edition, exams."""
        shown = self.publishable
        return (
            f"{shown.edition} edition of {shown.product} {shown.period}: {len(shown.exams)} exams, {shown.open_items.height} open"
        )

    def __repr__(self) -> str:
        """Say what there is without a row of it."""
        return f"BulletinDraft({self.summary()})"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>"

    def write(
        self, folder: PathLike, *, formats: Sequence[str] = USUAL_FORMATS, enter: Callable[[Path], None] | None = None
    ) -> list[Path]:
        """Write the documents into a folder, whole or not at all; the same draft gives the same bytes.

        Parameters
        ----------
        folder
            Replaced when an earlier run wrote it; refused when it holds anything else.
        formats
            Of `FORMATS`: bulletin.md, bulletin.html, bulletin.docx, bulletin.pdf, tables-<exam>.xlsx per exam of the period, and
            for the bureau the page to explore them, review.html, with why/*.html; of a period without an exam there is none.
        enter
            Called with the folder's content before it is put in its place.

        Returns
        -------
        list of Path
            What was written, run.json last; certificate.json says what was withheld and how that was proved.

        Raises
        ------
        UsageError
            ``format_unknown``, ``output_not_ours``, ``output_unwritable``; ``paper_library_missing``: the library that sets a
            format is not installed.
        SettingsError
            The errors of local templates.
        """
        if unknown := [name for name in formats if name not in FORMATS]:
            raise UsageError("format_unknown", format=unknown[0], known=", ".join(FORMATS))
        target = Path(folder)
        written: list[str] = []

        def write(part: Path) -> None:
            self._write_formats(part, formats)
            self._write_certificate(part)
            hashes = file_hashes(part)
            written.extend([*hashes, RUN_RECORD])
            record = json.dumps(self._record(formats, hashes), ensure_ascii=False, indent=2)
            (part / RUN_RECORD).write_text(record + "\n", encoding="utf-8")
            if enter is not None:
                enter(part)

        replace_folder(target, write)
        return [target / name for name in written]

    def _write_formats(self, part: Path, formats: Sequence[str]) -> None:
        from eduq.bulletins.pdf import write_pdf
        from eduq.bulletins.render import render_html, render_markdown
        from eduq.bulletins.template_folder import open_templates
        from eduq.bulletins.word import write_word
        from eduq.bulletins.workbook import write_workbook
        from eduq.pipeline.reviews import write_review

        local = None if self.templates is None else open_templates(self.templates)
        if "html" in formats:
            (part / "bulletin.html").write_text(render_html(self.context, templates=local), encoding="utf-8")
        if "md" in formats:
            (part / "bulletin.md").write_text(render_markdown(self.context, templates=local), encoding="utf-8")
        if "docx" in formats:
            write_word(self.context, part / "bulletin.docx")
        if "pdf" in formats:
            write_pdf(self.context, part / "bulletin.pdf")
        if "xlsx" in formats:
            for exam in self.publishable.exams:
                write_workbook(exam, self.lang, part / f"tables-{exam.exam.exam.id}.xlsx")
        if "review" in formats and self.publishable.exams:
            shown = self.publishable
            day = min(shown.today, shown.last)
            write_review(shown.exams[::-1], part, lang=self.lang, archive=self.archive, as_of=day)

    def _write_certificate(self, part: Path) -> None:
        """Write what was withheld of each exam and how that was proved."""
        proofs = {
            str(exam.exam.exam.id): exam.certificate.as_dict() for exam in self.publishable.exams if exam.certificate is not None
        }
        if proofs:
            told = json.dumps(proofs, ensure_ascii=False, indent=2)
            (part / "certificate.json").write_text(told + "\n", encoding="utf-8")

    def _record(self, formats: Sequence[str], hashes: dict[str, str]) -> dict[str, Any]:
        shown = self.publishable
        return {
            "schema": 1,
            "product": shown.product,
            "period": shown.period,
            "first": shown.first.isoformat(),
            "last": shown.last.isoformat(),
            "as_of": shown.today.isoformat(),
            "edition": shown.edition,
            "lang": self.lang,
            "unit": shown.unit,
            "archive_version": shown.archive_version,
            "exams": [str(exam.exam.exam.id) for exam in shown.exams],
            "inputs": self.inputs.key,
            "draft": self.issued_on is None,
            "formats": sorted(set(formats)),
            "files": hashes,
            "settings": shown.settings.model_dump(mode="json"),
            "versions": versions(),
        }


def request_product(
    archive: PathLike | Archive,
    *,
    product: Product,
    period: str | None = None,
    edition: str = "bureau",
    lang: Lang = "zh",
    today: dt.date,
    settings: RunSettings | None = None,
    unit: str | None = None,
    templates: PathLike | None = None,
    packs: Sequence[str] = (),
    archive_version: int | None = None,
) -> ProductRequest:
    """Check what is asked for and find what it would be made from; arguments and errors as in `make_bulletin`."""
    from eduq.bulletins.products import BUILDERS

    check_edition(edition, EXAM_EDITIONS)
    wanted = current_period(product, today) if period is None else parse_period(period, product)
    if product not in BUILDERS:
        raise UsageError("product_not_available", product=product, known=", ".join(BUILDERS))
    refuse_unit(product, unit)
    if wanted.first > today:
        raise UsageError("period_ahead", period=wanted.text, today=today.isoformat())
    store = open_named(archive, archive_version)
    run = settings or RunSettings()
    day = min(today, wanted.last)
    folder = None if templates is None else Path(templates)
    inputs = find_inputs(
        store, product=product, period=wanted, edition=edition, lang=lang, unit=unit, day=day, settings=run, packs=packs,
        templates=folder,
    )  # fmt: skip
    return ProductRequest(
        store, product, wanted, edition, lang, unit, run, tuple(packs), folder, day, inputs
    )  # fmt: skip


def make_bulletin(
    archive: PathLike | Archive,
    *,
    product: Product,
    period: str | None = None,
    edition: str = "bureau",
    lang: Lang = "zh",
    today: dt.date,
    settings: RunSettings | None = None,
    unit: str | None = None,
    templates: PathLike | None = None,
    packs: Sequence[str] = (),
    progress: Progress | None = None,
) -> BulletinDraft:
    """Make a product of the cadence from an archive: a draft that a person reads, mends and issues.

    Parameters
    ----------
    archive
        Folder of an archive, or an opened one.
    product
        check, dispatch, quarterly, term, annual, government, research.
    period
        ``2025-11`` (check; dispatch: the two months ending there), ``2025Q4``, ``2025-2026-1``, ``2025-2026``; the last complete
        one before `today` when left out. A period without an exam gives a bulletin that says so.
    edition
        Audience: ``bureau``, ``government`` or ``public``; the last is the public text of the period, whatever the product.
    lang
        ``zh`` or ``en``.
    today
        What is dated later is not known. Once a period is over its bulletin no longer depends on it.
    settings
        Run settings; defaults when left out.
    unit
        The school, teacher or subject of a product for one.
    templates
        Folder of local templates for Markdown and HTML.
    packs
        Rule packs to judge by; by default those that ``registers/packs.toml`` states to be in force.
    progress
        Called with stage, done, total.

    Returns
    -------
    BulletinDraft
        ``.context`` is what templates see, ``.write(folder)`` writes the documents.

    Raises
    ------
    UsageError
        ``product_unknown``, ``product_not_available``, ``period_unfit``, ``period_ahead``, ``product_unit_missing``,
        ``product_unit_unfit``.
    DisclosureError
        ``edition_unknown``, ``edition_not_available``.
    EduqError
        What the archive, the registers or a rule pack raise.

    Examples
    --------
    >>> import datetime as dt, tempfile
    >>> import eduq as eq
    >>> from eduq.archive import create_archive
    >>> folder = Path(tempfile.mkdtemp())
    >>> archive = create_archive(folder / "archive", key_file=folder / "archive.key")
    >>> eq.make_bulletin(archive, product="quarterly", today=dt.date(2026, 1, 5))
    BulletinDraft(bureau edition of quarterly 2025Q4: 0 exams, 0 open)
    """
    asked = request_product(
        archive, product=product, period=period, edition=edition, lang=lang, today=today, settings=settings, unit=unit,
        templates=templates, packs=packs,
    )  # fmt: skip
    return asked.make(progress)
