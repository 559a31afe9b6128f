"""What a dry run says: questions, answers and columns in words."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from eduq.dry_run.report import CHECKED_COLUMNS
from eduq.errors import Place
from eduq.intake.checks import CheckList
from eduq.intake.questions import paper_name
from eduq.intake.synonyms import vocabulary
from eduq.locale import Lang, has_text, text

__all__ = ["Question", "describe_column", "list_columns", "list_sheets"]

_LONGEST = 24
_SETTLED = ("ignored_by_setting", "no_such_paper", "id_column_blank", "scaled_unread")


@dataclass(frozen=True)
class Question:
    """One question: where its answer goes, and what it is about; without ``must`` the analysis runs unanswered."""

    must: bool
    code: str
    section: str
    key: str
    place: Place = field(default_factory=Place)
    n: int | None = None
    near: str | None = None
    about: tuple[str, ...] = ()

    def row(self, lang: Lang) -> dict[str, object]:
        """Return it as a line of `QUESTIONS`."""
        papers = text("check.list", lang).join(subject_name(code, lang) for code in self.about)
        where = self.place.describe(lang)
        key = self.key if self.section not in ("symbols", "columns") or len(self.key) <= _LONGEST else self.key[:_LONGEST] + "…"
        said = {"key": key, "place": where, "n": self.n or 0, "near": self.near or "", "papers": papers}
        words = [text(f"check.fact.{key}", lang) for key in self.key.split(", ") if has_text(f"check.fact.{key}")]
        shown = said | {"key": text("check.list", lang).join(words) or key or text("questions.blank", lang)}
        question = text(f"check.ask.{self.code}", lang, **shown)
        answer = text(f"check.answer.{self.code}", lang, **said)
        spot = {name: getattr(self.place, name) for name in ("file", "sheet", "row", "column")}
        own = {name: getattr(self, name) for name in ("must", "code", "section", "key", "n", "near")}
        return own | spot | {"question": question, "answer": answer}


def list_sheets(checks: CheckList, lines: pl.DataFrame) -> pl.DataFrame:
    """Join the sheets that were read with the layouts that were recognised; item and other side sheets have no header rows."""
    place = ["file", "sheet"]
    named = lines.filter(pl.col("code") == "layout_recognised").select(*place, pl.col("found").alias("layout"))
    named = named.unique(place, keep="first", maintain_order=True)
    sheets = checks.sheets().unique(maintain_order=True)
    joined = sheets.join(named, on=place, how="left", nulls_equal=True, maintain_order="left")
    beside = named.join(sheets, on=place, how="anti", nulls_equal=True, maintain_order="left")
    return pl.concat([joined, beside], how="diagonal").select(*place, "layout", "header_from", "header_to", "rows")


def list_columns(checks: CheckList, lines: pl.DataFrame, stand_ins: set[str], lang: Lang) -> pl.DataFrame:
    """List the columns that are used and those that are dropped, in words."""
    rows: list[dict[str, object]] = []
    for row in checks.columns().unique(maintain_order=True).iter_rows(named=True):
        if row["became"] not in stand_ins:
            rows.append({**row, "code": None, "description": describe_column(row["became"], lang)})
    dropped = lines.filter(pl.col("code").str.starts_with("dropped_") | pl.col("code").is_in(_SETTLED))
    for row in dropped.filter(pl.col("column").is_not_null()).iter_rows(named=True):
        place = {name: row[name] for name in ("file", "sheet", "column", "code")}
        said = text(f"check.dropped.{row['code']}", lang) if has_text(f"check.dropped.{row['code']}") else row["code"]
        if row["code"] == "dropped_private" and any(
            one["file"] == row["file"] and one["sheet"] == row["sheet"] and one["column"] == row["column"] for one in rows
        ):
            continue
        rows.append({**place, "became": None, "description": said})
    return pl.DataFrame(rows, schema=CHECKED_COLUMNS)


def describe_column(became: str, lang: Lang) -> str:
    """Return in words what a column becomes."""
    words = vocabulary()
    for suffix in ("scaled", "class"):
        code = became.removesuffix(f"_{suffix}")
        if code != became and code in words.subjects:
            return text(f"check.became.{suffix}", lang, name=subject_name(code, lang))
    if has_text(f"check.became.{became}"):
        return text(f"check.became.{became}", lang)
    if became in words.subjects:
        return text("check.became.score", lang, name=subject_name(became, lang))
    if became in words.fields:
        name = words.raw["fields"][became]["zh"] if lang == "zh" else became
        return text("check.became.field", lang, name=name)
    return text("check.became.other", lang, name=became)


def subject_name(code: str, lang: Lang) -> str:
    key = f"bulletin.subject.{code}"
    return text(key, lang) if has_text(key) else paper_name(code, lang)
