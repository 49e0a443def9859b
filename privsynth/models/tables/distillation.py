"""From a denoiser to a mixture of products: rows drawn column by column, each a component.

The mixture samples as every other model does, so that conditions, balance and files need nothing of their
own. A function of released weights and tables: post-processing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from privsynth.models.tables.denoiser import TableDenoiser
from privsynth.models.tables.mixture import ProductMixture

CALIBRATIONS = 10  # rounds that bring a column's mean prediction to its released shares


@torch.no_grad()
def draw_rows(
    denoiser: TableDenoiser, given: torch.Tensor, shares: torch.Tensor, rng: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw one row for each row of given columns, column by column.

    The predictions of each column are tilted, all alike, until their mean over the rows is the column's
    released shares: errors of early columns do not add up in late ones.

    Args:
        denoiser: What predicts.
        given: Codes of the columns at the front, ``(n, n_given)``.
        shares: Released shares of every column, side by side, ``(S,)``.
        rng: Of the draws, on the CPU.

    Returns:
        The rows as one-hot columns, and what each column was predicted to be when it was drawn; ``(n, S)``.
    """
    device = denoiser.start.device
    rows = torch.zeros(len(given), sum(denoiser.sizes), device=device)
    predicted = torch.zeros_like(rows)
    for j, size in enumerate(denoiser.sizes):
        block = denoiser.block(j)
        if j < denoiser.n_given:
            codes = given[:, j].to(device)
            probabilities = torch.nn.functional.one_hot(codes, size).float()
        else:
            logits = denoiser.logits(j, rows[:, : block.start])
            probabilities = _calibrated(logits, shares[block])
            codes = _drawn(probabilities, rng)
        predicted[:, block] = probabilities
        rows[torch.arange(len(rows), device=device), block.start + codes] = 1.0
    return rows, predicted


def distilled(
    rows: torch.Tensor,
    predicted: torch.Tensor,
    *,
    sizes: Sequence[int],
    columns: Sequence[str],
    soft_share: float,
) -> ProductMixture:
    """Return the mixture whose components are the rows, a share of each column left as it was predicted.

    Where nothing was predicted, in the given columns, components stay certain. Elsewhere every code keeps
    some mass in every component, so that no request for several columns is out of reach.

    Args:
        rows: One-hot columns side by side, ``(K, S)``.
        predicted: The distributions that they were drawn from, ``(K, S)``.
        sizes: Number of codes of each column.
        columns: Their names.
        soft_share: Probability that a column of a drawn row is drawn anew from its prediction.
    """
    soft = (1.0 - soft_share) * rows + soft_share * predicted
    blocks = (np.ascontiguousarray(block.cpu().numpy()) for block in soft.split(list(sizes), dim=1))
    return ProductMixture(tuple(columns), tuple(blocks))


def reordered(mixture: ProductMixture, columns: Sequence[str]) -> ProductMixture:
    """Return the mixture with its columns in another order."""
    places = [mixture.columns.index(name) for name in columns]
    return ProductMixture(tuple(columns), tuple(mixture.blocks[place] for place in places))


def _calibrated(logits: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Return probabilities ``(n, size)`` whose mean is ``shares``: the logits plus one shift a code."""
    target = torch.log(shares)
    for _ in range(CALIBRATIONS):
        logits = logits + target - torch.log(torch.softmax(logits, dim=1).mean(0).clamp_min(1e-12))
    return torch.softmax(logits, dim=1)


def _drawn(probabilities: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Draw one code for each row by inversion, with uniforms from the CPU: the same rows on every device."""
    level = torch.rand(len(probabilities), 1, generator=rng).to(probabilities.device)
    cumulative = probabilities.cumsum(1)
    codes: torch.Tensor = (level * cumulative[:, -1:] >= cumulative).sum(1)
    return codes.clamp_max(probabilities.shape[1] - 1)
