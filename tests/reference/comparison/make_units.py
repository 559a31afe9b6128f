"""Draws units.csv, the made-up units of test_comparison_reference.py. Run: python make_units.py > units.csv."""

from __future__ import annotations

import sys

import numpy as np


def main() -> None:
    """Print the units of every case: unequal sizes, over-dispersion, no variance between units, a few units, rates."""
    rng = np.random.default_rng(20260711)
    sys.stdout.write("case,unit,estimate,std_error,n\n")
    for case, size, between in (("unequal", 40, 0.25), ("alike", 15, 0.0), ("few", 7, 0.4), ("rates", 30, 0.06)):
        n = np.clip(np.round(np.exp(rng.normal(np.log(120), 0.7, size))), 8, 900)
        if case == "rates":
            p = np.clip(0.7 + between * rng.normal(size=size), 0.05, 0.98)
            x = rng.binomial(n.astype(int), p) / n
            error = np.zeros(size)
        elif case == "alike":
            error = 0.9 / np.sqrt(n)
            x = 0.4 * rng.normal(size=size) * error
        else:
            error = np.exp(rng.normal(np.log(0.85), 0.08, size)) / np.sqrt(n)
            x = between * rng.normal(size=size) + error * rng.normal(size=size)
        for unit in range(size):
            sys.stdout.write(f"{case},U{unit:02d},{x[unit]:.12f},{error[unit]:.6f},{n[unit]:.0f}\n")


if __name__ == "__main__":
    main()
