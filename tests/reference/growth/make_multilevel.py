"""Make multilevel.csv, simulated pupils of test_multilevel_reference.py: run ``python make_multilevel.py``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl


def simulate() -> pl.DataFrame:
    rng = np.random.default_rng(20250701)
    sizes = np.concatenate([[1, 1, 2, 3], rng.integers(5, 60, size=32)])
    unit = np.repeat(np.arange(len(sizes)), sizes)
    n = len(unit)
    classes = rng.integers(0, np.maximum(1, sizes // 12)[unit])
    x1 = 0.3 * rng.standard_normal(len(sizes))[unit] + 0.95 * rng.standard_normal(n)
    x2 = 0.2 + 0.5 * x1 + 0.8 * rng.standard_normal(n)
    boy = rng.random(n) < 0.5
    level = 4 * rng.standard_normal(len(sizes))
    slope, other = 2.0 * rng.standard_normal(len(sizes)) + 0.2 * level, 1.5 * rng.standard_normal(len(sizes))
    of_class = 3 * rng.standard_normal((len(sizes), 10))[unit, classes]
    noise = 9 * rng.standard_normal(n)
    y = 70 + level[unit] + of_class + (8 + slope[unit]) * x1 + (3 + other[unit]) * x2 + np.where(boy, -1.5, 0) + noise
    # schools alike to a hair: the variance of units is 0
    alike = 70 + 7 * x1 + noise - 0.8 * np.bincount(unit, noise)[unit] / sizes[unit]
    return pl.DataFrame(
        {
            "school": [f"S{k:02d}" for k in unit],
            "class": [f"C{k}" for k in classes],
            "sex": np.where(boy, "male", "female"),
            "x1": x1.round(2),
            "x2": x2.round(3),
            "y": y.round(2),
            "alike": alike.round(2),
        }
    )


if __name__ == "__main__":
    simulate().write_csv(Path(__file__).with_name("multilevel.csv"))
