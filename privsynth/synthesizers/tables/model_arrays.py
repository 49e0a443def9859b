"""A table model as the parts of a model file: JSON-able facts and named arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from privsynth.domains.encoding import DiscreteDomain, Domain, NumericDomain, NumericGrid
from privsynth.models.tables.mixture import ProductMixture
from privsynth.sampling.grouped import ValueGroups
from privsynth.sampling.table_model import Measured, TableModel
from privsynth.schema import Schema
from privsynth.schema.column_types import NumberLine
from privsynth.synthesizers.tables.model_checks import (
    check_bins,
    check_block,
    check_facts,
    check_flags,
    check_grid,
    check_groups,
    check_values,
)


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
        check_flags(facts, "has_other", "has_missing")
        discrete = DiscreteDomain(column, tuple(facts["values"]), facts["has_other"], facts["has_missing"])
        check_values(discrete)
        return discrete
    check_flags({"bounds_found": True, **facts}, "discrete", "has_missing", "bounds_found")
    prefix = f"domain/{name}"
    grid = NumericGrid(
        facts["low"], facts["high"], facts["discrete"], arrays[f"{prefix}/edges"], arrays[f"{prefix}/spikes"]
    )
    bin_of_cell, cell_weight = arrays[f"{prefix}/bin_of_cell"], arrays[f"{prefix}/cell_weight"]
    check_grid(grid)
    check_bins(grid, bin_of_cell, cell_weight)
    return NumericDomain(
        column,
        grid,
        bin_of_cell,
        cell_weight,
        facts["has_missing"],
        facts.get("bounds_found", True),
    )


def _groups_from(domains: Mapping[str, Domain], arrays: Mapping[str, NDArray[Any]]) -> dict[str, ValueGroups]:
    groups = {}
    for name, domain in domains.items():
        if f"groups/{name}/share" in arrays and isinstance(domain, DiscreteDomain):
            group_of_code, share = (arrays[f"groups/{name}/{part}"] for part in ("group_of_code", "share"))
            check_groups(domain, group_of_code, share)
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
        check_block(arrays[f"mixture/{name}"], n_codes)
    check_facts(facts, domains)
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
