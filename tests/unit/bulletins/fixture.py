"""An invented county as a Publishable, made without the earlier stages: seeded, any size."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import numpy as np
import polars as pl

from eduq.disclosure import Publishable
from eduq.estimates.measures import load_measures
from eduq.groups import DERIVED
from eduq.intake.exam_file import ExamFile
from eduq.settings import RunSettings
from eduq.tables import CHECKS, COMPARABILITY, INPUTS, EstimateTable

FULL_MARKS = {
    "chinese": 120,
    "math": 120,
    "english": 120,
    "physics": 100,
    "chemistry": 100,
    "politics": 100,
    "history": 100,
    "geography": 100,
    "biology": 100,
    "science": 100,
}
TOWNSHIPS = ("城关镇", "清河镇", "石桥镇", "白塔乡", "柳林乡", "双溪镇")
AREA_TYPES = {"城关镇": "urban", "清河镇": "town", "石桥镇": "town"}
EXAM = "2025-1-g9-final"
RATES = {"excellent_rate": 0.85, "good_rate": 0.75, "pass_rate": 0.6, "low_score_rate": 0.4, "full_score_rate": 1.0}
Z = 1.959964


def exam_file(papers: int = 7, *, stated: bool = True) -> ExamFile:
    """Return exam.toml as resolved, with everything stated or nearly nothing."""
    codes = list(FULL_MARKS)[:papers]
    facts: dict[str, Any] = {"id": EXAM, "name": "2025—2026学年第一学期九年级期末质量监测"}
    if stated:
        facts |= {
            "school_year": "2025-2026",
            "term": 1,
            "date": dt.date(2026, 1, 15),
            "year_group": "G9",
            "scope": "county",
            "purpose": "monitoring",
            "legal_basis": "示教〔2025〕30号",
        }
    listed = [
        {
            "code": code,
            "subject": code,
            "max_score": FULL_MARKS[code],
            "score_step": 0.5,
            "marking": "central" if stated else None,
        }
        for code in codes
    ]
    change = {"papers": ["math"], "marking": "school", "reason": "未参加统一阅卷"}
    return ExamFile.model_validate(
        {
            "schema": 1,
            "attest": dict.fromkeys(("pace", "paper", "sitting", "marking"), "yes") if stated else {},
            "exam": facts,
            "papers": listed,
            "deviations": [{"schools": ["S024"], "change": change}] if stated and papers > 1 else [],
        }
    )


def _units(schools: int) -> pl.DataFrame:
    names = [f"{TOWNSHIPS[i % 6][:2]}第{i // 6 + 1}中学" for i in range(schools)]
    parents = [TOWNSHIPS[i % 6] for i in range(schools)]
    rows = [("area", "all", "全县", None, 0)]
    rows += [("township", name, name, None, i) for i, name in enumerate(TOWNSHIPS)]
    rows += [("area_type", code, code, None, i) for i, code in enumerate(("urban", "town", "rural"))]
    rows += [("sex", code, code, None, i) for i, code in enumerate(("female", "male"))]
    rows += [("school", f"S{i + 1:03d}", names[i], parents[i], i) for i in range(schools)]
    schema = {"unit_type": pl.String, "unit": pl.String, "name": pl.String, "parent": pl.String, "sort_key": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _normal_cdf(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-1.702 * values))


def _long(base: pl.DataFrame, measure: str, estimate: np.ndarray, error: np.ndarray | None, method: str | None) -> pl.DataFrame:
    nothing = np.full(len(base), np.nan)
    error = nothing if error is None else error
    return base.with_columns(
        measure=pl.lit(measure),
        estimate=pl.Series(estimate),
        std_error=pl.Series(error),
        ci_lower=pl.Series(estimate - Z * error),
        ci_upper=pl.Series(estimate + Z * error),
        method=pl.lit(method, pl.String),
    )


def _paper_estimates(base: pl.DataFrame, gap: np.ndarray, within: np.ndarray) -> pl.DataFrame:
    """Estimates of ordinary papers from each unit's standardised gap and within-unit SD."""
    full = base["paper"].replace_strict(FULL_MARKS, default=760, return_dtype=pl.Float64).to_numpy()
    n = np.maximum(base["n"].to_numpy(), 1)
    mean = (0.62 + 0.19 * gap) * full
    sd = 0.19 * full * within
    parts = [
        _long(base, "mean_score", mean, sd / np.sqrt(n), "t"),
        _long(base, "score_rate", mean / full, sd / full / np.sqrt(n), "t"),
        _long(base, "sd", sd, sd / np.sqrt(2 * n), "approximate"),
        _long(base, "cv", sd / mean, None, None),
        _long(base, "z_mean", gap, within / np.sqrt(n), "t"),
        _long(base, "t_mean", 50 + 10 * gap, 10 * within / np.sqrt(n), "t"),
        _long(base, "percentile_rank", 100 * _normal_cdf(gap), None, None),
        _long(base, "median", mean + 1, sd / np.sqrt(n), "order statistics"),
        _long(base, "q1", mean - 0.67 * sd, None, None),
        _long(base, "q3", mean + 0.67 * sd, None, None),
        _long(base, "above_mean_ratio", mean / (0.62 * full) - 1, sd / np.sqrt(n) / full, "delta"),
        _long(base, "mean_ratio", mean / (0.62 * full), sd / np.sqrt(n) / full, "delta"),
        _long(base, "bottom30_share", 1 - _normal_cdf((gap + 0.52) / within), 0.46 / np.sqrt(n), "wilson"),
    ]
    for name, cut in RATES.items():
        share = _normal_cdf((mean - cut * full) / sd)
        share = 1 - share if name == "low_score_rate" else share
        parts.append(_long(base, name, share, np.sqrt(share * (1 - share) / n), "wilson"))
    present = base["n_present"].to_numpy() / np.maximum(base["n_expected"].to_numpy(), 1)
    parts.append(_long(base, "participation_rate", present, np.sqrt(present * (1 - present) / n), "wilson"))
    return pl.concat(parts)


