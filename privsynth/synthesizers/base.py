"""What every table synthesizer shares: arguments, the run in the ledger, sampling, the model file.

A synthesizer adds its public settings and `TableSynthesizer._make`, which buys releases from a curator
and returns a table model. All of them end with the same kind of model, so all sample in the same way.
"""

from __future__ import annotations

import platform
import secrets
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.errors import ModelFileError, ParameterError, PrivsynthError, SchemaError
from privsynth.privacy.budget import Spend
from privsynth.privacy.curator import Charge, Curator
from privsynth.privacy.ledger import Ledger
from privsynth.privacy.secret import OsEntropy, SecretSource
from privsynth.releases import Release, ReleaseStore
from privsynth.sampling.completion import COMPLETED_NOT_COVERED, complete_rows
from privsynth.sampling.cost import rebalancing_cost
from privsynth.sampling.made import check_made_columns
from privsynth.sampling.plan import Plan, make_plan, support_table
from privsynth.sampling.request import SampleRequest
from privsynth.sampling.rows import draw_blocks, draw_rows, every_label
from privsynth.sampling.table_model import TableModel
from privsynth.schema import Schema
from privsynth.sources import Records, conform, read_table
from privsynth.synthesizers.blocks import in_batches, write_blocks
from privsynth.synthesizers.device import resolve_device
from privsynth.synthesizers.guarantee import guarantee_statement
from privsynth.synthesizers.interruption import FitInterrupted
from privsynth.synthesizers.model_file import ModelFile, read_model_file, write_model_file
from privsynth.synthesizers.run import check_configuration, dataset_name, discard_run, ledger_run
from privsynth.synthesizers.table_file import model_arrays, model_facts, model_from

Progress = Callable[[str, int, int], None]
OnUnsupported = Literal["error", "warn", "drop"]

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


