"""Stage 2: what may be compared with what (the five sames, 同进度 同试卷 同考试 同阅卷 同分析).

A comparison group, per paper, holds the rows equal in exam, year group, track, paper, sitting and marking. Rows that are
equal in all of this for every paper share a *stratum*; a small table says which group each stratum belongs to per paper.
"""

from __future__ import annotations

import dataclasses
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import polars as pl

from eduq.errors import Place, SettingsError
from eduq.intake.exam_file import Deviation, ExamFile, PaperFacts
from eduq.intake.score_table import ScoreTable
from eduq.tables import CHECKS, COMPARABILITY, NOT_EXPECTED, status_column, write_frame

__all__ = ["COMPOSITE", "DERIVED", "EVERY_PAPER", "TOTAL", "Comparability", "add_strata", "check_comparability", "derived_papers"]

TOTAL, COMPOSITE, EVERY_PAPER = "total", "composite", "all_subjects"
"""Papers derived per candidate: sum of scores, mean standardised score, passes every paper."""
DERIVED = (TOTAL, COMPOSITE, EVERY_PAPER)
_STRATUM_KEYS = ["year_group", "track", "deviation", "taken"]
_ATTESTED = {
    "pace": "pace_not_shared",
    "paper": "paper_not_shared",
    "sitting": "sitting_not_shared",
    "marking": "marking_not_shared",
}


@dataclass(frozen=True)
class Comparability:
    """Which rows may be compared.

    Attributes
    ----------
    frame
        `eduq.tables.COMPARABILITY`: one line per comparison group, derived papers included.
    strata
        stratum (Int64), year_group, track, deviation (numbers of the deviations joined by ``+``, null for none), taken
        (Int64: the combination, one bit per paper).
    links
        stratum, paper, comparison_group.
    attestation
        The five sames: yes, no or ?; analysis is always yes within one run.
    """

    frame: pl.DataFrame
    strata: pl.DataFrame
    links: pl.DataFrame
    attestation: dict[str, str]

    def summary(self) -> str:
        """Return one line: groups and how many of them may be compared."""
        return f"{self.frame.height} comparison groups, {self.frame['comparable'].sum()} comparable"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>{self.frame._repr_html_()}"

    @property
    def settings(self) -> dict[str, str]:
        """What it depends on: the five sames as attested."""
        return dict(self.attestation)

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the groups as ``.parquet`` or ``.csv``, whole or not at all, and return the path.

        Raises
        ------
        UsageError
            ``format_unknown``: another suffix.
        """
        return write_frame(self.frame, path)


def _deviating_schools(scores: ScoreTable) -> dict[str, str]:
    """Return school_id → label of the deviations that touch it, such as ``1`` or ``1+3``."""
    known = set(scores.schools["school_id"])
    by_name: dict[str, str] = dict(zip(scores.schools["name"], scores.schools["school_id"], strict=True))
    codes = {paper.code for paper in scores.papers}
    labels: defaultdict[str, list[str]] = defaultdict(list)
    for number, deviation in enumerate(scores.exam.deviations, start=1):
        for paper in deviation.change.papers:
            if paper not in codes:
                raise SettingsError(
                    "deviation_unknown_paper", Place(file="exam.toml"), paper=paper, known=", ".join(sorted(codes))
                )
        for school in deviation.schools:
            school_id = school if school in known else by_name.get(school)
            if school_id is None:
                raise SettingsError("deviation_unknown_school", Place(file="exam.toml"), school=school)
            labels[school_id].append(str(number))
    return {school: "+".join(numbers) for school, numbers in labels.items()}


def add_strata(scores: ScoreTable) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the score frame with an Int64 column ``stratum``, and the table of strata.

    Raises
    ------
    SettingsError
        ``deviation_unknown_school`` or ``deviation_unknown_paper``: exam.toml names what the files do not have.
    """
    frame = scores.frame
    labels = _deviating_schools(scores)
    deviation = (
        pl.col("school_id").replace_strict(labels, default=None, return_dtype=pl.String)
        if labels
        else pl.lit(None, dtype=pl.String)
    ).alias("deviation")
    takes = [_takes(paper) for paper in scores.papers]
    taken = pl.sum_horizontal([taking.cast(pl.Int64) * (1 << place) for place, taking in enumerate(takes)]).alias("taken")
    labelled = frame.select("year_group", "track", deviation, taken)
    if all(series.eq_missing(series[0]).all() for series in labelled):
        return frame.with_columns(pl.lit(0, dtype=pl.Int64).alias("stratum")), labelled.head(1).select(
            pl.lit(0, dtype=pl.Int64).alias("stratum"), *_STRATUM_KEYS
        )
    strata = labelled.unique().sort(_STRATUM_KEYS).with_row_index("stratum").with_columns(pl.col("stratum").cast(pl.Int64))
    index = labelled.join(strata, on=_STRATUM_KEYS, how="left", nulls_equal=True, maintain_order="left")["stratum"]
    return frame.with_columns(index), strata.select("stratum", *_STRATUM_KEYS)


