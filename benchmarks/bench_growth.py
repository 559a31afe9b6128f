"""Multilevel growth of 1,000,000 pupils in 2,000 schools against lme4 and statsmodels MixedLM: seconds and ratios.

Run: .venv/bin/python benchmarks/bench_growth.py [--pupils N] [--schools G] [--raw] [--no-statsmodels].
Each peer has the pupils loaded in its own form; imports are not counted. Needs R with lme4 (Debian: r-cran-lme4); without it a
message says so.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import eduq as eq

BUDGET = {"lme4": 20.0, "statsmodels": 500.0}
ROUNDS = 5
HERE = Path(__file__).parent
MODELS: dict[str, list[str]] = {"intercept": [], "slope": ["before"]}


def make_pupils(pupils: int, schools: int, seed: int = 1) -> pl.DataFrame:
    """Return unit, before (less 80, as users of lme4 are told to centre), after: half marks of a made-up province."""
    rng = np.random.default_rng(seed)
    unit = rng.integers(0, schools, pupils)
    level, slope = 3 * rng.standard_normal(schools), 0.06 * rng.standard_normal(schools)
    before = np.clip(np.rint((80 + 15 * rng.standard_normal(pupils)) * 2) / 2, 0, 120)
    after = 20 + level[unit] + 0.7 * before + slope[unit] * (before - 80) + 9 * rng.standard_normal(pupils)
    return pl.DataFrame({"unit": unit, "before": before - 80, "after": np.clip(np.rint(after * 2) / 2, 0, 150)})


def time_ours(frame: pl.DataFrame, slopes: list[str]) -> tuple[float, Any]:
    """Return the median seconds of a call, and its model."""
    seconds = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        found = eq.estimate_growth(frame, outcome="after", prior="before", unit="unit", random_slopes=slopes)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:]), found.model


def time_lme4(frame: pl.DataFrame) -> dict[str, list[float]]:
    """Return seconds, deviance, residual variance and slope of each model, by lmer with its defaults."""
    if shutil.which("Rscript") is None:
        print("no Rscript: lme4 is left out")
        return {}
    with tempfile.TemporaryDirectory() as folder:
        frame["unit"].cast(pl.Int32).to_numpy().tofile(Path(folder) / "unit")
        for name in ("before", "after"):
            frame[name].to_numpy().tofile(Path(folder) / name)
        command = ["Rscript", "--vanilla", str(HERE / "growth.R"), folder, str(frame.height)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"lme4 is left out: {done.stderr.strip().splitlines()[-1:]}")
        return {}
    lines = [line.split() for line in done.stdout.splitlines()]
    return {name: [float(value) for value in values] for name, *values in lines}


def time_statsmodels(frame: pl.DataFrame, slopes: list[str]) -> tuple[float, float]:
    """Return seconds and residual variance of MixedLM; arrays, the intercept added."""
    import warnings

    from statsmodels.regression.mixed_linear_model import MixedLM

    design = np.column_stack([np.ones(frame.height), frame["before"].to_numpy()])
    outcome, unit = frame["after"].to_numpy(), frame["unit"].to_numpy()
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = MixedLM(outcome, design, groups=unit, exog_re=design if slopes else None).fit(reml=True)
    return time.perf_counter() - start, float(fitted.scale)


def main() -> None:
    """Print seconds and ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pupils", type=int, default=1_000_000)
    parser.add_argument("--schools", type=int, default=2_000)
    parser.add_argument(
        "--raw", action="store_true", help="the prior as it is: the peers take longer and may end off the optimum"
    )
    parser.add_argument("--no-statsmodels", action="store_true")
    given = parser.parse_args()
    frame = make_pupils(given.pupils, given.schools)
    if given.raw:
        frame = frame.with_columns(pl.col("before") + 80)
    peer = time_lme4(frame)
    for name, slopes in MODELS.items():
        seconds, model = time_ours(frame, slopes)
        print(f"{name}: {given.pupils:,} pupils, {given.schools:,} schools: eduq {seconds:.3f} s, REML {model.deviance:.4f}")
        if name in peer:
            other, deviance, residual, slope = peer[name]
            print(
                f"  lme4 {other:.2f} s, REML {deviance:.4f}: eduq is {other / seconds:.0f} × faster "
                f"(budget ≥ {BUDGET['lme4']:g} ×); "
                f"residual variance differs by {abs(residual / model.var_residual - 1):.1e}, "
                f"slope by {abs(slope / model.fixed['before'] - 1):.1e}"
            )
        if not given.no_statsmodels:
            other, residual = time_statsmodels(frame, slopes)
            print(
                f"  statsmodels {other:.1f} s: eduq is {other / seconds:.0f} × faster (budget ≥ {BUDGET['statsmodels']:g} ×); "
                f"residual variance differs by {abs(residual / model.var_residual - 1):.1e}",
                flush=True,
            )


if __name__ == "__main__":
    main()
