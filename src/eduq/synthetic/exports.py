"""The sample's exams as files: by hand in three clusters' ways, or from a database.

城区: a workbook with two title rows, a two-row merged header, ranks, a total column, an average row and a note.
清河: a GB18030 CSV whose headers carry the full mark and whose absences are ``-``.
石桥: a UTF-8 CSV with byte order mark, school names (one of them short), and a few rows as they should not be.
Older exams: one parquet file of the whole county.
"""

from __future__ import annotations

import datetime as dt
from io import BytesIO

import polars as pl

from eduq.intake.exam_file import ExamFile
from eduq.synthetic.county import CLUSTERS, COUNTY

__all__ = ["EXCEL_ROWS", "database_file", "human_files"]

EXCEL_ROWS = 20_000
"""A cluster with more rows is written as CSV in the workbook's place: a spreadsheet of it would take minutes."""
IDENTITY = ("准考证号", "学籍号", "姓名", "学校代码", "学校", "班级", "性别")
CREATED_AFTER = dt.timedelta(days=4)
BAD_ROWS_FROM = 60
"""A third file of fewer rows gets no bad rows."""


def human_files(
    facts: ExamFile, frame: pl.DataFrame, clusters: pl.Series, schools: pl.DataFrame
) -> tuple[dict[str, bytes], dict[str, int]]:
    """Return an exam's score files by name, and how many of their rows are to be rejected, by code.

    Parameters
    ----------
    facts
        The exam.
    frame
        Its candidates in human form.
    clusters
        Cluster of each row.
    schools
        The register of schools, for short names.
    """
    urban, second, third = (frame.filter(clusters == number) for number in range(len(CLUSTERS)))
    files: dict[str, bytes] = {}
    rejected: dict[str, int] = {}
    if urban.height > EXCEL_ROWS:
        files[f"{CLUSTERS[0]}.csv"] = urban.write_csv().encode()
    elif urban.height:
        files[f"{CLUSTERS[0]}.xlsx"] = _workbook(facts, urban)
        rejected |= {"summary_row": 1, "note_row": 1}
    if second.height:
        files[f"{CLUSTERS[1]}.csv"] = _csv_with_full_marks(facts, second)
    if third.height:
        content, bad = _csv_with_bad_rows(third, schools)
        files[f"{CLUSTERS[2]}.csv"] = content
        rejected |= bad
    return files, rejected


def database_file(frame: pl.DataFrame, numbers: bool) -> bytes:
    """Return an exam as a database exports it: one parquet file, all text, or scores as numbers and nothing for an absence.

    Parameters
    ----------
    frame
        Its candidates in human form.
    numbers
        Write numbers, under headers like 数学成绩; words for absences are lost.
    """
    subjects = _subjects(frame)
    if numbers:
        frame = frame.with_columns(pl.col(subjects).cast(pl.Float64, strict=False))
        frame = frame.rename({subject: f"{subject}成绩" for subject in subjects})
    buffer = BytesIO()
    frame.write_parquet(buffer, compression="zstd", compression_level=19, statistics=False, row_group_size=1_000_000)
    return buffer.getvalue()


def _subjects(frame: pl.DataFrame) -> list[str]:
    return [column for column in frame.columns if column not in IDENTITY]


