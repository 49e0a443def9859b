"""How many rows each class shall have: imbalanced-learn's ``sampling_strategy``, over noisy sizes."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np

from privsynth.errors import ParameterError

STRATEGIES = ("minority", "not minority", "not majority", "all", "auto")


def check_strategy(strategy: Any) -> None:
    """Raise a `ParameterError` for a strategy that fits no classes at all; looks at no record."""
    if isinstance(strategy, Mapping):
        _check_numbers(strategy)
    elif isinstance(strategy, numbers.Real) and not isinstance(strategy, bool):
        if not 0 < float(strategy) <= 1:
            raise ParameterError(f"expected 0 < sampling_strategy <= 1, got {strategy!r}")
    elif isinstance(strategy, str):
        if strategy not in STRATEGIES:
            raise ParameterError(
                f"expected sampling_strategy to be one of {', '.join(STRATEGIES)}, got {strategy!r}"
            )
    elif not callable(strategy):
        raise ParameterError(
            f"expected sampling_strategy to be a text, a float, a mapping or a function, got {strategy!r}"
        )


def _check_numbers(sizes: Mapping[Any, Any]) -> None:
    for n in sizes.values():
        if isinstance(n, bool) or not isinstance(n, numbers.Integral) or n < 0:
            raise ParameterError(f"expected numbers of rows >= 0 in sampling_strategy, got {n!r}")


def class_sizes(strategy: Any, counts: Mapping[Any, int]) -> dict[Any, int]:
    """Return how many rows each class shall have in the end.

    Args:
        strategy: See `BalancedResampler`.
        counts: Size of each class.

    Raises:
        ParameterError: If the strategy is malformed, or names a class that is not known.
    """
    check_strategy(strategy)
    largest, smallest = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    out = dict(counts)
    if isinstance(strategy, str):
        raised = {
            "minority": [smallest],
            "not minority": [label for label in counts if label != smallest],
        }.get(strategy, list(counts))
        return out | dict.fromkeys(raised, counts[largest])
    if isinstance(strategy, Mapping):
        unknown = [label for label in strategy if label not in counts]
        if unknown:
            raise ParameterError(
                f"the {_named(unknown)} target class is/are not present in the data, as far as the model "
                f"knows: its classes are {_named(list(counts))}"
            )
        return out | {label: int(n) for label, n in strategy.items()}
    if isinstance(strategy, numbers.Real):
        if len(counts) != 2:
            raise ParameterError(
                f'"sampling_strategy" can be a float only when the type of target is binary; the model knows '
                f"{len(counts)} classes: give a mapping"
            )
        return out | {smallest: max(counts[smallest], int(counts[largest] * float(strategy)))}
    labels = np.repeat(np.asarray(list(counts)), list(counts.values()))
    return class_sizes(dict(strategy(labels)), counts)


def _named(labels: list[Any]) -> str:
    return ", ".join(str(label) for label in labels)
