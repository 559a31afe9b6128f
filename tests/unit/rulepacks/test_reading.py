"""Packs are read strictly: every error with its file and key, nothing guessed, values in force by their day."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import polars as pl
import pytest

from eduq.errors import SettingsError
from eduq.registers import PackStatement
from eduq.resources import rules_path
from eduq.rulepacks.forms import BelowCut, BottomShare
from eduq.rulepacks.model import RulePack
from eduq.rulepacks.parts import EvidenceBounds
from eduq.rulepacks.reading import load_rulepack, read_yaml

DAY = dt.date(2026, 8, 31)
FROM = dt.date(2021, 9, 1)


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A copy of the Ezhou pack to spoil."""
    return Path(shutil.copytree(rules_path() / "ezhou", tmp_path / "ezhou"))


def change(pack: Path, file: str, old: str, new: str) -> None:
    path = pack / file
    said = path.read_text(encoding="utf-8")
    assert old in said
    path.write_text(said.replace(old, new), encoding="utf-8")


def refused(pack: Path, code: str = "pack_invalid") -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load_rulepack(pack, as_of=None)
    assert caught.value.code == code
    return caught.value


def stated(**said: object) -> dict[str, PackStatement]:
    return {"ezhou": PackStatement.model_validate({"from": FROM, **said})}


def test_a_key_given_twice_is_refused_with_its_line(pack: Path) -> None:
    change(pack, "rules/head_yellow.yaml", "proposal: yellow_card", "proposal: yellow_card\nproposal: talk")
    error = refused(pack, "yaml_syntax")
    assert error.place.file == "rules/head_yellow.yaml"
    assert error.place.row == 17
    assert "proposal" in error.message("en")


def test_words_that_other_readers_take_for_truth_values_stay_words() -> None:
    assert read_yaml(b"a: no\nb: on\nc: true\nd: 2026-01-15\n", "x.yaml") == {
        "a": "no",
        "b": "on",
        "c": True,
        "d": dt.date(2026, 1, 15),
    }


def test_every_error_is_listed_in_both_languages(pack: Path) -> None:
    change(pack, "rules/head_yellow.yaml", "subject: head", "subject: headmaster\ncolour: red")
    change(pack, "rules/head_red.yaml", "kind: last_place, years: 3", "kind: lastplace, years: 3")
    change(pack, "rules/head_talk.yaml", "years: 1, last: 1", "years: 0, last: 1")
    error = refused(pack)
    for lang in ("zh", "en"):
        said = error.message(lang)
        for place in (
            "rules/head_yellow.yaml　subject" if lang == "zh" else "rules/head_yellow.yaml  subject",
            "colour",
            "conditions.1",
            "conditions.1.years",
        ):
            assert place in said
    assert "没有这个设置项" in error.message("zh")
    assert error.params["n"] == 4


def test_an_unknown_clause_and_a_missing_source_are_refused(pack: Path) -> None:
    change(pack, "rules/head_yellow.yaml", "clause: A02", "clause: A99")
    change(pack, "rules/head_red.yaml", "clause: A03\n", "")
    said = refused(pack).message("en")
    assert "no clause A99 of 'ezhou'" in said
    assert "names no source" in said


def test_a_clause_of_another_text_is_not_taken_for_this_one(pack: Path) -> None:
    change(pack, "rules/head_yellow.yaml", "clause: A02", "clause: A07")
    assert "no clause A07 of 'ezhou'" in refused(pack).message("en")


def test_a_quotation_cannot_be_written_into_a_rule(pack: Path) -> None:
    with (pack / "rules" / "head_yellow.yaml").open("a", encoding="utf-8") as file:
        file.write("citations: []\n")
    assert "citations" in refused(pack).message("en")


