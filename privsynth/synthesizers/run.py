"""One run: its place in the ledger, its store of paid releases, and what happens when it is interrupted."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from privsynth.accounting.budget import Spend, Unit
from privsynth.accounting.events import Event
from privsynth.errors import BudgetExceededError, LedgerError, ModelFileError
from privsynth.errors.termination import held_back, terminations_raised
from privsynth.io.tables import table_name
from privsynth.ledger.ledger import Ledger
from privsynth.releases.store import Release, ReleaseStore
from privsynth.schema import Schema
from privsynth.schema.linked import LinkedSchema
from privsynth.synthesizers.amending import allowance, amended

PART_OF_REST = 0.5
"""Of what is left of a limit's delta for discovery and gradient steps, a fit sets aside this part at most, so
that there is always some for the next one."""

LEAST_LEFT = 0.1  # of a run's budget, for what an amended schema makes it release again

AMENDABLE = ("schema", "on_violation")  # may differ when a run is resumed


def dataset_name(table: object, dataset: str | None) -> str | None:
    """Return the data set's name in the ledger: as given, else the file name without its suffixes."""
    return table_name(table) if dataset is None else dataset


def discard_run(path: str | Path, ledger: str | Path | Ledger | None) -> None:
    """Close the run of an interrupted fit and delete its store; what it charged stays spent.

    Raises:
        ModelFileError: If the file is no store and is not named like one; it is left alone.
    """
    path = Path(path)
    if not path.exists():
        return
    try:
        store = ReleaseStore(path)
    except ModelFileError:
        if path.suffix != ".partial":
            raise  # not ours to delete
    else:
        run = store.meta.get("run")
        store.close()
        book = ledger if isinstance(ledger, Ledger) else Ledger(ledger)
        if isinstance(run, str) and book.status(run) in ("open", "suspended"):
            book.close(run)
    path.unlink()


