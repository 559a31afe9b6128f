"""Whatever stands in a file, reading it gives a table whose rows add up or an error of ours."""

from __future__ import annotations

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzzing import CELLS, HEADERS, faults, outcome, random_grid, real_files, sound_files, spoil, write_grid, write_grids

from eduq.intake import ScoreTable

ROW = st.lists(st.sampled_from(CELLS), max_size=8)
HEAD = st.lists(st.sampled_from(HEADERS), min_size=1, max_size=8)
GRIDS = st.builds(
    lambda titles, heads, rows: [*titles, *heads, *rows],
    st.lists(ROW, max_size=2),
    st.lists(HEAD, max_size=2),
    st.lists(ROW, max_size=8),
)


@given(grid=GRIDS, encoding=st.sampled_from(["utf-8", "gb18030", "utf-16"]), delimiter=st.sampled_from([",", "\t", ";", "，"]))
@settings(max_examples=120, deadline=None, derandomize=True)
def test_any_grid_as_text(grid: list[list[str]], encoding: str, delimiter: str) -> None:
    with TemporaryDirectory() as name:
        assert faults(outcome(write_grid(Path(name) / "grid.csv", grid, encoding, delimiter))) == []


@given(grids=st.lists(GRIDS, min_size=1, max_size=2))
@settings(max_examples=80, deadline=None, derandomize=True)
def test_any_grids_as_a_workbook(grids: list[list[list[str]]]) -> None:
    with TemporaryDirectory() as name:
        assert faults(outcome(write_grids(Path(name) / "grid.xlsx", grids))) == []


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_grids_nearer_to_tables(seed: int) -> None:
    draw = Random(seed)
    with TemporaryDirectory() as name:
        folder = Path(name)
        files = [write_grid(folder / f"{place}.csv", random_grid(draw)) for place in range(draw.randint(1, 2))]
        assert faults(outcome(files)) == []


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, bytes]]:
    made = sound_files(tmp_path_factory.mktemp("sound"))
    for path in made:
        assert isinstance(outcome(path), ScoreTable)
    return [(path.name, path.read_bytes()) for path in made]


@given(seed=st.integers(0, 2**32))
@settings(max_examples=160, deadline=None, derandomize=True)
def test_files_spoilt_byte_by_byte(sound: list[tuple[str, bytes]], seed: int) -> None:
    draw = Random(seed)
    name, data = draw.choice(sound)
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(spoil(data, draw))
        assert faults(outcome(path)) == []


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_real_files_spoilt_byte_by_byte(seed: int) -> None:
    files = real_files()
    if not files:
        pytest.skip("the folder of real files is not here (EDUQ_SHARED)")
    draw = Random(seed)
    source = draw.choice(files)
    with TemporaryDirectory() as folder:
        path = Path(folder) / source.name
        path.write_bytes(spoil(source.read_bytes(), draw))
        assert faults(outcome(path)) == []


def test_a_fault_would_be_seen() -> None:
    assert faults("rows_unaccounted") == ["rows_unaccounted"]
