"""Read files again and again, with stand-ins for the answers that are missing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from eduq.dry_run.wording import Question
from eduq.errors import DataFileError, EduqError, NotAssessableError, SettingsError
from eduq.groups import check_comparability
from eduq.intake import ScoreTable, read_scores
from eduq.intake.checks import CheckList
from eduq.intake.columns import IGNORE
from eduq.intake.exam_file import ExamFile
from eduq.intake.files import FoundFiles
from eduq.intake.questions import Asked
from eduq.registers import apply_registers, read_registers

__all__ = ["DryRun", "Progress"]

Progress = Callable[[str, int, int], None]
PathLike = str | os.PathLike[str]
_STAND_IN = "unknown_{}"
"""Code of a column of numbers that is read as a paper for the time being."""
_MOST_PASSES = 200


class DryRun:
    """Reads again and again, with stand-ins for the answers that are missing."""

    def __init__(self, found: FoundFiles, exam: ExamFile, layout: PathLike | None, progress: Progress | None) -> None:
        self.found = found
        self.stated = exam
        self.exam = exam
        self.layout = layout
        self.progress = progress
        self.checks = CheckList()
        self.errors: list[EduqError] = []
        self.asked: list[Asked] = []
        self.questions: list[Question] = []
        self.one_school = False
        self.left_out = False
        self.stand_ins: dict[str, str] = {}
        self.as_papers = False

    @property
    def provisional(self) -> bool:
        """Whether any answer is a stand-in."""
        return bool(self.questions) or self.left_out

    def read(self) -> ScoreTable | None:
        """Return the scores, or None when something stops the reading that no stand-in helps against."""
        for _ in range(_MOST_PASSES):
            self.checks = CheckList()
            more: dict[str, Any] = {} if self.layout is None else {"layout": self.layout}
            try:
                return read_scores(self.found, self.exam, progress=self.progress, checks=self.checks, **more)
            except EduqError as error:
                if not self._go_on(error):
                    return None
        return None

    def _go_on(self, error: EduqError) -> bool:
        """Note an error; return whether reading on, with a stand-in for the answer, makes sense."""
        if error.params.get("asked"):
            return self._answer(error)
        if error.code == "no_school_column" and not self.one_school:
            self.one_school = True
            self._ask(error, Question(True, error.code, "exam", "scope", error.place))
            return self._state("exam", {"scope": "school"})
        if error.code == "flag_column":
            key = str(error.params["header"])
            self._ask(error, Question(True, error.code, "columns", key, error.place))
            return self._state("columns", {key: IGNORE}) or self._leave_out(error)
        if error.code in ("school_from_sheet", "layout_ambiguous") and self.layout is None:
            self._ask(error, Question(True, error.code, "layout", "--layout", error.place, near=_choices(error)))
            self.layout = _choices(error).split(" / ")[0]
            return True
        if error.code == "paper_unclear" and not self.exam.papers:
            self._ask(error, Question(True, error.code, "papers", "code", error.place))
            code = self.stand_ins["[[papers]]"] = _STAND_IN.format(0)
            self.exam = ExamFile.model_validate({**self.exam.model_dump(by_alias=True), "papers": [{"code": code}]})
            return True
        if error.code in ("no_paper", "group_table") and self.stand_ins and not self.as_papers:
            return self._read_as_papers()
        if error.code == "columns_key_unused":
            if not self.left_out and error.place.column not in self.stand_ins:
                self.errors.append(error)
            return self._forget("columns", str(error.place.column))
        if error.code == "paper_without_column":
            if not self.left_out:
                self.errors.append(error)
            return self._forget("papers", str(error.params["code"]))
        self.errors.append(error)
        return self._leave_out(error)

    def _answer(self, error: EduqError) -> bool:
        """Note what an error asks; blanks and symbols stand for an absence, unknown columns are left aside."""
        known = {(one.section, one.key) for one in self.asked}
        asked: tuple[Asked, ...] = tuple(error.params["asked"])  # type: ignore[arg-type]
        news = [one for one in asked if (one.section, one.key) not in known]
        self.errors.append(error)
        if not news:
            return self._leave_out(error)
        self.asked += news
        for one in news:
            about = (one.section, one.key, one.place, one.n, one.near, one.about)
            self.questions.append(Question(True, f"unknown_{one.section}", *about))
        for section, stand_in in (("symbols", "absent"), ("columns", IGNORE)):
            answers = {one.key: stand_in for one in news if one.section == section}
            if answers and section == "columns":
                self.stand_ins |= answers
            if answers and not self._state(section, answers):
                return False
        return True

    def _ask(self, error: EduqError, question: Question) -> None:
        self.errors.append(error)
        self.questions.append(question)

    def _state(self, section: str, answers: Mapping[str, object]) -> bool:
        """Put answers into a section of the exam for the time being; return whether that changed anything."""
        before = self.exam
        section_before = getattr(before, section)
        if isinstance(section_before, dict):
            after: Any = {**section_before, **answers}
        else:
            after = section_before.model_copy(update=dict(answers))
        self.exam = before.model_copy(update={section: after})
        return self.exam != before

    def _forget(self, section: str, key: str) -> bool:
        """Take a line out of the exam that the files have nothing for."""
        before = getattr(self.exam, section)
        if section == "papers":
            after: Any = tuple(paper for paper in before if paper.code != key)
        else:
            after = {name: value for name, value in before.items() if name != key}
        changed = len(after) < len(before)
        self.exam = self.exam.model_copy(update={section: after})
        return changed

    def _read_as_papers(self) -> bool:
        """Without the unknown columns there is no score: take them for papers of their own."""
        self.as_papers = True
        codes = {header: _STAND_IN.format(number) for number, header in enumerate(self.stand_ins, 1)}
        self.stand_ins = codes
        papers = [{"code": code} for code in codes.values()]
        stated = self.exam.model_dump(by_alias=True)
        stated["columns"] = {**stated["columns"], **codes}
        stated["papers"] = [*stated["papers"], *papers]
        self.exam = ExamFile.model_validate(stated)
        return True

    def _leave_out(self, error: EduqError) -> bool:
        """Leave the file out that an error is about, when there are others."""
        if isinstance(error, SettingsError):
            return False
        rest = tuple(file for file in self.found.data if file.name != error.place.file)
        if not rest or len(rest) == len(self.found.data):
            return False
        self.left_out = True
        self.found = replace(self.found, data=rest)
        return True

    def finish(self, table: ScoreTable, registers: PathLike | None) -> list[tuple[str, str]]:
        """Do what `analyze` does next; return school names that may be those of the register."""
        if table.frame.height == 0:
            self.errors.append(NotAssessableError("no_rows_used", n=table.rejected.height))
            return []
        near: list[tuple[str, str]] = []
        try:
            if registers is not None:
                table = apply_registers(table, read_registers(Path(registers)))
            check_comparability(table)
        except DataFileError as error:
            self.errors.append(error)
            pairs = [line.removesuffix("?").split(" → ") for line in str(error.params.get("schools", "")).split("; ")]
            near = [(pair[0], pair[1]) for pair in pairs if len(pair) == 2]
        except SettingsError as error:
            self.errors.append(error)
        return near


def _choices(error: EduqError) -> str:
    """Return the layouts a person has to choose from."""
    return " / ".join(str(error.params[name]) for name in ("one", "other") if name in error.params) or "sheet-per-school"
