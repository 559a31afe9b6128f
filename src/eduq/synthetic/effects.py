"""What schools truly add: lasting effects, courses over the years, cohort shocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eduq.synthetic.county import County, stream

__all__ = [
    "ALL_PAPERS",
    "SCHOOL_SD",
    "SCHOOL_SUBJECT_SD",
    "SHOCK_SD",
    "Course",
    "SchoolEffects",
    "declare_courses",
    "draw_effects",
]

FloatArray = npt.NDArray[np.float64]
SCHOOL_SD = 0.35
"""SD of the lasting composite school effects."""
OUTERMOST = 1.9
"""No school lies further out than so many SD: nobody is last whatever the others do."""
SCHOOL_SUBJECT_SD = 0.14
SHOCK_SD = 0.10
"""SD of a school's cohort shock: independent from cohort to cohort, the same in all exams of a cohort."""
AREA_SHIFT = {"urban": 0.22, "town": 0.0, "rural": -0.20}
ALL_PAPERS = "all"
SIGN_YEARS = 4
"""From so many years on the county has schools that truly change."""
LARGE_COUNTY = 24
"""From so many schools on it has all kinds of them."""
_CHANGES = (
    (ALL_PAPERS, 0.20, 0),
    ("english", -0.30, 0),
    (ALL_PAPERS, -0.30, 0),
    (ALL_PAPERS, 0.20, 1),
    (ALL_PAPERS, -0.30, 0),
    (ALL_PAPERS, -0.10, 0),
    (ALL_PAPERS, -0.30, 0),
)
"""Paper, slope and first year of neighbours in the order of sizes, somewhat above the middle."""


@dataclass(frozen=True)
class Course:
    """A true change of one school, in SD of the candidates a year, between two years (counted from 0)."""

    school: int
    paper: str
    slope: float
    first: int
    last: int


@dataclass(frozen=True)
class SchoolEffects:
    """True school effects in SD of the candidates: lasting by school and paper, shocks by cohort and school, courses."""

    codes: tuple[str, ...]
    lasting: FloatArray
    shocks: FloatArray
    courses: tuple[Course, ...]

    def of(self, year: int, cohort: int) -> FloatArray:
        """Return the effects by school and paper of a cohort's exams in a year."""
        effects = self.lasting + self.shocks[cohort][:, None]
        for course in self.courses:
            middle = (course.first + course.last) / 2
            change = course.slope * (min(max(year, course.first), course.last) - middle)
            papers = slice(None) if course.paper == ALL_PAPERS else self.codes.index(course.paper)
            effects[course.school, papers] += change
        return np.asarray(effects)


def declare_courses(county: County, years: int) -> tuple[Course, ...]:
    """Name the schools that truly change, in a county of four years or more.

    With 24 schools or more: three of 100 candidates or more fall by .30 a year, one falls by .10 (too little to see),
    the school of 25 falls by .30 (too small to see), two rise by .20 (one of them from the second year on), and one falls by
    .30 in English alone. In a smaller county the largest school falls by .30.
    """
    if years < SIGN_YEARS:
        return ()
    by_size = np.argsort(-np.where(county.fixed_sizes > 0, 0.0, county.weights), kind="stable")
    if county.n_schools < LARGE_COUNTY:
        return (Course(int(by_size[0]), ALL_PAPERS, -0.30, 0, years - 1),)
    start = round(0.2 * int((county.fixed_sizes == 0).sum()))
    courses = [
        Course(int(by_size[start + place]), paper, slope, first, years - 1)
        for place, (paper, slope, first) in enumerate(_CHANGES)
    ]
    if county.fixed_sizes.max() > 0:
        courses.append(Course(int(county.fixed_sizes.argmax()), ALL_PAPERS, -0.30, 0, years - 1))
    return tuple(sorted(courses, key=lambda course: course.school))


def draw_effects(county: County, n_cohorts: int, codes: tuple[str, ...], courses: tuple[Course, ...]) -> SchoolEffects:
    """Draw the school effects of a county.

    Lasting composite effects have an SD of exactly `SCHOOL_SD`; the smallest ordinary school that falls starts low enough to
    end last; the school effects of the papers lie around the composite's.
    """
    n = county.n_schools
    rng = stream(county.seed, 1)
    composite = np.array([AREA_SHIFT[kind] for kind in county.area_types]) + rng.normal(0.0, 0.28, n)
    composite -= composite.mean()
    if n > 2:
        composite = np.clip(composite, -OUTERMOST * composite.std(), OUTERMOST * composite.std())
        composite -= composite.mean()
        composite *= SCHOOL_SD / composite.std()
    falling = [c.school for c in courses if c.paper == ALL_PAPERS and c.slope <= -0.3 and county.fixed_sizes[c.school] == 0]
    if falling and n >= LARGE_COUNTY:
        low = int(np.argsort(composite, kind="stable")[n // 20])
        weak = min(falling, key=lambda school: county.weights[school])
        composite[[low, weak]] = composite[[weak, low]]
    own = rng.normal(0.0, SCHOOL_SUBJECT_SD, (n, len(codes)))
    own -= own.mean(axis=1, keepdims=True)
    shocks = np.stack([stream(county.seed, 20, cohort).normal(0.0, SHOCK_SD, n) for cohort in range(n_cohorts)])
    return SchoolEffects(codes, composite[:, None] + own, shocks, courses)
