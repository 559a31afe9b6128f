"""Judging whole counties: a small one by hand, and the sample county with its known truth."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from functools import cache
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.unit.rulepacks.county import AS_OF, LEVELS, YEARS, make_exams, make_registers

import eduq as eq
from eduq.errors import NotAssessableError, SettingsError, UsageError
from eduq.estimates.series import ExamSource, collect_series, sources_from_scores
from eduq.registers import PackStatement, Registers, read_registers
from eduq.resources import sample_data_path
from eduq.rulepacks.deciding import Decision, find_proposal
from eduq.rulepacks.judgement import JUDGED, KEY, JudgeResult
from eduq.rulepacks.judging import judge
from eduq.rulepacks.model import RulePack
from eduq.rulepacks.reading import load_rulepack
from eduq.tables import VERDICTS

HEADS = ("ezhou.head.talk", "ezhou.head.yellow", "ezhou.head.red")


@cache
def load_ezhou(as_of: dt.date) -> RulePack:
    """Return the pack as the small county's bureau states it, read once."""
    return load_rulepack("ezhou", as_of=as_of, statements=make_registers().packs)


def judge_county(registers: Registers | None = None, *, rules: Any = HEADS, as_of: dt.date = AS_OF, **more: Any) -> JudgeResult:
    """Judge the small county."""
    known = registers or make_registers()
    pack = load_ezhou(as_of) if known.packs == make_registers().packs else "ezhou"
    return judge(pack, sources_from_scores(make_exams(more.pop("levels", None)), known), as_of=as_of, rules=rules, **more)


def results(found: JudgeResult, rule: str, reading: str = "narrow") -> dict[str, str]:
    """Return result and reason by unit."""
    lines = found.frame.filter(rule_id=rule, reading=reading)
    return {row["unit"]: row["clause_result"] + (f" {row['reason']}" if row["reason"] else "") for row in lines.to_dicts()}


@pytest.fixture(scope="module")
def county() -> JudgeResult:
    return judge_county()


def test_the_ladder_word_for_word(county: JudgeResult) -> None:
    assert results(county, "ezhou.head.talk") == dict.fromkeys(LEVELS, "not_met") | {"S1": "met"}
    assert results(county, "ezhou.head.yellow") == dict.fromkeys(LEVELS, "not_met") | {"S1": "met"}
    assert results(county, "ezhou.head.talk", "wide")["S2"] == "met"
    assert set(results(county, "ezhou.head.red").values()) == {"not_met", "not_assessable missing_year"}
    assert results(county, "ezhou.head.red")["S1"] == "not_assessable missing_year"  # last three times, but four years are needed


def test_only_the_proposing_reading_proposes(county: JudgeResult) -> None:
    proposed = county.proposals.select("rule_id", "unit", "reading", "proposal", "needs_decision").rows()
    assert proposed == [
        ("ezhou.head.talk", "S1", "narrow", "talk", True),
        ("ezhou.head.yellow", "S1", "narrow", "yellow_card", True),
    ]
    only_wide = county.frame.filter("only_wide")
    assert set(only_wide.filter(rule_id="ezhou.head.yellow")["unit"]) == {"S2"}
    assert only_wide["proposal"].null_count() == only_wide.height


