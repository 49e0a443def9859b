"""Check on public rows that a network's gradients of a batch are those of its records one by one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Protocol

import torch
from torch import nn

from privsynth.errors import ParameterError, UnsupportedLayerError


class Clipper(Protocol):
    """What clips the gradients of records; see `privsynth.privacy.mechanisms.clipping.RecordClipper`."""

    discriminator: nn.Module
    loss: Callable[[Callable[[torch.Tensor], torch.Tensor], torch.Tensor], torch.Tensor]
    max_grad_norm: float

    @property
    def parameters(self) -> list[nn.Parameter]:
        """What learns."""
        ...

    def clipped_sum(self, records: torch.Tensor) -> list[torch.Tensor]:
        """Return the sum over records of their clipped gradients."""
        ...


def check_records_do_not_mix(clipper: Clipper, records: torch.Tensor) -> None:
    """Check on public rows that a batch gives what its records give one by one, and leaves nothing behind.

    It catches what no list of layers can: packed rows, batch statistics, losses that look at the whole batch,
    buffers that remember records. The gradients are compared as they are and scaled to equal length, in which
    rows that only change places are seen too. On the path by layer, gradients that do not flow through the
    layers' outputs (a weight in the loss, a penalty on the slope) are also found. A loss that draws random
    numbers cannot be told from one that mixes: its draws must come with the records.

    Args:
        clipper: What will see real records.
        records: Public or random rows, ``(n, ...)`` with ``n >= 2``; no real record.

    Raises:
        UnsupportedLayerError: If they differ.
    """
    if len(records) < 2:
        raise ParameterError(f"expected at least 2 public rows to check, got {len(records)}")
    network, loss = clipper.discriminator, clipper.loss

    def sums(rows: torch.Tensor, bound: float) -> torch.Tensor:
        same = copy.copy(clipper)
        same.max_grad_norm = bound
        return torch.cat([p.flatten() for p in same.clipped_sum(rows)])

    def plain(rows: torch.Tensor) -> torch.Tensor:
        losses = loss(network, rows)
        parts = torch.autograd.grad(losses.sum(), clipper.parameters, materialize_grads=True)
        return torch.cat([p.flatten() for p in parts])

    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    left = []
    for rows in (records[:1], records):
        sums(rows, clipper.max_grad_norm)
        left.append({name: buffer.clone() for name, buffer in network.named_buffers()})
        for name, buffer in network.named_buffers():
            buffer.copy_(before[name])
    for name in before:
        if not torch.equal(left[0][name], left[1][name]):
            raise UnsupportedLayerError(
                f"the buffer 'discriminator.{name}' remembers records that pass through the network; use a "
                "layer without running statistics"
            )

    longest = max(1e-6, *(float(plain(records[i : i + 1]).norm()) for i in range(len(records))))
    ample = 4.0 * longest
    unclipped = sums(records, ample)
    for bound in (ample, 1e-6):
        together = sums(records, bound)
        alone = [sums(records[i : i + 1], bound) for i in range(len(records))]
        scale = max(float(piece.norm()) for piece in alone)
        if not torch.allclose(together, torch.stack(alone).sum(0), rtol=1e-3, atol=1e-4 * scale):
            raise UnsupportedLayerError(
                "the discriminator or its loss mixes records: a batch of rows gives other gradients than its "
                "rows one by one, so one record would be felt in the gradients of others; the loss must be "
                "one number per record, from that record alone"
            )
    # Judged by the longest gradient: those of a few records may cancel, and rounding is what is left.
    if not torch.allclose(unclipped, plain(records), rtol=1e-3, atol=1e-4 * longest):
        raise UnsupportedLayerError(
            "the loss uses the discriminator's weights beside its layers (a penalty on weights or slopes): "
            "make the RecordClipper with by_record=True"
        )
