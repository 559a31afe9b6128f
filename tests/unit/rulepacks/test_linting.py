"""Lint asks every question of a ladder, and refuses what the State bans with document and article."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from eduq.resources import rules_path
from eduq.rulepacks.bans import breaks_ban
from eduq.rulepacks.forms import Ban
from eduq.rulepacks.linting import LADDER_QUESTIONS, LintResult, lint_rulepack

YELLOW = "rules/head_yellow.yaml"
AWARD = "rules/school_award.yaml"


KEPT = ("head_yellow", "school_award", "area_line_completion", "document_three_bands", "teacher_delay")


@pytest.fixture(scope="module")
def small_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five rules of the Ezhou pack."""
    folder = Path(shutil.copytree(rules_path() / "ezhou", tmp_path_factory.mktemp("packs") / "ezhou"))
    for path in [*(folder / "rules").iterdir(), *(folder / "cases").iterdir()]:
        if path.stem not in KEPT:
            path.unlink()
    for path in (folder / "text").iterdir():
        head, *sections = path.read_text(encoding="utf-8").split("\n[rules.")
        kept = [part for part in sections if part.split('"')[1].removeprefix("ezhou.").replace(".", "_") in KEPT]
        path.write_text("\n[rules.".join([head, *kept]), encoding="utf-8")
    return folder


@pytest.fixture
def pack(small_pack: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(small_pack, tmp_path / "ezhou"))


def test_the_pack_that_is_spoilt_below_is_clean(pack: Path) -> None:
    assert lint_rulepack(pack).findings == ()


def change(pack: Path, file: str, *pairs: tuple[str, str]) -> LintResult:
    path = pack / file
    said = path.read_text(encoding="utf-8")
    for old, new in pairs:
        assert old in said, old
        said = said.replace(old, new)
    path.write_text(said, encoding="utf-8")
    return lint_rulepack(pack)


def codes(found: LintResult) -> set[str]:
    return {one.code for one in found.findings}


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("readings: {narrow: all, wide: any, proposes: narrow}\n", "", "and_or"),
        (", proposes: narrow}", "}", "and_or"),
        ("year_groups: each\n", "", "year_groups"),
        ("min_units: 5, ", "", "min_units"),
        ("min_pupils: 30, ", "", "min_pupils"),
        ("small_schools: exempt, ", "", "small_schools"),
        ("missing_year: breaks, ", "", "missing_year"),
        ("new_paper: standardise, ", "", "new_paper"),
        ("merger: breaks, ", "", "merger"),
        (", tenure: every_year", "", "tenure"),
        ("exit: {after_years: 1, of: not_met, source: local}\n", "", "exit"),
        (", appeal_days: null", "", "appeal"),
        ("person_decides: [impose, causes, circumstances]\n", "", "person_decides"),
        (", ties: share", "", "ties"),
        (", noise_band: 0.0", "", "noise_band"),
        (", last: 1", "", "last_k"),
    ],
)
def test_a_question_without_an_answer_is_asked(pack: Path, old: str, new: str, code: str) -> None:
    found = change(pack, YELLOW, (old, new))
    asked = [one for one in found.findings if one.code == code]
    assert asked
    assert {one.level for one in asked} == {"question"}
    assert {one.rule_id for one in asked} == {"ezhou.head.yellow"}
    assert asked[0].sentence("zh") != asked[0].sentence("en")


def test_every_ladder_question_has_a_test() -> None:
    tested = test_a_question_without_an_answer_is_asked.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert set(LADDER_QUESTIONS) - {code for _, _, code in tested} == {"peer_group"}


def test_a_place_without_peers_and_stages_mixed(pack: Path) -> None:
    assert "stages_mixed" in codes(change(pack, YELLOW, ("within: [stage, kind]", "within: [kind]")))
    line = "peer_group: {within: [kind], min_units: 5, min_pupils: 30, small_schools: exempt, source: local}\n"
    assert {"place_without_peers", "peer_group"} <= codes(change(pack, YELLOW, (line, "")))


def test_a_person_is_not_judged_for_years_of_another(pack: Path) -> None:
    assert "tenure_none" in codes(change(pack, YELLOW, ("tenure: every_year", "tenure: none")))


def test_a_number_needs_its_source(pack: Path) -> None:
    found = change(pack, YELLOW, ("  last: {source: text, at: conditions.1.last, unit: places}\n", ""))
    (one,) = found.findings
    assert (one.code, one.level, one.key) == ("uncited_value", "error", "conditions.1.last")


def test_an_open_number_must_be_settable(pack: Path) -> None:
    found = change(pack, "rules/teacher_delay.yaml", ("  share: {source: local, at: conditions.0.share, unit: share}\n", ""))
    assert {("uncited_value", "conditions.0.share"), ("case_invalid", "cases/")} <= {
        (one.code, one.key) for one in found.findings
    }


