"""The moment and the Paule-Mandel variance on the thirteen trials of the BCG vaccine, as published.

Counts: Colditz et al. (1994), JAMA 271, 698-702. DerSimonian-Laird τ² .3088 and Q 152.23: Viechtbauer (2010), J. Stat. Softw.
36(3); further digits by R metafor, ``rma(yi, vi, method = "DL")`` and ``"PM"`` (tol 1e-14),
on ``escalc("RR", …, data = dat.bcg)``.
"""

from __future__ import annotations

import numpy as np
import pytest

from eduq.estimates.comparison.funnel import fit_funnel
from eduq.estimates.ranks import shrink

# ill and well among the vaccinated, ill and well among the others
TRIALS = np.array(
    [
        (4, 119, 11, 128),
        (6, 300, 29, 274),
        (3, 228, 11, 209),
        (62, 13536, 248, 12619),
        (33, 5036, 47, 5761),
        (180, 1361, 372, 1079),
        (8, 2537, 10, 619),
        (505, 87886, 499, 87892),
        (29, 7470, 45, 7232),
        (17, 1699, 65, 1600),
        (186, 50448, 141, 27197),
        (5, 2493, 3, 2338),
        (27, 16886, 29, 17825),
    ],
    dtype=np.float64,
)


def log_risk_ratios() -> tuple[np.ndarray, np.ndarray]:
    ill, well, ill_other, well_other = TRIALS.T
    treated, others = ill + well, ill_other + well_other
    value = np.log(ill / treated) - np.log(ill_other / others)
    return value, np.sqrt(1 / ill - 1 / treated + 1 / ill_other - 1 / others)


def test_dersimonian_laird() -> None:
    x, error = log_risk_ratios()
    weight = 1 / error**2
    mean = float(weight @ x / weight.sum())
    found = fit_funnel(x, error, mean, tail=0.0)
    assert float(weight @ (x - mean) ** 2) == pytest.approx(152.23, abs=5e-3)
    assert found.variance == pytest.approx(0.3088, abs=5e-5)
    assert found.variance == pytest.approx(0.3087602629, rel=1e-9)


def test_paule_mandel() -> None:
    x, error = log_risk_ratios()
    found = shrink(x, error)
    assert float(found.variance) == pytest.approx(0.31806845220502, rel=1e-9)
