"""What one charged access to real records costs. Public arithmetic: nothing here reads records.

Poisson-sampled Gaussian steps are approximately GDP (`sampled_gaussian`): they cost ``mu**2`` and a slack.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from privsynth.accounting.gdp import exponential_mu
from privsynth.errors import ParameterError

Mechanism = Literal["gaussian", "thresholded_gaussian", "exponential", "sampled_gaussian"]


@dataclass(frozen=True, kw_only=True)
class Event:
    """One charged access to real records, as the ledger keeps it.

    Attributes:
        purpose: What was bought, in plain words; public.
        mechanism: ``gaussian``, ``thresholded_gaussian`` (discovery), ``exponential`` (selection) or
            ``sampled_gaussian`` (gradient steps on Poisson samples).
        noise_multiplier: Noise standard deviation over L2 sensitivity, of the Gaussian mechanisms.
        epsilon0: Bounded range of one draw of the exponential mechanism.
        sample_rate: Probability that a unit enters the batch of one gradient step.
        count: Number of such releases in this event: each at the full cost, gradient steps together.
        delta: Booked for publishing a value that one unit alone holds, or as the slack of gradient steps.
    """

    purpose: str
    mechanism: Mechanism
    noise_multiplier: float | None = None
    epsilon0: float | None = None
    sample_rate: float | None = None
    count: int = 1
    delta: float = 0.0

    def __post_init__(self) -> None:
        level = self.epsilon0 if self.mechanism == "exponential" else self.noise_multiplier
        if level is None or not (math.isfinite(level) and level > 0):
            raise ParameterError(f"expected a positive, finite level of the {self.mechanism}, got {level!r}")
        if self.count < 1 or not 0 <= self.delta < 1:
            raise ParameterError(f"expected count >= 1 and 0 <= delta < 1, got {self.count}, {self.delta}")
        if (self.delta > 0) != (self.mechanism in ("thresholded_gaussian", "sampled_gaussian")):
            raise ParameterError(
                "delta belongs to thresholded discovery and gradient steps, and to nothing else"
            )
        if (self.sample_rate is not None) != (self.mechanism == "sampled_gaussian"):
            raise ParameterError("sample_rate belongs to gradient steps, and to nothing else")
        if self.sample_rate is not None and not 0 < self.sample_rate <= 1:
            raise ParameterError(f"expected 0 < sample_rate <= 1, got sample_rate={self.sample_rate!r}")

    @property
    def mu_squared(self) -> float:
        """GDP cost of the event, beside its ``delta``: the sum of ``mu**2`` over its ``count`` releases."""
        if self.mechanism == "exponential":
            assert self.epsilon0 is not None
            return self.count * exponential_mu(self.epsilon0) ** 2
        assert self.noise_multiplier is not None
        if self.mechanism == "sampled_gaussian":
            from privsynth.accounting.sampled_gaussian import steps_mu

            assert self.sample_rate is not None
            mu = steps_mu(
                noise_multiplier=self.noise_multiplier,
                sample_rate=self.sample_rate,
                n_steps=self.count,
                slack=self.delta,
            )
            return mu**2
        return self.count / self.noise_multiplier**2

    def to_dict(self) -> dict[str, Any]:
        """Return the event as JSON-able fields, absent ones left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Event:
        """Read what `to_dict` wrote."""
        return cls(**fields)
