"""Single rows as codes, each column in as few bytes as it takes: in memory, or in a file without a name."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from privsynth.domains.coding import Codes, Coding
from privsynth.privacy.units import Weighting

IntArray = NDArray[np.int64]

ROWS_AT_ONCE = 2**16


class CodedColumns:
    """Rows whose codes lie column by column; see `privsynth.privacy.records.CodedRows`.

    Args:
        columns: Codes of each column, each ``(n_rows,)``.
        weighting: Which unit each row is of, and what it weighs.
        images: ``(n_rows, ...)`` uint8; None if there are none.

    Privacy:
        Not private: stays inside the curator.
    """

    def __init__(
        self, columns: Sequence[Codes], weighting: Weighting, images: NDArray[np.uint8] | None = None
    ) -> None:
        self.weighting = weighting
        self._columns, self._images = columns, images

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._columns[0])

    def take(self, rows: IntArray | slice) -> torch.Tensor:
        """See `privsynth.privacy.records.CodedRows`."""
        parts = [column[rows] for column in self._columns]
        codes = torch.from_numpy(np.stack(parts, axis=1, dtype=np.int64))
        if self._images is None:
            return codes
        pixels = torch.from_numpy(self._images[rows].astype(np.int16)).flatten(1)
        return torch.cat([codes.to(torch.int16), pixels], dim=1)


class RowsOfTensor:
    """Rows in a tensor; see `privsynth.privacy.records.CodedRows`.

    Args:
        records: ``(n_rows, ...)``.
        weighting: Which unit each row is of, and what it weighs.

    Privacy:
        Not private: the records.
    """

    def __init__(self, records: torch.Tensor, weighting: Weighting) -> None:
        self._records, self.weighting = records, weighting

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._records)

    def take(self, rows: IntArray | slice) -> torch.Tensor:
        """See `privsynth.privacy.records.CodedRows`."""
        return self._records[rows if isinstance(rows, slice) else torch.from_numpy(rows)]


class RowFile:
    """Rows that are coded once and written into a file that nobody else can open: it has no name.

    Args:
        codings: Coding of every column.
        n_rows: Number of rows.

    Privacy:
        Not private: holds the records, coded.
    """

    def __init__(self, codings: Mapping[str, Coding], n_rows: int) -> None:
        row = np.dtype([(name, np.min_scalar_type(-max(coding.size, 1))) for name, coding in codings.items()])
        with tempfile.TemporaryFile() as file:  # the map outlives the open file
            for _ in range(0, max(n_rows, 1), ROWS_AT_ONCE):  # all of it: a full disk is an error here
                file.write(bytes(row.itemsize * ROWS_AT_ONCE))
            file.flush()
            self._rows = np.memmap(file, row, mode="r+", shape=(max(n_rows, 1),))[:n_rows]

    def write(self, at: IntArray | slice, codes: Iterable[Codes]) -> None:
        """Write the codes of some rows, in the order of the columns."""
        for name, of_column in zip(self._rows.dtype.names or (), codes, strict=True):
            self._rows[name][at] = of_column

    def rows(self, weighting: Weighting) -> CodedColumns:
        """Return the rows, read from the file as they are asked for."""
        return CodedColumns([self._rows[name] for name in self._rows.dtype.names or ()], weighting)
