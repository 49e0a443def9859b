"""The curator: the one object that holds real records, and the only door to them.

Each method returns a `Release`. It looks first whether the release was bought before (a resumed or
replayed run), else charges the ledger, and only then reads. Without records a curator replays: it serves
what is stored and refuses everything else, which is how a model is rebuilt from its releases alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from privsynth.accounting.budget import Spend
from privsynth.accounting.events import Event
from privsynth.domains.coding import Coding
from privsynth.errors import BudgetExceededError, ReplayError
from privsynth.ledger.steps import CountedInStore, StepCounter
from privsynth.privacy.distributed import Ranks
from privsynth.privacy.mechanisms.discovery import discovery_threshold, published_values
from privsynth.privacy.mechanisms.gradient_steps import GradientSteps, StepPlan
from privsynth.privacy.mechanisms.noise import add_gaussian_noise
from privsynth.privacy.mechanisms.selection import exponential_mechanism, marginal_scores
from privsynth.privacy.mechanisms.vector_sums import STEPS_PER_ONE, Embedding, sum_vectors
from privsynth.privacy.mechanisms.votes import Teacher, TeacherEnsemble, count_votes
from privsynth.privacy.randomness import OsEntropy, SecureRandom
from privsynth.privacy.records import SensitiveRecords
from privsynth.records.conform import Records
from privsynth.releases.kinds import checked
from privsynth.releases.store import Release, ReleaseStore
from privsynth.schema import Column, Schema, category_text

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Charge = Callable[[Event, str], None]
Answer = tuple[dict[str, Any], dict[str, NDArray[Any]]]
Named = tuple[str, ...] | None  # the columns that a release is made from; None: all of them, or a model
HeldByMany = Callable[[IntArray, int], IntArray]  # codes and how many; those whose count passes the threshold


class Curator:
    """Holds the records of one run and sells releases within its allowance.

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
        records: Records | None = None,
        charge: Charge | None = None,
        secret: SecureRandom | None = None,
        ranks: Ranks | None = None,
        counter: StepCounter | None = None,
        limit: Spend | None = None,
    ) -> None:
        self.schema, self.store = schema, store
        self.allowance, self.limit = allowance, limit or allowance
        self._charge, self._ranks, self._counter = charge, ranks, counter or CountedInStore(store)
        self._secret = secret or OsEntropy()
        self._seen: set[str] = set()
        self._spent, self._spent_delta = 0.0, 0.0
        self.tape: list[list[torch.Tensor]] | None = None  # noisy gradients, kept only if a list is put here
        self._blocks: dict[str, GradientSteps] = {}
        for release in store:
            if release.void or release.kept:
                self._book(Event.from_dict(release.event))
        self._records: SensitiveRecords | None = None
        if records is not None:
            self._records = SensitiveRecords(
                records, max_records_per_person=schema.max_records_per_person, secret=self._secret
            )

    # -- the budget ------------------------------------------------------------------------------------

    def remaining(self, key: str) -> float:
        """Return the part of ``mu**2`` that is left for release ``key``, its lost attempts counted.

        A charge whose answer was lost in a crash is found in the store under its key: it is spent.
        """
        if key not in self._seen:
            self._seen.add(key)
            for attempt in self.store.lost(key):
                self._book(Event.from_dict(attempt.event))
        return max(0.0, self.limit.mu_squared - self._spent)

    def _book(self, event: Event) -> None:
        self._spent += event.mu_squared
        self._spent_delta += event.delta

    def _obtain(self, key: str, event: Event, answer: Callable[[], Answer], columns: Named = None) -> Release:
        """Serve a stored release, or charge, compute, store and return a fresh one.

        What was kept when the schema was amended stays at the level at which it was bought.
        """
        self.remaining(key)  # counts what was lost under this key
        bought = self.store.bought(key)
        if bought is not None:
            if bought.kept:
                return bought
            if Event.from_dict(bought.event) != event:
                raise ReplayError(
                    f"the stored release {key!r} was bought under other settings; "
                    "fit with the settings of the first run, or --restart"
                )
            self._book(event)
            return bought
        if self._records is None or self._charge is None:
            raise ReplayError(f"the release {key!r} is not stored, and there are no records to buy it from")
        spend = Spend(self._spent + event.mu_squared, self._spent_delta + event.delta)
        if not spend.fits(self.limit):
            raise BudgetExceededError(
                f"{event.purpose!r} would pass the budget of this run; nothing was read for it. If "
                "interruptions lost paid answers, --restart begins a run of its own"
            )
        self._charge(event, key)
        self._book(event)
        facts, arrays = answer()
        release = Release(key=key, event=event.to_dict(), facts=facts, arrays=arrays, columns=columns)
        self.store.append(checked(release))
        return release

    # -- releases --------------------------------------------------------------------------------------

    def discover_values(
        self, key: str, column: Column, *, noise_multiplier: float, delta: float, max_values: int
    ) -> Release:
        """Release the values of a column that many units hold, sorted: categories, or ticks of a number.

        Returns:
            A release whose facts are ``{"values": [...]}``: texts or numbers, never in order of appearance.
        """

        def answer(held_by_many: HeldByMany) -> Answer:
            codes, values = self._held.observed(column)
            return {"values": sorted(values[held_by_many(codes, len(values))].tolist())}, {}

        what = f"values of {column.name!r}"
        return self._discover(key, what, (column.name,), answer, noise_multiplier, delta, max_values)

    def discover_combinations(
        self, key: str, columns: Sequence[Column], *, noise_multiplier: float, delta: float, max_values: int
    ) -> Release:
        """Release the combinations of values of discrete columns that many units hold, sorted by their texts.

        Returns:
            A release whose facts are ``{"combinations": [[...], ...]}``: a text for each column, None for
            missing.
        """

        def answer(held_by_many: HeldByMany) -> Answer:
            observed = [self._held.observed(column) for column in columns]
            distinct = (rows := pd.MultiIndex.from_arrays([of[0] for of in observed])).unique().sort_values()
            texts = [[*map(category_text, values), None] for _, values in observed]  # -1 is missing
            published = held_by_many(distinct.get_indexer(rows), len(distinct))
            found = [[of[code] for of, code in zip(texts, distinct[i], strict=True)] for i in published]
            return {"combinations": sorted(found, key=lambda texts: [text or "" for text in texts])}, {}

        names = tuple(column.name for column in columns)
        what = f"combinations of {', '.join(names)}"
        return self._discover(key, what, names, answer, noise_multiplier, delta, max_values)

    def _discover(
        self,
        key: str,
        what: str,
        columns: Named,
        answer: Callable[[HeldByMany], Answer],
        noise_multiplier: float,
        delta: float,
        max_values: int,
    ) -> Release:
        """Release what passes the threshold of discovery, of whatever ``answer`` counts."""
        event = Event(
            purpose=f"{what} held by many",
            mechanism="thresholded_gaussian",
            noise_multiplier=noise_multiplier,
            delta=delta,
        )

        def held_by_many(codes: IntArray, n_values: int) -> IntArray:
            weighting = self._held.weighting
            steps = discovery_threshold(
                noise_multiplier,
                delta=delta,
                max_records=weighting.max_records,
                units_per_one=weighting.units_per_one,
            )
            return published_values(
                self._held.count([codes], [max(n_values, 1)])[:n_values],
                threshold=steps / weighting.units_per_one,
                max_values=max_values,
                add_noise=lambda exact: self._noisy(exact, noise_multiplier),
            )

        return self._obtain(key, event, lambda: answer(held_by_many), columns)

    def discover_bounds(
        self, key: str, column: Column, *, noise_multiplier: float, what: str = "bounds"
    ) -> Release:
        """Release the noisy counts of public doubling bins over a number line (array ``counts``).

        They tell ``what``: where its private bounds are, or where between public ones its values lie.
        """
        event = _gaussian(f"{what} of {column.name!r}", noise_multiplier)

        def answer() -> Answer:
            return {}, {"counts": self._noisy(self._held.bound_counts(column), noise_multiplier)}

        return self._obtain(key, event, answer, (column.name,))

    def count(
        self,
        key: str,
        purpose: str,
        codings: Mapping[str, Coding],
        sets: Sequence[tuple[str, ...]],
        *,
        noise_multiplier: float,
    ) -> Release:
        """Release noisy tables of counts over sets of columns (array ``"0"`` for the first set, and on).

        Each table is one Gaussian event; they are read and stored together.
        """
        event = _gaussian(purpose, noise_multiplier, len(sets))

        def answer() -> Answer:
            tables = [self._held.table(columns, codings) for columns in sets]
            noisy = {str(i): self._noisy(table, noise_multiplier) for i, table in enumerate(tables)}
            return {"sets": [list(columns) for columns in sets]}, dict(noisy)

        named = tuple(sorted({name for columns in sets for name in columns}))
        self.store.lose_misfit(key, [tuple(codings[name].size for name in columns) for columns in sets])
        return self._obtain(key, event, answer, named)

    def vector_sums(
        self,
        key: str,
        purpose: str,
        codings: Mapping[str, Coding],
        embedding: Embedding,
        *,
        n_cells: int,
        n_values: int,
        noise_multiplier: float,
    ) -> Release:
        """Release the noisy sums of vectors that records are mapped to (array ``"sums"``).

        Args:
            key: Name of the release.
            purpose: What it is for.
            codings: Coding of every column; a record is what `SensitiveRecords.rows` says.
            embedding: The map; see `privsynth.privacy.mechanisms.vector_sums`. Public, or a function of
                releases.
            n_cells: Number of cells.
            n_values: Length of the vectors.
            noise_multiplier: Noise in each value, over the length of the longest vector, 1.
        """

        def answer() -> Answer:
            records, weights = self._held.rows(codings), self._held.weighting.weights
            sums = sum_vectors(embedding, records, weights, n_cells=n_cells, n_values=n_values)
            return {}, {"sums": self._noisy(sums, noise_multiplier, steps=STEPS_PER_ONE)}

        return self._obtain(key, _gaussian(purpose, noise_multiplier), answer)

    def select(
        self,
        key: str,
        purpose: str,
        codings: Mapping[str, Coding],
        candidates: Sequence[tuple[str, ...]],
        expected: Callable[[], Iterable[FloatArray]],
        *,
        noise_std: float,
        epsilon0: float,
        n_select: int,
    ) -> Release:
        """Release which candidate tables a model describes worst (fact ``selected``: positions, best first).

        Args:
            key: Name of the release.
            purpose: What it is for.
            codings: Coding of every column named.
            candidates: Sets of columns.
            expected: Returns the model's table for each candidate, in units; called only if not stored.
            noise_std: Noise per cell that the scores discount, in units; public.
            epsilon0: Bounded range of each draw.
            n_select: How many to choose.
        """
        event = Event(purpose=purpose, mechanism="exponential", epsilon0=epsilon0, count=n_select)

        def answer() -> Answer:
            one = self._held.weighting.units_per_one
            exact = (self._held.table(columns, codings).ravel() / one for columns in candidates)
            scores = marginal_scores(exact, expected(), noise_std)
            chosen = exponential_mechanism(
                scores, epsilon0=epsilon0, sensitivity=1.0, n_select=n_select, secret=self._secret
            )
            return {"selected": [int(i) for i in chosen]}, {}

        return self._obtain(key, event, answer)

    def gradient_steps(
        self, key: str, purpose: str, codings: Mapping[str, Coding], plan: StepPlan
    ) -> GradientSteps:
        """Sell a block of private gradient steps over the encoded records; charged whole, before the first.

        A record is what `SensitiveRecords.rows` says. Steps that an interrupted attempt began stay spent: the
        block goes on behind them. Stopping early gives nothing back, because when to stop may depend on what
        was released.
        """
        if key in self._blocks:  # one counter a block: asking twice does not give its steps twice
            if self._blocks[key].plan != plan:
                raise ReplayError(f"the steps {key!r} were bought under another plan")
            return self._blocks[key]
        event = plan.event(purpose)
        self._obtain(key, event, lambda: ({}, {}))
        held = self._records
        self._blocks[key] = GradientSteps(
            plan,
            records=None if held is None else held.rows(codings),
            weighting=None if held is None else held.weighting,
            secret=self._secret,
            advance=partial(self._counter.advance, key, event),
            keep=partial(self._counter.keep, key, event),
            n_begun=0 if held is None and self.tape is not None else self._counter.begun(key, event),
            tape=self.tape,
            ranks=self._ranks,
        )
        return self._blocks[key]

    def votes(
        self,
        key: str,
        codings: Mapping[str, Coding],
        ensemble: TeacherEnsemble,
        teacher: Teacher,
        *,
        n_queries: int,
        noise_multiplier: float,
    ) -> Release:
        """Release the noisy number of teachers that vote "real" on each generated row (array ``"votes"``).

        Units are given to teachers once a run, of a person one row. Every query is one Gaussian event,
        whatever is made of it.

        Args:
            key: Name of the release.
            codings: Coding of every column, in the order of the rows' codes.
            ensemble: Public parameters of the teachers.
            teacher: What one teacher does; see `privsynth.privacy.mechanisms.votes`.
            n_queries: Number of rows that are voted on.
            noise_multiplier: Noise in each count, in teachers.
        """
        event = _gaussian("votes of teachers", noise_multiplier, n_queries)
        self.remaining(key)
        n_asked = len(self._seen)  # with this one; the same whether earlier answers were stored or not

        def answer() -> Answer:
            counts = count_votes(teacher, *self._held.parts(ensemble, codings), n_queries=n_queries)
            secret = self._secret.for_step(n_asked)
            noisy = add_gaussian_noise(
                counts, noise_multiplier=noise_multiplier, units_per_one=1, secret=secret
            )
            return {}, {"votes": noisy}

        return self._obtain(key, event, answer)

    # -- behind the door: exact, never returned ----------------------------------------------------------

    @property
    def _held(self) -> SensitiveRecords:
        assert self._records is not None
        return self._records

    def _noisy(self, counts: IntArray, noise_multiplier: float, steps: int = 1) -> FloatArray:
        return add_gaussian_noise(
            counts,
            noise_multiplier=noise_multiplier,
            units_per_one=self._held.weighting.units_per_one * steps,
            secret=self._secret,
        )


def _gaussian(purpose: str, noise_multiplier: float, count: int = 1) -> Event:
    return Event(purpose=purpose, mechanism="gaussian", noise_multiplier=noise_multiplier, count=count)
