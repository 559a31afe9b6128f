"""What the intervals of equity achieve in simulated counties: coverage and bias of every index.

Run: .venv/bin/python benchmarks/calibration/equity.py [--worlds 2000]. Writes equity.json beside this file, and
the table of docs/explanation/equity.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eduq.estimates.equity.gaps import unit_gap
from eduq.estimates.equity.shares import UnitSums, intraclass_correlation, variance_share
from eduq.estimates.equity.variation import VARIATION_INDICES, measure_variation

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "explanation" / "equity.md"
MARKS = ("<!-- coverage: begin -->\n", "<!-- coverage: end -->\n")
SEED = 60_201
MEAN, SD = 70.0, 16.0


@dataclass(frozen=True)
class Area:
    """Schools, the median of their pupils (lognormal, SD .8, 5 to 800), intraclass correlation, rural schools' lag in SDs."""

    schools: int = 40
    pupils: int = 120
    correlation: float = 0.15
    lag: float = 0.3


AREAS = {
    "standard": Area(),
    "small_schools": Area(pupils=30),
    "alike": Area(correlation=0.05),
    "few_schools": Area(schools=12),
    "equal": Area(correlation=0.0, lag=0.0),
    "many_schools": Area(schools=400),
}


def _truths(means: NDArray[np.float64], n: NDArray[np.float64], within: float) -> dict[str, float]:
    """Return the true indices of the schools as they are."""
    share = n / n.sum()
    between = float(share @ (means - share @ means) ** 2)
    known = {name: float(index(means, share)) for name, (index, weighs) in VARIATION_INDICES.items() if weighs}
    flat = np.full(len(n), 1 / len(n))
    known |= {name: float(index(means, flat)) for name, (index, weighs) in VARIATION_INDICES.items() if not weighs}
    return known | {"between_school_share": between / (between + within**2)}


def simulate(area: Area, *, worlds: int, seed: int) -> dict[str, dict[str, float]]:
    """Return coverage of the 95 % interval and mean error over the truth, by index."""
    rng = np.random.default_rng(seed)
    hits: dict[str, list[bool]] = {}
    errors: dict[str, list[float]] = {}
    within = SD * np.sqrt(1 - area.correlation)
    rural = np.arange(area.schools) % 3 == 0
    for _ in range(worlds):
        n = np.clip(np.round(np.exp(rng.normal(np.log(area.pupils), 0.8, area.schools))), 5, 800)
        random = SD * np.sqrt(area.correlation) * rng.standard_normal(area.schools)
        true = MEAN + random
        sums = UnitSums(n, true + within / np.sqrt(n) * rng.standard_normal(area.schools), within**2 * rng.chisquare(n - 1))
        truths = _truths(true, n, within) | {"icc": area.correlation}
        own, pooled = sums.squares / (n - 1), sums.within / sums.within_df
        found = [variance_share(sums)[0], intraclass_correlation(sums)]
        found += measure_variation(sums.mean, np.sqrt(np.where(n < 10, pooled, own) / n), n)[: len(VARIATION_INDICES)]
        for item in found:
            hits.setdefault(item.index, []).append(item.ci_lower <= truths[item.index] <= item.ci_upper)
            errors.setdefault(item.index, []).append(item.value - truths[item.index])
        lagging = UnitSums(n, sums.mean - area.lag * SD * rural, sums.squares)
        gap = unit_gap(lagging, rural, ~rural, min_n=10, conf_level=0.95)
        low, high = gap.ci_lower, gap.ci_upper
        hits.setdefault("gap", []).append(low <= -area.lag <= high)
        errors.setdefault("gap", []).append(gap.value + area.lag)
    return {
        name: {"coverage": float(np.mean(hits[name])), "bias": float(np.mean(errors[name])), "worlds": worlds} for name in hits
    }


def render_table(figures: dict[str, Any]) -> str:
    """Return the figures as the table of the page."""
    names = list(next(iter(figures.values()))["figures"])
    lines = [f"| 区域 area | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for found in figures.values():
        area, cells = found["area"], [f"{found['figures'][index]['coverage']:.3f}" for index in names]
        said = f"{area['schools']} 校 schools, n {area['pupils']}, ICC {area['correlation']:g}"
        lines.append(f"| {said} | {' | '.join(cells)} |")
    worlds = next(iter(next(iter(figures.values()))["figures"].values()))["worlds"]
    error = f"{np.sqrt(0.05 * 0.95 / worlds):.3f}"
    lines.append(f"\n每行模拟 {worlds:,} 次，蒙特卡洛标准误约 {error}。 {worlds:,} areas a row, Monte-Carlo SE about {error}.")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run every area and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=2000)
    worlds = parser.parse_args().worlds
    start = time.perf_counter()
    figures = {}
    for place, (name, area) in enumerate(AREAS.items()):
        figures[name] = {"area": asdict(area), "figures": simulate(area, worlds=worlds, seed=SEED + place)}
        shown = ", ".join(f"{index} {item['coverage']:.3f}" for index, item in figures[name]["figures"].items())
        print(f"{name}: {shown}", file=sys.stderr)
    (HERE / "equity.json").write_text(json.dumps(figures, indent=1) + "\n")
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(MARKS[0])
    PAGE.write_text(before + MARKS[0] + render_table(figures) + MARKS[1] + rest.split(MARKS[1])[1], encoding="utf-8")
    print(f"{worlds} worlds each, {time.perf_counter() - start:.0f} s; written equity.json")


if __name__ == "__main__":
    main()
