"""The result of a stress run: frames, and one plain sentence for each of its figures."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from html import escape
from pathlib import Path
from typing import Any

import polars as pl

from eduq.errors import UsageError
from eduq.locale import Lang, current_language, text
from eduq.rulepacks.model import RulePack

__all__ = ["StressResult"]

_READINGS = ("narrow", "wide")


@dataclass(frozen=True)
class StressResult:
    """False proposals and power of a rule pack in simulated counties.

    Attributes
    ----------
    rates
        `eduq.rulepacks.simulation.frames.RATES`: false proposals a year by rule, reading and gate, in the judged year.
    years
        The same for the literal clause in each simulated year.
    ladder, per_school, power, edits, county, not_simulated
        Frames of the same module, by upper-case name.
    pack
        The pack, with the values in force.
    settings
        Everything the figures depend on: pack and version, as_of, archive_version, worlds, seed, declines.
    """

    rates: pl.DataFrame
    years: pl.DataFrame
    ladder: pl.DataFrame
    per_school: pl.DataFrame
    power: pl.DataFrame
    edits: pl.DataFrame
    county: pl.DataFrame
    not_simulated: pl.DataFrame
    pack: RulePack
    settings: dict[str, Any]

    @property
    def frame(self) -> pl.DataFrame:
        """The false proposals a year, `rates`."""
        return self.rates

    def frames(self) -> dict[str, pl.DataFrame]:
        """Return every frame by name."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in found.items() if isinstance(value, pl.DataFrame)}

    def summary(self) -> str:
        """Return one line: rules, worlds and schools."""
        return (
            f"{self.rates['rule_id'].n_unique()} rules of {self.settings['pack']} in {self.settings['worlds']} worlds "
            f"({self.settings['evidence_worlds']} graded, seed {self.settings['seed']}) of {int(self.county['n_series'].sum())} "
            f"series in {self.county.height} families; {self.not_simulated.height} rules not simulated"
        )

    def __repr__(self) -> str:
        """Say what there is without a row of it."""
        return f"StressResult({self.summary()})"

    def _repr_html_(self) -> str:
        said = "".join(f"<li>{escape(line)}</li>" for line in self.sentences())
        return f"<p>{escape(self.summary())}</p><ul>{said}</ul>{self.rates._repr_html_()}"

    def rule_ids(self) -> list[str]:
        """Return the simulated rules, ladders from the mildest step up."""
        rules = [self.pack.rule(name) for name in self.rates["rule_id"].unique().sort()]
        known = [rule for rule in rules if rule is not None]
        return [
            rule.id
            for rule in sorted(known, key=lambda rule: (rule.ladder.name, rule.ladder.step) if rule.ladder else (rule.id, 0))
        ]

    def sentences(self, lang: Lang | None = None) -> list[str]:
        """Return what was found in plain sentences: per rule and reading its false proposals, its power, its cheapest edit."""
        chosen = lang or current_language()
        return [
            line for rule_id in self.rule_ids() for reading in _READINGS for line in self.rule_sentences(rule_id, reading, chosen)
        ]

    def rule_sentences(self, rule_id: str, reading: str, lang: Lang) -> Iterator[str]:
        """Give the sentences of one rule under one reading."""
        rule = self.pack.rule(rule_id)
        if rule is None:
            return
        rates = {row["gate"]: row for row in self.rates.filter(rule_id=rule_id, reading=reading).iter_rows(named=True)}
        if "literal" not in rates:
            return
        shared = {
            "rule": self.pack.name_of(rule, lang),
            "reading": text(f"readings.{reading}", lang),
            "unit": text(f"verdict_units.{'teacher' if rule.subject == 'teacher' else 'school'}", lang),
        }
        literal = rates["literal"]
        yield text(
            "stress.sentence.rate", lang, **shared, cards=describe_cards(literal, lang), chance=_percent(literal["p_any"]),
            n=literal["n_units"],
        )  # fmt: skip
        if "B" in rates:
            yield text("stress.sentence.gates", lang, b=describe_cards(rates["B"], lang), a=describe_cards(rates["A"], lang))
        yield from self._power_sentence(rule_id, reading, lang)
        yield from self._edit_sentence(rule_id, reading, lang)

    def _power_sentence(self, rule_id: str, reading: str, lang: Lang) -> Iterator[str]:
        reference = self.settings["reference"]
        if reference is None:
            return
        rows = self.power.filter(
            rule_id=rule_id, reading=reading, decline=reference["decline"], placed=reference["placed"], unit=reference["unit"]
        )
        found = {row["gate"]: _percent(row["power"]) for row in rows.iter_rows(named=True)}
        if not found:
            return
        key = "power_gates" if "B" in found else "power"
        known = {"literal": found["literal"], "b": found.get("B", ""), "a": found.get("A", "")}
        params = known if key == "power_gates" else {"literal": found["literal"]}
        yield text(f"stress.sentence.{key}", lang, decline=f"{-reference['decline']:.2f}", **params)

    def _edit_sentence(self, rule_id: str, reading: str, lang: Lang) -> Iterator[str]:
        rows = self.edits.filter(rule_id=rule_id, reading=reading).to_dicts()
        if len(rows) < 2 or rows[0]["false_cards"] == 0 or rows[0]["power"] is None:
            return
        best = next((row for row in rows if row["halves"]), None)
        if best is None:
            yield text("stress.sentence.no_edit", lang)
            return
        yield text(
            "stress.sentence.edit",
            lang,
            edit=describe_edit(best, lang),
            before=_number(rows[0]["false_cards"]),
            after=_number(best["false_cards"]),
            power_before=_percent(rows[0]["power"]),
            power_after=_percent(best["power"]),
        )

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the result and return the path.

        A name with ``.json`` takes everything, ``.parquet`` and ``.csv`` the rates; a name without suffix is a folder that gets
        one parquet file per frame and stress.json.

        Raises
        ------
        UsageError
            ``format_unknown``: another suffix.
        """
        target = Path(path)
        if target.suffix == "":
            target.mkdir(parents=True, exist_ok=True)
            for name, frame in self.frames().items():
                _replace(target / f"{name}.parquet", frame)
            _replace(target / "stress.json", self.to_json() + "\n")
        elif target.suffix == ".json":
            _replace(target, self.to_json() + "\n")
        elif target.suffix in (".parquet", ".csv"):
            _replace(target, self.rates)
        else:
            raise UsageError("format_unknown", format=target.suffix, known=".json, .parquet, .csv")
        return target

    def to_json(self) -> str:
        """Return settings, frames and sentences as JSON (schema eduq-stress-1): the same run, the same text."""
        import json

        settings = {name: value.isoformat() if isinstance(value, dt.date) else value for name, value in self.settings.items()}
        body = {
            "schema": "eduq-stress-1",
            "settings": settings,
            **{name: _rounded(frame).to_dicts() for name, frame in self.frames().items()},
            "sentences": {"zh": self.sentences("zh"), "en": self.sentences("en")},
        }
        return json.dumps(body, ensure_ascii=False, indent=2)


def _rounded(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col(pl.Float64).round(8))


def _replace(target: Path, content: pl.DataFrame | str) -> None:
    """Write a file whole or not at all."""
    part = target.with_name(f".{target.name}.part")
    if isinstance(content, str):
        part.write_text(content, encoding="utf-8")
    elif target.suffix == ".csv":
        content.write_csv(part, include_bom=True)
    else:
        content.write_parquet(part)
    part.replace(target)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%" if share >= 0.095 or share == 0 else f"{100 * share:.1f}%"


def _number(value: float) -> str:
    return f"{value:.1f}" if value >= 0.95 else f"{value:.2f}" if value >= 0.095 else f"{value:.3f}"


def describe_cards(row: Mapping[str, Any], lang: Lang) -> str:
    """Return how many false proposals a year, and when that is few, one in how many years; none seen is a bound, not zero."""
    value = float(row["cards_per_year"])
    if value == 0:
        return text("stress.cards.none", lang, bound=_number(3 / row["worlds"]), worlds=row["worlds"])
    if value >= 0.5:
        return text("stress.cards.many", lang, n=_number(value))
    return text("stress.cards.few", lang, n=_number(value), years=f"{1 / value:.0f}")


def describe_edit(row: Mapping[str, Any], lang: Lang) -> str:
    """Return an edit in words, with its number."""
    value = row["value"]
    shown = "" if value is None else f"{100 * value:.0f}%" if row["edit"] == "bottom_share" else f"{value:g}"
    return text(f"stress.edit.{row['edit']}", lang, value=shown)
