"""The ledger: what each run may spend on a data set, and what it has spent.

A run reserves its whole plan before it reads anything, charges each event before the read that the event
pays for, and counts each gradient step before it is drawn. Where records stop a run, as a broken schema does,
that is a signal without noise: the reservation stays charged, and the stop is counted. Spends compose over
all runs on a data set as Gaussian differential privacy: the sum of mu² of adaptively chosen events stays
within the limit's mu² (Smith and Thakurta 2022). A fixed share of every delta is set aside beforehand for
what adds up as a delta: thresholded discovery, and the slacks of gradient steps.
"""

from __future__ import annotations

import dataclasses
import json
import unicodedata
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from privsynth.accounting.budget import Spend, Unit
from privsynth.accounting.events import Event, SampledGaussian
from privsynth.errors import BudgetExceededError, LedgerError, ParameterError, PrivsynthError, TableError
from privsynth.ledger.file import LedgerFile
from privsynth.ledger.limits import check_limit, within_rest
from privsynth.ledger.places import opened
from privsynth.ledger.rows import (
    DatasetSummary,
    block_of,
    charged_by,
    dataset_names,
    dataset_summary,
    event_json,
    fix_unit,
    is_bound,
    limit_of,
    most,
    now,
    reserved_by_all,
    run_row,
    set_state,
    shown,
    stops_of,
    today,
)
from privsynth.ledger.tables import CURRENT_RUNS, history

STOPPED_BY_RECORDS = (
    "What this run reserved stays reserved, and the ledger counts the stop, because it tells something about "
    "the records without noise: the same command goes on once the table or the schema is mended, and "
    "`privsynth ledger close` gives the reservation back"
)


