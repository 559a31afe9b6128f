"""A researcher's own table in, a result that shows itself out: what was tripped over when only the documents were at hand."""

from __future__ import annotations

from typing import Any

import polars as pl
import pyarrow
import pytest

import eduq as eq
from eduq.errors import DataFileError, NotAssessableError, UsageError
from eduq.estimates.exam_equity import ExamEquity
from eduq.resources import package_path
from eduq.tables import EQUITY, EQUITY_COURSE

SCHEME = package_path("estimates", "awards", "balanced.toml")
PUPILS = pl.DataFrame(
    {
        "学校": [f"S{place % 6}" for place in range(120)],
        "入学": [50.0 + 7 * place % 31 for place in range(120)],
        "毕业": [52.0 + 7 * place % 31 + place % 6 + 3.7 * place % 5 for place in range(120)],
        "城乡": [("城", "乡")[place % 6 % 2] for place in range(120)],
    }
)


def grow(method: Any = "multilevel", frame: pl.DataFrame = PUPILS) -> Any:
    return eq.estimate_growth(frame, outcome="毕业", prior="入学", unit="学校", method=method)


def levels(**changed: Any) -> pl.DataFrame:
    frame = pl.DataFrame({"学校": [f"S{place}" for place in range(8)], "estimate": [0.1 * place for place in range(8)]})
    return frame.with_columns(std_error=pl.lit(0.05), n=pl.lit(100)).with_columns(**changed)


@pytest.mark.parametrize("wrong", [[1, 2], {"a": PUPILS, "b": PUPILS}], ids=["list", "frames"])
def test_what_is_no_result_by_name_is_refused(wrong: Any) -> None:
    with pytest.raises(UsageError) as caught:
        eq.compare_growth(wrong)
    assert caught.value.code == "growth_methods_kind"


def test_units_named_by_numbers_and_by_text_are_not_joined() -> None:
    numbered = PUPILS.with_columns(pl.col("学校").str.slice(1).cast(pl.Int64))
    with pytest.raises(UsageError) as caught:
        eq.compare_growth({"a": grow("gain"), "b": grow("gain", numbered)})
    assert caught.value.code == "growth_methods_differ"


def test_a_pupil_taught_by_two_is_one_pupil_in_the_summary() -> None:
    rows = PUPILS.with_row_index("pupil").with_columns(share=pl.lit(0.5))
    other = rows.with_columns(("S" + ((pl.col("学校").str.slice(1).cast(pl.Int64) + 1) % 6).cast(pl.String)).alias("学校"))
    found = eq.estimate_growth(
        pl.concat([rows, other]), outcome="毕业", prior="入学", unit="学校", weights="share", pupil="pupil"
    )
    assert "120 pupils" in found.summary()


def test_a_result_is_one_line_where_no_page_can_be_shown() -> None:
    results = [
        grow("gain"),
        eq.compare_growth({"a": grow("gain"), "b": grow("bands")}),
        eq.measure_flows(PUPILS, outcome="毕业", prior="入学", unit="学校"),
        eq.compare_units(levels(), unit="学校"),
        eq.measure_equity(PUPILS, unit="学校", value="毕业"),
    ]
    for result in results:
        assert repr(result) == f"{type(result).__name__}: {result.summary()}"


def test_flows_draw_their_first_rate() -> None:
    flows = eq.measure_flows(PUPILS, outcome="毕业", prior="入学", unit="学校")
    assert "band_retention (upper)" in str(flows.plot().as_dict())
    assert "conversion (middle)" in str(flows.plot("conversion").as_dict())
    low = eq.measure_low_groups(PUPILS, subjects={"math": ("入学", "毕业")}, unit="学校")
    assert "entering (other)" in str(low.plot().as_dict())
    with pytest.raises(UsageError) as caught:
        flows.plot("promotion")
    assert caught.value.code == "flow_unknown"


@pytest.mark.parametrize("subjects", [["math"], {"math": "入学"}, {"math": ("入学",)}], ids=["list", "text", "one"])
def test_a_subject_needs_two_columns(subjects: Any) -> None:
    with pytest.raises(UsageError) as caught:
        eq.measure_low_groups(PUPILS, subjects=subjects, unit="学校")
    assert caught.value.code == "flow_subjects"


COUNTS = {"graduated": [95, 90], "transferred_in": [3, 0], "transferred_out": [6, 0], "entered": [100, 100]}


