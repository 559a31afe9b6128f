from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.intake.tables import exam_file, found, read_rows, write_csv, write_xlsx

from eduq.errors import DataFileError, SettingsError
from eduq.intake import read_scores
from eduq.intake.headers import find_header
from eduq.intake.synonyms import Meaning, normalise_header, vocabulary


@pytest.mark.parametrize(
    ("written", "plain", "mark"),
    [
        ("数学(120分)", "数学", 120.0),
        ("数学（满分：１５０）", "数学", 150.0),
        ("语文 (100)", "语文", 100.0),
        ("体育(37.5分)", "体育", 37.5),
        ("！级名", "级名", None),
        ("*学 校\n名　称：", "学校名称", None),
        ("及格率(%)", "及格率", None),
        ("17(1)", "17(1)", None),
        ("总分(物理)", "总分(物理)", None),
        ("\ufeffExam_No", "exam_no", None),
    ],
)
def test_headers_are_normalised(written: str, plain: str, mark: float | None) -> None:
    assert normalise_header(written) == (plain, mark)


@pytest.mark.parametrize(
    ("written", "meaning"),
    [
        ("准考证号", Meaning("field", "exam_no")),
        ("学籍号", Meaning("field", "student_uid")),
        ("行政班", Meaning("field", "admin_class")),
        ("语文成绩", Meaning("score", "chinese")),
        ("总分_校次", Meaning("metric", "school_rank", "total")),
        ("物理赋分", Meaning("scaled", "physics")),
        ("物理(赋分)", Meaning("scaled", "physics")),
        ("物理原始分", Meaning("score", "physics")),
        ("道德与法治-得分", Meaning("score", "politics")),
        ("数学班次", Meaning("metric", "class_rank", "math")),
        ("数学教学班", Meaning("class", "math")),
        ("语文教师", Meaning("field", "teacher", "chinese")),
        ("方向全体名次", Meaning("metric", "joint_rank")),
        ("方向鄂城区名次", Meaning("metric", "rank")),
        ("名次", Meaning("metric", "rank")),
        ("得分", Meaning("bare_score", "score")),
        ("平均分", Meaning("group", "mean")),
        ("语文老师满意度", None),
        ("地区", Meaning("field", "city")),
        ("生日", Meaning("field", "birth_date")),
        ("", None),
    ],
)
def test_headers_are_recognised_exactly_never_by_substring(written: str, meaning: Meaning | None) -> None:
    assert vocabulary().recognise(written) == meaning


TWO_ROWS = (
    ("期末成绩汇总-2025年秋季", None, None, None, None, None, None, None, None),
    ("准考证号", "班级", "姓名", "学校", "总分", None, "语文", None, "数学(120分)"),
    (None, None, None, None, "得分", "校次", "得分", "班次", "得分"),
    ("0001", "1班", "甲", "一中", 190, "1", 100, "1", 90),
    ("0002", "1班", "乙", "一中", 170, "2", "缺考", "", 80),
)
MERGED = ("A1:I1", "A2:A3", "B2:B3", "C2:C3", "D2:D3", "E2:F2", "G2:H2")


@pytest.mark.parametrize("merged", [MERGED, ()])
def test_two_row_header_below_a_title(tmp_path: Path, merged: tuple[str, ...]) -> None:
    rows = [list(row) for row in TWO_ROWS]
    table = read_scores(write_xlsx(tmp_path / "scores.xlsx", {"成绩": rows}, merged=merged))
    assert table.frame.select("candidate_id", "class_id", "chinese", "chinese_status", "math", "row_no").rows() == [
        ("0001", "1班", 10000, "present", 9000, 4),
        ("0002", "1班", None, "absent", 8000, 5),
    ]
    assert table.papers[1].max_score == 120
    assert table.exam.exam.name == "期末成绩汇总-2025年秋季"
    assert "total" not in table.frame.columns
    assert {line["column"] for line in found(table, "dropped_rank")} == {"总分/校次", "语文/班次"}
    assert found(table, "total_mismatch")[0]["row"] == 5


def test_merged_ranges_decide_where_blanks_alone_would_mislead(tmp_path: Path) -> None:
    rows = (
        ("考号", "学校", "语文", None, None),
        (None, None, "得分", "校次", "得分"),
        ("1", "一中", 100, 1, 55),
    )
    with pytest.raises(DataFileError) as caught:
        read_scores(write_xlsx(tmp_path / "scores.xlsx", {"成绩": rows}, merged=("A1:A2", "B1:B2", "C1:D1")))
    assert caught.value.code == "unknown_column"
    assert caught.value.place.column is None or caught.value.place.column == "得分"
    assert '"得分" = "?"' in str(caught.value)


