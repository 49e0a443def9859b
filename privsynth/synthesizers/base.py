"""What every synthesizer shares: its arguments, and a fit under them.

A synthesizer adds its public settings, `Synthesizer.plan_for`, and `Synthesizer._make`, which asks a
curator for releases and returns a model. Synthesizers of tables all end with one kind of model, and so do
those of images: all of a kind sample alike.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

from privsynth.accounting.budget import Spend
from privsynth.errors import ParameterError
from privsynth.errors.arguments import real_number
from privsynth.errors.seeds import checked_seed
from privsynth.io.source import Source
from privsynth.ledger.ledger import Ledger
from privsynth.models.threads import idle_processors_only
from privsynth.privacy.randomness import OsEntropy, SecureRandom
from privsynth.records.conform import OnViolation, check_on_violation
from privsynth.releases.store import Release
from privsynth.schema import Schema
from privsynth.schema.linked import LinkedSchema
from privsynth.synthesizers.arguments import (
    FitArguments,
    checked_schema,
    whole_budget,
)
from privsynth.synthesizers.contract import FitPlan, Model, Progress
from privsynth.synthesizers.device import resolve_device
from privsynth.synthesizers.distributed import JointStore, joint_fit
from privsynth.synthesizers.estimator import Estimator
from privsynth.synthesizers.fitting import Door, Make, door_to_table, model_of_records, model_of_releases
from privsynth.synthesizers.guarantee import guarantee_statement
from privsynth.synthesizers.interruption import FitInterrupted
from privsynth.synthesizers.run import dataset_name, discard_run
from privsynth.synthesizers.saving import Saved

SAFE_DELTA_FACTOR = 10.0
NO_STREAM = "needs its records in memory; only a table without sequences is read in parts"


class Synthesizer(Saved[Model], Estimator):
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
        releases_: What was released, in order.
        model_: What was fitted.
        added_delta_: What the run set aside of its delta for discovery and gradient steps; None if all of
            the share that is meant for them.
        fingerprint_: Hash of the settings of the fit (`fingerprint`); None in models of older versions.
        ledger_link_: The last link of the ledger's history when the fit ended, by which an older copy of the
            ledger is found (`privsynth.ledger.ledger.Ledger.check_link`); None if there is none.
    """

    name: ClassVar[str]

    def __init__(
        self,
        *,
        epsilon: float | None,
        delta: float = 1e-6,
        settings: Any = None,
        device: str = "auto",
        random_state: int | None = None,
        schema: Schema | LinkedSchema | None = None,
    ) -> None:
        self.epsilon = epsilon
        self.delta = delta
        self.settings = settings
        self.device = device
        self.random_state = random_state
        self.schema = schema

    @classmethod
    @abstractmethod
    def plan_for(cls, schema: Any, settings: Any, allowance: Spend, n_rows: int) -> FitPlan:
        """Say what a fit of about ``n_rows`` units would release under this budget.

        Privacy:
            Public: reads no record.
        """

    @abstractmethod
    def _make(self, curator: Any, settings: Any, *, seed: int, device: str, progress: Progress) -> Model:
        """Take what the recipe needs from the curator, fit, and return the model.

        Privacy:
            Accounted: by the curator, release by release; everything else is post-processing.
        """

    @abstractmethod
    def _open(self, source: Any, schema: Any) -> Any:
        """Open the source and check what is known without its records: that it is there, and its columns.

        Privacy:
            Public: reads names, and how columns are stored.
        """

    def _reader(self, opened: Any, schema: Any, *, stream: bool | None, rows_may_leave: bool) -> Any:
        """Return what `_open` returned, or what reads it in another way, which `_read` then is given.

        Raises:
            ParameterError: If what is asked for does not go with the recipe or the source.

        Privacy:
            Public: reads the sizes of files.
        """
        if rows_may_leave:
            raise ParameterError(
                "expected rows_may_leave=False (no --rows-may-leave): it is for a table in an engine, and "
                "the rows of this source are read here in any case"
            )
        if stream:
            raise ParameterError(f"expected stream=None (no --stream): {self.name} {NO_STREAM}")
        return opened

    @abstractmethod
    def _read(self, opened: Any, schema: Any, on_violation: OnViolation) -> Any:
        """Read the records of what `_open` returned, and hold them against their schema.

        Privacy:
            Not private: returns the records.
        """

    def fit(
        self,
        source: Any,
        *,
        schema: Schema | LinkedSchema | None = None,
        dataset: str | None = None,
        ledger: str | Path | Ledger | None = None,
        on_violation: OnViolation = "error",
        releases_path: str | Path | None = None,
        restart: bool = False,
        progress: Progress | None = None,
        secret: SecureRandom | None = None,
        stream: bool | None = None,
        rows_may_leave: bool = False,
        start: Any = None,
    ) -> Self:
        """Fit to records: check arguments and column names, reserve the budget, then read.

        Where records break the schema, or cannot be read, the run stops: that is a signal without noise. What
        it reserved stays reserved, the ledger counts the stop, and every later guarantee on the data set says
        how many there were. The same call resumes the run once table or schema is mended.

        A run that was interrupted goes on under an amended schema too: releases that name no changed column
        are kept, the others are released again with what is left of the run's budget.

        Under `torchrun`, every rank makes the same call, and all end with the same model: the first alone
        reads the source, pays and writes, the others sum gradients for it.

        Args:
            source: The real records. A table: a frame of pandas, a table of Arrow or Polars, or the path of
                its CSV or Parquet files (`privsynth.io.tables.open_table`). Images: see
                `privsynth.records.images.read_images`.
            schema: What is public about them; that of the constructor by default.
            dataset: Name under which the ledger composes runs; a file's name by default. A frame without
                a name does not compose with other runs, and the guarantee says so.
            ledger: The ledger, its file, or its address in PostgreSQL; the user's own by default.
            on_violation: Whether a record that breaks the schema is an error, or is clipped to it.
            releases_path: File that keeps paid releases as they come, so that the same call resumes after
                an interruption. The caller deletes it once the model is saved.
            restart: Discard what an interrupted run left at ``releases_path``; it stays spent.
            progress: Called with a message, the rounds done, and the rounds planned.
            secret: Source of the noise; anything but `OsEntropy` voids the guarantee.
            stream: Whether a table is read in parts, in a pass for each question, so that memory does not
                grow with its rows; not with sequences. By default large Parquet files are. What is released
                follows the same law either way.
            rows_may_leave: Whether a recipe that learns from rows may fetch those of a table in an engine,
                coded, once; the guarantee then says so. Without it they stay there.
            start: An earlier model of the same data set, fitted by `MarginalSynthesizer`, or its file: its
                releases are taken as measurements, what it found is not found again, and this fit pays for
                what it adds. The guarantee is that of both runs together, and says so.

        Raises:
            ParameterError, SchemaError, TableError: If the input is unusable.
            BudgetExceededError, LedgerError: If the ledger refuses; nothing has been read but column names.
            FitInterrupted: After Ctrl-C in a training. The synthesizer then holds a usable model of what was
                learnt so far, and the same call resumes.
            RankStoppedError: If another rank of `torchrun` ended; the first rank says why.

        Privacy:
            Accounted: every release is charged to the ledger before the records are read for it.
        """
        asked = self._asked(
            self.schema if schema is None else schema, dataset_name(source, dataset), on_violation
        )
        schema, secret = asked.schema, secret or OsEntropy()
        asked = self._going_on(start, asked)
        if asked.epsilon is not None:
            self._check_ledger_of_start(ledger)
        with joint_fit(self.device) as ranks, idle_processors_only():
            self.device_ = "cpu" if ranks is not None else resolve_device(self.device)
            is_first = ranks is None or ranks.is_first
            opened = self._open(source, schema) if is_first else None
            reader = is_first and self._reader(opened, schema, stream=stream, rows_may_leave=rows_may_leave)
            if restart and releases_path is not None and is_first:
                discard_run(releases_path, ledger)
            store = JointStore(releases_path if is_first else None)
            self.fingerprint_ = asked.fingerprint(source)
            make = self._maker(asked.settings, self.device_)
            interrupted: FitInterrupted | None = None
            try:
                if is_first:
                    model = model_of_records(
                        make,
                        partial(self._read, reader, schema, on_violation),
                        asked,
                        store,
                        ranks,
                        device=self.device_,
                        ledger=ledger,
                        secret=secret,
                        progress=progress,
                        door=self._door(asked.settings),
                    )
                else:
                    store.begin(ranks)
                    model = model_of_releases(
                        make, schema, asked.budget, store, ranks, door=self._door(asked.settings)
                    )
            except FitInterrupted as stopped:
                interrupted, model = stopped, stopped.model
            finally:
                store.close()
                if isinstance(opened, Source) and opened is not source:
                    opened.close()
            model = self._of_table(model, schema)
            self._take(asked, store, model, is_secret=secret.is_secret, interrupted=interrupted)
            if is_first:
                self._warn_of_delta()
                self._warn_of_what_is_hardly_known(on_violation)
        return self

    def fingerprint(
        self,
        source: Any,
        *,
        schema: Schema | LinkedSchema,
        dataset: str | None = None,
        on_violation: OnViolation = "error",
        start: Any = None,
    ) -> str:
        """Return what tells this fit from another: equal for equal settings, schema and name of the source.

        Privacy:
            Public: a hash of public settings; the source is not read.
        """
        asked = self._asked(schema, dataset_name(source, dataset), on_violation)
        return self._going_on(start, asked).fingerprint(source)

    @staticmethod
    def _checked_schema(schema: Any) -> Schema | LinkedSchema:
        """Return the schema of a fit; raises a `SchemaError` if it is none, or lacks a fact."""
        return checked_schema(schema)

    def _asked(self, schema: Any, dataset: str | None, on_violation: OnViolation) -> FitArguments:
        """Return the arguments of a fit, checked; numbers of numpy become plain ones, as in files."""
        check_on_violation(on_violation)
        self.random_state = checked_seed(self.random_state, below=2**63)
        self.delta = real_number("delta", self.delta)
        if self.epsilon is not None:
            self.epsilon = real_number("epsilon", self.epsilon)
        whole_budget(self.epsilon, self.delta)
        return FitArguments(
            kind=type(self).__name__,
            epsilon=self.epsilon,
            delta=self.delta,
            settings=self._settings(),
            schema=self._checked_schema(schema),
            dataset=dataset,
            on_violation=on_violation,
            random_state=self.random_state,
        )

    def _going_on(self, start: Any, asked: FitArguments) -> FitArguments:
        """Take an earlier model to go on from, if one is given, and return the arguments with it.

        Raises:
            ParameterError, SchemaError: If the fit cannot go on from it.

        Privacy:
            Public: reads what was released.
        """
        if start is not None:
            raise ParameterError(
                f"expected start=None (no --start): {self.name} cannot go on from an earlier model; fit a "
                "table by marginal (MarginalSynthesizer)"
            )
        return asked

    def _check_ledger_of_start(self, ledger: str | Path | Ledger | None) -> None:
        """Raise a `LedgerError` if the ledger lacks what an earlier model was charged in it."""

    def _take_over(self, asked: FitArguments) -> None:
        """Add to what was adopted what an earlier model brings."""

    def _own_releases(self) -> Sequence[Release]:
        """Return the releases of the run itself."""
        return self.releases_

    def _maker(self, settings: Any, device: str) -> Make[Model]:
        """Return what makes the model, on this device."""
        return lambda curator, seed, progress: self._make(
            curator, settings, seed=seed, device=device, progress=progress
        )

    @staticmethod
    def _door(settings: Any) -> Door:
        """Return what makes of records the door, or doors, to them."""
        return door_to_table

    @staticmethod
    def _of_table(model: Model, schema: Any) -> Model:
        """Return the model of a table with this schema, given that of what its records were learnt from."""
        return model

    def _rebuilt(self) -> Model:
        store = JointStore()
        store.set_meta(seed=self.seed_)
        if self.added_delta_ is not None:
            store.set_meta(added_delta=self.added_delta_)
        for release in self._own_releases():
            store.append(release)
        make = self._maker(self.settings_, resolve_device(self.device_))
        budget = whole_budget(self.epsilon, self.delta)
        model = model_of_releases(make, self.schema_, budget, store, door=self._door(self.settings_))
        return self._of_table(model, self.schema_)

    def _take(
        self,
        asked: FitArguments,
        store: JointStore,
        model: Model,
        *,
        is_secret: bool,
        interrupted: FitInterrupted | None,
    ) -> None:
        """Adopt what came of a fit, and say what holds of it; raises ``interrupted`` if it was."""
        statement = guarantee_statement(
            schema=asked.schema,
            epsilon=asked.epsilon,
            delta=asked.delta,
            releases=store,
            dataset=asked.dataset,
            on_violation=store.meta["on_violation"],
            is_secret=is_secret,
            not_found=model.not_found,
            noiseless_stops=store.meta["noiseless_stops"],
            snapshots=store.meta.get("snapshots", 0),
            rows_left=store.meta.get("rows_left", False),
            read_in_motion=store.meta.get("read_in_motion", False),
            interrupted=None if interrupted is None else str(interrupted),
        )
        self._adopt(asked.settings, int(store.meta["seed"]), tuple(store), model, statement)
        self.added_delta_ = store.meta.get("added_delta")
        self._take_over(asked)
        self.ledger_link_ = store.meta.get("ledger_link")
        model.require_feasible()
        if interrupted is not None:
            raise interrupted

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
