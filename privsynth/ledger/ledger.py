"""The ledger: what each run may spend on a data set, and what it has spent.

A run reserves its whole plan before it reads anything, and charges each event before the read that the
event pays for. Spends compose over all runs on a data set as Gaussian differential privacy: the sum of mu²
of adaptively chosen events stays within the limit's mu² (Smith and Thakurta 2022). A fixed share of every
delta is set aside beforehand for thresholded discovery, whose deltas add up.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math
import sqlite3
import unicodedata
import uuid
from dataclasses import dataclass
from pathlib import Path

from privsynth.accounting.budget import Spend, Unit
from privsynth.accounting.events import Event
from privsynth.errors import BudgetExceededError, LedgerError, ParameterError
from privsynth.ledger.file import LedgerFile, ledger_path


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


@dataclass(frozen=True, kw_only=True)
class DatasetSummary:
    """One data set, as ``privsynth ledger show`` prints it.

    Attributes:
        dataset: Its name.
        unit: The unit that the first spend fixed; None before.
        limit: ``(epsilon, delta)`` over all runs; None if there is none.
        epsilon: Composed over all that is reserved.
        delta: The delta at which ``epsilon`` holds: the limit's, else the largest that a run asked for.
        runs: Every run, oldest first.
    """

    dataset: str
    unit: Unit | None
    limit: tuple[float, float] | None
    epsilon: float
    delta: float
    runs: tuple[RunSummary, ...]


class Ledger:
    """The spends of all runs on all data sets, kept in one SQLite file.

    Every method is one transaction: it is durable on return, or has changed nothing. Processes may use the
    same file at once. A run that crashed stays reserved until it is resumed or closed.

    Args:
        path: The file; else ``$PRIVSYNTH_LEDGER``, else ``ledger.sqlite`` in the user's data folder.

    Raises:
        LedgerError: If the file cannot be made or is not a usable ledger.

    Privacy:
        Public: holds events, budgets and names, never a value of a record. It cannot stop someone who
        renames a data set or deletes the file.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self._file = LedgerFile(ledger_path(path))

    @property
    def path(self) -> Path:
        """Where the ledger lies."""
        return self._file.path

    # -- a run, in the order of its life ---------------------------------------------------------------

    def reserve(
        self,
        *,
        dataset: str,
        unit: Unit,
        epsilon: float,
        delta: float,
        description: str,
        run: str | None = None,
    ) -> str:
        """Open a run and reserve its whole plan; nothing has been read yet.

        Args:
            dataset: Name of the data set.
            unit: Must be the unit of the data set's first spend.
            epsilon: What the run may spend; > 0.
            delta: What the run may spend; in (0, 1).
            description: What the run is for; public.
            run: Id that the caller has already written down, so that a crash between the two loses
                nothing; a fresh one by default.

        Returns:
            The run's id.

        Raises:
            ParameterError: If the budget is out of range or the name is unusable.
            LedgerError: If the data set has another unit.
            BudgetExceededError: If the data set's limit would be passed.
        """
        name, plan = _checked_name(dataset), Spend.of_budget(epsilon=epsilon, delta=delta)
        run = run or uuid.uuid4().hex
        with self._file.transaction(write=True) as database:
            _fix_unit(database, name, unit)
            _check_limit(database, name, plan, f"a run of epsilon={epsilon:g}, delta={delta:g}")
            database.execute(
                "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, 'open', ?, ?)",
                (run, name, description, epsilon, delta, _now(), plan.mu_squared, plan.added_delta),
            )
        return run

    def charge(self, run: str, event: Event, key: str) -> int:
        """Charge an event, before the read that it pays for.

        Args:
            run: An open run.
            event: What is about to happen.
            key: By which the run knows the release again after an interruption. The same key may be charged
                again: a release that was charged and lost is not repeated for free.

        Returns:
            The event's number within the run, from 1.

        Raises:
            LedgerError: If the run is not open.
            BudgetExceededError: If the run's events would pass its reservation.
        """
        cost = Spend(event.mu_squared, event.delta)
        with self._file.transaction(write=True) as database:
            row = _run_row(database, run, expected=("open",))
            n_events, charged = _charged(database, run)
            if not (charged + cost).fits(_reserved(row)):
                raise BudgetExceededError(
                    f"{event.purpose!r} would bring this run to {(charged + cost).stated(row['delta'])}, "
                    f"above its epsilon={row['epsilon']:g} at delta={row['delta']:g}; stopped before it, "
                    f"after {n_events} events, within budget"
                )
            database.execute(
                "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)",
                (run, n_events + 1, key, json.dumps(event.to_dict()), *dataclasses.astuple(cost), _now()),
            )
        return n_events + 1

    def status(self, run: str) -> str | None:
        """Return open, suspended, finished or closed; None for an unknown run."""
        with self._file.transaction(write=False) as database:
            row = database.execute("SELECT status FROM runs WHERE id = ?", (run,)).fetchone()
        return str(row[0]) if row else None

    def events(self, run: str) -> list[tuple[int, str, Event]]:
        """Return what the run has charged, in order: number, key, event."""
        with self._file.transaction(write=False) as database:
            _run_row(database, run)
            rows = database.execute(
                "SELECT sequence, key, event FROM events WHERE run = ? ORDER BY sequence", (run,)
            ).fetchall()
        return [(sequence, key, Event.from_dict(json.loads(event))) for sequence, key, event in rows]

    def finish(self, run: str) -> None:
        """End an open run; its reservation shrinks to what it charged."""
        self._shrink(run, "finished", expected=("open",))

    def suspend(self, run: str) -> None:
        """Interrupt an open run in good order; its reservation shrinks to what it charged."""
        self._shrink(run, "suspended", expected=("open",))

    def close(self, run: str) -> None:
        """End a run that will not be resumed, say after a crash; gives back what no event claims."""
        self._shrink(run, "closed", expected=("open", "suspended"))

    def resume(self, run: str) -> None:
        """Open a suspended or crashed run again and reserve its whole plan.

        Raises:
            LedgerError: If the run is finished, closed or unknown.
            BudgetExceededError: If other runs have used the budget meanwhile.
        """
        with self._file.transaction(write=True) as database:
            row = _run_row(database, run, expected=("open", "suspended"))
            plan = Spend.of_budget(epsilon=row["epsilon"], delta=row["delta"])
            _check_limit(database, row["dataset"], plan, "resuming the run", except_run=run)
            _set_run(database, run, "open", plan)

    def _shrink(self, run: str, status: str, *, expected: tuple[str, ...]) -> None:
        with self._file.transaction(write=True) as database:
            _run_row(database, run, expected=expected)
            _set_run(database, run, status, _charged(database, run)[1])

    # -- a data set ------------------------------------------------------------------------------------

    def set_limit(self, dataset: str, *, epsilon: float, delta: float) -> None:
        """Set what all runs on a data set may spend together.

        Raises:
            ParameterError: If the budget is out of range.
            BudgetExceededError: If more than that is reserved already.
        """
        name, limit = _checked_name(dataset), Spend.of_budget(epsilon=epsilon, delta=delta)
        with self._file.transaction(write=True) as database:
            reserved = _reserved_by_all(database, name)
            if not reserved.fits(limit):
                raise BudgetExceededError(
                    f"data set {name!r}: {reserved.stated(delta)} is reserved already, "
                    f"more than the limit epsilon={epsilon:g} at delta={delta:g}; close open runs, or set a "
                    "higher limit: what was spent cannot be taken back"
                )
            database.execute(
                "INSERT INTO datasets VALUES (?, NULL, ?, ?) ON CONFLICT (name) DO UPDATE "
                "SET limit_epsilon = excluded.limit_epsilon, limit_delta = excluded.limit_delta",
                (name, epsilon, delta),
            )

    def limit(self, dataset: str) -> tuple[float, float] | None:
        """Return ``(epsilon, delta)`` that all runs on a data set may spend together, None if unlimited."""
        with self._file.transaction(write=False) as database:
            return _limit(database, _checked_name(dataset))

    def datasets(self) -> list[DatasetSummary]:
        """Return every data set with its runs, by name."""
        with self._file.transaction(write=False) as database:
            names = database.execute("SELECT name FROM datasets ORDER BY name").fetchall()
            return [_summary(database, name) for (name,) in names]


