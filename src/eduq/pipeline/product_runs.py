"""One run for a product, as a timer starts it: alone, whole or not at all, nothing twice, told in one line of a log.

Several editions of one run share the facts, collected once; each is fitted to those made before it as if they were issued.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from eduq.archive import open_archive
from eduq.disclosure.products import ProductFacts
from eduq.errors import DisclosureError, EduqError, UsageError
from eduq.pipeline.clock import Progress
from eduq.pipeline.documents import RUN_RECORD
from eduq.pipeline.drafts import Draft
from eduq.pipeline.product_editions import ISSUE_ORDER
from eduq.pipeline.product_folder import alone_in, file_hashes, safe_name
from eduq.pipeline.product_ledger import Issue, issued_before
from eduq.pipeline.products import FORMATS, ProductRequest

__all__ = ["IssueOrder", "RunLog", "RunOutcome", "product_folder", "run_editions", "run_product"]

_PLACES: dict[str, int] = {name: place for place, name in enumerate(ISSUE_ORDER)}


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
    formats: Sequence[str] | None = None,
    if_new: bool = False,
    order: IssueOrder | None = None,
    progress: Progress | None = None,
) -> RunOutcome:
    """Make one edition of a product; arguments and errors as of `run_editions`."""
    orders = None if order is None else {request.edition: order}
    return run_editions([request], out, formats=formats, if_new=if_new, orders=orders, progress=progress)[request.edition]


def run_editions(
    requests: Sequence[ProductRequest],
    out: Path,
    *,
    formats: Sequence[str] | None = None,
    if_new: bool = False,
    orders: Mapping[str, IssueOrder] | None = None,
    progress: Progress | None = None,
) -> dict[str, RunOutcome]:
    """Make editions of one product and period and put each into its folder under `out`, holding the lock of the product there.

    The exams are analysed once. Editions are made in the order of `eduq.pipeline.product_editions.ISSUE_ORDER`, each safe beside
    those before it in the run and beside all that was issued.

    Parameters
    ----------
    requests
        What to make: the same product, period, language and archive; one per edition.
    out
        Folder of all products.
    formats
        Formats of the documents; those usual for each kind of document when left out. Each edition is written in those it has.
    if_new
        Leave an edition as it is where the draft is there already or was issued, from the same inputs.
    orders
        Issue them: enter each in the ledger of the archive, and write it as no draft. The same document issued again is written
        again as it was, and not entered twice.
    progress
        Called with stage, done, total.

    Returns
    -------
    dict
        Edition to what was done, in the order they were made.

    Raises
    ------
    ArchiveError
        ``bulletin_busy``: another run makes the same product here.
    UsageError
        ``format_unknown``, ``paper_library_missing``, ``issue_number_taken``, ``output_not_ours``, ``output_unwritable``.
    DisclosureError
        ``edition_not_available``: the page to explore, and no edition for the bureau; and those of `eduq.disclosure.protect`.
    """
    _refuse_formats(requests, formats)
    with alone_in(out / requests[0].product):
        run = _Run(out, formats, if_new, progress, teaching=any(request.needs_teaching for request in requests))
        if orders is not None:
            _refuse_numbers(requests, orders)
        return {
            request.edition: run.make(request, None if orders is None else orders[request.edition])
            for request in sorted(requests, key=lambda request: _PLACES[request.edition])
        }


def _refuse_formats(requests: Sequence[ProductRequest], formats: Sequence[str] | None) -> None:
    """Stop before the work where nothing asked for can be written in a format, or the library that sets it is not installed."""
    from eduq.bulletins.pdf import check_pdf

    known = [name for name in FORMATS if any(name in request.draft.FORMATS for request in requests)]
    if unknown := [name for name in formats or () if name not in known]:
        raise UsageError("format_unknown", format=unknown[0], known=", ".join(known))
    if "review" in (formats or ()) and not any(request.edition == "bureau" for request in requests):
        raise DisclosureError("edition_not_available", edition=requests[0].edition, known="bureau")
    if "pdf" in (formats or ()):
        check_pdf()


def _refuse_numbers(requests: Sequence[ProductRequest], orders: Mapping[str, IssueOrder]) -> None:
    """Stop before the work where a number stands in the ledger on another document."""
    numbers = set(requests[0].archive.issued()["document_no"])
    for request in requests:
        asked, before = orders[request.edition].document_no, request.inputs.issued
        if asked in numbers and (before is None or before.document_no != asked):
            raise UsageError("issue_number_taken", document_no=asked)


def _by_path(folder: Path, paths: Sequence[Path]) -> dict[str, str]:
    """Return the SHA-256 of what was written, by path."""
    return {str(folder / name): sha256 for name, sha256 in file_hashes(folder).items() if folder / name in paths}


@dataclass
class _Run:
    """Editions under way: what was collected, and what those made so far show."""

    out: Path
    formats: Sequence[str] | None
    if_new: bool
    progress: Progress | None
    teaching: bool = False
    facts: dict[int, ProductFacts] = field(default_factory=dict)
    waiting: list[ProductRequest] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def make(self, request: ProductRequest, order: IssueOrder | None) -> RunOutcome:
        """Make one edition: a draft, or an issued document."""
        formats = self._formats(request)
        if order is not None:
            return self._issue(request, formats, order)
        folder = product_folder(request, self.out)
        issued = request.inputs.issued is not None
        if self.if_new and (issued or _is_there(folder, request, formats)):
            if not issued:  # what it shows is needed only if a later edition is made
                self.waiting.append(request)
            return RunOutcome("nothing_new")
        draft = self._draft(request)
        paths = draft.write(folder, formats=formats, progress=self.progress)
        if not issued:
            self._tell(draft)
        return RunOutcome("written", paths, _by_path(folder, paths))

    def _formats(self, request: ProductRequest) -> tuple[str, ...]:
        if self.formats is None:
            return request.draft.USUAL
        known = request.draft.FORMATS
        return tuple(name for name in self.formats if name in known and (name != "review" or request.edition == "bureau"))

    def _collected(self, request: ProductRequest) -> ProductFacts:
        version = request.archive.version
        if version not in self.facts:
            self.facts[version] = request.collect(self.progress, teaching=self.teaching)
        return self.facts[version]

    def _draft(self, request: ProductRequest) -> Draft:
        """Return a draft that is safe beside the drafts before it in this run and beside the ledger."""
        for earlier in self.waiting:
            self._tell(earlier.make(facts=self._collected(earlier), issued=[*issued_before(earlier.archive), *self.told]))
        self.waiting.clear()
        told = [*issued_before(request.archive), *self.told]
        return request.make(self.progress, facts=self._collected(request), issued=told)

    def _tell(self, draft: Draft) -> None:
        self.told.append(json.dumps({"shown": [one.content() for one in draft.shown()]}))

    def _issue(self, request: ProductRequest, formats: tuple[str, ...], order: IssueOrder) -> RunOutcome:
        """Write a document and enter it in the ledger; the ledger first, so that nothing looks issued that is not."""
        folder = product_folder(request, self.out, order)
        before = request.inputs.issued
        if before is not None and before.document_no == order.document_no:
            return self._again(request, formats, before, folder)
        told = issued_before(open_archive(request.archive.path))
        made = request.make(self.progress, facts=self._collected(request), issued=told)
        made = replace(made, document_no=order.document_no, issued_on=order.issued_on)

        def enter(part: Path) -> None:
            _enter(request, made, part, order)

        paths = made.write(folder, formats=formats, enter=enter, progress=self.progress)
        return RunOutcome("issued", paths, _by_path(folder, paths))

    def _again(self, request: ProductRequest, formats: tuple[str, ...], before: Issue, folder: Path) -> RunOutcome:
        """Write an issued document as it was."""
        told = issued_before(request.archive, before.entered)
        pinned = request.pinned(before.based_on)
        made = pinned.make(self.progress, facts=self._collected(pinned), issued=told)
        made = replace(made, document_no=before.document_no, issued_on=before.issued_on)
        paths = made.write(folder, formats=formats, progress=self.progress)
        return RunOutcome("already_issued", paths, _by_path(folder, paths))


def _enter(request: ProductRequest, made: Draft, part: Path, order: IssueOrder) -> None:
    """Enter a document in the ledger: what it was made from, its files, and which cells it shows."""
    hashes = file_hashes(part)
    document = next(name for name in ("bulletin.docx", "bulletin.html", "index.csv", *sorted(hashes)) if name in hashes)
    told: dict[str, Any] = {"inputs": request.inputs.own, "lang": request.lang, "unit": request.unit, "files": hashes}
    told |= {"shown": [one.content() for one in made.shown()]}
    request.archive.add_issued(
        {
            "product": request.product,
            "period": request.period.text,
            "edition": request.edition,
            "document_no": order.document_no,
            "issued_by": order.issued_by,
            "issued_on": order.issued_on,
            "based_on": made.archive_version,
            "sha256": hashes[document],
            "content": json.dumps(told, ensure_ascii=False, sort_keys=True),
        },
        operator=order.issued_by,
    )


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
