"""`make_sample`: a whole invented county as frames and, on demand, as files."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import polars as pl

from eduq.errors import UsageError
from eduq.intake.exam_file import ExamFile
from eduq.synthetic.cohort import SUBJECTS, Cohort, composite_scale, draw_sitting, enrol, move_on, move_up
from eduq.synthetic.county import County, make_county
from eduq.synthetic.county_registers import (
    heads_register,
    school_events_register,
    schools_register,
    targets_register,
    teachers_register,
)
from eduq.synthetic.effects import Course, SchoolEffects, declare_courses, draw_effects
from eduq.synthetic.exports import database_file, human_files
from eduq.synthetic.frames import human_frame, score_frame, truth_frame
from eduq.synthetic.sessions import GROUP_SUBJECTS, SESSIONS, Session, exam_facts
from eduq.synthetic.side_files import draw_item_scores, entrance_table, item_table, marking_log, specification_table
from eduq.synthetic.toml_files import exam_toml, packs_toml, truth_toml

__all__ = ["Sample", "SampleExam", "make_sample", "write_benchmark"]

LAST_SCHOOL_YEAR = 2025
"""The newest exams belong to the school year that begins in this year."""
WRITTEN_BY_HAND = 3
"""So many of the newest exams are files of three clusters' make; older ones come from a database."""
WORDS_SINCE = 2023
"""The database keeps the words for absences since this school year, before it only numbers."""
MARKING_AFTER = dt.timedelta(days=5)
SIDE_FILES_ROWS = 50_000
"""An exam of more candidates has no item scores, entrance scores and marking log."""


@dataclass(frozen=True)
class SampleExam:
    """One exam of the invented county.

    Attributes
    ----------
    exam_id
        Such as ``2025-2-g9-final``.
    facts
        What its exam.toml states.
    frame
        As a bureau has it, all text: 准考证号, 学籍号, 姓名, 学校代码, 学校, 班级, 性别,
        then one column per subject with a score or 缺考, 缓考, …
    scores
        The same candidates with the columns of a ScoreTable.
    truth
        school_id, paper, effect: what the school truly adds, in SD of the candidates;
        paper ``composite`` is the mean of the papers.
    clusters
        Cluster (片区) of each row, as a number.
    side_files
        Tables kept in folders below the exam's, by path: the newest ninth-year exam has ``items/数学小题分.csv``,
        ``items/数学细目表.csv``, ``prior/入学基线.csv`` and ``marking/数学阅卷日志.csv``.
    """

    exam_id: str
    facts: ExamFile
    frame: pl.DataFrame
    scores: pl.DataFrame
    truth: pl.DataFrame
    clusters: pl.Series
    side_files: Mapping[str, pl.DataFrame] = field(default_factory=dict)

    def files(self, schools: pl.DataFrame, by_hand: bool) -> tuple[dict[str, bytes], dict[str, int]]:
        """Return the exam's files by name, and how many of their rows are to be rejected, by code."""
        rejected: dict[str, int] = {}
        if by_hand:
            files, rejected = human_files(self.facts, self.frame, self.clusters, schools)
        else:
            files = {"全县成绩.parquet": database_file(self.frame, "" in self.facts.symbols)}
        files["exam.toml"] = exam_toml(self.facts).encode()
        files |= {name: table.write_csv().encode() for name, table in self.side_files.items()}
        return files, rejected


