"""What is read from and written into the tables of a ledger file, within a transaction."""

from __future__ import annotations

import datetime as dt
import json
import math
import sqlite3
from dataclasses import dataclass

from privsynth.accounting.budget import Spend, Unit
from privsynth.accounting.events import Event
from privsynth.errors import LedgerError


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """One run, as ``privsynth ledger show`` prints it.

    Attributes:
        run: Its id.
        description: What it was for.
        status: open, suspended, finished or closed.
        started: When it first reserved, ISO-8601 in UTC.
        epsilon: Asked for.
        delta: Asked for.
        n_events: Events charged.
        noiseless_stops: How often records stopped it.
        is_stopped: Whether they did last, and nobody has resumed or closed it.
        epsilon_spent: Composed over the events charged, at the delta asked for; what was spent so far is not
            a claim, since when to look at it may depend on the records.
    """

    run: str
    description: str
    status: str
    started: str
    epsilon: float
    delta: float
    n_events: int
    epsilon_spent: float
    noiseless_stops: int = 0
    is_stopped: bool = False


@dataclass(frozen=True, kw_only=True)
class DatasetSummary:
    """One data set, as ``privsynth ledger show`` prints it.

    Attributes:
        dataset: Its name.
        unit: The unit that the first spend fixed; None before.
        limit: ``(epsilon, delta)`` over all runs; None if there is none.
        epsilon: Composed over all that is reserved.
        delta: The delta at which ``epsilon`` is composed: the limit's, else the largest that a run asked for.
        runs: Every run, oldest first.
        limit_came_first: Whether the limit was fixed before the first run, so that it is a claim about all of
            them; None if an older version did not keep that. The sum of runs that were chosen one after
            the other is no claim.
        noiseless_stops: How often records stopped a run: each time a signal without noise.
    """

    dataset: str
    unit: Unit | None
    limit: tuple[float, float] | None
    epsilon: float
    delta: float
    runs: tuple[RunSummary, ...]
    limit_came_first: bool | None = None
    noiseless_stops: int = 0


def is_bound(database: sqlite3.Connection, name: str, *, except_run: str = "") -> bool:
    """Whether a run on the data set has spent something, or may still."""
    found = database.execute(
        "SELECT count(*) FROM runs WHERE dataset = ? AND id <> ? AND "
        "(status IN ('open', 'suspended') OR reserved_mu_squared > 0 OR reserved_delta > 0)",
        (name, except_run),
    ).fetchone()
    return bool(found[0])


def limit_of(database: sqlite3.Connection, name: str) -> tuple[float, float] | None:
    row = database.execute(
        "SELECT limit_epsilon, limit_delta FROM datasets WHERE name = ? AND limit_epsilon IS NOT NULL",
        (name,),
    ).fetchone()
    return (row[0], row[1]) if row else None


def reserved_by_all(database: sqlite3.Connection, name: str, *, except_run: str = "") -> Spend:
    rows = database.execute(
        "SELECT reserved_mu_squared, reserved_delta FROM runs WHERE dataset = ? AND id <> ?",
        (name, except_run),
    ).fetchall()
    return Spend(math.fsum(row[0] for row in rows), math.fsum(row[1] for row in rows))


def stops_of(database: sqlite3.Connection, name: str) -> int:
    found = database.execute(
        "SELECT count(*) FROM stops JOIN runs ON run = id WHERE dataset = ?", (name,)
    ).fetchone()
    return int(found[0])


def block_of(database: sqlite3.Connection, run: str, key: str, event: Event) -> tuple[int, int, int]:
    """Return a block of gradient steps: its event's number, its steps begun, and their number in all."""
    found = database.execute(
        "SELECT sequence, begun, n_steps FROM steps JOIN events USING (run, sequence) "
        "WHERE run = ? AND key = ? AND event = ? ORDER BY sequence DESC LIMIT 1",
        (run, key, event_json(event)),
    ).fetchone()
    if found is None:
        raise LedgerError(f"the ledger has charged no block of steps {key!r} of this plan to run {run!r}")
    sequence, begun, n_steps = found
    return sequence, begun, n_steps


