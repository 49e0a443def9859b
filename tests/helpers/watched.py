"""A fit under watch: every secret byte it draws, every noise it adds, every batch and gradient of its steps.

What is watched is the package's own code, called as it is: notes are taken beside it, and nothing is changed.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from privsynth.counting.memory import RecordsInMemory
from privsynth.ledger.ledger import Ledger
from privsynth.privacy import curator
from privsynth.privacy.mechanisms import selection
from privsynth.privacy.mechanisms.gradient_steps import GradientSteps
from privsynth.privacy.randomness import Keystream, OsEntropy
from privsynth.privacy.units import Weighting

FIRST = ""  # what is drawn before anything is charged: the cut of each person's rows
BYTES_OF_A_NORMAL = 8  # a pair is made of two 64-bit words
BYTES_OF_A_UNIFORM = 8
BYTES_OF_A_GAP = 8  # how many units there are before the next one that enters a batch

Call = Callable[[], Any]
Arguments = dict[str, Any]


class Watch:
    """What one fit drew and added, by the key of the release; each gradient step has a key of its own.

    Attributes:
        drawn: Secret bytes, in the order in which they were read.
        needed: How many bytes it takes at the least, for what is noted here: choices, lists, steps.
        noise: What was added to each array, over its standard deviation.
        noisy: The same arrays as they were returned.
        batches: Units in the batch of each step.
        gradients: Noisy gradient of each step, ``(n_parameters,)``.
    """

    def __init__(self) -> None:
        self.drawn: dict[str, list[bytes]] = defaultdict(list)
        self.needed: dict[str, int] = defaultdict(int)
        self.noise: dict[str, list[np.ndarray]] = defaultdict(list)
        self.noisy: dict[str, list[np.ndarray]] = defaultdict(list)
        self.batches: list[np.ndarray] = []
        self.gradients: list[np.ndarray] = []
        self._key = FIRST
        self._is_step = False

    def __enter__(self) -> Watch:
        self._patch = pytest.MonkeyPatch()
        for owner, name, note in (
            (OsEntropy, "read", self._read),
            (Keystream, "read", self._read),
            (Ledger, "charge", self._charge),
            (curator, "add_gaussian_noise", self._add),
            (RecordsInMemory, "observed", self._observe),
            (selection, "exponential_mechanism", self._choose),
            (Weighting, "poisson_sample", self._batch),
            (GradientSteps, "noisy_gradient", self._step),
        ):
            self._patch.setattr(owner, name, _noted(getattr(owner, name), note))
        return self

    def __exit__(self, *error: object) -> None:
        self._patch.undo()

    def n_drawn(self, key: str) -> int:
        """Return how many secret bytes were drawn for a release."""
        return sum(map(len, self.drawn[key]))

    def _read(self, call: Call, arguments: Arguments) -> Any:
        found = call()
        self.drawn[self._key].append(found)
        return found

    def _charge(self, call: Call, arguments: Arguments) -> None:
        call()
        self._key = arguments["key"]

    def _add(self, call: Call, arguments: Arguments) -> Any:
        noisy = call()
        added = noisy - arguments["counts"] / arguments["units_per_one"]
        self.noise[self._key].append(added.ravel() / arguments["noise_multiplier"])
        self.noisy[self._key].append(noisy)
        return noisy

    def _observe(self, call: Call, arguments: Arguments) -> Any:
        values, counts = call()
        self.needed[self._key] += BYTES_OF_A_NORMAL * np.count_nonzero(counts)
        return values, counts

    def _choose(self, call: Call, arguments: Arguments) -> Any:
        self.needed[self._key] += BYTES_OF_A_UNIFORM * len(arguments["scores"])
        return call()

    def _batch(self, call: Call, arguments: Arguments) -> Any:
        rows, persons = call(), arguments["self"].persons
        if arguments["sample_rate"] < 1.0:
            self.needed[self._key] += BYTES_OF_A_GAP * len(rows)
        if persons is not None:
            self.needed[self._key] += BYTES_OF_A_UNIFORM * len(rows)  # which row of each
        if self._is_step:
            self.batches.append(rows if persons is None else persons[rows])
        return rows

    def _step(self, call: Call, arguments: Arguments) -> None:
        block, self._key, self._is_step = self._key, f"{self._key}/{arguments['self'].n_begun}", True
        parameters = arguments["clipper"].parameters
        self.needed[self._key] += BYTES_OF_A_NORMAL * sum(p.numel() for p in parameters)
        call()
        self.gradients.append(np.concatenate([p.grad.detach().numpy().ravel() for p in parameters]))
        self._key, self._is_step = block, False


def _noted(honest: Callable[..., Any], note: Callable[[Call, Arguments], Any]) -> Callable[..., Any]:
    parameters = inspect.signature(honest)

    def noted(*arguments: Any, **named: Any) -> Any:
        bound = parameters.bind(*arguments, **named)
        return note(lambda: honest(*arguments, **named), dict(bound.arguments))

    return noted
