"""`eduq growth` as its user runs it."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from eduq.archive import create_archive
from eduq.cli.app import run as run_command
from eduq.estimates.growth import estimate_growth
from eduq.intake import read_scores
from eduq.resources import sample_data_path

Run = Callable[..., "Done"]
SAMPLE = sample_data_path()
EXAM, PRIOR = "2024-2-g9-final", "2023-2-g8-final"


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
def archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return an archive with an exam and the prior exam of its cohort, and its key."""
    folder = tmp_path_factory.mktemp("growth")
    key = folder / "archive.key"
    store = create_archive(folder / "archive", key_file=key)
    for exam in (PRIOR, EXAM):
        store.add(read_scores(SAMPLE / exam))
    return folder / "archive", key


@pytest.fixture
def pupils(tmp_path: Path) -> Path:
    draw = np.random.default_rng(5)
    school = np.repeat([f"S{number}" for number in range(8)], 40)
    before = np.round(draw.normal(60, 12, 320))
    after = np.round(0.7 * (before - 60) + 65 + np.repeat(np.linspace(-6, 6, 8), 40) + draw.normal(0, 6, 320))
    table = pl.DataFrame({"school": school, "before": before, "after": after}).with_row_index("row")
    missing = pl.when(pl.col("row") % 40 == 0).then(None).otherwise(pl.col("after")).alias("after")
    path = tmp_path / "pupils.csv"
    table.with_columns(missing).drop("row").write_csv(path)
    return path


def test_an_archived_exam_finds_its_prior_and_says_who_is_missing(run: Run, archive: tuple[Path, Path]) -> None:
    done = run("growth", EXAM, "--archive", archive[0])
    assert done.returncode == 0, done.stderr
    assert PRIOR in done.stdout
    assert "the newest exam of the same pupils in the school year before" in done.stdout
    assert "without a score in this one" in done.stdout
    assert "multilevel model" in done.stdout
    assert "Correlation with intake" in done.stdout
    zh = run("growth", EXAM, "--archive", archive[0], lang="zh")
    assert "上一学年同一批学生的最近一次考试" in zh.stdout
    assert "增长百分位" in zh.stdout


def test_json_holds_all_of_it_and_no_pupil(run: Run, archive: tuple[Path, Path]) -> None:
    done = run("growth", EXAM, "--archive", archive[0], "--subject", "math", "--method", "z_gain,bands", "--format", "json")
    found = json.loads(done.stdout)
    assert found["schema"] == "eduq.growth/1"
    assert {line["growth"] for line in found["units"]} == {"z_gain", "bands"}
    assert {line["paper"] for line in found["units"]} == {"math"}
    assert found["priors"][0]["exam_id"] == PRIOR
    assert {"lower", "middle", "upper", "all"} <= {line["prior_band"] for line in found["missing"]}
    ids = read_scores(SAMPLE / EXAM).frame["person_id"].drop_nulls()
    assert not any(name in done.stdout for name in ids.head(200))


def test_files_alone_serve_too_and_a_parquet_is_written(run: Run, archive: tuple[Path, Path], tmp_path: Path) -> None:
    target = tmp_path / "growth.parquet"
    done = run("growth", SAMPLE / EXAM, "--prior", SAMPLE / PRIOR, "--method", "z_gain", "--subject", "math", "--out", target)
    assert done.returncode == 0, done.stderr
    plain = pl.read_parquet(target)
    archived = run("growth", EXAM, "--archive", archive[0], "--method", "z_gain", "--subject", "math", "--format", "csv").stdout
    assert pl.read_csv(io.StringIO(archived))["estimate"].to_list() == pytest.approx(plain["estimate"].to_list())


def test_without_the_key_a_prior_that_was_asked_for_is_an_archive_error(
    run: Run, archive: tuple[Path, Path], tmp_path: Path
) -> None:
    gone = {"EDUQ_KEY_FILE": str(tmp_path / "no.key")}
    asked = run("growth", SAMPLE / EXAM, "--archive", archive[0], "--prior", PRIOR, **gone)
    assert asked.returncode == 14
    found = run("growth", SAMPLE / EXAM, "--archive", archive[0], **gone)
    assert found.returncode == 12
    assert "key" in found.stderr


def test_a_table_of_pupils_with_any_names(run: Run, pupils: Path) -> None:
    done = run("growth", pupils, "--outcome", "after", "--prior", "before", "--unit", "school", "--format", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    direct = estimate_growth(pl.read_csv(pupils), outcome="after", prior="before", unit="school").frame
    mine = {line["unit"]: line["estimate"] for line in found["units"] if line["growth"] == "multilevel"}
    assert mine == pytest.approx(dict(direct.select("school", "centred").iter_rows()))
    assert {line["match_rate"] for line in found["units"]} == {1.0}
    every = next(line for line in found["missing"] if (line["school_id"], line["prior_band"]) == ("all", "all"))
    assert (every["n_listed"], every["n_linked"]) == (320, 312)
    shown = run("growth", pupils, "--outcome", "after", "--prior", "before", "--unit", "school", "--reliability", "0.9")
    assert "multilevel model" in shown.stdout
    assert "(uncorrected)" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ((), 2, "where the data come from"),
        (("pupils.csv",), 2, "--outcome"),
        (("pupils.csv", "--outcome", "after"), 2, "--prior"),
        (("pupils.csv", "--outcome", "after", "--prior", "before", "--by", "class"), 2, "--by"),
        (("pupils.csv", "--outcome", "after", "--prior", "before", "--unit", "school", "--method", "best"), 2, "best"),
    ],
)
def test_what_is_asked_wrongly(run: Run, pupils: Path, arguments: tuple[str, ...], status: int, said: str) -> None:
    done = run("growth", *arguments)
    assert done.returncode == status
    assert said in done.stderr


def test_analyze_takes_a_prior_and_writes_growth(run: Run, tmp_path: Path) -> None:
    done = run("analyze", SAMPLE / EXAM, "--prior", SAMPLE / PRIOR, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    found = pl.read_parquet(tmp_path / "out" / "results" / "growth.parquet")
    assert found["growth"].unique().sort().to_list() == ["bands", "multilevel", "percentile", "z_gain"]
    assert found.filter(pl.col("n") < 10)["estimate"].null_count() == found.filter(pl.col("n") < 10).height
    record = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert record["provenance"]["prior_exams"] == PRIOR


def test_a_unit_of_three_pupils_has_no_numbers(run: Run, tmp_path: Path) -> None:
    draw = random.Random(3)
    rows = ["单位,前,后"]
    for unit, size in (("甲", 40), ("乙", 35), ("丙", 30), ("丁", 30), ("戊", 25), ("小", 3)):
        for _ in range(size):
            before = draw.gauss(60, 12)
            rows.append(f"{unit},{before:.1f},{before + draw.gauss(2, 8):.1f}")
    table = tmp_path / "表.csv"
    table.write_text("\n".join(rows), encoding="gb18030")
    done = run("growth", table, "--outcome", "后", "--prior", "前", "--unit", "单位", "--format", "json")
    lines = [line for line in json.loads(done.stdout)["units"] if line["unit"] == "小"]
    assert {line["reason"] for line in lines} == {"below_min_n"}
    assert all(line[name] is None for line in lines for name in ("estimate", "ci_lower", "prior_mean", "agreement"))
    assert {line["n"] for line in lines} == {3}
