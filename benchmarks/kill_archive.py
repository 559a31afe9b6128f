"""Kill writers of an archive at 200 random moments, two at a time, and look at what is left.

    python benchmarks/kill_archive.py [--kills 200] [--seed 1]

Every ten rounds the archive is verified, and every exam a writer said it had stored must be there once and whole. Exit status 1
when one is lost, doubled or half visible.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.killing import examine, kill_writers
from tests.unit.archive.exams import new_archive

ROUNDS = 10


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    start, killed = time.perf_counter(), 0
    with TemporaryDirectory() as scratch:
        block = 0
        while killed < options.kills:
            folder = Path(scratch) / str(block)
            folder.mkdir()
            new_archive(folder)
            rounds = min(ROUNDS, (options.kills - killed + 1) // 2)
            stored = kill_writers(folder, rounds=rounds, seed=options.seed + block)
            try:
                counts = examine(folder, stored)
            except AssertionError as error:
                print(f"block {block}, seed {options.seed + block}: {error}")
                return 1
            killed, block = killed + 2 * rounds, block + 1
            print(f"{killed} kills: {counts}")
    print(f"{killed} kills in {time.perf_counter() - start:.0f} s: nothing lost, doubled or half visible")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
