"""Tables that the schema declares: measured whatever is chosen, and handed out with their errors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.accounting.gdp import noise_for
from privsynth.domains.encoding import Domain, NumericDomain, codings_of, ticks_to_values
from privsynth.errors import SchemaError
from privsynth.models.tables.fitting import Measurement
from privsynth.privacy.curator import Curator
from privsynth.privacy.mechanisms.counts import Marginals
from privsynth.releases.store import Release
from privsynth.schema import Schema
from privsynth.synthesizers.tables.domains import Domains
from privsynth.synthesizers.tables.rare_values import FittedCodes, grouped

DECLARED = "tables that the schema declares"
KEY = "workload/tables"
MOST_FITTED = 2**15  # cells of a declared table to which the model is fitted; larger ones are released alone
MAX_CELLS = 2**22  # of one declared table
NORMAL_95 = 1.959964  # 97.5 % quantile of the normal distribution


def measure_workload(
    curator: Curator, domains: Domains, codes: FittedCodes, *, mu_squared: float
) -> list[Measurement]:
    """Measure the declared tables, each with the same noise, and return them over the codes of a fit.

    A person's part is not cut in length, so that every cell is unbiased. A table of more than `MOST_FITTED`
    cells is released and not fitted to.

    Args:
        curator: Gives the release.
        domains: Of all columns; the released tables are over their codes.
        codes: What the model is fitted over.
        mu_squared: What the tables may cost in all.

    Raises:
        SchemaError: If a table has more than `MAX_CELLS` cells.

    Privacy:
        Accounted: one Gaussian release a table.
    """
    sets = curator.schema.workload
    if not sets or mu_squared <= 1e-9 * curator.allowance.mu_squared:
        return []
    for columns in sets:
        n_cells = math.prod(domains.by_column[name].size for name in columns)
        if n_cells > MAX_CELLS:
            raise SchemaError(
                f"workload: the table of {', '.join(map(repr, columns))} has {n_cells:,} cells, above "
                f"{MAX_CELLS:,}; leave a column out"
            )
    noise = noise_for(mu_squared / len(sets))
    tables = Marginals(
        purpose=DECLARED, codings=codings_of(domains.by_column), sets=sets, noise_multiplier=noise
    )
    release = curator.release(KEY, tables)
    return tables_of_workload(release, codes)


def tables_of_workload(release: Release, codes: FittedCodes) -> list[Measurement]:
    """Return the released tables over the codes of a fit, but for those of too many cells.

    Privacy:
        Post-processing.
    """
    measured = []
    for i, columns in enumerate(release.facts["sets"]):
        if release.arrays[str(i)].size > MOST_FITTED:
            continue
        table = Measurement(
            columns=tuple(columns), counts=release.arrays[str(i)], variance=release.noise_multiplier**2
        )
        for axis, name in enumerate(columns):
            if name in codes.groups:
                table = grouped(codes.groups[name], table, axis=axis)
        measured.append(table)
    return measured


def declared_tables(
    schema: Schema, domains: Mapping[str, Domain], releases: Iterable[Release]
) -> dict[tuple[str, ...], pd.DataFrame]:
    """Return the declared tables as they were released, with the error of each cell.

    Args:
        schema: The schema of the fit.
        domains: Of all columns.
        releases: Of the fit, and of those that it goes on from: their tables are weighed by their noise.

    Returns:
        By their columns, a frame of all cells: a column for each column of the table, in which a number is
        ``"low to high"`` and missing is None; ``count``, the noisy number of units, which may be below zero;
        ``std``, the standard deviation of its noise; ``low`` and ``high``, within which the true count lies
        with a probability of 95 %, each cell by itself.

    Privacy:
        Post-processing: the released cells themselves.
    """
    return {
        columns: _frame(columns, counts, std, domains)
        for columns, (counts, std) in _released(schema, releases).items()
    }


def errors_of_cells(schema: Schema, releases: Iterable[Release]) -> list[dict[str, Any]]:
    """Return columns, number of cells, noise and half the width of the 95 % interval, of each declared table.

    Privacy:
        Post-processing.
    """
    return [
        {
            "columns": list(columns),
            "n_cells": int(counts.size),
            "noise_std": std,
            "margin_95": NORMAL_95 * std,
        }
        for columns, (counts, std) in _released(schema, releases).items()
    ]


def _released(
    schema: Schema, releases: Iterable[Release]
) -> dict[tuple[str, ...], tuple[NDArray[np.float64], float]]:
    """Return the noisy counts and the noise of each declared table, of all runs that measured it together."""
    of_runs = [
        {tuple(columns): (r.arrays[str(i)], r.noise_multiplier) for i, columns in enumerate(r.facts["sets"])}
        for r in releases
        if (r.key == KEY or r.key.endswith(f"/{KEY}")) and not r.void and not r.lost
    ]
    out = {}
    for columns in schema.workload:
        found = [tables[columns] for tables in of_runs if columns in tables]
        if found:
            precisions = [1.0 / std**2 for _, std in found]
            counts = found[0][0] if len(found) == 1 else np.average([c for c, _ in found], 0, precisions)
            std = found[0][1] if len(found) == 1 else 1.0 / math.sqrt(sum(precisions))
            out[columns] = (counts, std)
    return out


def _frame(columns: tuple[str, ...], counts: Any, std: float, domains: Mapping[str, Domain]) -> pd.DataFrame:
    """Return the cells of one table, in the order of their codes."""
    axes = [_labels(domains[name]) for name in columns]
    grid = np.indices(counts.shape).reshape(len(columns), -1)
    cells = {
        name: pd.Series([axis[code] for code in codes], dtype=object)
        for name, axis, codes in zip(columns, axes, grid, strict=True)
    }
    flat = np.asarray(counts, dtype=np.float64).ravel()
    margin = NORMAL_95 * std
    return pd.DataFrame({**cells, "count": flat, "std": std, "low": flat - margin, "high": flat + margin})


def _labels(domain: Domain) -> list[Any]:
    """Return what each code of a column is called."""
    if not isinstance(domain, NumericDomain):
        return list(domain.labels)
    first, last = domain.grid.intervals()
    texts: list[Any] = []
    for b in range(domain.n_bins):
        cells = np.flatnonzero(domain.bin_of_cell == b)
        ends = ticks_to_values(np.array([first[cells[0]], last[cells[-1]]]), domain.column)
        low, high = (str(end) for end in ends)
        texts.append(low if low == high else f"{low} to {high}")
    return [*texts, *([None] if domain.has_missing else [])]
