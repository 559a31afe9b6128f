"""`eduq targets` and `eduq awards` as their user runs them."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import eduq as eq
from eduq.archive import Archive, create_archive
from eduq.cli.app import run as run_command
from eduq.estimates.awards.schemes import AwardScheme
from eduq.registers import Registers, read_registers
from eduq.resources import package_path, sample_data_path
from eduq.settings import validate_toml
from eduq.tables import TARGET_REVIEWS

Run = Callable[..., tuple[int, str, str]]
SAMPLE = sample_data_path()
AS_OF = ("--as-of", "2026-08-01")


def with_barred(known: Registers) -> Registers:
    """The sample's registers with a promotion target for a school."""
    assert known.targets is not None
    line = known.targets.head(1).with_columns(
        pl.lit("T099").alias("target_id"), pl.lit("promotion_rate").alias("measure"), pl.lit(0.4321).alias("target")
    )
    return dataclasses.replace(known, targets=pl.concat([known.targets, line]))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    folder = tmp_path_factory.mktemp("targets")
    store = create_archive(folder / "archive", key_file=folder / "archive.key")
    store.add_registers(with_barred(read_registers(SAMPLE / "registers")))
    for year in (2023, 2024, 2025):
        store.add(eq.read_scores(SAMPLE / f"{year}-2-g9-final"))
    return store


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], archive: Archive) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EDUQ_ARCHIVE", raising=False)

    def call(*arguments: str | Path, lang: str = "en", named: bool = True) -> tuple[int, str, str]:
        monkeypatch.setenv("EDUQ_LANG", lang)
        own = ["--archive", str(archive.path)] if named else []
        status = run_command([*(str(part) for part in arguments), *own])
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_review_lists_every_target_and_the_refused_one_with_its_article(run: Run, lang: str) -> None:
    status, out, err = run("targets", *AS_OF, lang=lang)
    assert status == 0, err
    assert {f"T00{number}" for number in range(1, 9)} <= set(re.findall(r"T\d{3}", out))
    assert "深化新时代教育评价改革总体方案" in out
    assert "0.43" not in out
    assert "43.2" not in out
    assert ("不予受理" if lang == "zh" else "refused") in out


@pytest.mark.parametrize(("lang", "words"), [("zh", "(另行组织"), ("en", "(held")])
def test_two_lines_of_one_target_and_year_group_are_told_apart(run: Run, lang: str, words: str) -> None:
    said = run("targets", *AS_OF, lang=lang)[1]
    lines = [line for line in said.splitlines() if line.startswith("T008")]
    assert len(lines) == 2
    assert [words in line for line in lines] == [False, True]


def test_the_lines_as_json_csv_and_parquet_are_the_same(run: Run, tmp_path: Path) -> None:
    document = json.loads(run("targets", *AS_OF, "--format", "json")[1])
    assert document["schema"] == "eduq.targets/1"
    status, out, _ = run("targets", *AS_OF, "--out", "t.parquet")
    assert (status, out.strip()) == (0, "t.parquet")
    frame = pl.read_parquet(tmp_path / "t.parquet")
    assert frame.schema == pl.Schema(TARGET_REVIEWS)
    assert [line["state"] for line in document["lines"]] == frame["state"].to_list()
    assert pl.read_csv(io.StringIO(run("targets", *AS_OF, "--format", "csv")[1])).height == frame.height
    assert frame.filter(target_id="T001")["exam_id"].to_list() == ["2024-2-g9-final"]


def test_strict_and_proposing_a_barred_target_stop_with_10(run: Run) -> None:
    for options in (("--strict",), ("--propose", "--measure", "升学率"), ("--propose", "--measure", "promotion_rate")):
        status, out, err = run("targets", *AS_OF, *options)
        assert (status, out) == (10, ""), options
        assert "深化新时代教育评价改革总体方案" in err
        assert "target_barred" in err


def test_proposals_say_what_they_rest_on(run: Run) -> None:
    status, out, err = run("targets", *AS_OF, "--propose", "--measure", "pass_rate", "--subject", "math")
    assert status == 0, err
    assert "Back-test" in out
    assert "no ranking" in out
    codes = re.findall(r"^(S\d{3})", out, re.MULTILINE)
    assert codes == sorted(codes)
    document = json.loads(run("targets", *AS_OF, "--propose", "--chance", "0.4", "--format", "json")[1])
    assert document["settings"]["chance"] == 0.4
    assert {"var_level", "var_shock", "backtest_within"} <= set(document["model"])


