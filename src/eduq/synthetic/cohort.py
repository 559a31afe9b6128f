"""One cohort of the invented county: who sat what, with which score.

A candidate's standing in a subject is, in SD of the candidates,

    school (composite and subject) + class (composite and subject) + general + domain + own part of the subject,

and its score is the full mark times a logistic curve of that standing, rounded to half marks: bounded, skewed and heaped
as scores are. Papers of a year differ in difficulty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eduq.synthetic.county import CLASS_SIZE, County, IntArray, stream
from eduq.tables import STATUSES

__all__ = ["SCHOOL_SD", "SHOCK_SD", "SUBJECTS", "Cohort", "Course", "Subject", "declare_courses", "draw_cohort", "school_effects"]

FloatArray = npt.NDArray[np.float64]
SCHOOL_SD = 0.35
"""SD of the composite school effects."""
SHOCK_SD = 0.10
"""SD of a school's cohort shock: independent from year to year."""
SCHOOL_SUBJECT_SD = 0.14
CLASS_SD = 0.12
CLASS_SUBJECT_SD = 0.08
GENERAL_SD = 0.70
DOMAIN_SD = 0.26
OWN_SD = 0.52
STRETCH = 1.02
"""Lifts the curve a little above the full mark, so that a few candidates reach it."""
AREA_SHIFT = {"urban": 0.22, "town": 0.0, "rural": -0.20}
STATUS_CODE = {status: code for code, status in enumerate(STATUSES)}
SIGN_YEARS = 4
"""From so many years on the county has schools that truly change."""


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
    sitting: str


SUBJECTS = (
    Subject("chinese", "语文", 120, 0.92, 0.60, "letters", 0.16, "15T08:30"),
    Subject("math", "数学", 120, 0.55, 1.05, "science", -0.02, "15T14:30"),
    Subject("english", "英语", 120, 0.42, 1.22, "letters", 0.18, "16T08:30"),
    Subject("physics", "物理", 100, 0.45, 0.92, "science", -0.08, "16T14:30"),
    Subject("chemistry", "化学", 100, 0.62, 0.98, "science", -0.03, "16T16:10"),
    Subject("politics", "道德与法治", 100, 0.78, 0.66, "letters", 0.10, "17T08:30"),
    Subject("history", "历史", 100, 0.66, 0.80, "letters", 0.04, "17T10:00"),
    Subject("biology", "生物", 100, 0.70, 0.85, "science", 0.02, "17T14:30"),
    Subject("geography", "地理", 100, 0.64, 0.80, "letters", -0.02, "17T16:00"),
)


@dataclass(frozen=True)
class Course:
    """A true change of one school, in SD of the candidates a year."""

    school: int
    slope: float


@dataclass(frozen=True)
class Cohort:
    """Rows are candidates, in the order of schools and classes; columns of `half_marks` and `status` are papers."""

    school: IntArray
    class_number: IntArray
    seat: IntArray
    female: npt.NDArray[np.bool_]
    half_marks: npt.NDArray[np.int16]
    status: npt.NDArray[np.int8]

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """Where a candidate sat a paper and has a score."""
        return np.asarray(self.status == STATUS_CODE["present"])


def declare_courses(county: County, years: int) -> list[Course]:
    """Name the schools that truly change, in a county of four years or more.

    With 24 schools or more: three of 100 candidates or more fall by .30 a year, one falls by .10 (too little to see),
    the school of 25 falls by .30 (too small to see), two rise by .20. In a smaller county the largest school falls by .30.
    """
    if years < SIGN_YEARS:
        return []
    by_size = np.argsort(-np.where(county.fixed_sizes > 0, 0.0, county.weights), kind="stable")
    if county.n_schools < 24:
        return [Course(int(by_size[0]), -0.30)]
    slopes = {1: -0.30, 3: -0.30, 5: -0.30, 6: -0.10, 2: 0.20, 4: 0.20}
    courses = [Course(int(by_size[rank]), slope) for rank, slope in slopes.items()]
    tiny = np.flatnonzero(county.fixed_sizes == county.fixed_sizes.max())
    if county.fixed_sizes.max() > 0:
        courses.append(Course(int(tiny[0]), -0.30))
    return sorted(courses, key=lambda course: course.school)


def school_effects(county: County, years: int, n_subjects: int, courses: list[Course]) -> FloatArray:
    """Return the true school effects by year, school and subject, in SD of the candidates.

    Lasting effects (composite SD exactly `SCHOOL_SD`), subject effects, declared courses centred on the years at hand, and one
    cohort shock per school and year.
    """
    n = county.n_schools
    rng = stream(county.seed, 1)
    composite = np.array([AREA_SHIFT[kind] for kind in county.area_types]) + rng.normal(0.0, 0.28, n)
    composite -= composite.mean()
    if n > 2:
        composite *= SCHOOL_SD / composite.std()
    own = rng.normal(0.0, SCHOOL_SUBJECT_SD, (n, n_subjects))
    own -= own.mean(axis=1, keepdims=True)
    lasting = composite[:, None] + own
    shocks = np.stack([stream(county.seed, 20, year).normal(0.0, SHOCK_SD, n) for year in range(years)])
    course = np.zeros((years, n))
    for item in courses:
        course[:, item.school] = item.slope * (np.arange(years) - (years - 1) / 2)
    return np.asarray(lasting[None, :, :] + (shocks + course)[:, :, None])


def draw_cohort(county: County, sizes: IntArray, effects: FloatArray, year: int, subjects: tuple[Subject, ...]) -> Cohort:
    """Draw the candidates of one year.

    Parameters
    ----------
    county
        The county.
    sizes
        Candidates per school.
    effects
        School effects by school and subject.
    year
        Number of the year; decides the random stream.
    subjects
        The papers.
    """
    rng = stream(county.seed, 30, year)
    n = int(sizes.sum())
    school = np.repeat(np.arange(county.n_schools), sizes)
    seat = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    classes = -(-sizes // CLASS_SIZE)
    class_number = seat * classes[school] // sizes[school]
    class_row = class_number + (np.cumsum(classes) - classes)[school]
    class_effect = rng.normal(0.0, CLASS_SD, int(classes.sum()))
    female = rng.random(n) < 0.48
    general = rng.normal(0.0, GENERAL_SD, n)
    domains = {domain: rng.normal(0.0, DOMAIN_SD, n) for domain in ("letters", "science")}
    half_marks = np.empty((n, len(subjects)), dtype=np.int16, order="F")
    for j, subject in enumerate(subjects):
        class_subject = rng.normal(0.0, CLASS_SUBJECT_SD, len(class_effect))
        standing = (effects[:, j])[school] + (class_effect + class_subject)[class_row] + general + domains[subject.domain]
        standing += rng.normal(0.0, OWN_SD, n) + subject.girls * (female - 0.48)
        logit = subject.centre + rng.normal(0.0, 0.12) + subject.spread * standing
        rate = np.clip(STRETCH / (1 + np.exp(-logit)), 0.0, 1.0)
        half_marks[:, j] = np.rint(2 * subject.max_score * rate).astype(np.int16)
    status = _draw_status(rng, general, [subject.code for subject in subjects])
    return Cohort(school, class_number + 1, seat + 1, female, half_marks, status)


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