def _cells(schools: int, papers: int, seed: int) -> pl.DataFrame:
    """Return unit_type, unit, paper, counts, gap and within-unit SD for every unit and paper."""
    draw = np.random.default_rng(seed)
    sizes = np.clip(draw.lognormal(np.log(150), 0.8, schools), 12, 800).astype(int)
    level = draw.normal(0, 0.3, schools)
    level -= np.average(level, weights=sizes)
    township = np.array([TOWNSHIPS[i % 6] for i in range(schools)])
    kind = np.array([AREA_TYPES.get(name, "rural") for name in township])
    rows = []
    codes = [*list(FULL_MARKS)[:papers], "total", "composite", "all_subjects"]
    for k, code in enumerate(codes):
        gap = level + (draw.normal(0, 0.12, schools) if k < papers else 0)
        absent = draw.binomial(sizes, 0.013)
        whole = {"all": np.full(schools, True)}
        groups: dict[str, dict[str, np.ndarray]] = {
            "area": whole,
            "school": {f"S{i + 1:03d}": np.arange(schools) == i for i in range(schools)},
        }
        groups["township"] = {name: township == name for name in TOWNSHIPS}
        groups["area_type"] = {name: kind == name for name in ("urban", "town", "rural")}
        for unit_type, members in groups.items():
            if unit_type == "school":
                values = zip(members, sizes, sizes - absent, gap, np.full(schools, 0.92), strict=True)
                rows += [("school", unit, code, int(e), int(p), float(g), float(w)) for unit, e, p, g, w in values]
                continue
            for unit, chosen in members.items():
                expected = int(sizes[chosen].sum())
                present = expected - int(absent[chosen].sum())
                mean_gap = (
                    0.0 if unit_type == "area" else float(np.average(gap[chosen], weights=sizes[chosen])) if chosen.any() else 0.0
                )
                rows.append((unit_type, unit, code, expected, present, mean_gap, 1.0))
        half = int(sizes.sum()) // 2
        rows += [("sex", "female", code, half, half - 20, 0.08, 1.0), ("sex", "male", code, half, half - 35, -0.08, 1.0)]
    schema = ["unit_type", "unit", "paper", "n_expected", "n_present", "gap", "within"]
    return pl.DataFrame(rows, schema=schema, orient="row")


