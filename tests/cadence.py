"""A small archive for tests of the cadence, and a run of `eduq bulletin` that is shot on its way.

Run as ``python -m tests.cadence MOMENT ARGUMENTS`` it is ``eduq bulletin ARGUMENTS`` that kills itself when the new folder is
written (``written``) or when the old one has been set aside for it (``aside``).
"""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl

from eduq.archive import Archive, create_archive
from eduq.intake import ScoreTable
from eduq.tables import INPUTS
from tests.builders import build_scores

ROOT = Path(__file__).parents[1]
SCHOOLS, PUPILS = ("QA01", "QB02", "QC03", "QD04"), 15


def make_exam(exam_id: str, date: str, *, correction: int = 0) -> ScoreTable:
    """An exam of 60 pupils in four schools; a correction changes one score."""
    rng = np.random.default_rng(sum(map(ord, exam_id)))
    marks = rng.integers(30, 95, (len(SCHOOLS) * PUPILS, 2)).tolist()
    rows = [
        {
            "exam_id": exam_id,
            "candidate_id": f"K{number:04d}",
            "school_id": SCHOOLS[number % len(SCHOOLS)],
            "class_id": "1",
            "year_group": "G9",
            "math": math + (correction if number == 0 else 0),
            "english": english,
        }
        for number, (math, english) in enumerate(marks)
    ]
    facts = {
        "id": exam_id,
        "name": exam_id,
        "school_year": "2025-2026",
        "term": int(exam_id[5]),
        "date": date,
        "year_group": "G9",
    }
    table = build_scores(rows, full={"math": 100, "english": 100}, exam={"exam": facts | {"year_group": "G9"}})
    file = {"file": f"{exam_id}.csv", "sha256": f"{correction:064d}", "bytes": 1, "encoding": "utf-8", "rejected": 0}
    inputs = pl.DataFrame([{**file, "rows": len(rows), "used": len(rows)}], schema=INPUTS)
    return dataclasses.replace(table, inputs=inputs)


def make_archive(folder: Path) -> Archive:
    """An empty archive."""
    return create_archive(folder / "archive", key_file=folder / "archive.key")


def killed_bulletin(moment: str, *arguments: str) -> int:
    """Run `eduq bulletin` until it is shot and return its exit status (-9)."""
    command = [sys.executable, "-m", "tests.cadence", moment, *arguments]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "POLARS_MAX_THREADS": "1", "EDUQ_LANG": "en"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False).returncode


def _run(moment: str, arguments: list[str]) -> None:
    from eduq.cli.app import run

    whole = Path.replace

    def replace(self: Path, target: Path) -> Path:
        aside = Path(target).name == "old"
        if moment == "aside" and aside:
            whole(self, target)
        if aside or self.name == "new":
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(self, target)

    Path.replace = replace  # type: ignore[assignment, method-assign]
    sys.exit(run(["bulletin", *arguments]))


if __name__ == "__main__":
    _run(sys.argv[1], sys.argv[2:])