@pytest.mark.parametrize(
    ("schools", "deceased", "code"),
    [
        (["A", "A"], [0.0, 0.0], "retention_units"),
        (["A", None], [0.0, 0.0], "retention_units"),
        (["A", "B"], [0.0, float("inf")], "retention_count"),
    ],
)
def test_retention_refuses_what_is_no_school_and_no_count(schools: list[Any], deceased: list[float], code: str) -> None:
    with pytest.raises(DataFileError) as caught:
        eq.measure_retention(pl.DataFrame({"school": schools, "deceased": deceased, **COUNTS}), unit="school")
    assert caught.value.code == code


def test_retention_takes_nan_as_not_known() -> None:
    frame = pl.DataFrame({"school": ["A", "B"], "deceased": [0.0, float("nan")], **COUNTS})
    assert eq.measure_retention(frame, unit="school").frame["reason"].to_list() == [None, "missing_input"]


def test_one_attribute_may_be_named_alone_and_a_reference_must_be_an_attribute() -> None:
    alone: Any = "城乡"
    named = eq.measure_equity(PUPILS, unit="学校", value="毕业", unit_attributes=alone)
    assert named.frame.equals(eq.measure_equity(PUPILS, unit="学校", value="毕业", unit_attributes=["城乡"]).frame)
    with pytest.raises(UsageError) as caught:
        eq.measure_equity(PUPILS, unit="学校", value="毕业", unit_attributes=["城乡"], references={"城 乡": "城"})
    assert caught.value.code == "equity_reference_unknown"


def test_pairs_without_a_gap_say_so_instead_of_drawing() -> None:
    alone = eq.compare_pairs(levels(pair=pl.col("学校")), unit="学校", pair="pair")
    with pytest.raises(UsageError) as caught:
        alone.plot()
    assert caught.value.code == "pairs_nothing_to_draw"


def test_awards_take_any_table() -> None:
    level, progress = levels(), levels(estimate=pl.col("estimate") - 0.3)
    expected = eq.propose_awards(level, progress, scheme=SCHEME, unit="学校").frame
    for given in (level.lazy(), level.to_arrow(), level.with_columns(pl.col("estimate").cast(pl.String))):
        assert eq.propose_awards(given, progress, scheme=SCHEME, unit="学校").frame.equals(expected)
    assert eq.propose_awards(eq.compare_units(level, unit="学校"), progress, scheme=SCHEME, unit="学校").frame.height == 8
    with pytest.raises(UsageError) as caught:
        eq.propose_awards([level], progress, scheme=SCHEME, unit="学校")  # type: ignore[arg-type]
    assert caught.value.code == "award_source"


@pytest.mark.parametrize(
    "changed",
    [
        {"estimate": pl.lit("优")},
        {"estimate": pl.lit(float("inf"))},
        {"std_error": -pl.col("std_error")},
        {"n": -pl.col("n")},
    ],
    ids=["text", "infinite", "negative error", "negative n"],
)
def test_awards_stop_at_values_that_cannot_be(changed: dict[str, Any]) -> None:
    with pytest.raises(DataFileError) as caught:
        eq.propose_awards(levels(**changed), levels(), scheme=SCHEME, unit="学校")
    assert caught.value.code == "award_value"


def test_too_few_units_for_awards_counts_those_that_can_be_compared() -> None:
    with pytest.raises(NotAssessableError) as caught:
        eq.propose_awards(levels(std_error=pl.lit(0.0)), levels(), scheme=SCHEME, unit="学校")
    assert caught.value.params["units"] == 0


def test_equity_of_an_exam_shows_itself() -> None:
    line = {"subject": "math", "comparison_group": "g", "index": "icc", "value": 0.2, "ci_lower": 0.1, "ci_upper": 0.3}
    frame = pl.DataFrame([line], schema=EQUITY)
    found = ExamEquity(frame, frame.clear(), pl.DataFrame(schema=EQUITY_COURSE))
    assert found.summary() == "1 indices of 1 tables of schools, 0 without a number"
    assert found.summary() in found._repr_html_()
    assert repr(found) == f"ExamEquity: {found.summary()}"
    assert pyarrow.table(found).num_rows == 1
    assert "math · g" in str(found.plot("icc").as_dict())
    with pytest.raises(UsageError) as caught:
        found.plot()
    assert caught.value.code == "equity_nothing_to_draw"
