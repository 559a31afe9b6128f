"""Level measures by school of 1,000,000 candidates × 9 subjects against DuckDB, R data.table and pandas, in one run.

    python benchmarks/bench_levels.py [--runs 7] [--candidates 1000000] [--schools 2000] [--shuffle]

Every peer gets the table loaded in its own form (scores in marks, whether the candidate was expected, the school as its
users would hold it) and computes, per school and subject, n_expected, n_present, mean, SD, three quartiles, five rates and
the mean standardised gap. The numbers are compared before anything is timed. Imports and loading are not counted. One
round runs everybody once; ratios are within a round. A peer that is not installed is named and left out.
eduq computes the same measures of the same nine papers, and their intervals, which no peer does; what it derives beside
them (total, composite) is left out of the comparison and timed in lines of its own.
"""

from __future__ import annotations

import argparse
import gc
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import polars as pl
from bench_analyze import EXAM

RATES = {
    "excellent_rate": "excellent",
    "good_rate": "good",
    "pass_rate": "pass",
    "low_score_rate": "low",
    "full_score_rate": "full",
}
VALUES = ["mean", "sd", "q1", "median", "q3", *RATES.values(), "z_mean"]
COUNTS = ["n_expected", "n_present"]
KEYS = ["school_id", "paper"]
OURS = {"mean_score": "mean", "sd": "sd", "q1": "q1", "median": "median", "q3": "q3", **RATES, "z_mean": "z_mean"}
TOLERANCE = 1e-9
BUDGETS = {"DuckDB": 2, "data.table": 5, "pandas": 15}


@dataclass(frozen=True)
class Contender:
    """One way to the same table: `run` returns seconds, `result` the last table as KEYS, COUNTS and VALUES."""

    run: Callable[[], float]
    result: Callable[[], pl.DataFrame]
    version: str
    seconds: list[float] = field(default_factory=list)


class NotInstalledError(Exception):
    """A peer is not on this machine."""


def timed(work: Callable[[], Any], keep: dict[str, Any]) -> Callable[[], float]:
    """Return a function that runs `work` once, keeps what it gives and returns the seconds it took."""

    def run() -> float:
        gc.collect()
        start = time.perf_counter()
        keep["found"] = work()
        return time.perf_counter() - start

    return run


def load(folder: Path, candidates: int, schools: int, shuffle: bool) -> Any:
    """Make the exam and read it."""
    import eduq
    from eduq.synthetic import write_benchmark

    (folder / "exam.toml").write_text(EXAM, encoding="utf-8")
    scores = eduq.read_scores(write_benchmark(folder / "scores.csv", candidates=candidates, schools=schools))
    if not shuffle:
        return scores
    from dataclasses import replace

    return replace(scores, frame=scores.frame.sample(fraction=1.0, shuffle=True, seed=1))


