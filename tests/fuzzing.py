"""Spoils tables and files in ways that happen, and tells whether reading them ended as it must."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from random import Random

import polars as pl

from eduq.errors import EduqError
from eduq.intake import ScoreTable, read_scores
from eduq.intake.exam_file import ExamFile
from eduq.tables import REJECTED

EXAM = ExamFile.model_validate(
    {"schema": 1, "exam": {"id": "fuzz-exam"}, "symbols": {"": "absent", "-": "not_chosen", "true": "voided", "false": "absent"}}
)
HEADERS = (
    *("考号", "学籍号", "学号", "姓名", "学校", "学校代码", "班级", "年级", "性别", "选科组合", "类别", "乡镇", "备注", "序号"),
    *(
        "语文",
        "数学",
        "英语(150分)",
        "物理赋分",
        "物理",
        "总分",
        "总分(赋分)",
        "校次",
        "班级排名",
        "语文得分",
        "参与统计",
        "缺考标志",
    ),
    *("科目", "成绩", "满分", "平均分", "实考人数", "第1题", "第2题", "题号", "分值", "知识点", "", "Unnamed: 3", "列"),
)
CELLS = (
    *(
        "",
        " ",
        "　",
        "\xa0",
        "0",
        "1",
        "60",
        "89.5",
        "120",
        "150.5",
        "-1",
        "-3",
        "８９",
        "60.25",
        "1e3",
        "1.2E+11",
        "99999999999",
    ),
    *(
        "110101200001010000",
        "110101200001011239",
        "'0123",
        "101.0",
        "0012",
        "12",
        "缺考",
        "缺考，不计排名",
        "免考",
        "未扫",
        "36，剔除",
    ),
    *(
        "转学",
        "-",
        "/",
        "×",
        "10/12",
        "1/29",
        "#N/A",
        "#REF!",
        "#FORMULA?",
        "2026-08-10 00:00:00",
        "8月10日",
        "TRUE",
        "=1+1",
        "@x",
    ),
    *(
        "一中",
        "第一中学",
        "城关一中",
        "S001",
        "1班",
        "10班",
        "2班",
        "G9",
        "男",
        "女",
        "物理类",
        "历史类",
        "甲",
        "乙",
        "平均分",
        "合计",
    ),
    *(
        "注：本表",
        "考号",
        "学校",
        "语文",
        "数学",
        "分数",
        "是",
        "否",
        "A",
        "BC",
        "\ufeff考号",
        "a\u200bb",
        'x"y',
        "a,b",
        "a\tb",
        "满分",
    ),
)
TOKENS = (
    *(
        b"<v>",
        b"</v>",
        b"<c>",
        b"</c>",
        b"</row>",
        b"<f>1</f>",
        b'r="XFD9"',
        b'r="A1048576"',
        b'r="B2"',
        b't="s"',
        b't="e"',
        b't="b"',
    ),
    *(
        b't="inlineStr"',
        b"<is><t>x</t></is>",
        b"&amp;",
        b"&x;",
        b"\x00",
        b"9" * 20,
        b"-1",
        b"1E400",
        b"NaN",
        b"<!DOCTYPE x>",
        b"<!--",
    ),
    *(
        b'state="hidden"',
        b'count="999999999"',
        b'<mergeCell ref="A1:XFD9"/>',
        b"\xff\xfe",
        b"\xe4\xb8\x80",
        b",",
        b"\n",
        b'"',
        b"\t",
    ),
)
Grid = Sequence[Sequence[str]]


def random_grid(draw: Random) -> list[list[str]]:
    """Return a table of plausible cells: titles, a header of one or two rows, rows of some length."""
    width = draw.randint(1, 9)
    rows = [[draw.choice(CELLS) for _ in range(draw.randint(0, 3))] for _ in range(draw.choice((0, 0, 0, 1, 2)))]
    if draw.random() < 0.9:
        rows.append([draw.choice(HEADERS) for _ in range(width)])
    if draw.random() < 0.5:
        names = draw.sample(("考号", "学校", "语文", "数学", "姓名"), 5)
        rows.append(names)
    for number in range(draw.randint(0, 9)):
        lead = [f"{number:03d}"] if draw.random() < 0.5 else []
        rows.append(
            [
                *lead,
                *(
                    draw.choice(CELLS)
                    for _ in range(max(0, width + draw.choice((-1, 0) if draw.random() < 0.98 else (1, 2)) - len(lead)))
                ),
            ]
        )
    return rows


def write_grid(path: Path, rows: Grid, encoding: str = "utf-8", delimiter: str = ",") -> Path:
    """Write a table as delimited text with quotes where they are needed."""
    lines = []
    for row in rows:
        cells = [
            '"' + cell.replace('"', '""') + '"' if any(mark in cell for mark in (delimiter, '"', "\n")) else cell for cell in row
        ]
        lines.append(delimiter.join(cells))
    path.write_bytes("\r\n".join(lines).encode(encoding, "replace"))
    return path


def write_grids(path: Path, sheets: Sequence[Grid]) -> Path:
    """Write tables as the sheets of a workbook; numbers as numbers where a spreadsheet would make them so."""
    import xlsxwriter

    book = xlsxwriter.Workbook(str(path), {"strings_to_formulas": False, "strings_to_urls": False})
    for place, rows in enumerate(sheets):
        sheet = book.add_worksheet(f"表{place + 1}")
        for row, cells in enumerate(rows):
            for column, cell in enumerate(cells):
                if cell == "=1+1":
                    sheet.write_formula(row, column, cell, None, "" if column % 2 else 2)
                elif cell == "#N/A":
                    sheet.write_formula(row, column, "=NA()", None, cell)
                elif cell.isascii() and cell.replace(".", "", 1).isdigit() and (row + column) % 3:
                    sheet.write_number(row, column, float(cell))
                elif cell:
                    sheet.write_string(row, column, cell)
    book.close()
    return path


def sound_files(folder: Path) -> list[Path]:
    """Write small sound files of every kind to be spoilt."""
    head = ("考号", "姓名", "学校", "班级", "语文(120分)", "数学")
    rows = [
        head,
        *(
            (f"{n:04d}", "甲乙丙丁"[n % 4] + str(n), "一中" if n % 2 else "二中", f"{n % 3 + 1}班", str(60 + n), "缺考")
            for n in range(12)
        ),
    ]
    titled = [("期末成绩",), *rows, ("平均分", "", "", "", "66")]
    frame = pl.DataFrame([list(row) for row in rows[1:]], schema=list(head), orient="row")
    frame.write_parquet(folder / "a.parquet")
    made = [write_grids(folder / "a.xlsx", [rows, titled]), write_grid(folder / "b.csv", rows, "gb18030"), folder / "a.parquet"]
    with zipfile.ZipFile(folder / "c.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in made[:2]:
            archive.write(path, f"成绩/{path.name}")
    return [*made, folder / "c.zip"]


def real_files() -> list[Path]:
    """Return the small real files of the shared data folder, where there is one."""
    shared = Path(os.environ.get("EDUQ_SHARED") or Path(__file__).resolve().parents[2] / "shared")
    return sorted((shared / "data" / "messy_cn").glob("*.*")) if (shared / "data" / "messy_cn").is_dir() else []


def spoil(data: bytes, draw: Random) -> bytes:
    """Return a file with a few bytes changed, cut out, put in or doubled; in a zip mostly inside one of its parts."""
    if data.startswith(b"PK") and draw.random() < 0.75:
        return _spoil_part(data, draw)
    return _spoil_bytes(data, draw)


def _spoil_bytes(data: bytes, draw: Random) -> bytes:
    content = bytearray(data)
    for _ in range(draw.randint(1, 6)):
        at = draw.randrange(len(content) + 1)
        kind = draw.randrange(5)
        if kind == 0 and at < len(content):
            content[at] = draw.randrange(256)
        elif kind == 1:
            del content[at : at + draw.randint(1, 40)]
        elif kind == 2:
            content[at:at] = draw.choice(TOKENS)
        elif kind == 3:
            content[at:at] = content[at : at + draw.randint(1, 200)]
        elif draw.random() < 0.2:
            del content[at:]
    return bytes(content)


def _spoil_part(data: bytes, draw: Random) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as copy:
        infos = archive.infolist()
        names = [info.filename for info in infos]
        wanted = [name for name in names if "sheet" in name or "sharedStrings" in name or "workbook" in name] or names
        chosen = draw.choice(wanted if draw.random() < 0.9 else names)
        for name in dict.fromkeys(names):
            content = archive.read(name)
            copy.writestr(name, _spoil_bytes(content, draw) if name == chosen else content)
    return written.getvalue()


def outcome(paths: Path | Sequence[Path]) -> ScoreTable | str:
    """Read files; return the table, or the code of an error of ours. Anything else is for the caller to see."""
    try:
        return read_scores(paths, EXAM)
    except EduqError as error:
        for lang in ("zh", "en"):
            if not (error.message(lang) and error.advice(lang)):
                raise AssertionError(f"{error.code} has no sentence") from error
        return error.code


def faults(result: ScoreTable | str) -> list[str]:
    """Return what is wrong with how a reading ended: rows not accounted for, scores without status, a candidate twice."""
    if isinstance(result, str):
        return ["rows_unaccounted"] if result == "rows_unaccounted" else []
    found = []
    lines = result.inputs
    if not (lines["rows"] == lines["used"] + lines["rejected"]).all():
        found.append("rows")
    if result.frame.get_column("candidate_id").is_duplicated().any():
        found.append("candidate twice")
    if result.rejected.schema != pl.Schema(REJECTED):
        found.append("rejected")
    for paper in result.papers:
        present = (result.frame.get_column(f"{paper.code}_status").cast(pl.String) == "present").fill_null(False)
        if not (result.frame.get_column(paper.code).is_not_null() == present).all():
            found.append(f"status of {paper.code}")
    return found
