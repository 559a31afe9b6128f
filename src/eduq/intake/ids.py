"""Ids as people and spreadsheets leave them: made alike where that is certain, found out where digits are lost."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from eduq.errors import DataFileError, Place
from eduq.intake.checks import CheckList
from eduq.intake.columns import ID_FIELDS
from eduq.intake.parts import Part

__all__ = ["DAMAGED", "examine_ids", "refuse_lost_zeros"]

DAMAGED = r"(?:^|:)\s*\d(?:\.\d+)?[eE]\+\d+\s*$"
"""An id in scientific notation: digits are lost."""
_PLAIN = r"^[0-9A-Za-z_-]*$"
_LONG, _CUT = r"^\d{17,}$", r"^\d{15}0{2,}$"
_FEWEST = 3


_FEW_IDS = 5
_HARDLY, _NEARLY = 0.2, 0.8


def examine_ids(parts: Sequence[Part], checks: CheckList) -> None:
    """Make ids alike and look for lost digits.

    Full-width characters, spaces, invisible characters, a leading apostrophe and a trailing ``.0`` do not tell candidates
    apart. Where (nearly) all ids of 17 digits and more end in zeros after the fifteenth, a spreadsheet has cut them: they are
    put into scientific notation, which `eduq.intake.identity.add_identity` rejects. Ids that may have lost leading zeros are
    listed and not changed.
    """
    for part in parts:
        for kind in ID_FIELDS:
            if kind in part.frame.columns:
                _tidy(part, kind, checks)
                _cut(part, kind)
                _zeros(part, kind, checks)


def tidied(text: pl.Series) -> pl.Series:
    """Return ids without what does not belong to them."""
    return (
        text.str.normalize("NFKC")
        .str.replace(r'^="(.*)"$', "$1")
        .str.replace_all(r"[\s\p{Cf}]", "")
        .str.strip_chars_start("'`\u2018\u2019")
        .str.replace(r"^(\d+)\.0+$", "$1")
    )


def _tidy(part: Part, kind: str, checks: CheckList) -> None:
    for name in ("frame", "spoilt"):
        frame: pl.DataFrame = getattr(part, name)
        if kind not in frame.columns:
            continue
        text = frame.get_column(kind)
        if text.str.contains(_PLAIN).fill_null(True).all():
            continue
        plain = tidied(text)
        n = int((plain != text).sum())
        if n and name == "frame":
            checks.add("ids_tidied", "info", file=part.file, sheet=part.sheet, column=kind, found=kind, n=n)
        setattr(part, name, frame.with_columns(plain.alias(kind)))


def _cut(part: Part, kind: str) -> None:
    text = part.frame.get_column(kind)
    long, cut = int(text.str.contains(_LONG).sum()), text.str.contains(_CUT).fill_null(False)
    if long < _FEWEST or int(cut.sum()) < 0.9 * long:
        return
    spoilt = text.filter(cut).cast(pl.Float64).to_list()
    marks = pl.Series([f"{value:.5E}" for value in spoilt], dtype=pl.String)
    part.frame = part.frame.with_columns(text.scatter(cut.arg_true(), marks).alias(kind))


def _zeros(part: Part, kind: str, checks: CheckList) -> None:
    """List ids shorter than all others, where all others begin with a zero."""
    text = part.frame.get_column(kind).drop_nulls()
    text = text.filter(text.str.contains(r"^\d+$"))
    lengths = text.str.len_bytes()
    longest = lengths.max()
    if not len(text) or lengths.min() == longest:
        return
    whole, short = text.filter(lengths == longest), text.filter(lengths < longest)
    if len(whole) >= _FEWEST and whole.str.starts_with("0").all() and not short.str.starts_with("0").any():
        checks.add("ids_lost_zeros", "warning", file=part.file, sheet=part.sheet, column=kind, found=kind, n=len(short))


def refuse_lost_zeros(parts: Sequence[Part]) -> None:
    """Stop where two sheets of different papers share hardly an id, but nearly all of them without their leading zeros.

    Raises
    ------
    DataFileError
        ``ids_lost_zeros``.
    """
    ids = [part.frame.get_column("candidate_id").drop_nulls().unique() for part in parts]
    bare = [series.str.strip_chars_start("0").unique() for series in ids]
    for one in range(len(parts)):
        for other in range(one):
            fewest = min(len(ids[one]), len(ids[other]))
            if fewest < _FEW_IDS or set(parts[one].papers) & set(parts[other].papers):
                continue
            shared = int(ids[one].is_in(ids[other].implode()).sum())
            shared_bare = int(bare[one].is_in(bare[other].implode()).sum())
            if shared < _HARDLY * fewest and shared_bare > _NEARLY * fewest:
                place = Place(parts[one].file, parts[one].sheet)
                raise DataFileError("ids_lost_zeros", place, other=parts[other].file, n=shared_bare)
