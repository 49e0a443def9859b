"""The command line: parses, calls the library, prints. Heavy imports stay inside the commands."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Annotated, NoReturn

import typer

from privsynth.cli import models, tables
from privsynth.cli.audit import audit
from privsynth.cli.commands import CommandLine, Commands, run_commands
from privsynth.cli.console import be_quiet
from privsynth.cli.demo import demo
from privsynth.cli.ledger import ledger_app
from privsynth.cli.options import Quiet
from privsynth.cli.report import report
from privsynth.cli.samples import sample

app = CommandLine(
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
    tables.check,
    models.plan,
    models.fit,
    models.show,
    sample,
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
    quiet: Quiet = False,
) -> None:
    """Synthetic data under differential privacy: fit a sensitive table, sample balanced rows, audit them."""
    be_quiet(quiet)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    sys.exit(run_commands(app, sys.argv[1:] if arguments is None else arguments))
