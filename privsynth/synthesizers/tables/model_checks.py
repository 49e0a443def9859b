"""What the parts of a model file are checked for: a file of unknown origin is refused, not sampled."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from privsynth.domains.encoding import DiscreteDomain, Domain, NumericGrid
from privsynth.schema.column_facts import Category
from privsynth.schema.plain_values import category_text


def are_weights(values: NDArray[Any]) -> bool:
    """Return whether all numbers are finite and none is below zero."""
    return values.dtype.kind == "f" and bool(np.isfinite(values).all() and (values >= 0).all())


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a fact is a finite number, and no boolean."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def check_flags(facts: Mapping[str, Any], *names: str) -> None:
    """Raise ValueError unless these facts are booleans."""
    if not all(isinstance(facts[name], bool) for name in names):
        raise ValueError("neither true nor false")


def check_values(domain: DiscreteDomain) -> None:
    """Raise ValueError unless the values differ, and are of those that the column declares, if any."""
    values, declared = domain.values, domain.column.categories
    if not all(isinstance(value, Category) for value in values) or not domain.size:
        raise ValueError("no values of a column")
    texts = {category_text(value) for value in values}
    if len(texts) < len(values):
        raise ValueError("a value occurs twice")
    if isinstance(declared, tuple) and not texts <= {category_text(value) for value in declared}:
        raise ValueError("a value that is not declared")


def check_grid(grid: NumericGrid) -> None:
    """Raise ValueError unless the cells follow one another on the line."""
    edges, ends = grid.edges, (grid.low, grid.high)
    if not all(map(is_number, ends)) or grid.point_masses.ndim != 1:
        raise ValueError("no ends of a line")
    on_line = edges.ndim == 1 and bool(np.isfinite(edges).all() and (np.diff(edges) > 0).all())
    if not on_line or (edges.size and not grid.low <= edges[0] <= edges[-1] <= grid.high):
        raise ValueError("no cells of a line")


def check_bins(grid: NumericGrid, bin_of_cell: NDArray[Any], cell_weight: NDArray[Any]) -> None:
    """Raise ValueError unless each cell has a bin, and each bin a cell that is drawn."""
    if not bin_of_cell.shape == cell_weight.shape == (grid.n_cells,) or bin_of_cell.dtype != np.int64:
        raise ValueError("no bins of these cells")
    # more bins than cells would ask for any memory
    if ((bin_of_cell < 0) | (bin_of_cell >= grid.n_cells)).any() or not are_weights(cell_weight):
        raise ValueError("no weights of these cells")
    if (np.bincount(bin_of_cell, weights=cell_weight) <= 0).any():
        raise ValueError("a bin without cells")


def check_groups(domain: Domain, group_of_code: NDArray[Any], share: NDArray[Any]) -> None:
    """Raise ValueError unless each code has a group and a share of it."""
    if not group_of_code.shape == share.shape == (domain.size,) or group_of_code.dtype != np.int64:
        raise ValueError("no groups of these codes")
    if ((group_of_code < 0) | (group_of_code >= domain.size)).any() or not are_weights(share):
        raise ValueError("no shares of these groups")


def check_block(block: NDArray[Any], n_codes: int) -> None:
    """Raise ValueError unless each component has shares of these codes."""
    if block.ndim != 2 or block.shape[1] != n_codes or not (are_weights(block) and block.sum(1).all()):
        raise ValueError("no shares of these codes")


def check_facts(facts: Mapping[str, Any], domains: Mapping[str, Domain]) -> None:
    """Raise ValueError unless what is said of the measured tables and of the units is of this model."""
    measured = facts["measured"]
    if not (is_number(facts["n_units"]) and is_number(facts["n_units_std"])):
        raise ValueError("no number of units")
    if not all(is_number(table["noise_std"]) for table in measured):
        raise ValueError("no noise of a table")
    names = [name for table in measured for name in table["columns"]]
    if not all(isinstance(name, str) and name in domains for name in names):
        raise ValueError("a table of no columns")
    texts = [text for c in facts.get("combinations", []) for found in c["found"] for text in found]
    if not all(text is None or isinstance(text, str) for text in texts):
        raise ValueError("no values of combinations")


def check_calibration(factors: NDArray[Any], n_components: int) -> None:
    """Raise ValueError unless each component has a factor for later rows and for first ones."""
    if factors.shape != (2, n_components) or factors.dtype.kind != "f" or not np.isfinite(factors).all():
        raise ValueError("no factors of these components")
