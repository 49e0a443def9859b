"""What an audit may spend, and its run in the ledger of the data set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from privsynth.accounting.budget import Spend, Unit
from privsynth.accounting.events import Event
from privsynth.errors import ParameterError
from privsynth.errors.termination import held_back, terminations_raised
from privsynth.ledger.ledger import Ledger
from privsynth.privacy.randomness import OsEntropy, SecureRandom
from privsynth.schema import Schema


@dataclass(frozen=True, kw_only=True)
class AuditBudget:
    """What an audit may spend, and on which data set; public.

    Attributes:
        epsilon: Asked for, > 0.
        delta: Asked for, in (0, 1).
        dataset: Name of the data set in the ledger, the one that the fit was charged to.
        ledger: The ledger, its file, or its address in PostgreSQL; the user's own by default.
        secret: Source of the noise; anything but `OsEntropy` voids the guarantee.
    """

    epsilon: float
    delta: float
    dataset: str
    ledger: Ledger | str | Path | None = field(default=None, repr=False)  # an address may hold a password
    secret: SecureRandom = field(default_factory=OsEntropy)

    def __post_init__(self) -> None:
        Spend.of_budget(epsilon=self.epsilon, delta=self.delta)
        if not self.dataset:
            raise ParameterError(
                "expected the data set's name in the ledger, to charge the audit to; got none"
            )


class AuditAccount:
    """One run of an audit in the ledger: reserved before records are read, charged before each count.

    Args:
        schema: Public description; says whom the audit protects.
        budget: What may be spent.
    """

    def __init__(self, schema: Schema, budget: AuditBudget) -> None:
        self._unit = Unit(
            unit=schema.unit,
            person_column=schema.person_id,
            max_records_per_person=schema.max_records_per_person,
        )
        self.budget = budget
        self._is_stopped = False
        self._run = ""
        self.spend = Spend.of_budget(epsilon=budget.epsilon, delta=budget.delta)
        ledger = budget.ledger
        self._ledger = ledger if isinstance(ledger, Ledger) else Ledger(ledger)
        self.events: list[Event] = []

    def __enter__(self) -> AuditAccount:
        plan: dict[str, Any] = {
            "dataset": self.budget.dataset,
            "unit": self._unit,
            "epsilon": self.budget.epsilon,
            "delta": self.budget.delta,
            "description": "audit",
        }
        with ExitStack() as stack:
            stack.enter_context(terminations_raised(as_exit_code=False))
            stack.callback(self._close)
            with held_back():  # no signal between the reservation and what gives it back
                # no event of an audit has a delta of its own
                self._run = self._ledger.take_over(**plan) or self._ledger.reserve(**plan, part_of_rest=0.0)
            self._ends = stack.pop_all()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._ends.__exit__(*exception)

    def _close(self) -> None:
        """Give back what no event claims."""
        if self._run and not self._is_stopped:
            with held_back():
                self._ledger.close(self._run)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Count what fails inside as a stop that records caused; the reservation then stays charged."""
        try:
            with self._ledger.reading(self._run):
                yield
        except Exception:
            self._is_stopped = True
            raise

    def charge(self, event: Event, key: str) -> None:
        """Book an event of the audit."""
        self._ledger.charge(self._run, event, f"audit/{key}")
        self.events.append(event)
