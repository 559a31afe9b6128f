"""Yearly series: values worked by hand, which exams are used, segments, teachers, and the sample county."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import polars as pl
import pytest
from tests.builders import build_scores

import eduq as eq
from eduq.errors import NotAssessableError, SettingsError, UsageError
from eduq.estimates.exam_source import EXAM_FACTS, ExamSource, choose_exams
from eduq.estimates.series import collect_series, sources_from_scores
from eduq.intake import ScoreTable
from eduq.locale import has_text
from eduq.registers import Registers, apply_registers, read_registers
from eduq.registers.model import EVENT_COLUMNS, SCHOOL_COLUMNS, TEACHER_COLUMNS
from eduq.resources import sample_data_path
from eduq.tables import LEFT_OUT, SERIES

ATTEST = {"attest": {"pace": "yes", "paper": "yes", "sitting": "yes", "marking": "yes"}}


def exam(year: int, rows: Sequence[Mapping[str, Any]], *, full: Mapping[str, float] | None = None, **facts: Any) -> ScoreTable:
    """An exam of a school year's second term, in June of the year after."""
    year_group = facts.pop("year_group", "G9")
    more = facts.pop("more", {})
    said = {
        "id": f"{year}-2-{year_group.lower()}",
        "school_year": f"{year}-{year + 1}",
        "term": 2,
        "date": dt.date(year + 1, 6, 15),
        "year_group": year_group,
        "scope": "county",
        "purpose": "monitoring",
        **facts,
    }
    table = build_scores(rows, full=full, exam={"exam": said, **ATTEST, **more})
    return dataclasses.replace(table, frame=table.frame.with_columns(pl.lit(said["id"]).alias("exam_id")))


def rows_of(**schools: Sequence[float]) -> list[dict[str, Any]]:
    return [{"school_id": school, "math": score} for school, scores in schools.items() for score in scores]


def registers(
    schools: Sequence[str], events: Sequence[tuple[object, ...]] = (), teachers: Sequence[tuple[object, ...]] = ()
) -> Registers:
    table = pl.DataFrame({"school_id": schools, "name": schools})
    empty = [pl.lit(None, dtype=kind).alias(name) for name, kind in SCHOOL_COLUMNS.items() if name not in table.columns]
    return Registers(
        schools=table.with_columns(empty).select(SCHOOL_COLUMNS.keys()),
        events=pl.DataFrame(list(events), schema=EVENT_COLUMNS, orient="row"),
        teachers=pl.DataFrame(list(teachers), schema=TEACHER_COLUMNS, orient="row") if teachers else None,
    )


def values(frame: pl.DataFrame, column: str, **keys: Any) -> list[Any]:
    return frame.filter(**keys).sort("period")[column].to_list()


TWO_YEARS = [exam(2023, rows_of(A=[40, 60], B=[60, 80])), exam(2024, rows_of(A=[40, 50, 60], B=[80, 80, 80]))]


def test_a_z_series_by_hand() -> None:
    # 2023: mean 60, deviations -20 0 0 20, SD √200; 2024: mean 65, squares 625 225 25 225·3 = 1550, SD √(1550/6)
    found = collect_series(sources_from_scores(TWO_YEARS), measures=["z_mean"])
    assert list(found.frame.columns) == [*SERIES, "n_elsewhere", "date"]
    assert found.frame.select(SERIES.keys()).schema == SERIES
    assert values(found.frame, "estimate", unit="A") == pytest.approx([-10 / math.sqrt(200), -15 / math.sqrt(1550 / 6)])
    assert values(found.frame, "sd", unit="A") == pytest.approx([math.sqrt(200 / 200), math.sqrt(100 / (1550 / 6))])
    assert values(found.frame, "std_error", unit="A") == pytest.approx(
        [1 / math.sqrt(2), math.sqrt(100 / (1550 / 6)) / math.sqrt(3)]
    )
    assert values(found.frame, "sd", unit="B")[1] == 0.0
    assert values(found.frame, "rank", unit="A") == [2, 2]
    assert values(found.frame, "n", unit="A") == [2, 3]
    assert found.frame["n_units"].to_list() == [2] * 4
    assert found.frame["segment"].to_list() == [1] * 4
    assert found.frame["period"].unique().sort().to_list() == ["2023-2024", "2024-2025"]