def _workbook(facts: ExamFile, frame: pl.DataFrame) -> bytes:
    """Write the urban cluster's workbook: 总分 and each subject over 得分 and 校次."""
    import xlsxwriter

    subjects = _subjects(frame)
    number = pl.col(subjects).cast(pl.Float64, strict=False)
    marks = frame.select(number)
    total = pl.DataFrame({"总分": marks.sum_horizontal(ignore_nulls=True)}).with_columns(
        pl.when(marks.select(pl.all_horizontal(pl.all().is_null())).to_series())
        .then(None)
        .otherwise(pl.col("总分"))
        .alias("总分")
    )
    marks = total.hstack(marks)
    ranks = marks.with_columns(frame["学校代码"]).select(
        pl.all().exclude("学校代码").rank("min", descending=True).over("学校代码").cast(pl.Int64)
    )
    words = frame.select(pl.lit("缺考").alias("总分"), *subjects)
    buffer = BytesIO()
    book = xlsxwriter.Workbook(buffer, {"in_memory": True, "strings_to_urls": False, "strings_to_formulas": False})
    created = dt.datetime.fromisoformat(f"{facts.exam.date}") + CREATED_AFTER
    book.set_properties({"title": str(facts.exam.name), "author": f"{COUNTY}教育局教研室", "created": created})
    sheet = book.add_worksheet("成绩汇总")
    head = book.add_format({"bold": True, "align": "center", "valign": "vcenter", "border": 1})
    width = 1 + len(IDENTITY) + 2 * len(marks.columns)
    sheet.merge_range(0, 0, 0, width - 1, f"{COUNTY}{facts.exam.name}成绩汇总（{CLUSTERS[0]}）", head)
    sheet.merge_range(1, 0, 1, width - 1, f"制表单位：{COUNTY}教育局教研室　　考试日期：{facts.exam.date}", None)
    for column, name in enumerate(("序号", *IDENTITY)):
        sheet.merge_range(2, column, 3, column, name, head)
    for j, name in enumerate(marks.columns):
        left = 1 + len(IDENTITY) + 2 * j
        sheet.merge_range(2, left, 2, left + 1, name, head)
        sheet.write_string(3, left, "得分", head)
        sheet.write_string(3, left + 1, "校次", head)
    for i, (identity, row, rank, word) in enumerate(
        zip(frame.select(IDENTITY).iter_rows(), marks.iter_rows(), ranks.iter_rows(), words.iter_rows(), strict=True)
    ):
        sheet.write_number(4 + i, 0, i + 1)
        for column, text in enumerate(identity, start=1):
            sheet.write_string(4 + i, column, text)
        for j, (score, place, said) in enumerate(zip(row, rank, word, strict=True)):
            left = 1 + len(IDENTITY) + 2 * j
            if score is None:
                sheet.write_string(4 + i, left, said)
                continue
            sheet.write_number(4 + i, left, score)
            sheet.write_number(4 + i, left + 1, place)
    last = 4 + frame.height
    sheet.write_string(last, 0, "平均分")
    for j, name in enumerate(marks.columns):
        mean = marks[name].mean()
        if isinstance(mean, float):
            sheet.write_number(last, 1 + len(IDENTITY) + 2 * j, round(mean, 2))
    sheet.write_string(last + 1, 0, "注：平均分按实考人数计算；缺考、缓考、免考、违纪者不排名次。")
    sheet.set_column(1, 2, 20)
    sheet.set_column(5, 5, 20)
    book.close()
    return buffer.getvalue()


def _csv_with_full_marks(facts: ExamFile, frame: pl.DataFrame) -> bytes:
    """Write a GB18030 CSV: ``数学(120分)`` in the header, ``-`` for an absence; one header has full-width brackets."""
    subjects = _subjects(frame)
    names = {}
    for number, (subject, paper) in enumerate(zip(subjects, facts.papers, strict=True)):
        marks = f"{paper.max_score:g}分"
        names[subject] = f"{subject}（{marks}）" if number == 3 else f"{subject}({marks})"
    names |= {"准考证号": "考号", "学校": "学校名称"}
    absent = frame.with_columns(pl.col(subjects).replace("缺考", "-")).rename(names)
    return absent.write_csv(line_terminator="\r\n").encode("gb18030")


def _csv_with_bad_rows(frame: pl.DataFrame, schools: pl.DataFrame) -> tuple[bytes, dict[str, int]]:
    """Write a UTF-8 CSV with byte order mark, no school codes, a room column, one short school name, and a few bad rows."""
    subjects = _subjects(frame)
    table = frame.drop("学校代码").with_columns(pl.format("{}考场", pl.int_range(pl.len()) // 30 + 1).alias("考场"))
    full, short = _short_name(frame, schools)
    table = table.with_columns(pl.col("学校").replace(full, short))
    rejected: dict[str, int] = {}
    if table.height >= BAD_ROWS_FROM:
        sat = (
            frame.select(pl.all_horizontal(pl.col(subjects).cast(pl.Float64, strict=False).is_not_null())).to_series().arg_true()
        )
        above, off, twice = (int(sat[len(sat) * share // 10]) for share in (2, 5, 7))
        high = pl.when(pl.int_range(pl.len()) == above)
        odd = pl.when(pl.int_range(pl.len()) == off)
        table = table.with_columns(
            high.then(pl.lit("1085")).otherwise(pl.col(subjects[1])).alias(subjects[1]),
            odd.then(pl.lit("67.3")).otherwise(pl.col(subjects[-1])).alias(subjects[-1]),
        )
        blank = pl.DataFrame({column: [""] for column in table.columns})
        pieces = (table[:off], blank, table[off : twice + 20], table[twice], table[twice + 20 :])
        table = pl.concat(pieces)
        rejected = {"score_above_max": 1, "score_off_step": 1, "blank_row": 1, "duplicate_identical": 1}
    return b"\xef\xbb\xbf" + table.write_csv(quote_style="never").encode(), rejected


def _short_name(frame: pl.DataFrame, schools: pl.DataFrame) -> tuple[str, str]:
    """Return the full and the short name of the file's second school (or its only one)."""
    ids = frame["学校代码"].unique(maintain_order=True)
    row = schools.row(by_predicate=pl.col("school_id") == ids[min(1, len(ids) - 1)], named=True)
    return row["name"], row["aliases"].split(";")[0]
