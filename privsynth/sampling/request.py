"""What a caller asks for: one object for Python, the command line and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypedDict, get_args

import numpy as np
import pandas as pd

from privsynth.errors import ParameterError, RequestError

MAX_ROWS = 10**9
OnUnsupported = Literal["error", "warn", "drop"]
LIKE_NOT_COVERED = (
    "the frame given as like=, which was taken as public: the rows follow its distribution, and the "
    "guarantee does not cover it"
)


@dataclass(frozen=True, kw_only=True)
class Parity:
    """The same rate of every label in every group.

    Attributes:
        target: Column of the labels; categorical or boolean.
        groups: Columns whose combinations are the groups; categorical or boolean.
        decorrelate: Columns that shall not depend on the groups either, or ``"all"``.
    """

    target: str
    groups: tuple[str, ...]
    decorrelate: tuple[str, ...] | str = ()

    @classmethod
    def of(cls, value: Any) -> Parity:
        """Read ``(target, groups)`` or a mapping with the names of the attributes.

        Raises:
            RequestError: If it is neither.
        """
        if isinstance(value, cls):
            return value
        form = 'expected (target, groups), or {"target": ..., "groups": [...]} with or without "decorrelate"'
        if isinstance(value, Mapping) and {"target", "groups"} <= set(value) <= {f.name for f in fields(cls)}:
            target, groups = value["target"], value["groups"]
            decorrelate = value.get("decorrelate", ())
        elif isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2:
            (target, groups), decorrelate = value, ()
        else:
            raise RequestError(f"parity: {form}, got {value!r}")
        groups = (groups,) if isinstance(groups, str) else groups
        if decorrelate != "all":
            decorrelate = tuple(_names("parity: 'decorrelate'", decorrelate)) if decorrelate else ()
        return cls(target=str(target), groups=tuple(_names("parity", groups)), decorrelate=decorrelate)

    def __post_init__(self) -> None:
        if self.target in self.groups:
            raise RequestError(f"parity: {self.target!r} is both target and group")


class SampleOptions(TypedDict, total=False):
    """Keyword arguments of every method that takes a request: see `SampleRequest`; tables may be files."""

    conditions: Mapping[str, Any] | None
    balance: Sequence[str] | None
    balance_missing: bool
    proportions: Any
    like: Any
    parity: Any
    on_unsupported: OnUnsupported


@dataclass(frozen=True, kw_only=True)
class SampleRequest:
    """A sampling request.

    Attributes:
        n: Number of rows; None is the sum of the counts asked for, else the noisy number of units.
        conditions: Column to a value, a list of values, an inclusive range or None for missing.
        balance: Categorical or boolean columns whose every combination gets equally many rows.
        balance_missing: Whether missing is one of the values that are balanced; else such rows are left out.
        proportions: Column to shares or counts of its values; a frame (in JSON a list of records) of columns
            and ``share`` or ``count``; a series of pandas whose index names its columns; or a list of these,
            which are met jointly.
        like: Rows of a public reference table, whose joint distribution of its columns is taken over.
        parity: See `Parity`.
        on_unsupported: What to do with a cell that has less than one unit behind it: ``"error"``,
            ``"warn"`` and extrapolate, or ``"drop"``.
    """

    n: int | None = None
    conditions: Mapping[str, Any] | None = None
    balance: Sequence[str] | None = None
    balance_missing: bool = False
    proportions: Any = None
    like: pd.DataFrame | None = None
    parity: Any = None
    on_unsupported: str = "error"

    def __post_init__(self) -> None:
        n = self.n
        if n is not None and (isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0):
            raise RequestError(f"expected a whole number n >= 0, got n={n!r}")
        if n is not None and n > MAX_ROWS:
            raise RequestError(f"expected at most {MAX_ROWS} at once, got n={n}")
        if self.on_unsupported not in get_args(OnUnsupported):
            raise ParameterError(
                f"expected on_unsupported 'error', 'warn' or 'drop', got {self.on_unsupported!r}"
            )
        if not isinstance(self.conditions, Mapping | None):
            raise RequestError(
                f"conditions: expected a mapping from column to condition, got {self.conditions!r}"
            )
        if self.balance is not None:
            object.__setattr__(self, "balance", _names("balance", self.balance))
        if not isinstance(self.balance_missing, bool | np.bool_) or (
            self.balance_missing and not self.balance
        ):
            raise RequestError(
                f"expected balance_missing to be True or False, and True only beside balance, got "
                f"{self.balance_missing!r}"
            )
        if not isinstance(self.like, pd.DataFrame | None):
            raise RequestError(f"like: expected a frame of public rows, got {type(self.like).__name__}")
        if self.parity is not None:
            object.__setattr__(self, "parity", Parity.of(self.parity))

    @property
    def has_targets(self) -> bool:
        """Whether shares of the rows are asked for, beside conditions on all of them."""
        asked = (self.balance, self.proportions, self.like, self.parity)
        return any(target is not None for target in asked)

    @property
    def columns(self) -> set[str]:
        """The columns that it names; shares and counts of a table of proportions among them."""
        named = {*map(str, self.conditions or ()), *(self.balance or ()), *_columns_of(self.proportions)}
        named |= _columns_of(self.like)
        if isinstance(self.parity, Parity):
            more = self.parity.decorrelate
            named |= {self.parity.target, *self.parity.groups, *(more if more != "all" else ())}
        return named

    @property
    def not_covered(self) -> list[str]:
        """What the guarantee does not cover of the rows."""
        return [] if self.like is None else [LIKE_NOT_COVERED]


def _columns_of(given: Any) -> set[str]:
    """Return the columns that a table, a series, a mapping or a list of these names."""
    if isinstance(given, pd.DataFrame):
        return {str(name) for name in (*given.columns, *given.index.names, *given.columns.names)}
    if isinstance(given, pd.Series):
        return {str(name) for name in given.index.names}
    if isinstance(given, Mapping):
        return set(map(str, given))
    if isinstance(given, Sequence) and not isinstance(given, str):
        return set().union(*map(_columns_of, given))
    return set()


def _names(where: str, value: Any) -> list[str]:
    is_list = pd.api.types.is_list_like(value) and not isinstance(value, Mapping | set | frozenset)
    value = list(value) if is_list else value
    if not is_list or not value or len(set(map(str, value))) != len(value):
        raise RequestError(f"{where}: expected a list of different columns, got {value!r}")
    return [str(name) for name in value]
