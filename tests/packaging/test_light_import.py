"""What is loaded by `import eduq`, by `eduq --help` and by the main job (modules, not seconds)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import eduq
from eduq.resources import sample_data_path

TABLES = {"polars", "numpy", "pandas", "pyarrow", "dataframely", "narwhals", "fastexcel", "python_calamine"}
STATISTICS = {"scipy", "statsmodels"}
OUTPUT = {"lets_plot", "xlsxwriter", "jinja2"}
FRONT = {"typer", "rich", "pydantic"}


def loaded_after(code: str, cwd: Path) -> set[str]:
    """Run code in a fresh interpreter and return the modules it loaded."""
    tail = "\nimport sys\nprint('\\nLOADED ' + ' '.join(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": "", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code + tail], capture_output=True, text=True, cwd=cwd, env=environment, check=True
    )
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("LOADED "))
    return set(line.split()[1:])


def run_command(*arguments: str) -> str:
    """Code that runs the command line in the interpreter at hand."""
    return f"""
import sys
sys.argv = ["eduq", *{list(arguments)!r}]
from eduq.cli import main
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
"""


def test_import_loads_nothing_heavy(tmp_path: Path) -> None:
    loaded = loaded_after("import eduq", tmp_path)
    assert "eduq" in loaded
    assert not loaded & (TABLES | STATISTICS | OUTPUT | FRONT)
    assert not {name for name in loaded if name.startswith("eduq.")}


def test_help_loads_neither_tables_nor_statistics(tmp_path: Path) -> None:
    loaded = loaded_after(run_command("--help"), tmp_path)
    assert "typer" in loaded
    assert not loaded & (TABLES | STATISTICS | OUTPUT)


@pytest.mark.slow
def test_main_job_uses_neither_statsmodels_nor_scipy_stats(tmp_path: Path) -> None:
    exam = sample_data_path() / "2025-2-g9-final"
    loaded = loaded_after(run_command("analyze", str(exam), "--out", str(tmp_path / "out")), tmp_path)
    assert "polars" in loaded
    assert not loaded & {"statsmodels", "statsmodels.api", "scipy.stats", "pandas"}


def test_public_names_load_and_are_listed() -> None:
    assert set(eduq.__all__) <= set(dir(eduq))
    for name in eduq.__all__:
        assert getattr(eduq, name) is not None, name
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = eduq.no_such_name
