"""Every public result shows itself in a notebook and writes itself; where a picture says more it draws one."""

from __future__ import annotations

import dataclasses
import datetime as dt
import inspect
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.builders import build_scores

import eduq as eq
from eduq.estimates.results import EstimateResult

RNG = np.random.default_rng(11)
ROWS = [
    {"school_id": f"S{i % 6}", "candidate_id": f"planted-{i}", "math": float(40 + i % 50), "sex": "female" if i % 2 else "male"}
    for i in range(180)
]
PUPILS = pl.DataFrame(
    {"school": [row["school_id"] for row in ROWS], "before": RNG.integers(30, 90, 180).astype(float)}
).with_columns(after=pl.col("before") * 0.8 + pl.Series(RNG.integers(0, 25, 180)))
YEARS = pl.DataFrame(
    [
        {"unit": f"U{i}", "period": 2020 + t, "estimate": 0.1 * RNG.standard_normal(), "std_error": 0.06}
        for i in range(8)
        for t in range(4)
    ]
)
WITHOUT = {
    "open_archive": "a store, not a result: it shows itself, and its frames are asked for",
    "render_bulletin": "returns the document's text",
    "render_dossier": "returns the document's text",
}
"""Public functions that return no result, and why."""
NOT_WRITTEN = {
    "ScoreTable": "rows of pupils: whoever needs them in a file takes .frame",
    "Publishable": "render_bulletin and Analysis.write put it on paper",
    "PublishableDossier": "render_dossier puts it on paper",
    "PublishableFeedback": "render_feedback puts it on paper",
    "TeachingTable": "made for addressees one by one, never handed on whole",
    "CheckReport": "write_draft and write_drafts write what there is to keep",
}


PICTURED = {
    "compare_growth",
    "compare_pairs",
    "compare_units",
    "describe",
    "detect_declines",
    "estimate_growth",
    "measure_equity",
}
"""Where a picture says more than the table; the others are counts, moves and catalogues."""


def grow(method: str = "multilevel") -> Any:
    return eq.estimate_growth(PUPILS, outcome="after", prior="before", unit="school", method=method)  # type: ignore[arg-type]


def agree() -> Any:
    return eq.compare_growth({method: grow(method) for method in ("multilevel", "gain", "bands", "percentile")})


def equity() -> Any:
    years = pl.concat([PUPILS.with_columns(year=pl.lit(year)) for year in range(2021, 2025)])
    return eq.measure_equity(years, unit="school", value="after", period="year")


RESULTS: dict[str, Callable[[], Any]] = {
    "ScoreTable": lambda: build_scores(ROWS),
    "Comparability": lambda: eq.check_comparability(build_scores(ROWS)),
    "LevelResult": lambda: eq.describe(build_scores(ROWS), by=["area", "school"]),
    "ComparisonResult": lambda: eq.compare_units(YEARS.filter(period=2023), unit="unit"),
    "GrowthResult": grow,
    "PercentileGrowth": lambda: grow("percentile"),
    "GrowthAgreement": agree,
    "EquityResult": equity,
    "DeclineResult": lambda: eq.detect_declines(YEARS),
    "RulePack": lambda: eq.load_rulepack("national", as_of=dt.date(2026, 1, 15)),
    "Sample": lambda: eq.make_sample(schools=4, candidates=120, years=1),
}
NOT_DRAWN = {"ScoreTable", "Comparability", "RulePack", "Sample"}
"""Counts and catalogues: a table says what there is."""


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    return {name: make() for name, make in RESULTS.items()}


def returned() -> dict[str, type]:
    """Return the classes that public functions return, by the name of the function."""
    found = {}
    for name in eq.__all__:
        made = getattr(eq, name)
        if inspect.isfunction(made) and name not in WITHOUT:
            module = inspect.getmodule(made)
            hint = inspect.signature(made).return_annotation
            kind = eval(hint, vars(module)) if isinstance(hint, str) else hint
            if isinstance(kind, type) and kind.__module__.startswith("eduq"):  # not plain values
                found[name] = kind
    return found


def test_every_public_function_returns_a_result_that_shows_and_writes_itself() -> None:
    classes = returned()
    assert len(classes) >= 14
    for function, kind in classes.items():
        assert dataclasses.is_dataclass(kind), function
        assert kind.__dataclass_params__.frozen, function  # type: ignore[attr-defined]
        for part in ("summary", "_repr_html_"):
            assert hasattr(kind, part), f"{kind.__name__} of {function} has no {part}"
        if kind.__name__ not in NOT_WRITTEN:
            assert hasattr(kind, "write"), f"{kind.__name__} of {function} has no write"


