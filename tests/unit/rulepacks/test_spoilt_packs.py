"""What a newcomer can get wrong in a pack of the own: refused with file and key, and never an error of eduq itself."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from eduq.errors import SettingsError
from eduq.resources import rules_path
from eduq.rulepacks.linting import LintResult, lint_rulepack, refuse_banned
from eduq.rulepacks.reading import load_rulepack

YELLOW, AWARD, DELAY = "rules/head_yellow.yaml", "rules/school_award.yaml", "rules/teacher_delay.yaml"


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A copy of the Ezhou pack to spoil."""
    return Path(shutil.copytree(rules_path() / "ezhou", tmp_path / "ezhou"))


def change(pack: Path, file: str, *pairs: tuple[str, str]) -> None:
    path = pack / file
    said = path.read_text(encoding="utf-8")
    for old, new in pairs:
        assert old in said, old
        said = said.replace(old, new)
    path.write_text(said, encoding="utf-8")


def refused(pack: Path, code: str = "pack_invalid") -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        lint_rulepack(pack)
    assert caught.value.code == code
    return caught.value


@pytest.mark.parametrize(
    ("file", "old", "new", "key", "said"),
    [
        (YELLOW, "kind: decline, years: 2", 'kind: decline, years: "2"', "conditions.0.years", "a number"),
        (YELLOW, "kind: decline, years: 2", "kind: decline, years: true", "conditions.0.years", "a number"),
        (YELLOW, "min_units: 5", 'min_units: "5"', "peer_group.min_units", "a number"),
        (YELLOW, "after_years: 1", "after_years: true", "exit.after_years", "a number"),
        (YELLOW, "decides: 教育行政主管部门负责人", 'decides: ""', "addressed.decides", "empty"),
        (YELLOW, "year_groups: each", "year_groups: [grade 5]", "year_groups", "G1"),
        (YELLOW, "effect: {from: null, to: null}", "effect: {from: 2025-09-01, to: 2024-09-01}", "effect", "2024-09-01"),
        (DELAY, "at: conditions.0.share,", "at: proposal,", "parameters.share.at", "proposal"),
        (DELAY, "at: conditions.0.share,", "at: addressed.decides,", "parameters.share.at", "addressed.decides"),
        (DELAY, "at: conditions.0.share,", "at: conditions.0.measure,", "parameters.share.at", "conditions.0.measure"),
        (
            DELAY,
            "{source: local, at: conditions.0.share,",
            "{values: [{from: 2025-09-01, value: 0.1}, {from: 2025-09-01, value: 0.2}], source: local, at: conditions.0.share,",
            "parameters.share.values",
            "2025-09-01",
        ),
        ("pack.yaml", "bounds:\n", "bounds:\n  - {from: null}\n", "bounds", "null"),
    ],
)
def test_the_message_names_file_and_key(pack: Path, file: str, old: str, new: str, key: str, said: str) -> None:
    change(pack, file, (old, new))
    message = refused(pack).message("en")
    assert f"{file}  {key}" in message.replace(": ", "  ").replace(" - ", "  ") or (file in message and key in message)
    assert said in message


def _folder(pack: Path) -> None:
    (pack / "rules" / "x.yaml").mkdir()


def _clauses(pack: Path) -> None:
    (pack / "clauses.toml").write_text('[documents]\nezhou = "x"\n', encoding="utf-8")


def _no_place(pack: Path) -> None:
    (pack / "clauses.toml").write_text('[A02]\nezhou = [{ quote = "x" }]\n', encoding="utf-8")


def _big(pack: Path) -> None:
    (pack / YELLOW).write_bytes(b"x: [" + b"1," * 200_000 + b"1]\n")


def _deep(pack: Path) -> None:
    (pack / YELLOW).write_bytes(b"x: " + b"[" * 5_000 + b"]" * 5_000)


def _no_such_day(pack: Path) -> None:
    change(pack, "pack.yaml", ("effect: {from: null", "effect: {from: 2025-02-30"))


def _short_case(pack: Path) -> None:
    change(pack, "cases/head_yellow.yaml", ("n: {甲: 29}", "n: {甲: [29]}"))


