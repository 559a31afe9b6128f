"""What an office reader stumbled over: contents that lead to every part, titles that say the finding, stray spaces."""

from __future__ import annotations

import re

import pytest

import eduq as eq
from eduq.bulletins import build_context
from eduq.bulletins.render import render_html, render_markdown
from eduq.disclosure import Publishable
from eduq.locale import Lang
from eduq.resources import sample_data_path

SAMPLE = sample_data_path()
BETWEEN_HAN = re.compile(r"[\u4e00-\u9fff] (?=[\u4e00-\u9fff])")


@pytest.fixture(scope="module")
def found() -> Publishable:
    return eq.analyze(SAMPLE / "2025-2-g9-final", prior=SAMPLE / "2024-2-g8-final", registers=SAMPLE / "registers").publishable


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_contents_lead_to_every_part_of_the_results(found: Publishable, lang: Lang) -> None:
    context = build_context(found, lang)
    html = render_html(context)
    contents = html[html.index("<nav") : html.index("</nav>")]
    links = re.findall(r'href="#([^"]+)"', contents)
    names = [part["id"] for part in context["sections"]]
    inside = names[names.index("results") + 1 : names.index("growth") + 1]
    assert {f"{name}-2" for name in (*inside, "focus", "targets")} <= set(links)
    assert len(links) == len(set(links))
    assert all(f'id="{link}"' in html for link in links)


def test_no_space_between_chinese_words_of_a_sentence(found: Publishable) -> None:
    prose = [line for line in render_markdown(build_context(found, "zh")).splitlines() if line and line[0] not in "|#*-"]
    assert [line for line in prose if BETWEEN_HAN.search(line)] == []


def test_titles_say_the_finding_and_counts_have_their_word(found: Publishable) -> None:
    said = render_markdown(build_context(found, "zh"))
    title = next(line for line in said.splitlines() if "的水平与增值：" in line)
    total, *sides = (int(number) for number in re.findall(r"(\d+) 所", title))
    assert sum(sides) == total
    assert "所学校数" not in said


def test_completion_is_left_out_with_its_reason_where_chance_would_swing_it(found: Publishable) -> None:
    assert found.targets is not None
    frame = found.targets.frame
    blurred = frame.filter(reason="target_near_baseline")
    assert blurred.height > 0
    assert blurred["completion"].null_count() == blurred.height
    assert frame["completion"].drop_nulls().abs().le(10).all()
    assert f"有 {blurred.height} 行不列完成度" in render_markdown(build_context(found, "zh"))
