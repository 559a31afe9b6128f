"""Who a row is and where it belongs: ids, school, class, sex, year group, track."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import polars as pl

from eduq.intake.cells import CELL_ERRORS, FORMULA_WITHOUT_VALUE
from eduq.intake.checks import CheckList
from eduq.intake.columns import ID_FIELDS
from eduq.intake.exam_file import ExamFile
from eduq.intake.ids import DAMAGED
from eduq.intake.parts import Part
from eduq.intake.rows import RejectList, is_blank
from eduq.intake.school_names import find_variants
from eduq.intake.synonyms import vocabulary

__all__ = ["NAME_ID", "ONE_SCHOOL", "add_groups", "add_identity", "add_places", "choose_id_kind"]

ONE_SCHOOL = "school"
"""school_id of an exam of one school whose files name no school."""
NAME_ID = r"^n-[0-9a-f]{16}$"
"""A candidate_id made of school, class and name."""
_SEX = {"male": ("男", "男生", "male", "m"), "female": ("女", "女生", "female", "f")}
_TRACKS = {
    "physics": ("物理", "物理类", "物理方向", "物", "首选物理", "physics"),
    "history": ("历史", "历史类", "历史方向", "史", "首选历史", "history"),
    "arts": ("文", "文科", "文史", "文史类", "文科类", "arts"),
    "science": ("理", "理科", "理工", "理工类", "理科类", "science"),
}
_AREA_TYPES = {
    "urban": ("城区", "城市", "市区", "主城区", "urban"),
    "town": ("镇区", "镇", "城镇", "乡镇", "县镇", "town"),
    "rural": ("乡村", "农村", "村", "乡", "rural"),
}
_PLACES = {"school_id": "school_id", "school": "name", "township": "township", "cluster": "cluster", "location_type": "area_type"}


def _lookup(table: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {word: key for key, words in table.items() for word in words}


def choose_id_kind(parts: Sequence[Part]) -> str | None:
    """Return the id all rows are named by, None when the files have no kind of id in common.

    The best kind that stands in every file and is filled in every row; else the one with the fewest blanks.
    """
    common = [kind for kind in (*ID_FIELDS, "name") if all(kind in part.id_kinds for part in parts)]
    if not common:
        return None
    blanks = {kind: sum(int(is_blank(part.frame.get_column(kind)).sum()) for part in parts) for kind in common}
    return min(common, key=lambda kind: (blanks[kind], common.index(kind)))


def add_identity(part: Part, kind: str, exam: ExamFile, checks: CheckList, rejects: RejectList) -> None:
    """Add candidate_id and person_id to a part; rows without the id, or with one a spreadsheet has spoilt, are rejected."""
    text, school = part.frame.get_column(kind), part.frame.get_column("school_id")
    no = pl.repeat(False, len(text), eager=True)
    damaged = text.str.contains(DAMAGED).fill_null(False) if kind != "name" else no
    keep = ~no
    for bad, code in (
        (is_blank(text), "missing_id"),
        (text.is_in(CELL_ERRORS) | school.is_in(CELL_ERRORS), "cell_error"),
        ((text == FORMULA_WITHOUT_VALUE) | (school == FORMULA_WITHOUT_VALUE), "formula_without_value"),
        (damaged, "id_damaged"),
    ):
        bad = bad.fill_null(False) & keep
        if bad.any():
            rows = part.frame.get_column("row_no").filter(bad)
            rejects.add(part.file, part.sheet, rows, code, values=text.filter(bad).to_list() if code == "id_damaged" else None)
            keep &= ~bad
    if not keep.all():
        part.frame = part.frame.filter(keep)
    candidates, persons = _candidate(part.frame, kind), _person(part, exam, checks)
    part.frame = part.frame.with_columns(candidates.alias("candidate_id"), persons.alias("person_id"))
    part.spoilt = part.spoilt.filter(~is_blank(part.spoilt.get_column(kind)))
    part.spoilt = part.spoilt.select(_candidate(part.spoilt, kind).alias("candidate_id"))
    gone = [name for name in (*ID_FIELDS, "name") if name in part.frame.columns]
    part.frame = part.frame.drop(gone)


def _qualified(frame: pl.DataFrame, kind: str) -> pl.Series:
    return frame.select(pl.concat_str("school_id", kind, separator=":")).to_series()


def _candidate(frame: pl.DataFrame, kind: str) -> pl.Series:
    if kind == "student_no":
        return _qualified(frame, kind)
    if kind != "name":
        return frame.get_column(kind)
    places = [frame.get_column("school_id")]
    if "admin_class" in frame.columns:
        places.append(frame.get_column("admin_class").fill_null(""))
    rows = zip(*places, frame.get_column("name"), strict=True)
    hashed = ["n-" + hashlib.sha256("\x1f".join(row).encode()).hexdigest()[:16] for row in rows]
    return pl.Series(hashed, dtype=pl.String)


def _person(part: Part, exam: ExamFile, checks: CheckList) -> pl.Series:
    kind = exam.exam.stable_id or "student_uid"
    frame = part.frame
    if kind not in part.id_kinds or kind not in frame.columns:
        return pl.Series([None], dtype=pl.String).new_from_index(0, frame.height)
    text = _qualified(frame, kind) if kind == "student_no" else frame.get_column(kind)
    bad = is_blank(frame.get_column(kind)) | frame.get_column(kind).str.contains(DAMAGED).fill_null(False)
    if bad.any():
        checks.add("person_id_missing", "notice", file=part.file, sheet=part.sheet, column=kind, n=int(bad.sum()))
        text = text.set(bad, None)
    return text


def add_places(parts: Sequence[Part], one_school: bool, checks: CheckList) -> pl.DataFrame:
    """Give every part its school_id and return the schools.

    The code is the id where there is one, else the name. A school that has a code in one row and only its name in another
    is one school.

    Returns
    -------
    polars.DataFrame
        school_id, name, township, cluster, area_type; one row per school.
    """
    codes = _codes_of_names(parts)
    seen = []
    for part in parts:
        frame, by_name = _with_school(part.frame, codes, one_school)
        part.spoilt = _with_school(part.spoilt, codes, one_school)[0]
        if by_name:
            checks.add("school_code_by_name", "notice", file=part.file, sheet=part.sheet, n=by_name)
        have = [old for old in _PLACES if old in frame.columns]
        seen.append(frame.select(pl.col(old).alias(_PLACES[old]) for old in have).unique(maintain_order=True))
        part.frame = frame.drop([old for old in ("school_code", *_PLACES) if old in frame.columns and old != "school_id"])
    schools = _one_row_per_school(pl.concat(seen, how="diagonal"), checks)
    _note_variants(schools, parts, checks)
    return schools


def _note_variants(schools: pl.DataFrame, parts: Sequence[Part], checks: CheckList) -> None:
    """List names that may be one school's, where schools are told apart by name; the name most rows have comes first."""
    by_name = schools.filter(pl.col("school_id") == pl.col("name")).select("school_id")
    ids = pl.concat([part.frame.get_column("school_id") for part in parts]).value_counts(name="n")
    counts = by_name.join(ids, on="school_id").sort("n", "school_id", descending=[True, False])
    n_rows = dict(counts.iter_rows())
    for names in find_variants(counts.get_column("school_id").to_list()):
        checks.add("school_variants", "warning", found=" = ".join(names), n=sum(n_rows[name] for name in names[1:]))


