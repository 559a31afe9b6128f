"""The chain behind a verdict as plain values: what a dossier and ``eduq why --format json`` are written from."""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Mapping
from typing import Any

import polars as pl

from eduq.locale import LANGUAGES
from eduq.rulepacks.definitions import DIMENSIONS
from eduq.rulepacks.trace import Explanation

__all__ = ["WHY_SCHEMA", "chain_fields"]

WHY_SCHEMA = "eduq.why/1"
_DIGITS = 10
"""Significant digits of a number: what lies beyond is the machine's."""
_CONFIDENCE = 0.95
_QUANTILE = 1.959963984540054

_VERDICT = (
    "reading",
    "clause_result",
    "reason",
    "proposal",
    "only_wide",
    "needs_decision",
    "decision",
    "decided_by",
    "decided_on",
)
_FACTS = (
    "measure", "period", "exam_id", "exam_date", "comparison_group", "n_expected", "n", "estimate", "std_error", "change", "rank",
    "from_bottom", "n_units", "p_last", "could_be_last", "counted", "held", "read", "reason", "target",
)  # fmt: skip
_DECISIONS = (
    "rule_id",
    "reading",
    "year_group",
    "subject",
    "as_of",
    "proposal",
    "decision",
    "decided_by",
    "decided_on",
    "reason",
)


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it, floats cut to the digits that are meant."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") + 0.0
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def _numbers(found: Explanation) -> list[dict[str, Any]]:
    """Return the numbers per year, each with its interval."""
    rows = []
    for line in found.frame.select(_FACTS).iter_rows(named=True):
        half = None if line["estimate"] is None or line["std_error"] is None else _QUANTILE * line["std_error"]
        rows.append(
            line
            | {
                "ci_lower": None if half is None else line["estimate"] - half,
                "ci_upper": None if half is None else line["estimate"] + half,
                "conf_level": None if half is None else _CONFIDENCE,
            }
        )
    return rows


def _conditions(found: Explanation) -> list[dict[str, Any]]:
    """Return every condition with its numbers and, where there is a verdict, its result."""
    results = {row["condition"]: row for row in found.conditions.iter_rows(named=True)}
    rows = []
    for number, condition in enumerate(found.rule.walk()):
        values = condition.model_dump(mode="json", exclude={"kind"})
        result = results.get(number, {})
        rows.append(
            {
                "condition": number,
                "kind": condition.kind,
                "values": {name: value for name, value in values.items() if value not in (None, [], ())},
                "open": sorted(place for place in found.rule.missing_parameters() if _is_of(place, number, found)),
                "clause_result": result.get("clause_result"),
                "reason": result.get("reason"),
            }
        )
    return rows


def _is_of(place: str, number: int, found: Explanation) -> bool:
    """Tell whether a place without number belongs to a condition (only rules without nested conditions say so exactly)."""
    flat = all(hasattr(node, "kind") for node in found.rule.conditions)
    return not flat or place.startswith(f"conditions.{number}.")


def _clause(found: Explanation) -> dict[str, Any]:
    rule, pack = found.rule, found.pack
    effect = pack.effect_of(rule)
    return {
        "rule": rule.id,
        "pack": pack.id,
        "texts": {
            lang: {
                "pack": pack.texts[lang].title,
                "name": pack.texts[lang].rules[rule.id].name,
                "asks": pack.texts[lang].rules[rule.id].asks,
                "decide": pack.texts[lang].rules[rule.id].decide,
            }
            for lang in LANGUAGES
        },
        "citations": [citation.model_dump(mode="json") for citation in rule.citations],
        "ladder": [
            {"rule": step.id, "names": {lang: pack.name_of(step, lang) for lang in LANGUAGES}}
            for step in (pack.ladder(rule.ladder.name) if rule.ladder else ())
        ],
        "in_force_from": effect.from_,
        "in_force_to": effect.to,
        "stated": bool(pack.stated),
    }


def _rule(found: Explanation) -> dict[str, Any]:
    rule = found.rule
    kept = rule.model_dump(
        mode="json", by_alias=True,
        include={"subject", "measure", "subjects", "year_groups", "term", "peer_group", "readings", "gaps", "exit", "proposal",
                 "addressed", "person_decides", "ladder", "parameters"},
    )  # fmt: skip
    return kept | {"missing_parameters": list(rule.missing_parameters())}


def _peers(found: Explanation) -> dict[str, Any]:
    frame = found.peers
    family = found.verdicts["family"][0] if found.verdicts.height else None
    return {
        "family": family,
        "n_units": frame.height,
        "n_counted": int(frame["counted"].sum()) if frame.height else 0,
        "not_counted": frame.filter(~pl.col("counted")).select("unit", "name", "n", "reason").to_dicts(),
    }


def _exams(found: Explanation) -> list[dict[str, Any]]:
    rows = []
    for exam in found.exams.iter_rows(named=True):
        files = []
        for file in found.files.filter(pl.col("exam_id") == exam["exam_id"]).drop("exam_id").iter_rows(named=True):
            here = (pl.col("exam_id") == exam["exam_id"]) & (pl.col("file") == file["file"])
            files.append(file | {"rejected_by": found.rejected.filter(here).select("code", "n").to_dicts()})
        rows.append(exam | {"files": files})
    return rows


