"""`eduq compare` with peers, neighbours, pooled years, references, pairs and clusters, as its user runs it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import eduq as eq
from eduq.archive import Archive, create_archive
from eduq.cli.app import run as run_command
from eduq.estimates.comparison import read_references
from eduq.registers import read_registers
from eduq.resources import sample_data_path
from eduq.settings import RunSettings

SAMPLE = sample_data_path()
DOCS = Path(__file__).parents[2] / "docs"
EXAMS = ("2023-2-g9-final", "2024-2-g9-final")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process, in a folder of its own; return status, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EDUQ_ARCHIVE", raising=False)

    def call(*arguments: str | Path, lang: str = "en") -> tuple[int, str, str]:
        with monkeypatch.context() as patch:
            patch.setenv("EDUQ_LANG", lang)
            status = run_command([str(part) for part in arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Two exams of the sample county with its registers."""
    folder = tmp_path_factory.mktemp("standards")
    store = create_archive(folder / "archive", key_file=folder / "archive.key")
    store.add_registers(read_registers(SAMPLE / "registers"))
    for name in EXAMS:
        store.add(eq.read_scores(SAMPLE / name))
    return store


def units_of(out: str) -> pl.DataFrame:
    return pl.DataFrame(json.loads(out)["units"], infer_schema_length=None).sort("unit")


def test_similar_schools_are_those_of_the_register(archive: Archive, run: Run) -> None:
    status, out, said = run("compare", "--archive", archive.path, "--peers", "area_type,enrolment:2", "--format", "json")
    assert status == 0, said
    found = units_of(out)
    registers = archive.registers()
    assert registers is not None
    places = dict(registers.schools.select("school_id", "area_type").iter_rows())
    for line in found.iter_rows(named=True):
        assert line["peer_group"].startswith(f"area_type={places[line['unit']]};enrolment=")
    _, table, _ = run("compare", "--archive", archive.path, "--peers", "area_type", lang="zh")
    assert "与同类单位平均" in table
    assert "只与同类单位比较" in table
    assert "城区" in table
    near = units_of(
        run("compare", "--archive", archive.path, "--neighbours", "6", "--covariates", "enrolment", "--format", "json")[1]
    )
    assert near.filter(pl.col("contrast").is_not_null())["n_peers"].unique().to_list() == [6]


