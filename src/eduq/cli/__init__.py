"""The ``eduq`` command: one file per command; each parses, makes one call and prints."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line and leave with the exit status of design section 2."""
    from eduq.cli.app import run

    raise SystemExit(run())
