"""The rows of persons, drawn one after another: each given the person and the row before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from privsynth.domains.encoding import DiscreteDomain, Domain, NumericDomain
from privsynth.sampling.bound_rows import Known
from privsynth.sampling.completion import Completion
from privsynth.sampling.constrained import OrderedFactor
from privsynth.sampling.factors import Drawn
from privsynth.sampling.posterior import LogWeights, as_weights
from privsynth.sampling.reach import Reach, RowsToCome
from privsynth.sampling.row_rules import Chain, Room, settled
from privsynth.sampling.table_model import CELLS_AT_ONCE, TableModel
from privsynth.schema import Schema
from privsynth.schema.row_rules import PREVIOUS, RISES
from privsynth.schema.sequences import FIRST, GAP, N_RECORDS, START, columns_of_rows, moving_columns

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
    def completion(self) -> Completion:
        """What draws columns of rows given others."""
        return Completion(self.model)

    @cached_property
    def _own(self) -> list[str]:
        return [column.name for column in columns_of_rows(self.schema)]

    @cached_property
    def _moves(self) -> dict[str, int]:
        """The columns that follow from how far they move; those of which no distance was found are drawn."""
        found, domains = moving_columns(self.schema), self.model.domains
        return {name: sign for name, sign in found.items() if _has_values(domains[GAP + name])}

    @cached_property
    def _chains(self) -> list[Chain]:
        """The inequalities that bind columns of rows."""
        own = set(self._own)
        factors = [factor for factor in self.model.factors if isinstance(factor, OrderedFactor)]
        return [factor.chain for factor in factors if own & set(factor.columns)]

    @cached_property
    def _order(self) -> Chain | None:
        """That rows only move on in their order."""
        if self.schema.order is None:
            return None
        line = self.model.domains[self.schema.order]
        assert isinstance(line, NumericDomain)
        columns = (PREVIOUS + self.schema.order, self.schema.order)
        return Chain(columns, strict=True, is_discrete=line.grid.discrete)

    def _room(self, known: Mapping[str, Known], n_records: IntArray) -> Room:
        """Return what the rows of persons have to leave for those after them."""
        chains = [*self._chains, *([] if self._order is None else [self._order])]
        own = {*self._own, *(PREVIOUS + name for name in self._own)}
        bound = {name for chain in chains for name in chain.columns} - own
        given = {name: t for name in bound if name in known and (t := known[name].ticks) is not None}
        return Room(chains, self.model.domains, self._own, given, int(n_records.max(initial=1)) - 1)

    def rows(self, persons: dict[str, Drawn], rng: np.random.Generator) -> tuple[dict[str, Drawn], IntArray]:
        """Return the columns of all rows, and the position of each row's person: rows of one together."""
        n_records = numbers_of(self.model.domains[N_RECORDS], persons[N_RECORDS])
        known = {name: Known.of(self.model.domains[name], values) for name, values in persons.items()}
        known = self._with_start(known, n_records)
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
        logs = self.completion.log_weights(known, len(n_records))
        within = {start: self._limits_of_start(known, n_records)} if self._chains else {}
        drawn = self.completion.draw(known, logs, rng, columns=[start], within=within)[start]
        known = known | {start: Known.of(self.model.domains[start], drawn)}
        return self._with_start(known, n_records)

    def n_that_fit(self, known: Mapping[str, Known], n_records: IntArray) -> IntArray:
        """Return how many rows of each parent there is room for: of none more than given, maybe none at all.

        Args:
            known: What is known of parents, by column.
            n_records: How many rows each has.
        """
        return self._room(known, n_records).n_that_fit(n_records) if self._chains else n_records

    def n_that_follow(self, known: Mapping[str, Known], last: dict[str, Known], left: IntArray) -> IntArray:
        """Return for how many rows after the last one of each person there is room, of so many.

        Args:
            known: What is known of persons, by column.
            last: Own columns of the last row of each.
            left: How many rows shall follow, ``(n_persons,)``.
        """
        room, rows, n = self._room(known, left), np.arange(len(left)), left.copy()
        chains = [*self._chains, *([] if self._order is None else [self._order])]
        ticks = _ticks_of({**known, **self._before(last, len(left))})
        if self._order is not None:
            ticks[self._order.columns[0]] = _known_ticks(last[str(self.schema.order)])
        while True:
            fits = np.ones(len(n), dtype=bool)
            for name in room.columns:
                low, high = room.limits(name, np.maximum(n - 1, 0), rows)
                for chain in chains:
                    if name in chain.columns:
                        low, high = chain.limits(name, ticks, low, high)
                fits &= low <= high
            if (fits | (n <= 0)).all():
                return n
            n = np.where(fits, n, np.maximum(n - 1, 0))

    def _with_start(self, known: dict[str, Known], n_records: IntArray) -> dict[str, Known]:
        """Return what is known of persons, their rows beginning early enough for all of them."""
        if self.schema.order is None:
            return known
        start = START + self.schema.order
        low, high = self._limits_of_start(known, n_records)
        ticks = known[start].ticks
        assert ticks is not None
        return known | {
            start: Known.of(self.model.domains[start], np.clip(ticks, low, np.maximum(high, low)))
        }

    def _limits_of_start(
        self, known: Mapping[str, Known], n_records: IntArray
    ) -> tuple[FloatArray, FloatArray]:
        room, rows = self._room(known, n_records), np.arange(len(n_records))
        return room.limits(str(self.schema.order), np.maximum(n_records - 1, 0), rows)

    def rows_of(
        self, known: dict[str, Known], n_records: IntArray, rng: np.random.Generator
    ) -> tuple[dict[str, Drawn], IntArray]:
        """Return the rows' own columns, and the position of each row's person: rows of one together.

        Args:
            known: What is known of persons, by column, ``start.X`` among it where X orders their rows.
            n_records: How many rows each has, 1 at least, ``(n_persons,)``.
            rng: Source of the draws.
        """
        return self.rows_after(known, n_records, n_records, None, rng)

    def rows_after(
        self,
        known: dict[str, Known],
        n_records: IntArray,
        left: IntArray,
        last: dict[str, Known] | None,
        rng: np.random.Generator,
    ) -> tuple[dict[str, Drawn], IntArray]:
        """Return the rows that follow those that persons have, as `rows_of` does.

        Args:
            known: As for `rows_of`.
            n_records: How many rows each has in all, ``(n_persons,)``.
            left: How many rows are drawn, ``(n_persons,)``.
            last: Own columns of the last row that each has; None if they have none.
            rng: Source of the draws.
        """
        of_persons, room = self.completion.log_weights(known, len(n_records)), self._room(known, left)
        who, before = np.arange(len(n_records)), last
        reach = self._reach(of_persons, left)
        steps: list[dict[str, Drawn]] = []
        active: list[IntArray] = []
        for position in range(1, int(left.max(initial=1 if last is None else 0)) + 1):
            goes_on = np.flatnonzero(left[who] >= position)
            who = who[goes_on]
            before = None if before is None else {name: of.of_rows(goes_on) for name, of in before.items()}
            rest = left[who] - position
            limits = {name: room.limits(name, rest, who) for name in room.columns}
            of_step = {name: of.of_rows(who) for name, of in known.items()}
            to_come = None
            if reach is not None and before is not None and rest.any():
                end = room.limits(str(self.schema.order), np.zeros_like(rest), who)[1]
                gone = _known_ticks(before[str(self.schema.order)])
                to_come = RowsToCome(reach, reach.group[who], rest, end - gone)
            drawn = self._step(
                of_step,
                of_persons if len(who) == len(left) else of_persons[who],
                before,
                n_records[who],
                limits,
                rng,
                to_come,
            )
            before = {name: Known.of(self.model.domains[name], values) for name, values in drawn.items()}
            steps.append(drawn)
            active.append(who)
        person = np.concatenate([who[:0], *active])
        place = np.repeat(np.arange(len(active)), [len(each) for each in active])
        order = np.lexsort((place, person))
        empty: Drawn = np.zeros(0)
        drawn = {name: np.concatenate([step[name] for step in steps] or [empty])[order] for name in self._own}
        return drawn, person[order]

    def _reach(self, of_persons: LogWeights, left: IntArray) -> Reach | None:
        """Return how likely rows find room, by how far those of each person move on."""
        order = self.schema.order
        if order is None or left.max(initial=0) < 2 or not _has_values(self.model.domains[GAP + order]):
            return None
        gap = self.model.domains[GAP + order]
        assert isinstance(gap, NumericDomain)
        block = self.completion.block(GAP + order)[:, : gap.n_bins]
        later = {FIRST: Known(np.zeros(1, dtype=np.int64), None)}
        more = self.completion.log_weights(later, 1) + self.calibration[0]
        parts = range(0, len(of_persons), CELLS_AT_ONCE)
        laws = [as_weights(of_persons[begin : begin + CELLS_AT_ONCE] + more) @ block for begin in parts]
        return Reach(gap, np.concatenate([np.empty((0, gap.n_bins)), *laws]))

    def _step(
        self,
        known: dict[str, Known],
        logs: LogWeights,
        before: dict[str, Known] | None,
        n_records: IntArray,
        limits: Mapping[str, tuple[FloatArray, FloatArray]],
        rng: np.random.Generator,
        to_come: RowsToCome | None,
    ) -> dict[str, Drawn]:
        """Draw the next row of each person.

        Args:
            known: What is known of the persons.
            logs: The same as log-weights of the components.
            before: The row before; None before the first.
            n_records: How many rows each person has.
            limits: The smallest and the largest tick of columns that inequalities bind, with room for the
                rows that follow.
            rng: Source of the draws.
            to_come: The rows after each, where they have an order; None where none has any.
        """
        n, order, is_first = len(n_records), self.schema.order, int(before is None)
        new = {FIRST: Known(np.full(n, is_first, dtype=np.int64), None)} | self._before(before, n)
        logs = _added(self.completion.log_weights(new, n), logs, self.calibration[is_first])
        known = known | new
        if before is not None:
            new = self._moved(known, logs, before, limits, rng, to_come)
        else:
            new = {} if order is None else {order: self._begins(known[START + order])}
        logs = _added(self.completion.log_weights(new, n), logs) if new else logs
        known = known | new
        tally = self.tally

        def note(part: slice, weights: NDArray[np.float32]) -> None:
            if tally is not None:
                tally[is_first] += (1.0 / n_records[part]) @ (weights / weights.sum(axis=1, keepdims=True))

        within = {
            name: ends for name, ends in limits.items() if name not in known and self._binds(name, ends)
        }
        drawn = self.completion.draw(known, logs, rng, columns=self._own, note=note, within=within)
        drawn = {name: drawn[name] for name in self._own}
        return drawn | settled(self._chains, _ticks_of(known), _ticks_in(drawn, self.model.domains))

    def _begins(self, start: Known) -> Known:
        """Return where persons' rows begin as where their first rows stand."""
        return Known.of(self.model.domains[str(self.schema.order)], _known_ticks(start))

    def _before(self, before: dict[str, Known] | None, n: int) -> dict[str, Known]:
        """Return the row before as a row knows it; of first rows what inequalities ask, which is missing."""
        domains, new = self.model.domains, {}
        if before is None:
            named = {name for chain in self._chains for name in chain.columns if name.startswith(PREVIOUS)}
            missing = {name: domains[name].size - 1 for name in named if name in domains}
            return {
                name: Known(np.full(n, code, dtype=np.int64), np.full(n, np.nan))
                for name, code in missing.items()
            }
        for name, values in before.items():
            lag = PREVIOUS + name
            if name != self.schema.order:
                new[lag] = _as_lag(domains[name], domains[lag], values)
        return new

    def _moved(
        self,
        known: dict[str, Known],
        logs: LogWeights,
        before: dict[str, Known],
        limits: Mapping[str, tuple[FloatArray, FloatArray]],
        rng: np.random.Generator,
        to_come: RowsToCome | None,
    ) -> dict[str, Known]:
        """Return how far rows have moved on, and where they are: in their order, and as inequalities say."""
        domains, order = self.model.domains, self.schema.order
        known_before = {name for name, of in before.items() if (of.codes >= 0).all()}
        moving = {name: sign for name, sign in self._moves.items() if name in known_before}
        moves = ({} if order is None else {order: RISES}) | moving
        if not moves:
            return {}
        ticks, ends, within = _ticks_of(known), {}, {}
        for name, sign in moves.items():
            chains = [chain for chain in self._chains if name in chain.columns]
            low, high = limits[name]
            start = _known_ticks(before[name])
            if name == order:
                assert self._order is not None
                low = np.fmax(low, self._order.moved(start, 1))
            for chain in chains:
                low, high = chain.limits(name, ticks, low, high)
            ends[name] = (low, np.maximum(high, low))
            within[GAP + name] = (low - start, high - start) if sign == RISES else (start - high, start - low)
        drawn = self.completion.draw(
            known,
            logs,
            rng,
            columns=[GAP + name for name in moves],
            within=within,
            moving=moving.keys(),
            to_come={} if to_come is None else {GAP + str(order): to_come},
        )
        new = {}
        for name, sign in moves.items():
            gap = np.nan_to_num(drawn[GAP + name].astype(np.float64), nan=1.0)
            place = np.clip(_known_ticks(before[name]) + sign * gap, *ends[name])
            new[GAP + name] = Known.of(domains[GAP + name], gap)
            new[name] = Known.of(domains[name], place)
        return new

    def _binds(self, name: str, ends: tuple[FloatArray, FloatArray]) -> bool:
        """Whether ends leave less of a column than its whole line."""
        grid = self.model.domains[name].grid  # type: ignore[union-attr]  # inequalities are of number lines
        return bool((ends[0] > grid.low).any() or (ends[1] < grid.high).any())


