"""tables.xlsx: whole, typed, safe, the same bytes again."""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path

import polars as pl
import pytest
from python_calamine import CalamineWorkbook
from tests.unit.bulletins.fixture import make_publishable

from eduq.bulletins import write_workbook
from eduq.disclosure import Publishable


def _sheet(path: Path, name: str) -> list[list[object]]:
    return CalamineWorkbook.from_path(str(path)).get_sheet_by_name(name).to_python()


@pytest.fixture(scope="module")
def book(county: Publishable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("book") / "tables.xlsx"
    write_workbook(county, "zh", path)
    return path


def test_sheets_follow_the_unit_types(book: Path) -> None:
    assert CalamineWorkbook.from_path(str(book)).sheet_names == [
        "总体",
        "乡镇",
        "城乡",
        "学校",
        "性别",
        "分数段",
        "数据质量",
        "口径",
    ]


def test_numbers_are_numbers_and_equal_the_estimates(book: Path, county: Publishable) -> None:
    head, *rows = _sheet(book, "学校")
    school = county.estimates.filter(pl.col("unit_type") == "school")
    assert len(rows) == school.select("unit", "comparison_group", "paper").n_unique()
    wanted = school.filter((pl.col("unit") == "S003") & (pl.col("paper") == "math"))
    found = next(row for row in rows if row[head.index("编码")] == "S003" and row[head.index("学科")] == "数学")
    for measure, name in (("pass_rate", "及格率"), ("mean_score", "平均分"), ("z_mean", "平均标准分（标准化差距）")):
        item = wanted.filter(pl.col("measure") == measure)
        assert found[head.index(name)] == pytest.approx(item["estimate"].item(), abs=1e-6)
        assert found[head.index(f"{name} 下限")] == pytest.approx(item["ci_lower"].item(), abs=1e-6)
    assert isinstance(found[head.index("应考")], float)


def test_a_missing_number_is_empty_and_its_reason_stands_in_the_row(book: Path) -> None:
    head, *rows = _sheet(book, "学校")
    barred = next(row for row in rows if row[head.index("编码")] == "S024" and row[head.index("学科")] == "综合")
    assert barred[head.index("综合标准分")] == ""
    assert barred[head.index("缺值原因")] == "未统一阅卷，分数尺度不同"


def test_tables_are_never_cut(province: Publishable, tmp_path: Path) -> None:
    path = tmp_path / "tables.xlsx"
    write_workbook(province, "zh", path)
    school = province.estimates.filter(pl.col("unit_type") == "school")
    assert len(_sheet(path, "学校")) - 1 == school.select("unit", "comparison_group", "paper").n_unique() == 150 * 6


def test_texts_stay_texts(county: Publishable, tmp_path: Path) -> None:
    path = tmp_path / "tables.xlsx"
    hostile = '=HYPERLINK("http://x","<b>&")\x07'
    units = county.units.with_columns(
        pl.when(pl.col("unit") == "S001").then(pl.lit(hostile)).otherwise(pl.col("name")).alias("name")
    )
    write_workbook(dataclasses.replace(county, units=units), "zh", path)
    head, *rows = _sheet(path, "学校")
    assert rows[0][head.index("单位")] == hostile.rstrip("\x07")
    with zipfile.ZipFile(path) as archive:
        sheets = "".join(archive.read(name).decode() for name in archive.namelist() if "worksheets/sheet" in name)
    assert "<f>" not in sheets
    assert "<hyperlink" not in sheets


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.xlsx" for number in range(2)]
    for path in paths:
        write_workbook(make_publishable(schools=6), "en", path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert sorted(found.name for found in tmp_path.iterdir()) == ["0.xlsx", "1.xlsx"]


def test_heads_are_frozen_and_filtered(book: Path) -> None:
    with zipfile.ZipFile(book) as archive:
        for name in archive.namelist():
            if "worksheets/sheet" in name:
                sheet = archive.read(name).decode()
                assert 'state="frozen"' in sheet
                assert "<autoFilter" in sheet
        styles = archive.read("xl/styles.xml").decode()
    assert "0.0%" in styles
