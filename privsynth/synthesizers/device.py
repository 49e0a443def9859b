"""Where torch computes."""

from __future__ import annotations

import torch

from privsynth.errors import ParameterError


def resolve_device(device: str) -> str:
    """Return the torch device that a name stands for.

    Raises:
        ParameterError: If the name is unknown, or there is no such device.
    """
    has_gpu = torch.cuda.is_available()
    if device not in ("auto", "cpu", "cuda"):
        raise ParameterError(f"expected device 'auto', 'cpu' or 'cuda', got {device!r}")
    if device == "cuda" and not has_gpu:
        raise ParameterError("expected a CUDA device for device='cuda', found none; use device='auto'")
    return "cuda" if has_gpu and device != "cpu" else "cpu"
