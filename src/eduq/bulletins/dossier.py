"""The dossier of one verdict: as text for the terminal, as JSON, and as one HTML page that needs nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from eduq.bulletins.blocks import Block, Phrase, number_blocks
from eduq.bulletins.dossier_chain import chain_sections
from eduq.bulletins.dossier_change import change_sections
from eduq.bulletins.dossier_text import render_text
from eduq.bulletins.dossier_words import Words
from eduq.bulletins.formats import joined, phrase, typed
from eduq.bulletins.render import render_html
from eduq.bulletins.template_folder import TemplateFolder
from eduq.errors import UsageError
from eduq.locale import Lang

if TYPE_CHECKING:
    from eduq.disclosure import PublishableDossier

__all__ = ["DOSSIER_FORMATS", "build_dossier", "render_dossier"]

DOSSIER_FORMATS = ("text", "json", "html")


def build_dossier(dossier: PublishableDossier, *, lang: Lang, format: str = "text") -> dict[str, Any]:
    """Return what the templates of a dossier see: meta, headline, intro and sections, all numbers raw.

    Parameters
    ----------
    dossier
        From `eduq.disclosure.protect_dossier`.
    lang
        Language of the document.
    format
        What it becomes: the command that repeats it names form and language.
    """
    fields = dossier.fields | {"repeat": f"{dossier.fields['repeat']} --format {format} --lang {lang}"}
    words = Words(fields, lang)
    sections = [*chain_sections(fields, words, lang), *change_sections(fields, words, lang)]
    _number(sections)
    return {
        "meta": {
            "lang": lang,
            "audience": phrase(f"bulletin.audience.{dossier.edition}"),
            "title": phrase("why.title", unit=words.unit(), rule=words.rule(fields["clause"]["rule"])),
            "as_of": phrase("why.as_of", day=typed(fields["asked"]["as_of"], "date")),
            "line": _source_line(fields),
        },
        "headline": _headline(fields, words),
        "intro": _intro(fields, words),
        "sections": sections,
    }


def _source_line(fields: dict[str, Any]) -> Phrase:
    version = fields["source"]["archive_version"]
    key = "why.line_no_archive" if version is None else "why.line"
    return phrase(key, version=version or 0, pack=fields["clause"]["pack"], pack_version=fields["source"]["pack_version"])


def _number(sections: list[Block]) -> None:
    """Number sections, tables and figures in the order they stand, and join figures to their tables."""
    for place, part in enumerate(sections, start=1):
        part["number"] = [place]
    number_blocks(sections)


def _headline(fields: dict[str, Any], words: Words) -> list[dict[str, Any]]:
    """Return at most four figures: both readings, the grade, the course."""
    found = []
    for line in fields["verdict"]["readings"]:
        how = fields["rule"]["readings"][line["reading"]]
        label = phrase("why.headline.reading", reading=phrase(f"readings.{line['reading']}"), how=phrase(f"why.how.{how}"))
        found.append({"label": label, "value": words.result(line["clause_result"])})
    evidence = fields["evidence"]
    if evidence is not None and evidence["evidence_grade"] is not None:
        letter = evidence["evidence_grade"]
        found.append({"label": phrase("why.headline.grade", meaning=phrase(f"why.grade_meaning.{letter}")), "value": letter})
    if evidence is not None and evidence["slope"] is not None and evidence["ci_lower"] is not None:
        interval = typed([evidence["ci_lower"], evidence["ci_upper"]], "interval_gap")
        found.append({"label": phrase("why.headline.slope", interval=interval), "value": typed(evidence["slope"], "gap")})
    return found


def _intro(fields: dict[str, Any], words: Words) -> list[Phrase]:
    """Say the verdict in two or three sentences."""
    verdict = fields["verdict"]
    about = joined([words.person(), *words.series()], " " if words.lang == "en" else "·")
    if verdict["no_verdict"] is not None:
        return [phrase("why.intro.none", unit=about, reason=words.reason(verdict["no_verdict"]) or "")]
    results = {line["reading"]: line for line in verdict["readings"]}
    said = [
        phrase(
            "why.intro.verdict", as_of=typed(fields["asked"]["as_of"], "date"), unit=about,
            rule=words.rule(fields["clause"]["rule"]), narrow=words.result(results["narrow"]["clause_result"]),
            wide=words.result(results["wide"]["clause_result"]),
            narrow_how=phrase(f"why.how.{fields['rule']['readings']['narrow']}"),
            wide_how=phrase(f"why.how.{fields['rule']['readings']['wide']}"),
        )
    ]  # fmt: skip
    reasons = {line["reason"] for line in verdict["readings"] if line["reason"]}
    said += [phrase("why.intro.open", reason=words.reason(reason)) for reason in sorted(reasons)]
    if fields["evidence"] is not None:
        said.append(phrase("why.intro.grade", grade=words.grade(fields["evidence"]["evidence_grade"])))
    if any(line["only_wide"] for line in verdict["readings"]):
        said.append(phrase("why.intro.only_wide"))
    proposed = next((line for line in verdict["readings"] if line["proposal"]), None)
    if proposed is None:
        said.append(phrase("why.intro.no_proposal"))
    elif proposed["decision"] is None:
        by = fields["rule"]["addressed"]["decides"]
        said.append(phrase("why.intro.proposal", proposal=phrase(f"proposals.{proposed['proposal']}"), by=by))
    else:
        said.append(
            phrase(
                "why.intro.decided", proposal=phrase(f"proposals.{proposed['proposal']}"), by=proposed["decided_by"],
                on=typed(proposed["decided_on"], "date"), decision=phrase(f"decided.{proposed['decision']}"),
            )
        )  # fmt: skip
    return said


def render_dossier(
    dossier: PublishableDossier, *, format: str, lang: Lang = "zh", templates: TemplateFolder | None = None
) -> str:
    """Return a dossier as a document; the same dossier gives the same bytes.

    Parameters
    ----------
    dossier
        From `eduq.disclosure.protect_dossier`, the only type that can be rendered.
    format
        ``text`` (plain, for the terminal), ``json`` (schema ``eduq.why/1``, keys sorted; no language) or ``html`` (one page
        without script or outside address, prints on A4).
    lang
        Language of text and HTML.
    templates
        Local templates that stand in for the shipped ones; of HTML only.

    Raises
    ------
    UsageError
        ``format_unknown``.
    """
    if format == "json":
        return json.dumps(dossier.fields, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    if format not in DOSSIER_FORMATS:
        raise UsageError("format_unknown", format=format, known=", ".join(DOSSIER_FORMATS))
    context = build_dossier(dossier, lang=lang, format=format)
    return render_text(context) if format == "text" else render_html(context, template="dossier.html", templates=templates)
