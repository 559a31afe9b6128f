"""Every case of every shipped pack, one test each."""

from __future__ import annotations

from functools import cache

import polars as pl
import pytest

from eduq.resources import rules_path
from eduq.rulepacks.cases import read_cases, run_cases

PACKS = ("dalian", "ezhou", "jinghong", "national", "xiangan")


def every_case() -> list[tuple[str, str, str]]:
    found = []
    for pack in PACKS:
        for rule_id, file in read_cases(rules_path() / pack).items():
            found += [(pack, rule_id, case.name) for case in file.cases]
    return found


@cache
def results(pack: str) -> pl.DataFrame:
    return run_cases(rules_path() / pack).frame


@pytest.mark.parametrize(("pack", "rule_id", "case"), every_case())
def test_case(pack: str, rule_id: str, case: str) -> None:
    lines = results(pack).filter((pl.col("rule_id") == rule_id) & (pl.col("case") == case))
    assert lines["reading"].to_list() == ["narrow", "wide"]
    assert lines["found"].to_list() == lines["expected"].to_list()


def test_there_is_no_pack_without_its_cases() -> None:
    assert set(PACKS) == {path.parent.name for path in rules_path().glob("*/pack.yaml")}
    for pack in PACKS:
        assert run_cases(pack).without_cases == ()
