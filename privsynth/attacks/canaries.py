"""Gradient canaries: an audit of noisy gradient steps from a single run, seen from inside.

Each canary is a direction of its own in the space of gradients, of the largest norm that clipping lets pass,
in or out by a coin. In a space of many more dimensions than there are canaries they hardly touch each other,
so one run holds as many experiments as canaries: the sum of all noisy gradients points a little further along
the directions of those that were in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from privsynth.attacks.one_run import count_correct_guesses, one_run_epsilon, one_run_mu
from privsynth.errors import ParameterError

NoisySteps = Callable[[np.ndarray], Iterable[np.ndarray]]
"""From the canaries that are in, ``(n_in, dimension)`` unit rows, to one noisy gradient sum a step."""


@dataclass(frozen=True, kw_only=True)
class CanaryAudit:
    """What one run showed.

    Attributes:
        n_canaries: Canaries with a coin each.
        n_guesses: Guesses made, fixed beforehand.
        n_correct: Correct ones.
        epsilon: Lower bound on epsilon at ``delta``, whatever the mechanism (Steinke et al. 2023).
        delta: At which ``epsilon`` holds.
        mu: Lower bound on mu, where the mechanism is claimed to be Gaussian DP (Mahloujifar et al. 2025).
        confidence: Coverage of each bound.
    """

    n_canaries: int
    n_guesses: int
    n_correct: int
    epsilon: float
    delta: float
    mu: float
    confidence: float


def audit_by_canaries(
    noisy_steps: NoisySteps,
    *,
    n_canaries: int,
    dimension: int,
    n_guesses: int,
    generator: np.random.Generator,
    delta: float = 0.0,
    confidence: float = 0.95,
) -> CanaryAudit:
    """Run a mechanism once on gradient canaries and guess which were in.

    Args:
        noisy_steps: The mechanism under audit: samples, clips, sums and adds noise as it always does. The
            canaries that are in are all the records that it gets.
        n_canaries: Number of canaries.
        dimension: Number of parameters, several times ``n_canaries``.
        n_guesses: Even number of guesses, fixed beforehand; a tenth of the canaries is a fair default.
        generator: Draws directions and coins; not the noise.
        delta: At which epsilon is bounded.
        confidence: Coverage of each bound.

    Raises:
        ParameterError: If there are too few dimensions, or a step has another shape.

    Privacy:
        Public: canaries are no records.

    References:
        Nasr et al., "Tight Auditing of Differentially Private Machine Learning", USENIX Security 2023;
        Steinke, Nasr and Jagielski, "Privacy Auditing with One (1) Training Run", NeurIPS 2023, section 6.
    """
    if dimension < 2 * n_canaries:
        raise ParameterError(
            f"expected at least twice as many dimensions as canaries, got {dimension=} and {n_canaries=}: "
            "canaries that share directions tell little of each other"
        )
    directions = generator.normal(size=(n_canaries, dimension)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    included = generator.random(n_canaries) < 0.5
    total = np.zeros(dimension)
    for noisy_sum in noisy_steps(directions[included]):
        if noisy_sum.shape != (dimension,):
            raise ParameterError(f"expected noisy sums of shape ({dimension},), got {noisy_sum.shape}")
        total += noisy_sum
    n_correct = count_correct_guesses(directions @ total, included, n_guesses=n_guesses)
    counts = {"n_canaries": n_canaries, "n_guesses": n_guesses, "n_correct": n_correct}
    return CanaryAudit(
        **counts,
        epsilon=one_run_epsilon(**counts, delta=delta, confidence=confidence),
        delta=delta,
        mu=one_run_mu(**counts, confidence=confidence),
        confidence=confidence,
    )
