"""Second half of a dossier: what would turn the verdict, what is missing, where the numbers come from."""

from __future__ import annotations

from typing import Any

from eduq.bulletins.blocks import Block, Phrase, column, items, note, paragraph, row, section, table
from eduq.bulletins.dossier_words import Words
from eduq.bulletins.formats import joined, phrase, typed
from eduq.locale import Lang, text

__all__ = ["change_sections"]

Fields = dict[str, Any]
_LISTED = 24
_PUPILS = ("remarked", "absent_predicted", "absent_zero")
_DIMENSIONS = ("absence", "sd_divisor", "weights", "ties", "last", "window", "min_pupils")


def change_sections(fields: Fields, words: Words, lang: Lang) -> list[Block]:
    """Return the sections from the counterfactual to the sources."""
    found = []
    if fields["changes"]:
        found.append(section("changes", 1, phrase("why.head.changes"), _changes(fields, words)))
    if fields["definitions"] is not None:
        found.append(section("definitions", 1, phrase("why.head.definitions"), _definitions(fields, words)))
    found.append(section("missing", 1, phrase("why.head.missing"), _missing(fields, words, lang)))
    found.append(section("source", 1, phrase("why.head.source"), _sources(fields, words)))
    return found


def _changes(fields: Fields, words: Words) -> list[Block]:
    """Return one row per quantity, both readings side by side."""
    rows = []
    lines = fields["changes"]
    seen: dict[tuple[str, int | None], dict[str, Fields]] = {}
    for line in lines:
        seen.setdefault((line["quantity"], line["condition"]), {})[line["reading"]] = line
    skipped = []
    for (quantity, _), readings in seen.items():
        first = readings["narrow"]
        if first["not_searched"] is not None:
            skipped.append(first)
            continue
        if quantity in _PUPILS and not first["searched"]:
            rows.append(row([words.quantity(first), phrase("why.change.nobody"), phrase("why.change.nobody")]))
            continue
        rows.append(row([words.quantity(first), *(_turn(readings[name], words) for name in ("narrow", "wide"))]))
    columns = [column("quantity", phrase("why.column.quantity"), "words")]
    columns += [column(name, phrase(f"readings.{name}"), "words") for name in ("narrow", "wide")]
    before = {line["reading"]: words.result(line["before"]) for line in lines}
    notes = [] if skipped else [phrase("why.note.remarked"), phrase("why.note.predicted")]
    blocks: list[Block] = [
        paragraph(phrase("why.change.lead", narrow=before["narrow"], wide=before["wide"])),
        table("changes", phrase("why.table.changes"), columns, rows, notes),
    ]
    if skipped:
        reason = phrase(f"why.not_searched.{skipped[0]['not_searched']}")
        blocks.append(
            note(phrase("why.change.skipped", what=[phrase(f"why.skipped.{one['quantity']}") for one in skipped], reason=reason))
        )
    return blocks


def _turn(line: Fields, words: Words) -> Phrase:
    """Say what turns the verdict under one reading, or that nothing tried does."""
    quantity = line["quantity"]
    if line["after"] is None:
        if quantity in _PUPILS:
            return phrase(f"why.change.no_{'pupils' if quantity == 'remarked' else 'switch'}", n=line["searched"])
        return phrase("why.change.no_switch" if quantity == "reading" else "why.change.no_value", n=line["searched"] or 0)
    after = words.result(line["after"])
    if quantity == "reading":
        return phrase("why.change.switch", after=after)
    if line["needed"] is None:
        return phrase("why.change.switch", after=after)
    if quantity == "remarked":
        if line["estimate"] is None or line["estimate_after"] is None:
            return phrase("why.change.pupils", n=int(line["needed"]), after=after)
        measure = fields_measure(words)
        return phrase(
            "why.change.pupils_value", n=int(line["needed"]), after=after, before=words.value(line["estimate"], measure),
            value=words.value(line["estimate_after"], measure),
        )  # fmt: skip
    if quantity in _PUPILS:
        return phrase("why.change.all_pupils", n=int(line["needed"]), after=after)
    return phrase("why.change.value", value=words.quantity_value(line, line["needed"]), after=after)


