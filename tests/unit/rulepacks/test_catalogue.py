"""Where packs are found: an explicit path, then the bureau's own folder, then the shipped ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from eduq.errors import SettingsError
from eduq.resources import rules_path
from eduq.rulepacks.catalogue import find_pack, list_packs, read_clauses


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packs of the bureau: its own Ezhou."""
    shutil.copytree(rules_path() / "ezhou", tmp_path / "own" / "ezhou")
    monkeypatch.setenv("EDUQ_RULES", str(tmp_path / "own"))
    return tmp_path / "own"


def test_the_shipped_packs_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDUQ_RULES", raising=False)
    assert list(list_packs()) == ["dalian", "ezhou", "jinghong", "national", "xiangan"]
    assert find_pack("ezhou") == rules_path() / "ezhou"


def test_the_bureaus_own_pack_goes_before_the_shipped_one(own: Path) -> None:
    assert find_pack("ezhou") == own / "ezhou"
    assert find_pack("dalian") == rules_path() / "dalian"
    assert find_pack(rules_path() / "ezhou") == rules_path() / "ezhou"


@pytest.mark.parametrize("given", ["{own}/ezhou", "{own}/ezhou/pack.yaml"])
def test_a_path_is_a_path(own: Path, given: str) -> None:
    assert find_pack(given.format(own=own)) == own / "ezhou"


def test_an_unknown_name_says_which_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDUQ_RULES", raising=False)
    with pytest.raises(SettingsError) as caught:
        find_pack("ezou")
    assert caught.value.code == "pack_unknown"
    assert "dalian, ezhou, jinghong, national, xiangan" in caught.value.message("en")
    assert "'ezhou'" in caught.value.advice("en")


def test_a_folder_without_a_pack_and_a_folder_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="pack_missing"):
        find_pack(tmp_path)
    monkeypatch.setenv("EDUQ_RULES", str(tmp_path / "nowhere"))
    with pytest.raises(SettingsError, match="rules_folder_missing"):
        list_packs()


def test_a_packs_own_clauses_stand_beside_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "clauses.toml").write_text(
        '[documents]\nlocal = { title = "某县办法", number = "某教〔2025〕1号", date = 2025-01-02 }\n'
        '[A02]\nlocal = [{ quote = "连续两年下滑的校长约谈", place = "第三条" }]\n',
        encoding="utf-8",
    )
    clauses = read_clauses(tmp_path)
    (line,) = clauses.citations("A02", "local")
    assert (line.quote, line.title, line.number, line.place) == (
        "连续两年下滑的校长约谈",
        "某县办法",
        "某教〔2025〕1号",
        "第三条",
    )
    assert len(clauses.citations("A02", "ezhou")) == 1
    assert clauses.citations("A02", "dalian") == ()
    assert clauses.citations("A02", "nowhere") == ()