class Account:
    """What a run may do in the ledger while it is open; also counts its gradient steps.

    Args:
        book: The ledger.
        run: Its id.
        is_finished: Whether the run has ended: its releases are served again, and no record is read.
    """

    def __init__(self, book: Ledger, run: str, *, is_finished: bool) -> None:
        self._book, self.run = book, run
        self.is_finished, self.is_stopped = is_finished, False

    def charge(self, event: Event, key: str) -> None:
        """Charge an event, durably."""
        self._book.charge(self.run, event, key)

    def begun(self, key: str, event: Event) -> int:
        """Return how many steps of a charged block are spent."""
        return self._book.begun(self.run, key, event)

    def advance(self, key: str, event: Event, n_begun: int) -> None:
        """Spend the step of that number, durably, if exactly those before it are spent."""
        self._book.advance(self.run, key, event, n_begun)

    def keep(self, key: str, event: Event, n_steps: int) -> None:
        """Note that a checkpoint holds the first ``n_steps`` steps."""
        self._book.keep(self.run, key, event, n_steps)

    @property
    def steps_begun(self) -> dict[str, int]:
        """How many steps of each block are spent, as a store keeps it for those who only follow."""
        return {f"{key}/begun": begun for key, (begun, _) in self._book.blocks(self.run).items()}

    @property
    def noiseless_stops(self) -> int:
        """How often records stopped a run on this data set."""
        return self._book.noiseless_stops(self.run)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Count what fails inside as a stop that records caused; the reservation then stays charged."""
        try:
            with self._book.reading(self.run):
                yield
        except Exception:
            self.is_stopped = True
            raise


@contextmanager
def ledger_run(
    *,
    ledger: str | Path | Ledger | None,
    dataset: str | None,
    schema: Schema | LinkedSchema,
    epsilon: float,
    delta: float,
    store: ReleaseStore,
    configuration: Mapping[str, Any],
    description: str,
) -> Iterator[Account]:
    """Reserve the whole plan, or resume an interrupted run, and give out its account; then records are read.

    On success the run is finished; on an error, Ctrl-C, SIGTERM or SIGHUP it is suspended: what no event
    claims goes back, and what was released lies in the store. A stop that records cause keeps the
    reservation. Charges whose answers were lost are put into the store as such.

    Raises:
        BudgetExceededError: If the data set's limit would be passed; nothing has been read.
        ModelFileError: If the interrupted run had other settings, or the store is an older copy.
        LedgerError: If the ledger refuses for another reason.
    """
    book = ledger if isinstance(ledger, Ledger) else Ledger(ledger)
    account = None
    with terminations_raised(as_exit_code=False):
        try:
            with held_back():  # no signal between the reservation and what gives it back
                account = _opened(book, dataset, schema, epsilon, delta, store, configuration, description)
            yield account
            with held_back():
                if not account.is_finished:
                    book.finish(account.run)
                    store.set_meta(ledger_link=book.last_link())
        except BaseException:
            if account is not None and not (account.is_finished or account.is_stopped):
                with held_back():
                    if book.status(account.run) == "open":
                        book.suspend(account.run)
            raise


def _opened(
    book: Ledger,
    dataset: str | None,
    schema: Schema | LinkedSchema,
    epsilon: float,
    delta: float,
    store: ReleaseStore,
    configuration: Mapping[str, Any],
    description: str,
) -> Account:
    """Reserve a run of its own, or resume the one that the store belongs to."""
    home = store.meta.get("ledger", book.home)
    if home != book.home:
        raise LedgerError(
            "the interrupted run was charged to another ledger; resume it with the same --ledger, or pass "
            "--restart to discard its paid releases (they stay spent there)"
        )
    unit = Unit(
        unit=schema.unit,
        person_column=schema.person_id,
        max_records_per_person=schema.max_records_per_person,
    )
    run = str(store.meta.get("run", ""))
    book.check_link(store.meta.get("ledger_link"), "the file of paid releases")
    status = book.status(run)
    if status in (None, "closed") and len(store):
        raise LedgerError(
            f"the run that these releases belong to is {status or 'not known'} in the ledger; pass --restart "
            "to discard them and begin a run of its own"
        )
    if status in (None, "closed"):
        run, status = _fresh_run(book, store, dataset, home, unit, epsilon, delta, description)
    else:
        check_configuration(store, configuration, whole=book.plan(run), may_amend=status != "finished")
        _check_not_behind(book, run, store)
        if status != "finished":
            book.resume(run, unit)
    remember_configuration(store, configuration)
    store.set_meta(added_delta=book.plan(run).added_delta)
    account = Account(book, run, is_finished=status == "finished")
    _note_lost(book, run, store)
    store.set_meta(ledger_link=book.last_link())
    return account


def _fresh_run(
    book: Ledger,
    store: ReleaseStore,
    dataset: str | None,
    home: str,
    unit: Unit,
    epsilon: float,
    delta: float,
    description: str,
) -> tuple[str, str]:
    """Reserve a run, or take one over that its records stopped before it charged anything."""
    store.forget("configuration")
    found = None
    if dataset is not None and store.meta.get("run") is None:
        found = book.take_over(
            dataset=dataset, unit=unit, epsilon=epsilon, delta=delta, description=description
        )
    run = found or uuid.uuid4().hex
    store.set_meta(run=run, ledger=home)  # written before the ledger knows it: no crash leaves it nameless
    if found is None:
        book.reserve(
            dataset=f"unnamed-{run[:12]}" if dataset is None else dataset,
            unit=unit,
            epsilon=epsilon,
            delta=delta,
            description=description,
            run=run,
            part_of_rest=PART_OF_REST,
        )
    return run, "open"


def check_configuration(
    store: ReleaseStore,
    configuration: Mapping[str, Any],
    *,
    whole: Spend | None = None,
    may_amend: bool = True,
) -> None:
    """Compare the configuration of a call with that of the interrupted run that it resumes, if any.

    Args:
        store: What the interrupted run has left.
        configuration: Of this call.
        whole: What the run may spend; None without privacy.
        may_amend: Whether the run may go on under other settings; a schema of linked tables stays as it is.

    Raises:
        ModelFileError: If they differ in more than may be amended: the schema, and ``on_violation``.
        BudgetExceededError: If too little is left to release again what an amended schema makes void.
    """
    known = store.meta.get("configuration", configuration)
    differing = sorted(name for name in configuration if not _alike(known.get(name), configuration[name]))
    amendable = set(AMENDABLE) - ({"schema"} if "tables" in configuration["schema"] else set())
    fixed = [name for name in differing if name not in amendable or not may_amend]
    if fixed:
        left = "paid releases" if len(store) else "what it reserved"
        raise ModelFileError(
            f"an interrupted run with other settings ({', '.join(fixed)}) left {left} behind; repeat its "
            "settings to resume it, or pass --restart to discard that (what was charged stays spent)"
        )
    if "schema" in differing and whole is not None:
        after = amended(store, known["schema"], configuration["schema"])
        if allowance(whole, after).mu_squared < LEAST_LEFT * whole.mu_squared and list(after) != list(store):
            raise BudgetExceededError(
                "under the amended schema too much of what this run has paid for would be void: less than "
                f"{LEAST_LEFT:.0%} of its budget would be left for the rest. Nothing was changed: the schema "
                "as it was resumes the run; --restart begins a run of its own (what was charged stays spent)"
            )


def _alike(known: Any, now: Any) -> bool:
    """Whether two settings are the same; those that an older version did not have are no difference."""
    if isinstance(known, Mapping) and isinstance(now, Mapping) and not known.keys() & {"columns", "tables"}:
        return all(_alike(known[name], now[name]) for name in known if name in now)
    return bool(known == now)


def remember_configuration(store: ReleaseStore, configuration: Mapping[str, Any]) -> None:
    """Keep the configuration that a run goes on with; another schema makes the releases void that it touches.

    Records that were checked once under ``"error"`` have been checked without noise, whatever comes later.
    """
    known = store.meta.get("configuration")
    if known is None:
        store.set_meta(configuration=dict(configuration))
    elif known != configuration:
        checked = "error" in (known["on_violation"], configuration["on_violation"])
        kept = {**configuration, "on_violation": "error" if checked else "clip"}
        store.mark(amended(store, known["schema"], configuration["schema"]), configuration=kept)


def _check_not_behind(book: Ledger, run: str, store: ReleaseStore) -> None:
    """Refuse a store that lacks a checkpoint that the run has kept: the steps in it were taken elsewhere.

    A ledger that lacks what the store has paid for is the older copy of the two.
    """
    paid = Counter(key for _, key, _ in book.events(run))
    taken = {key: begun for key, (begun, _) in book.blocks(run).items()}
    if Counter(release.key for release in store) - paid or any(
        store.n_kept(key) > begun for key, begun in taken.items()
    ):
        raise LedgerError(
            f"the ledger {book.name!r} is an older copy: it lacks charges of this run whose releases "
            "are here, so more is spent than it says. Put the newer ledger back"
        )
    if any(store.n_kept(key) < kept for key, (_, kept) in book.blocks(run).items()):
        raise ModelFileError(
            "this file of paid releases is an older copy: the run went on from another one. Resume it with "
            "that file in this place, or pass --restart to begin a run of its own (what was paid stays spent)"
        )


def _note_lost(book: Ledger, run: str, store: ReleaseStore) -> None:
    """Put charges that have no stored answer into the store, as lost."""
    known = [(release.key, release.lost) for release in store]
    for _, key, event in book.events(run):
        match = next((entry for entry in known if entry[0] == key), None)
        if match is not None:
            known.remove(match)
        else:
            store.append(Release(key=key, event=event.to_dict(), lost=True))