class Ledger:
    """The spends of all runs on all data sets, kept in one SQLite file, or for a team in PostgreSQL.

    Every method is one transaction: it is durable on return, or has changed nothing. Processes may use the
    same ledger at once. A run that crashed stays reserved until it is resumed or closed.

    Args:
        path: A file, or ``postgresql://USER@HOST/DATABASE``, where ``#SCHEMA`` names another schema than
            ``privsynth``; else ``$PRIVSYNTH_LEDGER``, else ``ledger.sqlite`` in the user's data folder.
        make: Whether it is made if it is not there; else it has no data sets, and takes none.

    Raises:
        LedgerError: If it cannot be made or is not a usable ledger.

    Privacy:
        Public: holds events, budgets and names, never a value of a record. It cannot stop someone who
        renames a data set or deletes the file.
    """

    def __init__(self, path: str | Path | None = None, *, make: bool = True) -> None:
        self._store = opened(path, make=make)
        self._charged: dict[str, int] = {}  # events of each run that this object was told are charged

    @property
    def name(self) -> str:
        """Where the ledger is, as messages call it: the file, or the address without user and password."""
        return self._store.name

    @property
    def is_there(self) -> bool:
        """Whether there is a ledger at its place."""
        return self._store.is_there

    @property
    def home(self) -> str:
        """What tells the ledger from others, as a run's file of paid releases keeps it."""
        return self._store.home

    @property
    def path(self) -> Path:
        """The ledger's file.

        Raises:
            LedgerError: If it is in PostgreSQL.
        """
        if not isinstance(self._store, LedgerFile):
            raise LedgerError(f"the ledger {self.name!r} is no file; ask for its name")
        return self._store.path

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
        part_of_rest: float | None = None,
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
            part_of_rest: Under a limit, the run sets aside for discovery and slacks at most this part of what
                is left of the limit's delta for them, so that runs after it find some too. It may do with
                less than the `ADDED_DELTA_SHARE` of its own ``delta``; what it claims stays. None: all of
                that share.

        Returns:
            The run's id.

        Raises:
            ParameterError: If the budget is out of range or the name is unusable.
            LedgerError: If the data set has another unit.
            BudgetExceededError: If the data set's limit would be passed.
        """
        name, plan = _checked_name(dataset), Spend.of_budget(epsilon=epsilon, delta=delta)
        run = run or uuid.uuid4().hex
        with self._store.transaction(write=True) as database:
            fix_unit(database, name, unit)
            if part_of_rest is not None:
                plan = within_rest(database, name, plan, part_of_rest)
            check_limit(
                database, name, plan, (epsilon, delta), f"a run of epsilon={epsilon:g}, delta={delta:g}"
            )
            database.execute(
                "INSERT INTO runs (id, dataset, description, epsilon, delta, started, planned_delta) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (run, name, description, epsilon, delta, now(), plan.added_delta),
            )
            set_state(database, run, "open", plan)
        return run

    def plan(self, run: str) -> Spend:
        """Return all that a run may spend."""
        with self._store.transaction(write=False) as database:
            return run_row(database, run).plan

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
        cost = Spend.of_event(event)
        with self._store.transaction(write=True) as database:
            row = run_row(database, run, expected=("open",))
            n_events, charged = charged_by(database, run)
            if n_events < self._charged.get(run, 0):
                raise LedgerError(
                    f"the ledger {self.name!r} is an older copy: it lacks charges of this run that it had "
                    "acknowledged, so more is spent than it says. Put the newer ledger back"
                )
            if not (charged + cost).fits(row.reserved):
                raise BudgetExceededError(
                    f"{event.purpose!r} would bring this run to {(charged + cost).stated(row.delta)}, "
                    f"above its epsilon={row.epsilon:g} at delta={row.delta:g}; stopped before it, "
                    f"after {n_events} events, within budget"
                )
            database.execute(
                "INSERT INTO events (run, sequence, key, event, mu_squared, delta, charged) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (run, n_events + 1, key, event_json(event), *dataclasses.astuple(cost), today()),
            )
            if isinstance(event, SampledGaussian):
                database.execute("INSERT INTO blocks VALUES (?, ?, ?)", (run, n_events + 1, event.count))
        self._charged[run] = n_events + 1
        return n_events + 1

    def begun(self, run: str, key: str, event: Event) -> int:
        """Return how many gradient steps of a charged block are spent."""
        with self._store.transaction(write=False) as database:
            return block_of(database, run, key, event)[1]

    def advance(self, run: str, key: str, event: Event, n_begun: int) -> None:
        """Spend the step of that number in a block, before its batch and noise are drawn.

        Raises:
            LedgerError: If the run is not open, or the ledger counts other steps than those before it: this
                caller goes on from a copy, or beside another process.
            BudgetExceededError: If the block's steps are used up.
        """
        with self._store.transaction(write=True, in_history=False) as database:
            run_row(database, run, expected=("open",))
            sequence, spent, n_steps = block_of(database, run, key, event)
            if spent != n_begun - 1:
                raise LedgerError(
                    f"the ledger counts {spent} steps of this run where {n_begun - 1} are known here: "
                    "another process has taken steps; stopped before one more. Wait for it, or pass "
                    "--restart for a run of its own"
                )
            if spent >= n_steps:
                raise BudgetExceededError(f"all {n_steps} private steps of this block are spent")
            database.execute("INSERT INTO steps VALUES (?, ?, ?)", (run, sequence, n_begun))

    def keep(self, run: str, key: str, event: Event, n_steps: int) -> None:
        """Note that a checkpoint holds the first ``n_steps`` steps of a block: older ones are copies."""
        with self._store.transaction(write=True, in_history=False) as database:
            sequence = block_of(database, run, key, event)[0]
            if n_steps > most(database, "kept", run, sequence):
                database.execute("INSERT INTO checkpoints VALUES (?, ?, ?)", (run, sequence, n_steps))

    def blocks(self, run: str) -> dict[str, tuple[int, int]]:
        """Return of each key's last block of steps how many are spent, and how many its checkpoint holds."""
        with self._store.transaction(write=False) as database:
            rows = database.execute(
                "SELECT key, sequence FROM blocks JOIN events USING (run, sequence) WHERE run = ? "
                "ORDER BY sequence",
                (run,),
            ).fetchall()
            last = dict(rows)
            return {
                k: (most(database, "begun", run, n), most(database, "kept", run, n)) for k, n in last.items()
            }

    def last_link(self) -> dict[str, Any]:
        """Return the last link of the ledger's history, for `check_link`."""
        with self._store.transaction(write=False) as database:
            return history(database).last()

    def check_link(self, link: Mapping[str, Any] | None, what: str) -> None:
        """Raise a `LedgerError` if a file saw a link of this ledger's history that it has no more.

        Args:
            link: What `last_link` returned then; None if the file is of an older version.
            what: Names the file.
        """
        with self._store.transaction(write=False) as database:
            if link is not None and history(database).has_lost(link):
                raise LedgerError(
                    f"the ledger {self.name!r} is an older copy: it lacks charges that it had when "
                    f"{what} was written, so more is spent than it says. Put the newer ledger back"
                )

    def status(self, run: str) -> str | None:
        """Return open, suspended, finished or closed; None for an unknown run."""
        with self._store.transaction(write=False) as database:
            row = database.execute(f"SELECT status FROM {CURRENT_RUNS} WHERE id = ?", (run,)).fetchone()
        return shown(row[0]) if row else None

    def events(self, run: str) -> list[tuple[int, str, Event]]:
        """Return what the run has charged, in order: number, key, event."""
        with self._store.transaction(write=False) as database:
            run_row(database, run)
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

    def resume(self, run: str, unit: Unit | None = None) -> None:
        """Open a suspended, crashed or stopped run again and reserve its whole plan.

        Args:
            run: Its id.
            unit: Whom it protects now; may differ only if nothing is charged or bound by the old one.

        Raises:
            LedgerError: If the run is finished, closed or unknown, or of another unit.
            BudgetExceededError: If other runs have used the budget meanwhile.
        """
        with self._store.transaction(write=True) as database:
            row = run_row(database, run, expected=("open", "suspended"))
            if unit is not None:
                fix_unit(database, row.dataset, unit, except_run=run)
            asked = row.epsilon, row.delta
            check_limit(database, row.dataset, row.plan, asked, "resuming the run", except_run=run)
            if (row.status, row.reserved) != ("open", row.plan):
                set_state(database, run, "open", row.plan)

    def stop(self, run: str) -> None:
        """Note that records stopped an open run, a signal without noise: its reservation stays charged."""
        with self._store.transaction(write=True) as database:
            set_state(database, run, "stopped", run_row(database, run, expected=("open",)).reserved)

    @contextmanager
    def reading(self, run: str) -> Iterator[None]:
        """Count what fails inside as a stop that records caused; an error of ours says what that means."""
        try:
            yield
        except Exception as error:
            self.stop(run)
            if isinstance(error, PrivsynthError):
                stopped = type(error)(f"{error}. {STOPPED_BY_RECORDS}")
                stopped.next = error.next  # which its message says already
                raise stopped from None
            # its own words may quote records, or tell how many there are
            what = f"the records cannot be read ({type(error).__name__})"
            raise TableError(f"{what}. {STOPPED_BY_RECORDS}") from None

    def take_over(
        self, *, dataset: str, unit: Unit, epsilon: float, delta: float, description: str
    ) -> str | None:
        """Open again a run of this plan that its records stopped before it charged anything; None if none.

        So the same call, made again after the table or the schema is mended, reserves nothing twice. The
        stop stays counted.
        """
        name = _checked_name(dataset)
        with self._store.transaction(write=True) as database:
            found = database.execute(
                f"SELECT id FROM {CURRENT_RUNS} WHERE dataset = ? AND epsilon = ? AND delta = ? AND "
                "description = ? AND status = 'stopped' AND "
                "NOT EXISTS (SELECT 1 FROM events WHERE events.run = id) ORDER BY runs.number LIMIT 1",
                (name, epsilon, delta, description),
            ).fetchone()
            if found is None:
                return None
            row = run_row(database, found[0])
            fix_unit(database, name, unit, except_run=row.id)
            set_state(database, row.id, "open", row.reserved)
        return row.id

    def noiseless_stops(self, run: str) -> int:
        """Return how often records stopped a run on the data set of this one, itself included."""
        with self._store.transaction(write=False) as database:
            return stops_of(database, run_row(database, run).dataset)

    def _shrink(self, run: str, status: str, *, expected: tuple[str, ...]) -> None:
        with self._store.transaction(write=True) as database:
            run_row(database, run, expected=expected)
            set_state(database, run, status, charged_by(database, run)[1])

    # -- a data set ------------------------------------------------------------------------------------

    def set_limit(self, dataset: str, *, epsilon: float, delta: float) -> None:
        """Set what all runs on a data set may spend together.

        Raises:
            ParameterError: If the budget is out of range.
            BudgetExceededError: If more than that is reserved already.
        """
        name, limit = _checked_name(dataset), Spend.of_budget(epsilon=epsilon, delta=delta)
        with self._store.transaction(write=True) as database:
            reserved = reserved_by_all(database, name)
            if not reserved.fits(limit):
                raise BudgetExceededError(
                    f"data set {name!r}: {reserved.stated(delta)} is reserved already, "
                    f"more than the limit epsilon={epsilon:g} at delta={delta:g}; close open runs, or set a "
                    "higher limit: what was spent cannot be taken back"
                )
            if limit_of(database, name) != (epsilon, delta):
                database.execute(
                    "INSERT INTO limits (dataset, epsilon, delta, came_first) VALUES (?, ?, ?, ?)",
                    (name, epsilon, delta, int(not is_bound(database, name))),
                )

    def limit(self, dataset: str) -> tuple[float, float] | None:
        """Return ``(epsilon, delta)`` that all runs on a data set may spend together, None if unlimited."""
        with self._store.transaction(write=False) as database:
            return limit_of(database, _checked_name(dataset))

    def datasets(self) -> list[DatasetSummary]:
        """Return every data set with its runs, by name."""
        if not self.is_there:
            return []
        with self._store.transaction(write=False) as database:
            return [dataset_summary(database, name) for name in dataset_names(database)]


def _checked_name(dataset: str) -> str:
    name = unicodedata.normalize("NFC", dataset)  # one name, one budget, however a file system spells it
    if not name or name != name.strip() or not name.isprintable():
        raise ParameterError(
            "expected a data set name that is not empty, without control characters and without blanks "
            f"around it, got {dataset!r}"
        )
    return name
