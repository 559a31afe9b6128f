"""Who was head of a school, and whether through the whole of a span of time."""

from __future__ import annotations

import datetime as dt

import polars as pl

from eduq.registers.files import RegisterFile
from eduq.registers.lineage import follow_events
from eduq.registers.model import Registers

__all__ = ["check_tenures", "heads_in_post", "school_year_start"]

_DAY = dt.timedelta(days=1)


def school_year_start(school_year: str) -> dt.date:
    """Return the first day of a school year, 1 September.

    Examples
    --------
    >>> school_year_start("2024-2025")
    datetime.date(2024, 9, 1)
    """
    return dt.date(int(school_year[:4]), 9, 1)


def check_tenures(heads: pl.DataFrame, file: RegisterFile) -> None:
    """Refuse two entries of one school that share a day; `heads` are in the order of the file's rows.

    Raises
    ------
    SettingsError
        ``register_tenures_overlap`` at the later entry.
    """
    last: dict[str, dt.date | None] = {}
    for entry in heads.with_row_index("row").sort("school_id", "from", "row").iter_rows(named=True):
        school = entry["school_id"]
        if school in last:
            until = last[school]
            if until is None or entry["from"] <= until:
                file.refuse("register_tenures_overlap", entry["row"], "from", school=school, first=entry["from"])
        last[school] = entry["to"]


def heads_in_post(registers: Registers, school_id: str, first: dt.date, last: dt.date) -> str | None:
    """Return the head who held the post of a school on every day of a span, or None.

    For a ladder the span of a counted school year runs from 1 September (`school_year_start`) to the day of its exam, so the
    span of several years runs from 1 September of the first to the exam of the last; a head who came during a counted year
    has not held the post in all of it. A school that was renamed to another id keeps its heads.

    Parameters
    ----------
    registers
        From `eduq.registers.read_registers`.
    school_id
        The school, under any id it has had.
    first, last
        First and last day, both counted.

    Examples
    --------
    >>> import datetime as dt
    >>> from eduq.registers import read_registers
    >>> from eduq.resources import sample_data_path
    >>> registers = read_registers(sample_data_path() / "registers")
    >>> heads_in_post(registers, "S002", dt.date(2021, 9, 1), dt.date(2024, 6, 20))
    'H0003'
    >>> heads_in_post(registers, "S002", dt.date(2021, 8, 31), dt.date(2024, 6, 20)) is None
    True
    """
    if registers.heads is None or last < first:
        return None
    lineage = follow_events(registers, dt.date.max)  # a later rename too: the caller may know the school by its newest id
    unit = lineage.unit(school_id)
    same = [school for school in registers.heads["school_id"].unique() if lineage.unit(school) == unit]
    needed = first
    holder: str | None = None
    for entry in registers.heads.filter(pl.col("school_id").is_in(same)).sort("from").iter_rows(named=True):
        until: dt.date = entry["to"] or dt.date.max
        if until < needed:
            continue
        if entry["from"] > needed or (holder is not None and entry["head_id"] != holder):
            return None
        holder = entry["head_id"]
        if until >= last:
            return holder
        needed = until + _DAY
    return None
