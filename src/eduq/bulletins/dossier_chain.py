"""First half of a dossier: clause, conditions, numbers, evidence, peers, tenure."""

from __future__ import annotations

from typing import Any

from eduq.bulletins.blocks import Block, chart, column, items, note, paragraph, row, section, table
from eduq.bulletins.dossier_chart import draw_course
from eduq.bulletins.dossier_words import Words
from eduq.bulletins.formats import joined, phrase, typed
from eduq.locale import Lang, has_text

__all__ = ["chain_sections"]

Fields = dict[str, Any]
_SIGNED = ("gap",)
_LISTED = 24
"""More units not counted than this are given by reason."""


def chain_sections(fields: Fields, words: Words, lang: Lang) -> list[Block]:
    """Return the sections from the clause to the tenure."""
    found = [
        section("clause", 1, phrase("why.head.clause"), _clause(fields, words, lang)),
        section("conditions", 1, phrase("why.head.conditions"), _conditions(fields, words)),
    ]
    if fields["numbers"]:
        found.append(section("numbers", 1, phrase("why.head.numbers"), _numbers(fields, words)))
    if fields["verdict"]["no_verdict"] is None:
        found += [
            section("evidence", 1, phrase("why.head.evidence"), _evidence(fields, words)),
            section("peers", 1, phrase("why.head.peers"), _peers(fields, words)),
            section("steps", 1, phrase("why.head.steps"), _steps(fields, words)),
        ]
    return found


def _clause(fields: Fields, words: Words, lang: Lang) -> list[Block]:
    clause = fields["clause"]
    blocks = []
    for cited in clause["citations"]:
        where = [cited[name] for name in ("title", "number", "date", "place", "article") if cited[name]]
        said = joined(where, "，" if lang == "zh" else ", ")
        key = "quote" if cited["quote"] else "point"
        blocks.append(paragraph(phrase(f"why.clause.{key}", quote=cited["quote"], point=cited["point"] or "", where=said)))
    blocks.append(
        paragraph(phrase("why.clause.asks", pack=clause["pack"], rule=clause["rule"], asks=clause["texts"][lang]["asks"]))
    )
    if clause["in_force_from"] is None:
        blocks.append(note(phrase("why.clause.no_date")))
    else:
        key = "stated" if clause["stated"] else "in_force"
        blocks.append(note(phrase(f"why.clause.{key}", first=typed(clause["in_force_from"], "date"))))
    return blocks


def _conditions(fields: Fields, words: Words) -> list[Block]:
    rows = [
        row([
            one["condition"] + 1, words.condition(one), words.result(one["clause_result"]), words.reason(one["reason"]),
        ])
        for one in fields["conditions"]
    ]  # fmt: skip
    conditions = table(
        "conditions",
        phrase("why.table.conditions"),
        [
            column("number", phrase("why.column.number"), "count"),
            column("condition", phrase("why.column.condition"), "words"),
            column("result", phrase("why.column.result"), "words"),
            column("reason", phrase("why.column.reason"), "words", soft=True),
        ],
        rows,
    )
    blocks: list[Block] = [conditions]
    if fields["verdict"]["readings"]:
        blocks.append(_readings(fields, words))
    if fields["verdict"]["no_verdict"]:
        blocks.append(note(phrase("why.no_verdict", reason=words.reason(fields["verdict"]["no_verdict"]))))
    if fields["verdict"]["barred_by"] not in (None, fields["clause"]["rule"]):  # a ban is not barred by itself
        blocks.append(note(phrase("why.barred", rule=fields["verdict"]["barred_by"])))
    return blocks


def _readings(fields: Fields, words: Words) -> Block:
    rows = []
    for line in fields["verdict"]["readings"]:
        how = fields["rule"]["readings"][line["reading"]]
        proposal = phrase(f"proposals.{line['proposal']}") if line["proposal"] else None
        rows.append(
            row([
                phrase(f"readings.{line['reading']}"), phrase(f"why.how.{how}"), words.result(line["clause_result"]),
                words.reason(line["reason"]), proposal if line["proposes"] else phrase("why.does_not_propose"),
            ])
        )  # fmt: skip
    names = ("reading", "how", "result", "reason", "proposal")
    columns = [column(name, phrase(f"why.column.{name}"), "words", soft=name == "reason") for name in names]
    return table("readings", phrase("why.table.readings"), columns, rows)


def _numbers(fields: Fields, words: Words) -> list[Block]:
    blocks: list[Block] = []
    for measure in dict.fromkeys(line["measure"] for line in fields["numbers"]):
        lines = [line for line in fields["numbers"] if line["measure"] == measure]
        blocks += _course(measure, lines, words)
    return blocks


