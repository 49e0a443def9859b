"""What every synthesizer shares: arguments, the run in the ledger, the model file.

A synthesizer adds its public settings and `Synthesizer._make`, which buys releases from a curator and
returns a model. Synthesizers of tables (`table`) all end with one kind of model, and so do those of images
(`image`): all of a kind sample alike.
"""

from __future__ import annotations

import hashlib
import json
import platform
import secrets
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from privsynth.accounting.budget import Spend
from privsynth.errors import LedgerError, ModelFileError, ParameterError, ReplayError, SchemaError
from privsynth.errors.arguments import real_number
from privsynth.errors.seeds import checked_seed
from privsynth.ledger.ledger import Ledger
from privsynth.models.threads import idle_processors_only
from privsynth.privacy.curator import Curator
from privsynth.privacy.distributed import Ranks
from privsynth.privacy.randomness import OsEntropy, SecureRandom
from privsynth.records.conform import OnViolation, Records
from privsynth.releases.store import Release, ReleaseStore
from privsynth.sampling.generated_columns import check_generated_columns
from privsynth.schema import Schema
from privsynth.synthesizers.amending import allowance
from privsynth.synthesizers.contract import FitPlan, Fitted, Model, Progress, Settings
from privsynth.synthesizers.device import resolve_device
from privsynth.synthesizers.distributed import JointStore, joint_fit
from privsynth.synthesizers.estimator import Estimator
from privsynth.synthesizers.guarantee import guarantee_statement
from privsynth.synthesizers.interruption import FitInterrupted
from privsynth.synthesizers.model_file import ModelFile, read_model_file, write_model_file
from privsynth.synthesizers.run import (
    Account,
    check_configuration,
    dataset_name,
    discard_run,
    ledger_run,
    remember_configuration,
)

NON_PRIVATE = Spend(1e8, 0.5)  # noise of a ten-thousandth of a unit: the same recipe, for comparison only
SAFE_DELTA_FACTOR = 10.0
PACKAGES = ("privsynth", "numpy", "pandas", "scipy", "torch", "safetensors")


