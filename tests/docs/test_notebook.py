"""The notebook of docs/tutorials runs from top to bottom, says nothing on stderr, and shows what its text says."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs" / "tutorials" / "school-effects.ipynb"
RUN = """
import os
import sys
import tempfile

# a short path (sockets allow no long one), and nothing left in the home folder
with tempfile.TemporaryDirectory(prefix="eduq-", dir="/tmp" if os.path.isdir("/tmp") else None) as scratch:
    os.environ |= {"JUPYTER_RUNTIME_DIR": scratch, "IPYTHONDIR": scratch}
    import nbformat
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient

    book = nbformat.read(sys.argv[1], as_version=4)
    kernel = AsyncKernelManager(kernel_name="python3", transport="tcp" if os.name == "nt" else "ipc")
    NotebookClient(book, km=kernel, timeout=60).execute()
    nbformat.write(book, sys.argv[2])
"""


@pytest.fixture(scope="module")
def stored() -> dict[str, Any]:
    return dict(json.loads(NOTEBOOK.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    pytest.importorskip("nbclient", reason="nbclient is not installed (extra dev)")
    out = tmp_path_factory.mktemp("notebook") / "ran.ipynb"
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(NOTEBOOK), str(out)], capture_output=True, text=True, check=False, cwd=out.parent
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(out.read_text(encoding="utf-8")))


def outputs(book: dict[str, Any]) -> list[dict[str, Any]]:
    return [output for cell in book["cells"] if cell["cell_type"] == "code" for output in cell["outputs"]]


def shown(book: dict[str, Any], begins: str) -> Any:
    """Return the plain value that the cell with this last line shows."""
    (cell,) = [cell for cell in book["cells"] if "".join(cell["source"]).rstrip().endswith(begins)]
    (text,) = [output["data"]["text/plain"] for output in cell["outputs"] if output["output_type"] == "execute_result"]
    return ast.literal_eval("".join(text))


def test_it_is_stored_without_output(stored: dict[str, Any]) -> None:
    assert outputs(stored) == []
    assert {cell.get("execution_count") for cell in stored["cells"] if cell["cell_type"] == "code"} == {None}


def test_every_text_stands_in_both_languages(stored: dict[str, Any]) -> None:
    for cell in stored["cells"]:
        said = "".join(cell["source"])
        if cell["cell_type"] == "markdown" and len(said.splitlines()) > 2:
            letters = sum(char.isascii() and char.isalpha() for char in said)
            assert letters > 30, said
            assert sum("\u4e00" <= char <= "\u9fff" for char in said) > 10, said


def test_it_runs_without_a_warning(ran: dict[str, Any]) -> None:
    every = outputs(ran)
    assert [output for output in every if output.get("name") == "stderr"] == []
    pictures = [output for output in every if "<svg" in "".join(output.get("data", {}).get("text/html", ""))]
    assert len(pictures) >= 5
    assert not any("https://" in "".join(picture["data"]["text/html"]) for picture in pictures), (
        "a picture loads from the network"
    )


def test_its_figures_bear_out_its_text(ran: dict[str, Any]) -> None:
    with_intake = shown(ran, "with_intake")
    assert with_intake["multilevel"] > with_intake["corrected"]
    assert abs(with_intake["corrected"] - with_intake["truth"]) < abs(with_intake["multilevel"] - with_intake["truth"])
    assert max(with_intake[name] for name in ("gain", "z_gain", "rank_change")) < with_intake["corrected"]
    checks = shown(ran, "checks")
    assert checks["plain"][0] < 0.95
    assert checks["plain"][1] > checks["mean score"]
    rows, columns = shown(ran, "table.num_rows, table.column_names[:5]")
    assert rows == 40
    assert columns[0] == "school"
