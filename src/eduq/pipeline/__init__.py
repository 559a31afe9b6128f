"""Joins the stages: files → score table → groups → counts → estimates → publishable → documents. Computes nothing."""

from eduq.pipeline.analysis import Analysis
from eduq.pipeline.documents import render_bulletin
from eduq.pipeline.main_job import analyze

__all__ = ["Analysis", "analyze", "render_bulletin"]
