"""The shipped packs say what the texts say: quotations word for word, every clause accounted for, nothing left open or banned."""

from __future__ import annotations

import datetime as dt
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from eduq.errors import SettingsError
from eduq.locale import LANGUAGES
from eduq.registers import PackStatement
from eduq.resources import rules_path
from eduq.rulepacks.catalogue import read_clauses
from eduq.rulepacks.forms import CONDITION_KINDS, Ban, BelowCut, BottomShare, Flag, SevereDrop, Stagnation
from eduq.rulepacks.linting import lint_rulepack
from eduq.rulepacks.model import Rule, RulePack
from eduq.rulepacks.parameters import number_places
from eduq.rulepacks.reading import load_rulepack, parse_rulepack

ROOT = Path(__file__).parents[2]
PACKS = ("dalian", "ezhou", "jinghong", "national", "xiangan")
SHARED = Path(os.environ.get("EDUQ_SHARED", ROOT.parent / "shared"))


@pytest.fixture(scope="module")
def packs() -> dict[str, RulePack]:
    return {name: load_rulepack(rules_path() / name, as_of=None) for name in PACKS}


def every_rule(packs: dict[str, RulePack]) -> list[Rule]:
    return [rule for pack in packs.values() for rule in pack.rules]


@pytest.mark.parametrize("pack", PACKS)
def test_nothing_is_left_open_and_nothing_is_banned(pack: str) -> None:
    found = lint_rulepack(rules_path() / pack)
    assert [(one.rule_id, one.key, one.sentence("en")) for one in found.findings] == []


def test_the_quotations_are_those_of_the_hand_out() -> None:
    original = SHARED / "clauses.toml"
    if not original.is_file():
        pytest.skip(f"{original} is not here; EDUQ_SHARED names its folder")
    here = tomllib.loads((rules_path() / "clauses.toml").read_text(encoding="utf-8"))
    assert here == tomllib.loads(original.read_text(encoding="utf-8"))


def test_every_clause_is_a_rule_or_says_why_not(packs: dict[str, RulePack]) -> None:
    in_rules = {clause for rule in every_rule(packs) for clause in rule.clause}
    left_out = tomllib.loads((rules_path() / "coverage.toml").read_text(encoding="utf-8"))
    every = set(read_clauses().ids())
    assert len(every) > 90
    assert in_rules | set(left_out) == every
    assert in_rules & set(left_out) == set()
    for clause, said in left_out.items():
        assert said["reason"] in ("descriptive", "linkage", "national", "out_of_scope"), clause
        assert said["zh"], clause
        assert said["en"], clause


