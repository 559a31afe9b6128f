"""The archive keeps every exam once, every version readable, and says exactly what it was given."""

from __future__ import annotations

import dataclasses
import datetime as dt
import errno
import json
import tempfile
from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from tests.builders import build_scores
from tests.unit.archive.exams import new_archive, small_exam, small_registers, stored_text, uid, without_ids

from eduq.archive import Archive, create_archive, open_archive
from eduq.archive.exporting import write_exam_file
from eduq.archive.store import MARKER
from eduq.errors import ArchiveError, DataFileError, UsageError
from eduq.intake.exam_file import ExamFile
from eduq.registers import PackStatement
from eduq.registers.model import EVENT_COLUMNS, HEAD_COLUMNS
from eduq.registers.statements import read_statements
from eduq.settings import parse_toml
from eduq.tables import CHECKS, STATUS_TYPE

NOW = dt.datetime(2026, 1, 20, 8, 30, tzinfo=dt.UTC)
FACTS = {
    "rule_id": "ezhou.head.yellow", "pack": "ezhou", "unit_type": "school", "unit": "A", "as_of": dt.date(2026, 8, 31),
    "decision": "rejected", "decided_by": "张三", "decided_on": dt.date(2026, 9, 1), "reason": "当年合并",
}  # fmt: skip


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return new_archive(tmp_path)


def test_what_is_added_is_read_back(archive: Archive) -> None:
    given_scores = small_exam()
    receipt = archive.add(given_scores, operator="王五", now=NOW)
    assert (receipt.version, receipt.status, receipt.changed) == (1, "imported", True)
    back = archive.scores(receipt.exam_id)
    assert_frame_equal(without_ids(back.frame), without_ids(given_scores.frame))
    assert back.frame.columns == given_scores.frame.columns
    assert back.frame.schema["math_status"] == STATUS_TYPE
    for name in ("schools", "checks", "inputs", "item_spec", "aggregates"):
        assert_frame_equal(getattr(back, name), getattr(given_scores, name))
    assert_frame_equal(back.rejected.drop("value"), given_scores.rejected.drop("value"))
    assert back.rejected["value"].to_list() == [None]
    assert_frame_equal(back.items.drop("candidate_id"), given_scores.items.drop("candidate_id"))
    assert back.exam == given_scores.exam
    assert set(back.items["candidate_id"]) == set(back.frame["candidate_id"])
    assert back.frame["candidate_id"].str.contains("^[0-9a-f]{32}$").all()


def test_the_same_again_changes_nothing_and_a_correction_is_a_version(archive: Archive) -> None:
    archive.add(small_exam(), now=NOW)
    again = archive.add(small_exam())
    assert (again.status, again.changed, again.version, archive.version) == ("unchanged", False, 1, 1)
    corrected = archive.add(small_exam(shift=7))
    assert (corrected.status, corrected.version) == ("replaced", 2)
    assert archive.scores("2025-1-g9-final").frame["math"][0] == 5700
    assert open_archive(archive.path, version=1).scores("2025-1-g9-final").frame["math"][0] == 5000
    back = archive.add(small_exam())
    assert (back.status, back.version, archive.scores("2025-1-g9-final").frame["math"][0]) == ("replaced", 3, 5000)
    assert archive.exams()["archive_version"].to_list() == [3]
    assert archive.verify().ok


def test_exam_toml_counts_as_content(archive: Archive) -> None:
    scores = small_exam()
    archive.add(scores)
    exam = scores.exam.model_copy(update={"attest": scores.exam.attest.model_copy(update={"pace": "no"})})
    assert archive.add(dataclasses.replace(scores, exam=exam)).status == "replaced"
    checks = scores.checks.with_columns(pl.lit(5, dtype=pl.Int64).alias("n"))
    archive.add(scores)
    assert archive.add(dataclasses.replace(scores, checks=checks)).status == "unchanged"