@dataclass(frozen=True)
class Sample:
    """An invented county.

    Attributes
    ----------
    exams
        Four a school year (eighth and ninth year, November and June), oldest first.
    registers
        schools, school_events, heads, teachers, targets (design section 10).
    truth
        school_id, paper, slope (SD a year), first, last (school years): the schools that truly change; empty before four years.
    seed
        What it was made from.
    """

    exams: tuple[SampleExam, ...]
    registers: dict[str, pl.DataFrame]
    truth: pl.DataFrame
    seed: int

    def summary(self) -> str:
        """Return one line of counts: exams, candidates, schools, and how many schools truly change."""
        candidates = sum(exam.frame.height for exam in self.exams)
        changing = self.truth["school_id"].n_unique()
        return (
            f"{len(self.exams)} exams, {candidates} candidates, {self.registers['schools'].height} schools, "
            f"{changing} of them truly change; seed {self.seed}"
        )

    def __repr__(self) -> str:
        """Say what there is without a row of it."""
        return f"Sample({self.summary()})"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>"

    def write(self, folder: str | Path, *, layout: str | None = None) -> tuple[Path, ...]:
        """Write the registers (with packs.toml), a folder per exam with its files and exam.toml, and truth.toml.

        The three newest exams are three files of different make each, older ones a parquet file.
        Each file appears whole or not at all. The same sample gives the same bytes.

        Parameters
        ----------
        folder
            Made where it is missing; files of the same name are replaced.
        layout
            Write every exam in this layout instead; see `eduq.synthetic.write_exam`.

        Returns
        -------
        The paths written.
        """
        if layout is None:
            return tuple(_replace(Path(folder) / name, content) for name, content in self._files())
        from eduq.synthetic.writers import write_exam

        written = [_replace(Path(folder) / name, content) for name, content in self._register_files()]
        for exam in self.exams:
            written += write_exam(exam, Path(folder) / exam.exam_id, layout=layout)
        return tuple(written)

    def _register_files(self) -> Iterator[tuple[str, bytes]]:
        for name, register in self.registers.items():
            yield f"registers/{name}.csv", register.write_csv().encode()
        first = min(str(exam.facts.exam.school_year) for exam in self.exams)
        yield "registers/packs.toml", packs_toml(dt.date(int(first[:4]), 9, 1)).encode()

    def _files(self) -> Iterator[tuple[str, bytes]]:
        yield from self._register_files()
        rejected: dict[str, dict[str, int]] = {}
        for number, exam in enumerate(self.exams):
            files, bad = exam.files(self.registers["schools"], len(self.exams) - number <= WRITTEN_BY_HAND)
            rejected |= {exam.exam_id: bad} if bad else {}
            for name, content in files.items():
                yield f"{exam.exam_id}/{name}", content
        effects = {exam.exam_id: exam.truth.filter(pl.col("paper") == "composite") for exam in self.exams}
        scales = {group: composite_scale(subjects) for group, subjects in GROUP_SUBJECTS.items()}
        yield "truth.toml", truth_toml(self.seed, self.truth, scales, effects, rejected).encode()


