"""How each engine writes what is asked of it: exact functions of one value, or of one person's rows, alone.

Doubles are compared and rounded as IEEE 754 says in all of them, so that they count what memory counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from privsynth.schema.plain_values import MAX_GRID_INTEGER

# what `str.strip` of Python strips
SPACES = "".join(map(chr, [*range(9, 14), *range(28, 33), 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B)]))
SPACES += "\u2028\u2029\u202f\u205f\u3000"
_LARGEST = float(np.finfo(np.float64).max)
LAST_SECOND = 9_000_000_000_000  # near the year 287,000: DuckDB's own clock ends a little later


class Dialect:
    """What is common to the engines: arguments and answers are SQL."""

    double = "DOUBLE"
    text_type = "VARCHAR"
    barrier = ""  # behind a subquery whose columns are not to be computed again where they are used
    has_snapshots = True  # whether what is asked between `begin` and `end` sees one state of the table

    # -- names and public constants ----------------------------------------------------------------------

    def name(self, name: str) -> str:
        """Return a name, quoted."""
        return '"' + name.replace('"', '""') + '"'

    def number(self, number: float) -> str:
        """Return a double, exactly: engines read its shortest decimals."""
        if math.isinf(number):
            return f"CAST('{'-' * (number < 0)}Infinity' AS {self.double})"
        return f"CAST('{float(number)!r}' AS {self.double})"

    def text(self, text: str) -> str:
        """Return a text as a constant."""
        raise NotImplementedError

    def key_of(self, text: str) -> str:
        """Return a text as a constant, as `key` gives texts."""
        raise NotImplementedError

    # -- functions of one value --------------------------------------------------------------------------

    def as_double(self, value: str) -> str:
        """Return a number as a double."""
        return f"CAST({value} AS {self.double})"

    def decimal_as_double(self, value: str) -> str:
        """Return a decimal as the nearest double, an infinite one where it is larger than all."""
        return self.as_double(self.as_text(value))

    def parsed(self, text: str) -> str:
        """Return a text that is a number, as `matches` has made sure, as a double."""
        return self.as_double(text)

    def as_text(self, value: str) -> str:
        """Return a value as text."""
        return f"CAST({value} AS {self.text_type})"

    def as_whole(self, value: str) -> str:
        """Return a whole double as a 64-bit integer."""
        return f"CAST({value} AS BIGINT)"

    def single_as_double(self, value: str) -> str:
        """Return a number of single precision as the shortest decimals that are stored so."""
        return self.as_double(self.as_text(value))

    def decimal_as_text(self, value: str) -> str:
        """Return a decimal as `category_text` writes it: a whole one digit by digit; NULL for NaN."""
        number, is_nan = self.decimal_as_double(value), f"{self.as_text(value)} = 'NaN'"
        whole = f"WHEN {value} = FLOOR({value}) THEN {self.as_text(f'FLOOR({value})')}"
        return f"CASE WHEN {is_nan} THEN NULL {whole} ELSE {self.as_text(number)} END"

    def float_as_text(self, value: str, *, is_single: bool) -> str:
        """Return a float as `category_text` writes it; NULL for NaN."""
        is_whole = f"{value} = FLOOR({value}) AND ABS({value}) < {self.number(MAX_GRID_INTEGER)}"
        whole, nan = self.as_text(self.as_whole(value)), self.number(math.nan)
        text = self.as_text(value)
        return f"CASE WHEN {value} = {nan} THEN NULL WHEN {is_whole} THEN {whole} ELSE {text} END"

    def without_zeros(self, text: str) -> str:
        """Return a whole number that is written with decimals without them."""
        return f"rtrim(rtrim({text}, '0'), '.')"

    def clean(self, text: str) -> str:
        """Return a text as `category_text` has it: composed (Unicode NFC), without blanks around it."""
        raise NotImplementedError

    def clean_id(self, text: str) -> str:
        """Return a person's text as `clean` does, different ones for different persons."""
        return self.clean(text)

    def key(self, text: str) -> str:
        """Return a clean text as its bytes: compared byte by byte, whatever the collation."""
        raise NotImplementedError

    def hexadecimal(self, key: str) -> str:
        """Return bytes as small hexadecimal digits."""
        raise NotImplementedError

    def matches(self, text: str, pattern: str) -> str:
        """Say whether all of a text matches a regular expression without quotes."""
        raise NotImplementedError

    def seconds(self, moment: str, *, is_date: bool, zone: str | None) -> str:
        """Return a date or time as whole seconds since 1970, rounded down, as the clock in a zone shows them.

        Infinite ones, and those beyond what the engine counts seconds of, are infinite. ``zone`` is None for
        dates, and for times that have no zone.
        """
        raise NotImplementedError

    def floor(self, number: str) -> str:
        """Return a double rounded down to a whole one, as a double."""
        return f"FLOOR({number})"

    def finite(self, number: str) -> str:
        """Return a number, NULL where it is infinite."""
        return f"CASE WHEN ABS({number}) <= {self.number(_LARGEST)} THEN {number} END"

    def is_infinite(self, number: str) -> str:
        """Say whether a number is infinite."""
        return f"ABS({number}) > {self.number(_LARGEST)}"

    def rint(self, number: str) -> str:
        """Return a number rounded to a whole one, halves to even; engines' own functions differ in that."""
        low, half, one = self.floor(number), self.number(0.5), self.number(1.0)
        odd = f"{low} - 2 * {self.floor(f'{low} / 2')}"
        return (
            f"CASE WHEN {number} - {low} > {half} THEN {low} + {one} "
            f"WHEN {number} - {low} < {half} THEN {low} ELSE {low} + ({odd}) END"
        )

    def cell(self, number: str, edges: Sequence[float], codes: Sequence[int]) -> str:
        """Return the code of the last cell whose left edge is not above a number, else that of the first."""
        return self._tree(number, [self.number(edge) for edge in edges], list(map(str, codes)))

    def code(self, key: str, codes: Sequence[tuple[str, int]], other: int) -> str:
        """Return the code of a listed key, each as `key_of` takes it, and another for what is not listed."""
        listed = sorted(codes, key=lambda pair: pair[0].encode())
        if not listed:
            return str(other)
        keys = [self.key_of(text) for text, _ in listed]
        found = [
            f"CASE WHEN {key} = {of} THEN {code} ELSE {other} END"
            for of, (_, code) in zip(keys, listed, strict=True)
        ]
        return self._tree(key, keys, found)

    def _tree(self, value: str, edges: list[str], leaves: list[str]) -> str:
        """Return a balanced tree of comparisons: as many a row as the number of edges has digits."""
        if len(leaves) == 1:
            return leaves[0]
        at = len(leaves) // 2
        low, high = self._tree(value, edges[:at], leaves[:at]), self._tree(value, edges[at:], leaves[at:])
        return f"CASE WHEN {value} < {edges[at]} THEN {low} ELSE {high} END"

    # -- statements --------------------------------------------------------------------------------------

    def grouped(self, table: str, keys: Sequence[str], weight: str, weighed: Sequence[str]) -> str:
        """Return a query of the weight of each value of each of some keys: the key's number, value, weight.

        Args:
            table: That is counted.
            keys: 64-bit integers of its columns.
            weight: Sum of the weights of some rows.
            weighed: Columns of which the weight is a sum.
        """
        return " UNION ALL ".join(
            f"SELECT {i} AS s, {key} AS k, {weight} AS n FROM {table} GROUP BY 2"
            for i, key in enumerate(keys)
        )

    def begin(self) -> list[str]:
        """Return what begins a transaction with one snapshot."""
        return []

    def end(self) -> list[str]:
        """Return what ends it."""
        return []

    def keep(self, name: str, query: str) -> str:
        """Return the statement that keeps a query's rows in the engine until the session ends."""
        return f"CREATE TEMPORARY TABLE {self.name(name)} AS {query}"

    def drop(self, name: str) -> str:
        """Return the statement that drops what was kept under a quoted name."""
        return f"DROP TABLE IF EXISTS {name}"