def test_a_changed_id_alone_is_a_correction(archive: Archive) -> None:
    scores = small_exam()
    archive.add(scores)
    frame = scores.frame.with_columns(pl.col("person_id").replace(uid(1), uid(77)))
    assert archive.add(dataclasses.replace(scores, frame=frame)).status == "replaced"


def test_one_person_has_one_hash_in_every_exam_and_candidates_have_others(archive: Archive) -> None:
    archive.add(small_exam("exam-one"))
    archive.add(small_exam("exam-two", date="2026-06-15"))
    one, two = archive.scores("exam-one").frame, archive.scores("exam-two").frame
    assert one["person_id"].to_list() == two["person_id"].to_list()
    assert not set(one["person_id"]) & set(one["candidate_id"])


def test_columns_asked_for_are_the_columns_read(archive: Archive) -> None:
    archive.add(small_exam())
    part = archive.scores("2025-1-g9-final", columns=["math_status", "school_id"])
    assert part.frame.columns == ["math_status", "school_id"]
    assert part.items.height == 0
    assert archive.scores("2025-1-g9-final", columns=["math"], items=True).items.height == 12
    assert (
        archive.scan("2025-1-g9-final", columns=["math"]).collect()["math"].sum()
        == archive.scores("2025-1-g9-final").frame["math"].sum()
    )
    with pytest.raises(ArchiveError) as error:
        archive.scores("2025-1-g9-final", columns=["physics"])
    assert error.value.code == "archive_column_unknown"
    with pytest.raises(ArchiveError) as error:
        archive.scores("2024-1-g9-final")
    assert error.value.code == "archive_exam_unknown"


