"""Writers of an archive that are killed: a process that adds exams until it is shot, and the hand that shoots it.

Run as ``python -m tests.killing ARCHIVE KEY NAME [--kill-at N] [--unlocked] [--exams N]`` it is the writer: it says ``ready``,
then one line per exam stored. The tests and ``benchmarks/kill_archive.py`` start it, kill it and look at what is left.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl

ROOT = Path(__file__).parents[1]
PUPILS = 12
LONGEST = 0.5


def start_writer(folder: Path, name: str, *options: str) -> subprocess.Popen[str]:
    """Start a writer, which loads everything and waits for `let_go`."""
    command = [sys.executable, "-m", "tests.killing", str(folder / "archive"), str(folder / "archive.key"), name, *options]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "POLARS_MAX_THREADS": "1"}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(command, cwd=ROOT, text=True, env=environment, **pipes)  # type: ignore[call-overload, no-any-return]


def let_go(*writers: subprocess.Popen[str]) -> None:
    """Wait until all are ready, then let them write."""
    for writer in writers:
        assert writer.stdout is not None
        line = writer.stdout.readline().strip()
        assert line == "ready", writer.communicate()[1]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()


def stop_at(writer: subprocess.Popen[str], seconds: float) -> set[str]:
    """Kill a writer after so many seconds and return the exams it said it had stored."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        writer.wait(timeout=seconds)
    writer.kill()
    said, trouble = writer.communicate()
    assert "Traceback" not in trouble, trouble
    return set(said.split())


def kill_writers(folder: Path, *, rounds: int, seed: int) -> set[str]:
    """Run two writers at a time and kill both at random moments; return the exams they said they had stored."""
    moments = random.Random(seed)
    stored: set[str] = set()
    for number in range(rounds):
        writers = [start_writer(folder, f"w{number}{side}") for side in "ab"]
        let_go(*writers)
        for writer in writers:
            stored |= stop_at(writer, moments.uniform(0, LONGEST))
    return stored


def examine(folder: Path, stored: set[str]) -> dict[str, int]:
    """Assert that every version is whole, and every exam that was said to be stored is there once; return counts."""
    from eduq.archive import open_archive

    archive = open_archive(folder / "archive", key_file=folder / "archive.key")
    found = archive.verify()
    assert found.ok, found.frame
    exams = archive.exams()
    assert stored <= set(exams["exam_id"])
    assert exams["exam_id"].is_unique().all()
    for exam_id in exams["exam_id"]:
        scores = archive.scores(exam_id)
        assert scores.frame.height == scores.frame["candidate_id"].n_unique() == scores.items.height == PUPILS, exam_id
    leftovers = found.frame.filter(pl.col("code") == "rows_without_commit")["import_id"].n_unique()
    return {"exams": exams.height, "said": len(stored), "versions": archive.version, "imports_cut_short": leftovers}


def _write(options: argparse.Namespace) -> None:
    import deltalake

    from eduq.archive import open_archive, privacy, writing
    from tests.unit.archive.exams import small_exam

    if options.unlocked:
        for module in (writing, privacy):
            module.exclusive = lambda path: contextlib.nullcontext()
    whole, calls = deltalake.write_deltalake, 0

    def counted(*arguments: Any, **more: Any) -> None:
        nonlocal calls
        calls += 1
        whole(*arguments, **more)
        if calls == options.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    deltalake.write_deltalake = counted
    archive = open_archive(options.archive, key_file=options.key)
    print("ready", flush=True)  # noqa: T201
    sys.stdin.readline()
    for number in range(options.exams):
        exam_id = options.name if options.same else f"{options.name}-{number:04d}"
        archive.add(small_exam(exam_id, shift=number if options.same else 0, pupils=PUPILS))
        print(exam_id, flush=True)  # noqa: T201


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("archive", type=Path)
    parser.add_argument("key", type=Path)
    parser.add_argument("name")
    parser.add_argument("--kill-at", type=int, default=0)
    parser.add_argument("--exams", type=int, default=10_000)
    parser.add_argument("--unlocked", action="store_true")
    parser.add_argument("--same", action="store_true")
    _write(parser.parse_args())
