"""Frames of a stress run: sums of whole numbers become rates with their Monte-Carlo error."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import polars as pl

from eduq.rulepacks.peers import next_school_year
from eduq.rulepacks.simulation.engine import READINGS, Tally
from eduq.rulepacks.simulation.plans import RulePlan, StressPlan, true_levels

__all__ = ["COUNTY", "EDITS", "LADDER", "NOT_SIMULATED", "PER_SCHOOL", "POWER", "RATES", "build_frames"]

Schema = dict[str, pl.DataType]

RATES: Schema = {
    "rule_id": pl.String(),
    "proposal": pl.String(),
    "reading": pl.String(),
    "gate": pl.String(),
    "ahead": pl.Int64(),
    "period": pl.String(),
    "n_units": pl.Int64(),
    "worlds": pl.Int64(),
    "cards_per_year": pl.Float64(),
    "mc_se": pl.Float64(),
    "p_any": pl.Float64(),
    "p_any_mc_se": pl.Float64(),
}
"""False proposals where nothing changes: one line per rule, reading and gate. ``cards_per_year`` is the expected number of units
with one in the judged year ``period``, ``p_any`` the probability of at least one, ``n_units`` how many can be assessed; ``gate``:
``literal`` the clause alone, ``B`` and ``A`` the clause and evidence of at least that grade (in fewer ``worlds``); ``ahead``
years after the archive's newest."""

LADDER: Schema = {
    "ladder": pl.String(),
    "rule_id": pl.String(),
    "proposal": pl.String(),
    "reading": pl.String(),
    "ahead": pl.Int64(),
    "period": pl.String(),
    "worlds": pl.Int64(),
    "new_cards": pl.Float64(),
    "mc_se": pl.Float64(),
    "p_any_new": pl.Float64(),
    "standing": pl.Float64(),
    "ever": pl.Float64(),
}
"""The ladder of the literal clauses year by year where nothing changes, all starting without a card: expected new cards, units
standing on the step at the end of the year (exits applied), and units that have had the card at least once by then."""

PER_SCHOOL: Schema = {
    "rule_id": pl.String(),
    "reading": pl.String(),
    "gate": pl.String(),
    "family": pl.String(),
    "unit": pl.String(),
    "n_series": pl.Int64(),
    "n": pl.Int64(),
    "worlds": pl.Int64(),
    "p": pl.Float64(),
    "mc_se": pl.Float64(),
}
"""Chance of a false proposal for each unit in the judged year; null where it cannot be assessed. ``n``: candidates of its
``n_series`` series in the newest year."""

POWER: Schema = {
    "rule_id": pl.String(),
    "decline": pl.Float64(),
    "placed": pl.String(),
    "family": pl.String(),
    "unit": pl.String(),
    "n_series": pl.Int64(),
    "n": pl.Int64(),
    "reading": pl.String(),
    "gate": pl.String(),
    "worlds": pl.Int64(),
    "power": pl.Float64(),
    "mc_se": pl.Float64(),
}
"""Chance that the rule proposes for a unit that truly falls by ``decline`` pupil SDs a year in all its series, all others
unchanged. ``placed``: at the unit of the lowest or median level, or with most candidates (``unit``, ``n``)."""

EDITS: Schema = {
    "rule_id": pl.String(),
    "reading": pl.String(),
    "edit": pl.String(),
    "value": pl.Float64(),
    "ahead": pl.Int64(),
    "worlds": pl.Int64(),
    "false_cards": pl.Float64(),
    "false_mc_se": pl.Float64(),
    "false_difference": pl.Float64(),
    "false_difference_se": pl.Float64(),
    "power_worlds": pl.Int64(),
    "power": pl.Float64(),
    "power_mc_se": pl.Float64(),
    "power_difference": pl.Float64(),
    "power_difference_se": pl.Float64(),
    "halves": pl.Boolean(),
}
"""Edits of a clause: false proposals a year and power (the decline of `StressResult.settings` ``reference``), with differences
from the clause as it stands and their standard errors, taken world by world. First the clause as it stands, then the edits that
at least halve the false proposals, by the power they cost, then the others."""

COUNTY: Schema = {
    "family": pl.String(),
    "measure": pl.String(),
    "year_groups": pl.String(),
    "subjects": pl.String(),
    "n_series": pl.Int64(),
    "n_years": pl.Int64(),
    "period_first": pl.String(),
    "period_last": pl.String(),
    "holes": pl.Int64(),
    "n_median": pl.Float64(),
    "level_sd": pl.Float64(),
    "shock_sd": pl.Float64(),
    "shock_sd_lower": pl.Float64(),
    "shock_sd_upper": pl.Float64(),
    "shock_correlation": pl.Float64(),
    "shock_source": pl.String(),
}
"""What the worlds were drawn from. ``shock_sd`` is the mean over the likelihood, with the bounds of its middle 95 %; ``level_sd``
the spread of the true levels; ``holes``: cells without a comparable level."""