# -- steps inside a transaction -----------------------------------------------------------------------


def _fix_unit(database: sqlite3.Connection, name: str, unit: Unit) -> None:
    """Check the unit against the data set's; nothing reserved or spent leaves it free to be set."""
    row = database.execute("SELECT unit FROM datasets WHERE name = ?", (name,)).fetchone()
    if row and row[0] is not None and (fixed := Unit(**json.loads(row[0]))) != unit:
        bound = database.execute(
            "SELECT count(*) FROM runs WHERE dataset = ? AND "
            "(status IN ('open', 'suspended') OR reserved_mu_squared > 0 OR reserved_delta > 0)",
            (name,),
        ).fetchone()[0]
        if bound:
            raise LedgerError(
                f"data set {name!r}: its first spend fixed the unit as {fixed}; this run has {unit}. Use the "
                "same person column and max_records_per_person: guarantees of other units do not compose"
            )
    database.execute(
        "INSERT INTO datasets VALUES (?, ?, NULL, NULL) "
        "ON CONFLICT (name) DO UPDATE SET unit = excluded.unit",
        (name, json.dumps(dataclasses.asdict(unit))),
    )


def _check_limit(
    database: sqlite3.Connection, name: str, plan: Spend, what: str, *, except_run: str = ""
) -> None:
    limit = _limit(database, name)
    if limit is None:
        return
    epsilon, delta = limit
    others = _reserved_by_all(database, name, except_run=except_run)
    if not (others + plan).fits(Spend.of_budget(epsilon=epsilon, delta=delta)):
        raise BudgetExceededError(
            f"data set {name!r}: {what} would bring all runs to {(others + plan).stated(delta)}, above the "
            f"limit epsilon={epsilon:g} at delta={delta:g}; other runs hold {others.stated(delta)}. Nothing "
            "was read. Ask for less, close crashed runs "
            "(`privsynth ledger show`), or raise the limit"
        )


