"""Draft a schema for a table: from how it is stored or, where asked for, from its values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import pyarrow as pa

from privsynth.errors import ParameterError
from privsynth.io.csv_header import is_unnamed
from privsynth.io.source import ReadOptions, Table
from privsynth.io.tables import open_as
from privsynth.records.inference import propose
from privsynth.records.proposals import AS_PERSON, LEFT_OUT, Proposal
from privsynth.records.spellings import names_a_date, names_a_person, names_a_text, names_an_id
from privsynth.schema import Schema
from privsynth.schema.dialect import CsvDialect

MAX_DECIMALS = 12


@dataclass(frozen=True)
class Draft:
    """A schema to complete by hand.

    Attributes:
        schema: The draft.
        notes: What was assumed of a column, left out or is in doubt: sentences by its name.
    """

    schema: Schema
    notes: dict[str, list[str]]


def draft_schema(
    table: Table,
    *,
    infer: bool = False,
    csv: CsvDialect | None = None,
    names: Sequence[str] | None = None,
) -> Schema:
    """Return the schema that `draft` drafts, without its notes."""
    return draft(table, infer=infer, csv=csv, names=names).schema


def draft(
    table: Table,
    *,
    infer: bool = False,
    csv: CsvDialect | None = None,
    names: Sequence[str] | None = None,
) -> Draft:
    """Draft a schema for the caller to complete, with notes on what it is unsure of.

    Without ``infer`` no value is looked at: types come from how Parquet or the frame stores a column; CSV
    gives none, but names tell of identifiers, free text and dates; bounds and categories are left open. With
    ``infer`` a column gets the first type among boolean, id, integer, real and datetime that its values fit,
    as people write them: with words for missing, and numbers and dates in a ``format``. Names, addresses and
    free text are left out, the rest is categorical. Every other fact about values is set to ``"private"``,
    and the schema is marked ``types_from_records``: the guarantee then says so beside its epsilon. So is a
    draft from a frame, from Arrow or from Parquet: whoever made them may have chosen types by the values, as
    pandas does, where one empty or fractional field makes a column of integers real. Where the types were
    declared, as in a database, set ``types_from_records`` to false.
    Neither guesses a role: persons, keys, groups and the target are for the caller to name. A column without
    a name, as pandas writes its index, is left out. How a CSV file is written, as declared or as its first
    line shows, goes into the draft.

    Args:
        table: As for `fit`: a frame, a table of Arrow or Polars, or the path of its file or files.
        infer: Read the values to find types.
        csv: How a CSV file is written, as far as it is known.
        names: Names of the columns of a CSV file that has no line of names, in its order.

    Raises:
        ParameterError: If ``csv`` or ``names`` is given for anything but CSV files.
        TableError: If the table cannot be read, or its column names are not unique texts; also if the first
            line of a CSV file looks like a record.

    Privacy:
        Public for CSV without ``infer``; else *Not private*: the types are, or may be, a function of the
        records.
    """
    declared = csv or CsvDialect()
    if names is not None:
        declared = replace(declared, header=False)
    source = open_as(table, ReadOptions(dialect=declared, columns=names or (), ask=True))
    dialect, stored = source.dialect, source.dtypes
    if dialect is None and (csv is not None or names is not None):
        raise ParameterError(
            "expected a CSV file where its dialect or its names are given, got another table"
        )

    def proposal(name: str) -> Proposal:
        if infer:
            return propose(source.column(name), is_category=source.holds_categories(name))
        return _from_name(name) if stored is None else _as_stored(stored[name])

    proposals = {name: proposal(name) for name in source.names}
    proposals |= {name: _without_name(proposal) for name, proposal in proposals.items() if is_unnamed(name)}
    return Draft(
        Schema(
            {name: proposal.fields for name, proposal in proposals.items()},
            csv=dialect if dialect is not None and dialect.to_dict() else None,
            types_from_records=infer or dialect is None,
        ),
        {name: proposal.notes for name, proposal in proposals.items() if proposal.notes},
    )


def _without_name(proposal: Proposal) -> Proposal:
    if proposal.fields == LEFT_OUT:
        return proposal
    return Proposal(
        dict(LEFT_OUT), ["left out: it has no name, like the row numbers that pandas writes as index"]
    )


def _from_name(name: str) -> Proposal:
    """Propose what the name of a column tells of it; nothing is read."""
    if is_unnamed(name):
        return Proposal({"type": None})
    provider = names_a_text(name)
    if provider is not None:
        make = f'"generator": "{provider}" instead of "drop" makes new ones'
        return Proposal(
            dict(LEFT_OUT), [f"left out, going by its name: names and texts are never learnt; {make}"]
        )
    if names_a_person(name):
        return Proposal({"type": "id"}, [f"an identifier, going by its name: {AS_PERSON}"])
    if names_an_id(name):
        note = "named like an identifier: type 'id' is numbered afresh, a code of few values is categorical"
        return Proposal({"type": None}, [note])
    if names_a_date(name):
        note = (
            "a date, going by its name: give 'low', 'high', and 'format' unless it is written as 2021-03-31"
        )
        return Proposal({"type": "datetime", "resolution": "day"}, [note])
    return Proposal({"type": None})


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


def _as_stored(stored: Any) -> Proposal:
    """Propose what the type tells that a column is stored in."""
    if isinstance(stored, pd.ArrowDtype):
        stored = stored.pyarrow_dtype
    if not isinstance(stored, pa.DataType):
        return Proposal(_type_from_dtype(stored))
    fields = _type_from_arrow(stored)
    if fields == LEFT_OUT:
        return Proposal(
            fields, [f"left out: {stored} is no single number, text or date, and is never learnt"]
        )
    return Proposal(fields)


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
    return dict(LEFT_OUT) if pa.types.is_nested(stored) else {"type": "categorical"}
