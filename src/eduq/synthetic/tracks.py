"""An exam of the invented county as a senior-school one with tracks and scaled scores (3+1+2)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from eduq.tables import STATUS_TYPE, status_column

if TYPE_CHECKING:
    from eduq.synthetic.samples import SampleExam

__all__ = ["SCALED_SUBJECTS", "choose_tracks"]

SCALED_SUBJECTS = {"化学": "chemistry", "道德与法治": "politics"}
"""Subjects that get a scaled score beside the raw one; the scale runs from 100 to 40."""
_CHOSEN = {"physics": ("物理", "物化政"), "history": ("历史", "史化政")}


def choose_tracks(exam: SampleExam) -> SampleExam:
    """Let every second candidate take 物理 and the others 历史, and scale the scores of the further subjects by rank.

    Parameters
    ----------
    exam
        An exam in which every candidate has 物理 and 历史.

    Returns
    -------
    SampleExam
        ``.frame`` has 选考科目 and ``<subject>赋分`` beside the subjects, ``.scores`` track and ``<code>_scaled``.
    """
    physics = pl.int_range(pl.len()) % 2 == 0
    frame, scores = exam.frame, exam.scores
    for taken, code in ((physics, "physics"), (~physics, "history")):
        subject, _ = _CHOSEN[code]
        frame = frame.with_columns(pl.when(taken).then(pl.col(subject)).otherwise(pl.lit("未选")).alias(subject))
        status = status_column(code)
        scores = scores.with_columns(
            pl.when(taken).then(pl.col(code)).alias(code),
            pl.when(taken).then(pl.col(status)).otherwise(pl.lit("not_chosen", STATUS_TYPE)).alias(status),
        )
    letters = pl.when(physics).then(pl.lit(_CHOSEN["physics"][1])).otherwise(pl.lit(_CHOSEN["history"][1]))
    frame = frame.with_columns(letters.alias("选考科目"))
    scores = scores.with_columns(
        pl.when(physics).then(pl.lit("physics")).otherwise(pl.lit("history")).alias("track"),
        pl.Series("combination", frame["选考科目"]),
    )
    for subject, code in SCALED_SUBJECTS.items():
        if subject not in frame.columns:
            continue
        rank = pl.col(code).rank("min", descending=True)
        scale = (100 - 60 * (rank - 1) // pl.col(code).count()).cast(pl.Int32)
        values = scores.select(scale).to_series()
        scores = scores.with_columns((values * 100).cast(pl.Int32).alias(f"{code}_scaled"))
        frame = frame.with_columns(values.cast(pl.String).fill_null("").alias(f"{subject}赋分"))
    return replace(exam, frame=frame, scores=scores)