def test_rates_and_means_by_hand() -> None:
    found = collect_series(sources_from_scores(TWO_YEARS), measures=["pass_rate", "mean_score", "score_rate"]).frame
    assert values(found, "estimate", unit="A", measure="pass_rate") == pytest.approx([1 / 2, 1 / 3])
    assert values(found, "sd", unit="A", measure="pass_rate") == pytest.approx([1 / 2, math.sqrt(2 / 9)])
    assert values(found, "std_error", unit="A", measure="pass_rate") == pytest.approx([math.sqrt(1 / 8), math.sqrt(2 / 27)])
    assert values(found, "estimate", unit="B", measure="mean_score") == pytest.approx([70, 80])
    assert values(found, "sd", unit="A", measure="mean_score") == pytest.approx([math.sqrt(200), 10])
    assert values(found, "sd", unit="A", measure="score_rate") == pytest.approx([math.sqrt(200) / 100, 0.1])


def test_one_candidate_has_a_value_but_no_spread_and_equal_values_share_a_rank() -> None:
    found = collect_series(sources_from_scores([exam(2023, rows_of(A=[50], B=[50], C=[80, 90]))]), measures=["z_mean"]).frame
    assert found.filter(unit="A").select("sd", "std_error").row(0) == (None, None)
    assert found.filter(unit="A")["estimate"][0] is not None
    assert found["rank"].to_list() == [2, 2, 1]


def facts(*rows: tuple[Any, ...]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=EXAM_FACTS, orient="row")


def reasons(exams: pl.DataFrame, **wanted: Any) -> dict[str, str | None]:
    found = choose_exams(exams, **wanted)
    assert found.schema == LEFT_OUT
    assert found["used"].to_list() == found["reason"].is_null().to_list()
    assert all(has_text(f"series_reasons.{reason}") for reason in found["reason"].drop_nulls())
    return dict(zip(found["exam_id"], found["reason"], strict=True))


def row(name: str, year: int, term: int | None = 2, day: dt.date | None = None, **other: Any) -> tuple[Any, ...]:
    year_group = other.get("year_group", "G9")
    date = day or dt.date(year + 1, 6, 15)
    return (name, f"{year}-{year + 1}", term, date, year_group, other.get("scope", "county"), other.get("purpose", "monitoring"))


def test_one_exam_per_year_group_school_year_and_term() -> None:
    exams = facts(
        row("a", 2023),
        row("mock", 2024, day=dt.date(2025, 6, 20), purpose="mock"),
        row("early", 2024, day=dt.date(2025, 5, 1)),
        row("late", 2024, purpose="graduation"),
        row("autumn", 2024, 1, dt.date(2024, 11, 10)),
        row("school", 2024, scope="school"),
        row("g8", 2024, year_group="G8"),
        row("whole", 2023, year_group=None),
        (*row("undated", 2022)[:3], None, "G9", "county", None),
        row("termless", 2022, None),
    )
    assert reasons(exams) == {
        "a": None,
        "late": None,
        "mock": "second_in_term",
        "early": "second_in_term",
        "autumn": "other_term",
        "school": "narrow_scope",
        "g8": "single_year",
        "whole": "year_group_unknown",
        "undated": "date_unknown",
        "termless": "term_unknown",
    }
    assert reasons(exams, year_groups=["G8"])["g8"] is None
    assert reasons(exams, year_groups=["G8"])["a"] == "other_year_group"
    assert reasons(exams, term=1)["autumn"] is None
    assert reasons(exams, term=1)["late"] == "other_term"


def test_exams_after_the_day_do_not_count_and_the_day_itself_does() -> None:
    exams = facts(row("a", 2023), row("b", 2024), row("autumn", 2025, 1, dt.date(2025, 11, 10)))
    assert reasons(exams, as_of=dt.date(2025, 6, 15)) == {"a": None, "b": None, "autumn": "after_as_of"}
    assert reasons(exams, as_of=dt.date(2025, 6, 14))["b"] == "after_as_of"
    with pytest.raises(NotAssessableError, match="series_no_exams"):
        choose_exams(exams, as_of=dt.date(2020, 1, 1))


@dataclasses.dataclass
class Counting:
    """A source that notes what is read of it."""

    inner: ExamSource
    read: list[str] = dataclasses.field(default_factory=list)
    columns: set[str] = dataclasses.field(default_factory=set)

    def exams(self) -> pl.DataFrame:
        return self.inner.exams()

    def scores(self, exam_id: str, *, columns: Sequence[str] | None = None) -> ScoreTable:
        self.read.append(exam_id)
        found = self.inner.scores(exam_id)
        if columns is None:
            return found
        self.columns |= set(columns)
        return dataclasses.replace(found, frame=found.frame.select(columns))

    def registers(self) -> Registers | None:
        return self.inner.registers()