class Synthesizer(Fitted[Model], Estimator, ABC):
    """Fit records under a budget; sample the model, conditioned at will.

    A scikit-learn estimator: it is cloned, shown and searched like any other.

    Args:
        epsilon: Asked for, natural log, > 0; None fits without privacy and says so everywhere.
        delta: Asked for, in (0, 1); a public constant, never derived from the number of rows.
        settings: Public settings of the recipe.
        device: Where to fit: ``"cpu"``, ``"cuda"``, or ``"auto"`` for a GPU where there is one.
        random_state: Fixes initial weights and, unless given there, the drawing of rows. It does not reach
            the noise: two fits with one ``random_state`` differ. A whole number, since an interrupted fit
            goes on with the same one.
        schema: What is public about the records; `fit` takes it too.

    Attributes:
        feature_names_in_: Names of the schema's columns, ``(n_features_in_,)``.
        n_features_in_: Their number.
        guarantee_: The guarantee statement, JSON-able.
        schema_: The schema of the fit.
        releases_: What was bought, in order.
        model_: What was fitted.
        added_delta_: What the run set aside of its delta for discovery and gradient steps; None if all of
            the share that is meant for them.
        fingerprint_: Hash of the settings of the fit (`fingerprint`); None in models of older versions.
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
        schema: Schema | None = None,
    ) -> None:
        self.epsilon = epsilon
        self.delta = delta
        self.settings = settings
        self.device = device
        self.random_state = random_state
        self.schema = schema

    @classmethod
    @abstractmethod
    def plan_for(cls, schema: Schema, settings: Any, allowance: Spend, n_rows: int) -> FitPlan:
        """Say what a fit of about ``n_rows`` units would buy with this budget.

        Privacy:
            Public: reads no record.
        """

    @abstractmethod
    def _make(self, curator: Curator, settings: Any, *, seed: int, device: str, progress: Progress) -> Model:
        """Buy what the recipe needs from the curator, fit, and return the model.

        Privacy:
            Accounted: by the curator, release by release; everything else is post-processing.
        """

    @abstractmethod
    def _check_names(self, source: Any, schema: Schema) -> None:
        """Check what can be known of a source without its records: that it is there, and its column names.

        Privacy:
            Public: reads names.
        """

    @abstractmethod
    def _read(self, source: Any, schema: Schema, on_violation: OnViolation) -> Records:
        """Read the records and hold them against their schema.

        Privacy:
            Not private: returns the records.
        """

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

    # -- fitting -------------------------------------------------------------------------------------------

    def fit(
        self,
        source: Any,
        *,
        schema: Schema | None = None,
        dataset: str | None = None,
        ledger: str | Path | Ledger | None = None,
        on_violation: OnViolation = "error",
        releases_path: str | Path | None = None,
        restart: bool = False,
        progress: Progress | None = None,
        secret: SecureRandom | None = None,
    ) -> Self:
        """Fit to records: check arguments and column names, reserve the budget, then read.

        Where records break the schema, or cannot be read, the run stops: that is a signal without noise. What
        it reserved stays reserved, the ledger counts the stop, and every later guarantee on the data set says
        how many there were. The same call resumes the run once table or schema is mended.

        A run that was interrupted goes on under an amended schema too: releases that name no changed column
        are kept, the others are bought again with what is left of the run's budget.

        Under `torchrun`, every rank makes the same call, and all end with the same model: the first alone
        reads the source, pays and writes, the others sum gradients for it.

        Args:
            source: The real records. A table: a frame, or a CSV or Parquet file. Images: see
                `privsynth.records.images.read_images`.
            schema: What is public about them; that of the constructor by default.
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
            BudgetExceededError, LedgerError: If the ledger refuses; nothing has been read but column names.
            FitInterrupted: After Ctrl-C in a training. The synthesizer then holds a usable model of what was
                learnt so far, and the same call resumes.
            RankStoppedError: If another rank of `torchrun` ended; the first rank says why.

        Privacy:
            Accounted: every release is charged to the ledger before the records are read for it.
        """
        schema = self._checked_arguments(self.schema if schema is None else schema, on_violation)
        with joint_fit(self.device) as ranks, idle_processors_only():
            self.device_ = "cpu" if ranks is not None else resolve_device(self.device)
            is_first = ranks is None or ranks.is_first
            if is_first:
                self._check_names(source, schema)
            if restart and releases_path is not None and is_first:
                discard_run(releases_path, ledger)
            store = JointStore(releases_path if is_first else None)
            self.fingerprint_: str | None = self.fingerprint(
                source, schema=schema, dataset=dataset, on_violation=on_violation
            )
            name = dataset_name(source, dataset)
            secret = secret or OsEntropy()
            read = partial(self._read, source, schema, on_violation) if is_first else None
            self._fit(read, store, ranks, schema, name, ledger, on_violation, progress, secret)
            if is_first:
                self._warn_of_delta()
                self._warn_of_what_is_hardly_known(on_violation)
        return self

    def _fit(
        self,
        read: Callable[[], Records] | None,
        store: JointStore,
        ranks: Ranks | None,
        schema: Schema,
        dataset: str | None,
        ledger: str | Path | Ledger | None,
        on_violation: OnViolation,
        progress: Progress | None,
        secret: SecureRandom,
    ) -> None:
        """Run, and adopt what comes of it; a helper of the first rank reads nothing."""
        settings = self._settings()
        interrupted: FitInterrupted | None = None
        try:
            if read is None:
                store.begin(ranks)
                model = self._follow(schema, settings, store, ranks)
            else:
                configuration = self._configuration(settings, schema, dataset, on_violation) | {
                    "secret_source": secret.is_secret,
                    "device": self.device_,
                }
                model = self._run(
                    read, configuration, schema, settings, store, ranks, dataset, ledger, secret, progress
                )
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
            on_violation=store.meta["on_violation"],
            is_secret=secret.is_secret,
            not_found=model.not_found,
            noiseless_stops=store.meta["noiseless_stops"],
            interrupted=None if interrupted is None else str(interrupted),
        )
        self._adopt(settings, int(store.meta["seed"]), tuple(store), model, statement)
        self.added_delta_ = store.meta.get("added_delta")
        model.require_feasible()
        if interrupted is not None:
            raise interrupted

    def _follow(self, schema: Schema, settings: Settings, store: JointStore, ranks: Ranks | None) -> Model:
        """Make the model from what is released, as in a replay; ``ranks`` sends it as it is bought."""
        whole = self._set_aside(store)
        curator = Curator(
            schema=schema,
            allowance=allowance(whole, store),
            limit=whole,
            store=store,
            ranks=ranks,
        )
        return self._make(
            curator,
            settings,
            seed=int(store.meta["seed"]),
            device=resolve_device(self.device_),
            progress=lambda *args: None,
        )

    def _checked_arguments(self, schema: Any, on_violation: str) -> Schema:
        if not isinstance(schema, Schema):
            raise SchemaError(
                f"expected a schema, here or in the constructor, got {type(schema).__name__}: "
                "Schema({...}) or Schema.load(path); `privsynth schema TABLE -o S`, or "
                "privsynth.draft_schema(table), drafts one, and what it does not declare public is "
                "found under the budget"
            )
        if on_violation not in ("error", "clip"):
            raise ParameterError(f"expected on_violation 'error' or 'clip', got {on_violation!r}")
        self._settings()
        # numbers of numpy become plain ones, which model files and ledgers can hold
        self.random_state = checked_seed(self.random_state, below=2**63)
        self.delta = real_number("delta", self.delta)
        if self.epsilon is not None:
            self.epsilon = real_number("epsilon", self.epsilon)
            Spend.of_budget(epsilon=self.epsilon, delta=self.delta)
        schema.require_complete()
        check_generated_columns(schema)
        return schema

    def _configuration(
        self, settings: Settings, schema: Schema, dataset: str | None, on_violation: str
    ) -> dict[str, Any]:
        """Return what a run must have in common with another one that goes on with it, JSON-able."""
        configuration = {
            "class": type(self).__name__,
            "epsilon": self.epsilon,
            "delta": self.delta,
            "settings": settings.to_dict(),
            "schema": schema.to_dict(),
            "dataset": dataset,
            "on_violation": on_violation,
            "random_state": self.random_state,
        }
        whole: dict[str, Any] = json.loads(json.dumps(configuration))  # as a store gives it back
        return whole

    def fingerprint(
        self, source: Any, *, schema: Schema, dataset: str | None = None, on_violation: str = "error"
    ) -> str:
        """Return what tells this fit from another: equal for equal settings, schema and name of the source.

        Privacy:
            Public: a hash of public settings; the source is not read.
        """
        name = dataset_name(source, dataset)
        whole = self._configuration(self._settings(), schema, name, on_violation)
        whole["source"] = Path(source).name if isinstance(source, str | Path) else None
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()

    def _run(
        self,
        read: Callable[[], Records],
        configuration: Mapping[str, Any],
        schema: Schema,
        settings: Settings,
        store: JointStore,
        ranks: Ranks | None,
        dataset: str | None,
        ledger: str | Path | Ledger | None,
        secret: SecureRandom,
        progress: Progress | None,
    ) -> Model:
        """Reserve, read, and make the model; a run that is finished already is replayed from its store."""
        report = progress or (lambda message, done, total: None)

        def make(account: Account | None) -> Model:
            if "seed" not in store.meta:
                fresh = secrets.randbits(32) if self.random_state is None else self.random_state
                store.set_meta(seed=fresh)
            store.set_meta(on_violation=store.meta["configuration"]["on_violation"])
            store.set_meta(noiseless_stops=0 if account is None else account.noiseless_stops)
            if account is not None:
                store.meta.update(account.steps_begun)  # for helpers; the ledger is what counts
            store.begin(ranks)
            whole = self._set_aside(store)
            is_read = account is None or not account.is_finished
            with nullcontext() if account is None else account.reading():
                curator = Curator(
                    schema=schema,
                    allowance=allowance(whole, store),
                    limit=whole,
                    store=store,
                    records=read() if is_read else None,
                    charge=(lambda event, key: None) if account is None else account.charge,
                    secret=secret,
                    ranks=ranks,
                    counter=account,
                )
            seed = int(store.meta["seed"])
            try:
                return self._make(curator, settings, seed=seed, device=self.device_, progress=report)
            except ReplayError:
                if is_read:
                    raise
                raise LedgerError(
                    "the run is finished, and of a finished run no record is read again; its file of paid "
                    "releases lacks some, so it is an older copy. Pass --restart for a run of its own (what "
                    "was paid stays spent)"
                ) from None

        if self.epsilon is None:
            check_configuration(store, configuration)
            remember_configuration(store, configuration)
            return make(None)
        with ledger_run(
            ledger=ledger,
            dataset=dataset,
            schema=schema,
            epsilon=self.epsilon,
            delta=self.delta,
            store=store,
            configuration=configuration,
            description=type(self).__name__,
        ) as account:
            return make(account)

    def _allowance(self) -> Spend:
        if self.epsilon is None:
            return NON_PRIVATE
        return Spend.of_budget(epsilon=self.epsilon, delta=self.delta)

    def _set_aside(self, store: ReleaseStore) -> Spend:
        """Return what the run has reserved: under a limit, maybe less of the delta that adds up."""
        whole = self._allowance()
        return Spend(whole.mu_squared, store.meta.get("added_delta", whole.added_delta))

    def _adopt(
        self,
        settings: Settings,
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

    def _warn_of_delta(self) -> None:
        limit = 1.0 / (SAFE_DELTA_FACTOR * self.model_.n_units)
        if self.epsilon is not None and self.delta > limit:
            warnings.warn(
                f"delta={self.delta:g} is above 1/(10 x the noisy number of {self.schema_.unit}s); "
                f"a delta below {limit:.1g} protects each of them",
                stacklevel=3,
            )

    def _warn_of_what_is_hardly_known(self, on_violation: str) -> None:
        for sentence in self.model_.not_found:
            warnings.warn(
                f"not found under the budget: {sentence}. Declare what is public of it, drop it, or fit "
                "with a larger epsilon",
                stacklevel=3,
            )
        for name in self.model_.nearly_empty if on_violation == "clip" else ():
            warnings.warn(
                f"column {name!r}: nearly every value is missing. If the table has values there, the schema "
                "could not read them, and they were clipped: `privsynth check` shows the owner which; "
                "'format', 'missing_values' or the bounds of the column may have to be mended",
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
            "added_delta": self.added_delta_,
            "fingerprint": self.fingerprint_,
            "device": self.device_,
            **self._facts_of(model),
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
            synthesizer = cls(
                epsilon=manifest["epsilon"], delta=manifest["delta"], random_state=manifest["random_state"]
            )
            settings = cls.settings_type.from_dict(manifest["settings"])
            model = cls._model_from(settings, manifest, contents.weights)
            statement = {"given": model.schema.given, **manifest["guarantee"]}  # older files do not say it
            synthesizer._adopt(settings, manifest["seed"], contents.releases, model, statement)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError(
                f"{str(path)!r} is damaged: its parts do not fit ({type(error).__name__})"
            ) from None
        synthesizer.device_ = manifest.get("device", "cpu")
        synthesizer.added_delta_ = manifest.get("added_delta")
        synthesizer.fingerprint_ = manifest.get("fingerprint")
        return synthesizer

    def replay(self) -> dict[str, NDArray[Any]]:
        """Rebuild the model's arrays from its releases and settings alone, without records.

        Returns:
            The arrays as they stand in the model file; equal to it byte for byte on the same machine.

        Privacy:
            Post-processing.
        """
        store = JointStore()
        store.set_meta(seed=self.seed_)
        if self.added_delta_ is not None:
            store.set_meta(added_delta=self.added_delta_)
        for release in self.releases_:
            store.append(release)
        return self._arrays_of(self._follow(self.schema_, self.settings_, store, None))
