"""The sheet of tables.xlsx that holds every target of the register."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from eduq.bulletins.formats import say
from eduq.bulletins.target_section import target_measure, target_reason, target_unit
from eduq.locale import has_text, text

if TYPE_CHECKING:
    from eduq.bulletins.workbook import SheetWriter

__all__ = ["add_target_sheet"]


def _reason(writer: SheetWriter, state: str, code: str | None) -> str | None:
    """Return why there is no number; of a refused target document and article."""
    from eduq.rulepacks.refusals import said_of

    if code is None:
        return None
    if state == "refused":
        return writer.word("targets.cited", **said_of(code))
    return say(target_reason(writer.view, code), writer.view.lang)


def add_target_sheet(writer: SheetWriter) -> None:
    """Add the sheet; none without a register of targets."""
    review = writer.view.pub.targets
    if review is None:
        return
    view, frame = writer.view, review.frame
    rows = list(frame.iter_rows(named=True))
    yes_no = {True: writer.word("targets.yes"), False: writer.word("targets.no")}
    shown = frame.with_columns(
        pl.Series("unit_name", [say(target_unit(view, item), view.lang) for item in rows], dtype=pl.String),
        pl.Series("measure_name", [say(target_measure(view, item), view.lang) for item in rows], dtype=pl.String),
        pl.Series("reason", [_reason(writer, item["state"], item["reason"]) for item in rows], dtype=pl.String),
        pl.Series(
            "year_group",
            [text(f"bulletin.year_group.{code}", view.lang) if has_text(f"bulletin.year_group.{code}") else None
             for code in frame["year_group"]],
            dtype=pl.String,
        ),
        pl.col("state").replace_strict({name: writer.word(f"targets.state.{name}") for name in frame["state"].unique()},
                                       return_dtype=pl.String),
        pl.col("direction").replace_strict({name: writer.word(f"targets.way_{name}") for name in ("up", "down")},
                                           default=None, return_dtype=pl.String),
        pl.col("overdue").replace_strict(yes_no, default=None, return_dtype=pl.String),
        pl.col("due", "date").cast(pl.String),
    )  # fmt: skip
    columns = [
        writer.words("target_id", writer.word("targets.target_id"), 10),
        writer.words("unit_name", writer.word("targets.unit"), 20),
        writer.words("measure_name", writer.word("targets.measure"), 18),
        writer.words("year_group", text("bulletin.fact.year_group", view.lang), 10),
        writer.words("comparison_group", writer.word("workbook.group"), 24),
        writer.words("exam_id", writer.word("targets.exam"), 22),
        writer.words("date", writer.word("targets.date"), 12),
        writer.number("n", writer.word("workbook.n"), "count", 8),
        *(writer.number(name, writer.word(f"targets.{key}"), "number4") for name, key in (
            ("baseline", "baseline"), ("target", "target"), ("estimate", "value"), ("std_error", "std_error"),
            ("ci_lower", "lower"), ("ci_upper", "upper"))),
        writer.number("completion", writer.word("targets.completion"), "rate"),
        writer.words("direction", writer.word("targets.direction"), 10),
        writer.words("due", writer.word("targets.due"), 12),
        writer.words("overdue", writer.word("targets.overdue"), 10),
        writer.words("state", writer.word("targets.state_head"), 14),
        writer.words("reason", writer.word("targets.reason_head"), 40),
        writer.words("signer", writer.word("targets.signer"), 12),
    ]  # fmt: skip
    writer.add(writer.word("sheet.targets"), shown, columns, fixed=3)
