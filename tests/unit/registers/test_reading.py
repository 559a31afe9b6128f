"""The registers folder: what it may say, in which words, and what stops with file, row and column."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from eduq.errors import SettingsError
from eduq.registers import read_registers
from eduq.resources import sample_data_path

SCHOOLS = "school_id,name,township,stage\nS1,甲校,东镇,初中\nS2,乙校,东镇,junior\nS3,丙校,西镇,junior\n"


def write(folder: Path, **files: str) -> Path:
    (folder / "schools.csv").write_text(files.pop("schools", SCHOOLS), encoding="utf-8")
    for name, content in files.items():
        suffix = "toml" if name == "packs" else "csv"
        (folder / f"{name}.{suffix}").write_text(content, encoding="utf-8")
    return folder


def test_the_sample_registers_are_read_with_their_types() -> None:
    found = read_registers(sample_data_path() / "registers")
    assert found.schools.schema["valid_to"] == pl.Date
    assert found.schools["small_school"].sum() == 4
    assert found.schools["enrolment"].dtype == pl.Int64
    assert found.teachers is not None
    assert found.teachers["share"].to_list() == [1.0] * 23_176
    assert found.heads is not None
    assert found.heads.row(1, named=True)["to"] == dt.date(2021, 8, 31)
    assert found.events is not None
    assert found.events.row(0) == (dt.date(2012, 9, 1), "merge", ["S041", "S001"], ["S001"])
    assert found.events.row(4)[3] == []
    assert found.targets is not None
    assert found.targets.row(7, named=True)["unit_id"] is None


def test_files_that_are_not_there_are_none(tmp_path: Path) -> None:
    found = read_registers(write(tmp_path))
    assert (found.teachers, found.events, found.heads, found.targets, found.packs) == (None, None, None, None, {})
    assert found.schools["stage"].to_list() == ["junior"] * 3


def test_chinese_headers_and_words(tmp_path: Path) -> None:
    found = read_registers(
        write(
            tmp_path,
            schools="学校代码,学校名称,乡镇,学段,小规模学校,在校生数,启用日期\nS1,甲校,东镇,初中,否,320,2001-09-01\nS2,乙校,东镇,初中,是,41,\n",
            school_events="变动日期,变动类型,原学校,现学校\n2023-09-01,合并,S1；S2,S1\n",
            heads="校长编号,校长姓名,学校代码,任职日期,离任日期\nH1,某某,S1,2020-09-01,\n",
            teachers="教师编号,学校代码,班级,科目,学年,学期,任课比例\nT1,S1,1班,数学,2024-2025,下学期,0.5\n",
            targets=(
                "目标编号,对象类型,对象代码,指标,科目,基期值,目标值,方向,完成期限,责任人\n"
                "M1,学校,S1,及格率,数学,68%,0.72,提高,2026-07-31,某某\nM2,全县,,低分率,,,5%,不高于,2026-07-31,\n"
            ),
        )
    )
    assert found.schools.select("small_school", "enrolment", "valid_from").rows() == [
        (False, 320, dt.date(2001, 9, 1)),
        (True, 41, None),
    ]
    assert found.events is not None
    assert found.events.rows() == [(dt.date(2023, 9, 1), "merge", ["S1", "S2"], ["S1"])]
    assert found.heads is not None
    assert found.heads.rows() == [("H1", "某某", "S1", dt.date(2020, 9, 1), None)]
    assert found.teachers is not None
    assert found.teachers.select("subject", "term", "share").rows() == [("math", 2, 0.5)]
    assert found.targets is not None
    assert found.targets.drop("signer").rows() == [
        ("M1", "school", "S1", "pass_rate", "math", 0.68, 0.72, "up", dt.date(2026, 7, 31)),
        ("M2", "area", None, "low_score_rate", None, None, 0.05, "down", dt.date(2026, 7, 31)),
    ]


HEADS = "head_id,school_id,from,to\n"
EVENTS = "date,event,from_ids,to_ids\n"
TARGETS = "target_id,unit_type,unit_id,measure,subject,target,direction,due\n"
TEACHERS = "teacher_id,school_id,class_id,subject,school_year,term,share\n"
CASES = [
    ("schools", "school_id,name,valid_from,valid_to\nS1,甲,2020-09-01,2019-08-31\n", "register_dates_reversed", 2, "valid_to"),
    ("schools", "school_id,name,small_school\nS1,甲,也许\n", "register_value", 2, "small_school"),
    ("schools", "school_id,name,enrolment\nS1,甲,-3\n", "register_number", 2, "enrolment"),
    ("heads", HEADS + "H1,S1,2020-9-1,\n", "register_date", 2, "from"),
    ("heads", HEADS + "H1,S1,2020-02-30,\n", "register_date", 2, "from"),
    ("heads", HEADS + "H1,S1,2020-09-01,2020-08-31\n", "register_dates_reversed", 2, "to"),
    ("heads", HEADS + "H1,S9,2020-09-01,\n", "register_id_unknown", 2, "school_id"),
    ("heads", HEADS + "H1,S1,,\n", "register_blank", 2, "from"),
    ("heads", HEADS + "H2,S1,2022-08-31,\nH1,S1,2020-09-01,2022-08-31\n", "register_tenures_overlap", 2, "from"),
    ("heads", HEADS + "H1,S1,2020-09-01,\nH2,S1,2022-09-01,\n", "register_tenures_overlap", 3, "from"),
    ("teachers", TEACHERS + "T1,S9,1班,math,,,\n", "register_id_unknown", 2, "school_id"),
    ("teachers", TEACHERS + "T1,S1,1班,炼金术,,,\n", "register_value", 2, "subject"),
    ("teachers", TEACHERS + "T1,S1,1班,math,2024-2026,,\n", "register_value", 2, "school_year"),
    ("teachers", TEACHERS + "T1,S1,1班,math,,3,\n", "register_value", 2, "term"),
    ("teachers", TEACHERS + "T1,S1,1班,math,,,1.5\n", "register_number", 2, "share"),
    ("school_events", EVENTS + "2023-09-01,explode,S1,S2\n", "register_value", 2, "event"),
    ("school_events", EVENTS + "2023-09-01,merge,S1;S9,S1\n", "register_id_unknown", 2, "from_ids"),
    ("school_events", EVENTS + "2023-09-01,rename,S1;S2,S3\n", "register_event_sizes", 2, "from_ids"),
    ("school_events", EVENTS + "2023-09-01,merge,S1,S2\n", "register_event_sizes", 2, "from_ids"),
    ("school_events", EVENTS + "2023-09-01,split,S1,S1\n", "register_event_sizes", 2, "to_ids"),
    ("school_events", EVENTS + "2023-09-01,close,S1,S2\n", "register_event_sizes", 2, "to_ids"),
    ("school_events", EVENTS + "2023-09-01,merge,S1;S1,S1\n", "register_event_repeated", 2, "from_ids"),
    (
        "school_events",
        EVENTS + "2024-09-01,merge,S1;S2,S2\n2023-09-01,close,S1,\n",
        "register_event_after_end",
        2,
        "from_ids",
    ),
    ("school_events", EVENTS + "2023-09-01,merge,S1;S2,S2\n2024-09-01,new,,S2\n", "register_event_exists", 3, "to_ids"),
    ("targets", TARGETS + "M1,school,S9,pass_rate,math,0.7,up,2026-07-31\n", "register_id_unknown", 2, "unit_id"),
    ("targets", TARGETS + "M1,school,,pass_rate,math,0.7,up,2026-07-31\n", "register_blank", 2, "unit_id"),
    ("targets", TARGETS + "M1,township,南镇,pass_rate,math,0.7,up,2026-07-31\n", "register_id_unknown", 2, "unit_id"),
    ("targets", TARGETS + "M1,school,S1,幸福指数,math,0.7,up,2026-07-31\n", "register_measure_unknown", 2, "measure"),
    ("targets", TARGETS + "M1,school,S1,pass_rate,math,70,up,2026-07-31\n", "register_number", 2, "target"),
    ("targets", TARGETS + "M1,school,S1,pass_rate,math,七成,up,2026-07-31\n", "register_number", 2, "target"),
    ("targets", TARGETS + "M1,school,S1,pass_rate,math,0.7,sideways,2026-07-31\n", "register_value", 2, "direction"),
    ("targets", TARGETS + "M1,school,S1,pass_rate,math,0.7,up,明年\n", "register_date", 2, "due"),
    ("targets", TARGETS + 2 * "M1,area,,pass_rate,math,0.7,up,2026-07-31\n", "register_target_twice", 2, "target_id"),
]


@pytest.mark.parametrize(("register", "content", "code", "row", "column"), CASES)
def test_what_cannot_be_stops_with_its_place(
    tmp_path: Path, register: str, content: str, code: str, row: int, column: str
) -> None:
    with pytest.raises(SettingsError) as stop:
        read_registers(write(tmp_path, **{register: content}))
    assert (stop.value.code, stop.value.place.row, stop.value.place.column) == (code, row, column)
    assert stop.value.place.file == f"{register}.csv"
    for lang in ("zh", "en"):
        assert stop.value.message(lang)
        assert stop.value.advice(lang)


def test_promotion_targets_are_read_for_a_rule_to_refuse(tmp_path: Path) -> None:
    found = read_registers(write(tmp_path, targets=TARGETS + "M1,school,S1,升学率,,0.6,up,2026-07-31\n"))
    assert found.targets is not None
    assert found.targets["measure"].to_list() == ["promotion_rate"]


def test_local_measures_may_be_targets_when_they_are_known(tmp_path: Path) -> None:
    folder = write(tmp_path, targets=TARGETS + "M1,school,S1,near_pass_rate,math,0.6,up,2026-07-31\n")
    with pytest.raises(SettingsError, match="register_measure_unknown"):
        read_registers(folder)
    assert read_registers(folder, measures=["near_pass_rate"]).targets is not None


def test_packs_state_dates_and_local_values(tmp_path: Path) -> None:
    packs = """