def test_three_row_header(tmp_path: Path) -> None:
    rows = (
        ("基本信息", None, "各科成绩", None, None, None),
        ("考号", "学校", "语文", None, "物理", None),
        (None, None, "分数", "全体名次", "原始分", "赋分"),
        ("1", "一中", 100, 1, 55, 70),
        ("2", "一中", 90, 2, 50.5, 67),
    )
    merged = ("A1:B1", "C1:F1", "A2:A3", "B2:B3", "C2:D2", "E2:F2")
    table = read_scores(write_xlsx(tmp_path / "scores.xlsx", {"成绩": rows}, merged=merged))
    assert table.frame.select("chinese", "physics", "physics_scaled").rows() == [(10000, 5500, 7000), (9000, 5050, 6700)]
    assert table.frame.columns[-5:] == ["chinese", "chinese_status", "physics", "physics_status", "physics_scaled"]


def test_scores_grouped_by_metric_over_subject() -> None:
    cells = [
        ["考号", "学校", "原始分", "", "班次", ""],
        ["", "", "语文", "数学", "语文", "数学"],
        ["1", "一中", "1", "2", "3", "4"],
    ]
    header = find_header(cells, [(0, 2, 0, 3), (0, 4, 0, 5)])
    assert header is not None
    assert [column.meaning for column in header.columns[2:]] == [
        Meaning("score", "chinese"),
        Meaning("score", "math"),
        Meaning("metric", "class_rank", "chinese"),
        Meaning("metric", "class_rank", "math"),
    ]


def test_header_below_fifteen_title_rows(tmp_path: Path) -> None:
    titles = [(f"说明第{n}条", "", "") for n in range(15)]
    table = read_scores(write_csv(tmp_path / "scores.csv", [*titles, ("考号", "学校", "数学"), ("1", "一中", "50")]))
    assert table.frame.item(0, "row_no") == 17


def test_quoted_header_cells_may_hold_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text('"准考\n证号","学校\n名称",数学\n1,"一\n中",50\n2,二中,60\n', encoding="utf-8")
    table = read_scores(path)
    assert table.frame.select("candidate_id", "math", "row_no").rows() == [("1", 5000, 2), ("2", 6000, 3)]


def test_unknown_number_column_is_asked_for_with_the_line_to_add(tmp_path: Path) -> None:
    rows = [("考号", "学校", "数学", "语闻"), ("1", "一中", "50", "60"), ("2", "一中", "51", "缺考")]
    with pytest.raises(DataFileError) as caught:
        read_rows(tmp_path, rows)
    assert caught.value.code == "unknown_column"
    assert '[columns]\n"语闻" = "chinese"' in caught.value.advice("zh")
    assert "语文" in caught.value.message("zh")
    table = read_rows(tmp_path, rows, columns={"语闻": "chinese"})
    assert table.frame.get_column("chinese_status").to_list() == ["present", "absent"]


def test_columns_of_exam_toml_come_first(tmp_path: Path) -> None:
    rows = [("编号", "学校", "成绩", "语文", "随迁", "备考"), ("7", "一中", "50", "60", "是", "x")]
    keys = {"编号": "exam_no", "成绩": "math", "语文": "ignore", "随迁": "sub_migrant"}
    table = read_rows(tmp_path, rows, columns=keys)
    line = table.frame.row(0, named=True)
    assert (line["candidate_id"], line["math"], line["sub_migrant"]) == ("7", 5000, "是")
    assert "chinese" not in line
    assert [one["column"] for one in found(table, "ignored_by_setting")] == ["语文"]


