"""The county's calendar of exams, and what each exam.toml states."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

import numpy as np

from eduq.intake.exam_file import ExamFile
from eduq.synthetic.cohort import SUBJECTS, Subject
from eduq.synthetic.county import COUNTY, County

__all__ = ["GROUP_SUBJECTS", "SESSIONS", "Session", "exam_facts"]

GROUP_SUBJECTS: dict[str, tuple[Subject, ...]] = {
    "G8": tuple(subject for subject in SUBJECTS if subject.code != "chemistry"),
    "G9": tuple(subject for subject in SUBJECTS if subject.code not in ("biology", "geography")),
}
"""What pupils of a year group sit."""
WEDNESDAY = 2


@dataclass(frozen=True)
class Session:
    """One of the year's exams.

    Attributes
    ----------
    year_group, term, kind
        Make its id, such as ``2025-2-g9-final``.
    month, week
        It begins on that Wednesday of the month.
    title
        Its name after 学年第几学期.
    purpose, legal_basis
        As registered.
    occasion
        Which exam of the cohort it is, from 0.
    deviates
        In the newest year one small school marks its own papers.
    """

    year_group: Literal["G8", "G9"]
    term: Literal[1, 2]
    kind: str
    month: int
    week: int
    title: str
    purpose: str
    legal_basis: str
    occasion: int
    deviates: bool = False

    def begins(self, year: int) -> dt.date:
        """Return its first day in the school year that begins in `year`."""
        start = dt.date(year + self.term - 1, self.month, 1)
        return start + dt.timedelta(days=(WEDNESDAY - start.weekday()) % 7 + 7 * (self.week - 1))


_MONITORING = f"{COUNTY}义务教育教学质量监测工作方案"
SESSIONS = (
    Session("G8", 1, "mid", 11, 2, "八年级期中质量监测", "monitoring", _MONITORING, 0),
    Session("G9", 1, "mid", 11, 2, "九年级期中模拟检测", "mock", f"{COUNTY}九年级模拟考试安排", 2),
    Session("G9", 2, "final", 6, 1, "九年级毕业质量检测", "graduation", f"{COUNTY}初中毕业检测工作安排", 3, deviates=True),
    Session("G8", 2, "final", 6, 4, "八年级期末质量监测", "monitoring", _MONITORING, 1),
)
"""The exams of a school year, in the order of their dates."""


def exam_facts(county: County, year: int, session: Session, *, numbers: bool, deviation: bool) -> ExamFile:
    """State an exam.

    Parameters
    ----------
    county
        The county.
    year
        First calendar year of the school year.
    session
        The exam.
    numbers
        Its file holds numbers only: nothing means absent.
    deviation
        One small school, where there is one, marked its own papers.
    """
    begins = session.begins(year)
    subjects = GROUP_SUBJECTS[session.year_group]
    codes = [subject.code for subject in subjects]
    small = [i for i in np.flatnonzero(county.fixed_sizes) if county.clusters[i] == 1] if deviation else []
    return ExamFile.model_validate(
        {
            "schema": 1,
            "attest": dict.fromkeys(("pace", "paper", "sitting", "marking"), "yes"),
            "symbols": {"": "absent"} if numbers else {"-": "absent"},
            "exam": {
                "id": f"{year}-{session.term}-{session.year_group.lower()}-{session.kind}",
                "name": f"{year}—{year + 1}学年第{'一二'[session.term - 1]}学期{session.title}",
                "school_year": f"{year}-{year + 1}",
                "term": session.term,
                "date": begins,
                "year_group": session.year_group,
                "scope": "county",
                "purpose": session.purpose,
                "legal_basis": session.legal_basis,
                "stable_id": "student_uid",
            },
            "papers": [
                {
                    "code": subject.code,
                    "subject": subject.code,
                    "max_score": subject.max_score,
                    "score_step": 0.5,
                    "sitting": f"{begins + dt.timedelta(days=subject.day)}T{subject.time}",
                    "marking": "central",
                }
                for subject in subjects
            ],
            "deviations": [
                {"schools": [county.school_ids[i]], "change": {"papers": codes, "marking": "school", "reason": "未参加统一阅卷"}}
                for i in small[:1]
            ],
        }
    )