NOT_SIMULATED: Schema = {"rule_id": pl.String(), "reason": pl.String()}
"""Rules that were not simulated, with the reason (wording ``stress.reason.<reason>``)."""


def build_frames(plan: StressPlan, tally: Tally) -> dict[str, pl.DataFrame]:
    """Return the frames of a run by name.

    Parameters
    ----------
    plan, tally
        What was simulated, and its sums.
    """
    rates = _frame(_rates(plan, tally), RATES)
    first = {one.rule.id: one.ahead for one in plan.rules}
    judged = (
        pl.col("ahead") == pl.col("rule_id").replace_strict(first, default=0, return_dtype=pl.Int64) if first else pl.lit(True)
    )
    return {
        "rates": rates.filter(judged),
        "years": rates.filter(pl.col("gate") == "literal"),
        "ladder": _frame(_ladder(plan, tally), LADDER),
        "per_school": _frame(_per_school(plan, tally), PER_SCHOOL),
        "power": _frame(_power(plan, tally), POWER),
        "edits": _frame(_edits(plan, tally), EDITS),
        "county": _frame(_county(plan), COUNTY),
    }


def _frame(rows: Iterable[Mapping[str, Any]], schema: Schema) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=dict(schema), orient="row")


def _mean(total: float, squares: float, worlds: int) -> tuple[float, float]:
    """Mean over worlds and its standard error."""
    mean = total / worlds
    return mean, math.sqrt(max(squares / worlds - mean**2, 0.0) / worlds)


def _share(hits: float, worlds: int) -> tuple[float, float]:
    """Share of worlds and its standard error √(p(1−p)/W)."""
    p = hits / worlds
    return p, math.sqrt(p * (1.0 - p) / worlds)


def _period(plan: StressPlan, one: RulePlan, ahead: int) -> str:
    block = next(block for block in plan.blocks if any(other.rule.id == one.rule.id for other in block.rules))
    return next_school_year(block.family.periods[-1], step=ahead)


def _rates(plan: StressPlan, tally: Tally) -> Iterable[dict[str, Any]]:
    for one in plan.rules:
        for reading in READINGS:
            known = sum(
                int((tally[place] > 0).sum())
                for number in range(len(plan.blocks))
                if (place := ("known", one.rule.id, reading, number)) in tally
            )
            for gate in one.gates:
                for ahead in range(one.ahead, plan.years_ahead + 1):
                    key = ("rate", one.rule.id, reading, gate, ahead)
                    if key not in tally:
                        continue
                    total, squares, some, worlds = tally[key].tolist()
                    mean, error = _mean(total, squares, worlds)
                    chance, chance_error = _share(some, worlds)
                    yield {
                        "rule_id": one.rule.id,
                        "proposal": one.rule.proposal,
                        "reading": reading,
                        "gate": gate,
                        "ahead": ahead,
                        "period": _period(plan, one, ahead),
                        "n_units": known,
                        "worlds": worlds,
                        "cards_per_year": mean,
                        "mc_se": error,
                        "p_any": chance,
                        "p_any_mc_se": chance_error,
                    }


def _ladder(plan: StressPlan, tally: Tally) -> Iterable[dict[str, Any]]:
    for name, steps in plan.ladders().items():
        for one in steps:
            for reading in READINGS:
                for ahead in range(plan.years_ahead + 1):
                    key = (name, one.rule.id, reading, ahead)
                    if ("new", *key) not in tally:
                        continue
                    total, squares, some, worlds = tally["new", *key].tolist()
                    mean, error = _mean(total, squares, worlds)
                    yield {
                        "ladder": name,
                        "rule_id": one.rule.id,
                        "proposal": one.rule.proposal,
                        "reading": reading,
                        "ahead": ahead,
                        "period": _period(plan, one, ahead),
                        "worlds": worlds,
                        "new_cards": mean,
                        "mc_se": error,
                        "p_any_new": some / worlds,
                        "standing": int(tally["standing", *key][0]) / worlds,
                        "ever": int(tally["ever", *key][0]) / worlds,
                    }


def _units(plan: StressPlan, number: int) -> list[dict[str, Any]]:
    """Say who the units of a family are."""
    family = plan.blocks[number].family
    size = len(family.units)
    n = np.bincount(family.unit_of, np.concatenate([peer.n[:, -1] for peer in family.peers]), minlength=size).astype(int)
    series = np.bincount(family.unit_of, minlength=size)
    shared = {"family": family.cells[0].family or None}
    return [
        shared | {"unit": unit, "n_series": int(count), "n": int(total)}
        for unit, count, total in zip(family.units, series, n, strict=True)
    ]


