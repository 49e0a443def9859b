"""Synthesizers as scikit-learn takes estimators: their parameters can be read, set, copied and searched."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, ClassVar, Self

from sklearn.base import BaseEstimator

from privsynth.errors import ParameterError

INNER = "settings__"


class Estimator(BaseEstimator):
    """Parameters of the constructor, those of ``settings`` included, as ``settings__n_rounds``."""

    settings: Any
    settings_type: ClassVar[type[Any]]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name; with ``deep`` those of the settings too."""
        params: dict[str, Any] = super().get_params(deep=deep)
        if deep:
            settings = self._settings()
            params |= {INNER + field.name: getattr(settings, field.name) for field in fields(settings)}
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name, as `get_params` gives them.

        Raises:
            ParameterError: If a parameter is unknown, or its value is refused by the settings.
        """
        unknown = sorted(set(params) - set(self.get_params()))
        if unknown:
            known = ", ".join(sorted(self.get_params()))
            raise ParameterError(f"{type(self).__name__} has no parameter {unknown[0]!r}; it has {known}")
        inner = {name.removeprefix(INNER): value for name, value in params.items() if name.startswith(INNER)}
        super().set_params(**{name: value for name, value in params.items() if not name.startswith(INNER)})
        if inner:
            self.settings = replace(self._settings(), **inner)
        return self

    def _settings(self) -> Any:
        """Return the settings that a fit takes."""
        settings = self.settings_type() if self.settings is None else self.settings
        if not isinstance(settings, self.settings_type):
            raise ParameterError(
                f"expected settings to be {self.settings_type.__name__}(...), got {type(settings).__name__}"
            )
        return settings
