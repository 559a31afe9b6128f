"""Writers at the same time, writers that are killed, a disk that is full: the last whole version stays."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import pytest
from tests.killing import ROOT, examine, kill_writers, let_go, start_writer
from tests.unit.archive.exams import new_archive, small_exam, small_registers

from eduq.archive import open_archive
from eduq.errors import ArchiveError

WRITES = 9
"""Tables that one small exam is written to, the commits being the last."""


@pytest.mark.parametrize("options", [[], ["--unlocked"]], ids=["locked", "unlocked"])
def test_two_writers_lose_and_double_nothing(tmp_path: Path, options: list[str]) -> None:
    new_archive(tmp_path)
    writers = [start_writer(tmp_path, name, "--exams", "4", *options) for name in ("ana", "cron")]
    let_go(*writers)
    said = [writer.communicate(timeout=120) for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0], [trouble for _, trouble in said]
    counts = examine(tmp_path, {line for stdout, _ in said for line in stdout.split()})
    assert counts == {"exams": 8, "said": 8, "versions": 8, "imports_cut_short": 0}


def test_two_writers_of_the_same_corrections_leave_one_exam(tmp_path: Path) -> None:
    new_archive(tmp_path)
    options = ["--exams", "3", "--same", "--unlocked"]
    writers = [start_writer(tmp_path, "same-exam", *options) for _ in range(2)]
    let_go(*writers)
    said = [writer.communicate(timeout=120) for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0], [trouble for _, trouble in said]
    counts = examine(tmp_path, {"same-exam"})
    assert counts["exams"] == 1
    assert 3 <= counts["versions"] <= 6


def test_killed_between_any_two_tables_of_one_import(tmp_path: Path) -> None:
    new_archive(tmp_path).add(small_exam("before"))
    writers = [start_writer(tmp_path, "broken", "--kill-at", str(write), "--exams", "1") for write in range(1, WRITES + 1)]
    for write, writer in enumerate(writers, 1):
        let_go(writer)
        said, _ = writer.communicate(timeout=60)
        assert writer.returncode == -signal.SIGKILL
        assert said == ""
        archive = open_archive(tmp_path / "archive")
        shown = archive.exams()["exam_id"].to_list()
        assert shown == (["before", "broken-0000"] if write == WRITES else ["before"]), write
        found = archive.verify()
        assert found.ok
        cut_short = found.frame.filter(pl.col("code") == "rows_without_commit")
        assert (cut_short.height > 0) is (write < WRITES)
    assert examine(tmp_path, {"before", "broken-0000"})["versions"] == 2


@pytest.mark.slow
def test_killed_at_twenty_random_moments(tmp_path: Path) -> None:
    new_archive(tmp_path)
    stored = kill_writers(tmp_path, rounds=10, seed=20260115)
    counts = examine(tmp_path, stored)
    assert counts["said"] > 0


def test_a_full_disk_leaves_the_last_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = new_archive(tmp_path)
    archive.add(small_exam(), registers=small_registers())
    whole, calls, allowed = deltalake.write_deltalake, 0, 0

    def failing(*arguments: Any, **more: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > allowed:
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(*arguments, **more)

    monkeypatch.setattr(deltalake, "write_deltalake", failing)
    for tables in (0, 4, WRITES - 1):
        calls, allowed = 0, tables
        with pytest.raises(ArchiveError) as error:
            archive.add(small_exam(shift=3))
        assert error.value.code == "archive_disk_full"
        assert open_archive(archive.path).scores("2025-1-g9-final").frame["math"][0] == 5000
        assert archive.verify().ok
    monkeypatch.setattr(deltalake, "write_deltalake", whole)
    assert archive.add(small_exam(shift=3)).status == "replaced"
    assert set(archive.verify().frame["code"]) == {"files_without_table"}


FILL = """
import resource, sys
from tests.unit.archive.exams import small_exam
from eduq.archive import open_archive
from eduq.errors import ArchiveError
archive = open_archive(sys.argv[1], key_file=sys.argv[2])
scores = small_exam(shift=3, pupils=20_000)
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
try:
    archive.add(scores)
except ArchiveError as error:
    print(error.code)
"""


def test_a_file_that_may_not_grow_leaves_the_last_version(tmp_path: Path) -> None:
    archive = new_archive(tmp_path)
    archive.add(small_exam())
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(archive.path), str(archive.key_file)],
        cwd=ROOT, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "archive_disk_full", done.stderr
    found = open_archive(archive.path)
    assert found.scores("2025-1-g9-final").frame.height == 12
    assert found.verify().ok
