"""Two random effects go without an inverse: the same as the dense covariance matrix, at every θ, singletons and all."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from eduq.estimates.growth.inputs import read_rows
from eduq.estimates.growth.multilevel_fits import TwoLevels
from eduq.estimates.growth.multilevel_products import collect_products

RNG = np.random.default_rng(17)
UNIT = np.concatenate([np.arange(6), RNG.integers(0, 6, 90), [6, 7]])  # the last two units have one pupil each
X = np.rint(60 + 12 * RNG.standard_normal(98))
PUPILS = pl.DataFrame({"unit": UNIT, "x": X, "y": np.rint(20 + 0.6 * X + 3 * (UNIT % 3) + 6 * RNG.standard_normal(98))})
THETAS = [(0.4, 0.0, 0.4), (0.0, 0.0, 0.0), (1.3, -0.7, 0.2), (0.5, 0.3, 0.0), (30.0, 5.0, 20.0), (1e-3, 0.0, 1e-3)]


def model(reml: bool) -> TwoLevels:
    rows = read_rows(PUPILS, unit="unit", outcome="y", prior=["x"])
    return TwoLevels(collect_products(rows, covariates=(), random_slopes=("x",), class_unit=None, own=True), reml)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("theta", THETAS)
def test_criterion_and_gradient_are_those_of_the_general_way(theta: tuple[float, ...], reml: bool) -> None:
    two = model(reml)
    at = np.array(theta)
    fit = two.at(at)
    general_zvz = np.linalg.solve(np.eye(2) + two.ztz @ two.factor(at) @ two.factor(at).T, two.ztz)
    general_zvt = np.linalg.solve(np.eye(2) + two.ztz @ two.factor(at) @ two.factor(at).T, two.products.groups)
    zvz, zvt = two.inside(at)
    np.testing.assert_allclose(zvz, general_zvz, rtol=1e-8, atol=1e-9 * np.abs(general_zvz).max())
    np.testing.assert_allclose(zvt, general_zvt, rtol=1e-8, atol=1e-9 * np.abs(general_zvt).max())
    signs, logs = np.linalg.slogdet(np.eye(2) + two.ztz @ two.factor(at) @ two.factor(at).T)
    assert (signs > 0).all()
    assert fit.log_det == pytest.approx(logs.sum(), rel=1e-12, abs=1e-9)
    step = 1e-6
    for place in range(3):
        ahead, behind = at.copy(), at.copy()
        ahead[place] += step
        behind[place] -= step
        slope = (two.at(ahead).deviance - two.at(behind).deviance) / (2 * step)
        assert fit.gradient[place] == pytest.approx(slope, rel=1e-4, abs=1e-4)