def _estimates(cells: pl.DataFrame, *, deviating: str | None) -> pl.DataFrame:
    group = pl.format("{}/{}", pl.lit(EXAM), "paper")
    if deviating is not None:
        own = (pl.col("unit") == deviating) & pl.col("paper").is_in(["math", "total", "composite", "all_subjects"])
        group = pl.when(own).then(pl.format("{}/1", group)).otherwise(group)
    base = cells.with_columns(
        exam_id=pl.lit(EXAM),
        comparison_group=group,
        subject=pl.col("paper"),
        n=pl.col("n_present"),
        conf_level=pl.lit(0.95),
        reason=pl.lit(None, pl.String),
    )
    plain = base.filter(~pl.col("paper").is_in(["composite", "all_subjects"]))
    frames = [_paper_estimates(plain, plain["gap"].to_numpy(), plain["within"].to_numpy())]
    joint = base.filter(pl.col("paper") == "composite")
    gap, error = joint["gap"].to_numpy(), joint["within"].to_numpy() / np.sqrt(np.maximum(joint["n"].to_numpy(), 1))
    frames.append(_long(joint, "composite_z", gap, error, "t"))
    passed = base.filter(pl.col("paper") == "all_subjects")
    share = _normal_cdf(0.1 + 1.2 * passed["gap"].to_numpy())
    n = np.maximum(passed["n"].to_numpy(), 1)
    frames.append(_long(passed, "all_pass_rate", share, np.sqrt(share * (1 - share) / n), "wilson"))
    result = pl.concat(frames).select(list(EstimateTable.columns()))
    numbers = ["estimate", "std_error", "ci_lower", "ci_upper"]
    result = result.with_columns(pl.col(numbers).fill_nan(None))
    if deviating is not None:
        relative = ["z_mean", "t_mean", "composite_z", "above_mean_ratio", "mean_ratio", "bottom30_share", "percentile_rank"]
        barred = pl.col("comparison_group").str.ends_with("/1") & pl.col("measure").is_in(relative)
        result = result.with_columns(
            pl.when(~barred).then(pl.col(numbers)),
            reason=pl.when(barred).then(pl.lit("marking_not_shared")),
        )
    return EstimateTable.validate(result)


def _distribution(cells: pl.DataFrame, papers: int) -> pl.DataFrame:
    frames = []
    for code in list(FULL_MARKS)[:papers]:
        full = FULL_MARKS[code]
        marks = np.arange(0, full + 0.5, 0.5)
        weight = np.exp(-0.5 * ((marks - 0.62 * full) / (0.19 * full)) ** 2)
        total = cells.filter((pl.col("unit_type") == "area") & (pl.col("paper") == code))["n_present"].item()
        count = np.floor(weight / weight.sum() * total).astype(int)
        count[np.argsort(-weight)[: total - count.sum()]] += 1
        frames.append(
            pl.DataFrame({"score": (marks * 100).astype(np.int32), "count": count}).select(
                comparison_group=pl.lit(f"{EXAM}/{code}"), paper=pl.lit(code), score="score", count="count"
            )
        )
    return pl.concat(frames).filter(pl.col("count") > 0)


def _measures() -> dict[str, dict[str, Any]]:
    return {name: measure.model_dump() for name, measure in load_measures().items()}


def _group(name: str, paper: str, schools: int, expected: int, present: int) -> dict[str, Any]:
    """Return a line of the comparability table."""
    return dict.fromkeys(COMPARABILITY) | {
        "comparison_group": name,
        "exam_id": EXAM,
        "paper": paper,
        "subject": paper,
        "year_group": "G9",
        "marking": "central",
        "n_schools": schools,
        "n_expected": expected,
        "n_present": present,
        "comparable": True,
    }


