"""The tables that are compared, brought to one canonical form, and what a row of each weighs.

Where the schema names persons, real and holdout rows weigh 1/(rows of that person), so that each person
counts once: in expectation this is the row cap of the schema followed by equal shares. Synthetic rows weigh
one each; only where the rows of a synthetic person belong together are they weighed as real ones are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import numpy as np
import pandas as pd

from privsynth.errors import ParameterError, SchemaError, TableError
from privsynth.io.source import Source, Table
from privsynth.io.tables import open_table
from privsynth.metrics.common.balanced import Sampler, draw_balanced
from privsynth.records.conform import Records, conform, needed_columns
from privsynth.records.distinct import distinct
from privsynth.records.single_values import Unreadable, as_text
from privsynth.schema import PRIVATE, Schema, category_text


@dataclass(frozen=True)
class Tables:
    """Canonical tables with the same columns and categories, and what is asked about them.

    Attributes:
        schema: The public description of the table.
        real: The records that the generator was fitted to.
        synthetic: The released rows; with persons where their rows belong together, as a sequential schema
            says, and never elsewhere.
        holdout: Records of the same source that the generator never saw, or None.
        reference: More such records, apart from the holdout, for the attacks; or None.
        non_private: Rows of the same generator fitted without privacy, one table a fit; as ``synthetic``.
        balanced: Rows that the generator drew balanced over groups and target; never with persons; or None.
        target: Column to predict, or None.
        groups: Columns whose groups are compared.
        notes: What was changed in a table to fit the schema, one sentence each; without values.
    """

    schema: Schema
    real: Records
    synthetic: Records
    holdout: Records | None = None
    reference: Records | None = None
    non_private: tuple[Records, ...] = ()
    balanced: Records | None = None
    target: str | None = None
    groups: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @cached_property
    def real_weights(self) -> np.ndarray:
        """Weight of each real row, ``(n_real,)``."""
        return row_weights(self.real)

    @cached_property
    def holdout_weights(self) -> np.ndarray:
        """Weight of each holdout row, ``(n_holdout,)``; empty without a holdout."""
        return row_weights(self.holdout) if self.holdout is not None else np.empty(0)

    @cached_property
    def synthetic_weights(self) -> np.ndarray:
        """Weight of each synthetic row, ``(n_synthetic,)``."""
        return row_weights(self.synthetic)

    def synthetic_sample(self, generator: np.random.Generator) -> pd.DataFrame:
        """Return the synthetic rows, each of the same weight; by weight drawn where persons have several."""
        if self.synthetic.persons is None:
            return self.synthetic.frame
        n_rows = len(self.synthetic.frame)
        chosen = weighted_rows(self.synthetic_weights, n_rows, generator)
        return self.synthetic.frame.iloc[chosen].reset_index(drop=True)

    def real_sample(self, n_rows: int, generator: np.random.Generator) -> pd.DataFrame:
        """Return real rows as a release of ``n_rows`` equally weighted rows would hold them."""
        return self.real.frame.iloc[weighted_rows(self.real_weights, n_rows, generator)]

    def independent_sample(self, n_rows: int, generator: np.random.Generator) -> pd.DataFrame:
        """Return the floor: real columns, each shuffled on its own, so that all dependence is gone."""
        columns = {
            name: self.real.frame[name]
            .iloc[weighted_rows(self.real_weights, n_rows, generator)]
            .reset_index(drop=True)
            for name in self.real.frame.columns
        }
        return pd.DataFrame(columns)


def load_tables(
    real: Table,
    synthetic: Table,
    *,
    schema: Schema,
    holdout: Table | None = None,
    reference: Table | None = None,
    non_private: Table | Sequence[Table] | None = None,
    model: Sampler | None = None,
    random_state: int = 0,
    target: str | None = None,
    groups: Sequence[str] | None = None,
) -> Tables:
    """Read the tables and bring them to one canonical form.

    Values that break the schema are clipped as ``fit(on_violation="clip")`` does, and noted. The synthetic
    table needs only the modelled columns, and the person column where the schema is sequential: its numbers
    are made up, and nothing compares them with those of real persons.

    Args:
        real: Whatever `privsynth.io.tables.open_table` opens.
        synthetic: As ``real``.
        schema: The description that the generator was fitted with.
        holdout: As ``real``; rows that the generator never saw.
        reference: As ``holdout``; further rows for the attacks.
        non_private: As ``synthetic``: rows of the same generator fitted without privacy; a list for several.
        model: Draws more rows of the synthetic table's kind: balanced ones, to train on.
        random_state: Seed of what it draws.
        target: Column to predict; the schema's if None.
        groups: Group columns; the schema's if None.

    Raises:
        ParameterError: If ``target`` or a group is not a column, or two tables share a person.
        SchemaError, TableError: If a table cannot be read as the schema says, or has no rows.

    Privacy:
        Not private: reads real records.
    """
    schema.require_complete()
    target, groups = roles_of(schema, target, groups)
    given = {"real": real, "holdout": holdout, "reference": reference}
    needed = needed_columns(schema)
    raw = {
        name: open_table(table, needed, schema=schema) for name, table in given.items() if table is not None
    }
    refuse_shared_persons(raw, schema)
    notes: list[str] = []
    as_released = schema_of_released(schema)
    released = canonical_records(
        open_table(synthetic, needed, schema=schema, is_real=False), as_released, "synthetic", notes
    )
    records = {name: canonical_records(table, schema, name, notes) for name, table in raw.items()}
    records["synthetic"] = released
    if model is not None and not schema.is_sequential:
        n_rows = len(records["synthetic"].frame)
        drawn = draw_balanced(model, schema, target, groups, n_rows=n_rows, seed=random_state)
        if drawn is not None:
            records["balanced"] = canonical_records(open_table(drawn), as_released, "balanced", notes)
    fits = {f"non-private {i + 1}" if i else "non-private": t for i, t in enumerate(_listed(non_private))}
    for name, table in fits.items():
        records[name] = canonical_records(
            open_table(table, needed, schema=schema, is_real=False), as_released, name, notes
        )
    records = with_common_categories(records, schema)
    return Tables(
        schema=schema,
        target=target,
        groups=groups,
        notes=tuple(notes),
        non_private=tuple(records.pop(name) for name in fits),
        **records,
    )


def load_released(synthetic: Table, *, schema: Schema) -> Tables:
    """Read released rows alone: they stand on both sides, so that nothing else can be read.

    Raises:
        PrivsynthError: If the table cannot be read as the schema says.

    Privacy:
        Post-processing: reads the released rows and the public schema only.
    """
    notes: list[str] = []
    alone = schema_of_released(schema)
    rows = canonical_records(open_table(synthetic, schema=schema, is_real=False), alone, "synthetic", notes)
    rows = with_common_categories({"synthetic": rows}, alone)["synthetic"]
    target, groups = roles_of(alone, None, None)
    return Tables(schema=alone, real=rows, synthetic=rows, target=target, groups=groups, notes=tuple(notes))


def schema_of_released(schema: Schema) -> Schema:
    """Return the description of released rows: without persons, unless a person's rows belong together.

    Privacy:
        Public: reads no record.
    """
    return schema if schema.is_sequential else Schema({column.name: column for column in schema.modelled})


def row_weights(records: Records) -> np.ndarray:
    """Return 1/(rows of that person) for each row; 1 without persons.

    Privacy:
        Not private: a function of real records.
    """
    if records.persons is None:
        return np.ones(len(records.frame))
    return 1.0 / np.bincount(records.persons)[records.persons]


def weighted_rows(weights: np.ndarray, n_rows: int, generator: np.random.Generator) -> np.ndarray:
    """Return positions of ``n_rows`` rows in random order, each as often as its weight says, to within one.

    With equal weights and ``n_rows = len(weights)`` this is a permutation.

    Privacy:
        Not private: points at real records.

    References:
        Systematic resampling: Kitagawa, "Monte Carlo Filter and Smoother", 1996.
    """
    order = generator.permutation(len(weights))
    upper = np.cumsum(weights[order])
    positions = (np.arange(n_rows) + 0.5) * (upper[-1] / n_rows)
    chosen = order[np.minimum(np.searchsorted(upper, positions), len(order) - 1)]
    return chosen[generator.permutation(n_rows)]


def _listed(non_private: Table | Sequence[Table] | None) -> list[Table]:
    if non_private is None:
        return []
    return list(non_private) if isinstance(non_private, list | tuple) else [cast("Table", non_private)]


def roles_of(
    schema: Schema, target: str | None, groups: Sequence[str] | None
) -> tuple[str | None, tuple[str, ...]]:
    """Return target and groups, those of the schema where none are given; the target is no group.

    Raises:
        ParameterError: If one is no modelled column.
    """
    target = schema.target if target is None else target
    groups = schema.groups if groups is None else groups
    modelled = [column.name for column in schema.modelled]
    for what, name in [("target", target), *(("groups", group) for group in groups)]:
        if name is not None and name not in modelled:
            raise ParameterError(
                f"expected {what} to name modelled columns, got {name!r}; known are {', '.join(modelled)}"
            )
    return target, tuple(group for group in groups if group != target)


def canonical_records(table: Source, schema: Schema, name: str, notes: list[str]) -> Records:
    """Read a table; what breaks the schema is clipped, and noted.

    Args:
        table: The opened table.
        schema: Its description.
        name: What it is called.
        notes: Where is noted what was clipped.

    Raises:
        SchemaError, TableError: If it cannot be read as the schema says, or has no rows.

    Privacy:
        Not private: returns the records.
    """
    if table.n_rows == 0:
        raise TableError(f"expected the {name} table to have rows, got none")
    try:
        return conform(table, schema, on_violation="error", name=name)
    except SchemaError as error:
        records = conform(table, schema, on_violation="clip", name=name)
        notes.append(f"{error.found}. Such values were clipped before anything was compared.")
        return records


def refuse_shared_persons(raw: dict[str, Source], schema: Schema) -> None:
    """Raise a `ParameterError` if a person stands in two tables that must be apart.

    Privacy:
        Not private: compares the persons of real tables.
    """
    person_id = schema.person_id
    if person_id is None:
        return
    seen: dict[str, set[str]] = {}
    for name, table in raw.items():
        if person_id not in table.names:
            continue  # conform says so
        _, ids = distinct(table.column(person_id), as_text)
        seen[name] = {category_text(value) for value in ids if not isinstance(value, Unreadable)} - {""}
        for other, persons in seen.items():
            if other != name and persons & seen[name]:
                raise ParameterError(
                    f"the {other} and {name} tables share persons, so nothing measured between "
                    "them would hold; split by whole persons (`privsynth split` does)"
                )


def with_common_categories(records: dict[str, Records], schema: Schema) -> dict[str, Records]:
    """Give columns with private categories the sorted union of all tables' values, as text.

    Privacy:
        Not private: returns the records.
    """
    private = [column.name for column in schema.modelled if column.categories == PRIVATE]
    frames = {name: table.frame.copy(deep=False) for name, table in records.items()}
    for column in private:
        texts = {
            name: frame[column].cat.rename_categories(
                [category_text(c) for c in frame[column].cat.categories]
            )
            for name, frame in frames.items()
        }
        union = sorted(set().union(*(series.cat.categories for series in texts.values())))
        for name, frame in frames.items():
            frame[column] = texts[name].cat.set_categories(union)
    return {name: replace(table, frame=frames[name]) for name, table in records.items()}