def charged_by(database: sqlite3.Connection, run: str) -> tuple[int, Spend]:
    n_events, mu_squared, delta = database.execute(
        "SELECT count(*), total(mu_squared), total(delta) FROM events WHERE run = ?", (run,)
    ).fetchone()
    return n_events, Spend(mu_squared, delta)


def run_row(database: sqlite3.Connection, run: str, *, expected: tuple[str, ...] = ()) -> sqlite3.Row:
    cursor = database.cursor()
    cursor.row_factory = sqlite3.Row
    row: sqlite3.Row | None = cursor.execute("SELECT * FROM runs WHERE id = ?", (run,)).fetchone()
    if row is None:
        raise LedgerError(f"the ledger knows no run {run!r}; `privsynth ledger show` lists its runs")
    if expected and row["status"] not in expected:
        raise LedgerError(
            f"expected a run that is {' or '.join(expected)}, but run {run!r} is {row['status']}"
        ) from None  # what failed before may quote records
    return row


def plan_of(row: sqlite3.Row) -> Spend:
    whole, own = Spend.of_budget(epsilon=row["epsilon"], delta=row["delta"]), row["planned_delta"]
    return whole if own is None else Spend(whole.mu_squared, own)


def reserved_by(row: sqlite3.Row) -> Spend:
    return Spend(row["reserved_mu_squared"], row["reserved_delta"])


def set_run(database: sqlite3.Connection, run: str, status: str, reserved: Spend) -> None:
    database.execute(
        "UPDATE runs SET status = ?, reserved_mu_squared = ?, reserved_delta = ? WHERE id = ?",
        (status, reserved.mu_squared, reserved.added_delta, run),
    )


def dataset_summary(database: sqlite3.Connection, name: str) -> DatasetSummary:
    cursor = database.cursor()
    cursor.row_factory = sqlite3.Row
    rows = cursor.execute("SELECT * FROM runs WHERE dataset = ? ORDER BY rowid", (name,)).fetchall()
    unit, came_first = database.execute(
        "SELECT unit, limit_came_first FROM datasets WHERE name = ?", (name,)
    ).fetchone()
    limit = limit_of(database, name)
    delta = limit[1] if limit else max((row["delta"] for row in rows), default=0.0)
    epsilon, delta = reserved_by_all(database, name).budget(delta)
    return DatasetSummary(
        dataset=name,
        unit=Unit(**json.loads(unit)) if unit else None,
        limit=limit,
        epsilon=epsilon,
        delta=delta,
        runs=tuple(run_summary(database, row) for row in rows),
        limit_came_first=None if limit is None or came_first is None else bool(came_first),
        noiseless_stops=stops_of(database, name),
    )


def run_summary(database: sqlite3.Connection, row: sqlite3.Row) -> RunSummary:
    n_events, charged = charged_by(database, row["id"])
    stops = database.execute("SELECT is_over FROM stops WHERE run = ?", (row["id"],)).fetchall()
    return RunSummary(
        run=row["id"],
        description=row["description"],
        status=row["status"],
        started=row["started"],
        epsilon=row["epsilon"],
        delta=row["delta"],
        n_events=n_events,
        epsilon_spent=charged.budget(row["delta"])[0],
        noiseless_stops=len(stops),
        is_stopped=row["status"] == "open" and any(not is_over for (is_over,) in stops),
    )


def event_json(event: Event) -> str:
    return json.dumps(event.to_dict())


def now() -> str:
    """Return the time of a reservation, before anything is read."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


def today() -> str:
    """Return the date alone of what comes after a read: how long reads take may depend on the records."""
    return dt.datetime.now(dt.UTC).date().isoformat()
