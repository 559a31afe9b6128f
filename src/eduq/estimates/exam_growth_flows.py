"""Moves of an exam's candidates between bands since a prior exam, and the low groups of its papers (`eduq.tables.FLOWS`)."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from eduq.errors import NotAssessableError
from eduq.estimates.exam_growth_fits import GrowthJob
from eduq.estimates.growth.flows import FlowResult, measure_flows, measure_low_groups
from eduq.groups import COMPOSITE
from eduq.settings import RunSettings
from eduq.summaries import AREA_UNIT
from eduq.tables import FLOWS

__all__ = ["exam_flows", "exam_low_group", "measure_exam_flows"]


def measure_exam_flows(
    jobs: Sequence[GrowthJob], *, exam_id: str, prior_exam: str, by: str, settings: RunSettings
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the moves between three bands and those of the low groups, each in `eduq.tables.FLOWS`.

    Bands are those of the composite (of the paper, in an exam of one), low groups those of the papers whose subject the prior
    exam had too. A group in which no bands can be cut is left out.

    Parameters
    ----------
    jobs
        Papers and comparison groups with their linked candidates.
    exam_id, prior_exam
        The exam and the prior one.
    by
        Unit type.
    settings
        Of the run: flow_shares, low_group_share, conf_level.
    """
    papers = {job.paper for job in jobs}
    whole = COMPOSITE if COMPOSITE in papers else next(iter([job.paper for job in jobs]), None)
    flows, low_groups = [pl.DataFrame(schema=FLOWS)], [pl.DataFrame(schema=FLOWS)]
    for job in jobs:
        if not job.group["comparable"]:
            continue
        names = ("comparison_group", "subject", "paper")
        of = {"unit_type": by, "exam_id": exam_id, "prior_exam": prior_exam} | {name: str(job.group[name]) for name in names}
        try:
            if job.paper == whole:
                flows.append(exam_flows(job.rows, job.first, of, cuts=settings.flow_shares, level=settings.conf_level))
            if job.paper != COMPOSITE and (not job.first.endswith(f"_{COMPOSITE}") or len(papers) == 1):
                low_groups.append(
                    exam_low_group(job.rows, job.first, of, cut=settings.low_group_share, level=settings.conf_level)
                )
        except NotAssessableError:
            continue
    return pl.concat(flows), pl.concat(low_groups)


def exam_flows(
    rows: pl.DataFrame, prior: str, of: dict[str, str], *, cuts: tuple[float, float] = (0.30, 0.70), level: float = 0.95
) -> pl.DataFrame:
    """Return the moves between three bands of one paper in one comparison group, of the area first.

    Parameters
    ----------
    rows
        Linked candidates: unit, y, the prior.
    prior
        Column of the prior.
    of
        unit_type, exam_id, comparison_group, subject, paper and prior_exam of every line.
    cuts, level
        As in `measure_flows`.
    """
    chosen = rows.select("unit", "y", prior)
    return _lay_out(measure_flows(chosen, outcome="y", prior=prior, unit="unit", cuts=cuts, level=level), of)


def exam_low_group(rows: pl.DataFrame, prior: str, of: dict[str, str], *, cut: float = 0.30, level: float = 0.95) -> pl.DataFrame:
    """Return who enters, stays in and leaves the low group of one paper in one comparison group, of the area first.

    The parameters are those of `exam_flows`; ``cut`` is the share of all pupils in the low group.
    """
    chosen = rows.select("unit", "y", prior)
    return _lay_out(measure_low_groups(chosen, subjects={of["subject"]: (prior, "y")}, unit="unit", cut=cut, level=level), of)


def _lay_out(found: FlowResult, of: dict[str, str]) -> pl.DataFrame:
    """Return the lines of the area, then those of the units."""
    linked = int(found.bands.filter(exam="prior")["n"].sum())
    bands = found.bands.select(
        pl.concat_str("exam", pl.lit("_band")).alias("flow"),
        pl.when(pl.col("exam") == "prior").then(pl.col("band")).alias("band_from"),
        pl.when(pl.col("exam") == "outcome").then(pl.col("band")).alias("band_to"),
        pl.col("n").alias("count"),
        pl.lit(linked, pl.Int64).alias("n"),
        pl.col("share").alias("estimate"),
        pl.lit("census").alias("method"),
    )
    area = pl.concat([bands, found.area.drop("subject", strict=False)], how="diagonal").with_columns(
        pl.lit("area").alias("unit_type"), pl.lit(AREA_UNIT).alias("unit")
    )
    units = found.frame.drop("subject", strict=False).with_columns(pl.lit(of["unit_type"]).alias("unit_type"))
    side = (
        pl.when(pl.col("difference_lower") > 0)
        .then(pl.lit("above"))
        .when(pl.col("difference_upper") < 0)
        .then(pl.lit("below"))
        .when(pl.col("difference_lower").is_not_null())
        .then(pl.lit("same"))
    )
    said = {name: pl.lit(value) for name, value in of.items() if name != "unit_type"}
    lines = pl.concat([area, units], how="diagonal").with_columns(side=side, **said)
    return lines.select(pl.col(name).cast(kind) for name, kind in FLOWS.items())
