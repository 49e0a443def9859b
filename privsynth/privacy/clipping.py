"""Sums of clipped per-record gradients: the part of a private step that bounds what one record can do.

Two paths give the same sums. *By layer*: where all parameters belong to `torch.nn.Linear` layers that each
act once on flat rows, the norm of a record's gradient follows from a layer's inputs and the gradients of its
outputs, so one backward pass does (Goodfellow 2015). *By record*: `torch.func` computes each record's
gradient by itself, for any other layers. A record whose gradient is not finite contributes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn.modules.batchnorm import _BatchNorm

from privsynth.errors import UnsupportedLayerError

RecordLoss = Callable[[Callable[[torch.Tensor], torch.Tensor], torch.Tensor], torch.Tensor]
"""``loss(discriminator, records)`` returns one loss per record, ``(n,)``, each from its record alone."""

ROUNDING = 1e-5  # clipped norms stay below the bound by this share, so that rounding cannot pass it


class RecordClipper:
    """Computes sums of clipped per-record gradients of one discriminator.

    Args:
        discriminator: The network; all parameters that require a gradient are meant.
        loss: One loss per record.
        max_grad_norm: L2 bound on one record's gradient over all parameters together; > 0.
        micro_batch_size: Records whose gradients are in memory together.

    Raises:
        UnsupportedLayerError: If a layer mixes records.
    """

    def __init__(
        self,
        discriminator: nn.Module,
        loss: RecordLoss,
        *,
        max_grad_norm: float,
        micro_batch_size: int = 4096,
    ) -> None:
        refuse_layers_that_mix_records(discriminator)
        self.discriminator = discriminator
        self.loss = loss
        self.max_grad_norm = max_grad_norm
        self.micro_batch_size = micro_batch_size
        self._linear = _linear_layers(discriminator)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters that a step updates, in order."""
        return [p for p in self.discriminator.parameters() if p.requires_grad]

    def clipped_sum(self, records: torch.Tensor) -> list[torch.Tensor]:
        """Return the sum over records of their clipped gradients, one tensor a parameter.

        Args:
            records: Real or generated records, ``(n, ...)``; may be empty.

        Privacy:
            Not private: adding or removing one record moves the sum by at most ``max_grad_norm`` in L2.
        """
        total = [torch.zeros_like(p) for p in self.parameters]
        for part in records.split(self.micro_batch_size):
            if len(part):
                sums = self._by_layer(part) if self._linear else self._by_record(part)
                for whole, piece in zip(total, sums, strict=True):
                    whole += piece
        return total

    # -- by layer ----------------------------------------------------------------------------------------

    def _by_layer(self, records: torch.Tensor) -> list[torch.Tensor]:
        with _observed(self._linear) as seen:
            losses = self.loss(self.discriminator, records)
        if losses.shape != (len(records),):
            raise UnsupportedLayerError(
                f"expected one loss per record, shape ({len(records)},), got {tuple(losses.shape)}: a loss "
                "over the whole batch cannot be clipped record by record"
            )
        if sorted(seen.names) != sorted(self._linear) or any(x.dim() != 2 for x in seen.inputs):
            return self._by_record(records)  # a layer used twice, not at all, or on more than flat rows
        slopes = torch.autograd.grad(losses.sum(), seen.outputs)
        squared = torch.zeros(len(records), device=records.device)
        for name, x, slope in zip(seen.names, seen.inputs, slopes, strict=True):
            has_bias = self._linear[name].bias is not None
            squared = squared + slope.square().sum(1) * (x.square().sum(1) + has_bias)
        factor = self._factor(squared)
        kept = torch.nonzero(factor > 0).squeeze(1)  # leaves out what is not finite: 0 times inf is no number
        of_parameter: dict[int, torch.Tensor] = {}
        for name, x, slope in zip(seen.names, seen.inputs, slopes, strict=True):
            layer = self._linear[name]
            scaled = slope[kept] * factor[kept, None]
            of_parameter[id(layer.weight)] = scaled.T @ x[kept]
            if layer.bias is not None:
                of_parameter[id(layer.bias)] = scaled.sum(0)
        return [of_parameter[id(p)] for p in self.parameters]

    # -- by record ---------------------------------------------------------------------------------------

    def _by_record(self, records: torch.Tensor) -> list[torch.Tensor]:
        names = [name for name, p in self.discriminator.named_parameters() if p.requires_grad]
        values = dict(self.discriminator.named_parameters())
        chosen = {name: values[name].detach() for name in names}

        def loss_of_one(parameters: dict[str, torch.Tensor], record: torch.Tensor) -> torch.Tensor:
            def network(x: torch.Tensor) -> torch.Tensor:
                return functional_call(self.discriminator, parameters, (x,))

            return self.loss(network, record.unsqueeze(0)).squeeze(0)

        gradients = vmap(grad(loss_of_one), in_dims=(None, 0), randomness="different")(chosen, records)
        flat = [gradients[name].flatten(1) for name in names]
        factor = self._factor(torch.stack([g.square().sum(1) for g in flat]).sum(0))
        kept = torch.nonzero(factor > 0).squeeze(1)
        sums = [factor[kept] @ g[kept] for g in flat]
        return [s.view_as(chosen[name]) for name, s in zip(names, sums, strict=True)]

    def _factor(self, squared_norm: torch.Tensor) -> torch.Tensor:
        """Return what each record's gradient is multiplied by: at most 1, and 0 where it is not finite."""
        norm = squared_norm.sqrt()
        bound = self.max_grad_norm * (1.0 - ROUNDING)
        return torch.where(torch.isfinite(norm), (bound / norm.clamp_min(1e-30)).clamp_max(1.0), 0.0)


