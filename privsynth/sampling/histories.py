"""Persons with all their rows, drawn from a model of each row beside the one before it.

Persons are drawn first, with what their rows share and how many they are. Then the first row of each, and
each next one given the person and the row before: exactly, by the mixture given what is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.domains.encoding import DiscreteDomain, Domain, NumericDomain
from privsynth.errors import RequestError
from privsynth.sampling.completion import Completion, Known
from privsynth.sampling.factors import Drawn
from privsynth.sampling.generated_columns import GeneratedColumns
from privsynth.sampling.plan import Plan
from privsynth.sampling.posterior import LogWeights
from privsynth.sampling.request import SampleRequest
from privsynth.sampling.rows import BLOCK_ROWS, coded_blocks, to_frame
from privsynth.sampling.table_model import TableModel
from privsynth.schema import Schema
from privsynth.schema.sequences import (
    FIRST,
    GAP,
    N_RECORDS,
    PREVIOUS,
    START,
    columns_of_rows,
    most_records,
    schema_of_persons,
)

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

PERSONS_AT_ONCE = 2**13  # of which the components' weights are held together


@dataclass(frozen=True)
class SequenceModel:
    """All that is needed to draw persons with their rows. Holds releases and what was fitted to them.

    Attributes:
        schema: The public description of the table.
        rows: The model of each row beside the one before it; see `privsynth.schema.sequences`.
    """

    schema: Schema
    rows: TableModel

    @cached_property
    def persons(self) -> TableModel:
        """The model of persons: what their rows share, and how many they are."""
        return self.rows.over(schema_of_persons(self.schema))

    @property
    def n_units(self) -> float:
        """Noisy number of persons."""
        return self.rows.n_units

    @cached_property
    def _as_table(self) -> TableModel:
        """The columns of the table, under its own schema."""
        return self.rows.over(self.schema)

    @property
    def not_found(self) -> tuple[str, ...]:
        """What the schema keeps private and the budget did not find, and what stands in its place."""
        return self._as_table.not_found

    @property
    def mostly_other(self) -> tuple[str, ...]:
        """Columns with a private list of which most rows hold no value that was found, a sentence each."""
        return self._as_table.mostly_other

    @property
    def nearly_empty(self) -> tuple[str, ...]:
        """Columns of which nearly every value is missing."""
        return self._as_table.nearly_empty

    def require_feasible(self) -> None:
        """Raise a `SchemaError` if no row that the model can make satisfies the constraints."""
        self.rows.require_feasible()

    @property
    def table(self) -> TableModel:
        """The columns of the table, under its own schema: what rows look like, not how they follow."""
        return self._as_table


def draw_histories(model: SequenceModel, plan: Plan, rng: np.random.Generator) -> Iterator[pd.DataFrame]:
    """Draw the persons of a plan with all their rows, block after block of whole persons.

    Args:
        model: The fitted model.
        plan: Persons to draw: a plan over `SequenceModel.persons`.
        rng: Source of the draws.
    """
    of_rows = [c.name for c in model.schema.columns.values() if not c.per and c.role != "person_id"]
    made_of_rows = GeneratedColumns(model.schema, plan.n_rows, rng, columns=of_rows)
    most = min(max(1, BLOCK_ROWS // most_records(model.schema)), PERSONS_AT_ONCE)
    walk = Walk(model)
    for persons, made in coded_blocks(plan, rng, most=most):
        drawn, person = walk.rows(persons, rng)
        texts = {name: values.iloc[person].reset_index(drop=True) for name, values in made.items()}
        yield to_frame(model.table, drawn, texts | made_of_rows.next(len(person)))


def expected_rows(model: SequenceModel, n_persons: int) -> int:
    """Return about how many rows so many persons have, by the model."""
    domain = model.persons.domains[N_RECORDS]
    shares = model.persons.table((N_RECORDS,))
    if isinstance(domain, NumericDomain):
        middle = [np.mean(domain.grid.edges[domain.bin_of_cell == b]) for b in range(domain.n_bins)]
        return round(n_persons * float(np.dot(shares[: domain.n_bins], middle)))
    return round(n_persons * float(np.dot(shares, numbers_of(domain, np.arange(domain.size)))))


def check_of_persons(model: SequenceModel, request: SampleRequest) -> None:
    """Raise a `RequestError` if a request names a column that may differ between the rows of a person."""
    differs = {column.name for column in columns_of_rows(model.schema)}
    named = sorted(request.columns & differs)
    if named:
        order = model.schema.order
        shared = [name for name in model.persons.domains if name in model.schema.columns]
        derived = f"{N_RECORDS}, how many rows they have" + (
            "" if order is None else f", and {START}{order}, where these begin"
        )
        raise RequestError(
            f"{named[0]!r} may differ between the rows of a person, and persons are drawn with all of them: "
            f"ask for what their rows share ({', '.join([*shared, derived])}), and take the rows that you "
            "need from what is drawn"
        )


class Walk:
    """Draws the rows of persons, one after another.

    Args:
        model: The model of persons with their rows.
    """

    def __init__(self, model: SequenceModel) -> None:
        self._completion = Completion(model.rows)
        self._domains = model.rows.domains
        self._schema = model.schema
        self._order = model.schema.order
        self._own = [column.name for column in columns_of_rows(model.schema)]

    def rows(self, persons: dict[str, Drawn], rng: np.random.Generator) -> tuple[dict[str, Drawn], IntArray]:
        """Return the columns of all rows, and the position of each row's person: rows of one together."""
        n_records = numbers_of(self._domains[N_RECORDS], persons[N_RECORDS])
        if self._order is not None:
            persons = persons | {START + self._order: self._start(persons[START + self._order], n_records)}
        known = {name: Known.of(self._domains[name], values) for name, values in persons.items()}
        drawn, person = self.rows_of(known, n_records, rng)
        shared = {name: values[person] for name, values in persons.items() if name in self._schema.columns}
        return shared | drawn, person

    def beginning(
        self, known: dict[str, Known], n_records: IntArray, rng: np.random.Generator
    ) -> dict[str, Known]:
        """Return what is known of persons with where their rows begin, drawn given the rest."""
        if self._order is None:
            return known
        start = START + self._order
        logs = self._completion.log_weights(known, len(n_records))
        drawn = self._completion.draw(known, logs, rng, columns=[start])[start]
        return known | {start: Known.of(self._domains[start], self._start(drawn, n_records))}

    def rows_of(
        self, known: dict[str, Known], n_records: IntArray, rng: np.random.Generator
    ) -> tuple[dict[str, Drawn], IntArray]:
        """Return the rows' own columns, and the position of each row's person: rows of one together.

        Args:
            known: What is known of persons, by column, ``start.X`` among it where X orders their rows.
            n_records: How many rows each has, 1 at least, ``(n_persons,)``.
            rng: Source of the draws.
        """
        of_persons = self._completion.log_weights(known, len(n_records))
        who, before = np.arange(len(n_records)), None
        steps: list[dict[str, Drawn]] = []
        active: list[IntArray] = []
        for position in range(1, int(n_records.max(initial=1)) + 1):
            goes_on = np.flatnonzero(n_records[who] >= position)
            who = who[goes_on]
            before = None if before is None else {name: values[goes_on] for name, values in before.items()}
            of_step = {
                name: Known(of.codes[who], None if of.ticks is None else of.ticks[who])
                for name, of in known.items()
            }
            before = self._step(of_step, of_persons[who], before, n_records[who] - position, rng)
            steps.append(before)
            active.append(who)
        person = np.concatenate([who[:0], *active])
        place = np.repeat(np.arange(len(active)), [len(each) for each in active])
        order = np.lexsort((place, person))
        drawn = {name: np.concatenate([step[name] for step in steps])[order] for name in self._own}
        return drawn, person[order]

    def _step(
        self,
        known: dict[str, Known],
        logs: LogWeights,
        before: dict[str, Drawn] | None,
        rest: IntArray,
        rng: np.random.Generator,
    ) -> dict[str, Drawn]:
        """Draw the next row of each person.

        Args:
            known: What is known of the persons.
            logs: The same as log-weights of the components.
            before: The row before; None before the first.
            rest: How many rows are still to come after this one.
            rng: Source of the draws.
        """
        domains, order, n = self._domains, self._order, len(rest)
        new = {FIRST: Known(np.full(n, int(before is None), dtype=np.int64), None)}
        for name, values in (before or {}).items():
            if name != order:
                lag = PREVIOUS + name
                new[lag] = _as_lag(domains[name], domains[lag], values)
        logs = logs + self._completion.log_weights(new, n)
        known = known | new
        if order is not None:
            if before is None:
                new = {order: known[START + order]}
            else:
                drawn = self._completion.draw(known, logs, rng, columns=[GAP + order])[GAP + order]
                gap = np.nan_to_num(drawn.astype(np.float64), nan=1.0)
                place = _moved(domains[order], before[order].astype(np.float64), gap, rest)
                new = {
                    GAP + order: Known.of(domains[GAP + order], gap),
                    order: Known.of(domains[order], place),
                }
            logs = logs + self._completion.log_weights(new, n)
            known = known | new
        return self._completion.draw(known, logs, rng, columns=self._own)

    def _start(self, drawn: Drawn, n_records: IntArray) -> FloatArray:
        """Return where the rows of persons begin: early enough for all of them."""
        line = self._domains[str(self._order)]
        assert isinstance(line, NumericDomain)
        latest = np.maximum(_latest(line, n_records - 1), line.grid.low)
        return np.clip(drawn.astype(np.float64), line.grid.low, latest)


