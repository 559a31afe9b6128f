"""Seeded invented counties: sample data, test data and benchmark data from one generator."""

from __future__ import annotations

from eduq.synthetic.samples import Sample, SampleExam, make_sample, write_benchmark
from eduq.synthetic.writers import write_exam

__all__ = ["Sample", "SampleExam", "make_sample", "write_benchmark", "write_exam"]