def test_a_second_version_is_a_paper_of_its_own(tmp_path: Path) -> None:
    rows = [("考号", "学校", "数学", "数学B卷"), ("1", "一中", "50", "未选")]
    papers = [{"code": "math"}, {"code": "math_b", "subject": "math"}]
    table = read_rows(tmp_path, rows, columns={"数学B卷": "math_b"}, papers=papers)
    assert [paper.code for paper in table.papers] == ["math", "math_b"]
    assert table.frame.item(0, "math_b_status") == "not_chosen"


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"columns": {"数学": "mathh"}}, "columns_value_unknown"),
        ({"columns": {"数学": "math", "数 学": "ignore"}}, "columns_key_twice"),
        ({"columns": {"物里": "physics"}}, "columns_key_unused"),
        ({"papers": [{"code": "track"}]}, "paper_code_taken"),
        ({"papers": [{"code": "math_status"}]}, "paper_code_taken"),
    ],
)
def test_settings_that_name_nothing_stop(tmp_path: Path, keys: dict[str, object], code: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_rows(tmp_path, [("考号", "学校", "数学"), ("1", "一中", "50")], **keys)
    assert caught.value.code == code
    assert caught.value.advice("en")
    assert caught.value.message("zh")


def test_a_stated_paper_needs_a_column(tmp_path: Path) -> None:
    with pytest.raises(DataFileError) as caught:
        read_rows(tmp_path, [("考号", "学校", "数学"), ("1", "一中", "50")], papers=[{"code": "physics"}])
    assert caught.value.code == "paper_without_column"


def test_full_marks_must_agree(tmp_path: Path) -> None:
    rows = [("考号", "学校", "数学(120分)"), ("1", "一中", "50")]
    with pytest.raises(DataFileError) as caught:
        read_rows(tmp_path, rows, papers=[{"code": "math", "max_score": 150}])
    assert caught.value.code == "max_score_contradiction"
    one = write_csv(tmp_path / "a.csv", rows)
    other = write_csv(tmp_path / "b.csv", [("考号", "学校", "数学(100)"), ("2", "二中", "50")])
    with pytest.raises(DataFileError) as between:
        read_scores([one, other], exam_file())
    assert between.value.code == "max_score_contradiction"


def test_private_and_unneeded_columns_never_reach_the_frame(tmp_path: Path) -> None:
    rows = [
        ("考号", "姓名", "身份证号", "出生日期", "民族", "学校", "考场", "备注", "兴趣", "数学", "数学等级", "客观分", "级名"),
        ("1", "某某某", "110101200001010011", "2010-01-01", "汉", "一中", "3", "随笔", "篮球", "50", "A", "20", "7"),
    ]
    table = read_rows(tmp_path, rows)
    assert set(table.frame.columns) & {"name", "id_card", "birth_date", "ethnicity"} == set()
    everything = " ".join(str(cell) for row in table.frame.rows() for cell in row)
    for secret in ("某某某", "110101200001010011", "2010-01-01", "汉", "随笔", "篮球"):
        assert secret not in everything
        assert secret not in str(table.checks.rows())
    dropped = {line["column"]: line["code"] for line in table.checks.iter_rows(named=True) if line["code"].startswith("dropped")}
    assert dropped == {
        "姓名": "dropped_private",
        "身份证号": "dropped_private",
        "出生日期": "dropped_private",
        "民族": "dropped_private",
        "考场": "dropped_field",
        "备注": "dropped_field",
        "兴趣": "dropped_unknown_text",
        "数学等级": "dropped_level",
        "客观分": "dropped_part",
        "级名": "dropped_rank",
    }


def test_identical_columns_are_kept_once_and_the_better_id_is_used(tmp_path: Path) -> None:
    rows = [
        ("准考证号", "自定义考号", "学校", "数学", "数学成绩"),
        ("1", "x1", "一中", "50", "50"),
        ("2", "", "一中", "51", "51"),
    ]
    table = read_rows(tmp_path, rows)
    assert table.frame.get_column("candidate_id").to_list() == ["1", "2"]
    assert {line["column"] for line in found(table, "dropped_second_column")} == {"自定义考号", "数学成绩"}


def test_year_column_of_numbers_is_a_rank(tmp_path: Path) -> None:
    ranks = read_rows(tmp_path, [("考号", "学校", "数学", "年级"), ("1", "一中", "50", "7")])
    assert ranks.frame.item(0, "year_group") is None
    assert [line["column"] for line in found(ranks, "dropped_rank")] == ["年级"]
    years = read_rows(tmp_path, [("考号", "学校", "数学", "年级"), ("1", "一中", "50", "九年级")])
    assert years.frame.item(0, "year_group") == "G9"


def test_a_deeper_header_is_named_in_columns_by_its_rows_joined(tmp_path: Path) -> None:
    rows = [("考号", "学校", "语文", ""), ("", "", "得分", "甲卷"), ("1", "一中", "50", "20"), ("2", "一中", "51", "21")]
    with pytest.raises(DataFileError) as caught:
        read_rows(tmp_path, rows)
    assert '"甲卷" = ' in caught.value.advice()
    rows[0] = ("考号", "学校", "语文", "附加")
    with pytest.raises(DataFileError) as joined:
        read_rows(tmp_path, rows)
    assert '"附加/甲卷" = ' in joined.value.advice()
    table = read_rows(tmp_path, rows, columns={"附加/甲卷": "extra"}, papers=[{"code": "extra"}])
    assert table.frame.get_column("extra").to_list() == [2000, 2100]