def _per_school(plan: StressPlan, tally: Tally) -> Iterable[dict[str, Any]]:
    for one in plan.rules:
        for number in range(len(plan.blocks)):
            units = _units(plan, number)
            for reading in READINGS:
                for gate in one.gates:
                    counts = tally.get(("row", one.rule.id, reading, gate, number))
                    if counts is None:
                        continue
                    known, worlds = tally["known", one.rule.id, reading, number] > 0, int(counts[-1])
                    for place, unit in enumerate(units):
                        chance, error = _share(int(counts[place]), worlds) if known[place] else (None, None)
                        shared = {"rule_id": one.rule.id, "reading": reading, "gate": gate, "worlds": worlds}
                        yield shared | {"p": chance, "mc_se": error} | unit


def _power(plan: StressPlan, tally: Tally) -> Iterable[dict[str, Any]]:
    for one in plan.rules:
        for number, block in enumerate(plan.blocks):
            units = _units(plan, number)
            for place, scenario in enumerate(block.scenarios):
                for reading in READINGS:
                    for gate in one.gates:
                        found = tally.get(("power", one.rule.id, reading, gate, number, place))
                        if found is None:
                            continue
                        hits, drawn = found.tolist()
                        chance, error = _share(hits, drawn)
                        yield {
                            "rule_id": one.rule.id,
                            "decline": scenario.decline,
                            "placed": scenario.placed,
                            "reading": reading,
                            "gate": gate,
                            "worlds": drawn,
                            "power": chance,
                            "mc_se": error,
                        } | units[scenario.unit]


def _edits(plan: StressPlan, tally: Tally) -> Iterable[dict[str, Any]]:
    for one in plan.rules:
        if one.edits_ahead is None:
            continue
        for reading in READINGS:
            rows = []
            for edit in one.edits:
                if ("edit", one.rule.id, reading, edit.id) not in tally:
                    continue
                total, squares, _, worlds = tally["edit", one.rule.id, reading, edit.id].tolist()
                apart, squared, _ = tally["edit_difference", one.rule.id, reading, edit.id].tolist()
                mean, error = _mean(total, squares, worlds)
                difference, difference_error = _mean(apart, squared, worlds)
                rows.append(
                    {
                        "rule_id": one.rule.id,
                        "reading": reading,
                        "edit": edit.id,
                        "value": edit.value,
                        "ahead": one.edits_ahead,
                        "false_cards": mean,
                        "false_mc_se": error,
                        "false_difference": difference,
                        "false_difference_se": difference_error,
                        "worlds": worlds,
                        "halves": edit.id != "none" and apart < 0 and 2 * total <= total - apart,
                    }
                    | _edit_power(tally, one.rule.id, reading, edit.id)
                )
            yield from [rows[0], *sorted(rows[1:], key=_by_cost)]


def _by_cost(row: Mapping[str, Any]) -> tuple[bool, float, float]:
    """Edits that halve first, then by the power they cost."""
    return not row["halves"], -(row["power_difference"] or 0.0), row["false_cards"]


def _edit_power(tally: Tally, rule: str, reading: str, edit: str) -> dict[str, float | None]:
    found = tally.get(("edit_power", rule, reading, edit))
    if found is None:
        return dict.fromkeys(("power_worlds", "power", "power_mc_se", "power_difference", "power_difference_se"))
    hits, apart, squares, drawn = found.tolist()
    power, error = _share(hits, drawn)
    difference, difference_error = _mean(apart, squares, drawn)
    return {
        "power_worlds": drawn,
        "power": power,
        "power_mc_se": error,
        "power_difference": difference,
        "power_difference_se": difference_error,
    }


def _county(plan: StressPlan) -> Iterable[dict[str, Any]]:
    for block in plan.blocks:
        family, shocks = block.family, block.county.shocks
        n = np.concatenate([peer.n for peer in family.peers])[np.isfinite(family.means)]
        levels = true_levels(family, block.county)
        there = np.isfinite(block.county.levels[0])
        order = np.argsort(shocks.shock_sd, kind="stable")
        reached = np.cumsum(shocks.weight[order])
        bounds = [
            float(shocks.shock_sd[order][min(int(np.searchsorted(reached, tail)), order.size - 1)]) for tail in (0.025, 0.975)
        ]
        yield {
            "family": family.cells[0].family or None,
            "measure": family.measure,
            "year_groups": "+".join(sorted({cell.year_group for cell in family.cells})),
            "subjects": "+".join(sorted({cell.subject for cell in family.cells})),
            "n_series": family.means.shape[0],
            "n_years": len(family.periods),
            "period_first": family.periods[0],
            "period_last": family.periods[-1],
            "holes": int((~np.isfinite(family.means)).sum()),
            "n_median": float(np.median(n)) if n.size else None,
            "level_sd": float(np.std(levels[there], ddof=1)) if there.sum() > 1 else None,
            "shock_sd": shocks.mean_shock_sd,
            "shock_sd_lower": bounds[0],
            "shock_sd_upper": bounds[1],
            "shock_correlation": shocks.mean_correlation,
            "shock_source": shocks.source,
        }