def fields_measure(words: Words) -> str | None:
    """Return the measure whose value the counterfactual gives."""
    numbers = words.fields["numbers"]
    own: str | None = words.fields["rule"]["measure"]
    return own if own is not None or not numbers else str(numbers[-1]["measure"])


def _choice(dimension: str, choice: str) -> Phrase | str:
    """Name a choice of a definition."""
    if dimension in ("last", "window", "min_pupils") and choice.isdigit():
        return phrase(f"why.choice.{dimension}", n=int(choice))
    return phrase(f"why.choice.{dimension}_{choice}")


def _listed(said: list[Any], words: Words) -> Phrase:
    """Join the parts of one cell as the language joins a list."""
    return joined(said, text("bulletin.list_joiner", words.lang))


def _definitions(fields: Fields, words: Words) -> list[Block]:
    share = fields["definitions"]
    same, total = share["same"], share["n"]
    proposes = fields["rule"]["readings"]["proposes"]
    other = "wide" if proposes == "narrow" else "narrow"

    def said(reading: str) -> Phrase:
        return phrase(
            "why.share.reading", reading=phrase(f"readings.{reading}"), result=words.result(share["base"][reading]),
            same=same[reading], n=total, share=typed(same[reading] / total, "percent"),
        )  # fmt: skip

    blocks: list[Block] = [
        paragraph(phrase("why.share.lead", n=total)),
        items([said(proposes), said(other), *_grade_share(share), *_ranks(share, words)]),
        note(phrase("why.share.not_probability")),
    ]
    rows = [
        row([phrase(f"why.dimension.{name}"), _listed([_choice(name, choice) for choice in share["choices"][name]], words)])
        for name in _DIMENSIONS
        if len(share["choices"][name]) > 1
    ]
    columns = [column(name, phrase(f"why.column.{name}"), "words") for name in ("dimension", "choices")]
    blocks.append(table("choices", phrase("why.table.choices"), columns, rows, [phrase("why.note.first_choice")]))
    blocks += _differing(share, words)
    return blocks


def _grade_share(share: Fields) -> list[Phrase]:
    if share["base"]["evidence_grade"] is None:
        return []
    strong = share["base"]["evidence_grade"] in ("A", "B")
    same = share["same"]["evidence_grade"]
    key = "why.share.strong" if strong else "why.share.weak"
    return [phrase(key, same=same, n=share["n"], share=typed(same / share["n"], "percent"))]


def _ranks(share: Fields, words: Words) -> list[Phrase]:
    if share["rank"] is None:
        return []

    def span(bounds: list[int]) -> Phrase:
        low, high = bounds
        return phrase("why.share.one", low=low) if low == high else phrase("why.share.span", low=low, high=high)

    return [phrase("why.share.rank", rank=span(share["rank"]), bottom=span(share["from_bottom"]))]


def _differing(share: Fields, words: Words) -> list[Block]:
    """Return the definitions under which a reading gives another result."""
    base = share["base"]
    differing = [one for one in share["list"] if any(one[name] != base[name] for name in ("narrow", "wide"))]
    if not differing:
        return []
    varied = [name for name in _DIMENSIONS if len(share["choices"][name]) > 1 and name != "window"]
    once: dict[tuple[Any, ...], Fields] = {}
    for one in differing:
        once.setdefault(tuple(one[name] for name in (*varied, "narrow", "wide")), one)
    rows = [
        row([
            _listed([_choice(name, one[name]) for name in varied if one[name] != share["choices"][name][0]], words),
            words.result(one["narrow"]), words.result(one["wide"]),
        ])
        for one in list(once.values())[:_LISTED]
    ]  # fmt: skip
    columns = [column("choices", phrase("why.column.changed"), "words")]
    columns += [column(name, phrase(f"readings.{name}"), "words") for name in ("narrow", "wide")]
    notes = [phrase("why.note.more_definitions", n=len(once) - _LISTED)] if len(once) > _LISTED else []
    return [table("differing", phrase("why.table.differing"), columns, rows, notes)]


