"""A local typst template: its own page around the same parts; what it may not read, and where a broken one is broken."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from eduq.bulletins import build_context, word_figures
from eduq.bulletins.pdf import write_pdf
from eduq.bulletins.template_folder import TemplateFolder, open_templates
from eduq.disclosure import Publishable
from eduq.errors import SettingsError

pytestmark = pytest.mark.skipif(not word_figures.find_chinese_fonts(), reason="no Chinese font on this machine")
LOCAL = '// context 1\n#import "shipped/paper.typ": *\n#show: official\n'
PICTURE = '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20"><circle cx="10" cy="10" r="9" fill="red"/></svg>'


def _folder(path: Path, source: str, **files: str) -> TemplateFolder:
    local = path / "local"
    local.mkdir()
    for name, content in {"bulletin__typ": source, **files}.items():
        (local / name.replace("__", ".")).write_text(content, encoding="utf-8")
    return open_templates(local)


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="no poppler-utils on this machine")
def test_letterhead_picture_and_parts_of_its_own(county: Publishable, tmp_path: Path) -> None:
    own = (
        LOCAL
        + '#include "letter.typ"\n#image("seal.svg")\n#title-block\n#main-text\n期 #paper.meta.period\n'
        + "#json(bytes(sys.inputs.context)).exams.first().id\n"
    )
    templates = _folder(tmp_path, own, letter__typ="示例县教育局文件", seal__svg=PICTURE, README__md="read me")
    context = build_context(county, "zh")
    write_pdf(context, tmp_path / "own.pdf")
    for name in ("one.pdf", "two.pdf"):
        write_pdf(context, tmp_path / name, templates=templates)
    assert (tmp_path / "one.pdf").read_bytes() == (tmp_path / "two.pdf").read_bytes()
    shown = [
        re.sub(
            r"\s+",
            "",
            subprocess.run(["pdftotext", str(tmp_path / name), "-"], capture_output=True, text=True, check=True).stdout,
        )
        for name in ("own.pdf", "one.pdf")
    ]
    assert "示例县教育局文件" in shown[1]
    assert "示例县教育局文件" not in shown[0]
    assert f"期{context['meta']['period']}" in shown[1]
    assert context["exams"][0]["id"] in shown[1]
    numbers = [re.findall(r"\d+\.\d", words) for words in shown]
    assert len(numbers[1]) == len(numbers[0]) > 100


def test_a_local_file_like_the_shipped_one_gives_the_same_pdf(context: dict[str, Any], tmp_path: Path) -> None:
    write_pdf(context, tmp_path / "own.pdf")
    write_pdf(context, tmp_path / "local.pdf", templates=_folder(tmp_path, LOCAL + "#title-block\n#main-text\n"))
    assert abs((tmp_path / "own.pdf").stat().st_size - (tmp_path / "local.pdf").stat().st_size) < 200


@pytest.mark.parametrize(
    ("source", "code", "row", "named"),
    [
        (LOCAL + "\n#nothing-there\n", "template_broken", 5, "nothing-there"),
        (LOCAL + "#paper.titel\n", "template_broken", 4, "titel"),
        (LOCAL + "#paper.at(\n", "template_syntax", 4, "unclosed"),
        ('// context 1\n#import "shipped/paper.typ": nope\n', "template_broken", 2, "nope"),
        (LOCAL + "#panic(paper.title)\n", "template_syntax", 4, "panicked"),
        (LOCAL + '#read("/etc/passwd")\n', "template_missing", 4, "/etc/passwd"),
        (LOCAL + '#read("../../../../../etc/passwd")\n', "template_unsafe", 4, "read"),
        (LOCAL + '#read("../job.json")\n', "template_unsafe", 4, "read"),
        (LOCAL + '#include "other.typ"\n', "template_missing", 4, "other.typ"),
        (LOCAL + '#import ("@pre" + "view/cetz:0.2.0")\n', "template_outside", 4, "@"),
        (LOCAL + '#eval("import \\"@" + "preview/cetz:0.2.0\\"")\n', "template_outside", 4, "@"),
    ],
)
def test_a_broken_or_reaching_template_names_file_line_and_what(
    context: dict[str, Any], tmp_path: Path, source: str, code: str, row: int, named: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        write_pdf(context, tmp_path / "made.pdf", templates=_folder(tmp_path, source))
    error = raised.value
    assert (error.code, error.place.file, error.place.row) == (code, "bulletin.typ", row)
    assert named in error.message("en")
    title = context["meta"]["title"]["params"]["exam"]
    assert title not in error.message("zh"), "an error tells nothing of the data"
    assert str(tmp_path) not in error.message("zh")
    assert not (tmp_path / "made.pdf").exists()


def test_the_line_of_an_included_file_is_named(context: dict[str, Any], tmp_path: Path) -> None:
    templates = _folder(tmp_path, LOCAL + '#include "letter.typ"\n', letter__typ="a\n\n#gone\n")
    with pytest.raises(SettingsError) as raised:
        write_pdf(context, tmp_path / "made.pdf", templates=templates)
    assert (raised.value.place.file, raised.value.place.row) == ("letter.typ", 3)


@pytest.mark.parametrize(
    ("source", "files", "code", "named"),
    [
        ("// context 7\n", {}, "template_version", "bulletin.typ"),
        ('#import "@preview/cetz:0.2.0"\n', {}, "template_outside", "bulletin.typ"),
        (LOCAL, {"letter__typ": "x"}, "template_unused", "letter.typ"),
        (LOCAL, {"seal__svg": PICTURE}, "template_unused", "seal.svg"),
        (LOCAL, {"data__csv": "x"}, "template_unused", "data.csv"),
        (LOCAL, {"plugin__wasm": "x"}, "template_unused", "plugin.wasm"),
    ],
)
def test_a_folder_is_checked_when_it_is_opened(tmp_path: Path, source: str, files: dict[str, str], code: str, named: str) -> None:
    with pytest.raises(SettingsError) as raised:
        _folder(tmp_path, source, **files)
    assert (raised.value.code, raised.value.place.file) == (code, named)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "bulletin.typ").write_text(LOCAL + '#image("seal.svg")', encoding="utf-8")
    (tmp_path / "local" / "seal.svg").symlink_to("/etc/passwd")
    with pytest.raises(SettingsError, match="template_unsafe"):
        open_templates(tmp_path / "local")


def test_a_template_reaches_no_network_even_with_a_proxy_set(
    context: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)

        def listen() -> None:
            try:
                with server.accept()[0] as caller:
                    calls.append(caller.recv(100))
            except OSError:
                return

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("NO_PROXY", "")
        source = LOCAL + '#import ("@pre" + "view/" + paper.lang + ":0.2.0")\n'
        with pytest.raises(SettingsError, match="template_outside"):
            write_pdf(context, tmp_path / "made.pdf", templates=_folder(tmp_path, source))
        server.shutdown(socket.SHUT_RDWR)
        listener.join(timeout=20)
    assert not calls
