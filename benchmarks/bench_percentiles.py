"""Growth percentiles of 100,000 pupils with tied marks, 100 quantiles, against R quantreg ``br`` and ``fn``.

    python benchmarks/bench_percentiles.py [--pupils 100000] [--quantiles 100] [--step 1] [--runs 5]

eduq is timed on the whole call (reading the frame, cells, fit, percentiles, schools); R on the fit and its prediction alone.
With ``--quantiles 10`` R fits only ten evenly spread quantiles and its time is multiplied by ten (said in the output); with 100
the percentiles of every pupil are compared as well. Objectives are compared at every quantile that R fitted. Without Rscript or
quantreg only eduq is timed, and the line says so.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

HERE = Path(__file__).parent
BUDGETS = {"br": 100, "fn": 20}
SAME_OBJECTIVE = {"br": 1e-9, "fn": 1e-5}


def make_pupils(n: int, step: float, schools: int = 200) -> pl.DataFrame:
    """Return pupils with a prior and an outcome in steps of a mark, full mark 150 (step 0: no ties)."""
    rng = np.random.default_rng(11)
    ability = rng.normal(size=n)

    def mark(noise: float) -> np.ndarray:
        raw = np.clip(95 + 20 * ability + noise * rng.normal(size=n), 0, 150)
        return raw if step == 0 else np.round(raw / step) * step

    return pl.DataFrame({"school": rng.integers(0, schools, n), "before": mark(10), "after": mark(12)})


def run_r(pupils: pl.DataFrame, folder: Path, method: str, quantiles: int) -> tuple[float, str, pl.DataFrame, pl.Series | None]:
    """Return R's seconds, its version, objectives by quantile, and the percentiles where all quantiles were fitted."""
    pupils.write_csv(folder / "pupils.csv")
    out = folder / f"{method}.csv"
    command = ["Rscript", "--vanilla", str(HERE / "percentiles.R"), str(folder / "pupils.csv"), str(out), method, str(quantiles)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    every = Path(f"{out}.pupils")
    return float(said[0]), said[1], pl.read_csv(out), pl.read_csv(every)["percentile"] if every.exists() else None


def has_quantreg() -> bool:
    """Return whether R with quantreg is on this machine."""
    if shutil.which("Rscript") is None:
        return False
    return subprocess.run(["Rscript", "-e", "library(quantreg)"], capture_output=True, check=False).returncode == 0


def main() -> None:
    """Print times and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pupils", type=int, default=100_000)
    parser.add_argument("--quantiles", type=int, default=100, help="quantiles that R fits")
    parser.add_argument("--step", type=float, default=1.0, help="step of the marks; 0 = no ties")
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()

    import eduq

    pupils = make_pupils(given.pupils, given.step)

    def fit() -> eduq.estimates.growth.GrowthResult:
        return eduq.estimate_growth(pupils, outcome="after", prior="before", unit="school", method="percentile")

    fit()  # imports are not counted
    seconds = []
    for _ in range(given.runs):
        start = time.perf_counter()
        found = fit()
        seconds.append(time.perf_counter() - start)
    ours = statistics.median(seconds)
    checks = found.tables["checks"].row(0, named=True)
    print(
        f"eduq {eduq.__version__}: {given.pupils:,} pupils, {checks['n_cells']:,} cells, 100 quantiles: {ours:.3f} s "
        f"({min(seconds):.3f} to {max(seconds):.3f}); largest gap {found.tables['quantiles']['gap'].abs().max():.1e}, "
        f"{checks['n_by_program']} by linear program"
    )
    if not has_quantreg():
        print("quantreg: R or the package is not installed; left out")
        return
    with tempfile.TemporaryDirectory() as folder:
        for method, budget in BUDGETS.items():
            taken, version, objectives, percentiles = run_r(pupils, Path(folder), method, given.quantiles)
            whole = taken * 100 / given.quantiles
            note = "" if given.quantiles == 100 else f" (from {given.quantiles} quantiles)"
            joined = objectives.with_columns(place=(pl.col("quantile") * 100).floor().cast(pl.Int64))
            mine = found.tables["quantiles"]["objective"].to_numpy()[joined["place"].to_numpy()]
            apart = float(np.abs(joined["objective"].to_numpy() / mine - 1).max())
            ratio = whole / ours
            print(
                f"quantreg {version} {method}: {whole:.1f} s{note}, ratio {ratio:.0f} (budget {budget}: "
                f"{'kept' if ratio >= budget else 'MISSED'}); objectives differ by at most {apart:.1e}"
            )
            if apart > SAME_OBJECTIVE[method]:
                raise SystemExit(f"{method}: objectives are not the same")
            if percentiles is not None:
                own = found.candidates["growth_percentile"]
                difference = (own - percentiles).abs()
                print(f"  percentiles equal for {(difference == 0).mean():.4%} of pupils, largest difference {difference.max()}")


if __name__ == "__main__":
    main()
