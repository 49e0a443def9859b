"""The generator of the adversarial trainers: a mixture of products, as logits that gradients reach.

Each of K latent states has one softmax per column. A row is drawn by drawing a state, then every column by
itself; gradients pass through the draw by the straight-through Gumbel-softmax estimator. What is trained
this way is a `ProductMixture`, so its conditional distributions are exact, and so is sampling from them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from privsynth.models.tables.mixture import ProductMixture

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

START_FLOOR = 0.01  # share spread over all codes at the start, so that none begins at zero
CLOSED = -12.0  # logit of a code that a state's condition excludes


class MixtureGenerator(nn.Module):
    """K latent states with logits for every code of every column; some columns are conditions.

    A state's condition is fixed: its columns have the released joint shares over the states, and no gradient.

    Args:
        one_way: Released 1-way counts of each column, where the logits start.
        condition_columns: Positions of the condition columns.
        conditions: Codes of each state's condition, ``(K, len(condition_columns))``.
        n_states: K.
        scatter: Standard deviation of the random part of the initial logits.
        temperature: Of the Gumbel-softmax; lower is nearer to a hard draw.
        rng: Of the initial logits and of every draw.
    """

    def __init__(
        self,
        one_way: Sequence[FloatArray],
        *,
        condition_columns: Sequence[int],
        conditions: IntArray,
        n_states: int,
        scatter: float,
        temperature: float,
        rng: torch.Generator,
    ) -> None:
        super().__init__()
        self.one_way: torch.Tensor
        self.free: torch.Tensor
        self.sizes = tuple(len(counts) for counts in one_way)
        self.temperature = temperature
        self.rng = rng
        shares = [smoothed_shares(counts) for counts in one_way]
        self.register_buffer("one_way", torch.from_numpy(np.concatenate(shares).astype(np.float32)))
        logits = torch.log(self.one_way) + scatter * torch.randn(n_states, sum(self.sizes), generator=rng)
        free = torch.ones(sum(self.sizes))
        ends = np.cumsum(self.sizes)
        for position, column in enumerate(condition_columns):
            block = slice(ends[column] - self.sizes[column], ends[column])
            logits[:, block] = CLOSED
            logits[torch.arange(n_states), block.start + torch.from_numpy(conditions[:, position])] = 0.0
            free[block] = 0.0
        self.register_buffer("free", free)
        self.logits = nn.Parameter(logits)
        self.logits.register_hook(lambda gradient: gradient * self.free)

    @property
    def n_states(self) -> int:
        """Number of latent states, K."""
        return len(self.logits)

    def states(self, n: int) -> torch.Tensor:
        """Draw ``n`` states with equal probability."""
        return torch.randint(self.n_states, (n,), generator=self.rng).to(self.logits.device)

    def draw(self, n: int) -> torch.Tensor:
        """Draw ``n`` rows of one-hot columns, ``(n, S)``, through which gradients reach the logits."""
        logits = self.logits[self.states(n)]
        uniform = torch.rand(logits.shape, generator=self.rng).to(logits.device)
        gumbel = uniform.clamp_(1e-9, 1.0 - 1e-7).log_().neg_().log_().neg_()
        noisy = (logits + gumbel) / self.temperature
        soft, hard = [], torch.zeros_like(noisy)
        start = 0
        for block in torch.split(noisy, list(self.sizes), dim=1):
            soft.append(torch.softmax(block, dim=1))
            hard.scatter_(1, start + block.detach().argmax(1, keepdim=True), 1.0)
            start += block.shape[1]
        together = torch.cat(soft, dim=1)
        return hard + (together - together.detach())

    def one_way_miss(self) -> torch.Tensor:
        """Return the Kullback-Leibler divergence of the model's 1-way marginals from the released ones."""
        model = self._probabilities(self.logits).mean(0).clamp_min(1e-9)
        return (self.one_way * (torch.log(self.one_way) - torch.log(model))).sum()

    def _probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        blocks = torch.split(logits, list(self.sizes), dim=1)
        return torch.cat([torch.softmax(block, dim=1) for block in blocks], dim=1)

    @torch.no_grad()
    def mixture(self, columns: Sequence[str]) -> ProductMixture:
        """Return the mixture as it stands."""
        probabilities = self._probabilities(self.logits).cpu().numpy()
        ends = np.cumsum(self.sizes)
        blocks = (probabilities[:, e - s : e].copy() for s, e in zip(self.sizes, ends, strict=True))
        return ProductMixture(tuple(columns), tuple(blocks))


def allot_conditions(counts: FloatArray, n_states: int) -> IntArray:
    """Divide the states over the cells of a released condition table, by largest remainder.

    Args:
        counts: Released joint counts of the condition columns; may be negative.
        n_states: K.

    Returns:
        Codes of each state's condition, ``(K, counts.ndim)``, sorted.
    """
    if counts.ndim == 0:  # no condition columns
        return np.empty((n_states, 0), dtype=np.int64)
    shares = np.maximum(counts, 0.0).ravel()
    shares = shares / shares.sum() if shares.sum() > 0 else np.full(shares.size, 1.0 / shares.size)
    wanted = shares * n_states
    given = np.floor(wanted).astype(np.int64)
    order = np.argsort(given - wanted, kind="stable")
    given[order[: n_states - given.sum()]] += 1
    cells = np.repeat(np.arange(shares.size), given)
    return np.stack(np.unravel_index(cells, counts.shape), axis=1).astype(np.int64)


def smoothed_shares(counts: FloatArray) -> FloatArray:
    """Return shares of released counts, a little of them spread over all codes so that none is 0."""
    shares = np.maximum(counts, 0.0)
    shares = shares / shares.sum() if shares.sum() > 0 else np.full(len(counts), 1.0 / len(counts))
    return (1.0 - START_FLOOR) * shares + START_FLOOR / len(counts)
