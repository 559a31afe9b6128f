"""A teacher's classes of one paper taken together, weighted by the share of the teaching."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eduq.estimates.intervals import student_quantile

__all__ = ["Line", "difference_from_rest", "pool_classes"]

Line = Mapping[str, Any]


def _quantile(conf_level: float, df: float) -> float:
    return float(student_quantile(conf_level, np.array([df], dtype=np.float64))[0])


def _interval(estimate: float, error: float, df: float, conf_level: float) -> tuple[float | None, float | None]:
    if not (math.isfinite(error) and df >= 1):
        return None, None
    half = _quantile(conf_level, df) * error
    return estimate - half, estimate + half


def pool_classes(lines: Sequence[Line], shares: Sequence[float], *, conf_level: float) -> dict[str, Any]:
    """Return the pooled mean and the pooled gap of classes.

    With weights w = share · n: mean = Σwm/Σw with variance Σw²v/(Σw)²; the gap likewise, where classes set beside the same like
    classes share the error of that reference: (Σw²v + Σ(Σw)²r²)/(Σw)², the inner sum over classes of one reference.

    Parameters
    ----------
    lines
        Lines of one paper from `eduq.estimates.teaching.likeness.add_references`.
    shares
        Share of the teaching, per line.
    conf_level
        Of the intervals.

    Returns
    -------
    dict
        n_classes, n_expected, n_present, n, mean, mean_se, mean_lower, mean_upper, gap, gap_se, gap_lower, gap_upper, gap_n,
        gap_classes, gap_reason; numbers None where no class has one.
    """
    found: dict[str, Any] = {"n_classes": len(lines)}
    found |= {name: sum(line[name] for line in lines) for name in ("n_expected", "n_present")}
    given = [(line, share * line["n"]) for line, share in zip(lines, shares, strict=True) if line["mean"] is not None]
    found["n"] = sum(line["n"] for line, _ in given)
    whole = sum(weight for _, weight in given)
    found |= dict.fromkeys(("mean", "mean_se", "mean_lower", "mean_upper"))
    if whole > 0:
        mean = sum(weight * line["mean"] for line, weight in given) / whole
        errors = [math.nan if line["mean_se"] is None else line["mean_se"] for line, _ in given]
        error = math.sqrt(sum((weight * own) ** 2 for (_, weight), own in zip(given, errors, strict=True))) / whole
        lower, upper = _interval(mean, error, sum(line["n"] - 1 for line, _ in given), conf_level)
        found |= {"mean": mean, "mean_se": error if math.isfinite(error) else None, "mean_lower": lower, "mean_upper": upper}
    return found | _pool_gaps(lines, shares, conf_level)


def _pool_gaps(lines: Sequence[Line], shares: Sequence[float], conf_level: float) -> dict[str, Any]:
    beside = [(line, share * line["n"]) for line, share in zip(lines, shares, strict=True) if line["gap"] is not None]
    found: dict[str, Any] = dict.fromkeys(("gap", "gap_se", "gap_lower", "gap_upper", "gap_reason"))
    found |= {"gap_n": sum(line["n"] for line, _ in beside), "gap_classes": len(beside)}
    whole = sum(weight for _, weight in beside)
    if whole <= 0:
        return found | {"gap_reason": next((line["gap_reason"] for line in lines if line["gap_reason"]), "no_candidates")}
    gap = sum(weight * line["gap"] for line, weight in beside) / whole
    weight_of: defaultdict[int, float] = defaultdict(float)
    for line, weight in beside:
        weight_of[line["like"]] += weight
    error_of = {line["like"]: line["reference_se"] for line, _ in beside}
    own = sum((weight * line["own_se"]) ** 2 for line, weight in beside)
    shared = sum((weight * error_of[like]) ** 2 for like, weight in weight_of.items())
    error = math.sqrt(own + shared) / whole
    lower, upper = _interval(gap, error, sum(line["n"] - 1 for line, _ in beside), conf_level)
    return found | {"gap": gap, "gap_se": error, "gap_lower": lower, "gap_upper": upper}


def difference_from_rest(
    gaps: Sequence[float], errors: Sequence[float], *, conf_level: float
) -> list[tuple[float, float, float]]:
    """Return each gap less the mean of the others, with simultaneous intervals (Bonferroni; two gaps are one comparison).

    The errors are taken as independent. Where the same candidates stand behind all gaps (subjects of one class) they are
    positively correlated, and the intervals are then wider than they need be.

    Examples
    --------
    >>> [tuple(round(part, 2) for part in line) for line in difference_from_rest([0.3, -0.1], [0.1, 0.1], conf_level=0.95)]
    [(0.4, 0.12, 0.68), (-0.4, -0.68, -0.12)]
    """
    k = len(gaps)
    if k < 2:
        return []
    critical = _quantile(1 - (1 - conf_level) / (k if k > 2 else 1), 1e9)
    total, squares = sum(gaps), sum(error**2 for error in errors)
    found = []
    for gap, error in zip(gaps, errors, strict=True):
        apart = gap - (total - gap) / (k - 1)
        half = critical * math.sqrt(error**2 + (squares - error**2) / (k - 1) ** 2)
        found.append((apart, apart - half, apart + half))
    return found
