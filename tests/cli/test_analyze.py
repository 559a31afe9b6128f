"""`eduq analyze` as its user runs it: files in, folder out, messages and exit statuses."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from eduq.resources import sample_data_path

HEADER = "考号,姓名,学校,班级,性别,语文(120分),数学(120分)"
ROWS = [
    "{school}{number:03d},{name}{number},{school}中学,{klass}班,{sex},{chinese},{math}".format(
        school=school,
        number=number,
        name="丑测试",
        klass=number % 2 + 1,
        sex="男女"[number % 2],
        chinese=60 + number % 40,
        math=50 + (7 * number) % 60,
    )
    for school in ("甲", "乙", "丙")
    for number in range(1, 31)
]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def call(*arguments: str, lang: str = "en") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "eduq", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={"PATH": "/usr/bin:/bin", "EDUQ_LANG": lang},
            check=False,
        )

    return call


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    path = tmp_path / "g9-math.csv"
    path.write_text("\n".join([HEADER, *ROWS]) + "\n", encoding="utf-8")
    return path


def test_writes_the_folder_and_ends_with_its_paths(run: Run, scores: Path, tmp_path: Path) -> None:
    done = run("analyze", str(scores), "--out", "out")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("out/")]
    names = {
        "bulletin.html",
        "bulletin.md",
        "tables.xlsx",
        "results/estimates.parquet",
        "results/comparability.parquet",
        "results/data_quality.parquet",
        "run.json",
    }
    assert lines[-1] == done.stdout.splitlines()[-1]
    written = {str(Path(line).relative_to("out")) for line in lines}
    assert written >= names
    assert written - names <= {f"results/{name}.parquet" for name in ("comparisons", "equity", "pairs", "targets")}
    assert all((tmp_path / line).is_file() for line in lines)
    assert done.stderr == ""
    record = json.loads((tmp_path / "out/run.json").read_text())
    assert record["counts"]["candidates"] == 90
    assert [(item["file"], item["rows"], item["used"], item["rejected"]) for item in record["inputs"]] == [
        ("g9-math.csv", 90, 90, 0)
    ]
    assert len(record["inputs"][0]["sha256"]) == 64


def test_nothing_of_a_pupil_is_in_any_output(run: Run, scores: Path, tmp_path: Path) -> None:
    done = run("analyze", str(scores), "--out", "out", "--rejects", "rejects.csv")
    assert done.returncode == 0, done.stderr
    workbook = tmp_path / "unpacked"
    shutil.unpack_archive(tmp_path / "out/tables.xlsx", workbook, "zip")
    texts = [done.stdout, done.stderr, (tmp_path / "rejects.csv").read_text()]
    for path in [*(tmp_path / "out").rglob("*"), *workbook.rglob("*.xml")]:
        if path.suffix == ".parquet":
            texts.append(str(pl.read_parquet(path).rows()))
        elif path.is_file():
            texts.append(path.read_bytes().decode("utf-8", "ignore"))
    for planted in ("丑测试", "甲001", "乙017"):
        assert not any(planted in text for text in texts)


def test_a_second_run_gives_the_same_bytes_but_for_the_run_record(run: Run, scores: Path, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        assert run("analyze", str(scores), "--out", folder, lang="zh").returncode == 0
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(files) >= 7
    for name in files:
        if name.name != "run.json":
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_a_rerun_replaces_its_own_folder_and_leaves_others_alone(run: Run, scores: Path, tmp_path: Path) -> None:
    assert run("analyze", str(scores), "--out", "out").returncode == 0
    assert run("analyze", str(scores), "--out", "out").returncode == 0
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "letter.txt").write_text("keep me")
    done = run("analyze", str(scores), "--out", "theirs")
    assert done.returncode == 2
    assert "output_not_ours" in done.stderr
    assert [path.name for path in theirs.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        ("", 11, "file_empty"),
        ("姓名,语文\n丑测试,50\n", 11, None),
        (f"{HEADER}\n甲001,丑测试1,甲中学,1班,男,-,80\n", 11, "unknown_symbols"),
    ],
)
def test_bad_files_end_with_a_code_and_a_hint_and_nothing_written(
    run: Run, tmp_path: Path, content: str, status: int, code: str | None
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(content, encoding="utf-8")
    done = run("analyze", str(path), "--out", "out")
    assert done.returncode == status, done.stderr
    assert "bad.csv" in done.stderr
    assert "What to do" in done.stderr
    assert code is None or code in done.stderr
    assert "Traceback" not in done.stderr
    assert "丑测试" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_unknown_setting_ends_with_10_and_names_its_key(run: Run, scores: Path, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("conf_levle = 0.9\nband_width = 0\n")
    done = run("analyze", str(scores), "--settings", "run.toml", "--out", "out")
    assert done.returncode == 10
    assert "conf_levle" in done.stderr
    assert "band_width" in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_edition_that_is_not_built_is_refused(run: Run, scores: Path, tmp_path: Path) -> None:
    assert run("analyze", str(scores), "--edition", "school", "--out", "out").returncode == 13
    assert run("analyze", str(scores), "--edition", "everyone", "--out", "out").returncode == 13
    assert not (tmp_path / "out").exists()


def test_a_school_outside_the_register_stops_with_the_nearest_name(run: Run, scores: Path, tmp_path: Path) -> None:
    register = tmp_path / "registers"
    register.mkdir()
    (register / "schools.csv").write_text("学校代码,学校名称\nS1,甲中学\nS2,乙中学\nS3,丙中学（东校区）\n", encoding="utf-8")
    done = run("analyze", str(scores), "--registers", "registers", "--out", "out")
    assert done.returncode == 11
    assert "丙中学 → 丙中学（东校区）?" in done.stderr


def test_rejects_are_listed_by_place_without_values_unless_asked(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("\n".join([HEADER, *ROWS, "丁001,丑测试,甲中学,1班,男,137.5,80"]) + "\n", encoding="utf-8")
    assert run("analyze", str(path), "--out", "out", "--rejects", "rejects.csv").returncode == 0
    listed = (tmp_path / "rejects.csv").read_text(encoding="utf-8-sig")
    assert "scores.csv" in listed
    assert "92" in listed
    assert "score_above_max" in listed
    assert "137.5" not in listed
    assert run("analyze", str(path), "--out", "out", "--rejects", "rejects.csv", "--with-values").returncode == 0
    assert "137.5" in (tmp_path / "rejects.csv").read_text(encoding="utf-8-sig")


def test_json_summary_is_json(run: Run, scores: Path) -> None:
    done = run("analyze", str(scores), "--out", "out", "--format", "json")
    summary = json.loads(done.stdout)
    assert summary["exam"]["exam"]["id"] == "g9-math"
    assert {row["unit_type"] for row in summary["area"]} == {"area"}
    assert any(path.endswith("bulletin.html") for path in summary["written"])


def test_results_by_class_and_teacher(run: Run, tmp_path: Path) -> None:
    sample = sample_data_path()
    exam = sorted(path for path in sample.iterdir() if path.name.startswith("2025-") and "g9" in path.name)[-1]
    done = run("analyze", str(exam), "--registers", str(sample / "registers"), "--by", "area,class,teacher", "--out", "out")
    assert done.returncode == 0, done.stderr
    frame = pl.read_parquet(tmp_path / "out/results/estimates.parquet")
    assert set(frame["unit_type"]) == {"area", "class", "teacher"}
    teachers = frame.filter((pl.col("unit_type") == "teacher") & (pl.col("measure") == "mean_score"))
    assert teachers.group_by("unit").agg(pl.col("paper").n_unique())["paper"].max() == 1
    classes = frame.filter((pl.col("unit_type") == "class") & (pl.col("measure") == "mean_score") & (pl.col("paper") == "math"))
    area = frame.filter((pl.col("unit_type") == "area") & (pl.col("measure") == "mean_score") & (pl.col("paper") == "math"))
    assert classes["n"].sum() == area["n"].sum()


def test_help_speaks_both_languages(run: Run) -> None:
    assert "score exports" in run("analyze", "--help").stdout or "score files" in run("analyze", "--help").stdout
    assert "成绩文件" in run("analyze", "--help", lang="zh").stdout
    assert run("nonsense").returncode == 2


def few(n: int, score: str) -> str:
    return (
        "\n".join([HEADER, *(f"{place:03d},丑测试,{'甲乙丙丁'[place % 4]}中学,1班,女,{score},{score}" for place in range(n))])
        + "\n"
    )


def test_a_few_candidates_take_part_but_no_score_of_theirs_is_shown(run: Run, tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text(few(6, "93.5"), encoding="utf-8")
    done = run("analyze", "few.csv", "--out", "out")
    assert done.returncode == 0, done.stderr
    estimates = pl.read_parquet(tmp_path / "out/results/estimates.parquet")
    shown = estimates.filter(pl.col("estimate").is_not_null())
    assert set(shown["measure"]) == {"participation_rate"}
    assert "below_min_n" in set(estimates["reason"])
    for path in (tmp_path / "out").glob("bulletin.*"):
        assert "93.5" not in path.read_text(encoding="utf-8")
    assert "93.5" not in done.stdout


def test_no_score_at_all_is_not_assessable_and_lists_the_rejects(run: Run, tmp_path: Path) -> None:
    (tmp_path / "absent.csv").write_text(few(20, "缺考"), encoding="utf-8")
    assert run("analyze", "absent.csv", "--out", "out").returncode == 12
    (tmp_path / "high.csv").write_text(few(20, "400"), encoding="utf-8")
    done = run("analyze", "high.csv", "--out", "out", "--rejects", "rejects.csv")
    assert done.returncode == 12
    assert (tmp_path / "rejects.csv").read_text(encoding="utf-8-sig").count("score_above_max") == 20
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_and_a_core_paper_that_is_not_there(run: Run, scores: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("analyze", str(scores), "--out", "file/out")
    assert (done.returncode, "output_unwritable" in done.stderr) == (2, True)
    (tmp_path / "run.toml").write_text('core_papers = ["physik"]\n')
    assert run("analyze", str(scores), "--settings", "run.toml", "--out", "out").returncode == 10


def test_an_exam_across_schools_outside_graduating_years_is_warned_of(run: Run, scores: Path, tmp_path: Path) -> None:
    exam = 'schema = 1\n[exam]\nid = "g7-monitoring"\nyear_group = "{}"\nscope = "county"\n'
    warned = {}
    for year_group in ("G1", "G7", "G9"):
        (tmp_path / "exam.toml").write_text(exam.format(year_group), encoding="utf-8")
        summary = json.loads(run("analyze", str(scores), "--out", "out", "--format", "json").stdout)
        warned[year_group] = {line["code"] for line in summary["checks"]} & {"restricted_exam", "no_paper_exam_allowed"}
    assert warned == {"G1": {"restricted_exam", "no_paper_exam_allowed"}, "G7": {"restricted_exam"}, "G9": set()}
