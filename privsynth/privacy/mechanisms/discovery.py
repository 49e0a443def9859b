"""Finding what the schema keeps private: the values, and combinations of values, that many units hold.

Proved in Lemma 7 of ``PROOF.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from privsynth.accounting.events import ThresholdedGaussian
from privsynth.privacy.mechanisms.base import Answer, Exact, FloatArray, NoisyMechanism
from privsynth.privacy.records import SensitiveRecords
from privsynth.schema import Column, category_text


@dataclass(frozen=True, kw_only=True)
class HeldByMany(NoisyMechanism):
    """The values of a column, or combinations of values of some, that many units hold, sorted.

    The release has the fact ``values`` (of one column: texts of categories, or ticks of a number) or
    ``combinations`` (of several: a text each, None for missing).

    Attributes:
        of: The columns.
        delta: Probability that is booked for a value that one unit alone holds.
        max_values: Largest number of values published; public.
        at_least: Values of fewer units are never considered, and the threshold is higher by what is missing
            to that; public. It bounds how many values have to be held.
    """

    of: tuple[Column, ...]
    delta: float
    max_values: int
    at_least: int = 1

    @property
    def event(self) -> ThresholdedGaussian:
        """See `Mechanism`."""
        return ThresholdedGaussian(
            purpose=self.purpose, noise_multiplier=self.noise_multiplier, delta=self.delta
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """See `Mechanism`."""
        return tuple(column.name for column in self.of)

    def exact(self, records: SensitiveRecords) -> Exact:
        """See `NoisyMechanism`: the counts of values that occur; those of count zero are never considered.

        Leaving them out is what ``delta`` pays for. That holds for values that occur only in rows which the
        cap cut away, too: the threshold does not reckon with them.
        """
        one = records.weighting.units_per_one
        least = self.at_least * one if self.at_least > 1 else 1
        values, counts = records.observed(self.of, least)
        held = np.flatnonzero(counts >= least)
        steps = discovery_threshold(
            self.noise_multiplier,
            delta=self.delta,
            max_records=records.weighting.max_records,
            units_per_one=one,
            least_steps=least,
        )

        def finish(noisy: dict[str, FloatArray]) -> Answer:
            threshold = steps / one  # exact in doubles, as the noisy counts are
            published = held[passing(noisy["counts"], threshold=threshold, max_values=self.max_values)]
            found = [of[published].tolist() for of in values]
            if len(found) == 1:  # sorted: no order of appearance may leak
                return {"values": sorted(found[0])}, {}
            texts = [[None if value is None else category_text(value) for value in of] for of in found]
            rows = [list(row) for row in zip(*texts, strict=True)]
            return {"combinations": sorted(rows, key=lambda row: [text or "" for text in row])}, {}

        return Exact(arrays={"counts": counts[held]}, steps_per_unit=one, finish=finish)


def discovery_threshold(
    noise_multiplier: float, *, delta: float, max_records: int, units_per_one: int = 1, least_steps: int = 1
) -> int:
    """Return the least whole number of grid steps that a noisy count must exceed to be published.

    Noise ``R`` is rounded to the grid, so the chance that a count of ``c`` steps exceeds ``t`` is
    ``P(R > t - c)``, that of a Gaussian beyond ``t - c + 1/2``. A unit with ``m`` rows may hold ``m`` values
    that nobody else holds, at most ``ceil(G / m)`` of the ``G`` steps in a unit each; the chance that any is
    published is at most ``m * P(R > t - ceil(G / m))``, which is within ``delta`` for every ``m`` up to
    ``max_records``. Values that share the unit unevenly are published less often than the worst of these:
    the Gaussian tail is convex there. (Rounded up, because rows of linked tables weigh unevenly themselves.)

    Args:
        noise_multiplier: Standard deviation of the noise before it is rounded, in units.
        delta: Probability that is booked, below 1/2.
        max_records: Largest number of rows of one unit; public.
        units_per_one: Grid steps in one unit, ``G``; public.
        least_steps: Values of fewer steps are not considered; public. A unit may then lift one that has a
            step less, so the threshold is as much higher.

    Privacy:
        Public.
    """
    std = noise_multiplier * units_per_one
    m = np.arange(1, max_records + 1)
    held = -(-units_per_one // m) + least_steps - 1
    steps = np.ceil(held - 0.5 - std * ndtri(delta / m)).astype(np.int64)
    steps += np.where(m * ndtr((held - steps - 0.5) / std) > delta, 1, 0)  # doubles may round down to below
    return int(steps.max())


def passing(noisy: FloatArray, *, threshold: float, max_values: int) -> NDArray[np.intp]:
    """Return the positions of the noisy counts above the threshold, the largest first, at most so many.

    Of equal ones the first come first, in an order of values that rows do not decide.
    """
    best = np.argsort(-noisy, kind="stable")[:max_values]
    return best[noisy[best] > threshold]
