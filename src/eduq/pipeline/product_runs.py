"""One run for a product, as a timer starts it: alone, whole or not at all, nothing twice, told in one line of a log."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from eduq.errors import EduqError, UsageError
from eduq.pipeline.clock import Progress
from eduq.pipeline.documents import RUN_RECORD
from eduq.pipeline.product_folder import alone_in, file_hashes, safe_name
from eduq.pipeline.products import FORMATS, USUAL_FORMATS, ProductRequest

__all__ = ["IssueOrder", "RunLog", "RunOutcome", "product_folder", "run_product"]


@dataclass(frozen=True)
class IssueOrder:
    """Who issues a document, under which number and on which day."""

    issued_by: str
    document_no: str
    issued_on: dt.date


@dataclass(frozen=True)
class RunOutcome:
    """What a run did.

    Attributes
    ----------
    result
        written, nothing_new, issued or already_issued.
    paths
        Files written.
    files
        SHA-256 by path.
    """

    result: str
    paths: list[Path] = field(default_factory=list)
    files: Mapping[str, str] = field(default_factory=dict)


def product_folder(request: ProductRequest, out: Path, order: IssueOrder | None = None) -> Path:
    """Return the folder of a product: drafts of a period share one, each issued document has its own."""
    parts = [request.period.text, request.unit, request.edition, request.lang]
    if order is not None:
        parts.append(f"issued-{safe_name(order.document_no)}")
    return out / request.product / "-".join(safe_name(part) for part in parts if part)


def _is_there(folder: Path, request: ProductRequest, formats: Sequence[str]) -> bool:
    """Say whether a folder holds the very draft: made from the same inputs, in these formats, no file of it changed."""
    try:
        record = json.loads((folder / RUN_RECORD).read_bytes())
    except (OSError, ValueError):
        return False
    wanted = set(formats)
    return (
        isinstance(record, dict)
        and record.get("inputs") == request.inputs.key
        and wanted <= set(record.get("formats", ()))
        and record.get("files") == file_hashes(folder)
    )


def run_product(
    request: ProductRequest,
    out: Path,
    *,
    formats: Sequence[str] = USUAL_FORMATS,
    if_new: bool = False,
    order: IssueOrder | None = None,
    progress: Progress | None = None,
) -> RunOutcome:
    """Make a product and put it into its folder under `out`, holding the lock of the product there.

    Parameters
    ----------
    request
        What to make.
    out
        Folder of all products.
    formats
        Formats of the documents.
    if_new
        Do nothing where the draft is there already or was issued, from the same inputs.
    order
        Issue it: enter it in the ledger of the archive, and write it as no draft. The same document issued again is written
        again as it was, and not entered twice.
    progress
        Called with stage, done, total.

    Raises
    ------
    ArchiveError
        ``bulletin_busy``: another run makes the same product here.
    UsageError
        ``format_unknown``, ``paper_library_missing``, ``issue_number_taken``, ``output_not_ours``, ``output_unwritable``.
    """
    if unknown := [name for name in formats if name not in FORMATS]:
        raise UsageError("format_unknown", format=unknown[0], known=", ".join(FORMATS))
    _refuse_missing_library(formats)
    with alone_in(out / request.product):
        if order is not None:
            return _issue(request, out, formats, order, progress)
        folder = product_folder(request, out)
        if if_new and (request.inputs.issued is not None or _is_there(folder, request, formats)):
            return RunOutcome("nothing_new")
        paths = request.make(progress).write(folder, formats=formats)
        return RunOutcome("written", paths, _by_path(folder))


def _refuse_missing_library(formats: Sequence[str]) -> None:
    """Stop before the work where the library that sets a format is not installed."""
    from eduq.bulletins.pdf import check_pdf

    if "pdf" in formats:
        check_pdf()


def _by_path(folder: Path) -> dict[str, str]:
    return {str(folder / name): sha256 for name, sha256 in file_hashes(folder).items()}


def _issue(
    request: ProductRequest, out: Path, formats: Sequence[str], order: IssueOrder, progress: Progress | None
) -> RunOutcome:
    """Write a document and enter it in the ledger; the ledger first, so that nothing looks issued that is not."""
    before = request.inputs.issued
    numbers = request.archive.issued()["document_no"].to_list()
    if before is not None and before.document_no == order.document_no:
        made = replace(request.pinned(before.based_on).make(progress), document_no=order.document_no, issued_on=before.issued_on)
        folder = product_folder(request, out, order)
        return RunOutcome("already_issued", made.write(folder, formats=formats), _by_path(folder))
    if order.document_no in numbers:
        raise UsageError("issue_number_taken", document_no=order.document_no)
    made = replace(request.make(progress), document_no=order.document_no, issued_on=order.issued_on)
    folder = product_folder(request, out, order)

    def enter(part: Path) -> None:
        hashes = file_hashes(part)
        document = next(name for name in ("bulletin.docx", "bulletin.html", *sorted(hashes)) if name in hashes)
        shown = [exam.shown.content() for exam in made.publishable.exams if exam.shown is not None]
        told: dict[str, Any] = {"inputs": request.inputs.own, "lang": request.lang, "unit": request.unit, "files": hashes}
        told |= {"shown": shown}
        request.archive.add_issued(
            {
                "product": request.product,
                "period": request.period.text,
                "edition": request.edition,
                "document_no": order.document_no,
                "issued_by": order.issued_by,
                "issued_on": order.issued_on,
                "based_on": made.publishable.archive_version,
                "sha256": hashes[document],
                "content": json.dumps(told, ensure_ascii=False, sort_keys=True),
            },
            operator=order.issued_by,
        )

    paths = made.write(folder, formats=formats, enter=enter)
    return RunOutcome("issued", paths, _by_path(folder))


@dataclass
class RunLog:
    """Appends one JSON line on a run to a file when it ends, however it ends; no name and no figure is in it.

    Attributes
    ----------
    path
        The file; None: nothing is written.
    started
        When the run began.
    facts
        What the line says; more is added while it runs.
    """

    path: Path | None
    started: dt.datetime
    facts: dict[str, Any] = field(default_factory=dict)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            code = error.code if isinstance(error, EduqError) else type(error).__name__
            self.facts |= {"result": "failed", "error": code}
        if self.path is None:
            return
        seconds = (dt.datetime.now(dt.UTC) - self.started).total_seconds()
        line = {"started": self.started.isoformat(timespec="seconds"), **self.facts, "seconds": round(seconds, 1)}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as log:
                log.write(json.dumps(line, ensure_ascii=False) + "\n")
        except OSError as failed:
            if error is None:
                raise UsageError("output_unwritable", folder=str(self.path), said=failed.strerror or "") from None
