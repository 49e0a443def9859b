"""What every table synthesizer shares: arguments, the run in the ledger, the model file.

A synthesizer adds its public settings and `TableSynthesizer._make`, which buys releases from a curator
and returns a table model. All of them end with the same kind of model, so all sample alike (`sampler`).
"""

from __future__ import annotations

import platform
import secrets
import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self

import pandas as pd
from numpy.typing import NDArray

from privsynth.errors import ModelFileError, ParameterError, SchemaError
from privsynth.privacy.budget import Spend
from privsynth.privacy.curator import Charge, Curator
from privsynth.privacy.ledger import Ledger
from privsynth.privacy.secret import OsEntropy, SecretSource
from privsynth.releases import Release, ReleaseStore
from privsynth.sampling.made import check_made_columns
from privsynth.sampling.table_model import TableModel
from privsynth.schema import Schema
from privsynth.sources import Records, conform, read_table
from privsynth.synthesizers.device import resolve_device
from privsynth.synthesizers.guarantee import guarantee_statement
from privsynth.synthesizers.interruption import FitInterrupted
from privsynth.synthesizers.model_file import ModelFile, read_model_file, write_model_file
from privsynth.synthesizers.run import check_configuration, dataset_name, discard_run, ledger_run
from privsynth.synthesizers.sampler import Progress, TableSampler
from privsynth.synthesizers.table_file import model_arrays, model_facts, model_from

