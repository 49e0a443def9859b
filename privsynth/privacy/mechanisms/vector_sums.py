"""Noisy sums of vectors that records are mapped to.

A map turns each record by itself into a cell and a vector of length at most 1; longer ones are scaled
down. The vectors are added up by cell, as whole multiples of a grid step, so that noise can be rounded to the
grid as for counts and no bits beyond it leak (`noise`). Class prototypes, moments, clusters and random
features are all such sums.

Proved in Lemma 4 of ``PROOF.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from privsynth.domains.coding import Coding
from privsynth.errors import ParameterError
from privsynth.privacy.mechanisms.base import Exact, NoisyMechanism
from privsynth.privacy.records import SensitiveRecords

Embedding = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""``embedding(record)`` returns the record's cell, a whole number, and its vector, ``(n_values,)``.

A cell outside the range, or a vector that is not finite, counts nowhere.
"""

STEPS_PER_ONE = 2**20  # grid steps in a vector of length 1
_FLOATS_AT_ONCE, _ROWS_AT_ONCE, _LEAST_AT_ONCE = 2**22, 1024, 16


@dataclass(frozen=True, kw_only=True)
class VectorSums(NoisyMechanism):
    """The sums of the records' vectors by cell (array ``sums``).

    Attributes:
        codings: Coding of every column; a record is what `SensitiveRecords.rows` says.
        embedding: The map. Public, or a function of releases.
        n_cells: Number of cells.
        n_values: Length of the vectors, at most 1 each: the noise is over that.
    """

    codings: Mapping[str, Coding]
    embedding: Embedding
    n_cells: int
    n_values: int

    def exact(self, records: SensitiveRecords) -> Exact:
        """See `NoisyMechanism`."""
        held = records.rows(self.codings)
        sums = sum_vectors(
            self.embedding,
            held.take(slice(None)),
            held.weighting.of_rows(),
            n_cells=self.n_cells,
            n_values=self.n_values,
        )
        return Exact(
            arrays={"sums": sums},
            steps_per_unit=held.weighting.units_per_one * STEPS_PER_ONE,
        )


def sum_vectors(
    embedding: Embedding,
    records: torch.Tensor,
    weights: NDArray[np.int64] | None,
    *,
    n_cells: int,
    n_values: int,
) -> NDArray[np.int64]:
    """Return the sums of the records' vectors by cell, ``(n_cells, n_values)``, in grid steps.

    The map is applied by `torch.func.vmap`, so that no record can see another, and always to the same number
    of rows, the last ones filled up: a product of few rows is rounded otherwise than one of many, and an
    image as near to one prototype as to another would change sides with the number of records.

    Args:
        embedding: What becomes of one record; public, or a function of earlier releases.
        records: ``(n_rows, ...)``.
        weights: Weight of each row; a unit's add up to at most one unit. None is 1 for each.
        n_cells: Number of cells; public.
        n_values: Length of each vector; public.

    Raises:
        ParameterError: If the map returns another shape or type.

    Privacy:
        Not private: adding or removing one unit moves the sums by at most one unit times
        ``STEPS_PER_ONE`` in L2.
    """
    sums = torch.zeros((n_cells + 1, n_values), dtype=torch.int64)  # the last row is for what counts nowhere
    # Rounding moves each value by half a step; a share is kept against rounding in float32.
    bound = (1.0 - 1e-5) * STEPS_PER_ONE - 0.5 * math.sqrt(n_values)
    by = torch.ones(len(records), dtype=torch.int64) if weights is None else torch.from_numpy(weights)
    at_once = max(_LEAST_AT_ONCE, min(_ROWS_AT_ONCE, _FLOATS_AT_ONCE // n_values))
    for rows, weight in zip(records.split(at_once), by.split(at_once), strict=True) if len(records) else ():
        filled = torch.cat([rows, rows.new_zeros(at_once - len(rows), *rows.shape[1:])])
        cells, vectors = torch.func.vmap(embedding)(filled)
        is_precise = vectors.dtype in (torch.float32, torch.float64)  # scaling rounds with less
        if cells.shape != (at_once,) or vectors.shape != (at_once, n_values) or not is_precise:
            raise ParameterError(f"expected a cell and {n_values} values of a record, float32 or float64")
        cells, vectors = cells[: len(rows)], vectors[: len(rows)]
        norms = torch.linalg.vector_norm(vectors, dim=1, dtype=torch.float64)
        counts = norms.isfinite() & (cells >= 0) & (cells < n_cells)
        scale = (bound / norms.clamp_min(1.0)).to(vectors)
        steps = torch.where(counts[:, None], vectors * scale[:, None], 0.0)
        sums.index_add_(0, torch.where(counts, cells.long(), n_cells), steps.round().long() * weight[:, None])
    return sums[:n_cells].numpy()
