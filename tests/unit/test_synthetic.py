"""The invented county is what it says it is, and the committed sample is what the generator gives."""

from __future__ import annotations

import tomllib
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from eduq.errors import UsageError
from eduq.resources import sample_data_path
from eduq.synthetic import Sample, SampleExam, make_sample, write_benchmark
from eduq.synthetic.county import GIVEN, PUPIL_SURNAMES, share_out
from eduq.tables import NOT_EXPECTED, SCORE_COLUMNS, STATUS_TYPE, status_column

PAPERS = ("chinese", "math", "english", "physics", "chemistry", "politics", "history")


@pytest.fixture(scope="module")
def sample() -> Sample:
    return make_sample()


@pytest.fixture(scope="module")
def five_years() -> Sample:
    return make_sample(years=5)


def gaps(exam: SampleExam) -> pl.DataFrame:
    """Composite standardised gap of each school, computed here from the scores alone."""
    z = [((pl.col(paper) - pl.col(paper).mean()) / pl.col(paper).std(ddof=0)).alias(paper) for paper in PAPERS]
    composite = exam.scores.with_columns(z).with_columns(pl.mean_horizontal(PAPERS).alias("composite"))
    return composite.group_by("school_id").agg(pl.col("composite").mean().alias("gap"), pl.len()).sort("school_id")


def content(path: Path) -> dict[str, bytes]:
    """A file's bytes; of a workbook the bytes of its parts, as compression may differ between machines."""
    if path.suffix != ".xlsx":
        return {"": path.read_bytes()}
    with zipfile.ZipFile(BytesIO(path.read_bytes())) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_committed_sample_is_what_the_generator_gives(sample: Sample, tmp_path: Path) -> None:
    written = sample.write(tmp_path)
    committed = sample_data_path()
    names = sorted(str(path.relative_to(tmp_path)) for path in written)
    on_disk = (path for path in committed.rglob("*") if path.is_file() and path.name != "README.md")
    assert names == sorted(str(path.relative_to(committed)) for path in on_disk)
    for name in names:
        assert content(tmp_path / name) == content(committed / name), name


def test_sample_stays_small() -> None:
    assert sum(path.stat().st_size for path in sample_data_path().rglob("*") if path.is_file()) < 1_500_000


def test_sizes(sample: Sample) -> None:
    (exam,) = sample.exams
    sizes = exam.scores.group_by("school_id").len()["len"]
    assert exam.scores.height == 4200
    assert len(sizes) == 24
    assert (sizes < 20).sum() == 2
    assert exam.scores["candidate_id"].n_unique() == 4200
    assert sample.registers["schools"]["township"].n_unique() == 6
    assert sample.registers["schools"]["cluster"].n_unique() == 3


@pytest.mark.parametrize(("schools", "candidates"), [(1, 1), (3, 3), (7, 100), (24, 300), (61, 5000)])
def test_any_size_has_exactly_the_schools_and_candidates_asked_for(schools: int, candidates: int) -> None:
    (exam,) = make_sample(schools=schools, candidates=candidates).exams
    assert exam.scores.height == candidates
    assert exam.scores["school_id"].n_unique() == schools


@pytest.mark.parametrize(("schools", "candidates", "years"), [(0, 10, 1), (5, 4, 1), (5, 50, 0)])
def test_impossible_sizes_are_refused(schools: int, candidates: int, years: int) -> None:
    with pytest.raises(UsageError) as caught:
        make_sample(schools=schools, candidates=candidates, years=years)
    assert caught.value.code == "sample_size"


def test_share_out_is_exact() -> None:
    shares = share_out(100, np.array([1.0, 1.0, 1.0, 0.0001]))
    assert shares.sum() == 100
    assert shares.min() >= 1
    assert shares[:3].max() - shares[:3].min() <= 1


def test_same_seed_same_county_other_seed_other_county(sample: Sample) -> None:
    again = make_sample()
    assert again.exams[0].frame.equals(sample.exams[0].frame)
    other = make_sample(seed=7).exams[0]
    assert not other.scores["math"].equals(sample.exams[0].scores["math"], null_equal=True)