def wide_table(scores: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return what the peers load: school_id, scores in marks, expected or not; and paper, full mark and cuts in marks."""
    from eduq.estimates.measures import load_measures
    from eduq.tables import NOT_EXPECTED, status_column

    definitions = load_measures()
    codes = [paper.code for paper in scores.papers]
    wide = scores.frame.select(
        "school_id",
        *((pl.col(code) / 100).alias(code) for code in codes),
        *((~pl.col(status_column(code)).is_in(NOT_EXPECTED)).fill_null(False).alias(f"{code}_expected") for code in codes),
    )
    papers = pl.DataFrame([{"paper": paper.code, "full": float(paper.max_score)} for paper in scores.papers])
    for measure, name in RATES.items():
        definition = definitions[measure]
        # the bound of the range that is not an end of the scale: from it on for most rates, below it for the low one
        place = 1 if definition.below is not None else 0
        cuts = [definition.score_range(paper.max_hundredths)[place] / 100 for paper in scores.papers]
        papers = papers.with_columns(pl.Series(name, cuts))
    return wide, papers


@contextmanager
def nine_papers_only() -> Any:
    """Leave out total and composite, which no peer computes."""
    with ExitStack() as stack:
        for module in ("eduq.groups", "eduq.summaries.sweeps"):
            stack.enter_context(patch(f"{module}.derived_papers", lambda papers: ()))
        yield


def eduq_contenders(scores: Any) -> tuple[Contender, dict[str, Callable[[], float]]]:
    """Return eduq on the peers' terms, and its other lines."""
    import eduq
    from eduq.estimates.levels import describe, estimate_levels, pass_cuts
    from eduq.estimates.measures import load_measures
    from eduq.settings import RunSettings
    from eduq.summaries import summarise

    settings, few, every = RunSettings(), load_measures(names=list(OURS)), load_measures()
    by = {"school": ["school_id"]}

    def count() -> Any:
        with nine_papers_only():
            return summarise(scores, by=by, settings=settings)

    def measure() -> pl.DataFrame:
        with nine_papers_only():
            summary = summarise(scores, by=by, settings=settings)
            return estimate_levels(summary, scores, by=["school"], settings=settings, measures=few)

    def tidy() -> pl.DataFrame:
        long = kept["found"].with_columns(pl.col("measure").replace_strict(OURS))
        return long.pivot("measure", index=["unit", "paper", *COUNTS], values="estimate").rename({"unit": "school_id"})

    kept: dict[str, Any] = {}
    beside = {
        "stage 3 (counting) of the nine papers": timed(count, {}),
        "stage 3 with total, composite and all-subjects pass": timed(
            lambda: summarise(scores, by=by, settings=settings, pass_cuts=pass_cuts(scores.exam, every)), {}
        ),
        "stages 3 and 4, every measure": timed(lambda: describe(scores, by="school", settings=settings, measures=every), {}),
    }
    return Contender(timed(measure, kept), tidy, eduq.__version__), beside


def duckdb_contender(wide: pl.DataFrame, papers: pl.DataFrame, folder: Path) -> Contender:
    """DuckDB: one query, a vectorised GROUP BY per paper (faster than one wide GROUP BY and than UNPIVOT)."""
    try:
        import duckdb
    except ImportError:
        raise NotInstalledError("duckdb (pip install eduq[bench])") from None
    connection = duckdb.connect()
    source = wide.to_arrow()
    connection.register("source", source)
    connection.execute("CREATE TABLE scores AS SELECT * FROM source")
    area = ", ".join(f"avg({code}) AS mean_{code}, stddev_pop({code}) AS sd_{code}" for code in papers["paper"])
    parts = [
        f"""SELECT school_id, '{paper["paper"]}' AS paper, count(*) FILTER (WHERE {paper["paper"]}_expected) AS n_expected,
            count({paper["paper"]}) AS n_present, avg({paper["paper"]}) AS mean, stddev_pop({paper["paper"]}) AS sd,
            quantile_cont({paper["paper"]}, [0.25, 0.5, 0.75]) AS quartiles,
            count(*) FILTER (WHERE {paper["paper"]} >= {paper["excellent"]}) / count({paper["paper"]}) AS excellent,
            count(*) FILTER (WHERE {paper["paper"]} >= {paper["good"]}) / count({paper["paper"]}) AS good,
            count(*) FILTER (WHERE {paper["paper"]} >= {paper["pass"]}) / count({paper["paper"]}) AS pass,
            count(*) FILTER (WHERE {paper["paper"]} < {paper["low"]}) / count({paper["paper"]}) AS low,
            count(*) FILTER (WHERE {paper["paper"]} >= {paper["full"]}) / count({paper["paper"]}) AS "full",
            (avg({paper["paper"]}) - any_value(mean_{paper["paper"]})) / any_value(sd_{paper["paper"]}) AS z_mean
            FROM scores, area GROUP BY school_id"""
        for paper in papers.iter_rows(named=True)
    ]
    query = f"WITH area AS (SELECT {area} FROM scores) " + " UNION ALL ".join(parts)
    kept: dict[str, Any] = {}

    def tidy() -> pl.DataFrame:
        quartiles = (pl.col("quartiles").list.get(place).alias(name) for place, name in enumerate(("q1", "median", "q3")))
        return pl.DataFrame(kept["found"]).with_columns(*quartiles).drop("quartiles")

    return Contender(timed(lambda: connection.sql(query).to_arrow_table(), kept), tidy, duckdb.__version__)


def pandas_contender(wide: pl.DataFrame, papers: pl.DataFrame, folder: Path) -> Contender:
    """pandas: the school as a categorical, every aggregate over all nine columns at once."""
    try:
        import pandas as pd
    except ImportError:
        raise NotInstalledError("pandas (pip install eduq[bench])") from None
    codes = papers["paper"].to_list()
    frame = pd.DataFrame({name: wide[name].to_numpy() for name in wide.columns if name != "school_id"})
    frame["school_id"] = pd.Categorical(wide["school_id"].to_list())
    cuts = {name: pd.Series(papers[name].to_list(), index=codes) for name in RATES.values()}
    kept: dict[str, Any] = {}

    def work() -> dict[str, Any]:
        groups = frame.groupby("school_id", observed=True)
        scores, columns = groups[codes], frame[codes]
        expected = groups[[f"{code}_expected" for code in codes]].sum().set_axis(codes, axis=1)
        found = {"n_expected": expected, "n_present": scores.count(), "mean": scores.mean(), "sd": scores.std(ddof=0)}
        quartiles = scores.quantile([0.25, 0.5, 0.75])
        found |= {name: quartiles.xs(place, level=1) for name, place in (("q1", 0.25), ("median", 0.5), ("q3", 0.75))}
        for name, cut in cuts.items():
            reached = columns.lt(cut) if name == "low" else columns.ge(cut)
            found[name] = reached.groupby(frame["school_id"], observed=True).sum() / found["n_present"]
        found["z_mean"] = (found["mean"] - columns.mean()) / columns.std(ddof=0)
        return found

    def tidy() -> pl.DataFrame:
        found = kept["found"]
        schools = pl.Series("school_id", found["mean"].index.astype(str).to_list())
        parts = [pl.DataFrame({name: table[code].to_numpy() for name, table in found.items()}) for code in codes]
        return pl.concat(part.with_columns(schools, pl.lit(code).alias("paper")) for part, code in zip(parts, codes, strict=True))

    return Contender(timed(work, kept), tidy, pd.__version__)


def table_contender(wide: pl.DataFrame, papers: pl.DataFrame, folder: Path) -> Contender:
    """R data.table (levels.R): one R process that loads the table once and times itself."""
    probe = ["Rscript", "-e", "library(data.table)"]
    if shutil.which("Rscript") is None or subprocess.run(probe, capture_output=True, check=False).returncode:
        raise NotInstalledError("R with data.table (apt-get install r-cran-data.table)")
    wide.write_csv(folder / "wide.csv")
    papers.write_csv(folder / "papers.csv")
    command = ["Rscript", str(Path(__file__).with_name("levels.R")), str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")

    def ask(line: str) -> str:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(line + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            raise SystemExit("levels.R ended")
        return answer

    def tidy() -> pl.DataFrame:
        ask(f"write {folder / 'found.csv'}")
        return pl.read_csv(folder / "found.csv", schema_overrides={"school_id": pl.String} | dict.fromkeys(VALUES, pl.Float64))

    assert process.stdout is not None
    return Contender(lambda: float(ask("run")), tidy, process.stdout.readline().strip())


def compare_numbers(name: str, mine: pl.DataFrame, other: pl.DataFrame) -> None:
    """Stop unless both tables hold the same numbers."""
    columns = [*KEYS, *COUNTS, *VALUES]
    left, right = (table.select(columns).sort(KEYS) for table in (mine, other))
    same_counts = left.select(KEYS + COUNTS).equals(right.select(KEYS + COUNTS).cast(left.select(KEYS + COUNTS).schema))
    if not same_counts:
        raise SystemExit(f"{name}: other units or counts")
    largest = 0.0
    for value in VALUES:
        ours, theirs = left[value].to_numpy(), right[value].cast(pl.Float64).to_numpy()
        scale = abs(ours).clip(min=1.0)
        gap = float((abs(ours - theirs) / scale).max())
        if not gap <= TOLERANCE:
            raise SystemExit(f"{name}: {value} differs by {gap:.2g}")
        largest = max(largest, gap)
    print(f"{name}: the same {left.height * len(VALUES):,} numbers (largest difference {largest:.1e})")


def print_ratios(name: str, peer: Contender, ours: Contender, counting: list[float]) -> None:
    """Print one peer's median and how many times longer it takes, round by round."""

    def times(other: list[float]) -> str:
        ratios = sorted(theirs / mine for theirs, mine in zip(peer.seconds, other, strict=True))
        return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"

    best = min(peer.seconds) / min(ours.seconds), min(peer.seconds) / min(counting)
    print(f"{name} {peer.version}: {statistics.median(peer.seconds):.3f} s, budget {BUDGETS[name]} × eduq")
    print(f"    {times(ours.seconds)} × eduq, best run against best run {best[0]:.2f}")
    print(f"    {times(counting)} × its counting alone, best against best {best[1]:.2f}")


def main() -> None:
    """Load, compare the numbers, run the rounds, print the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--candidates", type=int, default=1_000_000)
    parser.add_argument("--schools", type=int, default=2000)
    parser.add_argument("--shuffle", action="store_true", help="rows in random order instead of school by school")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scores = load(folder, options.candidates, options.schools, options.shuffle)
        ours, beside = eduq_contenders(scores)
        ours.run()
        table = ours.result()
        wide, papers = wide_table(scores)
        peers = {}
        for peer, make in (("DuckDB", duckdb_contender), ("data.table", table_contender), ("pandas", pandas_contender)):
            try:
                peers[peer] = make(wide, papers, folder)
            except NotInstalledError as missing:
                print(f"left out, not installed: {missing}")
                continue
            peers[peer].run()
            compare_numbers(peer, table, peers[peer].result())
        lines: dict[str, list[float]] = {line: [] for line in beside}
        for _ in range(options.runs):
            for contender in (ours, *peers.values()):
                contender.seconds.append(contender.run())
            for line, run in beside.items():
                lines[line].append(run())
    print(f"eduq {ours.version}, the measures of the comparison with their intervals: {statistics.median(ours.seconds):.3f} s")
    for line, seconds in lines.items():
        print(f"eduq, {line}: {statistics.median(seconds):.3f} s ({min(seconds):.3f} to {max(seconds):.3f})")
    for peer, contender in peers.items():
        print_ratios(peer, contender, ours, next(iter(lines.values())))


if __name__ == "__main__":
    main()
