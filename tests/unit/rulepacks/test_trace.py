"""The chain behind a verdict, and the dossier made of it."""

from __future__ import annotations

import datetime as dt
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.unit.rulepacks.json_schema import find_faults
from tests.unit.rulepacks.small_county import (
    AS_OF,
    build_pack,
    build_rule,
    county_exams,
    county_registers,
    county_source,
)

from eduq.bulletins.dossier import DOSSIER_FORMATS, render_dossier
from eduq.bulletins.dossier_text import cells_wide, wrap_text
from eduq.disclosure import PublishableDossier, protect_dossier
from eduq.errors import DisclosureError, UsageError
from eduq.estimates.series import sources_from_scores
from eduq.intake import read_scores
from eduq.locale import LANGUAGES
from eduq.registers import PackStatement
from eduq.resources import sample_data_path
from eduq.rulepacks.judging import judge
from eduq.rulepacks.model import RulePack
from eduq.rulepacks.reading import load_rulepack
from eduq.rulepacks.trace import Explanation, choose_verdict, explain
from eduq.settings import RunSettings

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "reference" / "why-schema.json").read_text(encoding="utf-8"))


@cache
def pack() -> RulePack:
    """Return a ladder of two steps and a rule about documents."""
    talk = build_rule(ladder={"name": "small", "step": 1}, exit={"after_years": 1})
    yellow = build_rule(
        {"kind": "decline", "years": 3, "noise_band": 0.0},
        {"kind": "last_place", "years": 2, "last": 1},
        id="small.head.yellow",
        ladder={"name": "small", "step": 2},
        proposal="yellow_card",
        exit={"after_years": 1},
    )
    paper = build_rule(
        {"kind": "flag", "flag": "quarterly_bulletin", "expect": False, "every": "quarter"},
        id="small.document.cadence",
        subject="document",
        measure=None,
        peer_group=None,
        proposal="warn",
    )
    return build_pack(paper, talk, yellow)


@cache
def found(unit: str = "A", rule: str = "small.head.talk") -> Explanation:
    return explain(county_source(), unit=unit, rule=rule, as_of=AS_OF, pack=pack())


def dossier(unit: str = "A", rule: str = "small.head.talk") -> PublishableDossier:
    return protect_dossier(found(unit, rule), edition="bureau")


def test_verdict_and_numbers_are_those_of_judge() -> None:
    judged = judge(pack(), county_source(), as_of=AS_OF, rules=["small.head.talk"])
    assert found().verdicts.equals(judged.frame.filter(unit="A"))
    assert found().conditions.equals(judged.conditions.filter(unit="A"))
    facts = judged.facts.filter(unit="A").sort("measure", "period")
    assert found().frame.drop("p_last", "could_be_last").equals(facts)


def test_last_place_of_the_judged_year_is_that_of_the_evidence() -> None:
    last = found().frame.row(-1, named=True)
    assert found().evidence is not None
    assert last["p_last"] == pytest.approx(found().evidence["p_last"])  # type: ignore[index]
    assert last["could_be_last"] == found().evidence["could_be_last"]  # type: ignore[index]


def test_evidence_says_why_it_is_not_higher() -> None:
    evidence = found().evidence
    assert evidence is not None
    assert evidence["evidence_grade"] == found().verdicts["evidence_grade"][0]
    assert (evidence["evidence_grade"] == "A") == (evidence["why_not_higher"] == [])
    stable = found("D").evidence
    assert stable is not None
    assert stable["evidence_grade"] == "D"
    assert {"p_possible", "q"} <= set(stable["why_not_higher"])


def test_earlier_steps_tenure_and_exit_are_there() -> None:
    fields = dossier(rule="small.head.yellow").fields
    assert [step["rule"] for step in fields["steps"]][-1] in ("small.head.talk", "small.head.yellow")
    assert [line["held"] for line in fields["tenure"]] == [True] * 4
    assert {line["head_id"] for line in fields["tenure"]} == {"H-A"}
    assert fields["rule"]["exit"]["after_years"] == 1


def test_peers_list_who_is_not_counted_and_why() -> None:
    assert found().peers["counted"].sum() == 6
    high = build_rule(peer_group={"within": ["kind"], "min_units": 2, "min_pupils": 13})
    none = explain(county_source(), unit="A", rule=high.id, as_of=AS_OF, pack=build_pack(high))
    assert none.peers["reason"].unique().to_list() == ["below_min_n"]
    assert none.verdicts["clause_result"].cast(pl.String).unique().to_list() == ["not_assessable"]


