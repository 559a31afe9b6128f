"""Stage 2: what may be compared with what (the five sames, 同进度 同试卷 同考试 同阅卷 同分析).

A comparison group, per paper, holds the rows equal in exam, year group, track, paper, sitting and marking. Rows that are
equal in all of this for every paper share a *stratum*; a small table says which group each stratum belongs to per paper.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from eduq.errors import Place, SettingsError
from eduq.intake.exam_file import Deviation, ExamFile, PaperFacts
from eduq.intake.score_table import ScoreTable
from eduq.tables import COMPARABILITY, NOT_EXPECTED, status_column

__all__ = ["COMPOSITE", "DERIVED", "EVERY_PAPER", "TOTAL", "Comparability", "add_strata", "check_comparability", "derived_papers"]

TOTAL, COMPOSITE, EVERY_PAPER = "total", "composite", "all_subjects"
"""Papers derived per candidate: sum of scores, mean standardised score, passes every paper."""
DERIVED = (TOTAL, COMPOSITE, EVERY_PAPER)
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
        stratum (Int64), year_group, track, deviation (numbers of the deviations joined by ``+``, null for none).
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
    keys = ["year_group", "track", "deviation"]
    labelled = frame.select("year_group", "track", deviation)
    if all(series.eq_missing(series[0]).all() for series in labelled):
        return frame.with_columns(pl.lit(0, dtype=pl.Int64).alias("stratum")), labelled.head(1).select(
            pl.lit(0, dtype=pl.Int64).alias("stratum"), *keys
        )
    strata = (
        labelled.unique().sort(keys, nulls_last=False).with_row_index("stratum").with_columns(pl.col("stratum").cast(pl.Int64))
    )
    index = labelled.join(strata, on=keys, how="left", nulls_equal=True, maintain_order="left")["stratum"]
    return frame.with_columns(index), strata.select("stratum", *keys)


def _active(stratum_label: str | None, deviations: Sequence[Deviation], paper: str) -> list[Deviation]:
    if stratum_label is None:
        return []
    chosen = [deviations[int(number) - 1] for number in stratum_label.split("+")]
    return [deviation for deviation in chosen if paper in deviation.change.papers]


def _group_name(exam: ExamFile, paper: str, stratum: dict[str, str | None], label: str, several: dict[str, bool]) -> str:
    parts = [f"{exam.exam.id}.{paper}"]
    parts += [str(stratum[key]) for key in ("year_group", "track") if several[key] and stratum[key]]
    if label:
        parts.append(f"d{label}")
    return ".".join(parts)


def _paper_line(exam: ExamFile, paper: PaperFacts, stratum: dict[str, str | None], several: dict[str, bool]) -> dict[str, object]:
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
        "reason": reasons[0] if reasons else None,
    }


def _derived_lines(
    exam: ExamFile, stratum: dict[str, str | None], lines: list[dict[str, object]], several: dict[str, bool]
) -> list[dict[str, object]]:
    """Lines of total, composite and all_subjects: one group where every paper is in one group."""
    numbers = sorted({part for line in lines if line["deviation"] for part in str(line["deviation"]).split("+")})
    label = "+".join(numbers)
    reason = next((line["reason"] for line in lines if line["reason"]), None)
    return [
        {
            "comparison_group": _group_name(exam, derived, stratum, label, several),
            "paper": derived,
            "subject": derived,
            "deviation": label or None,
            "marking": None,
            "sitting": None,
            "reason": reason,
        }
        for derived in derived_papers(exam.papers)
    ]


def derived_papers(papers: Sequence[PaperFacts]) -> tuple[str, ...]:
    """Return the derived papers an exam has: none when it has a single paper."""
    return DERIVED if len(papers) >= 2 else ()


def _count_candidates(frame: pl.DataFrame, papers: Sequence[PaperFacts]) -> pl.DataFrame:
    """Return stratum, paper, n_schools, n_expected, n_present and, for the total, whether every row's full mark is the same.

    Where full marks are unknown, the number of papers taken stands in for them.
    """
    expected = {
        paper.code: pl.col(status_column(paper.code)).is_not_null() & ~pl.col(status_column(paper.code)).is_in(NOT_EXPECTED)
        for paper in papers
    }
    present = {paper.code: pl.col(paper.code).is_not_null() for paper in papers}
    known = all(p.max_hundredths for p in papers)
    taken = [
        pl.when(pl.col(status_column(p.code)).ne_missing("not_chosen") & pl.col(status_column(p.code)).is_not_null()).then(
            pl.lit(p.max_hundredths if known else 1)
        )
        for p in papers
    ]
    full = pl.sum_horizontal(taken)
    aggregated = (
        frame.lazy()
        .group_by("stratum", "school_id")
        .agg(
            [expected[p.code].sum().cast(pl.Int64).alias(f"e_{p.code}") for p in papers]
            + [present[p.code].sum().cast(pl.Int64).alias(f"p_{p.code}") for p in papers]
            + [
                pl.any_horizontal(expected.values()).sum().cast(pl.Int64).alias("e_any"),
                pl.all_horizontal([~expected[p.code] | present[p.code] for p in papers]).sum().cast(pl.Int64).alias("p_every"),
                full.min().alias("full_low"),
                full.max().alias("full_high"),
            ]
        )
        .collect()
        .sort("stratum", "school_id")
    )
    counts = []
    for paper in papers:
        counts.append(
            aggregated.filter(pl.col(f"e_{paper.code}") > 0)
            .group_by("stratum", maintain_order=True)
            .agg(
                pl.len().cast(pl.Int64).alias("n_schools"),
                pl.col(f"e_{paper.code}").sum().alias("n_expected"),
                pl.col(f"p_{paper.code}").sum().alias("n_present"),
            )
            .with_columns(pl.lit(paper.code).alias("paper"), pl.lit(True).alias("same_full"))
        )
    for derived in derived_papers(papers):
        counts.append(
            aggregated.filter(pl.col("e_any") > 0)
            .group_by("stratum", maintain_order=True)
            .agg(
                pl.len().cast(pl.Int64).alias("n_schools"),
                pl.col("e_any").sum().alias("n_expected"),
                pl.col("p_every").sum().alias("n_present"),
                (pl.col("full_low").min() == pl.col("full_high").max()).alias("same_full"),
            )
            .with_columns(pl.lit(derived).alias("paper"))
        )
    return pl.concat(counts, how="diagonal")


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
        ``.frame`` has comparison_group, exam_id, paper, subject, year_group, track, deviation, marking, sitting,
        n_schools, n_expected, n_present (Int64), comparable (Boolean), reason (null, pace_not_shared, paper_not_shared,
        sitting_not_shared, marking_not_shared, single_school or full_marks_differ).

    Raises
    ------
    SettingsError
        exam.toml names a school or paper that the files do not have.
    """
    if frame is None or strata is None:
        frame, strata = add_strata(scores)
    exam = scores.exam
    several = {key: strata[key].n_unique() > 1 for key in ("year_group", "track")}
    lines: list[dict[str, object]] = []
    for stratum in strata.iter_rows(named=True):
        papers = [_paper_line(exam, paper, stratum, several) for paper in scores.papers]
        for line in papers + _derived_lines(exam, stratum, papers, several):
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
    table = pl.DataFrame(lines, schema=schema).join(
        _count_candidates(frame, scores.papers), on=["stratum", "paper"], how="inner", maintain_order="left"
    )
    merged = table.group_by("comparison_group", maintain_order=True).agg(
        pl.col("exam_id", "paper", "subject", "year_group", "track", "deviation", "marking", "sitting").first(),
        pl.col("n_schools", "n_expected", "n_present").sum(),
        pl.col("same_full").all(),
        pl.col("reason").first(),
    )
    lone = (pl.col("n_schools") < 2) & pl.col("deviation").is_not_null()
    uneven = ~pl.col("same_full") & (pl.col("paper") == TOTAL)
    reason = (
        pl.when(pl.col("reason").is_not_null())
        .then(pl.col("reason"))
        .when(uneven)
        .then(pl.lit("full_marks_differ"))
        .when(lone)
        .then(pl.lit("single_school"))
    )
    final = merged.with_columns(reason.alias("reason")).with_columns(pl.col("reason").is_null().alias("comparable"))
    return Comparability(
        frame=final.select(COMPARABILITY.keys()).cast(COMPARABILITY),  # type: ignore[arg-type]
        strata=strata,
        links=table.select("stratum", "paper", "comparison_group"),
        attestation={**exam.attest.model_dump(), "analysis": "yes"},
    )
