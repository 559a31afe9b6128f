"""A county with a tiny school: what is withheld of it stands nowhere, and no other figure tells it."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.builders import build_scores

import eduq as eq
from eduq.archive import create_archive
from eduq.disclosure import ExamResults, Publishable, protect
from eduq.disclosure.products import NEWS, OPEN_ITEMS, ProductFacts, protect_product
from eduq.settings import RunSettings
from eduq.tables import DECISIONS, TARGET_REVIEWS, VERDICTS

SIZES = (6, 14, 22, 25, 30, 33, 41, 47, 52, 60)
SMALL = "S00"


@cache
def results() -> ExamResults:
    import tempfile

    rng = np.random.default_rng(5)
    rows: list[dict[str, Any]] = []
    for school, n in enumerate(SIZES):
        for _ in range(n):
            rows.append(
                {
                    "exam_id": "2025-1-g9-mid", "candidate_id": f"K{len(rows):05d}", "school_id": f"S{school:02d}",
                    "class_id": "1", "year_group": "G9", "math": int(np.clip(rng.normal(60 + school, 15), 0, 100)),
                    "english": int(np.clip(rng.normal(60, 15), 0, 100)),
                }
            )  # fmt: skip
    facts = {
        "id": "2025-1-g9-mid", "name": "mid", "school_year": "2025-2026", "term": 1, "date": "2025-11-10", "year_group": "G9",
        "scope": "county",
    }  # fmt: skip
    table = build_scores(rows, full={"math": 100, "english": 100}, exam={"exam": facts})
    with tempfile.TemporaryDirectory() as folder:
        archive = create_archive(Path(folder) / "archive", key_file=Path(folder) / "key")
        archive.add(table)
        found = eq.analyze("2025-1-g9-mid", archive=archive, settings=RunSettings())
    assert found.results is not None
    return found.results


@cache
def bureau() -> Publishable:
    return protect(results(), edition="bureau")


def frames(shown: object, path: str = "") -> Iterator[tuple[str, pl.DataFrame]]:
    """Give every frame inside what may be shown."""
    for name, value in vars(shown).items():
        if isinstance(value, pl.DataFrame):
            yield f"{path}{name}", value
        elif hasattr(value, "__dataclass_fields__") and name not in ("certificate", "shown", "settings", "exam"):
            yield from frames(value, f"{path}{name}.")


def withheld() -> set[str]:
    """Schools of which the mean of mathematics is withheld."""
    rows = bureau().estimates.filter(unit_type="school", paper="math", measure="mean_score")
    return set(rows.filter(pl.col("estimate").is_null())["unit"])


def test_a_second_school_goes_with_the_small_one() -> None:
    assert SMALL in withheld()
    assert len(withheld()) >= 2
    means = bureau().estimates.filter(unit_type="school", paper="math", measure="mean_score")
    reasons = dict(means.select("unit", "reason").rows())
    assert reasons[SMALL] == "below_min_n"
    assert {reasons[unit] for unit in withheld() - {SMALL}} == {"secondary"}


def test_nothing_printed_of_a_withheld_school_is_one_of_its_numbers() -> None:
    """Every number of every table that stands on a withheld school's line is a size, not a result."""
    counts = {"n", "n_expected", "n_present", "n_listed", "n_units", "family_size", "rank", "periods", "conf_level", "match_rate"}
    for name, frame in frames(bureau()):
        for column in ("unit", "school_id"):
            if column not in frame.columns:
                continue
            own = frame.filter(pl.col(column).is_in(sorted(withheld())))
            if "measure" in own.columns:
                own = own.filter(pl.col("measure") != "participation_rate")
            if "paper" in own.columns:
                own = own.filter(pl.col("paper") == "math")
            for number in (one for one, kind in own.schema.items() if kind.is_float() and one not in counts):
                assert own[number].null_count() == own.height, (name, number)


def test_ranks_and_means_of_the_others_do_not_count_the_withheld_schools() -> None:
    shown = bureau().comparisons
    assert shown is not None
    of_math = shown.frame.filter(paper="math", measure="z_mean").drop_nulls("estimate")
    assert not set(of_math["unit"]) & withheld()
    assert of_math["n_units"].drop_nulls().unique().to_list() == [of_math["rank"].count()]
    ranks = of_math.drop_nulls("rank")["rank"].sort().to_list()
    assert ranks == sorted(ranks)
    assert max(ranks, default=0) <= of_math.height


def test_figures_of_how_schools_differ_are_not_exact_beside_a_withheld_school() -> None:
    cv = bureau().estimates.filter(measure="school_cv", paper="math")["estimate"].drop_nulls().to_list()
    exact = results().estimates.filter(measure="school_cv", paper="math")["estimate"].drop_nulls().to_list()
    assert cv
    for rounded, value in zip(cv, exact, strict=True):
        assert rounded == pytest.approx(value, rel=0.06)
        digits = 1 - math.floor(math.log10(abs(rounded)))
        assert rounded == round(rounded, digits)


@pytest.mark.parametrize(("edition", "least"), [("bureau", 5), ("public", 10), ("student", 10)])
def test_no_quantile_is_the_score_of_one_of_few(edition: str, least: int) -> None:
    shown = protect(results(), edition=edition).estimates
    for measure, share in (("q1", 0.25), ("median", 0.5), ("q3", 0.25)):
        told = shown.filter(pl.col("measure") == measure, pl.col("estimate").is_not_null())
        assert (told["n"] * share >= least).all()
    if edition == "bureau":
        lost = shown.filter(measure="q1", unit="S01", paper="math")  # 14 candidates: the quartile is the fourth from below
        assert lost["estimate"].null_count() == lost.height
        assert shown.filter(measure="q1", unit="S09", paper="math")["estimate"].null_count() == 0


