"""What is written in any layout, encoding and container reads back as the same scores."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.layouts import NAMES, differences, small_exam

from eduq.errors import UsageError
from eduq.intake import ScoreTable, read_scores
from eduq.pipeline import analyze
from eduq.synthetic import SampleExam, make_sample, write_exam
from eduq.synthetic.layout_tables import LAYOUTS
from eduq.synthetic.writers import ENCODINGS, Container, Encoding, Format

PLAIN = ("wide", "by-file", "flat", "long-flags", "raw-and-scaled")
ONE_WORKBOOK = [name for name in NAMES if name != "sheet-per-class"]
"""Sheets of 九（1）班 of several schools cannot stand in one workbook."""
SHEET_NAMES_ONLY = ("sheet-per-class",)
"""The class stands in the name of a sheet, which a CSV file has not."""
PLAIN_TABLES = ("wide", "by-school", "by-file")
NAMED = {"sheet-per-school": "sheet-per-school"}
"""Read only when the call names the layout."""
exam_of = cache(small_exam)


def cases() -> Iterator[tuple[str, Format, Container, Encoding]]:
    for layout in NAMES:
        yield layout, "xlsx", "folder", "utf-8"
        yield layout, "xlsx", "zip", "utf-8"
        if layout in ONE_WORKBOOK:
            yield layout, "xlsx", "workbook", "utf-8"
        if layout in PLAIN:
            yield layout, "parquet", "folder", "utf-8"
        if layout not in SHEET_NAMES_ONLY:
            yield layout, "csv", "zip", "gb18030"
            for encoding in ENCODINGS:
                yield layout, "csv", "folder", encoding


def reconcile(table: ScoreTable) -> None:
    """Every row of every file is used or rejected, once."""
    for line in table.inputs.iter_rows(named=True):
        assert line["rows"] == line["used"] + line["rejected"], line
    assert int(table.inputs["rejected"].sum()) == table.rejected.height


@pytest.mark.parametrize(("layout", "format", "container", "encoding"), list(cases()))
def test_what_is_written_is_read(layout: str, format: Format, container: Container, encoding: Encoding, tmp_path: Path) -> None:
    exam = exam_of(layout)
    written = write_exam(exam, tmp_path, layout=layout, format=format, container=container, encoding=encoding)
    table = read_scores(written[0] if container == "zip" else tmp_path, layout=NAMED.get(layout))
    recognised = set(table.checks.filter(code="layout_recognised")["found"])
    assert layout in recognised or layout in PLAIN_TABLES
    assert differences(table, exam, layout) == []
    assert str(table.exam.exam.id) == exam.exam_id
    reconcile(table)


def test_the_same_exam_gives_the_same_bytes(tmp_path: Path) -> None:
    for layout in NAMES:
        one, other = (write_exam(exam_of(layout), tmp_path / name, layout=layout, container="zip") for name in "ab")
        assert one[0].read_bytes() == other[0].read_bytes()


@pytest.mark.parametrize(
    ("layout", "format", "container"),
    [
        ("none", "xlsx", "folder"),
        ("wide", "csv", "workbook"),
        ("zhixue-summary", "parquet", "folder"),
        ("sheet-per-class", "xlsx", "workbook"),
    ],
)
def test_what_cannot_be_written_is_refused(layout: str, format: Format, container: Container, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        write_exam(exam_of("wide"), tmp_path, layout=layout, format=format, container=container)
    assert caught.value.code == "layout_not_written"
    assert not list(tmp_path.iterdir())


def reordered(exam: SampleExam, seed: int) -> SampleExam:
    """The exam with its candidates and its subjects in another order, and other names for its schools."""
    draw = random.Random(seed)
    order = draw.sample(range(exam.frame.height), exam.frame.height)
    frame = exam.frame[order].with_columns(pl.format("新{}", "学校").alias("学校"))
    subjects = [name for name in frame.columns if name in ("语文", "数学", "英语", "物理", "化学", "历史", "道德与法治")]
    rest = [name for name in frame.columns if name not in subjects]
    return replace(exam, frame=frame.select(*rest, *draw.sample(subjects, len(subjects))), scores=exam.scores[order])


@given(layout=st.sampled_from(NAMES), seed=st.integers(0, 10_000), candidates=st.integers(6, 60))
@settings(max_examples=40, deadline=None)
def test_order_of_rows_and_columns_and_names_of_schools_change_nothing(layout: str, seed: int, candidates: int) -> None:
    exam = reordered(small_exam(layout, candidates=candidates, seed=seed), seed)
    with TemporaryDirectory() as folder:
        write_exam(exam, folder, layout=layout)
        table = read_scores(folder, layout=NAMED.get(layout))
    assert differences(table, exam, layout) == []
    reconcile(table)


@pytest.mark.parametrize("layout", [name for name in NAMES if name not in ("by-file", "district-items", "specification")])
def test_files_of_one_exam_split_by_candidates_are_one_table(layout: str, tmp_path: Path) -> None:
    exam = exam_of(layout)
    half = exam.frame.height // 2
    files = []
    for place, rows in enumerate((slice(0, half), slice(half, None))):
        part = replace(exam, frame=exam.frame[rows], scores=exam.scores[rows])
        *data, stated = write_exam(part, tmp_path / str(place), layout=layout)
        for path in data:
            files.append(path.rename(path.with_name(f"{'甲乙'[place]}-{path.name}")))
    table = read_scores(files, stated.rename(tmp_path / "exam.toml"), layout=NAMED.get(layout))
    assert differences(table, exam, layout) == []
    reconcile(table)


@pytest.mark.parametrize("layout", ["zhixue-paper", "joint-raw", "item-csv", "district-items"])
def test_items_add_up_to_the_scores_they_were_split_from(layout: str, tmp_path: Path) -> None:
    exam = exam_of(layout)
    write_exam(exam, tmp_path, layout=layout)
    table = read_scores(tmp_path)
    sums = table.items.group_by("candidate_id", "paper").agg(pl.col("score").sum(), pl.len())
    papers = [paper.code for paper in exam.facts.papers]
    wanted = table.frame.unpivot(papers, index="candidate_id", variable_name="paper", value_name="score").drop_nulls("score")
    joined = wanted.join(sums, on=["candidate_id", "paper"], how="left")
    assert joined.filter(pl.col("score").ne_missing(pl.col("score_right"))).is_empty()
    assert set(joined["len"]) == {9}
    if layout == "joint-raw":
        answered = table.items.filter(pl.col("answer").is_not_null())
        assert answered["item"].unique().sort().to_list() == ["1", "2", "3", "4", "5"]
        assert set(answered["answer"]) <= set("ABCD")


@pytest.mark.parametrize("layout", ["specification", "district-items", "item-csv"])
def test_what_is_known_of_items_is_read(layout: str, tmp_path: Path) -> None:
    exam = exam_of(layout)
    write_exam(exam, tmp_path, layout=layout)
    table = read_scores(tmp_path)
    marks = dict(table.item_spec.group_by("paper").agg(pl.col("max_score").sum()).iter_rows())
    assert marks == {paper.code: paper.max_score for paper in exam.facts.papers}
    assert {paper.code: paper.max_score for paper in table.papers} == marks
    points = table.item_spec["knowledge_point"].null_count()
    assert points == (table.item_spec.height if layout == "district-items" else 0)


def test_a_whole_county_in_one_layout_with_its_registers(tmp_path: Path) -> None:
    sample = make_sample(schools=3, candidates=30, years=1)
    written = sample.write(tmp_path, layout="raw-and-scaled")
    assert {path.name for path in written} >= {"schools.csv", "exam.toml"}
    for exam in sample.exams:
        table = analyze(tmp_path / exam.exam_id, registers=tmp_path / "registers").scores
        assert set(table.frame["school_id"]) == set(exam.scores["school_id"])


def test_every_layout_says_what_it_is() -> None:
    for make in LAYOUTS.values():
        assert (make.__doc__ or "").endswith(".")
