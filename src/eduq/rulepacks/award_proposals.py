"""The public functions of awards: the national texts are asked before anything is computed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from eduq.errors import Place
from eduq.estimates.awards.candidates import AwardCandidates, find_candidates
from eduq.estimates.awards.county import AwardCounty, collect_county
from eduq.estimates.awards.schemes import AwardScheme, read_scheme, require_both
from eduq.estimates.awards.simulation import SchemeComparison, simulate_schemes
from eduq.estimates.exam_source import ExamSource
from eduq.estimates.frames import FrameLike
from eduq.rulepacks.refusals import refuse_award
from eduq.settings import RunSettings

__all__ = ["compare_award_schemes", "propose_awards"]

SchemeLike = AwardScheme | str | Path


def _checked(scheme: SchemeLike, as_of: dt.date | None) -> AwardScheme:
    """Return a scheme that no national text bars."""
    place = None if isinstance(scheme, AwardScheme) else Place(file=Path(scheme).name)
    found = scheme if isinstance(scheme, AwardScheme) else read_scheme(scheme)
    refuse_award([item.model_dump() for item in found.measures], as_of=as_of, place=place)
    require_both(found, place)
    return found


def propose_awards(
    level: FrameLike | Mapping[str, FrameLike],
    progress: FrameLike | Mapping[str, FrameLike],
    *,
    scheme: SchemeLike,
    unit: str = "unit",
    peers: pl.DataFrame | None = None,
    as_of: dt.date | None = None,
    min_n: int = 10,
    seed: int = 20250101,
) -> AwardCandidates:
    """Propose candidates for an award from level and progress side by side: candidates, not winners; persons decide.

    Parameters
    ----------
    level, progress
        One row per unit (Polars, eager or lazy, or any Arrow table): the unit column, estimate, std_error and, in at least one of
        them, n. By measure id where a scheme has several measures of a kind. Estimates must not be shrunken, that is done here:
        of multilevel growth take ``raw`` and ``raw_se``.
    scheme
        A scheme, or its TOML file.
    unit
        Name of the unit column.
    peers
        The unit column and those of the scheme's peer group.
    as_of
        The national texts in force on this day; all of them when left out.
    min_n
        Units with fewer candidates show no numbers.
    seed
        Of the draws behind p_top.

    Returns
    -------
    AwardCandidates
        ``.frame`` one line per unit, by its code.

    Raises
    ------
    SettingsError
        ``award_barred``: on a single measure, on public examinations only, or with a 升学 figure (names document and article);
        ``award_needs_both``; ``settings_invalid``.
    UsageError
        ``award_source``, ``award_column_missing``, ``award_frames``, ``award_measure_missing``, ``award_peers_missing``,
        ``award_unit_twice``.
    DataFileError
        ``award_value``: text for a number, infinite values, a negative standard error or n.
    NotAssessableError
        ``award_too_few``: fewer than five units to set beside each other.

    Examples
    --------
    >>> from eduq.resources import package_path
    >>> units = [f"S{number}" for number in range(8)]
    >>> level = pl.DataFrame({"unit": units, "estimate": [0.1 * i for i in range(8)], "std_error": [0.05] * 8, "n": [100] * 8})
    >>> progress = level.with_columns(pl.col("estimate") - 0.3)
    >>> found = propose_awards(level, progress, scheme=package_path("estimates", "awards", "balanced.toml"))
    >>> found.frame.filter("candidate")["unit"].to_list()
    ['S7']
    """
    return find_candidates(level, progress, scheme=_checked(scheme, as_of), unit=unit, peers=peers, min_n=min_n, seed=seed)


def compare_award_schemes(
    scheme_a: SchemeLike,
    scheme_b: SchemeLike,
    county: AwardCounty | ExamSource,
    *,
    worlds: int = 2000,
    seed: int = 20250101,
    progress_sd: float = 0.05,
    peers: pl.DataFrame | None = None,
    as_of: dt.date | None = None,
    year_group: str | None = None,
    settings: RunSettings | None = None,
) -> SchemeComparison:
    """Compare two award schemes on simulated worlds of the county itself, with the same draws for both.

    Parameters
    ----------
    scheme_a, scheme_b
        Schemes, or their TOML files: one measure of level and one of progress each, both of the same yearly series.
    county
        What `eduq.estimates.awards.county.collect_county` gives, or an archive.
    worlds, seed
        Of the simulation.
    progress_sd
        SD of the schools' true change a year under the truth ``progress``, in pupil SDs.
    peers
        unit and the columns of the schemes' peer groups.
    as_of, year_group, settings
        When an archive is given.

    Returns
    -------
    SchemeComparison
        ``.frame`` one line per truth and figure, with Monte-Carlo errors.

    Raises
    ------
    SettingsError
        As `propose_awards`.
    NotAssessableError
        ``award_not_simulated``: a measure that is not a yearly series in pupil SDs; ``award_too_few``.
    UsageError
        ``award_option``.

    Examples
    --------
    >>> import numpy as np
    >>> from eduq.resources import package_path
    >>> shipped = package_path("estimates", "awards")
    >>> n = np.tile(np.linspace(40, 300, 12)[:, None], (1, 4))
    >>> means = np.tile(np.linspace(-0.5, 0.5, 12)[:, None], (1, 4))
    >>> labels = tuple(f"S{number}" for number in range(12)), ("2021", "2022", "2023", "2024")
    >>> county = AwardCounty(*labels, means, 0.7 / n, n, 0.01, "declared", np.full(12, np.nan), "G9", "composite_z", "composite")
    >>> found = compare_award_schemes(shipped / "balanced.toml", shipped / "last-year.toml", county, worlds=50)
    >>> found.frame["truth"].unique(maintain_order=True).to_list()
    ['none', 'level', 'progress']
    """
    first, second = _checked(scheme_a, as_of), _checked(scheme_b, as_of)
    if not isinstance(county, AwardCounty):
        county = collect_county(county, measure=first.measures[0].measure, year_group=year_group, as_of=as_of, settings=settings)
    return simulate_schemes(first, second, county, worlds=worlds, seed=seed, progress_sd=progress_sd, peers=peers)