def _replace(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    return part.replace(path)


def make_sample(*, schools: int = 40, candidates: int = 6500, years: int = 5, seed: int = 20260115) -> Sample:
    """Make an invented county with its exams and registers.

    Every name, id and score is invented; the same arguments give the same county. The eighth-graders of one year are the
    ninth-graders of the next, with the same 学籍号, but for a few who leave, change school or come.

    Parameters
    ----------
    schools
        Junior schools, in townships of three kinds and three clusters; from 24 on two of them have fewer than 20 candidates.
    candidates
        Candidates of a year group in a year.
    years
        School years, the newest 2025-2026, each with four exams; from four on some schools truly change, and ``.truth`` says
        which.
    seed
        Seed of everything.

    Returns
    -------
    ``.exams`` (oldest first), ``.registers``, ``.truth``, and ``.write(folder)``.

    Raises
    ------
    UsageError
        ``sample_size``: fewer than one school or year, or fewer candidates than schools.

    Examples
    --------
    >>> sample = make_sample(schools=6, candidates=300, years=1)
    >>> [exam.exam_id for exam in sample.exams]
    ['2025-1-g8-mid', '2025-1-g9-mid', '2025-2-g9-final', '2025-2-g8-final']
    """
    _check_size(schools, candidates, years)
    county = make_county(schools, candidates, seed)
    first = LAST_SCHOOL_YEAR - years + 1
    courses = declare_courses(county, years)
    effects = draw_effects(county, years + 1, tuple(subject.code for subject in SUBJECTS), courses)
    states = {k: _states(county, enrol(county, county.sizes(candidates, k), k)) for k in range(years + 1)}
    exams = []
    for year in range(years):
        for session in SESSIONS:
            number = year + 1 if session.year_group == "G8" else year
            exams.append(_draw_exam(county, states[number][session.occasion], effects, first, year, session))
    groups = [
        (first + year, group, states[year + 1 if group == "G8" else year][0], subjects)
        for year in range(years)
        for group, subjects in GROUP_SUBJECTS.items()
    ]
    heads = heads_register(county, range(first, LAST_SCHOOL_YEAR + 1), courses)
    newest = [county.sizes(candidates, k) for k in (years - 1, years)]
    before = exams[-6 if years > 1 else -2]
    registers = {
        "schools": schools_register(county, newest[0] + 2 * newest[1] + 1, newest[0]),
        "school_events": school_events_register(county),
        "heads": heads,
        "teachers": teachers_register(county, groups, [subject.code for subject in SUBJECTS]),
        "targets": targets_register(before.scores, heads, LAST_SCHOOL_YEAR),
    }
    return Sample(tuple(exams), registers, _course_frame(county, courses, first), seed)


def _check_size(schools: int, candidates: int, years: int) -> None:
    if schools < 1 or years < 1 or candidates < schools:
        raise UsageError("sample_size", schools=schools, candidates=candidates, years=years)


def _states(county: County, cohort: Cohort) -> tuple[Cohort, ...]:
    """Return a cohort at its four exams."""
    spring = move_on(county, cohort, 1)
    autumn = move_on(county, move_up(county, spring), 2)
    return cohort, spring, autumn, move_on(county, autumn, 3)


def _draw_exam(county: County, cohort: Cohort, effects: SchoolEffects, first: int, year: int, session: Session) -> SampleExam:
    subjects = GROUP_SUBJECTS[session.year_group]
    of_schools = effects.of(year, cohort.number)
    sitting = draw_sitting(county, cohort, of_schools, session.occasion, subjects)
    newest = first + year == LAST_SCHOOL_YEAR
    numbers = first + year < WORDS_SINCE and not newest
    if numbers:
        sitting = sitting.with_absences_only()
    facts = exam_facts(county, first + year, session, numbers=numbers, deviation=newest and session.deviates)
    frame = human_frame(county, cohort, sitting, first + year, session)
    scores = score_frame(sitting, frame, str(facts.exam.id), session.year_group)
    side: dict[str, pl.DataFrame] = {}
    if newest and session.deviates and cohort.n <= SIDE_FILES_ROWS:
        sat = scores["math"].is_not_null()
        items = draw_item_scores((scores["math"].filter(sat).cast(pl.Int64) // 50).to_numpy(), county.seed)
        side = {
            "items/数学小题分.csv": item_table(frame.filter(sat), items),
            "items/数学细目表.csv": specification_table(),
            "prior/入学基线.csv": entrance_table(frame["学籍号"], cohort, county.seed),
            "marking/数学阅卷日志.csv": marking_log(items, session.begins(first + year) + MARKING_AFTER, county.seed),
        }
    truth = truth_frame(county.school_ids, of_schools, subjects)
    return SampleExam(str(facts.exam.id), facts, frame, scores, truth, pl.Series(county.clusters[cohort.school]), side)


def _course_frame(county: County, courses: tuple[Course, ...], first: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "school_id": [county.school_ids[course.school] for course in courses],
            "paper": [course.paper for course in courses],
            "slope": [course.slope for course in courses],
            "first": [f"{first + course.first}-{first + course.first + 1}" for course in courses],
            "last": [f"{first + course.last}-{first + course.last + 1}" for course in courses],
        },
        schema={"school_id": pl.String, "paper": pl.String, "slope": pl.Float64, "first": pl.String, "last": pl.String},
    )


def write_benchmark(path: str | Path, *, candidates: int = 1_000_000, schools: int = 2000, seed: int = 20260115) -> Path:
    """Write one wide CSV of an invented exam: 考号, 姓名, 学校, 班级, 性别 and nine subjects.

    Parameters
    ----------
    path
        The file to write.
    candidates, schools
        Its size.
    seed
        The same seed gives the same bytes.

    Returns
    -------
    The path.
    """
    _check_size(schools, candidates, 1)
    county = make_county(schools, candidates, seed)
    effects = draw_effects(county, 1, tuple(subject.code for subject in SUBJECTS), ())
    cohort = enrol(county, county.sizes(candidates, 0), 0)
    session = SESSIONS[-2]
    sitting = draw_sitting(county, cohort, effects.of(0, 0), session.occasion, SUBJECTS)
    frame = human_frame(county, cohort, sitting, LAST_SCHOOL_YEAR, session)
    part = Path(path).with_name(f".{Path(path).name}.part")
    frame.drop("学籍号", "学校代码").rename({"准考证号": "考号"}).write_csv(part)
    return part.replace(path)