def _added(logs: LogWeights, *more: LogWeights) -> LogWeights:
    """Return log-weights with others added to them, in place."""
    for each in more:
        logs += each
    return logs


def _has_values(domain: Domain) -> bool:
    return isinstance(domain, NumericDomain) and domain.n_bins > 0


def _known_ticks(known: Known) -> FloatArray:
    assert known.ticks is not None
    return known.ticks


def _ticks_of(known: Mapping[str, Known]) -> dict[str, FloatArray]:
    return {name: of.ticks for name, of in known.items() if of.ticks is not None}


def _ticks_in(drawn: Mapping[str, Drawn], domains: Mapping[str, Domain]) -> dict[str, FloatArray]:
    lines = {name for name in drawn if isinstance(domains[name], NumericDomain)}
    return {name: values.astype(np.float64) for name, values in drawn.items() if name in lines}


def _as_lag(domain: Domain, lag: Domain, values: Known) -> Known:
    """Return what a row holds of a column as what the next row has before it."""
    if isinstance(domain, NumericDomain):
        found = Known.of(lag, _known_ticks(values))
        return Known(np.where(values.codes < 0, -1, found.codes), found.ticks)
    codes = values.codes
    if domain.has_missing:
        codes = np.where(codes == domain.size - 1, lag.size - 1, codes)
    return Known(codes, None)


def numbers_of(domain: Domain, drawn: Drawn) -> IntArray:
    """Return the whole numbers that were drawn of a column that counts."""
    if isinstance(domain, DiscreteDomain):
        return np.array(domain.values, dtype=np.int64)[drawn.astype(np.int64)]
    return drawn.astype(np.int64)
