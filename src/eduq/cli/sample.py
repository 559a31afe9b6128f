"""``eduq sample``: a made-up county to try things on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eduq.cli.options import LangOption, OutputLang
from eduq.locale import text

__all__ = ["sample_command"]


def sample_command(
    out: Annotated[Path, typer.Option("--out", help=text("cli.help.sample_out"))],
    schools: Annotated[int, typer.Option("--schools", min=2, help=text("cli.help.sample_schools"))] = 40,
    candidates: Annotated[int, typer.Option("--candidates", min=10, help=text("cli.help.sample_candidates"))] = 6500,
    years: Annotated[int, typer.Option("--years", min=1, help=text("cli.help.sample_years"))] = 5,
    seed: Annotated[int, typer.Option("--seed", help=text("cli.help.sample_seed"))] = 20260115,
    layout: Annotated[str | None, typer.Option("--layout", help=text("cli.help.sample_layout"))] = None,
    lang: LangOption = OutputLang.zh,
) -> None:
    """Write a sample county."""
    from eduq.synthetic import make_sample

    for path in make_sample(schools=schools, candidates=candidates, years=years, seed=seed).write(out, layout=layout):
        typer.echo(str(path))