def _missing(fields: Fields, words: Words, lang: Lang) -> list[Block]:
    said: list[Phrase] = []
    rule = fields["rule"]
    names = {place: f"{fields['clause']['rule']}.{name}" for name, one in rule["parameters"].items() for place in one["at"]}
    known: set[str] = set()
    for one in fields["missing"]:
        place = names.get(one.get("place", ""), one.get("place", ""))
        if place and place in known:
            continue  # one number that several conditions read
        known.add(place)
        params = {"place": place, "period": one.get("period", ""), "number": one.get("condition", 0) + 1}
        said.append(phrase(f"why.missing.{one['what']}", reason=words.reason(one.get("reason")) or "", **params))
    blocks: list[Block] = [items(said)] if said else [paragraph(phrase("why.missing.nothing"))]
    decide = fields["clause"]["texts"][lang]["decide"]
    addressed = fields["rule"]["addressed"]
    blocks.append(paragraph(phrase("why.person.decides", by=addressed["decides"], what=decide)))
    if fields["others"]:
        other = [one for one in fields["others"] if one["reading"] == fields["rule"]["readings"]["proposes"]]
        named = [
            phrase("why.person.other", series=_series(one, words), result=words.result(one["clause_result"]),
                   grade=one["evidence_grade"] or phrase("bulletin.cell.nothing"))
            for one in other
        ]  # fmt: skip
        blocks += [paragraph(phrase("why.person.others")), items(named)]
    return blocks


def _series(one: Fields, words: Words) -> Any:
    parts = [words.year_group(one["year_group"])] if one["year_group"] else []
    parts += [words.subject(one["subject"])] if one["subject"] else []
    return joined([*parts, *([one["target_id"]] if one["target_id"] else [])], " ")


def _sources(fields: Fields, words: Words) -> list[Block]:
    used = [exam for exam in fields["exams"] if exam["used"]]
    unused = [exam for exam in fields["exams"] if not exam["used"]]
    blocks: list[Block] = []
    if used:
        rows = []
        for exam in used:
            remark = words.reason(exam["reason"])
            for place, file in enumerate(exam["files"]):
                why = [phrase("why.rejected_one", reason=words.reason(one["code"]), n=one["n"]) for one in file["rejected_by"]]
                by = phrase("why.rejected", n=file["rejected"], why=why) if why else file["rejected"]
                named = (
                    phrase("why.exam", name=exam["name"] or exam["exam_id"], remark=phrase("why.exam_remark", said=remark))
                    if remark
                    else exam["name"] or exam["exam_id"]
                )
                rows.append(row(["" if place else named, file["file"], file["rows"], file["used"], by]))
        columns = [
            column("exam", phrase("why.column.exam"), "words"),
            column("file", phrase("why.column.file"), "words"),
            column("rows", phrase("why.column.rows"), "count"),
            column("used", phrase("why.column.used"), "count"),
            column("rejected", phrase("why.column.rejected"), "words"),
        ]
        blocks.append(table("files", phrase("why.table.files"), columns, rows))
        hashes = [
            phrase("why.hash", exam=exam["exam_id"], file=file["file"], sha256=file["sha256"])
            for exam in used
            for file in exam["files"]
        ]
        blocks += [paragraph(phrase("why.hashes")), items(hashes)]
    if unused:
        columns = [
            column("exam", phrase("why.column.exam"), "words"),
            column("date", phrase("why.column.date"), "date"),
            column("reason", phrase("why.column.reason"), "words"),
        ]
        rows = [row([exam["name"] or exam["exam_id"], exam["date"], words.reason(exam["reason"])]) for exam in unused]
        blocks.append(table("unused", phrase("why.table.unused"), columns, rows))
    source = fields["source"]
    version = phrase("why.source.no_archive") if source["archive_version"] is None else phrase(
        "why.source.archive", version=source["archive_version"], schema=source["schema_version"] or 0
    )  # fmt: skip
    blocks.append(items([
        version,
        phrase("why.source.pack", pack=fields["clause"]["pack"], version=source["pack_version"]),
        phrase("why.source.code", version=source["code_version"]),
        phrase("why.source.repeat", command=fields["repeat"]),
    ]))  # fmt: skip
    return blocks
