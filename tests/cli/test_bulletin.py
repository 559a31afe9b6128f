"""`eduq bulletin` as a timer runs it, over a school year with a clock of its own."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import polars as pl
import pytest
from filelock import FileLock
from tests.cadence import SCHOOLS, killed_bulletin, make_archive, make_exam

import eduq as eq
from eduq.archive import Archive, open_archive
from eduq.cli.app import run as run_command
from eduq.pipeline.periods import current_period

Run = Callable[..., tuple[int, list[str], str]]
CADENCE = ("check", "dispatch", "quarterly", "term", "annual")
MID, FINAL = "2025-1-g9-mid", "2025-2-g9-final"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """One exam in November."""
    store = make_archive(tmp_path_factory.mktemp("cadence"))
    store.add(make_exam(MID, "2025-11-12"))
    return store


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDUQ_LANG", "en")

    def call(store: Archive, product: str, today: str, *more: str) -> tuple[int, list[str], str]:
        own = ["--archive", str(store.path), "--product", product, "--today", today, "--out", str(tmp_path / "out")]
        status = run_command(["bulletin", *own, "--log", str(tmp_path / "log.jsonl"), *more])
        said = capsys.readouterr()
        return status, said.out.splitlines(), said.err

    return call


def log_lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def contents(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_run_says_only_what_it_wrote_and_is_the_same_again(archive: Archive, run: Run, tmp_path: Path) -> None:
    status, said, trouble = run(archive, "quarterly", "2026-01-01")
    folder = tmp_path / "out" / "quarterly" / "2025Q4-bureau-en"
    assert (status, trouble) == (0, "")
    assert said == [
        str(folder / name)
        for name in (
            "bulletin.docx",
            "bulletin.html",
            "bulletin.md",
            "certificate.json",
            f"tables-{MID}.xlsx",
            "tables.xlsx",
            "run.json",
        )
    ]
    first = contents(tmp_path / "out")
    assert run(archive, "quarterly", "2026-03-09", "--period", "2025Q4")[0] == 0
    assert contents(tmp_path / "out") == first, "once the period is over its bulletin does not depend on the day it is made"
    line, again = log_lines(tmp_path)
    assert (
        line["files"]
        == again["files"]
        == {str(folder / name): sha256 for name, sha256 in json.loads((folder / "run.json").read_text())["files"].items()}
    )
    assert (line["result"], line["period"], line["archive_version"]) == ("written", "2025Q4", 1)


def test_a_quarter_without_an_exam_has_a_bulletin(archive: Archive, run: Run, tmp_path: Path) -> None:
    status, said, _ = run(archive, "quarterly", "2025-10-01")
    assert status == 0
    assert [Path(path).name for path in said] == ["bulletin.docx", "bulletin.html", "bulletin.md", "run.json"]
    assert "2025" in (tmp_path / "out/quarterly/2025Q3-bureau-en/bulletin.md").read_text(encoding="utf-8")
    draft = eq.make_bulletin(archive, product="quarterly", today=dt.date(2025, 10, 1))
    assert draft.publishable.news.is_empty()
    assert draft.context["meta"]["period"] == "2025Q3"


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (("--product", "weekly"), 2, "product_unknown"),
        (("--product", "teacher", "--period", "2025-2026-1"), 2, "product_unit_missing"),
        (
            ("--product", "school", "--period", "2025-2026-1", "--unit", "QA01", "--edition", "public"),
            13,
            "product_edition_banned",
        ),
        (("--product", "school", "--period", "2025-2026-1", "--unit", "QA01", "--edition", "bureau"), 13, "edition_unfit"),
        (("--product", "school", "--period", "2025-2026-1", "--unit", "QZ99"), 2, "school_unknown"),
        (("--product", "school", "--period", "2024-2025-1", "--unit", "QA01"), 12, "sheet_without_exam"),
        (("--product", "school-packs", "--unit", "QA01", "--period", "2025-2026-1"), 2, "product_unit_unfit"),
        (("--edition", "public", "--unit", "QA01"), 2, "product_unit_unfit"),
        (("--edition", "teacher"), 2, "teachers_missing"),
        (("--edition", "public,press"), 13, "edition_unknown"),
        (("--edition", "school", "--formats", "review"), 2, "format_unknown"),
        (("--edition", "public,bureau", "--issue", "--issued-by", "Jia", "--document-no", "7"), 2, "issue_numbers_unfit"),
        (("--period", "2025-13"), 2, "period_unfit"),
        (("--period", "2025-2026"), 2, "period_unfit"),
        (("--period", "2027Q1"), 2, "period_ahead"),
        (("--unit", "A"), 2, "product_unit_unfit"),
        (("--edition", "press"), 13, "edition_unknown"),
        (("--formats", "odt"), 2, "format_unknown"),
        (("--document-no", "1"), 2, "issue_not_asked"),
        (("--issue",), 2, "issue_unsigned"),
        (("--archive", "nowhere"), 14, "archive_missing"),
    ],
)
def test_what_is_asked_wrongly_stops(
    archive: Archive, run: Run, tmp_path: Path, arguments: tuple[str, ...], status: int, code: str
) -> None:
    found, said, trouble = run(archive, "quarterly", "2026-01-01", *arguments)
    assert (found, said) == (status, [])
    assert code in trouble
    (line,) = log_lines(tmp_path)
    assert (line["result"], line["error"]) == ("failed", code)
    assert not list((tmp_path / "out").rglob("*.md"))


def test_a_second_run_finds_the_lock(archive: Archive, run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "quarterly"
    folder.mkdir(parents=True)
    with FileLock(folder / ".lock"):
        status, _, trouble = run(archive, "quarterly", "2026-01-01")
    assert status == 14
    assert "bulletin_busy" in trouble
    assert run(archive, "quarterly", "2025-10-01")[0] == 0


def test_a_folder_with_other_files_is_left_alone(archive: Archive, run: Run, tmp_path: Path) -> None:
    other = tmp_path / "out/quarterly/2025Q3-bureau-en/letter.txt"
    other.parent.mkdir(parents=True)
    other.write_text("mine")
    status, _, trouble = run(archive, "quarterly", "2025-10-01")
    assert status == 2
    assert "output_not_ours" in trouble
    assert other.read_text() == "mine"


def test_if_new_mends_a_changed_file_and_a_missing_format(archive: Archive, run: Run, tmp_path: Path) -> None:
    run(archive, "quarterly", "2025-10-01", "--formats", "md")
    assert run(archive, "quarterly", "2025-10-01", "--formats", "md", "--if-new")[1] == []
    assert len(run(archive, "quarterly", "2025-10-01", "--formats", "md,html", "--if-new")[1]) == 3
    page = tmp_path / "out/quarterly/2025Q3-bureau-en/bulletin.md"
    whole = page.read_bytes()
    page.write_bytes(b"touched")
    run(archive, "quarterly", "2025-10-01", "--formats", "md,html", "--if-new")
    assert page.read_bytes() == whole
    assert [line["result"] for line in log_lines(tmp_path)] == ["written", "nothing_new", "written", "written"]


def test_a_killed_run_leaves_the_old_folder_or_the_new_one(archive: Archive, run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "quarterly" / "2025Q3-bureau-en"
    own = ["--archive", str(archive.path), "--product", "quarterly", "--today", "2025-10-01", "--out", str(tmp_path / "out")]
    assert killed_bulletin("written", *own) == -9
    assert not folder.exists()
    assert list(folder.parent.glob(".part-*")), "the shot came too early to leave anything"
    assert run(archive, "quarterly", "2025-10-01", "--if-new")[0] == 0
    whole = contents(folder)
    assert killed_bulletin("aside", *own, "--formats", "md") == -9
    assert not folder.exists()
    run(archive, "quarterly", "2025-10-01", "--if-new")
    assert contents(folder) == whole
    assert log_lines(tmp_path)[-1]["result"] == "nothing_new", "the folder set aside was put back"
    assert not list(folder.parent.glob(".part-*"))


def test_what_is_issued_is_in_the_ledger_once(run: Run, tmp_path: Path) -> None:
    store = make_archive(tmp_path / "own")
    store.add(make_exam(MID, "2025-11-12"))
    signed = ("--issue", "--issued-by", "Jia", "--document-no", "No. 7")
    run(store, "quarterly", "2026-01-01")
    drafts = contents(tmp_path / "out")
    assert open_archive(store.path).issued().is_empty(), "a draft enters nothing"
    status, said, _ = run(store, "quarterly", "2026-01-05", *signed)
    assert status == 0
    folder = Path(said[0]).parent
    assert folder.name == "2025Q4-bureau-en-issued-No._7"
    (line,) = open_archive(store.path).issued().iter_rows(named=True)
    assert (line["period"], line["issued_by"], line["issued_on"], line["based_on"]) == ("2025Q4", "Jia", dt.date(2026, 1, 5), 1)
    assert line["sha256"] == hashlib.sha256((folder / "bulletin.docx").read_bytes()).hexdigest()
    for name in ("bulletin.md", "bulletin.html"):
        assert "draft" not in re.sub(r"<style.*?</style>|<svg.*?</svg>", "", (folder / name).read_text(), flags=re.DOTALL).lower()
    before = contents(folder)
    run(store, "quarterly", "2026-02-01", *signed)
    assert contents(folder) == before
    assert open_archive(store.path).issued().height == 1
    assert {name: sha256 for name, sha256 in contents(tmp_path / "out").items() if "issued" not in name} == drafts
    assert run(store, "quarterly", "2026-02-01", "--if-new")[1] == []
    assert "issue_number_taken" in run(store, "dispatch", "2026-01-05", *signed)[2]
    assert [line["result"] for line in log_lines(tmp_path)] == ["written", "issued", "already_issued", "nothing_new", "failed"]
    assert "Jia" not in (tmp_path / "log.jsonl").read_text()


def test_a_folder_called_like_the_exam_does_not_stop_the_run(run: Run, archive: Archive, tmp_path: Path) -> None:
    (tmp_path / MID).mkdir()
    assert run(archive, "quarterly", "2026-01-01", "--formats", "md")[0] == 0


def test_news_are_told_against_the_last_issue(run: Run, tmp_path: Path) -> None:
    store = make_archive(tmp_path / "own")
    store.add(make_exam(MID, "2025-11-12"))
    run(store, "quarterly", "2026-01-05", "--issue", "--issued-by", "Jia", "--document-no", "7")
    store = open_archive(store.path, key_file=store.key_file)
    store.add(make_exam(MID, "2025-11-12", correction=1))
    store.add(make_exam(FINAL, "2026-06-12"))
    store.add(make_exam("2025-1-g9-late", "2025-11-20"))
    late = ("2025-1-g9-late", "new")

    def news(period: str) -> list[list[tuple[str, str]]]:
        shown = eq.make_bulletin(store, product="quarterly", period=period, today=dt.date(2026, 7, 1), lang="en").publishable
        frames = (shown.news, shown.earlier_news)
        return [frame.select("exam_id", pl.col("news").cast(pl.String)).rows() for frame in frames]

    assert news("2025Q4") == [[(MID, "corrected"), late], []]
    assert news("2026Q1") == [[], [(MID, "corrected"), late]]
    assert news("2026Q2") == [[(FINAL, "new")], [(MID, "corrected"), late]]
    run(store, "quarterly", "2026-04-01", "--formats", "md")
    told = (tmp_path / "out/quarterly/2026Q1-bureau-en/bulletin.md").read_text(encoding="utf-8")
    assert "1 came in and 1 were corrected since the last issue" in told


@pytest.mark.parametrize(("product", "edition"), [("quarterly", "public"), ("term", "government"), ("government", "government")])
def test_an_outward_edition_names_no_school(run: Run, tmp_path: Path, archive: Archive, product: str, edition: str) -> None:
    status, said, _ = run(archive, product, "2026-09-01", "--edition", edition, *_of(product))
    assert status == 0
    content = b""
    for path in map(Path, said):
        if path.suffix in (".docx", ".xlsx"):
            with ZipFile(path) as packed:
                content += b"".join(packed.read(name) for name in packed.namelist())
        else:
            content += path.read_bytes()
    assert b"2025" in content
    assert [school for school in SCHOOLS if school.encode() in content] == []
    assert len(said) == 7


def _of(product: str) -> tuple[str, str]:
    return "--period", {"quarterly": "2025Q4", "term": "2025-2026-1", "government": "2025-2026"}[product]


def test_a_school_year_of_the_timer(run: Run, tmp_path: Path) -> None:
    """Every product at its date, none twice, none missing: through a killed run and a corrected exam."""
    store = make_archive(tmp_path / "own")
    arrivals = {
        dt.date(2025, 11, 20): make_exam(MID, "2025-11-12"),
        dt.date(2026, 1, 20): make_exam(MID, "2025-11-12", correction=1),
        dt.date(2026, 6, 20): make_exam(FINAL, "2026-06-12"),
    }
    killed = dt.date(2026, 1, 1)
    made: list[tuple[dt.date, str, str]] = []
    day = dt.date(2025, 9, 1)
    while day <= dt.date(2026, 9, 1):
        if day in arrivals:
            store.add(arrivals[day])
        if day.day in (1, 21) or day == killed + dt.timedelta(days=1):
            for product in CADENCE:
                own = ["--product", product, "--today", day.isoformat(), "--out", str(tmp_path / "out"), "--if-new"]
                if (day, product) == (killed, "quarterly"):
                    assert killed_bulletin("written", *own, "--archive", str(store.path), "--formats", "md") == -9
                    continue
                status, said, trouble = run(store, product, day.isoformat(), "--if-new", "--formats", "md")
                assert (status, trouble) == (0, "")
                if said:
                    made.append((day, product, current_period(product, day).text))
        day += dt.timedelta(days=1)
    counts = Counter(product for _, product, _ in made)
    first = {}
    for day, product, period in made:
        first.setdefault((product, period), day)
    months = [f"2025-{month:02}" for month in (8, 9, 10, 11, 12)] + [f"2026-{month:02}" for month in range(1, 9)]
    due = {
        "check": months,
        "dispatch": [month for month in months if int(month[5:]) % 2 == 0],
        "quarterly": ["2025Q2", "2025Q3", "2025Q4", "2026Q1", "2026Q2"],
        "term": ["2024-2025-2", "2025-2026-1", "2025-2026-2"],
        "annual": ["2024-2025", "2025-2026"],
    }
    assert {product: [period for name, period in first if name == product] for product in CADENCE} == due
    assert first["quarterly", "2025Q4"] == dt.date(2026, 1, 2), "the run after the killed one makes it"
    again = [(day, product, period) for day, product, period in made if first[product, period] != day]
    corrected = dt.date(2026, 1, 21)
    assert again == [
        (corrected, "check", "2025-12"),
        (corrected, "dispatch", "2025-12"),
        (corrected, "quarterly", "2025Q4"),
    ], "only what the corrected exam is in, or is read after it, is made again"
    assert sum(counts.values()) == len(first) + len(again)
    assert not list((tmp_path / "out").rglob(".part-*"))
    for product, periods in due.items():
        assert sorted(path.name for path in (tmp_path / "out" / product).iterdir() if path.is_dir()) == sorted(
            f"{period}-bureau-en" for period in periods
        )


def test_the_sample_timers_run_every_product(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of the how-to are commands: each made to run here, once."""
    folder = Path(__file__).parents[2] / "docs" / "how-to" / "cron"
    lines = [
        line for line in (folder / "crontab").read_text(encoding="utf-8").splitlines() if " eduq " in line and line[0].isdigit()
    ]
    commands = [line.split(" eduq ")[1].replace("$OUT", str(tmp_path / "out")) for line in lines]
    (start,) = [
        line.partition("=")[2].split("eduq ", 1)[1].replace("/srv/eduq/bulletins", str(tmp_path / "unit"))
        for line in (folder / "eduq-bulletin@.service").read_text().splitlines()
        if line.startswith("ExecStart=")
    ]
    assert [line.split()[5:][1:4] for line in lines] == [["bulletin", "--product", product] for product in CADENCE]
    monkeypatch.setenv("EDUQ_ARCHIVE", str(archive.path))
    for command in [*commands, start.replace("%i", "quarterly")]:
        assert run_command([*command.split(), "--today", "2026-01-01"]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([*CADENCE, "log.jsonl"])
    assert len(log_lines(tmp_path / "out")) == len(CADENCE)
