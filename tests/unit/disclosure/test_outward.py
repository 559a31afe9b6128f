"""Words that may not leave, the data they come from, and products that are not made."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError

from eduq.disclosure.outward import check_outward, refuse_product
from eduq.disclosure.products import PRODUCTS
from eduq.errors import DisclosureError, Place, SettingsError
from eduq.locale import Lang
from eduq.resources import rules_path
from eduq.rulepacks.linting import lint_rulepack
from eduq.rulepacks.outward_search import find_barred
from eduq.rulepacks.outward_words import OUTWARD_EDITIONS, OUTWARD_FILE, OutwardWords, cite_ban, read_outward

NATIONAL = rules_path() / "national"


def words_in(text: str, edition: str = "public", **more: list[str]) -> list[str]:
    return [found.word for found in find_barred(text, edition=edition, **more)]


@pytest.mark.parametrize("entry", read_outward().words, ids=lambda entry: entry.id)
def test_each_kind_refuses_its_cases_and_passes_the_others(entry: object) -> None:
    for edition in entry.barred:  # type: ignore[attr-defined]
        for said in entry.refuses:  # type: ignore[attr-defined]
            assert entry.id in [found.entry.id for found in find_barred(said, edition=edition)], said  # type: ignore[attr-defined]
        for said in entry.passes:  # type: ignore[attr-defined]
            assert words_in(said, edition) == [], said


def test_every_word_rests_on_a_rule_with_document_and_article_and_quotes_only_what_was_read() -> None:
    for _, rule in read_outward().cited_rules():
        cited = cite_ban(rule)
        assert cited is not None, rule
        assert cited.title
        assert cited.article or cited.place
        assert cited.quote is None or not rule.startswith("national.")


@pytest.mark.parametrize("word", ["状元", "升学率", "喜报", "末位", "排名", "重点率"])
@pytest.mark.parametrize("edition", OUTWARD_EDITIONS)
def test_the_worst_words_are_barred_in_every_edition_that_leaves(word: str, edition: str) -> None:
    assert words_in(f"本区{word}", edition) == [word]
    assert words_in(f"本区{word}", "bureau") == []


def test_what_the_government_may_be_told_of_the_area_is_not_for_the_public() -> None:
    assert words_in("本科上线人数完成率", "government") == []
    assert words_in("本科上线人数完成率", "public") == ["上线人数"]


@pytest.mark.parametrize("name", ["状元中学", "前进第一名校附属小学", "喜报山小学"])
def test_a_name_of_the_register_is_a_fact_and_no_more_than_that_name(name: str) -> None:
    assert words_in(f"{name}参加了考试", names=[name]) == []
    assert words_in(f"{name}出了状元", names=[name]) == ["状元"]
    assert words_in(f"热烈祝贺{name}喜报频传", names=[name]) == ["喜报"]


def test_a_name_that_is_only_the_word_excuses_nothing() -> None:
    assert words_in("全区状元名单", names=["状元", "第一中学"]) == ["状元"]


def test_schools_called_first_are_no_ranking() -> None:
    assert words_in("鄂城区第一中学、第二中学、全市第一中学联考") == []


def test_the_error_says_word_place_ground_and_what_to_write() -> None:
    where: dict[Lang, str] = {"zh": "设置 issuer", "en": "setting issuer"}
    with pytest.raises(DisclosureError) as caught:
        check_outward("喜 报", edition="school", place=Place(file="a.html", row=3), where=where)
    error = caught.value
    assert (error.code, error.exit_status, error.params["word"]) == ("outward_word", 13, "喜报")
    zh, en = error.message("zh"), error.message("en")
    for part in ("喜报", "a.html", "设置 issuer", "深化新时代教育评价改革总体方案", "坚决纠正片面追求升学率倾向", "通报"):
        assert part in zh
    for part in ("喜报", "a.html", "setting issuer", "national.document.publicity", "facts and figures"):
        assert part in en


@pytest.mark.parametrize(
    "product",
    [
        "ranking",
        "School-Ranking",
        "pupil_ranking",
        "top-scorers",
        "promotion",
        "排名",
        "成绩排名",
        "状元",
        "升学率",
        "喜报",
        "ＲＡＮＫＩＮＧ",
    ],
)
def test_a_banned_product_is_refused_with_its_article(product: str) -> None:
    with pytest.raises(DisclosureError) as caught:
        refuse_product(product)
    assert caught.value.code == "product_banned"
    assert "national.document." in caught.value.message("zh")
    assert any(article in caught.value.message("en") for article in ("坚决纠正片面追求升学率倾向", "合理运用考试结果", "第十条"))


def test_what_is_made_is_not_refused_but_to_those_who_may_not_have_it() -> None:
    for product in PRODUCTS:
        refuse_product(product)
        refuse_product(product, edition="bureau")
    refuse_product("nonsense")
    with pytest.raises(DisclosureError) as caught:
        refuse_product("school", edition="public")
    assert caught.value.code == "product_edition_banned"


# ---- the data ---------------------------------------------------------------------------------------------------------


def test_an_unknown_key_edition_or_pattern_stops() -> None:
    shipped = read_outward().model_dump(by_alias=True)
    OutwardWords.model_validate(shipped)
    for spoil in (
        {"more": 1},
        {"schema": 2},
        {"same": {"狀元": "状元"}},
        {"words": [shipped["words"][0] | {"barred": ["bureau"]}]},
        {"words": [shipped["words"][0] | {"bared": ["public"]}]},
        {"words": [shipped["words"][0] | {"patterns": ["(前"]}]},
        {"words": [shipped["words"][0], shipped["words"][0]]},
        {"words": []},
    ):
        with pytest.raises(ValidationError):
            OutwardWords.model_validate(shipped | spoil)


def test_a_file_that_is_not_understood_says_where(tmp_path: Path) -> None:
    said = (NATIONAL / OUTWARD_FILE).read_text(encoding="utf-8").replace('id = "triumph"', 'id = "triumph"\nbann = 1')
    (tmp_path / OUTWARD_FILE).write_text(said, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        read_outward(tmp_path)
    assert caught.value.code == "settings_invalid"
    assert "words.1.bann" in caught.value.message("en")


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ('rule = "national.document.minors_scores"', 'rule = "national.document.gone"', "outward_rule"),
        ('"每季一通报", "报告喜忧参半"', '"每季一通报", "捷报频传"', "outward_refuses"),
        ('"中考喜报", "喜 报"', '"中考通报", "喜 报"', "outward_passes"),
        ('id = "triumph"', 'id = "triumph"\nsaid = 1', "outward_invalid"),
    ],
)
def test_lint_knows_the_file(tmp_path: Path, old: str, new: str, code: str) -> None:
    pack = tmp_path / "national"
    shutil.copytree(NATIONAL, pack)
    assert lint_rulepack(pack).findings == ()
    path = pack / OUTWARD_FILE
    said = path.read_text(encoding="utf-8")
    assert old in said
    path.write_text(said.replace(old, new, 1), encoding="utf-8")
    assert [one.code for one in lint_rulepack(pack).findings] == [code]
