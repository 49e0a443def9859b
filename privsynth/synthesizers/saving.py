"""A fitted synthesizer as a file and back, and its model rebuilt from releases alone."""

from __future__ import annotations

import platform
from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from privsynth.errors import ModelFileError
from privsynth.releases.store import Release
from privsynth.schema import Schema
from privsynth.schema.linked import LinkedSchema
from privsynth.synthesizers.contract import Fitted, Model, Settings
from privsynth.synthesizers.model_file import DAMAGED, ModelFile, read_model_file, write_model_file
from privsynth.synthesizers.setting_types import check_setting_types

PACKAGES = ("privsynth", "numpy", "pandas", "scipy", "torch", "safetensors")


class Saved(Fitted[Model], ABC):
    """What a synthesizer holds once it is fitted, and how that is written, read and rebuilt."""

    settings_type: ClassVar[type[Settings]]
    arguments: ClassVar[tuple[str, ...]] = ("epsilon", "delta", "random_state")
    epsilon: float | None
    delta: float
    schema_: Schema | LinkedSchema
    settings_: Settings
    seed_: int
    releases_: tuple[Release, ...]
    guarantee_: dict[str, Any]
    device_: str
    added_delta_: float | None
    fingerprint_: str | None
    ledger_link_: dict[str, Any] | None

    @abstractmethod
    def _rebuilt(self) -> Model:
        """Return the model as releases, settings and seed give it again."""

    @staticmethod
    @abstractmethod
    def _arrays_of(model: Model) -> dict[str, NDArray[Any]]:
        """Return the arrays of a model by name, as in a model file."""

    @staticmethod
    @abstractmethod
    def _facts_of(model: Model) -> dict[str, Any]:
        """Return what the manifest of a model file says of a model beside its arrays."""

    @classmethod
    @abstractmethod
    def _model_from(
        cls, settings: Any, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> Model:
        """Rebuild a model; raises a `KeyError`, `TypeError` or `ValueError` if its parts do not fit."""

    def _facts_of_start(self) -> dict[str, Any]:
        """Return what the manifest says of an earlier model that the fit went on from; nothing if of none."""
        return {}

    def _take_start(self, manifest: Mapping[str, Any]) -> None:
        """Read what `_facts_of_start` wrote; raises as `_model_from`."""

    def _adopt(
        self,
        settings: Any,
        seed: int,
        releases: tuple[Release, ...],
        model: Model,
        statement: dict[str, Any],
    ) -> None:
        self.schema_ = model.schema
        self.feature_names_in_ = np.array(list(model.schema.columns), dtype=object)
        self.n_features_in_ = len(self.feature_names_in_)
        self.settings_ = settings
        self.seed_ = seed
        self.releases_ = releases
        self.model_ = model
        self.guarantee_ = statement

    @property
    def rows_of_persons(self) -> str | None:
        """What a synthetic row means where the unit is a person; None where it is a record."""
        said: str | None = self.guarantee_.get("rows")
        return said or self.schema_.rows_of_persons

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write the model file: guarantee, weights, releases; nothing of a record.

        Raises:
            TableError: If it cannot be written, or exists and ``force`` is not set.
        """
        model = self._fitted()
        manifest = {
            "class": type(self).__name__,
            "guarantee": self.guarantee_,
            "settings": self.settings_.to_dict(),
            "epsilon": self.epsilon,
            "delta": self.delta,
            "random_state": self.random_state,
            "seed": self.seed_,
            "added_delta": self.added_delta_,
            "fingerprint": self.fingerprint_,
            "ledger_link": self.ledger_link_,
            "device": self.device_,
            **self._facts_of(model),
            **self._facts_of_start(),
            "versions": {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
        }
        write_model_file(path, ModelFile(manifest, self._arrays_of(model), self.releases_), force=force)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a model file; see `privsynth.load`."""
        return cls.from_file(path, read_model_file(path))

    @classmethod
    def from_file(cls, path: str | Path, contents: ModelFile) -> Self:
        """Rebuild a synthesizer from the contents of its file."""
        manifest = contents.manifest
        try:
            synthesizer = cls(**{name: manifest[name] for name in cls.arguments})
            synthesizer.epsilon, synthesizer.delta = manifest["epsilon"], manifest["delta"]
            settings = cls.settings_type.from_dict(manifest["settings"])
            check_setting_types(settings)
            model = cls._model_from(settings, manifest, contents.weights)
            statement = {"given": model.schema.given, **manifest["guarantee"]}  # older files do not say it
            synthesizer._adopt(settings, manifest["seed"], contents.releases, model, statement)
            synthesizer._take_start(manifest)
        except DAMAGED as error:
            raise ModelFileError(
                f"{str(path)!r} is damaged: its parts do not fit ({type(error).__name__})"
            ) from None
        synthesizer.device_ = manifest.get("device", "cpu")
        synthesizer.added_delta_ = manifest.get("added_delta")
        synthesizer.fingerprint_ = manifest.get("fingerprint")
        synthesizer.ledger_link_ = manifest.get("ledger_link")
        return synthesizer

    def replay(self) -> dict[str, NDArray[Any]]:
        """Rebuild the model's arrays from its releases and settings alone, without records.

        Returns:
            The arrays as they stand in the model file; equal to it byte for byte on the same machine.

        Privacy:
            Post-processing.
        """
        self._fitted()
        return self._arrays_of(self._rebuilt())
