"""What a product was made from as one hash, and the ledger of issued editions: what is new, and what was issued already."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

import eduq
from eduq.archive import Archive
from eduq.disclosure.products import Product
from eduq.manifest import content_hash
from eduq.pipeline.periods import Period, parse_period
from eduq.pipeline.product_facts import packs_in_force
from eduq.settings import RunSettings

__all__ = ["Issue", "ProductInputs", "find_inputs", "issued_before", "issues_of"]


@dataclass(frozen=True)
class Issue:
    """One issued document: what it was made from, when, from which archive version; ``entered`` is the version that has it."""

    period: str
    inputs: str
    document_no: str | None
    issued_on: dt.date
    based_on: int
    entered: int = 0


@dataclass(frozen=True)
class ProductInputs:
    """What a product is made from.

    Attributes
    ----------
    own
        Hash of everything but the ledger: exams, registers, decisions, settings, rule packs, templates, version of eduq.
    before
        The last issue of the product and edition that was made from other inputs, up to the period; what is new is told
        against it. None: never issued.
    issued
        The issue made from these inputs; None: not issued.
    beside
        Hash of what other editions that were issued show of the exams: it decides what must be withheld.
    mates
        Editions made before it in the same run, to which it is fitted.
    """

    own: str
    before: Issue | None
    issued: Issue | None
    beside: str = ""
    mates: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Hash of all of it, the issue before and the other editions included."""
        before = None if self.before is None else self.before.based_on
        mates = {"mates": list(self.mates)} if self.mates else {}
        return content_hash({"own": self.own, "before": before, "beside": self.beside} | mates)


def issues_of(archive: Archive, *, product: Product, edition: str, lang: str, unit: str | None) -> list[Issue]:
    """Return the issues of a product, edition, language and unit in the order they were entered."""
    lines = archive.issued().filter((pl.col("product") == product) & (pl.col("edition") == edition))
    found = []
    for line in lines.iter_rows(named=True):
        told = json.loads(line["content"] or "{}")
        if told.get("lang", lang) == lang and told.get("unit") == unit:
            based_on = line["archive_version"] - 1 if line["based_on"] is None else line["based_on"]
            named = (line["period"], told.get("inputs", ""), line["document_no"], line["issued_on"])
            found.append(Issue(*named, based_on, line["archive_version"]))
    return found


def issued_before(archive: Archive, version: int | None = None) -> list[str]:
    """Return ``content`` of the lines of the ledger, in the order they were entered; up to a version without that one."""
    lines = archive.issued()
    known = lines if version is None else lines.filter(pl.col("archive_version") < version)
    return known["content"].drop_nulls().to_list()


def _shown_beside(archive: Archive, edition: str, unit: str | None, day: dt.date) -> str:
    """Return a hash of what issued documents of other editions and for other units show of the exams up to a day."""
    exams = set(archive.exams().filter(pl.col("date") <= day)["exam_id"])
    lines = archive.issued().select("edition", pl.col("content").fill_null("{}")).iter_rows()
    told = [(found, json.loads(content)) for found, content in lines]
    others = [said for found, said in told if (found, said.get("unit")) != (edition, unit)]
    return content_hash([one for said in others for one in said.get("shown", []) if one["exam_id"] in exams])


def _templates_hash(folder: Path | None) -> list[tuple[str, str]]:
    if folder is None:
        return []
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return [(path.relative_to(folder).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]


def _archive_facts(archive: Archive, day: dt.date) -> dict[str, Any]:
    """Return what is in an archive up to a day: imports of exams, the registers and the decisions."""
    exams = archive.exams().filter(pl.col("date") <= day).sort("exam_id")
    registers = archive.versions().filter(pl.col("register_id").is_not_null())["register_id"]
    return {
        "exams": exams.select("exam_id", "import_id", "n_forgotten").rows(),
        "registers": registers[-1] if registers.len() else None,
        "decisions": archive.decisions().drop("archive_version").rows(),
    }


def find_inputs(
    archive: Archive,
    *,
    product: Product,
    period: Period,
    edition: str,
    lang: str,
    unit: str | None,
    day: dt.date,
    settings: RunSettings,
    packs: Sequence[str] = (),
    templates: Path | None = None,
    mates: Sequence[str] = (),
) -> ProductInputs:
    """Return what a product would be made from, without making it; ``mates`` are made before it in the same run."""
    judged_by = packs_in_force(archive.registers(), packs, day)
    own = content_hash(
        {
            "product": [product, period.text, edition, lang, unit, day.isoformat()],
            "archive": _archive_facts(archive, day),
            "settings": settings.model_dump(mode="json"),
            "packs": [(pack.id, pack.version) for pack in judged_by],
            "templates": _templates_hash(templates),
            "version": eduq.__version__,
        }
    )
    issues = issues_of(archive, product=product, edition=edition, lang=lang, unit=unit)
    issued = [issue for issue in issues if issue.inputs == own and issue.period == period.text]
    before = [
        issue
        for issue in issues
        if issue.inputs != own
        and parse_period(issue.period, product).first <= period.first
        and not (issued and issue.entered > issued[-1].entered)
    ]
    return ProductInputs(
        own=own,
        before=before[-1] if before else None,
        issued=issued[-1] if issued else None,
        beside=_shown_beside(archive, edition, unit, day),
        mates=tuple(mates),
    )
