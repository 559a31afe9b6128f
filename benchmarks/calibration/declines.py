"""What the evidence grades achieve in simulated counties: false grades, power, false discovery rate, interval coverage.

Run: .venv/bin/python benchmarks/calibration/declines.py [--worlds 4000]. Writes declines.json beside this file, and
docs/explanation/calibration.md and calibration.svg.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.calibration.counties import Counties, County, draw_counties, literal_clause
from benchmarks.calibration.pages import render_page, render_plot

from eduq.estimates.declines import WorldFits, fit_worlds
from eduq.estimates.declines.companions import t_bounds

HERE = Path(__file__).resolve().parent
DOCS = HERE.parents[1] / "docs" / "explanation"
SEED = 20_261
YEARS = (3, 4, 5, 6)

Row = dict[str, Any]
SCENARIOS: dict[str, County] = {
    "no_change": County(),
    "one_0.1": County(falls=(-0.1,)),
    "one_0.2": County(falls=(-0.2,)),
    "one_0.3": County(falls=(-0.3,)),
    "four_0.2": County(falls=(-0.2,) * 4),
    "ten_0.2": County(falls=(-0.2,) * 10),
    "correlated": County(correlation=0.3),
    "unequal": County(unequal=0.5),
    "heavy_tails": County(tails=5.0),
    "schools_10": County(schools=10),
    "schools_100": County(schools=100),
    "shock_05": County(shock=0.05),
    "shock_15": County(shock=0.15),
}
"""Counties that are graded as "is it falling?"."""
LAST_PLACE: dict[str, County] = {
    "last_no_change": County(),
    "last_one_0.2": County(falls=(-0.2,), level_of_first=-0.6),
}
"""Counties that are graded as "is it falling and last?"."""
FOUR_YEARS: dict[str, County] = {
    "one_0.2_shock_05": County(falls=(-0.2,), shock=0.05),
    "one_0.2_shock_15": County(falls=(-0.2,), shock=0.15),
    "one_0.2_pupils_40": County(falls=(-0.2,), size_of_first=40.0),
    "one_0.2_schools_10": County(falls=(-0.2,), schools=10),
    "one_0.2_schools_100": County(falls=(-0.2,), schools=100),
}
"""Power over four years outside the standard county."""


def share(hits: NDArray[np.bool_]) -> tuple[float, float]:
    """Return a share and its Monte-Carlo standard error."""
    p = float(hits.mean())
    return p, float(np.sqrt(p * (1 - p) / hits.size))


def average(values: NDArray[Any]) -> tuple[float, float]:
    """Return a mean over counties and its Monte-Carlo standard error."""
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def grade_figures(drawn: Counties, fits: WorldFits) -> dict[str, tuple[float, float]]:
    """Return the figures of one scenario: false grades, false discovery rate, power of the first school, coverage."""
    stable = drawn.slopes == 0
    confirmed = fits.letter == 1
    graded = confirmed | (fits.letter == 2)
    found = {
        "false_a": share((confirmed & stable).any(axis=1)),
        "false_ab": share((graded & stable).any(axis=1)),
        "false_c_per_school": average(((fits.letter == 3) & stable).sum(axis=1) / stable.sum(axis=1)),
    }
    low, high = t_bounds(fits.slope, fits.std_error, fits.df, 0.95)
    truth = drawn.slopes - drawn.slopes.mean(axis=1, keepdims=True)
    if not drawn.slopes.any():
        found["coverage"] = average(((low <= truth) & (truth <= high)).mean(axis=1))
    else:
        named = graded.sum(axis=1)
        found["fdr"] = average((graded & stable).sum(axis=1) / np.maximum(named, 1))
        falling = ~stable
        found["power_a"] = average((confirmed & falling).sum(axis=1) / falling.sum(axis=1))
        found["power_ab"] = average((graded & falling).sum(axis=1) / falling.sum(axis=1))
    return found


def family_power(fits: WorldFits) -> tuple[float, float]:
    """Return how often q and slope alone find the first school (before the last place is looked at)."""
    return share((fits.q[:, 0] <= 0.10) & (fits.slope[:, 0] <= -0.05))


def literal_figures(worlds: int, seed: int) -> list[Row]:
    """Return schools per unchanged county that meet the literal clause, and how often a truly falling, low school does."""
    rows = []
    calm = draw_counties(County(), worlds=worlds, seed=seed)
    falling = draw_counties(County(falls=(-0.2,), level_of_first=-0.6), worlds=worlds, seed=seed + 1)
    fits = [fit_worlds(drawn.means, drawn.variances, last_place=True) for drawn in (calm, falling)]
    for years in (2, 3):
        for reading in ("or", "and_final", "and_each"):
            met = [literal_clause(drawn.means, years=years)[reading] for drawn in (calm, falling)]
            for evidence, least in (("", 9), ("_b", 2), ("_a", 1)):
                both = [
                    hit & (fit.letter > 0) & (fit.letter <= least) if evidence else hit
                    for hit, fit in zip(met, fits, strict=True)
                ]
                scenario = f"literal_{years}_{reading}{evidence}"
                rows.append(_row(scenario, 4, "false_per_county", average(both[0].sum(axis=1)), worlds))
                rows.append(_row(scenario, 4, "power", share(both[1][:, 0]), worlds))
    return rows


def _row(scenario: str, years: int, figure: str, value: tuple[float, float], worlds: int) -> Row:
    return {"scenario": scenario, "years": years, "figure": figure, "value": value[0], "mc_se": value[1], "counties": worlds}


def run(worlds: int, say: Callable[[str], None] = lambda line: None) -> list[Row]:
    """Return all figures, seeded."""
    rows: list[Row] = []
    jobs = [(name, county.with_years(years), False) for years in YEARS for name, county in SCENARIOS.items()]
    jobs += [(name, county.with_years(years), True) for years in YEARS for name, county in LAST_PLACE.items()]
    jobs += [(name, county, False) for name, county in FOUR_YEARS.items()]
    for number, (name, county, last_place) in enumerate(jobs):
        start = time.perf_counter()
        drawn = draw_counties(county, worlds=worlds, seed=SEED + number)
        fits = fit_worlds(drawn.means, drawn.variances, last_place=last_place)
        figures = grade_figures(drawn, fits)
        if last_place and county.falls:
            figures["power_family"] = family_power(fits)
        rows += [_row(name, county.years, figure, value, worlds) for figure, value in figures.items()]
        shown = ", ".join(f"{figure} {value[0]:.3f}" for figure, value in figures.items())
        say(f"{name}, {county.years} years: {shown} ({time.perf_counter() - start:.1f} s)")
    return rows + literal_figures(worlds, SEED + 1000)


def main() -> None:
    """Run everything and write the figures, the page and the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=3000)
    parser.add_argument("--render-only", action="store_true", help="write page and plot from declines.json")
    args = parser.parse_args()
    target = HERE / "declines.json"
    if not args.render_only:
        rows = run(args.worlds, lambda line: print(line, file=sys.stderr, flush=True))
        rounded = [row | {"value": round(row["value"], 5), "mc_se": round(row["mc_se"], 5)} for row in rows]
        lines = ",\n".join(json.dumps(row) for row in rounded)
        target.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    figures = json.loads(target.read_text(encoding="utf-8"))
    (DOCS / "calibration.md").write_text(render_page(figures), encoding="utf-8")
    (DOCS / "calibration.svg").write_text(render_plot(figures), encoding="utf-8")
    print(DOCS / "calibration.md")


if __name__ == "__main__":
    main()
