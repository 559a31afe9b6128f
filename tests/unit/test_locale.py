"""Both languages say everything, with the same values, and say only what the code asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from string import Formatter
from typing import Any

import pytest

from eduq.errors import DataFileError, EduqError, Place
from eduq.locale import current_language, text
from eduq.resources import package_path, read_toml

ZH, EN = read_toml("locale", "zh_CN.toml"), read_toml("locale", "en.toml")
LANGUAGE_OWN = {"zh", "en"}
"""Placeholders that hold a text made in each language; one file has the one, the other the other."""


def flatten(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for key, value in node.items():
        where = f"{path}.{key}" if path else key
        if isinstance(value, dict):
            yield from flatten(value, where)
        else:
            yield where, value


def placeholders(sentence: str) -> set[str]:
    return {field.split(".")[0].split("[")[0] for _, field, _, _ in Formatter().parse(sentence) if field} - LANGUAGE_OWN


def test_both_files_have_the_same_keys() -> None:
    assert set(dict(flatten(ZH))) == set(dict(flatten(EN)))


def test_both_files_fill_in_the_same_values() -> None:
    zh, en = dict(flatten(ZH)), dict(flatten(EN))
    different = {key for key in zh if placeholders(zh[key]) != placeholders(en[key])}
    assert different == set()


def test_no_sentence_is_empty_and_none_is_left_in_the_other_language() -> None:
    assert not [
        key for key, value in [*flatten(ZH), *flatten(EN)] if not value.strip() and not key.startswith(("bulletin.", "place."))
    ]
    chinese = re.compile(r"[\u4e00-\u9fff]")
    quoted = re.compile(r"[\u4e00-\u9fff]{7,}")
    assert not [key for key, value in flatten(EN) if quoted.search(value)]
    assert not [key for key, value in flatten(ZH) if key.endswith((".message", ".hint")) and not chinese.search(value)]


def test_every_error_code_raised_in_the_code_has_a_sentence_and_a_hint() -> None:
    raised = set()
    for path in package_path().rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        raised |= set(
            re.findall(r"(?:SettingsError|DataFileError|UsageError|NotAssessableError|DisclosureError)\(\s*\"([a-z_]+)\"", source)
        )
    assert len(raised) > 30
    assert {code for code in raised if set(ZH["errors"].get(code, {})) != {"message", "hint"}} == set()


def test_an_error_speaks_both_languages_and_names_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    error: EduqError = DataFileError("no_header", Place("成绩.xlsx", "Sheet1", 3, "数学"))
    assert error.message("en").startswith('file "成绩.xlsx", sheet "Sheet1", row 3, column "数学": ')
    assert error.message("zh").startswith("文件“成绩.xlsx”，工作表“Sheet1”，第 3 行，“数学”列：")
    monkeypatch.setenv("EDUQ_LANG", "en")
    assert current_language() == "en"
    assert error.hint == error.advice("en")
    with pytest.raises(KeyError):
        text("errors.there_is_no_such_error.message")
