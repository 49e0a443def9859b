"""What is judged, and the references that it stands beside, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

from privsynth.metrics.common.baselines import Compared

T = TypeVar("T")
Measured = TypeVar("Measured")


@dataclass(frozen=True)
class Sides(Generic[T]):
    """Persons' rows to judge, and those that they are held against.

    Attributes:
        source: Of the persons that the generator was fitted to.
        judged: ``synthetic``; ``ceiling``, the holdout's, if there is one; ``floor``, the real rows dealt to
            persons at random.
    """

    source: T
    judged: dict[Compared, T]

    @classmethod
    def of(cls, source: T, *, synthetic: T, floor: T, ceiling: T | None) -> Self:
        """Return the sides; without a holdout there is no ceiling.

        Privacy:
            Not private: holds real records.
        """
        judged: dict[Compared, T] = {"synthetic": synthetic, "floor": floor}
        if ceiling is not None:
            judged["ceiling"] = ceiling
        return cls(source, judged)

    def each(self, measure: Callable[[T], Measured]) -> dict[Compared, Measured]:
        """Return what is made of each side."""
        return {name: measure(side) for name, side in self.judged.items()}