def make_publishable(
    schools: int = 24, papers: int = 7, *, stated: bool = True, seed: int = 20260115, **settings: Any
) -> Publishable:
    """Return an invented county as the bulletin stage receives it."""
    exam = exam_file(papers, stated=stated)
    deviating = "S024" if exam.deviations and schools >= 24 else None
    cells = _cells(schools, papers, seed)
    area = cells.filter(pl.col("unit_type") == "area")
    comparable = [_group(f"{EXAM}/{code}", code, schools, expected, present) for _, _, code, expected, present, *_ in area.rows()]
    if deviating:
        own = {"deviation": "1", "comparable": False, "reason": "marking_not_shared"}
        comparable += [
            _group(f"{EXAM}/{code}/1", code, 1, 60, 58) | own | ({"marking": "school"} if code == "math" else {})
            for code in ("math", *DERIVED)
        ]
    shown = area.filter(pl.col("paper").is_in(list(FULL_MARKS)))
    statuses = shown.select(
        comparison_group=pl.format("{}/{}", pl.lit(EXAM), "paper"),
        paper="paper",
        status=pl.concat_list(pl.lit("present"), pl.lit("absent"), pl.lit("deferred")),
        count=pl.concat_list(pl.col("n_present"), pl.col("n_expected") - pl.col("n_present") - 3, pl.lit(3, pl.Int64)),
    ).explode("status", "count")
    used = area["n_expected"][0]
    return Publishable(
        edition="bureau",
        exam=exam,
        settings=RunSettings(
            **({"issuer": "示例县教育局", "recipients": ("各乡镇中心学校", "局直属各学校"), "document_no": ""} | settings)
        ),
        estimates=_estimates(cells, deviating=deviating),
        comparability=pl.DataFrame(comparable, schema=COMPARABILITY),
        units=_units(schools),
        distribution=_distribution(cells, papers),
        statuses=statuses,
        inputs=pl.DataFrame(
            [
                ("城区片.xlsx", "ab" * 32, 180_000, None, used - 900, used - 903, 3),
                ("东片.csv", "cd" * 32, 90_000, "gb18030", 500, 500, 0),
                ("西片.csv", "ef" * 32, 90_000, "utf-8", 405, 403, 2),
            ],
            schema=INPUTS,
            orient="row",
        ),
        checks=pl.DataFrame([], schema=CHECKS, orient="row"),
        rejected_counts=pl.DataFrame(
            {
                "file": ["城区片.xlsx", "城区片.xlsx", "西片.csv"],
                "code": ["summary_row", "note_row", "score_above_max"],
                "n": [1, 2, 2],
            }
        ),
        measures=_measures(),
        provenance={
            "version": "0.1.0",
            "inputs": "0123456789abcdef",
            "settings": "fedcba9876543210",
            "measures": "0f1e2d3c4b5a6978",
        },
    )


def with_tracks(publishable: Publishable, *, shares: tuple[float, ...] = (0.6, 0.4)) -> Publishable:
    """Return the county with every paper in two tracks, and totals of the physics track in as many combinations as shares.

    Numbers are those of the county again; of combinations beyond the first they only differ in size.
    """
    tracks = ("physics", "history")
    ending = {track: f".{track}" for track in tracks}
    combined = [f".physics.k{place}" for place in range(1, len(shares) + 1)]
    codes = [paper.code for paper in publishable.exam.papers]
    derived = pl.col("paper").is_in(DERIVED)

    def spread(frame: pl.DataFrame) -> pl.DataFrame:
        plain = frame.filter(~pl.col("comparison_group").str.ends_with("/1"))
        parts = [plain.filter(~derived).with_columns(pl.col("comparison_group") + ending[track]) for track in tracks]
        parts.append(plain.filter(derived).with_columns(pl.col("comparison_group") + ending["history"]))
        counts = [name for name in ("n_expected", "n_present", "n", "count") if name in frame.columns]
        for share, name in zip(shares, combined, strict=True):
            sized = [(pl.col(count) * share).round().cast(pl.Int64).alias(count) for count in counts]
            parts.append(plain.filter(derived).with_columns(pl.col("comparison_group") + name, *sized))
        return pl.concat(parts)

    comparability = spread(publishable.comparability).with_columns(
        pl.col("comparison_group").str.extract(r"\.(physics|history)").alias("track"),
        pl.when(derived).then(pl.lit("+".join(codes))).alias("papers"),
    )
    smaller = pl.col("comparison_group").str.extract(r"\.k(\d+)$").cast(pl.Int64)
    lacking = [pl.when(smaller == place).then(pl.lit("+".join(codes[: 1 - place]))) for place in range(2, len(shares) + 1)]
    comparability = comparability.with_columns(pl.coalesce(*lacking, "papers").alias("papers"))
    return dataclasses.replace(
        publishable,
        comparability=comparability.select(COMPARABILITY.keys()),
        estimates=spread(publishable.estimates),
        distribution=spread(publishable.distribution),
        statuses=spread(publishable.statuses),
    )
