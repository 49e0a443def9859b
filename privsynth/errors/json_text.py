"""Read JSON of unknown origin: no deeper, longer or larger than what is read after it can bear."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

MAX_DEPTH = 64
MAX_OBJECTS = 5_000_000  # an anchor of YAML may stand for thousands of them
LARGEST = 1e308  # what a number of a computer holds


def json_value(text: str | bytes, *, object_pairs_hook: Callable[..., Any] | None = None) -> Any:
    """Return what a JSON text says.

    Args:
        text: The text.
        object_pairs_hook: As of `json.loads`.

    Raises:
        ValueError: If it is no JSON, a number is beyond 1e308, or it is nested too deeply.

    Example:
        >>> json_value('{"a": [1, 2.5]}')
        {'a': [1, 2.5]}
    """
    try:
        value = json.loads(
            text, object_pairs_hook=object_pairs_hook, parse_int=_whole_number, parse_float=_real_number
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None
    check_bounds(value)
    return value


def check_bounds(value: Any) -> None:
    """Raise a `ValueError` if lists and objects are nested too deeply, or are too many."""
    level, n_objects, depth = [value], 0, 0
    while level:
        n_objects, depth = n_objects + len(level), depth + 1
        if depth > MAX_DEPTH or n_objects > MAX_OBJECTS:
            raise ValueError("nested too deeply, or too large")
        level = [
            part
            for held in level
            if isinstance(held, list | dict)
            for part in (held.values() if isinstance(held, dict) else held)
        ]


def _whole_number(text: str) -> int:
    number = int(text)
    if abs(number) > LARGEST:
        raise ValueError("a number beyond 1e308")
    return number


def _real_number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number beyond 1e308")
    return number
