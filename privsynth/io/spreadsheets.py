"""Texts that a spreadsheet would take for formulas, made plain ones."""

from __future__ import annotations

import pandas as pd

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "'")
"""A text that begins so gets an apostrophe before it; the apostrophe itself too, so that the way back is
exact: of each text that begins with an apostrophe, take one away."""


def spreadsheet_safe(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose texts no spreadsheet evaluates; numbers, dates and column names stay.

    Privacy:
        Public: adds nothing.

    Example:
        >>> spreadsheet_safe(pd.DataFrame({"a": ["=1+1", "b"], "n": [-1, 2]}))["a"].tolist()
        ["'=1+1", 'b']
    """
    out = frame.copy(deep=False)
    for i, kind in enumerate(frame.dtypes):
        if pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_datetime64_any_dtype(kind):
            continue
        column = frame.iloc[:, i].astype(object)
        is_formula = column.map(lambda value: isinstance(value, str) and value.startswith(FORMULA_SIGNS))
        if is_formula.any():
            plain = column.where(~is_formula, "'" + column.where(is_formula, "").astype(str))
            out.isetitem(i, plain)
    return out
