"""What one charged access to real records costs: an event of each mechanism. Public arithmetic.

An event is written into ledgers and model files (`Event.to_dict`) and read back for ever: fields and names
of mechanisms are only ever added, never renamed, and the cost of an event that is written never falls.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from privsynth.accounting.gdp import exponential_mu
from privsynth.errors import ParameterError


@dataclass(frozen=True, kw_only=True)
class Event(ABC):
    """One charged access to real records, as the ledger keeps it; `Gaussian` and the others are its kinds.

    Attributes:
        mechanism: Name of the kind.
        purpose: What it was for, in plain words; public.
        count: Number of releases in this event: each at the full cost, gradient steps together.
        delta: Booked for publishing a value that one unit alone holds, or as the slack of gradient steps.
    """

    mechanism: ClassVar[str]
    level: ClassVar[str]  # the field that says how strong it is

    purpose: str
    count: int = 1
    delta: float = 0.0

    def __post_init__(self) -> None:
        level = getattr(self, self.level)
        if not (math.isfinite(level) and level > 0):
            raise ParameterError(f"expected a positive, finite level of the {self.mechanism}, got {level!r}")
        if self.count < 1 or not 0 <= self.delta < 1:
            raise ParameterError(f"expected count >= 1 and 0 <= delta < 1, got {self.count}, {self.delta}")
        if (self.delta > 0) != isinstance(self, ThresholdedGaussian | SampledGaussian):
            raise ParameterError(
                "delta belongs to thresholded discovery and gradient steps, and to nothing else"
            )

    @property
    @abstractmethod
    def mu_squared(self) -> float:
        """GDP cost of the event, beside its ``delta``: the sum of ``mu**2`` over its ``count`` releases."""

    @property
    def levels(self) -> dict[str, float]:
        """What says how strong it is, by name."""
        own = [field.name for field in fields(self) if field.name not in ("purpose", "count", "delta")]
        return {name: getattr(self, name) for name in own}

    def to_dict(self) -> dict[str, Any]:
        """Return the event as JSON-able fields."""
        start = {"purpose": self.purpose, "mechanism": self.mechanism}
        return {**start, **self.levels, "count": self.count, "delta": self.delta}

    @staticmethod
    def from_dict(written: Mapping[str, Any]) -> Event:
        """Read what `to_dict` wrote.

        Raises:
            ParameterError: If it is no event.
        """
        own = {name: value for name, value in written.items() if value is not None}
        kind = EVENTS.get(str(own.pop("mechanism", "")))
        try:
            if kind is not None:
                return kind(**own)
        except TypeError:  # a field that is missing, or one too many
            pass
        raise ParameterError(f"expected an event of a known mechanism, got one of the fields {list(written)}")


@dataclass(frozen=True, kw_only=True)
class Gaussian(Event):
    """Gaussian noise on something of L2 sensitivity 1, ``count`` times.

    Attributes:
        noise_multiplier: Noise standard deviation over L2 sensitivity.
    """

    mechanism = "gaussian"
    level = "noise_multiplier"

    noise_multiplier: float

    @property
    def mu_squared(self) -> float:
        """See `Event`."""
        return self.count / self.noise_multiplier**2


@dataclass(frozen=True, kw_only=True)
class ThresholdedGaussian(Gaussian):
    """Gaussian noise on the counts of values that occur, of which those above a threshold are published."""

    mechanism = "thresholded_gaussian"


@dataclass(frozen=True, kw_only=True)
class Exponential(Event):
    """``count`` draws of the exponential mechanism.

    Attributes:
        epsilon0: Bounded range of one draw.
    """

    mechanism = "exponential"
    level = "epsilon0"

    epsilon0: float

    @property
    def mu_squared(self) -> float:
        """See `Event`."""
        return self.count * exponential_mu(self.epsilon0) ** 2


@dataclass(frozen=True, kw_only=True)
class SampledGaussian(Event):
    """``count`` gradient steps on Poisson samples: approximately GDP, at a slack (`sampled_gaussian`).

    Attributes:
        noise_multiplier: Noise standard deviation over the L2 bound on one record's gradient.
        sample_rate: Probability that a unit enters the batch of one step.
    """

    mechanism = "sampled_gaussian"
    level = "noise_multiplier"

    noise_multiplier: float
    sample_rate: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.sample_rate <= 1:
            raise ParameterError(f"expected 0 < sample_rate <= 1, got sample_rate={self.sample_rate!r}")

    @property
    def mu_squared(self) -> float:
        """See `Event`."""
        from privsynth.accounting.sampled_gaussian import steps_mu

        mu = steps_mu(
            noise_multiplier=self.noise_multiplier,
            sample_rate=self.sample_rate,
            n_steps=self.count,
            slack=self.delta,
        )
        return mu**2


EVENTS: Mapping[str, type[Event]] = {
    kind.mechanism: kind for kind in (Gaussian, ThresholdedGaussian, Exponential, SampledGaussian)
}
