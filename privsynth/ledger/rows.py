"""What is read from and added to the tables of a ledger, within a transaction."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from privsynth.accounting.budget import Spend, Unit
from privsynth.accounting.events import Event
from privsynth.errors import LedgerError
from privsynth.io.databases import Database
from privsynth.ledger.tables import CURRENT_RUNS


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """One run, as ``privsynth ledger show`` prints it.

    Attributes:
        run: Its id.
        description: What it was for.
        status: open, suspended, finished or closed.
        started: When it first reserved, ISO-8601 in UTC.
        who: The user of a server who reserved it; None in a file.
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
    who: str | None = None


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


@dataclass(frozen=True)
class RunRow:
    """A run as it stands.

    Attributes:
        plan: All that it may spend.
        reserved: What it holds of the data set's limit.
    """

    id: str
    dataset: str
    description: str
    epsilon: float
    delta: float
    started: str
    who: str | None
    plan: Spend
    status: str
    reserved: Spend

    @classmethod
    def of(cls, row: Sequence[Any]) -> RunRow:
        """Return the run of a row of `_COLUMNS`."""
        id, dataset, description, epsilon, delta, started, who, planned_delta, status, *reserved = row
        plan = Spend.of_budget(epsilon=epsilon, delta=delta)
        if planned_delta is not None:
            plan = Spend(plan.mu_squared, planned_delta)
        return cls(id, dataset, description, epsilon, delta, started, who, plan, status, Spend(*reserved))


_COLUMNS = (
    "id, dataset, description, epsilon, delta, started, runs.who, planned_delta, status, "
    "reserved_mu_squared, reserved_delta"
)


def is_bound(database: Database, name: str, *, except_run: str = "") -> bool:
    """Whether a run on the data set has spent something, or may still."""
    found = database.execute(
        f"SELECT count(*) FROM {CURRENT_RUNS} WHERE dataset = ? AND id <> ? AND "
        "(status IN ('open', 'stopped', 'suspended') OR reserved_mu_squared > 0 OR reserved_delta > 0)",
        (name, except_run),
    ).fetchone()
    return bool(found[0])


def unit_of(database: Database, name: str) -> Unit | None:
    row = database.execute(
        "SELECT unit FROM units WHERE dataset = ? ORDER BY number DESC LIMIT 1", (name,)
    ).fetchone()
    return Unit(**json.loads(row[0])) if row else None


def fix_unit(database: Database, name: str, unit: Unit, *, except_run: str = "") -> None:
    """Check the unit against the data set's; nothing reserved or spent leaves it free to be set."""
    fixed = unit_of(database, name)
    if fixed == unit:
        return
    if fixed is not None:
        if except_run and charged_by(database, except_run)[0]:
            except_run = ""  # what it was charged for is bound by the old unit
        if is_bound(database, name, except_run=except_run):
            raise LedgerError(
                f"data set {name!r}: its first spend fixed the unit as {fixed}; this run has {unit}. Use the "
                "same person column and max_records_per_person: guarantees of other units do not compose"
            )
    database.execute("INSERT INTO units (dataset, unit) VALUES (?, ?)", (name, json.dumps(asdict(unit))))


def limit_of(database: Database, name: str) -> tuple[float, float] | None:
    row = _limit_row(database, name)
    return (row[0], row[1]) if row else None


def limit_came_first(database: Database, name: str) -> bool | None:
    row = _limit_row(database, name)
    return None if row is None or row[2] is None else bool(row[2])


def _limit_row(database: Database, name: str) -> Any:
    return database.execute(
        "SELECT epsilon, delta, came_first FROM limits WHERE dataset = ? ORDER BY number DESC LIMIT 1",
        (name,),
    ).fetchone()


def reserved_by_all(database: Database, name: str, *, except_run: str = "") -> Spend:
    rows = database.execute(
        f"SELECT reserved_mu_squared, reserved_delta FROM {CURRENT_RUNS} WHERE dataset = ? AND id <> ?",
        (name, except_run),
    ).fetchall()
    return Spend(math.fsum(row[0] for row in rows), math.fsum(row[1] for row in rows))


def stops_of(database: Database, name: str) -> int:
    found = database.execute(
        "SELECT count(*) FROM states JOIN runs ON run = id WHERE dataset = ? AND status = 'stopped'", (name,)
    ).fetchone()
    return int(found[0])


