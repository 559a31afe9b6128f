"""Declines at the door: tables as people have them, and sentences that must be true of the numbers in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from eduq.errors import DataFileError, NotAssessableError, UsageError
from eduq.estimates.declines import DeclineBounds, detect_declines, fit_worlds

NAN = float("nan")


def table(units: int = 8, years: int = 4, *, fall: float = -0.3, noise: float = 0.1, std_error: float = 0.05) -> pl.DataFrame:
    rng = np.random.default_rng(1)
    rows = [
        {
            "unit": f"U{unit}",
            "period": 2020 + year,
            "estimate": rng.normal(0, noise) + unit / 10 + (fall * year if unit == 0 else 0.0),
            "std_error": std_error,
        }
        for unit in range(units)
        for year in range(years)
    ]
    return pl.DataFrame(rows)


def of_pupils(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.drop("std_error").with_columns(sd=pl.lit(0.9), n=pl.lit(120))


def only(column: str, value: Any, *, unit: str = "U1") -> pl.Expr:
    return pl.when(pl.col("unit") == unit).then(pl.lit(value)).otherwise(pl.col(column)).alias(column)


def test_a_unit_without_any_value_takes_no_grade_from_the_others_when_there_is_no_shock() -> None:
    """No shock and a unit outside the fit: its variance is 0 too, and 0/0 once took everybody's degrees of freedom."""
    whole = of_pupils(table(noise=0.001))
    result = detect_declines(whole.with_columns(only("estimate", None)))
    assert result.model.var_shock == 0
    others = result.frame.filter(pl.col("unit") != "U1")
    without = detect_declines(whole.filter(pl.col("unit") != "U1")).frame
    assert others["p_value"].null_count() == 0
    assert others["evidence_grade"].to_list() == without["evidence_grade"].to_list()
    assert others["p_value"].to_list() == pytest.approx(without["p_value"].to_list())
    assert result.frame.filter(unit="U1")["evidence_reason"].item() == "no_estimate"


def test_worlds_with_an_empty_unit_keep_their_grades() -> None:
    means = np.random.default_rng(2).normal(0, 0.01, (5, 12, 4))
    means[:, 0] += [0.0, -0.3, -0.6, -0.9]
    means[:, 5] = np.nan
    found = fit_worlds(means, np.full((12, 4), 0.005))
    assert (found.letter[:, 0] == 1).all()
    assert not np.isnan(np.delete(found.p, 5, axis=1)).any()


@pytest.mark.parametrize(
    ("change", "column"),
    [
        (pl.lit("abc").alias("estimate"), "estimate"),
        (only("std_error", -0.1), "std_error"),
        (only("std_error", float("inf")), "std_error"),
        (only("period", NAN), "period"),
        (only("period", None), "period"),
        (only("unit", None), "unit"),
    ],
)
def test_a_value_that_cannot_be_used_names_its_column(change: pl.Expr, column: str) -> None:
    with pytest.raises(DataFileError) as caught:
        detect_declines(table().with_columns(change))
    assert (caught.value.code, caught.value.params["columns"]) == ("declines_value", column)


def test_numbers_written_as_text_count_and_blanks_are_unknown() -> None:
    frame = table()
    written = frame.with_columns((pl.lit(" ") + pl.col("estimate").cast(pl.String)).alias("estimate"))
    assert detect_declines(written).frame.equals(detect_declines(frame).frame)
    blank = detect_declines(written.with_columns(only("estimate", " "))).frame.filter(unit="U1")
    assert (blank["n_periods"].item(), blank["n_left_out"].item()) == (0, 4)


@pytest.mark.parametrize("frame", [of_pupils(table()).with_columns(n=pl.lit(0)), table().with_columns(std_error=pl.lit(NAN))])
def test_nothing_usable_is_not_called_one_period(frame: pl.DataFrame) -> None:
    with pytest.raises(NotAssessableError) as caught:
        detect_declines(frame)
    assert caught.value.code == "declines_no_estimates"