def test_columns_and_order(county: JudgeResult) -> None:
    assert list(county.frame.columns) == list(JUDGED)
    assert {name: county.frame.schema[name] for name in VERDICTS} == VERDICTS
    assert county.frame.select(KEY).is_duplicated().sum() == county.frame.height  # two lines each
    assert county.frame["reading"].to_list() == ["narrow", "wide"] * (county.frame.height // 2)
    yellow = county.frame.filter(rule_id="ezhou.head.yellow", unit="S1").row(0, named=True)
    assert (yellow["head_id"], yellow["unit_name"], yellow["year_group"]) == ("H1", "第1中学", "G9")
    assert (yellow["period_first"], yellow["period_last"], yellow["n"]) == ("2022-2023", "2024-2025", 36)
    assert yellow["pack_version"] == county.pack.version


def test_facts_show_the_numbers_behind_a_verdict(county: JudgeResult) -> None:
    facts = county.facts.filter(rule_id="ezhou.head.yellow", unit="S1").to_dicts()
    assert [row["period"] for row in facts] == list(YEARS)
    assert [row["exam_id"] for row in facts] == ["2022-2-g9", "2023-2-g9", "2024-2-g9"]
    assert [(row["rank"], row["from_bottom"], row["n_units"]) for row in facts] == [(6, 1, 6)] * 3
    assert all(row["read"] and row["held"] and row["counted"] for row in facts)
    assert facts[2]["change"] == facts[2]["estimate"] - facts[1]["estimate"] < 0
    talk = county.facts.filter(rule_id="ezhou.head.talk", unit="S1")
    assert talk["read"].to_list() == [False, True, True]
    kinds = county.conditions.filter(rule_id="ezhou.head.yellow", unit="S2").select("kind", "clause_result").rows()
    assert kinds == [("decline", "met"), ("last_place", "not_met")]


def test_earlier_steps_and_exit(county: JudgeResult) -> None:
    yellow = county.frame.filter(rule_id="ezhou.head.yellow", unit="S1").row(0, named=True)
    assert yellow["earlier_steps"] == "ezhou.head.talk@2023-2024"
    assert yellow["exit_state"] == "in_step"
    risen = (
        judge_county(levels=LEVELS | {"S1": (50, 44, 90)}).frame.filter(rule_id="ezhou.head.talk", unit="S1").row(0, named=True)
    )
    assert (risen["clause_result"], risen["exit_state"]) == ("not_met", "left")


@pytest.mark.parametrize(
    ("first", "talk", "yellow"),
    [
        (dt.date(2022, 9, 1), "met", "met"),
        (dt.date(2022, 9, 2), "met", "not_assessable tenure_incomplete"),
        (dt.date(2023, 9, 1), "met", "not_assessable tenure_incomplete"),
        (dt.date(2023, 9, 2), "not_assessable tenure_incomplete", "not_assessable tenure_incomplete"),
        (dt.date(2025, 3, 1), "not_assessable tenure_incomplete", "not_assessable tenure_incomplete"),
    ],
)
def test_heads_only_for_the_years_they_held_the_post(first: dt.date, talk: str, yellow: str) -> None:
    others = [(f"H{school[1:]}", school, dt.date(2015, 9, 1), None) for school in LEVELS if school != "S1"]
    before = ("H0", "S1", dt.date(2015, 9, 1), first - dt.timedelta(days=1))
    found = judge_county(make_registers(heads=[*others, before, ("H1", "S1", first, None)]))
    assert results(found, "ezhou.head.talk")["S1"] == talk
    assert results(found, "ezhou.head.yellow")["S1"] == yellow
    held_last_year = first <= dt.date(2024, 9, 1)
    assert found.frame.filter(unit="S1")["head_id"].unique().to_list() == ["H1" if held_last_year else None]


def test_a_merged_and_a_new_school_start_anew() -> None:
    merged = make_registers(events=[(dt.date(2023, 9, 1), "merge", ["S1", "S0"], ["S1"])])
    schools = merged.schools.vstack(merged.schools.head(1).with_columns(school_id=pl.lit("S0"), name=pl.lit("旧校")))
    found = judge_county(dataclasses.replace(merged, schools=schools))
    assert results(found, "ezhou.head.yellow")["S1"] == "not_assessable merged"
    assert results(found, "ezhou.head.talk")["S1"] == "met"
    new = judge_county(levels=LEVELS | {"S1": (None, 44, 38)})
    assert results(new, "ezhou.head.yellow")["S1"] == "not_assessable missing_year"
    assert results(new, "ezhou.head.yellow", "wide")["S1"] == "met"  # last in both years it exists


def test_a_missing_year_breaks_and_is_never_met() -> None:
    found = judge_county(levels=LEVELS | {"S1": (50, None, 38)})
    assert results(found, "ezhou.head.yellow")["S1"] == "not_assessable missing_year"
    assert results(found, "ezhou.head.talk")["S1"] == "not_assessable missing_year"
    gone = judge_county(levels=LEVELS | {"S1": (50, 44, None)})
    assert results(gone, "ezhou.head.talk", "wide")["S1"] == "not_assessable missing_year"
    assert results(gone, "ezhou.head.talk")["S2"] == "met"  # now the last of five


def test_small_schools_and_peers_of_another_kind() -> None:
    small = judge_county(make_registers(small=["S1"]))
    assert results(small, "ezhou.head.talk")["S1"] == "not_assessable small_school_exempt"
    assert results(small, "ezhou.head.talk")["S2"] == "met"
    private = judge_county(make_registers(S5={"kind": "private"}, S6={"kind": "private"}))
    assert set(results(private, "ezhou.head.talk").values()) == {"not_assessable peer_group_too_small"}


def test_too_few_candidates() -> None:
    exams = make_exams(pupils=29)
    found = judge("ezhou", sources_from_scores(exams, make_registers()), as_of=AS_OF, rules=HEADS)
    assert set(results(found, "ezhou.head.talk").values()) == {"not_assessable below_min_n"}


def test_the_day_decides_which_exams_and_rules_count() -> None:
    earlier = judge_county(as_of=dt.date(2024, 8, 31))
    assert earlier.frame["period_last"].unique().to_list() == ["2023-2024"]
    assert earlier.left_out.filter(~pl.col("used"))["reason"].to_list() == ["after_as_of"]
    with pytest.raises(NotAssessableError) as error:
        judge_county(as_of=dt.date(2023, 6, 19))
    assert error.value.code == "judge_no_exams"
    late = dataclasses.replace(make_registers(), packs={"ezhou": PackStatement.model_validate({"from": dt.date(2025, 9, 1)})})
    found = judge_county(late)
    assert found.frame.is_empty()
    assert found.not_judged["reason"].unique().to_list() == ["not_in_force"]
    with pytest.raises(SettingsError) as unstated:
        judge_county(dataclasses.replace(make_registers(), packs={}))
    assert unstated.value.code == "pack_effect_unstated"
    with pytest.raises(UsageError) as unknown:
        judge_county(rules=["ezhou.head.yelow"])
    assert unknown.value.code == "rule_unknown"
    assert unknown.value.params["close"] == "ezhou.head.yellow"


def test_without_registers_nobody_is_judged() -> None:
    bare = dataclasses.replace(make_registers(), heads=None)
    assert set(results(judge_county(bare), "ezhou.head.talk").values()) == {"not_assessable tenure_incomplete"}


def _targets(**more: Any) -> Registers:
    base = {"target_id": "T1", "unit_type": "school", "unit_id": "S1", "measure": "pass_rate", "subject": "math"}
    return make_registers(
        targets=[base | {"baseline": 0.5, "target": 0.9, "direction": "up", "due": dt.date(2025, 7, 31)} | more]
    )


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, "met"),
        ({"target": 0.0}, "not_met"),
        ({"due": dt.date(2025, 8, 31)}, "not_met"),
        ({"direction": "down"}, "not_met"),
        ({"measure": "retention_rate"}, "not_assessable measure_missing"),
        ({"measure": "admission_rate"}, "not_assessable barred"),
    ],
)
def test_targets_of_the_register(more: dict[str, Any], expected: str) -> None:
    source = sources_from_scores(make_exams(), _targets(**more))
    found = judge("jinghong", source, as_of=AS_OF, rules=["jinghong.school.target_missed"])
    assert results(found, "jinghong.school.target_missed") == {"S1": expected}
    assert found.frame["target_id"].to_list() == ["T1", "T1"]
    barred_by = found.frame["barred_by"].unique().to_list()
    assert barred_by == (["national.document.promotion_target"] if expected.endswith("barred") else [None])


