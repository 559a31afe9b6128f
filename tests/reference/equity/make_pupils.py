"""Pupils of test_equity_reference.py. Run: python make_pupils.py > pupils.csv."""

from __future__ import annotations

import csv
import sys

import numpy as np

rng = np.random.default_rng(511)
writer = csv.writer(sys.stdout, lineterminator="\n")
writer.writerow(["case", "school", "area", "sex", "score"])
for case, schools, between in (("wide", 12, 9.0), ("narrow", 14, 1.0)):
    for school in range(schools):
        size = int(rng.integers(8, 45))
        area = ("town", "rural")[school % 2] if school < schools - 2 else "urban"
        level = 68 + between * rng.standard_normal() - 4 * (area == "rural")
        for sex in rng.choice(["female", "male"], size):
            score = np.clip(level + 2 * (sex == "female") + 13 * rng.standard_normal(), 0, 100)
            writer.writerow([case, f"S{school:02d}", area, sex, round(float(score) * 2) / 2])