def test_options_that_do_not_go_together_stop(run: Run) -> None:
    for options in (
        ("targets", "--chance", "0.3"),
        ("targets", "--propose", "--strict"),
        ("awards", "--scheme", "balanced", "--worlds", "9"),
    ):
        status, _, err = run(*options)
        assert (status, "option_needs" in err) == (2, True), options


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_candidates_are_not_winners(run: Run, lang: str) -> None:
    status, out, err = run("awards", "--scheme", "balanced", *AS_OF, lang=lang)
    assert status == 0, err
    assert ("候选不是获奖者" if lang == "zh" else "Candidates are not winners") in out
    codes = re.findall(r"^(S\d{3})", out, re.MULTILINE)
    assert codes == sorted(codes)
    assert len(codes) == 40


def test_progress_can_come_from_a_table_of_growth(run: Run, tmp_path: Path) -> None:
    rows = [("school", f"S{number:03}", "composite", "multilevel", 0.01 * number, 0.05, 100) for number in range(1, 41)]
    names = ["unit_type", "unit", "paper", "growth", "estimate", "std_error", "n"]
    pl.DataFrame(rows, schema=names, orient="row").write_parquet(tmp_path / "growth.parquet")
    status, out, err = run("awards", "--scheme", "balanced", *AS_OF, "--progress", "growth.parquet", "--format", "json")
    assert status == 0, err
    lines = {line["unit"]: line for line in json.loads(out)["lines"]}
    assert lines["S008"]["progress"] == pytest.approx(0.08)


def test_two_schemes_are_compared_with_their_errors(run: Run) -> None:
    options = ("awards", "--scheme", "balanced", "--against", "last-year", *AS_OF, "--worlds", "40")
    status, out, err = run(*options)
    assert status == 0, err
    assert "40 worlds, seed 20250101" in out
    document = json.loads(run(*options, "--format", "json")[1])
    assert {line["truth"] for line in document["lines"]} == {"none", "level", "progress"}


def test_a_barred_scheme_stops_with_10_and_its_article(run: Run, tmp_path: Path) -> None:
    text = package_path("estimates", "awards", "balanced.toml").read_text(encoding="utf-8")
    (tmp_path / "one.toml").write_text(text[: text.rindex("[[measures]]")], encoding="utf-8")
    status, out, err = run("awards", "--scheme", "one.toml", *AS_OF)
    assert (status, out) == (10, "")
    assert "single_measure_award" in err
    assert run("awards", "--scheme", "nowhere.toml", *AS_OF)[0] == 10


def test_the_scheme_in_the_documents_is_the_shipped_one(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "explanation" / "awards.md"
    (block,) = re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "b.toml").write_text(block, encoding="utf-8")
    assert validate_toml(tmp_path / "b.toml", AwardScheme) == validate_toml(
        package_path("estimates", "awards", "balanced.toml"), AwardScheme
    )


def test_analyze_reviews_the_targets(archive: Archive, tmp_path: Path) -> None:
    found = eq.analyze("2025-2-g9-final", archive=archive)
    review = found.publishable.targets
    assert review is not None
    assert review.frame.filter(target_id="T001")["exam_id"].to_list() == ["2024-2-g9-final"]
    assert review.frame.filter(target_id="T003")["exam_id"].to_list() == ["2025-2-g9-final"]
    found.write(tmp_path / "out")
    assert pl.read_parquet(tmp_path / "out" / "results" / "targets.parquet").schema == pl.Schema(TARGET_REVIEWS)
    page = (tmp_path / "out" / "bulletin.html").read_text(encoding="utf-8")
    assert 'class="icon-reached"' in page
    assert "升学率" in page
    assert "43.2" not in page.split("目标完成情况</h3>")[1].split("<h")[0]
    sheet = pl.read_excel(tmp_path / "out" / "tables.xlsx", sheet_name="目标")
    assert sheet["目标编号"].to_list() == review.frame["target_id"].to_list()


def test_small_units_stay_withheld() -> None:
    from eduq.disclosure.target_reviews import protect_targets
    from eduq.estimates.targets import TargetReview

    line = dict.fromkeys(TARGET_REVIEWS) | {
        "target_id": "T1",
        "measure": "pass_rate",
        "n": 9,
        "estimate": 0.5,
        "state": "reached",
    }
    frame = pl.DataFrame([line, line | {"target_id": "T2", "n": 10}], schema=TARGET_REVIEWS)
    shown = protect_targets(TargetReview(frame, {}), 10).frame
    assert shown["state"].to_list() == ["not_assessable", "reached"]
    assert shown["estimate"].to_list() == [None, 0.5]