def _takes(paper: PaperFacts) -> pl.Expr:
    """Whether a paper belongs to a candidate's combination: it is there and was chosen (an exempt candidate's too)."""
    status = pl.col(status_column(paper.code))
    return status.is_not_null() & (status != "not_chosen").fill_null(False)


def _active(stratum_label: str | None, deviations: Sequence[Deviation], paper: str) -> list[Deviation]:
    if stratum_label is None:
        return []
    chosen = [deviations[int(number) - 1] for number in stratum_label.split("+")]
    return [deviation for deviation in chosen if paper in deviation.change.papers]


def _group_name(exam: ExamFile, paper: str, stratum: dict[str, Any], label: str, several: dict[str, bool]) -> str:
    parts = [f"{exam.exam.id}.{paper}"]
    parts += [str(stratum[key]) for key in ("year_group", "track") if several[key] and stratum[key]]
    if label:
        parts.append(f"d{label}")
    return ".".join(parts)


def _paper_line(exam: ExamFile, paper: PaperFacts, stratum: dict[str, Any], several: dict[str, bool]) -> dict[str, object]:
    active = _active(stratum["deviation"], exam.deviations, paper.code)
    numbers = "+".join(str(exam.deviations.index(deviation) + 1) for deviation in active)
    marking, sitting, pace = paper.marking, paper.sitting, exam.attest.pace
    for deviation in active:
        marking = deviation.change.marking or marking
        sitting = deviation.change.sitting or sitting
        pace = deviation.change.pace or pace
    said = {"pace": pace, "paper": exam.attest.paper, "sitting": exam.attest.sitting, "marking": exam.attest.marking}
    reasons = [reason for key, reason in _ATTESTED.items() if said[key] == "no"]
    if marking == "school":
        reasons.append("marking_not_shared")
    return {
        "comparison_group": _group_name(exam, paper.code, stratum, numbers, several),
        "paper": paper.code,
        "subject": paper.subject_code,
        "deviation": numbers or None,
        "marking": marking,
        "sitting": sitting,
        "max_score": paper.max_score,
        "papers": None,
        "reason": reasons[0] if reasons else None,
    }


def _derived_lines(
    exam: ExamFile, stratum: dict[str, Any], lines: list[dict[str, object]], several: dict[str, bool], rank: int | None
) -> list[dict[str, object]]:
    """Lines of total, composite and all_subjects: inside one combination, and one group where every paper is in one group."""
    taken = [paper for place, paper in enumerate(exam.papers) if stratum["taken"] >> place & 1]
    codes = [paper.code for paper in taken]
    lines = [line for line in lines if line["paper"] in codes]
    label = "+".join(sorted({part for line in lines if line["deviation"] for part in str(line["deviation"]).split("+")}))
    full = [paper.max_score for paper in taken]
    known = sum(mark for mark in full if mark is not None) if None not in full else None
    return [
        {
            "comparison_group": _group_name(exam, derived, stratum, label, several) + (f".k{rank}" if rank else ""),
            "paper": derived,
            "subject": derived,
            "deviation": label or None,
            "marking": None,
            "sitting": None,
            "max_score": known if derived == TOTAL else None,
            "papers": "+".join(codes),
            "reason": next((line["reason"] for line in lines if line["reason"]), None),
        }
        for derived in derived_papers(taken)
    ]


def derived_papers(papers: Sequence[PaperFacts]) -> tuple[str, ...]:
    """Return the derived papers of an exam or combination: none when it has a single paper."""
    return DERIVED if len(papers) >= 2 else ()


def _count_candidates(frame: pl.DataFrame, papers: Sequence[PaperFacts]) -> pl.DataFrame:
    """Return stratum, school_id, paper, n_expected, n_present of every paper and derived paper that is expected there."""
    expected = {
        paper.code: pl.col(status_column(paper.code)).is_not_null() & ~pl.col(status_column(paper.code)).is_in(NOT_EXPECTED)
        for paper in papers
    }
    present = {paper.code: pl.col(paper.code).is_not_null() for paper in papers}
    every = pl.all_horizontal([~expected[paper.code] | present[paper.code] for paper in papers])
    in_any = pl.any_horizontal(expected.values())
    counted = (
        frame.lazy()
        .group_by("stratum", "school_id")
        .agg(
            [expected[p.code].sum().cast(pl.Int64).alias(f"e_{p.code}") for p in papers]
            + [present[p.code].sum().cast(pl.Int64).alias(f"p_{p.code}") for p in papers]
            + [in_any.sum().cast(pl.Int64).alias("e_any"), (in_any & every).sum().cast(pl.Int64).alias("p_any")]
        )
        .collect()
        .sort("stratum", "school_id")
    )
    sources = {paper.code: paper.code for paper in papers} | dict.fromkeys(derived_papers(papers), "any")
    parts = [
        counted.select(
            "stratum",
            "school_id",
            pl.lit(paper).alias("paper"),
            pl.col(f"e_{source}").alias("n_expected"),
            pl.col(f"p_{source}").alias("n_present"),
        )
        for paper, source in sources.items()
    ]
    return pl.concat(parts).filter(pl.col("n_expected") > 0)


