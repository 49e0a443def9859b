"""Sums of clipped per-record gradients: the part of a private step that bounds what one record can do.

Two paths give the same sums. *By layer*: where all parameters belong to `torch.nn.Linear` layers that each
act once on flat rows, the norm of a record's gradient follows from a layer's inputs and the gradients of its
outputs, so one backward pass does (Goodfellow 2015). *By record*: `torch.func` computes each record's
gradient by itself, for any other layers; there, no record can see another. A record whose gradient is not
finite, or beyond `LARGEST`, contributes nothing.

Sums are exact. A clipped gradient is rounded towards zero to whole steps of
``max_grad_norm / STEPS_PER_NORM``, which only shortens it, and steps are added as whole numbers: the sum
moves by at most the bound when a record joins, in whatever order and parts the others are added. By layer,
where a gradient is the outer product of slopes and inputs, both are rounded to `STEPS_PER_FACTOR`, and
products of whole numbers are whole. That a record's own gradient does not hang on the others is up to how
products of matrices are rounded: records go through the network in parts of one size, the last one filled
up, and narrow layers are widened, since there the rounding of a row depends on its place.

Proved in Lemma 8 of ``PROOF.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn.modules.batchnorm import _BatchNorm

from privsynth.errors import ParameterError, UnsupportedLayerError

RecordLoss = Callable[[Callable[[torch.Tensor], torch.Tensor], torch.Tensor], torch.Tensor]
"""``loss(discriminator, records)`` returns one loss per record, ``(n,)``, each from its record alone."""

ROUNDING = 1e-5  # clipped norms stay below the bound by this share, so that rounding cannot pass it
# Longer gradients, or inputs of layers, count as not finite: scaling them down would underflow.
LARGEST = 1e15
VANISHED = 1e-19
STEPS_PER_FACTOR = 2**18
STEPS_PER_NORM = STEPS_PER_FACTOR**2  # sums of 2^17 such products are exact in doubles
STEADY = 16  # narrower products round a row by its place, and so may parts that are no multiple of it
_FLOATS_BY_RECORD = 2**23  # floats of per-record gradients in memory together: 32 MiB, and as doubles 64


class RecordClipper:
    """Computes sums of clipped per-record gradients of one discriminator.

    Args:
        discriminator: The network; all parameters that require a gradient are meant.
        loss: One loss per record.
        max_grad_norm: L2 bound on one record's gradient over all parameters together, in [1e-9, 1e9].
        micro_batch_size: Most records that go through the network together, up to 2^17; by record, fewer
            where their gradients would fill more than 64 MiB.
        by_record: Take the path by record even where the one by layer would do.

    Raises:
        ParameterError: If the bound is out of range, or no parameter requires a gradient.
        UnsupportedLayerError: If a layer mixes records, or a parameter is of low precision.
    """

    def __init__(
        self,
        discriminator: nn.Module,
        loss: RecordLoss,
        *,
        max_grad_norm: float,
        micro_batch_size: int = 4096,
        by_record: bool = False,
    ) -> None:
        refuse_layers_that_mix_records(discriminator)
        if not 1e-9 <= max_grad_norm <= 1e9:
            raise ParameterError(f"expected 1e-9 <= max_grad_norm <= 1e9, got {max_grad_norm!r}")
        if not 1 <= micro_batch_size <= 2**17:
            raise ParameterError(f"expected 1 <= micro_batch_size <= 2^17, got {micro_batch_size!r}")
        self.discriminator = discriminator
        self.loss = loss
        self.max_grad_norm = max_grad_norm
        self.micro_batch_size = micro_batch_size
        if not self.parameters:
            raise ParameterError("expected at least one parameter that requires a gradient")
        if any(p.dtype not in (torch.float32, torch.float64) for p in self.parameters):
            raise UnsupportedLayerError("expected float32 or float64 parameters: clipping rounds with less")
        self._linear = {} if by_record else _linear_layers(discriminator)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters that a step updates, in order."""
        return [p for p in self.discriminator.parameters() if p.requires_grad]

    def clipped_steps(self, records: torch.Tensor, at_once: int | None = None) -> list[torch.Tensor]:
        """Return the sum over records of their clipped gradients, one tensor a parameter, in whole steps.

        Args:
            records: Real or generated records, ``(n, ...)``; may be empty.
            at_once: Size of the parts that go through the network, up to ``micro_batch_size``; public. By
                default all at once, which lets the size of the batch decide how a record is rounded.

        Returns:
            Whole multiples of ``max_grad_norm / STEPS_PER_NORM``, int64, in the shapes of the parameters.

        Privacy:
            Not private: adding or removing one record moves the sum by at most ``STEPS_PER_NORM`` in L2.
        """
        total = [torch.zeros_like(p, dtype=torch.int64) for p in self.parameters]
        size = min(at_once or max(len(records), 1), self.micro_batch_size)
        for part in records.split(size):
            sums = self._by_layer(*_filled(part, size)) if self._linear else None
            for piece in [sums] if sums is not None else self._by_record(part, size):
                for whole, addend in zip(total, piece, strict=True):
                    whole += addend
        return total

    def clipped_sum(self, records: torch.Tensor) -> list[torch.Tensor]:
        """Return the sum over records of their clipped gradients as gradients; see `clipped_steps`."""
        step = self.max_grad_norm / STEPS_PER_NORM
        sums = zip(self.clipped_steps(records), self.parameters, strict=True)
        return [(total.double() * step).to(p) for total, p in sums]

    # -- by layer ----------------------------------------------------------------------------------------

    def _by_layer(self, records: torch.Tensor, n_real: int) -> list[torch.Tensor] | None:
        """Return the sums over the first ``n_real``, or None if a layer acts twice, or on no flat row."""
        n = len(records)
        with _widened(self.discriminator), _observed(self._linear) as seen:
            losses = self.loss(self.discriminator, records)
        _check_one_loss_each(losses, n)
        once = sorted(name for name, _, _ in seen) == sorted(self._linear)
        if not once or any(x.dim() != 2 or len(x) != n for _, x, _ in seen):
            return None
        slopes = torch.autograd.grad(losses.sum(), [output for *_, output in seen], materialize_grads=True)
        squared, largest = torch.zeros(2, n, dtype=torch.float64, device=records.device)
        inputs = {id(x): x.detach() for _, x, _ in seen}  # layers side by side share an input
        norms = {key: _bounded_norms(x) for key, x in inputs.items()}
        for (name, x, _), slope in zip(seen, slopes, strict=True):
            weight, bias = _trained(self._linear[name])
            norm_x, norm_slope = norms[id(x)], _bounded_norms(slope)
            squared += norm_slope**2 * (weight * norm_x**2 + bias)
            largest = torch.maximum(largest, norm_x)
        factor = self._factor(torch.where(largest < LARGEST, squared.sqrt(), torch.nan))
        rows = _kept(factor, n_real)
        scale = factor[rows] / self.max_grad_norm
        directions = {key: _whole(x[rows], STEPS_PER_FACTOR / norms[key][rows]) for key, x in inputs.items()}
        of_parameter: dict[int, torch.Tensor] = {}
        for (name, x, _), slope in zip(seen, slopes, strict=True):
            layer = self._linear[name]
            weight, bias = _trained(layer)
            if weight:
                lengths = _whole(slope[rows], scale * norms[id(x)][rows] * STEPS_PER_FACTOR)
                of_parameter[id(layer.weight)] = (lengths.T @ directions[id(x)]).long()
            if bias:
                of_parameter[id(layer.bias)] = _whole(slope[rows], scale * STEPS_PER_NORM).sum(0).long()
        return [of_parameter[id(p)] for p in self.parameters]

    # -- by record ---------------------------------------------------------------------------------------

    def _by_record(self, records: torch.Tensor, at_once: int) -> Iterator[list[torch.Tensor]]:
        """Yield the sums of parts of the records that fit into memory, up to ``at_once`` together."""
        named = {name: p for name, p in self.discriminator.named_parameters() if p.requires_grad}
        chosen = {name: p.detach() for name, p in named.items()}

        def loss_of_one(parameters: dict[str, torch.Tensor], record: torch.Tensor) -> torch.Tensor:
            def network(x: torch.Tensor) -> torch.Tensor:
                return functional_call(self.discriminator, parameters, (x,))

            losses = self.loss(network, record.unsqueeze(0))
            _check_one_loss_each(losses, 1)
            return losses.squeeze(0)

        gradients_of = vmap(grad(loss_of_one), in_dims=(None, 0), randomness="different")
        n_floats = sum(p.numel() for p in chosen.values())
        size = min(at_once, max(1, _FLOATS_BY_RECORD // (STEADY * n_floats)) * STEADY)
        for part in records.split(size):
            filled, n_real = _filled(part, size)
            with _widened(self.discriminator):
                flat = {name: g.flatten(1) for name, g in gradients_of(chosen, filled).items()}
            # In float64: squares of float32 may vanish or overflow.
            norms = [torch.linalg.vector_norm(g, dim=1, dtype=torch.float64) for g in flat.values()]
            factor = self._factor(torch.stack(norms).square().sum(0).sqrt())
            rows = _kept(factor, n_real)
            scale = factor[rows] / self.max_grad_norm * STEPS_PER_NORM
            yield [_whole(g[rows], scale).sum(0).long().view_as(named[name]) for name, g in flat.items()]

    def _factor(self, norm: torch.Tensor) -> torch.Tensor:
        """Return what each record's gradient is multiplied by: at most 1, and 0 where it is not finite."""
        bound = self.max_grad_norm * (1.0 - ROUNDING)
        return torch.where(norm < LARGEST, (bound / norm.clamp_min(1e-30)).clamp_max(1.0), 0.0)


def _filled(records: torch.Tensor, size: int) -> tuple[torch.Tensor, int]:
    """Return records with rows of zeros behind them, ``size`` in all, and how many are not filling."""
    missing = size - len(records)
    if not missing or not len(records):
        return records, len(records)
    return torch.cat([records, records.new_zeros(missing, *records.shape[1:])]), len(records)


def _kept(factor: torch.Tensor, n_real: int) -> torch.Tensor | slice:
    """Return an index of the records that contribute: 0 times what is not finite would be no number."""
    kept = torch.nonzero(factor[:n_real] > 0).squeeze(1)
    return slice(n_real) if len(kept) == n_real else kept


def _whole(rows: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Return rows, each times its scale, rounded towards zero to whole numbers, in doubles.

    The product may round up by 2^-24 of itself, which `ROUNDING` has room for.
    """
    return (rows * scale.to(rows)[:, None]).trunc_().double()


def _bounded_norms(rows: torch.Tensor) -> torch.Tensor:
    """Return the L2 norm of each row a little too long: squares in float32, summed pairwise by torch.

    That is faster than float64. What vanishes when it is squared is shorter than 4e-23 each, so less than
    ``VANISHED`` for any width.
    """
    return rows.square().sum(1).double().sqrt() + VANISHED


def _check_one_loss_each(losses: torch.Tensor, n: int) -> None:
    if losses.shape != (n,):
        raise UnsupportedLayerError(
            f"expected one loss per record, shape ({n},), got {tuple(losses.shape)}: a loss over the whole "
            "batch cannot be clipped record by record"
        )


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


@contextmanager
def _widened(module: nn.Module) -> Iterator[None]:
    """Let the narrow linear layers of a network multiply by matrices filled up with zeros."""
    sizes = [(m, {m.in_features, m.out_features} - {1}) for m in module.modules() if type(m) is nn.Linear]
    narrow = [layer for layer, widths in sizes if widths and min(widths) < STEADY]
    for layer in narrow:
        vars(layer)["forward"] = partial(_linear_widened, layer)
    try:
        yield
    finally:
        for layer in narrow:
            del vars(layer)["forward"]


def _linear_widened(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
    more_in, more_out = (max(0, STEADY - width) for width in (layer.in_features, layer.out_features))
    weight = nn.functional.pad(layer.weight, (0, more_in, 0, more_out))
    bias = None if layer.bias is None else nn.functional.pad(layer.bias, (0, more_out))
    wide = nn.functional.linear(nn.functional.pad(x, (0, more_in)), weight, bias)
    return wide[..., : layer.out_features]


@contextmanager
def _observed(layers: dict[str, nn.Linear]) -> Iterator[list[tuple[str, torch.Tensor, torch.Tensor]]]:
    """Note name, input and output of the layers during one forward pass, in the order of their calls."""
    seen: list[tuple[str, torch.Tensor, torch.Tensor]] = []

    def note(name: str, module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        seen.append((name, inputs[0], output))

    handles = [layer.register_forward_hook(partial(note, name)) for name, layer in layers.items()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _trained(layer: nn.Linear) -> tuple[bool, bool]:
    """Return whether the layer's weight and its bias require a gradient."""
    return layer.weight.requires_grad, layer.bias is not None and layer.bias.requires_grad


def _linear_layers(module: nn.Module) -> dict[str, nn.Linear]:
    """Return the linear layers that learn, by name, if they hold all that learns, each once; else none."""
    linear = {name: m for name, m in module.named_modules() if type(m) is nn.Linear}
    layers = {name: m for name, m in linear.items() if any(_trained(m))}
    held = [id(p) for layer in layers.values() for p in layer.parameters() if p.requires_grad]
    trainable = [id(p) for p in module.parameters() if p.requires_grad]
    return layers if sorted(held) == sorted(trainable) else {}