def test_a_ban_names_what_breaks_it() -> None:
    source = sources_from_scores(make_exams(), _targets(measure="admission_rate"))
    found = judge("national", source, as_of=AS_OF)
    broken = found.proposals.filter(rule_id="national.document.promotion_target")
    assert broken.select("unit_type", "unit", "target_id", "proposal").rows() == [("school", "S1", "T1", "refuse")]
    assert found.not_judged.filter(rule_id="national.exam.mocks")["reason"].to_list() == ["nothing_to_guard"]


def test_a_rule_resting_on_promotion_is_barred() -> None:
    pack = load_rulepack("ezhou", as_of=AS_OF, statements=make_registers().packs)
    talk = pack.rule("ezhou.head.talk")
    assert talk is not None
    rule = talk.model_copy(update={"measure": "composite_z", "conditions": (*talk.conditions, _promotion(talk))})
    found = judge(_replaced(pack, rule), sources_from_scores(make_exams(), make_registers()), as_of=AS_OF, rules=[rule.id])
    assert set(results(found, rule.id).values()) == {"not_assessable barred"}
    assert found.frame["barred_by"].unique().to_list() == ["national.document.promotion_only"]


def _promotion(rule: Any) -> Any:
    """Return a condition on 升学率."""
    return rule.conditions[0].model_copy(update={"measure": "admission_rate"})