def _course(measure: str, lines: list[Fields], words: Words) -> list[Block]:
    """Return the figure and the table of one measure."""
    kind = words.kind(measure)
    name = f"numbers_{measure}"
    dots = [
        (place, line["estimate"], line["ci_lower"], line["ci_upper"])
        for place, line in enumerate(lines)
        if line["estimate"] is not None
    ]
    periods = [line["period"] for line in lines]
    blocks: list[Block] = []
    said = words.measure(measure)
    if len(dots) > 1:
        scaled = dots if kind in _SIGNED else [_times(dot, 100 if kind == "rate" else 1) for dot in dots]
        title = phrase("why.figure.title", unit=words.unit(), measure=said, series=words.series())
        first, last = dots[0], dots[-1]
        alt = phrase(
            "why.figure.alt", measure=said, n=len(dots), first=periods[first[0]], last=periods[last[0]],
            start=typed(first[1], kind), end=typed(last[1], kind),
        )  # fmt: skip
        caption = phrase(f"why.figure.caption_{'gap' if kind == 'gap' else 'level'}", measure=said)
        blocks.append(chart(name, title, caption, alt, draw_course(scaled, periods, signed=kind == "gap"), name))
    blocks.append(_number_table(name, measure, kind, lines, words))
    return blocks


def _times(dot: tuple[int, float, float | None, float | None], factor: float) -> tuple[int, float, float | None, float | None]:
    low, high = (None if bound is None else bound * factor for bound in dot[2:])
    return dot[0], dot[1] * factor, low, high


def _number_table(name: str, measure: str, kind: str, lines: list[Fields], words: Words) -> Block:
    placed = any(line["rank"] is not None and line["n_units"] > 1 for line in lines)
    aimed = any(line["target"] is not None for line in lines)
    change = "gap" if kind == "gap" else "change" if kind == "rate" else kind
    columns = [
        column("period", phrase("why.column.period"), "text"),
        column("base", phrase("why.column.base"), "base"),
        column("estimate", words.measure(measure), kind),
        column("interval", phrase("why.column.interval"), f"interval_{kind}", soft=True),
        column("change", phrase("why.column.change"), change),
    ]
    if placed:
        columns += [
            column("rank", phrase("why.column.rank"), "base"),
            column("p_last", phrase("why.column.p_last"), "rate"),
            column("could_be_last", phrase("why.column.could_be_last"), "words"),
        ]
    if aimed:
        columns.append(column("target", phrase("why.column.target"), kind))
    columns.append(column("remark", phrase("why.column.remark"), "words", soft=True))
    rows = []
    for line in lines:
        missing = {"reason": line["reason"]} if line["estimate"] is None else None
        interval = None if line["ci_lower"] is None else [line["ci_lower"], line["ci_upper"]]
        cells: list[Any] = [
            line["period"],
            None if line["n"] is None else [line["n"], line["n_expected"]],
            line["estimate"] if missing is None else missing,
            interval,
            line["change"],
        ]
        if placed:
            could = None if line["could_be_last"] is None else phrase(f"why.yes_no.{'yes' if line['could_be_last'] else 'no'}")
            cells += [None if line["rank"] is None else [line["rank"], line["n_units"]], line["p_last"], could]
        cells += [line["target"]] if aimed else []
        cells.append(_remark(line, words))
        rows.append(row(cells))
    notes = [phrase("why.note.interval")]
    if placed:
        notes += [phrase("why.note.rank"), phrase("why.note.p_last")]
    return table(name, phrase("why.table.numbers", measure=words.measure(measure)), columns, rows, notes)


def _remark(line: Fields, words: Words) -> Any:
    said: list[Any] = []
    if line["read"]:
        said.append(phrase("why.read"))
    if line["reason"] is not None:
        said.append(words.reason(line["reason"]))
    return joined(said, "；" if words.lang == "zh" else "; ") if said else None


def _evidence(fields: Fields, words: Words) -> list[Block]:
    evidence = fields["evidence"]
    if evidence is None:
        return [paragraph(phrase(f"why.evidence.{'too_short' if _reads_a_course(fields) else 'none'}"))]
    blocks = [paragraph(phrase("why.evidence.separate", grade=words.grade(evidence["evidence_grade"])))]
    if evidence["slope"] is not None:
        blocks += [_evidence_table(evidence)]
    if evidence["why_not_higher"]:
        said = [_not_higher(code, evidence, words) for code in evidence["why_not_higher"]]
        blocks += [paragraph(phrase("why.evidence.not_higher")), items(said)]
    elif evidence["evidence_grade"] is None:
        blocks.append(note(phrase("why.evidence.no_grade", reason=words.reason(evidence["evidence_reason"]) or "")))
    blocks.append(note(phrase("why.evidence.promise")))
    return blocks