def _rank_combinations(strata: pl.DataFrame, counts: pl.DataFrame) -> dict[int, int | None]:
    """Return the rank of each stratum's combination among those of its year group, track and deviation; None for a lone one."""
    within = ["year_group", "track", "deviation"]
    sizes = counts.filter(pl.col("paper") == COMPOSITE).group_by("stratum").agg(pl.col("n_expected").sum())
    ranked = (
        strata.join(sizes, on="stratum", how="left")
        .with_columns(pl.col("n_expected").fill_null(0))
        .sort("n_expected", "taken", descending=[True, False])
        .with_columns(pl.int_range(1, pl.len() + 1).over(within).alias("rank"), pl.len().over(within).alias("several"))
    )
    return {row["stratum"]: row["rank"] if row["several"] > 1 else None for row in ranked.iter_rows(named=True)}


_GRADUATING = ("G6", "G9", "S3")
_LOWEST = ("G1", "G2")


def add_legal_checks(scores: ScoreTable) -> ScoreTable:
    """Add what the exam rules say of such an exam to the checks: a warning with its source, never a refusal.

    References
    ----------
    教育部办公厅关于加强义务教育学校考试管理的通知 (2021); 中小学日常考试管理 (2025-12).
    """
    exam = scores.exam.exam
    codes = []
    if exam.year_group in _LOWEST:
        codes.append("no_paper_exam_allowed")
    if exam.scope not in (None, "school") and exam.year_group not in (None, *_GRADUATING) and exam.purpose != "graduation":
        codes.append("restricted_exam")
    if not codes:
        return scores
    empty = dict.fromkeys(CHECKS)
    lines = [empty | {"code": code, "level": "warning", "file": "exam.toml", "found": exam.year_group} for code in codes]
    return dataclasses.replace(scores, checks=pl.concat([scores.checks, pl.DataFrame(lines, schema=CHECKS)]))


def check_comparability(
    scores: ScoreTable, *, frame: pl.DataFrame | None = None, strata: pl.DataFrame | None = None
) -> Comparability:
    """Say which rows of a score table may be compared, and why others may not.

    Parameters
    ----------
    scores
        The score table.
    frame, strata
        What `add_strata` gave, when the caller has it already.

    Returns
    -------
    Comparability
        ``.frame`` has comparison_group, exam_id, paper, subject, year_group, track, deviation, marking, sitting (String),
        max_score (Float64, marks), papers (String), n_schools, n_expected, n_present (Int64), comparable (Boolean), reason
        (null, pace_not_shared, paper_not_shared, sitting_not_shared, marking_not_shared or single_school). Derived papers
        are grouped by combination; ``.k1`` is the largest.

    Raises
    ------
    SettingsError
        exam.toml names a school or paper that the files do not have.
    """
    if frame is None or strata is None:
        frame, strata = add_strata(scores)
    exam = scores.exam
    several = {key: strata[key].n_unique() > 1 for key in ("year_group", "track")}
    counts = _count_candidates(frame, scores.papers)
    ranks = _rank_combinations(strata, counts)
    lines: list[dict[str, object]] = []
    for stratum in strata.iter_rows(named=True):
        papers = [_paper_line(exam, paper, stratum, several) for paper in scores.papers]
        for line in papers + _derived_lines(exam, stratum, papers, several, ranks[stratum["stratum"]]):
            lines.append(
                line
                | {
                    "stratum": stratum["stratum"],
                    "year_group": stratum["year_group"],
                    "track": stratum["track"],
                    "exam_id": exam.exam.id,
                }
            )
    schema = {"stratum": pl.Int64()} | {
        name: kind for name, kind in COMPARABILITY.items() if name not in ("n_schools", "n_expected", "n_present", "comparable")
    }
    links = pl.DataFrame(lines, schema=schema)
    counted = (
        counts.join(links.select("stratum", "paper", "comparison_group"), on=["stratum", "paper"])
        .group_by("comparison_group")
        .agg(pl.col("school_id").n_unique().cast(pl.Int64).alias("n_schools"), pl.col("n_expected", "n_present").sum())
    )
    merged = links.unique("comparison_group", keep="first", maintain_order=True).join(
        counted, on="comparison_group", how="inner", maintain_order="left"
    )
    lone = (pl.col("n_schools") < 2) & pl.col("deviation").is_not_null()
    reason = pl.coalesce("reason", pl.when(lone).then(pl.lit("single_school")))
    final = merged.with_columns(reason.alias("reason")).with_columns(pl.col("reason").is_null().alias("comparable"))
    return Comparability(
        frame=final.select(COMPARABILITY.keys()).cast(COMPARABILITY),  # type: ignore[arg-type]
        strata=strata,
        links=links.join(merged.select("comparison_group"), on="comparison_group", how="semi", maintain_order="left").select(
            "stratum", "paper", "comparison_group"
        ),
        attestation={**exam.attest.model_dump(), "analysis": "yes"},
    )
