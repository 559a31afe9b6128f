"""Comparison against values that others published: heterogeneity of the BCG trials, pooled estimates, Newcombe's differences."""

from __future__ import annotations

import numpy as np
import pytest

from eduq.estimates.comparison.fits import rate_difference
from eduq.estimates.comparison.funnel import fit_funnel
from eduq.estimates.comparison.pooling import pool_gaps
from eduq.estimates.ranks import shrink

# Colditz et al. (1994), JAMA 271, 698-702: cases and the others among vaccinated and not vaccinated, thirteen trials
BCG = np.array([
    (4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619), (33, 5036, 47, 5761),
    (180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892), (29, 7470, 45, 7232), (17, 1699, 65, 1600),
    (186, 50448, 141, 27197), (5, 2493, 3, 2338), (27, 16886, 29, 17825),
], dtype=np.float64)  # fmt: skip
RISK = np.log(BCG[:, 0] / (BCG[:, 0] + BCG[:, 1])) - np.log(BCG[:, 2] / (BCG[:, 2] + BCG[:, 3]))
VARIANCE = 1 / BCG[:, 0] - 1 / (BCG[:, 0] + BCG[:, 1]) + 1 / BCG[:, 2] - 1 / (BCG[:, 2] + BCG[:, 3])


def test_dersimonian_and_laird_and_paule_and_mandel_of_the_bcg_trials() -> None:
    """Viechtbauer (2010), J. Stat. Softw. 36(3), and the manual of metafor: DL .3088, pooled −.7141; PM .3181, −.7150."""
    common, _ = pool_gaps(RISK, np.sqrt(VARIANCE))
    moment = fit_funnel(RISK, np.sqrt(VARIANCE), common, tail=0.0).variance
    assert moment == pytest.approx(0.3088, abs=5e-5)
    assert pool_gaps(RISK, np.sqrt(VARIANCE), var_shock=moment)[0] == pytest.approx(-0.7141, abs=5e-5)
    found = shrink(RISK, np.sqrt(VARIANCE))
    assert float(found.variance) == pytest.approx(0.3181, abs=5e-5)
    assert float(found.mean) == pytest.approx(-0.7150, abs=5e-5)


def test_pooling_without_a_cohort_variance_is_the_common_effect() -> None:
    """The same trials, common effect: −.4303, standard error .0405 (metafor, method "EE")."""
    estimate, error = pool_gaps(RISK, np.sqrt(VARIANCE))
    assert estimate == pytest.approx(-0.4303, abs=5e-5)
    assert error == pytest.approx(0.0405, abs=5e-5)


def test_newcombes_differences() -> None:
    """Newcombe (1998), Statistics in Medicine 17, 873-890, table II, method 10."""
    for one, n_one, other, n_other, low, high in (
        (56, 70, 48, 80, 0.0524, 0.3339),
        (9, 10, 3, 10, 0.1705, 0.8090),
        (6, 7, 2, 7, 0.0582, 0.8062),
        (5, 56, 0, 29, -0.0381, 0.1926),
        (0, 10, 0, 20, -0.1611, 0.2775),
        (10, 10, 0, 20, 0.6791, 1.0),
    ):
        p, n, p_other, m = (np.array([float(value)]) for value in (one / n_one, n_one, other / n_other, n_other))
        found = rate_difference(p, n, p_other, m, 1.959964)
        assert (float(found[0][0]), float(found[1][0])) == pytest.approx((low, high), abs=6e-5)