def test_only_the_exams_and_columns_needed_are_read() -> None:
    autumn = exam(2024, rows_of(A=[1, 2], B=[3, 4]), id="autumn", term=1, date=dt.date(2024, 11, 10))
    source = Counting(sources_from_scores([*TWO_YEARS, autumn]))
    found = collect_series(source, measures=["z_mean"])
    assert set(source.read) == {"2023-2-g9", "2024-2-g9"}
    assert source.columns == {"school_id", "year_group", "track", "math", "math_status"}
    assert found.left_out.filter(exam_id="autumn").row(0)[4:] == (False, "other_term")


SCHOOLS = ["A", "B", "C"]
FOUR = [exam(year, rows_of(A=[40, 60], B=[60, 80], C=[50, 70])) for year in (2021, 2022, 2023, 2024)]


def test_a_merger_begins_a_new_segment_on_its_day() -> None:
    def segments(day: dt.date, unit: str = "A", **wanted: Any) -> list[int]:
        known = registers(SCHOOLS, [(day, "merge", ["A", "B"], ["A"])])
        return values(collect_series(sources_from_scores(FOUR, known), measures=["z_mean"], **wanted).frame, "segment", unit=unit)

    assert segments(dt.date(2023, 9, 1)) == [1, 1, 2, 2]
    assert segments(dt.date(2024, 6, 15)) == [1, 1, 2, 2]
    assert segments(dt.date(2024, 6, 16)) == [1, 1, 1, 2]
    assert segments(dt.date(2012, 9, 1)) == [1, 1, 1, 1]
    assert segments(dt.date(2024, 6, 15), as_of=dt.date(2024, 6, 14)) == [1, 1]
    assert segments(dt.date(2023, 9, 1), unit="C") == [1, 1, 1, 1]


def test_a_school_that_is_no_more_has_no_number_afterwards_and_no_rank() -> None:
    known = registers(SCHOOLS, [(dt.date(2023, 9, 1), "merge", ["A", "B"], ["A"])])
    found = collect_series(sources_from_scores(FOUR, known), measures=["z_mean"]).frame.filter(period="2023-2024")
    assert found.filter(unit="B").select("estimate", "sd", "std_error", "rank", "reason").row(0) == (
        None, None, None, None, "school_ended",
    )  # fmt: skip
    assert found["n_units"].to_list() == [2, 2, 2]


def test_a_school_renamed_to_another_id_is_one_series() -> None:
    renamed = [*FOUR[:2], *(exam(year, rows_of(D=[40, 60], B=[60, 80], C=[50, 70])) for year in (2023, 2024))]
    known = registers([*SCHOOLS, "D"], [(dt.date(2023, 9, 1), "rename", ["A"], ["D"])])
    found = collect_series(sources_from_scores(renamed, known), measures=["z_mean"]).frame
    assert values(found, "period", unit="D") == ["2021-2022", "2022-2023", "2023-2024", "2024-2025"]
    assert values(found, "segment", unit="D") == [1, 1, 1, 1]
    assert found.filter(unit="A").is_empty()


def test_new_papers_are_noted_and_break_only_when_asked() -> None:
    both = [{"school_id": school, "math": a, "english": b} for school, a, b in (("A", 40, 50), ("A", 60, 80), ("B", 70, 20))]
    exams = [
        exam(2022, both, full={"math": 100, "english": 100}),
        exam(2023, both, full={"math": 120, "english": 100}),
        exam(2024, [one | {"physics": one["english"]} for one in both], full={"math": 120, "english": 100, "physics": 100}),
    ]
    source = sources_from_scores(exams)
    found = collect_series(source, measures=["composite_z", "z_mean"])
    assert found.notes.rows() == [
        ("G9", "2023-2024", "2023-2-g9", "math", "max_score_changed", "100", "120"),
        ("G9", "2024-2025", "2024-2-g9", "composite", "papers_changed", "english+math", "english+math+physics"),
    ]
    assert set(found.frame["segment"]) == {1}
    broken = collect_series(source, measures=["composite_z", "z_mean"], new_papers="breaks").frame
    assert values(broken, "segment", unit="A", subject="math") == [1, 2, 2]
    assert values(broken, "segment", unit="A", subject="english") == [1, 1, 1]
    assert values(broken, "segment", unit="A", subject="composite") == [1, 2, 3]
    assert found.papers.filter(exam_id="2024-2-g9")["paper"].to_list() == ["english", "math", "physics"]


