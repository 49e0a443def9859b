"""What a mechanism is: the event that the ledger books, and what is computed from real records for it.

A mechanism is one frozen object of public parameters. The curator takes those of a closed list, by exact type
(`privsynth.privacy.curator.MECHANISMS`): what is computed from records is in this folder and nowhere else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from privsynth.accounting.events import Event, Gaussian
from privsynth.privacy.randomness import SecureRandom
from privsynth.privacy.records import SensitiveRecords

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Answer = tuple[dict[str, Any], dict[str, NDArray[Any]]]
"""Facts and arrays of a release."""


@dataclass(frozen=True, kw_only=True)
class Exact:
    """Exact whole numbers, to which the curator adds the noise of the event that it charged.

    Attributes:
        arrays: By name, int64, in grid steps.
        steps_per_unit: The sensitivity: by how many grid steps one unit moves, in L2 and at most, what one of
            the event's releases gives.
        steps_of: The same of those arrays, by name, that have a sensitivity of their own.
        is_each_value_a_release: Whether each value is one of the event's releases; else each array is.
        finish: Turns the noisy arrays, in units, into facts and arrays: arrays alone by default. It may hold
            nothing exact but which values occur, of which those that pass no threshold are left out.

    Privacy:
        Not private: stays inside the curator.
    """

    arrays: Mapping[str, IntArray]
    steps_per_unit: int
    steps_of: Mapping[str, int] = field(default_factory=dict)
    is_each_value_a_release: bool = False
    finish: Callable[[dict[str, FloatArray]], Answer] = lambda noisy: ({}, dict(noisy))


@dataclass(frozen=True, kw_only=True)
class Mechanism(ABC):
    """Public parameters of one charged access to real records."""

    @property
    @abstractmethod
    def event(self) -> Event:
        """What the ledger books, before anything is read."""

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Columns that the release is made from; None: all of them, or a model of them."""
        return None

    @property
    def shapes(self) -> list[tuple[int, ...]] | None:
        """Shapes of the arrays ``"0"``, ``"1"``, ..., which a release kept from before has to have."""
        return None


@dataclass(frozen=True, kw_only=True)
class NoisyMechanism(Mechanism):
    """A mechanism that releases whole numbers with Gaussian noise, which the curator adds.

    Attributes:
        purpose: What it is for, in plain words.
        noise_multiplier: Standard deviation of the noise over the sensitivity.
    """

    has_own_stream: ClassVar[bool] = False  # whether the noise of a release comes from a keystream of its own

    purpose: str
    noise_multiplier: float

    @property
    def n_releases(self) -> int:
        """How many Gaussian releases it is."""
        return 1

    @property
    def event(self) -> Gaussian:
        """See `Mechanism`."""
        return Gaussian(purpose=self.purpose, noise_multiplier=self.noise_multiplier, count=self.n_releases)

    @abstractmethod
    def exact(self, records: SensitiveRecords) -> Exact:
        """Return the exact numbers.

        Privacy:
            Not private: stays inside the curator.
        """


class DrawingMechanism(Mechanism):
    """A mechanism that draws its answer by itself."""

    @abstractmethod
    def draw(self, records: SensitiveRecords, secret: SecureRandom) -> Answer:
        """Return facts and arrays of the release.

        Privacy:
            Accounted: exactly the event.
        """
