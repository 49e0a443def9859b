"""Nearest rows among many: brute force in blocks, exact, one search for all attacks that need it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors

from privsynth.attacks.features import FeatureSpace

N_SYNTHETIC, N_REFERENCE = 1, 10
"""Neighbours looked up: the nearest synthetic row alone gives a copy away; the reference is averaged over."""


@dataclass(frozen=True)
class Near:
    """Nearest rows of each point.

    Attributes:
        distance: ``(n, k)`` float64, increasing.
        position: Their positions in the table searched, ``(n, k)``.
    """

    distance: np.ndarray
    position: np.ndarray


def nearest(points: np.ndarray, among: np.ndarray, k: int) -> Near:
    """Return the ``k`` nearest rows of each point; all rows if there are fewer.

    Privacy:
        Not private: distances between the rows given.
    """
    search = NearestNeighbors(n_neighbors=min(k, len(among)), algorithm="brute").fit(among)
    distance, position = search.kneighbors(points)
    return Near(np.asarray(distance, dtype=np.float64), np.asarray(position))


@dataclass(frozen=True)
class Neighbourhood:
    """What the attacker measures around rows: the nearest synthetic and the nearest reference rows.

    Rows of tables become points by `of_tables`; images, by whatever network is looked through.

    Attributes:
        points: The rows looked at, ``(n, n_axes)`` float32.
        synthetic: The released rows, likewise.
        reference: Rows of the same source, none of them among the points looked at.
    """

    points: np.ndarray
    synthetic: np.ndarray
    reference: np.ndarray

    @classmethod
    def of_tables(cls, rows: pd.DataFrame, synthetic: pd.DataFrame, reference: pd.DataFrame) -> Neighbourhood:
        """Place canonical rows in a space laid out from the attacker's own tables.

        Privacy:
            Not private: an encoding of the rows given.
        """
        space = FeatureSpace.fit([synthetic, reference])
        return cls(space.place(rows), space.place(synthetic), space.place(reference))

    @cached_property
    def to_synthetic(self) -> Near:
        """Nearest synthetic rows of each row."""
        return nearest(self.points, self.synthetic, N_SYNTHETIC)

    @cached_property
    def to_reference(self) -> Near:
        """Nearest reference rows of each row."""
        return nearest(self.points, self.reference, N_REFERENCE)

    @cached_property
    def reference_to_synthetic(self) -> Near:
        """Nearest synthetic rows of each reference row: what a row that is no member looks like."""
        return nearest(self.reference, self.synthetic, N_SYNTHETIC)