def _no_such_reason(pack: Path) -> None:
    change(pack, "cases/head_yellow.yaml", ("reason: missing_year", "reason: missing_years"))


@pytest.mark.parametrize(
    ("spoil", "code", "file"),
    [
        (_folder, "pack_invalid", "rules/x.yaml"),
        (_clauses, "settings_invalid", "clauses.toml"),
        (_no_place, "settings_invalid", "clauses.toml"),
        (_big, "pack_file_too_large", YELLOW),
        (_deep, "yaml_syntax", YELLOW),
        (_no_such_day, "yaml_syntax", "pack.yaml"),
        (_short_case, "settings_invalid", "cases/head_yellow.yaml"),
        (_no_such_reason, "settings_invalid", "cases/head_yellow.yaml"),
    ],
)
def test_files_that_are_something_else_are_refused(pack: Path, spoil: Callable[[Path], None], code: str, file: str) -> None:
    spoil(pack)
    error = refused(pack, code)
    assert file in error.message("zh") + str(error.place.file)


def banned(found: LintResult) -> set[str]:
    return {one.values["rule"]["zh"] for one in found.findings if one.code == "banned"}


ONLY = "national.document.promotion_only"
ONE = "national.document.single_measure_award"
EXAM = "national.document.exam_score_award"


@pytest.mark.parametrize(
    ("file", "pairs", "ban"),
    [
        (YELLOW, [("measure: composite_z", "measure: 升学率")], ONLY),
        (YELLOW, [("kind: last_place,", "kind: last_place, measure: line_rate,")], ONLY),
        (AWARD, [("narrow: all, wide: all", "narrow: any, wide: any")], ONE),
        (AWARD, [("narrow: all, wide: all", "narrow: any, wide: any"), ("all_pass_rate", "zhongkao_mean")], EXAM),
        (AWARD, [("  - {kind: below_cut, measure: all_pass_rate,", "  - {kind: below_cut,")], ONE),
        (YELLOW, [("conditions:\n", "conditions:\n  - {kind: ban, of: changed_hours}\n"), ("composite_z", "line_rate")], ONLY),
    ],
)
def test_bans_are_not_evaded(pack: Path, file: str, pairs: list[tuple[str, str]], ban: str) -> None:
    change(pack, file, *pairs)
    if "conditions:\n" in dict(pairs):
        change(pack, file, ("conditions.1.", "conditions.2."), ("conditions.0.", "conditions.1."))
    assert ban in banned(lint_rulepack(pack))
    with pytest.raises(SettingsError) as caught:
        refuse_banned(load_rulepack(pack, as_of=None))
    assert caught.value.code == "pack_banned"
    assert "深化新时代教育评价改革总体方案" in caught.value.message("zh") or "义务教育质量评价指南" in caught.value.message("zh")
    refuse_banned(load_rulepack(pack, as_of=None), rules=["ezhou.teacher.talk"])


def test_a_figure_of_the_packs_own_by_another_name_is_promotion_still(pack: Path) -> None:
    change(pack, "pack.yaml", ("effect:", "measures: {good: {zh: 普通高中升学率, en: to senior school}}\neffect:"))
    change(pack, YELLOW, ("measure: composite_z", "measure: good"))
    assert ONLY in banned(lint_rulepack(pack))


def test_an_award_for_recorded_facts_alone_is_banned(pack: Path) -> None:
    rule = (pack / AWARD).read_text(encoding="utf-8")
    start, end = rule.index("conditions:"), rule.index("readings:")
    rule = rule[:start] + "conditions:\n  - {kind: flag, flag: praised}\n" + rule[end : rule.index("parameters:")]
    (pack / AWARD).write_text(rule, encoding="utf-8")
    (pack / "cases" / "school_award.yaml").unlink()
    assert ONE in banned(lint_rulepack(pack))


def test_two_parameters_cannot_set_one_number(pack: Path) -> None:
    change(pack, DELAY, ("parameters:\n", "parameters:\n  again: {source: text, at: conditions.0.share}\n"))
    (one,) = [one for one in lint_rulepack(pack).findings if one.code == "parameter_twice"]
    assert "again, share" in one.sentence("zh")
