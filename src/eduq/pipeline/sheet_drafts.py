"""Sheets ready to be written: of one school or teacher, and of all of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from eduq.disclosure.exams import Publishable
from eduq.disclosure.feedback import PublishableFeedback, shown_to_teachers
from eduq.disclosure.schools import PublishableSchool, SchoolReader
from eduq.disclosure.suppression import Certificate, Shown
from eduq.estimates.teaching import TeachingTable
from eduq.pipeline.clock import Progress
from eduq.pipeline.drafts import Draft, write_document, write_tables

__all__ = ["SchoolDraft", "SchoolsDraft", "TeacherDraft", "TeachersDraft"]


# ---- one sheet --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, repr=False)
class SheetDraft(Draft):
    """The sheet of one addressee: ``cells`` are its own figures, for the ledger of issued editions."""

    cells: tuple[Shown, ...]

    @cached_property
    def context(self) -> dict[str, Any]:
        """The bulletin context, version 1."""
        return self._build_context()

    @abstractmethod
    def _build_context(self) -> dict[str, Any]:
        """Arrange the sheet for printing."""

    def shown(self) -> list[Shown]:
        """Return the addressee's own cells."""
        return list(self.cells)

    def _check_document(self, names: Sequence[str]) -> None:
        from eduq.bulletins.outward_texts import check_document

        super()._check_document(names)
        check_document(self.context, edition=self.edition, names=names)

    def _write_formats(self, part: Path, formats: Sequence[str], progress: Progress | None) -> None:
        write_document(self.context, part, formats, self.opened_templates)
        write_tables(self.context, part / "tables.xlsx", formats)


# ---- sheets of schools ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, repr=False)
class SchoolDraft(SheetDraft):
    """The sheet of one school over the exams of a period."""

    school: PublishableSchool

    @property
    def publishable(self) -> PublishableSchool:
        """What the school may see."""
        return PublishableSchool(edition="school", fields=self.school.fields | self.marks)

    def _build_context(self) -> dict[str, Any]:
        from eduq.bulletins.products.school import build_school_context

        return build_school_context(self.publishable, self.lang)

    def _names(self) -> list[str]:
        return [str(self.school.fields["school"]["name"])]


@dataclass(frozen=True, kw_only=True, repr=False)
class SchoolsDraft(Draft):
    """The sheets of all schools, a folder for each."""

    exams: tuple[Publishable, ...]
    open_items: pl.DataFrame

    MANY: ClassVar[bool] = True
    USUAL: ClassVar[tuple[str, ...]] = ("html", "md", "xlsx")

    def shown(self) -> list[Shown]:
        """Return the cells of all sheets, for the ledger of issued editions."""
        reader = SchoolReader(self.exams)
        return reader.shown(reader.names)

    def _certificates(self) -> Mapping[str, Certificate | None]:
        return {str(exam.exam.exam.id): exam.certificate for exam in self.exams}

    def _write_formats(self, part: Path, formats: Sequence[str], progress: Progress | None) -> None:
        from eduq.pipeline.school_packs import write_school_packs

        write_school_packs(
            self.exams, part, lang=self.lang, formats=formats, templates=self.templates, open_items=self.open_items,
            marks=self.marks, progress=progress,
        )  # fmt: skip


# ---- sheets of teachers -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, repr=False)
class TeacherDraft(SheetDraft):
    """The sheet of one teacher: a part for each exam of the period in which the teacher taught."""

    publishable: tuple[PublishableFeedback, ...]

    def _build_context(self) -> dict[str, Any]:
        from eduq.bulletins.products.teacher import build_teacher_context

        return build_teacher_context(self.publishable, self.lang, marks=self.marks)

    def _names(self) -> list[str]:
        return sorted({str(one.fields["addressee"]["school"]) for one in self.publishable})


@dataclass(frozen=True, kw_only=True, repr=False)
class TeachersDraft(Draft):
    """The sheets of all teachers, a folder for each."""

    teaching: tuple[TeachingTable, ...]

    MANY: ClassVar[bool] = True
    USUAL: ClassVar[tuple[str, ...]] = ("html", "md", "xlsx")

    def shown(self) -> list[Shown]:
        """Return the means of all classes with a teacher, for the ledger of issued editions."""
        return [shown_to_teachers(one, one.of_teacher) for one in self.teaching]

    def _write_formats(self, part: Path, formats: Sequence[str], progress: Progress | None) -> None:
        from eduq.pipeline.teacher_packs import write_teacher_packs

        write_teacher_packs(
            self.teaching, part, lang=self.lang, formats=formats, templates=self.opened_templates, marks=self.marks,
            progress=progress,
        )  # fmt: skip
