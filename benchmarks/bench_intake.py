"""Reading and checking an xlsx of 100,000 candidates × 15 columns against the bare reader, in one process.

    python benchmarks/bench_intake.py [--runs 3] [--candidates 100000]

The bare reader is fastexcel, every cell as text, into a Polars frame. Budget: at most 3 times its time. Also printed: workbooks
made to fill time or memory, each in a process of its own, with its outcome, seconds and peak memory.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterable
from pathlib import Path

SUBJECTS = ("语文", "数学", "英语", "物理", "化学", "道德与法治", "历史", "生物", "地理")
HEADER = ("考号", "姓名", "学校", "班级", *SUBJECTS, "性别", "备注")
READ = """
import sys
from eduq.errors import EduqError
from eduq.intake import read_scores
try:
    print(read_scores(sys.argv[1]).frame.height, "rows")
except EduqError as error:
    print(error.code)
"""
PARTS = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/></Types>',
    "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/>'
    "</Relationships>",
    "xl/workbook.xml": '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>'
    '<sheet name="成绩" sheetId="1" r:id="r1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" '
    'Target="worksheets/sheet1.xml"/></Relationships>',
}


def write_candidates(path: Path, candidates: int) -> None:
    """Write a plain table of candidates."""
    import xlsxwriter

    draw = random.Random(1)
    book = xlsxwriter.Workbook(str(path))
    sheet = book.add_worksheet("成绩")
    sheet.write_row(0, 0, HEADER)
    for row in range(1, candidates + 1):
        places = (f"2026{row:08d}", f"生{row % 5000}", f"第{row % 60 + 1}中学", f"{row % 20 + 1}班")
        sheet.write_row(row, 0, (*places, *(draw.randint(0, 200) / 2 for _ in SUBJECTS), "男", ""))
    book.close()


def write_sheet(path: Path, rows: Iterable[str]) -> None:
    """Write a workbook of one sheet from the XML of its rows, after a table of three candidates."""
    table = [("考号", "学校", "数学"), ("1", "一中", "50"), ("2", "一中", "60"), ("3", "二中", "70")]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        for name, content in PARTS.items():
            book.writestr(name, content)
        with book.open("xl/worksheets/sheet1.xml", "w") as part:
            part.write(b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>')
            for number, cells in enumerate(table, 1):
                texts = "".join(f'<c r="{"ABC"[at]}{number}" t="inlineStr"><is><t>{c}</t></is></c>' for at, c in enumerate(cells))
                part.write(f'<row r="{number}">{texts}</row>'.encode())
            for row in rows:
                part.write(row.encode())
            part.write(b"</sheetData></worksheet>")


def formatted_row(number: int) -> str:
    """Return a row of formatted blanks."""
    return f'<row r="{number}">' + "".join(f'<c r="{letter}{number}" s="1"/>' for letter in "ABCDEFGHIJ") + "</row>"


def traps(folder: Path) -> Iterable[tuple[str, Path]]:
    """Make workbooks that fill time or memory."""
    makers = {
        "10^6 blank formatted rows": (formatted_row(n) for n in range(5, 1_000_001)),
        "10^4 rows, used to the last of 16,384 columns": (
            f'<row r="{n}"><c r="XFD{n}"><v>1</v></c></row>' for n in range(5, 10_005)
        ),
        "2,000 rows, used to the last of 16,384 columns": (
            f'<row r="{n}"><c r="XFD{n}"><v>1</v></c></row>' for n in range(5, 2005)
        ),
        "one cell in the last row and column": ['<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'],
        "10^4 rows of blank texts": (f'<row r="{n}"><c r="A{n}" t="str"><v> </v></c></row>' for n in range(5, 10_005)),
    }
    for place, (name, rows) in enumerate(makers.items()):
        path = folder / f"trap{place}.xlsx"
        write_sheet(path, rows)
        yield name, path


def measure(path: Path) -> tuple[str, float, float]:
    """Return outcome, seconds and peak memory in MB of one process that reads a file."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", READ, str(path)], stdout=subprocess.PIPE, text=True)
    said = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    return said.strip() or f"ended with {status}", time.perf_counter() - start, usage.ru_maxrss / 1024


def main() -> None:
    """Time our reading and the bare reader in turn, then the traps."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--candidates", type=int, default=100_000)
    options = parser.parse_args()
    import fastexcel

    from eduq.intake import read_scores
    from eduq.intake.exam_file import ExamFile

    exam = ExamFile.model_validate({"schema": 1, "exam": {"id": "bench"}})
    with tempfile.TemporaryDirectory() as name:
        for trap, file in traps(Path(name)):
            said, seconds, peak = measure(file)
            print(f"{trap}: {said}, {seconds:.1f} s, peak {peak:.0f} MB")
        path = Path(name) / "scores.xlsx"
        write_candidates(path, options.candidates)
        ratios, ours, bare = [], [], []
        for run in range(options.runs + 1):
            start = time.perf_counter()
            fastexcel.read_excel(path.read_bytes()).load_sheet(0, header_row=None, dtypes="string").to_polars()
            middle = time.perf_counter()
            table = read_scores(path, exam)
            end = time.perf_counter()
            if run:
                bare.append(middle - start)
                ours.append(end - middle)
                ratios.append(ours[-1] / bare[-1])
        assert table.frame.height == options.candidates
        print(
            f"{options.candidates:,} × {len(HEADER)}: {statistics.median(ours):.2f} s against {statistics.median(bare):.2f} s, "
            f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}); budget 3"
        )


if __name__ == "__main__":
    main()
