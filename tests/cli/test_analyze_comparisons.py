"""`eduq analyze` with its comparison: files, figures, declared values, pictures, and an archive's pooled years and pairs."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import eduq as eq
from eduq.errors import NotAssessableError, SettingsError
from eduq.resources import sample_data_path

ATTEST = '{ pace = "yes", paper = "yes", sitting = "yes", marking = "yes" }'
SIZES = {"甲校": 60, "乙校": 50, "丙校": 45, "丁校": 40, "戊校": 14, "己校": 6}
DECLARED = '[[reference]]\nmeasure = "mean_score"\nsubject = "math"\nvalue = 70\nsource = "全省公报"\n'


def write_exam(folder: Path, year: int, *, seed: int) -> Path:
    """Write an exam of two papers, its exam.toml beside it."""
    draw = np.random.default_rng(seed)
    lines = ["考号,姓名,学校,语文,数学"]
    for place, (school, size) in enumerate(SIZES.items()):
        able = draw.normal(0.4 - 0.2 * place, 1, size)
        for number, value in enumerate(able):
            marks = [round(float(np.clip(60 + 12 * value + 6 * draw.normal(), 0, 100))) for _ in range(2)]
            lines.append(f"{place}{year}{number:04d},丑测试{number},{school},{marks[0]},{marks[1]}")
    folder.mkdir()
    (folder / "成绩.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    papers = "".join(
        f'[[papers]]\ncode = "{code}"\nsubject = "{code}"\nmax_score = 100\nmarking = "central"\n' for code in ("chinese", "math")
    )
    facts = f'id = "{year}-2-g9"\nschool_year = "{year}-{year + 1}"\nterm = 2\nyear_group = "G9"\nscope = "county"\n'
    facts += 'purpose = "graduation"\n'
    day = dt.date(year + 1, 6, 3).isoformat()
    (folder / "exam.toml").write_text(f"schema = 1\nattest = {ATTEST}\n[exam]\n{facts}date = {day}\n{papers}", encoding="utf-8")
    return folder


def write_registers(folder: Path) -> Path:
    folder.mkdir()
    rows = [
        f"{name},{name},,,片区一,{('urban', 'rural')[place % 2]},junior,public,,no,{f'P{place // 2}' if place < 4 else ''},,"
        for place, name in enumerate(SIZES)
    ]
    head = "school_id,name,aliases,township,cluster,area_type,stage,kind,enrolment,small_school,pair_id,valid_from,valid_to"
    (folder / "schools.csv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return folder


def test_the_run_writes_the_comparison_and_shows_it(tmp_path: Path) -> None:
    (tmp_path / "references.toml").write_text(DECLARED, encoding="utf-8")
    exam = write_exam(tmp_path / "exam", 2025, seed=1)
    found = eq.analyze(exam, references=tmp_path / "references.toml")
    assert found.comparisons is not None
    written = [path.name for path in found.write(tmp_path / "out")]
    assert "comparisons.parquet" in written
    frame = pl.read_parquet(tmp_path / "out" / "results" / "comparisons.parquet")
    assert set(frame["peer_group"]) == {"all", "reference"}
    # one school of six is small: excellent rates of four are withheld, too few are left to set beside each other
    assert set(frame["measure"]) == {"composite_z", "z_mean", "pass_rate", "mean_score"}
    assert frame.filter(unit="己校")["estimate"].is_null().all()
    page = (tmp_path / "out" / "bulletin.html").read_text(encoding="utf-8")
    assert "比较的把握程度" in page
    assert "全省公报" in page
    assert "丑测试" not in page
    for kind in ("caterpillar", "funnel"):
        drawn = str(found.plot(kind).as_dict())  # type: ignore[arg-type]
        assert "甲校" in drawn
        assert "己校" not in drawn
    assert "comparisons in all" in found._repr_html_()


def test_an_archive_pools_small_schools_and_follows_pairs(tmp_path: Path) -> None:
    registers = write_registers(tmp_path / "registers")
    exams = [write_exam(tmp_path / f"e{year}", year, seed=year) for year in (2022, 2023, 2024, 2025)]
    from eduq.archive import create_archive
    from eduq.registers import read_registers

    archive = create_archive(tmp_path / "archive", key_file=tmp_path / "key")
    for exam in exams:
        archive.add(eq.read_scores(exam), registers=read_registers(registers))
    found = eq.analyze("2025-2-g9", archive=archive)
    assert found.comparisons is not None
    pooled = found.comparisons.frame.filter(pl.col("periods") > 1)
    # six candidates a year are never told, eighteen of three years are
    assert pooled.select("unit", "periods", "n").unique().sort("n").rows() == [("己校", 3, 18), ("戊校", 3, 42)]
    of_exam = found.comparisons.frame.filter(pl.col("unit") == "己校", pl.col("periods") == 1)
    assert of_exam["estimate"].is_null().all()
    # eighteen are still too few for a place in the order
    assert pooled.select("unit", pl.col("rank").is_not_null()).unique().sort("rank").rows() == [("己校", False), ("戊校", True)]
    names = {path.name for path in found.write(tmp_path / "out")}
    assert "comparisons.parquet" in names
    assert found.comparisons.pairs is not None
    assert found.comparisons.pairs.pairs is not None
    course = found.comparisons.pairs.pairs.course
    assert course["pair_id"].to_list() == ["P0", "P1"]
    assert set(course["change"]) == {"slope"}
    # with six schools the smallest could be worked out from the others: those withheld for its sake are in no pair shown
    shown = found.publishable.comparisons
    assert shown is not None
    held = set(shown.frame.filter(reason="secondary")["unit"])
    assert held
    told = pl.DataFrame() if shown.pairs is None or shown.pairs.pairs is None else shown.pairs.pairs.frame
    assert told.is_empty() or not held & {*told["unit"], *told["partner"]}
    page = (tmp_path / "out" / "bulletin.html").read_text(encoding="utf-8")
    assert "用最近几年同年级、同学期的数据合并比较" in page


def test_a_declared_value_of_an_unknown_measure_stops(tmp_path: Path) -> None:
    path = tmp_path / "references.toml"
    path.write_text(DECLARED.replace("mean_score", "happiness"), encoding="utf-8")
    with pytest.raises(SettingsError) as error:
        eq.analyze(write_exam(tmp_path / "exam", 2025, seed=1), references=path)
    assert error.value.code == "analyze_reference_measure"


def test_a_single_school_has_no_picture(tmp_path: Path) -> None:
    source = write_exam(tmp_path / "exam", 2025, seed=1)
    lines = (source / "成绩.csv").read_text(encoding="utf-8").splitlines()
    (source / "成绩.csv").write_text(
        "\n".join(line for line in lines if "甲校" in line or "考号" in line) + "\n", encoding="utf-8"
    )
    found = eq.analyze(source)
    assert found.comparisons is None
    with pytest.raises(NotAssessableError, match="compare_nothing_comparable"):
        found.plot()
    assert not (tmp_path / "out").exists()
    assert "comparisons.parquet" not in {path.name for path in found.write(tmp_path / "out")}


def test_the_sample_county_is_compared_with_similar_schools() -> None:
    found = eq.analyze(sample_data_path() / "2025-2-g9-final", registers=sample_data_path() / "registers")
    assert found.comparisons is not None
    groups = set(found.comparisons.frame["peer_group"])
    assert groups == {"all", "area_type=urban", "area_type=town", "area_type=rural"}


def test_declared_values_that_fit_no_paper_stop_the_run(tmp_path: Path) -> None:
    (tmp_path / "references.toml").write_text(DECLARED.replace('"math"', '"physics"'), encoding="utf-8")
    exam = write_exam(tmp_path / "exam", 2025, seed=1)
    with pytest.raises(SettingsError) as stopped:
        eq.analyze(exam, references=tmp_path / "references.toml")
    assert stopped.value.code == "analyze_reference_unused"
    assert "math" in stopped.value.advice("zh")
