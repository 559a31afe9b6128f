"""The products of the cadence from an archive: facts of a period, what an edition may show of them, the document."""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eduq.archive import Archive
from eduq.disclosure import protect
from eduq.disclosure.feedback import shown_to_teachers
from eduq.disclosure.products import Product, ProductFacts, protect_product
from eduq.disclosure.schools import SchoolReader
from eduq.disclosure.suppression import Shown
from eduq.errors import NotAssessableError, UsageError
from eduq.locale import Lang
from eduq.pipeline.clock import Progress
from eduq.pipeline.drafts import BulletinDraft, Draft
from eduq.pipeline.periods import Period, current_period, parse_period
from eduq.pipeline.product_editions import Form, find_form, usual_edition
from eduq.pipeline.product_facts import collect_facts, tell_news
from eduq.pipeline.product_ledger import ProductInputs, find_inputs, issued_before
from eduq.pipeline.product_subjects import name_subject
from eduq.pipeline.sheet_drafts import SchoolDraft, SchoolsDraft, TeacherDraft, TeachersDraft
from eduq.pipeline.stored_exams import open_named
from eduq.pipeline.teacher_packs import protect_teacher
from eduq.settings import RunSettings

__all__ = ["FORMATS", "ProductRequest", "make_bulletin", "request_product"]

PathLike = str | os.PathLike[str]
FORMATS = BulletinDraft.FORMATS
"""Formats a product can be written in."""
_DRAFTS: dict[Form, type[Draft]] = {
    "bulletin": BulletinDraft,
    "school": SchoolDraft,
    "schools": SchoolsDraft,
    "teacher": TeacherDraft,
    "teachers": TeachersDraft,
}


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
    form
        What is written.
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
    form: Form = "bulletin"

    @property
    def draft(self) -> type[Draft]:
        """What kind of draft is made."""
        return _DRAFTS[self.form]

    @property
    def needs_teaching(self) -> bool:
        """Whether teachers and classes have to be measured."""
        return self.form in ("teacher", "teachers")

    def pinned(self, version: int) -> ProductRequest:
        """Return the same request as of another archive version, with the inputs it has here."""
        return dataclasses.replace(self, archive=open_named(self.archive.path, version))

    def collect(self, progress: Progress | None = None, *, teaching: bool | None = None) -> ProductFacts:
        """Collect the facts; they serve every edition of the product and period."""
        return collect_facts(
            self.archive,
            product=self.product,
            period=self.period,
            day=self.day,
            settings=self.settings,
            packs=self.packs,
            unit=self.unit,
            teaching=self.needs_teaching if teaching is None else teaching,
            progress=progress,
        )

    def make(
        self, progress: Progress | None = None, *, facts: ProductFacts | None = None, issued: Sequence[str] | None = None
    ) -> Draft:
        """Protect the facts for the edition.

        Parameters
        ----------
        progress
            Called with stage, done, total.
        facts
            From `collect`; collected when left out.
        issued
            ``content`` of the ledger that the document must be safe beside; that of the archive by default.
        """
        before = self.inputs.before
        found = tell_news(
            self.collect(progress) if facts is None else facts,
            self.archive,
            self.period,
            based_on=None if before is None else before.based_on,
            last_issue=None if before is None else before.issued_on,
        )
        told = list(issued_before(self.archive) if issued is None else issued)
        same: dict[str, Any] = {
            "product": self.product,
            "period": self.period,
            "edition": self.edition,
            "lang": self.lang,
            "unit": self.unit,
            "settings": self.settings,
            "day": self.day,
            "archive_version": found.archive_version,
            "exam_ids": tuple(str(one.scores.exam.exam.id) for one in found.exams),
            "inputs": self.inputs,
            "templates": self.templates,
        }
        if self.form == "bulletin":
            shown = protect_product(found, edition=self.edition, issued=told)
            return BulletinDraft(**same, publishable=shown, archive=self.archive)
        if self.needs_teaching:
            return self._for_teachers(found, same)
        return self._for_schools(found, told, same)

    def _for_teachers(self, facts: ProductFacts, same: dict[str, Any]) -> Draft:
        if self.unit is None:
            return TeachersDraft(**same, teaching=facts.teaching)
        self._refuse_nothing(facts)
        shown = protect_teacher(facts.teaching, self.unit)
        cells = tuple(shown_to_teachers(one, [self.unit]) for one in facts.teaching if self.unit in one.of_teacher)
        return TeacherDraft(**same, publishable=shown, cells=cells)

    def _for_schools(self, facts: ProductFacts, told: list[str], same: dict[str, Any]) -> Draft:
        exams = tuple(protect(one, edition="bureau", issued=told) for one in facts.exams)
        if self.unit is None:
            return SchoolsDraft(**same, exams=exams, open_items=facts.open_items)
        self._refuse_nothing(facts)
        reader = SchoolReader(exams, open_items=facts.open_items)
        cells: tuple[Shown, ...] = tuple(reader.shown([self.unit]))
        return SchoolDraft(**same, school=reader.protect(self.unit), cells=cells)

    def _refuse_nothing(self, facts: ProductFacts) -> None:
        """Stop where no exam of the period tells anything of a unit."""
        if not (facts.teaching if self.needs_teaching else facts.exams):
            raise NotAssessableError("sheet_without_exam", period=self.period.text, archive_version=facts.archive_version)


