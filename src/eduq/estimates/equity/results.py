"""The result of the equity estimator: indices, limits, course, lowest part, sentences, picture."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import polars as pl

from eduq.errors import UsageError
from eduq.estimates.results import EstimateResult
from eduq.locale import Lang, text

__all__ = ["EquityResult"]

_DRAWN = 120
"""A picture of more lines than this cannot be read."""


@dataclass(frozen=True, repr=False)
class EquityResult(EstimateResult):
    """How equal the units are, with what it was compared and how it moved.

    Attributes
    ----------
    frame
        One row per index and table (one table per combination of the family columns; of an exam, per paper and
        comparison_group): the family columns, index (String id, wording ``equity.index.<id>``), attribute, group, reference (of
        gaps and decompositions; else null), value, std_error, ci_lower, ci_upper, conf_level (Float64), n_units, n (Int64,
        pupils), method (wording ``equity.method.<method>``), reason (wording ``equity.reason.<reason>`` or, of comparison groups,
        ``reasons.<reason>``: why value or interval are missing; null where both are there).
        Where no formula gives a standard error it is half the interval over the normal quantile.
    settings
        What it depends on.
    bottom
        The lowest part per unit: family columns, unit, n, n_bottom, share, ci_lower, ci_upper (Wilson), threshold, area_share
        (the share really at or below the threshold, ties included), reason.
    limits
        One row per index, table and limit in force: value, ci_lower, ci_upper, limit, reaching, state (below, above,
        undecided, not_assessable), source, valid_from, valid_to.
    course
        With ``period``: change a year of every index: slope, std_error, df, ci_lower, ci_upper, p_value, n_periods, first, last,
        spacing (years or order), reason (too_few_periods, no_std_error).
    family
        The family columns.
    """

    bottom: pl.DataFrame
    limits: pl.DataFrame
    course: pl.DataFrame
    family: tuple[str, ...]

    def summary(self) -> str:
        """Return one line: indices, tables, how many have no number, and the states against limits."""
        tables = self.frame.select(self.family).n_unique() if self.family else 1
        missing = self.frame["value"].null_count()
        said = f"{self.frame['index'].n_unique()} indices of {tables} tables of units, {missing} without a number"
        if self.limits.height:
            counts = dict(self.limits.group_by("state").len().iter_rows())
            said += "; limits: " + ", ".join(f"{state} {counts[state]}" for state in sorted(counts))
        return said

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>{self.frame._repr_html_()}"

    def sentences(self, lang: Lang | None = None) -> pl.DataFrame:
        """Return one fixed sentence per row of ``limits``: family columns, index, state, sentence."""
        said = []
        for line in self.limits.iter_rows(named=True):
            key = line["state"] if line["ci_lower"] is not None or line["state"] == "not_assessable" else f"{line['state']}_plain"
            said.append(
                text(
                    f"equity.sentence.{key}",
                    lang,
                    index=text(f"equity.index.{line['index']}", lang),
                    limit=f"{line['limit']:g}",
                    **{name: _shown(line[column]) for name, column in _NUMBERS.items()},
                )
            )
        keys = [*self.family, "index", "state"]
        return self.limits.select(keys).with_columns(pl.Series("sentence", said, dtype=pl.String))

    def plot(self, index: str = "between_school_share", *, course: bool = False) -> Any:
        """Return one index of every table with its interval, and its limits as lines (lets-plot).

        Parameters
        ----------
        index
            Id of an index; gaps are drawn one line per pair of sides.
        course
            Over the periods, a panel for each table; of a result with ``.course``.

        Raises
        ------
        UsageError
            ``equity_nothing_to_draw``: no table has a value of this index, or there is no course; ``equity_too_many_lines``: more
            than 120.
        """
        import lets_plot as lp

        periods = [name for name in self.family if name not in self.course.columns] if self.course.height else []
        if course and not periods:
            raise UsageError("equity_nothing_to_draw", index=index, known=", ".join(self.course["index"].unique().sort()))
        parts = [name for name in (*self.family, "attribute", "group", "reference") if not course or name not in periods]
        label = pl.concat_str([pl.col(name).cast(pl.String) for name in parts], separator=" · ", ignore_nulls=True)
        drawn = self.frame.filter(pl.col("index") == index, pl.col("value").is_not_null()).with_columns(label.alias("table"))
        if drawn.is_empty():
            raise UsageError("equity_nothing_to_draw", index=index, known=", ".join(self.frame["index"].unique().sort()))
        if drawn.height > _DRAWN:
            raise UsageError("equity_too_many_lines", n=drawn.height, most=_DRAWN)
        if course:
            return self._draw_course(drawn.with_columns(pl.col(periods[0]).cast(pl.String).alias("at")), index)
        columns = ["table", "value", "ci_lower", "ci_upper"]
        with_interval = drawn.filter(pl.col("ci_lower").is_not_null())
        picture = lp.ggplot(drawn.select(columns).to_dict(as_series=False), lp.aes("value", "table"))
        for limit in self.limits.filter(pl.col("index") == index)["limit"].unique().sort():
            picture += lp.geom_vline(xintercept=limit, color="#b3541e", size=0.8, linetype="dashed")
        if with_interval.height:
            data = with_interval.select(columns).to_dict(as_series=False)
            bars = lp.aes(y="table", xmin="ci_lower", xmax="ci_upper")
            picture += lp.geom_errorbar(bars, data=data, color="#8a94a0", width=0.3, size=0.7)
        return picture + lp.geom_point(color="#1f4e79", size=2.6) + lp.labs(x="", y="") + lp.ggsize(800, 80 + 26 * drawn.height)

    def _draw_course(self, drawn: pl.DataFrame, index: str) -> Any:
        import lets_plot as lp

        drawn = drawn.select("table", "at", "value", "ci_lower", "ci_upper").sort("table", "at")
        known = drawn.filter(pl.col("ci_lower").is_not_null()).to_dict(as_series=False)
        picture = lp.ggplot(drawn.to_dict(as_series=False), lp.aes("at", "value"))
        for limit in self.limits.filter(pl.col("index") == index)["limit"].unique().sort():
            picture += lp.geom_hline(yintercept=limit, color="#b3541e", size=0.8, linetype="dashed")
        if known["at"]:
            picture += lp.geom_errorbar(lp.aes("at", ymin="ci_lower", ymax="ci_upper"), data=known, color="#8a94a0", width=0.2)
        picture += lp.geom_line(lp.aes(group="table"), color="#1f4e79", size=0.9) + lp.geom_point(color="#1f4e79", size=2.2)
        panels = drawn["table"].n_unique()
        if panels > 1:
            picture += lp.facet_wrap("table", ncol=3)
        return picture + lp.labs(x="", y=index) + lp.ggsize(900, 80 + 220 * -(-panels // 3))


_NUMBERS = {"value": "value", "low": "ci_lower", "high": "ci_upper"}


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