class TableSynthesizer(ABC):
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

    # -- sampling ------------------------------------------------------------------------------------------

    def sample(
        self,
        n: int | None = None,
        *,
        conditions: Mapping[str, Any] | None = None,
        balance: Sequence[str] | None = None,
        proportions: Any = None,
        like: pd.DataFrame | str | Path | None = None,
        parity: Any = None,
        on_unsupported: OnUnsupported = "error",
        random_state: int | None = None,
    ) -> pd.DataFrame:
        """Draw exactly ``n`` synthetic rows, conditioned and balanced exactly, without rejection.

        Targets on several columns (``balance``, ``proportions``, ``like``, ``parity``) are met together: the
        joint of their columns is the one nearest to the model's that has the margins asked for.

        Args:
            n: Number of rows; by default the sum of the counts asked for, else the noisy number of units.
            conditions: Column to a value, a list of values, an inclusive range (2-tuple, or a mapping with
                ``low`` and ``high``), or None for missing.
            balance: Categorical or boolean columns whose every combination gets equally many rows.
            proportions: Shares or counts: ``{"sex": {"F": 0.5, "M": 0.5}}``, values that are not named
                sharing what is left; a frame, or a file, of columns and ``share`` or ``count``; or a list.
                Ranges of a number line are 2-tuples or texts like ``"18..30"``.
            like: Rows of a public reference table, or its file: their joint distribution is taken over.
                The guarantee does not cover it, and ``attrs["not_covered"]`` of the rows says so.
            parity: ``(target, groups)``: the same rate of every label in every group, or a mapping
                ``{"target": ..., "groups": [...], "decorrelate": [...]}``; see
                `privsynth.sampling.request.Parity`.
            on_unsupported: What to do with a cell that has less than one unit behind it: refuse, warn and
                extrapolate, or drop it.
            random_state: Fixes the rows drawn.

        Raises:
            RequestError: If the request is malformed, or its targets contradict one another.
            UnsupportedRequestError: If the model knows nothing about a cell that is asked for.

        Privacy:
            Post-processing; ``like`` is taken as public.
        """
        request = self._request(n, conditions, balance, proportions, like, parity, on_unsupported)
        plan, rng = self._planned(request, random_state)
        rows = draw_rows(plan, rng)
        if request.not_covered:
            rows.attrs["not_covered"] = request.not_covered
        return rows

    def sample_batches(
        self,
        n: int | None = None,
        *,
        batch_size: int = 100_000,
        conditions: Mapping[str, Any] | None = None,
        balance: Sequence[str] | None = None,
        proportions: Any = None,
        like: pd.DataFrame | str | Path | None = None,
        parity: Any = None,
        on_unsupported: OnUnsupported = "error",
        random_state: int | None = None,
    ) -> Iterator[pd.DataFrame]:
        """Draw the same rows as `sample`, frame after frame of ``batch_size`` rows (the last may be short).

        The request is checked at once; rows are drawn as the iterator is advanced, and memory does not grow
        with ``n``. The other arguments, errors and privacy are those of `sample`.
        """
        if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
            raise ParameterError(f"expected batch_size >= 1, got {batch_size!r}")
        request = self._request(n, conditions, balance, proportions, like, parity, on_unsupported)
        plan, rng = self._planned(request, random_state)
        return in_batches(draw_blocks(plan, rng), int(batch_size))

    def sample_to(
        self,
        path: str | Path,
        n: int | None = None,
        *,
        conditions: Mapping[str, Any] | None = None,
        balance: Sequence[str] | None = None,
        proportions: Any = None,
        like: pd.DataFrame | str | Path | None = None,
        parity: Any = None,
        on_unsupported: OnUnsupported = "error",
        random_state: int | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> int:
        """Write the same rows as `sample` to a CSV or Parquet file, block by block.

        Memory does not grow with ``n``. The file takes its place when it is whole: an error or Ctrl-C leaves
        nothing behind.

        Args:
            path: A ``.csv``, ``.csv.gz`` or ``.parquet`` file.
            n: As for `sample`, like all arguments not named here.
            conditions: See `sample`.
            balance: See `sample`.
            proportions: See `sample`.
            like: See `sample`.
            parity: See `sample`.
            on_unsupported: See `sample`.
            random_state: See `sample`.
            force: Replace an existing file.
            progress: Called with a message, the rows written, and the rows planned.

        Returns:
            The number of rows written.

        Raises:
            TableError: If the file cannot be written, or exists and ``force`` is not set.
            RequestError, UnsupportedRequestError: As `sample`.

        Privacy:
            As `sample`.
        """
        request = self._request(n, conditions, balance, proportions, like, parity, on_unsupported)
        plan, rng = self._planned(request, random_state)
        report = progress or (lambda message, done, total: None)
        return write_blocks(
            draw_blocks(plan, rng),
            path,
            types=every_label(plan),
            force=force,
            progress=lambda done: report("rows written", done, plan.n_rows),
        )

    def complete(self, frame: pd.DataFrame | str | Path, *, random_state: int | None = None) -> pd.DataFrame:
        """Fill in partial rows: each by the model's distribution given what it holds, exactly.

        Args:
            frame: Partial rows, taken as public, or their file; empty fields and absent columns are filled
                in. What is given is kept, as is the index.
            random_state: Fixes what is drawn.

        Returns:
            Whole rows; ``attrs["not_covered"]`` says that the guarantee does not cover what was given.

        Raises:
            RequestError: If a column is unknown, or a value is none of the column's.
            UnsupportedRequestError: If the model gives what a row holds no probability.

        Privacy:
            Post-processing of the model; the frame is taken as public.
        """
        table = read_table(frame)
        rng = np.random.default_rng(self.random_state if random_state is None else random_state)
        rows = complete_rows(self._fitted(), table, rng)
        rows.attrs["not_covered"] = [COMPLETED_NOT_COVERED]
        return rows

    def support(
        self,
        n: int | None = None,
        *,
        conditions: Mapping[str, Any] | None = None,
        balance: Sequence[str] | None = None,
        proportions: Any = None,
        like: pd.DataFrame | str | Path | None = None,
        parity: Any = None,
    ) -> pd.DataFrame:
        """Say, before drawing, how many rows each cell of a request gets and how many real units it has.

        Takes what `sample` takes.

        Returns:
            One row per cell: the columns of the targets, ``requested`` rows, ``model_mass`` (probability
            under the model), ``units`` (that times the noisy number of units) and ``noise_std`` of the
            smallest measured table that covers the columns asked for (missing if none does), in units.

        Privacy:
            Post-processing.
        """
        request = self._request(n, conditions, balance, proportions, like, parity, "error")
        return support_table(self._fitted(), request, np.random.default_rng(0))

    def rebalancing_cost(
        self,
        n: int | None = None,
        *,
        conditions: Mapping[str, Any] | None = None,
        balance: Sequence[str] | None = None,
        proportions: Any = None,
        like: pd.DataFrame | str | Path | None = None,
        parity: Any = None,
    ) -> dict[str, Any]:
        """Say how far a request moves the rows from the model; takes what `sample` takes.

        Returns:
            See `privsynth.sampling.cost.rebalancing_cost`.

        Privacy:
            Post-processing.
        """
        request = self._request(n, conditions, balance, proportions, like, parity, "error")
        plan = make_plan(self._fitted(), request, np.random.default_rng(0), only_look=True)
        return rebalancing_cost(plan)

    def _request(
        self,
        n: int | None,
        conditions: Mapping[str, Any] | None,
        balance: Sequence[str] | None,
        proportions: Any,
        like: pd.DataFrame | str | Path | None,
        parity: Any,
        on_unsupported: str,
    ) -> SampleRequest:
        return SampleRequest(
            n=n,
            conditions=conditions,
            balance=balance,
            proportions=_from_file(proportions),
            like=_from_file(like),
            parity=parity,
            on_unsupported=on_unsupported,
        )

    def _planned(self, request: SampleRequest, random_state: int | None) -> tuple[Plan, np.random.Generator]:
        rng = np.random.default_rng(self.random_state if random_state is None else random_state)
        plan = make_plan(self._fitted(), request, rng)
        for message in plan.warnings:
            warnings.warn(message, stacklevel=3)
        return plan, rng

    def _fitted(self) -> TableModel:
        if not hasattr(self, "model_"):
            raise PrivsynthError("this synthesizer is not fitted; call fit first, or privsynth.load(path)")
        return self.model_

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


def _from_file(value: Any) -> Any:
    """Return the table in a public file that the caller names, or the value as it is."""
    return read_table(value) if isinstance(value, str | Path) else value