NON_PRIVATE = Spend(1e8, 0.5)  # noise of a ten-thousandth of a unit: the same recipe, for comparison only
SAFE_DELTA_FACTOR = 10.0
PACKAGES = ("privsynth", "numpy", "pandas", "scipy", "torch", "safetensors")


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
class Sketch:
    """What a fit would buy and need, told before any record is read.

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


class TableSynthesizer(TableSampler, ABC):
    """Fit a table under a budget; sample it, conditioned at will.

    Args:
        epsilon: Asked for, natural log, > 0; None fits without privacy and says so everywhere.
        delta: Asked for, in (0, 1); a public constant, never derived from the number of rows.
        settings: Public settings of the recipe.
        device: Where to fit: ``"cpu"``, ``"cuda"``, or ``"auto"`` for a GPU where there is one.
        random_state: Fixes initial weights and, unless given there, the drawing of rows. It does not reach
            the noise: two fits with one ``random_state`` differ.

    Attributes:
        guarantee_: The guarantee statement, JSON-able.
        schema_: The schema of the fit.
        releases_: What was bought, in order.
        model_: Domains and mixture.
    """

    name: ClassVar[str]
    settings_type: ClassVar[type[Settings]]

    def __init__(
        self,
        *,
        epsilon: float | None,
        delta: float = 1e-6,
        settings: Any = None,
        device: str = "auto",
        random_state: int | None = None,
    ) -> None:
        self.epsilon = epsilon
        self.delta = delta
        self.settings = settings
        self.device = device
        self.random_state = random_state

    @classmethod
    @abstractmethod
    def sketch(cls, schema: Schema, settings: Any, allowance: Spend, n_rows: int) -> Sketch:
        """Say what a fit of about ``n_rows`` units would buy with this budget.

        Privacy:
            Public: reads no record.
        """

    @abstractmethod
    def _make(
        self, curator: Curator, settings: Any, *, seed: int, device: str, progress: Progress
    ) -> TableModel:
        """Buy what the recipe needs from the curator, fit, and return the model.

        Privacy:
            Accounted: by the curator, release by release; everything else is post-processing.
        """

    # -- fitting -------------------------------------------------------------------------------------------

    def fit(
        self,
        table: pd.DataFrame | str | Path,
        *,
        schema: Schema,
        dataset: str | None = None,
        ledger: str | Path | Ledger | None = None,
        on_violation: Literal["error", "clip"] = "error",
        releases_path: str | Path | None = None,
        restart: bool = False,
        progress: Progress | None = None,
        secret: SecretSource | None = None,
    ) -> Self:
        """Fit to a table. Nothing is charged before arguments, schema and table are checked.

        Args:
            table: The real records: a frame, or a CSV or Parquet file.
            schema: What is public about them.
            dataset: Name under which the ledger composes runs; a file's name by default. A frame without
                a name does not compose with other runs, and the guarantee says so.
            ledger: The ledger or its file; the user's own by default.
            on_violation: Whether a record that breaks the schema is an error, or is clipped to it.
            releases_path: File that keeps paid releases as they come, so that the same call resumes after
                an interruption. The caller deletes it once the model is saved.
            restart: Discard what an interrupted run left at ``releases_path``; it stays spent.
            progress: Called with a message, the rounds done, and the rounds planned.
            secret: Source of the noise; anything but `OsEntropy` voids the guarantee.

        Raises:
            ParameterError, SchemaError, TableError: If the input is unusable.
            BudgetExceededError, LedgerError: If the ledger refuses; nothing has been read.
            FitInterrupted: After Ctrl-C in a training. The synthesizer then holds a usable model of what was
                learnt so far, and the same call resumes.

        Privacy:
            Accounted: every release is charged to the ledger before the records are read for it.
        """
        self._check_arguments(schema, on_violation)
        records = conform(read_table(table), schema, on_violation=on_violation)
        if restart and releases_path is not None:
            discard_run(releases_path, ledger)
        self.device_ = resolve_device(self.device)
        secret = secret or OsEntropy()
        settings = self.settings or self.settings_type()
        dataset = dataset_name(table, dataset)
        store = ReleaseStore(releases_path)
        interrupted: FitInterrupted | None = None
        try:
            check_configuration(
                store,
                {
                    "class": type(self).__name__,
                    "epsilon": self.epsilon,
                    "delta": self.delta,
                    "settings": settings.to_dict(),
                    "schema": schema.to_dict(),
                    "dataset": dataset,
                    "on_violation": on_violation,
                    "random_state": self.random_state,
                    "secret_source": secret.is_secret,
                    "device": self.device_,
                },
            )
            if "seed" not in store.meta:
                fresh = secrets.randbits(32) if self.random_state is None else self.random_state
                store.set_meta(seed=fresh)
            seed = int(store.meta["seed"])
            model = self._run(records, schema, settings, seed, store, dataset, ledger, secret, progress)
        except FitInterrupted as stopped:
            interrupted, model = stopped, stopped.model
        finally:
            store.close()
        statement = guarantee_statement(
            schema=schema,
            epsilon=self.epsilon,
            delta=self.delta,
            releases=store,
            dataset=dataset,
            on_violation=on_violation,
            is_secret=secret.is_secret,
            interrupted=None if interrupted is None else str(interrupted),
        )
        self._adopt(settings, seed, tuple(store), model, statement)
        model.require_feasible()
        if interrupted is not None:
            raise interrupted
        self._warn_of_delta()
        return self

    def _check_arguments(self, schema: Schema, on_violation: str) -> None:
        if not isinstance(schema, Schema):
            raise SchemaError(
                "fit needs a schema: Schema({...}) or Schema.load(path); `privsynth schema TABLE -o S` "
                "drafts one, and what it does not declare public is found under the budget"
            )
        if on_violation not in ("error", "clip"):
            raise ParameterError(f"expected on_violation 'error' or 'clip', got {on_violation!r}")
        if isinstance(self.random_state, bool) or not isinstance(self.random_state, int | None):
            raise ParameterError(f"expected random_state to be an integer or None, got {self.random_state!r}")
        if self.epsilon is not None:
            Spend.of_budget(epsilon=self.epsilon, delta=self.delta)
        schema.require_complete()
        check_made_columns(schema)

    def _run(
        self,
        records: Records,
        schema: Schema,
        settings: Settings,
        seed: int,
        store: ReleaseStore,
        dataset: str | None,
        ledger: str | Path | Ledger | None,
        secret: SecretSource,
        progress: Progress | None,
    ) -> TableModel:
        report = progress or (lambda message, done, total: None)

        def make(charge: Charge) -> TableModel:
            curator = Curator(
                schema=schema,
                allowance=self._allowance(),
                store=store,
                records=records,
                charge=charge,
                secret=secret,
            )
            return self._make(curator, settings, seed=seed, device=self.device_, progress=report)

        if self.epsilon is None:
            return make(lambda event, key: None)
        with ledger_run(
            ledger=ledger,
            dataset=dataset,
            schema=schema,
            epsilon=self.epsilon,
            delta=self.delta,
            store=store,
            description=type(self).__name__,
        ) as charge:
            return make(charge)

    def _allowance(self) -> Spend:
        if self.epsilon is None:
            return NON_PRIVATE
        return Spend.of_budget(epsilon=self.epsilon, delta=self.delta)

    def _adopt(
        self,
        settings: Settings,
        seed: int,
        releases: tuple[Release, ...],
        model: TableModel,
        statement: dict[str, Any],
    ) -> None:
        self.schema_ = model.schema
        self.settings_ = settings
        self.seed_ = seed
        self.releases_ = releases
        self.model_ = model
        self.guarantee_ = statement

    def _warn_of_delta(self) -> None:
        limit = 1.0 / (SAFE_DELTA_FACTOR * self.model_.n_units)
        if self.epsilon is not None and self.delta > limit:
            warnings.warn(
                f"delta={self.delta:g} is above 1/(10 x the noisy number of {self.schema_.unit}s); "
                f"a delta below {limit:.1g} protects each of them",
                stacklevel=3,
            )

    # -- files ---------------------------------------------------------------------------------------------

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
            "device": self.device_,
            **model_facts(model),
            "versions": {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
        }
        write_model_file(path, ModelFile(manifest, model_arrays(model), self.releases_), force=force)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a model file; see `privsynth.load`."""
        return cls.from_file(path, read_model_file(path))

    @classmethod
    def from_file(cls, path: str | Path, contents: ModelFile) -> Self:
        """Rebuild a synthesizer from the contents of its file."""
        manifest = contents.manifest
        try:
            synthesizer = cls(
                epsilon=manifest["epsilon"], delta=manifest["delta"], random_state=manifest["random_state"]
            )
            model = model_from(manifest, contents.weights)
            settings = cls.settings_type.from_dict(manifest["settings"])
            synthesizer._adopt(settings, manifest["seed"], contents.releases, model, manifest["guarantee"])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError(
                f"{str(path)!r} is damaged: its parts do not fit ({type(error).__name__})"
            ) from None
        synthesizer.device_ = manifest.get("device", "cpu")
        return synthesizer

    def replay(self) -> dict[str, NDArray[Any]]:
        """Rebuild the model's arrays from its releases and settings alone, without records.

        Returns:
            The arrays as they stand in the model file; equal to it byte for byte on the same machine.

        Privacy:
            Post-processing.
        """
        store = ReleaseStore()
        for release in self.releases_:
            store.append(release)
        curator = Curator(schema=self.schema_, allowance=self._allowance(), store=store)
        model = self._make(
            curator,
            self.settings_,
            seed=self.seed_,
            device=resolve_device(self.device_),
            progress=lambda *args: None,
        )
        return model_arrays(model)
