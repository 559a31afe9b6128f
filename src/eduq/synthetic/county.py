"""The invented county: townships, schools, their sizes, and the names of places, classes and people."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import polars as pl

__all__ = [
    "CLASS_SIZE",
    "CLUSTERS",
    "COUNTY",
    "County",
    "class_labels",
    "compose_names",
    "label_classes",
    "make_county",
    "share_out",
    "stream",
]

COUNTY = "示例县"
CLUSTERS = ("城区片区", "清河片区", "石桥片区")
CLASS_SIZE = 48
SMALLEST, LARGEST = 15, 800
"""Candidates of a school in a cohort, in a county of ordinary make."""
SMALL_SIZES = (SMALLEST, 18)
"""Candidates of the two smallest schools in every cohort."""
TINY_DECLINER_SIZE = 25
SIZE_SD = 0.85
"""SD of the logarithm of the schools' sizes."""
SIZE_SHIFT_SD = 0.06
"""The same from one cohort of a school to the next."""
RENAMED_IN = 2023
"""From this autumn on one school bears another name."""
PUPIL_SURNAMES = "甲乙丙丁戊己庚辛壬癸"
STAFF_SURNAMES = "子丑寅卯辰巳午未申酉戌亥"
GIVEN = "安博辰春丹恩帆歌涵嘉凯兰明宁沛清然思桐文欣雅泽知"
"""Names are made of calendar signs and these characters, so that nobody can take them for real people."""
_TOWNSHIP_BASES = {"urban": ("城关", "新城"), "town": ("清河", "石桥"), "rural": ("龙泉", "柳林")}
_TOWNSHIP_SUFFIX = {"urban": "街道", "town": "镇", "rural": "乡"}
_PLACE_FIRST = "青白金银松竹梅兰云溪沙平永长高大"
_PLACE_LAST = "山川湖岭塘坪湾浦沟坡关桥亭湖堰原"
_DIGITS = "零一二三四五六七八九"

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class County:
    """Places of the county; arrays and lists have one entry per school."""

    school_ids: list[str]
    names: list[str]
    aliases: list[str]
    townships: list[str]
    clusters: IntArray
    area_types: list[str]
    weights: npt.NDArray[np.float64]
    fixed_sizes: IntArray
    """Candidates a year of small schools; 0 where the size follows the weight."""
    pair_ids: list[str | None]
    seed: int

    @property
    def n_schools(self) -> int:
        """Number of schools."""
        return len(self.school_ids)

    def sizes(self, candidates: int, cohort: int) -> IntArray:
        """Return the number of candidates per school in a cohort; the sum is exactly `candidates`."""
        rng = stream(self.seed, 10, cohort)
        weights = self.weights * np.exp(rng.normal(0.0, SIZE_SHIFT_SD, self.n_schools))
        fixed = self.fixed_sizes
        free = fixed == 0
        sizes = fixed.copy()
        total, n = candidates - int(fixed.sum()), int(free.sum())
        low = SMALLEST if total >= 3 * SMALLEST * n else 1
        high = LARGEST if 4 * total <= LARGEST * n else None
        sizes[free] = share_out(total, weights[free], low, high)
        return sizes

    @property
    def renamed(self) -> int:
        """The school that changed its name in the autumn of `RENAMED_IN`: the last town school."""
        towns = [i for i, kind in enumerate(self.area_types) if kind == "town"]
        return towns[-1] if towns else 0

    @property
    def old_name(self) -> str:
        """The name it had before."""
        return self.townships[self.renamed].rstrip("镇乡街道") + "农业中学"

    def names_in(self, year: int) -> list[str]:
        """Return the schools' names in the school year that begins in `year`."""
        names = list(self.names)
        if year < RENAMED_IN:
            names[self.renamed] = self.old_name
        return names


def stream(seed: int, *parts: int) -> np.random.Generator:
    """Return the generator of one purpose, so that a change to one part of the county leaves the others as they were."""
    return np.random.default_rng([seed, *parts])


def share_out(total: int, weights: npt.NDArray[np.float64], low: int = 1, high: int | None = None) -> IntArray:
    """Share a total out by weight within bounds: largest remainders first, the sum exact.

    Parameters
    ----------
    total
        What is shared out: at least `low` each, at most `high` each.
    weights
        One per share, above zero.
    low, high
        Bounds of a share; what they add or cut is made up by the others.
    """
    most = total if high is None else high
    exact, free = np.zeros(len(weights)), np.ones(len(weights), dtype=bool)
    while free.any():
        exact[free] = weights[free] / weights[free].sum() * (total - exact[~free].sum())
        under, over = free & (exact < low), free & (exact > most)
        if not (under.any() or over.any()):
            break
        if (exact - most)[over].sum() > (low - exact)[under].sum():
            exact[over], free = most, free & ~over
        else:
            exact[under], free = low, free & ~under
    whole = np.floor(exact + 1e-9).astype(np.int64)
    order = np.argsort(-(exact - whole), kind="stable")
    whole[order[: total - int(whole.sum())]] += 1
    return np.asarray(whole)


def compose_names(rng: np.random.Generator, n: int, surnames: str) -> pl.Series:
    """Return n invented names."""
    every = pl.Series([a + b + c for a, b, c in product(surnames, GIVEN, GIVEN)])
    return every.gather(rng.integers(0, len(every), n))


def _number_word(n: int) -> str:
    tens, units = divmod(n, 10)
    if n >= 100:
        return str(n)
    head = "" if tens == 0 else ("十" if tens == 1 else _DIGITS[tens] + "十")
    return head + (_DIGITS[units] if units or not tens else "")


