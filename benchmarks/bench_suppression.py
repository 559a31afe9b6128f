"""Time of withholding and its proof: counties with a few small schools, beside one bare linear program.

Run: ``python benchmarks/bench_suppression.py [--schools 60] [--papers 9] [--seed 1]``. Prints CPU seconds of `protect_estimates`
by edition, what was withheld, and the time as a multiple of one linear program over all schools.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import polars as pl

from eduq.disclosure.suppression import AREA, bound_cell, protect_estimates
from eduq.disclosure.suppression.assembly import Figures, assemble_block, list_trees
from eduq.errors import DisclosureError
from eduq.estimates.measures import load_measures
from eduq.settings import RunSettings

FULL = 120
MEASURES = load_measures()
RATES = ("excellent_rate", "good_rate", "pass_rate", "low_score_rate", "full_score_rate")
TYPES = {
    "bureau": ("area", "township", "cluster", "area_type", "school"),
    "government": ("area", "township", "cluster", "area_type"),
    "public": ("area", "area_type"),
}


def draw_county(
    rng: np.random.Generator, *, schools: int, papers: int, small: int | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return estimates and register of a drawn county; by default one school in twenty has fewer than ten candidates."""
    sizes = np.clip(np.exp(rng.normal(np.log(110), 0.7, schools)), 12, 900).astype(int)
    few = max(1, schools // 20) if small is None else small
    sizes[rng.choice(schools, few, replace=False)] = rng.integers(3, 10, few)
    town = max(2, schools // 6)
    register = pl.DataFrame(
        {
            "school_id": [f"S{i:04d}" for i in range(schools)],
            "township": [f"T{i % town:03d}" for i in range(schools)],
            "cluster": [f"C{i % town // 4:03d}" for i in range(schools)],
            "area_type": [("county", "town", "rural")[int(kind)] for kind in rng.choice(3, schools, p=(0.2, 0.3, 0.5))],
        }
    )
    members: dict[tuple[str, str], list[int]] = {AREA: list(range(schools))}
    for place in ("township", "cluster", "area_type"):
        for i, unit in enumerate(register[place]):
            members.setdefault((place, unit), []).append(i)
    members |= {("school", f"S{i:04d}"): [i] for i in range(schools)}
    rows = []
    for paper in range(papers):
        scores = [
            np.clip(np.round(2 * rng.normal(75 + rng.normal(0, 6), 21, n)) / 2, 0, FULL)
            for n in sizes
        ]  # fmt: skip
        for (unit_type, unit), own in members.items():
            found = np.concatenate([scores[i] for i in own])
            figures = {"mean_score": found.mean(), "sd": found.std()}
            for name in RATES:
                bounds = MEASURES[name].score_range(FULL * 100)
                assert bounds is not None
                figures[name] = ((found * 100 >= bounds[0]) & (found * 100 < bounds[1])).mean()
            error = float(found.std(ddof=1) / len(found) ** 0.5) if len(found) > 1 else None
            rows += [
                ("g", f"paper{paper}", name, unit_type, unit, len(found), float(value), error if name == "mean_score" else None)
                for name, value in figures.items()
            ]
    columns = ["comparison_group", "paper", "measure", "unit_type", "unit", "n", "estimate", "std_error"]
    return pl.DataFrame(rows, schema=columns, orient="row"), register


def _bare(estimates: pl.DataFrame, register: pl.DataFrame) -> float:
    """Return the seconds of the two linear programs of one cell over all schools."""
    rows = estimates.filter(measure="mean_score", paper="paper0")
    figures = Figures({}, {})
    for unit_type, unit, n, mean in rows.select("unit_type", "unit", "n", "estimate").iter_rows():
        figures.sizes[unit_type, unit], figures.totals[unit_type, unit] = n, n * mean
    tree = list_trees(sorted(figures.sizes), register)[0]
    block = assemble_block(tree, figures, measure=MEASURES["mean_score"], full=float(FULL))
    shown = [cell for cell in block.members if cell[0] != "school"]
    bound_cell(block, shown, ("school", "S0000"))
    start = time.process_time()
    bound_cell(block, shown, ("school", "S0000"))
    return time.process_time() - start


def main() -> None:
    """Print one line per edition."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schools", type=int, default=60)
    parser.add_argument("--papers", type=int, default=9)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    estimates, register = draw_county(np.random.default_rng(wanted.seed), schools=wanted.schools, papers=wanted.papers)
    bare = _bare(estimates, register)
    print(f"{wanted.schools} schools x {wanted.papers} papers, seed {wanted.seed}; two bare linear programs {bare * 1e3:.1f} ms")
    for edition, types in TYPES.items():
        start = time.process_time()
        try:
            found = protect_estimates(
                estimates, exam_id="E", edition=edition, schools=register, settings=RunSettings(), measures=MEASURES,
                shown_types=types, full_marks={"g": float(FULL)},
            )  # fmt: skip
        except DisclosureError as error:
            print(f"{edition}: {time.process_time() - start:.1f} s, refused: {error.code}")
            continue
        seconds, proof = time.process_time() - start, found.certificate
        bounds = proof.n_proved + proof.n_joint
        print(
            f"{edition}: {seconds:.1f} s, {seconds / bare:.0f} times the bare programs; of {proof.n_cells} cells "
            f"{proof.n_primary} small, {proof.n_secondary} further, {bounds} bounds, narrowest {proof.narrowest}"
        )


if __name__ == "__main__":
    main()
