"""Every mechanism of `privsynth.privacy`, ready to be audited: worst-case neighbours, best test of each.

A mechanism is run through the curator, the door that a fit uses, so that a slip anywhere between the records
and the release shows. ``claimed_mu`` is what the ledger books for one run; ``exact_mu`` is what the audited
pair of tables really shows (the trade-off curve of the instance), so an audit can fail in both directions.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from privsynth.accounting.budget import Spend
from privsynth.accounting.events import Event, Exponential, Gaussian, ThresholdedGaussian
from privsynth.domains.coding import Coding
from privsynth.domains.doubling import doubling_bins
from privsynth.domains.encoding import DiscreteDomain, NumericDomain
from privsynth.privacy.curator import Curator
from privsynth.privacy.mechanisms.counts import BoundCounts, Marginals
from privsynth.privacy.mechanisms.discovery import HeldByMany
from privsynth.privacy.mechanisms.noise import add_gaussian_noise
from privsynth.privacy.mechanisms.selection import TableSelection, exponential_mechanism
from privsynth.privacy.mechanisms.vector_sums import VectorSums
from privsynth.privacy.randomness import OsEntropy
from privsynth.records.conform import Records, conform
from privsynth.releases.store import Release, ReleaseStore
from privsynth.schema import Schema
from privsynth.synthesizers.fitting import door_to_table
from privsynth.synthesizers.tables.discoveries import DomainBudget
from privsynth.synthesizers.tables.domains import find_domains

AMPLE = Spend(1e12, 0.5)  # the audit judges the noise, not the budget
NOISE = 1.0
EPSILON0 = 2.0
DISCOVERY_DELTA = 0.01

COLUMNS = ("a", "b", "c")
TABLE = Schema({name: {"type": "categorical", "categories": ["0", "1"]} for name in COLUMNS})
PERSONS = Schema(
    {"who": {"type": "id", "role": "person_id"}, **{name: TABLE.columns[name] for name in COLUMNS}},
    max_records_per_person=3,
)
MANY_ROWS = Schema(dict(PERSONS.columns), max_records_per_person=5)
NUMBERS = Schema({"x": {"type": "real", "low": "private", "high": "private"}})
TEXTS = Schema({"x": {"type": "categorical", "categories": "private"}})
TEXTS_OF_PERSONS = Schema(
    {"who": {"type": "id", "role": "person_id"}, "x": TEXTS.columns["x"]}, max_records_per_person=3
)


@dataclass(frozen=True)
class Mechanism:
    """One mechanism under audit.

    Attributes:
        name: For the table.
        event: What the ledger books for a run.
        scores: From ``with_target`` and a number of runs to the best score of each run.
        exact_mu: mu of the audited pair of tables; None where it is not a closed form.
        exact_epsilon: Largest log-ratio of the audited pair, where it is finite.
    """

    name: str
    event: Event
    scores: Callable[[bool, int], np.ndarray]
    exact_mu: float | None
    exact_epsilon: float | None = None

    @property
    def claimed_mu(self) -> float:
        """What the ledger books for one run."""
        return math.sqrt(self.event.mu_squared)


def ten_rows(with_target: bool, schema: Schema = TABLE) -> Records:
    """Return ten rows of zeros and, if wanted, the target: a row of ones, or a person of five such rows."""
    rows = pd.DataFrame(dict.fromkeys(COLUMNS, ["0"] * 10))
    target = pd.DataFrame(dict.fromkeys(COLUMNS, ["1"] * (5 if schema.person_id else 1)))
    if schema.person_id:
        rows["who"], target["who"] = range(10), 10
    return conform(pd.concat([rows, target], ignore_index=True) if with_target else rows, schema)


def curator_of(records: Records, schema: Schema) -> Curator:
    """Return a fresh curator with an ample budget, noise from the operating system and no ledger."""
    return door_to_table(
        schema=schema,
        allowance=AMPLE,
        store=ReleaseStore(),
        records=records,
        charge=lambda event, key: None,
        secret=OsEntropy(),
    )


RUNS_OF_A_CURATOR = 50  # making one takes longer than a run


def many(records: Records, schema: Schema, n_runs: int, run: Callable[[Curator, str], float]) -> np.ndarray:
    """Run a mechanism ``n_runs`` times, each under a key of its own, in a fresh curator after every fifty."""
    scores = []
    for i in range(n_runs):
        if i % RUNS_OF_A_CURATOR == 0:
            curator = curator_of(records, schema)
        scores.append(run(curator, str(i)))
    return np.array(scores)


def codings_of_table(schema: Schema) -> dict[str, Coding]:
    """Return the public codings of the tiny table."""
    return {name: DiscreteDomain(schema.columns[name], ("0", "1"), False, False).coding for name in COLUMNS}


def count_scores(schema: Schema, columns: tuple[str, ...]) -> Callable[[bool, int], np.ndarray]:
    """Score by the noisy count of the target's cell; one release of many tables is many runs."""

    def scores(with_target: bool, n_runs: int) -> np.ndarray:
        curator = curator_of(ten_rows(with_target, schema), schema)
        release = curator.release(
            "counts",
            Marginals(
                purpose="audit",
                codings=codings_of_table(schema),
                sets=tuple([columns] * n_runs),
                noise_multiplier=NOISE,
            ),
        )
        return np.array([release.arrays[str(i)].flat[-1] for i in range(n_runs)])

    return scores