def _with_school(frame: pl.DataFrame, codes: dict[str, str], one_school: bool) -> tuple[pl.DataFrame, int]:
    """Add school_id; also return in how many rows a school was known by its name to have a code."""
    name, school = _column(frame, "school"), _column(frame, "school_code")
    by_name = 0
    if codes:
        coded = name.replace_strict(codes, default=None, return_dtype=pl.String)
        lacking = is_blank(school) & coded.is_not_null()
        by_name = int(lacking.sum())
        school = school.zip_with(~lacking, coded) if by_name else school
    blank = is_blank(school)
    school = name if blank.all() else school.zip_with(~blank, name) if blank.any() else school
    if one_school:
        school = school.set(is_blank(school), ONE_SCHOOL)
    return frame.with_columns(school.alias("school_id")), by_name


def _column(frame: pl.DataFrame, name: str) -> pl.Series:
    if name in frame.columns:
        return frame.get_column(name)
    return pl.Series(name, [None], dtype=pl.String).new_from_index(0, frame.height)


def _codes_of_names(parts: Sequence[Part]) -> dict[str, str]:
    """Return the code of every school name that stands beside exactly one code."""
    pairs = [
        part.frame.select("school", "school_code").unique()
        for part in parts
        if {"school", "school_code"} <= set(part.frame.columns)
    ]
    if not pairs:
        return {}
    known = pl.concat(pairs).filter(~is_blank(pl.concat(pairs)["school"]) & ~is_blank(pl.concat(pairs)["school_code"])).unique()
    single = known.filter(pl.len().over("school") == 1)
    return dict(zip(single["school"], single["school_code"], strict=True))


