"""Set a holdout aside before anything is fitted: whole persons, each by a coin of its own.

The audit needs records that the generator never saw, and its bounds need to know that chance alone decided
which. The two files that `write_split` makes say so in their Parquet metadata.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, cast, overload

import numpy as np
import pandas as pd

from privsynth.errors import SchemaError
from privsynth.io.source import Table
from privsynth.io.tables import read_table
from privsynth.records.coerce import person_codes
from privsynth.records.conform import near_names
from privsynth.records.linked import Tables
from privsynth.records.linked_splitting import Frames, split_linked
from privsynth.records.spellings import names_an_id, repeats_like_an_id
from privsynth.records.split_parts import checked_holdout, coins, write_parts
from privsynth.schema import Schema
from privsynth.schema.linked import LinkedSchema

TRAIN, HOLDOUT = "train", "holdout"


@overload
def split(
    table: Table, schema: Schema, *, holdout: float = 0.2, random_state: int | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]: ...


@overload
def split(
    table: Tables, schema: LinkedSchema, *, holdout: float = 0.2, random_state: int | None = None
) -> tuple[Frames, Frames]: ...


def split(
    table: Table | Tables,
    schema: Schema | LinkedSchema,
    *,
    holdout: float = 0.2,
    random_state: int | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame] | tuple[Frames, Frames]:
    """Split a table into a training part and a holdout, by whole persons.

    Each unit (a person, if the schema names a person column, else a record) goes into the holdout by an
    independent coin, so the holdout's size is random too. Rows keep their order, columns and types. A warning
    says so where the schema names no person and a column looks like an identifier whose values repeat.

    Args:
        table: The records, one a row, in whatever `privsynth.io.tables.open_table` opens; an empty person id
            makes the row a person of its own. Of linked tables a folder, or a mapping of names to tables:
            each person goes with all rows below.
        schema: Names the person column, if there is one; need not be complete. A `LinkedSchema` says that
            tables are linked.
        holdout: Probability that a unit goes into the holdout, in (0, 1).
        random_state: Seed that makes the split repeatable; None (default) draws from the operating
            system, so that nobody can tell a member by repeating the split.

    Returns:
        Training part and holdout, with fresh indices; of linked tables each a mapping of names to frames.

    Raises:
        ParameterError: If ``holdout`` is not in (0, 1).
        SchemaError: If the table lacks the person column.
        TableError: If it cannot be read, or column names are not unique texts.

    Privacy:
        Not private: returns the records themselves.
    """
    holdout = checked_holdout(holdout)
    if isinstance(schema, LinkedSchema):
        return split_linked(cast(Tables, table), schema, holdout=holdout, random_state=random_state)
    table = read_table(cast(Table, table), schema)
    person_id = schema.person_id
    if person_id is None:
        _warn_of_persons(table, schema)
        units = np.arange(len(table))
    elif person_id in table.columns:
        units = person_codes(table[person_id])
    else:
        raise SchemaError(
            f"the table has no column {person_id!r}, which the schema names as person_id; add it"
            + near_names([person_id], list(table.columns))
        )
    is_held_out = coins(units.max(initial=-1) + 1, holdout, random_state)[units]
    return table[~is_held_out].reset_index(drop=True), table[is_held_out].reset_index(drop=True)


def write_split(
    table: Table | Tables,
    schema: Schema | LinkedSchema,
    directory: str | Path,
    *,
    holdout: float = 0.2,
    random_state: int | None = None,
    force: bool = False,
) -> tuple[Path, Path]:
    """Split a table and write ``train.parquet`` and ``holdout.parquet``; of linked tables two such folders.

    All are written aside first, then renamed. Only their owner can read them, and their metadata hold what
    `privsynth.records.split_parts.read_split_part` returns.

    Args:
        table: As in `split`.
        schema: As in `split`.
        directory: Where the files go; made if it does not exist.
        holdout: As in `split`.
        random_state: As in `split`; the files then say that a seed decided.
        force: Replace existing files.

    Returns:
        The paths of the two files, or folders.

    Raises:
        ParameterError, SchemaError, TableError: As in `split`; also if a file exists and ``force`` is
            false, or cannot be written.

    Privacy:
        Not private: the files hold the records themselves.
    """
    how: dict[str, Any] = {
        "holdout": checked_holdout(holdout),
        "unit": schema.unit,
        "seeded": random_state is not None,
        "force": force,
    }
    directory = Path(directory)
    if isinstance(schema, LinkedSchema):
        folders = directory / TRAIN, directory / HOLDOUT
        linked = split_linked(cast(Tables, table), schema, holdout=holdout, random_state=random_state)
        files = [
            (folder / f"{name}.parquet", folder.name, rows)
            for folder, tables in zip(folders, linked, strict=True)
            for name, rows in tables.items()
        ]
        write_parts(files, **how)
        return folders
    parts = split(cast(Table, table), schema, holdout=holdout, random_state=random_state)
    train_path, holdout_path = directory / f"{TRAIN}.parquet", directory / f"{HOLDOUT}.parquet"
    write_parts(
        [(path, path.stem, rows) for path, rows in zip((train_path, holdout_path), parts, strict=True)], **how
    )
    return train_path, holdout_path


def likely_persons(table: pd.DataFrame, schema: Schema) -> list[str]:
    """Return columns that look like an identifier of persons, going by name or type, and whose values repeat.

    Privacy:
        Not private: that values repeat is read from the records.
    """
    found = []
    for name in table.columns:
        column = schema.columns.get(name)
        is_id = column is not None and column.type == "id" and column.role is None
        if (column is not None and column.role is not None) or not (is_id or names_an_id(name)):
            continue
        n_values = int(person_codes(table[name]).max(initial=-1)) + 1
        if repeats_like_an_id(name, n_values, len(table)) or (is_id and 1 < n_values < len(table)):
            found.append(name)
    return found


def _warn_of_persons(table: pd.DataFrame, schema: Schema) -> None:
    likely = ", ".join(map(repr, likely_persons(table, schema)))
    if likely:
        warnings.warn(
            f"the table was split by rows, since the schema names no person; but {likely} looks like an "
            "identifier and its values repeat (seen by reading them, which no guarantee covers). If it names "
            'persons, rows of one person may stand in both parts: give it "type": "id", "role": "person_id", '
            'set "max_records_per_person", and split again',
            stacklevel=3,
        )