def refuse_layers_that_mix_records(module: nn.Module) -> None:
    """Raise an `UnsupportedLayerError` for a layer whose output for one record depends on others.

    Batch norm is refused in every form: subclasses, without parameters, in evaluation too.
    """
    for name, layer in module.named_modules():
        if isinstance(layer, _BatchNorm) or getattr(layer, "track_running_stats", False):
            raise UnsupportedLayerError(
                f"'discriminator.{name}' is {type(layer).__name__}, which mixes records; use LayerNorm or "
                "GroupNorm, or no normalisation"
            )


def check_records_do_not_mix(clipper: RecordClipper, records: torch.Tensor) -> None:
    """Check on public rows that a batch gives what its records give one by one.

    It catches what no list of layers can: packed rows, batch statistics, losses that look at the whole batch.

    Args:
        clipper: What will see real records.
        records: Public or random rows, ``(n, ...)`` with ``n >= 2``; no real record.

    Raises:
        UnsupportedLayerError: If they differ.
    """
    together = clipper.clipped_sum(records)
    alone = [torch.zeros_like(p) for p in together]
    for i in range(len(records)):
        for whole, piece in zip(alone, clipper.clipped_sum(records[i : i + 1]), strict=True):
            whole += piece
    scale = clipper.max_grad_norm * len(records)
    for a, b in zip(together, alone, strict=True):
        if not torch.allclose(a, b, rtol=1e-3, atol=1e-4 * scale):
            raise UnsupportedLayerError(
                "the discriminator or its loss mixes records: a batch of rows gives other gradients than its "
                "rows one by one, so one record would be felt in the gradients of others; the loss must be "
                "one number per record, from that record alone"
            )


class _Seen:
    """Inputs and outputs of linear layers in the order of their calls."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.inputs: list[torch.Tensor] = []
        self.outputs: list[torch.Tensor] = []


@contextmanager
def _observed(layers: dict[str, nn.Linear]) -> Iterator[_Seen]:
    """Note what goes into and out of the layers during one forward pass."""
    seen = _Seen()

    def note(name: str) -> Callable[[nn.Module, tuple[torch.Tensor, ...], torch.Tensor], None]:
        def hook(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            seen.names.append(name)
            seen.inputs.append(inputs[0].detach())
            seen.outputs.append(output)

        return hook

    handles = [layer.register_forward_hook(note(name)) for name, layer in layers.items()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _linear_layers(module: nn.Module) -> dict[str, nn.Linear]:
    """Return the linear layers by name if they hold every trainable parameter, each once; else nothing."""
    layers = {name: m for name, m in module.named_modules() if type(m) is nn.Linear}
    held = [p for layer in layers.values() for p in layer.parameters()]
    trainable = [p for p in module.parameters() if p.requires_grad]
    return (
        layers if {id(p) for p in held} == {id(p) for p in trainable} and len(held) == len(trainable) else {}
    )
