"""The fitted table model: domains, mixture, released counts; and drawing rows from it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.encoding import DiscreteDomain, Domain, NumericDomain, labels_to_values, ticks_to_values
from privsynth.errors import RequestError, UnsupportedRequestError
from privsynth.models.mixture import ProductMixture
from privsynth.sampling.conditions import Restriction, restrict
from privsynth.schema import Schema

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MAX_CELLS = 100_000
SUPPORT_MARGIN = 2.0  # noise deviations below which the released count of a cell says little


@dataclass(frozen=True)
class Measured:
    """A released table: its columns and the noise in each cell, in units."""

    columns: tuple[str, ...]
    noise_std: float


@dataclass(frozen=True)
class Cell:
    """One combination of discrete values, and how many rows of it are asked for."""

    codes: Mapping[str, int]
    n_rows: int


@dataclass(frozen=True)
class TableModel:
    """All that is needed to draw synthetic rows. Holds releases and what was fitted to them.

    Attributes:
        schema: The public description of the table.
        domains: Domain of each modelled column.
        mixture: The generator.
        n_units: Noisy number of units (records or persons).
        n_units_std: Standard deviation of the noise in ``n_units``.
        measured: Tables that were measured, for statements about support.
    """

    schema: Schema
    domains: Mapping[str, Domain]
    mixture: ProductMixture
    n_units: float
    n_units_std: float
    measured: tuple[Measured, ...]

    # -- what is asked for ---------------------------------------------------------------------------------

    def restrictions(self, conditions: Mapping[str, Any] | None) -> dict[str, Restriction]:
        """Return what the conditions leave of each column that they name."""
        if not isinstance(conditions, Mapping | None):
            raise RequestError(f"conditions: expected a mapping from column to condition, got {conditions!r}")
        out = {}
        for name, condition in (conditions or {}).items():
            if name not in self.domains:
                raise RequestError(
                    f"conditions: there is no modelled column {name!r}; there are {', '.join(self.domains)}"
                )
            out[name] = restrict(self.domains[name], condition)
        return out

    def balanced_cells(
        self,
        n: int,
        balance: Sequence[str],
        restrictions: Mapping[str, Restriction],
        rng: np.random.Generator,
    ) -> list[Cell]:
        """Return the cells of ``balance``, their sizes equal up to one row and adding up to ``n``."""
        if isinstance(balance, str) or not balance or len(set(balance)) != len(balance):
            raise RequestError(f"balance: expected a list of different columns, got {balance!r}")
        axes = []
        for name in balance:
            domain = self.domains.get(name)
            if not isinstance(domain, DiscreteDomain):
                what = "there is no such modelled column" if domain is None else "it is a number line"
                raise RequestError(f"balance: {name!r} must be a categorical or boolean column, but {what}")
            share = restrictions[name].share if name in restrictions else np.ones(domain.size)
            axes.append([code for code in range(len(domain.values)) if share[code] > 0])
        n_cells = math.prod(len(axis) for axis in axes)
        if not 0 < n_cells <= MAX_CELLS:
            raise RequestError(f"balance: expected 1 to {MAX_CELLS} cells, got {n_cells}")
        sizes = np.full(n_cells, n // n_cells)
        sizes[rng.permutation(n_cells)[: n % n_cells]] += 1
        combinations = itertools.product(*axes)
        return [
            Cell(dict(zip(balance, codes, strict=True)), int(size))
            for codes, size in zip(combinations, sizes, strict=True)
        ]

    # -- whether it can be done ----------------------------------------------------------------------------

    def support(self, cells: Sequence[Cell], restrictions: Mapping[str, Restriction]) -> pd.DataFrame:
        """Say for each cell how many rows are asked for and how many real units stand behind it.

        Returns:
            One row per cell: the balanced columns, ``requested`` rows, ``model_mass`` (probability under
            the model), ``units`` (that times the noisy number of units) and ``noise_std`` of the smallest
            measured table that covers the conditioned columns (missing if none does).
        """
        rows = []
        for cell in cells:
            allowed = self._allowed(cell, restrictions)
            mass = float(self.mixture.component_mass(allowed).mean())
            labels = {
                name: self.domains[name].labels[code]  # type: ignore[union-attr]  # balanced columns are discrete
                for name, code in cell.codes.items()
            }
            rows.append(
                labels
                | {
                    "requested": cell.n_rows,
                    "model_mass": mass,
                    "units": mass * self.n_units,
                    "noise_std": self._noise_of(allowed),
                }
            )
        return pd.DataFrame(rows)

    def _noise_of(self, allowed: Mapping[str, FloatArray]) -> float:
        """Return the noise in the released count of a condition, from the best table that covers it."""
        best = np.inf
        for table in self.measured:
            if set(allowed) <= set(table.columns):
                n_summed = 1.0
                for name in table.columns:
                    n_summed *= (allowed[name] > 0).sum() if name in allowed else self.domains[name].size
                best = min(best, table.noise_std * float(np.sqrt(n_summed)))
        return best if np.isfinite(best) else np.nan

    def supported_cells(
        self, cells: Sequence[Cell], restrictions: Mapping[str, Restriction], on_unsupported: str
    ) -> tuple[list[Cell], list[str]]:
        """Check every cell; return those to draw and warnings.

        Raises:
            UnsupportedRequestError: If a cell has less than one unit behind it and ``on_unsupported`` is
                ``"error"``, or nothing is left.
        """
        table = self.support(cells, restrictions)
        names = [_cell_name(self, cell) for cell in cells]
        empty = (table["units"] < 1.0).to_numpy()
        noisy = ~empty & (table["units"] < SUPPORT_MARGIN * table["noise_std"].fillna(0.0)).to_numpy()
        impossible = (table["model_mass"] <= 0.0).to_numpy()
        warnings = []
        if empty.any():
            which = _listed([name for name, bad in zip(names, empty, strict=True) if bad])
            text = f"the model has less than one unit behind {which}"
            if on_unsupported == "error" or (on_unsupported == "warn" and impossible.any()):
                raise UnsupportedRequestError(
                    f"{text}; ask for other cells, or pass on_unsupported='drop' to leave these out"
                    + ("" if impossible.any() else " or 'warn' to extrapolate")
                )
            warnings.append(text + (": left out" if on_unsupported == "drop" else ": extrapolated"))
        if noisy.any():
            which = _listed([name for name, bad in zip(names, noisy, strict=True) if bad])
            warnings.append(f"the real count behind {which} is within the noise of what was measured")
        if on_unsupported != "drop" or not empty.any():
            return list(cells), warnings
        kept = [cell for cell, bad in zip(cells, empty, strict=True) if not bad]
        if not kept:
            raise UnsupportedRequestError("the model has less than one unit behind every cell asked for")
        return _resized(kept, sum(cell.n_rows for cell in cells)), warnings

    # -- drawing -----------------------------------------------------------------------------------------

    def draw(
        self, cells: Sequence[Cell], restrictions: Mapping[str, Restriction], rng: np.random.Generator
    ) -> pd.DataFrame:
        """Draw exactly the rows of every cell, in random order."""
        parts = [
            self.mixture.draw(cell.n_rows, self._allowed(cell, restrictions), rng)
            for cell in cells
            if cell.n_rows
        ]
        n = sum(cell.n_rows for cell in cells)
        order = rng.permutation(n)
        empty = np.empty(0, dtype=np.int64)
        columns: dict[str, pd.Series] = {}
        for column in self.schema.output_columns:
            if column.name not in self.domains:
                columns[column.name] = pd.Series(np.arange(1, n + 1))
                continue
            codes = np.concatenate([part[column.name] for part in parts])[order] if parts else empty
            columns[column.name] = self._decode(column.name, codes, restrictions.get(column.name), rng)
        return pd.DataFrame(columns, copy=False)

    def _allowed(self, cell: Cell, restrictions: Mapping[str, Restriction]) -> dict[str, FloatArray]:
        allowed = {name: restriction.share for name, restriction in restrictions.items()}
        for name, code in cell.codes.items():
            allowed[name] = np.zeros(self.domains[name].size)
            allowed[name][code] = 1.0
        return allowed

    def _decode(
        self, name: str, codes: IntArray, restriction: Restriction | None, rng: np.random.Generator
    ) -> pd.Series:
        domain = self.domains[name]
        if not isinstance(domain, NumericDomain):
            return labels_to_values(codes, domain.labels)
        ticks = np.full(len(codes), np.nan)
        present = codes < domain.n_bins
        pieces = restriction.pieces if restriction is not None else domain.pieces()
        if pieces is not None and present.any():
            ticks[present] = pieces.draw(codes[present], rng)
        return ticks_to_values(ticks, domain.column)


def _resized(cells: list[Cell], n: int) -> list[Cell]:
    """Spread ``n`` rows evenly over the cells."""
    sizes = np.full(len(cells), n // len(cells))
    sizes[: n % len(cells)] += 1
    return [Cell(cell.codes, int(size)) for cell, size in zip(cells, sizes, strict=True)]


def _cell_name(model: TableModel, cell: Cell) -> str:
    if not cell.codes:
        return "the conditions"
    labels = (f"{name}={model.domains[name].labels[code]}" for name, code in cell.codes.items())  # type: ignore[union-attr]
    return " x ".join(labels)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more cells" if len(names) > 8 else "")