def _replaced(pack: RulePack, rule: Any) -> RulePack:
    return dataclasses.replace(pack, rules=tuple(rule if other.id == rule.id else other for other in pack.rules))


def test_recorded_facts_are_used_and_nothing_is_inferred() -> None:
    source = sources_from_scores(make_exams(), make_registers())
    bare = judge("ezhou", source, as_of=AS_OF, rules=["ezhou.school.small_support"])
    assert bare.frame.is_empty()
    assert bare.not_judged["reason"].to_list() == ["flag_unrecorded"]
    flags = pl.DataFrame(
        {"unit_type": ["school"] * 2, "unit": ["S1", "S2"], "flag": ["support_pair"] * 2, "value": [False, True]}
    )
    found = judge("ezhou", source, as_of=AS_OF, rules=["ezhou.school.small_support"], flags=flags)
    assert results(found, "ezhou.school.small_support") == {"S1": "met", "S2": "not_met"}


def test_teachers_by_region_stage_and_subject() -> None:
    taught = [
        {"teacher_id": f"T{school}{room}", "school_id": school, "class_id": f"九（{room}）班", "subject": "math"}
        for school in LEVELS
        for room in (1, 2)
    ]
    registers = make_registers(teachers=taught, S6={"cluster": "石桥片区"})
    stated = {"from": dt.date(2021, 9, 1), "parameters": {"ezhou.teacher.delay": {"share": 0.2, "min_pupils": 10}}}
    registers = dataclasses.replace(registers, packs={"ezhou": PackStatement.model_validate(stated)})
    found = judge("ezhou", sources_from_scores(make_exams(), registers), as_of=AS_OF, rules=["ezhou.teacher.delay"])
    said = results(found, "ezhou.teacher.delay")
    assert {teacher for teacher, result in said.items() if result == "met"} == {"TS11", "TS12"}  # ⌈.2 · 10⌉ lowest, twice
    assert said["TS61"] == "not_assessable peer_group_too_small"
    line = found.frame.filter(unit="TS11").row(0, named=True)
    assert (line["teacher_id"], line["school_id"], line["subject"]) == ("TS11", "S1", "math")
    assert line["family"] == "region=城区片区,stage=junior"
    assert line["evidence_grade"] is None