class DuckDB(Dialect):
    """DuckDB."""

    def text(self, text: str) -> str:
        return "decode(" + self._bytes(text) + ")" if _is_odd(text) else _quoted(text)

    def key_of(self, text: str) -> str:
        return self._bytes(text) if _is_odd(text) else f"encode({_quoted(text)})"

    def _bytes(self, text: str) -> str:
        return "'" + "".join(f"\\x{byte:02X}" for byte in text.encode()) + "'::BLOB"

    def clean(self, text: str) -> str:
        composed = f"CASE WHEN contains({text}, chr(0)) THEN {text} ELSE nfc_normalize({text}) END"
        return f"trim({composed}, {self.text(SPACES)})"  # nfc_normalize ends a text at its first NUL

    def key(self, text: str) -> str:
        return f"encode({text})"

    def parsed(self, text: str) -> str:
        return f"TRY_CAST({text} AS {self.double})"

    def hexadecimal(self, key: str) -> str:
        return f"lower(hex({key}))"

    def matches(self, text: str, pattern: str) -> str:
        return f"regexp_full_match({text}, '{pattern}')"

    def seconds(self, moment: str, *, is_date: bool, zone: str | None) -> str:
        at = f"TRY_CAST({moment} AS TIMESTAMP)"
        is_beyond = f"({moment} IS NOT NULL AND {at} IS NULL)"
        if zone is not None:
            at = f"timezone({self.text(zone)}, {moment})"
            is_beyond = f"(isfinite({moment}) AND abs(epoch({moment})) > {LAST_SECOND})"
        infinity, seconds = self.number(math.inf), f"epoch(date_trunc('second', {at}))"
        return f"CASE WHEN {is_beyond} OR NOT isfinite({at}) THEN {infinity} ELSE {seconds} END"

    def begin(self) -> list[str]:
        return ["BEGIN TRANSACTION"]

    def end(self) -> list[str]:
        return ["COMMIT"]


