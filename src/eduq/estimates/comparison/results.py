"""The result of a comparison: its frame, models, sentences, pairs and pictures."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any, Literal

import numpy as np
import polars as pl

from eduq.errors import UsageError
from eduq.estimates.comparison.fits import ComparisonModel, rate_difference
from eduq.estimates.comparison.inputs import Columns
from eduq.estimates.results import EstimateResult
from eduq.locale import Lang, text

__all__ = ["ComparisonResult"]


@dataclass(frozen=True, repr=False)
class ComparisonResult(EstimateResult):
    """Units compared with their group and with each other.

    Attributes
    ----------
    frame
        One row per family and unit, sorted by them: the family and unit columns, then peer_group (all, COLUMN=VALUE;...,
        nearest), n_peers (other units the contrast is made with), n (null where not given), periods (how many the estimate is
        pooled over), estimate, std_error, ci_lower, ci_upper, conf_level, method (normal, wilson, pooled); contrast with the
        mean of the group, of the peers or of the neighbours, or with the reference, contrast_se, contrast_lower,
        contrast_upper, p_value (two-sided), q_value, family_size (tests of the whole call);
        shrunken, shrunken_se, reliability (null below five units); rank (1 = first, ties share), rank_lower, rank_upper (hold
        for all units of the comparison, or of the peer group, together), n_units (ranked there); could_be_last,
        could_be_first, p_last; funnel and funnel_998 (low, in, high: against the 95 % and 99.8 % limits), funnel_lower,
        funnel_upper, funnel_lower_998, funnel_upper_998; reason (no_estimate, no_n, no_std_error, one_unit, no_peer_group,
        no_covariates, peer_group_too_small: no contrast; below_min_n: not ranked).
    settings
        What it depends on.
    models
        `ComparisonModel` by the values of the family columns.
    columns
        The caller's column names.
    """

    models: dict[tuple[Any, ...], ComparisonModel]
    columns: Columns

    @property
    def model(self) -> ComparisonModel:
        """The model of the only comparison.

        Raises
        ------
        UsageError
            ``compare_several_models``: there are several; see ``models``.
        """
        if len(self.models) != 1:
            raise UsageError("compare_several_models", n=len(self.models))
        return next(iter(self.models.values()))

    @property
    def standard(self) -> str:
        """What the contrasts are made with: group, peers, neighbours or reference (wording ``compare.whom``)."""
        if self.settings["reference"] is not None:
            return "reference"
        if self.columns.peers.neighbours is not None:
            return "neighbours"
        return "peers" if self.columns.peers.grouped else "group"

    def summary(self) -> str:
        """Return one line: units, comparisons, how many differ from the group and how many could be last."""
        differ = self.frame.filter(pl.col("q_value") <= 1 - self.settings["level"]).height
        last = int(self.frame["could_be_last"].sum() or 0)
        whom = {"peers": "their peers", "neighbours": "their neighbours"}.get(self.standard, f"the {self.standard}")
        return (
            f"{self.frame.height} units in {len(self.models)} comparisons: {differ} differ from {whom}, "
            f"{last} could be last, {self.frame['rank'].null_count()} not ranked"
        )

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>{self.frame._repr_html_()}"

    def sentences(self, lang: Lang | None = None) -> pl.DataFrame:
        """Return one fixed sentence per row: family and unit columns, sentence.

        A unit is said to be above or below the group only where q is at most 1 − level, and its place only as the rank set.
        """
        said = [self._sentence(line, lang) for line in self.frame.iter_rows(named=True)]
        keys = [*self.columns.family, self.columns.unit]
        return self.frame.select(keys).with_columns(pl.Series("sentence", said, dtype=pl.String))

    def _sentence(self, line: dict[str, Any], lang: Lang | None) -> str:
        name, reason = line[self.columns.unit], line["reason"]
        if line["contrast"] is None:
            return text("compare.sentence.none", lang, unit=name, reason=text(f"compare.reason.{reason}", lang))
        whom = text(f"compare.whom.{self.standard}", lang)
        differs = line["q_value"] <= 1 - self.settings["level"]
        key = ("above" if line["contrast"] > 0 else "below") if differs else "alike"
        parts = {"unit": name, "whom": whom, "q": _chance(line["q_value"])}
        numbers = {"contrast": line["contrast"], "low": line["contrast_lower"], "high": line["contrast_upper"]}
        parts |= {key: self._number(value) for key, value in numbers.items()}
        said = text(f"compare.sentence.{key}", lang, **parts)
        if line["rank"] is None:
            if reason == "below_min_n":
                return said + text("compare.sentence.not_ranked", lang, reason=text(f"compare.reason.{reason}", lang))
            return said
        places = {"low": line["rank_lower"], "high": line["rank_upper"], "n": line["n_units"]}
        said += text(f"compare.sentence.{'place' if places['low'] == places['high'] else 'places'}", lang, **places)
        return said + text(f"compare.sentence.{'could' if line['could_be_last'] else 'cannot'}_be_last", lang)

    def _number(self, value: float) -> str:
        """Return a difference with its sign; of rates in percentage points."""
        digits = 1 if self.settings["rate"] else 2
        value = 100 * value if self.settings["rate"] else value
        shown = f"{value:+.{digits}f}"
        return f"{0:.{digits}f}" if float(shown) == 0 else shown.replace("-", "−")

    def pairs(self, units: list[Any], *, family: tuple[Any, ...] = (), lang: Lang | None = None) -> pl.DataFrame:
        """Compare chosen units with each other, with the certainty that holds for all pairs of their comparison together.

        Parameters
        ----------
        units
            Two or more ranked units; every pair of them is returned, in this order.
        family
            Values of the family columns.
        lang
            Language of the sentences.

        Returns
        -------
        polars.DataFrame
            unit_a, unit_b, difference (a − b), std_error, ci_lower, ci_upper (simultaneous: over the units of their peer
            group, over all of the comparison where they are of two), distinct, sentence.

        Raises
        ------
        UsageError
            ``compare_unit_unknown``: a unit that is not ranked in this comparison.
        """
        part = self._part(family).filter(pl.col("rank").is_not_null())
        known = {line[self.columns.unit]: line for line in part.iter_rows(named=True)}
        for unit in units:
            if unit not in known:
                raise UsageError("compare_unit_unknown", unit=unit)
        model = self.models[family]
        rows = []
        for place, one in enumerate(units):
            for other in units[place + 1 :]:
                apart = known[one]["estimate"] - known[other]["estimate"]
                error = float(np.hypot(known[one]["std_error"], known[other]["std_error"]))
                peers = {known[unit]["peer_group"] for unit in (one, other)}
                alike = model.peer_groups.get(peers.pop()) if len(peers) == 1 else None
                cut = model.pair_cut if alike is None else alike.pair_cut
                low, high = apart - cut * error, apart + cut * error
                if self.columns.rate:
                    (p, n), (p_other, n_other) = (
                        (np.array([known[unit]["estimate"]]), np.array([float(known[unit]["n"])])) for unit in (one, other)
                    )
                    low, high = (float(bound[0]) for bound in rate_difference(p, n, p_other, n_other, cut))
                key = "pair_alike" if low <= 0 <= high else "pair_above" if apart > 0 else "pair_below"
                numbers = {"difference": self._number(apart), "low": self._number(low), "high": self._number(high)}
                said = text(f"compare.sentence.{key}", lang, a=one, b=other, **numbers)
                rows.append((one, other, apart, error, low, high, key != "pair_alike", said))
        dtype = self.frame.schema[self.columns.unit]
        numbers_of = dict.fromkeys(("difference", "std_error", "ci_lower", "ci_upper"), pl.Float64)
        schema: dict[str, Any] = {"unit_a": dtype, "unit_b": dtype, **numbers_of, "distinct": pl.Boolean, "sentence": pl.String}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def _part(self, family: tuple[Any, ...] | None) -> pl.DataFrame:
        """Return the rows of one comparison; of the only one where none is named."""
        if family is None or (not family and self.columns.family):
            if len(self.models) != 1:
                raise UsageError("compare_several_models", n=len(self.models))
            family = next(iter(self.models))
        if family not in self.models:
            raise UsageError("compare_family_unknown", family=" ".join(str(value) for value in family))
        wanted = [pl.col(name) == value for name, value in zip(self.columns.family, family, strict=True)]
        return self.frame.filter(*wanted)

    def plot(self, kind: Literal["caterpillar", "funnel"] = "caterpillar", *, family: tuple[Any, ...] | None = None) -> Any:
        """Return a picture (lets-plot) of one comparison.

        Parameters
        ----------
        kind
            ``caterpillar``: estimates with their intervals in order, the shrunken estimates beside them; ``funnel``: estimates
            by size (by 1/standard error without n) within the 95 % and 99.8 % limits.
        family
            Values of the family columns, where there are several comparisons.

        Raises
        ------
        UsageError
            ``compare_several_models``, ``compare_family_unknown``, ``compare_option``.
        """
        from eduq.estimates.comparison.plots import draw_caterpillar, draw_funnel

        if kind not in ("caterpillar", "funnel"):
            raise UsageError("compare_option")
        part = self._part(family).filter(pl.col("std_error").is_not_null() & pl.col("funnel").is_not_null())
        key = tuple(part.select(self.columns.family).row(0)) if self.columns.family else ()
        model = self.models[key]
        return (draw_caterpillar if kind == "caterpillar" else draw_funnel)(part, model, self.columns)


def _chance(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
