"""`eduq analyze --formats`: the documents asked for and no others."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from eduq.bulletins.word_figures import find_chinese_fonts

ROWS = [
    f"{school}{number:03d},丑测试{number},{school}中学,{60 + number % 40},{50 + (7 * number) % 60}"
    for school in ("甲", "乙", "丙")
    for number in range(1, 31)
]


def _run(folder: Path, formats: str) -> subprocess.CompletedProcess[str]:
    (folder / "g9.csv").write_text("\n".join(["考号,姓名,学校,语文(120分),数学(120分)", *ROWS]) + "\n", encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "eduq", "analyze", "g9.csv", "--out", "out", "--formats", formats],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "EDUQ_LANG": "en"},
        check=False,
    )


@pytest.mark.skipif(not find_chinese_fonts(), reason="no Chinese font on this machine")
def test_writes_what_was_asked_for_without_a_name_of_a_pupil(tmp_path: Path) -> None:
    done = _run(tmp_path, "pdf,docx")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"bulletin.docx", "bulletin.pdf", "results", "run.json"}
    assert "out/bulletin.docx" in done.stdout
    assert (tmp_path / "out" / "bulletin.pdf").read_bytes().startswith(b"%PDF")
    with zipfile.ZipFile(tmp_path / "out" / "bulletin.docx") as packed:
        assert all("丑测试" not in packed.read(name).decode("utf-8", "ignore") for name in packed.namelist())


def test_an_unknown_format_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    done = _run(tmp_path, "md,odt")
    assert done.returncode == 2
    assert '"odt"' in done.stderr
    assert not (tmp_path / "out").exists()