def _latest(line: NumericDomain, rest: IntArray) -> FloatArray:
    """Return the last place from which so many rows still fit onto the line."""
    return line.grid.high - (rest if line.grid.discrete else 0) * np.ones(len(rest))


def _moved(line: Domain, place: FloatArray, gap: FloatArray, rest: IntArray) -> FloatArray:
    """Return the next place: a gap further, but not so far that the rest of the rows does not fit."""
    assert isinstance(line, NumericDomain)
    least = place + 1.0 if line.grid.discrete else np.nextafter(place, np.inf)
    return np.clip(place + gap, least, np.maximum(_latest(line, rest), least))


def _as_lag(domain: Domain, lag: Domain, drawn: Drawn) -> Known:
    """Return what was drawn of a column as what the next row has before it."""
    if isinstance(domain, DiscreteDomain) and domain.has_missing:
        drawn = np.where(drawn == domain.size - 1, lag.size - 1, drawn)
    return Known.of(lag, drawn)


def numbers_of(domain: Domain, drawn: Drawn) -> IntArray:
    """Return the whole numbers that were drawn of a column that counts."""
    if isinstance(domain, DiscreteDomain):
        return np.array(domain.values, dtype=np.int64)[drawn.astype(np.int64)]
    return drawn.astype(np.int64)