def test_the_verdict_with_most_to_decide_is_taken_and_the_others_are_listed() -> None:
    exams = list(county_exams()[1:])
    rows = []
    for exam in exams:
        facts = exam.exam.exam.model_copy(update={"id": f"{exam.exam.exam.id}x", "year_group": "G8"})
        frame = exam.frame.with_columns(pl.lit("G8").alias("year_group"))
        rows.append(
            type(exam)(frame, exam.exam.model_copy(update={"exam": facts}), exam.schools, exam.rejected, exam.checks, exam.inputs)
        )
    source = sources_from_scores([*exams, *rows], county_registers())
    explained = explain(source, unit="A", rule="small.head.talk", as_of=AS_OF, pack=pack())
    assert explained.verdicts["year_group"].unique().to_list() == ["G9"]
    assert explained.others["year_group"].unique().to_list() == ["G8"]
    both = pl.concat([explained.verdicts, explained.others])
    asked, others = choose_verdict(both, "G8", None, explained.rule)
    assert asked["year_group"].unique().to_list() == ["G8"]
    assert others["year_group"].unique().to_list() == ["G9"]
    used = dict(explained.exams.filter("used").select("exam_id", "reason").iter_rows())
    assert {reason for exam_id, reason in used.items() if exam_id.endswith("x")} == {"family_only"}


def test_a_rule_without_verdict_says_why() -> None:
    explained = found("all", "small.document.cadence")
    assert explained.verdicts.is_empty()
    assert explained.no_verdict == "record_elsewhere"
    assert explained.changes.is_empty()
    assert explained.definitions is None
    fields = dossier("all", "small.document.cadence").fields
    assert {"what": "no_verdict", "reason": "record_elsewhere"} in fields["missing"]
    assert {exam["reason"] for exam in fields["exams"]} == {"no_exam_read"}


def test_unknown_unit_and_rule_stop() -> None:
    with pytest.raises(UsageError) as stop:
        explain(county_source(), unit="Z", rule="small.head.talk", as_of=AS_OF, pack=pack())
    assert stop.value.code == "why_no_verdict"
    with pytest.raises(UsageError) as stop:
        explain(county_source(), unit="A", rule="small.head.none", as_of=AS_OF, pack=pack())
    assert stop.value.code == "rule_unknown"


def test_files_name_what_was_used_and_rejected() -> None:
    exam = county_exams()[-1]
    inputs = pl.DataFrame(
        {"file": ["folder/scores.csv"], "sha256": ["0" * 64], "bytes": [1], "encoding": ["utf-8"], "rows": [75], "used": [72],
         "rejected": [3]}
    )  # fmt: skip
    rejected = pl.DataFrame(
        {"file": ["folder/scores.csv"] * 3, "sheet": [None] * 3, "row": [5, 9, 11], "column": [None] * 3,
         "code": ["blank_row", "blank_row", "score_above_max"], "value": ["x", "y", "999"]}
    )  # fmt: skip
    last = type(exam)(exam.frame, exam.exam, exam.schools, rejected, exam.checks, inputs)
    explained = explain(county_source(last), unit="A", rule="small.head.talk", as_of=AS_OF, pack=pack())
    assert explained.files.row(0, named=True) == {
        "exam_id": "2025-2-g9", "file": "scores.csv", "sha256": "0" * 64, "rows": 75, "used": 72, "rejected": 3,
    }  # fmt: skip
    assert dict(explained.rejected.select("code", "n").iter_rows()) == {"blank_row": 2, "score_above_max": 1}


@pytest.mark.parametrize(
    ("unit", "rule"), [("A", "small.head.talk"), ("D", "small.head.yellow"), ("all", "small.document.cadence")]
)
def test_json_follows_its_schema(unit: str, rule: str) -> None:
    said = json.loads(render_dossier(dossier(unit, rule), format="json"))
    assert list(find_faults(said, SCHEMA)) == []


def test_the_same_scores_in_another_order_give_the_same_bytes() -> None:
    exams = [
        type(exam)(exam.frame.reverse(), exam.exam, exam.schools, exam.rejected, exam.checks, exam.inputs)
        for exam in county_exams()
    ]
    turned = explain(sources_from_scores(exams, county_registers()), unit="A", rule="small.head.talk", as_of=AS_OF, pack=pack())
    again = protect_dossier(turned, edition="bureau")
    assert again.fields == dossier().fields
    for form in DOSSIER_FORMATS:
        for lang in LANGUAGES:
            assert render_dossier(again, format=form, lang=lang) == render_dossier(dossier(), format=form, lang=lang)


@pytest.mark.parametrize("form", DOSSIER_FORMATS)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_pupil_is_in_a_dossier(form: str, lang: Any) -> None:
    said = render_dossier(dossier(), format=form, lang=lang)
    assert "pupil-" not in said
    assert not re.search(r"candidate_id|person_id", said)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_html_needs_nothing_else(lang: Any) -> None:
    said = render_dossier(dossier(), format="html", lang=lang)
    assert "<script" not in said
    assert set(re.findall(r'https?://[^"\s<]+', said)) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert not re.search(r'(?:src|href)="(?!#)', said)
    assert "{'key'" not in said
    assert said.index('class="audience"') < said.index("<h1>")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_text_fits_the_terminal(lang: Any) -> None:
    said = render_dossier(dossier(), format="text", lang=lang)
    wide = [line for line in said.splitlines() if cells_wide(line) > 100]
    assert wide == []
    assert "{" not in said


