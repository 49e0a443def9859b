"""Choosing tables by the exponential mechanism, drawn with Gumbel noise.

Proved in Lemma 6 of ``PROOF.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from privsynth.accounting.events import Exponential
from privsynth.domains.coding import Coding
from privsynth.privacy.mechanisms.base import Answer, DrawingMechanism
from privsynth.privacy.randomness import SecureRandom, standard_gumbels
from privsynth.privacy.records import SensitiveRecords

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Tables = Iterable[FloatArray]


@dataclass(frozen=True, kw_only=True)
class TableSelection(DrawingMechanism):
    """Which candidate tables a model describes worst (fact ``selected``: positions, best first).

    Attributes:
        purpose: What it is for.
        codings: Coding of every column named.
        candidates: Sets of columns.
        expected: Returns the model's table for each candidate, in units; called only if not stored.
        noise_std: Noise per cell that the scores discount, in units, of each candidate or of all; public.
        epsilon0: Bounded range of each draw.
        n_select: How many to choose.
    """

    purpose: str
    codings: Mapping[str, Coding]
    candidates: Sequence[tuple[str, ...]]
    expected: Callable[[], Tables]
    noise_std: float | Sequence[float]
    epsilon0: float
    n_select: int

    @property
    def event(self) -> Exponential:
        """See `Mechanism`."""
        return Exponential(purpose=self.purpose, epsilon0=self.epsilon0, count=self.n_select)

    def draw(self, records: SensitiveRecords, secret: SecureRandom) -> Answer:
        """See `DrawingMechanism`."""
        one = records.weighting.units_per_one
        exact = (table.ravel() / one for table in records.tables(self.candidates, self.codings))
        scores = marginal_scores(exact, self.expected(), self.noise_std)
        chosen = exponential_mechanism(
            scores, epsilon0=self.epsilon0, sensitivity=1.0, n_select=self.n_select, secret=secret
        )
        return {"selected": [int(i) for i in chosen]}, {}


def exponential_mechanism(
    scores: FloatArray, *, epsilon0: float, sensitivity: float, n_select: int, secret: SecureRandom
) -> IntArray:
    """Choose candidates with probability proportional to ``exp(epsilon0 * score / (2 * sensitivity))``.

    Taking the ``n_select`` largest Gumbel-noised scores equals that many draws without replacement.

    Args:
        scores: Exact score of each candidate, ``(n_candidates,)``.
        epsilon0: Bounded range of each draw.
        sensitivity: Largest change of one score when a unit is added or removed.
        n_select: Number of candidates to choose, at most ``n_candidates``.
        secret: Source of the draws.

    Returns:
        Positions of the chosen, best first, ``(n_select,)``.

    Privacy:
        Accounted: ``n_select`` exponential events of this ``epsilon0``. Scores are doubles: their rounding
        error, about 1e-12 of a unit, is not covered.

    References:
        McSherry and Talwar, FOCS 2007; Durfee and Rogers, NeurIPS 2019, Lemma 4.2 (top-k by Gumbel noise).
    """
    logits = epsilon0 / (2.0 * sensitivity) * (scores - scores.max())
    return np.argsort(-(logits + standard_gumbels(len(scores), secret)), kind="stable")[:n_select]


def marginal_scores(exact: Tables, model: Tables, noise_std: float | Sequence[float]) -> FloatArray:
    """Score candidate tables: how far the model is from the records, beyond the noise of measuring it.

    ``|exact - model|_1 - sqrt(2 / pi) * noise_std * n_cells``. One unit moves ``exact`` by at most 1 in
    L1 and nothing else, so the sensitivity is 1; it would not be if ``model`` used the exact number of
    records, and so it must not. Tables are asked for one after the other: all together may be many.

    Raises:
        ValueError: If a table of the model has another shape than the records' own.

    Privacy:
        Not private: goes into the exponential mechanism only.

    References:
        McKenna, Mullins, Sheldon and Miklau, "AIM", PVLDB 15(11), 2022.
    """
    distances, sizes = [], []
    for of_records, of_model in zip(exact, model, strict=True):
        table = np.array(of_model, dtype=np.float64)  # a plain array, which no code of its own goes with
        if table.shape != of_records.shape:
            raise ValueError(f"expected a table of shape {of_records.shape}, got {table.shape}")
        distances.append(np.abs(of_records - table).sum())
        sizes.append(table.size)
    return np.asarray(distances) - np.sqrt(2.0 / np.pi) * np.asarray(noise_std) * np.asarray(sizes)
