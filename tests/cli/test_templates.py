"""`--templates` as its user meets it: the example of the how-to, and a broken template said before the exam is read."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from eduq.resources import sample_data_path

HOW_TO = Path(__file__).parent.parent.parent / "docs" / "how-to" / "templates.md"


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "eduq", *arguments]
    return subprocess.run(
        words, cwd=folder, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", "EDUQ_LANG": "en"}, check=False
    )


def test_the_example_of_the_how_to_gives_letterhead_and_colour(tmp_path: Path) -> None:
    examples = re.findall(r"`local/([\w.]+)`\n\n```jinja\n(.*?)```", HOW_TO.read_text(encoding="utf-8"), re.DOTALL)
    assert [name for name, _ in examples] == ["bulletin.html", "bulletin.css"]
    (tmp_path / "local").mkdir()
    for name, source in examples:
        (tmp_path / "local" / name).write_text(source, encoding="utf-8")
    exam = sample_data_path() / "2025-2-g9-final"
    done = _run(tmp_path, "analyze", str(exam), "--templates", "local", "--out", "out", "--lang", "zh")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "out" / "bulletin.html").read_text(encoding="utf-8")
    assert '<p class="audience">示例县教育局文件</p>' in page
    assert "--accent: #7a1f1f" in page


def test_a_misspelt_file_stops_before_the_exam_is_read(tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "buletin.html").write_text("x", encoding="utf-8")
    done = _run(tmp_path, "analyze", "not-there.csv", "--templates", "local", "--out", "out")
    assert done.returncode == 10
    assert "buletin.html" in done.stderr
    assert not (tmp_path / "out").exists()
