"""What callers give: one check for all numbers, before another library meets them; renamed arguments."""

from __future__ import annotations

import functools
import numbers
import warnings
from collections.abc import Callable
from decimal import Decimal
from typing import Any, ParamSpec, TypeVar

import numpy as np

from privsynth.errors import ParameterError

P = ParamSpec("P")
R = TypeVar("R")


def real_number(name: str, value: Any) -> float:
    """Return a public argument as a float, whichever library's number it is.

    Raises:
        ParameterError: If it is no single number; texts are not guessed at.

    Example:
        >>> real_number("epsilon", np.int64(2))
        2.0
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real | Decimal):
        raise ParameterError(f"expected {name} to be a number, got {value!r}{_advice(value, 'float')}")
    return float(value)


def whole_number(name: str, value: Any, *, least: int) -> int:
    """Return a public argument as an int of at least ``least``, whichever library's number it is.

    Raises:
        ParameterError: If it is no single whole number, or a smaller one.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral) or value < least:
        advice = _advice(value, "int")
        raise ParameterError(f"expected {name} to be a whole number >= {least}, got {value!r}{advice}")
    return int(value)


def renamed_arguments(**now: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function take arguments under the names that they once had, with a `DeprecationWarning`.

    Args:
        now: Today's name of each.

    Raises:
        ParameterError: When called with both names of an argument.
    """

    def taking_both(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def called(*args: P.args, **named: P.kwargs) -> R:
            for old, new in now.items():
                if old in named:
                    if new in named:
                        raise ParameterError(f"expected {new} only, got {old}, its old name, as well")
                    warnings.warn(f"the argument {old} is now {new}", DeprecationWarning, stacklevel=2)
                    named[new] = named.pop(old)
            return function(*args, **named)

        return called

    return taking_both


def _advice(value: Any, kind: str) -> str:
    """Say how a text, as environment variables and configuration files give it, becomes a number."""
    return f"; {kind}({value!r}) makes a number of a text" if isinstance(value, str) else ""
