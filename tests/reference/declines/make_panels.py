"""Draws panels.csv, the made-up series of test_declines.py. Run: python make_panels.py > panels.csv."""

from __future__ import annotations

import sys

import numpy as np

LINE = "{},{},{},{:.6f},{:.6f}\n"


def main() -> None:
    """Print three panels: unequal sizes, holes, and correlated shocks with holes."""
    rng = np.random.default_rng(41)
    sys.stdout.write("case,unit,period,estimate,std_error\n")
    for case, units, periods, holes, rho in (
        ("unequal", 12, 4, 0, 0.0),
        ("holes", 14, 6, 9, 0.0),
        ("correlated", 30, 7, 12, 0.6),
    ):
        n = np.clip(np.exp(rng.normal(np.log(80), 0.9, units)), 12, 700)
        shock = rng.normal(0, 0.12, (units, periods))
        for period in range(1, periods):
            shock[:, period] = rho * shock[:, period - 1] + np.sqrt(1 - rho**2) * shock[:, period]
        se = np.sqrt(0.85 / np.round(n[:, None] * np.exp(rng.normal(0, 0.2, (units, periods)))))
        year = rng.normal(0, 0.2, periods)
        y = rng.normal(0, 0.35, (units, 1)) + year + shock + se * rng.normal(size=se.shape)
        y[0] -= 0.25 * np.arange(periods)
        gone = {divmod(int(cell), periods) for cell in rng.choice(units * periods, holes, replace=False)}
        for unit in range(units):
            for period in range(periods):
                if (unit, period) not in gone:
                    line = LINE.format(case, f"U{unit:02d}", 2018 + period, y[unit, period], se[unit, period])
                    sys.stdout.write(line)


if __name__ == "__main__":
    main()