def _township_names(n: int, kind: str) -> list[str]:
    """Return n base names of townships of a kind: well-worn ones first, then composed ones."""
    offset = list(_TOWNSHIP_BASES).index(kind)
    composed = [a + b for a, b in product(_PLACE_FIRST, _PLACE_LAST)][offset::3]
    names = list(dict.fromkeys([*_TOWNSHIP_BASES[kind], *composed]))
    return [names[i] if i < len(names) else f"{names[i % len(names)]}{i // len(names) + 1}" for i in range(n)]


def _school_name(base: str, kind: str, number: int) -> tuple[str, str]:
    """Return the full and the short name of the number-th school of a township."""
    word = _number_word(number)
    if kind == "urban":
        return f"{base}第{word}中学", f"{base}{word}中"
    if kind == "town":
        return (f"{base}镇初级中学", f"{base}初中") if number == 1 else (f"{base}镇第{word}中学", f"{base}镇{word}中")
    return (f"{base}乡中心学校", f"{base}乡中心校") if number == 1 else (f"{base}乡第{word}学校", f"{base}乡{word}校")


def _kinds_of(n_townships: int) -> list[str]:
    """Return the kind of each township: a third urban, a third towns, a third rural."""
    return [("urban", "town", "rural")[i * 3 // n_townships] for i in range(n_townships)]


def _fixed_sizes(kinds: list[str], candidates: int) -> IntArray:
    """Give the last rural schools fixed small sizes, where the county is large enough to have ordinary schools besides."""
    fixed = np.zeros(len(kinds), dtype=np.int64)
    rural = [i for i, kind in enumerate(kinds) if kind == "rural"]
    if len(rural) >= 6 and candidates >= 40 * len(kinds):
        half = len(rural) // 2
        fixed[rural[half - 1]], fixed[rural[-1]] = SMALL_SIZES
        fixed[rural[-2]] = TINY_DECLINER_SIZE
    return fixed


def make_county(schools: int, candidates: int, seed: int) -> County:
    """Lay out the county: townships, clusters, schools, their size weights and pairs.

    Parameters
    ----------
    schools
        Number of schools.
    candidates
        Candidates a year; decides whether there is room for small schools.
    seed
        The same seed gives the same county.
    """
    rng = stream(seed, 0)
    n_townships = min(schools, max(6, min(10, schools // 4), schools // 10))
    kinds = _kinds_of(n_townships)
    bases = {kind: _township_names(kinds.count(kind), kind) for kind in dict.fromkeys(kinds)}
    names, aliases, townships, school_kinds, clusters = [], [], [], [], []
    blocks = np.array_split(np.arange(schools), n_townships)
    for number, (kind, block) in enumerate(zip(kinds, blocks, strict=True)):
        index = number - kinds.index(kind)
        base = bases[kind][index]
        for k in range(1, len(block) + 1):
            full, short = _school_name(base, kind, k)
            names.append(full)
            aliases.append(short)
            townships.append(base + _TOWNSHIP_SUFFIX[kind])
            school_kinds.append(kind)
            clusters.append(0 if kind == "urban" else 1 + (index >= kinds.count(kind) / 2))
    scale = np.array([{"urban": 1.7, "town": 1.0, "rural": 0.65}[kind] for kind in school_kinds])
    width = max(3, len(str(schools)))
    fixed = _fixed_sizes(school_kinds, candidates)
    return County(
        school_ids=[f"S{i + 1:0{width}d}" for i in range(schools)],
        names=names,
        aliases=aliases,
        townships=townships,
        clusters=np.array(clusters, dtype=np.int64),
        area_types=school_kinds,
        weights=_size_weights(scale * np.exp(rng.normal(0.0, 0.45, schools))),
        fixed_sizes=fixed,
        pair_ids=_pairs(school_kinds),
        seed=seed,
    )


def _size_weights(leaning: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Spread the sizes evenly over a log-normal distribution, in the order of a leaning: towns large, villages small."""
    n = len(leaning)
    spread = np.array([NormalDist().inv_cdf((i + 0.5) / n) for i in range(n)])
    rank = np.argsort(np.argsort(leaning, kind="stable"), kind="stable")
    return np.asarray(np.exp(SIZE_SD * spread)[rank])


def _pairs(kinds: list[str]) -> list[str | None]:
    """Pair each urban school with one rural school, as far as they go."""
    pairs: list[str | None] = [None] * len(kinds)
    urban = [i for i, kind in enumerate(kinds) if kind == "urban"]
    rural = [i for i, kind in enumerate(kinds) if kind == "rural"]
    for number, (one, other) in enumerate(zip(urban, rural[::-1], strict=False), start=1):
        pairs[one] = pairs[other] = f"P{number:02d}"
    return pairs


def class_labels(cluster: int, number: IntArray, year_group: str) -> pl.Series:
    """Return class names as the schools of a cluster write them; a name tells the year group."""
    highest = int(number.max(initial=0))
    forms = {"G8": ("八（{}）班", "8{:02d}", "初二{}班"), "G9": ("九（{}）班", "9{:02d}", "初三{}班")}[year_group]
    return pl.Series([forms[cluster].format(i) for i in range(highest + 1)]).gather(number)


def label_classes(clusters: IntArray, number: IntArray, year_group: str) -> pl.Series:
    """Return the class name of each row from its cluster and class number."""
    labels = pl.Series([""]).gather(np.zeros(len(clusters), dtype=np.int64))
    for cluster in range(len(CLUSTERS)):
        rows = np.flatnonzero(clusters == cluster)
        labels = labels.scatter(rows, class_labels(cluster, number[rows], year_group))
    return labels
