"""`eduq analyze --edition`: the whole folder of an outward edition, not its bulletin alone, is what its readers may see."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import polars as pl
import pytest

from eduq.resources import sample_data_path

SCHOOLS = {"戊午实验学校": "WW701", "己未外国语学校": "JW702", "庚申职工子弟学校": "GS703", "辛酉民办学校": "XY704"}
HEADER = "考号,姓名,学校,学校代码,班级,语文(120分),数学(120分)"


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "eduq", "analyze", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "EDUQ_LANG": "en"},
        check=False,
    )


def _texts(folder: Path) -> dict[str, str]:
    """Return all that a reader of the folder can find, unpacked: file name and text."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".xlsx", ".docx"):
            with zipfile.ZipFile(path) as packed:
                found[path.name] = "".join(packed.read(name).decode("utf-8", "ignore") for name in packed.namelist())
        elif path.suffix == ".parquet":
            frame = pl.read_parquet(path)
            found[path.name] = ",".join(frame.columns) + frame.write_csv() + path.read_bytes().decode("latin-1")
        elif path.is_file():
            found[path.name] = path.read_text(encoding="utf-8")
    return found


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    rows = [
        f"{code}{number:03d},丑测试{number},{name},{code},{number % 2 + 1}班,{60 + number * 7 % 40},{50 + number % 60}"
        for name, code in SCHOOLS.items()
        for number in range(1, 41 if code != "XY704" else 5)
    ]
    path = tmp_path / "g9-math.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("edition", ["government", "public", "student"])
def test_no_school_class_or_file_is_named_anywhere_in_the_folder(scores: Path, tmp_path: Path, edition: str) -> None:
    done = _run(tmp_path, str(scores), "--edition", edition, "--out", "out", "--formats", "md,html,xlsx,docx")
    assert done.returncode == 0, done.stderr
    found = _texts(tmp_path / "out")
    assert {"bulletin.md", "bulletin.html", "bulletin.docx", "tables.xlsx", "estimates.parquet", "run.json"} <= set(found)
    assert "data_quality.parquet" not in found
    for name, words in found.items():
        leaked = [planted for planted in (*SCHOOLS, *SCHOOLS.values(), "丑测试", "g9-math.csv") if planted in words]
        assert not leaked, name
    record = json.loads(found["run.json"])
    assert record["edition"] == edition
    assert "schools" not in record["counts"]
    assert "candidates" not in record["counts"]
    assert (
        pl.read_parquet(tmp_path / "out/results/estimates.parquet")["unit_type"].is_in(["school", "class", "teacher"]).sum() == 0
    )
    assert "n_schools" not in pl.read_parquet_schema(tmp_path / "out/results/comparability.parquet")


def test_the_governments_folder_of_the_sample_names_no_school(tmp_path: Path) -> None:
    sample = sample_data_path()
    done = _run(
        tmp_path,
        str(sample / "2025-2-g9-final"),
        "--registers",
        str(sample / "registers"),
        "--edition",
        "government",
        "--out",
        "out",
    )
    assert done.returncode == 0, done.stderr
    register = pl.read_csv(sample / "registers" / "schools.csv", infer_schema_length=0)
    names = {
        name for column in ("school_id", "name", "aliases") for cell in register[column].drop_nulls() for name in cell.split(";")
    }
    assert len(names) > 100
    found = _texts(tmp_path / "out")
    assert not {(name, file) for name in names if len(name) > 2 for file, words in found.items() if name in words}
    estimates = pl.read_parquet(tmp_path / "out/results/estimates.parquet")
    assert estimates.filter(unit_type="township").height > 0


def test_what_only_the_bureau_may_see_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    for more in (("--formats", "review"), ("--school-packs", "packs")):
        done = _run(tmp_path, "not-there.csv", "--edition", "public", "--out", "out", *more)
        assert done.returncode == 13, done.stderr
        assert not (tmp_path / "out").exists()
        assert not (tmp_path / "packs").exists()


def test_the_record_lists_every_file_written(scores: Path, tmp_path: Path) -> None:
    done = _run(tmp_path, str(scores), "--out", "out", "--formats", "md,xlsx,review")
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    there = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert record["files"] == there
    assert "review.html" in there
    printed = [line for line in done.stdout.splitlines() if line.startswith("out/")]
    assert sorted(printed) == [f"out/{name}" for name in there]
    assert printed[-1] == "out/run.json"
