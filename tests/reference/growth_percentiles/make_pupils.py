"""Write pupils.csv: simulated integer marks of two prior exams and one outcome, with a ceiling. Run: python make_pupils.py"""

from __future__ import annotations

from pathlib import Path

import numpy as np

N = 1502
rng = np.random.default_rng(20_251_122)
ability = rng.normal(size=N)


def marks(mean: float, sd: float, noise: float, top: int) -> np.ndarray:
    return np.clip(np.rint(mean + sd * ability + noise * rng.normal(size=N)), 0, top).astype(int)


first, second = marks(70, 18, 12, 100), marks(85, 20, 12, 120)
outcome = np.clip(np.rint(72 + 20 * ability + (8 + 4 * np.tanh(ability)) * rng.normal(size=N)), 0, 100).astype(int)
lines = ["first,second,outcome", *(f"{a},{b},{c}" for a, b, c in zip(first, second, outcome, strict=True))]
Path(__file__).with_name("pupils.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
