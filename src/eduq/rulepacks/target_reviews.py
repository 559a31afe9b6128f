"""The public review of targets: the national texts are asked before a value is looked up."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from eduq.errors import Place, SettingsError, UsageError
from eduq.estimates.exam_source import ExamSource
from eduq.estimates.measures import Measure, load_measures
from eduq.estimates.targets.proposals import forecast_targets
from eduq.estimates.targets.results import TargetProposals, TargetReview
from eduq.estimates.targets.reviews import review_rows
from eduq.estimates.targets.values import MEASURED_UNITS, ExamValues, measure_targets, newest_exams
from eduq.registers import OUTSIDE_MEASURES, PROMOTION_MEASURES, Registers
from eduq.rulepacks.refusals import refused_targets, said_of
from eduq.settings import RunSettings

__all__ = ["propose_targets", "refuse_targets", "review_targets", "values_from_source"]


def refuse_targets(targets: pl.DataFrame, *, as_of: dt.date | None) -> None:
    """Stop at a register with a target that the national texts bar.

    Raises
    ------
    SettingsError
        ``target_barred``: names target, document and article.
    """
    barred = refused_targets(targets, as_of=as_of)
    if barred:
        first = sorted(barred)[0]
        place = Place(file="targets.csv")
        raise SettingsError(
            "target_barred", place, targets=", ".join(sorted(barred)), rule=barred[first], **said_of(barred[first])
        )


def _definitions(targets: pl.DataFrame, given: Mapping[str, Measure] | None) -> dict[str, Measure]:
    known = load_measures(None) | dict(given or {})
    named = [
        name
        for name in targets["measure"].unique().sort()
        if name not in known and name not in OUTSIDE_MEASURES and name not in PROMOTION_MEASURES
    ]
    extra = load_measures(names=named) if named else {}
    wanted = set(targets["measure"])
    return {name: measure for name, measure in (known | extra).items() if name in wanted}


def values_from_source(
    source: ExamSource,
    targets: pl.DataFrame,
    *,
    registers: Registers,
    as_of: dt.date,
    definitions: Mapping[str, Measure],
    settings: RunSettings,
    year_group: str | None = None,
) -> Callable[[Mapping[str, Any]], Sequence[ExamValues] | str]:
    """Return a look-up of a target's values: each exam is read once, and only when a target asks for it."""
    exams = source.exams()
    if year_group is not None:
        exams = exams.filter(pl.col("year_group") == year_group)
    unit_types = [name for name in MEASURED_UNITS if name in set(targets["unit_type"])]
    kept: dict[str, ExamValues] = {}

    def values(row: Mapping[str, Any]) -> Sequence[ExamValues] | str:
        chosen = newest_exams(exams, min(row["due"], as_of))
        for exam_id in chosen:
            if exam_id not in kept:
                kept[exam_id] = measure_targets(
                    source,
                    exam_id,
                    unit_types=unit_types,
                    definitions=definitions,
                    registers=registers,
                    as_of=as_of,
                    settings=settings,
                ).narrow(targets)
        return [kept[exam_id] for exam_id in chosen] or "no_exam_by_due"

    return values


def _from_values(given: Sequence[ExamValues], as_of: dt.date) -> Callable[[Mapping[str, Any]], Sequence[ExamValues] | str]:
    def values(row: Mapping[str, Any]) -> Sequence[ExamValues] | str:
        if any(exam.date is None for exam in given):
            return "exam_undated"
        chosen = [exam for exam in given if exam.date is not None and exam.date <= min(row["due"], as_of)]
        return chosen or "no_exam_by_due"

    return values


