"""`eduq analyze --feedback` as its user runs it: one file per addressee, for that person alone."""

from __future__ import annotations

import csv
import dataclasses
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.builders import build_scores

import eduq as eq
from eduq.archive import create_archive, open_archive
from eduq.errors import UsageError
from eduq.estimates.exam_growth import measure_exam_growth
from eduq.pipeline.feedback import growth_of_classes
from eduq.pipeline.folders import choose_name
from eduq.registers import read_registers
from eduq.settings import RunSettings
from eduq.summaries.links import link_exams

ENTRIES = [(school, number) for school in ("甲", "乙", "丙", "丁") for number in (1, 2)]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "eduq", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "EDUQ_LANG": "en"},
        check=False,
    )


@pytest.fixture
def county(tmp_path: Path) -> Path:
    """Four schools of two classes each, a teacher of math per class but one who has both classes of a school."""
    rows = ["考号,姓名,学校,班级,数学(120分)"]
    for place, (school, number) in enumerate(ENTRIES):
        rows += [
            f"{place}{pupil:03d},丑测试{pupil},{school}中学,{number}班,{50 + 2 * place + (7 * pupil) % 60}" for pupil in range(25)
        ]
    exam = tmp_path / "exam"
    exam.mkdir()
    (exam / "数学.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (exam / "exam.toml").write_text(
        'schema = 1\n[exam]\nid = "fb-exam"\nschool_year = "2025-2026"\nterm = 2\nscope = "county"\n', encoding="utf-8"
    )
    registers = tmp_path / "registers"
    registers.mkdir()
    schools = ["school_id,name"] + [f"S{place},{school}中学" for place, school in enumerate("甲乙丙丁")]
    (registers / "schools.csv").write_text("\n".join(schools) + "\n", encoding="utf-8")
    teachers = ["teacher_id,name,school_id,class_id,subject,school_year,term,share"]
    for place, (school, number) in enumerate(ENTRIES):
        who = "T0" if school == "甲" else f"T{place}"
        teachers.append(f"{who},师{place if who != 'T0' else 0},S{'甲乙丙丁'.index(school)},{number}班,math,2025-2026,2,1")
    (registers / "teachers.csv").write_text("\n".join(teachers) + "\n", encoding="utf-8")
    return tmp_path


def test_writes_a_private_sheet_per_addressee_and_a_list_without_scores(county: Path) -> None:
    done = run(county, "analyze", "exam", "--registers", "registers", "--out", "out", "--feedback", "sheets", "--lang", "en")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "sheets/index.csv"
    folder = county / "sheets"
    lines = list(csv.DictReader((folder / "index.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert [line["id"] for line in lines if line["kind"] == "teacher"] == ["T0", "T2", "T3", "T4", "T5", "T6", "T7"]
    assert len([line for line in lines if line["kind"] == "class"]) == 8
    assert set(lines[0]) == {"kind", "id", "html", "markdown"}
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert written == {"index.csv"} | {line[name] for line in lines for name in ("html", "markdown")}
    for path in folder.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    for name in ("teachers/T2.html", "teachers/T2.md"):
        shown = (folder / name).read_text(encoding="utf-8")
        assert set(re.findall(r"\bT\d\b", shown)) == {"T2"}
        assert set(re.findall(r"师\d", shown)) == {"师2"}
        assert not set(re.findall("甲中学|丙中学|丁中学|丑测试", shown))
    assert sorted(path.name for path in county.iterdir()) == ["exam", "out", "registers", "sheets"]


def test_without_a_register_of_teachers_it_stops(county: Path) -> None:
    done = run(county, "analyze", "exam", "--out", "out", "--feedback", "sheets")
    assert done.returncode == 2
    assert "register of teachers" in done.stderr
    assert not (county / "sheets").exists()


def test_an_archived_exam_is_read_with_its_classes_and_files_of_others_are_left_alone(county: Path) -> None:
    archive = create_archive(county / "db", key_file=county / "key")
    archive.add(eq.read_scores(county / "exam"), registers=read_registers(county / "registers"))
    found = eq.analyze("fb-exam", archive=open_archive(county / "db", key_file=county / "key"), feedback=True)
    assert found.teaching is not None
    folder = county / "sheets"
    folder.mkdir()
    (folder / "letter.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        found.feedback(folder)
    assert caught.value.code == "output_not_ours"
    assert [path.name for path in folder.iterdir()] == ["letter.txt"]
    (folder / "letter.txt").unlink()
    seen: list[tuple[str, int, int]] = []
    assert found.feedback(folder, progress=lambda *step: seen.append(step)) == folder / "index.csv"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert seen[0] == ("sheets", 0, 15)
    assert seen[-1] == ("sheets", 15, 15)
    found.feedback(folder)  # an earlier run's folder is replaced, with the same bytes
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    with pytest.raises(UsageError) as not_made:
        dataclasses.replace(found, teaching=None).feedback(folder)
    assert not_made.value.code == "feedback_not_made"


def test_names_that_no_file_may_have_or_that_meet_are_told_apart() -> None:
    taken: set[str] = set()
    names = [choose_name(name, taken) for name in ("../a", "a", "A", "a/b", "", "九（1）班", "x" * 200)]
    assert names == ["a", "a-2", "A-3", "a_b", "_", "九（1）班", "x" * 80]


def test_classes_grow_from_the_candidates_that_are_linked_already() -> None:
    rows = [
        {
            "school_id": f"S{place // 2}",
            "class_id": f"{place % 2 + 1}班",
            "person_id": f"p{place}-{pupil}",
            "math": 40.0 + (7 * pupil) % 50,
        }
        for place in range(8)
        for pupil in range(20)
    ]
    later = [row | {"math": min(100.0, row["math"] * 0.8 + 6 * place % 17 + 10)} for place, row in enumerate(rows)]  # type: ignore[operator]
    exams = [
        build_scores(part, full={"math": 100, "english": 100}, exam={"exam": {"id": name}})
        for name, part in (("before", rows), ("after", later))
    ]
    linked = link_exams(exams[1], exams[:1], settings=RunSettings())
    of_schools = measure_exam_growth(linked, exam_id="after", settings=RunSettings())
    found = growth_of_classes(of_schools, RunSettings())
    assert found is not None
    assert set(found["unit_type"]) == {"class"}
    assert sorted(found["unit"]) == sorted({f"{row['school_id']}/{row['class_id']}" for row in rows})
    assert set(found["growth"]) == {"multilevel"}
    assert growth_of_classes(None, RunSettings()) is None
    assert growth_of_classes(dataclasses.replace(of_schools, linked=None), RunSettings()) is None