def test_a_group_that_cannot_be_compared_has_null_and_its_reason() -> None:
    change = {"deviations": [{"schools": ["B"], "change": {"papers": ["math"], "marking": "school", "reason": "自行阅卷"}}]}
    exams = [FOUR[2], exam(2024, rows_of(A=[40, 60], B=[60, 80], C=[50, 70]), more=change)]
    found = collect_series(sources_from_scores(exams), measures=["z_mean"])
    assert found.frame.filter(unit="B", period="2024-2025").select("estimate", "rank", "reason").row(0) == (
        None, None, "marking_not_shared",
    )  # fmt: skip
    assert found.frame.filter(period="2024-2025")["n_units"].to_list() == [2, 0, 2]
    nobody = {"attest": {"pace": "no"}}
    none = collect_series(
        sources_from_scores([FOUR[2], exam(2024, rows_of(A=[1, 2], B=[3, 4]), more=nobody)]), measures=["z_mean"]
    )
    assert none.left_out["reason"].to_list() == [None, "not_comparable"]
    assert none.frame.filter(period="2024-2025")["reason"].to_list() == ["pace_not_shared"] * 2


def test_a_unit_in_several_combinations_is_given_for_the_largest() -> None:
    def candidates(school: str, paper: str, scores: Sequence[float]) -> list[dict[str, Any]]:
        other = "history" if paper == "physics" else "physics"
        return [{"school_id": school, "math": score, paper: score, other: "not_chosen"} for score in scores]

    rows = [
        *candidates("A", "physics", [50, 60, 70]),
        *candidates("A", "history", [40, 80]),
        *candidates("B", "physics", [80, 90]),
        *candidates("B", "history", [30, 50, 90]),
    ]
    full = dict.fromkeys(("math", "physics", "history"), 100.0)
    found = collect_series(sources_from_scores([exam(2024, rows, full=full)])).frame
    groups = dict(zip(found["unit"], found["comparison_group"], strict=True))
    assert groups["A"] != groups["B"]
    assert found["n_expected"].to_list() == [3, 3]
    assert found["n_elsewhere"].to_list() == [2, 2]
    assert found["n_units"].to_list() == [1, 1]


def test_teachers_are_pooled_over_classes_and_year_groups() -> None:
    def class_rows(name: str, scores: Sequence[float]) -> list[dict[str, Any]]:
        return [{"school_id": "A", "class_id": name, "math": score} for score in scores]

    exams = [
        exam(2024, [*class_rows("1", [40, 60]), *class_rows("2", [60, 80])], year_group="G9"),
        exam(2024, [*class_rows("1", [10, 30, 50]), *class_rows("3", [70, 90])], year_group="G8"),
    ]
    teachers = [
        ("T1", None, "A", "1", "math", "2024-2025", 2, 1.0),
        ("T2", None, "A", "2", "math", None, None, 1.0),
        ("T2", None, "A", "3", "math", None, None, 1.0),
        ("T3", None, "A", "2", "math", "2023-2024", 2, 1.0),
    ]
    source = sources_from_scores(exams, registers(["A"], teachers=teachers))
    found = collect_series(source, unit_type="teacher", measures=["z_mean", "pass_rate"], year_groups=["G8", "G9"]).frame
    z = found.filter(measure="z_mean")
    # G9: mean 60, SD √200; G8: mean 50, SD √800
    first = [-20 / math.sqrt(200), 0.0, -40 / math.sqrt(800), -20 / math.sqrt(800), 0.0]
    mean = sum(first) / 5
    sd = math.sqrt(sum((value - mean) ** 2 for value in first) / 4)
    assert z["unit"].to_list() == ["T1", "T2"]
    assert z.select("n", "estimate", "sd", "std_error").row(0) == pytest.approx((5, mean, sd, sd / math.sqrt(5)))
    assert z.select("year_group", "comparison_group", "exam_id", "rank", "n_units").row(0) == (
        None, "2024-2025.math.junior", "2024-2-g8+2024-2-g9", 2, 2,
    )  # fmt: skip
    rate = found.filter(measure="pass_rate", unit="T1")
    assert rate.select("estimate", "sd").row(0) == pytest.approx((1 / 5, math.sqrt(1 / 5 * 4 / 5)))
    with pytest.raises(UsageError, match="teachers_missing"):
        collect_series(sources_from_scores(exams), unit_type="teacher", measures=["z_mean"], year_groups=["G9"])
    with pytest.raises(UsageError, match="series_measure"):
        collect_series(source, unit_type="teacher")


