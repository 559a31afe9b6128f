"""`eduq analyze` on 1,000,000 candidates × 9 subjects against a bare Polars process, as whole processes in one run.

    python benchmarks/bench_analyze.py [--runs 3] [--candidates 1000000] [--schools 2000]

The bare process scans the same CSV and sums the nine subjects by school. Budget: at most 6 times its wall time, at most 2 GB.
Also printed: `eduq --help` and `import eduq` beyond a bare interpreter.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SUBJECTS = ["语文", "数学", "英语", "物理", "化学", "道德与法治", "历史", "生物", "地理"]
BARE = """
import polars as pl
words = ["缺考", "缓考", "免考", "违纪", "未扫描"]
frame = pl.scan_csv({path!r}, null_values=words, schema_overrides=dict.fromkeys({subjects!r}, pl.Float64))
print(frame.group_by("学校").agg(pl.col({subjects!r}).sum()).collect(engine="streaming").height)
"""
EXAM = 'schema = 1\n[exam]\nid = "bench"\nyear_group = "G9"\n' + "".join(
    f'[[papers]]\ncode = "{code}"\nmax_score = {full}\nscore_step = 0.5\n'
    for code, full in zip(
        ["chinese", "math", "english", "physics", "chemistry", "politics", "history", "biology", "geography"],
        [120, 120, 120, 100, 100, 100, 100, 100, 100],
        strict=True,
    )
)


def run(command: list[str]) -> tuple[float, float]:
    """Return wall seconds and peak memory in MB of one process."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status  # already waited for
    if status:
        raise SystemExit(f"{command[:3]} ended with {status}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def compare(name: str, ours: list[str], peer: list[str], runs: int, budget: str) -> None:
    """Run two commands in turn and print medians and the ratio of each pair."""
    for warm_up in (ours, peer):
        run(warm_up)
    pairs = [(run(ours), run(peer)) for _ in range(runs)]
    ratios = sorted(mine[0] / other[0] for mine, other in pairs)
    mine, other = (statistics.median(pair[place][0] for pair in pairs) for place in (0, 1))
    peak = max(pair[0][1] for pair in pairs)
    print(
        f"{name}: {mine:.2f} s against {other:.2f} s, ratio {statistics.median(ratios):.2f} "
        f"({ratios[0]:.2f} to {ratios[-1]:.2f}), peak {peak:.0f} MB; {budget}"
    )


def main() -> None:
    """Make the data, run the pairs, print the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--candidates", type=int, default=1_000_000)
    parser.add_argument("--schools", type=int, default=2000)
    options = parser.parse_args()
    from eduq.synthetic import write_benchmark

    with tempfile.TemporaryDirectory() as folder:
        path = write_benchmark(Path(folder) / "scores.csv", candidates=options.candidates, schools=options.schools)
        (Path(folder) / "exam.toml").write_text(EXAM, encoding="utf-8")
        python = sys.executable
        analyze = [python, "-m", "eduq", "analyze", str(path), "--out", f"{folder}/out"]
        bare = [python, "-c", BARE.format(path=str(path), subjects=SUBJECTS)]
        compare("analyze", analyze, bare, options.runs, "budget 6, 2048 MB")
    nothing = [python, "-c", "pass"]
    for name, command, budget in (
        ("eduq --help", [python, "-m", "eduq", "--help"], 0.35),
        ("import eduq", [python, "-c", "import eduq"], 0.15),
    ):
        beyond = sorted(run(command)[0] - run(nothing)[0] for _ in range(5))
        print(f"{name}: {statistics.median(beyond):.2f} s beyond a bare interpreter; budget {budget}")


if __name__ == "__main__":
    main()
