"""Which rows of each person are used in a stream, and what each weighs.

A person's rows are chosen by a keyed hash of the person and the number of the row among the person's own, so
the choice of one person does not depend on any other person's rows, whatever the key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.errors import TableError
from privsynth.privacy.randomness import SecureRandom
from privsynth.privacy.units import PERSON_GRID
from privsynth.records.streams import CHANGED, Batch, Stream

ROWS_AT_ONCE = 2**20

IntArray = NDArray[np.int64]
HashArray = NDArray[np.uint64]


class StreamedWeights:
    """The weight of every row of a stream, in its order.

    Args:
        stream: Rows of persons, read once and kept; their names are given up here.
        max_records: Largest number of rows of a person that are used; public.
        secret: Source of the key, which is fresh in each run and kept nowhere.

    Attributes:
        n_kept: Number of rows that are used.

    Privacy:
        Not private: stays inside the curator.
    """

    def __init__(self, stream: Stream, *, max_records: int, secret: SecureRandom) -> None:
        self._stream, self._n_rows = stream, stream.n_rows
        self._n_used = np.minimum(self._n_rows, max_records)
        key = secret.read(32)
        is_cut = self._n_rows > max_records
        self._cut = np.flatnonzero(is_cut)
        seeds = np.zeros(len(self._n_rows), dtype=np.uint64)
        for name, person in stream.names.items():
            if is_cut[person]:
                seeds[person] = seed_of(name, key)
        stream.forget_names()
        self._seeds = seeds[self._cut]
        self._last = last_used(self._seeds, self._n_rows[self._cut], max_records)
        self._place = np.full(len(self._n_rows) + 1, -1, dtype=np.int64)  # the last is for rows of nobody
        self._place[self._cut] = np.arange(len(self._cut))
        self.n_kept = int(self._n_used.sum())
        self._used: list[NDArray[np.uint8]] = []  # of each batch which rows are used, a bit each

    def batches(self, names: Sequence[str]) -> Iterator[tuple[Batch, IntArray, IntArray]]:
        """Yield batches of the rows that are used, the weight of each in grid steps, and its person.

        Rows of nobody are persons of their own, behind all others. Each person's rows are counted again.

        Raises:
            TableError: If a person has more rows in the pass, or weighs more than one unit.

        Privacy:
            Not private: returns the records.
        """
        n_persons = len(self._n_rows)
        n_seen = np.zeros(n_persons, dtype=np.int64)
        weighed = np.zeros(n_persons, dtype=np.int64)
        n_alone, is_first = 0, not self._used
        used_in: list[NDArray[np.uint8]] = [] if is_first else self._used
        for i, batch in enumerate(self._stream.batches(names)):
            assert batch.persons is not None
            persons, is_alone = batch.persons, batch.persons < 0
            if is_first:
                used_in.append(np.packbits(self._chosen(persons, n_seen)))
            used = np.unpackbits(used_in[i], count=batch.n_rows).astype(bool)
            np.add.at(n_seen, persons[~is_alone], 1)
            weights = np.full(batch.n_rows, PERSON_GRID, dtype=np.int64)
            weights[~is_alone] = PERSON_GRID // self._n_used[persons[~is_alone]]
            counts = used & ~is_alone
            np.add.at(weighed, persons[counts], weights[counts])
            if (weighed[persons[counts]] > PERSON_GRID).any():
                raise TableError(CHANGED)
            units = persons.copy()
            units[is_alone] = n_persons + n_alone + np.arange(is_alone.sum())
            n_alone += int(is_alone.sum())
            columns = {name: values[used] for name, values in batch.columns.items()}
            kept = replace(batch, n_rows=int(used.sum()), columns=columns, persons=None)
            yield kept, weights[used], units[used]
        if not np.array_equal(n_seen, self._n_rows):
            raise TableError(CHANGED)
        self._used = used_in

    def rows_of_units(self, n_rows: int) -> IntArray:
        """Return how many rows of each person are used, of ``n_rows`` in all; those of nobody come last.

        Privacy:
            Not private: stays inside the curator.
        """
        return np.concatenate([self._n_used, np.ones(n_rows - self.n_kept, dtype=np.int64)])

    def _chosen(self, persons: IntArray, n_seen: IntArray) -> NDArray[np.bool_]:
        """Return which rows of a batch are used, given how many rows of each person stood before it."""
        chosen = np.ones(len(persons), dtype=bool)
        rows = np.flatnonzero(self._place[persons] >= 0)
        of = persons[rows]
        place = self._place[of]
        chosen[rows] = hashes(self._seeds[place], n_seen[of] + place_within(of)) <= self._last[place]
        return chosen


def seed_of(name: str | None, key: bytes) -> int:
    """Return the seed by which a person's rows are chosen: a keyed hash of the person's text alone."""
    text = b"" if name is None else b"=" + name.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8, key=key).digest(), "little")


def hashes(seeds: HashArray, numbers: IntArray) -> HashArray:
    """Return the hash of each row, by its person's seed and its number among the person's rows.

    For one seed no two numbers have the same: each step can be undone (SplitMix64, Steele et al. 2014).
    """
    mixed = seeds + (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def last_used(seeds: HashArray, n_rows: IntArray, max_records: int) -> HashArray:
    """Return the largest hash of the rows of each person that are used: those of the smallest hashes.

    Args:
        seeds: Of each person, ``(n_persons,)``.
        n_rows: Number of rows of each, more than ``max_records``.
        max_records: How many are used.
    """
    last = np.empty(len(seeds), dtype=np.uint64)
    is_long = n_rows > ROWS_AT_ONCE
    for person in np.flatnonzero(is_long):
        last[person] = _last_of_many(seeds[person], int(n_rows[person]), max_records)
    short = np.flatnonzero(~is_long)
    run = np.cumsum(n_rows[short]) // ROWS_AT_ONCE
    for persons in np.split(short, np.flatnonzero(np.diff(run)) + 1):
        sizes = n_rows[persons]
        of, starts = np.repeat(np.arange(len(persons)), sizes), np.cumsum(sizes) - sizes
        hashed = hashes(seeds[persons][of], np.arange(len(of)) - starts[of])
        last[persons] = hashed[np.lexsort((hashed, of))][starts + max_records - 1]
    return last


def _last_of_many(seed: np.uint64, n_rows: int, max_records: int) -> np.uint64:
    smallest = np.empty(0, dtype=np.uint64)
    for start in range(0, n_rows, ROWS_AT_ONCE):
        numbers = np.arange(start, min(start + ROWS_AT_ONCE, n_rows))
        both = np.r_[smallest, hashes(np.full(len(numbers), seed, dtype=np.uint64), numbers)]
        smallest = np.partition(both, max_records - 1)[:max_records] if len(both) > max_records else both
    return np.uint64(smallest.max())


def place_within(of: IntArray) -> IntArray:
    """Return how many rows before each one are of the same person."""
    return np.asarray(pd.Series(of).groupby(of, sort=False).cumcount(), dtype=np.int64)
