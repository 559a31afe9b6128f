"""Six editions of one run, and the sheets of schools and teachers, as a person or a timer asks `eduq bulletin` for them."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import hashlib
import json
import stat
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import polars as pl
import pytest
from filelock import FileLock
from tests.builders import build_scores
from tests.cadence import make_archive

import eduq as eq
from eduq.archive import Archive, open_archive
from eduq.cli.app import run as run_command
from eduq.intake import ScoreTable
from eduq.pipeline.product_editions import ISSUE_ORDER
from eduq.registers import Registers, read_registers
from eduq.tables import INPUTS

Run = Callable[..., tuple[int, list[str], str]]
MID, FINAL = "2025-1-g9-mid", "2025-1-g9-final"
SIZES = {f"QS{number:02d}": 24 for number in range(1, 8)} | {"QS08": 6}
"""Seven schools of two classes, and one too small to be told."""
TEACHERS = {f"QT{number:02d}": (f"QS{number:02d}", school) for number, school in enumerate(SIZES, start=1)}
MEASURES = ["participation_rate", "mean_score", "excellent_rate", "good_rate", "pass_rate", "z_mean", "composite_z"]
SIX = ("public", "student", "teacher", "government", "school", "bureau")


def exam(exam_id: str, date: str) -> ScoreTable:
    rng = np.random.default_rng(sum(map(ord, exam_id)))
    rows = [
        {
            "exam_id": exam_id, "candidate_id": f"K{school}{pupil:03d}", "school_id": school, "year_group": "G9",
            "class_id": str(1 + pupil % 2), "math": float(rng.integers(30, 95)), "english": float(rng.integers(30, 95)),
        }
        for school, size in SIZES.items() for pupil in range(size)
    ]  # fmt: skip
    facts = {"id": exam_id, "name": exam_id, "school_year": "2025-2026", "term": 1, "date": date, "year_group": "G9",
             "scope": "county", "purpose": "monitoring"}  # fmt: skip
    table = build_scores(rows, full={"math": 100, "english": 100}, exam={"exam": facts})
    file = {"file": f"{exam_id}.csv", "sha256": f"{1:064d}", "bytes": 1, "encoding": "utf-8", "rejected": 0}
    return dataclasses.replace(table, inputs=pl.DataFrame([{**file, "rows": len(rows), "used": len(rows)}], schema=INPUTS))


def registers(folder: Path) -> Registers:
    folder.mkdir()
    schools = ["school_id,name,township,area_type"]
    schools += [
        f"{name},{name}密语中学,{'甲乙'[place % 2]}镇,{('urban', 'rural')[place % 2]}" for place, name in enumerate(SIZES)
    ]
    (folder / "schools.csv").write_text("\n".join(schools) + "\n", encoding="utf-8")
    teachers = ["teacher_id,name,school_id,class_id,subject,school_year,term,share"]
    teachers += [f"{name},师{name},{school},1,math,2025-2026,1,1" for name, (_, school) in TEACHERS.items()]
    (folder / "teachers.csv").write_text("\n".join(teachers) + "\n", encoding="utf-8")
    return read_registers(folder)


def filled(folder: Path, *, exams: int = 1) -> Archive:
    store = make_archive(folder)
    known = registers(folder / "registers")
    for name, date in ((MID, "2025-11-12"), (FINAL, "2026-01-15"))[:exams]:
        store.add(exam(name, date), registers=known)
    return store


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """An exam of the first term."""
    return filled(tmp_path_factory.mktemp("editions"))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Two exams of the first term."""
    return filled(tmp_path_factory.mktemp("two"), exams=2)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDUQ_LANG", "en")

    (tmp_path / "run.toml").write_text(f"measures = {json.dumps(MEASURES)}\n")

    def call(store: Archive, product: str, *more: str) -> tuple[int, list[str], str]:
        more = ("--settings", str(tmp_path / "run.toml"), *more)
        own = ["--archive", str(store.path), "--product", product, "--today", "2026-03-01", "--out", str(tmp_path / "out")]
        status = run_command(["bulletin", *own, "--log", str(tmp_path / "log.jsonl"), *more])
        said = capsys.readouterr()
        return status, said.out.splitlines(), said.err

    return call


