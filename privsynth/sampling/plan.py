"""From a request to a plan: which cells get how many rows, exactly, checked against what is known of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.errors import RequestError
from privsynth.sampling.conditions import Restriction
from privsynth.sampling.layout import amounts_on, as_counts, lay_out, rows_of_cells
from privsynth.sampling.parity import decorrelated_columns, parity_target
from privsynth.sampling.request import SampleRequest
from privsynth.sampling.support import noise_of_cells, supported, warnings_of_layout
from privsynth.sampling.table_model import PreparedModel, TableModel
from privsynth.sampling.targets import Target, balance_target, like_target, proportions_targets
from privsynth.sampling.unnamed import left_out_in_words, left_out_of_balance

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """What will be drawn.

    Attributes:
        prepared: The model under the conditions, cut into cells.
        sizes: Rows of each cell, ``(n_cells,)``.
        warnings: What the caller should know before trusting the rows.
        groups: Columns that parity takes as groups.
        decorrelated: Columns that shall not depend on them.
        left_out: Shares of the model's rows that ``balance`` leaves out, by column and kind.
    """

    prepared: PreparedModel
    sizes: IntArray
    warnings: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    decorrelated: tuple[str, ...] = ()
    left_out: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        """Number of rows in all."""
        return int(self.sizes.sum())


def make_plan(
    model: TableModel, request: SampleRequest, rng: np.random.Generator, *, only_look: bool = False
) -> Plan:
    """Decide how many rows each cell gets.

    Args:
        model: The fitted model.
        request: What is asked for.
        rng: Decides between cells that have the same claim to a row.
        only_look: Neither refuse nor drop cells for want of support.

    Raises:
        RequestError: If the request is malformed, or its targets contradict one another.
        UnsupportedRequestError: If the model knows nothing about a cell that is asked for.

    Privacy:
        Post-processing.
    """
    model.require_feasible()
    restrictions = model.restrictions(request.conditions)
    targets = _targets(model, request, restrictions)
    warnings: list[str] = []
    on_unsupported = None if only_look else request.on_unsupported
    if restrictions or targets:
        targets, warnings = supported(model, restrictions, targets, on_unsupported)
    n = _n_rows(model, request, targets)
    if request.parity is not None:
        targets = as_counts(targets, n, rng)  # rounded once: parity builds on these rows
        target, told = parity_target(
            request.parity,
            lambda axes: amounts_on(model, restrictions, targets, axes, n, rng),
            model,
            n,
            rng,
        )
        (target,), found = supported(model, restrictions, [target], on_unsupported)
        targets, warnings = [*targets, target], [*warnings, *found, *told]
    layout = lay_out(model, restrictions, targets)
    sizes = rows_of_cells(layout, n, rng)
    left_out = left_out_of_balance(
        model, restrictions, request.balance or (), with_missing=request.balance_missing
    )
    told = [*warnings, *warnings_of_layout(layout, sizes), *left_out_in_words(left_out)]
    if request.parity is None:
        return Plan(layout.prepared, sizes, tuple(told), left_out=left_out)
    taken = {*restrictions, *(axis.name for axis in layout.prepared.table.axes)}
    decorrelated = decorrelated_columns(request.parity, model, taken)
    return Plan(layout.prepared, sizes, tuple(told), request.parity.groups, decorrelated, left_out)


def support_table(model: TableModel, request: SampleRequest, rng: np.random.Generator) -> pd.DataFrame:
    """Say for each cell of a request how many rows are asked for and how many real units stand behind it.

    Returns:
        One row per cell: the columns that are cut, ``requested`` rows, ``model_mass`` (probability under
        the model), ``units`` (that times the noisy number of units) and ``noise_std`` of the smallest
        measured table that covers the columns asked for (missing if none does), in units.

    Privacy:
        Post-processing.
    """
    plan = make_plan(model, request, rng, only_look=True)
    prepared = plan.prepared
    table = prepared.table
    out: dict[str, Any] = {
        axis.name: pd.Series([axis.labels[part] for part in parts], dtype=object).infer_objects()
        for axis, parts in zip(table.axes, table.cells.T, strict=True)
    }
    out["requested"] = plan.sizes
    out["model_mass"] = prepared.masses
    out["units"] = prepared.masses * model.n_units
    out["noise_std"] = noise_of_cells(model, prepared.restrictions, table)
    return pd.DataFrame(out)


def _targets(
    model: TableModel, request: SampleRequest, restrictions: Mapping[str, Restriction]
) -> list[Target]:
    targets = []
    if request.balance is not None:
        targets.append(
            balance_target(request.balance, model.domains, restrictions, with_missing=request.balance_missing)
        )
    if request.proportions is not None:
        targets += proportions_targets(request.proportions, model.domains, restrictions)
    if request.like is not None:
        targets.append(like_target(request.like, model.domains, restrictions))
    return [_filled(model, restrictions, target) for target in targets]


def _filled(model: TableModel, restrictions: Mapping[str, Restriction], target: Target) -> Target:
    """Give what a marginal leaves over to the values that it does not name, as the model has them."""
    unnamed = np.isnan(target.amounts)
    if not unnamed.any():
        return target
    masses = PreparedModel(model, restrictions, target.table).masses[unnamed]
    amounts = target.amounts.copy()
    rest = 1.0 - amounts[~unnamed].sum()
    amounts[unnamed] = rest * masses / masses.sum() if masses.sum() > 0 else 0.0
    return replace(target, amounts=amounts)


def _n_rows(model: TableModel, request: SampleRequest, targets: Sequence[Target]) -> int:
    counts = {target.where: int(target.amounts.sum()) for target in targets if target.is_count}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{total} ({where})" for where, total in counts.items())
        raise RequestError(f"the counts asked for add up to different numbers: {listed}")
    if counts:
        total = next(iter(counts.values()))
        if request.n is not None and request.n != total and request.on_unsupported != "drop":
            raise RequestError(
                f"the counts asked for add up to {total}, and n={request.n}; leave n out, or give shares"
            )
        return total
    return max(1, round(model.n_units)) if request.n is None else int(request.n)
