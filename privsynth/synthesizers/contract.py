"""What a synthesizer is made of: its settings, what it tells before a fit, what it ends with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar

import sklearn.exceptions

from privsynth.errors import PrivsynthError
from privsynth.schema import Schema
from privsynth.schema.linked import LinkedSchema

Progress = Callable[[str, int, int], None]
"""Called with a message, how much is done, and how much there is to do."""


class NotFittedError(PrivsynthError, sklearn.exceptions.NotFittedError):
    """A synthesizer is asked for rows before it has a model."""


class Settings(Protocol):
    """Public settings of a recipe: a frozen dataclass that can be written as JSON."""

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-able fields."""
        ...

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        ...


@dataclass(frozen=True, kw_only=True)
class FitPlan:
    """What a fit would release and need, told before any record is read.

    Attributes:
        steps: Purpose, share of ``mu**2``, count and noise of each kind of release, JSON-able.
        memory_mb: About how much memory the training needs; None where it does not matter.
        seconds: About how long the training takes on two cores; None where it does not matter.
        advice: Sentences about this recipe.
    """

    steps: tuple[dict[str, Any], ...]
    memory_mb: float | None = None
    seconds: float | None = None
    advice: tuple[str, ...] = ()


class FittedModel(Protocol):
    """What a fit ends with: all that sampling needs."""

    @property
    def schema(self) -> Schema | LinkedSchema:
        """The public description of the records."""
        ...

    @property
    def n_units(self) -> float:
        """Noisy number of units."""
        ...

    @property
    def not_found(self) -> tuple[str, ...]:
        """What the schema keeps private and the budget did not find, and what stands in its place."""
        ...

    @property
    def nearly_empty(self) -> tuple[str, ...]:
        """Columns of which nearly every value is missing."""
        ...

    def require_feasible(self) -> None:
        """Raise a `SchemaError` if no row that the model can make satisfies the constraints."""
        ...


Model = TypeVar("Model", bound=FittedModel)


class Fitted(Generic[Model]):
    """What has a model once it is fitted or loaded."""

    random_state: int | None
    model_: Model

    def _fitted(self) -> Model:
        if not hasattr(self, "model_"):
            raise NotFittedError("this synthesizer is not fitted; call fit first, or privsynth.load(path)")
        return self.model_

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there is a model."""
        return hasattr(self, "model_")
