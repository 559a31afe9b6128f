"""The result of judging: verdicts, and the numbers each of them was made from."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import polars.selectors as cs

from eduq.errors import UsageError
from eduq.rulepacks.model import RulePack
from eduq.tables import VERDICTS

if TYPE_CHECKING:
    from eduq.estimates.declines import DeclineResult

__all__ = ["CONDITIONS", "FACTS", "JUDGED", "KEY", "NOT_JUDGED", "JudgeResult"]

KEY = ("rule_id", "unit_type", "unit", "head_id", "teacher_id", "year_group", "subject", "target_id")
"""What tells one verdict from another; each comes under two readings."""

JUDGED: dict[str, pl.DataType] = {
    **VERDICTS,
    "unit_name": pl.String(),
    "school_id": pl.String(),
    "target_id": pl.String(),
    "family": pl.String(),
    "exam_id": pl.String(),
    "n": pl.Int64(),
    "n_periods": pl.Int64(),
    "slope": pl.Float64(),
    "slope_std_error": pl.Float64(),
    "p_value": pl.Float64(),
    "q_value": pl.Float64(),
    "min_detectable": pl.Float64(),
    "could_be_last": pl.Boolean(),
    "p_last": pl.Float64(),
    "exit_state": pl.String(),
    "barred_by": pl.String(),
}
"""Columns of verdicts: those of VERDICTS and, beside them, the unit's name and school, the target, the family of peers, the
judged year's exam and n, the evidence in numbers, ``exit_state`` (in_step, open, left) and the rule of a ban."""

FACTS: dict[str, pl.DataType] = {
    "rule_id": pl.String(),
    "unit_type": pl.String(),
    "unit": pl.String(),
    "year_group": pl.String(),
    "subject": pl.String(),
    "target_id": pl.String(),
    "measure": pl.String(),
    "period": pl.String(),
    "exam_id": pl.String(),
    "exam_date": pl.Date(),
    "comparison_group": pl.String(),
    "n_expected": pl.Int64(),
    "n": pl.Int64(),
    "estimate": pl.Float64(),
    "std_error": pl.Float64(),
    "change": pl.Float64(),
    "rank": pl.Int64(),
    "from_bottom": pl.Int64(),
    "n_units": pl.Int64(),
    "counted": pl.Boolean(),
    "held": pl.Boolean(),
    "read": pl.Boolean(),
    "reason": pl.String(),
    "target": pl.Float64(),
}
"""One line per verdict (both readings share them), measure and year. ``rank`` (1 highest) and ``from_bottom`` (1 lowest), ties
share, are taken in the peer group of ``n_units`` counted units; ``change`` is against the year before; ``read``: a condition
reads that year; ``reason``: why the year cannot be assessed."""

CONDITIONS: dict[str, pl.DataType] = {
    "rule_id": pl.String(),
    "unit_type": pl.String(),
    "unit": pl.String(),
    "year_group": pl.String(),
    "subject": pl.String(),
    "target_id": pl.String(),
    "condition": pl.Int64(),
    "kind": pl.String(),
    "clause_result": pl.Enum(("met", "not_met", "not_assessable")),
    "reason": pl.String(),
}
"""One line per verdict and condition, numbered from 0 in the order of the rule."""

NOT_JUDGED: dict[str, pl.DataType] = {"rule_id": pl.String(), "reason": pl.String()}
"""Rules that gave no verdict, with the reason (wording ``judge_reasons.<reason>``)."""

_DIGITS = 6
_ORDER = ("rule_id", "unit_type", "unit", "head_id", "teacher_id", "year_group", "subject", "target_id", "reading")


@dataclass(frozen=True)
class JudgeResult:
    """Verdicts of one rule pack as of a day.

    Attributes
    ----------
    frame
        `JUDGED`: two lines per verdict, narrow and wide reading; sorted.
    facts
        `FACTS`: the numbers behind them.
    conditions
        `CONDITIONS`: each condition's own result.
    left_out
        LEFT_OUT with ``unit_type``: exams that the series use and do not use.
    not_judged
        `NOT_JUDGED`: rules that gave no verdict.
    declines
        The decline estimator's results by family.
    pack
        The pack, with quotations and the values in force.
    settings
        pack, pack_version, as_of, archive_version and the rules asked for.
    """

    frame: pl.DataFrame
    facts: pl.DataFrame
    conditions: pl.DataFrame
    left_out: pl.DataFrame
    not_judged: pl.DataFrame
    declines: Mapping[str, DeclineResult]
    pack: RulePack
    settings: dict[str, Any]

    @property
    def proposals(self) -> pl.DataFrame:
        """The verdicts with a proposal."""
        return self.frame.filter(pl.col("proposal").is_not_null())

    def as_printed(self) -> pl.DataFrame:
        """Return the verdicts with numbers as they are printed, six digits, so that another machine prints the same."""
        return self.frame.with_columns(cs.float().round_sig_figs(_DIGITS))

    def summary(self) -> str:
        """Return one line: verdicts, proposals and how many could not be assessed."""
        once = self.frame.filter(pl.col("reading") == "narrow")
        open_ = once.filter(pl.col("clause_result") == "not_assessable").height
        wide = self.frame.filter(pl.col("only_wide") & (pl.col("reading") == "wide")).height
        return (
            f"{once.height} verdicts of {self.settings['pack']} as of {self.settings['as_of']}: "
            f"{self.proposals.height} proposals, "
            f"{wide} met under the wide reading only, {open_} not assessable; {self.not_judged.height} rules gave none"
        )

    def __repr__(self) -> str:
        """Say what there is without a row of it."""
        return f"JudgeResult({self.summary()})"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>{self.proposals._repr_html_()}"

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the verdicts as ``.parquet``, ``.csv`` or ``.json``, whole or not at all, and return the path.

        Raises
        ------
        UsageError
            ``format_unknown``: another suffix; ``output_unwritable``: the folder cannot be made or written to.
        """
        target = Path(path)
        if target.suffix not in (".parquet", ".csv", ".json"):
            raise UsageError("format_unknown", format=target.suffix, known=".parquet, .csv, .json")
        part = target.with_name(f".{target.name}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            match target.suffix:
                case ".parquet":
                    self.frame.write_parquet(part)
                case ".csv":
                    self.as_printed().write_csv(part, include_bom=True)
                case _:
                    part.write_text(self.to_json() + "\n", encoding="utf-8")
            return part.replace(target)
        except OSError as error:
            raise UsageError("output_unwritable", folder=str(target.parent), said=error.strerror or "") from None

    def to_json(self) -> str:
        """Return settings and verdicts as JSON (schema 1): the same verdicts, the same text."""
        import json

        def plain(value: object) -> object:
            return value.isoformat() if isinstance(value, dt.date) else value

        body = {
            "schema": "eduq-verdicts-1",
            "settings": {name: plain(value) for name, value in self.settings.items()},
            "verdicts": [{name: plain(value) for name, value in row.items()} for row in self.as_printed().iter_rows(named=True)],
            "not_judged": self.not_judged.to_dicts(),
            "exams": self.left_out.to_dicts(),
        }
        return json.dumps(body, ensure_ascii=False, indent=2)


def sort_verdicts(rows: list[dict[str, Any]], schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Return rows as a frame in the one order that verdicts, facts and conditions have."""
    frame = pl.DataFrame(rows, schema=dict(schema), orient="row") if rows else pl.DataFrame(schema=dict(schema))
    order = [name for name in (*_ORDER, "measure", "period", "condition") if name in schema]
    return frame.select(list(schema)).sort(order, nulls_last=False, maintain_order=True)
