"""What must hold for any table: order and split change nothing, and every row is accounted for."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from eduq.errors import EduqError
from eduq.intake import ScoreTable, read_scores
from eduq.intake.exam_file import ExamFile

HEADER = ("考号", "姓名", "学校", "班级", "语文", "数学(100分)", "备注")
SYMBOLS = {"": "absent", "-": "not_chosen", "/": "exempt", "×": "voided", "-1": "absent"}
EXAM = ExamFile.model_validate(
    {"schema": 1, "symbols": SYMBOLS, "papers": [{"code": "chinese", "max_score": 120, "score_step": 0.5}, {"code": "math"}]}
)
SCORES = st.one_of(
    st.integers(0, 100).map(str),
    st.integers(0, 240).map(lambda n: f"{n / 2:g}"),
    st.sampled_from(["", "-", "/", "缺考", "免考，不计排名", "转学", "120.5", "-3", "1e3", "8o", "７０", "60.25", "-1", " 55 "]),
)
ROWS = st.lists(
    st.tuples(
        st.one_of(st.integers(1, 30).map(lambda n: f"{n:04d}"), st.sampled_from(["", "1.2E+11", "平均分", "合计"])),
        st.sampled_from(["甲", "乙", "全县明", "", "平均分"]),
        st.sampled_from(["一中", "二中", "三中", ""]),
        st.sampled_from(["1班", "2班", ""]),
        SCORES,
        SCORES,
        st.sampled_from(["", "注", "随读"]),
    ),
    min_size=1,
    max_size=25,
)
Row = Sequence[str]


def write(folder: Path, name: str, rows: Sequence[Row], header: Row = HEADER) -> Path:
    path = folder / name
    path.write_text("\n".join(",".join(row) for row in (header, *rows)) + "\n", encoding="utf-8")
    return path


def content(table: ScoreTable) -> list[tuple[object, ...]]:
    """The used rows without their places."""
    names = ("candidate_id", "school_id", "class_id", "chinese", "chinese_status", "math", "math_status")
    have = [name for name in names if name in table.frame.columns]
    return sorted(table.frame.select(have).rows(), key=str)


def read(paths: Path | Sequence[Path]) -> ScoreTable | str:
    """The table, or the code of the error."""
    try:
        return read_scores(paths, EXAM)
    except EduqError as error:
        return error.code


def same(one: ScoreTable | str, other: ScoreTable | str) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return content(one) == content(other)


@given(rows=ROWS)
@settings(max_examples=120, deadline=None, derandomize=True)
def test_every_row_is_used_or_rejected_once(rows: list[Row]) -> None:
    with TemporaryDirectory() as name:
        table = read(write(Path(name), "scores.csv", rows))
    if isinstance(table, str):
        assert table in {"no_school_column", "no_id_column", "paper_without_column"}
        return
    line = table.inputs.row(0, named=True)
    assert line["rows"] == line["used"] + line["rejected"]
    last = max((place for place, row in enumerate(rows, 1) if any(cell.strip() for cell in row)), default=0)
    assert line["rows"] == last
    places = table.frame.get_column("row_no").to_list() + table.rejected.get_column("row").to_list()
    assert sorted(places) == list(range(2, last + 2))
    assert table.frame.get_column("candidate_id").is_unique().all()
    for paper in ("chinese", "math"):
        present = table.frame.get_column(f"{paper}_status") == "present"
        assert (table.frame.get_column(paper).is_not_null() == present.fill_null(False)).all()


@given(rows=ROWS, seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_row_order_changes_nothing(rows: list[Row], seed: int) -> None:
    shuffled = random.Random(seed).sample(rows, len(rows))
    with TemporaryDirectory() as name:
        one = read(write(Path(name), "one.csv", rows))
        other = read(write(Path(name), "two.csv", shuffled))
    assert same(one, other)


@given(rows=ROWS, seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_column_order_changes_nothing(rows: list[Row], seed: int) -> None:
    order = random.Random(seed).sample(range(len(HEADER)), len(HEADER))
    with TemporaryDirectory() as name:
        one = read(write(Path(name), "one.csv", rows))
        moved = [[row[place] for place in order] for row in rows]
        other = read(write(Path(name), "two.csv", moved, [HEADER[place] for place in order]))
    assert same(one, other)


@given(rows=ROWS, data=st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_splitting_a_file_changes_nothing(rows: list[Row], data: st.DataObject) -> None:
    anchor = ("0000", "甲", "一中", "1班", "50", "50", "")
    whole = [*rows, anchor, ("0031", *anchor[1:])]
    cut = data.draw(st.integers(0, len(rows)))
    parts = ([*rows[:cut], anchor], [*rows[cut:], ("0031", *anchor[1:])])
    with TemporaryDirectory() as name:
        folder = Path(name)
        one = read(write(folder, "whole.csv", whole))
        other = read([write(folder, f"part{place}.csv", part) for place, part in enumerate(parts)])
    assert not isinstance(one, str)
    assert same(one, other)


@given(rows=ROWS)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_renaming_schools_renames_them_and_nothing_else(rows: list[Row]) -> None:
    renamed = [(*row[:2], f"新{row[2]}" if row[2] else "", *row[3:]) for row in rows]
    with TemporaryDirectory() as name:
        one = read(write(Path(name), "one.csv", rows))
        other = read(write(Path(name), "two.csv", renamed))
    if isinstance(one, str) or isinstance(other, str):
        assert one == other
        return
    assert other.frame.get_column("school_id").to_list() == [f"新{school}" for school in one.frame.get_column("school_id")]
    keep = [column for column in ("class_id", "chinese", "math", "row_no") if column in one.frame.columns]
    assert one.frame.select(keep).equals(other.frame.select(keep))


CELLS = st.text(alphabet="缺考语文数学校班姓名号0123456789.-/,;\t '\"平均注", max_size=6)


@given(grid=st.lists(st.lists(CELLS, max_size=6), max_size=8), header=st.booleans())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_any_grid_gives_a_table_or_an_error_of_ours(grid: list[list[str]], header: bool) -> None:
    lines = [",".join(row) for row in grid]
    if header:
        lines.insert(min(2, len(lines)), ",".join(HEADER[:6]))
    with TemporaryDirectory() as name:
        path = Path(name) / "grid.csv"
        path.write_text("\n".join(lines), encoding="utf-8")
        table = read(path)
    assert isinstance(table, (ScoreTable, str))
    assert table != "rows_unaccounted"
