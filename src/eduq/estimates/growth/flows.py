"""Flows between bands of scores from an earlier exam to a later one (培优、提中、补差), and the low group of each subject."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import polars as pl

from eduq.errors import NotAssessableError, UsageError
from eduq.estimates.frames import FrameLike, as_frame
from eduq.estimates.growth.coverage import add_columns, refuse_unit_name
from eduq.estimates.growth.inputs import GrowthRows, read_rows
from eduq.estimates.growth.transitions import (
    FLOW_NUMBERS,
    Ends,
    Floats,
    Move,
    Places,
    count_moves,
    cut_ends,
    cut_strata,
    describe_bands,
    low_end,
    move_rates,
    place_bands,
)
from eduq.estimates.pictures import draw_intervals
from eduq.estimates.results import EstimateResult

__all__ = ["BANDS", "FlowResult", "measure_flows", "measure_low_groups"]

BANDS = ("lower", "middle", "upper")
"""补差、提中、培优 bands, from below."""
MOVES = (
    *(Move("cell", start, (end,), BANDS[start], BANDS[end]) for start in (2, 1, 0) for end in (2, 1, 0)),
    Move("band_retention", 2, (2,), "upper", "upper"),
    Move("conversion", 1, (2,), "middle", "upper"),
    Move("conversion", 0, (1, 2), "lower", "middle_or_above"),
)
"""The nine cells; 巩固率 of the upper band; 转化率 of the middle and of the lower band."""
LOW_MOVES = (
    Move("entering", 1, (0,), "other", "low"),
    Move("staying", 0, (0,), "low", "low"),
    Move("leaving", 0, (1,), "low", "other"),
)
MISSING_COLUMNS = ("prior_band", "n_listed", "n_linked", "n_missing")


@dataclass(frozen=True, repr=False)
class FlowResult(EstimateResult):
    """Moves between bands, per unit and for all together.

    Attributes
    ----------
    frame
        One row per unit and move, sorted: the unit column, flow, band_from, band_to, count, n, estimate, std_error, ci_lower,
        ci_upper, conf_level, method, expected, difference, difference_lower, difference_upper, reason; of low groups the subject
        stands after the unit.
    settings
        Columns, cuts and level.
    unit
        The caller's column of units.
    area
        The same of all pupils together, without a unit and without an expectation.
    bands
        How the bands were cut: exam (prior, outcome), band, lowest, highest, n, share (the actual one, ties at a cut together);
        of low groups the subject stands before them.
    missing
        Who of the prior exam has no later score, in counts: the unit, prior_band, n_listed, n_linked, n_missing.
    left_out
        Rows that do not count: reason, n.
    candidates
        The caller's rows with prior_band and outcome_band; None of low groups.
    """

    unit: str
    area: pl.DataFrame
    bands: pl.DataFrame
    missing: pl.DataFrame
    left_out: pl.DataFrame
    candidates: pl.DataFrame | None = None

    def summary(self) -> str:
        """Return one line: units, pupils linked, and how many of the prior exam are missing."""
        listed, linked = self.missing["n_listed"].sum(), self.missing["n_linked"].sum()
        return f"flows of {self.frame[self.unit].n_unique()} units, {linked} of {listed} pupils of the prior exam linked"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>{self.area._repr_html_()}{self.frame._repr_html_()}"

    def plot(self, flow: str | None = None, band_from: str | None = None, *, subject: str | None = None) -> Any:
        """Return a picture (lets-plot) of one rate: each unit's difference from pupils who started alike, with its interval.

        Parameters
        ----------
        flow, band_from
            As in ``frame``: conversion, band_retention, entering ...; of a band. The first rate of ``area`` when left out.
        subject
            Of low groups; the first when left out.

        Raises
        ------
        UsageError
            ``flow_unknown``: there is no such rate.
        """
        rates = self.area.filter(pl.col("flow") != "cell").select("flow", "band_from")
        for name, wanted in (("flow", flow), ("band_from", band_from)):
            rates = rates if wanted is None else rates.filter(pl.col(name) == wanted)
        if rates.is_empty():
            raise UsageError("flow_unknown", flow=flow or "-", band=band_from or "-")
        flow, band_from = rates.row(0)
        shown = self.frame.filter(pl.col("flow") == flow, pl.col("band_from") == band_from)
        if "subject" in shown.columns:
            shown = shown.filter(pl.col("subject") == (self.area["subject"][0] if subject is None else subject))
        if shown.is_empty():
            raise UsageError("flow_unknown", flow=flow or "-", band=band_from or "-")
        names = {"value": "difference", "ci_lower": "difference_lower", "ci_upper": "difference_upper"}
        rows = shown.filter(pl.col("difference").is_not_null()).select(
            pl.col(self.unit).cast(pl.String).alias("label"), **{name: pl.col(column) for name, column in names.items()}
        )
        return draw_intervals(rows, lines=(0.0,), axis=f"{flow} ({band_from})")


def measure_flows(
    frame: FrameLike,
    *,
    outcome: str,
    prior: str,
    unit: str,
    cuts: tuple[float, float] = (0.30, 0.70),
    prior_cuts: tuple[float, float] | None = None,
    outcome_cuts: tuple[float, float] | None = None,
    prior_unit: str | None = None,
    level: float = 0.95,
) -> FlowResult:
    """Count how pupils move between a lower, a middle and an upper band from a prior exam to a later one.

    The bands of each exam are cut on the pupils who have both scores: the lower band ends at the smallest score at or below which
    at least the share ``cuts[0]`` lies, the upper one begins at the largest score at or above which at least ``1 - cuts[1]``
    lies; equal scores are never parted, and ``.bands`` says which shares came of it. Some pupils leave an outer band by chance
    alone (regression to the mean), and most of those who move start near a cut, so the rate of a unit stands beside what its
    pupils would show at the rates of all pupils who started alike: each band is cut into at most 20 strata of the prior score of
    at least 30 pupils, equal scores together, and ``expected`` is the mean over the unit's pupils of the rate in their stratum
    (indirect standardisation). The prior score's error of measurement is not taken out, so the difference still leans a little
    towards units with a high intake (see docs/explanation/growth-flows.md). No test over cells is made: many are small.

    Parameters
    ----------
    frame
        One row per pupil: Polars, eager or lazy, or any Arrow table.
    outcome, prior
        Columns of the later and of the earlier score, each on any scale.
    unit
        Column of the unit (school, class).
    cuts
        Shares of all pupils below the two cuts.
    prior_cuts, outcome_cuts
        Scores instead of shares: the lower band lies below the first, the upper one at or above the second.
    prior_unit
        Column of the unit at the prior exam, by which those who are missing are counted; ``unit`` when left out.
    level
        Level of the intervals (Wilson; of differences Newcombe's over the strata, see `move_rates`).

    Returns
    -------
    FlowResult
        ``flow`` is ``cell`` (nine of them), ``band_retention`` (巩固率: of the upper band still upper) and ``conversion``
        (转化率: of the middle band now upper; of the lower band now middle or above);
        ``count`` of ``n`` who started from ``band_from``.

    Raises
    ------
    UsageError
        ``growth_source``, ``growth_column_missing``, ``growth_column_twice``, ``growth_column_taken``, ``growth_name_taken``,
        ``growth_option`` (level), ``flow_cuts``.
    DataFileError
        ``growth_value``.
    NotAssessableError
        ``growth_no_rows``, ``flow_no_bands``.

    References
    ----------
    Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference. JASA 22, 209-212. Newcombe, R. G.
    (1998). Interval estimation for the difference between independent proportions. Statistics in Medicine 17, 873-890. Keiding,
    N. and Clayton, D. (2014). Standardization and control for confounding in observational studies. Statistical Science 29,
    529-558.

    Examples
    --------
    >>> pupils = pl.DataFrame({"school": ["A"] * 5 + ["B"] * 5, "before": range(10), "after": [2, 0, 1, 6, 4, 9, 8, 3, 7, 5]})
    >>> found = measure_flows(pupils, outcome="after", prior="before", unit="school")
    >>> found.area.filter(flow="conversion").select("band_from", "band_to", "count", "n").rows()
    [('middle', 'upper', 2, 4), ('lower', 'middle_or_above', 0, 3)]
    >>> found.bands.filter(exam="prior")["share"].to_list()
    [0.3, 0.4, 0.3]
    """
    _refuse_level(level)
    rows = read_rows(frame, unit=unit, outcome=outcome, prior=(prior,))
    refuse_unit_name(rows, (*FLOW_NUMBERS, *MISSING_COLUMNS, "subject"))
    before_ends = cut_ends(rows.x[:, 0], cuts, prior_cuts, prior)
    after_ends = cut_ends(rows.y, cuts, outcome_cuts, outcome)
    before, after = place_bands(rows.x[:, 0], before_ends), place_bands(rows.y, after_ends)
    strata = cut_strata(rows.x[:, 0], before)
    counts = count_moves(rows.unit_of, strata, after, len(rows.units), len(BANDS))
    of_units, of_all = move_rates(counts, strata, MOVES, rows.units.alias(unit), level)
    columns = [_name_bands(rows, bands, name) for name, bands in (("prior_band", before), ("outcome_band", after))]
    return FlowResult(
        frame=of_units,
        settings={
            "outcome": outcome,
            "prior": prior,
            "level": level,
            "cuts": list(cuts),
            "prior_cuts": None if prior_cuts is None else list(prior_cuts),
            "outcome_cuts": None if outcome_cuts is None else list(outcome_cuts),
        },
        unit=unit,
        area=of_all,
        bands=_bands_frame([("prior", rows.x[:, 0], before), ("outcome", rows.y, after)], BANDS),
        missing=_count_missing(rows, prior, prior_unit or unit, before_ends),
        left_out=rows.left_out,
        candidates=add_columns(rows, columns),
    )


def measure_low_groups(
    frame: FrameLike,
    *,
    subjects: Mapping[str, tuple[str, str]],
    unit: str,
    cut: float = 0.30,
    level: float = 0.95,
) -> FlowResult:
    """Count who enters, stays in and leaves the low group of each subject (学科待提升群体).

    The low group of an exam are the pupils at or below the smallest score at or below which at least the share ``cut`` of the
    linked pupils lies; equal scores stay together. It says who may need help, not who fails: some share is always lowest.
    Expectations are standardised as in `measure_flows`.

    Parameters
    ----------
    frame
        One row per pupil: Polars, eager or lazy, or any Arrow table.
    subjects
        Per subject the columns of the earlier and of the later score; a pupil counts in the subjects in which both stand.
    unit
        Column of the unit.
    cut
        Share of all pupils in the low group.
    level
        Level of the Wilson intervals.

    Returns
    -------
    FlowResult
        ``flow`` is ``entering`` (of those who were not in it), ``staying`` and ``leaving`` (of those who were).

    Raises
    ------
    UsageError
        As `measure_flows`; ``flow_subjects``: none is named, or without its two columns.
    DataFileError
        ``growth_value``.
    NotAssessableError
        ``growth_no_rows``, ``flow_no_bands``: all pupils share the lowest scores.

    Examples
    --------
    >>> pupils = pl.DataFrame({"school": ["A"] * 5 + ["B"] * 5, "m1": range(10), "m2": [2, 0, 6, 1, 4, 9, 8, 3, 7, 5]})
    >>> found = measure_low_groups(pupils, subjects={"math": ("m1", "m2")}, unit="school")
    >>> found.area.select("flow", "count", "n").rows()
    [('entering', 1, 7), ('staying', 2, 3), ('leaving', 1, 3)]
    """
    _refuse_level(level)
    if not subjects or not isinstance(subjects, Mapping) or any(not _is_pair(pair) for pair in subjects.values()):
        raise UsageError("flow_subjects")
    if not 0 < cut < 1:
        raise UsageError("flow_cuts", low=f"{cut:g}", high="1")
    frame = as_frame(frame, error="growth_source")
    parts, whole, bands, missing, left = [], [], [], [], []
    for subject, (prior, outcome) in subjects.items():
        rows = read_rows(frame, unit=unit, outcome=outcome, prior=(prior,))
        refuse_unit_name(rows, (*FLOW_NUMBERS, *MISSING_COLUMNS, "subject"))
        before, before_end = _low(rows.x[:, 0], cut, prior)
        after, _ = _low(rows.y, cut, outcome)
        strata = cut_strata(rows.x[:, 0], before)
        counts = count_moves(rows.unit_of, strata, after, len(rows.units), 2)
        of_units, of_all = move_rates(counts, strata, LOW_MOVES, rows.units.alias(unit), level)
        said = pl.lit(subject).alias("subject")
        parts.append(of_units.select(unit, said, *FLOW_NUMBERS))
        whole.append(of_all.select(said, *FLOW_NUMBERS))
        shown = _bands_frame([("prior", rows.x[:, 0], before), ("outcome", rows.y, after)], ("low", "other"))
        bands.append(shown.select(said, *shown.columns))
        lacking = _count_missing(rows, prior, unit, Ends(before_end, np.inf), ("low", "other", "other"))
        missing.append(lacking.select(unit, said, *MISSING_COLUMNS))
        left.append(rows.left_out.select(said, "reason", "n"))
    return FlowResult(
        frame=pl.concat(parts).sort(unit, maintain_order=True),
        settings={"subjects": {name: list(pair) for name, pair in subjects.items()}, "cut": cut, "level": level},
        unit=unit,
        area=pl.concat(whole),
        bands=pl.concat(bands),
        missing=pl.concat(missing),
        left_out=pl.concat(left),
    )


def _name_bands(rows: GrowthRows, bands: Places, name: str) -> pl.Series:
    """Return the band of each of the caller's rows, null where the row is not used."""
    places = np.zeros(rows.frame.height, dtype=np.int64)
    places[rows.at] = bands + 1
    return pl.Series(name, [None, *BANDS], dtype=pl.String).gather(places)


def _is_pair(columns: object) -> bool:
    return isinstance(columns, (tuple, list)) and len(columns) == 2


def _refuse_level(level: float) -> None:
    if not 0.5 < level < 1:
        raise UsageError("growth_option", option="level")


def _low(values: Floats, cut: float, column: str) -> tuple[Places, float]:
    """Return 0 for pupils of the low group and 1 for the others, and where the group ends."""
    end = low_end(values, cut)
    bands = (values > end).astype(np.int64)
    if not bands.any():
        raise NotAssessableError("flow_no_bands", column=column)
    return bands, end


def _bands_frame(exams: list[tuple[str, Floats, Places]], names: tuple[str, ...]) -> pl.DataFrame:
    lines: list[dict[str, Any]] = [
        {"exam": exam, **line} for exam, values, bands in exams for line in describe_bands(values, bands, names)
    ]
    kinds: dict[str, Any] = {"exam": pl.String, "band": pl.String, "lowest": pl.Float64, "highest": pl.Float64}
    return pl.DataFrame(lines, schema={**kinds, "n": pl.Int64, "share": pl.Float64})


def _count_missing(rows: GrowthRows, prior: str, unit: str, ends: Ends, names: tuple[str, ...] = BANDS) -> pl.DataFrame:
    """Return, per unit at the prior exam and prior band, who has a prior score and who of them is linked; counts only."""
    if unit not in rows.frame.columns:
        raise UsageError("growth_column_missing", column=unit, known=", ".join(rows.frame.columns))
    given = rows.frame[prior]
    if given.dtype == pl.String:
        given = given.str.strip_chars()
    values = given.cast(pl.Float64, strict=False).fill_nan(None)
    used = np.zeros(rows.frame.height, dtype=np.bool_)
    used[rows.at] = True
    listed = pl.DataFrame({"unit": rows.frame[unit], "prior": values, "used": used}).filter(pl.col("prior").is_not_null())
    place = pl.Series("place", place_bands(listed["prior"].to_numpy(), ends))
    counted = (
        listed.with_columns(place)
        .group_by("unit", "place")
        .agg(pl.len().cast(pl.Int64).alias("n_listed"), pl.col("used").sum().cast(pl.Int64).alias("n_linked"))
        .sort("unit", "place", descending=[False, True], nulls_last=True)
        .with_columns(
            pl.col("place").replace_strict(dict(enumerate(names)), return_dtype=pl.String).alias("prior_band"),
            (pl.col("n_listed") - pl.col("n_linked")).alias("n_missing"),
        )
    )
    return counted.select(pl.col("unit").alias(unit), *MISSING_COLUMNS)