def test_a_source_can_only_leave_its_quotation_null(tmp_path: Path) -> None:
    pack = Path(shutil.copytree(rules_path() / "national", tmp_path / "national"))
    change(pack, "rules/document_promotion_target.yaml", "quote: null", "quote: 不得下达升学指标")
    assert "source.0.quote" in refused(pack).message("en")


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("rules/notes.yml", "id: ezhou.x.y\n", "only .yaml files"),
        ("cases/head_yellow.yml", "rule: ezhou.head.yellow\n", "only .yaml files"),
        ("rule.yaml", "id: ezhou.x.y\n", "is no part of a rule pack"),
        ("text/zh.toml", "title = 'x'\n", "is no part of a rule pack"),
        ("rules/other.yaml", None, "stands in rules/head_yellow.yaml already"),
    ],
)
def test_no_file_is_left_out_silently(pack: Path, file: str, content: str | None, said: str) -> None:
    (pack / file).write_text(content or (pack / "rules" / "head_yellow.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    assert said in refused(pack).message("en")


def test_words_and_rules_belong_together(pack: Path) -> None:
    (pack / "rules" / "head_talk.yaml").unlink()
    change(pack, "text/en.toml", '[rules."ezhou.head.red"]', '[rules."ezhou.head.crimson"]')
    said = refused(pack).message("en")
    for wanted in ("'ezhou.head.talk'", "'ezhou.head.red' has no words", "no rule 'ezhou.head.crimson'"):
        assert wanted in said


def test_a_missing_language_is_refused(pack: Path) -> None:
    (pack / "text" / "en.toml").unlink()
    assert "text/en.toml" in refused(pack).message("zh")


def test_the_version_changes_with_every_word_and_value_and_with_nothing_else(pack: Path) -> None:
    def version(**said: object) -> str:
        return load_rulepack(pack, as_of=DAY, statements=stated(**said)).version

    first = version()
    assert first == load_rulepack("ezhou", as_of=DAY, statements=stated()).version
    assert first == load_rulepack(pack, as_of=dt.date(2022, 1, 1), statements=stated()).version
    assert len(first) == 16
    share = {"ezhou.teacher.talk": {"share": 0.1}}
    found = {first, version(parameters=share), load_rulepack(pack, as_of=None).version}
    path = pack / "rules" / "head_talk.yaml"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert version() == first
    (pack / "README.md").write_text("x", encoding="utf-8")
    assert version() == first
    change(pack, "rules/head_talk.yaml", "min_units: 5", "min_units: 6")
    found.add(version())
    assert len(found) == 4


def condition(pack: RulePack, rule_id: str, place: int) -> object:
    rule = pack.rule(rule_id)
    assert rule is not None
    return rule.conditions[place]


def test_a_stated_value_is_put_in_place() -> None:
    parameters = {
        "ezhou.teacher.talk": {"share": 0.2, "noise_band": 0.05, "min_units": 8, "appeal_days": 15, "small_schools": "exempt"},
        "ezhou.teacher.recall": {"share": 0.1},
    }
    loaded = load_rulepack("ezhou", as_of=DAY, statements=stated(parameters=parameters))
    talk = loaded.rule("ezhou.teacher.talk")
    assert talk is not None
    assert [getattr(one, "share", None) for one in talk.walk()] == [None, 0.2]
    assert [getattr(one, "noise_band", None) for one in talk.walk()] == [0.05, None]
    assert talk.peer_group is not None
    assert (talk.peer_group.min_units, talk.peer_group.small_schools, talk.addressed.appeal_days) == (8, "exempt", 15)
    assert talk.missing_parameters() == ()
    delay = condition(loaded, "ezhou.teacher.delay", 0)
    assert isinstance(delay, BottomShare)
    assert delay.share is None


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"ezhou.teacher.talk": {"shares": 0.2}}, "no parameter 'shares'; can be set: appeal_days, exit_after_years, min_pupils"),
        ({"ezhou.head.yellow": {"years": 3}}, "is a word of the text"),
        ({"ezhou.head.orange": {"years": 3}}, "no rule 'ezhou.head.orange'"),
        ({"ezhou.teacher.talk": {"share": 1.5}}, "conditions.1.share"),
    ],
)
def test_a_statement_that_does_not_fit_is_refused(parameters: dict[str, dict[str, float]], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_rulepack("ezhou", as_of=DAY, statements=stated(parameters=parameters))
    assert caught.value.code == "pack_statement_invalid"
    assert said in caught.value.message("en")


def test_dated_values_count_from_their_day(tmp_path: Path) -> None:
    pack = Path(shutil.copytree(rules_path() / "national", tmp_path / "national"))
    change(
        pack,
        "rules/area_retention.yaml",
        "values: [{from: 2018-01-01, value: 0.95}]",
        "values: [{from: 2018-01-01, value: 0.95}, {from: 2025-01-01, value: 0.96}, {from: 2026-01-01, value: null}]",
    )
    cuts = []
    for day in (dt.date(2017, 12, 31), dt.date(2024, 12, 31), dt.date(2025, 1, 1), dt.date(2026, 1, 1)):
        found = condition(load_rulepack(pack, as_of=day), "national.area.retention", 0)
        assert isinstance(found, BelowCut)
        cuts.append(found.cut)
    assert cuts == [None, 0.95, 0.96, None]


def test_a_parameter_that_points_nowhere_is_refused(pack: Path) -> None:
    change(pack, "rules/teacher_talk.yaml", "at: conditions.1.share", "at: conditions.7.share")
    assert "conditions.7.share" in refused(pack).message("en")


def test_a_statement_goes_before_the_day_of_the_text() -> None:
    said = {"xiangan": PackStatement.model_validate({"to": dt.date(2026, 8, 31)})}
    loaded = load_rulepack("xiangan", as_of=DAY, statements=said)
    assert loaded.effective.from_ == dt.date(2024, 9, 2)
    assert len(loaded.in_force()) == len(loaded.rules)
    assert load_rulepack("xiangan", as_of=DAY).in_force() == ()


def test_bounds_of_the_evidence_are_dated_values_of_the_pack(pack: Path) -> None:
    change(
        pack,
        "pack.yaml",
        "bounds:\n",
        "bounds:\n  - {from: 2024-01-01, q: 0.05}\n",
    )
    for day, q in ((dt.date(2023, 12, 31), 0.10), (dt.date(2024, 1, 1), 0.05)):
        loaded = load_rulepack(pack, as_of=day, statements=stated())
        rule = loaded.rule("ezhou.head.yellow")
        assert rule is not None
        assert loaded.bounds_of(rule).q == q


def test_bounds_of_a_pack_are_those_of_the_estimates() -> None:
    from eduq.estimates.declines import DeclineBounds

    theirs = {name: field.default for name, field in DeclineBounds.model_fields.items()}
    ours = EvidenceBounds().values()
    assert {name: theirs[name] for name in ours} == ours
    for pack in ("dalian", "ezhou", "jinghong", "xiangan"):
        loaded = load_rulepack(rules_path() / pack, as_of=None)
        assert {tuple(loaded.bounds_of(rule).values().items()) for rule in loaded.rules} == {tuple(ours.items())}
    assert DeclineBounds(**ours) == DeclineBounds()


def test_a_pack_shows_itself_in_a_notebook() -> None:
    loaded = load_rulepack("ezhou", as_of=DAY, statements=stated())
    assert loaded.summary() == f"ezhou {loaded.version}: 21 rules, 21 in force on 2026-08-31, 4 wait for a number"
    assert loaded.frame["rule_id"].to_list() == sorted(rule.id for rule in loaded.rules)
    line = loaded.frame.row(by_predicate=pl.col("rule_id") == "ezhou.school.award", named=True)
    assert (line["clause"], line["measure"], line["n_open"]) == ("I01", "composite_z+all_pass_rate", 2)
    assert line["effect_from"] == FROM
    assert loaded.summary() in loaded._repr_html_()
    assert loaded.settings["stated"] == {"from": "2021-09-01"}
    assert load_rulepack("ezhou", as_of=None).summary().endswith("21 rules, not read for a day, 4 wait for a number")
