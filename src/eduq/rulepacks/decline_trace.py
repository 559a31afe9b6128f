"""What the decline estimator said behind one verdict: slope, interval, grade, and what stands before a better one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from eduq.estimates.ranks import could_be_last, probability_last
from eduq.rulepacks.model import EvidenceBounds, Rule

if TYPE_CHECKING:
    from eduq.estimates.declines import DeclineResult

__all__ = ["add_last_place", "describe_evidence", "find_decline"]

_MODEL = (
    "var_shock", "var_shock_lower", "var_shock_upper", "shock_source", "shock_correlation", "correlation_source", "df", "n_units",
    "n_periods", "level_slope_correlation",
)  # fmt: skip


def find_decline(
    declines: Mapping[str, DeclineResult], verdicts: pl.DataFrame, rule: Rule
) -> tuple[DeclineResult, dict[str, Any]] | None:
    """Return the estimator's result behind the proposing reading, and its line of the unit."""
    if verdicts.is_empty():
        return None
    line = verdicts.filter(pl.col("reading") == rule.readings.proposes).row(0, named=True)
    for _, result in sorted(declines.items()):
        own = result.frame.filter(
            (pl.col("unit") == line["unit"])
            & pl.col("year_group").eq_missing(pl.lit(line["year_group"] or ""))
            & pl.col("subject").eq_missing(pl.lit(line["subject"] or ""))
        )
        for row in own.iter_rows(named=True):
            same = all(row[name] == line[name] for name in ("slope", "q_value", "p_last", "min_detectable"))
            if same and line["n_periods"] == row["n_periods"]:
                return result, row
    return None


def add_last_place(
    facts: pl.DataFrame, found: tuple[DeclineResult, dict[str, Any]] | None, unit: str, line: Mapping[str, Any] | None
) -> pl.DataFrame:
    """Add to each year how probably the unit is the last, and whether it could be."""
    chances: dict[str, tuple[float, bool]] = {}
    if found is not None and line is not None:
        result, _ = found
        key = (line["year_group"] or "", line["subject"] or "")
        model = result.models.get(key)
        series = result.series.filter((pl.col("year_group") == key[0]) & (pl.col("subject") == key[1]))
        for (period,), rows in series.filter(pl.col("estimate").is_not_null()).group_by(["period"], maintain_order=True):
            rows = rows.filter(pl.col("std_error").is_not_null()).sort("unit")
            units = rows["unit"].to_list()
            if model is None or unit not in units or len(units) < 5:
                continue
            spread = np.sqrt(rows["std_error"].to_numpy() ** 2 + model.var_shock)
            place, x = units.index(unit), rows["estimate"].to_numpy()
            chances[str(period)] = (float(probability_last(x, spread)[place]), bool(could_be_last(x, spread)[place]))
    periods = facts["period"].to_list()
    return facts.with_columns(
        pl.Series("p_last", [chances.get(period, (None, None))[0] for period in periods], dtype=pl.Float64),
        pl.Series("could_be_last", [chances.get(period, (None, None))[1] for period in periods], dtype=pl.Boolean),
    ).sort("measure", "period")


_KEPT = (
    "n_periods", "first", "last", "slope", "std_error", "df", "ci_lower", "ci_upper", "p_value", "q_value", "holm_p", "q_second",
    "family_size", "slope_shrunken", "min_detectable", "run_declines", "could_be_last", "p_last", "evidence_reason",
    "stagnation", "stagnation_band", "drop", "drop_se", "drop_q",
)  # fmt: skip


def describe_evidence(
    rule: Rule, bounds: EvidenceBounds, found: tuple[DeclineResult, dict[str, Any]] | None, verdicts: pl.DataFrame
) -> dict[str, Any] | None:
    """Return what the estimator says of the unit and of all units together."""
    if found is None:
        return None
    result, row = found
    line = verdicts.filter(pl.col("reading") == rule.readings.proposes).row(0, named=True)
    model = result.models[(line["year_group"] or "", line["subject"] or "")]
    evidence = {name: row.get(name) for name in _KEPT} | {"evidence_grade": line["evidence_grade"]}
    evidence["why_not_higher"] = _why_not_higher(evidence, bounds, rule)
    evidence["model"] = {name: getattr(model, name) for name in _MODEL}
    series = result.series.filter(
        (pl.col("unit") == line["unit"])
        & (pl.col("year_group") == (line["year_group"] or ""))
        & (pl.col("subject") == (line["subject"] or ""))
    ).sort("period")
    evidence["series"] = series.select("period", "relative", "used").to_dicts()
    evidence["bounds"] = bounds.values()
    return evidence


def _why_not_higher(evidence: Mapping[str, Any], bounds: EvidenceBounds, rule: Rule) -> list[str]:
    """Return what stands between the grade and a better one: why the estimator lowered it, and bounds not reached.

    Wording ``why.not_higher.<code>``, else ``declines.reason.<code>``.
    """
    letter, slope = evidence["evidence_grade"], evidence["slope"]
    if letter in (None, "A") or slope is None or evidence["p_value"] is None:
        return []
    capped = [evidence["evidence_reason"]] if evidence["evidence_reason"] is not None else []
    tests = {
        "materiality": slope > -bounds.materiality,
        "p_possible": letter == "D" and evidence["p_value"] > bounds.p_possible,
        "q": letter in ("C", "D") and evidence["q_value"] > bounds.q,
        "too_few_for_b": letter == "C" and evidence["n_periods"] < 3,
        "holm": letter == "B" and evidence["holm_p"] > bounds.alpha_holm,
        "second_rho": letter == "B" and evidence["q_second"] is not None and evidence["q_second"] > bounds.q,
        "too_few_for_a": letter == "B" and evidence["n_periods"] < 4,
    }
    return [*capped, *(name for name, stands in tests.items() if stands)]
