"""Definitions of measures: shipped, regional, local."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.builders import build_scores, one_school, pick

import eduq as eq
from eduq.errors import SettingsError
from eduq.estimates.measures import load_measures


def write(folder: Path, content: str) -> Path:
    path = folder / "local.toml"
    path.write_text(content, encoding="utf-8")
    return path


def test_regional_variants_are_there_when_named() -> None:
    assert "excellent_rate_90" not in load_measures()
    assert list(load_measures(names=["excellent_rate_90"])) == ["excellent_rate_90"]


def test_a_local_measure_is_computed_like_a_shipped_one(tmp_path: Path) -> None:
    local = write(tmp_path, '[top_rate]\nversion = 1\nname = "高分率"\nkind = "proportion"\ncut = 0.95\n')
    found = eq.describe(build_scores(one_school([95, 94.5, 100, 20])), measures=load_measures(local)).frame
    assert pick(found, "top_rate")["estimate"] == pytest.approx(2 / 4)


def test_a_redefinition_needs_a_new_version(tmp_path: Path) -> None:
    body = '[pass_rate]\nversion = {version}\nname = "及格率"\nkind = "proportion"\ncut = 0.65\n'
    with pytest.raises(SettingsError) as stop:
        load_measures(write(tmp_path, body.format(version=1)))
    assert stop.value.code == "measure_version"
    assert load_measures(write(tmp_path, body.format(version=2)))["pass_rate"].cut == 0.65


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ('[x]\nversion = 1\nname = "x"\nkind = "proportion"\n', "measure_incomplete"),
        ('[x]\nversion = 1\nname = "x"\nkind = "guess"\ncut = 0.5\n', "measure_invalid"),
        ('[x]\nversion = 1\nname = "x"\nkind = "proportion"\ncut = 0.5\nbelow = 0.4\n', "measure_invalid"),
        ('[x]\nversion = 1\nname = "x"\nkind = "proportion"\ncutt = 0.5\n', "measure_invalid"),
        ("[x\n", "settings_syntax"),
    ],
)
def test_a_definition_that_is_not_understood_stops(tmp_path: Path, content: str, code: str) -> None:
    with pytest.raises(SettingsError) as stop:
        load_measures(write(tmp_path, content))
    assert stop.value.code == code
    assert stop.value.place.file == "local.toml"
    assert stop.value.message("en")
    assert stop.value.message("zh")


def test_an_unknown_measure_in_the_settings_stops() -> None:
    with pytest.raises(SettingsError) as stop:
        load_measures(names=["pass_rat"])
    assert stop.value.code == "measure_unknown"
