"""Records in an engine, as a curator asks them: each answer is the sum of one aggregate query."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from privsynth.counting.coded_rows import CodedColumns, RowFile
from privsynth.counting.joint import check_codings, summed_over, whole_of_each
from privsynth.domains.coding import Coding, NumberCoding
from privsynth.io.engines import EngineSource
from privsynth.privacy.randomness import OsEntropy, SecureRandom
from privsynth.privacy.units import CUT_GRID, PERSON_GRID, Weighting
from privsynth.records.conform import OnViolation
from privsynth.schema import Column, Schema
from privsynth.warehouse.canonical import PERSON, WEIGHT, CanonicalColumn, keep_canonical
from privsynth.warehouse.codes import code_of_key, code_of_number, code_of_position
from privsynth.warehouse.session import Session

IntArray = NDArray[np.int64]
T = TypeVar("T")
Columns = tuple[str, ...]

TABLES_AT_ONCE = 16  # in one query
_LARGEST_INTEGER = 2**31


class RecordsInEngine:
    """Real records in an engine, cut and weighed by unit; see `privsynth.privacy.records.SensitiveRecords`.

    Args:
        source: The table, opened.
        schema: What is public about it; complete.
        on_violation: As for `privsynth.records.conform.conform`.
        rows_may_leave: Whether `rows` answers.
        salt: Of the choice of a person's rows; a fresh one by default. For tests.

    Raises:
        SchemaError, TableError: See `privsynth.warehouse.canonical.keep_canonical`.

    Privacy:
        Not private: every answer is exact. Only a curator may have it.
    """

    def __init__(
        self,
        source: EngineSource,
        schema: Schema,
        on_violation: OnViolation,
        *,
        rows_may_leave: bool = False,
        salt: str | None = None,
    ) -> None:
        self._source, self.rows_may_leave = source, rows_may_leave
        self._session = Session(source)
        try:
            self._records = keep_canonical(self._session, source, schema, on_violation, salt=salt)
        except BaseException:
            self._session.close()
            raise
        cap = schema.max_records_per_person
        self.weighting = Weighting(
            rows=None, weights=None, units_per_one=1 if cap is None else PERSON_GRID, max_records=cap or 1
        )
        self._codings: dict[str, Coding] = {}
        self._coded: str | None = None
        self._tables: dict[Columns, IntArray] = {}
        self._rows: CodedColumns | None = None
        self._drawn: dict[Hashable, Any] = {}  # from the system's entropy, as all that is not noise

    @property
    def has_snapshot(self) -> bool:
        """Whether the one statement that took the records saw one state of their table; public."""
        return self._session.dialect.has_snapshots

    @property
    def n_queries(self) -> int:
        """How many queries were asked; public."""
        return self._session.n_queries

    def close(self) -> None:
        """Drop what was kept in the engine."""
        self._session.close()

    # -- tables ------------------------------------------------------------------------------------------

    def tables(self, sets: Sequence[Columns], codings: Mapping[str, Coding]) -> Iterator[IntArray]:
        """See `SensitiveRecords`."""
        self._use(codings)
        wanted = [columns for columns in dict.fromkeys(sets) if columns not in self._tables]
        wholes = whole_of_each(wanted, codings)
        several = [whole for whole in dict.fromkeys(wholes.values()) if len(whole) > 1]
        counted = {w: self._counts_of_few(w) for w in dict.fromkeys(wholes.values()) if len(w) < 2}
        for i in range(0, len(several), TABLES_AT_ONCE):
            counted |= self._counts_of_many(several[i : i + TABLES_AT_ONCE])
        for part, whole in wholes.items():
            self._tables[part] = _inside(summed_over(counted[whole].astype(np.float64), whole, part))
        for columns in sets:
            yield self._tables[columns].copy()

    def cut_table(self, columns: Columns, codings: Mapping[str, Coding], norm: float) -> IntArray:
        """See `SensitiveRecords`."""
        self._use(codings)
        d, sizes = self._session.dialect, [codings[name].size for name in columns]
        codes = ", ".join(f"{self._code(name)} AS c{i}" for i, name in enumerate(columns))
        inside = " AND ".join(f"c{i} >= 0" for i in range(len(columns)))
        person, weight = (PERSON, WEIGHT) if self._records.has_persons else ("NULL", "1")
        coded = f"SELECT {person} AS p, {weight} AS w, {codes} FROM {self._records.name}{d.barrier}"
        rows = f"SELECT p, w, {_packed(sizes)} AS k FROM ({coded}) AS s WHERE {inside}"
        own = (
            f"SELECT p, k, {d.as_double('SUM(w)')} AS n FROM ({rows}) AS s WHERE p IS NOT NULL GROUP BY p, k"
        )
        alone = (
            f"SELECT k, {d.as_double('w')} AS n, {d.as_double('w')} AS l FROM ({rows}) AS s WHERE p IS NULL"
        )
        lengths = f"SELECT k, n, SQRT(SUM(n * n) OVER (PARTITION BY p)) AS l FROM ({own}) AS s"
        least = f"LEAST({d.number(1.0 / self.weighting.units_per_one)}, {d.number(norm)} / l)"
        scale = f"{least} * {d.number(CUT_GRID)} * {d.number(1.0 - 2.0**-40)}"
        cut = f"CAST(SUM({d.as_whole(d.floor(f'n * ({scale})'))}) AS BIGINT)"
        k, n = self._session.ask(f"SELECT k, {cut} AS n FROM ({lengths} UNION ALL {alone}) AS s GROUP BY k")
        return _filled(k, n, sizes)

    def _counts_of_few(self, columns: Columns) -> IntArray:
        """Return the table of one column, or of none, without coding the others."""
        if not columns:
            (n,) = self._session.ask(f"SELECT {self._records.weight} AS n FROM {self._records.name}")
            return np.asarray(n[0], dtype=np.int64)
        name, d = columns[0], self._session.dialect
        weight = f", {WEIGHT}" if self._records.has_persons else ""
        coded = f"SELECT {self._code(name)} + 1 AS k{weight} FROM {self._records.name}{d.barrier}"
        k, n = self._session.ask(f"SELECT k, {self._records.weight} AS n FROM ({coded}) AS s GROUP BY k")
        return _filled(k, n, [self._codings[name].size + 1])

    def _counts_of_many(self, sets: Sequence[Columns]) -> dict[Columns, IntArray]:
        """Return some tables with cells for what lies outside, the first of each column, by one query."""
        if self._coded is None:
            self._coded = self._keep_codes()
        places = {name: i for i, name in enumerate(self._codings)}
        keys = []
        for columns in sets:
            sizes = [self._codings[name].size + 1 for name in columns]
            keys.append(f"CAST({_packed(sizes, *(places[name] for name in columns))} AS BIGINT)")
        weighed = [WEIGHT] if self._records.has_persons else []
        query = self._session.dialect.grouped(self._coded, keys, self._records.weight, weighed)
        s, k, n = self._session.ask(query)
        found = {}
        for i, columns in enumerate(sets):
            sizes = [self._codings[name].size + 1 for name in columns]
            found[columns] = _filled(k[s == i], n[s == i], sizes)
        return found

    def _keep_codes(self) -> str:
        """Keep the codes of all columns, plus 1, in the engine: what lies outside is 0."""
        coded = [
            f"CAST({self._code(name)} + 1 AS {'SMALLINT' if coding.size < 2**15 - 1 else 'INTEGER'}) AS c{i}"
            for i, (name, coding) in enumerate(self._codings.items())
        ]
        coded += [WEIGHT] if self._records.has_persons else []
        coded += [PERSON] if self._records.has_persons and self.rows_may_leave else []
        return self._session.keep("codes", f"SELECT {', '.join(coded)} FROM {self._records.name}")

    # -- values ------------------------------------------------------------------------------------------

    def observed(self, columns: Sequence[Column], at_least: int = 1) -> tuple[list[NDArray[Any]], IntArray]:
        """See `SensitiveRecords`."""
        held = [self._records.columns[column.name] for column in columns]
        names = [f"{c.ticks} AS o{i}" for i, c in enumerate(held)]
        by = ", ".join(c.ticks for c in held)
        missing = f" WHERE {by} IS NOT NULL" if len(held) == 1 else ""
        counted = f"SELECT {', '.join(names)}, {self._records.weight} AS n FROM {self._records.name}"
        having = f" HAVING {self._records.weight} >= {int(at_least)}" if at_least > 1 else ""
        query = f"{counted}{missing} GROUP BY {by}{having}"
        *found, counts = self._session.ask(query)
        codes, values = zip(*map(_values_of, held, found), strict=True)
        order = np.lexsort(codes[::-1])
        return [of[order] for of in values], counts[order].astype(np.int64)

    def rows(self, codings: Mapping[str, Coding]) -> CodedColumns:
        """See `SensitiveRecords`: fetched once, each person's rows side by side, into a private file.

        Raises:
            TableError: If they may not leave the engine.
        """
        if not self.rows_may_leave:
            self._source.require_rows()
        self._use(codings)
        if self._rows is None:
            self._rows = self._fetched()
        return self._rows

    def _fetched(self) -> CodedColumns:
        """Fetch the codes of all rows; names of persons stay behind, where each one's rows begin does not."""
        if self._coded is None:
            self._coded = self._keep_codes()
        n_rows = int(self._session.ask(f"SELECT COUNT(*) AS n FROM {self._coded}")[0][0])
        columns = [f"c{i}" for i in range(len(self._codings))]
        query = f"SELECT {', '.join(columns)} FROM {self._coded}"
        if self._records.has_persons:
            nth = f"ROW_NUMBER() OVER (PARTITION BY {PERSON} ORDER BY {columns[0]})"
            numbered = f"SELECT {', '.join(columns)}, {PERSON}, {nth} AS n FROM {self._coded}"
            first = f"CASE WHEN {PERSON} IS NULL OR n = 1 THEN 1 ELSE 0 END"
            query = f"SELECT {', '.join(columns)}, {first} AS f FROM ({numbered}) AS s ORDER BY {PERSON}, n"
        file, n_read = RowFile(self._codings, n_rows), 0
        begins: list[IntArray] = []
        for part in self._session.rows(query):
            at = slice(n_read, n_read + len(part[0]))
            file.write(at, [codes - 1 for codes in part[: len(columns)]])
            if self._records.has_persons:
                begins.append(np.flatnonzero(part[-1]) + n_read)
            n_read = at.stop
        sizes = np.diff(np.r_[np.concatenate(begins), n_rows]) if begins else None
        return file.rows(replace(self.weighting, sizes=sizes))

    def once(self, what: Hashable, draw: Callable[[SecureRandom], T]) -> T:
        """See `SensitiveRecords`."""
        if what not in self._drawn:
            self._drawn[what] = draw(OsEntropy().for_step(0))
        drawn: T = self._drawn[what]
        return drawn

    # -- codes -------------------------------------------------------------------------------------------

    def _code(self, name: str) -> str:
        """Return the code of a column of canonical records, as SQL."""
        held, coding, d = self._records.columns[name], self._codings[name], self._session.dialect
        if isinstance(coding, NumberCoding):
            if coding.step not in (None, held.column.step):
                raise TypeError("expected a coding of numbers in the steps of their column")
            return code_of_number(coding, held.value if coding.step is None else held.ticks, d)
        if held.column.labels is not None:
            return code_of_position(coding, held.value, held.column.labels)
        return code_of_key(coding, held.value, d)

    def _use(self, codings: Mapping[str, Coding]) -> None:
        """Take up codings; codes and tables belong to one set of them."""
        check_codings(codings)
        if list(self._codings.items()) != list(codings.items()):  # rows have their order
            if self._coded is not None:
                self._session.drop(self._coded)
            self._codings, self._coded, self._tables = dict(codings), None, {}
            self._rows = None


