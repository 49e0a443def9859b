"""How Spark writes what is asked of it: total functions, which no setting of the session changes.

Casts that fail give NULL with and without ANSI mode; times are read without the zone of the session;
constants are hexadecimal, so that no rule of escaping applies; texts are compared as bytes, whatever their
collation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from privsynth.schema.plain_values import MAX_GRID_INTEGER
from privsynth.warehouse.dialects import LAST_SECOND, SPACES, Dialect

_FEW = 6  # leaves of a tree of comparisons that is written out; more are searched in an array
# what Spark brings along: Unicode's own composition, and the shortest decimals, which Java before 19 misses
_COMPOSE = "'com.ibm.icu.text.Normalizer', 'compose'"
_SHORTEST = "'com.fasterxml.jackson.core.io.schubfach.{}ToDecimal', 'toString'"
_LARGEST_PLAIN = 1e16  # Python writes larger floats with an exponent


class Spark(Dialect):
    """Spark 4, in SQL."""

    text_type = "STRING COLLATE UTF8_BINARY"
    has_snapshots = False

    def name(self, name: str) -> str:
        return "`" + name.replace("`", "``") + "`"

    def number(self, number: float) -> str:
        return f"{float(number)!r}D" if math.isfinite(number) else super().number(number)

    def text(self, text: str) -> str:
        return f"CAST({self.key_of(text)} AS {self.text_type})"

    def key_of(self, text: str) -> str:
        return f"X'{text.encode().hex()}'"

    def as_double(self, value: str) -> str:
        return f"TRY_CAST({value} AS DOUBLE)"

    def as_whole(self, value: str) -> str:
        return f"TRY_CAST({value} AS BIGINT)"

    def single_as_double(self, value: str) -> str:
        shortest = self.as_double(f"reflect({_SHORTEST.format('Float')}, {value})")
        tiny = [(k * 2.0**-149, float(text)) for k, text in _as_python_writes(np.float32)]
        cases = " ".join(f"WHEN {self.number(v)} THEN SIGN({value}) * {self.number(d)}" for v, d in tiny)
        tiny_or_not = f"CASE ABS({self.as_double(value)}) {cases} ELSE {shortest} END"
        is_plain = f"{value} IS NULL OR ABS({value}) >= {MAX_GRID_INTEGER} OR {value} = FLOOR({value})"
        return f"CASE WHEN {is_plain} THEN {self.as_double(value)} ELSE {tiny_or_not} END"

    def decimal_as_text(self, value: str) -> str:
        text, whole = self.as_text(value), "'^(-?[0-9]+)([.]0*)?$'"
        zero = f"WHEN {value} = 0 THEN '0'"  # which may be written with an exponent
        number = self.float_as_text(self.decimal_as_double(value), is_single=False)
        return (
            f"CASE {zero} WHEN {text} RLIKE {whole} THEN REGEXP_EXTRACT({text}, {whole}, 1) ELSE {number} END"
        )

    def float_as_text(self, value: str, *, is_single: bool) -> str:
        x = self.single_as_double(value) if is_single else value
        size, low = f"ABS({x})", self.floor(x)
        shortest = f"reflect({_SHORTEST.format('Double')}, {x})"
        plain = f"TRIM(TRAILING '0' FROM CAST(TRY_CAST({shortest} AS DECIMAL(38, 21)) AS STRING))"
        short = f"REGEXP_REPLACE(REGEXP_REPLACE({shortest}, '[.]0E', 'E'), 'E-([0-9])$', 'E-0$1')"
        scientific = f"REPLACE(REPLACE({short}, 'E-', 'e-'), 'E', 'e+')"
        sign = f"CASE WHEN {x} < 0 THEN '-' ELSE '' END"
        tiny = " ".join(
            f"WHEN {size} = {self.number(k * 5e-324)} THEN CONCAT({sign}, '{text}')"
            for k, text in _as_python_writes(np.float64)
        )
        return (
            f"CASE WHEN {x} IS NULL OR {x} = {self.number(math.nan)} THEN NULL "
            f"WHEN {self.is_infinite(x)} THEN CONCAT({sign}, 'inf') "
            f"WHEN {x} = {low} AND {size} < {self.number(MAX_GRID_INTEGER)} "
            f"THEN CAST({self.as_whole(x)} AS STRING) "
            f"WHEN {x} = {low} AND {size} < {self.number(_LARGEST_PLAIN)} "
            f"THEN CONCAT(CAST({self.as_whole(x)} AS STRING), '.0') "
            f"WHEN {size} >= {self.number(1e-4)} AND {size} < {self.number(_LARGEST_PLAIN)} THEN {plain} "
            f"{tiny} ELSE {scientific} END"
        )

    def without_zeros(self, text: str) -> str:
        return f"TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM {text}))"

    def clean(self, text: str) -> str:
        valid = f"make_valid_utf8({text})"
        is_plain = f"OCTET_LENGTH({valid}) = CHAR_LENGTH({valid})"  # ASCII is composed
        composed = f"CASE WHEN {is_plain} THEN {valid} ELSE reflect({_COMPOSE}, {valid}, false) END"
        composed = f"CASE WHEN {text} IS NULL THEN NULL ELSE {composed} END"
        return f"TRIM(BOTH {self.text(SPACES)} FROM {composed})"

    def clean_id(self, text: str) -> str:
        """Return the same; what is no UTF-8 as its bytes are, or two persons would have one id."""
        return f"CASE WHEN is_valid_utf8({text}) THEN {self.clean(text)} ELSE {text} END"

    def key(self, text: str) -> str:
        return f"CAST({text} AS BINARY)"

    def hexadecimal(self, key: str) -> str:
        return f"LOWER(HEX({key}))"

    def matches(self, text: str, pattern: str) -> str:
        whole = rf"\A({pattern})\z"
        return f"{text} RLIKE {self.text(whole)}"

    def seconds(self, moment: str, *, is_date: bool, zone: str | None) -> str:
        if is_date:
            return f"{self.as_double(f'UNIX_DATE({moment})')} * 86400.0D"
        if zone is None:
            day = f"{self.as_double(f'UNIX_DATE(CAST({moment} AS DATE))')} * 86400.0D"
            return f"{day} + (HOUR({moment}) * 3600 + MINUTE({moment}) * 60 + SECOND({moment}))"
        at = moment if zone == "UTC" else f"FROM_UTC_TIMESTAMP({moment}, {self.text(zone)})"
        is_beyond = f"ABS(UNIX_SECONDS({moment})) > {LAST_SECOND}"
        infinity, seconds = self.number(math.inf), self.as_double(f"UNIX_SECONDS({at})")
        return f"CASE WHEN {is_beyond} THEN {infinity} ELSE {seconds} END"

    def floor(self, number: str) -> str:
        """Return the same: FLOOR gives a 64-bit integer, which is not exact beyond what has a fraction."""
        has_fraction = f"ABS({number}) < 4503599627370496.0D"
        return f"(CASE WHEN {has_fraction} THEN CAST(FLOOR({number}) AS DOUBLE) ELSE {number} END)"

    def rint(self, number: str) -> str:
        return f"RINT({number})"  # of Java: halves to even

    def cell(self, number: str, edges: Sequence[float], codes: Sequence[int]) -> str:
        if len(edges) <= _FEW:
            return super().cell(number, edges, codes)
        is_plain = list(codes) == list(range(len(codes)))
        found = "i" if is_plain else f"GET(ARRAY({', '.join(map(str, codes))}), i)"
        return _searched(number, [self.number(edge) for edge in edges], found)

    def code(self, key: str, codes: Sequence[tuple[str, int]], other: int) -> str:
        if len(codes) <= _FEW:
            return super().code(key, codes, other)
        listed = sorted(codes, key=lambda pair: pair[0].encode())
        keys = [self.key_of(text) for text, _ in listed]
        code = f"GET(ARRAY({', '.join(str(code) for _, code in listed)}), i)"
        return _searched(key, keys, f"IF(GET(ARRAY({', '.join(keys)}), i) = {key}, {code}, {other})")

    def grouped(self, table: str, keys: Sequence[str], weight: str, weighed: Sequence[str]) -> str:
        """Return the same in one pass: for each aggregate of a union, Spark would compile a program."""
        of_each = ", ".join([f"POSEXPLODE(ARRAY({', '.join(keys)})) AS (s, k)", *weighed])
        return f"SELECT s, k, {weight} AS n FROM (SELECT {of_each} FROM {table}) AS t GROUP BY s, k"

    def keep(self, name: str, query: str) -> str:
        """Return the query: its rows are kept by the session (`privsynth.warehouse.drivers`)."""
        return query

    def drop(self, name: str) -> str:
        return f"DROP VIEW IF EXISTS {name}"


def _searched(value: str, edges: Sequence[str], found: str) -> str:
    """Return what is said of the last edge that is not above a value, ``i``: a binary search in an array.

    Trees of comparisons as large are longer than what Java compiles, and Spark then runs them slowly.
    """
    steps = ", ".join(str(2**k) for k in reversed(range((len(edges) - 1).bit_length())))
    array = f"ARRAY({', '.join(edges)})"
    step = f"(i, b) -> IF(GET({array}, i + b) <= {value}, i + b, i)"
    return f"AGGREGATE(ARRAY({steps}), 0, {step}, i -> {found})"


def _as_python_writes(kind: type[np.floating]) -> list[tuple[int, str]]:
    """Return the multiples of the smallest number that Java writes with two digits, Python with one."""
    smallest = np.finfo(kind).smallest_subnormal
    texts = [(k, np.format_float_scientific(kind(k) * smallest, trim="-")) for k in range(1, 128)]
    return [(k, f"{float(text)!r}") for k, text in texts if len(text.partition("e")[0]) == 1]
