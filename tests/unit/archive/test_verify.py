"""What is changed, lost or left over in an archive is found, and told apart."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from tests.unit.archive.exams import new_archive, small_exam, small_registers

from eduq.archive import Archive, open_archive
from eduq.archive.content import FrameDigest, digest_frame
from eduq.archive.store import write_rows
from eduq.errors import ArchiveError


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = new_archive(tmp_path)
    made.add(small_exam(), registers=small_registers())
    made.add(small_exam(shift=5))
    return made


def first_file(archive: Archive, table: str) -> Path:
    return min((archive.path / table).rglob("*.parquet"))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def rewrite(path: Path) -> None:
    frame = pl.read_parquet(path, hive_partitioning=False)
    frame.with_columns(pl.col("math") + 1).write_parquet(path)


@pytest.mark.parametrize(
    ("table", "spoil", "code"),
    [
        ("scores", flip, "file_changed"),
        ("scores", rewrite, "file_changed"),
        ("items", Path.unlink, "file_missing"),
        ("exams", flip, "file_changed"),
        ("registers", flip, "file_changed"),
    ],
)
def test_a_changed_or_lost_file_is_damage(archive: Archive, table: str, spoil: Callable[[Path], None], code: str) -> None:
    spoil(first_file(archive, table))
    found = open_archive(archive.path).verify()
    assert not found.ok
    assert found.frame.filter(pl.col("level") == "damage").select("code", "table").rows() == [(code, table)]


def test_rows_written_over_are_damage_though_the_table_is_sound(archive: Archive) -> None:
    import_id = archive.exams()["import_id"][0]
    rows = small_exam(shift=9).frame
    write_rows(archive.path, "scores", import_id, lambda: [rows])
    codes = archive.verify().frame.filter(pl.col("level") == "damage")["code"].to_list()
    assert codes == ["content_differs"]
    write_rows(archive.path, "scores", import_id, lambda: [rows.head(3)])
    assert "rows_differ" in archive.verify().frame["code"].to_list()


def test_a_lost_table_and_a_changed_commit_are_damage(archive: Archive) -> None:
    shutil.rmtree(archive.path / "items" / "_delta_log")
    assert archive.verify().frame.select("code", "table").rows()[0] == ("table_unreadable", "items")
    commit = first_file(archive, "commits")
    frame = pl.read_parquet(commit)
    frame.with_columns(pl.lit("somebody").alias("operator")).write_parquet(commit)
    with pytest.raises(ArchiveError) as error:
        open_archive(archive.path)
    assert error.value.code == "archive_damaged"


def test_reading_what_is_lost_is_an_error_of_ours(archive: Archive) -> None:
    for file in (archive.path / "scores").rglob("*.parquet"):
        file.unlink()
    with pytest.raises(ArchiveError) as error:
        archive.scores("2025-1-g9-final")
    assert error.value.code == "archive_damaged"


def test_rows_of_no_commit_are_told_and_are_no_damage(archive: Archive) -> None:
    write_rows(archive.path, "scores", "2025-1-g9-final-000000000000", lambda: [small_exam().frame])
    found = archive.verify()
    assert found.ok
    assert found.frame.select("level", "code", "table", "n").rows() == [("info", "rows_without_commit", "scores", 12)]


def test_the_fingerprint_sees_every_value_and_no_cutting_into_pieces() -> None:
    frame = pl.DataFrame({"a": ["xy", "", None, "z"], "b": [1, None, 3, 0], "c": [1.5, None, 0.0, 2.0]})
    whole = digest_frame(frame)
    digest = FrameDigest()
    for piece in frame.iter_slices(1):
        digest.update(piece)
    assert digest.hexdigest() == whole
    assert digest_frame(frame.select("c", "a", "b")) == whole
    others = [
        frame.with_columns(pl.Series("a", ["x", "y", None, "z"])),
        frame.with_columns(pl.Series("a", ["xy", None, "", "z"])),
        frame.with_columns(pl.col("b").fill_null(0)),
        frame.with_columns(pl.col("c").fill_null(0.0)),
        frame.with_columns(pl.col("b").cast(pl.Float64)),
        frame.rename({"a": "d"}),
        frame.reverse(),
        frame.head(3),
    ]
    assert len({whole, *map(digest_frame, others)}) == len(others) + 1


def test_a_commit_whose_record_was_taken_away_leaves_a_trace(archive: Archive) -> None:
    max((archive.path / "commits" / "_delta_log").glob("*.json")).unlink()
    found = open_archive(archive.path).verify()
    assert (found.ok, found.version) == (True, 1)
    assert ("files_without_table", "commits") in found.frame.select("code", "table").rows()