def _packed(sizes: Sequence[int], *places: int) -> str:
    """Return joint codes as one number, as SQL."""
    kind = "INTEGER" if math.prod(sizes) < _LARGEST_INTEGER else "BIGINT"
    names = [f"c{i}" for i in (places or range(len(sizes)))]
    joint = f"CAST({names[0]} AS {kind})"
    for size, name in zip(sizes[1:], names[1:], strict=True):
        joint = f"({joint}) * {size} + {name}"
    return joint


def _filled(cells: NDArray[Any], counts: NDArray[Any], sizes: Sequence[int]) -> IntArray:
    """Return the table of some cells and their counts; all others are empty."""
    table = np.zeros(math.prod(sizes), dtype=np.int64)
    table[cells.astype(np.int64)] = counts.astype(np.int64)
    return table.reshape(tuple(sizes))


def _inside(table: NDArray[Any]) -> IntArray:
    """Return a table without the cells of what lies outside, the first of each column."""
    return np.asarray(table)[(slice(1, None),) * np.ndim(table)].astype(np.int64)


def _values_of(held: CanonicalColumn, found: NDArray[Any]) -> tuple[IntArray, NDArray[Any]]:
    """Return the order of canonical values, missing first, and the values as memory gives them."""
    is_missing = (
        np.array([value is None for value in found]) if found.dtype == object else np.zeros(len(found), bool)
    )
    labels = held.column.labels
    if labels is not None:
        position = np.where(is_missing, -1, found).astype(np.int64)
        return position, np.array([*labels, None], dtype=object)[position]
    if held.column.is_numeric:
        numbers = np.where(is_missing, np.nan, found).astype(np.float64)
        values = numbers.astype(object)
        values[is_missing] = None
        _, order = np.unique(np.where(is_missing, -np.inf, numbers), return_inverse=True)
        return order.astype(np.int64), values if is_missing.any() else numbers
    texts = [None if value is None else bytes(value).decode() for value in found]
    rank = {text: i for i, text in enumerate(sorted(text for text in texts if text is not None))}
    order = np.array([-1 if text is None else rank[text] for text in texts], dtype=np.int64)
    return order, np.array([*texts, None], dtype=object)[:-1]
