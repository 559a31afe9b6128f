"""The same candidate twice: identical rows are kept once, different ones are all rejected, files that overlap stop the run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from eduq.errors import DataFileError, Place
from eduq.intake.checks import CheckList
from eduq.intake.parts import Part
from eduq.intake.rows import RejectList

__all__ = ["drop_duplicates", "qualify_repeated", "refuse_overlaps"]

_OVERLAP_SHARE = 0.2
_PLACE = ("source_file", "source_sheet", "row_no")


def qualify_repeated(parts: Sequence[Part], kind: str, checks: CheckList) -> None:
    """Put the school before an exam number that every school counts from one; listed, because it is an assumption.

    Done when more than a fifth of the numbers stand in several schools and none stands twice in one.
    """
    number = pl.concat([part.frame.get_column(kind).hash(seed=0) for part in parts])
    n = number.n_unique()
    if n > (1 - _OVERLAP_SHARE) * len(number):
        return
    pairs = pl.concat([part.frame.select("school_id", kind) for part in parts])
    if pairs.is_duplicated().any():
        return
    for part in parts:
        for name in ("frame", "spoilt"):
            frame: pl.DataFrame = getattr(part, name)
            setattr(part, name, frame.with_columns(pl.concat_str("school_id", kind, separator=":").alias(kind)))
    checks.add("exam_no_by_school", "warning", column=kind, n=len(number) - n)


def refuse_overlaps(parts: Sequence[Part]) -> None:
    """Stop when two sheets hold much the same candidates but different papers.

    Raises
    ------
    DataFileError
        ``files_overlap``.
    """
    ids = pl.concat([part.frame.get_column("candidate_id").hash(seed=0) for part in parts])
    if len(parts) < 2 or ids.n_unique() == len(ids):
        return
    for place, one in enumerate(parts):
        for other in parts[place + 1 :]:
            if set(one.papers) == set(other.papers) or not one.frame.height or not other.frame.height:
                continue
            shared = one.frame.get_column("candidate_id").is_in(other.frame.get_column("candidate_id").implode()).sum()
            if shared > _OVERLAP_SHARE * min(one.frame.height, other.frame.height):
                raise DataFileError(
                    "files_overlap",
                    Place(one.file, one.sheet),
                    other=other.file if other.sheet is None else f"{other.file} / {other.sheet}",
                    n=int(shared),
                )


def drop_duplicates(frame: pl.DataFrame, spoilt: pl.Series, rejects: RejectList) -> pl.DataFrame:
    """Keep one of identical rows of a candidate and none of rows that differ.

    Parameters
    ----------
    frame
        All rows that are still used.
    spoilt
        Ids of candidates of whom another row was rejected for a score that is none.
    rejects
        Gets the rejected rows.
    """
    ids = frame.get_column("candidate_id")
    hashes = ids.hash(seed=0)
    contradicted = ids.is_in(spoilt.implode()) if len(spoilt) else pl.repeat(False, len(ids), eager=True)
    if not contradicted.any() and hashes.n_unique() == frame.height:
        return frame
    places = (hashes.is_duplicated() | contradicted).arg_true()
    content = [name for name in frame.columns if name not in _PLACE]
    rows = frame[places].select(
        *_PLACE,
        place=pl.lit(places),
        contradicted=pl.lit(contradicted.gather(places)),
        first=pl.int_range(pl.len()).over("candidate_id") == 0,
        same=pl.struct(content).hash(seed=0).n_unique().over("candidate_id") == 1,
    )
    conflict = pl.col("contradicted") | ~pl.col("same")
    gone = rows.filter(conflict | ~pl.col("first")).with_columns(conflict=conflict)
    _reject(gone.filter("conflict"), "duplicate_conflict", rejects)
    _reject(gone.filter(~pl.col("conflict")), "duplicate_identical", rejects)
    kept = np.ones(frame.height, dtype=bool)
    kept[gone.get_column("place").to_numpy()] = False
    return frame.filter(pl.Series(kept))


def _reject(rows: pl.DataFrame, code: str, rejects: RejectList) -> None:
    for (file, sheet), group in rows.group_by(["source_file", "source_sheet"], maintain_order=True):
        rejects.add(str(file), None if sheet is None else str(sheet), group.get_column("row_no"), code)
