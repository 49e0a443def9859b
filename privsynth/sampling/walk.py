"""The rows of persons, drawn one after another: each given the person and the row before."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from privsynth.domains.encoding import DiscreteDomain, Domain, NumericDomain
from privsynth.sampling.completion import Completion, Known
from privsynth.sampling.factors import Drawn
from privsynth.sampling.posterior import LogWeights
from privsynth.sampling.table_model import TableModel
from privsynth.schema import Schema
from privsynth.schema.sequences import FIRST, GAP, N_RECORDS, PREVIOUS, START, columns_of_rows

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Walk:
    """Draws the rows of persons from a model of each row beside the one before it.

    Attributes:
        schema: The public description of the table.
        model: The model of its view; see `privsynth.schema.sequences`.
        calibration: Log-factors of the components, of later rows and of first ones, ``(2, K)``.
        tally: Where the components' mean probabilities are added up, likewise; None adds nothing up. Each
            person counts once.
    """

    schema: Schema
    model: TableModel
    calibration: LogWeights
    tally: FloatArray | None = field(default=None)

    @cached_property
    def _completion(self) -> Completion:
        return Completion(self.model)

    @cached_property
    def _own(self) -> list[str]:
        return [column.name for column in columns_of_rows(self.schema)]

    def rows(self, persons: dict[str, Drawn], rng: np.random.Generator) -> tuple[dict[str, Drawn], IntArray]:
        """Return the columns of all rows, and the position of each row's person: rows of one together."""
        n_records = numbers_of(self.model.domains[N_RECORDS], persons[N_RECORDS])
        if self.schema.order is not None:
            start = START + self.schema.order
            persons = persons | {start: self._start(persons[start], n_records)}
        known = {name: Known.of(self.model.domains[name], values) for name, values in persons.items()}
        drawn, person = self.rows_of(known, n_records, rng)
        shared = {name: values[person] for name, values in persons.items() if name in self.schema.columns}
        return shared | drawn, person

    def beginning(
        self, known: dict[str, Known], n_records: IntArray, rng: np.random.Generator
    ) -> dict[str, Known]:
        """Return what is known of persons with where their rows begin, drawn given the rest."""
        if self.schema.order is None:
            return known
        start = START + self.schema.order
        logs = self._completion.log_weights(known, len(n_records))
        drawn = self._completion.draw(known, logs, rng, columns=[start])[start]
        return known | {start: Known.of(self.model.domains[start], self._start(drawn, n_records))}

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
            before = self._step(of_step, of_persons[who], before, n_records[who], position, rng)
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
        n_records: IntArray,
        position: int,
        rng: np.random.Generator,
    ) -> dict[str, Drawn]:
        """Draw the next row of each person.

        Args:
            known: What is known of the persons.
            logs: The same as log-weights of the components.
            before: The row before; None before the first.
            n_records: How many rows each person has.
            position: Which of them this is, counted from 1.
            rng: Source of the draws.
        """
        domains, order = self.model.domains, self.schema.order
        n, rest, is_first = len(n_records), n_records - position, int(before is None)
        new = {FIRST: Known(np.full(n, is_first, dtype=np.int64), None)}
        for name, values in (before or {}).items():
            if name != order:
                lag = PREVIOUS + name
                new[lag] = _as_lag(domains[name], domains[lag], values)
        logs = logs + self._completion.log_weights(new, n) + self.calibration[is_first]
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
        tally = self.tally

        def note(part: slice, weights: NDArray[np.float32]) -> None:
            if tally is not None:
                tally[is_first] += (1.0 / n_records[part]) @ (weights / weights.sum(axis=1, keepdims=True))

        return self._completion.draw(known, logs, rng, columns=self._own, note=note)

    def _start(self, drawn: Drawn, n_records: IntArray) -> FloatArray:
        """Return where the rows of persons begin: early enough for all of them."""
        line = self.model.domains[str(self.schema.order)]
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
