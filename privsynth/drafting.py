"""Draft a schema for a table: from how it is stored or, where asked for, from its values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from privsynth.conforming import conform_column
from privsynth.schema import PRIVATE, RESOLUTION_SECONDS, Column, Schema
from privsynth.sources import check_column_names, csv_header, read_table, reading, table_format

LEADING_ZERO = r"\s*[+-]?0\d"  # 01234 is a code: as a number it would lose its zero
MAX_DECIMALS = 12
MAX_DRAFTED_DECIMALS = 4  # a measurement with more is taken as it is
UNREADABLE = {"type": "text", "drop": True}  # lists, structures and the like are never learnt


def draft_schema(table: pd.DataFrame | str | Path, *, infer: bool = False) -> Schema:
    """Draft a schema for the caller to complete.

    Without ``infer`` no value is read: types come from how Parquet or the frame stores a column, CSV gives
    none, and bounds and categories are left open. With ``infer`` a column gets the first type among
    boolean, integer, real, datetime and categorical that all its values fit, with the resolution or decimals
    that they need. Every other fact about values is set to ``"private"``, and the schema is marked
    ``types_from_records``: the guarantee then lists that.
    Neither guesses a role: persons, keys, groups and the target are for the caller to name.

    Args:
        table: A frame, or the path of a CSV or Parquet file.
        infer: Read the values to find types.

    Raises:
        TableError: If the table cannot be read, or its column names are not unique texts.

    Privacy:
        Public without ``infer``; with it *Not private*: the types are a function of the records.
    """
    if infer:
        frame = read_table(table)
        types = {name: _type_from_values(frame[name]) for name in frame.columns}
        return Schema(types, types_from_records=True)
    if isinstance(table, pd.DataFrame):
        check_column_names(list(table.columns), "the frame")
        return Schema({name: _type_from_dtype(dtype) for name, dtype in table.dtypes.items()})
    with reading(table):
        if table_format(table) != "parquet":
            return Schema({name: {"type": None} for name in csv_header(table)})
        fields = pyarrow.parquet.read_schema(table)
    check_column_names(fields.names, repr(str(table)))
    return Schema({field.name: _type_from_arrow(field.type) for field in fields})


def _type_from_dtype(dtype: Any) -> dict[str, Any]:
    if isinstance(dtype, pd.CategoricalDtype):
        return {"type": "categorical"}
    if pd.api.types.is_bool_dtype(dtype):
        return {"type": "boolean"}
    if pd.api.types.is_integer_dtype(dtype):
        return {"type": "integer"}
    if pd.api.types.is_float_dtype(dtype):
        return {"type": "real"}
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return {"type": "datetime", "resolution": "day"}
    return {"type": "categorical"}


def _type_from_arrow(stored: pa.DataType) -> dict[str, Any]:
    if pa.types.is_boolean(stored):
        return {"type": "boolean"}
    if pa.types.is_integer(stored):
        return {"type": "integer"}
    if pa.types.is_decimal(stored) and 0 <= stored.scale <= MAX_DECIMALS:
        return {"type": "real", "decimals": stored.scale}
    if pa.types.is_floating(stored):
        return {"type": "real"}
    if pa.types.is_timestamp(stored) or pa.types.is_date(stored):
        return {"type": "datetime", "resolution": "day"}
    return dict(UNREADABLE) if pa.types.is_nested(stored) else {"type": "categorical"}


def _type_from_values(raw: pd.Series) -> dict[str, Any]:
    """Return the first type that no value breaks, with every fact about values private."""
    between = {"low": PRIVATE, "high": PRIVATE, "missing": PRIVATE}
    categorical = {"type": "categorical", "categories": PRIVATE, "missing": PRIVATE}
    anything = Column(name=str(raw.name), type="categorical", categories=PRIVATE, missing=True)
    values, broken = conform_column(raw, anything)
    if broken:
        return dict(UNREADABLE)
    is_empty = bool(pd.isna(values).all())
    if is_empty or isinstance(raw.dtype, pd.CategoricalDtype) or _has_leading_zeros(raw):
        return categorical
    if _fits(raw, type="categorical", categories=(0, 1)):
        return {"type": "boolean", "values": [0, 1], "missing": PRIVATE}
    if _fits(raw, type="boolean"):
        return {"type": "boolean", "missing": PRIVATE}
    if _fits(raw, type="integer"):
        return {"type": "integer", **between}
    if _fits(raw, type="real"):
        return {"type": "real", **_decimals(raw), **between}
    if _fits(raw, type="datetime"):
        return {"type": "datetime", "resolution": _resolution(raw), **between}
    return categorical


def _fits(raw: pd.Series, **declared: Any) -> bool:
    return not conform_column(raw, Column(name=str(raw.name), missing=True, **declared))[1]


def _has_leading_zeros(raw: pd.Series) -> bool:
    if pd.api.types.is_numeric_dtype(raw.dtype) or pd.api.types.is_datetime64_any_dtype(raw.dtype):
        return False
    return bool(pd.Series(raw.unique(), dtype=object).astype(str).str.match(LEADING_ZERO).any())


def _decimals(raw: pd.Series) -> dict[str, int]:
    """Return the fewest digits after the point that lose nothing; nothing if values have more."""
    numbers, _ = conform_column(raw, Column(name=str(raw.name), type="real", missing=True))
    known = np.asarray(numbers)[~np.isnan(numbers)]
    lossless = (d for d in range(1, MAX_DRAFTED_DECIMALS + 1) if (np.round(known, d) == known).all())
    decimals = next(lossless, None)
    return {} if decimals is None else {"decimals": decimals}


def _resolution(raw: pd.Series) -> str:
    """Return the coarsest resolution that loses nothing, "second" at the finest."""
    seconds, _ = conform_column(raw, Column(name=str(raw.name), type="datetime", resolution="second"))
    known = np.asarray(seconds)[~np.isnan(seconds)]
    lossless = [name for name, step in RESOLUTION_SECONDS.items() if (known % step == 0).all()]
    return lossless[0] if lossless else "second"
