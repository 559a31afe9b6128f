"""What ``eduq compare`` compares: a table or an archive, with what, and units in pairs or clusters."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from eduq.cli.aggregates import read_aggregates, split_names
from eduq.cli.compare_output import Compared
from eduq.cli.options import OutputLang
from eduq.cli.pairs_output import Paired
from eduq.errors import NotAssessableError, UsageError
from eduq.locale import text

if TYPE_CHECKING:
    from eduq.cli.compare_archive import ArchivedUnits
    from eduq.estimates.comparison import Reference

__all__ = ["compare_archive", "compare_file", "pairs_of_archive", "pairs_of_file"]

_FAMILY = ["year_group", "subject", "comparison_group"]
_PAIR_COLUMN = {"pair": "pair_id", "cluster": "cluster"}


def _read_standards(asked: dict[str, Any]) -> dict[str, Any]:
    """Return the options of what units are compared with as `compare_units` takes them; ``COLUMN:3``, ``COLUMN:500:1200``."""
    peers: list[str] = []
    classes: dict[str, int | list[float]] = {}
    for name in split_names(asked["--peers"]) or []:
        column, *bounds = name.split(":")
        try:
            if not bounds:
                peers.append(column)
            elif len(bounds) == 1:
                classes[column] = int(bounds[0])
            else:
                classes[column] = [float(bound) for bound in bounds if bound]
        except ValueError:
            raise UsageError("compare_peers_text", found=name) from None
    return {
        "peers": peers,
        "size_classes": classes or None,
        "neighbours": asked["--neighbours"],
        "covariates": split_names(asked["--covariates"]) or (),
        "high_is_first": not asked["--low-is-first"],
    }


def _refer(
    frame: pl.DataFrame, path: Path, measure: str, family: list[str]
) -> tuple[pl.DataFrame, dict[str, Any], dict[tuple[Any, ...], Reference | None]]:
    """Return the rows that have a reference with it beside, the options, and the reference of each family (None: it has none)."""
    from eduq.estimates.comparison import read_references

    references = read_references(path)
    year = "period" if "period" in frame.columns else "school_year"
    own = [name for name in ("subject", "year_group", year) if name in frame.columns]
    keys = list(dict.fromkeys([*family, *own]))
    lines: list[dict[str, Any]] = []
    found: dict[tuple[Any, ...], Reference | None] = {}
    for line in frame.select(keys).unique().sort(keys).iter_rows(named=True) if keys else [{}]:
        known = {("school_year" if name == year else name): str(line[name]) for name in own if line[name] is not None}
        reference = references.find(measure, **known)
        key = tuple(line[name] for name in family)
        found[key] = reference or found.get(key)
        if reference is not None:
            lines.append(line | {"_reference": reference.value, "_reference_se": reference.std_error})
    if not lines:
        wanted = "/".join([measure, *(str(value) for name in own for value in frame[name].unique().sort().to_list()[:3])])
        known_lines = ", ".join(line.words() for line in references.lines)
        raise UsageError("compare_reference_none", wanted=wanted, known=known_lines)
    schema = {name: frame.schema[name] for name in keys} | {"_reference": pl.Float64(), "_reference_se": pl.Float64()}
    beside = pl.DataFrame(lines, schema=schema, orient="row")
    kept = frame.join(beside, on=keys, how="inner", maintain_order="left") if keys else frame.join(beside, how="cross")
    source = "; ".join(dict.fromkeys(reference.source for reference in found.values() if reference is not None))
    return kept, {"reference": "_reference", "reference_se": "_reference_se", "reference_source": source}, found


def _plain_reference(asked: dict[str, Any]) -> dict[str, Any]:
    return {"reference": asked["--reference"], "reference_source": asked["--reference-source"]}


def compare_file(path: Path, asked: dict[str, Any], standards: dict[str, Any]) -> Compared:
    """Compare the units of a table."""
    from eduq.estimates.comparison import compare_units

    frame, options = read_aggregates(path), _read_standards(standards) | _plain_reference(standards)
    family = split_names(asked["--family"]) or []
    estimate = asked["--estimate"] or "estimate"
    if standards["--pool-years"] is not None:
        options |= {"period": asked["--period"] or "period", "last": standards["--pool-years"]}
    found: dict[tuple[Any, ...], Reference | None] = {}
    if standards["--references"] is not None:
        missing = [name for name in family if name not in frame.columns]
        if missing:
            raise UsageError("compare_column_missing", column=missing[0], known=", ".join(frame.columns))
        frame, reference, found = _refer(frame, standards["--references"], estimate, family)
        options |= reference
    result = compare_units(
        frame,
        unit=asked["--unit"] or "school_id",
        estimate=estimate,
        std_error=asked["--std-error"],
        sd=asked["--sd"],
        n=asked["--n"],
        family=family,
        rate=bool(asked["--rate"]),
        **options,
    )
    what = text("cli.compare.of_file", None, file=path.name, estimate=estimate)
    return Compared(result=result, frame=result.frame, what=what, names={}, references=found)


def _open(folder: Path, asked: dict[str, Any], lang: OutputLang) -> ArchivedUnits:
    from eduq.archive import open_archive
    from eduq.cli.compare_archive import collect_units

    return collect_units(open_archive(folder, version=asked["--archive-version"]), asked, lang)


def compare_archive(folder: Path, asked: dict[str, Any], standards: dict[str, Any], lang: OutputLang) -> Compared:
    """Compare the units of the newest exams of an archive, or of the exam named."""
    from eduq.cli.trend_output import named_units
    from eduq.estimates.comparison import compare_units
    from eduq.estimates.comparison.pooling import hide_small_units
    from eduq.estimates.comparison.units import SMALLEST_RANKED

    units, options = _open(folder, asked, lang), _read_standards(standards) | _plain_reference(standards)
    last = standards["--pool-years"]
    rows = units.newest
    if last is not None:
        # whoever is not shown alone is pooled
        options |= {"period": "period", "last": last, "min_n": max(SMALLEST_RANKED, units.least)}
        given = hide_small_units(units.years, family=_FAMILY, last=last, least=units.least)
    else:
        given = units.hidden(rows)
    known = given.filter(pl.col("period") == pl.col("period").max().over(_FAMILY), pl.col("estimate").is_not_null())
    few = rows.filter(pl.col("n") < units.least).join(known, on=["unit", *_FAMILY], how="anti")
    found: dict[tuple[Any, ...], Reference | None] = {}
    if standards["--references"] is not None:
        if last is not None:
            raise UsageError("compare_option_beside", option="--references", other="--pool-years")
        given, reference, found = _refer(given, standards["--references"], units.measure, _FAMILY)
        options |= reference
    result = compare_units(given.drop("sd") if units.rate else given, unit="unit", family=_FAMILY, rate=units.rate, **options)
    thin = few.select("unit", *_FAMILY, pl.lit("withheld").alias("_why"))
    marked = result.frame.join(thin, on=["unit", *_FAMILY], how="left", maintain_order="left")
    frame = marked.with_columns(pl.coalesce("_why", "reason").alias("reason")).drop("_why")
    names = named_units(units.registers, units.unit_type)
    return Compared(result=result, frame=frame, what=units.what, names=names, references=found)


def pairs_of_file(path: Path, asked: dict[str, Any], column: str) -> Paired:
    """Compare the pairs or clusters of a table: columns pair_id or cluster, and the period where named or so called."""
    from eduq.estimates.comparison import compare_pairs

    frame = read_aggregates(path)
    estimate = asked["--estimate"] or "estimate"
    period = asked["--period"] or ("period" if "period" in frame.columns else None)
    result = compare_pairs(
        frame,
        unit=asked["--unit"] or "school_id",
        pair=_PAIR_COLUMN["pair"] if column == "pair" else None,
        cluster=_PAIR_COLUMN["cluster"] if column == "cluster" else None,
        estimate=estimate,
        std_error=asked["--std-error"],
        sd=asked["--sd"],
        n=asked["--n"],
        period=period,
        strong=asked["--strong"],
        family=split_names(asked["--family"]) or (),
        rate=bool(asked["--rate"]),
    )
    return Paired(result=result, what=text("cli.compare.of_file", None, file=path.name, estimate=estimate), names={})


def pairs_of_archive(folder: Path, asked: dict[str, Any], column: str, lang: OutputLang) -> Paired:
    """Compare the pairs or clusters that the register of schools names, over all years of the archive."""
    from eduq.cli.trend_output import named_units
    from eduq.estimates.comparison import compare_pairs

    units, name = _open(folder, asked, lang), _PAIR_COLUMN[column]
    if name not in units.years.columns or units.unit_type != "school":
        raise NotAssessableError("pairs_none", column=name)
    of_group = ["year_group", "subject", "period", name]
    sizes = (
        units.years.group_by([*of_group, "comparison_group"])
        .len()
        .sort(pl.col("len"), "comparison_group", descending=[True, False])
    )
    # only members with one paper and marking: the group that most of them are in
    shared = sizes.unique(of_group, keep="first", maintain_order=True).drop("len")
    rows = units.years.join(shared, on=[*of_group, "comparison_group"], how="semi", maintain_order="left")
    rows = units.hidden(rows.filter(pl.col(name).is_not_null())).with_columns((pl.col("area_type") == "urban").fill_null(False))
    result = compare_pairs(
        rows.drop("sd") if units.rate else rows,
        unit="unit",
        pair=name if column == "pair" else None,
        cluster=name if column == "cluster" else None,
        period="period",
        strong="area_type" if column == "pair" else None,
        family=["year_group", "subject"],
        rate=units.rate,
    )
    thin = (pl.col("n") < units.least) | ((pl.col("n_partner") < units.least) & pl.col("partner").is_not_null())
    why = pl.when(thin & (pl.col("reason") == "no_estimate")).then(pl.lit("withheld")).otherwise("reason").alias("reason")
    shown = dataclasses.replace(result, frame=result.frame.with_columns(why))
    return Paired(result=shown, what=units.what, names=named_units(units.registers, units.unit_type))