ezhou = { from = 2021-09-01, stated_by = "县教育局" }
[jinghong]
from = 2018-05-01
to = 2028-04-30
[jinghong.parameters]
jinghong.head.stagnation.years = 3
"jinghong.head.drop".limit = 0.5
"""
    found = read_registers(write(tmp_path, packs=packs)).packs
    assert list(found) == ["ezhou", "jinghong"]
    assert found["ezhou"].effective_from == dt.date(2021, 9, 1)
    assert found["ezhou"].parameters == {}
    assert found["jinghong"].effective_to == dt.date(2028, 4, 30)
    assert found["jinghong"].parameters == {"jinghong.head.drop": {"limit": 0.5}, "jinghong.head.stagnation": {"years": 3}}
    assert found["ezhou"].model_validate(found["ezhou"].model_dump(mode="json", by_alias=True)) == found["ezhou"]


@pytest.mark.parametrize(
    ("packs", "code"),
    [
        ("ezhou = { form = 2021-09-01 }", "settings_invalid"),
        ('ezhou = { from = "去年" }', "settings_invalid"),
        ("ezhou = 2021-09-01", "settings_invalid"),
        ("ezhou = { from = 2021-09-01, to = 2020-09-01 }", "settings_invalid"),
        ("[ezhou.parameters]\nyears = 3", "pack_parameter_form"),
        ("ezhou = {", "settings_syntax"),
    ],
)
def test_a_statement_that_is_not_understood_stops(tmp_path: Path, packs: str, code: str) -> None:
    with pytest.raises(SettingsError) as stop:
        read_registers(write(tmp_path, packs=packs))
    assert stop.value.code == code
    assert stop.value.place.file == "packs.toml"
    assert stop.value.message("zh")
