"""Joins the stages: files → score table → groups → counts → estimates → publishable → documents. Computes nothing."""

from eduq.pipeline.analysis import Analysis, analyze
from eduq.pipeline.documents import render_bulletin

__all__ = ["Analysis", "analyze", "render_bulletin"]
