"""Declines of 5,000 schools × 10 years × 9 subjects against the budget of 2 s, beside one statsmodels WLS per series.

Run: .venv/bin/python benchmarks/bench_declines.py. Imports are not counted. The peer fits the lines alone, given the weights:
no shock variance, no period effects, no multiplicity.
"""

from __future__ import annotations

import time

import numpy as np
import polars as pl
import statsmodels.api as sm

from eduq.estimates.declines import DeclineBounds, detect_declines, fit_worlds

SCHOOLS, YEARS, SUBJECTS = 5_000, 10, 9
BUDGET = 2.0
ROUNDS = 3
PEER_SERIES = 1_500
"""statsmodels fits this many series; its time is scaled to all of them."""
STRESS = (10_000, 60, 4)


def make_frame(seed: int = 1) -> pl.DataFrame:
    """Return unit, subject, period, estimate, sd, n of a made-up province."""
    rng = np.random.default_rng(seed)
    size = np.clip(np.exp(rng.normal(np.log(120), 0.8, SCHOOLS)), 15, 800)
    parts = []
    for subject in range(SUBJECTS):
        n = np.maximum(2, np.round(size[:, None] * np.exp(rng.normal(0, 0.1, (SCHOOLS, YEARS)))))
        y = rng.normal(0, 0.35, (SCHOOLS, 1)) + rng.normal(0, 0.1, n.shape) + rng.normal(size=n.shape) * np.sqrt(0.85 / n)
        parts.append(
            pl.DataFrame(
                {
                    "unit": np.repeat([f"S{i:05d}" for i in range(SCHOOLS)], YEARS),
                    "period": np.tile(np.arange(2016, 2016 + YEARS), SCHOOLS),
                    "estimate": y.ravel(),
                    "sd": np.full(y.size, 0.85**0.5),
                    "n": n.ravel().astype(np.int64),
                }
            ).with_columns(pl.lit(f"subject{subject}").alias("subject"))
        )
    return pl.concat(parts)


def time_ours(frame: pl.DataFrame, bounds: DeclineBounds) -> tuple[float, float]:
    """Return the wall and processor seconds of one call."""
    start, busy = time.perf_counter(), time.process_time()
    detect_declines(frame, family=["subject"], bounds=bounds)
    return time.perf_counter() - start, time.process_time() - busy


def time_peer(frame: pl.DataFrame) -> float:
    """Return the seconds of one statsmodels WLS per series, scaled to all series."""
    y = frame["estimate"].to_numpy().reshape(-1, YEARS)[:PEER_SERIES]
    weight = 1.0 / (0.85 / frame["n"].to_numpy().reshape(-1, YEARS)[:PEER_SERIES] + 0.01)
    design = sm.add_constant(np.arange(YEARS, dtype=float))
    start = time.perf_counter()
    for row, w in zip(y, weight, strict=True):
        fitted = sm.WLS(row, design, weights=w).fit()
        _ = fitted.params[1], fitted.bse[1]
    return (time.perf_counter() - start) * SCHOOLS * SUBJECTS / PEER_SERIES


def time_worlds() -> float:
    """Return the seconds of the array core on the worlds of a stress run."""
    rng = np.random.default_rng(2)
    variances = np.repeat(0.85 / np.clip(np.exp(rng.normal(np.log(120), 0.8, STRESS[1])), 15, 800), STRESS[2]).reshape(STRESS[1:])
    means = rng.normal(0, 0.35, (*STRESS[:2], 1)) + rng.normal(0, 0.1, STRESS) + rng.normal(size=STRESS) * np.sqrt(variances)
    start = time.perf_counter()
    fit_worlds(means, variances, last_place=True)
    return time.perf_counter() - start


def main() -> None:
    """Print seconds and ratios, the median of a few rounds."""
    frame = make_frame()
    detect_declines(frame.head(1000), family=["subject"])
    for name, bounds in (("window 10", DeclineBounds(window=10)), ("window 6 (default)", DeclineBounds())):
        ours = sorted(time_ours(frame, bounds) for _ in range(ROUNDS))
        peer = time_peer(frame)
        median, processor = ours[len(ours) // 2]
        print(
            f"declines, {SCHOOLS:,} schools x {YEARS} years x {SUBJECTS} subjects, {name}: {median:.2f} s "
            f"[{ours[0][0]:.2f}-{ours[-1][0]:.2f}; processor {processor:.2f}], budget {BUDGET} s "
            f"({'met' if median <= BUDGET else 'MISSED'}); "
            f"statsmodels WLS per series {peer:.1f} s, {peer / median:.1f} times as long"
        )
    print(f"fit_worlds, {STRESS[0]:,} worlds x {STRESS[1]} schools x {STRESS[2]} years, last place: {time_worlds():.2f} s")


if __name__ == "__main__":
    main()
