"""What is spent, and on whose behalf: amounts of budget that add up, and the unit of the guarantee."""

from __future__ import annotations

import math
from dataclasses import dataclass

from privsynth.accounting.events import Event
from privsynth.accounting.gdp import ADDED_DELTA_SHARE, gdp_epsilon, gdp_mu
from privsynth.errors import ParameterError
from privsynth.errors.arguments import real_number

RELATIVE_TOLERANCE = 1e-9
"""Room for rounding, so that a run of exactly the limit fits; `gdp_mu` keeps more than that in hand."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """Whose presence the guarantee hides; fixed by the first spend on a data set.

    Attributes:
        unit: ``"record"`` or ``"person"``.
        neighbours: Which tables are neighbours.
        person_column: The column that names persons; None if the unit is a record.
        max_records_per_person: Rows kept of each person; None if the unit is a record.
    """

    unit: str
    neighbours: str = "add_or_remove_one"
    person_column: str | None = None
    max_records_per_person: int | None = None

    def __post_init__(self) -> None:
        facts = (self.person_column, self.max_records_per_person)
        if self.unit == "record" and facts == (None, None):
            return
        if self.unit == "person" and None not in facts:
            return
        raise ParameterError(
            "expected unit='record' alone, or unit='person' with person_column and max_records_per_person, "
            f"got {self}"
        )

    def __str__(self) -> str:
        if self.unit == "record":
            return f"one record, {self.neighbours}"
        return (
            f"one person by {self.person_column!r} with at most {self.max_records_per_person} records, "
            f"{self.neighbours}"
        )


@dataclass(frozen=True)
class Spend:
    """An amount of budget: mu² of Gaussian differential privacy, and what adds up as a delta."""

    mu_squared: float
    added_delta: float

    @classmethod
    def of_event(cls, event: Event) -> Spend:
        """Return what an event costs."""
        return cls(event.mu_squared, event.delta)

    @classmethod
    def of_budget(cls, *, epsilon: float, delta: float) -> Spend:
        """Return all that ``(epsilon, delta)`` allows.

        Both parts are fixed by ``epsilon`` and ``delta`` alone, so later choices cannot move one into the
        other: bad events of discovery and slacks of gradient steps come to ``added_delta`` at most, and the
        rest is ``(epsilon, delta - added_delta)`` by the filter on the sum of mu².

        Raises:
            ParameterError: If epsilon is not positive and finite, or delta not in (0, 1).
        """
        epsilon, delta = real_number("epsilon", epsilon), real_number("delta", delta)
        if not (0 < delta < 1 and 0 < epsilon < math.inf):
            raise ParameterError(
                f"expected a finite epsilon > 0 and 0 < delta < 1, got epsilon={epsilon!r}, delta={delta!r}; "
                "delta is the probability that the guarantee fails, far below 1 over the number of units"
            )
        return cls(gdp_mu(epsilon, (1 - ADDED_DELTA_SHARE) * delta) ** 2, ADDED_DELTA_SHARE * delta)

    def __add__(self, other: Spend) -> Spend:
        return Spend(self.mu_squared + other.mu_squared, self.added_delta + other.added_delta)

    def fits(self, allowed: Spend) -> bool:
        """Whether this amount is within ``allowed``, up to `RELATIVE_TOLERANCE`."""
        room = 1 + RELATIVE_TOLERANCE
        return self.mu_squared <= allowed.mu_squared * room and self.added_delta <= allowed.added_delta * room

    def budget(self, delta: float) -> tuple[float, float]:
        """Return an ``(epsilon, delta)`` that this amount satisfies, its delta no smaller than ``delta``."""
        gdp_delta = (1 - ADDED_DELTA_SHARE) * delta
        epsilon = gdp_epsilon(math.sqrt(self.mu_squared), gdp_delta) if self.mu_squared > 0 else 0.0
        if self.added_delta <= ADDED_DELTA_SHARE * delta * (1 + RELATIVE_TOLERANCE):
            return epsilon, delta
        return epsilon, gdp_delta + self.added_delta

    def stated(self, delta: float) -> str:
        """Say which budget this amount satisfies, epsilon rounded up to four digits after the point.

        Example:
            >>> Spend.of_budget(epsilon=1.00003, delta=1e-6).stated(1e-6)
            'epsilon=1.0001 at delta=1e-06'
        """
        epsilon, delta = self.budget(delta)
        return f"epsilon={shown_epsilon(epsilon)} at delta={delta:g}"


def shown_epsilon(epsilon: float) -> str:
    """Show an epsilon rounded up to four digits after the point.

    Example:
        >>> shown_epsilon(1.00003), shown_epsilon(2.0)
        ('1.0001', '2')
    """
    return f"{math.ceil(epsilon * 1e4 - 1e-4) / 1e4:g}" if math.isfinite(epsilon) else "inf"
