"""`make_sample`: a whole invented county as frames and, on demand, as files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from eduq.errors import UsageError
from eduq.intake.exam_file import ExamFile
from eduq.synthetic.cohort import SUBJECTS, Cohort, Course, Subject, declare_courses, draw_cohort, school_effects
from eduq.synthetic.county import (
    CLUSTERS,
    COUNTY,
    PUPIL_SURNAMES,
    County,
    class_labels,
    compose_names,
    make_county,
    make_registers,
    stream,
)
from eduq.synthetic.exports import exam_files, truth_toml
from eduq.tables import STATUS_TYPE, STATUSES, status_column

__all__ = ["Sample", "SampleExam", "make_sample", "write_benchmark"]

LAST_SCHOOL_YEAR = 2025
"""The newest exam belongs to the school year that begins in this year."""
SAMPLE_PAPERS = 7
STATUS_WORDS = {
    "present": "",
    "absent": "缺考",
    "deferred": "缓考",
    "exempt": "免考",
    "not_chosen": "未选",
    "voided": "违纪",
    "not_scanned": "未扫描",
}


@dataclass(frozen=True)
class SampleExam:
    """One exam of the invented county.

    Attributes
    ----------
    exam_id
        Such as ``2025-1-g9-final``.
    facts
        What its exam.toml states.
    frame
        As a bureau has it, all text: 准考证号, 姓名, 学校代码, 学校, 班级, 性别,
        then one column per subject with a score or 缺考, 缓考, …
    scores
        The same candidates with the columns of a ScoreTable.
    truth
        school_id, paper, effect: what the school truly adds, in SD of the candidates;
        paper ``composite`` is the mean of the papers.
    clusters
        Cluster (片区) of each row, as a number.
    """

    exam_id: str
    facts: ExamFile
    frame: pl.DataFrame
    scores: pl.DataFrame
    truth: pl.DataFrame
    clusters: pl.Series


@dataclass(frozen=True)
class Sample:
    """An invented county.

    Attributes
    ----------
    exams
        One per year, oldest first.
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

    def write(self, folder: str | Path) -> tuple[Path, ...]:
        """Write the registers, each exam as three files of different make with its exam.toml, and truth.toml.

        Each file appears whole or not at all. The same sample gives the same bytes.

        Parameters
        ----------
        folder
            Made where it is missing; files of the same name are replaced.

        Returns
        -------
        The paths written.
        """
        return tuple(_replace(Path(folder) / name, content) for name, content in self._files())

    def _files(self) -> Iterator[tuple[str, bytes]]:
        for name, register in self.registers.items():
            yield f"registers/{name}.csv", register.write_csv().encode()
        rejected: dict[str, dict[str, int]] = {}
        for exam in self.exams:
            files, rejected[exam.exam_id] = exam_files(exam.facts, exam.frame, exam.clusters, self.registers["schools"])
            for name, content in files.items():
                yield f"{exam.exam_id}/{name}", content
        effects = {exam.exam_id: exam.truth.filter(pl.col("paper") == "composite") for exam in self.exams}
        yield "truth.toml", truth_toml(self.seed, self.truth, effects, rejected).encode()


def _replace(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    return part.replace(path)


def make_sample(*, schools: int = 24, candidates: int = 4200, years: int = 1, seed: int = 20260115) -> Sample:
    """Make an invented county with its exams and registers.

    Every name, id and score is invented; the same arguments give the same county.

    Parameters
    ----------
    schools
        Junior schools, in townships of three kinds and three clusters; from 24 on two of them have fewer than 20 candidates.
    candidates
        Candidates a year (ninth-graders).
    years
        Exams, one a school year, the newest in 2025-2026; from four on some schools truly change, and ``.truth`` says which.
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
    >>> sample = make_sample(schools=6, candidates=300)
    >>> sample.exams[0].frame.height
    300
    """
    _check_size(schools, candidates, years)
    county = make_county(schools, candidates, seed)
    subjects = SUBJECTS[:SAMPLE_PAPERS]
    courses = declare_courses(county, years)
    effects = school_effects(county, years, len(subjects), courses)
    first = LAST_SCHOOL_YEAR - years + 1
    sizes = [county.sizes(candidates, year) for year in range(years)]
    exams = []
    for year in range(years):
        cohort = draw_cohort(county, sizes[year], effects[year], year, subjects)
        frame = _human_frame(county, cohort, first + year, subjects)
        truth = pl.DataFrame(
            {
                "school_id": np.repeat(county.school_ids, len(subjects) + 1),
                "paper": [*(subject.code for subject in subjects), "composite"] * schools,
                "effect": np.column_stack([effects[year], effects[year].mean(axis=1)]).ravel(),
            }
        )
        facts = _exam_facts(county, first + year, subjects)
        exam_id = str(facts.exam.id)
        scores = _score_frame(cohort, frame, exam_id, subjects)
        exams.append(SampleExam(exam_id, facts, frame, scores, truth, pl.Series(county.clusters[cohort.school])))
    registers = make_registers(county, [first + year for year in range(years)], sizes, [subject.code for subject in subjects])
    return Sample(tuple(exams), registers, _course_frame(county, courses, first), seed)


def _check_size(schools: int, candidates: int, years: int) -> None:
    if schools < 1 or years < 1 or candidates < schools:
        raise UsageError("sample_size", schools=schools, candidates=candidates, years=years)


def _course_frame(county: County, courses: list[Course], first: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "school_id": [county.school_ids[course.school] for course in courses],
            "paper": ["all" for _ in courses],
            "slope": [course.slope for course in courses],
            "first": [f"{first}-{first + 1}" for _ in courses],
            "last": [f"{LAST_SCHOOL_YEAR}-{LAST_SCHOOL_YEAR + 1}" for _ in courses],
        },
        schema={"school_id": pl.String, "paper": pl.String, "slope": pl.Float64, "first": pl.String, "last": pl.String},
    )


