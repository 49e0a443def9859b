"""A table model as the parts of a model file: JSON-able facts and named arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from privsynth.domains.encoding import DiscreteDomain, Domain, NumericDomain, NumericGrid
from privsynth.models.tables.mixture import ProductMixture
from privsynth.sampling.grouped import ValueGroups
from privsynth.sampling.table_model import Measured, TableModel
from privsynth.schema import Schema
from privsynth.schema.column_types import NumberLine


def model_arrays(model: TableModel) -> dict[str, NDArray[Any]]:
    """Return the arrays of a model file by name."""
    blocks = zip(model.mixture.columns, model.mixture.blocks, strict=True)
    arrays: dict[str, NDArray[Any]] = {f"mixture/{name}": block for name, block in blocks}
    for name, domain in model.domains.items():
        if isinstance(domain, NumericDomain):
            arrays |= {
                f"domain/{name}/edges": domain.grid.edges,
                f"domain/{name}/spikes": domain.grid.point_masses,
                f"domain/{name}/bin_of_cell": domain.bin_of_cell,
                f"domain/{name}/cell_weight": domain.cell_weight,
            }
    for name, groups in model.groups.items():
        arrays |= {
            f"groups/{name}/group_of_code": groups.group_of_code,
            f"groups/{name}/share": groups.share,
        }
    return arrays


def _domain_facts(domain: Domain) -> dict[str, Any]:
    if isinstance(domain, NumericDomain):
        grid = domain.grid
        return {
            "low": grid.low,
            "high": grid.high,
            "discrete": grid.discrete,
            "has_missing": domain.has_missing,
            "bounds_found": domain.bounds_found,
        }
    return {
        "values": list(domain.values),
        "has_other": domain.has_other,
        "has_missing": domain.has_missing,
    }


def _domain_from(
    schema: Schema, name: str, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> Domain:
    column = schema.columns[name]
    if ("values" in facts) == isinstance(column.kind, NumberLine):
        raise ValueError("a domain of another type than its column")
    if "values" in facts:
        return DiscreteDomain(column, tuple(facts["values"]), facts["has_other"], facts["has_missing"])
    prefix = f"domain/{name}"
    grid = NumericGrid(
        facts["low"], facts["high"], facts["discrete"], arrays[f"{prefix}/edges"], arrays[f"{prefix}/spikes"]
    )
    bin_of_cell, cell_weight = arrays[f"{prefix}/bin_of_cell"], arrays[f"{prefix}/cell_weight"]
    _check_grid(grid)
    _check_bins(grid, bin_of_cell, cell_weight)
    if not isinstance(facts["has_missing"], bool):
        raise ValueError("no answer whether a value may be missing")
    return NumericDomain(
        column,
        grid,
        bin_of_cell,
        cell_weight,
        facts["has_missing"],
        facts.get("bounds_found", True),
    )


def _check_grid(grid: NumericGrid) -> None:
    """Raise ValueError unless the cells follow one another on the line."""
    edges, ends = grid.edges, (grid.low, grid.high)
    if not (isinstance(grid.discrete, bool) and all(type(end) in (int, float) for end in ends)):
        raise ValueError("no ends of a line")
    on_line = edges.ndim == 1 and bool(np.isfinite([*ends, *edges]).all() and (np.diff(edges) > 0).all())
    if not on_line or (edges.size and not grid.low <= edges[0] <= edges[-1] <= grid.high):
        raise ValueError("no cells of a line")


def _check_bins(grid: NumericGrid, bin_of_cell: NDArray[Any], cell_weight: NDArray[Any]) -> None:
    """Raise ValueError unless each cell has a bin, and each bin a cell that is drawn."""
    if not bin_of_cell.shape == cell_weight.shape == (grid.n_cells,) or bin_of_cell.dtype != np.int64:
        raise ValueError("no bins of these cells")
    # more bins than cells would ask for any memory
    if ((bin_of_cell < 0) | (bin_of_cell >= grid.n_cells)).any() or not _are_weights(cell_weight):
        raise ValueError("no weights of these cells")
    if (np.bincount(bin_of_cell, weights=cell_weight) <= 0).any():
        raise ValueError("a bin without cells")


def _are_weights(values: NDArray[Any]) -> bool:
    return bool(np.isfinite(values).all() and (values >= 0).all())


def _groups_from(domains: Mapping[str, Domain], arrays: Mapping[str, NDArray[Any]]) -> dict[str, ValueGroups]:
    groups = {}
    for name, domain in domains.items():
        if f"groups/{name}/share" in arrays and isinstance(domain, DiscreteDomain):
            group_of_code, share = (arrays[f"groups/{name}/{part}"] for part in ("group_of_code", "share"))
            if not group_of_code.shape == share.shape == (domain.size,) or (group_of_code < 0).any():
                raise ValueError("no groups of these codes")
            if not _are_weights(share):
                raise ValueError("no shares of these groups")
            groups[name] = ValueGroups(domain, group_of_code, share)
    return groups


def model_facts(model: TableModel) -> dict[str, Any]:
    """Return what the manifest of a model file says of a table model, beside its arrays."""
    return {
        "schema": model.schema.to_dict(),
        "n_units": model.n_units,
        "n_units_std": model.n_units_std,
        "measured": [{"columns": list(m.columns), "noise_std": m.noise_std} for m in model.measured],
        "combinations": [
            {"columns": list(columns), "found": [list(texts) for texts in found]}
            for columns, found in model.combinations.items()
        ],
        "domains": {name: _domain_facts(domain) for name, domain in model.domains.items()},
    }


def model_from(facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], schema: Schema) -> TableModel:
    """Rebuild a table model over a schema from what `model_facts` and `model_arrays` wrote.

    Raises:
        KeyError, TypeError, ValueError: If the parts do not fit.
    """
    domains = {name: _domain_from(schema, name, of, arrays) for name, of in facts["domains"].items()}
    groups = _groups_from(domains, arrays)
    if {column.name for column in schema.modelled} - set(domains):
        raise ValueError("a column has no domain")
    for name, domain in domains.items():
        n_codes = int(groups[name].group_of_code.max()) + 1 if name in groups else domain.size
        block = arrays[f"mixture/{name}"]
        if block.ndim != 2 or block.shape[1] != n_codes or not (_are_weights(block) and block.sum(1).all()):
            raise ValueError("no shares of these codes")
    return TableModel(
        schema,
        domains,
        ProductMixture(tuple(domains), tuple(arrays[f"mixture/{name}"] for name in domains)),
        facts["n_units"],
        facts["n_units_std"],
        tuple(Measured(tuple(m["columns"]), m["noise_std"]) for m in facts["measured"]),
        {tuple(c["columns"]): tuple(map(tuple, c["found"])) for c in facts.get("combinations", [])},
        groups,
    )
