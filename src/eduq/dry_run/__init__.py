"""A dry run: what an analysis would do with files, what it would have to ask, and drafts of the answers."""

from __future__ import annotations

from eduq.dry_run.checking import check_files
from eduq.dry_run.report import CHECKED_COLUMNS, QUESTIONS, CheckReport

__all__ = ["CHECKED_COLUMNS", "QUESTIONS", "CheckReport", "check_files"]
