"""False sanctions of a rule pack in a county in which nothing changed, and its power to find a true decline."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence

import polars as pl

from eduq.errors import NotAssessableError, UsageError
from eduq.estimates.exam_source import ExamSource
from eduq.rulepacks.model import RulePack
from eduq.rulepacks.reading import load_rulepack
from eduq.rulepacks.simulation.engine import Progress, run_worlds
from eduq.rulepacks.simulation.frames import NOT_SIMULATED, build_frames
from eduq.rulepacks.simulation.gathering import plan_stress
from eduq.rulepacks.simulation.plans import StressPlan
from eduq.rulepacks.simulation.results import StressResult
from eduq.settings import RunSettings

__all__ = ["DECLINES", "EVIDENCE_WORLDS", "SEED", "WORLDS", "YEARS_AHEAD", "stress"]

WORLDS = 10_000
EVIDENCE_WORLDS = 2_000
SEED = 20240901
DECLINES = (-0.1, -0.2, -0.3)
YEARS_AHEAD = 4
_MAX_YEARS_AHEAD = 12


def stress(
    pack: RulePack | str | os.PathLike[str],
    archive: ExamSource,
    *,
    as_of: dt.date,
    rules: Sequence[str] | None = None,
    worlds: int = WORLDS,
    evidence_worlds: int = EVIDENCE_WORLDS,
    seed: int = SEED,
    declines: Sequence[float] = DECLINES,
    years_ahead: int = YEARS_AHEAD,
    shocks: tuple[float, float] | None = None,
    workers: int = 1,
    settings: RunSettings | None = None,
    progress: Progress | None = None,
) -> StressResult:
    """Simulate a rule pack on a county's own schools, sizes, years and holes, before it is used.

    In every world nothing changes but chance: y_st = θ_s + u_st + e_st, with true levels θ_s whose spread is that of the true
    levels, a cohort shock u of SD ω and correlation ρ from year to year, (ω, ρ) drawn from their likelihood in the county's
    own series, and pupils' chance e of variance σ²_s/n_st. The very rules are applied by the functions that ``judge`` uses, under
    both readings, and the evidence is graded as ``detect_declines`` grades it. Then one unit in turn is made to fall.

    Parameters
    ----------
    pack
        A loaded pack, or the name or folder of one; what the bureau states of it is taken from the registers.
    archive
        An archive (pinned to a version), or `eduq.estimates.series.sources_from_scores`.
    as_of
        The day: rules in force, exams dated by then.
    rules
        Ids of the rules wanted; all that can be simulated when left out.
    worlds
        Worlds in which the literal clause is taken; the Monte-Carlo error of a chance p is √(p(1−p)/worlds).
    evidence_worlds
        How many of them are graded, which costs most of the time; power is measured in every chunk's first half of these.
    seed
        Of all random numbers. The same seed gives the same result, for any number of workers.
    declines
        Stated declines, pupil SDs a year, below 0; each is placed at the unit of the lowest level, of the median level, and
        with most candidates.
    years_ahead
        Years simulated after the newest of the archive, with its sizes and posts, for the ladder's memory.
    shocks
        A stated (ω, ρ) instead of the county's own likelihood.
    workers
        Threads.
    settings
        Run settings of the series.
    progress
        Called with stage, done and total.

    Returns
    -------
    StressResult
        ``.frame`` (false proposals a year), ``.years``, ``.ladder``, ``.per_school``, ``.power``, ``.edits``, ``.county`` and
        ``.not_simulated``, all with Monte-Carlo errors.

    Raises
    ------
    UsageError
        ``stress_option``: a number out of its range; ``rule_unknown``: no rule of that id in the pack.
    NotAssessableError
        ``stress_nothing``: no rule of the pack can be simulated; ``judge_no_exams``.
    SettingsError
        What `load_rulepack` gives.

    References
    ----------
    Morris, T. P., White, I. R. & Crowther, M. J. (2019). Using simulation studies to evaluate statistical methods. Statistics
    in Medicine 38, 2074–2102.

    Examples
    --------
    >>> import datetime as dt
    >>> import eduq as eq
    >>> from eduq.estimates.series import sources_from_scores
    >>> from eduq.registers import read_registers
    >>> from eduq.resources import sample_data_path
    >>> sample = sample_data_path()
    >>> exams = [eq.read_scores(sample / f"{year}-2-g9-final") for year in (2023, 2024, 2025)]
    >>> source = sources_from_scores(exams, read_registers(sample / "registers"))
    >>> found = stress("ezhou", source, as_of=dt.date(2026, 8, 31), rules=["ezhou.head.yellow"], worlds=200, evidence_worlds=20)
    >>> found.frame.filter(gate="literal")["cards_per_year"].sort().round(0).to_list()
    [0.0, 6.0]
    """
    _check(worlds=worlds, evidence_worlds=evidence_worlds, declines=declines, years_ahead=years_ahead, shocks=shocks)
    registers = archive.registers()
    statements = registers.packs if registers is not None else {}
    loaded = pack if isinstance(pack, RulePack) else load_rulepack(pack, as_of=as_of, statements=statements)
    plan, skipped = plan_stress(
        loaded,
        archive,
        as_of=as_of,
        rules=rules,
        declines=declines,
        years_ahead=years_ahead,
        seed=seed,
        shocks=shocks,
        settings=settings,
    )
    if not plan.blocks:
        reasons = ", ".join(f"{line['rule_id']}: {line['reason']}" for line in skipped)
        raise NotAssessableError("stress_nothing", pack=loaded.id, reasons=reasons)
    graded = min(evidence_worlds, worlds)
    tally = run_worlds(plan, worlds=worlds, evidence_worlds=graded, workers=workers, progress=progress)
    return StressResult(
        **build_frames(plan, tally),
        not_simulated=pl.DataFrame(skipped, schema=NOT_SIMULATED, orient="row"),
        pack=loaded,
        settings={
            "pack": loaded.id,
            "pack_version": loaded.version,
            "as_of": as_of,
            "archive_version": getattr(archive, "version", None),
            "rules": None if rules is None else sorted(rules),
            "worlds": worlds,
            "evidence_worlds": graded,
            "seed": seed,
            "declines": [float(decline) for decline in declines],
            "years_ahead": years_ahead,
            "shocks": None if shocks is None else list(shocks),
            "reference": _reference(plan),
        },
    )


def _check(
    *, worlds: int, evidence_worlds: int, declines: Sequence[float], years_ahead: int, shocks: tuple[float, float] | None
) -> None:
    """Refuse numbers out of their range."""
    if worlds < 2 or evidence_worlds < 0:
        raise UsageError("stress_option", option="worlds", found=min(worlds, evidence_worlds), expected="≥ 2")
    if not 0 <= years_ahead <= _MAX_YEARS_AHEAD:
        raise UsageError("stress_option", option="years_ahead", found=years_ahead, expected=f"0 … {_MAX_YEARS_AHEAD}")
    for decline in declines:
        if not -2.0 <= decline < 0.0:
            raise UsageError("stress_option", option="declines", found=decline, expected="−2 … 0")
    if shocks is not None and not (0.0 <= shocks[0] <= 2.0 and 0.0 <= shocks[1] < 1.0):
        raise UsageError("stress_option", option="shocks", found=shocks, expected="0 ≤ ω ≤ 2, 0 ≤ ρ < 1")


def _reference(plan: StressPlan) -> dict[str, object] | None:
    """Say on which unit and decline the edits' power is measured."""
    if plan.reference is None:
        return None
    number, place = plan.reference
    scenario = plan.blocks[number].scenarios[place]
    return {"decline": scenario.decline, "placed": scenario.placed, "unit": plan.blocks[number].family.units[scenario.unit]}
