"""One run: its place in the ledger, its store of paid releases, and what happens when it is interrupted."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from privsynth.accounting.budget import Unit
from privsynth.accounting.events import Event
from privsynth.errors import LedgerError, ModelFileError
from privsynth.ledger.ledger import Ledger
from privsynth.releases import Release, ReleaseStore
from privsynth.schema import Schema

Charge = Callable[[Event, str], None]


def dataset_name(table: object, dataset: str | None) -> str | None:
    """Return the data set's name in the ledger: as given, else the file name without its suffixes."""
    if dataset is not None or not isinstance(table, str | Path):
        return dataset
    name = Path(table).name
    for suffix in (".gz", ".csv", ".parquet", ".npz"):
        name = name.removesuffix(suffix)
    return name


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


def check_configuration(store: ReleaseStore, configuration: Mapping[str, Any]) -> None:
    """Remember the configuration of a fresh run; compare it with that of an interrupted one.

    Raises:
        ModelFileError: If the interrupted run had another configuration.
    """
    known = store.meta.get("configuration")
    if known is None:
        store.set_meta(configuration=dict(configuration))
        return
    differing = sorted(name for name in configuration if known.get(name) != configuration[name])
    if differing:
        raise ModelFileError(
            f"an interrupted run with other settings ({', '.join(differing)}) left paid releases behind; "
            "repeat its settings to resume it, or pass --restart to discard them (they stay spent)"
        )


@contextmanager
def ledger_run(
    *,
    ledger: str | Path | Ledger | None,
    dataset: str | None,
    schema: Schema,
    epsilon: float,
    delta: float,
    store: ReleaseStore,
    description: str,
) -> Iterator[Charge]:
    """Reserve the whole plan, or resume an interrupted run, and give out its ``charge``.

    On success the run is finished; on an error or Ctrl-C it is suspended: what no event claims goes back,
    and what was bought lies in the store. Charges whose answers were lost are put into the store as such.

    Raises:
        BudgetExceededError: If the data set's limit would be passed; nothing has been read.
        LedgerError: If the ledger refuses for another reason.
    """
    book = ledger if isinstance(ledger, Ledger) else Ledger(ledger)
    run = store.meta.get("run") or uuid.uuid4().hex
    home = store.meta.get("ledger", str(book.path.resolve()))
    if home != str(book.path.resolve()):
        raise LedgerError(
            "the interrupted run was charged to another ledger; resume it with the same --ledger, or pass "
            "--restart to discard its paid releases (they stay spent there)"
        )
    store.set_meta(run=run, ledger=home)  # written before the ledger knows it: no crash leaves it nameless
    status = book.status(run)
    if status is None:
        book.reserve(
            dataset=f"unnamed-{run[:12]}" if dataset is None else dataset,
            unit=Unit(
                unit=schema.unit,
                person_column=schema.person_id,
                max_records_per_person=schema.max_records_per_person,
            ),
            epsilon=epsilon,
            delta=delta,
            description=description,
            run=run,
        )
    elif status != "finished":
        book.resume(run)
    _note_lost(book, run, store)
    try:
        yield lambda event, key: _charge(book, run, event, key)
    except BaseException:
        if status != "finished":
            book.suspend(run)
        raise
    if status != "finished":
        book.finish(run)


def _charge(book: Ledger, run: str, event: Event, key: str) -> None:
    book.charge(run, event, key)


def _note_lost(book: Ledger, run: str, store: ReleaseStore) -> None:
    """Put charges that have no stored answer into the store, as lost."""
    known = [(release.key, release.lost) for release in store]
    for _, key, event in book.events(run):
        match = next((entry for entry in known if entry[0] == key), None)
        if match is not None:
            known.remove(match)
        else:
            store.append(Release(key=key, event=event.to_dict(), lost=True))