def log_lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def contents(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def everything(folder: Path) -> str:
    """All text of a folder, that of packed documents too."""
    found = b""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        found += path.name.encode()
        if path.suffix in (".docx", ".xlsx"):
            with ZipFile(path) as packed:
                found += b"".join(packed.read(name) for name in packed.namelist())
        else:
            found += path.read_bytes()
    return found.decode("utf-8", errors="replace")


def assert_nobody_else(folder: Path, *, school: str, teacher: str | None = None) -> None:
    """No other school, its name, its class or teacher, and no pupil, is anywhere in a folder."""
    shown = everything(folder)
    assert f"{school}密语" in shown
    assert [name for name in SIZES if name != school and name in shown] == []
    assert [name for name in TEACHERS if name != teacher and name in shown] == []
    assert "KQS" not in shown


def test_a_schools_sheet_holds_that_school_alone(two: Archive, run: Run, tmp_path: Path) -> None:
    archive = two
    status, said, trouble = run(archive, "school", "--unit", "QS03", "--formats", "md,html,docx,xlsx,pdf")
    folder = tmp_path / "out" / "school" / "2025-2026-1-QS03-school-en"
    assert (status, trouble) == (0, "")
    names = ("bulletin.docx", "bulletin.html", "bulletin.md", "bulletin.pdf", "tables.xlsx", "run.json")
    assert said == [str(folder / name) for name in names]
    assert_nobody_else(folder, school="QS03")
    told = (folder / "bulletin.md").read_text(encoding="utf-8")
    parts = [line for line in told.splitlines() if line.startswith("## ")]
    assert [line.endswith(name) for line, name in zip(parts, (MID, FINAL), strict=False)] == [True, True], "one for each exam"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert run(archive, "school", "--unit", "QS03", "--formats", "md,html,docx,xlsx,pdf", "--if-new")[1] == []
    own = run(archive, "term", "--edition", "school", "--unit", "QS03", "--formats", "md")[1]
    assert Path(own[0]).read_bytes() == (folder / "bulletin.md").read_bytes(), "the school edition of the cadence is that sheet"


def test_a_teachers_sheet_holds_that_teacher_alone(two: Archive, run: Run, tmp_path: Path) -> None:
    archive = two
    status, said, trouble = run(archive, "teacher", "--unit", "QT05")
    assert (status, trouble) == (0, "")
    folder = Path(said[0]).parent
    assert folder.name == "2025-2026-1-QT05-teacher-en"
    assert_nobody_else(folder, school="QS05", teacher="QT05")
    told = (folder / "bulletin.md").read_text(encoding="utf-8")
    parts = [line for line in told.splitlines() if line.startswith("## ")]
    assert [line.endswith(name) for line, name in zip(parts, (MID, FINAL), strict=False)] == [True, True], "one for each exam"
    assert "English" not in told, "only the subject taught"
    assert "teacher_unknown" in run(archive, "teacher", "--unit", "QT99")[2]
    draft = eq.make_bulletin(archive, product="teacher", unit="QT05", period="2025-2026-1", today=dt.date(2026, 3, 1))
    assert [part["id"] for part in draft.context["sections"] if part["level"] == 1] == ["exam_1", "exam_2", "reading"]
    ids = [block["id"] for part in draft.context["sections"] for block in part["blocks"] if "id" in block]
    assert len(ids) == len(set(ids))


def test_packs_of_all_schools_come_from_the_archive(archive: Archive, run: Run, tmp_path: Path) -> None:
    status, said, _ = run(archive, "school-packs")
    folder = tmp_path / "out" / "school-packs" / "2025-2026-1-school-en"
    assert status == 0
    assert said == [str(folder / name) for name in ("certificate.json", "index.csv", "run.json")], "one list, not every file"
    with (folder / "index.csv").open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["school_id"] for line in lines] == sorted(SIZES)
    for line in lines:
        assert sorted(path.name for path in (folder / line["folder"]).iterdir()) == [
            "feedback.html",
            "feedback.md",
            "feedback.xlsx",
        ]
        assert_nobody_else(folder / line["folder"], school=line["school_id"])
    before = contents(folder)
    assert run(archive, "school-packs", "--if-new")[1] == []
    (folder / "QS01" / "feedback.md").write_bytes(b"touched")
    assert run(archive, "school-packs", "--if-new")[1] == said
    assert contents(folder) == before
    assert [line["result"] for line in log_lines(tmp_path)] == ["written", "nothing_new", "written"]
    assert len(log_lines(tmp_path)[0]["files"]) == 2  # type: ignore[arg-type]
    with FileLock(folder.parent / ".lock"):
        assert run(archive, "school-packs")[0] == 14
    assert run(archive, "school-packs", "--period", "2024-2025-1")[0] == 0
    assert len((folder.parent / "2024-2025-1-school-en" / "index.csv").read_text(encoding="utf-8").splitlines()) == 1