def _one_row_per_school(seen: pl.DataFrame, checks: CheckList) -> pl.DataFrame:
    areas = _lookup(_AREA_TYPES)
    wanted = ("name", "township", "cluster", "area_type")
    for name in wanted:
        if name not in seen.columns:
            seen = seen.with_columns(pl.lit(None, pl.String).alias(name))
    seen = seen.with_columns(pl.when(pl.col(wanted) == "").then(None).otherwise(pl.col(wanted)).name.keep())
    unread = seen.filter(pl.col("area_type").is_not_null() & ~pl.col("area_type").is_in(list(areas)))
    for value in unread["area_type"].unique().sort():
        checks.add("area_type_unknown", "notice", found=value, n=unread.filter(pl.col("area_type") == value).height)
    seen = seen.with_columns(pl.col("area_type").replace_strict(areas, default=None, return_dtype=pl.String))
    grouped = seen.group_by("school_id", maintain_order=True).agg(
        *(pl.col(name).drop_nulls().unique(maintain_order=True) for name in wanted)
    )
    columns = [grouped["school_id"]]
    for name in wanted:
        many = grouped.filter(pl.col(name).list.len() > 1)
        for school, values in many.select("school_id", name).iter_rows():
            checks.add(f"school_{name}_differs", "warning", found=school, n=len(values))
        values = [row[0] if len(row) == 1 or (row and name == "name") else None for row in grouped[name].to_list()]
        columns.append(pl.Series(name, values, dtype=pl.String))
    frame = pl.DataFrame(columns)
    return frame.with_columns(pl.col("name").fill_null(pl.col("school_id"))).sort("school_id")


def add_groups(part: Part, exam: ExamFile, checks: CheckList) -> None:
    """Give a part class_id, sex, year_group, track and combination in the words of the ScoreTable."""
    frame = part.frame
    classes = _column(frame, "admin_class")
    failed = classes.is_in([*CELL_ERRORS, FORMULA_WITHOUT_VALUE]).fill_null(False)
    if failed.any():
        checks.add("class_is_error", "warning", file=part.file, sheet=part.sheet, n=int(failed.sum()))
    classes = classes.set(is_blank(classes) | failed, None)
    grades = {word: code for code, words in vocabulary().raw["grades"].items() if code != "notes" for word in words}
    grades |= {code: code for code in grades.values()}
    years = _translate(part, "grade", grades, "year_group_unknown", checks)
    stated = exam.exam.year_group
    if stated is not None:
        if bool(((years != stated) & years.is_not_null()).any()):
            n = int((years != stated).sum())
            checks.add("year_group_differs", "warning", file=part.file, sheet=part.sheet, found=stated, n=n)
        years = years.fill_null(stated)
    combination = _column(frame, "combination")
    part.frame = frame.with_columns(
        classes.alias("class_id"),
        _translate(part, "gender", _lookup(_SEX), "sex_unknown", checks).alias("sex"),
        years.alias("year_group"),
        _translate(part, "track", _lookup(_TRACKS), "track_unknown", checks).alias("track"),
        combination.set(is_blank(combination), None).alias("combination"),
    ).drop([name for name in ("admin_class", "gender", "grade") if name in frame.columns])


def _translate(part: Part, name: str, table: dict[str, str], code: str, checks: CheckList) -> pl.Series:
    """Put a column into our words; what is not understood becomes null and is listed."""
    if name not in part.frame.columns:
        return _column(part.frame, name)
    text = part.frame.get_column(name)
    found = text.str.to_lowercase() if name == "gender" else text
    result = found.replace_strict(table, default=None, return_dtype=pl.String)
    lost = result.is_null() & ~is_blank(text)
    if lost.any():
        checks.add(code, "notice", file=part.file, sheet=part.sheet, found=name, n=int(lost.sum()))
    return result
