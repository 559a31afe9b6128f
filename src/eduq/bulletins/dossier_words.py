"""Words of a dossier that depend on values: units, conditions, reasons, changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eduq.bulletins.blocks import Phrase
from eduq.bulletins.formats import measure_kind, phrase, typed
from eduq.locale import Lang, has_text

__all__ = ["Words"]

Fields = Mapping[str, Any]
_STANDARDISED = ("noise_band", "drop", "band")


class Words:
    """How the values of one dossier are called.

    Parameters
    ----------
    fields
        The chain (`eduq.rulepacks.chain.chain_fields`).
    lang
        Language of names that stand in data.
    """

    def __init__(self, fields: Fields, lang: Lang) -> None:
        self.fields, self.lang = fields, lang
        self._measures: dict[str, dict[str, Any]] = {}

    def _definition(self, measure: str) -> dict[str, Any]:
        if measure not in self._measures:
            from eduq.errors import SettingsError
            from eduq.estimates.measures import load_measures

            try:
                self._measures[measure] = load_measures(names=(measure,))[measure].model_dump()
            except SettingsError:
                self._measures[measure] = {}
        return self._measures[measure]

    def measure(self, measure: str | None) -> Phrase | str:
        """Name a measure."""
        if measure is None:
            return phrase("why.open")
        names = self._definition(measure).get("name") or {}
        return str(names.get(self.lang) or measure)

    def kind(self, measure: str | None) -> str:
        """Return how values of a measure are printed."""
        return "number2" if measure is None else measure_kind(measure, self._definition(measure))

    def value(self, value: Any, measure: str | None) -> Any:
        """Return a value of a measure, to be printed."""
        return phrase("why.open") if value is None else typed(value, self.kind(measure))

    def unit(self) -> Phrase | str:
        """Name whom the dossier is about."""
        unit, asked = self.fields["unit"], self.fields["asked"]["unit"]
        kind = unit["unit_type"]
        name = unit["name"] or unit["school_id"] or asked
        if kind in ("school", "head"):
            return phrase("why.unit.school", name=name, unit=asked)
        if kind in ("teacher", "exam"):
            return phrase(f"why.unit.{kind}", unit=asked, school=name)
        return phrase("verdict_units.area") if kind == "area" or asked == "all" else phrase("why.unit.other", unit=asked)

    def person(self) -> Phrase | str:
        """Name whom the verdict is about: for a head the person in the post, too."""
        unit = self.fields["unit"]
        if unit["unit_type"] != "head" or unit["head_id"] is None:
            return self.unit()
        asked = self.fields["asked"]["unit"]
        return phrase("why.unit.head", name=unit["name"] or asked, unit=asked, head=unit["head_id"])

    def series(self) -> list[Phrase | str]:
        """Name year group and subject of the verdict, as far as it has them."""
        asked = self.fields["asked"]
        found: list[Phrase | str] = []
        if asked["year_group"]:
            found.append(self.year_group(asked["year_group"]))
        if asked["subject"]:
            found.append(self.subject(asked["subject"]))
        if asked["target_id"]:
            found.append(phrase("why.unit.target", target=asked["target_id"]))
        return found

    def year_group(self, year_group: str | None) -> Phrase | str:
        """Name a year group."""
        if not year_group:
            return phrase("bulletin.cell.nothing")
        key = f"bulletin.year_group.{year_group}"
        return phrase(key) if has_text(key) else year_group

    def subject(self, subject: str | None) -> Phrase | str:
        """Name a subject."""
        if not subject:
            return phrase("bulletin.cell.nothing")
        key = f"bulletin.subject.{subject}"
        return phrase(key) if has_text(key) else subject

    def rule(self, rule_id: str) -> str:
        """Name a rule: the dossier's own and the steps of its ladder by their names, others by their id."""
        clause = self.fields["clause"]
        if rule_id == clause["rule"]:
            return str(clause["texts"][self.lang]["name"])
        return next((str(step["names"][self.lang]) for step in clause["ladder"] if step["rule"] == rule_id), rule_id)

    def reason(self, reason: str | None) -> Phrase | str | None:
        """Say why something is not assessable, not counted or not used."""
        if reason is None:
            return None
        homes = (
            "verdict_reasons",
            "series_reasons",
            "why.reason",
            "judge_reasons",
            "declines.reason",
            "bulletin.cell.reason",
            "reject",
        )
        key = next((f"{home}.{reason}" for home in homes if has_text(f"{home}.{reason}")), None)
        return reason if key is None else phrase(key)

    def result(self, result: str | None) -> Phrase | str | None:
        """Say a clause result."""
        return None if result is None else phrase(f"clause_results.{result}")

    def grade(self, letter: str | None) -> Phrase:
        """Say an evidence grade with its one-line meaning."""
        return phrase(f"why.grade.{letter or 'none'}")

    def condition(self, condition: Mapping[str, Any]) -> Phrase:
        """Say what a condition asks for, with its numbers."""
        values = condition["values"]
        measure = values.get("measure") or self.fields["rule"]["measure"]

        def number(name: str, kind: str = "count") -> Any:
            return phrase("why.open") if values.get(name) is None else typed(values[name], kind)

        asked: dict[str, Any] = {"measure": self.measure(measure), "years": number("years")}
        kind = condition["kind"]
        if kind == "decline":
            asked |= {"band": number("noise_band", "number2"), "way": phrase(f"why.way.{values.get('direction', 'fall')}")}
        elif kind == "last_place":
            asked |= {"last": number("last"), "ties": phrase(f"why.ties.{values.get('ties', 'share')}")}
        elif kind == "bottom_share":
            asked |= {"share": number("share", "percent"), "ties": phrase(f"why.ties.{values.get('ties', 'share')}")}
        elif kind == "below_cut":
            asked |= {"cut": self.value(values.get("cut"), measure), "side": phrase(f"why.side.{values.get('side', 'below')}")}
        elif kind == "severe_drop":
            asked |= {"drop": number("drop", "number2"), "against": phrase(f"why.against.{values.get('against', 'previous')}")}
        elif kind == "stagnation":
            asked |= {"band": number("band", "number2")}
        elif kind == "target_missed":
            return self._target(values)
        elif kind == "flag":
            name = f"flags.{values['flag']}"
            wanted = phrase(f"why.flag.{'yes' if values.get('expect', True) else 'no'}")
            return phrase("why.condition.flag", flag=phrase(name) if has_text(name) else values["flag"], expect=wanted)
        elif kind == "ban":
            name = f"bans.{values['of']}"
            return phrase("why.condition.ban", of=phrase(name) if has_text(name) else values["of"])
        return phrase(f"why.condition.{kind}", **asked)

    def _target(self, values: Mapping[str, Any]) -> Phrase:
        if values.get("source") == "text":
            measure = values.get("measure") or self.fields["rule"]["measure"]
            return phrase(
                "why.condition.target_text", measure=self.measure(measure), target=self.value(values.get("target"), measure)
            )
        return phrase("why.condition.target_register")

    def family(self, family: str | None) -> Phrase | list[Any]:
        """Say what the units of a peer group share."""
        parts: list[Any] = []
        for part in (family or "").split(","):
            name, _, value = part.partition("=")
            if not name:
                continue
            key = f"why.family_value.{value}"
            named = f"why.family.{name}"
            shown = phrase(key) if value and has_text(key) else value or phrase("why.family_open")
            parts.append(phrase("why.family_pair", name=phrase(named) if has_text(named) else name, value=shown))
        return parts or phrase("why.family_all")

    def quantity(self, change: Mapping[str, Any]) -> Phrase:
        """Say which quantity a line of the counterfactual is about."""
        number = change["condition"]
        params: dict[str, Any] = {"n": change["searched"] or 0}
        if number is not None:
            params["condition"] = number + 1
        if change["current"] is not None:
            params["current"] = self.quantity_value(change, change["current"])
        elif number is not None:
            params["current"] = phrase("why.open")
        return phrase(f"why.quantity.{change['quantity']}", **params)

    def quantity_value(self, change: Mapping[str, Any], value: float) -> Any:
        """Return a value of a quantity, to be printed."""
        name = change["quantity"]
        if name in _STANDARDISED:
            return typed(value, "number4")
        if name in ("cut", "target"):
            measure = self.fields["numbers"][-1]["measure"] if self.fields["numbers"] else self.fields["rule"]["measure"]
            return typed(value, "number4" if self.kind(measure) in ("gap", "number2") else self.kind(measure))
        return typed(value, "percent" if name == "share" else "count")
