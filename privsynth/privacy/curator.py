"""The curator: the one object that holds real records, and the only door to them.

It takes a mechanism and returns a `Release`. It looks first whether the release was made before (a resumed
or replayed run), else charges the ledger, and only then reads. Without records a curator replays: it serves
what is stored and refuses everything else, which is how a model is rebuilt from its releases alone.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch

from privsynth.accounting.budget import Spend
from privsynth.accounting.events import Event, Gaussian
from privsynth.errors import BudgetExceededError, ReplayError
from privsynth.ledger.steps import CountedInStore, StepCounter
from privsynth.privacy.distributed import Ranks
from privsynth.privacy.mechanisms.base import Answer, DrawingMechanism, Exact, Mechanism, NoisyMechanism
from privsynth.privacy.mechanisms.counts import BoundCounts, Marginals
from privsynth.privacy.mechanisms.discovery import HeldByMany
from privsynth.privacy.mechanisms.gradient_steps import GradientSteps, StepBlock
from privsynth.privacy.mechanisms.noise import add_gaussian_noise
from privsynth.privacy.mechanisms.selection import TableSelection
from privsynth.privacy.mechanisms.vector_sums import VectorSums
from privsynth.privacy.mechanisms.votes import Votes
from privsynth.privacy.randomness import OsEntropy, SecureRandom
from privsynth.privacy.records import SensitiveRecords
from privsynth.releases.kinds import checked
from privsynth.releases.store import Release, ReleaseStore
from privsynth.schema import Schema

Charge = Callable[[Event, str], None]

MECHANISMS = (Marginals, BoundCounts, HeldByMany, VectorSums, Votes, TableSelection, StepBlock)
"""All that may read records, by exact type: a subclass could do anything."""


class Curator:
    """Holds the records of one run and gives releases within its allowance.

    Args:
        schema: Public description of the records.
        allowance: Limit of the filter, and the delta for discovery.
        store: Where releases are kept, and found again.
        records: The real records; None replays the store.
        charge: Writes a charge durably to the ledger, before the read; None in a replay.
        secret: Source of noise; the operating system's entropy except in tests.
        ranks: Other processes that help with gradient steps; those that help have no records.
        limit: All that the run may spend; None: the allowance. More than the allowance after the schema was
            amended: then what is void and what was kept counts from the start.
        reading: Entered where records are read: counts what fails inside as a stop that they caused.
        counter: Counts gradient steps, in the ledger if there is one; None counts them in the store. A replay
            without it begins at the first.

    Privacy:
        Accounted: each release is charged before it is computed, and never above the allowance.
    """

    def __init__(
        self,
        *,
        schema: Schema,
        allowance: Spend,
        store: ReleaseStore,
        records: SensitiveRecords | None = None,
        charge: Charge | None = None,
        secret: SecureRandom | None = None,
        ranks: Ranks | None = None,
        counter: StepCounter | None = None,
        limit: Spend | None = None,
        reading: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.schema, self.store = schema, store
        self.allowance, self.limit = allowance, limit or allowance
        self._charge, self._ranks, self._counter = charge, ranks, counter or CountedInStore(store)
        self._secret, self._reading = secret or OsEntropy(), reading
        self._seen: set[str] = set()
        self._spent = Spend(0.0, 0.0)
        self.tape: list[list[torch.Tensor]] | None = None  # noisy gradients, kept only if a list is put here
        self._blocks: dict[str, GradientSteps] = {}
        for release in store:
            if release.void or release.kept:
                self._book(Event.from_dict(release.event))
        self._records = records

    # -- the budget ------------------------------------------------------------------------------------

    def remaining(self, key: str) -> float:
        """Return the part of ``mu**2`` that is left for release ``key``, its lost attempts counted.

        A charge whose answer was lost in a crash is found in the store under its key: it is spent.
        """
        if key not in self._seen:
            self._seen.add(key)
            for attempt in self.store.lost(key):
                self._book(Event.from_dict(attempt.event))
        return max(0.0, self.limit.mu_squared - self._spent.mu_squared)

    def _book(self, event: Event) -> None:
        self._spent += Spend.of_event(event)

    # -- releases --------------------------------------------------------------------------------------

    def release(self, key: str, mechanism: Mechanism) -> Release:
        """Serve the stored release of this key, or charge the mechanism's event, compute, store and return.

        What was kept when the schema was amended stays at the level that was paid.

        Args:
            key: Name of the release.
            mechanism: One of `MECHANISMS`.

        Raises:
            BudgetExceededError: If the event would pass the budget of the run; nothing is read.
            ReplayError: If it is not stored and there are no records, or it was made under other settings.

        Privacy:
            Accounted: by the mechanism's event, before anything is read. The noise is that of the very event.
        """
        if not any(type(mechanism) is kind for kind in MECHANISMS):
            raise TypeError(f"expected a mechanism of privsynth.privacy, got a {type(mechanism).__name__}")
        if mechanism.shapes is not None:
            self.store.lose_misfit(key, mechanism.shapes)
        event = mechanism.event
        self.remaining(key)  # counts what was lost under this key
        n_asked = len(self._seen)  # with this one; the same whether earlier answers were stored or not
        stored = self.store.stored(key)
        if stored is not None:
            if stored.kept:
                return stored
            if Event.from_dict(stored.event) != event:
                raise ReplayError(
                    f"the stored release {key!r} was made under other settings; "
                    "fit with the settings of the first run, or --restart"
                )
            self._book(event)
            return stored
        if self._records is None or self._charge is None:
            raise ReplayError(f"the release {key!r} is not stored, and there are no records to make it from")
        if not (self._spent + Spend.of_event(event)).fits(self.limit):
            raise BudgetExceededError(
                f"{event.purpose!r} would pass the budget of this run; nothing was read for it. If "
                "interruptions lost paid answers, --restart begins a run of its own"
            )
        self._charge(event, key)
        self._book(event)
        with self._reading():
            if isinstance(mechanism, NoisyMechanism):
                secret = self._secret.for_step(n_asked) if mechanism.has_own_stream else self._secret
                facts, arrays = _with_noise(type(mechanism).exact(mechanism, self._records), event, secret)
            else:
                assert isinstance(mechanism, DrawingMechanism)
                facts, arrays = type(mechanism).draw(mechanism, self._records, self._secret)
        release = Release(
            key=key, event=event.to_dict(), facts=facts, arrays=arrays, columns=mechanism.columns
        )
        self.store.append(checked(release))
        return release

    def steps(self, key: str, block: StepBlock) -> GradientSteps:
        """Release a block of private gradient steps and return what takes them.

        Steps that an interrupted attempt began stay spent: the block goes on behind them. Stopping early
        gives nothing back, because when to stop may depend on what was released.
        """
        if key in self._blocks:  # one counter a block: asking twice does not give its steps twice
            if self._blocks[key].plan != block.plan:
                raise ReplayError(f"the steps {key!r} were planned otherwise")
            return self._blocks[key]
        event, held = block.event, self._records
        self.release(key, block)
        with self._reading():
            rows = None if held is None else held.rows(block.codings)
        self._blocks[key] = GradientSteps(
            block.plan,
            records=rows,
            secret=self._secret,
            advance=partial(self._counter.advance, key, event),
            keep=partial(self._counter.keep, key, event),
            n_begun=0 if held is None and self.tape is not None else self._counter.begun(key, event),
            tape=self.tape,
            ranks=self._ranks,
        )
        return self._blocks[key]


def _with_noise(exact: Exact, event: Event, secret: SecureRandom) -> Answer:
    """Add the noise of an event to exact numbers, each array its own, and finish the release."""
    assert isinstance(event, Gaussian)
    sizes = [array.size if exact.is_each_value_a_release else 1 for array in exact.arrays.values()]
    if sum(sizes) != event.count:
        raise ValueError(f"expected the {event.count} releases of {event.purpose!r}, got {sum(sizes)}")
    noisy = {
        name: add_gaussian_noise(
            array,
            noise_multiplier=event.noise_multiplier,
            units_per_one=exact.steps_of.get(name, exact.steps_per_unit),
            secret=secret,
        )
        for name, array in exact.arrays.items()
    }
    return exact.finish(noisy)
