"""The review page of a run, and beside it the why-pages of what the rule packs in force propose."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from eduq.archive import Archive
from eduq.disclosure import Publishable, PublishableDossier, protect_dossier
from eduq.errors import NotAssessableError
from eduq.locale import Lang
from eduq.pipeline.clock import Progress

if TYPE_CHECKING:
    from eduq.bulletins.template_folder import TemplateFolder

__all__ = ["MOST_DOSSIERS", "REVIEW_PAGE", "collect_dossiers", "write_review"]

REVIEW_PAGE = "review.html"
MOST_DOSSIERS = 40
"""So many why-pages are made at most, strong evidence first: each is judged anew from the archive."""


def collect_dossiers(archive: Archive, *, as_of: dt.date, progress: Progress | None = None) -> list[PublishableDossier]:
    """Return the dossiers of what is proposed on schools and their heads, strong evidence first.

    Parameters
    ----------
    archive
        Opened; the packs are those its registers state a date of effect for.
    as_of
        Rules in force and exams dated by then.
    progress
        Called with stage, done, total.
    """
    from eduq.rulepacks.judging import judge
    from eduq.rulepacks.linting import refuse_banned
    from eduq.rulepacks.reading import load_rulepack
    from eduq.rulepacks.trace import explain

    registers = archive.registers()
    stated = {} if registers is None else registers.packs
    asked: list[tuple[str, str, str]] = []
    for name in sorted(stated):
        pack = load_rulepack(name, as_of=as_of, statements=stated)
        refuse_banned(pack, rules=())
        try:
            proposed = judge(pack, archive, as_of=as_of).proposals
        except NotAssessableError:
            continue
        of_schools = proposed.filter(pl.col("unit_type").is_in(["school", "head"])).select("evidence_grade", "unit", "rule_id")
        asked += of_schools.unique().with_columns(pl.col("evidence_grade").fill_null("E")).rows()
    chosen = list(dict.fromkeys((unit, rule) for _, unit, rule in sorted(asked)))[:MOST_DOSSIERS]
    found = []
    for done, (unit, rule) in enumerate(chosen):
        if progress is not None:
            progress("review", done, len(chosen))
        found.append(protect_dossier(explain(archive, unit=unit, rule=rule, as_of=as_of), edition="bureau"))
    return found


def write_review(
    publishables: Sequence[Publishable],
    folder: Path,
    *,
    lang: Lang,
    archive: Archive | None = None,
    as_of: dt.date | None = None,
    templates: TemplateFolder | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Write review.html and, with an archive, why/*.html into a folder.

    Parameters
    ----------
    publishables
        Exams of the bureau edition, the newest first.
    folder
        Exists; what it holds under these names is replaced.
    lang
        ``zh`` or ``en``.
    archive, as_of
        Where the proposals come from, and on which day; without both there are no why-pages.
    templates
        Local templates for the why-pages; the page to explore itself is never replaced.
    progress
        Called with stage, done, total.

    Returns
    -------
    list of Path
        The page first.

    Raises
    ------
    DisclosureError
        ``edition_not_available``: an edition other than the bureau's.
    """
    from eduq.bulletins.dossier import render_dossier
    from eduq.bulletins.review import build_review, dossier_name
    from eduq.bulletins.review_page import render_review

    judged = archive is not None and as_of is not None
    dossiers = collect_dossiers(archive, as_of=as_of, progress=progress) if judged and archive and as_of else []
    context = build_review(publishables, lang, dossiers=dossiers)
    paths = [folder / REVIEW_PAGE]
    paths[0].write_text(render_review(context), encoding="utf-8")
    for dossier in dossiers:
        path = folder / dossier_name(dossier.fields["asked"]["unit"], dossier.fields["clause"]["rule"])
        path.parent.mkdir(exist_ok=True)
        path.write_text(render_dossier(dossier, format="html", lang=lang, templates=templates), encoding="utf-8")
        paths.append(path)
    return paths
