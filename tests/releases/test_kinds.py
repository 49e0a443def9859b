"""The closed table of releases: each kind as it is, and refused with anything more, less or other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from privsynth.releases.kinds import KINDS, checked, kind_of
from privsynth.releases.store import Release


def release(mechanism, *, count=1, facts=None, arrays=None):
    event = {"purpose": "p", "mechanism": mechanism, "count": count, "delta": 0.0}
    return Release(key="k", event=event, facts=facts or {}, arrays=arrays or {})


EXAMPLES = {
    "values": release("thresholded_gaussian", facts={"values": ["Bonn", "Ulm"]}),
    "combinations": release("thresholded_gaussian", facts={"combinations": [["Ulm", None]]}),
    "bounds": release("gaussian", arrays={"counts": np.zeros(5)}),
    "counts": release(
        "gaussian",
        count=2,
        facts={"sets": [["a"], ["a", "b"]]},
        arrays={"0": np.zeros(2), "1": np.zeros((2, 3))},
    ),
    "cut counts": release(
        "gaussian",
        count=2,
        facts={"cut_sets": [["a"], ["a", "b"]], "norms": [1.0, 0.5]},
        arrays={"0": np.zeros(2), "1": np.zeros((2, 3))},
    ),
    "sums": release("gaussian", arrays={"sums": np.zeros((2, 3))}),
    "votes": release("gaussian", count=4, arrays={"votes": np.zeros(4)}),
    "choice": release("exponential", count=2, facts={"selected": [3, 1]}),
    "steps": release("sampled_gaussian", count=100),
}


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_is_known_by_what_it_holds(name):
    assert kind_of(EXAMPLES[name]) == name
    assert checked(EXAMPLES[name]) is EXAMPLES[name]


@pytest.mark.parametrize("name", KINDS)
def test_one_fact_or_one_array_more_or_less_is_refused(name):
    right = EXAMPLES[name]
    wrong = [
        replace(right, facts={**right.facts, "total": 3}),
        replace(right, arrays={**right.arrays, "scores": np.zeros(2)}),
        *(replace(right, facts={k: v for k, v in right.facts.items() if k != fact}) for fact in right.facts),
        *(replace(right, arrays={k: v for k, v in right.arrays.items() if k != of}) for of in right.arrays),
    ]
    for one in wrong:
        if (
            kind_of(one) is not None
        ):  # without its array a release of sums would be one of steps, but for its event
            pytest.fail(f"{one} passes for {kind_of(one)}")
        with pytest.raises(ValueError, match="'k' is of no known kind"):
            checked(one)


@pytest.mark.parametrize(
    "wrong",
    [
        release("thresholded_gaussian", facts={"values": ["Ulm", "Bonn"]}),  # an order of appearance
        release("thresholded_gaussian", facts={"values": ["Ulm", "Ulm"]}),  # one for each record
        release("thresholded_gaussian", facts={"values": ["Ulm", 3.0]}),
        release("thresholded_gaussian", facts={"combinations": [["Ulm", 3]]}),  # with its count
        release("gaussian", arrays={"counts": np.zeros(5, dtype=np.int64)}),
        release("gaussian", arrays={"counts": np.zeros((2, 5))}),  # exact beside noisy ones
        replace(EXAMPLES["counts"], arrays={"0": np.zeros(2), "1": np.zeros((2, 2, 3))}),
        replace(EXAMPLES["counts"], event={**EXAMPLES["counts"].event, "count": 1}),
        release("gaussian", arrays={"sums": np.zeros(3)}),
        replace(EXAMPLES["cut counts"], facts={"cut_sets": [["a"], ["a", "b"]], "norms": [0.5]}),
        release("gaussian", count=4, arrays={"votes": np.zeros(8)}),
        release("exponential", count=1, facts={"selected": [3, 1]}),
        release("exponential", count=2, facts={"selected": [3, 3]}),
        release("exponential", count=2, facts={"selected": [3.5, 1]}),
    ],
)
def test_what_a_name_alone_would_hide_is_refused(wrong):
    assert kind_of(wrong) is None


def test_the_refusal_names_no_value():
    with pytest.raises(ValueError, match=r"it holds \['selected', 'total'\]$"):
        checked(release("exponential", facts={"selected": [1], "total": 70_001}))
