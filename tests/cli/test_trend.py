"""`eduq trend` and `eduq analyze --archive` as their user runs them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

import eduq as eq
from eduq.archive import Archive, create_archive
from eduq.cli.app import run as run_command
from eduq.cli.trend_output import sparkline
from eduq.estimates.declines import detect_declines
from eduq.registers import read_registers
from eduq.resources import sample_data_path
from eduq.settings import RunSettings

Run = Callable[..., "Done"]
SAMPLE = sample_data_path()
NEWEST = "2025-2-g9-final"
FALLING = {"S003", "S006", "S033"}
QUICK = RunSettings(by=("area", "school"), measures=("mean_score", "composite_z"))


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EDUQ_ARCHIVE", raising=False)

    def call(*arguments: str | Path, lang: str = "en", **environment: str) -> Done:
        with monkeypatch.context() as patch:
            for name, value in (environment | {"EDUQ_LANG": lang}).items():
                patch.setenv(name, value)
            status = run_command([str(part) for part in arguments])
        said = capsys.readouterr()
        return Done(status, said.out, said.err)

    return call


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """The ninth year's spring exams of the sample county but the newest, and one of another term."""
    folder = tmp_path_factory.mktemp("trend")
    store = create_archive(folder / "archive", key_file=folder / "archive.key")
    store.add_registers(read_registers(SAMPLE / "registers"))
    for name in [f"{year}-2-g9-final" for year in range(2021, 2025)] + ["2024-1-g9-mid"]:
        store.add(eq.read_scores(SAMPLE / name))
    return store


@pytest.fixture(scope="module")
def whole(archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """The same with the newest exam."""
    folder = tmp_path_factory.mktemp("whole")
    shutil.copytree(archive.path, folder / "archive")
    assert archive.key_file is not None
    shutil.copy(archive.key_file, folder / "archive.key")
    store = eq.open_archive(folder / "archive", key_file=folder / "archive.key")
    store.add(eq.read_scores(SAMPLE / NEWEST))
    return store


def _aggregates(folder: Path, name: str) -> Path:
    rows = [
        (f"U{number}", 2020 + year, 10 * (0.1 * number - 0.3 * year * (number == 2)), 0.4)
        for number in range(8)
        for year in range(5)
    ]
    frame = pl.DataFrame(rows, schema=["who", "when", "mean", "se"], orient="row")
    path = folder / name
    frame.write_parquet(path) if path.suffix == ".parquet" else frame.write_csv(path)
    return path


def test_the_large_falling_schools_come_first_with_sentence_and_conditions(whole: Archive, run: Run) -> None:
    done = run("trend", "--archive", whole.path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    units = [line for line in lines if line.startswith("S0")]
    strong = [line for line in units if "  A  " in line]
    assert {line[:4] for line in strong} >= FALLING
    assert units[: len(strong)] == strong
    slopes = [float(line.split("(")[0].split()[-1].replace("−", "-")) for line in strong]
    assert slopes == sorted(slopes)
    assert "the decline is confirmed (evidence grade A)" in done.stdout
    assert "vary independently and alike" in done.stdout
    assert f"Exams used: 2021-2-g9-final, 2022-2-g9-final, 2023-2-g9-final, 2024-2-g9-final, {NEWEST}" in done.stdout
    assert "Not used:" in done.stdout


def test_forms_hold_the_same_numbers(whole: Archive, run: Run, tmp_path: Path) -> None:
    found = detect_declines(whole, measure="composite_z")
    expected = dict(found.frame.select("unit", "slope").iter_rows())
    document = json.loads(run("trend", "--archive", whole.path, "--format", "json").stdout)
    assert document["schema"] == "eduq.trend/1"
    assert {line["unit"]: line["slope"] for line in document["units"]} == expected
    assert all(line["sentence"] for line in document["units"])
    for name in ("t.csv", "t.parquet"):
        done = run("trend", "--archive", whole.path, "--out", name)
        assert done.stdout.splitlines()[-1] == name
        path = tmp_path / name
        frame = pl.read_parquet(path) if name.endswith("parquet") else pl.read_csv(path)
        assert dict(frame.select("unit", "evidence_grade").iter_rows()) == dict(
            found.frame.select("unit", "evidence_grade").iter_rows()
        )
    again = run("trend", "--archive", whole.path, "--out", "u.csv")
    assert again.returncode == 0
    assert (tmp_path / "u.csv").read_bytes() == (tmp_path / "t.csv").read_bytes()


def test_as_of_version_and_subject(whole: Archive, run: Run) -> None:
    before = json.loads(run("trend", "--archive", whole.path, "--as-of", "2025-12-31", "--format", "json").stdout)
    version = str(whole.version - 1)
    older = json.loads(run("trend", "--format", "json", "--archive-version", version, EDUQ_ARCHIVE=str(whole.path)).stdout)
    assert before["models"][0]["n_periods"] == older["models"][0]["n_periods"] == 4
    assert [line["slope"] for line in before["units"]] == [line["slope"] for line in older["units"]]
    maths = json.loads(run("trend", "--archive", whole.path, "--subject", "math", "--format", "json").stdout)
    assert {line["subject"] for line in maths["units"]} == {"math"}
    assert maths["units"][0]["measure"] == "z_mean"


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_table_of_aggregates(name: str, run: Run, tmp_path: Path) -> None:
    path = _aggregates(tmp_path, name)
    columns = ("--unit", "who", "--period", "when", "--estimate", "mean", "--std-error", "se", "--scale", "10")
    done = run("trend", path, *columns, "--format", "json", EDUQ_ARCHIVE="elsewhere")
    assert done.returncode == 0, done.stderr
    first = json.loads(done.stdout)["units"][0]
    assert (first["who"], first["evidence_grade"]) == ("U2", "A")
    assert first["slope"] == pytest.approx(-0.3 * 7 / 8)  # relative to the mean of all eight
    assert "U2" in run("trend", path, *columns, lang="zh").stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), "trend_source"),
        (("t.csv",), "declines_column_missing"),
        (("t.csv", "--measure", "z_mean"), "trend_option"),
        (("--archive", "x", "--unit", "who"), "trend_option"),
        (("t.csv", "--format", "parquet"), "format_needs_out"),
    ],
)
def test_what_does_not_fit_together_stops(arguments: tuple[str, ...], code: str, run: Run, tmp_path: Path) -> None:
    _aggregates(tmp_path, "t.csv")
    done = run("trend", *arguments)
    assert done.returncode == 2, done.stderr
    assert f"({code})" in done.stderr.replace("（", "(") or code in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8-sig", "utf-16"])