def test_every_table_of_estimates_is_a_table_for_arrow_too() -> None:
    for function, kind in returned().items():
        if issubclass(kind, EstimateResult):
            assert hasattr(kind, "__arrow_c_stream__"), function
            assert hasattr(kind, "plot") or function not in PICTURED, f"{function}: no picture"


@pytest.mark.parametrize("name", RESULTS)
def test_it_says_a_line_and_shows_a_page_without_a_pupil(name: str, results: dict[str, Any]) -> None:
    result = results[name]
    line, page = result.summary(), result._repr_html_()
    assert line
    assert "\n" not in line
    assert page.startswith("<p>")
    assert line.split(",")[0].split(";")[0] in page
    assert "planted" not in line + page + repr(result)[:20000]


@pytest.mark.parametrize("name", [name for name in RESULTS if name not in {*NOT_WRITTEN, "Sample"}])
def test_it_writes_its_frame(name: str, results: dict[str, Any], tmp_path: Path) -> None:
    result = results[name]
    path = result.write(tmp_path / "result.parquet")
    assert pl.read_parquet(path).equals(result.frame)
    with pytest.raises(eq.EduqError, match="format_unknown"):
        result.write(tmp_path / "result.docx")
    assert [path.name for path in tmp_path.iterdir()] == ["result.parquet"]


@pytest.mark.parametrize("name", [name for name in RESULTS if name not in NOT_DRAWN])
def test_it_draws_itself(name: str, results: dict[str, Any]) -> None:
    picture = results[name].plot()
    assert "<svg" in picture.to_svg()


def test_pictures_choose_and_refuse(results: dict[str, Any]) -> None:
    levels, agreement, years = (results[name] for name in ("LevelResult", "GrowthAgreement", "EquityResult"))
    means = levels.plot("mean_score", paper="math").as_dict()
    assert sorted(means["data"]["label"]) == [f"S{i}" for i in range(6)]
    whole = levels.frame.filter(unit_type="area", measure="mean_score", paper="math")["estimate"].item()
    assert [layer["xintercept"] for layer in means["layers"] if layer["geom"] == "vline"] == [whole]
    known = levels.frame.filter(unit_type="school", measure="mean_score", paper="math").sort("estimate", "unit")
    assert means["data"]["label"] == known["unit"].to_list()
    for wrong in ({"measure": "mean"}, {"measure": "mean_score", "paper": "art"}, {"unit_type": "class"}):
        with pytest.raises(eq.EduqError, match="estimates_choose"):
            levels.plot(**wrong)
    signs = agreement.plot(["S1", "S2"]).as_dict()["data"]
    assert set(signs["unit"]) == {"S1", "S2"}
    side = dict(zip(agreement.frame["school"], agreement.frame["bands_side"], strict=True))
    drawn = {unit: kind for unit, way, kind in zip(signs["unit"], signs["method"], signs["side"], strict=True) if way == "bands"}
    assert drawn == {unit: side[unit] for unit in drawn}
    course = years.plot("between_school_share", course=True).as_dict()["data"]
    assert course["at"] == ["2021", "2022", "2023", "2024"]
    with pytest.raises(eq.EduqError, match="equity_nothing_to_draw"):
        eq.measure_equity(PUPILS, unit="school", value="after").plot(course=True)


def test_units_of_another_group_are_not_drawn_with_the_others() -> None:
    from eduq.estimates.level_results import LevelResult

    rows = [
        {"unit_type": "school", "unit": f"S{i}", "comparison_group": "e.math" if i < 4 else "e.math.d1", "paper": "math",
         "measure": "z_mean", "estimate": i / 10, "ci_lower": i / 10 - 0.1, "ci_upper": i / 10 + 0.1}
        for i in range(5)
    ]  # fmt: skip
    picture = LevelResult(frame=pl.DataFrame(rows), settings={}).plot().as_dict()
    assert picture["data"]["label"] == ["S0", "S1", "S2", "S3"]
    assert "+1" in picture["ggtitle"].get("caption", "") if "ggtitle" in picture else "+1" in str(picture)


def test_type_hints_of_the_estimators_name_what_they_take() -> None:
    from eduq.estimates.frames import FrameLike
    from eduq.estimates.growth import estimate_growth

    assert typing.get_type_hints(estimate_growth)["frame"] == FrameLike
