"""Networks, their running averages and optimizers as arrays by name, for checkpoints and model files."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim.swa_utils import AveragedModel

Array = NDArray[Any]


def tensor_array(tensor: torch.Tensor) -> Array:
    """Return a copy of a tensor on the CPU, as an array."""
    return tensor.detach().cpu().numpy().copy()


def module_arrays(name: str, module: nn.Module) -> dict[str, Array]:
    """Return a network's weights and buffers, each array named ``name/key``."""
    return {f"{name}/{key}": tensor_array(value) for key, value in module.state_dict().items()}


def restore_module(name: str, module: nn.Module, arrays: Mapping[str, Array]) -> None:
    """Take up what `module_arrays` returned under ``name``.

    Raises:
        KeyError: If an array is lacking.
        ValueError: If the arrays are those of another network.
    """
    state = {key: torch.from_numpy(np.array(arrays[f"{name}/{key}"])) for key in module.state_dict()}
    try:
        module.load_state_dict(state)
    except RuntimeError:
        raise ValueError(f"the arrays {name!r} are those of another network") from None


def averaging_weight(decay: float, n: int) -> float:
    """Return what the n-th value, from 1, weighs in a running average: as much as each before it, at first.

    Example:
        >>> [averaging_weight(0.75, n) for n in (1, 2, 4, 100)]
        [1.0, 0.5, 0.25, 0.25]
    """
    return max(1.0 - decay, 1.0 / n)


def running_average(network: nn.Module, decay: float) -> AveragedModel:
    """Return the running average of a network's weights; before the first update, the network as it stands.

    Each update weighs what `averaging_weight` says; the start counts for nothing.
    """

    def towards(averaged: Any, present: Any, n: torch.Tensor | int) -> None:
        weight = averaging_weight(decay, int(n) + 1)
        for mean, p in zip(averaged, present, strict=True):
            mean.lerp_(p, weight)

    return AveragedModel(network, multi_avg_fn=towards).requires_grad_(False)


def averaged_network(average: AveragedModel) -> Any:
    """Return a copy of the averaged network on the CPU, apart from what goes on learning."""
    return copy.deepcopy(average.module).cpu()


def optimizer_arrays(name: str, optimizer: torch.optim.Optimizer) -> dict[str, Array]:
    """Return an optimizer's state, each array named ``name/position/key``."""
    return {
        f"{name}/{position}/{key}": tensor_array(value)
        for position, state in optimizer.state_dict()["state"].items()
        for key, value in state.items()
    }


def restore_optimizer(name: str, optimizer: torch.optim.Optimizer, arrays: Mapping[str, Array]) -> None:
    """Take up what `optimizer_arrays` returned under ``name``."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, array in arrays.items():
        of, _, rest = key.partition("/")
        if of == name:
            position, _, what = rest.partition("/")
            state.setdefault(int(position), {})[what] = torch.from_numpy(np.array(array))
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