def test_a_table_in_another_encoding_gives_the_same(encoding: str, run: Run, tmp_path: Path) -> None:
    table = pl.read_csv(_aggregates(tmp_path, "t.csv")).rename({"who": "学校", "when": "学年", "mean": "平均", "se": "误差"})
    (tmp_path / "u.csv").write_bytes(table.write_csv().encode("utf-8"))
    (tmp_path / "v.csv").write_bytes(table.write_csv().encode(encoding))
    named = (
        "--unit",
        "学校",
        "--period",
        "学年",
        "--estimate",
        "平均",
        "--std-error",
        "误差",
        "--scale",
        "10",
        "--format",
        "csv",
    )
    plain, other = (run("trend", name, *named) for name in ("u.csv", "v.csv"))
    assert (plain.returncode, other.returncode) == (0, 0), other.stderr
    assert "学校" in plain.stdout
    assert other.stdout == plain.stdout


@pytest.mark.parametrize("name", ["absent.csv", "t.xlsx", "t[1].parquet"])
def test_a_table_that_cannot_be_read_stops(name: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    (tmp_path / "t[1].parquet").write_bytes(b"PAR1")
    done = run("trend", name)
    assert done.returncode == 11, done.stderr
    assert "trend_file" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_single_pupil(whole: Archive, run: Run) -> None:
    scores = whole.scores(NEWEST, columns=["candidate_id"])
    said = run("trend", "--archive", whole.path, "--format", "json").stdout
    assert not any(candidate in said for candidate in scores.frame["candidate_id"].head(200))


def test_a_line_of_bars() -> None:
    assert sparkline([-1.0, 0.0, None, 1.0], -1.0, 1.0) == "▁▅·█"
    assert sparkline([0.0, 0.0], 0.0, 0.0) == "▅▅"


# ---- analyze with an archive -------------------------------------------------------------------------------------------


def test_an_archived_exam_gives_what_its_files_give(whole: Archive) -> None:
    archived = eq.analyze(NEWEST, archive=whole)
    files = eq.analyze(SAMPLE / NEWEST, registers=SAMPLE / "registers")
    assert archived.publishable.estimates.equals(files.publishable.estimates)
    assert archived.publishable.checks.equals(files.publishable.checks)
    assert archived.publishable.units.equals(files.publishable.units)
    assert archived.scores.frame.width < files.scores.frame.width
    history = archived.publishable.history
    assert history is not None
    assert (history.origin, history.archive_version) == ("archived", whole.version)
    assert set(history.declines.filter(pl.col("evidence_grade").is_in(["A", "B"]))["unit"]) >= FALLING
    again = eq.analyze(NEWEST, archive=whole, registers=SAMPLE / "registers", settings=QUICK)
    assert again.publishable.checks.equals(archived.publishable.checks)


def test_an_exam_not_yet_in_the_archive_counts_beside_it(archive: Archive, whole: Archive) -> None:
    added = eq.analyze(SAMPLE / NEWEST, archive=archive, settings=QUICK).publishable.history
    stored = eq.analyze(SAMPLE / NEWEST, archive=whole, settings=QUICK).publishable.history
    assert added is not None
    assert stored is not None
    assert (added.origin, stored.origin) == ("added", "archived")
    assert added.declines.equals(stored.declines)
    assert added.left_out.equals(stored.left_out)


def test_other_files_than_the_archive_has_replace_its_exam(whole: Archive, tmp_path: Path) -> None:
    folder = tmp_path / "corrected"
    folder.mkdir()
    for path in (SAMPLE / "2024-2-g9-final").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    frame = pl.read_parquet(folder / "全县成绩.parquet")
    frame.filter(pl.col("学校代码") != frame["学校代码"][0]).write_parquet(folder / "全县成绩.parquet")
    found = eq.analyze(folder, archive=whole, settings=QUICK).publishable
    assert found.history is not None
    assert found.history.origin == "replaced"
    assert found.history.left_out.filter("used")["exam_id"].to_list()[-1] == "2024-2-g9-final"
    gone = frame["学校代码"][0]
    assert found.history.series.filter(pl.col("unit") == gone)["period"].max() == "2023-2024"
    assert "2024-2-g9-final" in whole.exams()["exam_id"].to_list()


def test_the_command_writes_the_history(whole: Archive, run: Run, tmp_path: Path) -> None:
    done = run("analyze", NEWEST, "--archive", whole.path, "--out", "out", lang="zh")
    assert done.returncode == 0, done.stderr
    assert "历年变化" in done.stdout
    written = [Path(line).name for line in done.stdout.splitlines() if line.startswith("out/")]
    assert written[-1] == "run.json"
    assert {"declines.parquet", "series.parquet"} <= set(written)
    declines = pl.read_parquet(tmp_path / "out" / "results" / "declines.parquet")
    assert set(declines["measure"]) == {"composite_z", "z_mean"}
    said = (tmp_path / "out" / "bulletin.md").read_text(encoding="utf-8")
    assert "历年变化" in said
    record = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert record["provenance"]["archive_version"] == str(whole.version)
    as_json = json.loads(run("analyze", NEWEST, "--archive", whole.path, "--out", "out", "--format", "json").stdout)
    assert as_json["history"]["origin"] == "archived"


def test_a_name_that_is_neither_or_both_stops(whole: Archive, run: Run, tmp_path: Path) -> None:
    neither = run("analyze", "2030-1-g9", "--archive", whole.path)
    assert neither.returncode == 14
    assert "archive_exam_unknown" in neither.stderr
    (tmp_path / NEWEST).mkdir()
    both = run("analyze", NEWEST, "--archive", whole.path)
    assert both.returncode == 2
    assert "exam_or_folder" in both.stderr
    options = run("analyze", "2024-2-g9-final", "--archive", whole.path, "--exam", SAMPLE / NEWEST / "exam.toml")
    assert options.returncode == 2
    assert "archived_exam_option" in options.stderr


def test_one_year_in_the_archive_says_so(archive: Archive) -> None:
    history = eq.analyze("2021-2-g9-final", archive=archive, settings=QUICK).publishable.history
    assert history is not None
    assert history.reason == "declines_one_period"
    assert history.declines.is_empty()


@pytest.mark.parametrize("error", ["sd", "std_error"])
def test_values_in_marks_without_their_scale_stop(error: str, run: Run, tmp_path: Path) -> None:
    table = pl.DataFrame({
        "unit": [unit for unit in "ABCDEF" for _ in range(3)],
        "period": [2021, 2022, 2023] * 6,
        "estimate": [60.0 + 3 * unit + (unit * year) % 4 for unit in range(6) for year in range(3)],
        "sd": 48.0, "n": 150, "std_error": 3.9,
    })  # fmt: skip
    table.write_csv(tmp_path / "rates.csv")
    told = ("--sd", "sd", "--n", "n") if error == "sd" else ("--std-error", "std_error")
    stopped = run("trend", tmp_path / "rates.csv", *told)
    assert stopped.returncode == 2
    assert "trend_scale_missing" in stopped.stderr
    assert run("trend", tmp_path / "rates.csv", *told, "--scale", "48").returncode == 0
    assert run("trend", tmp_path / "rates.csv", *told, "--scale", "1").returncode == 0