def test_classes_and_the_area() -> None:
    rows = [{"school_id": s, "class_id": c, "math": x} for s, c, x in (("A", "1", 40), ("A", "2", 60), ("B", "1", 80))]
    source = sources_from_scores([exam(2024, rows)])
    assert collect_series(source, unit_type="class", measures=["z_mean"]).frame["unit"].to_list() == ["A/1", "A/2", "B/1"]
    area = collect_series(source, unit_type="area", measures=["mean_score"]).frame
    assert area.select("unit", "n", "estimate").rows() == [("all", 3, pytest.approx(60.0))]


def test_rows_in_another_order_give_the_same_series() -> None:
    shuffled = [dataclasses.replace(table, frame=table.frame.reverse()) for table in reversed(FOUR)]
    first, second = (collect_series(sources_from_scores(tables), measures=["z_mean"]) for tables in (FOUR, shuffled))
    assert first.frame.equals(second.frame)
    assert first.left_out.equals(second.left_out)


def test_what_there_is_no_series_of_stops() -> None:
    source = sources_from_scores(TWO_YEARS)
    with pytest.raises(NotAssessableError, match="series_no_values"):
        collect_series(source)
    with pytest.raises(UsageError, match="series_unit"):
        collect_series(source, unit_type="sex")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="measure_unknown"):
        collect_series(source, measures=["happiness"])
    with pytest.raises(SettingsError, match="exam_id_twice"):
        sources_from_scores([TWO_YEARS[0], TWO_YEARS[0]])


SAMPLE = sample_data_path()


@cache
def sample_exam(name: str) -> ScoreTable:
    return eq.read_scores(SAMPLE / name)


@cache
def sample_source() -> ExamSource:
    names = [f"{year}-2-g9-final" for year in range(2021, 2026)]
    return sources_from_scores([sample_exam(name) for name in names], read_registers(SAMPLE / "registers"))


def test_values_are_those_of_describe() -> None:
    found = collect_series(sample_source(), measures=["composite_z", "z_mean", "pass_rate"], year_groups=["G9"]).frame
    known = sample_source().registers()
    assert known is not None
    for name in ("2022-2-g9-final", "2025-2-g9-final"):
        described = eq.describe(apply_registers(sample_exam(name), known)).frame
        both = found.filter(exam_id=name).join(
            described, on=["unit", "comparison_group", "subject", "measure"], suffix="_described"
        )
        assert both.height == found.filter(exam_id=name).height == 40 * 15
        for column in ("estimate", "n", "n_expected", "reason"):
            assert both[column].eq_missing(both[f"{column}_described"]).all(), column


def test_the_falling_school_of_the_sample_falls() -> None:
    found = collect_series(sample_source()).frame
    falling = values(found, "estimate", unit="S003")
    assert len(falling) == 5
    assert falling == sorted(falling, reverse=True)
    assert falling[0] - falling[-1] > 1
    small = found.filter(period="2025-2026", reason="marking_not_shared")
    assert small.height == 1
    assert found.filter(period="2025-2026")["n_units"].max() == 39
    assert values(found, "segment", unit="S001") == [1] * 5


def test_rows_of_another_year_group_and_exams_without_papers_give_no_values() -> None:
    mixed = [row | {"year_group": "G9"} for row in rows_of(A=[40, 60], B=[60, 80])]
    mixed += [row | {"year_group": "G8"} for row in rows_of(A=[1, 2], B=[3, 4])]
    bare = exam(2023, rows_of(A=[1, 2]))
    bare = dataclasses.replace(bare, exam=bare.exam.model_copy(update={"papers": ()}))
    found = collect_series(sources_from_scores([exam(2024, mixed), bare]), measures=["mean_score"])
    assert found.frame.select("unit", "year_group", "n", "estimate").rows() == [("A", "G9", 2, 50.0), ("B", "G9", 2, 70.0)]
    assert found.left_out.select("used", "reason").rows() == [(False, "no_values"), (True, None)]
