"""`LinkedSynthesizer`: linked tables, learnt one by one from the top down under one guarantee per person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self, Unpack

import pandas as pd
from numpy.typing import NDArray

from privsynth.accounting.budget import Spend
from privsynth.errors import SchemaError
from privsynth.errors.arguments import whole_number
from privsynth.io.atomic import in_folder
from privsynth.io.blocks import TableFile
from privsynth.io.source import Source
from privsynth.records.conform import OnViolation, Records
from privsynth.records.linked import Tables, open_linked, read_linked
from privsynth.sampling.calibration import calibrated_tables
from privsynth.sampling.generated_columns import check_generated_columns
from privsynth.sampling.linked import (
    LinkedModel,
    draw_linked,
    every_label_of_tables,
    expected_rows_of_tables,
    families_of,
)
from privsynth.sampling.request import SampleOptions
from privsynth.sampling.table_model import TableModel
from privsynth.schema.linked import LinkedSchema
from privsynth.schema.linked_views import linked_view
from privsynth.synthesizers.base import Synthesizer
from privsynth.synthesizers.contract import FitPlan, Progress
from privsynth.synthesizers.drawn_files import write_drawn
from privsynth.synthesizers.fitting import Door
from privsynth.synthesizers.linked.doors import Doors, doors_to_tables, part_of, shares_of_tables
from privsynth.synthesizers.linked.handed_down import handed_down
from privsynth.synthesizers.request_sampler import RequestSampler, row_attrs
from privsynth.synthesizers.secret_order import SecretOrder
from privsynth.synthesizers.tables.marginal import MarginalSynthesizer
from privsynth.synthesizers.tables.model_arrays import model_arrays, model_facts, model_from
from privsynth.synthesizers.tables.model_checks import check_calibration
from privsynth.synthesizers.tables.select_measure_fit import MarginalSettings, fit_marginals

CALIBRATION = "calibration"


@dataclass(frozen=True, kw_only=True)
class LinkedSettings:
    """Public settings of the recipe.

    Attributes:
        shares: Each table's share of the budget, by its name; None divides it by how many columns they have.
        private_list: Columns that a column counts as in addition if its values have to be found: one that is
            not found is lost with all its rows.
        table: How each table is learnt.
    """

    shares: Mapping[str, float] | None = None
    private_list: float = 2.0
    table: MarginalSettings = field(default_factory=MarginalSettings)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-able fields."""
        shares = None if self.shares is None else dict(self.shares)
        return {"shares": shares, "private_list": self.private_list, "table": asdict(self.table)}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote, in this version or an older one."""
        return cls(
            shares=fields["shares"],
            private_list=fields.get("private_list", 0.0),
            table=MarginalSettings.from_dict(fields["table"]),
        )

    def shares_of(self, schema: LinkedSchema) -> dict[str, float]:
        """Return each table's share of the budget.

        Raises:
            ParameterError: See `shares_of_tables`.

        Privacy:
            Public: reads no record.
        """
        return shares_of_tables(schema, self.shares, private_list=self.private_list)


class LinkedSynthesizer(RequestSampler[LinkedModel], Synthesizer[LinkedModel]):
    """Fit linked tables under one budget per person; sample persons with all that belongs to them.

    Each table is learnt as by `MarginalSynthesizer`, beside what stands above it, with a share of the budget.
    Args and attributes are those of `Synthesizer`; ``schema`` is a `LinkedSchema`.

    Example:
        >>> import pandas as pd
        >>> schema = LinkedSchema({"client": {"key": "id", "columns": {"old": {"type": "boolean"}}},
        ...                        "card": {"parent": "client", "parent_key": "client",
        ...                                 "max_records_per_parent": 2,
        ...                                 "columns": {"gold": {"type": "boolean"}}}}, person="client")
        >>> tables = {"client": pd.DataFrame({"id": range(100), "old": [True, False] * 50}),
        ...           "card": pd.DataFrame({"client": range(0, 100, 2), "gold": [True] * 50})}
        >>> synthesizer = LinkedSynthesizer(epsilon=None).fit(tables, schema=schema)  # not private: a demo
        >>> drawn = synthesizer.sample(10)
        >>> len(drawn["client"]), bool(drawn["card"]["client"].isin(drawn["client"]["id"]).all())
        (10, True)
    """

    schema_: LinkedSchema
    name = "linked"
    settings_type = LinkedSettings

    @classmethod
    def plan_for(
        cls, schema: LinkedSchema, settings: LinkedSettings, allowance: Spend, n_rows: int
    ) -> FitPlan:
        """Say what a fit of about ``n_rows`` persons would release, if all have rows in every table."""
        steps: list[dict[str, Any]] = []
        for name, share in settings.shares_of(schema).items():
            of_table = MarginalSynthesizer.plan_for(
                linked_view(schema, name), settings.table, part_of(allowance, share), n_rows
            )
            steps += [
                step | {"purpose": f"table {name}: {step['purpose']}", "share": share * step["share"]}
                for step in of_table.steps
            ]
        return FitPlan(steps=tuple(steps))

    @staticmethod
    def _checked_schema(schema: Any) -> LinkedSchema:
        if not isinstance(schema, LinkedSchema):
            raise SchemaError(
                "expected a schema of linked tables, here or in the constructor, got "
                f"{type(schema).__name__}: LinkedSchema({{...}}, person=...) or LinkedSchema.load(path)"
            )
        schema.require_complete()
        for name, table in schema.tables.items():
            check_generated_columns(table.schema)
            linked_view(schema, name)  # raises an error if there is none
        return schema

    @staticmethod
    def _door(settings: LinkedSettings) -> Door:
        return partial(doors_to_tables, shares=settings.shares_of)

    def _open(self, source: Tables, schema: LinkedSchema) -> dict[str, Source]:
        self._settings().shares_of(schema)  # raises an error before anything is reserved
        return open_linked(source, schema)

    def _read(
        self, opened: Mapping[str, Source], schema: LinkedSchema, on_violation: OnViolation
    ) -> dict[str, Records]:
        return read_linked(opened, schema, on_violation=on_violation, rng=SecretOrder())

    def _make(
        self,
        curator: Doors,
        settings: LinkedSettings,
        *,
        seed: int,
        device: str,
        progress: Progress,
    ) -> LinkedModel:
        views: dict[str, TableModel] = {}
        for i, (name, of_table) in enumerate(curator.curators.items()):
            parent = curator.schema.tables[name].parent
            fitted = fit_marginals(
                of_table,
                settings.table,
                seed=seed + i,
                device=device,
                progress=partial(_said_of, progress, name),
                given={} if parent is None else handed_down(curator.schema, name, views[parent]),
            )
            views[name] = fitted.first.table_model(of_table.schema, fitted.mixture)
        return calibrated_tables(LinkedModel(curator.schema, views))

    # -- drawing -------------------------------------------------------------------------------------

    def sample(
        self, n: int | None = None, *, random_state: int | None = None, **asked: Unpack[SampleOptions]
    ) -> dict[str, pd.DataFrame]:
        """Draw exactly ``n`` synthetic persons, with all rows that belong to them.

        Args:
            n: Number of persons; by default the noisy number of them.
            random_state: Fixes the rows drawn: a whole number >= 0, or a generator of numpy.
            **asked: What is asked for of persons, as for
                `privsynth.synthesizers.tables.sampler.TableSampler.sample`; it may name columns of the table
                of persons, and ``n.TABLE``, how many rows they have in the tables below it.

        Returns:
            Table name to its rows. Keys are made afresh, and every row belongs to one that is there.

        Raises:
            RequestError, UnsupportedRequestError: As for a single table.

        Privacy:
            Post-processing; ``like`` is taken as public.
        """
        request = self._request(n, asked)
        plan, rng = self._planned(request, random_state)
        tables = draw_linked(self._fitted(), plan, rng)
        for rows in tables.values():
            rows.attrs |= row_attrs(request, plan)
        return tables

    def sample_to(
        self,
        folder: str | Path,
        n: int | None = None,
        *,
        suffix: str = ".csv",
        random_state: int | None = None,
        force: bool = False,
        jobs: int = 1,
        progress: Progress | None = None,
        **asked: Unpack[SampleOptions],
    ) -> dict[str, int]:
        """Write the same rows as `sample` into a folder, each table to a file of its name, block by block.

        Memory does not grow with ``n``. The files take their places when all are whole: an error or Ctrl-C
        leaves none of them behind. Parquet files keep the ``attrs`` of the rows too.

        Args:
            folder: Where the files go; made if need be.
            n: Number of persons, as for `sample`.
            suffix: Of the files: ``.csv``, ``.csv.gz`` or ``.parquet``.
            random_state: Fixes the rows drawn.
            force: Replace existing files.
            jobs: How many processes draw, for many rows; they are the same whatever their number.
            progress: Called with a message, the rows written, and about how many there will be.
            **asked: What is asked for, as for `sample`.

        Returns:
            Table name to the number of its rows.

        Raises:
            TableError: If a file cannot be written, or exists and ``force`` is not set.
            RequestError, UnsupportedRequestError: As `sample`.
            PrivsynthError: If a process that draws ends before its time.

        Privacy:
            As `sample`.
        """
        jobs = whole_number("jobs", jobs, least=1)
        model, request = self._fitted(), self._request(n, asked)
        plan, rng = self._planned(request, random_state)
        types = every_label_of_tables(model)
        for of_table in types.values():
            of_table.attrs |= row_attrs(request, plan)
        report = progress or (lambda message, done, total: None)
        total = expected_rows_of_tables(model, plan.n_rows)
        files = {
            name: TableFile.like(Path(folder) / f"{name}{suffix}", types[name], table.schema.time_formats)
            for name, table in model.schema.tables.items()
        }
        with in_folder(folder):
            return write_drawn(
                families_of(model, plan),
                rng,
                files,
                jobs=jobs,
                force=force,
                progress=lambda done: report("rows written", done, max(done, total)),
            )

    def lost_columns(self) -> list[str]:
        """Say of which columns the model knows no value of its own, or hardly any: a sentence each.

        Privacy:
            Post-processing.
        """
        model = self._fitted()
        return [*model.not_found, *model.mostly_other]

    @property
    def _table(self) -> TableModel:
        return self._fitted().persons

    # -- the model file ------------------------------------------------------------------------------

    @staticmethod
    def _arrays_of(model: LinkedModel) -> dict[str, NDArray[Any]]:
        arrays = {
            f"{name}/{key}": array
            for name, view in model.views.items()
            for key, array in model_arrays(view).items()
        }
        return arrays | {f"{name}/{CALIBRATION}": factors for name, factors in model.calibration.items()}

    @staticmethod
    def _facts_of(model: LinkedModel) -> dict[str, Any]:
        tables = {name: model_facts(view) for name, view in model.views.items()}
        return {"schema": model.schema.to_dict(), "tables": tables}

    @classmethod
    def _model_from(
        cls, settings: Any, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> LinkedModel:
        schema = LinkedSchema.from_dict(facts["schema"])
        views = {}
        for name in schema.tables:
            prefix = f"{name}/"
            own = {key.removeprefix(prefix): of for key, of in arrays.items() if key.startswith(prefix)}
            views[name] = model_from(facts["tables"][name], own, linked_view(schema, name))
        kept = {name: f"{name}/{CALIBRATION}" for name in schema.tables}
        factors = {name: arrays[key] for name, key in kept.items() if key in arrays}
        for name in factors:
            check_calibration(factors[name], views[name].mixture.n_components)
        return LinkedModel(schema, views, factors)


def _said_of(progress: Progress, table: str, message: str, done: int, total: int) -> None:
    progress(f"{table}: {message}", done, total)