CUT = 0.4  # shorter than four rows in as many cells, 0.5


def cut_count_scores(*, in_one_cell: bool) -> Callable[[bool, int], np.ndarray]:
    """Score a cut table by its cells along the target's own: a person of five rows, or of one in each."""

    def scores(with_target: bool, n_runs: int) -> np.ndarray:
        rows = pd.DataFrame(dict.fromkeys(COLUMNS, ["0"] * 10)).assign(who=range(10))
        cells = [("1", "1")] * 5 if in_one_cell else list(itertools.product("01", repeat=2))
        target = pd.DataFrame(cells, columns=["a", "b"]).assign(c="1", who=10)
        table = pd.concat([rows, target], ignore_index=True) if with_target else rows
        curator = curator_of(conform(table, MANY_ROWS), MANY_ROWS)
        release = curator.release(
            "cut",
            Marginals(
                purpose="audit",
                codings=codings_of_table(MANY_ROWS),
                sets=tuple([("a", "b")] * n_runs),
                norms=(CUT,) * n_runs,
                noise_multiplier=NOISE,
            ),
        )
        noisy = np.stack([release.arrays[str(i)].ravel() for i in range(n_runs)])
        return noisy[:, -1] if in_one_cell else noisy.sum(axis=1) / 2.0

    return scores


# Three rows in each of eight cells, but two and the target in the fourth: a bin ends where the released
# counts reach their share, which without noise is behind that cell with the target, and one cell later else.
LINE = Schema({"x": {"type": "integer", "low": 0, "high": 7}})
ONE_WAY_ALONE = DomainBudget(
    lists=0.0, bounds=0.0, octaves=0.0, point_masses=0.0, one_way=NOISE**-2 / AMPLE.mu_squared, delta=0.0
)


def binning_scores(with_target: bool, n_runs: int) -> np.ndarray:
    """Score by what the bins that a fit makes tell of the row at 3: where they end, and how much is its cell.

    The bins are a function of the released histogram and of public settings alone, so they can show no more
    than the histogram does; what they do show is the edge behind the target's cell, and its share of its bin.
    """
    others = np.repeat(np.arange(8), [3, 3, 3, 2, 3, 3, 3, 3])
    records = conform(pd.DataFrame({"x": [*others, *[3] * with_target]}), LINE)

    def score() -> float:
        found = find_domains(curator_of(records, LINE), LINE, ONE_WAY_ALONE, n_units=23.0, n_bins=2)
        made = found.by_column["x"]
        assert isinstance(made, NumericDomain)
        own = made.bin_of_cell == made.bin_of_cell[3]
        return float(made.cell_weight[3] * own.sum() - (made.n_bins == 1) + 0.3 * (not own[4]))

    return np.array([score() for _ in range(n_runs)])


