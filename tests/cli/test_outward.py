"""What may not leave does not leave: banned products, slogans in settings, exam.toml and templates, names that are facts."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import polars as pl
import pytest
from tests.cadence import make_archive, make_exam

import eduq as eq
from eduq.archive import Archive
from eduq.cli.app import run as run_command
from eduq.errors import DisclosureError
from eduq.pipeline.feedback import write_feedback
from eduq.pipeline.sheet_drafts import TeachersDraft
from eduq.registers import Registers, read_registers
from eduq.settings import RunSettings

Run = Callable[..., tuple[int, str, str]]
EXAM = "2025-1-g9-mid"
NAMES = {"QA01": "状元街道第一名校附属中学", "QB02": "喜报山中学", "QC03": "第三中学", "QD04": "第四中学"}


def registers(folder: Path, names: dict[str, str]) -> Registers:
    folder.mkdir()
    lines = ["school_id,name,township", *(f"{unit},{name},状元街道" for unit, name in names.items())]
    (folder / "schools.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    teachers = ["teacher_id,name,school_id,class_id,subject,school_year,term,share"]
    teachers += [f"T{unit},师{unit},{unit},1,math,2025-2026,1,1" for unit in names]
    (folder / "teachers.csv").write_text("\n".join(teachers) + "\n", encoding="utf-8")
    return read_registers(folder)


def archive_of(folder: Path, *, name: str = "期中质量监测", names: dict[str, str] = NAMES) -> Archive:
    store = make_archive(folder)
    exam = make_exam(EXAM, "2025-11-12")
    facts = exam.exam.exam.model_copy(update={"name": name})
    schools = pl.DataFrame({"school_id": list(names), "name": list(names.values())})
    told = exam.schools.drop("name").join(schools, on="school_id", how="left").select(exam.schools.columns)
    named = dataclasses.replace(exam, exam=exam.exam.model_copy(update={"exam": facts}), schools=told)
    store.add(named, registers=registers(folder / "registers", names))
    return store


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return archive_of(tmp_path_factory.mktemp("outward"))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDUQ_LANG", "zh")

    def call(*arguments: str, store: Archive | None = None) -> tuple[int, str, str]:
        own = [] if store is None else ["--archive", str(store.path), "--today", "2026-03-01", "--out", str(tmp_path / "out")]
        status = run_command([*arguments, *own])
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


@pytest.mark.parametrize(
    "product", ["ranking", "school-ranking", "pupil-ranking", "top-scorers", "promotion", "成绩排名", "状元", "升学率", "喜报"]
)
@pytest.mark.parametrize("period", [[], ["--period", "2025Q4"]])
def test_a_banned_product_stops_with_its_article(
    archive: Archive, run: Run, tmp_path: Path, product: str, period: list[str]
) -> None:
    status, out, err = run("bulletin", "--product", product, *period, store=archive)
    assert (status, out) == (13, "")
    assert "product_banned" in err
    assert re.search("坚决纠正片面追求升学率倾向|合理运用考试结果|第十条", err.replace("\n", ""))
    assert not (tmp_path / "out").exists()


def test_an_unknown_product_is_a_mistake_of_the_call_and_a_school_table_is_not_for_the_public(archive: Archive, run: Run) -> None:
    assert run("bulletin", "--product", "quaterly", store=archive)[0] == 2
    for edition in ("public", "student"):
        status, _, err = run("bulletin", "--product", "school", "--unit", "QA01", "--edition", edition, store=archive)
        assert status == 13
        assert "product_edition_banned" in err
        assert "合理运用考试结果" in err.replace("\n", "")


@pytest.mark.parametrize("edition", ["public", "government", "student", "school", "teacher"])
@pytest.mark.parametrize(
    ("key", "value"), [("issuer", "状元办"), ("document_no", "喜 报〔2026〕1号"), ("recipients", ["各升 学 率领先学校"])]
)
def test_a_slogan_in_the_settings_stops_every_edition_that_leaves(
    archive: Archive, run: Run, tmp_path: Path, edition: str, key: str, value: object
) -> None:
    settings = tmp_path / "run.toml"
    settings.write_text(f"{key} = {json.dumps(value, ensure_ascii=False)}\n", encoding="utf-8")
    asked = ["bulletin", "--product", "quarterly", "--period", "2025Q4", "--settings", str(settings), "--formats", "md"]
    status, out, err = run(*asked, "--edition", edition, store=archive)
    assert (status, out) == (13, "")
    assert f"设置 {key}" in err.replace("\n", "")
    assert list((tmp_path / "out").rglob("bulletin.md")) == []


def test_the_bureau_itself_may_say_it(archive: Archive, run: Run, tmp_path: Path) -> None:
    settings = tmp_path / "run.toml"
    settings.write_text('issuer = "整治升学率宣传办公室"\n', encoding="utf-8")
    asked = ["bulletin", "--product", "quarterly", "--period", "2025Q4", "--settings", str(settings), "--formats", "md"]
    status, out, _ = run(*asked, store=archive)
    assert status == 0
    assert "整治升学率宣传办公室" in Path(out.splitlines()[0]).read_text(encoding="utf-8")


@pytest.mark.parametrize("edition", ["public", "government", "student", "school", "teacher"])
def test_names_of_schools_and_places_do_not_stop_a_run(archive: Archive, run: Run, tmp_path: Path, edition: str) -> None:
    asked = ["bulletin", "--product", "quarterly", "--period", "2025Q4", "--formats", "md,html,docx,xlsx", "--edition", edition]
    status, _, err = run(*asked, store=archive)
    assert status == 0, err
    written = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "out").rglob("*.md"))
    assert ("状元街道第一名校附属中学" in written) == (edition in ("school", "teacher"))
    if edition == "public":
        assert not re.search("状元|喜报", written)


def test_an_exam_with_a_slogan_for_a_name_is_named(run: Run, tmp_path: Path) -> None:
    store = archive_of(tmp_path / "store", name="2025年状元杯联考") if (tmp_path / "store").mkdir() is None else None
    assert store is not None
    status, _, err = run("bulletin", "--product", "quarterly", "--period", "2025Q4", "--edition", "public", store=store)
    assert status == 13
    assert "exam.toml，exam.name" in err.replace("\n", "")


def test_a_local_template_that_boasts_is_named_with_its_line(archive: Archive, run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    told = (
        '{% extends "shipped/bulletin.html" %}\n{% block letterhead %}\n<p>热烈祝贺我区<b>状</b><i>元</i></p>\n{% endblock %}\n'
    )
    (folder / "bulletin.html").write_text(told, encoding="utf-8")
    asked = ["bulletin", "--product", "quarterly", "--period", "2025Q4", "--templates", str(folder), "--formats", "html"]
    for edition in ("public", "school", "teacher"):
        status, _, err = run(*asked, "--edition", edition, store=archive)
        assert status == 13, edition
        assert re.search("bulletin.html.{0,8}3", err.replace("\n", "")), err
    assert run(*asked, store=archive)[0] == 0


def test_feedback_sheets_and_school_packs_are_looked_at_one_by_one(archive: Archive, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    asked = {"product": "quarterly", "period": "2025Q4", "today": dt.date(2026, 3, 1)}
    teachers = eq.make_bulletin(archive, edition="teacher", **asked)
    schools = eq.make_bulletin(archive, edition="school", **asked)
    boast = '{% extends "shipped/NAME" %}\n{% block letterhead %}争\u200b创升学率{% endblock %}\n'
    for name in ("feedback.html", "bulletin.html"):
        (folder / name).write_text(boast.replace("NAME", name), encoding="utf-8")
    assert isinstance(teachers, TeachersDraft)
    with pytest.raises(DisclosureError) as caught:
        write_feedback(teachers.teaching[0], tmp_path / "sheets", templates=folder)
    assert (caught.value.place.file in ("feedback.html", "bulletin.html"), caught.value.place.row) == (True, 2)
    assert not (tmp_path / "sheets").exists()
    write_feedback(teachers.teaching[0], tmp_path / "sheets")
    for draft in (teachers, schools):
        with pytest.raises(DisclosureError) as caught:
            dataclasses.replace(draft, templates=folder).write(tmp_path / "packs", formats=("html",))
        assert (caught.value.place.file, caught.value.place.row) == ("bulletin.html", 2)
        assert not (tmp_path / "packs").exists()


def test_analyze_looks_at_what_leaves(tmp_path: Path) -> None:
    scores = tmp_path / "数学.csv"
    pupils = [f"{number:03d},学生{number},{name},{40 + number % 50}" for name in NAMES.values() for number in range(20)]
    lines = ["考号,姓名,学校,数学(100分)", *(f"{place}{line}" for place, line in enumerate(pupils))]
    scores.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for edition, issuer, stops in (
        ("public", "某县教育局", False),
        ("public", "升学率第一县", True),
        ("bureau", "升学率第一县", False),
    ):
        found = eq.analyze([scores], settings=RunSettings(issuer=issuer), edition=edition)
        out = tmp_path / f"{edition}-{stops}"
        if not stops:
            found.write(out)
            assert eq.render_bulletin(found.publishable, format="markdown")
            continue
        with pytest.raises(DisclosureError) as caught:
            found.write(out)
        assert caught.value.params["word"] == "升学率"
        assert not out.exists()
        with pytest.raises(DisclosureError):
            eq.render_bulletin(found.publishable)


def test_the_certificate_is_printed_in_every_format(archive: Archive, run: Run, tmp_path: Path) -> None:
    asked = ["bulletin", "--product", "quarterly", "--period", "2025Q4", "--formats", "md,html,docx"]
    for edition in ("public", "bureau"):
        assert run(*asked, "--edition", edition, store=archive)[0] == 0
        folder = tmp_path / "out" / "quarterly" / f"2025Q4-{edition}-zh"
        for name in ("bulletin.md", "bulletin.html"):
            assert "保密处理证明" in (folder / name).read_text(encoding="utf-8")
        with ZipFile(folder / "bulletin.docx") as packed:
            assert "保密处理证明" in packed.read("word/document.xml").decode("utf-8")


def test_rules_show_prints_the_words(run: Run) -> None:
    status, out, _ = run("rules", "show", "national", "--words")
    assert status == 0
    assert "升学率" in out
    assert "national.document.publicity" in out.replace("\n", "").replace(" ", "") or "national" in out
    status, out, _ = run("rules", "show", "national", "--words", "--format", "json")
    found = json.loads(out)
    assert {"top_scorer", "ranking"} <= {entry["id"] for entry in found["words"]}
    assert all(entry["ground"]["article"] for entry in found["words"])
    status, _, err = run("rules", "show", "ezhou", "--words")
    assert status == 10
    assert "outward_none" in err