def _reads_a_course(fields: Fields) -> bool:
    """Tell whether the rule asks about a course over years, so that only too few years leave it without a grade."""
    return any(
        one["kind"] in ("decline", "severe_drop", "stagnation") and one["values"].get("direction", "fall") == "fall"
        for one in fields["conditions"]
    )


def _not_higher(code: str, evidence: Fields, words: Words) -> Any:
    if not has_text(f"why.not_higher.{code}"):
        return phrase(f"declines.reason.{code}") if has_text(f"declines.reason.{code}") else words.reason(code)
    bounds = evidence["bounds"]
    values = {
        "materiality": typed(bounds["materiality"], "number2"),
        "p_possible": typed(bounds["p_possible"], "number2"),
        "q": typed(bounds["q"], "number2"),
        "holm": typed(bounds["alpha_holm"], "number2"),
        "second_rho": typed(bounds["second_rho"], "number1"),
        "min_p_last": typed(bounds["min_p_last"], "percent"),
    }
    found = {name: typed(evidence[key], kind) for name, key, kind in (
        ("p", "p_value", "number3"), ("q_value", "q_value", "number3"), ("holm_p", "holm_p", "number3"),
        ("p_last", "p_last", "percent"), ("slope", "slope", "gap"),
    ) if evidence[key] is not None}  # fmt: skip
    needs = {
        "not_confirmed_as_last": ("p_last", "min_p_last"),
        "materiality": ("slope", "materiality"),
        "p_possible": ("p", "p_possible"),
        "q": ("q_value", "q"),
        "holm": ("holm_p", "holm"),
        "second_rho": ("second_rho",),
    }.get(code, ())
    params = {name: values.get(name, found.get(name, "")) for name in needs}
    return phrase(f"why.not_higher.{code}", **params)


def _evidence_table(evidence: Fields) -> Block:
    model = evidence["model"]
    shock = None if model["var_shock"] is None else max(model["var_shock"], 0.0) ** 0.5
    bounds = [model["var_shock_lower"], model["var_shock_upper"]]
    shock_interval = None if None in bounds else [bound**0.5 for bound in bounds]
    interval = None if evidence["ci_lower"] is None else typed([evidence["ci_lower"], evidence["ci_upper"]], "interval_gap")
    lines: list[tuple[str, Any]] = [
        ("periods", phrase("why.evidence.periods", n=evidence["n_periods"], first=evidence["first"], last=evidence["last"])),
        ("slope", typed(evidence["slope"], "gap")),
        ("slope_interval", interval),
        ("run", typed(evidence["run_declines"], "count")),
        ("p", _small(evidence["p_value"])),
        ("q", phrase("why.evidence.q", q=_small(evidence["q_value"]), n=evidence["family_size"] or 0)),
        ("holm", _small(evidence["holm_p"])),
        ("min_detectable", None if evidence["min_detectable"] is None else typed(evidence["min_detectable"], "number2")),
        ("shock", None if shock is None else phrase(
            "why.evidence.shock", sd=typed(shock, "number2"),
            interval=phrase("why.evidence.no_interval") if shock_interval is None else typed(shock_interval, "interval_number2"),
            rho=typed(model["shock_correlation"], "number1"), source=phrase(f"why.rho.{model['correlation_source']}"),
        )),
        ("units", phrase("why.evidence.units", n=model["n_units"], periods=model["n_periods"])),
    ]  # fmt: skip
    if evidence["drop_q"] is not None:
        lines.append(("drop", phrase("why.evidence.drop", drop=typed(evidence["drop"], "gap"), q=_small(evidence["drop_q"]))))
    if evidence["stagnation"] is not None:
        lines.append(("stagnation", phrase(f"declines.stagnation.{evidence['stagnation']}")))
    rows = [row([phrase(f"why.figure_of.{name}"), said]) for name, said in lines if said is not None]
    columns = [column("what", phrase("why.column.what"), "words"), column("value", phrase("why.column.value"), "words")]
    return table("evidence", phrase("why.table.evidence"), columns, rows)


def _small(value: float | None) -> Any:
    """Return a probability so that a small one does not look like zero."""
    if value is None:
        return phrase("bulletin.cell.nothing")
    return phrase("why.below_thousandth") if value < 0.0005 else typed(value, "number3")


