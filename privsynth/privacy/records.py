"""The real records of one run, exact: what the curator keeps behind its door, and never returns."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from privsynth.domains.coding import Codes, Coding, NumberCoding, TextCoding, as_ticks, narrow
from privsynth.privacy.randomness import SecureRandom
from privsynth.privacy.units import Weighting, count_cut_table, count_table, weigh_records
from privsynth.records.conform import Records
from privsynth.schema import Column

IntArray = NDArray[np.int64]
T = TypeVar("T")


class SensitiveRecords(Protocol):
    """What a mechanism may ask of real records, wherever they lie.

    Privacy:
        Not private: every answer is exact and stays inside the curator.
    """

    weighting: Weighting
    """Rows that are used, and how much each weighs."""

    def table(self, columns: tuple[str, ...], codings: Mapping[str, Coding]) -> IntArray:
        """Return the counts of the joint codes of some columns, in grid steps."""
        ...

    def cut_table(self, columns: tuple[str, ...], codings: Mapping[str, Coding], norm: float) -> IntArray:
        """Return the same, each unit's own counts cut to an L2 norm, in steps of ``1 / CUT_GRID``."""
        ...

    def observed(self, columns: Sequence[Column]) -> tuple[list[NDArray[Any]], IntArray]:
        """Return the rows of values that occur, column by column, and the count of each in grid steps.

        Numbers are ticks, missing is None. Their order is that of the values: which of two comes first must
        not tell whose row does.
        """
        ...

    def rows(self, codings: Mapping[str, Coding]) -> torch.Tensor:
        """Return each row as the codes of its columns, in the order of ``codings``, -1 outside a domain.

        Returns:
            ``(n_rows, n_columns)`` int64; with images int16, the pixels of each row's image behind its codes.
        """
        ...

    def once(self, what: Hashable, draw: Callable[[SecureRandom], T]) -> T:
        """Return what is drawn once a run, the same whenever it is asked for."""
        ...


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

    def table(self, columns: tuple[str, ...], codings: Mapping[str, Coding]) -> IntArray:
        """See `SensitiveRecords`."""
        self._use(codings)
        if columns not in self._tables:
            codes = [self._encoded(name) for name in columns]
            counts = self._count(codes, [codings[name].size for name in columns])
            self._tables[columns] = narrow(counts, int(counts.max(initial=0)) + 1)
        return self._tables[columns].astype(np.int64)

    def cut_table(self, columns: tuple[str, ...], codings: Mapping[str, Coding], norm: float) -> IntArray:
        """See `SensitiveRecords`."""
        self._use(codings)
        codes = [self._encoded(name) for name in columns]
        return count_cut_table(codes, [codings[name].size for name in columns], self.weighting, norm)

    def observed(self, columns: Sequence[Column]) -> tuple[list[NDArray[Any]], IntArray]:
        """See `SensitiveRecords`."""
        codes, values = zip(*map(self._observed, columns), strict=True)
        if len(columns) == 1:
            return [values[0]], self._count(codes, [max(len(values[0]), 1)])[: len(values[0])]
        rows = pd.MultiIndex.from_arrays(codes)
        distinct = rows.unique().sort_values()
        counts = self._count([distinct.get_indexer(rows)], [max(len(distinct), 1)])[: len(distinct)]
        each = [distinct.get_level_values(i).to_numpy(dtype=np.int64) for i in range(len(columns))]
        with_missing = [np.array([*of, None], dtype=object) for of in values]
        return [of[at] for of, at in zip(with_missing, each, strict=True)], counts

    def rows(self, codings: Mapping[str, Coding]) -> torch.Tensor:
        """See `SensitiveRecords`."""
        self._use(codings)
        codes = torch.from_numpy(np.column_stack([self._encoded(name) for name in codings]).astype(np.int64))
        if self._images is None:
            return codes
        pixels = torch.from_numpy(self._images.astype(np.int16)).flatten(1)
        return torch.cat([codes.to(torch.int16), pixels], dim=1)

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
        """Take up codings; codes and tables belong to one set of them.

        Only the two kinds that look each value up by itself may touch records: code from elsewhere could let
        one row decide on the codes of others.
        """
        if any(type(coding) not in (TextCoding, NumberCoding) for coding in codings.values()):
            raise TypeError("expected a TextCoding or a NumberCoding of each column: codings are data")
        if self._codings != dict(codings):
            self._codings, self._codes, self._tables = dict(codings), {}, {}

    def _encoded(self, name: str) -> Codes:
        if name not in self._codes:
            coding = self._codings[name]
            encode: Any = type(coding).encode  # its class, whatever the object carries
            self._codes[name] = narrow(encode(coding, self.frame[name]), coding.size)
        return self._codes[name]
