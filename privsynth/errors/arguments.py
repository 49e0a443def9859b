"""Numbers that callers give: one check for all of them, before another library meets them."""

from __future__ import annotations

import numbers
from decimal import Decimal
from typing import Any

import numpy as np

from privsynth.errors import ParameterError


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


def _advice(value: Any, kind: str) -> str:
    """Say how a text, as environment variables and configuration files give it, becomes a number."""
    return f"; {kind}({value!r}) makes a number of a text" if isinstance(value, str) else ""
