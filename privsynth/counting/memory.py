"""Real records held in memory, in a frame."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.counting.coded_rows import CodedColumns
from privsynth.counting.joint import check_codings, encoded, summed_over, whole_of_each
from privsynth.domains.coding import Codes, Coding, as_ticks, narrow
from privsynth.privacy.randomness import SecureRandom
from privsynth.privacy.units import (
    count_cut_table,
    count_table,
    count_with_outside,
    counts_inside,
    weigh_records,
)
from privsynth.records.conform import Records
from privsynth.schema import Column

IntArray = NDArray[np.int64]
T = TypeVar("T")


class RecordsInMemory:
    """Real records in a frame, cut and weighed by unit; see `SensitiveRecords`.

    Args:
        records: The real records.
        max_records_per_person: Largest number of rows of a person that are used; public.
        secret: Source of the cut, and of what is drawn once.

    Privacy:
        Not private: everything here stays inside the curator.
    """

    def __init__(self, records: Records, *, max_records_per_person: int | None, secret: SecureRandom) -> None:
        self.weighting = weigh_records(
            records.persons, records.parts, max_records_per_person=max_records_per_person, secret=secret
        )
        rows = self.weighting.rows
        self.frame = records.frame if rows is None else records.frame.iloc[rows]
        self._images = records.images if rows is None or records.images is None else records.images[rows]
        self._codings: dict[str, Coding] = {}
        self._codes: dict[str, Codes] = {}
        self._tables: dict[tuple[str, ...], Codes] = {}
        self._secret = secret
        self._drawn: dict[Hashable, Any] = {}

    def tables(self, sets: Sequence[tuple[str, ...]], codings: Mapping[str, Coding]) -> Iterator[IntArray]:
        """See `SensitiveRecords`."""
        self._use(codings)
        steps = 1 if self.weighting.weights is not None else self.weighting.units_per_one
        wholes = whole_of_each([columns for columns in sets if columns not in self._tables], codings)
        for columns in sets:
            if columns not in self._tables:
                whole = wholes[columns]
                codes, sizes = [self._encoded(name) for name in whole], [codings[name].size for name in whole]
                counts = count_with_outside(codes, sizes, self.weighting.weights, n_rows=len(self.frame))
                for part in (of for of, in_ in wholes.items() if in_ == whole):
                    table = counts_inside(summed_over(counts, whole, part), steps)
                    self._tables[part] = narrow(table, int(table.max(initial=0)) + 1)
            yield self._tables[columns].astype(np.int64)

    def cut_table(self, columns: tuple[str, ...], codings: Mapping[str, Coding], norm: float) -> IntArray:
        """See `SensitiveRecords`."""
        self._use(codings)
        codes = [self._encoded(name) for name in columns]
        return count_cut_table(codes, [codings[name].size for name in columns], self.weighting, norm)

    def observed(self, columns: Sequence[Column], at_least: int = 1) -> tuple[list[NDArray[Any]], IntArray]:
        """See `SensitiveRecords`; none is left out."""
        codes, values = zip(*map(self._observed, columns), strict=True)
        if len(columns) == 1:
            return [values[0]], self._count(codes, [max(len(values[0]), 1)])[: len(values[0])]
        rows = pd.MultiIndex.from_arrays(codes)
        distinct = rows.unique().sort_values()
        counts = self._count([distinct.get_indexer(rows)], [max(len(distinct), 1)])[: len(distinct)]
        each = [distinct.get_level_values(i).to_numpy(dtype=np.int64) for i in range(len(columns))]
        with_missing = [np.array([*of, None], dtype=object) for of in values]
        return [of[at] for of, at in zip(with_missing, each, strict=True)], counts

    def rows(self, codings: Mapping[str, Coding]) -> CodedColumns:
        """See `SensitiveRecords`."""
        self._use(codings)
        return CodedColumns([self._encoded(name) for name in codings], self.weighting, self._images)

    def once(self, what: Hashable, draw: Callable[[SecureRandom], T]) -> T:
        """See `SensitiveRecords`."""
        if what not in self._drawn:
            self._drawn[what] = draw(self._secret.for_step(0))
        drawn: T = self._drawn[what]
        return drawn

    def _observed(self, column: Column) -> tuple[Codes, NDArray[Any]]:
        """Return codes of the observed values of a column and the values, -1 for missing."""
        values = self.frame[column.name]
        if column.is_numeric:
            return pd.factorize(as_ticks(values.to_numpy(dtype=np.float64), column.step), sort=True)
        return values.cat.codes.to_numpy(), values.cat.categories.to_numpy(dtype=object)

    def _count(self, codes: Sequence[Codes], sizes: Sequence[int]) -> IntArray:
        w = self.weighting
        return count_table(codes, sizes, w.weights, n_rows=len(self.frame), units_per_one=w.units_per_one)

    def _use(self, codings: Mapping[str, Coding]) -> None:
        """Take up codings; codes and tables belong to one set of them."""
        check_codings(codings)
        if self._codings != dict(codings):
            self._codings, self._codes, self._tables = dict(codings), {}, {}

    def _encoded(self, name: str) -> Codes:
        if name not in self._codes:
            self._codes[name] = encoded(self.frame[name], self._codings[name])
        return self._codes[name]