class PostgreSQL(Dialect):
    """PostgreSQL, with a database in UTF-8."""

    double, text_type = "DOUBLE PRECISION", "TEXT"
    barrier = " OFFSET 0"

    def text(self, text: str) -> str:
        return f"convert_from({self._bytes(text)}, 'UTF8')" if _is_odd(text) else _quoted(text)

    def key_of(self, text: str) -> str:
        return self._bytes(text) if _is_odd(text) else f"convert_to({_quoted(text)}, 'UTF8')"

    def _bytes(self, text: str) -> str:
        return f"decode('{text.encode().hex()}', 'hex')"

    def clean(self, text: str) -> str:
        return f"btrim(normalize({text}, NFC), {self.text(SPACES)})"

    def key(self, text: str) -> str:
        return f"convert_to({text}, 'UTF8')"

    def hexadecimal(self, key: str) -> str:
        return f"encode({key}, 'hex')"

    def matches(self, text: str, pattern: str) -> str:
        return f"{text} ~ '^({pattern})$'"

    def seconds(self, moment: str, *, is_date: bool, zone: str | None) -> str:
        at = f"CAST({moment} AS TIMESTAMP)" if zone is None else f"timezone({self.text(zone)}, {moment})"
        seconds = f"CAST(EXTRACT(EPOCH FROM date_trunc('second', {at})) AS {self.double})"
        first, last = (f"CAST('{year}' AS TIMESTAMP)" for year in ("4713-01-01 BC", "294276-01-01"))
        below = f"WHEN {moment} < {first} THEN {self.number(-math.inf)}"
        return f"CASE WHEN {moment} > {last} THEN {self.number(math.inf)} {below} ELSE {seconds} END"

    def decimal_as_double(self, value: str) -> str:
        """Return the same: what no double holds is an error otherwise."""
        size, nan = f"ABS({value})", "CAST('NaN' AS NUMERIC)"
        most, least = (f"CAST('{number}' AS NUMERIC)" for number in (repr(_LARGEST), "2.5e-324"))
        infinite = f"CASE WHEN {value} > 0 THEN {self.number(math.inf)} ELSE {self.number(-math.inf)} END"
        return (
            f"CASE WHEN {value} <> {nan} AND {size} > {most} THEN {infinite} "
            f"WHEN {size} < {least} THEN {self.number(0.0)} ELSE {super().decimal_as_double(value)} END"
        )

    def cell(self, number: str, edges: Sequence[float], codes: Sequence[int]) -> str:
        """Return the same by a binary search, which is what ``width_bucket`` of an array does."""
        if len(edges) < 3:
            return super().cell(number, edges, codes)
        inner = ", ".join(f"'{self._plain(edge)}'" for edge in edges[1:])
        at = f"width_bucket({number}, CAST(ARRAY[{inner}] AS {self.double}[]))"
        if list(codes) == list(range(len(codes))):
            return at
        return f"(ARRAY[{', '.join(map(str, codes))}])[1 + {at}]"

    def _plain(self, number: float) -> str:
        return repr(float(number)) if math.isfinite(number) else "-Infinity" if number < 0 else "Infinity"

    def begin(self) -> list[str]:
        return [
            "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "SET LOCAL TimeZone = 'UTC'",
            "SET LOCAL DateStyle = 'ISO'",
            "SET LOCAL extra_float_digits = 1",
            "SET LOCAL standard_conforming_strings = on",
        ]

    def end(self) -> list[str]:
        return ["COMMIT"]


def _is_odd(text: str) -> bool:
    """Whether a text is not written into SQL as it is: signs that end or escape something there."""
    return "\\" in text or any(ord(sign) < 32 or 127 <= ord(sign) < 160 for sign in text)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
