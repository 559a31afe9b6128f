"""The example of the how-to on rule packs is a whole pack that lints clean and whose cases hold."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from pathlib import Path

import pytest

from eduq.registers import PackStatement
from eduq.rulepacks.cases import run_cases
from eduq.rulepacks.linting import lint_rulepack
from eduq.rulepacks.reading import load_rulepack

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "rule-pack.md"


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    said = PAGE.read_text(encoding="utf-8")
    for name, content in re.findall(r"^`(mycounty/[\w./]+)`[^\n]*\n\n```[a-z]+\n(.*?)```", said, re.MULTILINE | re.DOTALL):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return tmp_path / "mycounty"


def test_the_example_is_a_whole_pack(pack: Path) -> None:
    assert lint_rulepack(pack).findings == ()
    found = run_cases(pack)
    assert found.failed.height == 0
    assert found.frame["case"].n_unique() == 5
    loaded = load_rulepack(pack, as_of=dt.date(2026, 8, 31))
    (rule,) = loaded.in_force()
    assert rule.citations[0].quote == "教学质量连续两年下滑，或者处于同类学校后列的，由县教研室帮扶"
    assert rule.citations[0].number == "某教〔2025〕6号"


def test_the_statement_of_the_page_is_understood() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    said = tomllib.loads(blocks[0])["ezhou"]
    flat = {f"ezhou.teacher.{key}": value for key, value in said["parameters"]["ezhou"]["teacher"].items()}
    stated = PackStatement.model_validate(said | {"parameters": flat})
    loaded = load_rulepack("ezhou", as_of=dt.date(2026, 8, 31), statements={"ezhou": stated})
    talk = loaded.rule("ezhou.teacher.talk")
    assert talk is not None
    assert talk.missing_parameters() == ()
    assert talk.peer_group is not None
    assert talk.peer_group.min_units == 8