def test_a_teacher_who_left_stays_a_peer_of_the_years_before_and_is_not_judged() -> None:
    def entry(teacher: str, school: str, room: int, year: str) -> dict[str, Any]:
        return {
            "teacher_id": teacher, "school_id": school, "class_id": f"九（{room}）班", "subject": "math", "school_year": year
        }  # fmt: skip

    years = sorted({str(scores.exam.exam.school_year) for scores in make_exams()})
    taught = [
        entry("TNEW" if (school, room, year) == ("S5", 1, years[-1]) else f"T{school}{room}", school, room, year)
        for school in LEVELS
        for room in (1, 2)
        for year in years
    ]
    stated = {"from": dt.date(2021, 9, 1), "parameters": {"ezhou.teacher.delay": {"share": 0.2, "min_pupils": 10}}}
    registers = dataclasses.replace(make_registers(teachers=taught), packs={"ezhou": PackStatement.model_validate(stated)})
    found = judge("ezhou", sources_from_scores(make_exams(), registers), as_of=AS_OF, rules=["ezhou.teacher.delay"])
    said = results(found, "ezhou.teacher.delay")
    assert "TS51" not in said
    assert said["TNEW"] == "not_assessable missing_year"
    sizes = found.facts.filter(unit="TS11").sort("period").select("period", "n_units")
    assert sizes["n_units"].to_list() == [12] * len(years)
    assert "TS51" not in found.facts["unit"].to_list()


def test_the_same_verdicts_in_any_order_of_exams(county: JudgeResult) -> None:
    shuffled = [
        dataclasses.replace(exam, frame=exam.frame.sample(fraction=1, shuffle=True, seed=3)) for exam in reversed(make_exams())
    ]
    found = judge("ezhou", sources_from_scores(shuffled, make_registers()), as_of=AS_OF, rules=HEADS)
    assert_frame_equal(found.frame, county.frame, abs_tol=0.0, rel_tol=0.0)
    assert_frame_equal(found.facts, county.facts, abs_tol=0.0, rel_tol=0.0)
    assert found.to_json() == county.to_json()


def test_a_decision_must_name_one_proposal(county: JudgeResult) -> None:
    said = {"decision": "adopted", "decided_by": "局长", "decided_on": "2025-09-10", "reason": "核实"}
    asked = Decision.model_validate({"rule_id": "ezhou.head.talk", "unit": "S1"} | said)
    two = pl.concat([county.proposals, county.proposals.with_columns(year_group=pl.lit("G8"))])
    with pytest.raises(UsageError) as error:
        find_proposal(two, county.facts, asked)
    assert error.value.code == "decision_ambiguous"
    assert error.value.params["choices"] == "G9/composite, G8/composite"
    chosen = find_proposal(two, county.facts, asked.model_copy(update={"year_group": "G9"}))
    assert (chosen["year_group"], chosen["proposal"], chosen["decision"]) == ("G9", "talk", "adopted")


