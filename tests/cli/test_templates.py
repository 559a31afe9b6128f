"""`--templates` as its user meets it: the example of the how-to, and a broken template said before the exam is read."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import docx
import pytest

from eduq.bulletins.word_figures import find_chinese_fonts
from eduq.resources import sample_data_path

HOW_TO = Path(__file__).parent.parent.parent / "docs" / "how-to" / "templates.md"


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "eduq", *arguments]
    return subprocess.run(
        words, cwd=folder, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", "EDUQ_LANG": "en"}, check=False
    )


def test_the_example_of_the_how_to_gives_letterhead_and_colour(tmp_path: Path) -> None:
    examples = re.findall(r"`local/([\w.]+)`\n\n```(?:jinja|typst)\n(.*?)```", HOW_TO.read_text(encoding="utf-8"), re.DOTALL)
    assert [name for name, _ in examples if not name.endswith(".typ")] == ["bulletin.html", "bulletin.css"]
    examples = [(name, source) for name, source in examples if not name.endswith(".typ")]
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


@pytest.mark.skipif(not find_chinese_fonts(), reason="no Chinese font on this machine")
def test_letterheads_of_word_and_pdf_stand_on_the_bulletin_and_on_every_school_sheet(tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    red = docx.Document()
    for words in ("{{ meta.issuer or '示例县教育局' }}文件", "{{p title }}", "{{p body }}"):
        red.add_paragraph(words)
    red.save(str(tmp_path / "local" / "bulletin.docx"))
    typst = re.search(r"`local/bulletin.typ`\n\n```typst\n(.*?)```", HOW_TO.read_text(encoding="utf-8"), re.DOTALL)
    assert typst is not None
    (tmp_path / "local" / "bulletin.typ").write_text(typst[1], encoding="utf-8")
    rows = [f"{name}{n:03d},丑{n},{name}中学,{60 + n},{50 + 7 * n % 60}" for name in ("甲", "乙", "丙") for n in range(1, 31)]
    (tmp_path / "g9.csv").write_text("\n".join(["考号,姓名,学校,语文(120分),数学(120分)", *rows]) + "\n", encoding="utf-8")
    done = _run(
        tmp_path,
        "analyze",
        "g9.csv",
        "--templates",
        "local",
        "--out",
        "out",
        "--school-packs",
        "packs",
        "--formats",
        "docx,pdf",
        "--lang",
        "zh",
    )
    assert done.returncode == 0, done.stderr
    made = [tmp_path / "out" / "bulletin.docx", *sorted((tmp_path / "packs").rglob("*.docx"))]
    assert len(made) == 4
    for path in made:
        words = [paragraph.text for paragraph in docx.Document(str(path)).paragraphs]
        assert words[0] == "示例县教育局文件"
        assert len(words) > 20
    for path in [tmp_path / "out" / "bulletin.pdf", *sorted((tmp_path / "packs").rglob("*.pdf"))]:
        assert path.read_bytes().startswith(b"%PDF")


def test_a_broken_word_template_names_its_paragraph_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    broken = docx.Document()
    for words in ("{{ meta.titel }}", "{{p body }}"):
        broken.add_paragraph(words)
    broken.save(str(tmp_path / "local" / "bulletin.docx"))
    exam = sample_data_path() / "2025-2-g9-final"
    done = _run(tmp_path, "analyze", str(exam), "--templates", "local", "--out", "out", "--formats", "docx")
    assert done.returncode == 10, done.stderr
    assert 'file "bulletin.docx", paragraph 1' in done.stderr
    assert '"titel"' in done.stderr
    assert not (tmp_path / "out").exists()
