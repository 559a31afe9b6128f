"""The pupils of a cohort over two years, and what they scored in an exam.

A pupil's standing in a subject is, in SD of the candidates,

    school (composite and subject) + class (composite and subject) + general + domain + own part of the subject,

where general and domain move on from half-year to half-year and half of the own part lasts. The score is the full mark
times a logistic curve of that standing, rounded to half marks: bounded, skewed and heaped as scores are. Papers differ in
difficulty from exam to exam.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from eduq.synthetic.county import CLASS_SIZE, County, IntArray, stream
from eduq.synthetic.effects import SCHOOL_SD, SCHOOL_SUBJECT_SD, SHOCK_SD, FloatArray
from eduq.tables import STATUSES

__all__ = ["SUBJECTS", "Cohort", "Sitting", "Subject", "composite_scale", "draw_sitting", "enrol", "move_on", "move_up"]

CLASS_SD = 0.12
CLASS_SUBJECT_SD = 0.08
GENERAL_SD = 0.70
DOMAIN_SD = 0.26
OWN_SD = 0.52
OWN_LASTING = 0.5
"""Share of the variance of a pupil's own part of a subject that is the same in every exam."""
HALF_YEAR_CORRELATION = 0.92
"""Of general and domain ability from one exam to the next; .85 over a year."""
LEAVING = 0.025
"""Share of a cohort that leaves its school between two school years; others take the places."""
MOVING_INSIDE = 0.35
"""Share of those who leave that go to another school of the county."""
STRETCH = 1.02
"""Lifts the curve a little above the full mark, so that a few candidates reach it."""
STATUS_CODE = {status: code for code, status in enumerate(STATUSES)}


@dataclass(frozen=True)
class Subject:
    """A paper of the sample: its full mark, where its scores lie (logit of the score rate) and how far they spread."""

    code: str
    zh: str
    max_score: int
    centre: float
    spread: float
    domain: str
    girls: float
    day: int
    time: str


SUBJECTS = (
    Subject("chinese", "语文", 120, 0.92, 0.60, "letters", 0.16, 0, "08:30"),
    Subject("math", "数学", 120, 0.55, 1.05, "science", -0.02, 0, "14:30"),
    Subject("english", "英语", 120, 0.42, 1.22, "letters", 0.18, 1, "08:30"),
    Subject("physics", "物理", 100, 0.45, 0.92, "science", -0.08, 1, "14:30"),
    Subject("chemistry", "化学", 100, 0.62, 0.98, "science", -0.03, 1, "16:10"),
    Subject("politics", "道德与法治", 100, 0.78, 0.66, "letters", 0.10, 2, "08:30"),
    Subject("history", "历史", 100, 0.66, 0.80, "letters", 0.04, 2, "10:00"),
    Subject("biology", "生物", 100, 0.70, 0.85, "science", 0.02, 2, "14:30"),
    Subject("geography", "地理", 100, 0.64, 0.80, "letters", -0.02, 2, "16:00"),
)


@dataclass(frozen=True)
class Cohort:
    """Rows are places at schools, in the order of schools and classes; whoever holds a place may change.

    Attributes
    ----------
    number
        Number of the cohort.
    school, class_number, seat
        The place: school (from 0), class and place in the school (from 1).
    class_row
        Number of the class in the county, from 0.
    person
        Number of the pupil in the cohort, from 1; pupils who come later have the higher numbers.
    female, general, letters, science
        The pupil.
    own
        Lasting part of what the pupil has in each of `SUBJECTS` alone, in SD.
    class_effect, class_subject
        By class, and by class and subject.
    """

    number: int
    school: IntArray
    class_number: IntArray
    seat: IntArray
    class_row: IntArray
    person: IntArray
    female: npt.NDArray[np.bool_]
    general: FloatArray
    letters: FloatArray
    science: FloatArray
    own: npt.NDArray[np.float32]
    class_effect: FloatArray
    class_subject: FloatArray

    @property
    def n(self) -> int:
        """Number of pupils."""
        return len(self.school)


@dataclass(frozen=True)
class Sitting:
    """What a cohort's pupils scored in an exam; columns are papers."""

    subjects: tuple[Subject, ...]
    half_marks: npt.NDArray[np.int16]
    status: npt.NDArray[np.int8]

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """Where a candidate sat a paper and has a score."""
        return np.asarray(self.status == STATUS_CODE["present"])

    def with_absences_only(self) -> Sitting:
        """Return the same with every reason for a missing score read as an absence."""
        status = np.where(self.present, self.status, np.int8(STATUS_CODE["absent"])).astype(np.int8)
        return replace(self, status=status)


