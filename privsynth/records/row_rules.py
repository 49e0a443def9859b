"""Records held against inequalities with the row before, or with a table above.

Everything here is a function of one person's own rows: a person still changes no row but their own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.domains.coding import as_ticks
from privsynth.records.number_lines import BrokenRules
from privsynth.records.person_rows import CanonicalColumn, PersonRows, order_of
from privsynth.schema import Column, Schema
from privsynth.schema.constraints import Inequality
from privsynth.schema.row_rules import PREVIOUS, columns_before, names_before

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


def rules_of_rows(schema: Schema) -> list[Inequality]:
    """Return the inequalities that name the row before, or, in a view, a table above."""
    return [
        constraint
        for constraint in schema.constraints
        if isinstance(constraint, Inequality)
        and (
            names_before(constraint, schema.columns)
            or any(schema.columns[name].is_given for name in constraint.columns)
        )
    ]


def broken_rows(
    columns: Mapping[str, CanonicalColumn], persons: IntArray, schema: Schema
) -> dict[str, BrokenRules]:
    """Say which rows break inequalities with the row before, by column and rule.

    Args:
        columns: Canonical columns that the table has.
        persons: Number of each row's person, ``(n_rows,)``.
        schema: Says what they have to keep to.

    Privacy:
        Not private: tells something about the records.
    """
    out: dict[str, BrokenRules] = {}
    for rule in rules_of_rows(schema):
        own = [n for n in rule.columns if n in schema.columns and not schema.columns[n].is_given]
        needed = [*(name.removeprefix(PREVIOUS) for name in rule.columns), schema.order]
        if all(name is None or name in columns for name in needed):
            in_order = _in_order(columns, persons, schema)
            lines = [_line(name, rule, columns, schema, in_order) for name in rule.columns]
            broken = np.zeros(len(persons), dtype=bool)
            broken[in_order.rows] = out_of_order(lines, strict=rule.strict)
            if broken.any():
                named = own[0] if rule.columns[-1] not in own else own[-1]
                out.setdefault(named, {})[said_of(rule)] = broken
    return out


def said_of(rule: Inequality) -> str:
    """Return what a row that breaks an inequality is told to break."""
    return f"a row does not keep to {rule}"


def out_of_order(lines: list[FloatArray], *, strict: bool) -> NDArray[np.bool_]:
    """Say of each row whether a value is above the next one that is not missing (or equal, if strict)."""
    last, broken = np.full(len(lines[0]), -np.inf), np.zeros(len(lines[0]), dtype=bool)
    for line in lines:
        present = ~np.isnan(line)
        broken |= present & ((line <= last) if strict else (line < last))
        last = np.where(present, line, last)
    return broken


def settle_rows(
    columns: Mapping[str, CanonicalColumn], persons: IntArray, schema: Schema
) -> dict[str, CanonicalColumn]:
    """Return the columns that inequalities with the row before move, so that they hold.

    Row after row, a value that lies on the wrong side of the row before is moved to it, as far as public
    bounds allow; where it orders the rows, that of the row before is.

    Args:
        columns: Canonical columns, all of them.
        persons: As for `broken_rows`.
        schema: As for `broken_rows`.

    Privacy:
        Not private: returns the records.
    """
    in_order = _in_order(columns, persons, schema)
    described = schema.columns | columns_before(schema.columns)
    out: dict[str, CanonicalColumn] = {}
    for rule in rules_of_rows(schema):
        before = names_before(rule, schema.columns)
        of_before = [name.removeprefix(PREVIOUS) for name in before]
        values = {n: out.get(n, columns[n]) for n in (*rule.columns, *of_before) if n not in before}
        stays = {n for n in values if schema.columns[n].per}
        if before:
            stays |= {str(schema.order)} & values.keys()
        state = Settling(rule, described, values, {*stays, *before})
        for now, last in _positions(in_order) if before else [(in_order.rows, None)]:
            known = {name: state.ticks[name][now] for name in stays}
            if last is not None:
                known |= {before[0]: _below_order(state, rule, schema, now, last)}
            state.settle(now, known)
        out |= {name: of for name, of in state.columns().items() if not schema.columns[name].per}
    return out


def _below_order(
    state: Settling, rule: Inequality, schema: Schema, now: IntArray, last: IntArray
) -> FloatArray:
    """Return what the rows before hold; where the order of rows is to be above it, it is moved below that."""
    (name,) = names_before(rule, schema.columns)
    own, order = name.removeprefix(PREVIOUS), schema.order
    ticks = state.ticks[own][last]
    if order in rule.columns:
        between = rule.columns[rule.columns.index(name) + 1 : rule.columns.index(str(order))]
        n_links = 1 + sum(~np.isnan(state.ticks[of][now]) for of in between)  # what is missing is no link
        highest = state.ticks[str(order)][now] - n_links * (
            rule.strict and schema.columns[own].step is not None
        )
        ticks = np.where(ticks > highest, highest, ticks)
        state.ticks[own][last] = ticks
    return ticks


def _positions(in_order: PersonRows) -> Iterator[tuple[IntArray, IntArray | None]]:
    """Yield the first rows of persons, then the second ones with those before them, and so on."""
    by_size = np.argsort(-in_order.sizes, kind="stable")
    starts, sizes = in_order.starts[by_size], in_order.sizes[by_size]
    for position in range(int(sizes.max(initial=0))):
        at = starts[: int(np.searchsorted(-sizes, -position, side="left"))] + position
        yield in_order.rows[at], in_order.rows[at - 1] if position else None


class Settling:
    """The columns of one inequality, in ticks, while rows are settled.

    Args:
        rule: The inequality.
        columns: Description of each of its columns, by the names that it has in the inequality.
        values: Canonical columns by name; what is named only by columns that stay may be left out.
        stays: Names in the inequality of what is not moved.
    """

    def __init__(
        self,
        rule: Inequality,
        columns: Mapping[str, Column],
        values: Mapping[str, CanonicalColumn],
        stays: Collection[str],
    ) -> None:
        self._rule, self._columns, self._stays = rule, columns, stays
        self._values = {name: np.asarray(of, dtype=np.float64) for name, of in values.items()}
        self.ticks = {name: as_ticks(of, columns[name].step).copy() for name, of in self._values.items()}
        self._before = {name: ticks.copy() for name, ticks in self.ticks.items()}

    def settle(self, rows: IntArray, known: Mapping[str, FloatArray]) -> None:
        """Move the columns of some rows to the right side of what stays.

        Args:
            rows: Their positions.
            known: Ticks of what stays, by name, NaN where missing; each bounds what stands beyond it.
        """
        moved = [i for i, name in enumerate(self._rule.columns) if name not in self._stays]
        fixed = [i for i, name in enumerate(self._rule.columns) if name in known]
        for sign in (1, -1):
            limit = np.full(len(rows), -sign * np.inf)
            along = list(enumerate(self._rule.columns))[::sign]
            for i, name in along:
                beyond = self._next(limit, sign)
                if name in known:
                    held = np.fmax(beyond, known[name]) if sign > 0 else np.fmin(beyond, known[name])
                    limit = np.where(np.isnan(known[name]), limit, held)
                elif i in moved and any((i - j) * sign > 0 for j in fixed):
                    ticks = self._moved(name, rows, beyond, sign)
                    limit = np.where(np.isnan(ticks), limit, ticks)

    def _moved(self, name: str, rows: IntArray, limit: FloatArray, sign: int) -> FloatArray:
        """Move a column where it lies before a limit; return its ticks."""
        column, ticks = self._columns[name], self.ticks[name][rows]
        ends = [np.nan if end is None else as_ticks(np.array([end]), column.step)[0] for end in column.bounds]
        past = ticks < limit if sign > 0 else ticks > limit
        held = np.fmax(np.fmin(limit, ends[1]), ends[0])
        self.ticks[name][rows] = moved = np.where(past, held, ticks)
        return moved

    def _next(self, limit: FloatArray, sign: int) -> FloatArray:
        if not self._rule.strict:
            return limit
        is_discrete = self._columns[self._rule.columns[-1]].step is not None
        return limit + sign if is_discrete else np.nextafter(limit, sign * np.inf)

    def columns(self) -> dict[str, CanonicalColumn]:
        """Return the columns, with new values where one was moved."""
        out: dict[str, CanonicalColumn] = {}
        for name, ticks in self.ticks.items():
            has_moved = (ticks != self._before[name]) & ~np.isnan(ticks)
            out[name] = np.where(has_moved, _numbers(ticks, self._columns[name]), self._values[name])
        return out


def _numbers(ticks: FloatArray, column: Column) -> FloatArray:
    """Return ticks as canonical numbers."""
    if column.step is None:
        return ticks
    return np.round(ticks * column.step, column.decimals or 0)


def _in_order(columns: Mapping[str, CanonicalColumn], persons: IntArray, schema: Schema) -> PersonRows:
    order = order_of(columns, schema)
    return PersonRows.of(persons, np.arange(len(persons), dtype=np.float64) if order is None else order)


def _line(
    name: str,
    rule: Inequality,
    columns: Mapping[str, CanonicalColumn],
    schema: Schema,
    in_order: PersonRows,
) -> FloatArray:
    """Return a column of a rule in ticks, rows in their order."""
    own = name if name in schema.columns else name.removeprefix(PREVIOUS)
    values = columns[own]
    assert not isinstance(values, pd.Categorical)
    ticks = as_ticks(np.asarray(values, dtype=np.float64), schema.columns[own].step)[in_order.rows]
    if own == name:
        return ticks
    before = np.r_[ticks[:1], ticks[:-1]]
    return np.where(in_order.is_first, np.nan, before)