def test_a_long_exam_is_written_in_segments(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eduq.archive.store.SEGMENT", 5)
    monkeypatch.setattr("eduq.archive.forms._CHUNK", 4)
    whole, calls = deltalake.write_deltalake, 0

    def failing(*arguments: Any, **more: Any) -> None:
        nonlocal calls
        if more["mode"] == "append" and more.get("schema_mode"):
            calls += 1
        if more["mode"] == "append" and calls == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(*arguments, **more)

    monkeypatch.setattr(deltalake, "write_deltalake", failing)
    with pytest.raises(ArchiveError):
        archive.add(small_exam())
    assert archive.add(small_exam()).status == "imported"
    assert len(archive.score_files("2025-1-g9-final")) == 2
    assert_frame_equal(without_ids(archive.scores("2025-1-g9-final").frame), without_ids(small_exam().frame))
    assert archive.verify().ok


def test_exams_with_other_columns_do_not_mix(archive: Archive) -> None:
    archive.add(small_exam("exam-one"))
    other = build_scores(
        [{"school_id": "A", "art": 5, "sub_boarding": "yes", "exam_id": "exam-two"}],
        full={"art": 10},
        exam={"exam": {"id": "exam-two"}},
    )
    archive.add(other)
    assert "art" not in archive.scores("exam-one").frame.columns
    frame = archive.scores("exam-two").frame
    assert "math" not in frame.columns
    assert frame["sub_boarding"].to_list() == ["yes"]
    assert archive.exams()["exam_id"].to_list() == ["exam-one", "exam-two"]


def test_the_list_of_exams_says_what_there_is(archive: Archive) -> None:
    archive.add(small_exam("exam-two", date="2026-06-15"))
    archive.add(small_exam("exam-one"))
    exams = archive.exams()
    assert exams["exam_id"].to_list() == ["exam-one", "exam-two"]
    line = exams.row(0, named=True)
    assert (line["n_candidates"], line["n_schools"], line["n_rejected"], line["archive_version"]) == (12, 2, 1, 2)
    assert line["date"] == dt.date(2026, 1, 15)
    assert exams.schema["term"] == pl.Int64
    assert line["files"] == [{"file": "全县.csv", "sha256": "0" * 64, "bytes": 10, "rows": 13, "used": 12, "rejected": 1}]
    assert line["import_id"].startswith("exam-one-")
    assert line["import_id"].isascii()
    assert Archive.exams(open_archive(archive.path, version=0)).height == 0


def test_versions_say_who_when_and_what(archive: Archive) -> None:
    archive.add_registers(small_registers(), operator="王五", now=NOW)
    archive.add(small_exam())
    versions = archive.versions()
    assert versions["kind"].to_list() == ["registers", "exam"]
    assert versions["operator"].to_list() == ["王五", None]
    assert versions["committed_at"].to_list() == [NOW, None]
    assert versions["n_rows"].to_list() == [2, 12]


def test_registers_come_back_whole_and_name_the_schools(archive: Archive) -> None:
    registers = dataclasses.replace(
        small_registers(),
        events=pl.DataFrame(
            [{"date": dt.date(2024, 9, 1), "event": "merge", "from_ids": ["B"], "to_ids": ["A"]}], schema=EVENT_COLUMNS
        ),
        heads=pl.DataFrame(
            [{"head_id": "H1", "name": "李四", "school_id": "A", "from": dt.date(2020, 8, 1)}], schema=HEAD_COLUMNS
        ),
        packs={"ezhou": PackStatement.model_validate({"from": "2021-09-01", "parameters": {"ezhou.x": {"share": 0.1}}})},
    )
    first = archive.add_registers(registers)
    assert (first.changed, archive.add_registers(registers).changed, archive.version) == (True, False, 1)
    back = archive.registers()
    assert back is not None
    assert back.packs == registers.packs
    assert back.teachers is None
    for name in ("schools", "events", "heads"):
        assert_frame_equal(getattr(back, name), getattr(registers, name))
    assert_frame_equal(archive.register("heads"), registers.heads)
    archive.add(small_exam())
    assert archive.scores("2025-1-g9-final").schools["name"].to_list() == ["一中", "二中"]
    assert open_archive(archive.path, version=0).registers() is None
    with pytest.raises(ArchiveError) as error:
        archive.register("teachers")
    assert error.value.code == "archive_register_unknown"


def test_registers_given_with_an_exam_are_one_commit(archive: Archive) -> None:
    archive.add(small_exam(), registers=small_registers())
    assert (archive.version, archive.registers() is not None) == (1, True)
    renamed = archive.add(small_exam(), registers=small_registers("实验中学", "二中"))
    assert (renamed.status, archive.version) == ("replaced", 2)
    assert archive.add(small_exam()).status == "unchanged"


def test_a_school_the_registers_do_not_know_stops(archive: Archive) -> None:
    archive.add_registers(small_registers())
    strange = build_scores([{"school_id": "Z", "math": 5}])
    with pytest.raises(DataFileError) as error:
        archive.add(strange)
    assert error.value.code == "school_not_in_register"
    assert archive.version == 1


def test_decisions_are_lines_with_their_version(archive: Archive) -> None:
    assert archive.add_decision(FACTS) == 1
    assert archive.add_decision(FACTS) == 1
    assert archive.add_decision({**FACTS, "unit": "B", "decision": "adopted"}) == 2
    frame = archive.decisions()
    assert frame.select("unit", "decision", "archive_version").rows() == [("A", "rejected", 1), ("B", "adopted", 2)]
    assert open_archive(archive.path, version=1).decisions().height == 1
    for wrong, code in (
        ({**FACTS, "decision": "yes"}, "decision_unknown"),
        ({**FACTS, "decided_by": ""}, "archive_line_incomplete"),
        ({**FACTS, "colour": "red"}, "archive_line_unknown_key"),
    ):
        with pytest.raises(UsageError) as error:
            archive.add_decision(wrong)
        assert error.value.code == code
    assert archive.version == 2


def test_the_ledger_keeps_issued_documents(archive: Archive) -> None:
    entry = {
        "product": "bulletin", "period": "2025-2026-1", "edition": "public", "issued_by": "教研室", "based_on": 0,
        "issued_on": dt.date(2026, 2, 1), "sha256": "ab" * 32, "content": json.dumps({"n": 12}),
    }  # fmt: skip
    assert archive.add_issued(entry) == 1
    assert archive.issued().row(0, named=True)["edition"] == "public"
    assert archive.register("issued").height == 1


def test_no_id_no_original_value_lies_in_the_archive(archive: Archive) -> None:
    archive.add(small_exam())
    text = stored_text(archive.path)
    assert "全县.csv" in text
    for secret in (uid(1), "K770001", "绝密原值"):
        assert secret not in text
    assert uid(1) not in repr(archive) + archive._repr_html_()


def test_an_old_version_is_read_only_and_an_unknown_one_stops(archive: Archive) -> None:
    archive.add(small_exam())
    with pytest.raises(UsageError) as error:
        open_archive(archive.path, version=1, key_file=archive.key_file).add(small_exam(shift=1))
    assert error.value.code == "archive_pinned"
    with pytest.raises(ArchiveError) as unknown:
        open_archive(archive.path, version=2)
    assert unknown.value.code == "archive_version_unknown"


def test_what_others_add_shows_only_when_opened_again(archive: Archive) -> None:
    reader = open_archive(archive.path)
    archive.add(small_exam())
    assert reader.exams().height == 0
    assert open_archive(archive.path).exams().height == 1


def test_an_exam_without_id_stops(archive: Archive) -> None:
    scores = small_exam()
    facts = scores.exam.exam.model_copy(update={"id": None})
    with pytest.raises(DataFileError) as error:
        archive.add(dataclasses.replace(scores, exam=scores.exam.model_copy(update={"exam": facts})))
    assert error.value.code == "archive_exam_unnamed"


def test_an_id_taken_from_the_files_is_no_id(archive: Archive) -> None:
    # corrected files would have another one, and the exam would be there twice
    check = dict.fromkeys(CHECKS) | {"code": "assumed_exam_id", "level": "notice", "found": "2025-1-g9-final"}
    scores = small_exam()
    with pytest.raises(DataFileError) as error:
        archive.add(dataclasses.replace(scores, checks=pl.DataFrame([check], schema=CHECKS)))
    assert error.value.code == "archive_exam_unnamed"
    assert archive.exams().is_empty()


@pytest.mark.parametrize("name", ["数据库", "my #1 (a?*)", "import_id=x%"])
def test_an_archive_lies_in_any_folder_people_have(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    archive = new_archive(folder)
    first = archive.add(small_exam(), registers=small_registers())
    archive.add(small_exam(shift=3))
    assert open_archive(archive.path, version=first.version).scores(first.exam_id).frame["math"][0] == 5000
    assert archive.forget("student_uid", uid(1)).n_imports == 2  # and sweeps up: what it takes away must be what is stale
    assert archive.verify().frame.is_empty()
    assert archive.scan(first.exam_id).select(pl.len()).collect().item() == archive.scores(first.exam_id).frame.height


@pytest.mark.parametrize("name", ["p%20x", "g[1]", "a|b", "a\\b"])
def test_a_folder_the_storage_would_misread_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArchiveError) as error:
        create_archive(tmp_path / name / "archive", key_file=tmp_path / "key")
    assert error.value.code == "archive_path_unfit"
    assert not list(tmp_path.iterdir())


def test_a_newer_schema_and_another_folder_stop(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError) as error:
        create_archive(archive.path, key_file=archive.key_file)
    assert error.value.code == "archive_exists"
    with pytest.raises(ArchiveError) as error:
        open_archive(tmp_path)
    assert error.value.code == "archive_missing"
    marker = archive.path / MARKER
    said = json.loads(marker.read_text(encoding="utf-8"))
    marker.write_text(json.dumps({**said, "schema_version": 2, "code_version": "9.0"}), encoding="utf-8")
    with pytest.raises(ArchiveError) as error:
        open_archive(archive.path)
    assert error.value.code == "archive_newer"
    assert "9.0" in error.value.message("en")


def test_an_export_is_whole_and_reads_back(archive: Archive, tmp_path: Path) -> None:
    archive.add(small_exam(), registers=small_registers())
    written = archive.export(tmp_path / "out")
    assert {path.name for path in written} >= {"exam.toml", "scores.parquet", "schools.parquet", "manifest.json"}
    exam = parse_toml((tmp_path / "out/exams/2025-1-g9-final/exam.toml").read_bytes(), "exam.toml", ExamFile)
    assert exam == small_exam().exam
    manifest = json.loads((tmp_path / "out/manifest.json").read_text(encoding="utf-8"))
    assert len(manifest["files"]) == len(written) - 1
    archive.export(tmp_path / "again")
    for path in written:
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(tmp_path / "out")).read_bytes()
    with pytest.raises(ArchiveError) as error:
        archive.export(tmp_path / "out")
    assert error.value.code == "archive_export_exists"
    assert uid(1) not in stored_text(tmp_path / "out")


