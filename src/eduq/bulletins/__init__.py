"""Stage 7: publishable results to documents (Markdown, HTML, Excel), in zh-CN and English.

The only input is what `eduq.disclosure.protect` lets through.
"""

from __future__ import annotations

from eduq.bulletins.context import CONTEXT_VERSION, build_context
from eduq.bulletins.render import render_html, render_markdown
from eduq.bulletins.workbook import write_workbook

__all__ = ["CONTEXT_VERSION", "build_context", "render_html", "render_markdown", "write_workbook"]