def _exam_facts(county: County, year: int, subjects: tuple[Subject, ...]) -> ExamFile:
    """State the exam; one small school, where there is one, marked its own papers."""
    codes = [subject.code for subject in subjects]
    small = [i for i in np.flatnonzero(county.fixed_sizes) if county.clusters[i] == 1]
    deviations = [
        {"schools": [county.school_ids[i]], "change": {"papers": codes, "marking": "school", "reason": "未参加统一阅卷"}}
        for i in small[:1]
    ]
    return ExamFile.model_validate(
        {
            "schema": 1,
            "attest": dict.fromkeys(("pace", "paper", "sitting", "marking"), "yes"),
            "symbols": {"-": "absent"},
            "exam": {
                "id": f"{year}-1-g9-final",
                "name": f"{year}—{year + 1}学年第一学期九年级期末质量监测",
                "school_year": f"{year}-{year + 1}",
                "term": 1,
                "date": f"{year + 1}-01-15",
                "year_group": "G9",
                "scope": "county",
                "purpose": "monitoring",
                "legal_basis": f"{COUNTY}教育局教学质量监测工作方案",
                "stable_id": "?",
            },
            "papers": [
                {
                    "code": subject.code,
                    "subject": subject.code,
                    "max_score": subject.max_score,
                    "score_step": 0.5,
                    "sitting": f"{year + 1}-01-{subject.sitting}",
                    "marking": "central",
                }
                for subject in subjects
            ],
            "deviations": deviations,
        }
    )


def _class_column(county: County, cohort: Cohort) -> pl.Series:
    clusters = county.clusters[cohort.school]
    labels = pl.Series([""]).gather(np.zeros(len(clusters), dtype=np.int64))
    for cluster in range(len(CLUSTERS)):
        rows = np.flatnonzero(clusters == cluster)
        labels = labels.scatter(rows, class_labels(cluster, cohort.class_number[rows]))
    return labels


def _score_words(cohort: Cohort, paper: int, subject: Subject) -> pl.Series:
    """Return a paper's column as text: ``85.5`` or the word for why there is no score."""
    marks = 2 * subject.max_score + 1
    words = pl.Series([f"{mark / 2:g}" for mark in range(marks)] + [STATUS_WORDS[status] for status in STATUSES])
    status = cohort.status[:, paper].astype(np.int64)
    index = np.where(cohort.present[:, paper], cohort.half_marks[:, paper].astype(np.int64), marks + status)
    return words.gather(index).alias(subject.zh)


def _human_frame(county: County, cohort: Cohort, year: int, subjects: tuple[Subject, ...]) -> pl.DataFrame:
    n = len(cohort.school)
    number = pl.DataFrame({"school": cohort.school + 1, "seat": cohort.seat})
    exam_no = number.select(
        pl.format(
            "09{}{}{}",
            pl.lit(f"{year % 100:02d}"),
            pl.col("school").cast(pl.String).str.zfill(4),
            pl.col("seat").cast(pl.String).str.zfill(5),
        )
    ).to_series()
    return pl.DataFrame(
        [
            exam_no.alias("准考证号"),
            compose_names(stream(county.seed, 40, year), n, PUPIL_SURNAMES).alias("姓名"),
            pl.Series(county.school_ids).gather(cohort.school).alias("学校代码"),
            pl.Series(county.names).gather(cohort.school).alias("学校"),
            _class_column(county, cohort).alias("班级"),
            pl.Series(["男", "女"]).gather(cohort.female.astype(np.int64)).alias("性别"),
            *(_score_words(cohort, j, subject) for j, subject in enumerate(subjects)),
        ]
    )


def _score_frame(cohort: Cohort, frame: pl.DataFrame, exam_id: str, subjects: tuple[Subject, ...]) -> pl.DataFrame:
    nothing = pl.lit(None, dtype=pl.String)
    papers: list[pl.Series] = []
    for j, subject in enumerate(subjects):
        present = pl.Series(cohort.present[:, j])
        hundredths = pl.Series(cohort.half_marks[:, j].astype(np.int32) * 50)
        blank = pl.Series([None], dtype=pl.Int32).new_from_index(0, len(present))
        papers.append(hundredths.zip_with(present, blank).alias(subject.code))
        status = pl.Series(STATUSES, dtype=STATUS_TYPE).gather(cohort.status[:, j].astype(np.int64))
        papers.append(status.alias(status_column(subject.code)))
    return frame.select(
        pl.lit(exam_id).alias("exam_id"),
        pl.col("准考证号").alias("candidate_id"),
        nothing.alias("person_id"),
        pl.col("学校代码").alias("school_id"),
        pl.col("班级").alias("class_id"),
        pl.lit("G9").alias("year_group"),
        nothing.alias("track"),
        nothing.alias("combination"),
        pl.col("性别").replace_strict({"男": "male", "女": "female"}, return_dtype=pl.String).alias("sex"),
        pl.lit("sample").alias("source_file"),
        nothing.alias("source_sheet"),
        pl.int_range(2, pl.len() + 2, dtype=pl.Int64).alias("row_no"),
    ).hstack(papers)


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
    effects = school_effects(county, 1, len(SUBJECTS), [])
    cohort = draw_cohort(county, county.sizes(candidates, 0), effects[0], 0, SUBJECTS)
    frame = _human_frame(county, cohort, LAST_SCHOOL_YEAR, SUBJECTS).drop("学校代码").rename({"准考证号": "考号"})
    part = Path(path).with_name(f".{Path(path).name}.part")
    frame.write_csv(part)
    return part.replace(path)