N_CELLS = 500  # of one release of sums; each holds a target of its own
CELLS = tuple(map(str, range(N_CELLS)))
_CELL = Schema({"cell": {"type": "categorical", "categories": CELLS}}).columns
IN_CELLS = Schema({**_CELL, **TABLE.columns})
PERSONS_IN_CELLS = Schema({**_CELL, **PERSONS.columns}, max_records_per_person=PERSONS.max_records_per_person)


def noisy_vectors(with_target: bool, schema: Schema) -> Callable[[str], np.ndarray]:
    """Return a mechanism whose outputs, one a cell, ``(N_CELLS, 2)``, are as many runs: sums of vectors.

    A record adds to one cell only. Each cell has a row of zeros and, if wanted, its own target, whose vector
    is far longer than a record's may be: a row of ones, or a person of five such rows.
    """
    cells = {"cell": DiscreteDomain(schema.columns["cell"], CELLS, False, False).coding}
    n_rows = 5 if schema.person_id else 1
    rows = pd.DataFrame({"cell": CELLS, **dict.fromkeys(COLUMNS, "0")})
    targets = pd.DataFrame({"cell": np.repeat(CELLS, n_rows), **dict.fromkeys(COLUMNS, "1")})
    if schema.person_id:
        rows["who"], targets["who"] = range(N_CELLS), N_CELLS + np.repeat(np.arange(N_CELLS), n_rows)
    records = conform(pd.concat([rows, targets], ignore_index=True) if with_target else rows, schema)

    def embedding(record: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return record[0], 50.0 * record[1:3].float()

    def release(key: str) -> np.ndarray:
        mechanism = VectorSums(
            purpose="audit",
            codings=cells | codings_of_table(schema),
            embedding=embedding,
            n_cells=N_CELLS,
            n_values=2,
            noise_multiplier=NOISE,
        )
        sums = curator_of(records, schema).release(key, mechanism)
        return sums.arrays["sums"]

    return release


def vector_scores(schema: Schema) -> Callable[[bool, int], np.ndarray]:
    """Score by a cell's noisy sum along its target's vector, which is far longer than a record's may be."""

    def scores(with_target: bool, n_runs: int) -> np.ndarray:
        release = noisy_vectors(with_target, schema)
        sums = [release(str(i)).sum(axis=1) / math.sqrt(2.0) for i in range(-(-n_runs // N_CELLS))]
        return np.concatenate(sums)[:n_runs]

    return scores


def vectorised_count_scores(with_target: bool, n_runs: int) -> np.ndarray:
    """Score by the noisy count of one cell, all runs in one call of the noise."""
    counts = np.full(n_runs, int(with_target), dtype=np.int64) * 65_536
    return add_gaussian_noise(counts, noise_multiplier=NOISE, units_per_one=65_536, secret=OsEntropy())


def bound_scores(with_target: bool, n_runs: int) -> np.ndarray:
    """Score by the noisy count of the doubling bin that the target alone is in."""
    values = [1.0] * 10 + ([1e6] if with_target else [])
    position = int(doubling_bins(NUMBERS.columns["x"].step).encode(pd.Series([1e6]))[0])

    def run(curator: Curator, key: str) -> float:
        release = curator.release(
            key, BoundCounts(purpose="test", column=NUMBERS.columns["x"], noise_multiplier=NOISE)
        )
        return float(release.arrays["counts"][position])

    return many(conform(pd.DataFrame({"x": values}), NUMBERS), NUMBERS, n_runs, run)


def discovery_scores(with_target: bool, n_runs: int) -> np.ndarray:
    """Score by whether a value is published that three others hold too: near the threshold."""
    values = ["common"] * (3 + with_target) + ["other"] * 40
    records = conform(pd.DataFrame({"x": values}), TEXTS)

    def run(curator: Curator, key: str) -> float:
        release = curator.release(
            key,
            discovery(),
        )
        return float("common" in release.facts["values"])

    return many(records, TEXTS, n_runs, run)


def own_values_published(n_values: int, n_runs: int, schema: Schema = TEXTS_OF_PERSONS) -> int:
    """Return in how many runs any of the ``n_values`` values is published that one unit alone holds."""
    table = pd.DataFrame(
        {
            "x": ["other"] * 40 + [f"own-{i}" for i in range(n_values)],
            "who": [*range(40), *[40] * n_values],
        }
    )
    records = conform(table, schema)

    def run(curator: Curator, key: str) -> float:
        release = curator.release(
            key,
            discovery(),
        )
        return float(any(value.startswith("own") for value in release.facts["values"]))

    return int(many(records, schema, n_runs, run).sum())


# Without the target the scores of "a" and "b" are (0, 1), with it (1, 0): each moved by one, in opposite
# directions, and centred, which is the worst window of the exponential mechanism.
OPPOSED = {("a",): np.array([10.0, 0.0]), ("b",): np.array([10.0, 1.0])}


def selection_scores(with_target: bool, n_runs: int) -> np.ndarray:
    """Score by whether the candidate is chosen whose score the target raises; the other's it lowers."""
    records, codings = ten_rows(with_target), codings_of_table(TABLE)

    def run(curator: Curator, key: str) -> float:
        return float(_chosen(curator, key, codings, list(OPPOSED), list(OPPOSED.values()), 1)[0] == 0)

    return many(records, TABLE, n_runs, run)


def vectorised_selection_scores(with_target: bool, n_runs: int) -> np.ndarray:
    """The same two candidates, by the mechanism alone."""
    scores = np.array([1.0, 0.0] if with_target else [0.0, 1.0])
    secret = OsEntropy()
    return np.array(
        [
            float(
                exponential_mechanism(scores, epsilon0=EPSILON0, sensitivity=1.0, n_select=1, secret=secret)[
                    0
                ]
                == 0
            )
            for _ in range(n_runs)
        ]
    )


def top_two_scores(with_target: bool, n_runs: int) -> np.ndarray:
    """Score two draws of four candidates, two raised and two lowered, by their exact log-likelihood ratio."""
    candidates = [("a",), ("b",), ("c",), ("a", "c")]
    expected = [np.array(v) for v in ([10.0, 0.0], [10.0, 1.0], [10.0, 0.0], [10.0, 0.0, 0.0, 1.0])]
    records, codings = ten_rows(with_target), codings_of_table(TABLE)
    ratio = _log_ratios(np.array([0.0, 1.0, 0.0, 1.0]), np.array([1.0, 0.0, 1.0, 0.0]), EPSILON0, 2)

    def run(curator: Curator, key: str) -> float:
        return ratio[tuple(_chosen(curator, key, codings, candidates, expected, 2))]

    return many(records, TABLE, n_runs, run)


def _chosen(
    curator: Curator,
    key: str,
    codings: Mapping[str, Coding],
    candidates: list[tuple[str, ...]],
    expected: list[np.ndarray],
    n_select: int,
) -> list[int]:
    release: Release = curator.release(
        key,
        TableSelection(
            purpose="audit",
            codings=codings,
            candidates=candidates,
            expected=lambda: [table.ravel() for table in expected],
            noise_std=0.0,
            epsilon0=EPSILON0,
            n_select=n_select,
        ),
    )
    chosen: list[int] = release.facts["selected"]
    return chosen


def _log_ratios(
    without: np.ndarray, with_target: np.ndarray, epsilon0: float, n_select: int
) -> dict[tuple[int, ...], float]:
    """Return ln P[outcome | with] / P[outcome | without] of draws without replacement, directly."""

    def log_prob(scores: np.ndarray, outcome: tuple[int, ...]) -> float:
        weights, total = np.exp(epsilon0 * scores / 2), 0.0
        for chosen in outcome:
            total += math.log(weights[chosen] / weights.sum())
            weights = np.where(np.arange(len(weights)) == chosen, 0.0, weights)
        return total

    outcomes = itertools.permutations(range(len(without)), n_select)
    return {o: log_prob(with_target, o) - log_prob(without, o) for o in outcomes}


def _gaussian(count: int = 1) -> Event:
    return Gaussian(purpose="audit", noise_multiplier=NOISE, count=count)


def _selection(count: int = 1) -> Event:
    return Exponential(purpose="audit", epsilon0=EPSILON0, count=count)


def discovery() -> HeldByMany:
    """Return what finds the values of a column of texts."""
    return HeldByMany(
        purpose="audit",
        of=(TEXTS.columns["x"],),
        noise_multiplier=NOISE,
        delta=DISCOVERY_DELTA,
        max_values=9,
    )


_DISCOVERY = ThresholdedGaussian(purpose="audit", noise_multiplier=NOISE, delta=DISCOVERY_DELTA)
PERSON_WEIGHT = 3 * (65_536 // 3) / 65_536  # three rows of a third of a person each, rounded down

MECHANISMS = [
    Mechanism("2-way counts", _gaussian(), count_scores(TABLE, ("a", "b")), exact_mu=1.0),
    Mechanism("number of units", _gaussian(), count_scores(TABLE, ()), exact_mu=1.0),
    Mechanism(
        "counts of persons", _gaussian(), count_scores(PERSONS, ("a", "b")), exact_mu=PERSON_WEIGHT
    ),
    # A person who is cut moves the table by the norm, wherever the rows lie.
    Mechanism("cut counts of persons", _gaussian(), cut_count_scores(in_one_cell=True), exact_mu=1.0),
    Mechanism(
        "cut counts of persons, in many cells", _gaussian(), cut_count_scores(in_one_cell=False), exact_mu=1.0
    ),
    Mechanism("bounds", _gaussian(), bound_scores, exact_mu=1.0),
    Mechanism("sums of vectors", _gaussian(), vector_scores(IN_CELLS), exact_mu=1.0),
    Mechanism(
        "sums of vectors of persons",
        _gaussian(),
        vector_scores(PERSONS_IN_CELLS),
        exact_mu=PERSON_WEIGHT,
    ),
    # A threshold on a Gaussian count errs on both sides as the best test at that point does.
    Mechanism("discovery", _DISCOVERY, discovery_scores, exact_mu=1.0),
    # logit P moves from -e0/2 to e0/2: the claimed Gaussian curve passes through the kink of this one.
    Mechanism(
        "selection", _selection(), selection_scores,
        exact_mu=math.sqrt(_selection().mu_squared), exact_epsilon=EPSILON0 / 2,
    ),
    Mechanism("bins of a number line", _gaussian(), binning_scores, exact_mu=None),
    Mechanism("selection of two", _selection(2), top_two_scores, exact_mu=None),
]  # fmt: skip
VECTORISED = [
    Mechanism("noise on counts, vectorised", _gaussian(), vectorised_count_scores, exact_mu=1.0),
    Mechanism(
        "exponential mechanism alone", _selection(), vectorised_selection_scores,
        exact_mu=math.sqrt(_selection().mu_squared), exact_epsilon=EPSILON0 / 2,
    ),
]  # fmt: skip


def by_name(name: str) -> Mechanism:
    """Return a mechanism by its name."""
    found: dict[str, Any] = {m.name: m for m in [*MECHANISMS, *VECTORISED]}
    mechanism: Mechanism = found[name]
    return mechanism
