"""Set a holdout aside before anything is fitted: whole persons, each by a coin of its own.

The audit needs records that the generator never saw, and its bounds need to know that chance alone decided
which. The two files that `write_split` makes say so in their Parquet metadata.
"""

from __future__ import annotations

import json
import os
import secrets
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from privsynth.errors import ParameterError, SchemaError, TableError
from privsynth.errors.arguments import real_number
from privsynth.errors.seeds import random_generator
from privsynth.io.arrow import as_arrow
from privsynth.io.atomic import written_aside
from privsynth.io.source import Table
from privsynth.io.tables import read_table
from privsynth.records.coerce import person_codes
from privsynth.records.conform import near_names
from privsynth.records.spellings import names_an_id, repeats_like_an_id
from privsynth.schema import Schema

COIN_BITS = 53
MARK, RANDOMISED = b"privsynth.split", b"randomised"  # key and value in the files' metadata
DETAILS = b"privsynth.split_part"


@dataclass(frozen=True, kw_only=True)
class SplitPart:
    """What a file that `write_split` made says about itself.

    Attributes:
        part: ``"train"`` or ``"holdout"``.
        holdout: Probability with which each unit went into the holdout.
        unit: What was assigned as a whole: ``"person"`` or ``"record"``.
        split_id: Random name that the two parts of one split share.
        seeded: Whether a ``random_state`` decided instead of the operating system's entropy.
    """

    part: str
    holdout: float
    unit: str
    split_id: str
    seeded: bool


def split(
    table: Table, schema: Schema, *, holdout: float = 0.2, random_state: int | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split a table into a training part and a holdout, by whole persons.

    Each unit (a person, if the schema names a person column, else a record) goes into the holdout by an
    independent coin, so the holdout's size is random too. Rows keep their order, columns and types. A warning
    says so where the schema names no person and a column looks like an identifier whose values repeat.

    Args:
        table: The records, one a row, in whatever `privsynth.io.tables.open_table` opens; an empty person id
            makes the row a person of its own.
        schema: Names the person column, if there is one; need not be complete.
        holdout: Probability that a unit goes into the holdout, in (0, 1).
        random_state: Seed that makes the split repeatable; None (default) draws from the operating
            system, so that nobody can tell a member by repeating the split.

    Returns:
        Training part and holdout, with fresh indices.

    Raises:
        ParameterError: If ``holdout`` is not in (0, 1).
        SchemaError: If the table lacks the person column.
        TableError: If it cannot be read, or column names are not unique texts.

    Privacy:
        Not private: returns the records themselves.
    """
    holdout = real_number("holdout", holdout)
    if not 0.0 < holdout < 1.0:
        raise ParameterError(
            f"expected 0 < holdout < 1, got holdout={holdout!r}; it is a probability per unit"
        )
    table = read_table(table, schema)
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
    is_held_out = _coins(units.max(initial=-1) + 1, holdout, random_state)[units]
    return table[~is_held_out].reset_index(drop=True), table[is_held_out].reset_index(drop=True)


def write_split(
    table: Table,
    schema: Schema,
    directory: str | Path,
    *,
    holdout: float = 0.2,
    random_state: int | None = None,
    force: bool = False,
) -> tuple[Path, Path]:
    """Split a table and write ``train.parquet`` and ``holdout.parquet``.

    Both are written aside first, then renamed. Only their owner can read them, and their metadata hold what
    `read_split_part` returns.

    Args:
        table: As in `split`.
        schema: As in `split`.
        directory: Where the files go; made if it does not exist.
        holdout: As in `split`.
        random_state: As in `split`; the files then say that a seed decided.
        force: Replace existing files.

    Returns:
        The paths of the two files.

    Raises:
        ParameterError, SchemaError, TableError: As in `split`; also if a file exists and ``force`` is
            false, or cannot be written.

    Privacy:
        Not private: the files hold the records themselves.
    """
    parts = split(table, schema, holdout=holdout, random_state=random_state)
    directory = Path(directory)
    train_path, holdout_path = directory / "train.parquet", directory / "holdout.parquet"
    split_id, seeded = secrets.token_hex(16), random_state is not None
    arrow = []
    for name, part in zip(("train", "holdout"), parts, strict=True):
        about = SplitPart(part=name, holdout=holdout, unit=schema.unit, split_id=split_id, seeded=seeded)
        fields = as_arrow(part)
        marks = {MARK: RANDOMISED, DETAILS: json.dumps(asdict(about)).encode()}
        arrow.append(fields.replace_schema_metadata({**(fields.schema.metadata or {}), **marks}))
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TableError(f"the folder {str(directory)!r} cannot be made: {error.strerror}") from None
    with (
        written_aside(train_path, force=force, owner_only=True) as train_aside,
        written_aside(holdout_path, force=force, owner_only=True) as holdout_aside,
    ):
        pyarrow.parquet.write_table(arrow[0], train_aside)
        pyarrow.parquet.write_table(arrow[1], holdout_aside)
    return train_path, holdout_path


def read_split_part(table: Table) -> SplitPart | None:
    """Return what a file says about the split it comes from; None if it is none that `write_split` made.

    Privacy:
        Public: reads the file's metadata, no record.
    """
    if not isinstance(table, str | Path) or not Path(table).is_file():
        return None
    try:
        metadata = pyarrow.parquet.read_schema(table).metadata or {}
        if metadata.get(MARK) != RANDOMISED:
            return None
        return SplitPart(**json.loads(metadata[DETAILS]))
    except (pa.ArrowException, KeyError, TypeError, ValueError):
        return None


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


def _coins(n_units: int, probability: float, random_state: int | None) -> npt.NDArray[np.bool_]:
    """Toss one coin per unit; the probability is rounded to a multiple of 2^-53."""
    if random_state is None:
        draws = np.frombuffer(os.urandom(8 * n_units), dtype=np.uint64) >> np.uint64(64 - COIN_BITS)
    else:
        draws = random_generator(random_state).integers(2**COIN_BITS, size=n_units, dtype=np.uint64)
    return draws < np.uint64(round(probability * 2**COIN_BITS))
