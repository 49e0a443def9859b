"""One fit: reserve the budget, read, release and fit; or the same from releases alone."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from privsynth.accounting.budget import Spend
from privsynth.counting.holding import hold
from privsynth.errors import LedgerError, ReplayError
from privsynth.ledger.ledger import Ledger
from privsynth.privacy.curator import Curator
from privsynth.privacy.distributed import Ranks
from privsynth.privacy.randomness import OsEntropy, SecureRandom
from privsynth.privacy.records import SensitiveRecords
from privsynth.records.conform import Records
from privsynth.records.streams import Stream
from privsynth.releases.store import ReleaseStore
from privsynth.schema import Schema
from privsynth.schema.linked import LinkedSchema
from privsynth.schema.sequences import sequence_view
from privsynth.synthesizers.amending import allowance
from privsynth.synthesizers.arguments import FitArguments
from privsynth.synthesizers.contract import Model, Progress
from privsynth.synthesizers.distributed import JointStore
from privsynth.synthesizers.run import (
    Account,
    check_configuration,
    ledger_run,
    remember_configuration,
)
from privsynth.warehouse.records import RecordsInEngine

Make = Callable[[Any, int, Progress], Model]
"""Takes what a recipe needs from a door, with a seed, and returns the model."""

Door = Callable[..., Any]
"""Takes the arguments of a `Curator` and returns what a recipe asks for releases: one, or one a table."""


def door_to_table(
    *,
    schema: Schema,
    records: Records | Stream | SensitiveRecords | None = None,
    secret: SecureRandom | None = None,
    **arguments: Any,
) -> Curator:
    """Return the curator of a table, over the view in which its rows are learnt."""
    view, secret = sequence_view(schema), secret or OsEntropy()
    return Curator(schema=view, records=hold(records, view, secret), secret=secret, **arguments)


def quiet(message: str, done: int, total: int) -> None:
    """Say nothing about progress."""


def model_of_releases(
    make: Make[Model],
    schema: Schema | LinkedSchema,
    budget: Spend,
    store: JointStore,
    ranks: Ranks | None = None,
    *,
    door: Door = door_to_table,
) -> Model:
    """Make the model from what is released, as in a replay; ``ranks`` sends it as it is made.

    Privacy:
        Post-processing: there are no records.
    """
    whole = _set_aside(budget, store)
    curator = door(schema=schema, allowance=allowance(whole, store), limit=whole, store=store, ranks=ranks)
    return make(curator, int(store.meta["seed"]), quiet)


def model_of_records(
    make: Make[Model],
    read: Callable[[], Any],
    asked: FitArguments,
    store: JointStore,
    ranks: Ranks | None,
    *,
    device: str,
    ledger: str | Path | Ledger | None,
    secret: SecureRandom,
    progress: Progress | None,
    door: Door = door_to_table,
) -> Model:
    """Reserve, read, and make the model; a run that is finished already is replayed from its store.

    Privacy:
        Accounted: by the curator, release by release.
    """
    configuration = asked.configuration() | {"secret_source": secret.is_secret, "device": device}

    def made(account: Account | None) -> Model:
        if "seed" not in store.meta:
            fresh = secrets.randbits(32) if asked.random_state is None else asked.random_state
            store.set_meta(seed=fresh)
        store.set_meta(on_violation=store.meta["configuration"]["on_violation"])
        store.set_meta(noiseless_stops=0 if account is None else account.noiseless_stops)
        if account is not None:
            store.meta.update(account.steps_begun)  # for helpers; the ledger is what counts
        store.begin(ranks)
        whole = _set_aside(asked.budget, store)
        is_read = account is None or not account.is_finished
        reading = nullcontext if account is None else account.reading
        with reading():
            records = read() if is_read else None
            if is_read:  # the table as it is now, which may not be as it was when the run was interrupted
                before = store.meta.get("snapshots", int(any(True for _ in store)))
                store.set_meta(snapshots=before + 1)
                if isinstance(records, RecordsInEngine) and records.rows_may_leave:
                    store.set_meta(rows_left=True)
                if isinstance(records, RecordsInEngine) and not records.has_snapshot:
                    store.set_meta(read_in_motion=True)
            curator = door(
                schema=asked.schema,
                allowance=allowance(whole, store),
                limit=whole,
                store=store,
                records=records,
                charge=(lambda event, key: None) if account is None else account.charge,
                secret=secret,
                ranks=ranks,
                counter=account,
                reading=reading,
            )
        try:
            return make(curator, int(store.meta["seed"]), progress or quiet)
        except ReplayError:
            if is_read:
                raise
            raise LedgerError(
                "the run is finished, and of a finished run no record is read again; its file of paid "
                "releases lacks some, so it is an older copy. Pass --restart for a run of its own (what "
                "was paid stays spent)"
            ) from None

    if asked.epsilon is None:
        check_configuration(store, configuration)
        remember_configuration(store, configuration)
        return made(None)
    with ledger_run(
        ledger=ledger,
        dataset=asked.dataset,
        schema=asked.schema,
        epsilon=asked.epsilon,
        delta=asked.delta,
        store=store,
        configuration=configuration,
        description=asked.kind,
    ) as account:
        return made(account)


def _set_aside(budget: Spend, store: ReleaseStore) -> Spend:
    """Return what the run has reserved: under a limit, maybe less of the delta that adds up."""
    return Spend(budget.mu_squared, store.meta.get("added_delta", budget.added_delta))