def request_product(
    archive: PathLike | Archive,
    *,
    product: Product,
    period: str | None = None,
    edition: str | None = None,
    lang: Lang = "zh",
    today: dt.date,
    settings: RunSettings | None = None,
    unit: str | None = None,
    templates: PathLike | None = None,
    packs: Sequence[str] = (),
    archive_version: int | None = None,
    mates: Sequence[str] = (),
) -> ProductRequest:
    """Check what is asked for and find what it would be made from; arguments and errors as in `make_bulletin`.

    ``mates`` are the editions that are made before it in the same run, in this order: it will be fitted to them.
    """
    from eduq.bulletins.products import BUILDERS

    wanted = current_period(product, today) if period is None else parse_period(period, product)
    named = usual_edition(product) if edition is None else edition
    form = find_form(product, named, unit)
    if form == "bulletin" and product not in BUILDERS:
        raise UsageError("product_not_available", product=product, known=", ".join((*BUILDERS, "school", "teacher")))
    if wanted.first > today:
        raise UsageError("period_ahead", period=wanted.text, today=today.isoformat())
    store = open_named(archive, archive_version)
    run = settings or RunSettings()
    day = min(today, wanted.last)
    if product == "subject" and unit is not None:
        unit = name_subject(store, unit, wanted, day)
    folder = None if templates is None else Path(templates)
    inputs = find_inputs(
        store, product=product, period=wanted, edition=named, lang=lang, unit=unit, day=day, settings=run, packs=packs,
        templates=folder, mates=mates,
    )  # fmt: skip
    return ProductRequest(
        store, product, wanted, named, lang, unit, run, tuple(packs), folder, day, inputs, form
    )  # fmt: skip


def make_bulletin(
    archive: PathLike | Archive,
    *,
    product: Product,
    period: str | None = None,
    edition: str | None = None,
    lang: Lang = "zh",
    today: dt.date,
    settings: RunSettings | None = None,
    unit: str | None = None,
    templates: PathLike | None = None,
    packs: Sequence[str] = (),
    progress: Progress | None = None,
) -> Draft:
    """Make a product of the cadence from an archive: a draft that a person reads, mends and issues.

    Parameters
    ----------
    archive
        Folder of an archive, or an opened one.
    product
        check, dispatch, quarterly, term, annual, government, research; school and teacher (with `unit`); school-packs; subject
        (with `unit`).
    period
        ``2025-11`` (check; dispatch: the two months ending there), ``2025Q4``, ``2025-2026-1``, ``2025-2026``; the last complete
        one before `today` when left out. A period without an exam gives a bulletin that says so.
    edition
        Audience; by default the one the product is made for: the school, the teacher, the government, else the bureau. Products
        of the cadence have all six: ``public`` and ``student`` are texts of their own, ``school`` and ``teacher`` the sheet of
        `unit` or, without one, the sheets of all.
    lang
        ``zh`` or ``en``.
    today
        What is dated later is not known. Once a period is over its bulletin no longer depends on it.
    settings
        Run settings; defaults when left out.
    unit
        The school, teacher or subject of a product for one.
    templates
        Folder of local templates.
    packs
        Rule packs to judge by; by default those that ``registers/packs.toml`` states to be in force.
    progress
        Called with stage, done, total.

    Returns
    -------
    Draft
        ``.write(folder)`` writes the documents; of one document ``.context`` is what templates see, ``.publishable`` what the
        edition may show.

    Raises
    ------
    UsageError
        ``product_unknown``, ``product_not_available``, ``period_unfit``, ``period_ahead``, ``product_unit_missing``,
        ``product_unit_unfit``, ``school_unknown``, ``teacher_unknown``, ``teachers_missing`` (there is no register of them).
    NotAssessableError
        ``sheet_without_exam``: nothing to tell a school or teacher of.
    DisclosureError
        ``edition_unknown``, ``edition_unfit`` (not an edition of that product), and those of `eduq.protect`.
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