def test_small_schools_pool_their_years_and_nothing_can_be_subtracted(
    archive: Archive, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eduq.settings.RunSettings", partial(RunSettings, min_n_reporting=30))
    alone = units_of(run("compare", "--archive", archive.path, "--format", "json")[1])
    status, out, said = run("compare", "--archive", archive.path, "--pool-years", "2", "--format", "json")
    assert status == 0, said
    pooled = units_of(out)
    small = alone.filter(pl.col("reason") == "withheld")["unit"].to_list()
    assert len(small) > 1
    for line in pooled.filter(pl.col("unit").is_in(small)).iter_rows(named=True):
        assert line["estimate"] is None or line["n"] >= 30
    large = ~pl.col("unit").is_in(small)
    assert pooled.filter(large)["estimate"].equals(alone.filter(large)["estimate"])
    assert "at most 2 years" in run("compare", "--archive", archive.path, "--pool-years", "2")[1]


def test_references_of_a_file_with_their_source(archive: Archive, run: Run, tmp_path: Path) -> None:
    block = re.findall(r"```toml\n(.*?)```", (DOCS / "how-to" / "compare.md").read_text(encoding="utf-8"), re.DOTALL)[0]
    path = tmp_path / "references.toml"
    path.write_text(block.replace("2025-2026", "2024-2025"), encoding="utf-8")
    (known,) = read_references(path).lines
    options = ("--measure", "pass_rate", "--subject", "math,english", "--references", path)
    status, out, said = run("compare", "--archive", archive.path, *options, "--format", "json")
    assert status == 0, said
    found = units_of(out)
    assert found["subject"].unique().to_list() == ["math"]
    told = found.drop_nulls("contrast")
    assert (told["estimate"] - told["contrast"]).to_numpy() == pytest.approx(np.full(told.height, known.value))
    expected = np.hypot(told["std_error"].to_numpy(), known.std_error or 0)
    assert told["contrast_se"].to_numpy() == pytest.approx(expected)
    _, table, _ = run("compare", "--archive", archive.path, *options, lang="zh")
    assert "全省义务教育质量监测公报 2026" in table
    assert "没有参照值、未作比较" in table
    wrong = run("compare", "--archive", archive.path, "--references", path)
    assert (wrong[0], "compare_reference_none" in wrong[2]) == (2, True)


def test_pairs_and_clusters_of_the_register(archive: Archive, run: Run, tmp_path: Path) -> None:
    status, out, said = run("compare", "--archive", archive.path, "--pairs", "--format", "json")
    assert status == 0, said
    document = json.loads(out)
    assert document["schema"] == "eduq.pairs/1"
    registers = archive.registers()
    assert registers is not None
    places = dict(registers.schools.select("school_id", "area_type").iter_rows())
    told = [line for line in document["newest"] if line["gap"] is not None]
    assert len(told) > 8
    assert all(places[line["unit"]] == "urban" and places[line["partner"]] == "rural" for line in told)
    assert {line["change"] for line in document["course"]} <= {"difference", None}
    units = units_of(run("compare", "--archive", archive.path, "--format", "json")[1])
    values = dict(units.select("unit", "estimate").iter_rows())
    for line in told:
        assert line["gap"] == pytest.approx(values[line["unit"]] - values[line["partner"]])
    _, table, _ = run("compare", "--archive", archive.path, "--pairs", lang="zh")
    assert "结对：" in table
    assert "P01" in table
    status, out, _ = run("compare", "--archive", archive.path, "--clusters", "--out", tmp_path / "c.csv")
    assert status == 0
    written = pl.read_csv(tmp_path / "c.csv")
    assert written["cluster"].n_unique() > 1
    assert "SD between" in run("compare", "--archive", archive.path, "--clusters")[1]


def test_no_number_of_a_small_school_is_in_a_pair(archive: Archive, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eduq.settings.RunSettings", partial(RunSettings, min_n_reporting=60))
    for option in ("--pairs", "--clusters"):
        document = json.loads(run("compare", "--archive", archive.path, option, "--format", "json")[1])
        few = [line for line in document["gaps"] if min(line["n"] or 0, line["n_partner"] or 10**6) < 60]
        assert few
        for line in few:
            assert line["gap"] is None
            assert line["reason"] in ("withheld", "partner_missing")
            assert line["estimate"] is None


def test_a_table_of_pairs_over_years(run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = [
        (
            f"S{school}",
            f"P{school // 2}",
            school % 2 == 0,
            2020 + year,
            float(rng.normal(0.5 * (school % 2 == 0), 0.05)),
            0.9,
            300,
        )
        for school in range(8)
        for year in range(4)
    ]
    columns = ["school_id", "pair_id", "helps", "year", "estimate", "sd", "n"]
    pl.DataFrame(rows, schema=columns, orient="row").write_parquet(tmp_path / "t.parquet")
    status, out, said = run("compare", "t.parquet", "--pairs", "--period", "year", "--strong", "helps", "--format", "json")
    assert status == 0, said
    document = json.loads(out)
    assert [line["change"] for line in document["course"]] == ["slope"] * 4
    assert all(line["gap"] > 0 for line in document["newest"])
    pooled = run("compare", "t.parquet", "--period", "year", "--pool-years", "2", "--n", "n", "--format", "csv")
    assert pooled[0] == 0, pooled[2]
    assert len(pooled[1].splitlines()) == 9


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--pairs", "--clusters"), "compare_option_beside"),
        (("--pairs", "--peers", "kind"), "compare_option_beside"),
        (("--references", "r.toml", "--reference", "0.1"), "compare_option_beside"),
        (("--strong", "helps"), "compare_option_needs"),
        (("--period", "year"), "compare_option_needs"),
        (("--peers", "enrolment:many"), "compare_peers_text"),
        (("--neighbours", "3", "--covariates", "n"), "compare_peers_option"),
        (("--pool-years", "0", "--n", "n"), "compare_pool_option"),
        (("--pairs",), "compare_column_missing"),
        (("--measure", "z_mean", "--pairs"), "trend_option"),
    ],
)
def test_what_does_not_fit_together_stops(arguments: tuple[str, ...], code: str, run: Run, tmp_path: Path) -> None:
    frame = pl.DataFrame({"school_id": list("ABCDEF"), "estimate": [0.1] * 6, "std_error": [0.1] * 6, "n": [50] * 6})
    frame.with_columns(period=pl.lit(2024)).write_csv(tmp_path / "t.csv")
    status, _, said = run("compare", "t.csv", *arguments)
    assert (status, code in said) == (2, True), said
    assert "Traceback" not in said
