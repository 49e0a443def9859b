"""Optimizers as arrays by name, for checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[Any]


def tensor_array(tensor: torch.Tensor) -> Array:
    """Return a copy of a tensor on the CPU, as an array."""
    return tensor.detach().cpu().numpy().copy()


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
