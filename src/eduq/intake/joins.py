"""Rows of one candidate in several sheets or files: a total file and one per subject, 总表 beside 物理类.

What they say of the same thing must agree; what only one of them says is taken from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from eduq.errors import DataFileError, Place
from eduq.intake.checks import CheckList
from eduq.intake.columns import TOTAL
from eduq.intake.exam_file import ExamFile
from eduq.intake.identity import NAME_ID
from eduq.intake.parts import Part
from eduq.intake.rows import RejectList
from eduq.tables import SUBGROUP_PREFIX, status_column

__all__ = ["ITEMS_MARK", "Joined", "compare_totals", "join_candidates", "told_by"]

_OVERLAP_SHARE = 0.2
_FEWEST_CONFLICTS = 10
_PLACE = ("source_file", "source_sheet", "row_no", "_part")
ITEMS_MARK = "_items_"
"""Start of the columns that stand for the item cells of a row, one per paper."""


@dataclass
class Joined:
    """One row per candidate, and how many rows of each file went into another row.

    Attributes
    ----------
    frame
        The rows.
    merged
        source_file, source_sheet, row_no of rows whose content stands in another row now.
    """

    frame: pl.DataFrame
    merged: pl.DataFrame = field(
        default_factory=lambda: pl.DataFrame(
            schema={"source_file": pl.String(), "source_sheet": pl.String(), "row_no": pl.Int64()}
        )
    )


def join_candidates(
    frame: pl.DataFrame, told: Mapping[str, Sequence[int]], spoilt: pl.Series, rejects: RejectList, checks: CheckList
) -> Joined:
    """Make one row of the rows of a candidate.

    Rows that say nothing new are left out, rows that contradict each other are all left out.

    Parameters
    ----------
    frame
        All rows that are still used; ``_part`` is the number of their sheet.
    told
        Column to the numbers of the sheets that speak of it: a sheet without it contradicts nothing.
    spoilt
        Ids of candidates of whom another row was rejected for a score that is none.
    rejects, checks
        Get rows that are not used; that rows were joined.

    Raises
    ------
    DataFileError
        ``files_overlap``: two sheets say different things of many candidates.
    """
    ids = frame.get_column("candidate_id")
    hashes = ids.hash(seed=0)
    contradicted = ids.is_in(spoilt.implode()) if len(spoilt) else pl.repeat(False, len(ids), eager=True)
    if not contradicted.any() and hashes.n_unique() == frame.height:
        return Joined(frame)
    twice = hashes.is_duplicated() | contradicted
    rows = frame.filter(twice)
    said = _said(rows, told)
    things = [name for name in said.columns if name not in ("candidate_id", "_part")]
    differ = said.group_by("candidate_id", maintain_order=True).agg(pl.col(things).drop_nulls().n_unique() > 1)
    differ = differ.filter(pl.any_horizontal(things))
    _refuse_contradictions(frame, rows, differ, things)
    bad = rows.get_column("candidate_id").is_in(differ.get_column("candidate_id").implode()) | contradicted.filter(twice)
    named = rows.get_column("candidate_id").str.contains(NAME_ID)
    _reject(rows.filter(bad & ~named), "duplicate_conflict", rejects)
    _reject(rows.filter(bad & named), "twins_by_name", rejects)
    rows = rows.filter(~bad)
    first, new = _news(rows, told)
    _reject(rows.filter(~new & ~first), "duplicate_identical", rejects)
    merged = rows.filter(new & ~first)
    if not merged.height:
        kept = np.ones(frame.height, dtype=bool)
        kept[twice.arg_true().to_numpy()] = ~bad.to_numpy()
        kept[np.flatnonzero(kept & twice.to_numpy())] = first.to_numpy()
        return Joined(frame.filter(pl.Series(kept)))
    files = merged.get_column("source_file").n_unique()
    checks.add("rows_joined", "info", found=str(files), n=merged.get_column("candidate_id").n_unique())
    others = [name for name in rows.columns if name not in (*_PLACE, "candidate_id")]
    one = rows.group_by("candidate_id", maintain_order=True).agg(
        *(pl.col(name).first() for name in _PLACE), *(pl.col(name).drop_nulls().first() for name in others)
    )
    whole = pl.concat([frame.filter(~twice), one.select(frame.columns)]).sort("_part", "row_no", maintain_order=True)
    return Joined(whole, merged.select("source_file", "source_sheet", "row_no"))


def _said(rows: pl.DataFrame, told: Mapping[str, Sequence[int]]) -> pl.DataFrame:
    """Return what rows say, one column per thing, null where their sheet does not speak of it."""
    columns = []
    for name, parts in told.items():
        cells = [pl.col(one) for one in (name, status_column(name)) if one in rows.columns]
        if cells:
            columns.append(pl.when(pl.col("_part").is_in(list(parts))).then(pl.struct(cells).hash(seed=0)).alias(name))
    return rows.select("candidate_id", "_part", *columns)


def _news(rows: pl.DataFrame, told: Mapping[str, Sequence[int]]) -> tuple[pl.Series, pl.Series]:
    """Return which rows are the first of their candidate, and which are the first to say something."""
    filled = []
    for name in told:
        status = status_column(name)
        column = status if status in rows.columns else name
        if column in rows.columns:
            text = rows.schema[column] == pl.String
            filled.append(((pl.col(column) != "") if text else pl.col(column).is_not_null()).fill_null(False).alias(name))
    have = rows.select("candidate_id", *filled)
    names = [name for name in have.columns if name != "candidate_id"]
    new = have.select(pl.any_horizontal(pl.col(name) & (pl.col(name).cum_sum().over("candidate_id") == 1) for name in names))
    first = have.select(pl.int_range(pl.len()).over("candidate_id") == 0)
    return first.to_series().alias("first"), new.to_series().alias("new")


def _refuse_contradictions(frame: pl.DataFrame, rows: pl.DataFrame, differ: pl.DataFrame, things: Sequence[str]) -> None:
    """Stop when a sheet contradicts another in more than a fifth of its rows: it is another version, or another exam."""
    if differ.height < _FEWEST_CONFLICTS:
        return
    across = rows.join(differ.select("candidate_id"), on="candidate_id", how="semi", maintain_order="left")
    across = across.filter(pl.col("_part").n_unique().over("candidate_id") > 1)
    sizes = dict(frame.group_by("_part").len().iter_rows())
    heads = across.group_by("_part", maintain_order=True).agg(pl.len().alias("n"), pl.col("source_file", "source_sheet").first())
    worst = [line for line in heads.iter_rows(named=True) if line["n"] > _OVERLAP_SHARE * sizes[line["_part"]]]
    if len(worst) < 2 or worst[0]["n"] < _FEWEST_CONFLICTS:
        return
    one, other = worst[:2]
    columns = ", ".join(name for name in things if differ.get_column(name).any() and not name.startswith("_"))
    raise DataFileError(
        "files_overlap",
        Place(one["source_file"], one["source_sheet"]),
        other=" / ".join(text for text in (other["source_file"], other["source_sheet"]) if text),
        n=across.get_column("candidate_id").n_unique(),
        columns=columns or "-",
    )


def _reject(rows: pl.DataFrame, code: str, rejects: RejectList) -> None:
    for (file, sheet), group in rows.group_by(["source_file", "source_sheet"], maintain_order=True):
        rejects.add(str(file), None if sheet is None else str(sheet), group.get_column("row_no"), code)


_TOLD_AS = {
    "class_id": ("admin_class",),
    "sex": ("gender",),
    "year_group": ("grade",),
    "school_id": ("school", "school_code"),
    "track": ("track", "combination"),
    "combination": ("combination",),
}
"""Columns of the ScoreTable and the fields of files that they are told by."""


def told_by(parts: Sequence[Part], exam: ExamFile) -> dict[str, list[int]]:
    """Return which sheets speak of which columns."""
    stable = exam.exam.stable_id or "student_uid"
    told: dict[str, list[int]] = {}
    for place, part in enumerate(parts):
        names = [name for name, fields in {**_TOLD_AS, "person_id": (stable,)}.items() if part.speaks_of & set(fields)]
        names += part.papers
        own = (SUBGROUP_PREFIX, ITEMS_MARK)
        names += [name for name in part.frame.columns if name.startswith(own)]
        names += [name for code in part.papers for name in (f"{code}_scaled", f"{code}_class") if name in part.frame.columns]
        for name in dict.fromkeys(names):
            told.setdefault(name, []).append(place)
    return told


def compare_totals(frame: pl.DataFrame, codes: set[str], header: str, checks: CheckList) -> pl.DataFrame:
    """Compare totals of one file with the papers of others, then drop them.

    Raises
    ------
    DataFileError
        ``total_only_file``: a candidate has a total and no paper.
    """
    papers = sorted(codes - {TOTAL})
    bare = frame.filter(pl.all_horizontal(pl.col(status_column(code)).is_null() for code in papers))
    if bare.height:
        line = bare.row(0, named=True)
        raise DataFileError("total_only_file", Place(line["source_file"], line["source_sheet"]))
    scaled = [pl.coalesce(one for one in (f"{code}_scaled", code) if one in frame.columns) for code in papers]
    sums = frame.select(
        stated=TOTAL,
        raw=pl.sum_horizontal(pl.col(papers).fill_null(0)),
        scaled=pl.sum_horizontal(one.fill_null(0) for one in scaled),
    )
    known = sums.filter(pl.col("stated").is_not_null())
    wrong = known.filter((pl.col("stated") != pl.col("raw")) & (pl.col("stated") != pl.col("scaled"))).height
    code, level = ("total_differs", "warning") if wrong else ("total_agrees", "info")
    checks.add(code, level, column=header, found=header, n=wrong or known.height)  # type: ignore[arg-type]
    return frame.drop(
        [name for name in (TOTAL, status_column(TOTAL), f"{TOTAL}_scaled", f"{TOTAL}_class") if name in frame.columns]
    )
