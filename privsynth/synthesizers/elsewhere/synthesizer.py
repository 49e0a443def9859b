"""`ReleasesSynthesizer`: a model of noisy tables that others released, and of nothing else."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from privsynth.errors import SchemaError, TableError
from privsynth.errors.seeds import checked_seed
from privsynth.models.tables.fitting import FitOptions, Measurement, MixtureFitter
from privsynth.models.threads import idle_processors_only
from privsynth.releases.store import Release
from privsynth.sampling.histories import SequenceModel
from privsynth.sampling.table_model import Measured, TableModel
from privsynth.schema import Schema
from privsynth.schema.constraints import Combinations
from privsynth.synthesizers.arguments import checked_schema
from privsynth.synthesizers.contract import Progress
from privsynth.synthesizers.device import resolve_device
from privsynth.synthesizers.elsewhere.cells import MAX_CELLS_IN_ALL, cells_of_release, read_release
from privsynth.synthesizers.elsewhere.domains import domains_of, measurement_of, pairs_of
from privsynth.synthesizers.elsewhere.guarantee import stated_budget, stated_guarantee
from privsynth.synthesizers.elsewhere.statement import NAME, Statement, read_statement
from privsynth.synthesizers.estimator import Estimator
from privsynth.synthesizers.fitting import quiet
from privsynth.synthesizers.saving import Saved
from privsynth.synthesizers.tables.base_measurements import whole_columns
from privsynth.synthesizers.tables.model_arrays import model_arrays, model_facts, model_from
from privsynth.synthesizers.tables.rare_values import FittedCodes, grouped
from privsynth.synthesizers.tables.sampler import TableSampler
from privsynth.synthesizers.tables.select_measure_fit import context_of
from privsynth.synthesizers.tables.workload import MOST_FITTED


@dataclass(frozen=True, kw_only=True)
class ReleasesSettings:
    """Public settings of the fit.

    Attributes:
        n_steps: Gradient steps at the full rate.
        final_steps: Gradient steps at the end, whose rate falls to zero.
        fit: How the mixture is fitted.
    """

    n_steps: int = 600
    final_steps: int = 100
    fit: FitOptions = field(default_factory=FitOptions)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-able fields."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        return cls(**{**fields, "fit": FitOptions(**fields["fit"])})


class ReleasesSynthesizer(TableSampler, Saved[TableModel | SequenceModel], Estimator):
    """Fit noisy tables that were released elsewhere, by any tool; sample the model, conditioned at will.

    No record is read, nothing is charged, and the guarantee is the word of who made the tables. A folder
    holds them, with what is stated of them: ``docs/releases-made-elsewhere.md`` describes it.

    Args:
        settings: Public settings of the fit.
        device: Where to fit: ``"cpu"``, ``"cuda"``, or ``"auto"`` for a GPU where there is one.
        random_state: Fixes initial weights and, unless given there, the drawing of rows.
        schema: What is public about the records; `fit` takes it too.

    Attributes:
        guarantee_: The guarantee statement, JSON-able; ``stated_by`` says whose word it is.
        schema_: The schema of the fit.
        releases_: The tables, in their order.
        model_: What was fitted.
        epsilon: As stated, of all tables together; None before a fit.
        delta: At which it holds.
        fingerprint_: Hash of settings, schema and tables.
    """

    schema_: Schema
    name = "releases"
    settings_type = ReleasesSettings
    arguments: ClassVar[tuple[str, ...]] = ("random_state",)

    def __init__(
        self,
        *,
        settings: ReleasesSettings | None = None,
        device: str = "auto",
        random_state: int | None = None,
        schema: Schema | None = None,
    ) -> None:
        self.settings = settings
        self.device = device
        self.random_state = random_state
        self.schema = schema

    def fit(
        self,
        folder: str | Path,
        *,
        schema: Schema | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Fit to the noisy tables of a folder.

        Args:
            folder: Holds ``releases.json`` and the files of cells that it names.
            schema: What is public about the records; that of the constructor by default.
            progress: Called with a message, the steps done, and the steps planned.

        Raises:
            TableError: If the folder does not hold what is described, or its tables contradict one another.
            SchemaError: If the schema lacks a fact, describes no single table of rows by themselves, or the
                tables do not fit it.

        Privacy:
            Post-processing of what was released elsewhere: no record is read.
        """
        self.random_state = checked_seed(self.random_state, below=2**63)
        settings = self._settings()
        schema = _schema_of_rows(self.schema if schema is None else schema)
        stated = read_statement(folder)
        _check_unit(stated, schema)
        epsilon, delta = stated_budget(stated, NAME)
        releases = read_releases(folder, stated, schema)
        self.device_ = resolve_device(self.device)
        self.fingerprint_ = _fingerprint(settings, schema, stated, releases, self.random_state)
        seed = secrets.randbits(32) if self.random_state is None else self.random_state
        with idle_processors_only():
            model = model_of_tables(
                schema, releases, settings, seed=seed, device=self.device_, progress=progress
            )
        statement = stated_guarantee(
            stated, schema, releases, epsilon=epsilon, delta=delta, not_found=model.not_found
        )
        self.epsilon, self.delta = epsilon, delta
        self.added_delta_, self.ledger_link_ = None, None
        self._adopt(settings, seed, releases, model, statement)
        model.require_feasible()
        return self

    def fingerprint(self, folder: str | Path, *, schema: Schema) -> str:
        """Return what tells this fit from another: equal for equal settings, schema and tables.

        Raises:
            TableError, SchemaError: As `fit`.

        Privacy:
            Public: reads what was released elsewhere.
        """
        stated = read_statement(folder)
        releases = read_releases(folder, stated, _schema_of_rows(schema))
        return _fingerprint(self._settings(), schema, stated, releases, self.random_state)

    def _rebuilt(self) -> TableModel:
        device = resolve_device(self.device_)
        return model_of_tables(self.schema_, self.releases_, self.settings_, seed=self.seed_, device=device)

    @staticmethod
    def _arrays_of(model: TableModel | SequenceModel) -> dict[str, NDArray[Any]]:
        assert isinstance(model, TableModel)
        return model_arrays(model)

    @staticmethod
    def _facts_of(model: TableModel | SequenceModel) -> dict[str, Any]:
        assert isinstance(model, TableModel)
        return model_facts(model)

    @classmethod
    def _model_from(
        cls, settings: Any, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> TableModel:
        return model_from(facts, arrays, Schema.from_dict(facts["schema"]))


def read_releases(folder: str | Path, stated: Statement, schema: Schema) -> tuple[Release, ...]:
    """Read all tables of a folder; see `privsynth.synthesizers.elsewhere.cells.read_release`.

    Raises:
        TableError: If one is not what is stated, or they are too large together.

    Privacy:
        Public: reads what was released elsewhere.
    """
    releases, n_cells = [], 0
    for i in range(len(stated.tables)):
        releases.append(read_release(folder, stated, i, schema))
        n_cells += releases[-1].arrays["counts"].size
        if n_cells > MAX_CELLS_IN_ALL:
            raise TableError(
                f"the tables of {str(folder)!r} have more than {MAX_CELLS_IN_ALL:,} cells; leave some out"
            )
    return tuple(releases)


def model_of_tables(
    schema: Schema,
    releases: Sequence[Release],
    settings: Any,
    *,
    seed: int,
    device: str,
    progress: Progress | None = None,
) -> TableModel:
    """Fit a mixture to noisy tables, each weighed by its variance.

    Args:
        schema: What is public about the records.
        releases: The tables, as `read_releases` returns them.
        settings: Public settings.
        seed: Of the initial logits.
        device: Where to fit.
        progress: Called with a message, the steps done, and the steps planned.

    Privacy:
        Post-processing of the releases.
    """
    tell = progress or quiet
    tables = [cells_of_release(release) for release in releases]
    domains = domains_of(schema, tables)
    codes = FittedCodes.of(domains, whole=whole_columns(schema, domains))
    fitter = MixtureFitter(
        columns=tuple(codes.by_column),
        sizes=tuple(coded.size for coded in codes.by_column.values()),
        options=settings.fit,
        seed=seed,
        device=device,
        context=context_of(schema, domains),
    )
    fitter.start(codes.one_way, domains.n_units)
    measured = [measurement_of(table, domains) for table in tables]
    for table in measured:
        if len(table.columns) > 1:
            for part in _fitted(table, codes):
                fitter.add(part)
    n_steps = settings.n_steps + settings.final_steps
    tell("fitting", 0, n_steps)
    fitter.step_many(settings.n_steps)
    fitter.step_many(settings.final_steps, final=True)
    tell("fitted", n_steps, n_steps)
    return TableModel(
        schema,
        domains.by_column,
        fitter.mixture(),
        domains.n_units,
        domains.n_units_std,
        tuple(Measured(m.columns, float(np.sqrt(np.mean(m.variance)))) for m in measured if m.columns),
        {},
        codes.groups,
    )


def _fitted(table: Measurement, codes: FittedCodes) -> list[Measurement]:
    """Return a table over the codes of a fit; of one of many cells those of its pairs of columns."""
    for axis, name in enumerate(table.columns):
        if name in codes.groups:
            table = grouped(codes.groups[name], table, axis=axis)
    is_small = len(table.columns) == 2 or table.counts.size <= MOST_FITTED
    return [table] if is_small else pairs_of(table)


def _schema_of_rows(schema: Any) -> Schema:
    """Return the schema of a fit, if tables of counts can say all that it asks for."""
    schema = checked_schema(schema)
    if schema.image is not None or schema.is_sequential:
        what = "images" if schema.image is not None else "persons with all their rows"
        raise SchemaError(
            f"the schema describes {what}, and tables made elsewhere tell of rows by themselves; leave "
            f"{'image' if schema.image is not None else 'per and the role order'!r} out"
        )
    private = [c for c in schema.constraints if isinstance(c, Combinations) and c.is_private]
    if private:
        raise SchemaError(
            f"constraint {private[0]}: its combinations are found in records, and none are read; declare "
            "them, or leave the constraint out"
        )
    return schema


def _check_unit(stated: Statement, schema: Schema) -> None:
    """Refuse tables whose unit is not that of the schema: the guarantee would name another."""
    own = (schema.unit, schema.max_records_per_person)
    if (stated.unit, stated.max_records_per_person) == own:
        return
    said = [
        "one record" if unit == "record" else f"one person with up to {cap} records"
        for unit, cap in ((stated.unit, stated.max_records_per_person), own)
    ]
    raise SchemaError(
        f"the tables protect {said[0]}, as {NAME} states, and the schema speaks of {said[1]}; write one of "
        "them as the other is ('person_id' and 'max_records_per_person' in the schema)"
    )


def _fingerprint(
    settings: ReleasesSettings,
    schema: Schema,
    stated: Statement,
    releases: Sequence[Release],
    random_state: int | None,
) -> str:
    whole = hashlib.sha256()
    facts = [settings.to_dict(), schema.to_dict(), asdict(stated), random_state]
    whole.update(json.dumps(facts, sort_keys=True, default=str).encode())
    for release in releases:
        whole.update(json.dumps(release.header(), sort_keys=True).encode())
        for array in release.arrays.values():
            whole.update(np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()