def block_of(database: Database, run: str, key: str, event: Event) -> tuple[int, int, int]:
    """Return a block of gradient steps: its event's number, its steps begun, and their number in all."""
    found = database.execute(
        "SELECT sequence, n_steps FROM blocks JOIN events USING (run, sequence) "
        "WHERE run = ? AND key = ? AND event = ? ORDER BY sequence DESC LIMIT 1",
        (run, key, event_json(event)),
    ).fetchone()
    if found is None:
        raise LedgerError(f"the ledger has charged no block of steps {key!r} of this plan to run {run!r}")
    return found[0], most(database, "begun", run, found[0]), found[1]


def most(database: Database, of: str, run: str, sequence: int) -> int:
    """Return how many steps of a block are ``"begun"``, or ``"kept"`` by its checkpoint."""
    table = {"begun": "steps", "kept": "checkpoints"}[of]
    found = database.execute(
        f"SELECT max({of}) FROM {table} WHERE run = ? AND sequence = ?", (run, sequence)
    ).fetchone()
    return int(found[0] or 0)


def charged_by(database: Database, run: str) -> tuple[int, Spend]:
    rows = database.execute("SELECT mu_squared, delta FROM events WHERE run = ?", (run,)).fetchall()
    return len(rows), Spend(math.fsum(row[0] for row in rows), math.fsum(row[1] for row in rows))


def run_row(database: Database, run: str, *, expected: tuple[str, ...] = ()) -> RunRow:
    found = database.execute(f"SELECT {_COLUMNS} FROM {CURRENT_RUNS} WHERE id = ?", (run,)).fetchone()
    if found is None:
        raise LedgerError(f"the ledger knows no run {run!r}; `privsynth ledger show` lists its runs")
    row = RunRow.of(found)
    if expected and shown(row.status) not in expected:
        raise LedgerError(
            f"expected a run that is {' or '.join(expected)}, but run {run!r} is {shown(row.status)}"
        ) from None  # what failed before may quote records
    return row


def shown(status: str) -> str:
    """Return the status of a run as it is told: one that records stopped is open."""
    return "open" if status == "stopped" else status


def set_state(database: Database, run: str, status: str, reserved: Spend) -> None:
    """Add what a run is from now on, and what it holds."""
    database.execute(
        "INSERT INTO states (run, status, reserved_mu_squared, reserved_delta, since) VALUES (?, ?, ?, ?, ?)",
        (run, status, reserved.mu_squared, reserved.added_delta, today()),
    )


def dataset_names(database: Database) -> list[str]:
    names = database.execute("SELECT dataset FROM units UNION SELECT dataset FROM limits").fetchall()
    return sorted(name for (name,) in names)


def dataset_summary(database: Database, name: str) -> DatasetSummary:
    found = database.execute(
        f"SELECT {_COLUMNS} FROM {CURRENT_RUNS} WHERE dataset = ? ORDER BY runs.number", (name,)
    ).fetchall()
    rows = [RunRow.of(row) for row in found]
    limit = limit_of(database, name)
    delta = limit[1] if limit else max((row.delta for row in rows), default=0.0)
    epsilon, delta = reserved_by_all(database, name).budget(delta)
    return DatasetSummary(
        dataset=name,
        unit=unit_of(database, name),
        limit=limit,
        epsilon=epsilon,
        delta=delta,
        runs=tuple(run_summary(database, row) for row in rows),
        limit_came_first=limit_came_first(database, name),
        noiseless_stops=stops_of(database, name),
    )


def run_summary(database: Database, row: RunRow) -> RunSummary:
    n_events, charged = charged_by(database, row.id)
    n_stops = database.execute(
        "SELECT count(*) FROM states WHERE run = ? AND status = 'stopped'", (row.id,)
    ).fetchone()[0]
    return RunSummary(
        run=row.id,
        description=row.description,
        status=shown(row.status),
        started=row.started,
        epsilon=row.epsilon,
        delta=row.delta,
        n_events=n_events,
        epsilon_spent=charged.budget(row.delta)[0],
        noiseless_stops=n_stops,
        is_stopped=row.status == "stopped",
        who=row.who,
    )


def event_json(event: Event) -> str:
    return json.dumps(event.to_dict())


def now() -> str:
    """Return the time of a reservation, before anything is read."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


def today() -> str:
    """Return the date alone of what comes after a read: how long reads take may depend on the records."""
    return dt.datetime.now(dt.UTC).date().isoformat()
