"""How often an edition is refused, and how much goes with what must be withheld: drawn counties, editions issued in an order.

Run: ``python benchmarks/calibration/refusals.py [--counties 200] [--seed 1]``. A county has 8 to 40 schools, one in twenty with
3 to 9 candidates. Prints by order of issuing the share of counties in which an edition is refused, with its Monte-Carlo error.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from eduq.disclosure.suppression import Shown, protect_estimates
from eduq.errors import DisclosureError
from eduq.settings import RunSettings

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench_suppression import FULL, MEASURES, TYPES, draw_county

ORDERS = (("public", "government", "bureau"), ("bureau", "government", "public"))


def main() -> None:
    """Print refusals by order and edition, and the share of cells withheld in the bureau edition."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counties", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    refused: Counter[tuple[str, str, str]] = Counter()
    reached: Counter[tuple[str, str]] = Counter()
    lost: list[float] = []
    further: list[float] = []
    for number in range(wanted.counties):
        rng = np.random.default_rng([wanted.seed, number])
        estimates, register = draw_county(rng, schools=int(rng.integers(8, 41)), papers=1)
        for order in ORDERS:
            issued: list[Shown] = []
            for edition in order:
                reached["-".join(order), edition] += 1
                try:
                    found = protect_estimates(
                        estimates, exam_id="E", edition=edition, schools=register, settings=RunSettings(), measures=MEASURES,
                        shown_types=TYPES[edition], full_marks={"g": float(FULL)}, issued=issued,
                    )  # fmt: skip
                except DisclosureError as error:
                    refused["-".join(order), edition, error.code] += 1
                    continue
                issued.append(found.shown)
                if order == ORDERS[1] and edition == "bureau":
                    lost.append(found.certificate.n_primary / found.certificate.n_cells)
                    further.append(found.certificate.n_secondary / found.certificate.n_cells)
    for (order, edition), n in reached.items():
        for code in ("disclosure_issued", "disclosure_unprovable"):
            share = refused[order, edition, code] / n
            print(
                f"{order}: {edition} {code} {share:.3f} (Monte-Carlo error {np.sqrt(share * (1 - share) / n):.3f}, {n} counties)"
            )
    print(f"bureau: {np.mean(lost):.3f} of the cells small, {np.mean(further):.3f} further (median {np.median(further):.3f})")


if __name__ == "__main__":
    main()
