"""`eduq analyze` of an archived exam of 10⁷ candidates × 9 papers against a bare Polars scan and sum, whole processes in one run.

    python benchmarks/bench_archive.py [--candidates 10000000] [--schools 2000] [--runs 1] [--folder DIR]

The bare process scans the very Parquet files of the exam in the archive and sums the nine papers by school. Budget: at most 3
times its wall time, at most 4 GB. The exam is made by the generator a part at a time and added to an archive in DIR (a temporary
folder by default), which is kept when DIR is named and used again when it is there.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl

EXAM = "2025-2-g9-bench"
PART = 500_000
CODES = ("chinese", "math", "english", "physics", "chemistry", "politics", "history", "biology", "geography")
BARE = """
import polars as pl
frame = pl.scan_parquet({files!r})
print(frame.group_by("school_id").agg(pl.col({codes!r}).sum()).collect(engine="streaming").height)
"""


def make_exam(candidates: int, schools: int) -> object:
    """Return a score table of so many candidates, drawn a part at a time so that the strings of a part are all that is held."""
    from eduq.intake.exam_file import ExamFile
    from eduq.intake.score_table import ScoreTable
    from eduq.synthetic.cohort import SUBJECTS, draw_sitting, enrol
    from eduq.synthetic.county import make_county
    from eduq.synthetic.effects import draw_effects
    from eduq.synthetic.frames import human_frame, score_frame
    from eduq.synthetic.samples import LAST_SCHOOL_YEAR
    from eduq.synthetic.sessions import SESSIONS, exam_facts
    from eduq.tables import CHECKS, INPUTS, REJECTED, STATUS_TYPE

    session, parts, facts = SESSIONS[-2], [], None
    for number, start in enumerate(range(0, candidates, PART)):
        size = min(PART, candidates - start)
        county = make_county(max(1, schools * size // candidates), size, 20260115 + number)
        effects = draw_effects(county, 1, tuple(subject.code for subject in SUBJECTS), ())
        cohort = enrol(county, county.sizes(size, 0), 0)
        sitting = draw_sitting(county, cohort, effects.of(0, 0), session.occasion, SUBJECTS)
        frame = score_frame(sitting, human_frame(county, cohort, sitting, LAST_SCHOOL_YEAR, session), EXAM, session.year_group)
        if facts is None:
            facts = exam_facts(county, LAST_SCHOOL_YEAR, session, numbers=False, deviation=False)
        apart = pl.lit(f"{number:02d}-")
        parts.append(
            frame.with_columns(
                (apart + pl.col("school_id")).alias("school_id"),
                (apart + pl.col("candidate_id")).alias("candidate_id"),
                (apart + pl.col("person_id")).alias("person_id"),
                *(pl.col(f"{code}_status").cast(STATUS_TYPE) for code in CODES),
            )
        )
    whole = pl.concat(parts)
    assert facts is not None
    raw = facts.model_dump(mode="json", by_alias=True)
    full = {paper["code"]: paper for paper in raw["papers"]}
    papers = [
        full.get(code) or {"code": code, "subject": code, "max_score": 100, "score_step": 0.5, "marking": "central"}
        for code in CODES
    ]
    exam = ExamFile.model_validate(
        raw | {"exam": raw["exam"] | {"id": EXAM, "date": dt.date(2026, 6, 20)}, "papers": papers, "deviations": []}
    )
    ids = whole["school_id"].unique().sort()
    none = pl.lit(None, dtype=pl.String)
    places = [none.alias(name) for name in ("township", "cluster", "area_type")]
    listed = pl.DataFrame({"school_id": ids, "name": ids}).with_columns(*places)
    line = {"file": "bench.parquet", "sha256": "0" * 64, "rows": whole.height, "used": whole.height, "rejected": 0}
    return ScoreTable(
        frame=whole,
        exam=exam,
        schools=listed,
        rejected=pl.DataFrame(schema=REJECTED),
        checks=pl.DataFrame(schema=CHECKS),
        inputs=pl.DataFrame([dict.fromkeys(INPUTS) | line], schema=INPUTS),
    )


def build(folder: Path, candidates: int, schools: int) -> float:
    """Make the archive in a process of its own, and return the seconds it took to add the exam."""
    from eduq.archive import create_archive

    scores = make_exam(candidates, schools)
    store = create_archive(folder / "archive", key_file=folder / "archive.key")
    start = time.perf_counter()
    store.add(scores)  # type: ignore[arg-type]
    return time.perf_counter() - start


def run(command: list[str]) -> tuple[float, float, float]:
    """Return wall seconds, peak memory in MB and processor seconds of one process."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status  # already waited for
    if status:
        raise SystemExit(f"{command[:3]} ended with {status}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


def main() -> None:
    """Build the archive where it is missing, run the pairs, print the ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--candidates", type=int, default=10_000_000)
    parser.add_argument("--schools", type=int, default=2_000)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--build", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.build:
        print(f"archive add: {build(options.folder, options.candidates, options.schools):.1f} s for the exam")
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "archive").exists():
            given = ["--candidates", str(options.candidates), "--schools", str(options.schools), "--folder", str(folder)]
            seconds, peak, _ = run([sys.executable, __file__, "--build", *given])
            print(f"exam made and added: {seconds:.0f} s, peak {peak:.0f} MB", flush=True)
        from eduq.archive import open_archive

        store = open_archive(folder / "archive")
        files = store.score_files(EXAM)
        n = store.exams()["n_candidates"].item()
        size = sum(Path(file.removeprefix("file://")).stat().st_size for file in files)
        ours = [sys.executable, "-m", "eduq", "analyze", EXAM, "--archive", str(folder / "archive"), "--out", f"{scratch}/out"]
        bare = [sys.executable, "-c", BARE.format(files=files, codes=list(CODES))]
        run(bare)
        pairs = [(run(ours), run(bare)) for _ in range(options.runs)]
    ratios = sorted(mine[0] / other[0] for mine, other in pairs)
    mine, other = (statistics.median(pair[place][0] for pair in pairs) for place in (0, 1))
    peak = max(pair[0][1] for pair in pairs)
    mine_cpu, other_cpu = (statistics.median(pair[place][2] for pair in pairs) for place in (0, 1))
    spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    print(f"analyze from the archive, {n:,} candidates ({len(files)} files, {size / 1e6:.0f} MB):")
    print(f"  {mine:.1f} s against {other:.2f} s, ratio {spread}; budget 3")
    print(f"  processor {mine_cpu:.1f} s against {other_cpu:.2f} s, ratio {mine_cpu / other_cpu:.2f}")
    print(f"  peak {peak:.0f} MB against {pairs[0][1][1]:.0f} MB; budget 4096 MB")


if __name__ == "__main__":
    main()
