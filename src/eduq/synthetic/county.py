"""The invented county: townships, schools, classes, and the people its registers name."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

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
    "make_county",
    "make_registers",
    "share_out",
    "stream",
]

COUNTY = "示例县"
CLUSTERS = ("城区片区", "清河片区", "石桥片区")
CLASS_SIZE = 48
SMALL_SIZES = (15, 18)
"""Candidates of the two small schools in every year."""
TINY_DECLINER_SIZE = 25
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

    def sizes(self, candidates: int, year: int) -> IntArray:
        """Return the number of candidates per school in a year; the sum is exactly `candidates`."""
        rng = stream(self.seed, 10, year)
        weights = self.weights * np.exp(rng.normal(0.0, 0.04, self.n_schools))
        fixed = self.fixed_sizes
        free = fixed == 0
        sizes = fixed.copy()
        sizes[free] = share_out(candidates - int(fixed.sum()), weights[free])
        return sizes


def stream(seed: int, *parts: int) -> np.random.Generator:
    """Return the generator of one purpose, so that a change to one part of the county leaves the others as they were."""
    return np.random.default_rng([seed, *parts])


def share_out(total: int, weights: npt.NDArray[np.float64]) -> IntArray:
    """Share a total out by weight: at least one each, largest remainders first, the sum exact."""
    spare = total - len(weights)
    exact = weights / weights.sum() * spare
    whole = np.floor(exact).astype(np.int64)
    order = np.argsort(-(exact - whole), kind="stable")
    whole[order[: spare - int(whole.sum())]] += 1
    return np.asarray(whole + 1)


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
    n_townships = min(schools, max(6, schools // 10))
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
        weights=scale * np.exp(rng.normal(0.0, 0.45, schools)),
        fixed_sizes=fixed,
        pair_ids=_pairs(school_kinds),
        seed=seed,
    )


def _pairs(kinds: list[str]) -> list[str | None]:
    """Pair each urban school with one rural school, as far as they go."""
    pairs: list[str | None] = [None] * len(kinds)
    urban = [i for i, kind in enumerate(kinds) if kind == "urban"]
    rural = [i for i, kind in enumerate(kinds) if kind == "rural"]
    for number, (one, other) in enumerate(zip(urban, rural[::-1], strict=False), start=1):
        pairs[one] = pairs[other] = f"P{number:02d}"
    return pairs


def class_labels(cluster: int, number: IntArray) -> pl.Series:
    """Return class names as the schools of a cluster write them."""
    highest = int(number.max(initial=0))
    forms = ("九（{}）班", "9{:02d}", "{}班")
    return pl.Series([forms[cluster].format(i) for i in range(highest + 1)]).gather(number)


def make_registers(
    county: County, school_years: list[int], sizes: list[IntArray], subjects: list[str]
) -> dict[str, pl.DataFrame]:
    """Return the five registers of design section 10.

    Parameters
    ----------
    county
        The county.
    school_years
        First calendar year of each school year.
    sizes
        Candidates per school, one array per school year.
    subjects
        Paper codes that have teachers.
    """
    stride = max(50, max(int(size.max()) for size in sizes) // CLASS_SIZE + 1)
    return {
        "schools": _schools_register(county, sizes[-1]),
        "school_events": _events_register(county),
        "heads": _heads_register(county, school_years),
        "teachers": pl.concat(
            [_teachers_register(county, year, size, subjects, stride) for year, size in zip(school_years, sizes, strict=True)]
        ),
        "targets": pl.DataFrame(
            schema=dict.fromkeys(
                ("target_id", "unit_type", "unit_id", "measure", "subject", "baseline", "target", "direction", "due", "signer"),
                pl.String,
            )
        ),
    }


def _schools_register(county: County, sizes: IntArray) -> pl.DataFrame:
    n = county.n_schools
    renamed = _renamed(county)
    aliases = [f"{a};{_old_name(county, i)}" if i == renamed else a for i, a in enumerate(county.aliases)]
    return pl.DataFrame(
        {
            "school_id": county.school_ids,
            "name": county.names,
            "aliases": aliases,
            "township": county.townships,
            "cluster": [CLUSTERS[i] for i in county.clusters],
            "area_type": county.area_types,
            "stage": ["junior"] * n,
            "kind": ["public"] * n,
            "enrolment": sizes * 3 + 1,
            "small_school": ["yes" if size < 20 else "no" for size in sizes],
            "pair_id": county.pair_ids,
            "valid_from": ["2000-09-01"] * n,
            "valid_to": pl.Series([None] * n, dtype=pl.String),
        }
    )


def _renamed(county: County) -> int:
    """Return the school that changed its name: the last town school."""
    towns = [i for i, kind in enumerate(county.area_types) if kind == "town"]
    return towns[-1] if towns else 0


def _old_name(county: County, school: int) -> str:
    return county.townships[school].rstrip("镇乡街道") + "农业中学"


def _events_register(county: County) -> pl.DataFrame:
    school = county.school_ids[_renamed(county)]
    return pl.DataFrame({"date": ["2019-09-01"], "event": ["rename"], "from_ids": [school], "to_ids": [school]})


def _heads_register(county: County, school_years: list[int]) -> pl.DataFrame:
    """Give every school a head; one school in four changes its head within or just before the years at hand."""
    rng = stream(county.seed, 2)
    n = county.n_schools
    first_from = rng.integers(school_years[0] - 8, school_years[0], n)
    change = np.where(rng.random(n) < 0.25, rng.integers(school_years[0], school_years[-1] + 1, n), 0)
    rows = []
    for i, school in enumerate(county.school_ids):
        left = f"{change[i]}-08-31" if change[i] else None
        rows.append((school, f"{first_from[i]}-09-01", left))
        if left:
            rows.append((school, f"{change[i]}-09-01", None))
    names = compose_names(rng, len(rows), STAFF_SURNAMES)
    frame = pl.DataFrame(rows, schema={"school_id": pl.String, "from": pl.String, "to": pl.String}, orient="row")
    return frame.select(
        pl.format("H{}", pl.int_range(1, pl.len() + 1).cast(pl.String).str.zfill(4)).alias("head_id"),
        names.alias("name"),
        "school_id",
        "from",
        "to",
    )


def _teachers_register(county: County, year: int, sizes: IntArray, subjects: list[str], stride: int) -> pl.DataFrame:
    """One row per class and subject; a teacher takes two neighbouring classes of one school, and stays over the years."""
    classes = -(-sizes // CLASS_SIZE)
    school = np.repeat(np.arange(county.n_schools), classes)
    number = np.arange(len(school)) - np.repeat(np.cumsum(classes) - classes, classes)
    parts = [
        pl.DataFrame({"class": np.flatnonzero(county.clusters[school] == cluster)}).with_columns(
            class_labels(cluster, number[county.clusters[school] == cluster] + 1).alias("class_id")
        )
        for cluster in range(len(CLUSTERS))
    ]
    labels = pl.concat(parts).sort("class")["class_id"]
    n_classes, n_subjects = len(school), len(subjects)
    row_class = np.repeat(np.arange(n_classes), n_subjects)
    row_subject = np.tile(np.arange(n_subjects), n_classes)
    key = (school[row_class] * stride + number[row_class] // 2) * n_subjects + row_subject
    highest = county.n_schools * stride * n_subjects
    names = compose_names(stream(county.seed, 3), highest, STAFF_SURNAMES)
    return pl.DataFrame(
        {
            "teacher_id": pl.Series(key + 1).cast(pl.String).str.zfill(len(str(highest))),
            "name": names.gather(key),
            "school_id": pl.Series(county.school_ids).gather(school[row_class]),
            "class_id": labels.gather(row_class),
            "subject": pl.Series(subjects).gather(row_subject),
            "school_year": pl.Series([f"{year}-{year + 1}"]).gather(np.zeros(len(key), dtype=np.int64)),
            "term": np.ones(len(key), dtype=np.int64),
            "share": np.ones(len(key)),
        }
    ).with_columns(pl.format("T{}", "teacher_id").alias("teacher_id"))