def _peers(fields: Fields, words: Words) -> list[Block]:
    peers, group = fields["peers"], fields["rule"]["peer_group"]
    blocks: list[Block] = []
    if peers["n_units"]:
        blocks.append(
            paragraph(
                phrase("why.peers.counted", family=words.family(peers["family"]), n=peers["n_units"], counted=peers["n_counted"])
            )
        )
        if group is not None:
            blocks.append(note(phrase("why.peers.bounds", units=group["min_units"], pupils=group["min_pupils"])))
    else:
        blocks.append(paragraph(phrase("why.peers.none")))
    if len(peers["not_counted"]) > _LISTED:
        blocks.append(_not_counted_by_reason(peers["not_counted"], words))
    elif peers["not_counted"]:
        rows = [
            row(
                [
                    phrase("why.unit.school", name=one["name"], unit=one["unit"]) if one["name"] else one["unit"],
                    phrase("why.few") if one["n"] is None else one["n"],
                    words.reason(one["reason"]),
                ]
            )
            for one in peers["not_counted"]
        ]
        columns = [
            column("unit", phrase("why.column.unit"), "words"),
            column("n", phrase("why.column.n"), "count"),
            column("reason", phrase("why.column.reason"), "words"),
        ]
        blocks.append(table("not_counted", phrase("why.table.not_counted"), columns, rows))
    return blocks


def _not_counted_by_reason(units: list[Fields], words: Words) -> Block:
    """Return how many units are not counted, by reason, where they are too many to list."""
    counts: dict[str, int] = {}
    for one in units:
        counts[one["reason"] or ""] = counts.get(one["reason"] or "", 0) + 1
    rows = [row([words.reason(reason or None), n]) for reason, n in sorted(counts.items())]
    columns = [column("reason", phrase("why.column.reason"), "words"), column("units", phrase("why.column.units"), "count")]
    return table("not_counted", phrase("why.table.not_counted"), columns, rows)


def _steps(fields: Fields, words: Words) -> list[Block]:
    blocks: list[Block] = []
    if fields["tenure"]:
        rows = [
            row([
                one["period"], phrase("why.tenure.span", first=typed(one["first"], "date"), last=typed(one["last"], "date"))
                if one["last"] else phrase("why.tenure.no_exam"),
                one["head_id"] or phrase("why.tenure.several"), phrase(f"why.yes_no.{'yes' if one['held'] else 'no'}"),
            ])
            for one in fields["tenure"]
        ]  # fmt: skip
        columns = [column(name, phrase(f"why.column.{name}"), "words") for name in ("period", "span", "head", "same_head")]
        blocks.append(table("tenure", phrase("why.table.tenure"), columns, rows, [phrase("why.note.tenure")]))
    elif fields["rule"]["subject"] != "head":
        blocks.append(paragraph(phrase("why.tenure.not_a_head")))
    else:
        blocks.append(paragraph(phrase("why.tenure.unknown")))
    if fields["steps"]:
        said = [
            phrase(
                "why.steps.decided" if one["decision"] else "why.steps.met", rule=words.rule(one["rule"]), period=one["period"],
                decision=phrase(f"decided.{one['decision']}") if one["decision"] else "",
            )
            for one in fields["steps"]
        ]  # fmt: skip
        blocks += [paragraph(phrase("why.steps.list")), items(said)]
    else:
        blocks.append(paragraph(phrase("why.steps.none")))
    blocks.append(_decisions(fields, words))
    ends = fields["rule"]["exit"]
    if ends is None:
        blocks.append(note(phrase("why.exit.none")))
    else:
        state = fields["verdict"]["exit_state"]
        if state is None and any(one["proposes"] and one["clause_result"] == "met" for one in fields["verdict"]["readings"]):
            state = "in_step"  # a rule about one exam or target has no course over the years
        known = phrase(f"exit_states.{state}") if state else phrase("why.exit.never")
        blocks.append(note(phrase("why.exit.stated", years=ends["after_years"], state=known)))
    return blocks


def _decisions(fields: Fields, words: Words) -> Block:
    """Return what named persons decided on steps of the same ladder."""
    if not fields["decisions"]:
        return paragraph(phrase("why.decisions.none"))
    said = [
        phrase(
            "why.decisions.one", rule=words.rule(one["rule_id"]), as_of=typed(one["as_of"], "date"),
            decision=phrase(f"decided.{one['decision']}"), by=one["decided_by"] or "", on=typed(one["decided_on"], "date"),
            reason=one["reason"] or "",
        )
        for one in fields["decisions"]
    ]  # fmt: skip
    return items(said)
