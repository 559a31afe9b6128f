"""What rank sets and the sets of units that could be last achieve in simulated counties.

Run: .venv/bin/python benchmarks/calibration/ranks.py [--worlds 4000]. Writes ranks.json beside this file, and the table of
docs/explanation/comparison.md.
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

from eduq.estimates.ranks import could_be_last, probability_last, rank_sets

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "explanation" / "comparison.md"
MARKS = ("<!-- ranks: begin -->\n", "<!-- ranks: end -->\n")
SEED = 61_005
WITHIN = np.sqrt(0.85)


@dataclass(frozen=True)
class County:
    """Schools, the SD of their true levels, how many share the true last place."""

    schools: int = 40
    level_sd: float = 0.35
    tied_last: int = 1


COUNTIES = {
    "equal": County(level_sd=0.0, tied_last=40),
    "near": County(level_sd=0.1),
    "spread": County(),
    "three_last": County(tied_last=3),
}


def _true_places(truth: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first and last place each unit may claim; ties share all of theirs."""
    return 1 + (truth[:, None] < truth).sum(axis=1), (truth[:, None] <= truth).sum(axis=1)


def simulate(county: County, *, worlds: int, seed: int) -> dict[str, float]:
    """Return how often all rank sets hold together, how often truly last units are kept, and what the sets cost."""
    rng = np.random.default_rng(seed)
    together, kept, widths, last_sizes, lowest_is_last, forecast = 0, 0.0, [], [], 0, 0.0
    for _ in range(worlds):
        n = np.clip(np.round(np.exp(rng.normal(np.log(120), 0.8, county.schools))), 15, 800)
        truth = county.level_sd * rng.standard_normal(county.schools)
        truth[np.argsort(truth)[: county.tied_last]] = truth.min()
        error = WITHIN / np.sqrt(n)
        x = truth + error * rng.standard_normal(county.schools)
        sets, could = rank_sets(x, error), could_be_last(x, error)
        low, high = _true_places(truth)
        together += bool(((sets.lower <= low) & (sets.upper >= high)).all())
        last = truth == truth.min()
        kept += float(could[last].mean())
        widths.append(float((sets.upper - sets.lower + 1).mean()))
        last_sizes.append(int(could.sum()))
        lowest_is_last += bool(last[np.argmin(x)])
        forecast += float(probability_last(x, error)[np.argmin(x)])
    return {
        "together": together / worlds,
        "kept": kept / worlds,
        "width": float(np.mean(widths)),
        "could_be_last": float(np.mean(last_sizes)),
        "lowest_is_last": lowest_is_last / worlds,
        "p_last": forecast / worlds,
        "worlds": worlds,
    }


def render_table(figures: dict[str, Any]) -> str:
    """Return the figures as the table of the page."""
    head = "| 真实水平 true levels | 全部名次范围成立 all rank sets hold | 真末位留在名单 truly last kept | "
    head += "范围平均宽度 mean width | 名单平均个数 could be last | 表面末位真是末位 lowest is last | 其 its `p_last` |"
    lines = [head, "|---|" + "---|" * 6]
    for found in figures.values():
        county, numbers = found["county"], found["figures"]
        said = f"SD {county['level_sd']:g}" + (f"，{county['tied_last']} 所并列末位 tied last" if county["tied_last"] > 1 else "")
        cells = [f"{numbers[name]:.3f}" for name in ("together", "kept")]
        cells += [f"{numbers[name]:.1f}" for name in ("width", "could_be_last")]
        cells += [f"{numbers[name]:.2f}" for name in ("lowest_is_last", "p_last")]
        lines.append(f"| {said} | {' | '.join(cells)} |")
    worlds = next(iter(figures.values()))["figures"]["worlds"]
    error = f"{np.sqrt(0.05 * 0.95 / worlds):.4f}"
    said = f"40 所学校（每所 15 至 800 人，中位数 120），每行 {worlds:,} 个县，蒙特卡洛标准误约 {error}。"
    said += f" 40 schools of 15 to 800 pupils, median 120; {worlds:,} counties a row, Monte-Carlo SE about {error}."
    return "\n".join([*lines, "", said]) + "\n"


def main() -> None:
    """Run every county and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=4000)
    worlds = parser.parse_args().worlds
    start = time.perf_counter()
    figures = {}
    for place, (name, county) in enumerate(COUNTIES.items()):
        figures[name] = {"county": asdict(county), "figures": simulate(county, worlds=worlds, seed=SEED + place)}
        print(f"{name}: {figures[name]['figures']}", file=sys.stderr)
    (HERE / "ranks.json").write_text(json.dumps(figures, indent=1) + "\n")
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(MARKS[0])
    PAGE.write_text(before + MARKS[0] + render_table(figures) + MARKS[1] + rest.split(MARKS[1])[1], encoding="utf-8")
    print(f"{worlds} counties each, {time.perf_counter() - start:.0f} s; written ranks.json")


if __name__ == "__main__":
    main()