def test_scores_are_half_marks_within_the_full_mark_and_bulge_to_the_right(sample: Sample) -> None:
    (exam,) = sample.exams
    for paper in exam.facts.papers:
        scores = exam.scores[paper.code].drop_nulls()
        assert paper.max_hundredths is not None
        assert scores.min() >= 0
        assert scores.max() <= paper.max_hundredths
        assert (scores % 50 == 0).all()
        assert 0.5 < scores.mean() / paper.max_hundredths < 0.75
        assert scores.cast(pl.Float64).skew() < 0
    assert exam.scores.select(pl.max_horizontal([(pl.col(p) == 12000).sum() for p in ("chinese", "math", "english")])).item() > 0


def test_subjects_go_together(sample: Sample) -> None:
    table = sample.exams[0].scores.select(PAPERS).drop_nulls().to_numpy()
    correlations = np.corrcoef(table.T)[np.triu_indices(len(PAPERS), 1)]
    assert correlations.min() > 0.5
    assert correlations.max() < 0.8
    assert 0.58 < correlations.mean() < 0.72


def test_absences_are_few_and_exemptions_only_in_english(sample: Sample) -> None:
    scores = sample.exams[0].scores
    status = scores.select(pl.col(status_column(paper)) for paper in PAPERS).unpivot()["value"]
    assert 0.008 < (status != "present").mean() < 0.02
    assert {"absent", "deferred", "exempt", "voided", "not_scanned"} <= set(status.unique())
    for paper in PAPERS:
        exempt = scores.filter(pl.col(status_column(paper)).is_in(NOT_EXPECTED)).height
        assert (exempt > 0) == (paper == "english")
        assert scores.filter((pl.col(status_column(paper)) == "present") != pl.col(paper).is_not_null()).is_empty()


def test_frames_have_the_declared_columns(sample: Sample) -> None:
    (exam,) = sample.exams
    assert {name: exam.scores.schema[name] for name in SCORE_COLUMNS} == SCORE_COLUMNS
    assert exam.scores.schema["math_status"] == STATUS_TYPE
    assert exam.scores.schema["math"] == pl.Int32
    human = exam.frame["数学"].cast(pl.Float64, strict=False)
    assert human.equals((exam.scores["math"] / 100).alias("数学"), null_equal=True)


def test_names_are_clearly_invented(sample: Sample) -> None:
    names = sample.exams[0].frame["姓名"]
    assert names.str.contains(f"^[{PUPIL_SURNAMES}][{GIVEN}][{GIVEN}]$").all()


def test_truth_is_what_the_scores_show(sample: Sample) -> None:
    (exam,) = sample.exams
    truth = exam.truth.filter(pl.col("paper") == "composite")
    both = gaps(exam).filter(pl.col("len") >= 60).join(truth, on="school_id")
    assert both.select(pl.corr("gap", "effect")).item() > 0.95
    slope = both.select(pl.cov("gap", "effect") / pl.var("effect")).item()
    assert 0.85 < slope < 1.15
    assert 0.25 < truth["effect"].std() < 0.5


def test_no_course_before_four_years() -> None:
    assert make_sample(years=3).truth.is_empty()
    assert not make_sample(years=4).truth.is_empty()


def test_declared_courses_show_in_the_scores(five_years: Sample) -> None:
    truth = five_years.truth
    assert sorted(truth["slope"]) == [-0.3, -0.3, -0.3, -0.3, -0.1, 0.2, 0.2]
    assert [exam.exam_id for exam in five_years.exams] == [f"{year}-1-g9-final" for year in range(2021, 2026)]
    years = pl.concat([gaps(exam).with_columns(pl.lit(t).alias("t")) for t, exam in enumerate(five_years.exams)])
    slopes = years.group_by("school_id").agg((pl.cov("gap", "t") / pl.var("t")).alias("found"), pl.col("len").min())
    declared = slopes.join(truth, on="school_id")
    large = declared.filter(pl.col("len") >= 100)
    assert large.height == 6
    assert ((large["found"] - large["slope"]).abs() < 0.12).all()
    assert declared.filter(pl.col("len") < 30)["slope"].to_list() == [-0.3]
    steady = slopes.filter((pl.col("len") >= 60) & ~pl.col("school_id").is_in(truth["school_id"].to_list()))
    assert 0.015 < steady["found"].std() < 0.07  # cohort shocks and sampling; no course