def _definitions(found: Explanation) -> dict[str, Any] | None:
    share = found.definitions
    if share is None:
        return None
    ranks = share.frame["rank"].drop_nulls()
    bottom = share.frame["from_bottom"].drop_nulls()
    return {
        "n": share.n,
        "choices": {name: list(share.choices[name]) for name in DIMENSIONS},
        "base": dict(share.base),
        "same": {name: share.count_same(name) for name in ("narrow", "wide", "evidence_grade")},
        "rank": [ranks.min(), ranks.max()] if len(ranks) else None,
        "from_bottom": [bottom.min(), bottom.max()] if len(bottom) else None,
        "results": {
            column: [
                {"result": result, "n": n}
                for result, n in share.frame.group_by(column).len().sort(column, nulls_last=True).iter_rows()
            ]
            for column in ("narrow", "wide", "evidence_grade")
        },
        "list": share.frame.drop("estimate").to_dicts(),
        "is": "sensitivity",
    }


def _missing(found: Explanation) -> list[dict[str, Any]]:
    """Return what is missing: numbers that nobody has set, and years or conditions that cannot be assessed."""
    rows: list[dict[str, Any]] = [{"what": "parameter", "place": place} for place in found.rule.missing_parameters()]
    if found.no_verdict is not None:
        rows.append({"what": "no_verdict", "reason": found.no_verdict})
    years = found.frame.filter(pl.col("read") & pl.col("reason").is_not_null())
    rows += [{"what": "year", "period": line["period"], "reason": line["reason"]} for line in years.iter_rows(named=True)]
    open_ = found.conditions.filter(pl.col("clause_result") == "not_assessable")
    rows += [
        {"what": "condition", "condition": line["condition"], "reason": line["reason"]} for line in open_.iter_rows(named=True)
    ]
    if found.rule.addressed.appeal_days is None:
        rows.append({"what": "appeal_days"})
    return rows


def repeat_command(found: Explanation) -> str:
    """Return the command that gives the same explanation again."""
    asked = found.settings
    line = found.verdicts.row(0, named=True) if found.verdicts.height else {}
    words = ["eduq", "why", asked["unit"], "--archive", asked["archive"] or "ARCHIVE"]
    if asked["archive_version"] is not None:
        words += ["--archive-version", str(asked["archive_version"])]
    words += ["--rule", asked["rule"], "--as-of", str(asked["as_of"])]
    if asked["named_pack"] is not None:
        words += ["--pack", asked["named_pack"]]
    for name in ("year_group", "subject"):
        if line.get(name):
            words += [f"--{name.replace('_', '-')}", line[name]]
    return " ".join(shlex.quote(word) for word in words)


def chain_fields(found: Explanation) -> dict[str, Any]:
    """Return the whole chain as plain values (schema ``eduq.why/1``, docs/reference/why-schema.json).

    Parameters
    ----------
    found
        An explanation whose small numbers are already withheld.

    Returns
    -------
    dict
        Keys in one order, floats with ten significant digits, dates as ISO text: the same explanation, the same values.
    """
    asked = found.settings
    line = found.verdicts.row(0, named=True) if found.verdicts.height else {}
    proposes = found.rule.readings.proposes
    fields = {
        "schema": WHY_SCHEMA,
        "asked": {name: asked[name] for name in ("unit", "rule", "pack", "as_of")}
        | {"year_group": line.get("year_group"), "subject": line.get("subject"), "target_id": line.get("target_id")},
        "unit": {
            "unit_type": line.get("unit_type") or found.rule.subject,
            "name": line.get("unit_name"),
            "school_id": line.get("school_id"),
            "head_id": line.get("head_id"),
            "teacher_id": line.get("teacher_id"),
        },
        "clause": _clause(found),
        "rule": _rule(found),
        "verdict": {
            "no_verdict": found.no_verdict,
            "readings": [
                {name: row[name] for name in _VERDICT} | {"proposes": row["reading"] == proposes}
                for row in found.verdicts.iter_rows(named=True)
            ],
            "period_first": line.get("period_first"),
            "period_last": line.get("period_last"),
            "exit_state": line.get("exit_state"),
            "barred_by": line.get("barred_by"),
        },
        "others": found.others.select(
            "year_group", "subject", "target_id", "reading", "clause_result", "reason", "evidence_grade"
        ).to_dicts(),
        "conditions": _conditions(found),
        "numbers": _numbers(found),
        "evidence": found.evidence,
        "peers": _peers(found),
        "exams": _exams(found),
        "tenure": found.tenure.to_dicts(),
        "steps": [
            dict(
                zip(
                    ("rule", "period", "decision"),
                    (*step.split("@", 1)[:1], *step.split("@", 1)[1].partition("=")[::2]),
                    strict=True,
                )
            )
            for step in (line.get("earlier_steps") or "").split(";")
            if "@" in step
        ],
        "decisions": found.decisions.select(_DECISIONS).to_dicts(),
        "changes": found.changes.to_dicts(),
        "definitions": _definitions(found),
        "missing": _missing(found),
        "source": {
            name: asked[name] for name in ("archive", "archive_version", "schema_version", "code_version", "pack_version")
        },
        "repeat": repeat_command(found),
    }
    return plain(fields)  # type: ignore[no-any-return]
