"""Which estimates an edition withholds: small cells, what would tell them, and the proof."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from eduq.disclosure.suppression.assembly import PLACES, Figures, Tree, assemble_block, list_trees
from eduq.disclosure.suppression.blocks import AREA, Block, Cell
from eduq.disclosure.suppression.bounds import bound_cell
from eduq.disclosure.suppression.certificates import Certificate
from eduq.disclosure.suppression.issues import READABLE, Key, Pattern, Shown
from eduq.disclosure.suppression.joint import Joint, protect_scores
from eduq.disclosure.suppression.score_bounds import SQUARES, ScoreBlock, assemble_scores, read_spreads
from eduq.disclosure.suppression.search import Protection, protect_block
from eduq.errors import DisclosureError
from eduq.estimates.measures import Measure
from eduq.settings import RunSettings

__all__ = ["protect_estimates"]

LEAST_SHARE = 0.2
"""Width a withheld sum of scores needs, as a share of what is possible."""
_FEW_SCHOOLS = 3
"""In an edition that shows no school, a place of fewer schools than this is withheld."""
_UNSHARED = "participation_rate"


@dataclass
class _Search:
    """One comparison group and paper under way."""

    group: str
    paper: str
    figures: dict[str, Figures]
    trees: list[Tree]
    full: float | None
    outward: bool
    settings: RunSettings
    definitions: Mapping[str, Measure]
    shown_types: frozenset[str]
    known: Mapping[str, frozenset[Cell]]
    primary: dict[str, set[Cell]] = field(default_factory=dict)
    secondary: dict[str, set[Cell]] = field(default_factory=dict)
    proofs: dict[tuple[str, tuple[Cell, ...]], Protection] = field(default_factory=dict)
    joint: list[Joint] = field(default_factory=list)

    @property
    def joint_able(self) -> bool:
        """Whether mean, SD and rates can be looked at together."""
        has_mean = "mean_score" in self.figures and bool(self.figures["mean_score"].totals)
        return self.full is not None and has_mean and "mean_score" in self.definitions

    def shown(self, measure: str) -> set[Cell]:
        """Return the units the edition would show a number of."""
        return {cell for cell in self.figures[measure].totals if cell[0] in self.shown_types}

    def required(self, measure: str, size: int) -> float:
        """Return the width a withheld total needs, so that one candidate known beforehand does not spoil it."""
        kind = self.definitions[measure].kind
        if kind == "proportion":
            return float(min(size, -(-self.settings.min_n_reporting // 2) + 1))
        each = 10.0 if kind != "mean" else self.full or 1.0
        return each * min(size, LEAST_SHARE * size + 1)


def protect_estimates(
    estimates: pl.DataFrame,
    *,
    exam_id: str,
    edition: str,
    schools: pl.DataFrame,
    settings: RunSettings,
    measures: Mapping[str, Measure],
    shown_types: Iterable[str],
    full_marks: Mapping[str, float | None],
    issued: Sequence[Shown] = (),
    settings_hash: str = "",
) -> Pattern:
    """Choose what an edition withholds so that no small cell can be worked out from everything its readers have in hand.

    Parameters
    ----------
    estimates
        EstimateTable of one exam, nothing withheld, of all units known (also those the edition does not show).
    exam_id, edition
        What is published for whom.
    schools
        school_id and, where known, township, cluster, area_type.
    settings, measures
        Of the run.
    shown_types
        Unit types the edition shows.
    full_marks
        By comparison group.
    issued
        Documents issued before for the same exam (others are passed over).
    settings_hash
        Of the run, for the certificate.

    Returns
    -------
    Pattern

    Raises
    ------
    DisclosureError
        ``disclosure_issued`` where an issued document tells what must be withheld or protects what this one would tell,
        ``disclosure_unprovable``.
    """
    types = frozenset(shown_types)
    before = [one for one in issued if one.exam_id == exam_id]
    told = [one for one in before if one.edition in READABLE[edition]]
    known_cells: dict[tuple[str, str, str], set[Cell]] = {}
    for one in told:
        for group, paper, measure, unit_type, unit in one.cells:
            known_cells.setdefault((group, paper, measure), set()).add((unit_type, unit))
    outward = edition != "bureau"
    primary: set[Key] = set()
    secondary: set[Key] = set()
    shown: set[Key] = set()
    proofs: list[Protection] = []
    joint: list[Joint] = []
    for (group, paper), rows in estimates.group_by("comparison_group", "paper", maintain_order=True):
        figures = _figures(rows)
        units = sorted({cell for one in figures.values() for cell in one.sizes})
        known = {measure: frozenset(known_cells.get((str(group), str(paper), measure), set())) for measure in figures}
        search = _Search(
            str(group), str(paper), figures, list_trees(units, schools), full_marks.get(str(group)), outward, settings,
            measures, types, known,
        )  # fmt: skip
        _search(search)
        _search_jointly(search, rows)
        _keep_issues(search, [one for one in before if edition in READABLE[one.edition]])
        for measure, found in figures.items():
            own = search.primary.get(measure, set())
            more = search.secondary.get(measure, set()) - own
            named = (search.group, search.paper, measure)
            primary |= {(*named, *cell) for cell in own if cell[0] in types}
            secondary |= {(*named, *cell) for cell in more if cell[0] in types}
            shown |= {(*named, *cell) for cell in found.totals if cell[0] in types and cell not in own | more}
        proofs += search.proofs.values()
        joint += search.joint
    ratios = [proof.narrowest for proof in proofs if proof.narrowest is not None]
    ratios += [ratio for one in joint for ratio in one.ratios]
    certificate = Certificate(
        edition=edition,
        n_cells=len(primary) + len(secondary) + len(shown),
        n_primary=len(primary),
        n_secondary=len(secondary),
        n_blocks=len(proofs),
        n_proved=sum(len(proof.intervals) for proof in proofs),
        n_joint=sum(len(one.widths) for one in joint),
        narrowest=min(ratios, default=None),
        min_n=settings.min_n_reporting,
        least_count=-(-settings.min_n_reporting // 2) + 1,
        least_share=LEAST_SHARE,
        earlier=tuple(sorted(one.edition for one in told)),
        solver="HiGHS (scipy.optimize.linprog)",
        settings_hash=settings_hash,
    )
    return Pattern(
        frozenset(primary),
        frozenset(secondary),
        certificate,
        Shown(exam_id, edition, frozenset(shown), frozenset(primary)),
    )


def _figures(rows: pl.DataFrame) -> dict[str, Figures]:
    """Return candidates and totals by measure; participation is a matter of attendance and not withheld."""
    found: dict[str, Figures] = {}
    told = rows.filter(pl.col("measure") != _UNSHARED)
    for (measure,), own in told.partition_by("measure", as_dict=True, maintain_order=True).items():
        own = own.filter(pl.col("estimate").is_not_null(), pl.col("n") > 0)
        cells = list(zip(own["unit_type"].to_list(), own["unit"].to_list(), strict=True))
        totals = (own["estimate"] * own["n"]).to_list()
        found[str(measure)] = Figures(dict(zip(cells, own["n"].to_list(), strict=True)), dict(zip(cells, totals, strict=True)))
    return found


def _search(search: _Search) -> None:
    """Find what is withheld: first whole lines, then single rates, then what is made of withheld rates.

    Who is excellent has also passed, so that one rate tells of the other: where the figures of a paper cannot be looked at
    together, rates by cuts share one pattern in the bureau edition.
    """
    for measure, figures in search.figures.items():
        search.primary[measure] = _first_cells(search, measure, figures)
        search.secondary[measure] = set()
    additive = [name for name in search.figures if search.definitions.get(name) and name in _additive(search)]
    lines = next((name for name in additive if search.definitions[name].kind != "proportion"), None)
    if lines is not None:
        for tree in search.trees:
            proof = _protect(search, lines, tree)
            if proof is not None:
                for measure in search.figures:
                    search.secondary[measure] |= proof.secondary
    rates = [name for name in additive if search.definitions[name].kind == "proportion"]
    nested = [] if search.outward or search.joint_able else [name for name in rates if search.definitions[name].cut is not None]
    size = -1
    while size != (size := sum(len(search.secondary[name]) for name in rates)):
        for measure in rates:
            for tree in search.trees:
                proof = _protect(search, measure, tree)
                for name in (nested if measure in nested else [measure]) if proof is not None else ():
                    search.secondary[name] |= proof.secondary if proof is not None else set()
    if lines is None and not additive:
        for measure in search.figures:
            if search.primary[measure]:
                search.secondary[measure] |= search.shown(measure) - {AREA}
    _follow_rates(search)


def _follow_rates(search: _Search) -> None:
    """Withhold what is made of withheld rates."""
    for measure in search.figures:
        weights = search.definitions[measure].weights if measure in search.definitions else {}
        for rate in weights:
            search.secondary[measure] |= search.primary.get(rate, set()) | search.secondary.get(rate, set())


def _search_jointly(search: _Search, rows: pl.DataFrame) -> None:
    """Withhold further units, whole, until mean, SD and rates together tell no more than the single figures may."""
    main = "mean_score"
    if search.full is None or not search.joint_able:
        return
    full, population = search.full, search.settings.sd_divisor == "population"
    figures = search.figures | {SQUARES: read_spreads(rows, population=population)}
    for tree in search.trees:
        own = {*tree.parts, *tree.made_of, AREA}
        groups = _lone_schools(search, tree, main)
        if not groups and not any(search.primary[measure] & own for measure in search.figures):
            continue
        scores = assemble_scores(
            tree, figures, main=main, definitions=search.definitions, full=full,
            population_sd=population, groups=groups,
        )  # fmt: skip
        search.joint.append(_protect_scores(search, scores, own, set(groups), full))
        for measure in search.figures:
            search.secondary[measure] |= search.joint[-1].secondary
    _follow_rates(search)


def _protect_scores(search: _Search, scores: ScoreBlock, own: set[Cell], groups: set[Cell], full: float) -> Joint:
    """Return what must be withheld of a tree, and the proof."""

    def visible(measure: str) -> set[Cell]:
        name = "mean_score" if measure == SQUARES else measure  # the SD stands in intervals, whether it has a column or not
        return (search.shown(name) - search.primary[name] - search.secondary[name]) & own

    def required(measure: str, cell: Cell) -> float:
        size = next(iter(scores.blocks.values())).sizes[cell]
        return search.required(measure, size) / (full if measure == "mean_score" else 1.0)

    asked = [measure for measure in scores.values if measure != SQUARES]
    try:
        return protect_scores(
            scores,
            shown={measure: visible(measure) for measure in scores.values},
            told={measure: search.known["mean_score" if measure == SQUARES else measure] & own for measure in scores.values},
            primary={
                measure: (search.primary[measure] & own) | (groups if measure == "mean_score" else set()) for measure in asked
            },
            required=required,
        )
    except DisclosureError as error:
        raise _named(search, "mean_score", error) from None


def _additive(search: _Search) -> list[str]:
    """Return the measures whose totals add up over units: one of the scores themselves, and every rate."""
    names = [name for name in search.figures if name in search.definitions and search.figures[name].totals]
    rates = [name for name in names if search.definitions[name].kind == "proportion"]
    for wanted in ("mean_score", "composite_z", "z_mean"):
        if wanted in names:
            return [wanted, *rates]
    others = [name for name in names if search.definitions[name].kind in ("mean", "standardised", "composite")]
    return [*others[:1], *rates]


def _first_cells(search: _Search, measure: str, figures: Figures) -> set[Cell]:
    """Return the cells that must be withheld whatever else is shown."""
    least = search.settings.min_n_reporting
    found = {cell for cell, n in figures.sizes.items() if n < least and cell[0] in search.shown_types}
    if not search.outward:
        return found
    for tree in search.trees:
        for cell, own in tree.made_of.items():
            few = len({part for part in own if figures.sizes.get(part, 0) > 0}) < _FEW_SCHOOLS
            if cell[0] in PLACES and cell in figures.sizes and cell[0] in search.shown_types and few:
                found.add(cell)
    if measure in search.definitions and search.definitions[measure].kind == "proportion":
        for cell in search.shown(measure):
            n, count = figures.sizes[cell], figures.totals[cell]
            smaller = min(count, n - count)
            if 0.5 < smaller < least - 0.5 or (smaller <= 0.5 and n < _FEW_SCHOOLS * least):
                found.add(cell)
        if AREA in found:
            found |= search.shown(measure)
    return found


def _lone_schools(search: _Search, tree: Tree, measure: str) -> dict[Cell, tuple[Cell, ...]]:
    """Return fewer than three schools that no table tells apart: where no school is shown they are protected together."""
    if not search.outward or not tree.made_of:
        return {}
    alike: dict[tuple[Cell, ...], list[Cell]] = {}
    holders: dict[Cell, list[Cell]] = {}
    for cell, own in tree.made_of.items():
        for part in own if cell[0] in search.shown_types else ():
            holders.setdefault(part, []).append(cell)
    for part in tree.parts:
        if search.figures[measure].sizes.get(part, 0) > 0:
            alike.setdefault(tuple(sorted(holders.get(part, ()))), []).append(part)
    return {("schools", "+".join(part[1] for part in own)): tuple(own) for own in alike.values() if len(own) < _FEW_SCHOOLS}


def _block(search: _Search, measure: str, tree: Tree, groups: Mapping[Cell, tuple[Cell, ...]]) -> Block:
    return assemble_block(
        tree,
        search.figures[measure],
        measure=search.definitions[measure],
        full=search.full,
        groups=groups,
        between=_between(search, measure, tree),
    )


def _between(search: _Search, measure: str, tree: Tree) -> dict[Cell, tuple[float, float]]:
    """Return bounds of a rate's counts that other rates shown of the same unit tell: who is excellent has also passed."""
    cut = search.definitions[measure].cut
    found: dict[Cell, tuple[float, float]] = {}
    if cut is None:
        return found
    for name, figures in search.figures.items():
        other = search.definitions[name].cut if name in search.definitions else None
        if name == measure or other is None or search.definitions[name].kind != "proportion":
            continue
        hidden = search.primary[name] | search.secondary[name]
        for part in tree.parts:
            if part in figures.totals and part[0] in search.shown_types and part not in hidden:
                low, high = found.get(part, (0.0, float("inf")))
                count = figures.totals[part]
                found[part] = (low, min(high, count)) if other <= cut else (max(low, count), high)
    return found