def test_what_the_bureau_stated_of_the_texts_is_exported(archive: Archive, tmp_path: Path) -> None:
    stated = {"from": "2021-09-01", "stated_by": "某“县”教育局", "parameters": {"ezhou.a.b": {"share": 0.1, "kinds": ("x", "y")}}}
    packs = {"ezhou": PackStatement.model_validate(stated), "xiangan": PackStatement.model_validate({})}
    archive.add_registers(dataclasses.replace(small_registers(), packs=packs))
    archive.export(tmp_path / "out")
    assert read_statements(tmp_path / "out" / "registers" / "packs.toml") == packs
    assert "registers/packs.toml" in (tmp_path / "out" / "manifest.json").read_text(encoding="utf-8")


def test_every_key_of_exam_toml_survives_the_export() -> None:
    exam = ExamFile.model_validate(
        {
            "attest": {"pace": "no"},
            "absence": {"policy": "penalty", "penalty_bound": 0.05},
            "symbols": {"": "absent", '"\\': "voided"},
            "columns": {"成绩\t一": "math"},
            "exam": {"id": "a-1", "name": "期末“一”", "date": "2026-01-15", "term": 2},
            "papers": [{"code": "math", "max_score": 120, "score_step": 0.5, "weight": 0.25}],
            "deviations": [{"schools": ["S1", "S2"], "change": {"papers": ["math"], "marking": "school", "reason": "另阅"}}],
        }
    )
    assert parse_toml(write_exam_file(exam).encode(), "exam.toml", ExamFile) == exam


cell = st.one_of(st.none(), st.sampled_from(["absent", "exempt", "voided"]), st.floats(0, 100).map(lambda value: round(value, 2)))
word = st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=4))
row = st.fixed_dictionaries(
    {"math": cell, "english": cell, "class_id": word, "sub_boarding": word, "school_id": st.sampled_from("AB"), "person_id": word}
)


@settings(max_examples=12)
@given(rows=st.lists(row, max_size=6))
def test_any_score_table_comes_back(rows: list[dict[str, object]]) -> None:
    scores = build_scores(rows, full={"math": 100, "english": 100})
    with tempfile.TemporaryDirectory() as folder:
        archive = new_archive(Path(folder))
        receipt = archive.add(scores)
        back = archive.scores("test-exam")
        assert_frame_equal(without_ids(back.frame), without_ids(scores.frame))
        assert back.frame["person_id"].is_null().to_list() == scores.frame["person_id"].is_null().to_list()
        assert back.frame["person_id"].n_unique() == scores.frame["person_id"].n_unique()
        assert archive.add(scores).import_id == receipt.import_id
        assert archive.verify().ok
