"""An audit that may be published: counts of real records with noise, charged to the ledger of the data set.

Each figure rests on a count to which one unit adds at most one, by a rule that no real record has a say in:
the attack's threshold and the predicting model are made from synthetic rows, which are released already. All
figures are Gaussian events of one run; members and outsiders are one data set, since each unit is either.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.ensemble import HistGradientBoostingClassifier

from privsynth.accounting.budget import Spend, Unit
from privsynth.accounting.events import Event
from privsynth.accounting.gdp import noise_for
from privsynth.attacks.features import FeatureSpace
from privsynth.attacks.neighbours import nearest
from privsynth.domains.coding import Coding, coding_of_breaks, coding_of_texts
from privsynth.errors import ParameterError
from privsynth.ledger.ledger import Ledger
from privsynth.privacy.curator import Curator
from privsynth.privacy.mechanisms.counts import Marginals
from privsynth.privacy.randomness import OsEntropy, SecureRandom
from privsynth.records.codes import Discretiser
from privsynth.records.conform import Records
from privsynth.releases.store import ReleaseStore
from privsynth.schema import Schema, category_text

SHARES = {"hits": 0.25, "predictions": 0.15, "one_way": 0.3, "two_way": 0.3}
"""Share of mu^2 for each kind of figure; public."""

FLAGGED_SHARE = 0.05  # of synthetic rows, that lie nearer to the others than the threshold
N_BINS, N_PAIR_BINS, MAX_PAIRS = 20, 6, 15
MAX_TRAINING_ROWS = 20_000


FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class AuditBudget:
    """What an audit may spend, and on which data set; public.

    Attributes:
        epsilon: Asked for, > 0.
        delta: Asked for, in (0, 1).
        dataset: Name of the data set in the ledger, the one that the fit was charged to.
        ledger: The ledger or its file; the user's own by default.
        secret: Source of the noise; anything but `OsEntropy` voids the guarantee.
    """

    epsilon: float
    delta: float
    dataset: str
    ledger: Ledger | str | Path | None = None
    secret: SecureRandom = field(default_factory=OsEntropy)

    def __post_init__(self) -> None:
        Spend.of_budget(epsilon=self.epsilon, delta=self.delta)
        if not self.dataset:
            raise ParameterError(
                "expected the data set's name in the ledger, to charge the audit to; got none"
            )


def paid_audit(
    *,
    real: Records,
    holdout: Records | None,
    synthetic: pd.DataFrame,
    schema: Schema,
    target: str | None,
    budget: AuditBudget | AuditAccount,
    random_state: int = 0,
) -> dict[str, Any]:
    """Return figures that the budget covers: hits of an attack, correct predictions, 1- and 2-way distances.

    Args:
        real: Canonical members.
        holdout: Canonical outsiders of the same data set; without them hits have nothing to be held against.
        synthetic: Canonical released rows, all of them.
        schema: Public description; columns with private facts are left out of the tables of counts.
        target: Column that a model of the synthetic rows predicts; must be categorical or boolean.
        budget: What is spent; or its account, where that was opened before the records were read.
        random_state: Seed of the public choices.

    Returns:
        ``epsilon``, ``delta``, ``dataset``, ``unit``, ``events``; ``hits`` and ``predictions`` with rates and
        intervals that allow for sampling and noise; ``one_way`` and ``two_way`` distances with the distance
        that noise alone gives.

    Raises:
        BudgetExceededError: If the data set's limit would be passed; nothing has been counted.
        LedgerError: If the ledger refuses for another reason.

    Privacy:
        Accounted: one run of Gaussian events in the ledger, add_or_remove_one: reserved before records are
        read, and each charged before it is counted. No unit may be in both tables, which `load_tables` of
        `privsynth.metrics.common.tables` refuses.
    """
    generator = np.random.default_rng([random_state, 2])
    rows, sides = _without_values_of_records(synthetic, real, holdout)
    account, is_ours = (
        (budget, False) if isinstance(budget, AuditAccount) else (AuditAccount(schema, budget), True)
    )
    budget = account.budget
    out: dict[str, Any] = {
        "status": "assessed",
        "epsilon": budget.epsilon,
        "delta": budget.delta,
        "dataset": budget.dataset,
        "given": schema.given,
        "unit": schema.unit,
        "is_secret": budget.secret.is_secret,
    }
    with account if is_ours else nullcontext():
        counter = _Counter(sides, schema, account)
        every = _Counter([real, *([holdout] if holdout is not None else [])], schema, account)
        out["hits"] = _hits(counter, rows, generator)
        out["predictions"] = _predictions(counter, rows, target, generator)
        fine, coarse = (_public_codings(schema, n_bins=n) for n in (N_BINS, N_PAIR_BINS))
        singles: list[tuple[str, ...]] = [(name,) for name in fine]
        pairs = _pairs(list(coarse), target, generator)
        out["one_way"] = _tables(every, synthetic, singles, fine, "one_way")
        out["two_way"] = _tables(every, synthetic, pairs, coarse, "two_way")
    return out | {"events": [event.to_dict() for event in account.events]}


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
        # no event of an audit has a delta of its own
        self._run = self._ledger.take_over(**plan) or self._ledger.reserve(**plan, part_of_rest=0.0)
        return self

    def __exit__(self, *exception: object) -> None:
        if not self._is_stopped:
            self._ledger.close(self._run)  # what no event claims goes back

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


@dataclass(frozen=True)
class _Counter:
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
            records=records,
            charge=self.account.charge,
            secret=self.account.budget.secret,
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


def _without_values_of_records(
    synthetic: pd.DataFrame, real: Records, holdout: Records | None
) -> tuple[pd.DataFrame, list[Records]]:
    """Keep only categories that synthetic rows have: those of the records must not shape any rule."""
    kept = {
        name: synthetic[name].cat.remove_unused_categories().cat.categories
        for name in synthetic.columns
        if isinstance(synthetic[name].dtype, pd.CategoricalDtype)
    }

    def cut(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(**{name: frame[name].cat.set_categories(known) for name, known in kept.items()})

    sides = [real, *([holdout] if holdout is not None else [])]
    return cut(synthetic), [Records(cut(side.frame), side.persons) for side in sides]


def _hits(
    counter: _Counter, synthetic: pd.DataFrame, generator: np.random.Generator
) -> dict[str, Any] | None:
    """Count the units with a row nearer to a synthetic row than most of these are to each other.

    None where a single synthetic row has no other to be near to.
    """
    if len(synthetic) < 2:
        return None
    space = FeatureSpace.fit([synthetic])
    points = space.place(synthetic)
    first, second = np.array_split(points[generator.permutation(len(points))], 2)
    threshold = float(np.quantile(nearest(second, first, 1).distance[:, 0], FLAGGED_SHARE))

    def is_hit(side: Records) -> np.ndarray:
        """Say of each row whether its unit has a row so near."""
        near = nearest(space.place(side.frame), points, 1).distance[:, 0] <= threshold
        return near if side.persons is None else (np.bincount(side.persons, weights=near) > 0)[side.persons]

    def hits(side: Records) -> dict[str, pd.Series]:
        return {"hit": _truths(is_hit(side))}

    noisy, sigma = counter.count("units near synthetic rows", "hits", hits, {"hit": _OF_TRUTH}, [("hit",)])
    return {"threshold": threshold, **_rates(noisy[0], sigma)}


def _predictions(
    counter: _Counter, synthetic: pd.DataFrame, target: str | None, generator: np.random.Generator
) -> dict[str, Any] | None:
    """Count how much of each unit a model of the synthetic rows predicts right."""
    if target is None or counter.schema.columns[target].is_numeric or synthetic.shape[1] < 2:
        return None
    known = [name for name in synthetic.columns if name != target]
    discretiser = Discretiser.of_quantiles([synthetic[known]], n_bins=64)
    rows = generator.permutation(len(synthetic))[:MAX_TRAINING_ROWS]
    labels = synthetic[target].cat.codes.to_numpy()[rows]
    if len(np.unique(labels)) < 2:
        return None
    model = HistGradientBoostingClassifier(early_stopping=False, random_state=0)
    model.fit(discretiser.matrix(synthetic.iloc[rows][known]).astype(np.float64), labels)

    def is_right(side: Records) -> np.ndarray:
        guessed: np.ndarray = model.predict(discretiser.matrix(side.frame[known]).astype(np.float64))
        return guessed == side.frame[target].cat.codes.to_numpy()

    def right(side: Records) -> dict[str, pd.Series]:
        return {"right": _truths(is_right(side))}

    noisy, sigma = counter.count(
        "correct predictions", "predictions", right, {"right": _OF_TRUTH}, [("right",)]
    )
    return {"target": target, **_rates(noisy[0], sigma)}


def _tables(
    counter: _Counter,
    synthetic: pd.DataFrame,
    sets: list[tuple[str, ...]],
    codings: Mapping[str, Coding],
    kind: str,
) -> list[dict[str, Any]]:
    """Return the total variation between noisy tables of counts of members and those of synthetic rows."""

    def fields(side: Records) -> dict[str, pd.Series]:
        return {name: side.frame[name] for name in codings}

    purpose = f"{'1' if kind == 'one_way' else '2'}-way counts"
    noisy, sigma = counter.count(purpose, kind, fields, codings, sets)
    codes = {name: coding.encode(synthetic[name]) for name, coding in codings.items()}
    out = []
    for names, (table, *_) in zip(sets, noisy, strict=True):
        sizes = [codings[name].size for name in names]
        joint = np.ravel_multi_index([codes[name] for name in names], sizes)
        released = np.bincount(joint, minlength=table.size).reshape(sizes)
        total = max(float(table.sum()), 1.0)
        distance = np.abs(table / total - released / len(synthetic)).sum() / 2
        by_noise = table.size * sigma * math.sqrt(2 / math.pi) / total / 2
        out.append({"columns": list(names), "tv": min(1.0, float(distance)), "tv_of_noise": by_noise})
    return out


def _public_codings(schema: Schema, *, n_bins: int) -> dict[str, Coding]:
    """Return a coding of each column with public facts: equal bins or categories, the last for missing."""
    out: dict[str, Coding] = {}
    for column in schema.modelled:
        low, high = column.bounds if column.is_numeric else (None, None)
        if low is not None and high is not None:
            out[column.name] = coding_of_breaks(np.linspace(low, high, n_bins + 1)[1:-1])
        elif column.labels is not None:
            out[column.name] = coding_of_texts(map(category_text, column.labels))
    return out


SIDE, SIDES = "side", ("members", "outsiders")
_OF_SIDE, _OF_TRUTH = coding_of_texts(SIDES), coding_of_texts(("true", "false"))


def _field(name: str) -> str:
    """Return under which name a column is counted: a table may have one that is called as the side is."""
    return f"field {name}"


def _truths(truths: np.ndarray) -> pd.Series:
    return pd.Series(pd.Categorical.from_codes(np.where(truths, 0, 1), ["true", "false"]))


def _pairs(columns: list[str], target: str | None, generator: np.random.Generator) -> list[tuple[str, ...]]:
    """Return pairs with the target first, then others at random; public."""
    pairs = list(itertools.combinations(columns, 2))
    order = generator.permutation(len(pairs))
    ranked = sorted(order, key=lambda i: target not in pairs[i])
    return [pairs[i] for i in ranked[:MAX_PAIRS]]


def _rates(noisy: np.ndarray, sigma: float, confidence: float = 0.95) -> dict[str, Any]:
    """Return the share of each side, with an interval that allows for sampling and for the noise."""
    out: dict[str, Any] = {"noise_std": sigma}
    z = norm.ppf(1 - (1 - confidence) / 2)
    for name, (yes, no, _) in zip(SIDES, noisy, strict=False):
        total = max(float(yes + no), 1.0)
        rate = min(1.0, max(0.0, float(yes) / total))
        error = math.sqrt(rate * (1 - rate) / total + sigma**2 * ((1 - rate) ** 2 + rate**2) / total**2)
        out[name] = {
            "rate": rate,
            "interval": [max(0.0, float(rate - z * error)), min(1.0, float(rate + z * error))],
            "n_units": total,
        }
    return out
