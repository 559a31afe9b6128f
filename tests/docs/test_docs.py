"""Documents hold what they say: generated pages are current, links lead somewhere, commands exist."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

import eduq
from eduq.locale import LANGUAGES
from eduq.resources import package_path, sample_data_path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "README.zh.md", ROOT / "sample_data" / "README.md", *sorted(DOCS.rglob("*.md"))]


@pytest.fixture(scope="module")
def generator() -> dict[str, object]:
    return runpy.run_path(str(DOCS / "generate.py"))


def test_generated_pages_are_current(generator: dict[str, object]) -> None:
    pages = generator["pages"]
    assert callable(pages)
    made = pages()
    assert made
    for name, content in made.items():
        assert (DOCS / name).read_text(encoding="utf-8") == content, f"{name} is not current: run `make docs`"
    assert {path.name for path in (DOCS / "reference").glob("*.md")} == {Path(name).name for name in made}


def test_descriptions_name_existing_keys_only(generator: dict[str, object]) -> None:
    from eduq.intake.exam_file import ExamFile
    from eduq.settings import RunSettings

    said = tomllib.loads((DOCS / "wording.toml").read_text(encoding="utf-8"))
    fields = generator["fields"]
    assert callable(fields)
    assert set(said["settings"]) == {key for key, _ in fields(RunSettings)}
    assert set(said["exam"]) == {key for key, _ in fields(ExamFile)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    content = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", content):
        path, _, anchor = target.partition("#")
        assert not path.startswith("http"), target
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {heading.lower().replace(" ", "-") for heading in headings}, target


def every_option() -> set[str]:
    """Options of all commands, those of `archive` and `rules` among them."""
    from typer.main import get_command

    from eduq.cli.app import app

    waiting, found = [get_command(app)], set[str]()
    while waiting:
        command = waiting.pop()
        waiting += getattr(command, "commands", {}).values()
        found |= {option for parameter in command.params for option in parameter.opts}
    return found


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_wording_names_existing_pages_and_has_real_line_ends(lang: Literal["zh", "en"]) -> None:
    content = package_path("locale", LANGUAGES[lang])
    said = content.read_text(encoding="utf-8")
    named = set(re.findall(r"docs/[\w/-]+\.md", said))
    assert named
    assert {name for name in named if not (ROOT / name).is_file()} == set()

    def sentences(node: dict[str, object]) -> Iterator[str]:
        for value in node.values():
            if isinstance(value, dict):
                yield from sentences(value)
            else:
                yield str(value)

    assert [sentence for sentence in sentences(tomllib.loads(said)) if "\\n" in sentence] == []


def test_every_layout_has_a_picture_and_every_shape_a_place_in_the_how_to(generator: dict[str, object]) -> None:
    from eduq.intake.layouts import SHAPES, shipped_layouts

    page = (DOCS / "reference" / "files.md").read_text(encoding="utf-8")
    for layout in shipped_layouts():
        assert f"\n### {layout.id}\n" in page
        assert layout.examples, layout.id
    assert page.count("<table>") == sum(len(layout.examples) for layout in shipped_layouts())
    told = (DOCS / "how-to" / "new-layout.md").read_text(encoding="utf-8")
    assert {shape for shape in SHAPES if told.count(f"`{shape}`") < 2} == set()


def test_a_picture_shows_every_cell_once(generator: dict[str, object]) -> None:
    from eduq.intake.layouts import Example

    draw = generator["picture"]
    assert callable(draw)
    example = Example(sheet="一", rows=(("甲<", "", "乙"), ("", 1, 2.5)), merged=("A1:B1", "C1:C2"))
    drawn = draw(example)
    assert drawn.count("<td") == 4
    assert '<td colspan="2">甲&lt;</td><td rowspan="2">乙</td>' in drawn
    assert "<tr><th>2</th><td></td><td>1</td></tr>" in drawn


def commands(page: Path) -> set[str]:
    """Commands a page tells the reader to run."""
    return set(re.findall(r"^eduq ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE))


def test_commands_in_documents_exist(tmp_path: Path) -> None:
    told = set().union(*(commands(page) for page in PAGES))
    assert "analyze" in told
    code = "import sys; sys.argv[0] = 'eduq'; from eduq.cli import main; main()"
    for name in sorted(told):
        done = subprocess.run(
            [sys.executable, "-c", code, name, "--help"], capture_output=True, text=True, cwd=tmp_path, check=False
        )
        assert done.returncode == 0, name


def options(page: Path) -> set[str]:
    """Long options on the command lines of a page."""
    lines = re.findall(r"^(?:eduq|.*`eduq) .*$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {option for line in lines for option in re.findall(r"(?<!\S)--[a-z-]+", line)}


def test_options_in_documents_exist() -> None:
    told = set().union(*(options(page) for page in PAGES)) - {"--help"}
    assert told
    assert told - every_option() == set()


@pytest.mark.parametrize("page", ["README.md", "README.zh.md"])
def test_python_example_of_the_readme_runs(
    page: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(sample_data_path().parent)
    namespace: dict[str, object] = {}
    exec(block, namespace)
    assert capsys.readouterr().out
    levels = namespace["levels"]
    assert levels.frame.height > 0  # type: ignore[attr-defined]


def test_examples_of_toml_are_understood(tmp_path: Path) -> None:
    from eduq.estimates.measures import load_measures
    from eduq.intake.exam_file import ExamFile
    from eduq.intake.layouts import Layout
    from eduq.settings import RunSettings, validate_toml

    def write(page: str, number: int) -> Path:
        block = re.findall(r"```toml\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)[number]
        path = tmp_path / f"{Path(page).stem}{number}.toml"
        path.write_text(block, encoding="utf-8")
        return path

    assert validate_toml(write("how-to/exam-toml.md", 0), ExamFile).exam.id == "2025-1-g9-final"
    assert validate_toml(write("how-to/new-layout.md", 0), Layout).id == "our-marking-system"
    local = write("how-to/local-measures.md", 0)
    run = validate_toml(write("how-to/local-measures.md", 1), RunSettings)
    chosen = load_measures(local, run.measures)
    assert "near_pass_rate" in chosen
    assert chosen["near_pass_rate"].score_range(10_000) == (5_000, 6_000)
    assert set(chosen) == set(run.measures)


def test_versions_agree() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {eduq.__version__}\n" in citation
    assert f"## {eduq.__version__} " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_both_readmes_tell_the_same() -> None:
    one, other = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh.md"))
    assert one.count("\n## ") == other.count("\n## ")
    assert re.findall(r"^\| (\d+) \|", one, re.MULTILINE) == re.findall(r"^\| (\d+) \|", other, re.MULTILINE)
    assert re.findall(r"^eduq .*$", one, re.MULTILINE) == re.findall(r"^eduq .*$", other, re.MULTILINE)
