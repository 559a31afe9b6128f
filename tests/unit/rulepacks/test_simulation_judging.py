"""The simulation applies the very rules: the same verdicts and the same grades as judging world by world."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.standard_county import fixed_county, ladder_rule, standard_cell, with_holes

from eduq.rulepacks.conditions import MET, NOT_ASSESSABLE
from eduq.rulepacks.evidence import EvidenceFinder
from eduq.rulepacks.model import Rule
from eduq.rulepacks.peers import PeerCell, form_peer_cells
from eduq.rulepacks.simulation.edits import list_edits
from eduq.rulepacks.simulation.families import Family, form_family
from eduq.rulepacks.simulation.outcomes import asks_last_place, find_met, grade_worlds
from eduq.rulepacks.simulation.worlds import draw_worlds, lay_decline
from eduq.rulepacks.verdicts import evaluate_rule

READINGS = ("narrow", "wide")


def county_of(seed: int, n_years: int) -> tuple[Family, np.ndarray]:
    """Two year groups of 12 schools with holes, an exempt school and a changed head."""
    rng = np.random.default_rng(seed)
    cells, levels = [], []
    for year_group in ("G8", "G9"):
        cell, level = standard_cell(rng, n_schools=12, n_years=n_years, year_group=year_group)
        cells.append(with_holes(cell, [(2, 0), (5, n_years - 1), (7, 1)], exempt=(3,), changed=(4,)))
        levels.append(level)
    return form_family(cells, "composite_z"), np.concatenate(levels)


def world_cells(family: Family, world: np.ndarray) -> list[PeerCell]:
    """Lay one world out as lines, and form its peer groups as judging does."""
    lines, exempt, away = [], {}, set()
    for cell, rows, peer in zip(family.cells, family.blocks, family.peers, strict=True):
        drawn = {
            (unit, period): world[rows.start + row, column]
            for row, unit in enumerate(cell.units)
            for column, period in enumerate(cell.periods)
        }
        keys = cell.lines.select("unit", "period").iter_rows()
        lines.append(cell.lines.with_columns(pl.Series("estimate", [drawn[key] for key in keys])))
        exempt |= {unit: "small_school_exempt" for row, unit in enumerate(cell.units) if peer.exempt[row]}
        away |= {
            (unit, cell.year_group, period)
            for row, unit in enumerate(cell.units)
            for column, period in enumerate(cell.periods)
            if not peer.held[row, column]
        }
    frame = pl.concat(lines).with_columns(pl.lit("x").alias("exam_id"))
    return form_peer_cells(
        frame,
        ladder_rule(1),
        last_period=family.periods[-1],
        attributes={unit: {"stage": "junior"} for unit in family.units},
        exempt=exempt,
        held=lambda unit, year_group, period: (unit, year_group, period) not in away,
    )


@settings(max_examples=5)
@given(seed=st.integers(0, 10_000), years=st.integers(1, 3), n_years=st.integers(3, 6))
def test_worlds_give_the_verdicts_that_judging_gives(seed: int, years: int, n_years: int) -> None:
    family, levels = county_of(seed, n_years)
    worlds = draw_worlds(fixed_county(family, levels), np.random.default_rng(seed), 20)
    judged_cells = [world_cells(family, world) for world in worlds]
    for edit in list_edits(ladder_rule(years)):
        found = find_met(edit.rule, family, worlds)
        for place, cells in enumerate(judged_cells):
            outcomes = [evaluate_rule(edit.rule, cell.peers) for cell in cells]
            for reading in READINGS:
                judged = np.concatenate([outcome.of(reading).code for outcome in outcomes])
                assert found.codes(reading)[place].tolist() == judged.tolist()


@pytest.mark.parametrize(("n_years", "seed", "n_worlds"), [(3, 1, 6), (4, 2, 20), (6, 5, 6)])
def test_worlds_are_graded_as_judging_grades_them(n_years: int, seed: int, n_worlds: int) -> None:
    family, levels = county_of(seed, n_years)
    worlds = draw_worlds(fixed_county(family, levels), np.random.default_rng(seed), n_worlds)
    worlds = lay_decline(worlds, series=np.flatnonzero(family.unit_of < 2), slope=-0.3, window=6)
    rule = ladder_rule(1)
    met = find_met(rule, family, worlds)
    everywhere = np.ones_like(met.of("wide"))
    letters = grade_worlds(rule, family, worlds, everywhere, ahead=0, bounds={})
    seen = set()
    for place in range(n_worlds):
        cells = world_cells(family, worlds[place])
        for reading in READINGS:
            judged = EvidenceFinder().find(rule, cells, bounds={}, reading=reading)
            graded = letters[asks_last_place(rule, reading)][place]
            for row, (unit, cell) in enumerate(zip([u for c in cells for u in c.units], family.group, strict=True)):
                code = " ABCD"[graded[row]].strip() or None
                inside = family.peers[cell].counted[row - family.blocks[cell].start, -1]
                if inside and graded.any():  # worlds far from every bound are left without a grade
                    said = judged[unit, cells[cell].year_group, "composite"]["evidence_grade"]
                    assert code == said, (place, reading, unit)
                    seen.add(code)
                elif inside:
                    assert judged[unit, cells[cell].year_group, "composite"]["evidence_grade"] not in ("A", "B")
    assert "D" in seen
    assert seen & {"A", "B"}


def test_a_world_without_anybody_near_is_not_graded() -> None:
    cell, levels = standard_cell(np.random.default_rng(3), n_schools=20)
    family = form_family([cell], "composite_z")
    worlds = np.repeat(levels[None, :, None], 4, axis=2) + 0.01 * np.sin(np.arange(4) + np.arange(20)[:, None])[None]
    everywhere = np.ones((1, 20), dtype=bool)
    assert not grade_worlds(ladder_rule(1), family, worlds, everywhere, ahead=0, bounds={})[True].any()


def test_tenure_and_exemption_hold_in_every_world() -> None:
    family, levels = county_of(11, 4)
    worlds = draw_worlds(fixed_county(family, levels), np.random.default_rng(1), 30)
    rule: Rule = ladder_rule(3)
    codes = find_met(rule, family, worlds).narrow
    for start in (0, 12):
        assert (codes[:, start + 3] == NOT_ASSESSABLE).all()
        assert not (codes[:, start + 4] == MET).any()
    exempted = replace(family.peers[0], held=np.ones_like(family.peers[0].held))
    assert exempted.held.all()
