"""Documents really issued of the sample county, read as they are printed, attacked together by linear programs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from python_calamine import CalamineWorkbook
from scipy.optimize import linprog

import eduq as eq
from eduq.archive import Archive, create_archive
from eduq.cli.app import run as run_command
from eduq.registers import read_registers
from eduq.resources import sample_data_path

EXAM, LEAST, FULL = "2025-1-g8-mid", 20, {"语文": 120.0, "数学": 120.0, "物理": 100.0}
SHEETS = {"总体": "area", "乡镇": "township", "片区": "cluster", "城乡": "area_type", "学校": "school"}
MEASURES = {"平均分": None, "及格率": 1.0, "优秀率": 1.0}
"""What is attacked: of a mean a candidate may add as much as the full mark, of a rate one."""
Cell = tuple[str, str]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """One exam of the sample county, three papers of it."""
    folder = tmp_path_factory.mktemp("county")
    sample = sample_data_path()
    store = create_archive(folder / "archive", key_file=folder / "archive.key")
    store.add(eq.read_scores(sample / EXAM), registers=read_registers(sample / "registers"))
    return store


class Reader:
    """What somebody finds who has some issued documents in hand: candidates and values of units as printed, of one subject."""

    def __init__(self, county: pl.DataFrame) -> None:
        self.schools = county["school_id"].to_list()
        self.names = dict(county.select("school_id", "name").iter_rows())
        self.members: dict[Cell, list[int]] = {("area", "全县"): list(range(len(self.schools)))}
        for place, line in enumerate(county.iter_rows(named=True)):
            area = {"urban": "城区", "town": "镇区", "rural": "乡村"}[line["area_type"]]
            for cell in (
                ("school", line["name"]),
                ("township", line["township"]),
                ("cluster", line["cluster"]),
                ("area_type", area),
            ):
                self.members.setdefault(cell, []).append(place)
        self.sizes: dict[tuple[str, str], int] = {}
        self.told: dict[tuple[str, str], dict[Cell, tuple[float, int]]] = {}

    def read(self, workbook: Path) -> None:
        """Take in every table of levels of a workbook."""
        book = CalamineWorkbook.from_path(str(workbook))
        for name in (name for name in book.sheet_names if name in SHEETS):
            head, *lines = book.get_sheet_by_name(name).to_python()
            for line in (dict(zip(head, cells, strict=False)) for cells in lines):
                cell, subject = (SHEETS[name], str(line["单位"])), str(line["学科"])
                if subject not in FULL:
                    continue
                assert cell in self.members, cell
                if cell[0] == "school":
                    self.sizes[cell[1], subject] = int(line["实考"])
                for measure in MEASURES:
                    if isinstance(line.get(measure), float) and isinstance(line["统计人数"], float):
                        self.told.setdefault((subject, measure), {})[cell] = (line[measure], int(line["统计人数"]))

    def bounds(self, subject: str, measure: str, target: Cell, present: dict[str, int]) -> tuple[float, float, float]:
        """Return least and greatest total of a unit, and its width when only the area is known."""
        most = MEASURES[measure] or FULL[subject]
        sizes = np.array([present[school] for school in self.schools], dtype=float)
        rows, low, high = [], [], []
        for cell, (value, n) in self.told.get((subject, measure), {}).items():
            row = np.zeros(len(sizes))
            row[self.members[cell]] = 1.0
            assert row @ sizes == n
            rows.append(row)
            low.append((value - 1e-6) * n)
            high.append((value + 1e-6) * n)
        aim = np.zeros(len(sizes))
        aim[self.members[target]] = 1.0
        frame = {"bounds": list(zip(np.zeros(len(sizes)), most * sizes, strict=True)), "method": "highs"}
        if rows:
            frame |= {"A_ub": np.vstack([rows, -np.array(rows)]), "b_ub": np.concatenate([high, -np.array(low)])}
        ends = [sign * linprog(sign * aim, **frame).fun for sign in (1, -1)]
        n, everybody = float(aim @ sizes), float(sizes.sum())
        whole, _ = self.told.get((subject, measure), {}).get(("area", "全县"), (np.nan, 0))
        least, greatest = 0.0, most * n
        if not np.isnan(whole):
            least = max(least, whole * everybody - most * (everybody - n))
            greatest = min(greatest, whole * everybody)
        return ends[0], ends[1], greatest - least


def small_cells(archive: Archive) -> Iterator[tuple[str, str, int]]:
    """Yield subject, school name and candidates where fewer than `LEAST` sat."""
    scores = archive.scores(EXAM)
    names = dict(scores.schools.select("school_id", "name").iter_rows())
    codes = {"语文": "chinese", "数学": "math", "物理": "physics"}
    for subject, code in codes.items():
        present = scores.frame.group_by("school_id").agg((pl.col(f"{code}_status") == "present").sum().alias("n"))
        for school, n in present.sort("school_id").iter_rows():
            if 0 < n < LEAST:
                yield subject, names[school], n


def attack(archive: Archive, folders: list[Path]) -> list[float]:
    """Read the documents of some folders together and return how wide each small school stays, in units of what is stated."""
    scores = archive.scores(EXAM)
    county = scores.schools
    reader = Reader(county)
    proof: dict[str, float] = {}
    for folder in folders:
        (workbook,) = folder.glob("tables-*.xlsx")
        reader.read(workbook)
        proof = json.loads((folder / "certificate.json").read_text())[EXAM]
    ratios = []
    for subject, school, n in small_cells(archive):
        code = {"语文": "chinese", "数学": "math", "物理": "physics"}[subject]
        counts = scores.frame.group_by("school_id").agg((pl.col(f"{code}_status") == "present").sum().alias("n"))
        present = dict(counts.iter_rows())
        for measure, each in MEASURES.items():
            low, high, widest = reader.bounds(subject, measure, ("school", school), present)
            stated = min(n, proof["least_share"] * n) * FULL[subject] if each is None else min(n, proof["least_count"] - 1)
            ratios.append((high - low) / max(min(stated, widest), 1e-9))
            assert ("school", school) not in reader.told.get((subject, measure), {}), "a small school is printed"
    return ratios


def printed(folder: Path, names: set[str]) -> None:
    """No line of the document gives a mark or a rate of a school that is too small."""
    for line in (folder / "bulletin.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("|") and any(f"| {name} |" in line for name in names):
            marks = re.findall(r"(?<![\d,.])\d{1,3}\.\d(?![\d%])", line)
            assert len(marks) <= 1, "besides the rate of participation"


def issue(archive: Archive, out: Path, edition: str, number: str) -> int:
    settings = out.parent / "run.toml"
    measures = ["participation_rate", "mean_score", "pass_rate", "excellent_rate"]
    settings.write_text(f"min_n_reporting = {LEAST}\nmeasures = {json.dumps(measures)}\n", encoding="utf-8")
    own = ["--archive", str(archive.path), "--product", "quarterly", "--period", "2025Q4", "--today", "2026-03-01"]
    signed = ["--issue", "--issued-by", "Jia", "--document-no", number, "--settings", str(settings)]
    return run_command(
        ["bulletin", *own, *signed, "--edition", edition, "--formats", "md,xlsx", "--lang", "zh", "--out", str(out)]
    )


def test_the_attack_finds_a_school_when_all_others_are_told(archive: Archive) -> None:
    scores = archive.scores(EXAM)
    names = dict(scores.schools.select("school_id", "name").iter_rows())
    by_school = scores.frame.filter(pl.col("chinese_status") == "present").group_by("school_id")
    means = {line[0]: line[1:] for line in by_school.agg(pl.col("chinese").mean() / 100, pl.len()).iter_rows()}
    target = next(school for subject, school, _ in small_cells(archive) if subject == "语文")
    reader = Reader(scores.schools)
    told = {("school", names[school]): value for school, value in means.items() if names[school] != target}
    everybody = sum(n for _, n in means.values())
    told["area", "全县"] = (sum(mean * n for mean, n in means.values()) / everybody, everybody)
    reader.told["语文", "平均分"] = told
    low, high, _ = reader.bounds("语文", "平均分", ("school", target), {school: n for school, (_, n) in means.items()})
    assert high - low < 0.1


def test_six_editions_issued_together_do_not_tell_a_small_school(
    archive: Archive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(small_cells(archive)), "the sample county has small schools"
    assert issue(archive, tmp_path / "out", "public,government,bureau", "P,G,B") == 0, capsys.readouterr().err
    folders = [
        tmp_path / "out" / "quarterly" / f"2025Q4-{name}-zh-issued-{name[0].upper()}"
        for name in ("public", "government", "bureau")
    ]
    names = {school for _, school, _ in small_cells(archive)}
    printed(folders[-1], names)
    for some in (folders[:1], folders[:2], folders[1:], folders):
        ratios = attack(archive, some)
        assert len(ratios) >= 3 * len(MEASURES)
        assert min(ratios) >= 1 - 1e-6


def test_the_other_way_round_an_edition_is_refused_or_safe(
    archive: Archive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = create_archive(tmp_path / "archive", key_file=tmp_path / "archive.key")
    sample = sample_data_path()
    store.add(eq.read_scores(sample / EXAM), registers=read_registers(sample / "registers"))
    made = []
    for name in ("bureau", "public"):
        status = issue(store, tmp_path / "out", name, name[0].upper())
        said = capsys.readouterr().err
        assert status == 0 or (status == 13 and "disclosure_issued" in said), said
        if status == 0:
            made.append(tmp_path / "out" / "quarterly" / f"2025Q4-{name}-zh-issued-{name[0].upper()}")
    assert made, "the first is issued"
    assert min(attack(store, made)) >= 1 - 1e-6
