"""The rows that follow those of persons who are known: each given the person and the row before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.domains.encoding import DiscreteDomain, Domain
from privsynth.domains.systematic import Distributions
from privsynth.errors import RequestError
from privsynth.sampling.blocks import BLOCK_ROWS
from privsynth.sampling.bound_rows import Known, known_of
from privsynth.sampling.completion import foreign_columns
from privsynth.sampling.factors import Drawn
from privsynth.sampling.generated_columns import GeneratedColumns
from privsynth.sampling.histories import PERSONS_AT_ONCE, SequenceModel
from privsynth.sampling.posterior import as_weights
from privsynth.sampling.rows import to_frame
from privsynth.sampling.table_model import CELLS_AT_ONCE
from privsynth.sampling.walk import Walk, numbers_of
from privsynth.schema.sequences import FIRST, N_RECORDS, START, columns_of_persons, columns_of_rows

IntArray = NDArray[np.int64]


def rows_that_follow(
    model: SequenceModel, frame: pd.DataFrame, n_next: int | None, rng: np.random.Generator
) -> pd.DataFrame:
    """Draw the next rows of persons.

    Args:
        model: The fitted model.
        frame: The rows of persons so far, each with the column that names the person, and the one that orders
            rows if there is one. Other columns may be absent, and are not known then; an empty field is
            missing where the column may be, and else not known.
        n_next: Rows of each person that follow; None draws how many rows each has in all, at least those
            given, and goes on to the last.
        rng: Source of the draws.

    Returns:
        The rows that follow, with the names of their persons, who stand in the order of the frame.

    Raises:
        RequestError: If the frame does not say whose rows they are or in which order, rows of a person hold
            different values of what they share, a value is none of its column's, or there is no room for so
            many rows.
    """
    foreign_columns(model.table, frame)  # raises an error if one is named nearly like a column of the model
    persons = _Persons.of(model, frame)
    walk = Walk(model.schema, model.rows, model.calibration)
    most = max(1, min(PERSONS_AT_ONCE, BLOCK_ROWS // max(n_next or 1, 1)))
    parts = [
        _go_on(walk, persons.of_rows(slice(begin, begin + most)), n_next, rng)
        for begin in range(0, max(len(persons.names), 1), most)
    ]
    shared = {name: np.concatenate([part[0][name] for part in parts]) for name in parts[0][0]}
    drawn = {name: np.concatenate([part[1][name] for part in parts]) for name in parts[0][1]}
    begins = range(0, max(len(persons.names), 1), most)
    person = np.concatenate([begin + part[2] for begin, part in zip(begins, parts, strict=True)])
    made = _made(model, frame, persons, person, rng)
    columns = {name: values[person] for name, values in shared.items()} | drawn
    return to_frame(model.table, columns, made)


@dataclass(frozen=True)
class _Persons:
    """Persons whose rows are known.

    Attributes:
        names: As the frame has them, in the order of their first rows, ``(n_persons,)``.
        first_rows: Position of each person's first row in the frame.
        shared: What is known of each, by column.
        last: What is known of the last row of each, by column.
        n_before: How many rows each has.
    """

    names: pd.Series
    first_rows: IntArray
    shared: dict[str, Known]
    last: dict[str, Known]
    n_before: IntArray

    @classmethod
    def of(cls, model: SequenceModel, frame: pd.DataFrame) -> _Persons:
        """Read the persons of a frame."""
        schema, table = model.schema, model.table
        needed = [str(schema.person_id), *([] if schema.order is None else [schema.order])]
        lacking = [name for name in needed if name not in frame.columns]
        if lacking:
            raise RequestError(
                f"complete: rows of persons go on from those that are known, and the frame has no "
                f"{lacking[0]!r}, which says "
                + ("whose they are" if lacking[0] == schema.person_id else "in which order they stand")
            )
        ids = frame[schema.person_id]
        is_empty = ids.isna() | ids.eq("")
        who, _ = pd.factorize(ids.astype(object).map(_text).mask(is_empty))
        if (who < 0).any():
            raise RequestError(
                f"complete: row {int(np.argmax(who < 0))} (counted from 0) has no {schema.person_id!r}, "
                "which says whose it is"
            )
        places = np.arange(len(frame), dtype=np.float64)
        if schema.order is not None:
            order = known_of(table, schema.order, frame[schema.order])
            assert order.ticks is not None
            places = order.ticks
            if (order.codes < 0).any():
                raise RequestError(
                    f"complete: row {int(np.argmax(order.codes < 0))} (counted from 0) has no "
                    f"{schema.order!r}, which says where it stands"
                )
        rows = np.lexsort((places, who))
        in_runs, along = who[rows], places[rows]
        is_first = np.r_[True, in_runs[1:] != in_runs[:-1]][: len(rows)]
        tied = np.flatnonzero(~is_first & (np.r_[np.nan, along[:-1]][: len(rows)] == along))
        if len(tied):
            raise RequestError(
                f"complete: row {int(rows[tied].min())} (counted from 0) stands at the same "
                f"{schema.order!r} as another of its person"
            )
        firsts = np.flatnonzero(is_first)
        sizes = np.diff(np.r_[firsts, len(rows)])
        first, last = rows[firsts], rows[firsts + sizes - 1]
        shared = {
            column.name: _shared(
                known_of(table, column.name, frame[column.name]), who, table.domains[column.name]
            )
            for column in columns_of_persons(schema)
            if column.name in frame.columns
        }
        if schema.order is not None:
            start = model.rows.domains[START + schema.order]
            shared[START + schema.order] = Known.of(start, places[first])
        of_last = {column.name: _last(model, column.name, frame, last) for column in columns_of_rows(schema)}
        first_seen = np.flatnonzero(np.r_[~pd.Series(who).duplicated()])
        return cls(ids.iloc[first_seen], first_seen, shared, of_last, sizes)

    def of_rows(self, part: slice) -> _Persons:
        """Return some of the persons."""
        rows = np.arange(len(self.names))[part]
        shared, last = (
            {name: of.of_rows(rows) for name, of in known.items()} for known in (self.shared, self.last)
        )
        return _Persons(self.names.iloc[part], self.first_rows[part], shared, last, self.n_before[part])


def _text(value: object) -> str:
    return str(value).strip()


def _shared(known: Known, who: IntArray, domain: Domain) -> Known:
    """Return what is known of each person of a column that rows share: what any of the rows gives.

    Where none does, it is missing if the column may be, and else not known.
    """
    given = np.flatnonzero(known.codes >= 0)
    n = int(who.max(initial=-1)) + 1
    source = np.full(n, -1, dtype=np.int64)
    source[who[given][::-1]] = given[::-1]  # the first that is given
    values = known.codes if known.ticks is None else known.ticks
    differs = given[values[given] != values[source[who[given]]]]
    if len(differs):
        raise RequestError(
            f"complete: row {int(differs[0])} (counted from 0) holds another "
            f"{domain.column.name!r} than the rows before it, and all of a person hold the same"
        )
    is_known = source >= 0
    otherwise = domain.size - 1 if domain.has_missing else -1
    codes = np.where(is_known, known.codes[source] if len(known.codes) else -1, otherwise)
    ticks = known.ticks
    return Known(
        codes, None if ticks is None else np.where(is_known, ticks[source] if len(ticks) else 0, np.nan)
    )


def _last(model: SequenceModel, name: str, frame: pd.DataFrame, rows: IntArray) -> Known:
    """Return what is known of a column of last rows: an empty field is missing where that may be."""
    domain = model.rows.domains[name]
    ticks = None if isinstance(domain, DiscreteDomain) else np.full(len(rows), np.nan)
    if name not in frame.columns:
        return Known(np.full(len(rows), -1, dtype=np.int64), ticks)
    known = known_of(model.table, name, frame[name]).of_rows(rows)
    codes = np.where(known.codes < 0, domain.size - 1, known.codes) if domain.has_missing else known.codes
    return Known(codes, known.ticks if known.ticks is not None else ticks)


def _go_on(
    walk: Walk, persons: _Persons, n_next: int | None, rng: np.random.Generator
) -> tuple[dict[str, Drawn], dict[str, Drawn], IntArray]:
    """Return what persons share, the columns of the rows that follow, and whose each of them is."""
    domains, n = walk.model.domains, len(persons.names)
    shared = [column.name for column in columns_of_persons(walk.schema)]
    seen = persons.shared | persons.last | {FIRST: Known((persons.n_before == 1).astype(np.int64), None)}
    logs = walk.completion.log_weights(seen, n)
    open_ = [name for name in shared if name not in persons.shared or (persons.shared[name].codes < 0).any()]
    whole = walk.completion.draw(persons.shared, logs, rng, columns=open_)
    known = persons.shared | {name: Known.of(domains[name], whole[name]) for name in open_}
    logs = walk.completion.log_weights(seen | known, n)
    n_records = _number_of_records(walk, known, logs, persons.n_before + (n_next or 0), rng)
    known[N_RECORDS] = _as_number(walk, n_records)
    wanted = np.full(n, n_next) if n_next is not None else np.maximum(n_records - persons.n_before, 0)
    left = walk.n_that_follow(known, persons.last, wanted)
    if n_next is not None and (left < n_next).any():
        short = int(np.argmax(left < n_next))
        raise RequestError(
            f"complete: {n_next} more rows do not fit after those of the person of row "
            f"{int(persons.first_rows[short])} (counted from 0): their order, or an inequality with the row "
            f"before, leaves room for {int(left[short])}"
        )
    drawn, person = walk.rows_after(known, n_records, left, persons.last, rng)
    of_persons: dict[str, Drawn] = {
        name: known[name].codes if isinstance(domains[name], DiscreteDomain) else _ticks(known[name])
        for name in shared
    }
    return of_persons, drawn, person


def _ticks(known: Known) -> Drawn:
    assert known.ticks is not None
    return known.ticks


def _number_of_records(
    walk: Walk, known: dict[str, Known], logs: NDArray[np.float32], least: IntArray, rng: np.random.Generator
) -> IntArray:
    """Draw how many rows persons have in all, given what is known of them: so many at least.

    The largest number stands for all above it.
    """
    domain = walk.model.domains[N_RECORDS]
    if not isinstance(domain, DiscreteDomain):
        ends = (np.minimum(least, domain.grid.high).astype(np.float64), np.full(len(least), np.inf))
        drawn = walk.completion.draw(known, logs, rng, columns=[N_RECORDS], within={N_RECORDS: ends})
        return np.maximum(numbers_of(domain, drawn[N_RECORDS]), least)
    numbers = numbers_of(domain, np.arange(domain.size))
    block = walk.model.mixture.blocks[walk.model.mixture.columns.index(N_RECORDS)]
    codes = np.empty(len(least), dtype=np.int64)
    for begin in range(0, len(least), CELLS_AT_ONCE):
        part = slice(begin, begin + CELLS_AT_ONCE)
        shares = (as_weights(logs[part]) @ block) * (numbers[None, :] >= least[part, None])
        shares[shares.sum(axis=1) <= 0, -1] = 1.0
        codes[part] = Distributions(shares).draw(np.arange(len(shares)), rng)
    return np.maximum(numbers[codes], least)


def _as_number(walk: Walk, n_records: IntArray) -> Known:
    domain = walk.model.domains[N_RECORDS]
    if not isinstance(domain, DiscreteDomain):
        return Known.of(domain, np.minimum(n_records, domain.grid.high).astype(np.float64))
    numbers = numbers_of(domain, np.arange(domain.size))
    return Known(np.minimum(np.searchsorted(numbers, n_records), len(numbers) - 1), None)


def _made(
    model: SequenceModel, frame: pd.DataFrame, persons: _Persons, person: IntArray, rng: np.random.Generator
) -> dict[str, pd.Series]:
    """Return the columns that are made afresh, and those of persons as they are given."""
    schema = model.schema
    fresh = [c.name for c in schema.columns.values() if c.role != "person_id" and not c.is_modelled]
    of_persons = [name for name in fresh if schema.columns[name].per]
    of_rows = [name for name in fresh if name not in of_persons]
    made = GeneratedColumns(schema, len(person), rng, columns=of_rows).next(len(person))
    for name, values in made.items():
        if name in frame.columns and pd.api.types.is_integer_dtype(values):  # running numbers go on
            given = pd.to_numeric(frame[name], errors="coerce").max()
            made[name] = values + (0 if pd.isna(given) else int(given))
    named = GeneratedColumns(schema, len(persons.names), rng, columns=of_persons).next(len(persons.names))
    for name, values in named.items():
        given = frame[name].iloc[persons.first_rows] if name in frame.columns else values
        made[name] = given.iloc[person].reset_index(drop=True)
    return made | {str(schema.person_id): persons.names.iloc[person].reset_index(drop=True)}
