"""Several subjects of one unit swing together: one correlation matrix of the county's residuals, shrunk to its mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Together", "correlate_subjects"]

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]
_LEAST_PAIRS = 10


@dataclass(frozen=True)
class Together:
    """Which series swing together.

    Attributes
    ----------
    cohort, subject
        intp (S,): the unit and year group of each series, and its subject.
    correlation
        float64 (K, K): of the subjects.
    """

    cohort: Places
    subject: Places
    correlation: Floats

    def draw(self, rng: np.random.Generator, *lead: int) -> Floats:
        """Draw standard normal numbers (..., S), correlated within a cohort."""
        values, vectors = np.linalg.eigh(self.correlation)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        drawn = rng.standard_normal((*lead, int(self.cohort.max()) + 1, len(root))) @ root.T
        return np.asarray(drawn[..., self.cohort, self.subject])


def correlate_subjects(means: Floats, cohorts: Sequence[tuple[str, str]], subjects: Sequence[str]) -> Together | None:
    """Correlate the residuals of the county's series between subjects; None with one subject.

    Residuals are those of each series about its own line, the year's mean of the subject taken out. Each correlation is halfway
    between that of the residuals and the mean over all pairs of subjects; a pair with fewer than 10 residuals takes the mean.

    Parameters
    ----------
    means
        float64 (S, T); nan where there is none.
    cohorts
        Unit and year group of each series.
    subjects
        Subject of each series.
    """
    names = sorted(set(subjects))
    if len(names) < 2:
        return None
    known = {cohort: place for place, cohort in enumerate(sorted(set(cohorts)))}
    cohort = np.array([known[one] for one in cohorts], dtype=np.intp)
    subject = np.array([names.index(one) for one in subjects], dtype=np.intp)
    residuals = np.full((len(names), len(known), means.shape[1]), np.nan)
    residuals[subject, cohort] = _residuals(means)
    residuals -= np.nanmean(np.where(np.isfinite(residuals), residuals, 0.0), axis=1, keepdims=True)
    size = len(names)
    found = np.full((size, size), np.nan)
    for one in range(size):
        for other in range(one):
            both = np.isfinite(residuals[one]) & np.isfinite(residuals[other])
            x, y = residuals[one][both], residuals[other][both]
            spread = float(np.sqrt((x @ x) * (y @ y)))
            if both.sum() >= _LEAST_PAIRS and spread > 0:
                found[one, other] = found[other, one] = float(x @ y) / spread
    mean = float(np.nanmean(found)) if np.isfinite(found).any() else 0.0
    matrix = (np.where(np.isfinite(found), found, mean) + mean) / 2
    np.fill_diagonal(matrix, 1.0)
    values, vectors = np.linalg.eigh(matrix)
    matrix = (vectors * np.maximum(values, 1e-9)) @ vectors.T
    scale = np.sqrt(np.diag(matrix))
    return Together(cohort, subject, matrix / np.outer(scale, scale))


def _residuals(means: Floats) -> Floats:
    """Return what each series' own line leaves over; nan with fewer than 3 years."""
    present = np.isfinite(means)
    count = present.sum(axis=1, keepdims=True)
    safe = np.maximum(count, 1)
    time = np.where(present, np.arange(means.shape[1], dtype=np.float64), 0.0)
    centred = np.where(present, time - time.sum(axis=1, keepdims=True) / safe, 0.0)
    values = np.where(present, means, 0.0)
    apart = np.where(present, values - values.sum(axis=1, keepdims=True) / safe, 0.0)
    slope = (centred * apart).sum(axis=1, keepdims=True) / np.maximum((centred**2).sum(axis=1, keepdims=True), 1e-12)
    return np.where(present & (count >= 3), apart - slope * centred, np.nan)
