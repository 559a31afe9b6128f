"""The parts of all files become one ScoreTable."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from eduq.errors import DataFileError, EduqError, Place
from eduq.intake.checks import CheckList
from eduq.intake.columns import TOTAL
from eduq.intake.duplicates import qualify_repeated
from eduq.intake.exam_file import EXAM_ID_PATTERN, ExamFile, PaperFacts
from eduq.intake.files import FoundFiles
from eduq.intake.identity import add_groups, add_identity, add_places, choose_id_kind
from eduq.intake.ids import examine_ids, refuse_lost_zeros
from eduq.intake.item_tables import build_items, keep_candidates, mark_items
from eduq.intake.joins import Joined, compare_totals, join_candidates, told_by
from eduq.intake.parts import OWN_IDS, Part
from eduq.intake.rows import RejectList
from eduq.intake.score_table import ScoreTable
from eduq.intake.synonyms import vocabulary
from eduq.intake.unfold import Findings
from eduq.tables import AGGREGATES, INPUTS, SCORE_COLUMNS, STATUS_TYPE, SUBGROUP_PREFIX, status_column

__all__ = ["FileFacts", "assemble"]

_ZERO_SHARE = 0.05
_ZERO_PUPILS = 3
_EXAM_WORDS = ("考试", "监测", "测试", "调研", "联考", "统考", "月考", "期中", "期末", "检测", "抽测", "模拟", "成绩", "质量")
_LONGEST_TITLE = 60


@dataclass(frozen=True)
class FileFacts:
    """What is kept of an input file: base name, stem, hash, size, encoding and the rows below its headers."""

    name: str
    stem: str
    sha256: str
    size: int
    encoding: str | None
    rows: int


def assemble(
    parts: list[Part],
    exam: ExamFile,
    files: Sequence[FileFacts],
    found: FoundFiles,
    full_marks: dict[str, float],
    findings: Findings,
    spec: pl.DataFrame,
    checks: CheckList,
    rejects: RejectList,
) -> ScoreTable:
    """Join parts into a ScoreTable: one id for all, places, one row per candidate, exam.toml completed.

    Parameters
    ----------
    parts
        The sheets as read; emptied on the way.
    exam
        exam.toml as stated.
    files, found
        The inputs.
    full_marks
        Full marks named in files.
    findings, spec
        What files say beside scores of candidates; what they say of items.
    checks, rejects
        What was found so far.

    Raises
    ------
    DataFileError
        ``total_only_file``, ``files_overlap``, ``paper_without_column``, ``no_common_id``.
    """
    if not parts:
        return _without_candidates(exam, files, found, findings, spec, checks, rejects)
    _refuse_total_only(parts)
    one_school = exam.exam.scope == "school"
    titles = [title for part in parts for title in part.titles]
    schools = add_places(parts, one_school, checks)
    _identify(parts, exam, checks, rejects)
    refuse_lost_zeros(parts)
    for part in parts:
        add_groups(part, exam, checks)
        _add_track(part, checks)
        mark_items(part)
    spoilt = pl.concat([part.spoilt.get_column("candidate_id") for part in parts])
    headers = {code: written for part in reversed(parts) for code, written in part.headers.items()}
    codes = {code for part in parts for code in part.papers}
    items, told, lacking = build_items(parts), told_by(parts, exam), _lacking_school(parts)
    joined = join_candidates(_stack(parts), told, spoilt, rejects, checks)
    frame = joined.frame
    if TOTAL in codes and len(codes) > 1:
        frame = compare_totals(frame, codes, headers[TOTAL], checks)
        codes -= {TOTAL}
    if lacking is not None and frame.get_column("school_id").null_count():
        raise DataFileError("no_school_column", lacking)
    papers = _paper_order(codes, exam, checks)
    resolved = _resolve_exam(exam, papers, full_marks, headers, checks)
    resolved = _name_exam(resolved, files, found, titles, checks)
    frame = _in_order(frame, papers, str(resolved.exam.id))
    _find_zero_heaps(frame, papers, headers, dict(schools.select("school_id", "name").iter_rows()), checks)
    rejected = rejects.frame()
    return ScoreTable(
        frame=frame,
        exam=resolved,
        schools=schools.filter(pl.col("school_id").is_in(frame.get_column("school_id").unique().implode())),
        rejected=rejected,
        checks=checks.frame(),
        inputs=_reconcile(files, frame, joined, findings, rejects, rejected),
        items=keep_candidates(items, frame.get_column("candidate_id"), str(resolved.exam.id)),
        item_spec=spec,
        aggregates=_aggregates(findings),
    )


def _aggregates(findings: Findings) -> pl.DataFrame:
    return pl.concat([pl.DataFrame(schema=AGGREGATES), *findings.aggregates])


def _without_candidates(
    exam: ExamFile,
    files: Sequence[FileFacts],
    found: FoundFiles,
    findings: Findings,
    spec: pl.DataFrame,
    checks: CheckList,
    rejects: RejectList,
) -> ScoreTable:
    """Return the table of files that speak of schools or items only."""
    resolved, rejected = _name_exam(exam, files, found, (), checks), rejects.frame()
    frame = pl.DataFrame(schema=SCORE_COLUMNS)
    places = {name: pl.String() for name in ("school_id", "name", "township", "cluster", "area_type")}
    return ScoreTable(
        frame=frame,
        exam=resolved.model_copy(update={"papers": ()}),
        schools=pl.DataFrame(schema=places),
        rejected=rejected,
        checks=checks.frame(),
        inputs=_reconcile(files, frame, Joined(frame), findings, rejects, rejected),
        item_spec=spec,
        aggregates=_aggregates(findings),
    )


def _refuse_total_only(parts: Sequence[Part]) -> None:
    """A file with nothing but totals beside files of papers must hold the same candidates."""
    only = [part for part in parts if part.papers == [TOTAL]]
    others = [part for part in parts if part.papers and all(part is not one for one in only)]
    if only and others and not any(set(only[0].id_kinds) & set(part.id_kinds) for part in others):
        raise DataFileError("total_only_file", Place(only[0].file, only[0].sheet))


def _lacking_school(parts: Sequence[Part]) -> Place | None:
    """Return the first sheet whose rows have no school of their own."""
    lacking = [part for part in parts if part.frame.height and part.frame.get_column("school_id").null_count()]
    return Place(lacking[0].file, lacking[0].sheet) if lacking else None


def _add_track(part: Part, checks: CheckList) -> None:
    """Take the track from the combination, such as 物化生, where there is no track."""
    track, combination = part.frame.get_column("track"), part.frame.get_column("combination")
    if track.null_count() < len(track) or combination.null_count() == len(combination):
        return
    plain = combination.str.replace_all("生物", "")
    physics, history = plain.str.contains("物", literal=True), plain.str.contains("史", literal=True)
    found = part.frame.select(
        pl.when(physics & ~history).then(pl.lit("physics")).when(history & ~physics).then(pl.lit("history")).alias("track")
    ).to_series()
    if found.null_count() < len(found):
        part.frame = part.frame.with_columns(found)
        n = len(found) - found.null_count()
        checks.add("track_from_combination", "info", file=part.file, sheet=part.sheet, n=n)


def _identify(parts: Sequence[Part], exam: ExamFile, checks: CheckList, rejects: RejectList) -> None:
    """Name the candidates of all parts by one kind of id, or say that there is none they share."""
    examine_ids(parts, checks)
    kind = choose_id_kind(parts)
    if kind is None:
        _refuse_unlinked(parts)
        checks.add("mixed_id_kinds", "warning", n=len(parts))
    elif kind not in OWN_IDS and (place := _lacking_school(parts)) is not None:
        raise DataFileError("no_school_column", place)
    elif kind == "exam_no":
        qualify_repeated(parts, kind, checks)
    for part in parts:
        add_identity(part, kind or part.id_kinds[0], exam, checks, rejects)
    named = sum(part.frame.height for part in parts if (kind or part.id_kinds[0]) == "name")
    if named:
        checks.add("identity_by_name", "warning", n=named)


def _refuse_unlinked(parts: Sequence[Part]) -> None:
    """Sheets of different papers that name candidates by different ids cannot be joined.

    Raises
    ------
    DataFileError
        ``no_common_id``.
    """
    for one in parts:
        for other in parts:
            if one.papers and other.papers and not set(one.papers) & set(other.papers):
                named = " / ".join(text for text in (other.file, other.sheet) if text)
                raise DataFileError("no_common_id", Place(one.file, one.sheet), other=named)


def _stack(parts: list[Part]) -> pl.DataFrame:
    """Put the parts under each other; a paper a part lacks has no status there. Empties the list to free memory."""
    frames: list[pl.DataFrame] = []
    while parts:
        part = parts.pop(0)
        source = [pl.lit(part.file, pl.String).alias("source_file"), pl.lit(part.sheet, pl.String).alias("source_sheet")]
        frames.append(part.frame.with_columns(*source, pl.lit(len(frames), pl.Int32).alias("_part")))
    return frames[0] if len(frames) == 1 else pl.concat(frames, how="diagonal")


def _paper_order(codes: set[str], exam: ExamFile, checks: CheckList) -> list[str]:
    """Return the papers in the order of the synonym file, then of exam.toml; refuse stated papers that no file has."""
    stated = [paper.code for paper in exam.papers]
    for code in stated:
        if code in codes:
            continue
        if code != TOTAL:
            raise DataFileError("paper_without_column", Place(file="exam.toml"), code=code, codes=", ".join(sorted(codes)))
        checks.add("total_is_derived", "notice", file="exam.toml", found=TOTAL)
    order = [*vocabulary().subjects, *stated]
    return sorted(codes, key=lambda code: (order.index(code) if code in order else len(order), code))


def _resolve_exam(
    exam: ExamFile, papers: Sequence[str], full_marks: dict[str, float], headers: dict[str, str], checks: CheckList
) -> ExamFile:
    """Complete the papers of exam.toml with those of the files and the full marks in headers; what is assumed is listed."""
    stated = {paper.code: paper for paper in exam.papers}
    complete, from_headers, unknown = [], [], []
    for code in papers:
        header = headers.get(code, code)
        paper = stated.get(code)
        if paper is None:
            paper = PaperFacts.model_validate({"code": code})
            if exam.papers:
                checks.add("paper_not_stated", "notice", column=header, found=code)
        if paper.max_score is None and code in full_marks:
            paper = paper.model_copy(update={"max_score": full_marks[code]})
            from_headers.append(f"{code} {full_marks[code]:g}")
        if paper.max_score is None:
            unknown.append(header)
        complete.append(paper)
    if from_headers:
        checks.add("assumed_max_score", "notice", found=", ".join(from_headers), n=len(from_headers))
    if unknown:
        checks.add("max_score_unknown", "warning", found=", ".join(unknown), n=len(unknown))
    return exam.model_copy(update={"papers": tuple(complete)})


def _name_exam(
    exam: ExamFile, files: Sequence[FileFacts], found: FoundFiles, titles: Sequence[str], checks: CheckList
) -> ExamFile:
    facts = exam.exam
    if facts.id is None:
        facts = facts.model_copy(update={"id": _exam_id(files, found)})
        checks.add("assumed_exam_id", "notice", found=facts.id)
    if facts.name is None:
        facts = facts.model_copy(update={"name": _exam_name(files, found, titles)})
        checks.add("assumed_exam_name", "notice", found=facts.name)
    return exam.model_copy(update={"exam": facts})


def _exam_id(files: Sequence[FileFacts], found: FoundFiles) -> str:
    name = found.folder or (files[0].stem if len(files) == 1 else "")
    if re.fullmatch(EXAM_ID_PATTERN, name):
        return name
    joined = hashlib.sha256("".join(sorted(file.sha256 for file in files)).encode())
    return f"exam-{joined.hexdigest()[:8]}"


def _exam_name(files: Sequence[FileFacts], found: FoundFiles, titles: Sequence[str]) -> str:
    """Return the title row that speaks most of an exam, else the name of the folder or file."""
    usable = [" ".join(title.split()) for title in titles if len(title) <= _LONGEST_TITLE and "\n" not in title]
    rated = [(sum(word in title for word in _EXAM_WORDS), -place, title) for place, title in enumerate(usable)]
    best = max(rated, default=(0, 0, ""))
    return best[2] if best[0] else found.folder or files[0].stem


def _in_order(frame: pl.DataFrame, papers: Sequence[str], exam_id: str) -> pl.DataFrame:
    frame = frame.with_columns(pl.lit(exam_id, pl.String).alias("exam_id"))
    missing = [status_column(code) for code in papers if status_column(code) not in frame.columns]
    frame = frame.with_columns(pl.lit(None, STATUS_TYPE).alias(name) for name in missing)
    columns = [*SCORE_COLUMNS, *sorted(name for name in frame.columns if name.startswith(SUBGROUP_PREFIX))]
    for code in papers:
        made = (code, status_column(code), f"{code}_scaled", f"{code}_class")
        columns += [name for name in made if name in frame.columns]
    blank_to_null = [name for name in columns if name.endswith("_class") or name.startswith(SUBGROUP_PREFIX)]
    return frame.select(columns).with_columns(
        pl.when(pl.col(name) == "").then(None).otherwise(pl.col(name)).alias(name)
        for name in blank_to_null
        if frame.schema[name] == pl.String and name not in SCORE_COLUMNS
    )


def _find_zero_heaps(
    frame: pl.DataFrame, papers: Sequence[str], headers: dict[str, str], schools: dict[str, str], checks: CheckList
) -> None:
    """List schools and papers with many zeros, and rows of nothing but zeros: they may be absences."""
    zero = frame.lazy().filter(pl.any_horizontal(pl.col(papers) == 0)).select("school_id", *papers).collect()
    if zero.height < _ZERO_PUPILS:
        return
    zeros = zero.group_by("school_id").agg((pl.col(papers) == 0).sum()).unpivot(index="school_id", variable_name="paper")
    heaps = zeros.filter(pl.col("value") >= _ZERO_PUPILS).sort("paper", "school_id")
    concerned = frame.lazy().filter(pl.col("school_id").is_in(heaps.get_column("school_id").unique().implode()))
    present = concerned.group_by("school_id").agg(pl.col(papers).count()).collect()
    present = present.unpivot(index="school_id", variable_name="paper", value_name="present")
    heaps = heaps.join(present, on=["school_id", "paper"], maintain_order="left")
    for school, paper, n, _ in heaps.filter(pl.col("value") >= _ZERO_SHARE * pl.col("present")).iter_rows():
        checks.add("zero_heap", "warning", column=headers.get(paper, paper), found=schools[school], n=int(n))
    several = pl.sum_horizontal(pl.col(papers).is_not_null()) > 1
    all_zero = zero.filter(pl.all_horizontal(pl.col(papers).fill_null(0) == 0) & several).height
    if all_zero:
        checks.add("zero_rows", "warning", found="0", n=all_zero)


def _add_sources(used: dict[str, int], places: pl.DataFrame, rejects: RejectList) -> None:
    """Count all rows of the file that a used row is made of."""
    for (file, sheet), sources in rejects.sources.items():
        rows = places.filter((pl.col("source_file") == file) & pl.col("source_sheet").eq_missing(pl.lit(sheet, pl.String)))
        sizes = sources.select(pl.col("row").alias("row_no"), (pl.col("rows").list.len().cast(pl.Int64) - 1).alias("more"))
        used[file] = used.get(file, 0) + int(rows.join(sizes, on="row_no", how="left").get_column("more").sum())


def _reconcile(
    files: Sequence[FileFacts],
    frame: pl.DataFrame,
    joined: Joined,
    findings: Findings,
    rejects: RejectList,
    rejected: pl.DataFrame,
) -> pl.DataFrame:
    """Count the bins of every file and make sure that they add up."""
    used = dict(frame.group_by("source_file").len().iter_rows())
    for file, n in joined.merged.group_by("source_file").len().iter_rows():
        used[file] = used.get(file, 0) + n
    if rejects.sources:
        _add_sources(used, pl.concat([frame.select("source_file", "source_sheet", "row_no"), joined.merged]), rejects)
    for file, n in findings.rows.items():
        others = sum(len(one.numbers) for name, _, one in findings.refused if name == file)
        used[file] = used.get(file, 0) + n - others
    bad = dict(rejected.group_by("file").len().iter_rows())
    lines = []
    for one in files:
        n_used, n_rejected = used.get(one.name, 0), bad.get(one.name, 0)
        if one.rows != n_used + n_rejected:
            raise EduqError("rows_unaccounted", Place(file=one.name), rows=one.rows, used=n_used, rejected=n_rejected)
        lines.append((one.name, one.sha256, one.size, one.encoding, one.rows, n_used, n_rejected))
    return pl.DataFrame(lines, schema=INPUTS, orient="row")
