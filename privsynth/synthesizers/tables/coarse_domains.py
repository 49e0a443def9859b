"""Domains as they stay: of the finest ones, what released counts are clear enough to keep apart.

Post-processing of the 1-way marginals.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from privsynth.domains.binning import TAIL_END, bins_from_histogram
from privsynth.domains.encoding import DiscreteDomain, Domain, NumericDomain
from privsynth.domains.noisy_cells import denoise
from privsynth.domains.tails import TAIL_SPREAD, WIDE_MARGIN, with_tails
from privsynth.models.tables.fitting import Measurement
from privsynth.schema import PRIVATE, Column, category_text
from privsynth.schema.row_rules import PREVIOUS
from privsynth.synthesizers.tables.fine_domains import as_numbers
from privsynth.synthesizers.tables.octaves import is_wide

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

MOST_BINS_BEFORE = 6  # of what stands in the row before
FEW_NUMBERS = 4  # of rows, that stay as they were counted where no more of them lie beyond the clear ones
FAINT_VARIANCE = 0.01  # of an extrapolated number of rows, in variances of the noise, beside its own spread
REST_MARGIN = 3.0  # "other" and a private missing cell stay if they stand this many noise deviations out


def coarsened(fine: Domain, counts: FloatArray, noise: float, n_bins: int) -> tuple[Domain, Measurement]:
    """Return a column's final domain and its 1-way measurement over it.

    Args:
        fine: The domain at the finest.
        counts: Released counts over it, ``(fine.size,)``.
        noise: Standard deviation of the noise in each.
        n_bins: Bins aimed at for a number line.

    Privacy:
        Post-processing of a release.
    """
    has_missing = _keeps_missing(fine, counts, noise)
    name = fine.column.name
    if isinstance(fine, DiscreteDomain):
        domain = _kept(fine, counts, noise, has_missing)
        codes = [*range(len(fine.values) + domain.has_other), *([-1] if has_missing else [])]
        counts, variance = counts[codes], np.full(len(codes), noise**2)
        if fine.column.counts_rows:
            counts, variance = _numbers_of_rows(fine, counts, variance, noise)
        return domain, Measurement(columns=(name,), counts=counts, variance=variance)
    n_cells = fine.grid.n_cells
    bins = bins_from_histogram(
        fine.column,
        fine.grid,
        counts[:n_cells],
        noise_std=noise,
        n_bins=n_bins,
        has_missing=has_missing,
        is_wide=is_wide(fine.column) or fine.column.counts_rows,
    )
    missing = counts[n_cells : n_cells + has_missing]
    return replace(bins.domain, bounds_found=fine.bounds_found), Measurement(
        columns=(name,),
        counts=np.r_[bins.counts, missing],
        variance=np.r_[bins.variance, [noise**2] * has_missing],
    )


def coarsened_as(
    coarse: tuple[Domain, Measurement], fine: Domain, counts: FloatArray, noise: float, n_bins: int
) -> tuple[Domain, Measurement]:
    """Return a column's domain, from that of the column whose values it takes, and its 1-way measurement.

    What stands before is given and never drawn, so it is told apart less finely: number lines keep
    `MOST_BINS_BEFORE` bins of about equal mass. Where persons' rows begin is drawn, and elsewhere than most
    rows are: of the same values it has bins of its own.

    Args:
        coarse: Final domain and measurement of the column whose values it takes.
        fine: As for `coarsened`.
        counts: As for `coarsened`.
        noise: As for `coarsened`.
        n_bins: As for `coarsened`.

    Privacy:
        Post-processing of a release.
    """
    (domain, measured), column = coarse, fine.column
    name = column.name
    if isinstance(domain, DiscreteDomain):
        domain = replace(domain, column=column, has_missing=bool(column.missing))
        codes = [*range(len(domain.values) + domain.has_other), *([-1] if domain.has_missing else [])]
        return domain, Measurement(columns=(name,), counts=counts[codes], variance=noise**2)
    assert isinstance(fine, NumericDomain)
    if not domain.n_bins:
        return missing_only(column, counts, noise)
    if not name.startswith(PREVIOUS):
        return coarsened(fine, counts, noise, n_bins)
    merged = _merged_bins(domain, measured.counts[: domain.n_bins], MOST_BINS_BEFORE)
    bin_of_cell = merged[domain.bin_of_cell]
    size = int(merged.max()) + 1
    missing = counts[fine.grid.n_cells :]
    return replace(domain, column=column, bin_of_cell=bin_of_cell, has_missing=fine.has_missing), Measurement(
        columns=(name,),
        counts=np.r_[np.bincount(bin_of_cell, weights=counts[: fine.grid.n_cells], minlength=size), missing],
        variance=noise**2 * np.r_[np.bincount(bin_of_cell, minlength=size), np.ones(len(missing))],
    )


def _merged_bins(domain: NumericDomain, counts: FloatArray, most: int) -> IntArray:
    """Return for each bin of a number line which of at most ``most`` neighbouring ones it becomes part of."""
    _, first = np.unique(domain.bin_of_cell, return_index=True)
    along = np.argsort(first)
    mass = np.maximum(counts[along], 0.0)
    middle = (np.cumsum(mass) - mass / 2) / max(mass.sum(), 1.0)
    group = np.minimum((middle * most).astype(np.int64), most - 1)
    out = np.empty(len(first), dtype=np.int64)
    out[along] = np.unique(group, return_inverse=True)[1]
    return out


def _numbers_of_rows(
    fine: DiscreteDomain, counts: FloatArray, variance: FloatArray, noise: float
) -> tuple[FloatArray, FloatArray]:
    """Return counts and variances of a column that counts rows, without the noise of numbers nobody has.

    The cap may be far above what persons have, and each row of a made person beyond that is noise. Of a few
    numbers that do not stand clear what was counted is the better guess.
    """
    begin = np.array(fine.values, dtype=np.float64)
    n = len(begin)
    cells = denoise(counts[:n], noise_std=noise, margin=WIDE_MARGIN)
    least = TAIL_END * max(float(counts.sum()), 1.0)
    cells = with_tails(cells, counts[:n], begin, begin + 1.0, least=least, noise_std=noise)
    counts, variance = counts.copy(), variance.copy()
    is_tail = np.zeros(len(counts), dtype=bool)
    for side in np.split(np.arange(n), [np.flatnonzero(~cells.is_tail)[0]]):
        beyond = side[cells.is_tail[side]]
        is_tail[beyond] = len(beyond) > FEW_NUMBERS
    of_tail = cells.mass[is_tail[:n]]
    counts[is_tail], variance[is_tail] = of_tail, (TAIL_SPREAD * of_tail) ** 2 + FAINT_VARIANCE * noise**2
    return counts, variance


def is_missing_only(
    fine: Domain, counts: FloatArray, noise: float, n_units: float, n_units_std: float
) -> bool:
    """Whether nothing is known of a number line but that it is missing: no bounds, and hardly any value."""
    if not (isinstance(fine, NumericDomain) and not fine.bounds_found and fine.has_missing):
        return False
    missing = float(counts[-1])
    present_std = math.hypot(noise, n_units_std)
    return missing > REST_MARGIN * noise and n_units - missing <= REST_MARGIN * present_std


def missing_only(column: Column, counts: FloatArray, noise: float) -> tuple[Domain, Measurement]:
    """Return the domain of a column that is always missing, and its 1-way measurement."""
    total, variance = np.array([counts.sum()]), noise**2 * counts.size
    return NumericDomain.of_missing(column), Measurement(
        columns=(column.name,), counts=total, variance=variance
    )


def _kept(fine: DiscreteDomain, counts: FloatArray, noise: float, has_missing: bool) -> DiscreteDomain:
    """Return a domain with "other" and missing if they stay: "other" if its released count stands out.

    Values that were found are numbers again if nothing beside them has to be written as a text.
    """
    if not fine.has_other:
        return replace(fine, has_missing=has_missing)
    n_values = len(fine.values)
    is_clear = bool(counts[n_values] > REST_MARGIN * noise)
    has_other = is_clear or not (n_values or has_missing)
    texts = tuple(map(category_text, fine.values))
    values = as_numbers(texts) if fine.column.missing or not has_other else texts
    return replace(fine, values=values, has_other=has_other, has_missing=has_missing)


def _keeps_missing(fine: Domain, counts: FloatArray, noise: float) -> bool:
    """Whether missing stays in the domain: as declared, or if its released count stands out."""
    if fine.column.missing == PRIVATE:
        return bool(counts[-1] > REST_MARGIN * noise)
    return fine.has_missing