def test_wrapped_chinese_does_not_begin_a_line_with_a_stop() -> None:
    lines = wrap_text("证据等级与条款结果分列，互不代替。" * 5, 20)
    assert all(cells_wide(line) <= 22 for line in lines)
    assert not any(line[0] in "，。" for line in lines)
    assert "".join(lines) == "证据等级与条款结果分列，互不代替。" * 5


def test_small_numbers_are_withheld() -> None:
    settings = RunSettings(min_n_reporting=13)
    explained = explain(county_source(), unit="A", rule="small.head.talk", as_of=AS_OF, pack=pack(), settings=settings)
    fields = protect_dossier(explained, edition="bureau").fields
    for line in fields["numbers"]:
        assert line["reason"] == "withheld"
        assert all(line[name] is None for name in ("estimate", "std_error", "ci_lower", "change", "rank", "p_last"))
        assert line["n"] == 12
    assert fields["evidence"]["slope"] is None
    assert fields["evidence"]["series"] == []
    assert fields["evidence"]["evidence_grade"] is not None
    assert all(one["needed"] is None and one["estimate"] is None for one in fields["changes"])
    assert all(one["n"] is None for one in fields["peers"]["not_counted"])
    assert fields["definitions"]["rank"] is None
    assert {one["from_bottom"] for one in fields["definitions"]["list"]} == {None}
    assert list(find_faults(fields, SCHEMA)) == []
    for lang in LANGUAGES:
        render_dossier(protect_dossier(explained, edition="bureau"), format="html", lang=lang)


def test_only_known_editions_are_made() -> None:
    with pytest.raises(DisclosureError) as stop:
        protect_dossier(found(), edition="public")
    assert stop.value.code == "edition_not_available"
    with pytest.raises(DisclosureError) as stop:
        protect_dossier(found(), edition="press")
    assert stop.value.code == "edition_unknown"


def test_unknown_format_stops() -> None:
    with pytest.raises(UsageError) as stop:
        render_dossier(dossier(), format="pdf")
    assert stop.value.code == "format_unknown"


def test_the_command_repeats_the_question() -> None:
    said = dossier().fields["repeat"]
    assert said == "eduq why A --archive ARCHIVE --rule small.head.talk --as-of 2026-08-31 --year-group G9 --subject composite"


@pytest.mark.parametrize("unit", ["A", "D"])
def test_every_school_can_be_explained(unit: str) -> None:
    fields = dossier(unit).fields
    results = {line["reading"]: line["clause_result"] for line in fields["verdict"]["readings"]}
    assert set(results) == {"narrow", "wide"}
    assert fields["definitions"]["same"]["narrow"] <= fields["definitions"]["n"]


def test_numbers_go_to_a_file(tmp_path: Path) -> None:
    written = found().write(tmp_path / "numbers.parquet")
    assert pl.read_parquet(written).height == 4
    assert "narrow met" in found().summary()
    assert repr(found()).startswith("Explanation(")
    assert "<table" in found()._repr_html_()
    assert found().settings["as_of"] == dt.date(2026, 8, 31)


def test_an_open_number_is_named_as_the_bureau_must_state_it() -> None:
    explained = explain(
        county_source(), unit="A", rule="ezhou.school.award", as_of=AS_OF,
        pack=load_rulepack("ezhou", as_of=AS_OF, statements={"ezhou": PackStatement.model_validate({"from": "2010-01-01"})}),
    )  # fmt: skip
    said = render_dossier(protect_dossier(explained, edition="bureau"), format="text", lang="zh").replace("\n    ", "")
    assert "ezhou.school.award.rise" in said
    assert "conditions.0" not in said


def test_a_ban_that_is_met_is_not_barred_by_itself() -> None:
    stated = {"ezhou": PackStatement.model_validate({"from": "2010-01-01"})}
    ezhou = load_rulepack("ezhou", as_of=AS_OF, statements=stated)
    source = sources_from_scores([read_scores(sample_data_path() / "2021-1-g8-mid")], county_registers())
    explained = explain(source, unit="2021-1-g8-mid", rule="ezhou.exam.unlawful", as_of=AS_OF, pack=ezhou)
    assert explained.verdicts["clause_result"].cast(pl.String).to_list() == ["met", "met"]
    for lang, words in (("zh", "国家规定禁止据此评价"), ("en", "National rules forbid")):
        assert words not in render_dossier(protect_dossier(explained, edition="bureau"), format="text", lang=lang)  # type: ignore[arg-type]
