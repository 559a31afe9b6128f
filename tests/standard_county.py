"""Standard counties of the simulations: 40 schools, lognormal sizes, within variance .85, level SD .35, cohort shock .10."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from eduq.rulepacks.conditions import PeerSeries, reason_code
from eduq.rulepacks.model import Rule
from eduq.rulepacks.peers import PeerCell
from eduq.rulepacks.simulation.families import Family, form_family
from eduq.rulepacks.simulation.plans import Block, Scenario, StressPlan, plan_rule
from eduq.rulepacks.simulation.shocks import ShockGrid, declare_shocks
from eduq.rulepacks.simulation.worlds import County

WITHIN = 0.85
FIRST_YEAR = 2020


def ladder_rule(
    years: int, *, last_years: int | None = None, rule_id: str | None = None, step: int = 1, min_pupils: int = 15
) -> Rule:
    """Return the clause "k falls and last", last in each of `last_years` years (default k)."""
    return Rule.model_validate(
        {
            "id": rule_id or f"county.head.k{years}",
            "subject": "head",
            "measure": "composite_z",
            "peer_group": {"within": ["stage"], "min_units": 5, "min_pupils": min_pupils, "small_schools": "exempt"},
            "conditions": [
                {"kind": "decline", "years": years},
                {"kind": "last_place", "years": last_years or years, "last": 1},
            ],
            "gaps": {"tenure": "every_year"},
            "exit": {"after_years": 1},
            "proposal": "yellow_card",
            "addressed": {"decides": "局长"},
            "ladder": {"name": "county", "step": step},
        }
    )


def standard_cell(
    rng: np.random.Generator, *, n_schools: int = 40, n_years: int = 4, year_group: str = "G9", tested: bool = True
) -> tuple[PeerCell, np.ndarray]:
    """Draw the sizes and true levels of one county; with `tested` its first school has 120 candidates and a level of −.6."""
    base = np.clip(rng.lognormal(np.log(120), 0.8, n_schools), 15, 800)
    levels = 0.35 * rng.standard_normal(n_schools)
    if tested:
        base[0], levels[0] = 120, -0.6
    n = np.maximum(np.rint(base[:, None] * np.exp(0.1 * rng.standard_normal((n_schools, n_years)))), 15).astype(np.int64)
    if tested:
        n[0] = 120
    units = tuple(f"S{number:03d}" for number in range(1, n_schools + 1))
    periods = tuple(f"{FIRST_YEAR + year}-{FIRST_YEAR + year + 1}" for year in range(n_years))
    shape = (n_schools, n_years)
    peer = PeerSeries(
        level=np.broadcast_to(levels[:, None], shape).copy(),
        n=n,
        reason=np.zeros(shape, np.int8),
        exempt=np.zeros(n_schools, np.int8),
        held=np.ones(shape, dtype=bool),
    )
    lines = cell_lines(units, periods, peer, year_group)
    return PeerCell("stage=junior", year_group, "composite", units, periods, {"composite_z": peer}, lines), levels


def cell_lines(units: tuple[str, ...], periods: tuple[str, ...], peer: PeerSeries, year_group: str) -> pl.DataFrame:
    """Return the lines of a series as `collect_series` gives them."""
    rows = [
        {
            "unit": unit,
            "year_group": year_group,
            "subject": "composite",
            "measure": "composite_z",
            "period": period,
            "n": int(peer.n[row, column]),
            "estimate": float(peer.level[row, column]),
            "sd": float(np.sqrt(WITHIN)),
            "segment": 0,
            "reason": None,
        }
        for row, unit in enumerate(units)
        for column, period in enumerate(periods)
        if peer.reason[row, column] == 0
    ]
    return pl.DataFrame(rows)


def with_holes(
    cell: PeerCell, holes: list[tuple[int, int]], *, exempt: tuple[int, ...] = (), changed: tuple[int, ...] = ()
) -> PeerCell:
    """Return the county with missing cells, exempt small schools, and schools whose head came in the second year."""
    peer = cell.peers["composite_z"]
    level, n, reason = peer.level.copy(), peer.n.copy(), peer.reason.copy()
    for row, column in holes:
        level[row, column], n[row, column], reason[row, column] = np.nan, 0, reason_code("missing_year")
    outside, held = peer.exempt.copy(), peer.held.copy()
    outside[list(exempt)] = reason_code("small_school_exempt")
    held[list(changed), :1] = False
    peer = replace(peer, level=level, n=n, reason=reason, exempt=outside, held=held)
    return replace(cell, peers={"composite_z": peer}, lines=cell_lines(cell.units, cell.periods, peer, cell.year_group))


def fixed_county(family: Family, levels: np.ndarray, shocks: ShockGrid | None = None) -> County:
    """Return worlds with known true levels and shocks."""
    grid = shocks or declare_shocks(0.10)
    return County(np.isfinite(family.means), family.variances, np.repeat(levels[None, :], grid.weight.size, axis=0), grid)


def standard_plan(
    rules: list[Rule], *, seed: int, n_years: int = 4, years_ahead: int = 0, n_schools: int = 40, decline: float | None = -0.2
) -> StressPlan:
    """Plan a run on one standard county, with the tested school falling."""
    cell, levels = standard_cell(np.random.default_rng(seed), n_schools=n_schools, n_years=n_years)
    family = form_family([cell], "composite_z")
    plans = tuple(plan for rule in rules if (plan := plan_rule(rule, {}, n_years=n_years, years_ahead=years_ahead)))
    scenarios = () if decline is None else (Scenario(decline, "lowest", 0),)
    block = Block(family, fixed_county(family, levels).extend(years_ahead), plans, scenarios)
    return StressPlan((block,), years_ahead, seed, None if decline is None else (0, 0))
