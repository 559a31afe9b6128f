"""The registers of the invented county: schools (closed ones too), their events, heads, teachers and targets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl

from eduq.synthetic.cohort import Cohort, Subject
from eduq.synthetic.county import CLUSTERS, RENAMED_IN, County, IntArray, compose_names, label_classes, stream
from eduq.synthetic.effects import ALL_PAPERS, Course

__all__ = [
    "TeachingGroup",
    "heads_register",
    "school_events_register",
    "schools_register",
    "targets_register",
    "teachers_register",
]

STAFF_SURNAMES = "子丑寅卯辰巳午未申酉戌亥"
SMALL_SCHOOL = 30
"""A school of fewer candidates is registered as small."""
_CLOSED = (
    ("merge", "2012-09-01", "第二初级中学"),
    ("merge", "2014-09-01", "农业职业初级中学"),
    ("merge", "2016-09-01", "中学北校"),
    ("merge", "2018-09-01", "民办育才学校"),
    ("close", "2019-09-01", "中学分校"),
)
"""Schools that were merged into others or closed before the years at hand."""
TeachingGroup = tuple[int, str, Cohort, Sequence[Subject]]
"""First calendar year of a school year, year group, its cohort and its papers."""


def _closed_schools(county: County) -> list[tuple[str, str, str, int]]:
    """Return event, date, name and successor of the schools that are gone; none in a county of few schools."""
    if county.n_schools < 4 * len(_CLOSED):
        return []
    step = county.n_schools // len(_CLOSED)
    return [
        (event, date, county.townships[i * step].rstrip("镇乡街道") + name, i * step)
        for i, (event, date, name) in enumerate(_CLOSED)
    ]


def schools_register(county: County, enrolment: IntArray, candidates: IntArray) -> pl.DataFrame:
    """Return schools.csv: the schools of the exams, then those that are gone.

    Parameters
    ----------
    county
        The county.
    enrolment, candidates
        Pupils and candidates of a year group, by school, in the newest school year.
    """
    n = county.n_schools
    aliases = [f"{a};{county.old_name}" if i == county.renamed else a for i, a in enumerate(county.aliases)]
    living = pl.DataFrame(
        {
            "school_id": county.school_ids,
            "name": county.names,
            "aliases": aliases,
            "township": county.townships,
            "cluster": [CLUSTERS[i] for i in county.clusters],
            "area_type": county.area_types,
            "stage": ["junior"] * n,
            "kind": ["public"] * n,
            "enrolment": enrolment,
            "small_school": ["yes" if size < SMALL_SCHOOL else "no" for size in candidates],
            "pair_id": county.pair_ids,
            "valid_from": ["2000-09-01"] * n,
            "valid_to": pl.Series([None] * n, dtype=pl.String),
        }
    )
    closed = _closed_schools(county)
    if not closed:
        return living
    at = [successor for *_, successor in closed]
    gone = living[at].with_columns(
        pl.Series("school_id", _closed_ids(county)),
        pl.Series("name", [name for _, _, name, _ in closed]),
        pl.lit(None, dtype=pl.String).alias("aliases"),
        pl.lit(0, dtype=pl.Int64).alias("enrolment"),
        pl.lit("no").alias("small_school"),
        pl.lit(None, dtype=pl.String).alias("pair_id"),
        pl.Series("valid_to", [f"{int(date[:4])}-08-31" for _, date, _, _ in closed]),
    )
    return pl.concat([living, gone])


def _closed_ids(county: County) -> list[str]:
    width = len(county.school_ids[0]) - 1
    return [f"S{county.n_schools + i:0{width}d}" for i in range(1, len(_CLOSED) + 1)]


def school_events_register(county: County) -> pl.DataFrame:
    """Return school_events.csv: mergers and a closure of long ago, and one new name."""
    ids = county.school_ids
    rows = [
        (date, event, gone if event == "close" else f"{gone};{ids[successor]}", None if event == "close" else ids[successor])
        for gone, (event, date, _, successor) in zip(_closed_ids(county), _closed_schools(county), strict=False)
    ]
    rows.append((f"{RENAMED_IN}-09-01", "rename", ids[county.renamed], ids[county.renamed]))
    return pl.DataFrame(rows, schema=dict.fromkeys(("date", "event", "from_ids", "to_ids"), pl.String), orient="row")


def heads_register(county: County, school_years: Sequence[int], courses: Sequence[Course]) -> pl.DataFrame:
    """Return heads.csv: one school in four changes its head within or just before the years at hand.

    Of the schools that fall in all papers every second one keeps its head throughout; the others change him in the middle.
    """
    rng = stream(county.seed, 2)
    n = county.n_schools
    first_from = rng.integers(school_years[0] - 8, school_years[0], n)
    change = np.where(rng.random(n) < 0.25, rng.integers(school_years[0], school_years[-1] + 1, n), 0)
    falling = [course.school for course in courses if course.paper == ALL_PAPERS and course.slope <= -0.3]
    change[falling[::2]] = 0
    change[falling[1::2]] = school_years[len(school_years) // 2]
    rows = []
    for i, school in enumerate(county.school_ids):
        left = f"{change[i]}-08-31" if change[i] else None
        rows.append((school, f"{first_from[i]}-09-01", left))
        if left:
            rows.append((school, f"{change[i]}-09-01", None))
    names = compose_names(rng, len(rows), STAFF_SURNAMES)
    frame = pl.DataFrame(rows, schema={"school_id": pl.String, "from": pl.String, "to": pl.String}, orient="row")
    return frame.select(
        pl.format("H{}", pl.int_range(1, pl.len() + 1).cast(pl.String).str.zfill(4)).alias("head_id"),
        names.alias("name"),
        "school_id",
        "from",
        "to",
    )


def teachers_register(county: County, groups: Iterable[TeachingGroup], codes: Sequence[str]) -> pl.DataFrame:
    """Return teachers.csv: one row per class, paper and term.

    A teacher takes two neighbouring classes of one school, leads them to the end of the ninth year and then begins with the
    next eighth year.

    Parameters
    ----------
    county
        The county.
    groups
        Who is taught what in which school year.
    codes
        Codes of all papers there are.
    """
    groups = list(groups)
    stride = max(20, max(int(cohort.class_number.max()) for _, _, cohort, _ in groups) // 2 + 1)
    highest = county.n_schools * stride * 2 * len(codes)
    names = compose_names(stream(county.seed, 3), highest, STAFF_SURNAMES)
    parts = []
    for year, year_group, cohort, subjects in groups:
        school, number = np.unique(np.column_stack([cohort.school, cohort.class_number]), axis=0).T
        labels = label_classes(county.clusters[school], number, year_group)
        row = np.repeat(np.arange(len(school)), len(subjects))
        place = np.tile([codes.index(subject.code) for subject in subjects], len(school))
        pair = school[row] * stride + (number[row] - 1) // 2
        parts.append(
            pl.DataFrame(
                {
                    "key": (pair * 2 + cohort.number % 2) * len(codes) + place,
                    "school_id": pl.Series(county.school_ids).gather(school[row]),
                    "class_id": labels.gather(row),
                    "subject": pl.Series(codes).gather(place),
                    "school_year": [f"{year}-{year + 1}"] * len(row),
                }
            )
        )
    rows = pl.concat(parts)
    width = len(str(highest))
    terms = pl.concat([rows.with_columns(pl.lit(term, dtype=pl.Int64).alias("term")) for term in (1, 2)])
    terms = terms.sort("school_year", "term", maintain_order=True)
    return terms.select(
        pl.format("T{}", (pl.col("key") + 1).cast(pl.String).str.zfill(width)).alias("teacher_id"),
        names.gather(terms["key"]).alias("name"),
        *("school_id", "class_id", "subject", "school_year", "term"),
        pl.lit(1.0).alias("share"),
    )


def targets_register(scores: pl.DataFrame, heads: pl.DataFrame, year: int) -> pl.DataFrame:
    """Return targets.csv: a few targets of pass, low-score and participation rates; none of them is about 升学.

    Parameters
    ----------
    scores
        Scores of the ninth year's last exam of the school year before (or the oldest there is); full mark 120.
    heads
        Register of heads, who sign.
    year
        First calendar year of the newest school year.
    """
    signers = heads.filter(pl.col("to").is_null()).select("school_id", pl.col("name").alias("signer"))
    plans = (
        ("pass_rate", "math", pl.col("math") >= 7200, 1.05, "up"),
        ("low_score_rate", "english", pl.col("english") < 4800, 0.9, "down"),
        ("pass_rate", "chinese", pl.col("chinese") >= 7200, 1.03, "up"),
    )
    rows = []
    schools = scores["school_id"].unique(maintain_order=True)
    for number, school in enumerate(schools[:: max(1, len(schools) // 6)]):
        measure, subject, reached, factor, direction = plans[number % len(plans)]
        sat = scores.filter(pl.col("school_id") == school, pl.col(subject).is_not_null())
        if sat.is_empty():
            continue
        baseline = float(sat.select(reached.mean()).item())
        target = min(baseline * factor, 1.0)
        due = f"{year + 1}-07-31" if number % 3 else f"{year}-07-31"
        signer = signers.filter(pl.col("school_id") == school)["signer"].item()
        rows.append(("school", school, measure, subject, f"{baseline:.3f}", f"{target:.3f}", direction, due, signer))
    rows.append(("area", None, "participation_rate", "math", "0.985", "0.990", "up", f"{year + 1}-07-31", None))
    columns = ["unit_type", "unit_id", "measure", "subject", "baseline", "target", "direction", "due", "signer"]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")
    return frame.select(pl.format("T{}", pl.int_range(1, pl.len() + 1).cast(pl.String).str.zfill(3)).alias("target_id"), *columns)
