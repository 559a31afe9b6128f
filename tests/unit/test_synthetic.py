"""The invented county is what it says it is, and the committed sample is what the generator gives."""

from __future__ import annotations

import datetime as dt
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

NINTH = ("chinese", "math", "english", "physics", "chemistry", "politics", "history")
EIGHTH = ("chinese", "math", "english", "physics", "politics", "history", "biology", "geography")
NEWEST = "2025-2-g9-final"
PRIVATE = ("准考证号", "学籍号", "姓名", "学校代码", "学校", "班级", "性别")


@pytest.fixture(scope="module")
def sample() -> Sample:
    return make_sample()


@pytest.fixture(scope="module")
def exams(sample: Sample) -> dict[str, SampleExam]:
    return {exam.exam_id: exam for exam in sample.exams}


@pytest.fixture(scope="module")
def written(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("county")
    sample.write(folder)
    return folder


def papers_of(exam: SampleExam) -> list[str]:
    return [paper.code for paper in exam.facts.papers]


def standardised(exam: SampleExam) -> pl.DataFrame:
    """Each paper and the mean of all papers in SD of one paper, computed here from the scores alone."""
    papers = papers_of(exam)
    z = [((pl.col(paper) - pl.col(paper).mean()) / pl.col(paper).std(ddof=0)).alias(paper) for paper in papers]
    return exam.scores.with_columns(z).with_columns(pl.mean_horizontal(papers).alias("composite"))


def gaps(exam: SampleExam) -> pl.DataFrame:
    """Composite gap of each school."""
    table = standardised(exam).group_by("school_id").agg(pl.col("composite", "english").mean(), pl.len())
    return table.rename({"composite": "gap"}).sort("school_id")


def content(path: Path) -> object:
    """What a file says: bytes; of a workbook its parts and of a parquet file its table, as compression may differ."""
    if path.suffix == ".parquet":
        return pl.read_parquet(path).to_dict(as_series=False)
    if path.suffix != ".xlsx":
        return path.read_bytes()
    with zipfile.ZipFile(BytesIO(path.read_bytes())) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_committed_sample_is_what_the_generator_gives(written: Path) -> None:
    committed = sample_data_path()
    names = sorted(str(path.relative_to(written)) for path in written.rglob("*") if path.is_file())
    on_disk = (path for path in committed.rglob("*") if path.is_file() and path.name != "README.md")
    assert names == sorted(str(path.relative_to(committed)) for path in on_disk)
    for name in names:
        assert content(written / name) == content(committed / name), name


def test_sample_stays_small() -> None:
    assert sum(path.stat().st_size for path in sample_data_path().rglob("*") if path.is_file()) < 8_000_000


def test_calendar_and_papers(exams: dict[str, SampleExam]) -> None:
    kinds = ("1-g8-mid", "1-g9-mid", "2-g9-final", "2-g8-final")
    assert list(exams) == [f"{year}-{kind}" for year in range(2021, 2026) for kind in kinds]
    dates = [exam.facts.exam.date for exam in exams.values()]
    assert dates == sorted(dates)
    assert {date.month for date in dates} == {6, 11}
    for exam in exams.values():
        stated = exam.facts.exam
        assert papers_of(exam) == list(EIGHTH if stated.year_group == "G8" else NINTH)
        assert stated.year_group == "G9" or stated.purpose == "monitoring"
        assert stated.legal_basis
        assert set(exam.facts.attest.model_dump().values()) == {"yes"}
        assert len(exam.facts.deviations) == (exam.exam_id == NEWEST)


def test_sizes(sample: Sample) -> None:
    sizes = pl.concat([exam.scores.group_by("exam_id", "school_id").len() for exam in sample.exams])
    assert (sizes.group_by("exam_id").agg(pl.col("len").sum())["len"] == 6500).all()
    assert (sizes.group_by("exam_id").len()["len"] == 40).all()
    assert sizes["len"].min() == 15
    assert sizes["len"].max() == 800
    middle = sizes["len"].median()
    assert middle is not None
    assert 90 < middle < 150
    for exam in sample.exams:
        assert exam.scores["candidate_id"].is_unique().all()
    schools = sample.registers["schools"]
    assert schools["township"].n_unique() == 10
    assert schools["cluster"].n_unique() == 3
    assert schools["area_type"].n_unique() == 3


@pytest.mark.parametrize(("schools", "candidates"), [(1, 1), (3, 3), (7, 100), (24, 300), (61, 5000)])
def test_any_size_has_exactly_the_schools_and_candidates_asked_for(schools: int, candidates: int) -> None:
    for exam in make_sample(schools=schools, candidates=candidates, years=1).exams:
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
    bounded = share_out(100, np.array([50.0, 1.0, 1.0, 0.0001]), low=10, high=40)
    assert bounded.sum() == 100
    assert bounded.tolist() == [40, 25, 25, 10]


def test_same_seed_same_county_other_seed_other_county() -> None:
    one, again, other = (make_sample(schools=12, candidates=600, years=2, seed=seed) for seed in (3, 3, 7))
    for first, second in zip(one.exams, again.exams, strict=True):
        assert first.frame.equals(second.frame)
    assert not other.exams[-1].scores["math"].equals(one.exams[-1].scores["math"], null_equal=True)


def test_scores_are_half_marks_within_the_full_mark_and_bulge_to_the_right(exams: dict[str, SampleExam]) -> None:
    exam = exams[NEWEST]
    for paper in exam.facts.papers:
        scores = exam.scores[paper.code].drop_nulls()
        assert paper.max_hundredths is not None
        assert scores.min() >= 0
        assert scores.max() <= paper.max_hundredths
        assert (scores % 50 == 0).all()
        assert 0.5 < scores.mean() / paper.max_hundredths < 0.8
        assert scores.cast(pl.Float64).skew() < 0.05
    assert exam.scores.select(pl.max_horizontal([(pl.col(p) == 12000).sum() for p in ("chinese", "math", "english")])).item() > 0


def test_subjects_go_together(exams: dict[str, SampleExam]) -> None:
    table = exams[NEWEST].scores.select(NINTH).drop_nulls().to_numpy()
    correlations = np.corrcoef(table.T)[np.triu_indices(len(NINTH), 1)]
    assert correlations.min() > 0.5
    assert correlations.max() < 0.8
    assert 0.58 < correlations.mean() < 0.75


def test_absences_are_few_and_exemptions_only_in_english(exams: dict[str, SampleExam]) -> None:
    scores = exams[NEWEST].scores
    status = scores.select(pl.col(status_column(paper)) for paper in NINTH).unpivot()["value"]
    assert 0.008 < (status != "present").mean() < 0.02
    assert {"absent", "deferred", "exempt", "voided", "not_scanned"} <= set(status.unique())
    for paper in NINTH:
        exempt = scores.filter(pl.col(status_column(paper)).is_in(NOT_EXPECTED)).height
        assert (exempt > 0) == (paper == "english")
        assert scores.filter((pl.col(status_column(paper)) == "present") != pl.col(paper).is_not_null()).is_empty()


def test_frames_have_the_declared_columns(exams: dict[str, SampleExam]) -> None:
    for exam in (exams[NEWEST], exams["2021-1-g8-mid"]):
        assert {name: exam.scores.schema[name] for name in SCORE_COLUMNS} == SCORE_COLUMNS
        assert exam.scores.schema["math_status"] == STATUS_TYPE
        assert exam.scores.schema["math"] == pl.Int32
        assert tuple(exam.frame.columns[: len(PRIVATE)]) == PRIVATE
        human = exam.frame["数学"].cast(pl.Float64, strict=False)
        assert human.equals((exam.scores["math"] / 100).alias("数学"), null_equal=True)


def test_names_and_ids_are_clearly_invented(exams: dict[str, SampleExam]) -> None:
    for exam in exams.values():
        assert exam.frame["姓名"].str.contains(f"^[{PUPIL_SURNAMES}][{GIVEN}][{GIVEN}]$").all()
        assert exam.frame["学籍号"].str.contains("^G990000[0-9]{12}$").all()


def test_eighth_graders_are_next_years_ninth_graders(exams: dict[str, SampleExam]) -> None:
    for year in range(2021, 2025):
        before, after = standardised(exams[f"{year}-2-g8-final"]), standardised(exams[f"{year + 1}-2-g9-final"])
        both = before.join(after, on="person_id")
        assert 0.96 < both.height / 6500 < 0.995
        assert 0 < (both["school_id"] != both["school_id_right"]).sum() < 0.03 * 6500
        assert both["sex"].equals(both["sex_right"].alias("sex"))
        assert 0.78 < both.select(pl.corr("composite", "composite_right")).item() < 0.9
        assert 0.68 < both.select(pl.corr("math", "math_right")).item() < 0.85
    one, two = exams["2025-1-g9-mid"].frame, exams[NEWEST].frame
    assert one.select("学籍号", "姓名", "学校代码", "班级").equals(two.select("学籍号", "姓名", "学校代码", "班级"))
    assert set(one["准考证号"]).isdisjoint(two["准考证号"])
    assert set(exams["2023-2-g9-final"].scores["person_id"]).isdisjoint(two["学籍号"])


def test_truth_is_what_the_scores_show(exams: dict[str, SampleExam]) -> None:
    for name in (NEWEST, "2022-2-g8-final"):
        truth = exams[name].truth.filter(pl.col("paper") == "composite")
        both = gaps(exams[name]).filter(pl.col("len") >= 60).join(truth, on="school_id")
        assert both.select(pl.corr("gap", "effect")).item() > 0.95
        slope = both.select(pl.cov("gap", "effect") / pl.var("effect")).item()
        assert 0.85 < slope < 1.15


def test_cohort_shocks_are_independent_and_of_the_stated_size(sample: Sample, exams: dict[str, SampleExam]) -> None:
    truths = [exams[f"{year}-2-g9-final"].truth.filter(pl.col("paper") == "composite") for year in range(2021, 2026)]
    steady = ~truths[0]["school_id"].is_in(sample.truth["school_id"].to_list()).to_numpy()
    table = np.stack([truth["effect"].to_numpy() for truth in truths])[:, steady]
    assert 0.085 < np.sqrt(table.var(axis=0, ddof=1).mean()) < 0.115
    within = table - table.mean(axis=0)
    neighbours = np.corrcoef(within[:-1].ravel(), within[1:].ravel())[0, 1]
    assert abs(neighbours + 0.25) < 0.2  # independent draws about their own mean of five: -1/4


def test_no_course_before_four_years() -> None:
    assert make_sample(schools=10, candidates=500, years=3).truth.is_empty()
    assert make_sample(schools=10, candidates=500, years=4).truth["slope"].to_list() == [-0.3]


@pytest.mark.parametrize("kind", ["1-g9-mid", "2-g9-final", "2-g8-final"])
def test_declared_courses_show_in_the_scores(sample: Sample, exams: dict[str, SampleExam], kind: str) -> None:
    truth = sample.truth
    everywhere = truth.filter(pl.col("paper") == "all")
    assert sorted(everywhere["slope"]) == [-0.3, -0.3, -0.3, -0.3, -0.1, 0.2, 0.2]
    assert truth.filter(pl.col("paper") != "all").select("paper", "slope").rows() == [("english", -0.3)]
    years = pl.concat([gaps(exams[f"{year}-{kind}"]).with_columns(pl.lit(year).alias("t")) for year in range(2021, 2026)])
    declared = years.join(truth, on="school_id").filter(pl.col("t") >= pl.col("first").str.slice(0, 4).cast(pl.Int32))
    found = declared.group_by("school_id", "paper", "slope").agg(
        (pl.cov("gap", "t") / pl.var("t")).alias("found"),
        (pl.cov("english", "t") / pl.var("t")).alias("english"),
        pl.col("len").min(),
    )
    large = found.filter((pl.col("len") >= 100) & (pl.col("paper") == "all"))
    assert large.height == 6
    assert ((large["found"] - large["slope"]).abs() < 0.12).all()
    assert large.filter(pl.col("slope") == -0.3).height == 3
    assert found.filter(pl.col("len") < 30).select("len", "slope").rows() == [(25, -0.3)]
    only = found.filter(pl.col("paper") == "english")
    assert only["english"].item() < -0.15
    assert abs(only["found"].item()) < 0.1
    slopes = years.group_by("school_id").agg((pl.cov("gap", "t") / pl.var("t")).alias("found"), pl.col("len").min())
    steady = slopes.filter((pl.col("len") >= 60) & ~pl.col("school_id").is_in(truth["school_id"].to_list()))
    assert 0.015 < steady["found"].std() < 0.07  # cohort shocks and sampling; no course


def test_registers_fit_the_scores(sample: Sample, exams: dict[str, SampleExam]) -> None:
    registers = sample.registers
    schools, teachers = registers["schools"], registers["teachers"]
    open_now = set(schools.filter(pl.col("valid_to").is_null())["school_id"])
    assert schools.height == 45
    for exam in exams.values():
        assert set(exam.scores["school_id"]) == open_now
        stated = exam.facts.exam
        taught = teachers.filter((pl.col("school_year") == stated.school_year) & (pl.col("term") == stated.term))
        classes = exam.scores.select("school_id", "class_id").unique()
        mine = taught.join(classes, on=["school_id", "class_id"])
        assert mine.height == classes.height * len(exam.facts.papers)
        assert mine.select("school_id", "class_id", "subject").is_unique().all()
        assert set(mine["subject"]) == set(papers_of(exam))
    assert teachers.select("teacher_id", "school_id", "subject").unique().height == teachers["teacher_id"].n_unique()
    heads = registers["heads"]
    assert set(heads.filter(pl.col("to").is_null())["school_id"]) == open_now
    assert heads["head_id"].is_unique().all()
    assert heads.filter(pl.col("from") > "2021-09-01").height > 0
    words = [*schools["name"], *schools["aliases"].drop_nulls().str.split(";").explode()]
    assert len(words) == len(set(words))
    pairs = schools.drop_nulls("pair_id").group_by("pair_id").agg(pl.col("area_type").sort())
    assert set(map(tuple, pairs["area_type"])) == {("rural", "urban")}


def test_events_name_registered_schools_and_new_names_count_from_then_on(sample: Sample, exams: dict[str, SampleExam]) -> None:
    schools, events = sample.registers["schools"], sample.registers["school_events"]
    named = [name for column in ("from_ids", "to_ids") for said in events[column].drop_nulls() for name in said.split(";")]
    assert set(named) <= set(schools["school_id"])
    closed = schools.filter(pl.col("valid_to").is_not_null())
    assert set(closed["school_id"]) <= set(named)
    school = events.filter(pl.col("event") == "rename")["from_ids"].item()
    names = [
        exams[f"{year}-2-g9-final"].frame.filter(pl.col("学校代码") == school)["学校"].unique().item() for year in (2022, 2023)
    ]
    entry = schools.row(by_predicate=pl.col("school_id") == school, named=True)
    assert names[1] == entry["name"]
    assert names[0] != names[1]
    assert names[0] in entry["aliases"].split(";")


def test_targets_are_lawful_and_stand_on_the_year_before(sample: Sample, exams: dict[str, SampleExam]) -> None:
    targets = sample.registers["targets"]
    assert set(targets["measure"]) == {"pass_rate", "low_score_rate", "participation_rate"}
    before = exams["2024-2-g9-final"].scores
    for row in targets.filter(pl.col("measure") == "pass_rate").iter_rows(named=True):
        scores = before.filter(pl.col("school_id") == row["unit_id"])[row["subject"]].drop_nulls()
        assert abs(float(row["baseline"]) - (scores >= 7200).mean()) < 0.0006
        assert float(row["target"]) > float(row["baseline"])
        assert row["signer"] in sample.registers["heads"].filter(pl.col("to").is_null())["name"].to_list()


def test_items_add_up_to_the_paper(exams: dict[str, SampleExam]) -> None:
    exam = exams[NEWEST]
    items, plan = exam.side_files["items/数学小题分.csv"], exam.side_files["items/数学细目表.csv"]
    numbers = plan["题号"].to_list()
    parts = items.select(pl.col(numbers).cast(pl.Float64))
    known = exam.scores.filter(pl.col("math").is_not_null())
    assert items["学籍号"].equals(known["candidate_id"].alias("学籍号"))
    assert ((parts.sum_horizontal() * 100).cast(pl.Int32) == known["math"]).all()
    assert plan["分值"].sum() == 120
    for number, full, kind in plan.select("题号", "分值", "题型").iter_rows():
        assert parts[number].min() >= 0
        assert parts[number].max() <= full
        assert kind == "解答题" or set(parts[number].unique()) == {0.0, float(full)}
    matrix = parts.to_numpy()
    rest = [np.corrcoef(column, matrix.sum(axis=1) - column)[0, 1] for column in matrix.T]
    assert min(rest) > 0.2
    ease = matrix.mean(axis=0) / plan["分值"].to_numpy()
    assert np.corrcoef(ease, plan["预估难度"].cast(pl.Float64).to_numpy())[0, 1] > 0.9


def test_any_total_can_be_split_into_items() -> None:
    from eduq.synthetic.side_files import ITEMS, draw_item_scores

    totals = np.tile(np.arange(241), 3)
    items = draw_item_scores(totals, seed=5)
    assert (items.sum(axis=1) == totals).all()
    assert (items >= 0).all()
    assert (items <= np.array([2 * item.max_score for item in ITEMS])).all()


def test_entrance_scores_and_marking_log(exams: dict[str, SampleExam]) -> None:
    exam = exams[NEWEST]
    prior = exam.side_files["prior/入学基线.csv"]
    assert 0.94 < prior.height / exam.scores.height < 0.98
    both = prior.join(standardised(exam), left_on="学籍号", right_on="person_id")
    assert both.height == prior.height
    assert 0.45 < both.select(pl.corr("数学", "math")).item() < 0.75
    log = exam.side_files["marking/数学阅卷日志.csv"].with_columns(
        pl.col("一评分", "二评分", "仲裁分", "最终分").cast(pl.Float64)
    )
    apart = (log["一评分"] - log["二评分"]).abs() > 2
    assert 0 < apart.sum() < 0.1 * log.height
    assert (log["仲裁分"].is_not_null() == apart).all()
    agreed = log.filter(~apart)
    assert ((agreed["最终分"] - (agreed["一评分"] + agreed["二评分"]) / 2).is_between(0, 0.25)).all()
    assert (log["一评教师"] != log["二评教师"]).all()
    assert (log.filter(apart)["仲裁教师"] != log.filter(apart)["一评教师"]).all()
    assert exam.facts.exam.date is not None
    assert log["一评时间"].min() > f"{exam.facts.exam.date + dt.timedelta(days=3)}"
    assert [name for name, other in exams.items() if other.side_files] == [NEWEST]


def test_files_are_messy_as_promised(exams: dict[str, SampleExam], written: Path) -> None:
    folder = written / NEWEST
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
    assert stated["exam"]["id"] == NEWEST
    assert [paper["code"] for paper in stated["papers"]] == list(NINTH)
    assert stated["symbols"] == {"-": "absent"}
    assert len(stated["deviations"]) == 1
    by_hand = [name for name in exams if (written / name / "城区片区.xlsx").exists()]
    assert by_hand == ["2025-1-g9-mid", NEWEST, "2025-2-g8-final"]
    kinds = {name: pl.read_parquet_schema(written / name / "全县成绩.parquet") for name in exams if name not in by_hand}
    assert kinds["2021-1-g8-mid"]["数学成绩"] == pl.Float64
    assert kinds["2024-1-g8-mid"]["数学"] == pl.String
    assert not list(written.rglob("*.part"))


def test_benchmark_file(tmp_path: Path) -> None:
    path = write_benchmark(tmp_path / "wide.csv", candidates=500, schools=12, seed=3)
    table = pl.read_csv(path, infer_schema=False)
    assert table.height == 500
    subjects = ["语文", "数学", "英语", "物理", "化学", "道德与法治", "历史", "生物", "地理"]
    assert table.columns == ["考号", "姓名", "学校", "班级", "性别", *subjects]
    assert path.read_bytes() == write_benchmark(tmp_path / "again.csv", candidates=500, schools=12, seed=3).read_bytes()
    assert [entry.name for entry in sorted(tmp_path.iterdir())] == ["again.csv", "wide.csv"]


def test_what_intake_reads_is_what_the_generator_drew(exams: dict[str, SampleExam], written: Path) -> None:
    from eduq.intake import read_scores
    from eduq.registers import apply_registers, read_registers

    registers = read_registers(written / "registers")
    truth = tomllib.loads((written / "truth.toml").read_text(encoding="utf-8"))
    assert list(truth["rejected"]) == ["2025-1-g9-mid", NEWEST, "2025-2-g8-final"]
    for name, exam in exams.items():
        read = read_scores(written / name)
        codes = dict(read.rejected.group_by("code").len().iter_rows())
        assert codes == truth["rejected"].get(name, {})
        assert read.frame.height == 6500 - codes.get("score_above_max", 0) - codes.get("score_off_step", 0)
        known = apply_registers(read, registers)
        assert "schools_without_rows" not in known.checks["code"].to_list()  # those without rows closed long before
        columns = ["candidate_id", "person_id", "school_id", "class_id", "sex"]
        columns += [column for paper in papers_of(exam) for column in (paper, status_column(paper))]
        found = known.frame.select(columns).sort("candidate_id")
        drawn = exam.scores.select(columns).sort("candidate_id")
        assert found.equals(drawn.join(found.select("candidate_id"), on="candidate_id", how="semi"), null_equal=True), name
        assert [paper.max_score for paper in read.papers] == [paper.max_score for paper in exam.facts.papers]


def test_any_size_of_sample_can_be_read_back(tmp_path: Path) -> None:
    from eduq.intake import read_scores

    sample = make_sample(schools=7, candidates=150, years=2, seed=11)
    sample.write(tmp_path)
    for exam in sample.exams:
        read = read_scores(tmp_path / exam.exam_id)
        lost = read.rejected.filter(pl.col("code").is_in(["score_above_max", "score_off_step"])).height
        assert read.frame.height == 150 - lost
