"""Columns that are made afresh: ids, keys and text. Nothing of them is ever learnt from records."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import pandas as pd

from privsynth.errors import RequestError, SchemaError
from privsynth.schema import Column, Schema
from privsynth.schema.constraints import Unique

POOL_SIZE = 20_000  # different texts made of a column; longer tables draw from them with repetition
MAX_ATTEMPTS = 100  # in a row at a text that has not been made before

Make = Callable[[int], pd.Series]

_CLASSES = {"d": "0123456789", "w": "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"}
_TOKEN = re.compile(
    r"(?:\\(?P<escaped>.)|\[(?P<set>[^\]\^\\]+)\]|(?P<plain>[^\\\[\]{}()*+?|.^$]))(?:\{(?P<n>\d+)\})?"
)


class GeneratedColumns:
    """Makes the columns of a table that no model holds, block after block.

    Args:
        schema: Public description of the table.
        n_rows: Number of rows in all, or about that many.
        rng: Source of the texts and of the order of keys; the same seed makes the same columns.
        columns: Which of them; None for all.

    Raises:
        RequestError: If a pattern has fewer values than there are rows.
        SchemaError: If a generator or pattern is unknown, or Faker is not installed.

    Privacy:
        Public: reads no record.
    """

    def __init__(
        self,
        schema: Schema,
        n_rows: int,
        rng: np.random.Generator,
        *,
        columns: Collection[str] | None = None,
    ) -> None:
        unique = {c.columns[0]: c for c in schema.constraints if isinstance(c, Unique)}
        made = [c for c in schema.output_columns if not c.is_modelled and not c.is_computed]
        made = [c for c in made if columns is None or c.name in columns]
        self._makers = {
            column.name: _maker(column, unique.get(column.name), n_rows, of_column)
            for column, of_column in zip(made, rng.spawn(len(made)), strict=True)
        }

    def next(self, n: int) -> dict[str, pd.Series]:
        """Make the next ``n`` values of every column."""
        return {name: make(n) for name, make in self._makers.items()}


def check_generated_columns(schema: Schema) -> None:
    """Raise a `SchemaError` unless every id and text column can be made."""
    GeneratedColumns(schema, 1, np.random.default_rng(0)).next(1)


def _maker(column: Column, unique: Unique | None, n_rows: int, rng: np.random.Generator) -> Make:
    if unique is not None and unique.pattern is not None:
        return _keys_of_pattern(column, unique.pattern, n_rows, rng)
    if column.generator is not None:
        return _texts(column, unique is not None, n_rows, rng)
    return _numbers()


def _numbers() -> Make:
    """Make running numbers."""
    n_made = 0

    def make(n: int) -> pd.Series:
        nonlocal n_made
        n_made += n
        return pd.Series(np.arange(n_made - n + 1, n_made + 1))

    return make


# -- keys of a pattern ---------------------------------------------------------------------------------


def alphabets(pattern: str, name: str) -> list[str]:
    r"""Return the characters that each place of a pattern may hold.

    A pattern is a regular expression of plain characters, ``\d``, ``\w``, sets like ``[A-Z0-9]`` and
    repetitions ``{3}``.

    Example:
        >>> [len(letters) for letters in alphabets(r"[A-C]{2}-\d", "key")]
        [3, 3, 1, 10]

    Raises:
        SchemaError: If it holds anything else.
    """
    out: list[str] = []
    at = 0
    while at < len(pattern):
        token = _TOKEN.match(pattern, at)
        if token is None:
            raise SchemaError(
                f"column {name!r}: the pattern {pattern!r} may hold plain characters, \\d, \\w, sets like "
                f"[A-Z0-9] and repetitions like {{3}}; {pattern[at:]!r} is none of these"
            )
        letters = _letters(token)
        out += [letters] * int(token["n"] or 1)
        at = token.end()
    return out


def _letters(token: re.Match[str]) -> str:
    if token["escaped"]:
        return _CLASSES.get(token["escaped"], token["escaped"])
    if token["plain"]:
        return token["plain"]
    spread = re.sub(
        r"(.)-(.)", lambda ends: "".join(map(chr, range(ord(ends[1]), ord(ends[2]) + 1))), token["set"]
    )
    return "".join(sorted(set(spread)))


def _keys_of_pattern(column: Column, pattern: str, n_rows: int, rng: np.random.Generator) -> Make:
    """Make different keys: the i-th is ``a + b * i`` modulo their number, written in the pattern's digits."""
    places = alphabets(pattern, column.name)
    n_keys = math.prod(len(letters) for letters in places)
    if n_rows > n_keys:
        raise _too_few(column, pattern, n_keys, n_rows)
    start, step = int(rng.integers(min(n_keys, 2**62))), _coprime(n_keys, rng)
    n_made = 0

    def make(n: int) -> pd.Series:
        nonlocal n_made
        if n_made + n > n_keys:
            raise _too_few(column, pattern, n_keys, n_made + n)
        keys = [_written((start + step * i) % n_keys, places) for i in range(n_made, n_made + n)]
        n_made += n
        return pd.Series(keys, dtype=object)

    return make