@pytest.mark.parametrize("scale", [0, -1, NAN, float("inf")])
def test_a_scale_is_a_positive_number(scale: float) -> None:
    with pytest.raises(UsageError) as caught:
        detect_declines(table(), scale=scale)
    assert caught.value.code == "declines_option"
    with pytest.raises((DataFileError, NotAssessableError)):  # an unknown scale leaves nothing to use
        detect_declines(table().with_columns(spread=pl.lit(float(scale))), scale="spread")


@pytest.mark.parametrize("name", ["slope", "rank", "n", "reason", "evidence_grade", "sentence"])
def test_a_unit_column_with_the_name_of_a_result_stops(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        detect_declines(table().rename({"unit": name}), unit=name)
    assert caught.value.code == "declines_name_taken"
    assert name in str(caught.value.params["columns"])


def test_one_column_in_two_parts_stops() -> None:
    with pytest.raises(UsageError) as caught:
        detect_declines(table(), family=["unit"])
    assert caught.value.code == "declines_name_taken"


def test_the_estimates_are_not_taken_for_numbers_of_candidates() -> None:
    frame = table()
    found = detect_declines(frame.rename({"estimate": "n"}), estimate="n").frame
    assert found.equals(detect_declines(frame).frame)


def test_a_rise_is_not_said_to_be_chance() -> None:
    result = detect_declines(table(fall=0.3))
    riser = result.frame.filter(unit="U0")
    assert riser["ci_lower"].item() > 0
    said = [result.sentences(lang).filter(unit="U0")["sentence"].item() for lang in ("zh", "en")]
    assert "没有与偶然波动分得开的下滑" in said[0]
    assert "no fall that can be told from chance" in said[1]


def test_a_sure_but_slight_fall_is_not_said_to_be_chance() -> None:
    result = detect_declines(table(fall=-0.04, noise=0.001, std_error=0.005))
    line = result.frame.filter(unit="U0").row(0, named=True)
    assert line["evidence_grade"] == "D"
    assert line["p_value"] < 0.001
    said = [result.sentences(lang).filter(unit="U0")["sentence"].item() for lang in ("zh", "en")]
    assert "下滑小于每年 0.05 个标准差" in said[0]
    assert "less than the fall of 0.05 SD a year that counts" in said[1]
    assert "偶然" not in said[0]


def test_no_fall_below_the_material_bound_is_called_detectable() -> None:
    bounds = DeclineBounds()
    result = detect_declines(table(fall=-0.04, noise=0.001, std_error=0.005), bounds=bounds)
    found = result.frame.row(0, named=True)
    t = stats.t.ppf(1 - bounds.q / found["family_size"], found["df"])
    assert t * found["std_error"] < bounds.materiality
    assert found["min_detectable"] == pytest.approx(bounds.materiality + stats.norm.ppf(0.8) * found["std_error"])


def test_sentences_print_small_q_zero_slopes_and_periods_that_are_no_years() -> None:
    three = detect_declines(table(years=3, fall=-0.6, noise=0.02).with_columns(period=pl.format("第{}轮", "period")))
    first = three.frame.row(0, named=True)
    assert (first["evidence_grade"], first["q_value"] < 0.001) == ("B", True)
    for lang, year, small in (("zh", "“每年”指每个周期", "q 值 < 0.001"), ("en", "“a year” means a period", "q < 0.001")):
        said = three.sentences(lang)["sentence"]  # type: ignore[arg-type]
        assert small in said[0]
        assert all(year in one for one in said)
    flat = detect_declines(table(fall=0.0, noise=0.0).with_columns(estimate=pl.col("estimate") - 1e-9 * pl.col("period")))
    assert "−0.00" not in "".join(flat.sentences("zh")["sentence"])


def test_a_sure_fall_not_among_the_last_is_capped_not_one_grade_lower() -> None:
    high = table(fall=-0.3).with_columns(
        pl.when(pl.col("unit") == "U0").then(pl.col("estimate") + 3).otherwise("estimate").alias("estimate")
    )
    result = detect_declines(high, last_place=True)
    line = result.frame.row(0, named=True)
    assert (line["evidence_grade"], line["evidence_reason"]) == ("C", "not_among_last")
    assert result.sentences("zh")["sentence"][0].endswith("（不在可能居末位的单位之列，证据等级最高为 C。）")
    assert "C at best" in result.sentences("en")["sentence"][0]
