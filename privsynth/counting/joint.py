"""Joint codes of columns: which values may be looked up, and which tables are sums of others."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.domains.coding import Codes, Coding, NumberCoding, TextCoding, narrow

FloatArray = NDArray[np.float64]
Columns = tuple[str, ...]


def check_codings(codings: Mapping[str, Coding]) -> None:
    """Raise a `TypeError` unless all codings are of the two kinds that look each value up by itself.

    Code from elsewhere could let one row decide on the codes of others.
    """
    if any(type(coding) not in (TextCoding, NumberCoding) for coding in codings.values()):
        raise TypeError("expected a TextCoding or a NumberCoding of each column: codings are data")


def encoded(values: pd.Series, coding: Coding) -> Codes:
    """Return the code of each value of a canonical column, ``(n_rows,)``.

    Privacy:
        Not private: the records, coded.
    """
    encode: Any = type(coding).encode  # its class, whatever the object carries
    return narrow(encode(coding, values), coding.size)


def whole_of_each(sets: Collection[Columns], codings: Mapping[str, Coding]) -> dict[Columns, Columns]:
    """Return for each set of columns the one whose table is counted for it: itself, or one of a column more.

    Of several the one of fewest cells. Public: reads no record.
    """

    def n_cells(columns: Columns) -> int:
        return math.prod(codings[name].size + 1 for name in columns)

    wholes = {columns: columns for columns in sets}
    for larger in sorted(wholes, key=n_cells, reverse=True):
        for i in range(len(larger)):
            part = larger[:i] + larger[i + 1 :]
            if part in wholes:
                wholes[part] = larger
    # what is a part itself is counted for nobody else
    return {part: whole if wholes[whole] == whole else part for part, whole in wholes.items()}


def summed_over(counts: FloatArray, whole: Columns, part: Columns) -> FloatArray:
    """Return the table of some of the columns of a table, the cells of -1 among both.

    Privacy:
        Not private: exact counts.
    """
    return counts.sum(axis=tuple(i for i, name in enumerate(whole) if name not in part))
