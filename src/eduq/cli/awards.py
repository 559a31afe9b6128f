"""``eduq awards``: candidates of a scheme, level and progress side by side, or two schemes compared by simulation."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eduq.cli.aggregates import TableFormat, choose_form
from eduq.cli.options import (
    ArchiveOption,
    ArchiveVersionOption,
    AsOfOption,
    LangOption,
    OutputLang,
    as_date,
    named_archive,
)
from eduq.cli.table_output import give_frame, interval_words, number_words
from eduq.errors import UsageError
from eduq.locale import Lang, text

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

    from eduq.archive import Archive
    from eduq.estimates.awards import AwardCandidates, AwardScheme, SchemeComparison
    from eduq.estimates.awards.county import AwardCounty

__all__ = ["awards_command"]

_SHIPPED = ("balanced", "last-year")


def _column(name: str, key: str) -> Any:
    return typer.Option(f"--{name}", help=text(f"cli.help.awards_{key}"), show_default=False)


def awards_command(
    scheme: Annotated[str, _column("scheme", "scheme")],
    archive: ArchiveOption = None,
    as_of: AsOfOption = None,
    archive_version: ArchiveVersionOption = None,
    against: Annotated[str | None, _column("against", "against")] = None,
    year_group: Annotated[str | None, _column("year-group", "year_group")] = None,
    progress: Annotated[Path | None, _column("progress", "progress")] = None,
    worlds: Annotated[int | None, typer.Option("--worlds", min=2, help=text("cli.help.awards_worlds"))] = None,
    seed: Annotated[int | None, _column("seed", "seed")] = None,
    progress_sd: Annotated[float | None, _column("progress-sd", "progress_sd")] = None,
    form: Annotated[
        TableFormat | None, typer.Option("--format", help=text("cli.help.targets_format"), show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help=text("cli.help.targets_out"), show_default=False)] = None,
    lang: LangOption = OutputLang.zh,
) -> None:
    """List candidates, or compare two schemes."""
    from eduq.archive import open_archive
    from eduq.estimates.awards.county import collect_county
    from eduq.estimates.awards.schemes import read_scheme, require_both
    from eduq.rulepacks.refusals import refuse_award

    chosen = choose_form(form, out).value
    if against is None:
        for name, value in (("--worlds", worlds), ("--progress-sd", progress_sd)):
            if value is not None:
                raise UsageError("option_needs", option=name, needs="--against")
    elif progress is not None:
        raise UsageError("option_needs", option="--progress", needs="--scheme")
    day = as_date(as_of) or dt.datetime.now().astimezone().date()
    schemes = [read_scheme(_path(name)) for name in (scheme, against) if name is not None]
    for one in schemes:
        refuse_award([item.model_dump() for item in one.measures], as_of=day)
        require_both(one)
    store = open_archive(named_archive(archive), version=archive_version)
    first = schemes[0]
    needed = [item.measure for item in first.measures if progress is None or item.kind == "level"]
    counties = {name: collect_county(store, measure=name, year_group=year_group, as_of=day) for name in dict.fromkeys(needed)}
    county = counties[needed[0]]
    peers = _peers(store)
    number = 20250101 if seed is None else seed
    if against is None:
        written = _candidates(store, counties, schemes[0], peers, progress, day, number, chosen, out, lang.value)
    else:
        options = {"worlds": worlds or 2000, "seed": number, "progress_sd": 0.05 if progress_sd is None else progress_sd}
        written = _compare(county, schemes, peers, day, options, chosen, out, lang.value)
    if written is not None:
        print(written)


def _path(name: str) -> Path:
    from eduq.resources import package_path

    return package_path("estimates", "awards", f"{name}.toml") if name in _SHIPPED and not Path(name).exists() else Path(name)


def _peers(store: Archive) -> pl.DataFrame | None:
    registers = store.registers()
    return None if registers is None else registers.schools.rename({"school_id": "unit"})


def _growth(path: Path, scheme: AwardScheme) -> dict[str, pl.DataFrame]:
    """Return progress from the value added of a run: the multilevel effects of the composite."""
    import polars as pl

    from eduq.cli.aggregates import read_aggregates

    table = read_aggregates(path)
    if "growth" in table.columns:
        table = table.filter(pl.col("growth") == "multilevel", pl.col("paper") == "composite", pl.col("unit_type") == "school")
    frame = table.filter(pl.col("std_error").is_not_null() & (pl.col("std_error") > 0))
    return {item.measure: frame for item in scheme.of("progress")}


def _candidates(
    store: Archive,
    counties: dict[str, AwardCounty],
    scheme: AwardScheme,
    peers: pl.DataFrame | None,
    progress: Path | None,
    day: dt.date,
    seed: int,
    form: str,
    out: Path | None,
    lang: Lang,
) -> Path | None:
    from eduq.cli.trend_output import named_units
    from eduq.estimates.awards.candidates import county_frames
    from eduq.rulepacks.award_proposals import propose_awards

    county = next(iter(counties.values()))
    if progress is None:
        level, change = county_frames(counties, scheme)
    else:
        only = scheme.model_copy(update={"measures": scheme.of("level")})
        level, change = county_frames(counties, only)[0], _growth(progress, scheme)
    found = propose_awards(level, change, scheme=scheme, peers=peers, as_of=day, seed=seed)
    facts = {
        "schema": "eduq.awards/1",
        "settings": found.settings,
        "archive_version": store.version,
        "periods": list(county.periods),
    }
    names = named_units(store.registers(), "school")
    return give_frame(
        found.frame,
        lambda: {**facts, "lines": found.frame.to_dicts()},
        lambda console: _show(console, found, scheme, county, store.version, names, lang),
        form=form,
        out=out,
    )


def _show(
    console: Console,
    found: AwardCandidates,
    scheme: AwardScheme,
    county: AwardCounty,
    version: int,
    names: dict[str, str],
    lang: Lang,
) -> None:
    from rich.table import Table
    from rich.text import Text

    def say(key: str, **params: object) -> str:
        return text(f"cli.awards.{key}", lang, **params)

    group = text(f"bulletin.year_group.{county.year_group}", lang)
    ends = {"first": county.periods[0], "last": county.periods[-1]}
    console.print(Text(say("title", name=scheme.name[lang], year_group=group, version=version, **ends), style="bold"))
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(say("school"))
    if scheme.peer_group:
        table.add_column(say("group"))
    columns = [name for name in found.frame.columns if f"{name}_shrunken_se" in found.frame.columns]
    table.add_column(say("n"), justify="right")
    for name in columns:
        kind = "level" if name.endswith("level") else "progress"
        own = "" if name == kind else " " + name.removesuffix(f"_{kind}")
        table.add_column(say(kind) + own, justify="right")
    table.add_column(say("p_top"), justify="right")
    table.add_column(say("state"))
    for item in found.frame.iter_rows(named=True):
        state = say("tied" if item["tied"] else "candidate") if item["candidate"] else say("other")
        if item["reason"] is not None:
            state = text(f"awards.reason.{item['reason']}", lang)
        cells = [_with_interval(item, name) for name in columns]
        unit = f"{item['unit']} {names[item['unit']]}" if item["unit"] in names else item["unit"]
        peer = [item["peer_group"]] if scheme.peer_group else []
        table.add_row(unit, *peer, str(item["n"]), *cells, number_words(item["p_top"]), state)
    console.print(table)
    console.print()
    places = int(found.frame.unique(["peer_group"])["places"].sum())
    console.print(
        say("counts", n=found.frame.height, candidates=int(found.frame["candidate"].sum()), places=places), soft_wrap=True
    )
    console.print(say("reading", level=f"{100 * scheme.level:.0f}%"), soft_wrap=True)


def _compare(
    county: AwardCounty,
    schemes: list[AwardScheme],
    peers: pl.DataFrame | None,
    day: dt.date,
    options: dict[str, Any],
    form: str,
    out: Path | None,
    lang: Lang,
) -> Path | None:
    from eduq.rulepacks.award_proposals import compare_award_schemes

    found = compare_award_schemes(schemes[0], schemes[1], county, peers=peers, as_of=day, **options)
    facts = {"schema": "eduq.award-schemes/1", "settings": found.settings}
    return give_frame(
        found.frame,
        lambda: {**facts, "lines": found.frame.to_dicts()},
        lambda console: _show_comparison(console, found, lang),
        form=form,
        out=out,
    )


def _show_comparison(console: Console, found: SchemeComparison, lang: Lang) -> None:
    from rich.table import Table
    from rich.text import Text

    def say(key: str, **params: object) -> str:
        return text(f"cli.awards.{key}", lang, **params)

    facts = found.settings
    names = {name: facts[name]["name"][lang] for name in ("a", "b")}
    console.print(Text(say("compare_title", worlds=facts["worlds"], seed=facts["seed"], **names), style="bold"))
    for (truth,), part in found.frame.group_by(["truth"], maintain_order=True):
        console.print()
        console.print(Text(text(f"awards.truth.{truth}", lang, sd=f"{facts['progress_sd']:g}"), style="bold"))
        table = Table(box=None, header_style="bold", pad_edge=False)
        table.add_column(say("figure"), min_width=30)
        for key in ("a", "b", "difference"):
            table.add_column(say(key), justify="right", no_wrap=True)
        for item in part.iter_rows(named=True):
            percent = item["figure"] != "candidates"
            if item["a"] is None and item["b"] is None:
                continue
            values = [(item[key], item[f"{key}_se"], key == "difference") for key in ("a", "b", "difference")]
            if item["figure"] == "overlap":
                values[1:] = [(None, None, False)] * 2
            cells = [_with_error(value, error, percent=percent, signed=signed) for value, error, signed in values]
            table.add_row(text(f"awards.figure.{item['figure']}", lang), *cells)
        console.print(table)
    console.print()
    console.print(say("compare_reading"), soft_wrap=True)


def _with_error(value: float | None, error: float | None, *, percent: bool, signed: bool) -> str:
    if value is None:
        return "—"
    shown = number_words(value, 1, percent=percent, signed=signed)
    return f"{shown} ({number_words(error, 1 if percent else 2, percent=percent)})"


def _with_interval(item: dict[str, Any], name: str) -> str:
    if item[name] is None:
        return "—"
    return (
        f"{number_words(item[name], signed=True)} ({interval_words(item[f'{name}_lower'], item[f'{name}_upper'], signed=True)})"
    )