def test_registers_fit_the_scores(sample: Sample) -> None:
    scores, registers = sample.exams[0].scores, sample.registers
    assert set(scores["school_id"]) == set(registers["schools"]["school_id"])
    classes = scores.select("school_id", "class_id").unique()
    teachers = registers["teachers"]
    assert classes.join(teachers, on=["school_id", "class_id"], how="anti").is_empty()
    assert teachers.height == classes.height * len(PAPERS)
    assert teachers.select("teacher_id", "school_id", "subject").unique().height == teachers["teacher_id"].n_unique()
    heads = registers["heads"]
    assert set(heads.filter(pl.col("to").is_null())["school_id"]) == set(registers["schools"]["school_id"])
    assert heads["head_id"].is_unique().all()
    aliases = registers["schools"]["aliases"].str.split(";").explode()
    assert not set(aliases) & set(registers["schools"]["name"])
    assert registers["targets"].is_empty()


def test_files_are_messy_as_promised(sample: Sample, tmp_path: Path) -> None:
    sample.write(tmp_path)
    folder = tmp_path / "2025-1-g9-final"
    second = (folder / "清河片区.csv").read_bytes()
    with pytest.raises(UnicodeDecodeError):
        second.decode("utf-8")
    header, *rows = second.decode("gb18030").splitlines()
    assert "数学(120分)" in header
    assert "物理（100分）" in header
    assert any(",-," in row for row in rows)
    assert not any("缺考" in row for row in rows)
    third = (folder / "石桥片区.csv").read_bytes()
    assert third.startswith(b"\xef\xbb\xbf")
    lines = third.decode("utf-8-sig").splitlines()
    assert len(lines) - len(set(lines)) == 1
    assert sum(not line.strip(",") for line in lines) == 1
    with zipfile.ZipFile(folder / "城区片区.xlsx") as archive:
        assert b"mergeCell ref" in archive.read("xl/worksheets/sheet1.xml")
    stated = tomllib.loads((folder / "exam.toml").read_text(encoding="utf-8"))
    assert stated["exam"]["id"] == "2025-1-g9-final"
    assert [paper["code"] for paper in stated["papers"]] == list(PAPERS)
    assert stated["symbols"] == {"-": "absent"}
    assert len(stated["deviations"]) == 1
    assert not list(tmp_path.rglob("*.part"))


def test_benchmark_file(tmp_path: Path) -> None:
    path = write_benchmark(tmp_path / "wide.csv", candidates=500, schools=12, seed=3)
    table = pl.read_csv(path, infer_schema=False)
    assert table.height == 500
    subjects = ["语文", "数学", "英语", "物理", "化学", "道德与法治", "历史", "生物", "地理"]
    assert table.columns == ["考号", "姓名", "学校", "班级", "性别", *subjects]
    assert path.read_bytes() == write_benchmark(tmp_path / "again.csv", candidates=500, schools=12, seed=3).read_bytes()
    assert [entry.name for entry in sorted(tmp_path.iterdir())] == ["again.csv", "wide.csv"]


def test_what_intake_reads_is_what_the_generator_drew(sample: Sample, tmp_path: Path) -> None:
    from eduq.intake import read_scores
    from eduq.registers import apply_registers, read_registers

    sample.write(tmp_path)
    (exam,) = sample.exams
    read = read_scores(tmp_path / exam.exam_id)
    truth = tomllib.loads((tmp_path / "truth.toml").read_text(encoding="utf-8"))
    codes = dict(read.rejected.group_by("code").len().iter_rows())
    assert codes == truth["rejected"][exam.exam_id]
    assert read.frame.height == 4200 - codes["score_above_max"] - codes["score_off_step"]
    known = apply_registers(read, read_registers(tmp_path / "registers"))
    columns = ["candidate_id", "school_id", "class_id", "sex"]
    columns += [name for paper in PAPERS for name in (paper, status_column(paper))]
    found = known.frame.select(columns).sort("candidate_id")
    drawn = exam.scores.select(columns).sort("candidate_id")
    assert found.equals(drawn.join(found.select("candidate_id"), on="candidate_id", how="semi"), null_equal=True)
    assert [paper.max_score for paper in read.papers] == [paper.max_score for paper in exam.facts.papers]


def test_any_size_of_sample_can_be_read_back(tmp_path: Path) -> None:
    from eduq.intake import read_scores

    sample = make_sample(schools=7, candidates=150, years=2, seed=11)
    sample.write(tmp_path)
    for exam in sample.exams:
        read = read_scores(tmp_path / exam.exam_id)
        lost = read.rejected.filter(pl.col("code").is_in(["score_above_max", "score_off_step"])).height
        assert read.frame.height == 150 - lost
