"""`eduq compare` as its user runs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl
import pytest

import eduq as eq
from eduq.archive import Archive, create_archive
from eduq.cli.app import run as run_command
from eduq.estimates.comparison import compare_units
from eduq.registers import read_registers
from eduq.resources import sample_data_path
from eduq.settings import RunSettings

Run = Callable[..., "Done"]
SAMPLE = sample_data_path()
EXAM = "2024-2-g9-final"


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
    """Two exams of the sample county."""
    folder = tmp_path_factory.mktemp("compare")
    store = create_archive(folder / "archive", key_file=folder / "archive.key")
    store.add_registers(read_registers(SAMPLE / "registers"))
    for name in ("2023-2-g9-final", EXAM):
        store.add(eq.read_scores(SAMPLE / name))
    return store


def _table(folder: Path, name: str) -> pl.DataFrame:
    rows = [(f"U{i}", 0.2 * i - 0.7, 0.05 + 0.01 * i, 40 + 5 * i) for i in range(8)]
    frame = pl.DataFrame(rows, schema=["who", "mean", "se", "size"], orient="row")
    path = folder / name
    frame.write_parquet(path) if path.suffix == ".parquet" else frame.write_csv(path)
    return frame


COLUMNS = ("--unit", "who", "--estimate", "mean", "--std-error", "se", "--n", "size")


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_table_of_aggregates(name: str, run: Run, tmp_path: Path) -> None:
    frame = _table(tmp_path, name)
    done = run("compare", name, *COLUMNS, "--format", "json", EDUQ_ARCHIVE="elsewhere")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["schema"] == "eduq.compare/1"
    expected = compare_units(frame, unit="who", estimate="mean", std_error="se", n="size").frame
    found = pl.DataFrame(document["units"], infer_schema_length=None).sort("who")
    for column in ("rank_lower", "rank_upper", "could_be_last", "funnel"):
        assert found[column].to_list() == expected[column].to_list(), column
    assert found["q_value"].to_list() == pytest.approx(expected["q_value"].to_list())
    assert document["units"][0]["who"] == "U7"  # in order of rank
    shown = run("compare", name, *COLUMNS, lang="zh").stdout
    assert "名次范围" in shown
    assert "不能据此分高低" in shown


def test_forms_and_files(run: Run, tmp_path: Path) -> None:
    _table(tmp_path, "t.csv")
    for name in ("c.csv", "c.parquet", "c.json", "c.txt"):
        done = run("compare", "t.csv", *COLUMNS, "--out", name)
        assert done.stdout.splitlines()[-1] == name
    frame, table = pl.read_csv(tmp_path / "c.csv"), pl.read_parquet(tmp_path / "c.parquet")
    assert frame["sentence"].to_list() == table["sentence"].to_list()
    assert frame["who"].to_list() == [f"U{i}" for i in range(7, -1, -1)]
    assert "place" in (tmp_path / "c.txt").read_text(encoding="utf-8")


def test_a_rate_and_an_outside_reference_with_its_source(run: Run, tmp_path: Path) -> None:
    rates = pl.DataFrame({"school_id": list("ABCDE"), "rate": [1.0, 0.9, 0.8, 0.7, 0.3], "n": [40, 60, 80, 90, 70]})
    rates.write_csv(tmp_path / "r.csv")
    options = ("--estimate", "rate", "--rate", "--reference", "0.8", "--reference-source", "Province 2025")
    done = run("compare", "r.csv", *options)
    assert done.returncode == 0, done.stderr
    assert "Outside reference 0.8, from: Province 2025" in done.stdout
    assert "percentage points" in done.stdout
    lost = run("compare", "r.csv", *options[:-2])
    assert lost.returncode == 2
    assert "compare_reference_source" in lost.stderr


def test_schools_of_an_exam_of_an_archive(archive: Archive, run: Run) -> None:
    done = run("compare", "--archive", archive.path, "--exam", EXAM, "--format", "json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    units = pl.DataFrame(document["units"], infer_schema_length=None)
    assert EXAM in document["what"]
    assert units["rank"].null_count() < units.height
    level = eq.describe(eq.read_scores(SAMPLE / EXAM), by="school").frame
    composite = level.filter(pl.col("measure") == "composite_z")
    joined = units.join(composite.select("unit", pl.col("estimate").alias("level")), on="unit").drop_nulls(["estimate", "level"])
    assert joined.height > 30
    assert joined["estimate"].to_numpy() == pytest.approx(joined["level"].to_numpy(), abs=1e-9)
    newest = run("compare", "--format", "json", EDUQ_ARCHIVE=str(archive.path))
    assert json.loads(newest.stdout)["units"] == document["units"]
    candidates = archive.scores(EXAM, columns=["candidate_id"]).frame["candidate_id"].head(200)
    assert not any(candidate in done.stdout for candidate in candidates)


def test_no_number_of_a_small_school_is_shown(archive: Archive, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eduq.settings.RunSettings", partial(RunSettings, min_n_reporting=60))
    done = run("compare", "--archive", archive.path, "--format", "json")
    units = json.loads(done.stdout)["units"]
    small = [line for line in units if line["n"] is not None and line["n"] < 60]
    assert 0 < len(small) < len(units)
    shown = {"unit", "year_group", "subject", "comparison_group", "n", "reason", "sentence", "method", "conf_level"}
    shown |= {"peer_group"}
    for line in small:
        assert line["reason"] == "withheld"
        numbers = {name for name, value in line.items() if value is not None} - shown
        assert numbers == {"n_units", "family_size"}
    assert "fewer candidates than numbers are shown for" in small[0]["sentence"]


def test_rates_of_an_archive_are_rates(archive: Archive, run: Run) -> None:
    done = run("compare", "--archive", archive.path, "--measure", "pass_rate", "--subject", "math", "--format", "json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["settings"]["rate"] is True
    assert {line["method"] for line in document["units"]} == {"wilson"}
    assert {line["subject"] for line in document["units"]} == {"math"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), "compare_nothing_given"),
        (("t.csv",), "compare_column_missing"),
        (("t.csv", "--measure", "z_mean"), "trend_option"),
        (("--archive", "x", "--rate"), "trend_option"),
        (("t.csv", "--format", "parquet"), "format_needs_out"),
    ],
)
def test_what_does_not_fit_together_stops(arguments: tuple[str, ...], code: str, run: Run, tmp_path: Path) -> None:
    _table(tmp_path, "t.csv")
    done = run("compare", *arguments)
    assert done.returncode == 2, done.stderr
    assert code in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["absent.csv", "t.xlsx", "t[1].parquet"])
def test_a_table_that_cannot_be_read_stops(name: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    (tmp_path / "t[1].parquet").write_bytes(b"PAR1")
    done = run("compare", name)
    assert done.returncode == 11, done.stderr
    assert "trend_file" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_exam_unknown_or_named_with_its_term_stops(archive: Archive, run: Run) -> None:
    unknown = run("compare", "--archive", archive.path, "--exam", "2031-2-g9-final")
    assert (unknown.returncode, "compare_exam_unknown" in unknown.stderr) == (2, True)
    twice = run("compare", "--archive", archive.path, "--exam", EXAM, "--term", "2")
    assert (twice.returncode, "compare_exam_alone" in twice.stderr) == (2, True)
