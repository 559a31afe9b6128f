"""What a bureau keeps beside an exam's scores: item scores with their 细目表, entrance scores, and the marking log.

They stand in folders below the exam's, where reading the exam does not take them for score files.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from eduq.synthetic.cohort import Cohort
from eduq.synthetic.county import IntArray, stream
from eduq.synthetic.effects import FloatArray

__all__ = ["ITEMS", "Item", "draw_item_scores", "entrance_table", "item_table", "marking_log", "specification_table"]


@dataclass(frozen=True)
class Item:
    """One item of the mathematics paper: its line of the 细目表."""

    kind: str
    max_score: int
    module: str
    knowledge: str
    level: str
    literacy: str
    difficulty: float
    """Expected share of the full score: higher is easier."""


ITEMS = (
    Item("选择题", 3, "数与代数", "有理数", "了解", "运算能力", 0.95),
    Item("选择题", 3, "图形与几何", "三视图", "了解", "空间观念", 0.92),
    Item("选择题", 3, "数与代数", "科学记数法", "了解", "数感", 0.90),
    Item("选择题", 3, "数与代数", "整式运算", "理解", "运算能力", 0.85),
    Item("选择题", 3, "统计与概率", "数据的集中趋势", "理解", "数据观念", 0.82),
    Item("选择题", 3, "图形与几何", "平行线;三角形", "理解", "推理能力", 0.76),
    Item("选择题", 3, "数与代数", "一元二次方程", "理解", "运算能力", 0.70),
    Item("选择题", 3, "图形与几何", "圆", "掌握", "几何直观", 0.58),
    Item("选择题", 3, "数与代数", "反比例函数", "掌握", "几何直观", 0.50),
    Item("选择题", 3, "数与代数", "二次函数", "运用", "推理能力", 0.35),
    Item("填空题", 3, "数与代数", "因式分解", "理解", "运算能力", 0.86),
    Item("填空题", 3, "数与代数", "分式;二次根式", "理解", "运算能力", 0.78),
    Item("填空题", 3, "统计与概率", "概率", "理解", "数据观念", 0.74),
    Item("填空题", 3, "图形与几何", "相似三角形", "掌握", "推理能力", 0.55),
    Item("填空题", 3, "图形与几何", "锐角三角函数", "掌握", "模型观念", 0.46),
    Item("填空题", 3, "图形与几何", "图形的旋转", "运用", "空间观念", 0.24),
    Item("解答题", 6, "数与代数", "实数运算;分式", "理解", "运算能力", 0.84),
    Item("解答题", 8, "数与代数", "不等式组;一次函数", "掌握", "运算能力", 0.76),
    Item("解答题", 8, "统计与概率", "统计图表;概率", "掌握", "数据观念", 0.72),
    Item("解答题", 8, "图形与几何", "全等三角形;平行四边形", "掌握", "推理能力", 0.62),
    Item("解答题", 10, "图形与几何", "锐角三角函数", "运用", "应用意识", 0.55),
    Item("解答题", 10, "数与代数", "一元二次方程;二次函数", "运用", "模型观念", 0.46),
    Item("解答题", 10, "图形与几何", "圆;相似三角形", "运用", "推理能力", 0.36),
    Item("解答题", 12, "综合与实践", "二次函数;图形的旋转", "综合", "创新意识", 0.22),
)
OPEN_KIND = "解答题"
ITEM_NOISE = 1.1
MARKED_TWICE = (20, 23)
"""Items (from 0) whose marking log is kept."""
LOG_SHARE = 0.08
ARBITRATED_ABOVE = 2.0
MARKERS = 8


def draw_item_scores(half_marks: IntArray, seed: int) -> IntArray:
    """Split each score of the mathematics paper (in half marks) into item scores that add up to it.

    Choice and blank items give all or nothing, the others any half mark. Better candidates do better on every item.
    """
    rng = stream(seed, 51)
    full = np.array([2 * item.max_score for item in ITEMS])
    ease = np.array([np.log(item.difficulty / (1 - item.difficulty)) for item in ITEMS])
    opened = np.array([item.kind == OPEN_KIND for item in ITEMS])
    share = np.clip(half_marks / full.sum(), 0.01, 0.99)
    ability = 1.25 * np.log(share / (1 - share)) - 0.55
    logit = ability[:, None] + ease + rng.normal(0.0, ITEM_NOISE, (len(half_marks), len(ITEMS)))
    chance = rng.random(logit.shape)
    scores = np.where(chance < 1 / (1 + np.exp(-logit)), full, 0)
    scores[:, opened] = 0
    _fit_closed(scores, logit, half_marks, full, opened)
    rest = half_marks - scores[:, ~opened].sum(axis=1)
    scores[:, opened] = _fill_open(logit[:, opened], rest, full[opened])
    return scores


def _fit_closed(scores: IntArray, logit: FloatArray, total: IntArray, full: IntArray, opened: npt.NDArray[np.bool_]) -> None:
    """Take right answers away, or give some, until the open items can make up the rest."""
    most = int(full[opened].sum())
    closed = np.flatnonzero(~opened)
    hardest = np.argsort(logit[:, closed], axis=1)
    rows = np.arange(len(total))
    for place in range(len(closed)):
        item = closed[hardest[:, place]]
        above = (scores.sum(axis=1) > total) & (scores[rows, item] > 0)
        scores[rows[above], item[above]] = 0
    for place in range(len(closed) - 1, -1, -1):
        item = closed[hardest[:, place]]
        below = (total - scores.sum(axis=1) > most) & (scores[rows, item] == 0)
        scores[rows[below], item[below]] = full[item[below]]


def _fill_open(logit: FloatArray, rest: IntArray, full: IntArray) -> IntArray:
    """Share the rest out over the open items: one shift of all logits per candidate, then half marks one by one."""
    low, high = np.full(len(rest), -40.0), np.full(len(rest), 40.0)
    for _ in range(40):
        middle = (low + high) / 2
        got = (full / (1 + np.exp(-np.clip(logit + middle[:, None], -50, 50)))).sum(axis=1)
        low, high = np.where(got < rest, middle, low), np.where(got < rest, high, middle)
    exact = full / (1 + np.exp(-np.clip(logit + high[:, None], -50, 50)))
    scores = np.minimum(np.floor(exact + 1e-6).astype(np.int64), full)
    rows = np.arange(len(rest))
    order = np.argsort(scores - exact, axis=1)
    for place in [*range(len(full)), *range(len(full))]:
        item = order[:, place]
        gap = rest - scores.sum(axis=1)
        held = scores[rows, item]
        scores[rows, item] = np.where(gap > 0, np.minimum(held + 1, full[item]), np.where(gap < 0, np.maximum(held - 1, 0), held))
    return np.asarray(scores)


def _as_words(half_marks: IntArray) -> pl.Series:
    words = pl.Series([f"{mark / 2:g}" for mark in range(int(half_marks.max(initial=0)) + 1)])
    return words.gather(half_marks)


def item_table(frame: pl.DataFrame, items: IntArray) -> pl.DataFrame:
    """Return 数学小题分: one row per candidate of a frame, its items under their numbers."""
    columns = [_as_words(items[:, j]).alias(str(j + 1)) for j in range(items.shape[1])]
    total = _as_words(items.sum(axis=1)).alias("全卷")
    return frame.select("学籍号", "学校代码").hstack([total, *columns])


def specification_table() -> pl.DataFrame:
    """Return 数学细目表 (双向细目表): one row per item; ``;`` stands between knowledge points of equal weight."""
    return pl.DataFrame(
        {
            "题号": [str(number) for number in range(1, len(ITEMS) + 1)],
            "题型": [item.kind for item in ITEMS],
            "分值": [item.max_score for item in ITEMS],
            "知识模块": [item.module for item in ITEMS],
            "知识点": [item.knowledge for item in ITEMS],
            "能力层次": [item.level for item in ITEMS],
            "核心素养": [item.literacy for item in ITEMS],
            "预估难度": [f"{item.difficulty:.2f}" for item in ITEMS],
        }
    )


def entrance_table(person_ids: pl.Series, cohort: Cohort, seed: int) -> pl.DataFrame:
    """Return 入学基线: scores of the entrance survey two years before, full mark 100; one pupil in 25 has none."""
    rng = stream(seed, 52)
    n = len(person_ids)
    columns = {}
    for name, part, centre in (("语文", cohort.letters, 1.05), ("数学", cohort.science, 0.95), ("英语", cohort.letters, 0.90)):
        standing = 0.85 * (cohort.general + part) + rng.normal(0.0, 0.60, n)
        columns[name] = np.rint(100 / (1 + np.exp(-(centre + 0.8 * standing)))).astype(np.int64)
    known = pl.Series(rng.random(n) >= 0.04)
    return pl.DataFrame(columns).insert_column(0, person_ids.alias("学籍号")).filter(known)


def marking_log(items: IntArray, date: dt.date, seed: int) -> pl.DataFrame:
    """Return 数学阅卷日志: a sample of scripts marked twice, blind; arbitrated where the two are more than 2 apart.

    The final score is the mean of the two, rounded up to a half mark, or the arbitrator's.
    """
    rng = stream(seed, 53)
    severity = rng.normal(0.0, 0.5, MARKERS)
    parts = []
    for item in MARKED_TWICE:
        chosen = np.sort(rng.permutation(len(items))[: int(LOG_SHARE * len(items))])
        n, full = len(chosen), 2 * ITEMS[item].max_score
        true = items[chosen, item]
        first, second = rng.integers(0, MARKERS, n), rng.integers(0, MARKERS - 1, n)
        second = second + (second >= first)
        given = [
            np.clip(np.rint(true + severity[who] + rng.normal(0.0, 1.1, n)), 0, full).astype(np.int64) for who in (first, second)
        ]
        apart = np.abs(given[0] - given[1]) > 2 * ARBITRATED_ABOVE
        final = np.where(apart, true, (given[0] + given[1] + 1) // 2)
        third = (np.maximum(first, second) + 1) % MARKERS
        third = np.where((third == first) | (third == second), (third + 1) % MARKERS, third)
        third = np.where((third == first) | (third == second), (third + 1) % MARKERS, third)
        marker = pl.Series([f"M{who + 1:02d}" for who in range(MARKERS)])
        blank = pl.Series("", [None], dtype=pl.String).new_from_index(0, n)
        minute = np.sort(rng.integers(8 * 60, 17 * 60, n))
        parts.append(
            pl.DataFrame(
                {
                    "密号": [f"{item + 1:02d}{number:05d}" for number in range(1, n + 1)],
                    "题号": [str(item + 1)] * n,
                    "满分": [ITEMS[item].max_score] * n,
                    "一评教师": marker.gather(first),
                    "一评分": _as_words(given[0]),
                    "二评教师": marker.gather(second),
                    "二评分": _as_words(given[1]),
                    "仲裁教师": marker.gather(third).zip_with(pl.Series(apart), blank),
                    "仲裁分": _as_words(true).zip_with(pl.Series(apart), blank),
                    "最终分": _as_words(final),
                    "一评时间": [f"{date}T{value // 60:02d}:{value % 60:02d}" for value in minute.tolist()],
                }
            )
        )
    return pl.concat(parts)
