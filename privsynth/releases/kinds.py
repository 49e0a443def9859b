"""What each kind of release holds, in one table: the curator lets nothing else out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from privsynth.releases.store import Array, Release


def _is_list(value: Any, *types: type) -> bool:
    return isinstance(value, list) and all(type(item) in types for item in value)


def _are_rows(value: Any, *types: type) -> bool:
    return _is_list(value, list) and all(_is_list(row, *types) for row in value)


def _are_sorted_values(value: Any) -> bool:
    return (_is_list(value, str) or _is_list(value, float)) and value == sorted(set(value))


def _are_positions(value: Any) -> bool:
    return _is_list(value, int) and len(set(value)) == len(value)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of release.

    Attributes:
        mechanism: Of the event that pays for it.
        facts: Names of its facts, and what each must be.
        n_axes: Number of axes of each array by name, given the facts and the event's count.
        holds: What its facts and arrays must be together, given the event's count.
    """

    mechanism: str
    facts: Mapping[str, Callable[[Any], bool]]
    n_axes: Callable[[Mapping[str, Any]], Mapping[str, int]] = lambda facts: {}
    holds: Callable[[Mapping[str, Any], Mapping[str, Array], int], bool] = lambda facts, arrays, count: True


KINDS: Mapping[str, Kind] = {
    "values": Kind(
        mechanism="thresholded_gaussian",
        facts={"values": _are_sorted_values},
    ),
    "combinations": Kind(
        mechanism="thresholded_gaussian",
        facts={"combinations": lambda value: _are_rows(value, str, type(None))},
    ),
    "bounds": Kind(mechanism="gaussian", facts={}, n_axes=lambda facts: {"counts": 1}),
    "counts": Kind(
        mechanism="gaussian",
        facts={"sets": lambda value: _are_rows(value, str)},
        n_axes=lambda facts: {str(i): len(columns) for i, columns in enumerate(facts["sets"])},
        holds=lambda facts, arrays, count: len(arrays) == count,
    ),
    "cut counts": Kind(
        mechanism="gaussian",
        facts={
            "cut_sets": lambda value: _are_rows(value, str),
            "norms": lambda value: _is_list(value, float),
        },
        n_axes=lambda facts: {str(i): len(columns) for i, columns in enumerate(facts["cut_sets"])},
        holds=lambda facts, arrays, count: len(arrays) == len(facts["norms"]) == count,
    ),
    "sums": Kind(mechanism="gaussian", facts={}, n_axes=lambda facts: {"sums": 2}),
    "votes": Kind(
        mechanism="gaussian",
        facts={},
        n_axes=lambda facts: {"votes": 1},
        holds=lambda facts, arrays, count: arrays["votes"].size == count,
    ),
    "choice": Kind(
        mechanism="exponential",
        facts={"selected": _are_positions},
        holds=lambda facts, arrays, count: len(facts["selected"]) <= count,
    ),
    "steps": Kind(mechanism="sampled_gaussian", facts={}),
}


def kind_of(release: Release) -> str | None:
    """Return the kind whose every condition a release meets, None if there is none.

    Example:
        >>> event = {"mechanism": "exponential", "epsilon0": 0.1, "purpose": "choice of tables", "count": 1}
        >>> kind_of(Release(key="round-00/select", event=event, facts={"selected": [3]}))
        'choice'
        >>> kind_of(Release(key="round-00/select", event=event, facts={"selected": [3], "best": 0.25}))
    """
    return next((name for name, kind in KINDS.items() if _is(kind, release)), None)


def checked(release: Release) -> Release:
    """Return a release that holds exactly what its kind does.

    Raises:
        ValueError: If a fact or an array is missing, of another type, or one too many.

    Privacy:
        Public: what it says is a function of names and types.
    """
    if kind_of(release) is None:
        names = sorted([*release.facts, *release.arrays])
        raise ValueError(f"the release {release.key!r} is of no known kind; it holds {names}")
    return release


def _is(kind: Kind, release: Release) -> bool:
    facts, arrays = release.facts, release.arrays
    if release.event["mechanism"] != kind.mechanism or facts.keys() != kind.facts.keys():
        return False
    if not all(is_right(facts[name]) for name, is_right in kind.facts.items()):
        return False
    n_axes = kind.n_axes(facts)
    if arrays.keys() != n_axes.keys():
        return False
    if any(array.dtype != np.float64 or array.ndim != n_axes[name] for name, array in arrays.items()):
        return False
    return kind.holds(facts, arrays, release.event["count"])
