"""What docs/explanation/growth-multilevel.md says of coverage and of measurement error, simulated with fixed seeds.

Run: .venv/bin/python benchmarks/calibration/growth.py (about half a minute). It prints; nothing is written.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

import eduq as eq
from eduq.estimates.growth import GrowthResult

COUNTIES = {10: 400, 40: 200, 200: 60}
"""Counties simulated by their number of schools."""
ERROR_COUNTIES = 100
RELIABILITY = 0.85


def grow(
    unit: NDArray[np.int64], x: NDArray[np.float64], y: NDArray[np.float64], reliability: float | None = None
) -> GrowthResult:
    """Return the multilevel result of arrays."""
    frame = pl.DataFrame({"unit": unit, "before": x, "after": y})
    return eq.estimate_growth(frame, outcome="after", prior="before", unit="unit", reliability=reliability)


def cover(schools: int, counties: int) -> None:
    """Print how often the 95 % intervals hold the truth: conditional errors of centred and plain effects, prediction errors."""
    held = []
    for seed in range(counties):
        rng = np.random.default_rng(seed)
        size = np.clip(np.exp(rng.normal(np.log(60), 0.8, schools)), 8, 400).astype(int)
        unit = np.repeat(np.arange(schools), size)
        effect, x = 0.35 * rng.standard_normal(schools), rng.standard_normal(len(unit))
        table = grow(unit, x, 0.7 * x + effect[unit] + 0.7 * rng.standard_normal(len(unit))).frame
        if table["std_error"].null_count():
            continue
        error = table["estimate"].to_numpy() - effect
        narrow, wide = 1.96 * table["std_error"].to_numpy(), 1.96 * table["prediction_se"].to_numpy()
        inside = (np.abs(error - error.mean()) < narrow, np.abs(error) < narrow, np.abs(error) < wide)
        held.append([part.mean() for part in inside])
    shown = ", ".join(
        f"{mean:.3f} ± {se:.3f}" for mean, se in zip(np.mean(held, 0), np.std(held, 0) / len(held) ** 0.5, strict=True)
    )
    print(f"{schools} schools ({len(held)} counties): centred, plain, prediction: {shown}")


def correct() -> None:
    """Print the slope, the correlation of effects with intake, and with the true effects, before and after the correction."""
    found = []
    for seed in range(ERROR_COUNTIES):
        rng = np.random.default_rng(seed)
        unit = np.repeat(np.arange(100), 100)
        intake, effect = 0.5 * rng.standard_normal(100), 0.3 * rng.standard_normal(100)
        true = intake[unit] + np.sqrt(0.75) * rng.standard_normal(len(unit))
        x = true + np.sqrt(1 / RELIABILITY - 1) * rng.standard_normal(len(unit))
        result = grow(unit, x, 0.7 * true + effect[unit] + 0.6 * rng.standard_normal(len(unit)), RELIABILITY)
        after, before = result.frame["estimate"].to_numpy(), result.frame["estimate_uncorrected"].to_numpy()
        model = result.model
        assert model is not None
        assert model.fixed_uncorrected is not None
        row = [model.fixed_uncorrected["before"], model.fixed["before"], model.fixed_se["before"]]
        row += [float(np.corrcoef(a, b)[0, 1]) for b in (intake, effect) for a in (before, after)]
        found.append(row)
    mean, spread = np.mean(found, 0), np.std(found, 0, ddof=1)
    print(f"slope {mean[0]:.3f} → {mean[1]:.3f} (true .700), spread {spread[1]:.4f}, bootstrap SE {mean[2]:.4f}")
    print(f"correlation with intake {mean[3]:.3f} → {mean[4]:.3f}, with the true effect {mean[5]:.3f} → {mean[6]:.3f}")


if __name__ == "__main__":
    for number, times in COUNTIES.items():
        cover(number, times)
    correct()
