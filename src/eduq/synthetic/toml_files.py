"""exam.toml and truth.toml of the invented county."""

from __future__ import annotations

import datetime as dt

import polars as pl

from eduq.intake.exam_file import ExamFile
from eduq.synthetic.county import CLUSTERS
from eduq.synthetic.effects import SHOCK_SD

__all__ = ["exam_toml", "packs_toml", "truth_toml"]

_SYMBOL_REMARK = {"-": f"{CLUSTERS[1]}的表里，缺考写作 -", "": "库里没有分数的即为缺考"}


def _quote(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def exam_toml(facts: ExamFile) -> str:
    """Return exam.toml as a person would have filled it in, with a remark on each part."""
    exam = facts.exam
    attest = ", ".join(f"{name} = {_quote(answer)}" for name, answer in facts.attest.model_dump().items())
    symbols = ", ".join(f"{_quote(symbol)} = {_quote(status)}" for symbol, status in facts.symbols.items())
    lines = [
        '# 考试说明：由教研室填写；没有把握的项目写 "?"，不要猜。',
        "schema = 1",
        f"attest = {{ {attest} }}  # 五同：同进度、同试卷、同考试、同阅卷（同分析由运行记录保证）",
        f"absence = {{ policy = {_quote(facts.absence.policy)} }}  # 缺考不计入平均分和各率",
        *([f"symbols = {{ {symbols} }}  # {_SYMBOL_REMARK[next(iter(facts.symbols))]}"] if facts.symbols else []),
        "",
        "[exam]",
        f"id = {_quote(str(exam.id))}",
        f"name = {_quote(str(exam.name))}",
        f"school_year = {_quote(str(exam.school_year))}",
        f"term = {exam.term}",
        f"date = {exam.date}",
        f"year_group = {_quote(str(exam.year_group))}",
        f"scope = {_quote(str(exam.scope))}",
        f"purpose = {_quote(str(exam.purpose))}",
        f"legal_basis = {_quote(str(exam.legal_basis))}",
        f"stable_id = {_quote(str(exam.stable_id))}  # 学籍号跨考试不变",
        "",
    ]
    for paper in facts.papers:
        lines += [
            "[[papers]]",
            f"code = {_quote(paper.code)}",
            f"subject = {_quote(paper.subject_code)}",
            f"max_score = {paper.max_score:g}",
            f"score_step = {paper.score_step:g}",
            f"sitting = {_quote(str(paper.sitting))}",
            f"marking = {_quote(str(paper.marking))}",
            f"weight = {paper.weight}",
            "",
        ]
    for deviation in facts.deviations:
        change = deviation.change
        papers = ", ".join(_quote(code) for code in change.papers)
        lines += [
            "[[deviations]]",
            f"schools = [{', '.join(_quote(school) for school in deviation.schools)}]",
            f"change = {{ papers = [{papers}], marking = {_quote(str(change.marking))}, reason = {_quote(change.reason)} }}",
            "",
        ]
    return "\n".join(lines)


def packs_toml(first_day: dt.date) -> str:
    """Return packs.toml of the registers: since when the policy text whose date is not public holds in this county."""
    lines = [
        "# 公开文本隐去了年份，何时起在本县施行由教育局说明一次；没有说明，规则包不作判定。",
        "[ezhou]",
        f"from = {first_day}",
        'stated_by = "示例县教育局"',
        "",
    ]
    return "\n".join(lines)


def truth_toml(
    seed: int,
    courses: pl.DataFrame,
    scales: dict[str, float],
    effects: dict[str, pl.DataFrame],
    rejected: dict[str, dict[str, int]],
) -> str:
    """Return truth.toml: what was put into the county, to hold results against.

    Parameters
    ----------
    seed
        The sample's seed.
    courses
        Schools that truly change.
    scales
        By year group: how many SD of the composite one SD of every paper is.
    effects
        Composite school effects by exam.
    rejected
        Rows that intake must reject, by exam and code; only exams that have any.
    """
    lines = [
        "# What was put into this invented county. Effects are in SD of the candidates in a paper, slopes in such SD a year.",
        "# A change of every paper is larger in SD of the composite: times composite_scale of the year group.",
        "# Seen in scores it is a little smaller, as the curve of the scores flattens towards both ends.",
        "# slope holds from the school year `first` to `last`, in both year groups; `paper` is a paper or all.",
        f"seed = {seed}",
        f"cohort_shock_sd = {SHOCK_SD}",
        "composite_scale = { " + ", ".join(f"{group} = {scale:.3f}" for group, scale in scales.items()) + " }",
        "",
    ]
    for course in courses.iter_rows(named=True):
        lines += [
            "[[courses]]",
            *(f"{key} = {_quote(value) if isinstance(value, str) else value}" for key, value in course.items()),
            "",
        ]
    for exam_id, codes in rejected.items():
        lines += [f"[rejected.{_quote(exam_id)}]", *(f"{code} = {n}" for code, n in sorted(codes.items())), ""]
    for exam_id, frame in effects.items():
        lines += [
            f"[effects.{_quote(exam_id)}]",
            *(f"{school} = {effect:.4f}" for school, effect in frame.select("school_id", "effect").iter_rows()),
            "",
        ]
    return "\n".join(lines)
