"""The wording of bulletins: the same keys and placeholders in both languages, spaced as Chinese with figures is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from eduq.bulletins.reading import BARRED, reason_cell, reason_words
from eduq.resources import read_toml

SECTIONS = ("reasons", "methods", "measures_text", "bulletin")
FIGURES = "n|rows|used|rejected|files|whole|shown|compared|above|below|same|schools|candidates|level|share|present|expected"
IDEOGRAPH = r"[\u4e00-\u9fff]"


def _flat(node: dict[str, Any], lead: str = "") -> Iterator[tuple[str, str]]:
    for name, value in node.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{lead}{name}.")
        else:
            yield lead + name, value


def _wording(file: str) -> dict[str, str]:
    content = read_toml("locale", file)
    return dict(_flat({name: content[name] for name in SECTIONS}))


def test_languages_have_the_same_keys_and_placeholders() -> None:
    zh, en = _wording("zh_CN.toml"), _wording("en.toml")
    assert zh.keys() == en.keys()
    for key, said in zh.items():
        assert set(re.findall(r"{(\w+)}", said)) == set(re.findall(r"{(\w+)}", en[key])), key


def test_figures_in_chinese_sentences_stand_apart() -> None:
    close = re.compile(
        f"{IDEOGRAPH}{{(?:{FIGURES})}}|{{(?:{FIGURES})}}{IDEOGRAPH}|{IDEOGRAPH}[A-Za-z0-9]|[A-Za-z0-9%]{IDEOGRAPH}"
    )
    allowed = {"bulletin.finding.participation_schools"}
    wrong = {key: said for key, said in _wording("zh_CN.toml").items() if close.search(said) and key not in allowed}
    wrong.pop("bulletin.finding.below", None)
    assert {key for key in wrong if "{schools}" not in wrong[key]} == set()


@pytest.mark.parametrize(
    "code", ["marking_not_shared", "pace_not_shared", "paper_not_shared", "sitting_not_shared", "single_school"]
)
def test_every_reason_for_not_comparing_has_words_and_a_cell(code: str) -> None:
    assert isinstance(reason_words(code), dict)
    assert reason_cell(code)["key"].endswith(code)


def test_only_the_five_sames_make_a_number_incomparable() -> None:
    wording = read_toml("locale", "zh_CN.toml")
    cells = wording["bulletin"]["cell"]["reason"]
    assert {code for code, said in cells.items() if said == "不可比"} == BARRED
    assert set(wording["reasons"]) == set(cells)


def test_what_the_body_says_of_checks_holds_no_settings_or_commands() -> None:
    for file in ("zh_CN.toml", "en.toml"):
        said = " ".join(read_toml("locale", file)["bulletin"]["check"].values())
        assert not re.search(r"\[\[|exam\.toml|--|\.csv", said)


def test_interval_sentences_do_not_promise_cohorts() -> None:
    zh = _wording("zh_CN.toml")
    assert "届与届之间" in zh["methods.census"]
    assert "届与届之间" in zh["bulletin.results.chance"]
