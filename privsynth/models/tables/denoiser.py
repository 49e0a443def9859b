"""The denoiser of tables: predicts each hidden column of a row from the columns before it. Knows no records.

A row's columns are hidden from some place in an order to its end, once for every place, and the first hidden
one is to be reconstructed. That is self-supervised, and its loss over all places, which one pass computes, is
the exact negative log likelihood of the row. Rows are drawn column by column.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import skip_init

from privsynth.models.tables.discriminator import one_hot


class TableDenoiser(nn.Module):
    """Predict every column from those before it: linear in their codes, plus a perceptron if one is wanted.

    The linear part is a multinomial logistic regression of each column that starts at the released shares.
    Its loss is convex, and its gradient is of nearly the same length for every record, so clipping costs it
    little and noise averages out over steps. All parameters lie in linear layers that each act once, so that
    a record's gradient norm comes from one backward pass.

    Args:
        shares: Shares of each column's codes at the start, all above 0; columns in the order of prediction.
        n_given: So many columns at the front are not predicted: they come from a released table.
        hidden: Width of each column's hidden layer; 0 leaves the perceptrons out.
        rng: Of the initial weights.
    """

    def __init__(
        self, shares: Sequence[torch.Tensor], *, n_given: int, hidden: int, rng: torch.Generator
    ) -> None:
        super().__init__()
        self.start: torch.Tensor
        self.sizes = tuple(len(share) for share in shares)
        self.ends = tuple(sum(self.sizes[: j + 1]) for j in range(len(self.sizes)))
        self.n_given = n_given
        self.register_buffer("start", torch.log(torch.cat(list(shares))).float())
        self.linear, self.inner, self.outer = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        for j in range(max(n_given, 1), len(self.sizes)):
            width = self.ends[j - 1]
            self.linear[str(j)] = skip_init(nn.Linear, width, self.sizes[j], bias=False)
            if hidden:
                self.inner[str(j)] = skip_init(nn.Linear, width, hidden)
                self.outer[str(j)] = skip_init(nn.Linear, hidden, self.sizes[j], bias=False)
        self._set_weights(rng)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the log likelihood of each row's predicted columns given those before them, ``(n,)``.

        Args:
            codes: Rows of codes in the order of prediction, ``(n, n_columns)``; -1 counts for nothing.
        """
        rows = one_hot(codes, self.sizes)
        total = rows.new_zeros(len(rows))
        for name in self.linear:
            j = int(name)
            of_column = rows[:, self.block(j)]
            total = total + (
                of_column * F.log_softmax(self.logits(j, rows[:, : self.ends[j - 1]]), dim=1)
            ).sum(1)
        return total

    def logits(self, j: int, before: torch.Tensor) -> torch.Tensor:
        """Return logits of column ``j`` given the one-hot columns before it, ``(n, sizes[j])``."""
        start, name = self.start[self.block(j)], str(j)
        if name not in self.linear:
            return start.expand(len(before), -1)
        # Scaled so that no column's gradient is longer than another's, and noise moves all logits alike.
        scaled = before / j**0.5
        logits: torch.Tensor = start + self.linear[name](scaled)
        if name in self.inner:
            hidden = torch.tanh(self.inner[name](scaled))
            logits = logits + self.outer[name](hidden) / hidden.shape[1] ** 0.5
        return logits

    def block(self, j: int) -> slice:
        """Return where column ``j`` stands in a one-hot row."""
        return slice(self.ends[j] - self.sizes[j], self.ends[j])

    def _set_weights(self, rng: torch.Generator) -> None:
        with torch.no_grad():
            for p in self.parameters():
                p.zero_()
            for layer in self.inner.values():
                for p in layer.parameters():
                    p.normal_(generator=rng)
