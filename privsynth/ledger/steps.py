"""Who counts the gradient steps of a run, so that none is taken twice."""

from __future__ import annotations

from typing import Protocol

from privsynth.accounting.events import Event
from privsynth.releases.store import ReleaseStore


class StepCounter(Protocol):
    """Counts the gradient steps of a run, durably: the only truth about how many of a block are spent."""

    def begun(self, key: str, event: Event) -> int:
        """Return how many steps of a charged block are spent."""
        ...

    def advance(self, key: str, event: Event, n_begun: int) -> None:
        """Spend the step of that number; raise unless exactly those before it are spent."""
        ...

    def keep(self, key: str, event: Event, n_steps: int) -> None:
        """Note that a checkpoint holds the first ``n_steps`` steps."""
        ...


class CountedInStore:
    """Counts steps beside the releases: for runs without a ledger, and for helpers, who only follow."""

    def __init__(self, store: ReleaseStore) -> None:
        self._store = store

    def begun(self, key: str, event: Event) -> int:
        """See `StepCounter`."""
        return int(self._store.meta.get(f"{key}/begun", 0))

    def advance(self, key: str, event: Event, n_begun: int) -> None:
        """See `StepCounter`."""
        self._store.set_meta(**{f"{key}/begun": n_begun})

    def keep(self, key: str, event: Event, n_steps: int) -> None:
        """See `StepCounter`."""
