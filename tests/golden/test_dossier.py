"""One whole dossier of the sample county, both languages. `make golden` writes it anew; a person reads the difference."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest

import eduq as eq
from eduq.archive import create_archive, open_archive
from eduq.disclosure import PublishableDossier
from eduq.locale import Lang
from eduq.registers import read_registers
from eduq.resources import sample_data_path

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def dossier(tmp_path_factory: pytest.TempPathFactory) -> PublishableDossier:
    sample = sample_data_path()
    folder = tmp_path_factory.mktemp("archive") / "demo-archive"
    archive = create_archive(folder, key_file=folder.with_name("demo.key"))
    archive.add_registers(read_registers(sample / "registers"))
    for year in range(2021, 2026):
        archive.add(eq.read_scores(sample / f"{year}-2-g9-final"))
    explained = eq.explain(open_archive(folder), unit="S006", rule="ezhou.head.yellow", as_of=dt.date(2026, 8, 31))
    return eq.protect_dossier(explained, edition="bureau")


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize(("format", "suffix"), [("text", "txt"), ("html", "html")])
def test_dossier_is_as_it_was_read(dossier: PublishableDossier, lang: Lang, format: str, suffix: str) -> None:
    stored = HERE / f"dossier.{lang}.{suffix}"
    fresh = eq.render_dossier(dossier, format=format, lang=lang)
    if os.environ.get("EDUQ_WRITE_GOLDEN"):
        stored.write_text(fresh, encoding="utf-8")
    assert fresh == stored.read_text(encoding="utf-8")