def review_targets(
    source: ExamSource | Sequence[ExamValues],
    *,
    as_of: dt.date,
    registers: Registers | None = None,
    measures: Mapping[str, Measure] | Path | None = None,
    settings: RunSettings | None = None,
) -> TargetReview:
    """Review the targets of a register: the newest value by the due day beside each, with its interval.

    A target is ``reached`` or ``not_reached`` where the whole interval lies on one side of it (lower is better for targets with
    the direction down), ``undecided`` while the interval holds it, ``not_assessable`` with the reason where there is no value.
    A 升学 target for a school or a person is ``refused``, with the rule that bars it: no value is looked up for it.

    Parameters
    ----------
    source
        An archive, or anything else that holds exams; or the estimates of exams already measured
        (`eduq.estimates.targets.values.ExamValues`).
    as_of
        Exams and events after this day are not known; a target is overdue after its due day.
    registers
        With the targets; those of the source when left out.
    measures
        Definitions of local measures, or the file that has them.
    settings
        Run settings; defaults when left out.

    Returns
    -------
    TargetReview
        ``.frame`` as `eduq.tables.TARGET_REVIEWS`: one line per target, year group and comparison group.

    Raises
    ------
    UsageError
        ``targets_missing``: there is no register of targets.

    Examples
    --------
    >>> import eduq as eq
    >>> from eduq.estimates.exam_source import sources_from_scores
    >>> from eduq.registers import read_registers
    >>> from eduq.resources import sample_data_path
    >>> sample = sample_data_path()
    >>> source = sources_from_scores([eq.read_scores(sample / "2025-2-g9-final")], read_registers(sample / "registers"))
    >>> found = review_targets(source, as_of=dt.date(2026, 8, 1))
    >>> found.frame.filter(target_id="T008")["state"].to_list()
    ['not_reached', 'undecided']
    """
    run = settings or RunSettings()
    given = None if isinstance(source, Sequence) else source
    known = registers if registers is not None or given is None else given.registers()
    if known is None or known.targets is None or known.targets.is_empty():
        raise UsageError("targets_missing")
    targets = known.targets
    local = load_measures(measures) if isinstance(measures, Path) else measures
    if given is None:
        values = _from_values([item for item in source if isinstance(item, ExamValues)], as_of)  # type: ignore[union-attr]
    else:
        definitions = _definitions(targets, local)
        values = values_from_source(given, targets, registers=known, as_of=as_of, definitions=definitions, settings=run)
    refused = refused_targets(targets, as_of=as_of)
    frame = review_rows(targets, values, refused=refused, as_of=as_of, min_n=run.min_n_reporting)
    version = getattr(given, "version", None)
    return TargetReview(frame=frame, settings={"as_of": as_of, "archive_version": version, "min_n": run.min_n_reporting})


def propose_targets(
    source: ExamSource,
    *,
    measure: str = "composite_z",
    subject: str | None = None,
    year_group: str | None = None,
    as_of: dt.date | None = None,
    horizon: int = 1,
    chance: float = 0.25,
    level: float = 0.80,
    direction: str | None = None,
    intake: bool = True,
    settings: RunSettings | None = None,
) -> TargetProposals:
    """Propose targets for schools from their own years and the intake of the cohort to come; see `forecast_targets`.

    Never for 升学 figures, and never an order of schools: the lines stand by school code.

    Parameters
    ----------
    source, measure, subject, year_group, as_of, horizon, chance, level, direction, intake, settings
        See `eduq.estimates.targets.proposals.forecast_targets`.

    Returns
    -------
    TargetProposals
        ``.frame`` one line per school, ``.model`` what was estimated, with its back-test.

    Raises
    ------
    SettingsError
        ``target_barred``: a 升学 figure; names document and article.
    UsageError, NotAssessableError
        As `forecast_targets`.

    Examples
    --------
    >>> from eduq.estimates.exam_source import sources_from_scores
    >>> propose_targets(sources_from_scores([]), measure="promotion_rate")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    eduq.errors.SettingsError: [target_barred] ...
    """
    asked = pl.DataFrame({"target_id": [measure], "unit_type": ["school"], "measure": [measure]})
    refuse_targets(asked, as_of=as_of)
    return forecast_targets(
        source,
        measure=measure,
        subject=subject,
        year_group=year_group,
        as_of=as_of,
        horizon=horizon,
        chance=chance,
        level=level,
        direction=direction,
        intake=intake,
        settings=settings,
    )