def test_one_run_makes_six_editions(archive: Archive, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from eduq.pipeline import product_facts

    analysed: list[str] = []
    plain = product_facts.analyze

    def counted(exam_id: str, **how: object) -> eq.Analysis:
        analysed.append(exam_id)
        return plain(exam_id, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(product_facts, "analyze", counted)
    status, said, trouble = run(archive, "term", "--edition", "all", "--formats", "md,xlsx")
    assert (status, trouble) == (0, "")
    assert analysed == [MID], "each exam is analysed once"
    folders = {name: tmp_path / "out" / "term" / f"2025-2026-1-{name}-en" for name in SIX}
    assert list(dict.fromkeys(Path(path).parent for path in said)) == list(folders.values()), "in the order they are made"
    (line,) = log_lines(tmp_path)
    assert line["edition"] == ",".join(SIX)
    assert (line["result"], line["results"]) == ("written", dict.fromkeys(SIX, "written"))
    for name in ("public", "student", "government"):
        shown = everything(folders[name])
        assert [word for word in (*SIZES, *TEACHERS, "密语", "KQS") if word in shown] == []
    for school in SIZES:
        assert_nobody_else(folders["school"] / school, school=school)
    for teacher, (_, school) in TEACHERS.items():
        assert_nobody_else(folders["teacher"] / teacher, school=school, teacher=teacher)
    first = contents(tmp_path / "out")
    assert run(archive, "term", "--edition", "all", "--formats", "md,xlsx", "--if-new")[1] == []
    run(archive, "term", "--edition", "bureau,public,government,school,teacher,student", "--formats", "md,xlsx")
    assert contents(tmp_path / "out") == first, "whatever the order they are named in"
    (folders["government"] / "bulletin.md").unlink()
    mended = run(archive, "term", "--edition", "all", "--formats", "md,xlsx", "--if-new")[1]
    assert {Path(path).parent for path in mended} == {folders["government"]}
    assert contents(tmp_path / "out") == first, "only what was missing is made again, and as it was"
    assert log_lines(tmp_path)[-1]["results"] == dict.fromkeys(SIX, "nothing_new") | {"government": "written"}
    with FileLock(tmp_path / "out" / "term" / ".lock"):
        assert run(archive, "term", "--edition", "all")[0] == 14


def test_editions_are_issued_in_order_and_once(run: Run, tmp_path: Path) -> None:
    store = filled(tmp_path / "own")
    own = ("--edition", "bureau,school,public", "--formats", "md", "--issue", "--issued-by", "Jia", "--document-no")
    status, said, trouble = run(store, "term", *own, "B1,S2,P3")
    assert (status, trouble) == (0, "")
    ledger = open_archive(store.path).issued()
    assert ledger.select("edition", "document_no").rows() == [("public", "P3"), ("school", "S2"), ("bureau", "B1")]
    assert ledger["based_on"].n_unique() == 1, "all from the same version of the archive"
    folders = sorted({Path(path).parent.name for path in said})
    assert folders == ["2025-2026-1-bureau-en-issued-B1", "2025-2026-1-public-en-issued-P3", "2025-2026-1-school-en-issued-S2"]
    sheet = (tmp_path / "out/term/2025-2026-1-school-en-issued-S2/QS02/feedback.md").read_text(encoding="utf-8")
    assert "raft" not in sheet.split("\n", 1)[0]
    before = contents(tmp_path / "out")
    assert run(store, "term", *own, "B1,S2,P3")[0] == 0
    assert contents(tmp_path / "out") == before, "issued again it is written as it was, beside what was issued before it"
    assert open_archive(store.path).issued().height == 3
    assert "issue_number_taken" in run(store, "quarterly", "--period", "2025Q4", *own, "X1,S2,X3")[2]
    assert open_archive(store.path).issued().height == 3, "stopped before the first of them"
    assert run(store, "term", "--edition", "bureau,school,public", "--formats", "md", "--if-new")[1] == []
    told = [json.loads(content) for content in ledger["content"]]
    school = [key for one in told[1]["shown"] for key in one["cells"]]
    assert {key[3] for key in school} == {"school"}
    assert "QS08" not in {key[4] for key in school}


def test_what_one_school_or_teacher_was_shown_is_entered_and_no_more(run: Run, tmp_path: Path) -> None:
    store = filled(tmp_path / "own")
    own = ("--formats", "md", "--issue", "--issued-by", "Jia", "--document-no")
    assert run(store, "school", "--unit", "QS01", *own, "1")[0] == 0
    assert run(store, "teacher", "--unit", "QT04", *own, "2")[0] == 0
    lines = open_archive(store.path).issued()
    school, teacher = ([tuple(key) for one in json.loads(said)["shown"] for key in one["cells"]] for said in lines["content"])
    assert {key[3:] for key in school} == {("school", "QS01")}
    assert {key[1:] for key in teacher} == {("math", "mean_score", "class", "QS04/1")}
    assert len(school) == len(set(school)) > 8
    status, said, _ = run(store, "term", "--edition", "bureau", "--formats", "md")
    assert status == 0
    proof = json.loads((Path(said[0]).parent / "certificate.json").read_text())[MID]
    assert proof["earlier"] == ["school", "teacher"]


def test_the_order_of_issue_is_from_the_most_readers_to_the_fewest() -> None:
    assert ISSUE_ORDER == SIX


def test_the_sample_crontab_has_a_line_for_all_editions(archive: Archive, run: Run, tmp_path: Path) -> None:
    crontab = Path(__file__).parents[2] / "docs" / "how-to" / "cron" / "crontab"
    (line,) = [line for line in crontab.read_text(encoding="utf-8").splitlines() if "--edition all" in line]
    product, *more = line.split(" eduq bulletin --product ")[1].replace("$OUT", str(tmp_path / "out")).split()
    more = more[: more.index("--log")]
    status, said, trouble = run(archive, product, *more, "--formats", "md", "--lang", "zh")
    assert (status, trouble) == (0, "")
    assert {Path(path).parent.name.split("-")[3] for path in said} == set(SIX)
    assert "写给同学和家长" in (tmp_path / "out/term/2025-2026-1-student-zh/bulletin.md").read_text(encoding="utf-8")