def test_writing(county: JudgeResult, tmp_path: Any) -> None:
    assert pl.read_parquet(county.write(tmp_path / "v.parquet")).equals(county.frame)
    assert json.loads(county.write(tmp_path / "v.json").read_text())["schema"] == "eduq-verdicts-1"
    assert county.write(tmp_path / "v.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    with pytest.raises(UsageError):
        county.write(tmp_path / "v.txt")
    assert "2 proposals" in county.summary()
    assert "S1" not in repr(county)


@pytest.fixture(scope="module")
def sample() -> ExamSource:
    folder = sample_data_path()
    exams = [eq.read_scores(folder / f"{year}-2-{group}-final") for year in range(2021, 2026) for group in ("g8", "g9")]
    registers = read_registers(folder / "registers")
    packs = {"ezhou": PackStatement.model_validate({"from": dt.date(2021, 9, 1)})}
    return sources_from_scores(exams, dataclasses.replace(registers, packs=packs))


def test_the_sample_county(sample: ExamSource) -> None:
    found = judge("ezhou", sample, as_of=dt.date(2026, 8, 31), rules=HEADS)
    yellow = found.frame.filter(rule_id="ezhou.head.yellow")
    grades = {unit: set(yellow.filter(unit=unit)["evidence_grade"]) for unit in yellow["unit"].unique()}
    for falling in ("S003", "S006", "S033"):
        assert grades[falling] <= {"A", "B"}, falling
    for unseen in ("S019", "S039"):
        assert grades[unseen] <= {"C", "D"}, unseen
        assert yellow.filter(unit=unseen)["min_detectable"].null_count() == 0
    changing = {"S001", "S003", "S004", "S006", "S008", "S019", "S033", "S039"}
    stable = [unit for unit, letters in grades.items() if unit not in changing and letters & {"A", "B"}]
    assert len(stable) <= 1
    assert yellow.filter(unit="S034", year_group="G9")["clause_result"].to_list()[0] != "met"  # marked its own papers in 2026
    assert yellow.filter(unit="S039")["reason"].unique().to_list() == ["small_school_exempt"]
    assert found.proposals.filter(rule_id="ezhou.head.yellow").select("unit", "year_group", "head_id").rows() == [
        ("S006", "G9", "H0008")
    ]
    assert results(found, "ezhou.head.red")["S006"] in ("not_met", "not_assessable tenure_incomplete")


AWARDS = [("ezhou", "ezhou.school.award"), ("jinghong", "jinghong.head.award"), ("jinghong", "jinghong.teacher.award")]


def test_an_award_finds_its_second_measure_whatever_spans_the_subjects() -> None:
    stated = {"from": dt.date(2021, 9, 1), "parameters": {"ezhou.school.award": {"rise": 0.01, "pass_all": 0.5}}}
    registers = dataclasses.replace(make_registers(), packs={"ezhou": PackStatement.model_validate(stated)})
    found = judge("ezhou", sources_from_scores(make_exams(), registers), as_of=AS_OF, rules=["ezhou.school.award"])
    assert found.frame["subject"].unique().to_list() == ["composite"]
    kinds = found.conditions.filter(unit="S4").select("kind", "clause_result").rows()
    assert kinds == [("decline", "met"), ("below_cut", "met")]
    assert results(found, "ezhou.school.award")["S4"] == "met"
    assert results(found, "ezhou.school.award")["S1"] == "not_met"


@pytest.mark.parametrize(("name", "rule_id"), AWARDS)
def test_awards_on_the_sample_county_end_to_end(sample: ExamSource, name: str, rule_id: str) -> None:
    second = {"bottom_share": 0.3} if "teacher" in rule_id else {"pass_all": 0.3}
    stated = {"from": dt.date(2021, 9, 1), "parameters": {rule_id: {"rise": 0.1} | second}}
    statements = {name: PackStatement.model_validate(stated)}
    pack = load_rulepack(name, as_of=dt.date(2026, 8, 31), statements=statements)
    found = judge(pack, sample, as_of=dt.date(2026, 8, 31), rules=[rule_id])
    assert found.not_judged.is_empty()
    narrow = found.frame.filter(reading="narrow")
    assert "measure_missing" not in narrow["reason"].to_list()
    assert {"met", "not_met"} <= set(narrow["clause_result"])

    unit_type = "teacher" if "teacher" in rule_id else "school"
    measures = ("z_mean", "bottom30_share") if unit_type == "teacher" else ("composite_z", "all_pass_rate")
    series = collect_series(sample, unit_type=unit_type, measures=measures, as_of=dt.date(2026, 8, 31)).frame
    lines = series.filter(pl.col("period").is_in(["2024-2025", "2025-2026"]), pl.col("estimate").is_not_null())
    levels = {
        (row["unit"], row["year_group"], row["subject"], row["measure"], row["period"]): row["estimate"]
        for row in lines.to_dicts()
    }
    for row in narrow.filter(pl.col("clause_result") != "not_assessable").to_dicts():
        subjects = [row["subject"]] * 2 if unit_type == "teacher" else [None, None]
        own = {key: value for key, value in levels.items() if key[:2] == (row["unit"], row["year_group"])}
        if unit_type == "teacher":
            own = {key: value for key, value in own.items() if key[2] == subjects[0]}
        rise, level = ({key[4]: round(value, 4) for key, value in own.items() if key[3] == measure} for measure in measures)
        before = rise.get("2024-2025")  # without one the other measure alone can say not met
        rose = before is not None and round(rise["2025-2026"] - before, 4) > 0.1
        reached = level["2025-2026"] <= 0.3 if unit_type == "teacher" else level["2025-2026"] >= 0.3
        assert row["clause_result"] == ("met" if rose and reached else "not_met"), row["unit"]
