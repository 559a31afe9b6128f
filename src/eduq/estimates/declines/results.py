"""The result of the decline estimator: frames, models, sentences, pictures."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import polars as pl

from eduq.errors import UsageError
from eduq.estimates.results import EstimateResult
from eduq.locale import Lang, text

if TYPE_CHECKING:
    from eduq.estimates.declines.inputs import Columns
    from eduq.estimates.declines.stratum_fits import DeclineModel

__all__ = ["DeclineResult"]

PANELS = 60
"""Small multiples of more series than this cannot be read: the caller chooses."""
SMALLEST_Q = 0.001
"""Below this q is said to be below it."""


@dataclass(frozen=True, repr=False)
class DeclineResult(EstimateResult):
    """Declines of units, the series they rest on and what was estimated for all units together.

    Attributes
    ----------
    frame
        One row per series: the unit and family columns, then n_periods, n_left_out (rows of the unit that do not count),
        n_min, first, last; slope (relative to the other units, SDs a period), std_error, df (null: normal reference),
        ci_lower, ci_upper, p_value (one-sided), q_value, holm_p, q_second (q at the second shock correlation), family_size,
        slope_shrunken (display only), min_detectable (the yearly fall that would be graded B with probability .8; with two
        periods, C), level, run_declines (falls in a row at the end), rank, rank_lower, rank_upper, n_units (of the last
        period), could_be_last, p_last, lowest_third, evidence_grade (A confirmed, B probable, C possible, D not
        distinguishable from chance; null = none, with the reason), evidence_reason, stagnation (stagnant, moving, undecided;
        null without a band), stagnation_literal, stagnation_band (narrowest band that could be confirmed), drop (last period
        less the mean before), drop_se, drop_p, drop_q, theil_sen, kendall_tau, kendall_p (from seven periods on).
    settings
        What it depends on.
    series
        One row per unit and period in SDs: estimate, relative (period effects taken out), std_error (sampling), ci_lower,
        ci_upper, n, used, reason (no_estimate, no_std_error, no_n, before_break, outside_window).
    changes
        Changes between neighbouring periods: change (as given), relative_change with std_error, df, ci_lower, ci_upper.
    declared
        With two periods: the intervals of the slope when the shock SD is .05, .10 or .15.
    models
        `DeclineModel` by the values of the family columns.
    left_out
        From an archive: which exams count, which do not, and why (`eduq.tables.LEFT_OUT`); else None.
    columns
        The caller's column names.
    """

    series: pl.DataFrame
    changes: pl.DataFrame
    declared: pl.DataFrame
    models: dict[tuple[Any, ...], DeclineModel]
    left_out: pl.DataFrame | None
    columns: Columns

    @property
    def model(self) -> DeclineModel:
        """The model of the only family of series.

        Raises
        ------
        UsageError
            ``declines_several_models``: there are several; see ``models``.
        """
        if len(self.models) != 1:
            raise UsageError("declines_several_models", n=len(self.models))
        return next(iter(self.models.values()))

    def summary(self) -> str:
        """Return one line: series, periods, and how many have each grade."""
        counts = dict(self.frame.group_by("evidence_grade").len().iter_rows())
        shown = ", ".join(f"{letter} {counts.get(letter, 0)}" for letter in "ABCD")
        longest = max(model.n_periods for model in self.models.values())
        return f"{self.frame.height} series of up to {longest} periods: {shown}, no grade {counts.get(None, 0)}"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>{self.frame._repr_html_()}"

    def sentences(self, lang: Lang | None = None) -> pl.DataFrame:
        """Return one fixed sentence per series: unit and family columns, evidence_grade, sentence."""
        keys = [self.columns.unit, *self.columns.family]
        said = []
        for line in self.frame.iter_rows(named=True):
            model = self.models.get(tuple(line[name] for name in self.columns.family))
            sentence = _sentence(line, line[self.columns.unit], lang, self.settings["bounds"])
            if model is not None and model.spacing == "order" and line["slope"] is not None:
                sentence += text("declines.sentence.because", lang, reason=text("declines.sentence.labels", lang))
            said.append(sentence)
        return self.frame.select(*keys, "evidence_grade").with_columns(pl.Series("sentence", said, dtype=pl.String))

    def plot(self, units: list[Any] | None = None) -> Any:
        """Return small multiples (lets-plot): each series with its intervals, period effects taken out.

        Parameters
        ----------
        units
            Units to draw; all of them by default.

        Raises
        ------
        UsageError
            ``declines_too_many_panels``: more than 60 series.
        """
        import lets_plot as lp

        keys = [self.columns.unit, *self.columns.family]
        chosen = self.series.filter("used")
        if units is not None:
            chosen = chosen.filter(pl.col(self.columns.unit).is_in(units))
        panel = pl.concat_str([pl.col(key).cast(pl.String) for key in keys], separator=" · ").alias("panel")
        half = (pl.col("ci_upper") - pl.col("ci_lower")) / 2
        drawn = chosen.with_columns(
            panel,
            pl.col(self.columns.period).cast(pl.String).alias("at"),
            (pl.col("relative") - half).alias("low"),
            (pl.col("relative") + half).alias("high"),
        )
        if drawn["panel"].n_unique() > PANELS:
            raise UsageError("declines_too_many_panels", n=drawn["panel"].n_unique(), most=PANELS)
        data = drawn.select("panel", "at", "relative", "low", "high").sort("at", "panel").to_dict(as_series=False)
        return (
            lp.ggplot(data, lp.aes("at", "relative"))
            + lp.geom_hline(yintercept=0, color="#8a94a0", size=0.6)
            + lp.geom_errorbar(lp.aes(ymin="low", ymax="high"), color="#8a94a0", width=0.2, size=0.6)
            + lp.geom_line(lp.aes(group="panel"), color="#1f4e79", size=0.9)
            + lp.geom_point(color="#1f4e79", size=2.2)
            + lp.facet_wrap("panel", ncol=5)
            + lp.labs(x="", y="SD")
            + lp.ggsize(1000, 60 + 150 * -(-drawn["panel"].n_unique() // 5))
        )


def _sentence(line: dict[str, Any], unit: object, lang: Lang | None, bounds: dict[str, Any]) -> str:
    """Return the fixed sentence of one row of the frame."""
    letter = line["evidence_grade"]
    if letter is None:
        reason = text(f"declines.reason.{line['evidence_reason']}", lang)
        if line["slope"] is None:
            return text("declines.sentence.none", lang, unit=unit, reason=reason)
        return text("declines.sentence.interval", lang, unit=unit, reason=reason, **_numbers(line))
    slight = letter == "D" and -bounds["materiality"] < line["slope"] < 0 and line["p_value"] <= bounds["p_possible"]
    key = "slight" if slight else letter
    said = text(f"declines.sentence.{key}", lang, unit=unit, materiality=f"{bounds['materiality']:g}", **_numbers(line))
    reason = line["evidence_reason"]
    return (
        said if reason is None else said + text("declines.sentence.because", lang, reason=text(f"declines.reason.{reason}", lang))
    )


def _signed(value: float) -> str:
    """Return a change with its sign; what rounds to nothing has none."""
    return "0.00" if float(f"{value:.2f}") == 0 else f"{value:+.2f}".replace("-", "−")


def _numbers(line: dict[str, Any]) -> dict[str, object]:
    detectable, q = line["min_detectable"], line["q_value"]
    return {
        "first": line["first"],
        "last": line["last"],
        "n_periods": line["n_periods"],
        **{name: _signed(line[key]) for name, key in (("slope", "slope"), ("low", "ci_lower"), ("high", "ci_upper"))},
        "q": "" if q is None else "< 0.001" if q < SMALLEST_Q else f"{q:.3f}",
        "detectable": "" if detectable is None else f"{detectable:.2f}",
    }