def test_the_certificate_names_the_settings_and_the_edition_its_audience() -> None:
    proof = bureau().certificate
    assert proof is not None
    assert proof.settings_hash == results().provenance["settings"]
    assert proof.n_joint > 0
    student = protect(results(), edition="student")
    assert student.edition == "student"
    assert student.certificate is not None
    assert student.certificate.edition == "student"
    assert student.estimates.equals(protect(results(), edition="public").estimates)
    assert "S0" not in student.estimates["unit"].str.slice(0, 2).to_list()


def _numbers(value: object) -> Iterator[str]:
    """Give every number of a nested value as it would be printed to two decimals; and numbers inside its texts."""
    if isinstance(value, dict):
        for one in value.values():
            yield from _numbers(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _numbers(one)
    elif isinstance(value, float):
        yield f"{abs(value):.2f}"
    elif isinstance(value, str):
        yield from (found for found in re.findall(r"\d+\.\d{2}(?!\d)", value))


def _secrets() -> dict[str, set[str]]:
    """Return means and SDs of mathematics of the withheld schools to two decimals, but for those that another unit has too."""
    exact = results().estimates.filter(pl.col("paper") == "math", pl.col("measure").is_in(["mean_score", "sd"]))
    printed = exact.with_columns(pl.col("estimate").map_elements(lambda one: f"{one:.2f}", return_dtype=pl.String).alias("said"))
    others = set(printed.filter(~pl.col("unit").is_in(sorted(withheld())))["said"])
    own = printed.filter(pl.col("unit").is_in(sorted(withheld())), ~pl.col("said").is_in(sorted(others)))
    return {unit: set(own.filter(unit=unit)["said"]) for unit in withheld()}


def test_neither_workbook_nor_review_page_holds_a_withheld_number(tmp_path: Path) -> None:
    import fastexcel

    from eduq.bulletins.review import build_review
    from eduq.bulletins.workbook import write_workbook

    write_workbook(bureau(), "zh", tmp_path / "tables.xlsx")
    book = fastexcel.read_excel(tmp_path / "tables.xlsx")
    of_schools: list[str] = []
    for sheet in book.sheet_names:
        for row in book.load_sheet(sheet, header_row=None, dtypes="string").to_polars().rows():
            cells = [str(cell) for cell in row if cell is not None]
            unit = next((unit for unit in withheld() if unit in cells), None)
            if unit is not None:
                said = {f"{float(cell):.2f}" for cell in cells if re.fullmatch(r"-?\d+\.\d+", cell)}
                assert not said & _secrets()[unit], (sheet, unit)
                of_schools.append(sheet)
    assert of_schools
    page = build_review([bureau()], "zh")
    assert not set(_numbers(page)) & {one for own in _secrets().values() for one in own}


def test_from_all_means_shown_the_sum_of_the_small_school_cannot_be_subtracted() -> None:
    means = bureau().estimates.filter(paper="math", measure="mean_score")
    sums = {
        (kind, unit): n * mean for kind, unit, n, mean in means.select("unit_type", "unit", "n", "estimate").iter_rows() if mean
    }
    left = sums["area", "all"] - sum(value for (kind, _), value in sums.items() if kind == "school")
    hidden = sum(SIZES[int(unit[1:])] for unit in withheld())
    assert hidden > SIZES[0]
    true = results().estimates.filter(paper="math", measure="mean_score", unit=SMALL).row(0, named=True)
    assert abs(left - true["n"] * true["estimate"]) > true["n"] * 10


def test_targets_and_courses_of_a_product_withhold_what_its_exams_withhold() -> None:
    hidden = sorted(withheld() - {SMALL})[0]
    empty: dict[str, Any] = dict.fromkeys(TARGET_REVIEWS)
    line = empty | {
        "target_id": "T1", "unit_type": "school", "measure": "mean_score", "subject": "math", "year_group": "G9",
        "exam_id": "2025-1-g9-mid", "direction": "up", "target": 60.0, "n": 30, "estimate": 63.25, "std_error": 2.0,
        "ci_lower": 59.0, "ci_upper": 67.0, "completion": 0.5, "state": "undecided", "overdue": False,
    }  # fmt: skip
    targets = pl.DataFrame([line | {"unit": hidden}, line | {"unit": "S09"}], schema=TARGET_REVIEWS)
    history = results().history
    assert history is not None
    facts = ProductFacts(
        product="quarterly", period="2025Q4", first=dt.date(2025, 10, 1), last=dt.date(2025, 12, 31),
        today=dt.date(2026, 1, 5), archive_version=1, exams=(results(),), news=pl.DataFrame(schema=NEWS),
        open_items=pl.DataFrame(schema=OPEN_ITEMS), histories={"G9": history}, verdicts=pl.DataFrame(schema=VERDICTS),
        decisions=pl.DataFrame(schema=DECISIONS), targets=targets, names={}, settings=RunSettings(),
    )  # fmt: skip
    product = protect_product(facts, edition="bureau")
    first, second = product.targets.iter_rows(named=True)
    assert (first["estimate"], first["ci_lower"], first["completion"], first["reason"]) == (None, None, None, "withheld")
    assert (second["estimate"], second["state"]) == (63.25, "undecided")
    assert product.histories["G9"] is product.exams[0].history
