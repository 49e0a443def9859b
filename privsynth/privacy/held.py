"""What the curator holds: exact records, and exact functions of them. Nothing of it is ever returned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from privsynth.encoding import Domain, to_ticks
from privsynth.privacy.counts import count_table
from privsynth.privacy.units import Weighting
from privsynth.schema import Column
from privsynth.sources import Records

IntArray = NDArray[np.int64]


class HeldRecords:
    """The records of one run, those rows that are used, and what each weighs.

    Args:
        records: The real records.
        weighting: Which rows are used.

    Privacy:
        Not private: all of it stays inside the curator.
    """

    def __init__(self, records: Records, weighting: Weighting) -> None:
        rows = slice(None) if weighting.rows is None else weighting.rows
        self.weighting = weighting
        self.frame: pd.DataFrame = records.frame.iloc[rows]
        self._images = None if records.images is None else records.images[rows]
        self._domains: Mapping[str, Domain] = {}
        self._codes: dict[str, IntArray] = {}
        self._tables: dict[tuple[str, ...], IntArray] = {}

    def coded(self, domains: Mapping[str, Domain]) -> torch.Tensor:
        """Return each row as the codes of its columns, in the order of ``domains``, -1 outside a domain.

        Returns:
            ``(n_rows, n_columns)`` int64; with images int16, the values of each row's image behind its codes.
        """
        self._use(domains)
        codes = torch.from_numpy(np.column_stack([self._encoded(name) for name in domains]))
        if self._images is None:
            return codes
        shades = torch.from_numpy(self._images.reshape(len(codes), -1).astype(np.int16))
        return torch.cat([codes.to(torch.int16), shades], dim=1)

    def ticks(self, column: Column) -> NDArray[np.float64]:
        """Return a numeric column in ticks of its grid."""
        return to_ticks(self.frame[column.name].to_numpy(dtype=np.float64), column)

    def observed(self, column: Column) -> tuple[IntArray, list[Any]]:
        """Return codes of the observed values of a column and the values, -1 for missing."""
        if column.is_numeric:
            codes, observed = pd.factorize(pd.Series(self.ticks(column)))
            return codes.astype(np.int64), [float(v) for v in observed]
        values = self.frame[column.name]
        return values.cat.codes.to_numpy(dtype=np.int64), list(values.cat.categories)

    def table(self, columns: tuple[str, ...], domains: Mapping[str, Domain]) -> IntArray:
        """Return the table of counts over some columns, in grid steps."""
        self._use(domains)
        if columns not in self._tables:
            codes = [self._encoded(name) for name in columns]
            self._tables[columns] = self.count(codes, [domains[name].size for name in columns])
        return self._tables[columns]

    def count(self, codes: Sequence[IntArray], sizes: Sequence[int]) -> IntArray:
        """Count joint codes, in grid steps."""
        w = self.weighting
        return count_table(codes, sizes, w.weights, n_rows=len(self.frame), units_per_one=w.units_per_one)

    def _use(self, domains: Mapping[str, Domain]) -> None:
        if self._domains is not domains:  # codes and tables belong to one set of domains
            self._domains, self._codes, self._tables = domains, {}, {}

    def _encoded(self, name: str) -> IntArray:
        if name not in self._codes:
            self._codes[name] = self._domains[name].encode(self.frame[name])
        return self._codes[name]