@pytest.mark.parametrize(
    ("measure", "code"),
    [("mean_score", "not_standardised"), ("pass_rate", "not_standardised"), ("mean_scores", "measure_unknown")],
)
def test_falls_need_a_standardised_measure(pack: Path, measure: str, code: str) -> None:
    assert code in codes(change(pack, YELLOW, ("measure: composite_z", f"measure: {measure}")))


@pytest.mark.parametrize(
    ("file", "pairs", "ban", "source"),
    [
        (
            YELLOW,
            [("measure: composite_z", "measure: promotion_rate")],
            "national.document.promotion_only",
            "深化新时代教育评价改革总体方案",
        ),
        (
            AWARD,
            [("measure: composite_z", "measure: gaokao_mean"), ("measure: all_pass_rate", "measure: zhongkao_mean")],
            "national.document.exam_score_award",
            "深化新时代教育评价改革总体方案",
        ),
        (
            AWARD,
            [("measure: all_pass_rate", "measure: composite_z")],
            "national.document.single_measure_award",
            "义务教育质量评价指南",
        ),
        (
            "rules/area_line_completion.yaml",
            [("subject: area", "subject: school")],
            "national.document.promotion_target",
            "不得下达升学指标",
        ),
        (
            "rules/document_three_bands.yaml",
            [("flag: three_band_view", "flag: top_scorer_list")],
            "national.document.publicity",
            "坚决纠正片面追求升学率倾向",
        ),
        (
            "rules/document_three_bands.yaml",
            [("flag: three_band_view", "flag: pupil_ranks")],
            "national.document.minors_scores",
            "第十条",
        ),
    ],
)
def test_what_the_state_bans_is_an_error_with_document_and_article(
    pack: Path, file: str, pairs: list[tuple[str, str]], ban: str, source: str
) -> None:
    found = change(pack, file, *pairs)
    banned = {one.values["rule"]["zh"]: one for one in found.findings if one.code == "banned"}
    assert ban in banned
    assert banned[ban].level == "error"
    assert source in banned[ban].sentence("zh")
    assert ban in banned[ban].sentence("en")


@pytest.mark.parametrize(
    ("words", "ban"), [("表彰高考状元", "national.document.publicity"), ("公布学生排名", "national.document.minors_scores")]
)
def test_outward_words_are_read_too(pack: Path, words: str, ban: str) -> None:
    change(pack, "rules/document_three_bands.yaml", ("{to: bureau,", "{to: public,"))
    found = change(pack, "text/zh_CN.toml", ('name = "培优、提中、补差"', f'name = "{words}"'))
    assert ban in {one.values["rule"]["zh"] for one in found.findings if one.code == "banned"}


def test_promotion_beside_another_measure_is_barred_too_as_in_judging(pack: Path) -> None:
    found = change(pack, AWARD, ("measure: all_pass_rate", "measure: promotion_rate"))
    assert "national.document.promotion_only" in {one.values["rule"]["zh"] for one in found.findings if one.code == "banned"}


def test_a_rule_needs_cases_on_both_sides_and_before_it_existed(pack: Path) -> None:
    cases = pack / "cases" / "head_yellow.yaml"
    head, _, rest = cases.read_text(encoding="utf-8").partition("cases:\n")
    first = "  - name:" + rest.split("  - name:")[1]
    cases.write_text(f"{head}cases:\n{first}", encoding="utf-8")
    assert codes(lint_rulepack(pack)) == {"case_before", "case_not_met"}
    cases.unlink()
    assert codes(lint_rulepack(pack)) == {"no_cases"}


def test_a_case_that_does_not_hold_is_an_error(pack: Path) -> None:
    name = "name: 两次下滑且两年居末位\n    as_of: 2025-08-31\n    given: {甲: [-0.3, -0.35, "
    found = change(pack, "cases/head_yellow.yaml", (f"{name}-0.4]", f"{name}-0.35]"))
    (one,) = found.findings
    assert one.code == "case_failed"
    assert "两次下滑且两年居末位" in one.sentence("en")
    assert "not_met" in one.sentence("en")


def test_the_frame_has_both_languages(pack: Path) -> None:
    frame = change(pack, YELLOW, (", ties: share", "")).frame
    assert frame.select("level", "rule_id", "key").row(0) == ("question", "ezhou.head.yellow", "conditions.1.ties")
    assert frame.select("zh", "en").row(0) == ("并列怎么算没有说明", "what ties do is not said")


def test_a_fact_that_says_too_little_is_unknown() -> None:
    ban = Ban(kind="ban", of="cross_school_exam", year_groups=("G8",), scopes=("county",))
    assert breaks_ban(ban, {"year_group": "G8", "scope": "county"}) is True
    assert breaks_ban(ban, {"year_group": "G8"}) is None
    assert breaks_ban(ban, {"year_group": "G9"}) is False
    assert breaks_ban(Ban(kind="ban", of="too_many_mocks", year_groups=("G9",)), {"year_group": "G9", "mocks": 9}) is None
    assert breaks_ban(Ban(kind="ban", of="promotion_only"), {"proposal": "talk"}) is None
