"""The result of pairs and clusters: gaps, courses, spreads, sentences and a picture."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import polars as pl

from eduq.errors import UsageError
from eduq.estimates.results import EstimateResult
from eduq.locale import Lang, text

__all__ = ["COURSE", "GAPS", "SPREADS", "PairsResult"]

_TEXT, _NUMBER, _COUNT = pl.String(), pl.Float64(), pl.Int64()
GAPS: dict[str, pl.DataType] = {
    "strong": pl.Boolean(),
    **dict.fromkeys(("n", "n_partner"), _COUNT),
    **dict.fromkeys(("estimate", "partner_estimate", "gap", "std_error", "ci_lower", "ci_upper", "conf_level"), _NUMBER),
    "method": _TEXT,
    **dict.fromkeys(("df", "p_value", "q_value"), _NUMBER),
    "family_size": _COUNT,
    "reason": _TEXT,
}
"""Columns of a gap after the family, the group, unit, partner and period."""
COURSE: dict[str, pl.DataType | None] = {
    **dict.fromkeys(("first", "last"), None),
    "periods": _COUNT,
    **dict.fromkeys(("gap_first", "gap_last"), _NUMBER),
    "change": _TEXT,
    **dict.fromkeys(("estimate", "std_error", "df", "ci_lower", "ci_upper", "conf_level", "p_value", "q_value"), _NUMBER),
    "family_size": _COUNT,
    "extra_variance": _NUMBER,
    "method": _TEXT,
    "reason": _TEXT,
}
"""Columns of a course; first and last are of the type of the periods."""
SPREADS: dict[str, pl.DataType] = {
    **dict.fromkeys(("n_units", "n"), _COUNT),
    **dict.fromkeys(
        ("mean", "sd_raw", "sd", "sd_lower", "sd_upper", "range", "range_lower", "range_upper", "conf_level"), _NUMBER
    ),
    "method": _TEXT,
    "reason": _TEXT,
}
"""Columns of the spread of a cluster."""


@dataclass(frozen=True, repr=False)
class PairsResult(EstimateResult):
    """Gaps of pairs, or of the members of clusters, and their course.

    Attributes
    ----------
    frame
        One row per family, pair, partner and period (cluster, member and period), sorted: the family and pair columns, the
        unit, partner (null: the mean of the cluster), the period, strong, n, n_partner (of a cluster: all its pupils),
        estimate and partner_estimate, gap (unit less partner), std_error, ci_lower, ci_upper, conf_level, method (welch, normal,
        newcombe), df, p_value (two-sided), q_value (over the pairs of the period), family_size, reason (no_estimate, no_n,
        no_std_error, partner_missing, strong_unclear).
    settings
        What it depends on.
    course
        One row per pair or member: first, last (periods with a gap), periods, gap_first, gap_last, change (slope: per year, from
        four periods on; difference: last less first), estimate, std_error, df, ci_lower, ci_upper, conf_level, p_value, q_value
        (over all courses), family_size, extra_variance (of the gap from period to period), method, reason (no_gap, one_period).
    spread
        Of clusters, one row per period: n_units, n, mean, sd_raw, sd (without chance), sd_lower, sd_upper, range, range_lower,
        range_upper, conf_level, method, reason; None for pairs.
    """

    course: pl.DataFrame
    spread: pl.DataFrame | None

    @property
    def group(self) -> str:
        """The column of the pairs or clusters."""
        return str(self.settings["pair"] or self.settings["cluster"])

    def summary(self) -> str:
        """Return one line: pairs, how many differ in the newest period, and how many gaps changed."""
        newest = self.newest
        alpha = 1 - self.settings["level"]
        apart, changed = ((frame["q_value"] <= alpha).sum() for frame in (newest, self.course))
        what = "pairs" if self.settings["pair"] else "members of clusters"
        return f"{newest.height} {what}: {apart} with a gap, {changed} of {self.course.height} courses changed"

    @property
    def newest(self) -> pl.DataFrame:
        """The gaps of the newest period of each family."""
        return self.take_newest(self.frame)

    def take_newest(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of ``frame`` or ``spread`` of the newest period of each family."""
        period, family = self.settings["period"], self.settings["family"]
        if period is None:
            return frame
        newest = pl.col(period).max()
        return frame.filter(pl.col(period) == (newest.over(family) if family else newest))

    def _repr_html_(self) -> str:
        shown = self.newest._repr_html_()
        return f"<p>{escape(self.summary())}</p>{shown}{self.course._repr_html_() if self.course.height else ''}"

    def sentences(self, lang: Lang | None = None) -> pl.DataFrame:
        """Return a fixed sentence per gap of the newest period, with its course, beside the family and pair columns and units.

        A gap or a change is said to be one only where its q is at most 1 − level.
        """
        keys = [*self.settings["family"], self.group, self.settings["unit"], "partner"]
        courses = {tuple(line[name] for name in keys): line for line in self.course.iter_rows(named=True)}
        newest = self.newest
        said = []
        for line in newest.iter_rows(named=True):
            course = courses.get(tuple(line[name] for name in keys))
            said.append(self._gap(line, lang) + ("" if course is None else self._course(course, lang)))
        return newest.select(keys).with_columns(pl.Series("sentence", said, dtype=pl.String))

    def _gap(self, line: dict[str, Any], lang: Lang | None) -> str:
        names = {"unit": line[self.settings["unit"]], "partner": line["partner"] or text("pairs.cluster_mean", lang)}
        if line["gap"] is None:
            return text("pairs.sentence.none", lang, **names, reason=text(f"pairs.reason.{line['reason']}", lang))
        key = "alike" if line["q_value"] > 1 - self.settings["level"] else "above" if line["gap"] > 0 else "below"
        return text(f"pairs.sentence.{key}", lang, **names, **self._shown(line, "gap"))

    def _course(self, line: dict[str, Any], lang: Lang | None) -> str:
        if line["estimate"] is None:
            return ""
        said = self._shown(line, "estimate") | {"first": line["first"], "last": line["last"], "n": line["periods"]}
        said |= {name: self._number(line[name]) for name in ("gap_first", "gap_last")}
        if line["q_value"] > 1 - self.settings["level"]:
            key = "same"
        elif line["gap_first"] * line["gap_last"] < 0:
            key = "turned"
        else:
            key = "narrower" if line["estimate"] * (line["gap_first"] + line["gap_last"]) < 0 else "wider"
        return text(f"pairs.course.{line['change']}_{key}", lang, **said)

    def _shown(self, line: dict[str, Any], name: str) -> dict[str, str]:
        q = "< 0.001" if line["q_value"] < 0.001 else f"{line['q_value']:.3f}"
        return {
            "q": q,
            "gap": self._number(line[name]),
            "low": self._number(line["ci_lower"]),
            "high": self._number(line["ci_upper"]),
        }

    def _number(self, value: float) -> str:
        """Return a difference with its sign; of rates in percentage points."""
        digits = 1 if self.settings["rate"] else 2
        shown = f"{100 * value if self.settings['rate'] else value:+.{digits}f}"
        return f"{0:.{digits}f}" if float(shown) == 0 else shown.replace("-", "−")

    def plot(self) -> Any:
        """Return a picture (lets-plot): the gaps of every pair over the periods, or of the one period, with their intervals."""
        from eduq.estimates.comparison.plots import draw_gap_courses
        from eduq.estimates.pictures import draw_intervals

        period, unit = self.settings["period"], self.settings["unit"]
        family = [pl.col(name).cast(pl.String) for name in self.settings["family"]]
        partner = (
            pl.when(pl.col("partner").is_null()).then(pl.lit("")).otherwise(pl.lit(" − ") + pl.col("partner").cast(pl.String))
        )
        of_group = pl.concat_str(pl.col(self.group).cast(pl.String), pl.lit(" "), pl.col(unit).cast(pl.String), partner)
        known = self.frame.filter(pl.col("gap").is_not_null())
        if known.is_empty():
            raise UsageError("pairs_nothing_to_draw")
        labelled = known.with_columns(pl.concat_str([*family, of_group], separator=" ").alias("label"))
        if period is None:
            rows = labelled.select("label", pl.col("gap").alias("value"), "ci_lower", "ci_upper")
            return draw_intervals(rows, lines=[0.0], axis=f"{self.settings['estimate']}: gap")
        return draw_gap_courses(
            labelled.select("label", pl.col(period).cast(pl.String).alias("period"), "gap", "ci_lower", "ci_upper")
        )
