"""The application: its commands, and how an error becomes a message and an exit status."""

from __future__ import annotations

import sys

import typer

from eduq.cli.analyze import analyze_command
from eduq.cli.archive import archive_app
from eduq.cli.awards import awards_command
from eduq.cli.bulletin import bulletin_command
from eduq.cli.check import check_command
from eduq.cli.compare import compare_command
from eduq.cli.doctor import doctor_command
from eduq.cli.growth import growth_command
from eduq.cli.judge import judge_command
from eduq.cli.rules import rules_app
from eduq.cli.sample import sample_command
from eduq.cli.stress import stress_command
from eduq.cli.targets import targets_command
from eduq.cli.trend import trend_command
from eduq.cli.why import why_command
from eduq.errors import EduqError
from eduq.locale import text

__all__ = ["app", "run"]

app = typer.Typer(
    name="eduq",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    help=text("cli.help.app"),
)
app.command("analyze", help=text("cli.help.analyze"))(analyze_command)
app.command("check", help=text("cli.help.check"))(check_command)
app.add_typer(archive_app, name="archive")
app.command("judge", help=text("cli.help.judge"))(judge_command)
app.command("why", help=text("cli.help.why"))(why_command)
app.command("stress", help=text("cli.help.stress"))(stress_command)
app.add_typer(rules_app, name="rules")
app.command("trend", help=text("cli.help.trend"))(trend_command)
app.command("compare", help=text("cli.help.compare"))(compare_command)
app.command("growth", help=text("cli.help.growth"))(growth_command)
app.command("targets", help=text("cli.help.targets"))(targets_command)
app.command("awards", help=text("cli.help.awards"))(awards_command)
app.command("bulletin", help=text("cli.help.bulletin"))(bulletin_command)
app.command("sample", help=text("cli.help.sample"))(sample_command)
app.command("doctor", help=text("cli.help.doctor"))(doctor_command)


def _show_version(value: bool) -> None:
    if value:
        from eduq import __version__

        typer.echo(f"eduq {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help=text("cli.help.version")),
) -> None:
    """Take the options that belong to no command."""


def _word_panels() -> None:
    """Give the titles of help panels, constants in typer, the current language."""
    from typer import rich_utils

    rich_utils.ARGUMENTS_PANEL_TITLE = text("cli.panel.arguments")
    rich_utils.OPTIONS_PANEL_TITLE = text("cli.panel.options")
    rich_utils.COMMANDS_PANEL_TITLE = text("cli.panel.commands")
    rich_utils.ERRORS_PANEL_TITLE = text("cli.panel.error")


def run(arguments: list[str] | None = None) -> int:
    """Run the application and return its exit status; a user's error is a message without a traceback."""
    _word_panels()
    try:
        app(args=arguments, standalone_mode=True)
    except EduqError as error:
        typer.echo(text("cli.error", message=error.message(), hint=error.hint, code=error.code), err=True)
        return error.exit_status
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except KeyboardInterrupt:
        typer.echo(text("cli.interrupted"), err=True)
        return 130
    except Exception as error:  # our bug: say so without showing data that a message of a library may hold
        import traceback

        frames = traceback.extract_tb(error.__traceback__)
        where = frames[-1]
        typer.echo(
            text("cli.bug", kind=type(error).__name__, file=where.filename.rsplit("/", 1)[-1], line=where.lineno), err=True
        )
        for frame in frames:
            print(f"  {frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}", file=sys.stderr)
        return 1
    return 0
