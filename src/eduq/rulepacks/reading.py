"""Reads a rule pack: strictly, with every error named, and never in force before its text is."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError

from eduq.errors import Place, SettingsError
from eduq.locale import LANGUAGES, Lang, has_text, text
from eduq.registers import PackStatement
from eduq.rulepacks.catalogue import PACK_FILE, Clauses, find_pack, read_clauses
from eduq.rulepacks.model import Citation, Effect, PackFile, PackTexts, Rule, RulePack
from eduq.rulepacks.outward_words import OUTWARD_FILE
from eduq.rulepacks.parameters import apply_parameters
from eduq.rulepacks.parts import EvidenceBounds
from eduq.settings import StrictModel

__all__ = ["PackSource", "load_rulepack", "parse_rulepack", "read_yaml", "resolve_rulepack"]


class Problem(NamedTuple):
    """One thing wrong in a pack: the file inside it, the key, and the sentence ``pack_errors.<code>`` with its values."""

    file: str
    key: str
    code: str
    values: dict[str, object]

    def line(self, lang: Lang) -> str:
        """Return it as one line of an error message."""
        said = text(self.code, lang, **self.values) if "." in self.code else text(f"pack_errors.{self.code}", lang, **self.values)
        return text("pack_errors.line", lang, file=self.file, key=self.key or "-", said=said)


Model = TypeVar("Model", bound=StrictModel)
MAX_YAML_BYTES = 256 * 1024
"""A rule or its cases take a few kilobytes; the reader is slow, and a file of megabytes is something else."""


def read_yaml(content: bytes, name: str) -> Any:
    """Return what a YAML 1.2 file says; ``no`` and ``on`` stay words.

    Raises
    ------
    SettingsError
        ``yaml_syntax``: not UTF-8, not YAML, or a key given twice; names the line. ``pack_file_too_large``.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    if len(content) > MAX_YAML_BYTES:
        raise SettingsError("pack_file_too_large", Place(file=name), size=len(content) // 1024, limit=MAX_YAML_BYTES // 1024)
    reader = YAML(typ="safe", pure=True)
    reader.allow_duplicate_keys = False
    try:
        return reader.load(content.decode("utf-8-sig"))
    except MarkedYAMLError as error:
        mark = error.problem_mark
        said = str(error.problem).splitlines()[0]
        raise SettingsError("yaml_syntax", Place(file=name, row=mark.line + 1 if mark else None), said=said) from None
    except (YAMLError, ValueError) as error:  # not UTF-8, or a day that no calendar has
        raise SettingsError("yaml_syntax", Place(file=name), said=str(error).splitlines()[0]) from None
    except RecursionError:
        raise SettingsError("yaml_syntax", Place(file=name), said="nested too deeply") from None


def _validate(model: type[Model], raw: Any, file: str, problems: list[Problem]) -> Model | None:
    """Check one file against its form, adding every complaint to the list."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        for item in error.errors():
            key = f"settings_errors.{item['type']}"
            code = key if has_text(key) else "settings_errors.other"
            place = ".".join(str(part) for part in _plain_path(item["loc"], raw))
            problems.append(Problem(file, place, code, dict(item.get("ctx", {})) if code == key else {}))
    return None


def _plain_path(loc: tuple[int | str, ...], raw: Any) -> Iterator[int | str]:
    """Leave out of a path the names that pydantic adds for kinds of conditions."""
    node = raw
    for place, part in enumerate(loc):
        named = isinstance(node, dict) and part in node
        counted = isinstance(node, list | tuple) and isinstance(part, int) and part < len(node)
        if named or counted:
            node = node[part]
        elif place + 1 < len(loc):
            continue
        yield part


class PackSource(NamedTuple):
    """The files of a pack, parsed: its own file, rules as written by file name, words, hashes, and the quotations it may use."""

    folder: Path
    pack: PackFile
    rules: dict[str, dict[str, Any]]
    texts: dict[Lang, PackTexts]
    hashes: dict[str, str]
    clauses: Clauses


def parse_rulepack(name_or_path: str | os.PathLike[str]) -> PackSource:
    """Read the files of a pack and check their form; for the errors see `load_rulepack`."""
    folder = find_pack(name_or_path)
    problems: list[Problem] = []
    hashes: dict[str, str] = {}

    def content(path: Path) -> bytes:
        read = path.read_bytes()
        hashes[path.relative_to(folder).as_posix()] = hashlib.sha256(read.replace(b"\r\n", b"\n")).hexdigest()
        return read

    problems += _strays(folder)
    said = _validate(PackFile, read_yaml(content(folder / PACK_FILE), PACK_FILE), PACK_FILE, problems)
    rules: dict[str, dict[str, Any]] = {}
    for path in sorted(path for path in (folder / "rules").glob("*.yaml") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        raw = read_yaml(content(path), name)
        if isinstance(raw, dict) and "citations" in raw:
            problems.append(Problem(name, "citations", "settings_errors.extra_forbidden", {}))
        elif _validate(Rule, raw, name, problems) is not None:
            rules[name] = raw
    texts: dict[Lang, PackTexts] = {}
    for lang, file in LANGUAGES.items():
        path = folder / "text" / file
        if not path.is_file():
            problems.append(Problem(f"text/{file}", "", "text_file_missing", {}))
            continue
        try:
            raw = tomllib.loads(content(path).decode("utf-8-sig"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError("settings_syntax", Place(file=f"text/{file}"), said=str(error)) from None
        words = _validate(PackTexts, raw, f"text/{file}", problems)
        if words is not None:
            texts[lang] = words
    if (folder / "clauses.toml").is_file():
        content(folder / "clauses.toml")
    if said is not None and not problems:
        problems += _cross_check(said, rules, texts)
    if said is None or problems:
        raise _refusal(folder, problems)
    return PackSource(folder, said, rules, texts, dict(sorted(hashes.items())), read_clauses(folder))


_PARTS = {PACK_FILE, OUTWARD_FILE, "clauses.toml", "rules", "text", "cases"}


def _strays(folder: Path) -> Iterator[Problem]:
    """Name files that nobody would read: a misspelt name must not drop a rule silently."""
    for path in sorted(folder.iterdir()):
        if path.name not in _PARTS and path.suffix != ".md" and not path.name.startswith("."):
            yield Problem(path.name, "", "stray_part", {"known": ", ".join(sorted(_PARTS))})
    for part in ("rules", "cases"):
        for path in sorted((folder / part).glob("*")):
            if (path.suffix != ".yaml" or not path.is_file()) and not path.name.startswith("."):
                yield Problem(f"{part}/{path.name}", "", "stray_file", {})
    for path in sorted((folder / "text").glob("*")):
        if path.name not in LANGUAGES.values() and not path.name.startswith("."):
            yield Problem(f"text/{path.name}", "", "stray_part", {"known": ", ".join(sorted(LANGUAGES.values()))})


def _cross_check(pack: PackFile, rules: dict[str, dict[str, Any]], texts: dict[Lang, PackTexts]) -> Iterator[Problem]:
    """Name what the files of a pack say against each other."""
    seen: dict[str, str] = {}
    if not rules:
        yield Problem("rules/", "", "no_rules", {})
    yield from _dates(PACK_FILE, {"effect": pack.effect.model_dump(by_alias=True), "bounds": _dated(pack.bounds)})
    for name, raw in rules.items():
        rule_id = str(raw["id"])
        if rule_id in seen:
            yield Problem(name, "id", "id_twice", {"id": rule_id, "other": seen[rule_id]})
        seen[rule_id] = name
        yield from _dates(name, raw)
        if not rule_id.startswith(f"{pack.id}."):
            yield Problem(name, "id", "id_prefix", {"id": rule_id, "pack": pack.id})
    for lang, words in texts.items():
        for rule_id in sorted(set(seen) ^ set(words.rules)):
            code = "text_missing" if rule_id in seen else "text_unused"
            yield Problem(f"text/{LANGUAGES[lang]}", f"rules.{rule_id}", code, {"id": rule_id})


def _dated(bounds: tuple[EvidenceBounds, ...]) -> list[dict[str, Any]]:
    return [{"from": line.from_} for line in bounds]


def _dates(file: str, raw: dict[str, Any]) -> Iterator[Problem]:
    """Name an end before its beginning, and two values for one and the same day."""
    effect = raw.get("effect") or {}
    first, last = effect.get("from"), effect.get("to")
    if first is not None and last is not None and last < first:
        yield Problem(file, "effect", "dates_reversed", {"first": first, "last": last})
    lists = {"bounds": raw.get("bounds")}
    lists |= {f"parameters.{name}.values": said.get("values") for name, said in (raw.get("parameters") or {}).items()}
    for key, lines in lists.items():
        days = [line.get("from") for line in lines or ()]
        for day in sorted({str(day) for day in days if days.count(day) > 1}):
            yield Problem(file, key, "dates_twice", {"day": "null" if day == "None" else day})


def _refusal(folder: Path, problems: list[Problem]) -> SettingsError:
    return SettingsError(
        "pack_invalid",
        Place(file=folder.name),
        n=len(problems),
        zh="\n".join(problem.line("zh") for problem in problems),
        en="\n".join(problem.line("en") for problem in problems),
    )


def _cite(rule: Rule, source: PackSource, file: str, problems: list[Problem]) -> tuple[Citation, ...]:
    """Give a rule its quotations; a rule without any source is an error."""
    found: list[Citation] = []
    pack = source.pack
    for clause in rule.clause:
        lines = source.clauses.citations(clause, pack.document or "")
        if not lines:
            problems.append(Problem(file, "clause", "clause_unknown", {"clause": clause, "document": pack.document or "-"}))
        found += lines
    documents = source.clauses.documents | pack.documents
    for place, line in enumerate(rule.source):
        said = documents.get(line.document)
        if said is None:
            problems.append(Problem(file, f"source.{place}.document", "document_unknown", {"document": line.document}))
            continue
        found.append(
            Citation(
                clause=None,
                document=line.document,
                title=said.title,
                number=said.number,
                date=said.date,
                article=line.article,
                point=line.point,
            )
        )
    if not rule.clause and not rule.source:
        problems.append(Problem(file, "clause", "uncited", {}))
    return tuple(found)


def load_rulepack(
    name_or_path: str | os.PathLike[str],
    *,
    as_of: dt.date | None,
    statements: Mapping[str, PackStatement] | None = None,
) -> RulePack:
    """Return a rule pack as it stands on a day.

    Parameters
    ----------
    name_or_path
        Name of a pack under ``EDUQ_RULES`` or of a shipped one, or the path of a pack's folder.
    as_of
        The day whose values count. None: only to be looked at; such a pack is in force on no day unless its text says so.
    statements
        What the bureau stated of packs (``registers/packs.toml``), by pack id.

    Raises
    ------
    SettingsError
        ``pack_unknown``, ``pack_missing``, ``yaml_syntax``, ``settings_syntax``; ``pack_invalid`` (lists every error with file
        and key); ``pack_effect_unstated`` (the text hides its year, so a bureau must say from when it is in force);
        ``pack_statement_invalid`` (a stated value that no rule has, that the text itself gives, or that is out of bounds).

    Examples
    --------
    >>> pack = load_rulepack("ezhou", as_of=None)
    >>> rule = pack.rule("ezhou.head.yellow")
    >>> rule.citations[0].quote
    '对教育质量连续两年下滑和居末位的校长给予黄牌警告'
    """
    return resolve_rulepack(parse_rulepack(name_or_path), as_of=as_of, statements=statements)


def resolve_rulepack(
    source: PackSource, *, as_of: dt.date | None, statements: Mapping[str, PackStatement] | None = None
) -> RulePack:
    """Put dated and stated values into a parsed pack; arguments and errors as in `load_rulepack`."""
    pack = source.pack
    stated = (statements or {}).get(pack.id)
    values = stated.parameters if stated is not None else {}
    known = {str(raw["id"]) for raw in source.rules.values()}
    problems: list[Problem] = []
    told = [
        Problem("packs.toml", f"{pack.id}.parameters.{rule_id}", "rule_unknown", {"id": rule_id})
        for rule_id in sorted(set(values) - known)
    ]
    rules = []
    for file, raw in source.rules.items():
        own = values.get(str(raw["id"]), {})
        resolved, complaints = apply_parameters(raw, values=own, as_of=as_of)
        for key, code, params in complaints:
            of_statement = code in ("parameter_unknown", "parameter_of_text")
            (told if of_statement else problems).append(Problem("packs.toml" if of_statement else file, key, code, params))
        rule = _validate(Rule, resolved, "packs.toml" if own else file, told if own else problems)
        if rule is not None:
            cited = _cite(rule, source, file, problems)
            rules.append(rule.model_copy(update={"citations": cited, "bounds": rule.bounds or pack.bounds}))
    if problems:
        raise _refusal(source.folder, problems)
    if told:
        raise SettingsError(
            "pack_statement_invalid",
            Place(file="packs.toml"),
            pack=pack.id,
            zh="\n".join(problem.line("zh") for problem in told),
            en="\n".join(problem.line("en") for problem in told),
        )
    effective = _effect(pack, stated)
    if as_of is not None and effective.from_ is None and any(rule.effect.from_ is None for rule in rules):
        raise SettingsError("pack_effect_unstated", pack=pack.id)
    rules.sort(key=lambda rule: rule.id)
    said = _stated_values(stated)
    return RulePack(
        id=pack.id,
        version=_version(source.hashes, rules, said),
        rules=tuple(rules),
        texts=source.texts,
        effective=effective,
        as_of=as_of,
        stated=said,
        file_hashes=source.hashes,
        measures=pack.measures,
        folder=source.folder,
    )


def _effect(pack: PackFile, stated: PackStatement | None) -> Effect:
    """What the bureau stated goes before what the text says."""
    first = stated.effective_from if stated is not None and stated.effective_from else pack.effect.from_
    last = stated.effective_to if stated is not None and stated.effective_to else pack.effect.to
    return Effect.model_validate({"from": first, "to": last})


def _stated_values(stated: PackStatement | None) -> dict[str, Any]:
    if stated is None:
        return {}
    dumped: dict[str, Any] = stated.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return dumped


def _version(hashes: dict[str, str], rules: list[Rule], stated: dict[str, Any]) -> str:
    """Return 16 hex digits of everything a verdict can depend on, whatever the day."""
    quotes = {rule.id: [line.model_dump(mode="json") for line in rule.citations] for rule in rules}
    whole = json.dumps({"files": hashes, "quotes": quotes, "stated": stated}, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()[:16]
