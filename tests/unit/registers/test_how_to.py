"""The examples of docs/how-to/registers.md are registers that can be read."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

from eduq.registers import read_registers, trace_lineage

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "registers.md"
SCHOOLS = "学校代码,学校名称\n" + "".join(f"S{number:03d},第{number}学校\n" for number in (1, 2, 3, 41, 45, 46, 47, 48))


def test_the_examples_are_read(tmp_path: Path) -> None:
    blocks = re.findall(r"```(?:csv|toml)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names = ("school_events.csv", "heads.csv", "targets.csv", "packs.toml")
    for name, block in zip(names, blocks, strict=True):
        (tmp_path / name).write_text(block, encoding="utf-8")
    (tmp_path / "schools.csv").write_text(SCHOOLS, encoding="utf-8")
    found = read_registers(tmp_path)
    assert found.events is not None
    assert found.events["event"].to_list() == ["merge", "split", "rename", "new", "close"]
    assert found.targets is not None
    assert found.targets["target"].to_list() == [0.72, 0.05]
    assert found.packs["ezhou"].parameters == {"ezhou.teacher.talk": {"share": 0.1}}
    lineage = trace_lineage(found, as_of=dt.date(2026, 8, 31))
    assert lineage["reason"].to_list() == ["merged", "split", None, "merged", "closed", "split", None, "new"]
