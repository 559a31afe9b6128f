"""An exam of the invented county as a bureau has it, and as a ScoreTable."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from eduq.synthetic.cohort import SUBJECTS, Cohort, Sitting, Subject
from eduq.synthetic.county import PUPIL_SURNAMES, County, compose_names, label_classes, stream
from eduq.synthetic.effects import FloatArray
from eduq.synthetic.sessions import Session
from eduq.tables import STATUS_TYPE, STATUSES, status_column

__all__ = ["human_frame", "score_frame", "truth_frame"]

STATUS_WORDS = {
    "present": "",
    "absent": "缺考",
    "deferred": "缓考",
    "exempt": "免考",
    "not_chosen": "未选",
    "voided": "违纪",
    "not_scanned": "未扫描",
}
NO_REGION = "990000"
"""Stands where a region's number stands in a 学籍号; no region has it."""


def _score_words(sitting: Sitting, paper: int, subject: Subject) -> pl.Series:
    """Return a paper's column as text: ``85.5`` or the word for why there is no score."""
    marks = 2 * subject.max_score + 1
    words = pl.Series([f"{mark / 2:g}" for mark in range(marks)] + [STATUS_WORDS[status] for status in STATUSES])
    status = sitting.status[:, paper].astype(np.int64)
    index = np.where(sitting.present[:, paper], sitting.half_marks[:, paper].astype(np.int64), marks + status)
    return words.gather(index).alias(subject.zh)


def _numbers(cohort: Cohort, year: int, session: Session) -> pl.DataFrame:
    """Return 准考证号 (new in each exam) and 学籍号 (of the pupil, whatever the school)."""
    entered = year - {"G8": 1, "G9": 2}[session.year_group]
    number = pl.DataFrame({"school": cohort.school + 1, "seat": cohort.seat, "person": cohort.person})

    def padded(name: str, width: int) -> pl.Expr:
        return pl.col(name).cast(pl.String).str.zfill(width)

    head = f"0{session.year_group[1]}{year % 100:02d}{session.term}"
    return number.select(
        pl.format(head + "{}{}", padded("school", 4), padded("seat", 5)).alias("准考证号"),
        pl.format(f"G{NO_REGION}{entered}" + "{}", padded("person", 8)).alias("学籍号"),
    )


def human_frame(county: County, cohort: Cohort, sitting: Sitting, year: int, session: Session) -> pl.DataFrame:
    """Return an exam as a bureau has it, all text.

    Parameters
    ----------
    county, cohort, sitting
        Who sat, and what they scored.
    year
        First calendar year of the school year.
    session
        The exam.
    """
    names = compose_names(stream(county.seed, 40, cohort.number), cohort.n + cohort.n // 8 + 16, PUPIL_SURNAMES)
    return _numbers(cohort, year, session).hstack(
        [
            names.gather(cohort.person - 1).alias("姓名"),
            pl.Series(county.school_ids).gather(cohort.school).alias("学校代码"),
            pl.Series(county.names_in(year)).gather(cohort.school).alias("学校"),
            label_classes(county.clusters[cohort.school], cohort.class_number, session.year_group).alias("班级"),
            pl.Series(["男", "女"]).gather(cohort.female.astype(np.int64)).alias("性别"),
            *(_score_words(sitting, j, subject) for j, subject in enumerate(sitting.subjects)),
        ]
    )


def score_frame(sitting: Sitting, frame: pl.DataFrame, exam_id: str, year_group: str) -> pl.DataFrame:
    """Return the same candidates with the columns of a ScoreTable.

    Parameters
    ----------
    sitting
        What they scored.
    frame
        What `human_frame` gave.
    exam_id, year_group
        Of the exam.
    """
    nothing = pl.lit(None, dtype=pl.String)
    papers: list[pl.Series] = []
    for j, subject in enumerate(sitting.subjects):
        present = pl.Series(sitting.present[:, j])
        hundredths = pl.Series(sitting.half_marks[:, j].astype(np.int32) * 50)
        blank = pl.Series([None], dtype=pl.Int32).new_from_index(0, len(present))
        papers.append(hundredths.zip_with(present, blank).alias(subject.code))
        status = pl.Series(STATUSES, dtype=STATUS_TYPE).gather(sitting.status[:, j].astype(np.int64))
        papers.append(status.alias(status_column(subject.code)))
    return frame.select(
        pl.lit(exam_id).alias("exam_id"),
        pl.col("学籍号").alias("candidate_id"),
        pl.col("学籍号").alias("person_id"),
        pl.col("学校代码").alias("school_id"),
        pl.col("班级").alias("class_id"),
        pl.lit(year_group).alias("year_group"),
        nothing.alias("track"),
        nothing.alias("combination"),
        pl.col("性别").replace_strict({"男": "male", "女": "female"}, return_dtype=pl.String).alias("sex"),
        pl.lit("sample").alias("source_file"),
        nothing.alias("source_sheet"),
        pl.int_range(2, pl.len() + 2, dtype=pl.Int64).alias("row_no"),
    ).hstack(papers)


def truth_frame(school_ids: Sequence[str], effects: FloatArray, subjects: Sequence[Subject]) -> pl.DataFrame:
    """Return school_id, paper, effect; effects come by school and paper of all subjects there are."""
    of_papers = effects[:, [SUBJECTS.index(subject) for subject in subjects]]
    return pl.DataFrame(
        {
            "school_id": np.repeat(list(school_ids), len(subjects) + 1),
            "paper": [*(subject.code for subject in subjects), "composite"] * len(school_ids),
            "effect": np.column_stack([of_papers, of_papers.mean(axis=1)]).ravel(),
        }
    )
