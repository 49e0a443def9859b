"""Noisy counts of members and outsiders, through the curator: nothing else of a record leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.accounting.gdp import noise_for
from privsynth.attacks.private_audit.account import AuditAccount
from privsynth.counting.holding import hold
from privsynth.domains.coding import Coding, coding_of_texts
from privsynth.privacy.curator import Curator
from privsynth.privacy.mechanisms.counts import Marginals
from privsynth.records.conform import Records
from privsynth.releases.store import ReleaseStore
from privsynth.schema import Schema

FloatArray = NDArray[np.float64]

SHARES = {"hits": 0.25, "predictions": 0.15, "one_way": 0.3, "two_way": 0.3}
"""Share of mu^2 for each kind of figure; public."""

SIDE, SIDES = "side", ("members", "outsiders")
_OF_SIDE = coding_of_texts(SIDES)


@dataclass(frozen=True)
class PrivateCounter:
    """Counts records of both sides through a curator: each set of columns with noise for its share.

    Attributes:
        sides: Members, and outsiders where there are any.
        schema: Public description.
        account: What pays.
    """

    sides: list[Records]
    schema: Schema
    account: AuditAccount

    def count(
        self,
        purpose: str,
        kind: str,
        fields_of: Callable[[Records], Mapping[str, pd.Series]],
        codings: Mapping[str, Coding],
        sets: list[tuple[str, ...]],
    ) -> tuple[list[FloatArray], float]:
        """Count records by the joint codes of some columns, each side by itself.

        Args:
            purpose: What the counts are for.
            kind: Which share of the budget they have.
            fields_of: Returns what is counted of a side, by name; reads it.
            codings: Coding of each column.
            sets: Sets of columns.

        Returns:
            Noisy counts in units for each set, the side first, and their noise's standard deviation.

        Privacy:
            Accounted: a Gaussian event for each set, charged before anything is counted. What fails while the
            fields are read keeps the reservation charged, as a stop that records caused.
        """
        if not sets:
            return [], 0.0
        allowance = self.account.spend
        noise = noise_for(SHARES[kind] * allowance.mu_squared / len(sets))
        marginals = Marginals(
            purpose=purpose,
            codings={SIDE: _OF_SIDE} | {_field(name): coding for name, coding in codings.items()},
            sets=tuple((SIDE, *map(_field, names)) for names in sets),
            noise_multiplier=noise,
        )
        with self.account.reading():
            records = self._joined([fields_of(side) for side in self.sides])
        curator = Curator(
            schema=self.schema,
            allowance=allowance,
            store=ReleaseStore(),
            records=hold(records, self.schema, self.account.budget.secret),
            charge=self.account.charge,
            secret=self.account.budget.secret,
            reading=self.account.reading,
        )
        release = curator.release(kind, marginals)
        return [release.arrays[str(i)][: len(self.sides)] for i in range(len(sets))], noise

    def _joined(self, fields: Sequence[Mapping[str, pd.Series]]) -> Records:
        """Return members and outsiders as one table: each unit is either."""
        sizes = [len(side.frame) for side in self.sides]
        joined = {
            _field(name): pd.concat([of[name] for of in fields], ignore_index=True) for name in fields[0]
        }
        side = pd.Categorical.from_codes(np.repeat(np.arange(len(sizes)), sizes), SIDES[: len(sizes)])
        frame = pd.DataFrame({SIDE: side} | joined)
        if self.sides[0].persons is None:
            return Records(frame, None)
        persons, n_before = [], 0
        for each in self.sides:
            assert each.persons is not None
            persons.append(each.persons + n_before)
            n_before += int(each.persons.max(initial=-1)) + 1
        return Records(frame, np.concatenate(persons))


def _field(name: str) -> str:
    """Return under which name a column is counted: a table may have one that is called as the side is."""
    return f"field {name}"