def _limit(database: sqlite3.Connection, name: str) -> tuple[float, float] | None:
    row = database.execute(
        "SELECT limit_epsilon, limit_delta FROM datasets WHERE name = ? AND limit_epsilon IS NOT NULL",
        (name,),
    ).fetchone()
    return (row[0], row[1]) if row else None


def _reserved_by_all(database: sqlite3.Connection, name: str, *, except_run: str = "") -> Spend:
    rows = database.execute(
        "SELECT reserved_mu_squared, reserved_delta FROM runs WHERE dataset = ? AND id <> ?",
        (name, except_run),
    ).fetchall()
    return Spend(math.fsum(row[0] for row in rows), math.fsum(row[1] for row in rows))


def _charged(database: sqlite3.Connection, run: str) -> tuple[int, Spend]:
    n_events, mu_squared, delta = database.execute(
        "SELECT count(*), total(mu_squared), total(delta) FROM events WHERE run = ?", (run,)
    ).fetchone()
    return n_events, Spend(mu_squared, delta)


def _run_row(database: sqlite3.Connection, run: str, *, expected: tuple[str, ...] = ()) -> sqlite3.Row:
    cursor = database.cursor()
    cursor.row_factory = sqlite3.Row
    row: sqlite3.Row | None = cursor.execute("SELECT * FROM runs WHERE id = ?", (run,)).fetchone()
    if row is None:
        raise LedgerError(f"the ledger knows no run {run!r}; `privsynth ledger show` lists its runs")
    if expected and row["status"] not in expected:
        raise LedgerError(
            f"expected a run that is {' or '.join(expected)}, but run {run!r} is {row['status']}"
        )
    return row


def _reserved(row: sqlite3.Row) -> Spend:
    return Spend(row["reserved_mu_squared"], row["reserved_delta"])


def _set_run(database: sqlite3.Connection, run: str, status: str, reserved: Spend) -> None:
    database.execute(
        "UPDATE runs SET status = ?, reserved_mu_squared = ?, reserved_delta = ? WHERE id = ?",
        (status, reserved.mu_squared, reserved.added_delta, run),
    )


def _summary(database: sqlite3.Connection, name: str) -> DatasetSummary:
    cursor = database.cursor()
    cursor.row_factory = sqlite3.Row
    rows = cursor.execute("SELECT * FROM runs WHERE dataset = ? ORDER BY rowid", (name,)).fetchall()
    unit = database.execute("SELECT unit FROM datasets WHERE name = ?", (name,)).fetchone()[0]
    limit = _limit(database, name)
    delta = limit[1] if limit else max((row["delta"] for row in rows), default=0.0)
    epsilon, delta = _reserved_by_all(database, name).budget(delta)
    return DatasetSummary(
        dataset=name,
        unit=Unit(**json.loads(unit)) if unit else None,
        limit=limit,
        epsilon=epsilon,
        delta=delta,
        runs=tuple(_run_summary(database, row) for row in rows),
    )


def _run_summary(database: sqlite3.Connection, row: sqlite3.Row) -> RunSummary:
    n_events, charged = _charged(database, row["id"])
    return RunSummary(
        run=row["id"],
        description=row["description"],
        status=row["status"],
        started=row["started"],
        epsilon=row["epsilon"],
        delta=row["delta"],
        n_events=n_events,
        epsilon_spent=charged.budget(row["delta"])[0],
    )


def _checked_name(dataset: str) -> str:
    name = unicodedata.normalize("NFC", dataset)  # one name, one budget, however a file system spells it
    if not name or name != name.strip() or not name.isprintable():
        raise ParameterError(
            "expected a data set name that is not empty, without control characters and without blanks "
            f"around it, got {dataset!r}"
        )
    return name


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