def test_what_the_domain_calls_rules_targets_and_guards_are_rules(packs: dict[str, RulePack]) -> None:
    in_rules = {clause for rule in every_rule(packs) for clause in rule.clause}
    ladder = {f"A{number:02}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 11)}
    guards = {f"P{number:02}" for number in (1, 2, 3, 4, 5, 6)}
    targets = {"C03", "C07", "C09", "C15", "M21", "T01", "T02", "T03", "T04"}
    duties = {"M01", "M02", "M03", "M04", "M05", "M07", "M08", "M09", "M10", "M11", "M12", "M13", "M14", "M18", "M27"}
    duties |= {"C17", "C18", "I01", "I02", "I03", "R01", "R02", "R03", "R04", "R06", "R07"}
    assert (ladder | guards | targets | duties) - in_rules == set()


def test_a_rule_carries_its_quotation_or_says_that_nobody_read_it(packs: dict[str, RulePack]) -> None:
    said = (rules_path() / "clauses.toml").read_text(encoding="utf-8")
    for pack in packs.values():
        for rule in pack.rules:
            assert rule.citations, rule.id
            for line in rule.citations:
                assert line.title, rule.id
                if pack.id == "national":
                    assert line.quote is None, rule.id
                    assert line.article, rule.id
                    assert line.point, rule.id
                else:
                    assert f'quote = "{line.quote}"' in said, rule.id
                    assert line.document == pack.id
                    assert line.place, rule.id


def test_the_ladder_reads_word_for_word(packs: dict[str, RulePack]) -> None:
    quotes = {rule.id: rule.citations[0].quote for rule in packs["ezhou"].ladder("head")}
    assert quotes == {
        "ezhou.head.talk": "对教育质量下滑和位居末位的校长进行履职谈话",
        "ezhou.head.yellow": "对教育质量连续两年下滑和居末位的校长给予黄牌警告",
        "ezhou.head.red": "对教育质量连续三年下滑和居末位的校长,给予红牌警告,并建议予以调整工作岗位",
    }
    for number, rule in enumerate(packs["ezhou"].ladder("head"), 1):
        assert [getattr(condition, "years", None) for condition in rule.walk()] == [number, number]
        assert (rule.readings.narrow, rule.readings.wide, rule.readings.proposes) == ("all", "any", "narrow")
        assert rule.gaps.tenure == "every_year"
    assert [rule.id for rule in packs["ezhou"].ladder("teacher")] == [
        "ezhou.teacher.talk",
        "ezhou.teacher.delay",
        "ezhou.teacher.recall",
    ]


def test_what_the_texts_leave_without_a_number_has_none(packs: dict[str, RulePack]) -> None:
    for rule in every_rule(packs):
        for condition in rule.walk():
            if isinstance(condition, BottomShare):
                assert condition.share is None, rule.id
            if isinstance(condition, SevereDrop):
                assert condition.drop is None, rule.id
            if isinstance(condition, Stagnation):
                assert (condition.years, condition.band) == (None, None), rule.id
            if isinstance(condition, BelowCut) and condition.cut is not None:
                assert rule.subject == "area", rule.id


def test_numbers_of_a_text_stand_in_its_quotation(packs: dict[str, RulePack]) -> None:
    words = {1: "", 2: "连续两年", 3: "连续三年", 0.5: "50%", 0.99: "99%", 0.65: "65%", 0.8: "80%"}
    for pack in ("ezhou", "dalian"):
        for raw in parse_rulepack(rules_path() / pack).rules.values():
            quoted = "".join(line.quote or "" for line in packs[pack].rule(str(raw["id"])).citations)  # type: ignore[union-attr]
            nodes = dict(number_places(raw["conditions"], "conditions"))
            for said in (raw.get("parameters") or {}).values():
                places = [said["at"]] if isinstance(said["at"], str) else said["at"]
                for place in places if said["source"] == "text" else ():
                    holder, _, key = place.rpartition(".")
                    if key in ("years", "cut"):
                        assert words[nodes[holder][key]] in quoted, (raw["id"], place)


def test_all_kinds_of_conditions_are_used(packs: dict[str, RulePack]) -> None:
    used = {condition.kind for rule in every_rule(packs) for condition in rule.walk()}
    assert used == set(CONDITION_KINDS)


def test_awards_rest_on_two_measures_and_no_rule_on_promotion_but_for_areas(packs: dict[str, RulePack]) -> None:
    awards = [rule for rule in every_rule(packs) if rule.proposal == "award"]
    assert len(awards) == 4
    for rule in awards:
        assert len(rule.measures()) >= 2, rule.id
    promotion = [rule for rule in every_rule(packs) if any("line_" in name or "promotion" in name for name in rule.measures())]
    assert {(rule.id, rule.subject) for rule in promotion} == {("ezhou.area.line_completion", "area")}


@pytest.mark.parametrize("pack", ["ezhou", "dalian"])
def test_a_text_that_hides_its_year_needs_a_statement(pack: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_rulepack(rules_path() / pack, as_of=dt.date(2026, 8, 31))
    assert caught.value.code == "pack_effect_unstated"
    assert caught.value.exit_status == 10
    assert f"{pack} = {{ from = 2021-09-01 }}" in caught.value.advice("zh")
    stated = {pack: PackStatement.model_validate({"from": dt.date(2021, 9, 1)})}
    loaded = load_rulepack(rules_path() / pack, as_of=dt.date(2021, 8, 31), statements=stated)
    assert loaded.in_force() == ()
    assert len(loaded.in_force(dt.date(2021, 9, 1))) == len(loaded.rules)


@pytest.mark.parametrize(
    ("pack", "first", "last"),
    [("jinghong", dt.date(2018, 7, 17), None), ("xiangan", dt.date(2024, 9, 2), dt.date(2025, 8, 31))],
)
def test_a_dated_text_is_in_force_from_its_day(pack: str, first: dt.date, last: dt.date | None) -> None:
    loaded = load_rulepack(rules_path() / pack, as_of=first)
    assert len(loaded.in_force()) == len(loaded.rules)
    assert loaded.in_force(first - dt.timedelta(days=1)) == ()
    if last is not None:
        assert loaded.in_force(last)
        assert loaded.in_force(last + dt.timedelta(days=1)) == ()


def test_every_flag_has_a_name_in_both_languages(packs: dict[str, RulePack]) -> None:
    from eduq.locale import text

    for rule in every_rule(packs):
        for condition in rule.walk():
            for lang in LANGUAGES:
                if isinstance(condition, Flag):
                    assert text(f"flags.{condition.flag}", lang)
                if isinstance(condition, Ban):
                    assert text(f"bans.{condition.of}", lang)


def test_words_are_chinese_in_the_one_and_english_in_the_other(packs: dict[str, RulePack]) -> None:
    for pack in packs.values():
        for rule_id, words in pack.texts["zh"].rules.items():
            assert re.search(r"[\u4e00-\u9fff]", words.name + words.asks), rule_id
        for rule_id, words in pack.texts["en"].rules.items():
            said: dict[str, Any] = words.model_dump()
            assert not re.search(r"[\u4e00-\u9fff]", "".join(said.values())), rule_id
