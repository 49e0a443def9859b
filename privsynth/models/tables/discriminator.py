"""The discriminator of tables: what a row scores. Knows no records, only how many codes each column has."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import skip_init


class TableDiscriminator(nn.Module):
    """Score rows of one-hot columns: linear, plus pairs of codes, plus a multilayer perceptron.

    The pair term ``x' W x`` sees every 2-way dependence at once, and is linear in ``W``: its gradient for a
    record is ``x x'``, of the same length for every record, so clipping costs it nothing and noise averages
    out over steps. The perceptron sees what pairs cannot. All parameters lie in linear layers, so that a
    record's gradient norm comes from one backward pass.

    Args:
        sizes: Number of codes of each column.
        hidden: Widths of the perceptron's hidden layers; none leaves it out.
        pairs: Whether to have the pair term.
        rng: Of the initial weights.
    """

    def __init__(
        self, sizes: Sequence[int], *, hidden: Sequence[int], pairs: bool, rng: torch.Generator
    ) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        width = sum(sizes)
        self.linear = skip_init(nn.Linear, width, 1)  # its own start would draw from the global generator
        self.pairs = skip_init(nn.Linear, width, width, bias=False) if pairs else None
        widths = [width, *hidden, 1] if hidden else []
        self.layers = nn.ModuleList(skip_init(nn.Linear, a, b) for a, b in itertools.pairwise(widths))
        self._start(rng)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the score of each row, ``(n,)``; rows are one-hot, or soft, ``(n, sum(sizes))``."""
        n_columns = len(self.sizes)
        # Scaled so that each term's gradient is about one long, and none drowns the others in the clip.
        score = self.linear(rows).squeeze(1) / n_columns**0.5
        if self.pairs is not None:
            score = score + (rows * self.pairs(rows)).sum(1) / n_columns
        if len(self.layers):
            hidden = rows
            for layer in self.layers[:-1]:
                hidden = F.leaky_relu(layer(hidden), 0.2)
            score = score + self.layers[-1](hidden).squeeze(1)
        return score

    def linear_terms(self) -> list[nn.Parameter]:
        """Return the parameters that the score is linear in: of the linear and of the pair term."""
        return [*self.linear.parameters(), *(self.pairs.parameters() if self.pairs is not None else [])]

    def _start(self, rng: torch.Generator) -> None:
        """Set the initial weights: nothing for what is linear in its weights, small random ones elsewhere."""
        with torch.no_grad():
            for p in self.parameters():
                p.zero_()
            for layer in self.layers:
                assert isinstance(layer, nn.Linear)
                bound = layer.in_features**-0.5
                for p in layer.parameters():
                    p.uniform_(-bound, bound, generator=rng)


def one_hot(codes: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    """Return rows of codes as one-hot columns side by side, ``(n, sum(sizes))``; -1 is all zeros.

    Works for a batch of rows, and for one row at a time inside ``torch.func.vmap``.
    """
    columns = [
        (codes[..., j, None] == torch.arange(size, device=codes.device)) for j, size in enumerate(sizes)
    ]
    return torch.cat(columns, dim=-1).float()
