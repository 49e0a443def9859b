"""Columns of many values: rare neighbours share a code while a model is fitted, and part when it draws.

A table of a column of ten thousand values by another is mostly cells that noise drowns, and the model would
hold as many numbers for each component. The groups are made from the released 1-way counts, so they cost
nothing; within a group the values keep their released shares.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from privsynth.domains.binning import merge_cells
from privsynth.domains.encoding import Coded, DiscreteDomain
from privsynth.domains.noisy_cells import Cells
from privsynth.domains.shape import shape_in_bins
from privsynth.models.tables.fitting import Measurement
from privsynth.sampling.grouped import ValueGroups
from privsynth.synthesizers.tables.domains import Domains
from privsynth.synthesizers.tables.fine_domains import MAX_VALUES

MAX_CODES = MAX_VALUES + 2  # what is discovered, "other" and missing: up to here all have codes of their own
N_GROUPS = 128  # codes aimed at beyond that


@dataclass(frozen=True)
class FittedCodes:
    """What a model is fitted over: the domains, some of them grouped.

    Attributes:
        by_column: What each column's codes stand for.
        one_way: The 1-way measurements over these codes.
    """

    by_column: Mapping[str, Coded]
    one_way: list[Measurement]

    @classmethod
    def of(cls, domains: Domains, *, whole: Collection[str]) -> FittedCodes:
        """Group the rare values of columns that have more than `MAX_CODES`.

        Args:
            domains: Domains and 1-way measurements.
            whole: Columns that stay as they are, however many values they have.

        Privacy:
            Post-processing of the released 1-way marginals.
        """
        by_column: dict[str, Coded] = dict(domains.by_column)
        one_way = []
        for measured in domains.one_way:
            (name,) = measured.columns
            domain = domains.by_column[name]
            if isinstance(domain, DiscreteDomain) and domain.size > MAX_CODES and name not in whole:
                by_column[name] = groups = group_values(domain, measured)
                measured = grouped(groups, measured)
            one_way.append(measured)
        is_grouped = any(isinstance(coded, ValueGroups) for coded in by_column.values())
        return cls(by_column if is_grouped else domains.by_column, one_way)

    @property
    def groups(self) -> dict[str, ValueGroups]:
        """The columns that are grouped."""
        return {name: coded for name, coded in self.by_column.items() if isinstance(coded, ValueGroups)}


def group_values(domain: DiscreteDomain, measured: Measurement) -> ValueGroups:
    """Group a column's values: often ones alone, runs of rare ones between them together.

    Privacy:
        Post-processing of a release.
    """
    n_values = len(domain.values)
    noise_std = float(np.sqrt(np.mean(measured.variance)))
    noisy = np.asarray(measured.counts, dtype=np.float64)[:n_values]
    cells = Cells(
        noisy, np.ones(n_values, dtype=bool), np.zeros(n_values, dtype=bool)
    )  # neighbours in a list need not be alike
    group = merge_cells(cells, noise_std=noise_std, n_bins=N_GROUPS)
    share = shape_in_bins(cells, group, np.ones(n_values), noise_std)
    n_alone = domain.size - n_values
    return ValueGroups(
        domain, np.r_[group, group.max() + 1 + np.arange(n_alone)], np.r_[share, np.ones(n_alone)]
    )


def grouped(groups: ValueGroups, measured: Measurement, axis: int = 0) -> Measurement:
    """Return the measurement of the groups: what the codes of a column, along an axis, add up to."""
    variance = np.broadcast_to(np.asarray(measured.variance, dtype=np.float64), measured.counts.shape)
    return Measurement(
        columns=measured.columns,
        counts=_summed(measured.counts, groups.group_of_code, axis),
        variance=_summed(variance, groups.group_of_code, axis),
    )


def _summed(table: NDArray[np.float64], group_of_code: NDArray[np.int64], axis: int) -> NDArray[np.float64]:
    by_code = np.moveaxis(table, axis, 0)
    out = np.zeros((int(group_of_code.max()) + 1, *by_code.shape[1:]), dtype=np.float64)
    np.add.at(out, group_of_code, by_code)
    return np.moveaxis(out, 0, axis)
