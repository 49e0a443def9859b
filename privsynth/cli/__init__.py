"""The command line: parses, calls the library, prints. Heavy imports stay inside the commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from privsynth.cli import models, tables
from privsynth.cli.audit import audit
from privsynth.cli.console import say, warnings_said
from privsynth.cli.demo import demo
from privsynth.cli.ledger import ledger_app
from privsynth.cli.report import report
from privsynth.errors import PrivsynthError

INTERRUPTED = 130


class Commands(TyperGroup):
    """The commands; Ctrl-C in any of them ends with one line that says what was kept."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            say(f"interrupted; {str(interrupt) or 'nothing was written'}")
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    name="privsynth",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    demo,
    tables.split,
    tables.schema,
    models.plan,
    models.fit,
    models.show,
    models.sample,
    audit,
    report,
):
    app.command()(command)
app.add_typer(ledger_app, name="ledger")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(metadata.version("privsynth"))
        raise typer.Exit


@app.callback()
def privsynth(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Synthetic data under differential privacy: fit a sensitive table, sample balanced rows, audit them."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit; any error is one message on stderr, without a traceback."""
    try:
        with warnings_said():
            app(None if arguments is None else list(arguments))
    except PrivsynthError as error:
        say(f"error: {error}")
        sys.exit(error.exit_code)
    except Exception as error:
        if os.environ.get("PRIVSYNTH_DEBUG"):
            raise
        # Its own message may quote a record.
        say(f"error: unexpected {type(error).__name__}; PRIVSYNTH_DEBUG=1 shows where, message included")
        sys.exit(1)
    sys.exit(0)
