"""``privsynth ledger``: what has been spent on each data set, and how much may be."""

from __future__ import annotations

import dataclasses
import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from privsynth.cli.commands import CommandLine
from privsynth.cli.console import print_result, say
from privsynth.cli.options import AsJson, LedgerPlace
from privsynth.errors import LedgerError

if TYPE_CHECKING:
    from privsynth.ledger.rows import DatasetSummary, RunSummary

ledger_app = CommandLine(
    help="What has been spent on each data set, and how much may be.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

DatasetName = Annotated[str, typer.Option("--dataset", help="Name of the data set.")]


@ledger_app.command()
def show(
    ledger: LedgerPlace = None,
    dataset: Annotated[str | None, typer.Option("--dataset", help="Only this data set.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show every data set, its limit and its runs."""
    from privsynth.ledger.ledger import Ledger

    book = Ledger(ledger, make=False)
    summaries = [s for s in book.datasets() if dataset in (None, s.dataset)]
    if not book.is_there:
        say(f"there is no ledger {book.name!r} yet: the first fit, or `privsynth ledger limit`, makes it")
    elif not summaries:
        say(f"the ledger {book.name!r} holds no {f'data set {dataset!r}' if dataset else 'data set'} yet")
    fields = {"ledger": book.name, "datasets": [_fields(s) for s in summaries]}
    print_result(fields, "\n\n".join(_describe(s) for s in summaries), as_json=as_json)


@ledger_app.command()
def limit(
    dataset: DatasetName,
    epsilon: Annotated[float | None, typer.Option(help="What all runs may spend together.")] = None,
    delta: Annotated[float, typer.Option(help="What all runs may spend together.")] = 1e-6,
    ledger: LedgerPlace = None,
    as_json: AsJson = False,
) -> None:
    """Set the limit of a data set; without --epsilon, show it."""
    from privsynth.ledger.ledger import Ledger

    book = Ledger(ledger)
    if epsilon is not None:
        book.set_limit(dataset, epsilon=epsilon, delta=delta)
    current = book.limit(dataset)
    fields = {"dataset": dataset, "limit": _limit_fields(current)}
    print_result(fields, f"data set {dataset!r}: {_describe_limit(current)}", as_json=as_json)


@ledger_app.command()
def close(
    dataset: DatasetName,
    run: Annotated[str | None, typer.Option(help="Id of the run, if several are open.")] = None,
    ledger: LedgerPlace = None,
    as_json: AsJson = False,
) -> None:
    """End a run that will not be resumed.

    What it charged stays spent, the rest of its reservation is given back.
    """
    from privsynth.ledger.ledger import Ledger

    book = Ledger(ledger)
    runs = [r for s in book.datasets() if s.dataset == dataset for r in s.runs]
    unfinished = [r.run for r in runs if r.status in ("open", "suspended")]
    chosen = [run] if run else unfinished
    if len(chosen) != 1 or chosen[0] not in unfinished:
        raise LedgerError(
            f"expected one open or suspended run of data set {dataset!r}, named by --run if there are "
            f"several; there are: {', '.join(unfinished) or 'none'}"
        )
    book.close(chosen[0])
    (ended,) = [r for s in book.datasets() for r in s.runs if r.run == chosen[0]]
    print_result(dataclasses.asdict(ended), f"closed\n{_describe_run(ended)}", as_json=as_json)


@ledger_app.command()
def roles(ledger: LedgerPlace = None) -> None:
    """Print the SQL by which the owner of a database of PostgreSQL makes a team's ledger and its roles.

    Members of privsynth_writer may fit, of privsynth_steward set limits, of privsynth_reader read. No role
    may change or remove a row. What is there already stays as it is.
    """
    from privsynth.ledger.places import schema_of
    from privsynth.ledger.server import script

    sql = script(schema_of(ledger))
    print_result({"sql": sql}, sql.rstrip(), as_json=False)


def _fields(summary: DatasetSummary) -> dict[str, Any]:
    return dataclasses.asdict(summary) | {"limit": _limit_fields(summary.limit)}


def _limit_fields(limit: tuple[float, float] | None) -> dict[str, float] | None:
    return {"epsilon": limit[0], "delta": limit[1]} if limit else None


def _describe(summary: DatasetSummary) -> str:
    from privsynth.accounting.budget import shown_epsilon

    lines = [
        f"data set {summary.dataset!r}: {summary.unit or 'no unit yet'}",
        f"  {_describe_limit(summary.limit)}{_of_claim(summary)}",
        f"  reserved by all runs so far: epsilon {shown_epsilon(summary.epsilon)} at delta "
        f"{summary.delta:g} (not a claim: what is claimed is a limit fixed before the first run)",
    ]
    if summary.noiseless_stops:
        lines.append(
            f"  records stopped a run {summary.noiseless_stops} time(s), each a signal without noise"
        )
    return "\n".join([*lines, *(f"  {_describe_run(run)}" for run in summary.runs)])


def _of_claim(summary: DatasetSummary) -> str:
    """Say whether the limit is what all runs together guarantee."""
    if summary.limit is None:
        set_one = f"privsynth ledger limit --dataset {shlex.quote(summary.dataset)} --epsilon E --delta D"
        return "" if summary.runs else f"; set one before the first run: `{set_one}`"
    if summary.limit_came_first is None:
        return ", which all runs together guarantee if it was set before the first of them"
    if summary.limit_came_first:
        return ", fixed before the first run: what all runs together guarantee"
    return ", set or changed after the first run: it stops later runs, and is no claim about all of them"


def _describe_limit(limit: tuple[float, float] | None) -> str:
    return f"limit: epsilon {limit[0]:g} at delta {limit[1]:g}" if limit else "no limit"


def _describe_run(run: RunSummary) -> str:
    from privsynth.accounting.budget import shown_epsilon

    return (
        f"run {run.run} {run.status}: {run.description}; started {run.started}"
        f"{f' by {run.who}' if run.who else ''}, "
        f"asked for epsilon {run.epsilon:g} at delta {run.delta:g}, "
        f"spent so far {shown_epsilon(run.epsilon_spent)} (not a claim)"
        + (
            "; stopped by its records: what it reserved stays reserved until the same fit resumes it, or "
            f"`privsynth ledger close` with --run {run.run} gives it back"
            if run.is_stopped
            else ""
        )
    )
