"""Synthesizers as scikit-learn takes estimators: their parameters can be read, set, copied and searched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, ClassVar, Self

from sklearn.base import BaseEstimator

from privsynth.errors import ParameterError
from privsynth.synthesizers.setting_types import check_setting_types

OF_SETTINGS = "settings__"


class Estimator(BaseEstimator):
    """Parameters of the constructor and of ``settings``: ``settings__n_steps``, ``settings__gan__hidden``."""

    settings: Any
    settings_type: ClassVar[type[Any]]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name; with ``deep`` those of the settings too."""
        params: dict[str, Any] = super().get_params(deep=deep)
        return params | _inner(self._settings(), OF_SETTINGS) if deep else params

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name, as `get_params` gives them.

        Raises:
            ParameterError: If a parameter is unknown, or its value is refused by the settings.
        """
        unknown = sorted(set(params) - set(self.get_params()))
        if unknown:
            known = ", ".join(sorted(self.get_params()))
            raise ParameterError(f"{type(self).__name__} has no parameter {unknown[0]!r}; it has {known}")
        inner = {
            name.removeprefix(OF_SETTINGS): params.pop(name)
            for name in list(params)
            if name.startswith(OF_SETTINGS)
        }
        super().set_params(**params)
        if inner:
            self.settings = _replaced(self._settings(), inner)
        return self

    def _settings(self) -> Any:
        """Return the settings that a fit takes."""
        settings = self.settings_type() if self.settings is None else self.settings
        if not isinstance(settings, self.settings_type):
            raise ParameterError(
                f"expected settings to be {self.settings_type.__name__}(...), got {type(settings).__name__}"
            )
        check_setting_types(settings)
        return settings


def _inner(settings: Any, prefix: str) -> dict[str, Any]:
    """Return the fields of settings, and of settings in them, by name."""
    found: dict[str, Any] = {}
    for field in fields(settings):
        value = getattr(settings, field.name)
        found[prefix + field.name] = value
        if is_dataclass(value):
            found |= _inner(value, f"{prefix}{field.name}__")
    return found


def _replaced(settings: Any, changes: Mapping[str, Any]) -> Any:
    """Return settings with other values of fields, in settings inside them too; whole fields come first."""
    whole = {name: value for name, value in changes.items() if "__" not in name}
    parts: dict[str, dict[str, Any]] = {}
    for name, value in changes.items():
        first, _, rest = name.partition("__")
        if rest:
            parts.setdefault(first, {})[rest] = value
    for name, inner in parts.items():
        whole[name] = _replaced(whole.get(name, getattr(settings, name)), inner)
    return replace(settings, **whole)
