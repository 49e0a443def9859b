"""Real records that are counted as they are read: memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.counting.coded_rows import CodedColumns, RowFile
from privsynth.counting.joint import Columns, check_codings, encoded, summed_over, whole_of_each
from privsynth.counting.persons import StreamedWeights, place_within
from privsynth.counting.values import N_BUCKETS, ValueCounts, buckets
from privsynth.domains.coding import Codes, Coding
from privsynth.errors import TableError
from privsynth.privacy.randomness import SecureRandom
from privsynth.privacy.units import PERSON_GRID, Weighting, add_rows, count_cut_table, counts_inside
from privsynth.records.streams import CHANGED, Batch, CanonicalColumn, Stream
from privsynth.schema import Column

MANY_VALUES = 2**20  # beyond so many values rare ones are sorted out before they are counted
CUT_ROWS_AT_ONCE = 2**23  # of persons whose counts are cut in length together

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
T = TypeVar("T")


class StreamedRecords:
    """Real records, read in a pass for each question; see `SensitiveRecords`.

    Args:
        stream: The real records.
        max_records_per_person: Largest number of rows of a person that are used; public.
        secret: Source of the choice of rows, and of what is drawn once.

    Privacy:
        Not private: everything here stays inside the curator.
    """

    def __init__(self, stream: Stream, *, max_records_per_person: int | None, secret: SecureRandom) -> None:
        self._stream, self._secret = stream, secret
        self._weights: StreamedWeights | None = None
        self.weighting = Weighting(None, None, 1, 1)
        if stream.schema.person_id is not None:
            assert max_records_per_person is not None
            self._weights = StreamedWeights(stream, max_records=max_records_per_person, secret=secret)
            self.weighting = Weighting(None, None, PERSON_GRID, max_records_per_person)
        self._codings: dict[str, Coding] = {}
        self._tables: dict[Columns, IntArray] = {}
        self._held: CodedColumns | None = None
        self._drawn: dict[Hashable, Any] = {}

    def tables(self, sets: Sequence[Columns], codings: Mapping[str, Coding]) -> Iterator[IntArray]:
        """See `SensitiveRecords`: one pass counts all that were not counted before."""
        self._use(codings)
        wholes = whole_of_each([columns for columns in sets if columns not in self._tables], codings)
        counted = self._counted(list(dict.fromkeys(wholes.values())), codings)
        steps = 1 if self._weights is not None else self.weighting.units_per_one
        for columns, whole in wholes.items():
            self._tables[columns] = counts_inside(summed_over(counted[whole], whole, columns), steps)
        for columns in sets:
            yield self._tables[columns].copy()

    def cut_table(self, columns: Columns, codings: Mapping[str, Coding], norm: float) -> IntArray:
        """See `SensitiveRecords`: each person's counts are cut in one of so many passes, whole."""
        check_codings(codings)
        sizes = [codings[name].size for name in columns]
        total = np.zeros(sizes, dtype=np.int64)
        if self._weights is None:
            for _, codes, _, _ in self._coded(columns, codings):
                total += count_cut_table(codes, sizes, self.weighting, norm)
            return total
        n_passes = 1 + self._weights.n_kept // CUT_ROWS_AT_ONCE
        for i in range(n_passes):
            parts = [
                (np.stack(codes)[:, of := persons % n_passes == i], weights[of], persons[of])
                for _, codes, weights, persons in self._coded(columns, codings)
                if weights is not None and persons is not None
            ]
            if not parts:
                continue
            joint, weights, persons = (np.concatenate(part, axis=-1) for part in zip(*parts, strict=True))
            units = Weighting(None, weights, PERSON_GRID, self.weighting.max_records, persons)
            total += count_cut_table(list(joint), sizes, units, norm)
        return total

    def observed(self, columns: Sequence[Column], at_least: int = 1) -> tuple[list[NDArray[Any]], IntArray]:
        """See `SensitiveRecords`; what is left out is counted exactly, too.

        Where there are very many values, buckets of them are counted first: a value whose bucket holds too
        little holds too little itself.
        """
        counts = ValueCounts(columns)
        for values, weights in self._values(columns):
            counts.add(values, weights)
            if at_least > 1 and counts.n_known > MANY_VALUES:
                counts = self._counted_by_buckets(columns, at_least)
                break
        return counts.sorted(at_least=at_least)

    def _counted_by_buckets(self, columns: Sequence[Column], at_least: int) -> ValueCounts:
        key = int.from_bytes(self._secret.for_step(0).read(8), "little")
        in_bucket = np.zeros(N_BUCKETS, dtype=np.int64)
        for values, weights in self._values(columns):
            np.add.at(in_bucket, buckets(columns, values, key), 1 if weights is None else weights)
        counts = ValueCounts(columns)
        for values, weights in self._values(columns):
            rows = in_bucket[buckets(columns, values, key)] >= at_least
            counts.add([of[rows] for of in values], None if weights is None else weights[rows])
        return counts

    def _values(self, columns: Sequence[Column]) -> Iterator[tuple[list[CanonicalColumn], IntArray | None]]:
        for batch, weights, _ in self._rows([column.name for column in columns]):
            yield [batch.columns[column.name] for column in columns], weights

    def rows(self, codings: Mapping[str, Coding]) -> CodedColumns:
        """See `SensitiveRecords`: coded in one pass, each person's rows side by side, into a private file."""
        self._use(codings)
        if self._held is None:
            self._held = self._written(codings)
        return self._held

    def _written(self, codings: Mapping[str, Coding]) -> CodedColumns:
        n_rows = sum(batch.n_rows for batch, _, _ in self._rows([]))
        file = RowFile(codings, n_rows)
        sizes = None if self._weights is None else self._weights.rows_of_units(n_rows)
        free = None if sizes is None else np.cumsum(sizes) - sizes  # where the next row of each unit goes
        n_written = 0
        for n, codes, _, units in self._coded(list(codings), codings):
            if (n_written := n_written + n) > n_rows:
                raise TableError(CHANGED)
            at: slice | IntArray = slice(n_written - n, n_written)
            if units is not None and free is not None:
                at = free[units] + place_within(units)
                np.add.at(free, units, 1)
            file.write(at, codes)
        return file.rows(replace(self.weighting, sizes=sizes))

    def _use(self, codings: Mapping[str, Coding]) -> None:
        """Take up codings; tables and rows belong to one set of them."""
        check_codings(codings)
        if list(self._codings.items()) != list(codings.items()):  # rows have their order
            self._codings, self._tables, self._held = dict(codings), {}, None

    def once(self, what: Hashable, draw: Callable[[SecureRandom], T]) -> T:
        """See `SensitiveRecords`."""
        if what not in self._drawn:
            self._drawn[what] = draw(self._secret.for_step(0))
        drawn: T = self._drawn[what]
        return drawn

    def _rows(self, names: Sequence[str]) -> Iterator[tuple[Batch, IntArray | None, IntArray | None]]:
        """Yield batches of the rows that are used, what each weighs, and its person."""
        if self._weights is None:
            for batch in self._stream.batches(names):
                yield batch, None, None
        else:
            yield from self._weights.batches(names)

    def _coded(
        self, names: Sequence[str], codings: Mapping[str, Coding]
    ) -> Iterator[tuple[int, list[Codes], IntArray | None, IntArray | None]]:
        for batch, weights, persons in self._rows(names):
            codes = [encoded(pd.Series(batch.columns[name], copy=False), codings[name]) for name in names]
            yield batch.n_rows, codes, weights, persons

    def _counted(self, sets: list[Columns], codings: Mapping[str, Coding]) -> dict[Columns, FloatArray]:
        """Return tables with the cells of -1, counted in one pass."""
        counts = {columns: np.zeros([codings[name].size + 1 for name in columns]) for columns in sets}
        if sets:
            names = list(dict.fromkeys(name for columns in sets for name in columns))
            for n_rows, codes, weights, _ in self._coded(names, codings):
                by_name = dict(zip(names, codes, strict=True))
                for columns, table in counts.items():
                    add_rows(table, [by_name[name] for name in columns], weights, n_rows=n_rows)
        return counts