def _protect(search: _Search, measure: str, tree: Tree) -> Protection | None:
    """Protect the withheld cells of one measure among the units of one tree; None where there are none."""
    own = {*tree.parts, *tree.made_of, AREA}
    groups = _lone_schools(search, tree, measure)
    primary = (search.primary[measure] & own) | set(groups)
    if not primary:
        return None
    before = search.proofs.get((measure, tree.parts))
    hidden = (search.secondary[measure] | search.primary[measure]) & own & search.shown(measure)
    if before is not None and hidden <= before.primary | before.secondary:  # other rates withheld since only leave more open
        return before
    block = _block(search, measure, tree, groups)
    try:
        proof = protect_block(
            block,
            shown=search.shown(measure) & own,
            primary=primary,
            required=lambda cell: search.required(measure, block.sizes[cell]),
            withheld=hidden,
            known=search.known[measure] & own,
        )
    except DisclosureError as error:
        raise _named(search, measure, error) from None
    search.proofs[measure, tree.parts] = proof
    return proof


def _named(search: _Search, measure: str, error: DisclosureError) -> DisclosureError:
    params = {"unit": error.params.get("unit", ""), "paper": search.paper, "measure": measure, "group": search.group}
    return DisclosureError(error.code, **params)


def _keep_issues(search: _Search, issued: Sequence[Shown]) -> None:
    """Stop where this document, beside an issued one that its readers also have, tells what that one withholds."""
    for one in issued:
        for measure in search.figures:
            named = (search.group, search.paper, measure)
            kept = {(key[3], key[4]) for key in one.primary if key[:3] == named}
            if not kept or measure not in _additive(search):
                continue
            shown = {(key[3], key[4]) for key in one.cells if key[:3] == named}
            own = search.shown(measure) - search.primary[measure] - search.secondary[measure]
            for tree in search.trees:
                cells = {*tree.parts, *tree.made_of, AREA}
                block = _block(search, measure, tree, {})
                for cell in sorted(kept & cells & block.members.keys()):
                    low, high = bound_cell(block, (shown | own) & cells, cell)
                    least, most = block.from_area(cell)
                    if high - low < min(search.required(measure, block.sizes[cell]), most - least) - 1e-6:
                        raise _named(search, measure, DisclosureError("disclosure_issued", unit="/".join(cell)))
