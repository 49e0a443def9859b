"""The records of one run, exact: what the curator keeps behind its door, and never returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from privsynth.domains.coding import Codes, Coding, NumberCoding, TextCoding, as_ticks, narrow
from privsynth.privacy.mechanisms.counts import count_table
from privsynth.privacy.mechanisms.discovery import bound_bin, bound_edges
from privsynth.privacy.mechanisms.votes import TeacherEnsemble
from privsynth.privacy.randomness import SecureRandom
from privsynth.privacy.units import weigh_records
from privsynth.records.conform import Records
from privsynth.schema import Column

IntArray = NDArray[np.int64]


class SensitiveRecords:
    """Real records, cut and weighed by unit, as codes and exact counts.

    Args:
        records: The real records.
        max_records_per_person: Largest number of rows of a person that are used; public.
        secret: Source of the cut and of the division among teachers.

    Privacy:
        Not private: everything here stays inside the curator.
    """

    def __init__(self, records: Records, *, max_records_per_person: int | None, secret: SecureRandom) -> None:
        self.weighting = weigh_records(
            records.persons, max_records_per_person=max_records_per_person, secret=secret
        )
        rows = self.weighting.rows
        self.frame = records.frame if rows is None else records.frame.iloc[rows]
        self._images = records.images if rows is None or records.images is None else records.images[rows]
        self._secret = secret
        self._codings: dict[str, Coding] = {}
        self._codes: dict[str, Codes] = {}
        self._tables: dict[tuple[str, ...], Codes] = {}
        self._taught: dict[TeacherEnsemble, tuple[IntArray, IntArray]] = {}  # rows, and each one's teacher

    def rows(self, codings: Mapping[str, Coding]) -> torch.Tensor:
        """Return each row as the codes of its columns, in the order of ``codings``, -1 outside a domain.

        Returns:
            ``(n_rows, n_columns)`` int64; with images int16, the shades of each row's image behind its codes.
        """
        self._use(codings)
        codes = torch.from_numpy(np.column_stack([self._encoded(name) for name in codings]).astype(np.int64))
        if self._images is None:
            return codes
        shades = torch.from_numpy(self._images.astype(np.int16)).flatten(1)
        return torch.cat([codes.to(torch.int16), shades], dim=1)

    def parts(
        self, ensemble: TeacherEnsemble, codings: Mapping[str, Coding]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the records of each teacher, one row of each unit, and which are there."""
        if ensemble not in self._taught:
            secret = self._secret.for_step(0)
            rows = self.weighting.poisson_sample(1.0, n_rows=len(self.frame), secret=secret)
            self._taught[ensemble] = rows, ensemble.assign(len(rows), secret)
        rows, teachers = self._taught[ensemble]
        return ensemble.divide(self.rows(codings)[torch.from_numpy(rows)], teachers)

    def observed(self, column: Column) -> tuple[Codes, NDArray[Any]]:
        """Return codes of the observed values of a column and the values, -1 for missing.

        Their order is that of the values: which of two comes first must not tell whose row does.
        """
        values = self.frame[column.name]
        if column.is_numeric:
            return pd.factorize(self._ticks(column), sort=True)
        return values.cat.codes.to_numpy(), values.cat.categories.to_numpy(dtype=object)

    def table(self, columns: tuple[str, ...], codings: Mapping[str, Coding]) -> IntArray:
        """Return the counts of the joint codes of some columns, in grid steps."""
        self._use(codings)
        if columns not in self._tables:
            counts = self.count([self._encoded(n) for n in columns], [codings[n].size for n in columns])
            self._tables[columns] = narrow(counts, int(counts.max(initial=0)) + 1)
        return self._tables[columns].astype(np.int64)

    def bound_counts(self, column: Column) -> IntArray:
        """Return the counts of the doubling bins of a number line, in grid steps."""
        return self.count([bound_bin(self._ticks(column))], [len(bound_edges()) - 1])

    def count(self, codes: Sequence[Codes], sizes: Sequence[int]) -> IntArray:
        """Return the counts of joint codes, in grid steps."""
        w = self.weighting
        return count_table(codes, sizes, w.weights, n_rows=len(self.frame), units_per_one=w.units_per_one)

    def _ticks(self, column: Column) -> NDArray[np.float64]:
        return as_ticks(self.frame[column.name].to_numpy(dtype=np.float64), column.step)

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
            self._codes[name] = narrow(coding.encode(self.frame[name]), coding.size)
        return self._codes[name]
