"""Read 10,000 spoilt tables and files: only errors of ours, never a traceback, a hang or a row unaccounted for.

    python benchmarks/fuzz_intake.py [--cases 10000] [--seed 1] [--seconds 20] [--first 0]

A third are tables of plausible cells as text, a third as workbooks, a third sound files (with those of the shared data folder,
where it is there) with bytes changed. The cases run in a process of their own, so that one that hangs longer than the given
seconds, takes more than 4 GB or ends the process is counted as a fault and the rest goes on. Exit status 1 on a fault.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import time
import traceback
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.fuzzing import faults, outcome, random_grid, real_files, sound_files, spoil, write_grid, write_grids

MEMORY = 4 << 30
Said = tuple[int, str, list[str], float]


def make_case(folder: Path, sound: list[tuple[str, bytes]], draw: Random) -> list[Path]:
    """Write the files of one case."""
    kind = draw.randrange(3)
    if kind == 0:
        encoding, delimiter = draw.choice(("utf-8", "utf-8-sig", "gb18030", "utf-16")), draw.choice(",\t;|，")
        return [write_grid(folder / f"{n}.csv", random_grid(draw), encoding, delimiter) for n in range(draw.choice((1, 1, 2)))]
    if kind == 1:
        return [write_grids(folder / "grid.xlsx", [random_grid(draw) for _ in range(draw.choice((1, 1, 2, 3)))])]
    name, data = draw.choice(sound)
    (folder / name).write_bytes(spoil(data, draw))
    return [folder / name]


def run_cases(first: int, last: int, seed: int, out: Connection) -> None:
    """Run cases and send how each ended."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    with TemporaryDirectory() as name:
        made = sound_files(Path(name))
        sound = [(path.name, path.read_bytes()) for path in (*made, *real_files())]
    for case in range(first, last):
        with TemporaryDirectory() as name:
            paths = make_case(Path(name), sound, Random(f"{seed}-{case}"))
            start = time.perf_counter()
            try:
                result = outcome(paths)
                wrong = faults(result)
            except Exception:
                result, wrong = "traceback", [traceback.format_exc()]
            out.send((case, result if isinstance(result, str) else "table", wrong, time.perf_counter() - start))
    out.close()


def watch(options: argparse.Namespace) -> list[Said]:
    """Run all cases; begin again behind one that hangs or ends the process."""
    said: list[Said] = []
    context = multiprocessing.get_context("spawn")
    case = options.first
    while case < options.first + options.cases:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=run_cases, args=(case, options.first + options.cases, options.seed, theirs))
        process.start()
        theirs.close()
        patience = 60.0
        try:
            while ours.poll(patience):
                said.append(ours.recv())
                case, patience = said[-1][0] + 1, options.seconds
            said.append((case, "hang", [f"no end in {patience:.0f} s"], patience))
        except EOFError:
            process.join()
            if case < options.first + options.cases:
                said.append((case, "ended", [f"the process ended with {process.exitcode}"], 0.0))
        process.kill()
        process.join()
        case += 1
    return said


def main() -> int:
    """Run the cases and count how they ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    said = watch(options)
    bad = [(case, wrong) for case, _, wrong, _ in said if wrong]
    for case, wrong in bad:
        print(f"case {case}: {' '.join(wrong)}")
    ended = Counter(how for _, how, _, _ in said)
    print(f"{len(said):,} cases, {len(bad)} faults, slowest {max(seconds for *_, seconds in said):.1f} s")
    print(", ".join(f"{code} {n}" for code, n in ended.most_common()))
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