def _too_few(column: Column, pattern: str, n_keys: int, n_rows: int) -> RequestError:
    return RequestError(
        f"{n_rows} different values are asked for of {column.name!r}, and its pattern {pattern!r} has "
        f"{n_keys}; ask for fewer rows, or give a longer pattern"
    )


def _coprime(n: int, rng: np.random.Generator) -> int:
    """Return a number that has no divisor in common with ``n``: its multiples pass through all residues."""
    while True:
        step = int(rng.integers(1, max(2, min(n, 2**62))))
        if math.gcd(step, n) == 1:
            return step


def _written(number: int, places: list[str]) -> str:
    letters = []
    for alphabet in reversed(places):
        number, digit = divmod(number, len(alphabet))
        letters.append(alphabet[digit])
    return "".join(reversed(letters))


# -- texts ---------------------------------------------------------------------------------------------


def _texts(column: Column, is_unique: bool, n_rows: int, rng: np.random.Generator) -> Make:
    generate = _generator(column, int(rng.integers(2**32)))
    if is_unique:
        return _unique_texts(column, generate)
    pool: list[str] = []

    def make(n: int) -> pd.Series:
        if n_rows <= POOL_SIZE:
            return pd.Series([generate() for _ in range(n)], dtype=object)
        while len(pool) < POOL_SIZE:
            pool.append(generate())
        return pd.Series(np.array(pool, dtype=object)[rng.integers(POOL_SIZE, size=n)], dtype=object)

    return make


def _unique_texts(column: Column, generate: Callable[[], str]) -> Make:
    known: set[str] = set()

    def one() -> str:
        for _ in range(MAX_ATTEMPTS):
            text = generate()
            if text not in known:
                known.add(text)
                return text
        raise RequestError(
            f"the generator {column.generator!r} of the unique column {column.name!r} makes no new values "
            f"after {len(known)}; ask for fewer rows, or give a pattern"
        )

    return lambda n: pd.Series([one() for _ in range(n)], dtype=object)


def _generator(column: Column, seed: int) -> Callable[[], str]:
    """Return what makes one text: a provider of Faker without arguments, with or without a locale."""
    try:
        from faker import Faker
    except ImportError:
        raise SchemaError(
            f"column {column.name!r}: its generator needs Faker; install privsynth with the extra 'pii', or "
            "set 'drop' to true"
        ) from None
    assert column.generator is not None
    provider, _, locale = column.generator.partition(":")
    try:
        faker: Any = Faker(locale or None)
        faker.seed_instance(seed)
        made = None if provider.startswith("_") else faker.format(provider)
    except (AttributeError, TypeError, ValueError):
        made = None
    if not isinstance(made, str | int):
        raise SchemaError(
            f"column {column.name!r}: expected a text provider of Faker such as 'name', 'email', "
            f"'phone_number', 'address', 'ssn' or 'name:de_DE', got {column.generator!r}"
        )
    return lambda: str(faker.format(provider))
