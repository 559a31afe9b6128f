"""A barred word is found however it is written, and an ordinary text is let through however it is written."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from eduq.rulepacks.outward_search import find_barred, read_plainly
from eduq.rulepacks.outward_words import OUTWARD_EDITIONS, read_outward

BARRED = [(entry.id, edition, word) for entry in read_outward().words for edition in entry.barred for word in entry.zh]
ENGLISH = [(entry.id, edition, word) for entry in read_outward().words for edition in entry.barred for word in entry.en]
BETWEEN = [
    "",
    " ",
    "  ",
    "\u3000",
    "\u200b",
    "\u200d",
    "\ufeff",
    "\u00ad",
    "\n",
    "**",
    "_",
    "<b>",
    "</b>",
    "<!-- x -->",
    "·",
    "-",
    "&#8203;",
]
FILLING = st.text("甲乙丙丁戊己庚辛ABC 012，。；", max_size=12)


def full_width(word: str) -> str:
    return "".join(chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else one for one in word)


@given(st.sampled_from(BARRED), st.data(), FILLING, FILLING)
@settings(max_examples=400)
def test_a_chinese_word_is_found_whatever_stands_between_its_characters(
    case: tuple[str, str, str], data: st.DataObject, before: str, after: str
) -> None:
    kind, edition, word = case
    hidden = word[0] + "".join(data.draw(st.sampled_from(BETWEEN)) + one for one in word[1:])
    if data.draw(st.booleans()):
        hidden = full_width(hidden) if "<" not in hidden and "&" not in hidden else hidden
    found = find_barred(f"{before}。{hidden}。{after}", edition=edition)
    assert kind in [one.entry.id for one in found]


@given(st.sampled_from(ENGLISH), st.data())
@settings(max_examples=300)
def test_an_english_word_is_found_in_any_case_width_and_spacing(case: tuple[str, str, str], data: st.DataObject) -> None:
    kind, edition, word = case
    written = data.draw(st.sampled_from([str.upper, str.title, full_width, lambda said: " ".join(said.replace(" ", "")), str]))
    gap = data.draw(st.sampled_from([" ", "  ", "-", "\u00a0", "\n", "_"]))
    assert kind in [one.entry.id for one in find_barred(f"the {written(word.replace(' ', gap))}, 2026", edition=edition)]


@given(FILLING, st.sampled_from(OUTWARD_EDITIONS))
def test_a_text_without_such_a_word_is_let_through(said: str, edition: str) -> None:
    assert find_barred(said, edition=edition) == []


@given(st.text(max_size=60))
def test_a_text_read_plainly_stays_so(said: str) -> None:
    once = read_plainly(said)
    assert read_plainly(once) == read_plainly(once + "")
    assert not set(once) & set("*_~`\\\u200b\u200d\ufeff\u00ad")