def enrol(county: County, sizes: IntArray, number: int) -> Cohort:
    """Draw the pupils of a cohort.

    Parameters
    ----------
    county
        The county.
    sizes
        Pupils per school.
    number
        Number of the cohort; decides the random stream.
    """
    rng = stream(county.seed, 30, number)
    n = int(sizes.sum())
    school = np.repeat(np.arange(county.n_schools), sizes)
    seat = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    classes = -(-sizes // CLASS_SIZE)
    class_number = seat * classes[school] // sizes[school]
    n_classes = int(classes.sum())
    return Cohort(
        number=number,
        school=school,
        class_number=class_number + 1,
        seat=seat + 1,
        class_row=class_number + (np.cumsum(classes) - classes)[school],
        person=np.arange(1, n + 1),
        class_effect=rng.normal(0.0, CLASS_SD, n_classes),
        class_subject=rng.normal(0.0, CLASS_SUBJECT_SD, (n_classes, len(SUBJECTS))),
        **_draw_pupils(rng, n),
    )


def _draw_pupils(rng: np.random.Generator, n: int) -> dict[str, Any]:
    return {
        "female": rng.random(n) < 0.48,
        "general": rng.normal(0.0, GENERAL_SD, n),
        "letters": rng.normal(0.0, DOMAIN_SD, n),
        "science": rng.normal(0.0, DOMAIN_SD, n),
        "own": rng.standard_normal((n, len(SUBJECTS)), dtype=np.float32),
    }


def move_on(county: County, cohort: Cohort, occasion: int) -> Cohort:
    """Return the cohort half a year later: general and domain ability have moved on."""
    rng = stream(county.seed, 31, cohort.number, occasion)
    fresh = np.sqrt(1 - HALF_YEAR_CORRELATION**2)
    moved = {
        name: HALF_YEAR_CORRELATION * getattr(cohort, name) + rng.normal(0.0, fresh * sd, cohort.n)
        for name, sd in (("general", GENERAL_SD), ("letters", DOMAIN_SD), ("science", DOMAIN_SD))
    }
    return replace(cohort, **moved)


def move_up(county: County, cohort: Cohort) -> Cohort:
    """Return the cohort in its next school year: a few pupils have left or changed school, others have come.

    Every school keeps its size: the places of those who left go to pupils of other schools and to newcomers.
    """
    rng = stream(county.seed, 32, cohort.number)
    left = rng.permutation(np.flatnonzero(rng.random(cohort.n) < LEAVING))
    inside, outside = np.split(left, [int(MOVING_INSIDE * len(left))])
    new = {"person": np.arange(len(outside)) + int(cohort.person.max(initial=0)) + 1} | _draw_pupils(rng, len(outside))
    held = {}
    for name, values in new.items():
        column = getattr(cohort, name).copy()
        column[inside] = column[np.roll(inside, 1)]
        column[outside] = values
        held[name] = column
    return replace(cohort, **held)


def draw_sitting(county: County, cohort: Cohort, effects: FloatArray, occasion: int, subjects: Sequence[Subject]) -> Sitting:
    """Draw what a cohort's pupils scored.

    Parameters
    ----------
    county, cohort
        The pupils as they are at the time.
    effects
        School effects by school and paper of `SUBJECTS`.
    occasion
        Number of the cohort's exam; decides the random stream.
    subjects
        The papers.
    """
    rng = stream(county.seed, 33, cohort.number, occasion)
    half_marks = np.empty((cohort.n, len(subjects)), dtype=np.int16, order="F")
    lasting, passing = OWN_SD * np.sqrt(OWN_LASTING), OWN_SD * np.sqrt(1 - OWN_LASTING)
    for j, subject in enumerate(subjects):
        place = SUBJECTS.index(subject)
        standing = effects[cohort.school, place] + (cohort.class_effect + cohort.class_subject[:, place])[cohort.class_row]
        standing += cohort.general + (cohort.letters if subject.domain == "letters" else cohort.science)
        standing += lasting * cohort.own[:, place] + rng.normal(0.0, passing, cohort.n) + subject.girls * (cohort.female - 0.48)
        logit = subject.centre + rng.normal(0.0, 0.12) + subject.spread * standing
        rate = np.clip(STRETCH / (1 + np.exp(-logit)), 0.0, 1.0)
        half_marks[:, j] = np.rint(2 * subject.max_score * rate).astype(np.int16)
    return Sitting(tuple(subjects), half_marks, _draw_status(rng, cohort.general, [subject.code for subject in subjects]))


def _draw_status(rng: np.random.Generator, general: FloatArray, codes: list[str]) -> npt.NDArray[np.int8]:
    """Draw who missed what: whole exams, single papers, more often among the weaker; exemptions from English only."""
    n = len(general)
    status = np.full((n, len(codes)), STATUS_CODE["present"], dtype=np.int8, order="F")
    weaker = np.exp(-0.6 * general) / np.exp(0.18 * GENERAL_SD**2)
    for name, rate in (("absent", 0.0035), ("voided", 0.0003), ("not_scanned", 0.0006)):
        for j in range(len(codes)):
            status[rng.random(n) < rate * weaker, j] = STATUS_CODE[name]
    if "english" in codes:
        status[rng.random(n) < 0.0012, codes.index("english")] = STATUS_CODE["exempt"]
    whole = rng.random(n)
    status[whole < 0.0085 * weaker, :] = STATUS_CODE["absent"]
    status[whole > 1 - 0.0014, :] = STATUS_CODE["deferred"]
    return status


def composite_scale(subjects: Sequence[Subject]) -> float:
    """Return how many SD of the composite of the candidates one SD of every paper is (before the curve of the scores)."""
    shared = SCHOOL_SD**2 + SHOCK_SD**2 + CLASS_SD**2 + GENERAL_SD**2
    single = CLASS_SUBJECT_SD**2 + OWN_SD**2
    letters = sum(subject.domain == "letters" for subject in subjects) / len(subjects)
    composite = shared + DOMAIN_SD**2 * (letters**2 + (1 - letters) ** 2) + single / len(subjects)
    return float(np.sqrt((shared + DOMAIN_SD**2 + SCHOOL_SUBJECT_SD**2 + single) / composite))
