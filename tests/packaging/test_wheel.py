"""The wheel carries everything the main job needs, and does the main job in an empty environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOMES = {"src/eduq/": "eduq/", "rules/": "eduq/data/rules/", "sample_data/": "eduq/data/sample_data/"}

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command away from the project and its settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHONPATH", "EDUQ_"))}
    environment |= {"PYTHONUTF8": "1", "NO_COLOR": "1"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == expect, done.stderr[-2000:]
    return done


def project_files() -> list[str]:
    """Files of the project that belong into the wheel: all that git would keep."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs git and a checkout, to know which files are the project's")
    list_files = ("git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--")
    listing = run(*list_files, *HOMES, cwd=ROOT).stdout
    return sorted(name for name in listing.split("\0") if name and (ROOT / name).is_file())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds the wheel, and sees the libraries (not the project) of the environment of the tests."""
    folder = tmp_path_factory.mktemp("elsewhere")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder


def test_wheel_carries_every_file_of_the_project(wheel: Path) -> None:
    names = project_files()
    assert {"src/eduq/locale/zh_CN.toml", "src/eduq/locale/en.toml", "src/eduq/py.typed", "rules/README.md"} <= set(names)
    assert any(name.startswith("src/eduq/bulletins/templates/") for name in names)
    assert any(name.startswith("sample_data/registers/") for name in names)
    for pack in ("dalian", "ezhou", "jinghong", "national", "xiangan"):
        for part in ("pack.yaml", "rules/", "text/zh_CN.toml", "text/en.toml", "cases/"):
            assert any(name.startswith(f"rules/{pack}/{part}") for name in names), (pack, part)
    assert {"rules/clauses.toml", "rules/coverage.toml"} <= set(names)
    with zipfile.ZipFile(wheel) as archive:
        for name in names:
            home = next(prefix for prefix in HOMES if name.startswith(prefix))
            assert archive.read(HOMES[home] + name.removeprefix(home)) == (ROOT / name).read_bytes(), name
        strays = [name for name in archive.namelist() if not name.startswith("eduq-")]
    assert len(strays) == len(names)


def test_installed_wheel_does_the_main_job(installed: Path) -> None:
    binaries = installed / "venv" / "bin"
    where = run(
        binaries / "python", "-c", "from eduq.resources import sample_data_path as p; print(p())", cwd=installed
    ).stdout.strip()
    sample = Path(where)
    assert sample.is_relative_to(installed)
    done = run(
        binaries / "eduq",
        "analyze",
        sample / "2025-2-g9-final",
        "--registers",
        sample / "registers",
        "--out",
        "bulletin",
        cwd=installed,
    )
    out = installed / "bulletin"
    for name in ("bulletin.md", "bulletin.html", "tables.xlsx", "run.json", "results/estimates.parquet"):
        assert (out / name).stat().st_size > 0, name
    assert "bulletin.html" in done.stdout


def test_installed_wheel_has_its_rule_packs(installed: Path) -> None:
    binaries = installed / "venv" / "bin"
    where = run(binaries / "python", "-c", "from eduq.resources import rules_path as p; print(p())", cwd=installed).stdout.strip()
    assert Path(where).is_relative_to(installed)
    done = run(binaries / "eduq", "rules", "test", cwd=installed)
    for pack in ("dalian", "ezhou", "jinghong", "national", "xiangan"):
        assert pack in done.stdout


def test_installed_wheel_makes_samples(installed: Path) -> None:
    run(installed / "venv" / "bin" / "eduq", "sample", "--out", "county", cwd=installed)
    assert (installed / "county" / "2025-2-g9-final" / "exam.toml").is_file()
    assert (installed / "county" / "registers" / "schools.csv").is_file()
